"""The oracle of the gradient tests: finite differences of the NumPy reference evaluation.

It shares no code with `jitgraph.verify`. The five-point stencil

    f'(x) = (f(x - 2h) - 8 f(x - h) + 8 f(x + h) - f(x + 2h)) / (12 h)

has the error h^4 f'''''/30 + 1.5 u |f| / h. With h = 2e-4, u = 1.1e-16 and the functions and
intervals used in the tests (fifth derivatives up to 1e6 times the first) that is below 1e-8
relative, unless a sum is much larger than its derivative. An error in a formula is of order 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import jitgraph.tensor as T
from jitgraph.gradient import grad
from jitgraph.graph import TensorType, Variable, leaves
from jitgraph.reference import evaluate

STEP = 2e-4
RTOL, ATOL = 1e-6, 1e-8


def stencil(f: Callable[[float], float], h: float) -> float:
    return (f(-2 * h) - 8 * f(-h) + 8 * f(h) - f(2 * h)) / (12 * h)


def numeric(
    f: Callable[..., float], arrays: Sequence[np.ndarray], h: float = STEP
) -> list[np.ndarray]:
    """The derivatives of f(*arrays) by every element of every array."""
    results = []
    for k, a in enumerate(arrays):
        g = np.zeros(a.shape)
        for i in np.ndindex(a.shape):

            def moved(d: float, k: int = k, i: Any = i) -> float:
                points = [p.copy() for p in arrays]
                points[k][i] += d
                return float(f(*points))

            g[i] = stencil(moved, h)
        results.append(g)
    return results


def variables(arrays: Sequence[np.ndarray]) -> list[Variable]:
    """A float variable for each array; lengths of 1 are not marked."""
    return [
        TensorType(a.dtype, [False] * a.ndim).make_variable(f"x{i}") for i, a in enumerate(arrays)
    ]


def projected(y: Variable, seed: int) -> Variable:
    """A number that depends on every element of y with a weight of its own, away from 0."""
    flat = y.flatten() if y.type.ndim else y.dimshuffle("x")
    index = T.arange(flat.shape[0])
    return (flat * (1.25 + T.sin(index * 1.7 + seed))).sum()


def check(
    build: Callable[..., Variable],
    arrays: Sequence[Any],
    wrt: Sequence[int] | None = None,
    order: int = 1,
    rtol: float = RTOL,
    atol: float = ATOL,
    h: float = STEP,
) -> list[np.ndarray]:
    """Assert that the symbolic gradient of build(*variables) agrees with the numeric one.

    `order` 2 compares the gradient of a projection of the gradient. Returns the gradients.
    """
    arrays = [np.asarray(a) for a in arrays]
    xs = variables(arrays)
    chosen = list(range(len(xs))) if wrt is None else list(wrt)
    cost = projected(build(*xs), 0)
    for level in range(1, order):
        gradients = grad(cost, [xs[i] for i in chosen], disconnected_inputs="ignore")
        cost = sum((projected(g, level) for g in gradients[1:]), projected(gradients[0], level))
    symbolic = grad(cost, [xs[i] for i in chosen], disconnected_inputs="ignore")
    given = dict(zip(xs, arrays, strict=True))
    got = evaluate(symbolic, given)

    def f(*points: np.ndarray) -> float:
        values = {**given, **{xs[i]: p for i, p in zip(chosen, points, strict=True)}}
        return float(evaluate([cost], values)[0])

    expected = numeric(f, [arrays[i] for i in chosen], h)
    for g, n, i in zip(got, expected, chosen, strict=True):
        assert g.shape == arrays[i].shape, f"gradient {i} has shape {g.shape}"
        np.testing.assert_allclose(g, n, rtol=rtol, atol=atol, err_msg=f"argument {i}")
    return got


def value(v: Any, /, **given: Any) -> Any:
    """The value of an expression, its leaves given by name."""
    outputs = v if isinstance(v, (list, tuple)) else [v]
    known = {
        leaf: np.asarray(given[leaf.name], dtype=leaf.type.dtype)
        for leaf in leaves(outputs)
        if leaf.name in given
    }
    results = evaluate(outputs, known)
    return results if isinstance(v, (list, tuple)) else results[0]


def slope(f: Any, *at: float, by: int = 0) -> float:
    xs = [T.dscalar(f"x{i}") for i in range(len(at))]
    g = grad(f(*xs), xs[by], disconnected_inputs="ignore")
    return float(value(g, **{f"x{i}": v for i, v in enumerate(at)}))
