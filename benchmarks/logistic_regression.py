"""What does one training step of the tutorial's logistic regression cost?

400 examples of 784 float64, gradient descent on all of them, compiled against the same formulas
written with NumPy: as in the text book, and in the stable form that jitgraph finds by itself.
`out=` and preallocated buffers are not used: few write such code. Both share NumPy's BLAS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import common
import numpy as np

import jitgraph


def textbook(x: np.ndarray, y: np.ndarray, w: np.ndarray, b: float) -> Callable[[], Any]:
    """A step as one writes it at first: log of values that reach 0 (nan from saturated ones)."""

    def step() -> Any:
        nonlocal w, b
        p = 1 / (1 + np.exp(-(x @ w) - b))
        xent = -y * np.log(p) - (1 - y) * np.log(1 - p)
        error = (p - y) / len(y)
        w = w - 0.1 * (x.T @ error + 0.02 * w)
        b = b - 0.1 * error.sum()
        return p > 0.5, xent

    return step


def stable(x: np.ndarray, y: np.ndarray, w: np.ndarray, b: float) -> Callable[[], Any]:
    """The same step with the cost as y softplus(-z) + (1-y) softplus(z), finite for every z."""

    def step() -> Any:
        nonlocal w, b
        z = x @ w + b
        p = 1 / (1 + np.exp(-z))
        xent = y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z)
        error = (p - y) / len(y)
        w = w - 0.1 * (x.T @ error + 0.02 * w)
        b = b - 0.1 * error.sum()
        return p > 0.5, xent

    return step


def main() -> None:
    arguments = common.options(__doc__, rounds=11).parse_args()
    (w, b), function, data = common.tutorial()
    w0, b0 = w.get_value(), float(b.get_value())
    train = jitgraph.function(**function)
    x, y = data
    products = np.zeros(784)
    cases: dict[str, Callable[[], Any]] = {
        "jitgraph": lambda: train(x, y),
        "NumPy, stable": stable(x, y, w0, b0),
        "NumPy, textbook": textbook(x, y, w0, b0),
        "the two products alone": lambda: (x @ products, y @ x),
    }
    with np.errstate(all="ignore"):
        by_jitgraph, by_numpy = cases["jitgraph"](), cases["NumPy, stable"]()
        common.expect(np.allclose(by_jitgraph[1], by_numpy[1], rtol=1e-12), True)
        found = common.take_turns(cases, arguments.rounds, shortest=0.05)
    figures = {name: common.summary(values) for name, values in found.items()}
    base = figures["jitgraph"]["median"]
    rows = [
        [n, f"{f['median'] * 1e6:.1f}", f"{f['mad'] * 1e6:.1f}", f"{f['median'] / base:.2f}"]
        for n, f in figures.items()
    ]
    common.show("One step, 400 × 784", ["by", "µs", "± MAD", "jitgraph = 1"], rows)
    common.write(arguments.json, "seconds of one step of logistic regression", figures)


if __name__ == "__main__":
    main()
