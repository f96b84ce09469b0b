"""Indexing by ints, slices, arrays and masks; functional writes; gradients of both."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from api.tools import exactly, result, results

A = np.arange(60.0).reshape(3, 4, 5)
M = np.arange(12.0).reshape(3, 4)


@pytest.fixture(scope="module")
def xs():
    return T.dtensor3("x"), T.dmatrix("m"), T.dvector("v"), T.lscalar("i"), T.lscalar("j")


BASIC = [
    np.s_[0],
    np.s_[-1],
    np.s_[1, 2],
    np.s_[1, 2, 3],
    np.s_[1:],
    np.s_[:-1],
    np.s_[::2],
    np.s_[::-1],
    np.s_[-1:0:-1],
    np.s_[5:],
    np.s_[2:1],
    np.s_[-99:99],
    np.s_[:, 1],
    np.s_[:, ::-2, 3:],
    np.s_[..., 0],
    np.s_[0, ..., 1:3],
    np.s_[...],
    np.s_[:],
    np.s_[None],
    np.s_[:, None],
    np.s_[..., None],
    np.s_[None, :, :, None, 1:2],
    np.s_[0, None, 1],
    np.s_[np.int64(1), np.int8(2)],
    np.s_[1:2],
    (),
]


def test_basic_indexing(xs):
    x = xs[0]
    for key, value in zip(BASIC, results([x[k] for k in BASIC], {x: A}), strict=True):
        exactly(value, A[key])


def test_symbolic_ints_and_slices(xs):
    x, _, _, i, j = xs
    keys = [
        lambda i, j: np.s_[i],
        lambda i, j: np.s_[i:j],
        lambda i, j: np.s_[:, i:, ::j],
        lambda i, j: np.s_[i - 2, : j - 4],
        lambda i, j: np.s_[:: i - 2],
        lambda i, j: np.s_[j:i:-1, 0],
        lambda i, j: np.s_[..., i, None],
    ]
    outs = [x[k(i, j)] for k in keys]
    for a, b in ((1, 2), (0, 3), (-1, 1), (1, 9)):
        if a == 1 and b == 9:
            outs = outs[:6]
        with np.errstate(all="ignore"):
            values = results(outs, {x: A, i: a, j: b})
        for key, value in zip(keys, values, strict=False):
            exactly(value, A[key(a, b)])


def test_patterns_of_slices(xs):
    _x, m, *_ = xs
    row = T.drow("r")
    assert m[0:1].broadcastable == (False, False)
    assert row[:, 1:].broadcastable == (True, False)
    assert row[0:1].broadcastable == (True, False)
    assert row[0].broadcastable == (False,)
    assert m[None].broadcastable == (True, False, False)
    assert m[:, None].broadcastable == (False, True, False)


def test_refused_indices(xs):
    x, m, _v, *_ = xs
    for key in (np.s_[0, 0, 0], np.s_[0, 0, 0, ...], np.s_[:, :, :]):
        with pytest.raises(IndexError, match="too many indices for m"):
            m[key]
    for key in (1.0, np.float32(1), T.dscalar("f"), [0.5], np.array([1.5])):
        with pytest.raises(TypeError, match="index"):
            m[key]
    with pytest.raises(IndexError, match="only have a single ellipsis"):
        x[..., ...]
    for key in (True, [True, False, True]):
        with pytest.raises(TypeError, match="bool"):
            m[key]
    with pytest.raises(TypeError, match="'a' cannot be an index"):
        m["a"]
    with pytest.raises(IndexError, match="index 1 of axis 0 of r"):
        T.drow("r")[1]
    with pytest.raises(TypeError):
        m[1.5:]


@pytest.mark.parametrize("mode", [None, "reference"])
def test_index_out_of_range(xs, mode):
    _, m, v, i, _ = xs
    f = jg.function([v, i], v[i] * 2, mode=mode)
    assert f([1.0, 2.0], -2) == 2
    for bad in (2, -3):
        with pytest.raises(IndexError):
            f([1.0, 2.0], bad)
    k = T.ivector("k")
    g = jg.function([m, k], m[k], mode=mode)
    with pytest.raises(IndexError):
        g(M, [0, 3])


def test_index_arrays(xs):
    x, m, _v, i, _ = xs
    k, q, n = T.ivector("k"), T.lvector("q"), T.imatrix("n")
    a, b = np.array([2, 0, -1], "int32"), np.array([1, 1, 3])
    two = np.array([[0, 1], [2, 0]], "int32")
    cases = [
        (m[k], M[a]),
        (m[[0, 2]], M[[0, 2]]),
        (m[np.array([0, 2])], M[[0, 2]]),
        (m[:, q], M[:, b]),
        (m[k, q], M[a, b]),
        (m[k, 1], M[a, 1]),
        (m[0, q], M[0, b]),
        (x[k, :, q], A[a, :, b]),
        (x[:, k, q], A[:, a, b]),
        (x[k, q], A[a, b]),
        (x[n], A[two]),
        (x[n, :, 1], A[two, :, 1]),
        (x[1:, k], A[1:, a]),
        (x[..., q], A[..., b]),
        (x[k, None], A[a, None]),
        (x[k][:, q], A[a][:, b]),
        (x[n, k[:2]], A[two, a[:2]]),
        (x[i, q], A[1, b]),
        (m[k[:0]], M[:0]),
        (m[[]], M[:0]),
        (m[T.arange(m.shape[0]), q], M[np.arange(3), b]),
    ]
    given = {x: A, m: M, k: a, q: b, n: two, i: 1}
    for value, (_, expected) in zip(results([c[0] for c in cases], given), cases, strict=True):
        exactly(value, expected)


def test_masks(xs):
    x, m, v, *_ = xs
    p = T.TensorType("bool", (False,))("p")
    mask = np.array([True, False, True])
    cases = [
        (m[m > 5], M[M > 5]),
        (m[p], M[mask]),
        (m[mask], M[mask]),
        (x[x > 30], A[A > 30]),
        (x[p, 1], A[mask, 1]),
        (x[m[:, :4] > 3], A[M > 3]),
        (m[T.nonzero(m > 8)], M[M > 8]),
        (m.nonzero_values(), M[M != 0]),
        (T.flatnonzero(m > 8), np.flatnonzero(M > 8)),
        (T.nonzero(m > 8, return_matrix=True), np.array(np.nonzero(M > 8))),
        (m.nonzero()[1], np.nonzero(M)[1]),
    ]
    given = {x: A, m: M, p: mask}
    for value, (_, expected) in zip(results([c[0] for c in cases], given), cases, strict=True):
        exactly(value, expected)
    ints = T.bvector("ints")
    assert result(v[ints], {v: [5, 6], ints: [1, 0, 1]}).tolist() == [6, 5, 6]
    with pytest.raises(IndexError):
        jg.function([m, p], m[p])(M, mask[:2])
    with pytest.raises(ValueError, match="nonzero of the scalar"):
        T.nonzero(T.dscalar("s"))


def test_one_hot():
    y = T.ivector("y")
    one_hot = T.extra_ops.to_one_hot
    exactly(result(one_hot(y, 4), {y: [2, 0]}), [[0.0, 0, 1, 0], [1, 0, 0, 0]], "float64")
    assert one_hot(y, 4, dtype="int8").dtype == "int8"
    with pytest.raises(IndexError):
        jg.function([y], one_hot(y, 4))([4])


# -- writes ------------------------------------------------------------------------------------


def written(kind, a, key, y):
    out = a.copy()
    if kind == "set":
        out[key] = y
    else:
        np.add.at(out, key, y)
    return out


@pytest.mark.parametrize("kind", ["set", "inc"])
def test_writes(xs, kind):
    _x, m, v, i, _ = xs
    write = T.set_subtensor if kind == "set" else T.inc_subtensor
    k = T.lvector("k")
    keys = [
        (np.s_[0], 5.0),
        (np.s_[1, 2], -1.0),
        (np.s_[::2], np.arange(4.0)),
        (np.s_[:, ::-1], M + 100),
        (np.s_[:0], 7.0),
        (np.s_[...], 1.0),
        (np.s_[[0, 2]], np.array([[1.0], [2.0]])),
        (np.s_[[0, 1], [3, 3]], np.array([9.0, 8.0])),
        (np.s_[:, [0, 2]], 4.0),
        (np.s_[M > 6], -5.0),
        (np.s_[1:, 1:3], np.ones((2, 2))),
    ]
    outs = [write(m[key], y) for key, y in keys] + [write(m[k], 1.0), write(m[i:, 0], v)]
    given = {m: M, k: [1, 1], i: 1, v: [50.0, 60.0]}
    values = results(outs, given)
    for (key, y), value in zip(keys, values, strict=False):
        exactly(value, written(kind, M, key, y))
    exactly(values[-2], written(kind, M, [1, 1], 1.0))
    exactly(values[-1], written(kind, M, np.s_[1:, 0], [50.0, 60.0]))


def test_duplicate_indices():
    v = T.dvector("v")
    inc = T.inc_subtensor(v[[0, 0]], [1, 2])
    put = T.set_subtensor(v[[0, 0]], [1, 2])
    values = results([inc, put], {v: [0.0, 5.0]})
    assert [u.tolist() for u in values] == [[3, 5], [2, 5]]


def test_writes_are_functional(xs):
    _, m, *_ = xs
    a = M.copy()
    f = jg.function([m], [T.set_subtensor(m[0], 0), T.inc_subtensor(m[0], 1), m])
    first = f(a)
    np.testing.assert_array_equal(a, M)
    assert first[0][0].tolist() == [0] * 4 and first[1][0].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(first[2], M)


def test_writes_through_views(xs):
    _x, m, _v, *_ = xs
    outs = [
        T.set_subtensor(m[1:].T, np.zeros((4, 2))),
        T.inc_subtensor(m[:, 0].dimshuffle("x", 0), np.ones((1, 3))),
        T.set_subtensor(m[0].reshape((2, 2)), [[9, 8], [7, 6]]),
        T.inc_subtensor(m[0], 1, set_instead_of_inc=True),
    ]
    expected = [M.copy() for _ in range(4)]
    expected[0][1:] = 0
    expected[1][:, 0] += 1
    expected[2][0] = [9, 8, 7, 6]
    expected[3][0] = 1
    for value, wanted in zip(results(outs, {m: M}), expected, strict=True):
        exactly(value, wanted)


def test_dtypes_of_writes():
    k, f = T.ivector("k"), T.fvector("f")
    outs = [T.set_subtensor(k[0], 1.9), T.set_subtensor(f[:1], np.array([0.1]))]
    values = results(outs, {k: [5, 6], f: [1, 2]})
    exactly(values[0], [1, 6], "int32")
    exactly(values[1], np.array([0.1, 2], "float32"), "float32")


def test_refused_writes(xs):
    x, m, v, *_ = xs
    for write in (T.set_subtensor, T.inc_subtensor):
        with pytest.raises(TypeError, match="x must be the result of a subtensor operation"):
            write(m, 0)
        with pytest.raises(TypeError, match="x must be the result of a subtensor operation"):
            write(m + 1, 0)
        with pytest.raises(TypeError, match="more axes"):
            write(m[0], m)
        with pytest.raises(TypeError, match="more axes"):
            write(m[[0, 1]], x)
        for key in (np.s_[0], np.s_[[0, 1]]):
            f = jg.function([m, v], write(m[key], v))
            with pytest.raises(ValueError):
                f(M, [1.0, 2.0, 3.0])


# -- gradients ---------------------------------------------------------------------------------


def test_gradients_of_reading(xs):
    _x, m, _v, _i, _ = xs
    k = T.lvector("k")
    gs = [
        T.grad(m[1].sum(), m),
        T.grad(m[::2, 1:3].sum(), m),
        T.grad(m[k].sum(), m),
        T.grad(m[k, k].sum(), m),
        T.grad((m[m > 2] ** 2).sum(), m),
    ]
    at = np.array([[1.0, 2], [3, 4]])
    values = results(gs[:1] + gs[2:], {m: at, k: [0, 0]})
    assert [g.tolist() for g in values] == [
        [[0, 0], [1, 1]],
        [[2, 2], [0, 0]],
        [[2, 0], [0, 0]],
        [[0, 0], [6, 8]],
    ]
    assert result(gs[1], {m: M}).tolist() == [[0, 1, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0]]


def test_gradients_of_writing(xs):
    _, m, v, *_ = xs
    weights = np.array([[1.0, 2], [3, 4]])
    set_cost = (T.set_subtensor(m[0], v) * weights).sum()
    inc_cost = (T.inc_subtensor(m[:, 0], v) * weights).sum()
    dup_cost = (T.inc_subtensor(m[[0, 0]], v) * weights).sum()
    gs = T.grad(set_cost, [m, v]) + T.grad(inc_cost, [m, v]) + T.grad(dup_cost, [m, v])
    values = results(gs, {m: [[0, 0], [0, 0]], v: [5, 6]})
    assert [g.tolist() for g in values] == [
        [[0, 0], [3, 4]],
        [1, 2],
        [[1, 2], [3, 4]],
        [1, 3],
        [[1, 2], [3, 4]],
        [2, 4],
    ]


def test_index_of_log_probabilities():
    x, y = T.dmatrix("x"), T.ivector("y")
    logp = T.log(T.nnet.softmax(x))
    cost = -T.mean(logp[T.arange(y.shape[0]), y])
    f = jg.function([x, y], [cost, T.grad(cost, x)])
    value, grad = f([[1000.0, 0.0], [0.0, 1000.0]], [1, 1])
    assert value == 500
    np.testing.assert_array_equal(grad, [[0.5, -0.5], [0, 0]])


# -- new axes in functional writes --------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "key"),
    [
        ("v", np.s_[:, None]),
        ("v", np.s_[None]),
        ("v", np.s_[None, ::-1]),
        ("m", np.s_[1, None, 1:]),
        ("m", np.s_[:, None, 2]),
        ("m", np.s_[[0, 2], None]),
        ("x", np.s_[[0, 0], None, :, [1, 2]]),
        ("x", np.s_[0, :, None, [1, 3, 1]]),
    ],
)
def test_writes_with_new_axes_have_the_type_of_the_whole(xs, base, key):
    v = dict(zip("xmv", xs[:3], strict=True))[base]
    at = {"x": A, "m": M, "v": A[0, 0]}[base]
    part = at[key]
    y = np.arange(part.size).reshape(part.shape) + 0.5
    stored, added = at.copy(), at.copy()
    stored[key] = y
    np.add.at(added, key, y)
    outs = [T.set_subtensor(v[key], y), T.inc_subtensor(v[key], y)]
    assert [out.type for out in outs] == [v.type, v.type]
    for value, expected in zip(results(outs, {v: at}), (stored, added), strict=True):
        exactly(value, expected)


def test_writes_with_new_axes_stretch_what_is_written(xs):
    _, _, v, *_ = xs
    y, column = T.dvector("y"), T.dmatrix("column")
    given = {v: np.arange(3.0), y: np.array([5.0, 6, 7]), column: np.array([[1.0], [2], [3]])}
    outs = [T.set_subtensor(v[None], y), T.set_subtensor(v[:, None], column)]
    for value, expected in zip(results(outs, given), ([5.0, 6, 7], [1.0, 2, 3]), strict=True):
        exactly(value, np.array(expected))
    with pytest.raises(ValueError, match="column float64"):
        result(T.set_subtensor(v[:, None], column), {v: np.arange(3.0), column: np.ones((3, 2))})
    with pytest.raises(TypeError, match="has more axes than the 2"):
        T.set_subtensor(v[None], T.dtensor3())
    with pytest.raises(TypeError, match="subtensor"):
        T.set_subtensor(column.T, 1.0)  # a permutation is not an index


# -- what NumPy refuses -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["FAST_RUN", "reference"])
def test_a_slice_step_of_zero_is_an_error(xs, mode):
    _, m, _, i, _ = xs
    for out in (m[::i], m[:, 3::i], T.set_subtensor(m[::i], 0.0), m[::i, [1]]):
        with pytest.raises(ValueError, match="slice step") as caught:
            jg.function([m, i], out, mode=mode)(M, 0)
        if mode == "FAST_RUN":
            assert "i int64[]" in str(caught.value)
    exactly(jg.function([m, i], m[::i], mode=mode)(M, -2), M[::-2])
    for key in (np.s_[::0], np.s_[:, ::0], np.s_[::0, [0]]):
        with pytest.raises(ValueError, match="slice step cannot be zero"):
            m[key]


def test_a_negative_index_out_of_range_is_named_as_written(xs):
    _, m, _, i, _ = xs
    f = jg.function([m, i], m[0, i])
    for index, text in ((-5, "axis 1: -5 of 4"), (-9, "axis 1: -9 of 4"), (4, "axis 1: 4 of 4")):
        with pytest.raises(IndexError, match=text):
            f(M, index)
