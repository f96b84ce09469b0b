"""How does the time per element grow with the size, and what does a second thread bring?

exp(x) and sum(sigmoid(x)) for arrays of 10^2 to --largest bytes, with 1 thread and with --threads;
beside them the copy by hand-written loops, with as many threads. One size after the other; in each,
functions and numbers of threads take turns. Calls are warm: a turn is a loop over the same array,
whose medians are taken, so that a size which fits into a cache is found there, and workers of the
pool are awake but for the first call.

A second thread needs a second processor. Where another program is using it, even one of the lowest
priority, the system wakes the worker on the processor of the caller, and both run one after the
other: two threads then take as long as one or longer. How many processors other programs had
meanwhile is printed; above some 0.05 the figures of several threads say little.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import common
import numpy as np

import jitgraph
import jitgraph.tensor as T
from jitgraph.bench.limits import Mover
from jitgraph.bench.measure import available_memory

PER_DECADE = 2
TURN = 0.02  # seconds of consecutive calls of one contender, unless one call takes longer


def sizes(largest: float) -> list[int]:
    """Bytes, two a decade, whole cache lines."""
    steps = int(PER_DECADE * (np.log10(largest) - 2) + 0.5)
    return [int(10 ** (2 + k / PER_DECADE)) // 64 * 64 + 64 for k in range(steps + 1)]


def functions() -> dict[str, Any]:
    x = T.dvector("x")
    return {
        "exp": jitgraph.function([x], T.exp(x)),
        "sum(sigmoid)": jitgraph.function([x], T.nnet.sigmoid(x).sum()),
    }


def refuse_if_too_large(largest: int) -> None:
    """End the program if the machine has not got the memory: argument, result, two copies."""
    needed, available = 4 * largest, available_memory()
    if available and needed > available:
        raise SystemExit(f"{needed:,} bytes are needed, {available:,} are available")


def cases(compiled: dict[str, Any], size: int, threads: int) -> dict[str, Callable[[], Any]]:
    """name | bytes | threads -> the call, on one array of random numbers."""
    made: dict[str, Callable[[], Any]] = {}
    a = np.random.default_rng(1).uniform(-8, 8, size // 8)

    def under(n: int, call: Callable[[], Any]) -> Callable[[], Any]:
        def timed() -> Any:
            if jitgraph.get_num_threads() != n:
                jitgraph.set_num_threads(n)
            return call()

        return timed

    for count in dict.fromkeys((1, threads)):
        jitgraph.set_num_threads(count)  # the copy chooses its stores by trial
        for name, f in compiled.items():
            made[f"{name} | {size} | {count}"] = under(count, partial(f, a))
        made[f"copy | {size} | {count}"] = under(count, Mover("copy", [a]))
    return made


def processors_of_others() -> Callable[[], float | None]:
    """What gives the processors that other programs have used since now; None if unknown."""

    def busy() -> (
        float | None
    ):  # seconds of all processors, without those of this process and its compilers
        try:
            with open("/proc/stat", encoding="ascii") as file:
                ticks = [int(t) for t in file.readline().split()[1:9]]
        except OSError:
            return None
        used = sum(ticks) - ticks[3] - ticks[4]  # neither idle nor waiting for a disk
        return used / os.sysconf("SC_CLK_TCK") - sum(os.times()[:4])

    before, started = busy(), time.perf_counter()

    def since() -> float | None:
        now = busy()
        if before is None or now is None:
            return None
        return max(0.0, now - before) / (time.perf_counter() - started)

    return since


def measure(chosen: list[int], threads: int, rounds: int) -> dict[str, dict[str, Any]]:
    """name | bytes | threads -> the summary of the seconds of a call."""
    compiled, found = functions(), {}
    for size in chosen:
        made = cases(compiled, size, threads)
        times = common.take_turns(made, rounds, shortest=TURN)
        found.update({name: common.summary(values) for name, values in times.items()})
        made.clear()
        jitgraph.free_memory()
    jitgraph.set_num_threads(None)
    return found


def draw(path: str, found: dict[str, dict[str, Any]]) -> None:
    """Nanoseconds per element over bytes, on logarithmic axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained", dpi=130)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = {"exp": "#0072B2", "sum(sigmoid)": "#E69F00", "copy": "#777777"}
    lines: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for key, f in found.items():
        name, size, threads = key.split(" | ")
        lines.setdefault((name, threads), []).append((int(size), f["median"] * 8e9 / int(size)))
    for (name, threads), points in lines.items():
        label = f"{name}, {threads} thread" + ("" if threads == "1" else "s")
        style = "--" if threads == "1" else "-"
        axes.plot(*zip(*sorted(points), strict=True), style, color=colours[name], label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("bytes of the argument")
    axes.set_ylabel("median time, nanoseconds per element")
    axes.grid(True, color="#dddddd")
    axes.legend(frameon=False)
    figure.savefig(path, facecolor="white")


def main() -> None:
    parser = common.options(__doc__, rounds=7)
    parser.add_argument("--largest", type=float, default=1e9, help="bytes (default: 1e9)")
    parser.add_argument("--threads", type=int, default=jitgraph.get_num_threads())
    parser.add_argument("--plot", metavar="FILE", help="draw it; needs matplotlib")
    arguments = parser.parse_args()
    chosen = sizes(arguments.largest)
    refuse_if_too_large(chosen[-1])
    others = processors_of_others()
    found = measure(chosen, arguments.threads, arguments.rounds)
    share = others()
    names = [*functions(), "copy"]
    counts = list(dict.fromkeys((1, arguments.threads)))
    rows = []
    for size in chosen:
        row = [f"{size:,}"]
        for name in names:
            row += [f"{found[f'{name} | {size} | {c}']['median'] * 8e9 / size:.3g}" for c in counts]
        rows.append(row)
    head = ["bytes", *(f"{name}, {c} thr" for name in names for c in counts)]
    used = "" if share is None else f"other programs used {share:.2f} processors meanwhile"
    common.show("Nanoseconds an element, warm calls", head, rows, used)
    if arguments.plot:
        draw(arguments.plot, found)
    figures = {"processors_of_others": share, **found}
    common.write(arguments.json, "seconds of a call by bytes and threads", figures)


if __name__ == "__main__":
    main()
