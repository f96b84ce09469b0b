"""Gradients at special points, numerically stable gradients, and the hard_sigmoid example."""

from __future__ import annotations

import numpy as np
from numeric_gradient import slope, value

import jitgraph
import jitgraph.tensor as T
from jitgraph.gradient import grad
from jitgraph.reference import evaluate
from jitgraph.tensor import nnet


def test_special_points() -> None:
    assert slope(abs, 0.0) == 0
    assert slope(nnet.relu, 0.0) == 0.5
    assert slope(T.sqrt, 0.0) == np.inf
    assert slope(lambda x, y: x**y, 0.0, 2.0, by=1) == 0
    assert slope(lambda x: T.sgn(x), 0.0) == 0
    for f in (T.maximum, T.minimum):
        assert (slope(f, 1.0, 1.0), slope(f, 1.0, 1.0, by=1)) == (1, 0)
    for bound in (-2.0, 2.0):
        assert slope(lambda x: T.clip(x, -2, 2), bound) == 1
    assert slope(lambda x: T.clip(x, -2, 2), 2.0000001) == 0
    for at, expected in ((-2.5, 0.2), (2.5, 0.2), (-2.51, 0.0), (2.51, 0.0)):
        assert slope(nnet.hard_sigmoid, at) == expected
    assert slope(lambda x: T.switch(T.gt(x, 0), T.log(x), 0.0), -1.0) == 0


def test_special_points_of_reductions() -> None:
    x = T.dvector("x")
    assert value(grad(x.max(), x), x=[3, 1, 3]).tolist() == [1, 0, 1]
    assert value(grad(x.min(), x), x=[3, 1, 1]).tolist() == [0, 1, 1]
    assert np.isnan(value(grad(x.std(), x), x=[2, 2])).all()
    assert np.isnan(value(grad(x.norm(2), x), x=[0, 0])).all()
    for at, expected in (
        ([2, 3, 4], [12, 8, 6]),
        ([0, 3, 4], [12, 0, 0]),
        ([0, 0, 4], [0, 0, 0]),
    ):
        assert value(grad(x.prod(), x), x=at).tolist() == expected


def test_hard_sigmoid_worked_example() -> None:
    x = T.scalar()
    w = jitgraph.shared(np.float32(1))
    y = nnet.hard_sigmoid(w * x)
    dw = grad(y, w)
    assert dw.type.dtype == "float64"  # although w is float32
    expected = {-3: (0.0, -0.0), -1: (0.3, -0.2), 0: (0.5, 0.0), 1: (0.7, 0.2), 3: (1.0, 0.0)}
    for at, (fy, fw) in expected.items():
        got = [float(v) for v in evaluate([y, dw], {x: np.array(float(at))})]
        assert got == [fy, fw]
        assert np.signbit(got[1]) == np.signbit(fw)


def test_masked_branch_has_slope_zero_when_compiled() -> None:
    """The rewrites put the mask last, so that it covers 0 / 0 as well."""
    x = T.dvector("x")
    for inner in (T.log(x), T.sqrt(x), 1 / x, T.log(T.sqrt(x) * 3)):
        cost = T.switch(T.gt(x, 0), inner, 0.0).sum()
        got = jitgraph.function([x], grad(cost, x))([0.0, -1.0, 2.0])
        assert got[:2].tolist() == [0, 0]
        assert got[2] != 0 and np.isfinite(got[2])


def test_worked_example_compiled() -> None:
    x = T.scalar()
    w = jitgraph.shared(np.float32(1))
    y = nnet.hard_sigmoid(w * x)
    f = jitgraph.function([x], [y, grad(y, w)])
    assert [float(f(at)[1]) for at in (-3, -1, 0, 1, 3)] == [0.0, -0.2, 0.0, 0.2, 0.0]
    assert f(-3)[1].dtype == "float64"


def test_stable_forms_are_differentiated() -> None:
    """The derivative of what was written overflows; that of its stable form does not."""
    x, t = T.dvector("x"), T.dvector("t")
    far = [-1e3, 1e3, 0.0]
    got = value(grad(T.log(nnet.sigmoid(x)).sum(), x), x=far)
    assert got.tolist() == [1.0, 0.0, 0.5]
    got = value(grad(T.log(1 - nnet.sigmoid(x)).sum(), x), x=far)
    assert got.tolist() == [0.0, -1.0, -0.5]
    got = value(grad(T.log(1 + T.exp(x)).sum(), x), x=far)
    assert got.tolist() == [0.0, 1.0, 0.5]
    cost = nnet.binary_crossentropy(nnet.sigmoid(x), t).sum()
    got = value(grad(cost, x), x=far, t=[1, 0, 1])
    np.testing.assert_allclose(got, [-1, 1, -0.5], rtol=1e-15)


def test_stable_softmax_loss() -> None:
    x = T.dmatrix("x")
    cost = nnet.categorical_crossentropy(nnet.softmax(x), np.array([0, 1])).sum()
    got = value(grad(cost, x), x=[[-1e3, 1e3], [0, 0]])
    np.testing.assert_allclose(got, [[-1, 1], [0.5, -0.5]], rtol=1e-15)


def test_second_derivatives_of_functions_of_pieces() -> None:
    """Linear pieces have the second derivative zero; the choice between them is no error."""
    x = T.dvector("x")
    at = np.array([-3.0, -1.0, 0.5, 2.0])
    pieces = {
        nnet.hard_sigmoid: np.zeros(4),
        nnet.relu: np.zeros(4),
        lambda x: T.clip(x, 0, 1): np.zeros(4),
        lambda x: T.switch(x > 0, x, 0.1 * x): np.zeros(4),
        lambda x: T.maximum(x, 0): np.zeros(4),
        lambda x: T.switch(x > 0, x**2, x**3): np.where(at > 0, 2, 6 * at),
    }
    for f, expected in pieces.items():
        second = grad(grad(f(x).sum(), x).sum(), x)
        assert np.array_equal(value(second, x=at), expected)
    assert np.array_equal(value(grad(T.switch(x, 2.0, 1.0).sum(), x), x=at), np.zeros(4))
