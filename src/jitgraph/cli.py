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
  143  terminated (SIGTERM)
"""

_MAIN_EXAMPLES = """\
examples:
  jitgraph doctor                      is everything here that compiled functions need?
  jitgraph inspect model.py:predict    what became of a function: graphs, loops, C
  jitgraph bench sigmoid -n 1e7        time against precision of the sigmoid family
  jitgraph cache info                  where compiled code is kept, and how much
"""

_BENCH_EXAMPLES = """\
suites:
  sigmoid       time against precision of the sigmoid family; then its time against peers
  elementwise   exp, tanh, log, log1p, erf, softplus, a long expression
  reductions    mean of squares, sum of a sigmoid, cross-entropy
  softmax       of rows of three lengths
  training      a step of logistic regression and of a perceptron
  loops         scan: a recurrent network, AR(1), gradients, contrastive divergence; also in C
  overhead      calls that have next to nothing to compute
  compile       fresh processes to their first result, with empty and with warm caches
  all           everything
  compare       two earlier runs of a --history file: bench compare A B; without A B: list them

examples:
  jitgraph bench sigmoid                                   100,000,000 elements
  jitgraph bench sigmoid -n 1e7 --dtype float32 --no-plots --peers none
  jitgraph bench elementwise -n 1e7 --threads 1 --json figures.json --out pictures
  jitgraph bench all --peers numba,jax --python jax=/opt/jax/bin/python
  jitgraph bench softmax -n 1e6 --json - > softmax.json    JSON and nothing else
  jitgraph bench all --history runs.jsonl && jitgraph bench compare 3f2a 77c1 --history runs.jsonl

Peers run in processes of their own and take turns: every round times each of them once, after a
call that is not counted, and the figures are medians of the rounds. What memory allows is measured
in the same rounds. A peer's result is compared with NumPy's before it is timed. The study of
precision compares with values of 50 digits.

A table is printed as soon as its workload is done. Ctrl-C and SIGTERM end the run: what was done is
shown and written to the files, marked as interrupted. A peer whose process ends or hangs is named.
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


_SUITES = (
    "sigmoid",
    "elementwise",
    "reductions",
    "softmax",
    "training",
    "loops",
    "overhead",
    "compile",
)


def _bench_arguments(bench: argparse.ArgumentParser) -> None:
    bench.add_argument("suite", choices=(*_SUITES, "all", "compare"), help="what to measure")
    bench.add_argument("runs", nargs="*", help="of compare: two numbers or commits of the history")
    bench.add_argument(
        "-n",
        "--n",
        type=elements,
        default=100_000_000,
        metavar="N",
        help="elements of a large array (default: 1e8)",
    )
    bench.add_argument(
        "--dtype",
        choices=("float64", "float32"),
        help="default: float64; sigmoid and softmax against peers in both",
    )
    bench.add_argument(
        "--threads",
        type=between(1, 256),
        metavar="T",
        help="threads of compiled functions, of the peers, and of the copy they are compared "
        "with (default: as in any program)",
    )
    bench.add_argument(
        "--rounds",
        type=between(1, 1000),
        default=5,
        metavar="R",
        help="counted rounds (default: 5); medians of fewer than 5 are not worth much",
    )
    _bench_peers(bench)
    bench.add_argument(
        "--json", metavar="FILE", help="write the figures to FILE too; -: JSON on stdout, no table"
    )
    bench.add_argument(
        "--history", metavar="FILE", help="add the run to FILE; of compare: the FILE to read"
    )
    bench.add_argument(
        "--out", default=".", metavar="DIR", help="directory of the pictures (default: here)"
    )
    bench.add_argument("--no-plots", action="store_true", help="no pictures")
    bench.set_defaults(run=_bench)


def _bench_peers(bench: argparse.ArgumentParser) -> None:
    bench.add_argument(
        "--peers",
        default="all",
        metavar="NAMES",
        help="peers to compare with, separated by commas; all (that are installed), none",
    )
    bench.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="Python that has the peer NAME, if it is not this one; can be repeated",
    )
    bench.add_argument(
        "--time-limit",
        type=between(1, 86_400),
        default=120,
        metavar="S",
        help="seconds after which a peer is given up (default: 120)",
    )


def _inspect_arguments(inspect: argparse.ArgumentParser) -> None:
    inspect.add_argument("target", metavar="MODULE_OR_FILE:FUNCTION")
    form = inspect.add_mutually_exclusive_group()
    form.add_argument("--c", action="store_true", help="only the C source")
    form.add_argument("--json", action="store_true", help="print JSON and nothing else")
    inspect.set_defaults(run=_inspect)


# --- commands ------------------------------------------------------------------------------------


def _bench(arguments: argparse.Namespace) -> int:
    if arguments.suite == "compare":
        return _bench_compare(arguments)
    if arguments.runs:
        raise CommandError(f"bench {arguments.suite} takes no more names: {arguments.runs[0]}")
    from jitgraph.bench import comparison

    settings = comparison.Settings(
        suite=arguments.suite,
        n=arguments.n,
        dtype=arguments.dtype,
        threads=arguments.threads,
        rounds=arguments.rounds,
        peers=_peers(arguments.peers),
        pythons=_pythons(arguments.python),
        time_limit=arguments.time_limit,
    )
    pictures_to = None if arguments.no_plots else arguments.out
    if arguments.suite != "sigmoid":
        return comparison.run(settings, arguments.json, pictures_to, arguments.history)
    from jitgraph.bench import sigmoid

    return sigmoid.run(
        sigmoid.Settings(
            n=arguments.n,
            dtype=arguments.dtype or "float64",
            threads=arguments.threads,
            rounds=arguments.rounds,
        ),
        json_to=arguments.json,
        pictures_to=pictures_to,
        peers=settings if settings.peers else None,
        history_in=arguments.history,
    )


def _peers(text: str) -> list[str]:
    from jitgraph.bench.comparison import peer_names

    try:
        return peer_names(text)
    except ValueError as error:
        raise CommandError(f"--peers: {error}") from None


def _pythons(pairs: Sequence[str]) -> dict[str, str]:
    """{peer: interpreter} of NAME=PATH; torch names torch.compile too."""
    from jitgraph.bench.peers.worker import PEERS

    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, path = pair.partition("=")
        module = {k: PEERS[k][1] for k in PEERS if k.lower() == name.lower()}
        if not equals or not module:
            raise CommandError(f"--python: {pair!r} is not NAME=PATH of a peer")
        if not os.access(path, os.X_OK):
            raise CommandError(f"--python: {path} is not a program")
        found.update({k: path for k in PEERS if PEERS[k][1] in module.values()})
    return found


def _bench_compare(arguments: argparse.Namespace) -> int:
    from jitgraph.bench import history

    if arguments.history is None:
        raise CommandError("bench compare needs --history FILE")
    if len(arguments.runs) not in (0, 2):
        raise CommandError("bench compare takes two runs, or none to list them")
    runs = history.read(arguments.history)
    if not arguments.runs:
        print(history.listing(runs), end="")
        return OK
    compared = history.compare(*(history.find(runs, name) for name in arguments.runs))
    if arguments.json == "-":
        print_json(compared)
    else:
        print(history.render(compared), end="")
    return OK


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
    except KeyboardInterrupt as signal:
        return _complain(arguments, "interrupted", getattr(signal, "status", INTERRUPTED))


def _complain(arguments: argparse.Namespace, message: str, status: int) -> int:
    from jitgraph.printing import printable

    print(f"jitgraph {arguments.command}: {printable(message, keep=chr(10))}", file=sys.stderr)
    return status
