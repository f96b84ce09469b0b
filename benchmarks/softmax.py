"""How fast is softmax with the cross-entropy of its labels, and the gradient?

Rows of float64 scores: softmax alone; the mean cost -log softmax(z)[row, label]; and the gradient
of that cost with respect to the scores, once with the cost from `T.nnet` and once with the cost
written as the formula stands. NumPy's versions subtract the row's maximum, as all careful programs
do; jitgraph's are written without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import common
import numpy as np

import jitgraph
import jitgraph.tensor as T

SHAPES = ((256, 10), (10_000, 10), (2_000, 1_000))


def compiled() -> dict[str, Any]:
    """The functions by name; softmax and the cost are written as in the text book."""
    z, labels = T.dmatrix("z"), T.lvector("labels")
    p = T.exp(z) / T.exp(z).sum(axis=1, keepdims=True)
    cost = -T.log(p)[T.arange(z.shape[0]), labels].mean()
    ready = T.nnet.categorical_crossentropy(T.nnet.softmax(z), labels).mean()
    return {
        "softmax": jitgraph.function([z], p),
        "cost": jitgraph.function([z, labels], cost),
        "gradient, T.nnet": jitgraph.function([z, labels], T.grad(ready, z)),
        "gradient, formula": jitgraph.function([z, labels], T.grad(cost, z)),
    }


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def cost(z: np.ndarray, labels: np.ndarray) -> Any:
    shifted = z - z.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -log_p[np.arange(len(z)), labels].mean()


def gradient(z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    p = softmax(z)
    p[np.arange(len(z)), labels] -= 1
    return np.asarray(p / len(z))


def main() -> None:
    arguments = common.options(__doc__, rounds=7).parse_args()
    functions, rng = compiled(), np.random.default_rng(1)
    figures, rows = {}, []
    for n, m in SHAPES:
        z, labels = rng.normal(size=(n, m)) * 3, rng.integers(0, m, n)
        common.expect(np.allclose(functions["cost"](z, labels), cost(z, labels)), True)
        common.expect(
            np.allclose(functions["gradient, T.nnet"](z, labels), gradient(z, labels)), True
        )
        by_numpy: dict[str, Callable[[], Any]] = {
            "softmax": lambda z=z: softmax(z),
            "cost": lambda z=z, k=labels: cost(z, k),
            "gradient, T.nnet": lambda z=z, k=labels: gradient(z, k),
            "gradient, formula": lambda z=z, k=labels: gradient(z, k),
        }
        for name, peer in by_numpy.items():
            arrays = (z,) if name == "softmax" else (z, labels)
            turns = {"jitgraph": lambda f=functions[name], a=arrays: f(*a), "NumPy": peer}
            found = common.take_turns(turns, arguments.rounds)
            f = {who: common.summary(values) for who, values in found.items()}
            figures[f"{name} {n}x{m}"] = f
            mine, its = f["jitgraph"]["median"], f["NumPy"]["median"]
            size = f"{n:,} × {m:,}"
            rows.append([name, size, f"{mine * 1e6:.1f}", f"{its * 1e6:.1f}", f"{its / mine:.1f}"])
    head = ["", "scores", "jitgraph, µs", "NumPy, µs", "NumPy / jitgraph"]
    common.show("Softmax of rows", head, rows)
    common.write(arguments.json, "seconds of softmax, its cost and gradient", figures)


if __name__ == "__main__":
    main()
