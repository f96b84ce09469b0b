"""Identities with a gradient of their own; products with the Jacobian; partial gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numeric_gradient import slope, value

import jitgraph
import jitgraph.tensor as T
from jitgraph import gradient
from jitgraph.errors import DisconnectedInputError
from jitgraph.gradient import Lop, Rop, grad, grad_clip, grad_scale, is_zero, subgraph_grad

# -- identities with a gradient of their own -----------------------------------------------------


def test_grad_clip() -> None:
    assert slope(lambda x: grad_clip(x, -1, 1) ** 2, 2.0) == 1
    assert slope(lambda x: grad_clip(x, -1, 1) ** 2, -0.25) == -0.5
    x, bound = T.fvector("x"), T.dscalar("bound")
    g = grad((grad_clip(x, -bound, bound) ** 2).sum(), x)
    assert g.type.dtype == "float32"
    assert value(g, x=[2, -2, 0.25], bound=0.75).tolist() == [0.75, -0.75, 0.5]
    with pytest.raises(ValueError, match="lower bound 1 above upper bound -1"):
        grad_clip(x, 1, -1)
    with pytest.raises(TypeError, match="hi must be a scalar"):
        grad_clip(x, 1, x)


def test_grad_scale() -> None:
    assert slope(lambda x: grad_scale(x, 3) ** 2, 2.0) == 12
    assert slope(lambda x: grad_scale(x, -0.5) ** 2, 2.0) == -2
    x, m = T.fscalar("x"), T.dscalar("m")
    g = grad(grad_scale(x, m) ** 2, x)
    assert g.type.dtype == "float32"
    assert value(g, x=2, m=0.25) == 1


def test_zero_and_disconnected() -> None:
    assert slope(lambda x: gradient.zero_grad(x) * x, 3.0) == 3
    assert slope(lambda x: gradient.consider_constant(x) * x, 3.0) == 3
    assert slope(lambda x: gradient.disconnected_grad(x) * x, 3.0) == 3
    x = T.dscalar("x")
    assert is_zero(grad(gradient.zero_grad(x), x))


@pytest.mark.parametrize(
    "mark",
    [
        lambda x: grad_clip(x, -1, 1),
        lambda x: grad_scale(x, 2),
        gradient.zero_grad,
        gradient.consider_constant,
        gradient.disconnected_grad,
        gradient.undefined_grad,
    ],
)
def test_marks_forward_their_input(mark: Any) -> None:
    from jitgraph.op import from_token

    x = T.fmatrix("x")
    y = mark(x)
    assert y.type == x.type and y.owner.op.forwards is True and y.owner.inputs[0] is x
    assert value(y, x=[[1, -2]]).tolist() == [[1, -2]]
    assert y.owner.op.infer_shape(y.owner, [(3, 4)] + [()] * (y.owner.nin - 1)) == [(3, 4)]
    assert from_token(y.owner.op.token()) == y.owner.op


def test_marks_compiled() -> None:
    x = T.dvector("x")
    y = grad_scale(grad_clip(x, -1, 1), 3) ** 2
    f = jitgraph.function([x], [y, grad(y.sum(), x)])
    values, slopes = f([2.0, -3.0, 0.125])
    assert values.tolist() == [4, 9, 0.015625]
    assert slopes.tolist() == [1, -1, 0.75]


# -- Lop, Rop, subgraph_grad ---------------------------------------------------------------------


def jacobian(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Of f(x) = tanh(a x): diag(1 - f^2) a."""
    return (1 - np.tanh(a @ x) ** 2)[:, None] * a


def test_lop_and_rop_against_the_jacobian() -> None:
    rng = np.random.default_rng(3)
    a, at, left, right = rng.normal(size=(4, 3)), rng.normal(size=3), np.arange(4.0), np.ones(3)
    x, u, v = T.dvectors("x", "u", "v")
    f = T.tanh(T.dot(a, x))
    got = value(Lop(f, x, u), x=at, u=left)
    np.testing.assert_allclose(got, left @ jacobian(a, at), rtol=1e-13)
    r = Rop(f, x, v)
    np.testing.assert_allclose(value(r, x=at, v=right), jacobian(a, at) @ right, rtol=1e-13)
    assert r.type == f.type


def test_rop_of_several() -> None:
    x, y, v, w = T.dvectors("x", "y", "v", "w")
    f = [x * y, (x**2).sum(), T.sin(y)]
    got = value(Rop(f, [x, y], [v, w]), x=[1, 2], y=[3, 4], v=[5, 6], w=[7, 8])
    np.testing.assert_allclose(got[0], [1 * 7 + 3 * 5, 2 * 8 + 4 * 6])
    np.testing.assert_allclose(got[1], 2 * (1 * 5 + 2 * 6))
    np.testing.assert_allclose(got[2], np.cos([3, 4]) * np.array([7, 8]), rtol=1e-15)
    assert isinstance(Rop((x * 2, x), x, v), tuple)
    assert value(Rop(x, x, v), v=[1, 2]).tolist() == [1, 2]


def test_rop_errors() -> None:
    x, y, v = T.dvectors("x", "y", "v")
    with pytest.raises(ValueError, match=r"ranks differ .*test_gradient_products\.py"):
        Rop(x * 2, x, T.dmatrix())
    with pytest.raises(AssertionError):
        Rop(x * 2, [x], [v, v])
    with pytest.raises(AssertionError):
        Lop([x * 2], x, [v, v])
    with pytest.raises(DisconnectedInputError):
        Rop(y * 2, x, v)
    assert Rop(y, x, v, disconnected_outputs="ignore", return_disconnected="None") is None
    zero = Rop([y, x * 2], x, v, disconnected_outputs="ignore")
    assert [a.tolist() for a in value(zero, y=[1, 2], x=[0, 0], v=[3, 4])] == [[0, 0], [6, 8]]


def test_lop_of_several_outputs() -> None:
    x, u = T.dvectors("x", "u")
    got = value(Lop([x**2, x * 3], [x], [u, u]), x=[1, 2], u=[10, 100])
    assert isinstance(got, list) and got[0].tolist() == [50, 700]
    assert value(Lop([x, x], x, [u, u]), u=[1, 2]).tolist() == [2, 4]


def test_outputs_made_of_each_other() -> None:
    """Unlike a known gradient, the point of an output does not hide those of its consumers."""
    x, u, v = T.dvectors("x", "u", "v")
    h = x**2
    f = [h, h * 3, x]
    at = {"x": [1, 2], "u": [1, 10], "v": [1, 10]}
    assert value(Lop(f, x, [u, u, u]), **at).tolist() == [2 + 6 + 1, 10 * (4 + 12 + 1)]
    got = value(Rop(f, x, v), **at)
    assert [g.tolist() for g in got] == [[2, 40], [6, 120], [1, 10]]


def test_subgraph_grad() -> None:
    x, w1, w2 = T.dvector("x"), T.dmatrix("w1"), T.dmatrix("w2")
    hidden = T.tanh(T.dot(w1, x))
    cost = (T.tanh(T.dot(w2, hidden)) ** 2).sum() + (w1**2).sum()
    upper, to_hidden = subgraph_grad([w2], [hidden], cost=cost)
    lower, to_x = subgraph_grad([w1], [x], start=dict(zip([hidden], to_hidden, strict=True)))
    rng = np.random.default_rng(0)
    at = {"x": rng.normal(size=2), "w1": rng.normal(size=(3, 2)), "w2": rng.normal(size=(4, 3))}
    whole = value(grad(cost - (w1**2).sum(), [w2, w1, x]), **at)
    for a, b in zip(whole, value([*upper, *lower, *to_x], **at), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    with pytest.raises(AssertionError):
        subgraph_grad([w2], [hidden])
    with pytest.raises(TypeError, match="end must be a list"):
        subgraph_grad([w2], hidden, cost=cost)  # type: ignore[arg-type]


def test_subgraph_grad_adds_start_and_cost() -> None:
    x, y = T.dscalars("x", "y")
    h = x * y
    wrt, end, share, direct = subgraph_grad(
        [y], [x], start={h: T.constant(10.0)}, cost=h**2, details=True
    )
    assert value([*wrt, *end], x=2.0, y=3.0) == [2 * (10 + 12), 3 * (10 + 12)]
    assert value([*share, *direct], x=2.0, y=3.0) == [20, 30, 24, 36]
    assert subgraph_grad([T.dscalar()], [x], cost=h)[0] == [None]
