"""Inverses, decompositions and solutions of linear systems, against NumPy and by differences."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from api.tools import result, results
from jitgraph.tensor import nlinalg, slinalg

RNG = np.random.RandomState(3)
A = RNG.randn(3, 3)
S = A @ A.T + np.eye(3)
B = RNG.randn(3, 2)


def test_against_numpy():
    a, s, b, v = T.dmatrix("a"), T.dmatrix("s"), T.dmatrix("b"), T.dvector("v")
    cases = [
        (nlinalg.matrix_inverse(a), np.linalg.inv(A)),
        (nlinalg.det(a), np.linalg.det(A)),
        (nlinalg.trace(a), np.trace(A)),
        (nlinalg.pinv(b), np.linalg.pinv(B)),
        (nlinalg.matrix_dot(a, s, b), A @ S @ B),
        (nlinalg.matrix_power(a, 5), np.linalg.matrix_power(A, 5)),
        (nlinalg.matrix_power(a, 0), np.eye(3)),
        *zip(nlinalg.eigh(s), np.linalg.eigh(S), strict=True),
        *zip(nlinalg.svd(b, full_matrices=0), np.linalg.svd(B, full_matrices=False), strict=True),
        (nlinalg.svd(b, compute_uv=0), np.linalg.svd(B, compute_uv=False)),
        *zip(nlinalg.qr(b), np.linalg.qr(B), strict=True),
        (slinalg.cholesky(s), np.linalg.cholesky(S)),
        (slinalg.Cholesky(lower=False)(s), np.linalg.cholesky(S).T),
        (slinalg.solve(a, b), np.linalg.solve(A, B)),
        (slinalg.solve(a, v), np.linalg.solve(A, B[:, 0])),
        (slinalg.solve_lower_triangular(s, v), np.linalg.solve(np.tril(S), B[:, 0])),
        (slinalg.solve_upper_triangular(s, b), np.linalg.solve(np.triu(S), B)),
        (slinalg.kron(a, b), np.kron(A, B)),
        (nlinalg.norm(a, "fro"), np.linalg.norm(A)),
        (nlinalg.norm(a, "inf"), np.linalg.norm(A, np.inf)),
        (nlinalg.norm(a, -1), np.linalg.norm(A, -1)),
        (nlinalg.norm(v, 3), np.linalg.norm(B[:, 0], 3)),
        (nlinalg.norm(v, "-inf"), np.abs(B[:, 0]).min()),
        (nlinalg.norm(v, 0), 3),
    ]
    values = results([c[0] for c in cases], {a: A, s: S, b: B, v: B[:, 0]})
    for (_, expected), value in zip(cases, values, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-14)
        assert value.shape == np.shape(expected)


@pytest.mark.parametrize(
    ("function", "points"),
    [
        (nlinalg.matrix_inverse, [A]),
        (nlinalg.det, [A]),
        (nlinalg.trace, [A]),
        (slinalg.solve, [A, B]),
        (slinalg.solve, [A, B[:, 0]]),
        (lambda x: slinalg.cholesky(T.dot(x, x.T) + np.eye(3)), [A]),
        (lambda x: slinalg.Cholesky(lower=False)(T.dot(x, x.T) + np.eye(3)), [A]),
        (lambda x: nlinalg.eigh(x + x.T)[0], [A]),
        (lambda x: abs(nlinalg.eigh(x + x.T, "U")[1]), [A]),
        (slinalg.kron, [A, B]),
    ],
)
def test_gradients(function, points):
    jg.verify_grad(function, points, rng=np.random.RandomState(5))


def test_integers_are_computed_as_floats():
    k = T.lmatrix("k")
    value = result(nlinalg.det(k), {k: [[2, 0], [0, 3]]})
    assert value.dtype == "float64" and value == pytest.approx(6, rel=1e-15)


def test_refusals():
    a, v = T.dmatrix("a"), T.dvector("v")
    for f in (nlinalg.det, nlinalg.matrix_inverse, nlinalg.pinv, slinalg.cholesky):
        with pytest.raises(AssertionError, match="takes a matrix, got v"):
            f(v)
    with pytest.raises(np.linalg.LinAlgError):
        jg.function([a], nlinalg.matrix_inverse(a))(np.zeros((2, 2)))
    with pytest.raises(np.linalg.LinAlgError):
        jg.function([a], slinalg.cholesky(a))(-np.eye(2))
    lenient = slinalg.Cholesky(on_error="nan")(a)
    assert np.isnan(jg.function([a], lenient)(-np.eye(2))).all()
    with pytest.raises(ValueError, match="ord=2 of a"):
        nlinalg.norm(a, 2)
    with pytest.raises(NotImplementedError):
        nlinalg.norm(T.dtensor3(), "fro")
    with pytest.raises(TypeError, match="kron takes two matrices"):
        slinalg.kron(a, v)
    with pytest.raises(jg.errors.MethodNotDefined):
        T.grad(nlinalg.pinv(a).sum(), a)
