"""How does the time per element grow with the size, and what does a second thread bring?

exp(x) and sum(sigmoid(x)) for arrays of 10^2 to --largest bytes, with 1 thread and with --threads;
beside them the copy by hand-written loops, with as many threads. All sizes take turns; a size has
its own array, made before the first round and filled with random numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import common
import numpy as np

import jitgraph
import jitgraph.tensor as T
from jitgraph.bench.limits import Mover
from jitgraph.bench.measure import available_memory

PER_DECADE = 2


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


def arrays_of(chosen: list[int]) -> dict[int, np.ndarray]:
    """An array for every size; ends the program if the machine has not got the memory."""
    needed, available = 3 * sum(chosen), available_memory()
    if available and needed > available:
        raise SystemExit(f"{needed:,} bytes are needed, {available:,} are available")
    rng = np.random.default_rng(1)
    return {n: rng.uniform(-8, 8, n // 8) for n in chosen}


def cases(arrays: dict[int, np.ndarray], threads: int) -> dict[str, Callable[[], Any]]:
    """name | bytes | threads -> the call."""
    made: dict[str, Callable[[], Any]] = {}
    compiled = functions()

    def under(n: int, call: Callable[[], Any]) -> Callable[[], Any]:
        def timed() -> Any:
            if jitgraph.get_num_threads() != n:
                jitgraph.set_num_threads(n)
            return call()

        return timed

    for count in dict.fromkeys((1, threads)):
        jitgraph.set_num_threads(count)  # the copy chooses its stores by trial
        for size, a in arrays.items():
            for name, f in compiled.items():
                made[f"{name} | {size} | {count}"] = under(count, lambda f=f, a=a: f(a))
            made[f"copy | {size} | {count}"] = under(count, Mover("copy", [a]))
    return made


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
    arrays = arrays_of(sizes(arguments.largest))
    made = cases(arrays, arguments.threads)
    times = common.take_turns(made, arguments.rounds, shortest=0.003)
    found = {name: common.summary(values) for name, values in times.items()}
    jitgraph.set_num_threads(None)
    names = [*functions(), "copy"]
    counts = list(dict.fromkeys((1, arguments.threads)))
    rows = []
    for size in arrays:
        row = [f"{size:,}"]
        for name in names:
            row += [f"{found[f'{name} | {size} | {c}']['median'] * 8e9 / size:.3g}" for c in counts]
        rows.append(row)
    head = ["bytes", *(f"{name}, {c} thr" for name in names for c in counts)]
    common.show("Nanoseconds an element", head, rows)
    if arguments.plot:
        draw(arguments.plot, found)
    common.write(arguments.json, "seconds of a call by bytes and threads", found)


if __name__ == "__main__":
    main()
