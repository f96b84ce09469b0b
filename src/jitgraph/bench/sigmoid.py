"""`jitgraph bench sigmoid`: time against precision of sigmoid and its approximations.

To add a contender, append a `Contender` in `contenders`; everything else follows.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from jitgraph.bench import comparison
from jitgraph.bench.interrupt import Interrupted, Interrupts
from jitgraph.bench.live import Live
from jitgraph.bench.measure import (
    Array,
    Contender,
    Progress,
    Timing,
    available_memory,
    measure,
)
from jitgraph.bench.oracle import HIGH, LOW, Errors, Examiner
from jitgraph.inspect import CommandError

RESERVE = 256 << 20  # bytes for everything that does not grow with n


@dataclass(frozen=True)
class Settings:
    """What was asked for. threads: None for the default of compiled functions."""

    n: int = 100_000_000
    dtype: str = "float64"
    threads: int | None = None
    rounds: int = 5


@dataclass(frozen=True)
class Row:
    """One contender's line."""

    timing: Timing
    errors: Errors | None


# --- contenders ----------------------------------------------------------------------------------


def contenders(dtype: str, threads: int, warm: Array) -> list[Contender]:
    """All contenders; `warm` is a buffer of the input's size that has been written before."""
    import jitgraph.tensor as T

    x = T.TensorType(dtype, (False,))("x")
    result = [
        Contender(
            "copy, warm",
            f"np.copyto into one buffer, {threads} thread(s), each a part",
            threads,
            _warm_copy(warm, threads),
            is_copy=True,
        ),
        Contender("copy, fresh", "x.copy()", 1, lambda a: np.asarray(a.copy()), is_copy=True),
        Contender(
            "copy, compiled", "jitgraph.function([x], x)", threads, _compiled([x], x), is_copy=True
        ),
        Contender("NumPy", "1/(1 + np.exp(-x))", 1, _numpy_sigmoid),
    ]
    for name in ("sigmoid", "ultra_fast_sigmoid", "hard_sigmoid"):
        note = f"jitgraph.function([x], T.nnet.{name}(x))"
        result.append(Contender(name, note, threads, _compiled([x], getattr(T.nnet, name)(x))))
    return result


def _compiled(inputs: Any, output: Any) -> Callable[[Array], Array]:
    import jitgraph

    function: Callable[[Array], Array] = jitgraph.function(inputs, output, mode="FAST_RUN")
    return function


def _numpy_sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def _warm_copy(buffer: Array, threads: int) -> Callable[[Array], Array]:
    """A copy into memory that is there already, by `threads` threads.

    np.copyto releases the interpreter's lock, so Python threads copy at the same time.
    """
    if threads == 1:

        def copy(x: Array) -> Array:
            np.copyto(buffer[: x.size], x)
            return buffer

        return copy

    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(threads)

    def shared_copy(x: Array) -> Array:
        bounds = [x.size * k // threads for k in range(threads + 1)]
        parts = [slice(a, b) for a, b in itertools.pairwise(bounds)]
        list(pool.map(lambda part: np.copyto(buffer[part], x[part]), parts))
        return buffer

    return shared_copy


# Arrays of the input's size at the peak: the input, the buffer of the warm copy, a result that
# compiled functions keep for the next one, and NumPy's expression with two temporaries.
ARRAYS = 5


def memory_needed(settings: Settings) -> int:
    """Bytes at the peak."""
    return settings.n * np.dtype(settings.dtype).itemsize * ARRAYS + RESERVE


def refuse_if_too_large(settings: Settings) -> None:
    """Raise CommandError, before anything is allocated, if the memory does not suffice."""
    needed, available = memory_needed(settings), available_memory()
    if not available or needed <= available:
        return
    most = max(0, available - RESERVE) // (np.dtype(settings.dtype).itemsize * ARRAYS)
    raise CommandError(
        f"{settings.n:,} elements of {settings.dtype} need {needed:,} bytes of memory ({ARRAYS} "
        f"arrays at the peak), and {available:,} bytes are available. "
        + (f"The most that fits is -n {most}" if most else "Nothing fits")
    )


# --- measuring -----------------------------------------------------------------------------------


def run(
    settings: Settings,
    json_to: str | None = None,
    pictures_to: str | None = None,
    peers: comparison.Settings | None = None,
    history_in: str | None = None,
) -> int:
    """Measure, print the tables (or JSON on stdout for json_to='-'), draw; return the exit code.

    pictures_to: a directory, None for no pictures
    peers:       the comparison with other libraries, in processes of their own, that follows
    history_in:  a file that the comparison is added to

    Tables are printed as soon as they are known. SIGINT and SIGTERM end the run as they do in
    `comparison.run`.
    """
    refuse_if_too_large(settings)
    if peers is not None:
        comparison.refuse_if_too_large(peers)
    comparison.refuse_if_unwritable(json_to, pictures_to, history_in)
    report: dict[str, Any] = {"benchmark": "sigmoid", "n": settings.n, "contenders": []}
    report.update(pictures=[], interrupted=None, incomplete=[])
    remark = ""
    with Interrupts():
        try:
            remark = _study(settings, pictures_to, json_to != "-", report)
            if peers is not None:
                shown_in = pictures_to if not remark else None
                _compare(peers, shown_in, history_in, json_to != "-", report)
        except Interrupted as signal:
            report["interrupted"] = signal.name
            report["incomplete"] = [f"interrupted ({signal.name})"]
        comparison.write(report, json_to)
    return comparison.conclude(report, remark)


def _study(settings: Settings, pictures_to: str | None, table: bool, report: dict[str, Any]) -> str:
    """Time against precision, into the report; why there are no pictures, if so.

    What it has allocated is given back, for the processes of the peers.
    """
    import jitgraph

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with jitgraph.num_threads(settings.threads), Progress() as progress:
        threads = jitgraph.get_num_threads()
        rows = _rows(settings, threads, progress)
    report.update(as_json(settings, threads, rows, load))
    if table:
        print(render(report), end="", flush=True)
    remark = ""
    if pictures_to is not None:
        report["pictures"], remark = _draw(report, rows, pictures_to)
    rows.clear()
    jitgraph.free_memory()
    return remark


def _compare(
    peers: comparison.Settings,
    pictures_to: str | None,
    history_in: str | None,
    table: bool,
    report: dict[str, Any],
) -> None:
    """The comparison, into the report."""
    with Progress() as progress:
        if table:
            print()
        compared = comparison.measure(peers, progress, Live(progress, table))
    report["comparison"] = compared
    report["interrupted"], report["incomplete"] = compared["interrupted"], compared["incomplete"]
    if history_in is not None:
        comparison.add_to_history(history_in, compared)
    if pictures_to is not None and compared["interrupted"] is None:
        report["pictures"] += comparison.draw(compared, pictures_to)[0]


def _rows(settings: Settings, threads: int, progress: Progress) -> list[Row]:
    progress("exact values")
    examiner = Examiner(settings.dtype)
    progress("input")
    try:
        x = np.random.default_rng(1).random(settings.n, dtype=np.dtype(settings.dtype).type)
        x *= HIGH - LOW
        x += LOW
        warm = np.zeros_like(x)
        warm.fill(1)  # zeros alone are not in memory yet
        progress("compiling")
        timings = measure(contenders(settings.dtype, threads, warm), x, settings.rounds, progress)
    except MemoryError as error:
        raise CommandError(f"no memory for {settings.n:,} elements: {error}") from None
    except ArithmeticError as error:
        raise CommandError(str(error), status=1) from None
    rows = []
    for t in timings:
        progress(f"precision: {t.contender.name}")
        rows.append(Row(t, None if t.contender.is_copy else examiner.examine(t.contender.call)))
    return rows


def _draw(report: dict[str, Any], rows: list[Row], directory: str) -> tuple[list[str], str]:
    try:
        from jitgraph.bench import plots
    except ImportError:
        return [], "no pictures: they need matplotlib (pip install 'jitgraph[plot]')"
    curves = [r.timing.contender for r in rows if r.errors is not None]
    precision = os.path.join(directory, "sigmoid_precision.png")
    time_error = os.path.join(directory, "sigmoid_time_error.png")
    try:
        plots.precision(curves, report["dtype"], precision)
        plots.time_error(report, time_error)
    except OSError as error:
        raise CommandError(f"the pictures cannot be written: {error}") from None
    return [precision, time_error], ""


# --- report --------------------------------------------------------------------------------------


def as_json(
    settings: Settings, threads: int, rows: list[Row], load: float | None
) -> dict[str, Any]:
    """All figures. Times are seconds per call, errors those of `oracle.Errors`.

    load: processes that wanted a processor in the minute before (load average), None if unknown.
    """
    from jitgraph.inspect.machine import machine_facts, usable_cores

    base = min((r.timing for r in rows if r.timing.contender.is_copy), key=lambda t: t.median)
    size = np.dtype(settings.dtype).itemsize
    return {
        "benchmark": "sigmoid",
        "n": settings.n,
        "dtype": settings.dtype,
        "range": [LOW, HIGH],
        "threads": threads,
        "rounds": settings.rounds,
        "base": base.contender.name,
        "load_before": load,
        "machine": machine_facts(),
        "contenders": [_figures(r, settings.n, size, base.median) for r in rows],
        "remarks": remarks([r.timing for r in rows], settings.rounds, load, usable_cores()),
        "explanation": explanation(size, rows, base.contender.name),
    }


def _figures(row: Row, n: int, size: int, base: float) -> dict[str, Any]:
    timing = row.timing
    return {
        "name": timing.contender.name,
        "note": timing.contender.note,
        "threads": timing.contender.threads,
        "is_copy": timing.contender.is_copy,
        "calls_per_timing": timing.calls,
        "seconds": timing.seconds,
        "median_s": timing.median,
        "mad_s": timing.mad,
        "ns_per_element": timing.median / n * 1e9,
        "gb_per_s": 2 * size * n / timing.median / 1e9,
        "ratio_to_copy": timing.median / base,
        "errors": None if row.errors is None else asdict(row.errors),
    }


UNSTEADY = 0.1  # MAD over median of a contender beyond which a run is not to be trusted


def remarks(timings: list[Timing], rounds: int, load: float | None, cores: int) -> list[str]:
    """What speaks against the figures; nothing, if all is well."""
    found = []
    if load is not None and load > cores / 2:
        found.append(f"other programs were running (load {load:.1f} on {cores} cores)")
    unsteady = [t.contender.name for t in timings if t.mad > UNSTEADY * t.median]
    if unsteady:
        found.append(f"times vary by more than {UNSTEADY:.0%}: {'; '.join(unsteady)}")
    if rounds < 5:
        found.append("fewer than 5 rounds")
    return found


def explanation(size: int, rows: list[Row], base: str) -> list[str]:
    """What the columns mean, in sentences."""
    points = next(r.errors.points for r in rows if r.errors is not None)
    return [
        f"x copy: time over that of '{base}', the fastest copy of this run: to read x once and to "
        "write as much is the least that any function of x has to do.",
        "copy, warm: by threads, to memory that is there already. copy, fresh: by NumPy, to memory "
        "that the system must first provide. copy, compiled: the identity as a compiled function, "
        "which returns a new array as all others do, in the memory of an earlier result, now gone.",
        f"GB/s counts {2 * size} bytes an element, x read and the result written, whatever else "
        "moves.",
        f"Errors: against 50 digits (decimal), at {points:,} points from the smallest subnormal to "
        f"the largest number; the mean over those drawn uniformly from [{LOW:g}, {HIGH:g}]. ULP: "
        "units of the last place of the exact value, cut at 2^p (no digit right).",
        "Freeing a result is not timed. Median and MAD (median absolute deviation) of the rounds.",
    ]


_HEAD = ("contender", "thr", "median s", "MAD s", "ns/elem", "GB/s", "x copy")
_ERROR_HEAD = ("max |err|", "mean |err|", "max ULP")


def render(report: dict[str, Any]) -> str:
    """The table with its conditions above and the meaning of its columns below."""
    machine = report["machine"]
    compiler = machine["compiler"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    low, high = report["range"]
    head = [
        f"sigmoid of {report['n']:,} {report['dtype']}, uniform in [{low:g}, {high:g}]; "
        f"{report['threads']} thread(s); {report['rounds']} interleaved rounds after a warm-up",
        f"{machine['cpu']}, {machine['cores']} cores, {_load_text(report)}, {machine['system']}; "
        f"{versions}",
    ]
    if compiler is not None:
        head.append(f"{compiler['version']}: {' '.join(compiler['flags'])}")
    lines = [line for text in head for line in _wrap(text)]
    rows = [[*_HEAD, *_ERROR_HEAD], *(_cells(c) for c in report["contenders"])]
    widths = [max(len(r[k]) for r in rows) for k in range(len(rows[0]))]
    lines.append("")
    for row in rows:
        first, *others = (cell.rjust(w) for cell, w in zip(row, widths, strict=True))
        lines.append("  ".join([row[0].ljust(len(first)), *others]))
    lines.append("")
    if report["remarks"]:
        lines += _wrap(f"DO NOT RELY ON THESE TIMES: {', '.join(report['remarks'])}.")
    for text in report["explanation"]:
        lines += _wrap(text)
    return "\n".join(lines) + "\n"


def _load_text(report: dict[str, Any]) -> str:
    load = report["load_before"]
    return "load unknown" if load is None else f"load {load:.1f} before"


def _wrap(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, 100, subsequent_indent="  ", break_on_hyphens=False)


def _cells(c: dict[str, Any]) -> list[str]:
    figures = [
        c["name"],
        str(c["threads"]),
        f"{c['median_s']:.4g}",
        f"{c['mad_s']:.2g}",
        f"{c['ns_per_element']:.3f}",
        f"{c['gb_per_s']:.1f}",
        f"{c['ratio_to_copy']:.2f}",
    ]
    errors = c["errors"]
    if errors is None:
        return [*figures, "", "", ""]
    ulp = errors["max_ulp"]
    digits = f"{ulp:.3f}" if ulp < 1000 else f"{ulp:.1e}"
    return [*figures, f"{errors['max_abs']:.3g}", f"{errors['mean_abs']:.3g}", digits]
