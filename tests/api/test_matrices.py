"""Inverses, decompositions and solutions of linear systems, against NumPy and by differences."""

from __future__ import annotations

import mpmath
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
        (nlinalg.pinv, [B]),
        (nlinalg.pinv, [B.T]),
        (nlinalg.pinv, [A]),
        (slinalg.expm, [A]),
        (slinalg.expm, [4 * A]),
        (lambda x: slinalg.eigvalsh(x + x.T), [A]),
        (lambda x, y: slinalg.eigvalsh(x + x.T, T.dot(y, y.T) + np.eye(3)), [A, S]),
        (lambda x: nlinalg.tensorinv(x, 1), [A]),
        (lambda x, y: nlinalg.tensorsolve(x, y), [A, B[:, 0]]),
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
        T.grad(nlinalg.qr(a)[0].sum(), a)
    with pytest.raises(ValueError, match=r"\(2, 3\) is not square"):
        jg.function([a], slinalg.expm(a))(np.ones((2, 3)))
    with pytest.raises(ValueError, match="tensorinv: ind=2 of a"):
        nlinalg.tensorinv(a, 2)
    with pytest.raises(ValueError, match=r"tensorsolve of a .* and a"):
        nlinalg.tensorsolve(a, a)
    with pytest.raises(np.linalg.LinAlgError):
        jg.function([a], slinalg.eigvalsh(a, -a))(np.eye(2))


def test_the_exponential_of_a_matrix():
    """Against mpmath. The condition number of exp at x is at least the norm of x."""
    a = T.dmatrix("a")
    f = jg.function([a], slinalg.expm(a))
    cases = [np.zeros((2, 2)), 1e-3 * A, A, 30 * (A - A.T), np.diag([1.0, -700.0]), np.tri(4, k=-1)]
    for x in cases:
        with mpmath.workprec(300):
            true = np.array(mpmath.expm(mpmath.matrix(x)).tolist(), float)
        slack = 16 * 2.0**-52 * max(1, abs(x).sum(axis=0).max()) * abs(true).max()
        np.testing.assert_allclose(f(x), true, rtol=0, atol=slack)
    assert f(np.zeros((0, 0))).shape == (0, 0)
    assert np.isnan(f(np.full((2, 2), np.inf))).all()
    single = T.fmatrix("single")
    assert result(slinalg.expm(single), {single: np.eye(2, dtype="float32")}).dtype == "float32"


def test_generalised_eigenvalues_read_one_triangle():
    a, b = T.dmatrix("a"), T.dmatrix("b")
    true = np.sort(np.linalg.eigvals(np.linalg.solve(S, A + A.T)).real)
    for lower in (True, False):
        part = np.tril if lower else np.triu
        f = jg.function([a, b], slinalg.eigvalsh(a, b, lower))
        np.testing.assert_allclose(f(part(A + A.T), part(S)), true, rtol=1e-12)
        plain = jg.function([a], slinalg.eigvalsh(a, lower=lower))(part(A + A.T))
        np.testing.assert_allclose(plain, np.linalg.eigvalsh(A + A.T), rtol=1e-12)


def test_least_squares():
    a, b, v = T.dmatrix("a"), T.dmatrix("b"), T.dvector("v")
    tall = RNG.randn(5, 3)
    for y, value in ((b, RNG.randn(5, 2)), (v, RNG.randn(5))):
        found = jg.function([a, y], nlinalg.lstsq(a, y, -1))(tall, value)
        for mine, true in zip(found, np.linalg.lstsq(tall, value, rcond=-1), strict=True):
            np.testing.assert_allclose(mine, true, rtol=1e-12)
    few = jg.function([a, v], nlinalg.lstsq(a, v, 0.9))(np.diag([1.0, 0.5]), [1.0, 1.0])
    assert few[0].tolist() == [1.0, 0.0] and few[2] == 1


def test_systems_of_more_axes():
    t = T.dtensor4("t")
    value = RNG.randn(4, 6, 8, 3)
    np.testing.assert_allclose(
        jg.function([t], nlinalg.tensorinv(t, 2))(value), np.linalg.tensorinv(value), rtol=1e-10
    )
    m = T.dmatrix("m")
    for axes, shape in ((None, (2, 3, 6, 1)), ((0, 2), (2, 2, 3, 3))):
        a, b = RNG.randn(*shape), RNG.randn(2, 3)
        f = jg.function([t, m], nlinalg.tensorsolve(t, m, axes))
        np.testing.assert_allclose(f(a, b), np.linalg.tensorsolve(a, b, axes), rtol=1e-10)
