"""Two products with one matrix in one reading: which programs get it, and that the results stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.cgen import sweep
from jitgraph.inspect import text
from jitgraph.mode import get_mode

Array = np.ndarray
EPS = {"float32": 2.0**-24, "float64": 2.0**-53}
# One band and several; a last tile and a last group of eight rows that are short.
SHAPES = ((400, 784), (403, 777), (5003, 130), (20, 30), (1, 70_000), (0, 80))


def sweeps(function: Any) -> int:
    return str(function.c_source).count("    jg_sweep_")


def logistic(dtype: str) -> tuple[Any, list[Any]]:
    """Gradient and cost of a logistic regression."""
    x, y = T.matrix("x", dtype=dtype), T.vector("y", dtype=dtype)
    w, b = T.vector("w", dtype=dtype), T.scalar("b", dtype=dtype)
    z = T.dot(x, w) + b
    p = T.nnet.sigmoid(z)
    cost = T.nnet.binary_crossentropy(p, y).sum()
    gw, gb = T.grad(cost, [w, b])
    return [x, y, w, b], [gw, gb, cost, p]


def arguments(m: int, k: int, dtype: str, seed: int = 3) -> list[Array]:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((m, k)) / np.sqrt(k)
    y = rng.integers(0, 2, m)
    return [v.astype(dtype) for v in (x, y, rng.standard_normal(k), np.array(0.3))]


@pytest.mark.parametrize("dtype", EPS)
def test_a_step_of_logistic_regression(dtype: str) -> None:
    inputs, outputs = logistic(dtype)
    f = jitgraph.function(inputs, outputs)
    assert sweeps(f) == 1
    for m, k in SHAPES:
        given = arguments(m, k, dtype)
        wide = [v.astype(np.longdouble) for v in given]
        z = wide[0] @ wide[2] + wide[3]
        p = 1 / (1 + np.exp(-z))
        error = p - wide[1]
        gw, gb, cost, found = f(*given)
        # z is off by at most (k / 2 + 16) eps in units of |x| |w| + |b|, and e, of slope 1/4, by a
        # quarter of that; the sums over rows add (m / 8 + 12) eps in units of |x'| |e|.
        size = abs(wide[0]) @ abs(wide[2]) + abs(wide[3])
        of_e = EPS[dtype] * ((k / 2 + 20) * size / 4 + 4)
        assert (abs(found - p) <= of_e).all()
        rounding = (m / 8 + 14) * EPS[dtype] * (abs(wide[0]).T @ abs(error))
        assert (abs(gw - wide[0].T @ error) <= rounding + abs(wide[0]).T @ of_e).all()
        assert abs(gb - error.sum()) <= (m / 8 + 14) * EPS[dtype] * abs(error).sum() + of_e.sum()
        losses = np.logaddexp(0, np.where(wide[1] > 0, -z, z))
        assert abs(cost - losses.sum()) <= 4 * of_e.sum() + (m / 8 + 14) * EPS[dtype] * losses.sum()


def test_nothing_between_the_products() -> None:
    x, v = T.dmatrix("x"), T.dvector("v")
    f = jitgraph.function([x, v], T.dot(x.T, T.dot(x, v)))
    assert sweeps(f) == 1
    rng = np.random.default_rng(5)
    for m, k in SHAPES:
        # Whole numbers, so that all sums are exact.
        a, b = rng.integers(-9, 10, (m, k)) * 1.0, rng.integers(-9, 10, k) * 1.0
        assert np.array_equal(f(a, b), a.T @ (a @ b))


def test_a_row_times_a_transposed_matrix() -> None:
    x, v = T.fmatrix("x"), T.fvector("v")
    f = jitgraph.function([x, v], T.dot(T.exp(-T.dot(v, x.T)), x))
    assert sweeps(f) == 1
    a, b = np.eye(600, 300, dtype="f4"), np.arange(300, dtype="f4") / 300
    np.testing.assert_array_max_ulp(f(a, b), np.exp(-b.astype("f8")).astype("f4"), 1)


def test_what_stands_between_goes_before_or_after() -> None:
    """Sums of w, a product with another matrix, and one that needs y: no part of the sweep."""
    x, u, w, t = T.dmatrix("x"), T.dmatrix("u"), T.dvector("w"), T.dvector("t")
    y = T.dot(x, w)
    e = T.sqr(y - t)
    other = T.dot(u, T.exp(-abs(w)))
    outputs = [T.dot(x.T, e * other), T.dot(u.T, y), (w**2).sum(), y / (1 + y.max()), other]
    f = jitgraph.function([x, u, w, t], outputs)
    assert sweeps(f) >= 1
    g = jitgraph.function([x, u, w, t], outputs, mode="reference")
    rng = np.random.default_rng(6)
    for m, k in SHAPES[:4]:
        given = [rng.standard_normal(s) / 9 for s in ((m, k), (m, k), k, m)]
        for found, expected in zip(f(*given), g(*given), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def refused() -> dict[str, Callable[[Any, Any], Any]]:
    """Programs in which a row of the second product needs more than its own row of the first."""

    def centred(x: Any, w: Any) -> Any:
        y = T.dot(x, w)
        return T.dot(x.T, T.exp(y - y.mean()))

    def reversed_(x: Any, w: Any) -> Any:
        return T.dot(x.T, T.exp(T.dot(x, w))[::-1])

    def summed(x: Any, w: Any) -> Any:
        return T.dot(x.T, T.cumsum(T.dot(x, w)))

    def other_way(x: Any, w: Any) -> Any:
        return T.dot(x, T.exp(T.dot(x.T, T.dot(x, w)[: x.shape[0]])))

    return {f.__name__: f for f in (centred, reversed_, summed)} | {"other_way": other_way}


@pytest.mark.parametrize("name", refused())
def test_refused(name: str) -> None:
    x, w = T.dmatrix("x"), T.dvector("w")
    f = jitgraph.function([x, w], refused()[name](x, w))
    assert sweeps(f) == (1 if name == "other_way" else 0)
    g = jitgraph.function([x, w], refused()[name](x, w), mode="reference")
    rng = np.random.default_rng(7)
    given = [rng.standard_normal((400, 300)) / 99, rng.standard_normal(300)]
    np.testing.assert_allclose(f(*given), g(*given), rtol=1e-9, atol=1e-12)


def test_a_loop_that_needs_other_rows_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above fails if every loop counts as one over single rows."""

    def any_loop(kernel: Any, y: Any, e: Any) -> bool:
        return kernel.split in ("rows", "chunks")

    monkeypatch.setattr(sweep, "_by_row", any_loop)
    x, w = T.dmatrix("x"), T.dvector("w")
    # Another program than that of the test above, whose library lies in the cache.
    f = jitgraph.function([x, w], T.dot(x.T, T.tanh(T.dot(x, w))[::-1]))
    assert sweeps(f) == 1
    rng = np.random.default_rng(8)
    for _ in range(2):  # a row that is not made yet has what the call before has left
        a, b = rng.standard_normal((400, 300)) / 99, rng.standard_normal(300)
        found = f(a, b)
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(found, a.T @ np.tanh(a @ b)[::-1], rtol=1e-9, atol=1e-12)


def test_the_same_bits_for_threads_strides_and_alignment() -> None:
    inputs, outputs = logistic("float64")
    f = jitgraph.function(inputs, outputs)
    before = jitgraph.get_num_threads()
    try:
        for m, k in SHAPES[:3]:
            x, y, w, b = arguments(m, k, "float64")
            results = []
            for threads in (1, 2, 3):
                jitgraph.set_num_threads(threads)
                for shift in (0, 1, 3):
                    room = np.empty(x.size + 8)
                    moved = room[shift : shift + x.size].reshape(x.shape)
                    moved[:] = x
                    results.append(f(moved, y, w, b))
                results.append(
                    f(np.asfortranarray(x), np.repeat(y, 2)[::2], w[::-1].copy()[::-1], b)
                )
            for other in results[1:]:
                assert all(np.array_equal(p, q) for p, q in zip(results[0], other, strict=True))
    finally:
        jitgraph.set_num_threads(before)


def test_profile_and_text_tell_of_it() -> None:
    inputs, outputs = logistic("float64")
    f = jitgraph.function(inputs, outputs[:2])
    x, y, w, b = arguments(400, 784, "float64")
    lines = f.profile(x, y, w, b).lines
    (line,) = [n for n in lines if n.kind == "sweep"]
    assert not [n for n in lines if n.kind == "product"]
    # The matrix once; y, e, t; w and its gradient; the sum of e.
    assert x.nbytes < line.bytes < x.nbytes + 8 * (5 * 400 + 2 * 784 + 10)
    described = text.render(text.describe("step", f))
    assert described.count("is read once for two products, some rows at a time: w0") == 2


def test_no_fusion_no_sweep() -> None:
    x, v = T.dmatrix("x"), T.dvector("v")
    f = jitgraph.function(
        [x, v], T.dot(x.T, T.dot(x, v)), mode=get_mode("FAST_RUN").excluding("fusion")
    )
    assert sweeps(f) == 0
