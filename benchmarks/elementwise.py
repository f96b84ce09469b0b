"""How fast are elementwise functions of large arrays, and how far from the memory's speed?

Each expression of N float64 in [-8, 8]: compiled, with NumPy, with numexpr where it is installed.
Two copies bound it: into a buffer that exists, and `x.copy()`, which has to get memory too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import common
import numpy as np

import jitgraph
import jitgraph.tensor as T

# name -> (symbolic, NumPy, text for numexpr)
EXPRESSIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any], str]] = {
    "sigmoid(x)": (T.nnet.sigmoid, lambda x: 1 / (1 + np.exp(-x)), "1/(1+exp(-x))"),
    "exp(x)": (T.exp, np.exp, "exp(x)"),
    "tanh(x)": (T.tanh, np.tanh, "tanh(x)"),
    "2*x + 1": (lambda x: 2 * x + 1, lambda x: 2 * x + 1, "2*x + 1"),
    "x*exp(-x*x) + tanh(x)/(1 + x*x)": (
        lambda x: x * T.exp(-x * x) + T.tanh(x) / (1 + x * x),
        lambda x: x * np.exp(-x * x) + np.tanh(x) / (1 + x * x),
        "x*exp(-x*x) + tanh(x)/(1 + x*x)",
    ),
}


def main() -> None:
    parser = common.options(__doc__, rounds=5)
    parser.add_argument("-n", type=float, default=1e7, help="elements (default: 1e7)")
    parser.add_argument("--threads", type=int, help="of jitgraph and numexpr")
    arguments = parser.parse_args()
    n = int(arguments.n)
    numexpr = common.optional("numexpr")
    if arguments.threads and numexpr is not None:
        numexpr.set_num_threads(arguments.threads)
    values = np.random.default_rng(1).uniform(-8, 8, n)
    buffer = np.zeros(n)
    x = T.dvector("x")
    cases: dict[str, Callable[[], Any]] = {
        "copy into a buffer": lambda: np.copyto(buffer, values),
        "x.copy()": lambda: values.copy(),
    }
    with jitgraph.num_threads(arguments.threads), np.errstate(all="ignore"):
        threads = jitgraph.get_num_threads()
        for name, (symbolic, by_numpy, text) in EXPRESSIONS.items():
            f = jitgraph.function([x], symbolic(x))
            cases[f"{name} | jitgraph"] = lambda f=f: f(values)
            cases[f"{name} | NumPy"] = lambda g=by_numpy: g(values)
            if numexpr is not None:
                cases[f"{name} | numexpr"] = lambda text=text: numexpr.evaluate(
                    text, local_dict={"x": values}
                )
        found = common.take_turns(cases, arguments.rounds, shortest=0.0)
    figures = {name: common.summary(v) for name, v in found.items()}
    base = figures["copy into a buffer"]["median"]
    rows = []
    for name, f in figures.items():
        expression, _, by = name.partition(" | ")
        ns = f["median"] / n * 1e9
        speed = 16 * n / f["median"] / 1e9  # 8 bytes read, 8 written
        rows.append([expression, by, f"{ns:.3f}", f"{speed:.1f}", f"{f['median'] / base:.2f}"])
    head = ["expression", "by", "ns an element", "GB/s", "copy = 1"]
    common.show(f"{n:,} float64, {threads} threads", head, rows)
    common.write(arguments.json, "seconds of elementwise functions", {"n": n, **figures})


if __name__ == "__main__":
    main()
