"""Reductions, statistics, sorting and running sums against NumPy, with their own dtype rules."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from api.tools import exactly, result, results
from jitgraph import dtypes
from jitgraph.tensor import extra_ops

A = np.random.RandomState(7).randn(3, 4, 5)
AXES = [None, 0, 1, -1, (0, 2), [1, 2], (0, 1, 2)]


def axes_of(axis):
    return tuple(axis) if isinstance(axis, list) else axis


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "var", "std"])
def test_against_numpy(name, keepdims):
    x = T.dtensor3("x")
    outs = [getattr(T, name)(x, axis=a, keepdims=keepdims) for a in AXES]
    for axis, out, value in zip(AXES, outs, results(outs, {x: A}), strict=True):
        expected = getattr(np, name)(A, axis=axes_of(axis), keepdims=keepdims)
        np.testing.assert_allclose(value, expected, rtol=2e-14, atol=1e-15)
        assert value.shape == expected.shape
        if keepdims:
            reduced = range(3) if axis is None else np.atleast_1d(axis) % 3
            assert out.broadcastable == tuple(i in reduced for i in range(3))


@pytest.mark.parametrize("name", ["any", "all"])
def test_any_and_all(name):
    x, b = T.dtensor3("x"), T.TensorType("bool", (False,) * 3)("b")
    at = (A > 0.8).astype("float64")
    outs = [getattr(T, name)(x, axis=a) for a in AXES] + [getattr(b, name)(axis=1)]
    values = results(outs, {x: at, b: at > 0})
    for axis, value in zip([*AXES, 1], values, strict=True):
        exactly(value, getattr(np, name)(at, axis=axes_of(axis)), "bool")


@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions(name):
    x = T.dtensor3("x")
    at = np.round(A)  # ties: the first counts
    outs = [getattr(T, name)(x, axis=a) for a in (None, 0, -1)]
    for axis, value in zip((None, 0, -1), results(outs, {x: at}), strict=True):
        exactly(value, getattr(np, name)(at, axis=axis), "int64")
    flat = at.transpose(1, 0, 2).reshape(4, -1)
    exactly(result(getattr(T, name)(x, axis=(0, 2)), {x: at}), getattr(np, name)(flat, axis=1))
    kept = getattr(T, name)(x, axis=1, keepdims=True)
    assert kept.broadcastable == (False, True, False)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_positions_in_blocks_and_chunks(name, dtype):
    """The first extremum or nan, in whichever block or part of a thread it lies."""
    x = T.matrix("x", dtype=dtype)
    arg = getattr(T, name)
    f = jg.function([x], [arg(x), arg(x, axis=1), arg(x, axis=0), arg(-2 * x, axis=1)])
    rng = np.random.default_rng(8)
    for shape in ((1, 1), (3, 31), (3, 32), (2, 511), (2, 513), (70, 33), (3, 1100), (150, 513)):
        at = rng.integers(-30, 30, shape).astype(dtype)  # ties
        places = [], rng.integers(at.size, size=1), rng.integers(at.size, size=5)
        for value, where in zip((0, np.inf, np.nan), places, strict=True):
            at.flat[where] = value
            for given in (at, at[::-1, ::-1]):
                want = getattr(np, name)
                expected = want(given), want(given, 1), want(given, 0), want(-2 * given, 1)
                for found, e in zip(f(given), expected, strict=True):
                    exactly(found, e, "int64")


def test_nan_is_extreme():
    x = T.dmatrix("x")
    at = np.array([[1.0, np.nan, 3.0], [4.0, 5.0, -np.inf]])
    m, lowest, where = results([T.max(x, 1), T.min(x, 1), T.argmax(x, 1)], {x: at})
    exactly(m, [np.nan, 5.0])
    exactly(lowest, [np.nan, -np.inf])
    assert where.tolist() == [1, 1]


@pytest.mark.parametrize("value", [np.nan, 9.0, -np.inf, np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_extrema_of_short_rows(dtype, value):
    """Lengths around those of all vectors, and one value at every place of a row: each is seen."""
    x = T.matrix("x", dtype)
    f = jg.function([x], [T.max(x, 1), T.min(x, 1)])
    for n in [*range(1, 36), 63, 64, 65, 100, 511, 513]:
        at = np.tile(np.linspace(-2, 3, n).astype(dtype), (n, 1))
        np.fill_diagonal(at, value)
        largest, smallest = f(at)
        assert np.array_equal(largest, at.max(axis=1), equal_nan=True), n
        assert np.array_equal(smallest, at.min(axis=1), equal_nan=True), n


def test_max_and_argmax():
    x = T.dmatrix("x")
    pair = results(T.max_and_argmax(x, axis=0), {x: [[1, 5], [3, 2]]})
    assert [v.tolist() for v in pair] == [[3, 5], [1, 0]]
    assert result(T.ptp(x, axis=1), {x: [[1, 5], [3, 2]]}).tolist() == [4, 1]


@pytest.mark.parametrize("dtype", dtypes.NAMES)
def test_dtypes(dtype):
    x = T.TensorType(dtype, (False,))("x")
    signed = dtypes.SIGNED | {"bool"}
    wide = "int64" if dtype in signed else "uint64" if dtype in dtypes.UNSIGNED else dtype
    outs = [x.sum(), x.prod(), x.max(), x.min(), x.mean(), x.any(), x.argmax()]
    mean = dtype if dtype in dtypes.FLOATS else "float64"
    assert [o.dtype for o in outs] == [wide, wide, dtype, dtype, mean, "bool", "int64"]
    at = np.array([1, 0, 1, 1], dtype)
    values = results(outs, {x: at})
    assert [v.item() for v in values] == [3, 0, 1, 0, 0.75, True, 0]


def test_sums_of_small_types_do_not_overflow():
    x, f = T.bvector("x"), T.fvector("f")
    values = results([x.sum(), x.prod(), f.sum()], {x: [100, 100, 100], f: [1e8, 1, -1e8]})
    # float32 is summed in float64: the 1 survives
    assert [v.item() for v in values] == [300, 1_000_000, 1.0]
    assert values[2].dtype == "float32"


def test_long_rows_lose_nothing_block_by_block():
    """A bound that does not grow with the length: 36 eps within a block of 512, 2 eps between."""
    x = T.dmatrix("x")
    at = np.full((2, 512 * 4001), 2.0**-10)
    at[:, 0] = 2.0**53  # beside it the sum of a block, 0.5, is below half of the last place
    outs = [x.sum(axis=1), T.sqr(T.sqrt(x)).sum(axis=1), x.sum()]
    exact = math.fsum(at[0])
    for value, total in zip(results(outs, {x: at}), (exact, exact, 2 * exact), strict=True):
        assert np.all(np.abs(value - total) <= 38 * np.finfo(float).eps * total)


def test_long_rows_with_infinities():
    x = T.dmatrix("x")
    at = np.ones((6, 2000))
    at[0, 0], at[1, 1999] = np.inf, np.inf
    at[2, [0, 1999]], at[3, [0, 1999]] = (np.inf, -np.inf), (-np.inf, -np.inf)
    at[4], at[5, 700] = 1e306, np.nan
    exactly(result(x.sum(axis=1), {x: at}), [np.inf, np.inf, np.nan, -np.inf, np.inf, np.nan])


def test_an_axis_given_twice_is_an_error():
    x = T.dmatrix("x")
    for build in (T.sum, T.max, T.all, T.mean):
        with pytest.raises(ValueError, match="twice"):
            build(x, axis=(0, -2))


def test_dtype_and_acc_dtype():
    x, k = T.fvector("x"), T.ivector("k")
    assert T.sum(x, dtype="float64").dtype == "float64"
    assert T.sum(k, dtype="int32").dtype == "int32"
    assert T.sum(k, dtype="float32").dtype == "float32"
    assert T.mean(k, dtype="float32").dtype == "float32"
    assert T.sum(x, acc_dtype="float32").owner.op.acc_dtype == "float32"
    assert T.sum(x).owner.op.acc_dtype == "float64"
    for kwargs in ({"dtype": "int64"}, {"acc_dtype": "int32"}):
        with pytest.raises(TypeError, match="would lose the fractions of float32"):
            T.sum(x, **kwargs)


@pytest.mark.parametrize("reduction", [T.sum, T.prod, T.mean])
def test_dtypes_that_lose_precision(reduction):
    x, k = T.dmatrix("x"), T.lmatrix("k")
    for kwargs in ({"dtype": "float32"}, {"acc_dtype": "float32"}):
        with pytest.raises(TypeError, match="=float32 would lose the precision of float64"):
            reduction(x, axis=1, **kwargs)
    with pytest.raises(TypeError, match="acc_dtype=int32 would lose the precision of int64"):
        reduction(k, dtype="int64", acc_dtype="int32")
    assert reduction(k, dtype="float32").dtype == "float32"


def test_axes_that_do_not_exist():
    x = T.dmatrix("x")
    for f in (T.sum, T.max, T.mean, T.argmax, T.any):
        for axis in (2, -3, (0, 5)):
            with pytest.raises(ValueError, match="does not exist in an array of 2 axes"):
                f(x, axis=axis)
        with pytest.raises(TypeError, match="axis must be"):
            f(x, axis=T.iscalar("a"))
        with pytest.raises(TypeError, match="axis must be an int"):
            f(x, axis=1.5)


@pytest.mark.parametrize("mode", [None, "reference"])
def test_empty_arrays(mode):
    x = T.dmatrix("x")
    empty = np.zeros((0, 3))
    f = jg.function(
        [x], [x.sum(), x.prod(), x.sum(axis=0), x.all(), x.any(), x.max(axis=1)], mode=mode
    )
    values = f(empty)
    assert [v.tolist() for v in values] == [0, 1, [0, 0, 0], True, False, []]
    assert np.isnan(jg.function([x], x.mean(), mode=mode)(empty))
    for reduced in (x.max(), x.min(axis=0), x.argmax(), x.argmin(axis=0)):
        with pytest.raises(ValueError):
            jg.function([x], reduced, mode=mode)(empty)


def test_ddof_and_correction():
    x = T.dmatrix("x")
    at = A[0]
    outs = [T.var(x, ddof=1), T.std(x, axis=0, ddof=2), x.var(axis=1, ddof=1, keepdims=True)]
    values = results(outs, {x: at})
    np.testing.assert_allclose(values[0], at.var(ddof=1), rtol=2e-15)
    np.testing.assert_allclose(values[1], at.std(axis=0, ddof=2), rtol=4e-15)
    np.testing.assert_allclose(values[2], at.var(axis=1, ddof=1, keepdims=True), rtol=4e-15)
    shifted = at + 1e8
    plain, corrected = results([T.var(x), T.var(x, corrected=True)], {x: shifted})
    np.testing.assert_allclose(corrected, shifted.var(), rtol=1e-12)
    np.testing.assert_allclose(plain, shifted.var(), rtol=1e-12)
    for f in (T.var, T.std):
        with pytest.raises(ValueError, match="ddof is a number, got a bool"):
            f(x, 0, True)


# -- gradients ---------------------------------------------------------------------------------


def gradient(build, at):
    x = T.TensorType("float64", (False,) * np.ndim(at))("x")
    return result(T.grad(build(x).sum(), x), {x: at})


def test_every_tied_maximum_gets_the_whole_gradient():
    assert gradient(T.max, [1.0, 3.0, 3.0]).tolist() == [0, 1, 1]
    assert gradient(T.min, [1.0, 1.0, 3.0]).tolist() == [1, 1, 0]


def test_gradient_of_a_product_with_zeros():
    assert gradient(T.prod, [2.0, 3.0, 4.0]).tolist() == [12, 8, 6]
    assert gradient(T.prod, [2.0, 0.0, 4.0]).tolist() == [0, 8, 0]
    assert gradient(T.prod, [0.0, 0.0, 4.0]).tolist() == [0, 0, 0]
    at = [[2.0, 0.0], [3.0, 5.0]]
    assert gradient(lambda x: x.prod(axis=0), at).tolist() == [[3, 5], [2, 0]]


def test_gradient_of_a_mean():
    assert gradient(T.mean, np.ones((2, 4))).tolist() == [[0.125] * 4] * 2
    assert np.isnan(gradient(T.std, [2.0, 2.0])).all()


def test_norm():
    x = T.dmatrix("x")
    at = np.array([[3.0, -4.0], [6.0, 8.0]])
    values = results([x.norm(2), x.norm(1, axis=0), x.norm(2, axis=1, keepdims=True)], {x: at})
    np.testing.assert_allclose(values[0], np.sqrt(125), rtol=1e-15)
    assert values[1].tolist() == [9, 12]
    np.testing.assert_allclose(values[2], [[5], [10]], rtol=1e-15)
    for order in (0, float("inf")):
        with pytest.raises(NotImplementedError):
            x.norm(order)


# -- sorting -----------------------------------------------------------------------------------


def test_sort_and_argsort():
    x = T.dtensor3("x")
    outs = [f(x, axis=a) for f in (T.sort, T.argsort) for a in (None, 0, 1, -1)]
    values = results(outs, {x: A})
    cases = itertools.product((np.sort, np.argsort), (None, 0, 1, -1))
    for value, (f, axis) in zip(values, cases, strict=True):
        exactly(value, f(A, axis=axis))
    v = T.dvector("v")
    exactly(result(v.sort(kind="mergesort"), {v: [2, np.nan, 1]}), [1, 2, np.nan])
    k = T.bvector("k")
    exactly(result(T.sort(k), {k: [3, -1, 2]}), [-1, 2, 3], "int8")
    with pytest.raises(ValueError, match="does not exist"):
        T.sort(v, axis=1)
    with pytest.raises(ValueError, match="order"):
        T.sort(v, order="f")
    with pytest.raises(ValueError, match="kind is one of"):
        T.argsort(v, kind="bubble")


def test_gradient_of_sort():
    v = T.dvector("v")
    weights = np.array([1.0, 10.0, 100.0])
    g = T.grad((T.sort(v) * weights).sum(), v)
    assert result(g, {v: [3.0, 1.0, 2.0]}).tolist() == [100, 1, 10]
    m = T.dmatrix("m")
    g = T.grad((T.sort(m, axis=0) * np.array([[1.0], [10.0]])).sum(), m)
    assert result(g, {m: [[1, 4], [2, 3]]}).tolist() == [[1, 10], [10, 1]]


def test_topk():
    x = T.dmatrix("x")
    at = np.array([[1.0, 5, 3, 5], [0, -1, -2, 7]])
    outs = [
        T.topk(x, 2),
        T.argtopk(x, 2),
        T.topk(x, -2, axis=0),
        *T.topk_and_argtopk(x, 1, axis=None),
    ]
    values = results(outs, {x: at})
    assert [v.tolist() for v in values] == [
        [[5, 5], [7, 0]],
        [[1, 3], [3, 0]],
        [[0, -1, -2, 5], [1, 5, 3, 7]],
        [7],
        [7],
    ]
    assert T.argtopk(x, 1, idx_dtype="int32").dtype == "int32"
    g = T.grad(T.topk(x, 2).sum(), x)
    assert result(g, {x: at}).tolist() == [[0, 1, 0, 1], [1, 0, 0, 1]]
    with pytest.raises(ValueError, match="kth is not 0"):
        T.topk(x, 0)
    with pytest.raises(ValueError, match="kth=9 of an axis of length 4"):
        jg.function([x], T.topk(x, 9))(at)


# -- running sums, counting --------------------------------------------------------------------


def test_running_sums_and_products():
    x = T.dmatrix("x")
    at = A[0]
    outs = [f(x, axis=a) for f in (T.cumsum, T.cumprod) for a in (None, 0, -1)]
    cases = itertools.product((np.cumsum, np.cumprod), (None, 0, -1))
    for value, (f, axis) in zip(results(outs, {x: at}), cases, strict=True):
        exactly(value, f(at, axis=axis))
    k = T.bvector("k")
    exactly(result(k.cumsum(), {k: [100, 100]}), [100, -56], "int8")
    with pytest.raises(ValueError, match="does not exist"):
        T.cumsum(x, axis=2)
    assert gradient(lambda x: T.cumsum(x) * np.array([1.0, 10, 100]), [1.0, 2, 3]).tolist() == [
        111,
        110,
        100,
    ]
    assert gradient(lambda x: T.cumprod(x), [2.0, 3.0]).tolist() == [4, 2]


@pytest.mark.parametrize("axis", [0, 1])
def test_gradient_of_running_products_with_zeros(axis):
    """Against the definition: the sum over all products of the other factors."""
    at = np.array(
        [[2.0, 0.0, 3.0, 5.0], [0.0, 0.0, 2.0, 7.0], [3.0, 4.0, 0.0, -1.0], [1.5, 2.0, 4.0, 8.0]]
    )
    weights = np.arange(1.0, 17).reshape(4, 4)
    x = T.dmatrix("x")
    g = result(T.grad((T.cumprod(x, axis=axis) * weights).sum(), x), {x: at})
    rows, by = (at, weights) if axis else (at.T, weights.T)
    expected = np.zeros((4, 4))
    for r, k, i in itertools.product(range(4), range(4), range(4)):
        if i >= k:
            expected[r, k] += by[r, i] * np.prod(np.delete(rows[r, : i + 1], k))
    np.testing.assert_allclose(g, expected if axis else expected.T, rtol=1e-14)


def test_differences():
    x = T.dmatrix("x")
    at = A[0]
    outs = [extra_ops.diff(x), extra_ops.diff(x, n=2, axis=0), extra_ops.diff(x, n=0)]
    values = results(outs, {x: at})
    for value, expected in zip(values, [np.diff(at), np.diff(at, 2, 0), at], strict=True):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-15)
    with pytest.raises(ValueError, match="n=-1 is negative"):
        extra_ops.diff(x, n=-1)


def test_bincount():
    k, w = T.ivector("k"), T.fvector("w")
    outs = [T.bincount(k), T.bincount(k, minlength=6), T.bincount(k, weights=w)]
    values = results(outs, {k: [1, 1, 3], w: [0.5, 1, 2]})
    exactly(values[0], [0, 2, 0, 1], "int64")
    exactly(values[1], [0, 2, 0, 1, 0, 0], "int64")
    exactly(values[2], [0, 1.5, 0, 2], "float32")
    assert result(T.bincount(k), {k: np.zeros(0, "int32")}).tolist() == []
    with pytest.raises(TypeError, match="takes a vector"):
        T.bincount(T.imatrix())
    for dtype in ("float64", "uint64"):
        with pytest.raises(TypeError, match="takes integers up to int64"):
            T.bincount(T.TensorType(dtype, (False,))())
    with pytest.raises(ValueError, match="must not be negative"):
        jg.function([k], T.bincount(k))([-1])


def test_searchsorted_and_unique():
    x, v = T.dvectors("x", "v")
    given = {x: [1, 2, 2, 3], v: [2, 0, 9]}
    outs = [x.searchsorted(v), extra_ops.searchsorted(x, v, side="right")]
    values = results(outs, given)
    exactly(values[0], [1, 0, 4], "int64")
    exactly(values[1], [3, 0, 4], "int64")
    with pytest.raises(ValueError, match="side is 'left' or 'right'"):
        extra_ops.searchsorted(x, v, side="middle")
    parts = extra_ops.Unique(return_index=True, return_inverse=True, return_counts=True)(x)
    values = results(parts, {x: [3, 1, 3]})
    assert [p.tolist() for p in values] == [[1, 3], [1, 0], [1, 0, 1], [1, 2]]
    assert result(extra_ops.Unique()(x), {x: [3, 1, 3]}).tolist() == [1, 3]


def test_covariance():
    m = T.dmatrix("m")
    at = A[0]
    outs = [T.cov(m), T.cov(m, rowvar=False, bias=True), T.cov(m, m[::-1], ddof=0)]
    expected = [np.cov(at), np.cov(at, rowvar=False, bias=True), np.cov(at, at[::-1], ddof=0)]
    for value, wanted in zip(results(outs, {m: at}), expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-13, atol=1e-15)
