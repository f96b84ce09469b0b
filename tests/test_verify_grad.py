"""`verify_grad` and `numeric_grad`, and 200 random graphs against differences."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numeric_gradient import stencil

import jitgraph.tensor as T
from jitgraph.errors import GradientError
from jitgraph.gradient import grad, grad_scale, numeric_grad, verify_grad
from jitgraph.graph import Apply, Variable
from jitgraph.op import Op
from jitgraph.reference import evaluate
from jitgraph.tensor import nnet


class Cube(Op):
    """x^3, whose gradient is `factor` x^2: right for 3."""

    __props__ = ("factor",)

    def __init__(self, factor: float):
        self.factor = factor

    def make_node(self, x: Any) -> Apply:
        x = T.as_tensor_variable(x)
        return Apply(self, [x], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.asarray(arrays[0] ** 3),)

    def grad(self, inputs: Any, outputs: Any, grads: Any) -> Any:
        return [grads[0] * T.constant(self.factor, dtype="float64") * inputs[0] ** 2]


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


M = rng().uniform(0.5, 2, (2, 3))


def verify(fun: Callable[..., Any], pt: Any, **more: Any) -> None:
    verify_grad(fun, pt, rng=rng(), mode="reference", **more)


# -- numeric_grad --------------------------------------------------------------------------------


def test_numeric_grad() -> None:
    x, y = np.array([[1.0, 2.0]]), np.array(3.0)
    found = numeric_grad(lambda a, b: (a**2).sum() * b, [x, y])
    np.testing.assert_allclose(found.gf[0], [[6, 12]], rtol=1e-6)
    np.testing.assert_allclose(found.gf[1], 5, rtol=1e-6)
    assert (x.tolist(), y.tolist()) == ([[1.0, 2.0]], 3.0)  # as before
    single = numeric_grad(lambda a: float(a[0] * 2), np.ones(2))
    np.testing.assert_allclose(single.gf, [2, 0], atol=1e-7)


def test_numeric_grad_steps_by_dtype() -> None:
    seen: list[Any] = []

    def f(a: np.ndarray) -> float:
        seen.append(a[0])
        return float(a[0])

    numeric_grad(f, np.zeros(1))
    numeric_grad(f, np.zeros(1, "float32"))
    numeric_grad(f, np.zeros(1), eps=0.5)
    np.testing.assert_allclose([float(v) for v in seen], [0, 1e-7, 0, 3e-4, 0, 0.5])
    assert numeric_grad(f, np.zeros(1, "float32")).gf.dtype == "float32"
    assert numeric_grad(f, np.zeros(1, "float32"), out_type="float64").gf.dtype == "float64"
    with pytest.raises(TypeError, match="argument 0 is int64"):
        numeric_grad(f, np.zeros(1, "int64"))


def test_errors_between_gradients() -> None:
    absolute, relative = numeric_grad.abs_rel_err(
        [1.0, 0.0, np.nan, np.inf], [3.0, 0.0, 0.0, np.inf]
    )
    assert absolute.tolist() == [2, 0, np.inf, np.inf]
    assert relative.tolist() == [0.5, 0, np.inf, np.inf]


# -- verify_grad ---------------------------------------------------------------------------------


def test_right_gradients_pass() -> None:
    verify(lambda x: Cube(3.0)(x), [M])
    verify(lambda x, y: T.dot(T.tanh(x), y), [M, M.T])
    verify(lambda x: x.sum() ** 2, [np.array(2.0)])
    verify(T.exp, [M.astype("float32")])
    verify(lambda x, y: x, [M, M])  # y is not connected: zeros
    verify(lambda x: x[:, :1], [M[:1]])  # a length of 1


@pytest.mark.parametrize("factor", [2.0, 3.001, -3.0, 0.0, np.nan, np.inf])
def test_a_planted_wrong_gradient_is_caught(factor: float) -> None:
    with pytest.raises(GradientError) as caught:
        verify(lambda x: Cube(factor)(x), [M])
    error = caught.value
    assert verify_grad.E_grad is GradientError  # type: ignore[attr-defined]
    assert re.search(r"argument 0, element \(\d, \d\): symbolic .*, numeric ", str(error))
    assert "test_verify_grad.py:" in str(error)
    assert error.arg == 0 and error.shape == (2, 3)  # type: ignore[attr-defined]
    assert not error.abs_err <= error.abs_tol  # type: ignore[attr-defined]
    assert not error.rel_err <= error.rel_tol  # type: ignore[attr-defined]


def test_the_worst_element_is_named() -> None:
    weights = np.ones((2, 3))
    weights[1, 2] = 0.0

    def fun(x: Variable) -> Variable:  # right but for the last element
        return Cube(3.0)(x) * weights + Cube(1.0)(x) * (1 - weights)

    with pytest.raises(GradientError, match=r"element \(1, 2\)") as caught:
        verify(fun, [M])
    assert caught.value.err_pos == 5  # type: ignore[attr-defined]


def test_tolerances() -> None:
    verify(lambda x: Cube(3.001)(x), [M], rel_tol=1e-2)
    verify(lambda x: Cube(3.001)(x), [M], abs_tol=1.0)
    with pytest.raises(GradientError):
        verify(lambda x: Cube(3.001)(x), [M], abs_tol=1e-9, rel_tol=1e-6)


def test_a_gradient_of_the_wrong_shape_is_caught() -> None:
    class Wide(Cube):
        def grad(self, inputs: Any, outputs: Any, grads: Any) -> Any:
            return [T.concatenate([grads[0], grads[0]])]

    with pytest.raises(GradientError, match="argument 0 has shape"):
        verify(lambda x: Wide(3.0)(x), [M])


def test_compiled_by_default() -> None:
    verify_grad(lambda x, y: T.dot(T.tanh(x), y).max(axis=0), [M, M.T], rng=rng())
    verify_grad(T.exp, [M.astype("float32")], rng=rng(), mode="FAST_COMPILE")
    with pytest.raises(GradientError, match="argument 0"):
        verify_grad(
            lambda x: gradient_of_wrong_size(T.sqr(x)), [M], rng=rng(), cast_to_output_type=True
        )


def gradient_of_wrong_size(x: Variable) -> Variable:
    """x, whose gradient claims to be 1.01 times as large."""
    return grad_scale(x, 1.01)


def test_bad_calls() -> None:
    with pytest.raises(TypeError, match="needs rng"):
        verify_grad(T.exp, [M])
    with pytest.raises(TypeError, match="input 0 is int64"):
        verify(T.exp, [np.arange(3)])
    with pytest.raises(TypeError, match="must be a list"):
        verify(T.exp, M)
    with pytest.raises(NotImplementedError, match="one output"):
        verify(lambda x: [x, x], [M])


def test_legacy_random_state_and_number_of_tests() -> None:
    calls = []

    class Counting(Cube):
        def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
            calls.append(1)
            return super().evaluate(*arrays)

    for n_tests in (1, 3):
        calls.clear()
        state = np.random.RandomState(1)
        verify_grad(lambda x: Counting(3.0)(x), [np.ones(4)], n_tests, rng=state, mode="reference")
        # the shape; then each time 1 + 4 costs and the gradient, whose graph has the op as well
        assert len(calls) >= 1 + n_tests * 5
        assert len(calls) <= 1 + n_tests * 6


# -- random graphs -------------------------------------------------------------------------------

UNARY: list[Callable[[Any], Any]] = [
    T.tanh,
    nnet.sigmoid,
    T.sin,
    T.cos,
    nnet.softplus,
    T.sqr,
    T.erf,
    T.neg,
    T.arctan,
    abs,
    lambda x: T.exp(T.tanh(x)),
    lambda x: T.log(1.5 + T.sqr(x)),
    lambda x: T.sqrt(0.5 + T.sqr(x)),
    lambda x: T.log(nnet.sigmoid(x)),
    lambda x: T.gammaln(1 + nnet.sigmoid(x)),
    lambda x: x / (1 + abs(x)),
    lambda x: T.clip(x, -0.8, 0.9),
    lambda x: T.switch(T.gt(x, 0.1), T.sqr(x), 0.5 * x),
    lambda x: x**3,
]
BINARY: list[Callable[[Any, Any], Any]] = [
    T.add,
    T.sub,
    T.mul,
    T.maximum,
    T.minimum,
    T.logaddexp,
    T.arctan2,
    lambda a, b: a / (1 + T.sqr(b)),
    lambda a, b: (0.5 + T.sqr(a)) ** T.tanh(b),
    lambda a, b: T.switch(T.lt(a, b), a * 2, T.sin(b)),
]
# (4, 3) -> (4, 3)
MATRIX: list[Callable[[Any], Any]] = [
    lambda x: x[::-1],
    lambda x: x.T.reshape((4, 3)),
    lambda x: x - x.mean(axis=0, keepdims=True),
    lambda x: x * x.max(axis=1, keepdims=True),
    lambda x: x + x.prod(axis=0).dimshuffle("x", 0),
    lambda x: x - T.logsumexp(x, axis=1).dimshuffle(0, "x"),
    nnet.softmax,
    nnet.logsoftmax,
    lambda x: T.dot(x, T.dot(x.T, x)) / 12,
    lambda x: x[np.array([0, 2, 2, 1])],
    lambda x: T.set_subtensor(x[1:3], T.sqr(x[:2])),
    lambda x: T.inc_subtensor(x[np.array([3, 3])], x[:2]),
    lambda x: T.concatenate([x[2:], x[:2]], axis=0),
    lambda x: T.stack([x[0], x[1], x.sum(axis=0), x.var(axis=0)]),
    lambda x: x + nnet.categorical_crossentropy(nnet.softmax(x), np.array([0, 2, 1, 1])).sum() / 9,
]
MARKS: list[Callable[[Any], Any]] = [
    lambda x: T.fill(T.zeros_like(x), x.sum() / 12),
    lambda x: x * x.shape[0],
    lambda x: x.astype("float64").copy(),
]


def random_graph(seed: int) -> tuple[list[Variable], Variable, int]:
    """A cost of two matrices and a vector through some ten random operations; its size."""
    choose = np.random.default_rng(seed)

    def one_of(options: list[Any]) -> Any:
        return options[choose.integers(len(options))]

    xs = [T.dmatrix("a"), T.dmatrix("b"), T.dvector("c")]
    pool = [xs[0], xs[1], xs[0] * xs[2], T.sin(xs[1] + xs[2])]
    n = int(choose.integers(4, 12))
    for _ in range(n):
        kind = choose.integers(4)
        if kind == 0:
            y = one_of(UNARY)(one_of(pool))
        elif kind == 1:
            y = one_of(BINARY)(one_of(pool), one_of(pool))
        else:
            y = one_of(MATRIX if kind == 2 else MARKS + MATRIX)(one_of(pool))
        # Kept of the order of 1, so that powers of powers stay in range.
        pool.append(T.tanh(y) if choose.integers(2) else y / (1 + T.sqr(y)))
    weights = choose.uniform(0.5, 1.5, (4, 3))
    cost = sum((p * (weights + i)).sum() for i, p in enumerate(pool[-4:]))
    return xs, cost, n


def directional(seed: int, h: float) -> tuple[float, float]:
    """The derivative of random graph `seed` in a random direction, symbolic and numeric."""
    xs, cost, _ = random_graph(seed)
    draw = np.random.default_rng(seed + 10_000)
    at = [draw.uniform(-1, 1, s) for s in ((4, 3), (4, 3), (3,))]
    along = [draw.choice([-1.0, 1.0], a.shape) * draw.uniform(0.5, 1, a.shape) for a in at]
    gradients = evaluate(
        grad(cost, xs, disconnected_inputs="ignore"), dict(zip(xs, at, strict=True))
    )
    symbolic = sum(float((g * d).sum()) for g, d in zip(gradients, along, strict=True))

    def f(t: float) -> float:
        moved = {x: a + t * d for x, a, d in zip(xs, at, along, strict=True)}
        return float(evaluate([cost], moved)[0])

    return symbolic, stencil(f, h)


# Central differences of costs of order 100 with h = 3e-5: rounding 100 * 1.1e-16 * 1.5 / 3e-5
# = 5e-10. A kink of abs, clip, switch or max nearer than 2h would show as a gross error; at a
# few hundred elements of order 1 in 200 graphs one or two would be expected with h = 1e-3, none
# with this h, and the seeds are fixed.
@pytest.mark.parametrize("block", range(10))
def test_random_graphs(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        symbolic, numeric = directional(seed, 3e-5)
        np.testing.assert_allclose(symbolic, numeric, rtol=1e-6, atol=1e-7, err_msg=f"seed {seed}")


def test_random_graphs_differ_and_cover_the_operations() -> None:
    from jitgraph.graph import toposort

    names: set[str] = set()
    sizes = set()
    for seed in range(200):
        _, cost, n = random_graph(seed)
        sizes.add(n)
        names.update(node.op.name for node in toposort([cost]))
    assert sizes == set(range(4, 12))
    assert {
        "sigmoid", "maximum", "arctan2", "pow", "clip", "switch", "sum", "max", "prod", "dot",
        "softmax", "logsoftmax", "LogSumExp", "Reshape", "DimShuffle", "Subtensor", "IncSubtensor",
        "AdvancedSubtensor", "AdvancedIncSubtensor", "Join", "pick", "gammaln", "second",
    } <= names  # fmt: skip
