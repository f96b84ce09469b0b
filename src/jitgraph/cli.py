"""The command `jitgraph`: see `jitgraph --help`.

Only argparse is imported here; each sub-command imports what it needs when it runs.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from jitgraph.inspect import CommandError

OK, PROBLEM, REFUSED, INTERRUPTED, NO_READER = 0, 1, 2, 130, 141

EXIT_CODES = """\
exit codes:
  0    done, nothing wrong
  1    done, and a problem was found (doctor, cache verify), or the program that was read failed
  2    the command line is wrong, or what it asks for was refused
  130  interrupted (Ctrl-C)
  141  the reader of the output went away (as in: jitgraph inspect ... | head)
"""

_MAIN_EXAMPLES = """\
examples:
  jitgraph doctor                      is everything here that compiled functions need?
  jitgraph inspect model.py:predict    what became of a function: graphs, loops, C
  jitgraph bench sigmoid -n 1e7        time against precision of the sigmoid family
  jitgraph cache info                  where compiled code is kept, and how much
"""

_BENCH_EXAMPLES = """\
examples:
  jitgraph bench sigmoid                                   100,000,000 float64, 4.3 GB of memory
  jitgraph bench sigmoid -n 1e7 --dtype float32 --no-plots
  jitgraph bench sigmoid --threads 1 --json sigmoid.json --out pictures
  jitgraph bench sigmoid -n 1e6 --json - > sigmoid.json    JSON and nothing else

All contenders run in one process and take turns: every round times each of them once, the first
round warms up and is not counted, and the figures are medians of the others. Every contender
that computes a sigmoid is also compared with values of 50 digits.
The pictures need matplotlib: pip install 'jitgraph[plot]'
"""

_INSPECT_EXAMPLES = """\
examples:
  jitgraph inspect model.py:predict       a file; its directory is put on the search path
  jitgraph inspect package.model:predict  a module, searched from here as with python -m
  jitgraph inspect model.py:build         a callable without arguments that returns a function
  jitgraph inspect model.py:predict --c > predict.c

The file is executed as an imported module: code under `if __name__ == "__main__":` does not run.
What it prints goes to stderr.
"""

_DOCTOR_EXAMPLES = """\
examples:
  jitgraph doctor
  jitgraph doctor --json > doctor.json    for a bug report

Compiles and runs small functions in a private temporary directory; the cache is not changed.
"""

_CACHE_EXAMPLES = """\
examples:
  jitgraph cache info           directory, size, number of entries
  jitgraph cache verify         read and check every entry; damaged ones are set aside
  jitgraph cache clear          remove every entry; functions in use keep working

JITGRAPH_CACHE_DIR names another directory. Deleting it at any time is safe.
"""


# --- arguments -----------------------------------------------------------------------------------


def elements(text: str) -> int:
    """A number of elements: 100000, 100_000 or 1e5."""
    try:
        number = int(text)
    except ValueError:
        try:
            value = float(text)
            number = int(value)
        except (ValueError, OverflowError):
            raise _not_a_number(text) from None
        if number != value:
            raise _not_a_number(text) from None
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of elements")
    return number


def _not_a_number(text: str) -> argparse.ArgumentTypeError:
    return argparse.ArgumentTypeError(f"{text!r} is not a whole number such as 100000 or 1e8")


def between(low: int, high: int) -> Callable[[str], int]:
    """An argument type: the whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return number

    return parse


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import jitgraph

        print(f"jitgraph {jitgraph.__version__}")
        parser.exit(OK)


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _described(
        argparse.ArgumentParser, "Inspect, measure and check jitgraph.", _MAIN_EXAMPLES
    )
    top.prog = "jitgraph"
    top.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    def add(name: str, text: str, examples: str) -> argparse.ArgumentParser:
        return _described(commands.add_parser, text, examples, name, help=text)

    _bench_arguments(add("bench", "measure time and precision", _BENCH_EXAMPLES))
    _inspect_arguments(add("inspect", "show what became of a compiled function", _INSPECT_EXAMPLES))
    doctor = add("doctor", "check compiler, threads, BLAS, cache", _DOCTOR_EXAMPLES)
    doctor.add_argument("--json", action="store_true", help="print JSON and nothing else")
    doctor.set_defaults(run=_doctor)
    cache = add("cache", "show, check or empty the cache of compiled code", _CACHE_EXAMPLES)
    cache.add_argument("action", choices=("info", "clear", "verify"))
    cache.add_argument("--json", action="store_true", help="print JSON and nothing else")
    cache.set_defaults(run=_cache)
    return top


def _described(
    make: Callable[..., Any], text: str, examples: str, *args: Any, **kwargs: Any
) -> Any:
    return make(
        *args,
        description=text[0].upper() + text[1:].removesuffix(".") + ".",
        epilog=f"{examples}\n{EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **kwargs,
    )


def _bench_arguments(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("suite", choices=("sigmoid",), help="what to measure")
    bench.add_argument(
        "-n", type=elements, default=100_000_000, metavar="N", help="elements (default: 1e8)"
    )
    bench.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    bench.add_argument(
        "--threads",
        type=between(1, 256),
        metavar="T",
        help="threads of compiled functions and of the copy they are compared with "
        "(default: as in any program)",
    )
    bench.add_argument(
        "--rounds",
        type=between(1, 1000),
        default=5,
        metavar="R",
        help="counted rounds (default: 5); medians of fewer than 5 are not worth much",
    )
    bench.add_argument(
        "--json", metavar="FILE", help="write the figures to FILE too; -: JSON on stdout, no table"
    )
    bench.add_argument(
        "--out", default=".", metavar="DIR", help="directory of the pictures (default: here)"
    )
    bench.add_argument("--no-plots", action="store_true", help="no pictures")
    bench.set_defaults(run=_bench)


def _inspect_arguments(inspect: argparse.ArgumentParser) -> None:
    inspect.add_argument("target", metavar="MODULE_OR_FILE:FUNCTION")
    form = inspect.add_mutually_exclusive_group()
    form.add_argument("--c", action="store_true", help="only the C source")
    form.add_argument("--json", action="store_true", help="print JSON and nothing else")
    inspect.set_defaults(run=_inspect)


# --- commands ------------------------------------------------------------------------------------


def _bench(arguments: argparse.Namespace) -> int:
    from jitgraph.bench import sigmoid

    return sigmoid.run(
        sigmoid.Settings(
            n=arguments.n,
            dtype=arguments.dtype,
            threads=arguments.threads,
            rounds=arguments.rounds,
        ),
        json_to=arguments.json,
        pictures_to=None if arguments.no_plots else arguments.out,
    )


def _inspect(arguments: argparse.Namespace) -> int:
    from jitgraph.inspect import text
    from jitgraph.inspect.target import find_function

    with _stdout_kept_clean():
        function = find_function(arguments.target)
    if arguments.c:
        print(text.c_source(function), end="")
        return OK
    described = text.describe(arguments.target, function)
    if arguments.json:
        print_json(described)
    else:
        print(text.render(described), end="")
    return OK


def _doctor(arguments: argparse.Namespace) -> int:
    from jitgraph.inspect import doctor

    checks = doctor.examine()
    if arguments.json:
        print_json(doctor.as_json(checks))
    else:
        print(doctor.render(checks), end="")
    return PROBLEM if any(c.status == "problem" for c in checks) else OK


def _cache(arguments: argparse.Namespace) -> int:
    from jitgraph.inspect import stored

    action: Callable[[], stored.Outcome] = getattr(stored, arguments.action)
    outcome = action()
    if arguments.json:
        print_json(outcome.facts)
    else:
        print(outcome.text)
    return OK if outcome.good else PROBLEM


def print_json(value: Any) -> None:
    """Print `value` as JSON that any reader accepts: no NaN, no Infinity, ASCII only."""
    print(json.dumps(value, indent=2, allow_nan=False))


@contextlib.contextmanager
def _stdout_kept_clean() -> Iterator[None]:
    """What a program prints while it is imported must not mix with our output."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


# --- the entry -----------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: that of the process); return the exit code.

    Raises SystemExit as argparse does, for --help, --version and wrong command lines.
    """
    with contextlib.suppress(AttributeError):  # a terminal without Unicode shows escapes
        sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        try:
            return _run(parser().parse_args(argv))
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit; that must not fail too.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NO_READER


def _run(arguments: argparse.Namespace) -> int:
    from jitgraph.errors import JitgraphError

    try:
        status: int = arguments.run(arguments)
        return status
    except CommandError as error:
        return _complain(arguments, str(error), error.status)
    except JitgraphError as error:  # no compiler, or one that fails
        return _complain(arguments, str(error), PROBLEM)
    except KeyboardInterrupt:
        return _complain(arguments, "interrupted", INTERRUPTED)


def _complain(arguments: argparse.Namespace, message: str, status: int) -> int:
    from jitgraph.printing import printable

    print(f"jitgraph {arguments.command}: {printable(message, keep=chr(10))}", file=sys.stderr)
    return status
