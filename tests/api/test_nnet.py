"""The functions of `jitgraph.tensor.nnet`: values, limits, gradients, and the examples of their
documentation."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from api.tools import exactly, result, results
from jitgraph import function, shared
from jitgraph.tensor import nnet

INF, NAN = np.inf, np.nan


def ops_of(f):
    return [node.op.name for node in f.maker.fgraph.toposort()]


# -- the sigmoid family ------------------------------------------------------------------------


def test_sigmoid():
    x, f32 = T.dvector("x"), T.fvector("f32")
    at = [0.0, 1.0, -1.0, 19.0, 19.01, -709.0, -745.0, -746.0, 40.0, INF, -INF, NAN]
    value, single = results(
        [nnet.sigmoid(x), nnet.sigmoid(f32)], {x: at, f32: np.array([0, 15.01, 18, -104, 90], "f")}
    )
    with mpmath.workdps(40):
        exact = [float(1 / (1 + mpmath.exp(-mpmath.mpf(v)))) for v in at[:9]]
    np.testing.assert_allclose(value[:9], exact, rtol=3e-16)
    assert value[3] == 0.99999999439720355 and value[4] < 1
    assert value[7] == 0 and value[8] == 1
    exactly(value[9:], [1, 0, NAN])
    assert single[1] < 1 and single[2:].tolist() == [1, 0, 1]


def test_gradient_of_sigmoid():
    x = T.dvector("x")
    y = nnet.sigmoid(x)
    g, v = results([T.grad(y.sum(), x), y], {x: [-3.0, 0.0, 2.0]})
    np.testing.assert_allclose(g, v * (1 - v), rtol=1e-15)


def test_ultra_fast_sigmoid():
    x, f32 = T.dvector("x"), T.fvector("f32")
    at = np.array([-1e9, -6.0, 0.0, 0.539, 3.3999999, 3.4, 5.9, 6.0, 7.0, INF, NAN])
    value, single = results(
        [nnet.ultra_fast_sigmoid(x), nnet.ultra_fast_sigmoid(f32)], {x: at, f32: [-99, 99]}
    )
    exactly(value[[0, 8]], [0.00247262315663499, 0.997527376843365])
    assert value[1] == value[0] and value[7] == value[8] == value[9]
    assert value[2] == 0.5 and np.isnan(value[10])
    np.testing.assert_allclose(value[4], 0.9722222, atol=1e-7)
    np.testing.assert_allclose(value[5], 0.9677045, atol=1e-7)
    assert single.tolist() == [np.float32(0.00247260928), np.float32(0.997527361)]


def test_error_of_ultra_fast_sigmoid():
    x = T.dvector("x")
    at = np.linspace(-8, 8, 160001)
    error = np.abs(result(nnet.ultra_fast_sigmoid(x), {x: at}) - 1 / (1 + np.exp(-at)))
    np.testing.assert_allclose(error.max(), 0.02764, atol=5e-6)
    assert abs(abs(at[error.argmax()]) - 0.539) < 1e-3


def test_ultra_fast_sigmoid_has_the_gradient_of_its_pieces():
    x = T.dvector("x")
    at = [-8.0, -4.0, -1.0, 0.0, 1.0, 4.0, 8.0, INF, -INF, NAN]
    g = result(T.grad(nnet.ultra_fast_sigmoid(x).sum(), x), {x: at})
    near = 0.375 / 1.5**2
    line = 0.0458812946797165 / 4
    np.testing.assert_allclose(g, [0, line, near, 0.375, near, line, 0, 0, 0, NAN], rtol=1e-15)


def test_hard_sigmoid():
    x, k, f32 = T.dvector("x"), T.ivector("k"), T.fvector("f32")
    at = [-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0]
    out = nnet.hard_sigmoid(x)
    g = T.grad(out.sum(), x)
    values = results(
        [out, g, nnet.hard_sigmoid(k), nnet.hard_sigmoid(f32)], {x: at, k: [-3, 3], f32: [1]}
    )
    np.testing.assert_allclose(values[0], [0, 0, 0.3, 0.5, 0.7, 1, 1], rtol=1e-15)
    assert values[0][0] == 0 and values[0][1] == 0 and values[0][5] == 1 and values[0][6] == 1
    # the slope at the bounds themselves is 0.2
    exactly(values[1], [0, 0.2, 0.2, 0.2, 0.2, 0.2, 0])
    exactly(values[2], [0.0, 1.0], "float64")
    assert values[3].dtype == "float32"
    assert result(nnet.hard_sigmoid(np.array([0.0])), {}).tolist() == [0.5]
    grid = np.linspace(-6, 6, 120001)
    error = np.abs(result(out, {x: grid}) - 1 / (1 + np.exp(-grid)))
    np.testing.assert_allclose(error.max(), 0.07586, atol=5e-6)


def test_worked_example_of_hard_sigmoid():
    """The derivative of hard_sigmoid(w x) with respect to w, and the sign of its zeros."""
    x = T.scalar()
    w = shared(np.float32(1))
    y = nnet.hard_sigmoid(w * x)
    dw = T.grad(y, w)
    expected = {-3: [0.0, -0.0], -1: [0.3, -0.2], 0: [0.5, 0.0], 1: [0.7, 0.2], 3: [1.0, 0.0]}
    for mode in (None, "reference", jg.Mode("c", None)):
        f = function(inputs=[x], outputs=[y, dw], mode=mode)
        for at, (value, slope) in expected.items():
            got = f(at)
            np.testing.assert_allclose(got, [value, slope], rtol=1e-15)
            assert {v.dtype.name for v in got} == {"float64"}
            # As the product says, 0 * 0.2 * -3.
            assert np.signbit(got[1]) == np.signbit(slope)


def test_softplus():
    x, f32 = T.dvector("x"), T.fvector("f32")
    at = [-800.0, -745.0, -40.0, -1.0, 0.0, 16.0, 16.01, 40.0, 800.0, INF, -INF, NAN]
    value, g, single = results(
        [nnet.softplus(x), T.grad(nnet.softplus(x).sum(), x), nnet.softplus(f32)],
        {x: at, f32: [-104, 14.5, 100]},
    )
    with mpmath.workdps(60):
        exact = [float(mpmath.log1p(mpmath.exp(mpmath.mpf(v)))) for v in at[:9]]
    np.testing.assert_allclose(value[:9], exact, rtol=3e-16)
    assert value[0] == 0 and value[1] == 5e-324 and value[8] == 800
    assert value[5] == 16.000000112535169 and value[6] > 16.01
    exactly(value[9:], [INF, 0, NAN])
    np.testing.assert_allclose(
        g[:9], 1 / (1 + np.exp(-np.clip(at[:9], -709, None))), rtol=4e-16, atol=1e-300
    )
    assert single[0] == 0 and single[1] > 14.5 and single[2] == 100


def test_softplus_written_by_hand():
    x = T.dvector("x")
    f = function([x], T.log(1 + T.exp(x)))
    assert ops_of(f) == ["softplus"]
    value = f([800.0, -40.0])
    assert value[0] == 800
    np.testing.assert_allclose(value[1], 4.248354255291589e-18, rtol=1e-15)


@pytest.mark.parametrize("function_", ["sigmoid", "softplus", "ultra_fast_sigmoid", "hard_sigmoid"])
def test_shapes_are_kept(function_):
    for type_ in (T.dscalar, T.dvector, T.drow, T.dtensor4):
        assert getattr(nnet, function_)(type_()).type == type_
    with pytest.raises(TypeError):
        getattr(nnet, function_)("text")


# -- softmax -----------------------------------------------------------------------------------


def test_softmax():
    x, f32 = T.dmatrix("x"), T.fmatrix("f32")
    at = np.array([[1.0, 2.0, 3.0], [1000.0, 1000.0, -1000.0], [-1e300, 0.0, 1.0]])
    value, single = results([nnet.softmax(x), nnet.softmax(f32)], {x: at, f32: at[:1].astype("f")})
    shifted = np.exp(at - at.max(1, keepdims=True))
    np.testing.assert_allclose(value, shifted / shifted.sum(1, keepdims=True), rtol=5e-16)
    assert single.dtype == "float32" and nnet.softmax(x).type == x.type
    assert result(nnet.softmax(x), {x: np.zeros((0, 3))}).shape == (0, 3)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_rows_without_elements(dtype):
    """The sum of no exponentials is 0 and its logarithm -inf, in every form and in every mode."""
    x = T.matrix("x", dtype=dtype)
    e = T.exp(x)
    keep_shape = [
        nnet.softmax(x),
        nnet.logsoftmax(x),
        T.log(nnet.softmax(x)),
        e / e.sum(axis=1, keepdims=True),
        T.grad(T.log(e.sum(axis=1)).sum(), x),
    ]
    logs = [T.log(e.sum(axis=1)), T.logsumexp(x, axis=1), T.log(e.sum()), T.log(e.mean(axis=1))]
    for mode in (None, "FAST_COMPILE", "reference"):
        f = function([x], keep_shape + logs, mode=mode)
        found = f(np.zeros((3, 0), dtype))
        assert all(y.shape == (3, 0) for y in found[:5])
        assert [y.tolist() for y in found[5:8]] == [[-INF] * 3, [-INF] * 3, -INF]
        assert np.isnan(found[8]).all() and found[8].shape == (3,)
        assert all(y.dtype == dtype for y in found)


def test_empty_axes_of_written_softmax():
    cube, v = T.dtensor3("cube"), T.dvector("v")
    e, w = T.exp(cube), T.exp(v)
    f = function([cube, v], [e / e.sum(axis=1, keepdims=True), w / w.sum()])
    assert [y.shape for y in f(np.zeros((2, 0, 3)), [])] == [(2, 0, 3), (0,)]


def test_softmax_of_infinities_is_nan():
    x = T.dmatrix("x")
    value = function([x], nnet.softmax(x))([[INF, 1.0], [-INF, -INF], [-INF, 0.0]])
    assert np.isnan(value[0, 0]) and np.isnan(value[1]).all()
    assert value[2].tolist() == [0, 1]


def test_softmax_of_a_vector_is_a_row():
    v = T.dvector("v")
    y = nnet.softmax(v)
    assert y.type == T.drow
    np.testing.assert_allclose(
        result(y, {v: [1, 2]}), [[0.2689414213699951, 0.7310585786300049]], rtol=1e-15
    )


@pytest.mark.parametrize(
    "type_", [T.dscalar, T.dtensor3, T.imatrix, T.TensorType("bool", (False, False))]
)
def test_softmax_refuses(type_):
    for f in (nnet.softmax, nnet.logsoftmax):
        with pytest.raises(ValueError, match="must be 1-d or 2-d tensor of floats"):
            f(type_())


def test_gradient_of_softmax():
    x = T.dmatrix("x")
    weights = np.array([[1.0, 2.0, 4.0], [0.5, 0.0, -1.0]])
    y = nnet.softmax(x)
    g = T.grad((y * weights).sum(), x)
    at = np.array([[0.1, -0.2, 0.3], [50.0, 0.0, 50.0]])
    sm, got, direct = results([y, g, nnet.softmax_grad(weights, y)], {x: at})
    expected = sm * (weights - (weights * sm).sum(1, keepdims=True))
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-16)
    np.testing.assert_allclose(direct, expected, rtol=0, atol=1e-16)


def test_softmax_written_by_hand_is_stable():
    x = T.dmatrix("x")
    f = function([x], T.exp(x) / T.exp(x).sum(1, keepdims=True))
    assert f([[1000.0, 1000.0], [-1000.0, -1000.0]]).tolist() == [[0.5, 0.5]] * 2
    g = function([x], nnet.softmax_graph(x))
    assert g([[1000.0, 1000.0]]).tolist() == [[0.5, 0.5]]


def test_log_softmax():
    x = T.dmatrix("x")
    direct, composed = nnet.logsoftmax(x), T.log(nnet.softmax(x))
    at = [[1000.0, 0.0], [-1000.0, 0.0]]
    for out in (direct, composed):
        assert function([x], out)(at).tolist() == [[0, -1000], [-1000, 0]]
    g = function([x], T.grad(composed[0, 1], x))(at)
    assert g.tolist() == [[-1, 1], [0, 0]]


def test_softmax_with_bias():
    x, b = T.dmatrix("x"), T.dvector("b")
    given = {x: [[0.0, 0.0]], b: [0.0, np.log(3.0)]}
    np.testing.assert_allclose(
        result(nnet.softmax_with_bias(x, b), given), [[0.25, 0.75]], rtol=1e-15
    )
    for bad in ((T.dvector(), b), (x, T.dmatrix()), (T.imatrix(), b), (x, T.ivector())):
        with pytest.raises(ValueError, match=r"must be .-d tensor of floats"):
            nnet.softmax_with_bias(*bad)


# -- rectifiers --------------------------------------------------------------------------------


def test_relu():
    x, alpha = T.dvector("x"), T.dvector("alpha")
    at = np.array([-2.0, 0.0, 3.0])
    outs = [nnet.relu(x), nnet.relu(x, 0.5), nnet.relu(x, alpha)]
    outs += [T.grad(o.sum(), x) for o in outs]
    values = results(outs, {x: at, alpha: [0.1, 0.2, 0.3]})
    assert [v.tolist() for v in values[:2]] == [[0, 0, 3], [-1, 0, 3]]
    np.testing.assert_allclose(values[2], [-0.2, 0, 3], rtol=1e-15)
    assert [v.tolist() for v in values[3:5]] == [[0, 0.5, 1], [0.5, 0.75, 1]]
    assert np.isnan(function([x], nnet.relu(x))([-INF])[0])
    assert nnet.relu(T.ivector()).dtype == "float64"
    assert nnet.relu(T.fvector()).dtype == "float32"


def test_batch_normalization():
    bn = nnet.bn
    x, g, b = T.dtensor4("x"), T.dtensor4("g"), T.dtensor4("b")
    at = np.random.RandomState(2).randn(4, 3, 2, 2)
    scale, shift = np.random.RandomState(3).rand(2, 1, 3, 1, 1)
    out, mean, invstd, new_mean, new_var = bn.batch_normalization_train(
        x,
        g,
        b,
        axes="spatial",
        running_mean=np.zeros((1, 3, 1, 1)),
        running_var=np.ones((1, 3, 1, 1)),
    )
    m, v = at.mean((0, 2, 3), keepdims=True), at.var((0, 2, 3), keepdims=True)
    given = {x: at, g: scale, b: shift}
    test = bn.batch_normalization_test(x, g, b, mean, v, axes="spatial")
    values = results([out, mean, invstd, new_mean, new_var, test], given)
    expected_out = (at - m) / np.sqrt(v + 1e-4) * scale + shift
    expected = [
        expected_out,
        m,
        1 / np.sqrt(v + 1e-4),
        0.1 * m,
        0.9 + 0.1 * v * 16 / 15,
        expected_out,
    ]
    for value, wanted in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-12, atol=1e-14)
    k = T.dmatrix("k")
    plain = nnet.batch_normalization(k, 2.0, 1.0, 3.0, 4.0)
    assert result(plain, {k: [[5.0, 3.0]]}).tolist() == [[2, 1]]
    per = bn.batch_normalization_train(k, np.ones((1, 2)), np.zeros((1, 2)))
    assert len(per) == 3 and per[1].broadcastable == (True, False)
    for arguments, words in (
        ({"epsilon": 1e-6}, "at least 1e-5"),
        ({"axes": "none"}, "axes are"),
        ({"axes": (0, 2)}, "do not exist"),
        ({"running_mean": np.ones((1, 2))}, "given together"),
    ):
        with pytest.raises(ValueError, match=words):
            bn.batch_normalization_train(k, np.ones((1, 2)), np.zeros((1, 2)), **arguments)
    with pytest.raises(ValueError, match="need as many axes"):
        bn.batch_normalization_train(k, np.ones(2), np.zeros(2))
    with pytest.raises(ValueError, match="mode is 'low_mem' or 'high_mem'"):
        nnet.batch_normalization(k, 1, 0, 0, 1, mode="no_mem")


def test_other_activations():
    x = T.dvector("x")
    outs = [nnet.elu(x), nnet.elu(x, 2.0), nnet.selu(x), nnet.softsign(x)]
    outs += [T.grad(nnet.elu(x, 3.0).sum(), x)]
    values = results(outs, {x: [-1.0, 0.0, 2.0]})
    e = np.expm1(-1.0)
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    np.testing.assert_allclose(values[0], [e, 0, 2], rtol=1e-15)
    np.testing.assert_allclose(values[1], [2 * e, 0, 2], rtol=1e-15)
    np.testing.assert_allclose(values[2], [scale * alpha * e, 0, 2 * scale], rtol=1e-15)
    np.testing.assert_allclose(values[3], [-0.5, 0, 2 / 3], rtol=1e-15)
    np.testing.assert_allclose(values[4], [3 * np.exp(-1), 3, 1], rtol=1e-15)
    assert nnet.selu(T.fvector()).dtype == "float64"


# -- cross-entropies ---------------------------------------------------------------------------


def test_binary_crossentropy():
    o, t = T.dvectors("o", "t")
    value = result(nnet.binary_crossentropy(o, t), {o: [0.25, 0.5], t: [1, 0.25]})
    np.testing.assert_allclose(value, [np.log(4), np.log(2)], rtol=1e-15)
    assert nnet.binary_crossentropy(T.fvector(), T.ivector()).dtype == "float64"
    assert nnet.binary_crossentropy(T.fmatrix(), T.fmatrix()).type == T.fmatrix


def test_binary_crossentropy_of_sigmoid_is_finite_everywhere():
    z, t = T.dvectors("z", "t")
    cost = nnet.binary_crossentropy(nnet.sigmoid(z), t)
    f = function([z, t], [cost, T.grad(cost.sum(), z), nnet.sigmoid_binary_crossentropy(z, t)])
    at = ([-1000.0, 1000.0, 1000.0, -1000.0, 0.0], [1.0, 0.0, 1.0, 0.0, 0.5])
    value, g, direct = f(*at)
    assert value[:4].tolist() == direct[:4].tolist() == [1000, 1000, 0, 0]
    np.testing.assert_allclose(value[4], np.log(2), rtol=1e-15)
    assert g.tolist() == [-1, 1, 0, 0, 0]


def test_categorical_crossentropy():
    p, q, y = T.dmatrix("p"), T.dmatrix("q"), T.ivector("y")
    at = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]])
    given = {p: at, q: [[1, 0, 0], [0.5, 0.5, 0]], y: [1, 2]}
    dense, labels = nnet.categorical_crossentropy(p, q), nnet.categorical_crossentropy(p, y)
    assert dense.ndim == labels.ndim == 1
    values = results([dense, labels, nnet.crossentropy_categorical_1hot(p, y)], given)
    np.testing.assert_allclose(values[0], [np.log(2), np.log(8)], rtol=1e-15)
    np.testing.assert_allclose(values[1], [np.log(4), -np.log(0.75)], rtol=1e-15)
    exactly(values[2], values[1])
    g = result(T.grad(labels.sum(), p), given)
    np.testing.assert_allclose(g, [[0, -4, 0], [0, 0, -1 / 0.75]], rtol=1e-15)


def test_categorical_crossentropy_refuses():
    p = T.dmatrix("p")
    with pytest.raises(TypeError, match="rank mismatch between coding and true distributions"):
        nnet.categorical_crossentropy(p, T.dscalar())
    with pytest.raises(TypeError, match="rank mismatch"):
        nnet.categorical_crossentropy(p, T.itensor3())
    for dtype in ("int8", "uint8", "float64"):
        with pytest.raises(TypeError, match="integer vector required"):
            nnet.categorical_crossentropy(p, T.TensorType(dtype, (False,))())
    with pytest.raises(TypeError):
        nnet.categorical_crossentropy(T.dtensor3(), T.imatrix())
    y = T.ivector("y")
    f = function([p, y], nnet.categorical_crossentropy(nnet.softmax(p), y))
    for bad in ([3], [-4]):
        with pytest.raises((IndexError, ValueError)) as caught:
            f([[0.1, 0.2, 0.3]], bad)
        assert isinstance(caught.value, ValueError) and isinstance(caught.value, IndexError)


def test_crossentropy_of_softmax_never_takes_log_of_zero():
    x, y = T.dmatrix("x"), T.lvector("y")
    cost = nnet.categorical_crossentropy(nnet.softmax(x), y)
    value, g = function([x, y], [cost, T.grad(cost.sum(), x)])(
        [[1000.0, 0.0, -1000.0]] * 3, [0, 1, 2]
    )
    assert value.tolist() == [0, 1000, 2000]
    assert g.tolist() == [[0, 0, 0], [1, -1, 0], [1, 0, -1]]


def test_fused_crossentropies():
    x, b, y = T.dmatrix("x"), T.dvector("b"), T.ivector("y")
    nll, sm, arg = nnet.crossentropy_softmax_argmax_1hot_with_bias(x, b, y)
    outs = [
        nll,
        sm,
        arg,
        *nnet.crossentropy_softmax_1hot(x + b, y),
        *nnet.crossentropy_softmax_1hot_with_bias(x, b, y),
        *nnet.crossentropy_softmax_max_and_argmax_1hot(x + b, y),
        *nnet.crossentropy_softmax_max_and_argmax_1hot_with_bias(x, b, y),
    ]
    at = np.array([[0.0, 1.0, 2.0], [3.0, 0.0, -1.0]])
    given = {x: at, b: [0.5, 0, 0], y: [2, 1]}
    values = results(outs, given)
    z = at + np.array([0.5, 0, 0])
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    wanted_nll, wanted_arg = -np.log(p[[0, 1], [2, 1]]), [2, 0]
    expected = [wanted_nll, p, wanted_arg]
    expected += [wanted_nll, p] * 2 + [wanted_nll, p, p.max(1), wanted_arg] * 2
    for value, wanted in zip(values, expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=1e-14)
    assert arg.dtype == "int32"
    assert isinstance(nnet.crossentropy_softmax_1hot(x, y), list)
    dx = nnet.crossentropy_softmax_1hot_with_bias_dx(np.array([1.0, 2.0]), sm, y)
    got = result(dx, given)
    np.testing.assert_allclose(got, [p[0] - [0, 0, 1], 2 * (p[1] - [0, 1, 0])], rtol=1e-14)
    with pytest.raises(ValueError, match="y_idx must be 1-d tensor of integers"):
        nnet.crossentropy_softmax_argmax_1hot_with_bias(x, b, T.dvector())


# -- the examples of the documentation ---------------------------------------------------------


def test_auto_associator():
    x, b, c = T.dvectors("x", "b", "c")
    W, V = T.dmatrices("W", "V")
    h = nnet.sigmoid(T.dot(W, x) + b)
    r = nnet.sigmoid(T.dot(V, h) + c)
    cost = nnet.binary_crossentropy(r, x).mean()
    f = function([x, b, c, W, V], cost)
    value = f([1.0, 0.0], [0.0] * 3, [900.0, 900.0], np.ones((3, 2)), np.ones((2, 3)))
    h3 = 3 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(value, (900 + h3) / 2, rtol=1e-15)


def test_classifier():
    x, b = T.dvectors("x", "b")
    W, o = T.dmatrix("W"), T.lvector("o")
    y = nnet.softmax(T.dot(W, x) + b)
    cost = nnet.categorical_crossentropy(y, o)
    assert y.type == T.drow
    value = function([x, b, W, o], cost)([1.0, 2.0], [0.0] * 3, np.eye(3, 2), [1])
    z = np.array([1.0, 2.0, 0.0])
    np.testing.assert_allclose(value, [np.log(np.exp(z).sum()) - 2], rtol=1e-14)


def test_printed_expressions():
    W, x, b = T.dmatrix("W"), T.dvector("x"), T.dvector("b")
    assert jg.pprint(nnet.sigmoid(T.dot(W, x) + b)) == r"sigmoid(((W \dot x) + b))"
    assert jg.pprint(nnet.softplus(T.dot(W, x) + b)) == r"softplus(((W \dot x) + b))"
    assert jg.pprint(nnet.softmax(T.dot(W, x) + b)) == r"Softmax(((W \dot x) + b))"


def test_names():
    assert nnet.nnet.softmax is nnet.softmax
    assert nnet.sigm.sigmoid is nnet.sigmoid
    with pytest.raises(AttributeError, match="the function is ultra_fast_sigmoid"):
        nnet.ultra_sigmoid  # noqa: B018


def xor_network(activation, seed):
    """A 3-3-1 network with bias units, trained on XOR for 4000 epochs at rate 0.1."""
    rng = np.random.RandomState(seed)
    x, y = T.dvector(), T.dscalar()

    def layer(x, w):
        bias = np.array([1], dtype=jg.config.floatX)
        return activation(T.dot(w.T, T.concatenate([x, bias])))

    theta1 = shared(np.array(rng.rand(3, 3), dtype=jg.config.floatX))
    theta2 = shared(np.array(rng.rand(4, 1), dtype=jg.config.floatX))
    out = T.sum(layer(layer(x, theta1), theta2))
    loss = nnet.binary_crossentropy(out, y)
    updates = [(t, t - 0.1 * T.grad(loss, wrt=t)) for t in (theta1, theta2)]
    train = function(inputs=[x, y], outputs=loss, updates=updates)
    forward = function(inputs=[x], outputs=out)
    patterns = np.array([[0, 1], [1, 0], [1, 1], [0, 0]]).reshape(4, 2)
    targets = np.array([1, 1, 0, 0])
    for _ in range(4000):
        for k in range(4):
            cost = train(patterns[k], targets[k])
    return float(cost), [float(forward(p)) for p in patterns]


def test_xor_is_learnt_with_sigmoid():
    cost, outputs = xor_network(nnet.sigmoid, seed=0)
    assert cost < 0.02
    assert np.round(outputs).tolist() == [1, 1, 0, 0]
    assert max(abs(np.round(o) - o) for o in outputs) < 0.02


def test_xor_is_not_learnt_with_hard_sigmoid():
    cost, outputs = xor_network(nnet.hard_sigmoid, seed=0)
    assert abs(cost - np.log(2)) < 0.02
    assert all(abs(o - 0.5) < 0.02 for o in outputs)
