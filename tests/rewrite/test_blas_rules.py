"""Products with factors and sums as one call, against NumPy on small integers, where all is exact.

Where the operands are not integers, the bound is that of sums in any order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T

Array = np.ndarray[Any, Any]
EPS = {"float64": 2.0**-53, "float32": 2.0**-24}
TAG = {"float64": "f64", "float32": "f32"}
OFF = jitgraph.Mode().excluding("BlasOpt")
AS_WRITTEN = jitgraph.Mode(optimizer=None).including("BlasOpt")

# name: (expression of x, g, w, p, q; how many products take something up)
Form = tuple[Callable[..., Any], int]
FORMS: dict[str, Form] = {
    "w - p*xg": (lambda d, x, g, w, p, q: w - p * d(x, g), 1),
    "w - xg*p": (lambda d, x, g, w, p, q: w - d(x, g) * p, 1),
    "w + p*xg": (lambda d, x, g, w, p, q: w + p * d(x, g), 1),
    "p*xg - w": (lambda d, x, g, w, p, q: p * d(x, g) - w, 1),
    "p*xg + q*w": (lambda d, x, g, w, p, q: p * d(x, g) + q * w, 1),
    "q*w - p*xg": (lambda d, x, g, w, p, q: q * w - p * d(x, g), 1),
    "-q*w - p*xg": (lambda d, x, g, w, p, q: -q * w - p * d(x, g), 1),
    "xg + w": (lambda d, x, g, w, p, q: d(x, g) + w, 1),
    "w - xg": (lambda d, x, g, w, p, q: w - d(x, g), 1),
    "-(xg + w)": (lambda d, x, g, w, p, q: -(d(x, g) + w), 1),
    "-(w - p*xg)": (lambda d, x, g, w, p, q: -(w - p * d(x, g)), 1),
    "p*(q*xg) + w": (lambda d, x, g, w, p, q: p * (q * d(x, g)) + w, 1),
    "(p*q)*xg + w": (lambda d, x, g, w, p, q: (p * q) * d(x, g) + w, 1),
    "2*p*3*xg + w": (lambda d, x, g, w, p, q: 2 * p * 3 * d(x, g) + w, 1),
    "w - 2*xg": (lambda d, x, g, w, p, q: w - 2 * d(x, g), 1),
    "2*xg": (lambda d, x, g, w, p, q: 2 * d(x, g), 1),
    "p*xg": (lambda d, x, g, w, p, q: p * d(x, g), 1),
    "-xg": (lambda d, x, g, w, p, q: -d(x, g), 1),
    "(w + p*xg) + w*w": (lambda d, x, g, w, p, q: (w + p * d(x, g)) + w * w, 1),
    "w + (w*w + p*xg)": (lambda d, x, g, w, p, q: w + (w * w + p * d(x, g)), 1),
    "w - (w*w - p*xg)": (lambda d, x, g, w, p, q: w - (w * w - p * d(x, g)), 1),
    "-w*w - q*w - p*xg": (lambda d, x, g, w, p, q: -w * w - q * w - p * d(x, g), 1),
    "xg + xg*2 - w": (lambda d, x, g, w, p, q: d(x, g) + d(x * 2, g) - w, 2),
    "p*xg - q*xg": (lambda d, x, g, w, p, q: p * d(x, g) - q * d(x * 2, g), 2),
    "|xg + 2xg + w|": (lambda d, x, g, w, p, q: abs(d(x, g) + d(x * 2, g) + w), 1),
    # What loops do on their way, they are left to do.
    "xg + w[0]": (lambda d, x, g, w, p, q: d(x, g) + w[0], 0),
    "|w - p*xg|": (lambda d, x, g, w, p, q: abs(w - p * d(x, g)), 0),
    "sum(w + xg)": (lambda d, x, g, w, p, q: (w + d(x, g)).sum(axis=0), 0),
    "p*xg / 3": (lambda d, x, g, w, p, q: p * d(x, g) / 3, 0),
}
SIZES = [(4, 3, 5), (1, 1, 1), (9, 17, 130), (0, 3, 4), (3, 0, 4), (3, 4, 0), (200, 150, 160)]


def integers(shape: tuple[int, ...], dtype: str, seed: int) -> Array:
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(dtype)


def variables(dtype: str) -> list[Any]:
    return [*(T.matrix(n, dtype=dtype) for n in "xgw"), *(T.scalar(n, dtype=dtype) for n in "pq")]


def operands(sizes: tuple[int, int, int], dtype: str) -> list[Array]:
    m, n, k = sizes
    numbers = [np.asarray(v, dtype) for v in (3, -2)]
    return [integers(s, dtype, i) for i, s in enumerate(((m, k), (k, n), (m, n)))] + numbers


def compiled(expression: Any, inputs: list[Any], **more: Any) -> Any:
    return jitgraph.function(inputs, expression, on_unused_input="ignore", **more)


def calls(function: Any, dtype: str, name: str = "gemm") -> list[str]:
    """The calls for products that are scaled or added to something."""
    lines = [line.strip() for line in function.c_source.splitlines()]
    if name == "gemv":
        return [s for s in lines if f" jg_scale_add_{TAG[dtype]}(" in s]
    found = [s for s in lines if s.startswith(f"jg_gemm_{TAG[dtype]}(")]
    return [s for s in found if not re.search(r", 1, \w+, \w+, 0, 0, \w+\);$", s)]


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("name", FORMS)
def test_all_forms_of_a_sum(name: str, dtype: str) -> None:
    build, taken = FORMS[name]
    inputs = variables(dtype)
    function = compiled(build(T.dot, *inputs), inputs)
    apart = compiled(build(T.dot, *inputs), inputs, mode=OFF)
    assert len(calls(function, dtype)) == taken
    assert not calls(apart, dtype)
    for sizes in SIZES:
        if "[0]" in name and sizes[0] == 0:
            continue
        arrays = operands(sizes, dtype)
        kept = [a.copy() for a in arrays]
        expected = np.asarray(build(np.dot, *arrays)).astype(dtype)
        for f in (function, apart):
            found = f(*arrays)
            assert found.dtype == dtype and found.shape == expected.shape
            if "/" in name:
                np.testing.assert_allclose(found, expected, rtol=2 * EPS[dtype], atol=0)
            else:
                assert np.array_equal(found, expected)
        assert all(np.array_equal(a, b) for a, b in zip(arrays, kept, strict=True))


@pytest.mark.parametrize("name", FORMS)
def test_the_reference_computes_the_same(name: str) -> None:
    build, _ = FORMS[name]
    inputs, arrays = variables("float64"), operands((4, 3, 5), "float64")
    found = compiled(build(T.dot, *inputs), inputs, mode="reference")(*arrays)
    expected = build(np.dot, *arrays)
    np.testing.assert_allclose(found, expected, rtol=2**-52, atol=0)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("turned", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_transposed_operands_are_not_copied(turned: tuple[int, int], dtype: str) -> None:
    x, g, w, p, q = variables(dtype)
    left, right = (v.T if t else v for v, t in zip((x, g), turned, strict=True))
    f = compiled(q * w.T - p * T.dot(left, right), [x, g, w, p, q])
    (call,) = calls(f, dtype)
    assert call.startswith(f"jg_gemm_{TAG[dtype]}(host, {turned[0]}, {turned[1]}, ")
    for sizes in SIZES:
        a, b, c, *numbers = operands(sizes, dtype)
        expected = numbers[1] * c - numbers[0] * np.dot(a, b)
        stored = [v.T if t else v for v, t in zip((a, b), turned, strict=True)]
        assert np.array_equal(f(*stored, c.T, *numbers), expected)


def test_strided_operands() -> None:
    inputs = variables("float64")
    x, g, w, p, _ = inputs
    f = compiled(w[::2, 1:] - p * T.dot(x[:, ::-1], g[::3]), inputs)
    assert len(calls(f, "float64")) == 1
    a, b, c = (
        integers((4, 5), "float64", 1),
        integers((13, 6), "float64", 2),
        integers((8, 7), "float64", 3),
    )
    wide = [np.repeat(v, 2, axis=1)[:, ::2] for v in (a, b, c)]
    assert np.array_equal(f(*wide, 2.0, 0.0), c[::2, 1:] - 2 * a[:, ::-1] @ b[::3])


@pytest.mark.parametrize("sizes", [(5, 4, 3), (200, 150, 160)])
def test_nan_is_not_multiplied_away(sizes: tuple[int, int, int]) -> None:
    inputs = variables("float64")
    x, g, w, p, q = inputs
    f = compiled(p * T.dot(x, g) + q * w, inputs)
    a, b, c, *_ = operands(sizes, "float64")
    c[1, 2], a[3, 0] = np.nan, np.inf
    zero, one = np.float64(0), np.float64(1)
    with np.errstate(invalid="ignore"):
        product = np.stack([a[:, i, None] * b[i] for i in range(sizes[2])]).sum(axis=0)
        for alpha, beta in ((zero, one), (one, zero), (zero, zero), (np.inf, one), (one, np.nan)):
            expected = alpha * product + beta * c
            found = f(a, b, c, alpha, beta)
            assert np.array_equal(found, expected, equal_nan=True)
            assert np.isnan(found[1, 2])
    assert np.isnan(f(a[:, :0], b[:0], c, np.inf, one)).all()


def test_a_wider_factor_makes_a_wider_result() -> None:
    x, g, w, *_ = variables("float32")
    p = T.dscalar("p")
    f = compiled(w - p * T.dot(x, g), [x, g, w, p])
    assert not calls(f, "float32")
    a, b, c, *_ = operands((4, 3, 5), "float32")
    assert f(a, b, c, 3.0).dtype == np.float64
    narrow = T.fscalar("p")
    d = T.dmatrix("d")
    f = compiled(d - narrow * T.dot(d, d), [d, narrow])
    assert len(calls(f, "float64")) == 1
    square = integers((4, 4), "float64", 1)
    assert np.array_equal(f(square, 3.0), square - 3 * square @ square)


def test_what_others_need_is_kept() -> None:
    inputs = variables("float64")
    x, g, w, p, _ = inputs
    arrays = operands((6, 5, 4), "float64")
    a, b, c, *_ = arrays
    product = T.dot(x, g)
    f = compiled([w - p * product, product], inputs)
    assert not calls(f, "float64")
    total = w * w + x.sum()
    g1 = compiled([total + T.dot(x, g), total, total.sum()], inputs)
    assert len(calls(g1, "float64")) == 1
    expected = c * c + a.sum()
    found = g1(*arrays)
    assert np.array_equal(found[0], expected + a @ b)
    assert np.array_equal(found[1], expected) and found[2] == expected.sum()
    assert np.array_equal(f(*arrays)[0], c - 3 * a @ b) and np.array_equal(f(*arrays)[1], a @ b)


def test_one_array_in_all_places() -> None:
    w, p = T.dmatrix("w"), T.dscalar("p")
    f = compiled(
        [w - p * T.dot(w.T, w), T.dot(w.T, w) + w.T, T.exp(w) - T.dot(T.exp(w), w)], [w, p]
    )
    for n in (3, 60):
        a = integers((n, n), "float64", n)
        kept = a.copy()
        one, two, three = f(a, 3.0)
        assert np.array_equal(one, a - 3 * a.T @ a) and np.array_equal(two, a.T @ a + a.T)
        size = np.exp(a) + np.exp(a) @ abs(a)
        assert (abs(three - (np.exp(a) - np.exp(a) @ a)) <= 4 * (n + 4) * 2.0**-53 * size).all()
        assert np.array_equal(a, kept)


@pytest.mark.parametrize("dtype", EPS)
def test_updates_of_shared_variables(dtype: str) -> None:
    x, g, _, p, _ = variables(dtype)
    value = integers((6, 4), dtype, 5)
    w, v = jitgraph.shared(value.copy()), jitgraph.shared(value.copy())
    step = T.dot(x.T, g)
    train = jitgraph.function(
        [x, g, p], [], updates=[(w, w - p * step), (v, T.dot(x.T, 2 * g) - v)]
    )
    assert len(calls(train, dtype)) == 2
    a, b = integers((5, 6), dtype, 1), integers((5, 4), dtype, 2)
    expected = [value.copy(), value.copy()]
    for _ in range(3):
        train(a, b, np.asarray(2, dtype))
        expected = [expected[0] - 2 * a.T @ b, a.T @ (2 * b) - expected[1]]
        assert np.array_equal(w.get_value(), expected[0])
        assert np.array_equal(v.get_value(), expected[1])
    with pytest.raises(ValueError, match="inner sizes differ"):
        train(a, b[:4], np.asarray(2, dtype))
    with pytest.raises(ValueError, match="lengths of axis 1 differ"):
        train(a, b[:, :3], np.asarray(2, dtype))
    assert np.array_equal(w.get_value(), expected[0])
    assert np.array_equal(v.get_value(), expected[1])


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("side", ["xv", "vx"])
@pytest.mark.parametrize("turned", [False, True])
def test_vectors(side: str, turned: bool, dtype: str) -> None:
    x, v, y = T.matrix("x", dtype=dtype), T.vector("v", dtype=dtype), T.vector("y", dtype=dtype)
    p, q = T.scalar("p", dtype=dtype), T.scalar("q", dtype=dtype)
    m = x.T if turned else x
    product = T.dot(m, v) if side == "xv" else T.dot(v, m)
    inputs = [x, v, y, p, q]
    f = compiled([q * y - p * product, -2 * T.dot(*((m, y) if side == "xv" else (y, m)))], inputs)
    assert len(calls(f, dtype, "gemv")) == 2
    off = compiled([q * y - p * product], inputs, mode=OFF)
    assert not calls(off, dtype, "gemv")
    for n in (0, 1, 5, 40, 300):
        a, b, c = integers((n, n), dtype, 1), integers((n,), dtype, 2), integers((n,), dtype, 3)
        op = a.T if turned else a
        times = op if side == "xv" else op.T
        one, two = f(a, b, c, 3, -2)
        assert np.array_equal(one, -2 * c - 3 * times @ b)
        assert np.array_equal(two, -2 * times @ c)
        assert np.array_equal(off(a, b, c, 3, -2)[0], one)
    c[:] = np.nan
    assert np.isnan(f(a, b, c, 0, 0)[0]).all()
    a[:] = np.inf
    assert np.isnan(f(a, b, 0 * b, 0, 0)[0]).all()


@pytest.mark.parametrize("mode", ["FAST_RUN", AS_WRITTEN], ids=["rewritten", "as written"])
def test_sums_and_products_of_many_operands(mode: Any) -> None:
    """T.add and T.mul take any number of them, and none may be lost."""
    (x, g, w, v), p = T.dmatrices("x", "g", "w", "v"), T.dscalar("p")
    product = T.dot(x, g)
    f = jitgraph.function(
        [x, g, w, v, p],
        [T.add(w, product, v), T.mul(2.0, T.dot(g, x), p), T.add(w, T.mul(p, T.dot(w, v), 3.0), v)],
        mode=mode,
    )
    a, b, c, d = (integers((4, 4), "float64", k) for k in range(4))
    for got, want in zip(
        f(a, b, c, d, 5.0), [c + a @ b + d, 10 * b @ a, c + 15 * c @ d + d], strict=True
    ):
        np.testing.assert_array_equal(got, want)


def test_within_loops() -> None:
    x, w, h0, p = T.dmatrix("x"), T.dmatrix("w"), T.dmatrix("h0"), T.dscalar("p")
    u = T.dvector("u")

    def step(h: Any, s: Any) -> list[Any]:
        return [x - p * T.dot(h, w), s + 2 * T.dot(w, s)]

    (h, s), _ = jitgraph.scan(step, outputs_info=[h0, u], n_steps=4)
    f = compiled([h, s], [x, w, h0, u, p])
    assert len(calls(f, "float64")) == 1 and len(calls(f, "float64", "gemv")) == 1
    a, b, state, vector = (integers(s, "float64", k) for k, s in enumerate(((5, 5),) * 3 + ((5,),)))
    found = f(a, b, state, vector, 2.0)
    for t in range(4):
        state, vector = a - 2 * state @ b, vector + 2 * b @ vector
        assert np.array_equal(found[0][t], state) and np.array_equal(found[1][t], vector)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize("sizes", [(30, 20, 25), (200, 150, 160)])
def test_rounding(sizes: tuple[int, int, int], dtype: str) -> None:
    """|error| <= (k + 4) eps (|p| |x| . |g| + |q| |w|), with and without the rewrite."""
    inputs = variables(dtype)
    x, g, w, p, q = inputs
    m, n, k = sizes
    rng = np.random.default_rng(6)
    arrays = [rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n), (m, n), (), ())]
    a, b, c, alpha, beta = (v.astype(np.longdouble) for v in arrays)
    expected = alpha * (a @ b) - beta * c
    size = abs(alpha) * (abs(a) @ abs(b)) + abs(beta * c)
    for mode in (jitgraph.Mode(), OFF):
        found = compiled(p * T.dot(x, g) - q * w, inputs, mode=mode)(*arrays)
        assert (abs(found - expected) <= (k + 4) * EPS[dtype] * size).all()
    wrong = expected + 2 * (k + 4) * EPS[dtype] * size
    assert not (abs(wrong - expected) <= (k + 4) * EPS[dtype] * size).all()


@pytest.mark.parametrize(
    ("tag", "build"),
    [
        ("gemm_optimizer", lambda x, g, w, v: w - 2 * T.dot(x, g)),
        ("local_dot_to_dot22", lambda x, g, w, v: w - 2 * T.dot(x, g)),
        ("local_dot22_to_dot22scalar", lambda x, g, w, v: 2 * T.dot(x, g)),
        ("local_gemm_to_gemv", lambda x, g, w, v: v - 2 * T.dot(x, v)),
        ("local_gemm_to_ger", lambda x, g, w, v: T.dot(v.dimshuffle(0, "x"), v.dimshuffle("x", 0))),
    ],
)
def test_each_rule_is_switched_by_name(tag: str, build: Callable[..., Any]) -> None:
    x, g, w, *_ = variables("float64")
    v = T.dvector("v")
    inputs = [x, g, w, v]
    arrays = [integers((4, 4), "float64", k) for k in range(3)] + [integers((4,), "float64", 3)]
    on = compiled(build(*inputs), inputs)
    off = compiled(build(*inputs), inputs, mode=jitgraph.Mode().excluding(tag))
    assert on.c_source != off.c_source
    assert np.array_equal(on(*arrays), off(*arrays))


def test_a_column_times_a_row_is_made_by_a_loop() -> None:
    u, v, a = T.dvector("u"), T.dvector("v"), T.dmatrix("a")
    outer = T.dot(u.dimshuffle(0, "x"), v.dimshuffle("x", 0))
    f = compiled(a + 2 * outer, [a, u, v])
    assert "jg_gemm" not in f.c_source
    x, y = integers((6,), "float64", 1), integers((5,), "float64", 2)
    c = integers((6, 5), "float64", 3)
    assert np.array_equal(f(c, x, y), c + 2 * np.outer(x, y))
    x[2] = np.nan
    assert np.array_equal(f(c, x, y), c + 2 * np.outer(x, y), equal_nan=True)


@pytest.mark.parametrize("dtype", EPS)
@pytest.mark.parametrize(("left", "right"), [(1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("ranks", [(3, 3), (3, 2), (2, 3)])
def test_batches_of_transposed_matrices(
    ranks: tuple[int, int], left: int, right: int, dtype: str
) -> None:
    turned = [bool(t and r == 3) for t, r in zip((left, right), ranks, strict=True)]
    x, y = (T.TensorType(dtype, (False,) * r)() for r in ranks)
    given = [v.dimshuffle(0, 2, 1) if t else v for v, t in zip((x, y), turned, strict=True)]
    f = compiled(T.batched_dot(*given), [x, y])
    assert f"jg_batched_dot_{TAG[dtype]}(host, {turned[0]:d}, {turned[1]:d}, " in f.c_source
    assert sum(line.startswith("static void k") for line in f.c_source.splitlines()) == 0
    letters = {3: ("bij", "bjk"), 2: ("bj", "bj")}
    for batch, m, n, k in ((3, 4, 5, 6), (0, 2, 3, 4), (2, 0, 3, 4), (2, 3, 4, 0), (5, 20, 24, 30)):
        a = integers((batch, m, k) if ranks[0] == 3 else (batch, k), dtype, 1)
        b = integers((batch, k, n) if ranks[1] == 3 else (batch, k), dtype, 2)
        out = "b" + "i" * (ranks[0] == 3) + "k" * (ranks[1] == 3)
        expected = np.einsum(f"{letters[ranks[0]][0]},{letters[ranks[1]][1]}->{out}", a, b)
        stored = [v.swapaxes(1, 2).copy() if t else v for v, t in zip((a, b), turned, strict=True)]
        found = f(*stored)
        assert found.dtype == dtype and np.array_equal(found, expected)
    if ranks == (3, 3):
        with pytest.raises(ValueError, match="inner sizes differ"):
            f(np.ones((2, 3, 4), dtype), np.ones((2, 7, 5), dtype))
