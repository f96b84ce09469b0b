"""What elementwise functions mean where there is a choice: zeros, ties, rounding, nan."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from api.tools import exactly, result, results

NAN, INF = np.nan, np.inf


def gradient(build, *values):
    """The gradients of sum(build(x, …)) at `values`, as lists."""
    xs = [T.dvector(f"x{k}") for k in range(len(values))]
    gs = T.grad(build(*xs).sum(), xs, disconnected_inputs="ignore")
    return [g.tolist() for g in results(gs, dict(zip(xs, values, strict=True)))]


# -- arithmetic --------------------------------------------------------------------------------


def test_n_ary_sum_and_product():
    x, y = T.dvectors("x", "y")
    values = results(
        [T.add(x, y, 1, x), T.mul(x, y, 2), T.add(x), T.mul(x)], {x: [1, 2], y: [3, 4]}
    )
    assert [v.tolist() for v in values] == [[6, 9], [6, 16], [1, 2], [1, 2]]


def test_floor_division_and_remainder_of_floats():
    x, y = T.dvectors("x", "y")
    a = np.array([7.0, -7.0, 7.0, -7.0, 0.0, -0.0, 5.5, 1.0, -1.0, INF, 1.0])
    b = np.array([2.0, 2.0, -2.0, -2.0, 3.0, 3.0, -1.5, 0.0, 0.0, 2.0, INF])
    with np.errstate(all="ignore"):
        expected = np.floor_divide(a, b), np.remainder(a, b)
    for value, wanted in zip(results([x // y, x % y], {x: a, y: b}), expected, strict=True):
        exactly(value, wanted, "float64")


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_floor_division_and_remainder_of_integers(dtype):
    v = T.TensorType(dtype, (False,))
    x, y = v("x"), v("y")
    a, b = (np.array(n, dtype) for n in ([7, 7, 0, 9, 5], [2, 3, 3, 4, 0]))
    if dtype.startswith("i"):
        a, b = np.append(a, [-7, 7, -7]).astype(dtype), np.append(b, [2, -2, -2]).astype(dtype)
    quotient, remainder = results([x // y, x % y], {x: a, y: b})
    assert quotient[:5].tolist() == [3, 2, 0, 2, 0]
    assert remainder[:5].tolist() == [1, 1, 0, 1, 0]
    if dtype.startswith("i"):
        assert quotient[5:].tolist() == [-4, -4, 3]
        assert remainder[5:].tolist() == [1, -1, -1]
    assert quotient.dtype == remainder.dtype == dtype


def test_divmod_and_rounded_up_division():
    x, y = T.lvectors("x", "y")
    q, r = divmod(x, y)
    q2, r2 = divmod(17, y)
    given = {x: np.array([7, -7, 8]), y: np.array([2, 2, 4])}
    values = results([q, r, q2, r2, T.ceil_intdiv(x, y), *T.divmod(x, y)], given)
    assert [v.tolist() for v in values] == [
        [3, -4, 2],
        [1, 1, 0],
        [8, 8, 4],
        [1, 1, 1],
        [4, -3, 2],
        [3, -4, 2],
        [1, 1, 0],
    ]


def test_gradients_of_floor_division_and_remainder():
    assert gradient(lambda x, y: x // y, [7.5, -7.5], [2.0, 2.0]) == [[0, 0], [0, 0]]
    assert gradient(lambda x, y: x % y, [7.5, -7.5], [2.0, 2.0]) == [[1, 1], [-3, 4]]


def test_power():
    x, y = T.dvectors("x", "y")
    value = result(x**y, {x: [0, 0, 2, -8, 9, -2], y: [0, -1, 10, 1 / 3, 0.5, 3]})
    exactly(value, [1, INF, 1024, NAN, 3, -8])
    k = T.lvector("k")
    assert result(k**2, {k: [3, -4]}).tolist() == [9, 16]
    assert result(k ** T.constant(np.int64(-1)), {k: np.array([1, -1, 5, 0])}).tolist()[:3] == [
        1,
        -1,
        0,
    ]
    b = T.TensorType("bool", (False,))("b")
    assert result(b**b, {b: np.array([True, False])}).dtype == "int8"


def test_gradients_of_power():
    gx, gy = gradient(lambda x, y: x**y, [0.0, 2.0, 0.0], [2.0, 3.0, 0.0])
    assert gx[:2] == [0, 12]
    # d/dy = log(x) x^y, taken as 0 where x is 0
    assert gy == [0, 8 * np.log(2.0), 0]
    assert gradient(lambda x: x**2, [3.0, -4.0]) == [[6, -8]]


def test_reciprocal_square_and_sign():
    x = T.dvector("x")
    values = results([T.inv(x), T.sqr(x), T.sgn(x), abs(x), -x], {x: [-2.0, 0.0, -0.0, NAN, INF]})
    exactly(values[0], [-0.5, INF, -INF, NAN, 0.0])
    exactly(values[1], [4.0, 0.0, 0.0, NAN, INF])
    np.testing.assert_array_equal(values[2], [-1, 0, 0, NAN, 1])
    exactly(values[3], [2.0, 0.0, 0.0, NAN, INF])
    np.testing.assert_array_equal(values[4], [2, 0, 0, NAN, -INF])
    assert T.square is T.sqr
    assert gradient(T.abs_, [-3.0, 0.0, 3.0]) == [[-1, 0, 1]]
    assert gradient(lambda x: T.sgn(x) + x * 0, [-3.0, 2.0]) == [[0, 0]]


# -- extrema -----------------------------------------------------------------------------------


def test_maximum_and_minimum():
    x, y = T.dvectors("x", "y")
    given = {x: [1, NAN, 3, -INF], y: [2, 0, NAN, INF]}
    exactly(result(T.maximum(x, y), given), [2, NAN, NAN, INF])
    exactly(result(T.minimum(x, y), given), [1, NAN, NAN, -INF])


def test_a_tie_sends_the_gradient_to_the_first_argument():
    at = ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    assert gradient(T.maximum, *at) == [[0, 1, 1], [1, 0, 0]]
    assert gradient(T.minimum, *at) == [[1, 1, 0], [0, 0, 1]]


def test_largest_and_smallest():
    x, y, z = T.dvectors("x", "y", "z")
    given = {x: [1, 5], y: [2, 4], z: [3, 0]}
    assert result(T.largest(x, y, z), given).tolist() == [3, 5]
    assert result(T.smallest(x, y, z), given).tolist() == [1, 0]
    assert result(T.largest(x, 2.5), {x: [1, 5]}).tolist() == [2.5, 5]


def test_clip():
    x = T.dvector("x")
    exactly(result(T.clip(x, -1, 1), {x: [-5, -1, 0, 1, 5, NAN]}), [-1, -1, 0, 1, 1, NAN])
    # the lower bound wins where it is the larger
    assert result(T.clip(x, 3, 1), {x: [0, 2, 4]}).tolist() == [3, 3, 1]
    assert result(x.clip(0, 2), {x: [3.0]}) == 2
    assert T.clip(T.ivector(), 0, 1).dtype == "int32"
    assert gradient(lambda x: T.clip(x, -1, 1), [-2.0, -1.0, 0.0, 1.0, 2.0]) == [[0, 1, 1, 1, 0]]


# -- rounding ----------------------------------------------------------------------------------


def test_rounding():
    x = T.dvector("x")
    at = np.array([-2.5, -1.5, -0.5, -0.4, 0.5, 1.5, 2.5, 2.6, 4503599627370497.5, NAN, -INF])
    even, away, to_int = T.round(x), T.round(x, mode="half_away_from_zero"), T.iround(x)
    values = results([even, away, T.ceil(x), T.floor(x), T.trunc(x)], {x: at})
    exactly(values[0], np.rint(at))
    expected_away = [-3, -2, -1, -0.0, 1, 2, 3, 3, 4503599627370498, NAN, -INF]
    exactly(values[1], expected_away)
    exactly(values[2], np.ceil(at))
    exactly(values[3], np.floor(at))
    exactly(values[4], np.trunc(at))
    assert result(to_int, {x: [0.5, 1.5, -2.5]}).tolist() == [0, 2, -2]
    assert result(x.round(), {x: [2.5]}).tolist() == [2]
    with pytest.raises(Exception, match='round mode "up" is not implemented') as caught:
        T.round(x, mode="up")
    assert type(caught.value) is Exception
    assert gradient(lambda x: T.round(x) + T.floor(x) + T.ceil(x) + x * 0, [1.3]) == [[0]]
    assert T.round(x, mode="half_to_even").owner.op.name == "round_half_to_even"


def test_rounding_of_integers():
    k = T.ivector("k")
    for f in (T.ceil, T.floor, T.trunc):
        exactly(result(f(k), {k: [3, -4]}), [3.0, -4.0], "float64")
    with pytest.raises(TypeError, match="float operands only"):
        T.round_half_away_from_zero(k)


# -- comparisons and tests ---------------------------------------------------------------------


def test_comparisons_with_nan():
    x, y = T.dvectors("x", "y")
    given = {x: [1, NAN, 2], y: [1, NAN, 3]}
    functions = (T.eq, T.neq, T.lt, T.le, T.gt, T.ge)
    values = results([f(x, y) for f in functions], given)
    assert [v.tolist() for v in values] == [
        [True, False, False],
        [False, True, True],
        [False, False, True],
        [True, False, True],
        [False, False, False],
        [True, False, False],
    ]
    # equality with itself is not simplified: it tells nan
    assert result(T.neq(x, x), {x: [1, NAN]}).tolist() == [False, True]
    assert result(T.eq(x, x), {x: [1, NAN]}).tolist() == [True, False]


def test_comparison_of_different_integers():
    a, b = T.TensorType("uint8", (False,))("a"), T.bvector("b")
    assert result(a > b, {a: np.array([200], "uint8"), b: np.array([-1], "int8")}).tolist() == [
        True
    ]


def test_isnan_and_isinf():
    x, k = T.dvector("x"), T.ivector("k")
    values = results(
        [T.isnan(x), T.isinf(x), T.isnan(k), T.isinf(k)], {x: [1, NAN, -INF], k: [1, 2]}
    )
    assert [v.tolist() for v in values] == [
        [False, True, False],
        [False, False, True],
        [False, False],
        [False, False],
    ]
    assert {v.dtype.name for v in values} == {"bool"}


@pytest.mark.parametrize("equal_nan", [False, True])
def test_isclose(equal_nan):
    x, y = T.dvectors("x", "y")
    a = np.array([1, 1, 1e10, NAN, NAN, INF, INF, -INF, 0.0, 1e-9])
    b = np.array([1, 1.0001, 1.00001e10, NAN, 1, INF, -INF, 1, 1e-9, 0.0])
    value = result(T.isclose(x, y, equal_nan=equal_nan), {x: a, y: b})
    assert value.tolist() == np.isclose(a, b, equal_nan=equal_nan).tolist()
    both = result(T.allclose(x, y, equal_nan=equal_nan), {x: a[:1], y: b[:1]})
    assert both.shape == () and both.dtype == "bool" and both


# -- bits and selection ------------------------------------------------------------------------


def test_bits():
    a, b = T.ivectors("a", "b")
    given = {a: [12, -1], b: [10, 6]}
    values = results([a & b, a | b, a ^ b, ~a, T.bitwise_and(a, b), T.bitwise_not(a)], given)
    assert [v.tolist() for v in values] == [[8, 6], [14, -1], [6, -7], [-13, 0], [8, 6], [-13, 0]]
    p = T.TensorType("bool", (False,))("p")
    assert result(~p, {p: np.array([True, False])}).tolist() == [False, True]
    assert T.invert is T.bitwise_not
    for f in (T.and_, T.or_, T.xor):
        with pytest.raises(TypeError, match="bool or integer operands only"):
            f(T.dvector(), a)
    with pytest.raises(TypeError):
        T.invert(T.dvector())


def test_switch():
    c, x = T.ivector("c"), T.dvector("x")
    assert T.where is T.switch
    assert result(T.switch(c, x, -1), {c: [0, 1, -5], x: [1, 2, 3]}).tolist() == [-1, 2, 3]
    d = T.dvector("d")
    assert result(T.switch(d, 1, 2), {d: [0.0, NAN, 0.1]}).tolist() == [2, 1, 1]
    m, row = T.dmatrix("m"), T.dvector("row")
    value = result(T.switch(m > 0, row, 0.0), {m: [[1, -1], [-1, 1]], row: [5, 6]})
    assert value.tolist() == [[5, 0], [0, 6]]
    with pytest.raises(TypeError, match="switch takes 3 arguments, got 1"):
        T.where(c)


def test_the_branch_not_taken_gets_no_gradient():
    x = T.dvector("x")
    g = T.grad(T.switch(x > 0, T.log(x), 0.0).sum(), x)
    # 0 / 0 is not computed: the mask is moved behind the division
    assert jg.function([x], g)([1.0, 0.0, -1.0]).tolist() == [1, 0, 0]
    assert gradient(lambda c, x: T.switch(c, x, 2 * x), [1.0, 0.0], [3.0, 3.0]) == [[0, 0], [1, 2]]


def test_fill():
    m, v = T.dmatrix("m"), T.fvector("v")
    value = result(T.fill(m, v), {m: np.zeros((2, 3)), v: np.array([1, 2, 3], "float32")})
    exactly(value, [[1, 2, 3], [1, 2, 3]], "float32")
    assert T.second is T.fill
    assert result(m.fill(7), {m: np.zeros((1, 2))}).tolist() == [[7, 7]]
    copied = m.copy(name="twin")
    assert copied.name == "twin" and copied.owner.op.name == "identity"
    assert T.tensor_copy is T.identity


def test_logarithms_of_zero_products():
    x, y = T.dvectors("x", "y")
    value = result(T.xlogx.xlogx(x), {x: [0, 1, np.e]})
    np.testing.assert_allclose(value, [0, 0, np.e], rtol=1e-15)
    exactly(result(T.xlogx.xlogy0(x, y), {x: [0, 0, 2], y: [0, 5, 1]}), [0.0, 0.0, 0.0])
    assert gradient(T.xlogx.xlogx, [1.0]) == [[1]]
    assert gradient(T.xlogx.xlogy0, [2.0], [4.0]) == [[np.log(4.0)], [0.5]]


def test_special_functions():
    x = T.dvector("x")
    pairs = [
        (T.erfinv, 0.5, 0.47693627620446987),
        (T.psi, 1.0, -0.5772156649015329),
        (T.erf, 0.5, 0.5204998778130465),
        (T.erfc, 0.5, 0.4795001221869535),
        (T.gamma, 5.0, 24.0),
        (T.gammaln, 10.0, 12.801827480081469),
        (T.j0, 1.0, 0.7651976865579666),
    ]
    for f, at, expected in pairs:
        np.testing.assert_allclose(result(f(x), {x: [at]}), [expected], rtol=2e-14)
    k = T.dvector("k")
    value = result(T.gammau(k, x), {k: [2.0], x: [1.0]})
    np.testing.assert_allclose(value, [0.7357588823428847], rtol=1e-13)


def test_domain_errors_are_values():
    x = T.dvector("x")
    values = results([T.log(x), T.sqrt(x), T.arcsin(x), T.log1p(x)], {x: [-1.0, 0.0, 2.0]})
    assert np.isnan(values[0][0]) and values[0][1] == -INF
    assert np.isnan(values[1][0]) and values[1][1] == 0
    assert np.isnan(values[2][2])
    assert values[3][0] == -INF
    assert gradient(T.sqrt, [0.0, 4.0]) == [[INF, 0.25]]


# -- broadcasting ------------------------------------------------------------------------------


def test_broadcasting_follows_the_pattern():
    m, v, r, c, s = T.dmatrix("m"), T.dvector("v"), T.drow("r"), T.dcol("c"), T.dscalar("s")
    assert (m + v).broadcastable == (False, False)
    assert (r + c).broadcastable == (False, False)
    assert (r + s).broadcastable == (True, False)
    a = np.arange(6.0).reshape(2, 3)
    given = {m: a, v: [1, 2, 3], r: [[1, 2, 3]], c: [[10], [20]], s: 5.0}
    values = results([m + v, m + r, m + c, r + c, m + s], given)
    row, col = np.array([[1.0, 2, 3]]), np.array([[10.0], [20]])
    for value, wanted in zip(values, [a + row, a + row, a + col, row + col, a + 5], strict=True):
        exactly(value, wanted)


def test_an_axis_that_is_not_marked_does_not_stretch():
    a, b = T.dmatrices("a", "b")
    for mode in (None, "reference"):
        f = jg.function([a, b], a + b, mode=mode)
        assert f(np.ones((1, 4)), np.ones((1, 4))).shape == (1, 4)
        with pytest.raises(ValueError, match=r"add: .*axis 0") as caught:
            f(np.ones((1, 4)), np.ones((2, 4)))
        if mode is None:
            assert "a float64[1, 4], b float64[2, 4]" in str(caught.value)


def test_gradients_are_summed_over_stretched_axes():
    m, v, c = T.dmatrix("m"), T.dvector("v"), T.dcol("c")
    gs = T.grad((m * v + c).sum(), [m, v, c])
    given = {m: [[1, 2, 3], [4, 5, 6]], v: [1, 2, 3], c: [[0], [0]]}
    gm, gv, gc = results(gs, given)
    assert gm.tolist() == [[1, 2, 3], [1, 2, 3]]
    assert gv.tolist() == [5, 7, 9]
    assert gc.tolist() == [[3], [3]]


def test_methods_are_the_functions():
    x = T.dvector("x")
    names = (
        "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan arcsin arccos arctan sinh cosh tanh "
        "arcsinh arccosh arctanh ceil floor trunc deg2rad rad2deg"
    ).split()
    for name in names:
        assert getattr(x, name)().owner.op == getattr(T, name)(x).owner.op
    present = (
        "T all any argmax argmin argsort astype broadcastable choose clip compress conj conjugate "
        "copy cumprod cumsum diagonal dimshuffle dot dtype fill flatten get_scalar_constant_value "
        "imag max mean min ndim nonzero nonzero_values norm ones_like prod ptp ravel real repeat "
        "reshape round searchsorted shape size sort squeeze std sum swapaxes take trace transfer "
        "transpose var zeros_like"
    ).split()
    missing = [name for name in present if not hasattr(type(x), name)]
    assert missing == []
    assert x.transfer("cpu") is x
    with pytest.raises(ValueError, match="the only device is 'cpu'"):
        x.transfer("gpu")
