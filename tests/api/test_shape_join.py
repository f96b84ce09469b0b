"""Reshaping, permuting, creating, joining, repeating and splitting arrays."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from api.tools import exactly, result, results
from jitgraph.tensor.basic import AsTensorError

A = np.arange(24.0).reshape(2, 3, 4)
M = np.arange(12.0).reshape(3, 4)


def check(pairs, given):
    """Each expression has the value that NumPy computes."""
    values = results([out for out, _ in pairs], given)
    for (out, expected), value in zip(pairs, values, strict=True):
        exactly(value, expected)
        marks = zip(out.broadcastable, value.shape, strict=True)
        assert all(n == 1 for fixed, n in marks if fixed)


# -- shape -------------------------------------------------------------------------------------


def test_shape():
    x, v = T.dtensor3("x"), T.dvector("v")
    pairs = [
        (x.shape, [2, 3, 4]),
        (T.shape(x)[1], 3),
        (x.shape[-1], 4),
        (x.size, 24),
        (v.size, 5),
        (x.shape[1:], [3, 4]),
        (T.dscalar("s").size, 1),
    ]
    check(pairs[:-1], {x: A, v: np.ones(5)})
    assert result(pairs[-1][0]) == 1
    assert x.shape.type == T.lvector


def test_the_shape_is_known_without_computing_the_data():
    x, y = T.dmatrices("x", "y")
    f = jg.function([x, y], T.dot(T.exp(x), y).shape)
    names = {n.op.name for n in f.maker.fgraph.toposort()}
    assert "dot" not in names and "exp" not in names
    assert f(np.ones((2, 3)), np.ones((3, 5))).tolist() == [2, 5]


def test_reshape():
    x, n, shape = T.dtensor3("x"), T.lscalar("n"), T.lvector("shape")
    check(
        [
            (x.reshape((6, 4)), A.reshape(6, 4)),
            (x.reshape([n, -1]), A.reshape(4, 6)),
            (T.reshape(x, (-1,)), A.ravel()),
            (x.reshape(shape, ndim=2), A.reshape(3, 8)),
            (x.reshape((x.shape[0], x.shape[1] * x.shape[2])), A.reshape(2, 12)),
            (x.reshape(x.shape), A),
            (x.reshape((1, 24, 1)), A.reshape(1, 24, 1)),
        ],
        {x: A, n: 4, shape: [3, 8]},
    )
    assert x.reshape((1, 24, 1)).broadcastable == (True, False, True)
    assert x.reshape((n, 1)).broadcastable == (False, True)


def test_reshape_refuses():
    x, shape = T.dmatrix("x"), T.lvector("shape")
    with pytest.raises(AsTensorError, match="one list or tuple"):
        x.reshape(2, 2)
    with pytest.raises(ValueError, match=r"the length of the new shape .* is not known; pass ndim"):
        x.reshape(shape)
    with pytest.raises(ValueError, match="impossible new shape"):
        x.reshape((-1, -1))
    for mode in (None, "reference"):
        f = jg.function([x, shape], x.reshape(shape, ndim=2), mode=mode)
        for bad in ([2, 2], [-1, -1], [5, -1]):
            with pytest.raises(ValueError, match=r"(?i)reshape"):
                f(M, bad)


def test_dimshuffle():
    x, r = T.dtensor3("x"), T.drow("r")
    check(
        [
            (x.dimshuffle(2, 0, 1), A.transpose(2, 0, 1)),
            (x.dimshuffle([0, "x", 1, 2]), A[:, None]),
            (x.dimshuffle("x", 2, 1, "x", 0), A.transpose(2, 1, 0)[None, :, :, None]),
            (r.dimshuffle(1), [1, 2]),
            (x.dimshuffle((0, 1, 2)), A),
        ],
        {x: A, r: [[1, 2]]},
    )
    for bad, words in (
        ((0, 1), "axis 2 cannot be dropped"),
        ((0, 0, 1, 2), "an axis appears twice"),
        ((0, 1, 2, 3), "axis 3 does not exist"),
        ((0, 1, "y"), "does not exist"),
    ):
        with pytest.raises(ValueError, match=words):
            x.dimshuffle(*bad)


def test_transpose_and_swapaxes():
    x, v = T.dtensor3("x"), T.dvector("v")
    check(
        [
            (x.T, A.T),
            (T.transpose(x), A.T),
            (x.transpose(1, 0, 2), A.transpose(1, 0, 2)),
            (x.transpose((2, 0, 1)), A.transpose(2, 0, 1)),
            (T.transpose(x, axes=[0, 2, 1]), A.transpose(0, 2, 1)),
            (x.swapaxes(0, 2), A.swapaxes(0, 2)),
            (T.swapaxes(x, -1, 1), A.swapaxes(-1, 1)),
            (v.T, [1, 2]),
        ],
        {x: A, v: [1, 2]},
    )


def test_flatten():
    x = T.dtensor3("x")
    check(
        [
            (x.flatten(), A.ravel()),
            (T.flatten(x, 2), A.reshape(2, 12)),
            (x.flatten(ndim=3), A),
            (x.ravel(), A.ravel()),
            (T.flatten(x, outdim=2), A.reshape(2, 12)),
        ],
        {x: A},
    )
    for bad in (0, 4, -1):
        with pytest.raises(ValueError, match=f"flatten: ndim={bad}"):
            T.flatten(x, bad)


def test_axes_of_length_one():
    x, r, v = T.dmatrix("x"), T.drow("r"), T.dvector("v")
    check(
        [
            (T.squeeze(r), [1, 2]),
            (r.squeeze(), [1, 2]),
            (x.squeeze(), np.ones((1, 3))),  # not marked: the axis stays
            (T.shape_padleft(v, 2), [[[5, 6]]]),
            (T.shape_padright(v), [[5], [6]]),
            (T.shape_padaxis(v, 1), [[5], [6]]),
            (T.shape_padaxis(v, -2), [[5, 6]]),
        ],
        {x: np.ones((1, 3)), r: [[1, 2]], v: [5, 6]},
    )
    for axis in (2, -3):
        with pytest.raises(IndexError, match="is out of range"):
            T.shape_padaxis(v, axis)


def test_patterns_can_be_changed():
    x = T.dmatrix("x")
    one = T.addbroadcast(x, 0)
    assert one.broadcastable == (True, False)
    assert T.unbroadcast(one, 0).broadcastable == (False, False)
    assert T.patternbroadcast(x, (False, True)).broadcastable == (False, True)
    assert T.unbroadcast(x, 0) is x
    with pytest.raises(ValueError, match="has no axis 2"):
        T.addbroadcast(x, 2)
    for mode in (None, "reference"):
        f = jg.function([x], one + np.ones((3, 4)), mode=mode)
        assert f(np.ones((1, 4))).shape == (3, 4)
        with pytest.raises(
            ValueError, match="Dimension 0 in Rebroadcast's input was supposed to be 1"
        ):
            f(np.ones((3, 4)))


def test_specify_shape():
    x, n = T.dmatrix("x"), T.lscalar("n")
    y = T.specify_shape(x, (n, 3))
    for mode in (None, "reference"):
        f = jg.function([x, n], y * 2, mode=mode)
        assert f(np.ones((2, 3)), 2).tolist() == [[2, 2, 2]] * 2
        with pytest.raises(AssertionError, match="SpecifyShape"):
            f(np.ones((2, 3)), 3)
        with pytest.raises(AssertionError, match="SpecifyShape"):
            f(np.ones((2, 4)), 2)


# -- creation ----------------------------------------------------------------------------------


def test_creation():
    x, n = T.fmatrix("x"), T.lscalar("n")
    pairs = [
        (T.zeros((2, n)), np.zeros((2, 3))),
        (T.ones([n]), np.ones(3)),
        (T.zeros(2, dtype="int8"), np.zeros(2, "int8")),
        (T.ones(x.shape), np.ones((2, 2))),
        (T.zeros_like(x), np.zeros((2, 2), "float32")),
        (T.ones_like(x, dtype="int64"), np.ones((2, 2), "int64")),
        (x.zeros_like(), np.zeros((2, 2), "float32")),
        (x.ones_like(), np.ones((2, 2), "float32")),
        (T.alloc(np.array([1.0, 2.0]), n, 2), np.array([[1.0, 2]] * 3)),
        (T.eye(n), np.eye(3)),
        (T.eye(2, n, k=1, dtype="int32"), np.eye(2, 3, 1, dtype="int32")),
        (T.identity_like(x), np.eye(2, dtype="float32")),
        (T.tri(3, n, -1), np.tri(3, 3, -1)),
        (T.tri(2, 4, 1, dtype="int8"), np.tri(2, 4, 1, dtype="int8")),
        (T.arange(n), np.arange(3)),
        (T.arange(1, 10, n), np.arange(1, 10, 3)),
        (T.arange(10, 0, -4), np.arange(10, 0, -4)),
        (T.arange(0.0, 1.0, 0.25), np.arange(0, 1, 0.25, "float32")),
        (T.arange(n, dtype="float64"), np.arange(3.0)),
        (T.arange(5, 2), np.zeros(0, "int64")),
        (T.empty((2, 2)).shape, np.array([2, 2])),
        (T.AllocEmpty("int8")(n).shape, np.array([3])),
    ]
    values = results([p[0] for p in pairs], {x: np.ones((2, 2), "float32"), n: 3})
    for (_, expected), value in zip(pairs, values, strict=True):
        exactly(value, expected, expected.dtype.name)
    with jg.config.change_flags(floatX="float32"):
        assert T.zeros(2).dtype == T.eye(2).dtype == T.tri(2).dtype == "float32"
    assert T.zeros((1, n)).broadcastable == (True, False)


def test_refused_shapes():
    n = T.lscalar("n")
    with pytest.raises(TypeError, match="a shape cannot be the scalar n int64"):
        T.zeros(n)
    with pytest.raises(TypeError, match="got an ndarray"):
        T.zeros(np.array([2, 3]))
    with pytest.raises(TypeError, match="must be an integer scalar"):
        T.zeros((2.5, 2))
    with pytest.raises(ValueError, match="negative length -1"):
        T.zeros((2, -1))
    with pytest.raises(TypeError, match="more axes than the 1 asked for"):
        T.alloc(np.ones((2, 2)), 2)
    v = T.dvector("v")
    for mode in (None, "reference"):
        with pytest.raises(ValueError):
            jg.function([n], T.zeros((n,)), mode=mode)(-1)
        with pytest.raises(ValueError):
            jg.function([v], T.alloc(v, 2, 3), mode=mode)([1.0, 2.0])
    with pytest.raises(TypeError, match="arange takes scalars"):
        T.arange(T.lvector())


def test_tables_of_constants_keep_their_values():
    """Tables whose rows end in zeros: GCC 12 fills them with their first element when it can
    see the contents."""
    pairs = []
    for n in (4, 8, 12, 16, 64):
        for ones in (2, 3, 5):
            table = np.zeros(n)
            table[n - 4 : n - 4 + min(ones, 3)] = 1
            for at in (table, np.roll(table, 1), np.sort(table)[::-1]):
                pairs += [
                    (T.constant(at.astype(d)), at.astype(d)) for d in ("float64", "int32", "int8")
                ]
    values = jg.function([], [out * 1 for out, _ in pairs])()
    for (_, expected), value in zip(pairs, values, strict=True):
        exactly(value, expected)


# -- triangles and diagonals -------------------------------------------------------------------


@pytest.mark.parametrize("k", [-2, 0, 1, 7])
def test_triangles_and_diagonals(k):
    m, v, x = T.dmatrix("m"), T.dvector("v"), T.dtensor3("x")
    check(
        [
            (T.tril(m, k), np.tril(M, k)),
            (T.triu(m, k), np.triu(M, k)),
            (T.diag(v, k), np.diag(M[0], k)),
            (T.diag(m, k), np.diag(M, k)),
            (m.diagonal(k), M.diagonal(k)),
            (T.diagonal(x, k, 1, 2), A.diagonal(k, 1, 2)),
            (T.diagonal(x, k, 2, 0), A.diagonal(k, 2, 0)),
            (T.fill_diagonal_offset(m, 9, k), np.where(np.eye(3, 4, k) > 0, 9, M)),
        ],
        {m: M, v: M[0], x: A},
    )


def test_more_diagonals():
    m, x = T.dmatrix("m"), T.dtensor3("x")
    filled = M.copy()
    np.fill_diagonal(filled, -1)
    cube = np.zeros((2, 2, 2))
    cube[[0, 1], [0, 1], [0, 1]] = 5
    check(
        [
            (T.fill_diagonal(m, -1), filled),
            (m.trace(), M.trace()),
            (T.AllocDiag(1)(m[0]), np.diag(M[0], 1)),
            (T.ExtractDiag(1)(m), M.diagonal(1)),
            (T.fill_diagonal(x, 5), cube),
        ],
        {m: M, x: np.zeros((2, 2, 2))},
    )
    with pytest.raises(AssertionError, match="equal lengths"):
        jg.function([x], T.fill_diagonal(x, 5))(A)
    with pytest.raises(ValueError, match="diag of the scalar"):
        T.diag(T.dscalar("s"))
    with pytest.raises(ValueError, match="needs two axes"):
        T.diagonal(T.dvector())
    with pytest.raises(ValueError, match="axis1 and axis2 are both 1"):
        T.diagonal(x, 0, 1, -2)
    with pytest.raises(ValueError, match="tril takes a matrix"):
        T.tril(x)
    g = T.grad(T.diag(m).sum() + T.tril(m).sum(), m)
    assert result(g, {m: np.zeros((2, 2))}).tolist() == [[2, 0], [1, 2]]


# -- joining -----------------------------------------------------------------------------------


def test_concatenate():
    x, y, k = T.dmatrix("x"), T.fmatrix("y"), T.imatrix("k")
    a, b = np.ones((2, 3)), np.zeros((1, 3), "float32")
    ints = np.full((4, 3), 7, "int32")
    check(
        [
            (T.concatenate([x, y]), np.concatenate([a, b])),
            (T.concatenate((x, x), axis=1), np.concatenate([a, a], 1)),
            (T.concatenate([x, x], axis=-1), np.concatenate([a, a], 1)),
            (T.join(0, x, k, y), np.concatenate([a, ints, b])),
            (T.join(T.constant(1), x, x), np.concatenate([a, a], 1)),
            (T.concatenate([x, np.ones((1, 3))]), np.ones((3, 3))),
            (T.concatenate([y, k]), np.concatenate([b, ints]).astype("float64")),
        ],
        {x: a, y: b, k: ints},
    )
    assert T.concatenate([x]) is x
    assert T.concatenate([x, y]).dtype == "float64"
    assert T.concatenate([T.drow(), T.drow()]).broadcastable == (False, False)
    assert T.concatenate([T.drow(), T.drow()], axis=1).broadcastable == (True, False)


def test_concatenate_refuses():
    x, v = T.dmatrix("x"), T.dvector("v")
    with pytest.raises(TypeError, match="takes a list or tuple of arrays"):
        T.concatenate(x)
    with pytest.raises(TypeError, match="same number of axes"):
        T.concatenate([x, v])
    with pytest.raises(TypeError, match="scalars cannot be joined"):
        T.concatenate([T.dscalar(), T.dscalar()])
    for axis in (2, -3):
        with pytest.raises(ValueError, match=f"axis {axis} does not exist"):
            T.concatenate([x, x], axis=axis)
    y = T.dmatrix("y")
    for mode in (None, "reference"):
        with pytest.raises(ValueError, match="join"):
            jg.function([x, y], T.concatenate([x, y]), mode=mode)(np.ones((1, 2)), np.ones((1, 3)))


def test_gradient_of_concatenate():
    x, y = T.dvectors("x", "y")
    weights = np.array([1.0, 2, 3, 4])
    gs = T.grad((T.concatenate([x, y]) * weights).sum(), [x, y])
    assert [g.tolist() for g in results(gs, {x: [0, 0, 0], y: [0]})] == [[1, 2, 3], [4]]


def test_stack():
    a, b, m = [*T.dscalars("a", "b"), T.dmatrix("m")]
    check(
        [
            (T.stack([a, b, 3]), [1, 2, 3]),
            (T.stack([m, m]), np.stack([M, M])),
            (T.stack([m, m], axis=1), np.stack([M, M], 1)),
            (T.stack((m, m), axis=-1), np.stack([M, M], -1)),
            (T.stack(a, b), [1, 2]),
            (T.stacklists([[a, b], [b, a]]), [[1, 2], [2, 1]]),
            (T.stacklists([[m, m]]), np.array([[M, M]])),
            (T.horizontal_stack(m, m), np.hstack([M, M])),
            (T.vertical_stack(m, m, m), np.vstack([M, M, M])),
        ],
        {a: 1.0, b: 2.0, m: M},
    )
    with pytest.raises(Exception, match="stack needs at least one array"):
        T.stack([])
    with pytest.raises(ValueError, match="axis 3 does not exist in 3 axes"):
        T.stack([m, m], axis=3)
    with pytest.raises(TypeError, match="same number of axes"):
        T.stack([m, a])
    with pytest.raises(AssertionError, match="two or more matrices"):
        T.horizontal_stack(m)
    with pytest.raises(AssertionError, match="joins matrices"):
        T.vertical_stack(m, T.dvector())
    assert not hasattr(T, "hstack")


# -- repeating, splitting, taking --------------------------------------------------------------


def test_tile():
    v, m, n = T.dvector("v"), T.dmatrix("m"), T.lscalar("n")
    reps = T.lvector("reps")
    check(
        [
            (T.tile(m, 2), np.tile(M, 2)),
            (T.tile(m, (2, n)), np.tile(M, (2, 3))),
            (T.tile(m, [2, 1, n]), np.tile(M, (2, 1, 3))),
            (T.tile(v, (2, 2)), np.tile([1.0, 2], (2, 2))),
            (T.tile(m, reps, ndim=2), np.tile(M, (2, 3))),
            (T.tile(m, (2,), ndim=3), np.tile(M, (1, 1, 2))),
            (T.tile(m, n), np.tile(M, 3)),
            (T.tile(m, 0), np.tile(M, 0)),
        ],
        {v: [1, 2], m: M, n: 3, reps: [2, 3]},
    )
    with pytest.raises(TypeError, match="a repeat of tile must be an integer"):
        T.tile(m, 2.0)
    with pytest.raises(ValueError, match="ndim=1 is less than the 2 repeats"):
        T.tile(m, (2, 2), ndim=1)
    with pytest.raises(ValueError, match="is not known; pass ndim"):
        T.tile(m, reps)
    g = T.grad((T.tile(v, 3) * np.arange(6.0)).sum(), v)
    assert result(g, {v: [0, 0]}).tolist() == [6, 9]


def test_repeat():
    m, v, n, k = T.dmatrix("m"), T.dvector("v"), T.lscalar("n"), T.ivector("k")
    check(
        [
            (T.repeat(m, 2), np.repeat(M, 2)),
            (T.repeat(m, n, axis=0), np.repeat(M, 3, 0)),
            (m.repeat(2, axis=-1), np.repeat(M, 2, 1)),
            (T.repeat(m, k, axis=0), np.repeat(M, [2, 0, 1], 0)),
            (T.repeat(v, [0, 3]), [2, 2, 2]),
            (T.extra_ops.repeat(v, 0), []),
        ],
        {m: M, v: [1, 2], n: 3, k: [2, 0, 1]},
    )
    for bad in (1.5, T.dscalar(), T.TensorType("uint64", ())()):
        with pytest.raises(TypeError, match="repeats are integers up to int64"):
            T.repeat(m, bad)
    with pytest.raises(ValueError, match="does not exist"):
        T.repeat(m, 2, axis=2)
    with pytest.raises(ValueError, match="negative"):
        jg.function([m, k], T.repeat(m, k, axis=0))(M, [1, -1, 1])
    gs = [
        T.grad((T.repeat(v, 2) * np.arange(4.0)).sum(), v),
        T.grad((T.repeat(v, k) * np.arange(4.0)).sum(), v),
    ]
    assert [g.tolist() for g in results(gs, {v: [0, 0], k: [3, 1]})] == [[1, 5], [3, 3]]


@pytest.mark.parametrize("shift", [0, 1, -1, 5, -14])
def test_roll(shift):
    m, n, r = T.dmatrix("m"), T.lscalar("n"), T.drow("r")
    check(
        [
            (T.roll(m, n), np.roll(M, shift)),
            (T.roll(m, n, axis=0), np.roll(M, shift, 0)),
            (T.roll(m, shift, axis=-1), np.roll(M, shift, -1)),
            (T.roll(r, n, axis=0), [[1, 2]]),
            (T.roll(m[:0], n, axis=0), M[:0]),
        ],
        {m: M, n: shift, r: [[1, 2]]},
    )


def test_split():
    m, sizes = T.dmatrix("m"), T.lvector("sizes")
    parts = T.split(m, sizes, 3, axis=1)
    assert isinstance(parts, list) and len(parts) == 3
    values = results(parts, {m: M, sizes: [1, 0, 3]})
    for value, expected in zip(values, np.split(M, [1, 1], axis=1), strict=True):
        exactly(value, expected)
    [only] = T.split(m, [3], 1)
    assert result(only, {m: M}).tolist() == M.tolist()
    f = jg.function([m, sizes], parts)
    for bad, words in (
        ([1, 1, 1], "do not sum to the length 4"),
        ([5, -1, 0], "negative size"),
        ([2, 2], "2 sizes for 3 parts"),
    ):
        with pytest.raises(ValueError, match=words):
            f(M, bad)
    with pytest.raises(TypeError, match="n_splits is a positive Python int"):
        T.split(m, sizes, T.constant(2))
    g = T.grad(parts[0].sum() + 2 * parts[2].sum(), m)
    assert result(g, {m: M[:1], sizes: [1, 1, 2]}).tolist() == [[1, 0, 2, 2]]


def test_take():
    m, i = T.dmatrix("m"), T.imatrix("i")
    at = np.array([[1, -1], [0, 2]], "int32")
    far = np.array([[7, -1], [0, -9]], "int32")
    j = T.imatrix("j")
    check(
        [
            (T.take(m, i, axis=0), M.take(at, axis=0)),
            (m.take(i), M.take(at)),
            (m.take([0, 0], axis=1), M[:, [0, 0]]),
            (m.take(2, axis=1), M[:, 2]),
            (T.take(m, j, axis=0, mode="clip"), M.take(far, axis=0, mode="clip")),
            (T.take(m, j, mode="wrap"), M.take(far, mode="wrap")),
            (T.take(m, j, mode="clip"), M.take(far, mode="clip")),
        ],
        {m: M, i: at, j: far},
    )
    with pytest.raises(IndexError):
        jg.function([m, i], T.take(m, i, axis=0))(M, far)
    with pytest.raises(ValueError, match="mode is 'raise', 'clip' or 'wrap'"):
        T.take(m, i, mode="bounce")
    with pytest.raises(TypeError, match="the indices are integers"):
        T.take(m, T.dvector())


def test_choosing_and_permuting():
    x, c, p = T.dmatrix("x"), T.ivector("c"), T.imatrix("p")
    choices = np.arange(8.0).reshape(2, 4)
    from jitgraph.tensor.arranging import inverse_permutation, permute_row_elements

    perms = np.array([[3, 0, 1, 2], [0, 1, 2, 3], [1, 0, 3, 2]], "int32")
    check(
        [
            (T.choose(c, [choices[0], choices[1]]), np.choose([0, 1, 1, 0], choices)),
            (T.choose(c, choices), np.choose([0, 1, 1, 0], choices)),
            (T.choose(c + 2, choices, mode="wrap"), np.choose([2, 3, 3, 2], choices, mode="wrap")),
            (T.choose(c * 9 - 4, choices, mode="clip"), np.choose([0, 1, 1, 0], choices)),
            (x.compress(np.array([True, False, True]), axis=0), M[[0, 2]]),
            (x.compress([0, 1, 1]), M.ravel()[[1, 2]]),
            (permute_row_elements(x, p), np.take_along_axis(M, perms, 1)),
            (permute_row_elements(x, p, inverse=1), np.take_along_axis(M, perms.argsort(1), 1)),
            (permute_row_elements(x, p[0]), M[:, perms[0]]),
            (inverse_permutation(p), perms.argsort(1)),
        ],
        {x: M, c: [0, 1, 1, 0], p: perms},
    )
    with pytest.raises(IndexError):
        jg.function([c], T.choose(c, choices))([0, 0, 0, 2])
    with pytest.raises(TypeError, match="out is not supported"):
        T.choose(c, choices, out=x)


def test_grids_windows_and_positions():
    n = T.lscalar("n")
    index = T.lvector("index")
    pairs = [
        *zip(T.mgrid[0:n, 1:6:2], np.mgrid[0:3, 1:6:2], strict=True),
        *zip(T.ogrid[0:3, 1:6:2], np.ogrid[0:3, 1:6:2], strict=True),
        (T.mgrid[0:n][0], np.arange(3)),
        *((T.bartlett(k), np.bartlett(k)) for k in (0, 1, 2, 4)),
        *zip(T.unravel_index(index, (3, 4)), np.unravel_index([5, 11], (3, 4)), strict=True),
        (T.ravel_multi_index((index % 3, index % 4), (3, 4)), [9, 11]),
    ]
    values = results([p[0] for p in pairs], {n: 3, index: [5, 11]})
    for (_, expected), value in zip(pairs, values, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-15)
        assert value.shape == np.shape(expected)
    np.testing.assert_allclose(result(T.bartlett(4)), [0, 2 / 3, 2 / 3, 0], rtol=1e-15)
    for bad in (1.5, T.dscalar(), T.lvector()):
        with pytest.raises(TypeError, match="length of bartlett must be an integer"):
            T.bartlett(bad)
    with pytest.raises(ValueError):
        jg.function([index], T.unravel_index(index, (3, 4))[0])([12])


# -- products ----------------------------------------------------------------------------------


def test_dot_of_every_rank():
    v, m, x, s = T.dvector("v"), T.dmatrix("m"), T.dtensor3("x"), T.dscalar("s")
    a = np.arange(4.0)
    cases = [
        (T.dot(v, v), np.dot(a, a)),
        (T.dot(m, v), np.dot(M, a)),
        (v.dot(m.T), np.dot(a, M.T)),
        (m @ m.T, M @ M.T),
        (T.dot(x, v), np.dot(A, a)),
        (T.dot(m, x.dimshuffle(0, 2, 1)), np.dot(M, A.transpose(0, 2, 1))),
        (T.dot(s, m), 2 * M),
        (T.outer(v, v), np.outer(a, a)),
        (T.tensordot(x, m, axes=2), np.tensordot(A, M, 2)),
        (T.tensordot(x, x, axes=[[0, 2], [0, 2]]), np.tensordot(A, A, [[0, 2], [0, 2]])),
        (T.tensordot(v, v, axes=0), np.tensordot(a, a, 0)),
        (T.batched_dot(x, x.dimshuffle(0, 2, 1)), A @ A.transpose(0, 2, 1)),
        (T.batched_dot(m, m), (M * M).sum(1)),
        (T.batched_dot(x, x[:, 0]), np.einsum("bij,bj->bi", A, A[:, 0])),
        (T.batched_dot(x[:, 0], x.dimshuffle(0, 2, 1)), np.einsum("bj,bij->bi", A[:, 0], A)),
        (T.batched_dot(s * v, m.T), a[:, None] * 2 * M.T),
        (T.batched_tensordot(x, x, axes=2), np.einsum("bij,bij->b", A, A)),
        (T.batched_tensordot(x, x, axes=[[2], [2]]), np.einsum("bij,bkj->bik", A, A)),
        (T.dot(T.ivector("k"), np.array([1, 2], "int8")), 11),
    ]
    k = cases[-1][0].owner.inputs[0].owner
    given = {v: a, m: M, x: A, s: 2.0}
    values = results([c[0] for c in cases[:-1]], given)
    for (_, expected), value in zip(cases, values, strict=False):
        exactly(value, np.asarray(expected, "float64"))
    assert k is None or k.op.name.startswith("cast")


def test_dot_refuses():
    m, n = T.dmatrices("m", "n")
    for mode in (None, "reference"):
        with pytest.raises(ValueError, match="dot: inner sizes differ"):
            jg.function([m, n], T.dot(m, n), mode=mode)(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="cannot sum over 3 axes of 2 and 2"):
        T.tensordot(m, n, axes=3)
    with pytest.raises(ValueError, match="1 axes cannot be paired with 2"):
        T.tensordot(m, n, axes=[[0], [0, 1]])
    with pytest.raises(ValueError, match="do not exist in 2 axes"):
        T.tensordot(m, n, axes=[[2], [0]])
    with pytest.raises(TypeError, match="batched_dot needs a batch axis"):
        T.batched_dot(T.dscalar(), m)
    x = T.dtensor3("x")
    f = jg.function([x, m], T.batched_dot(x, m))
    with pytest.raises(ValueError, match=r"batch sizes differ \(2 and 3\)"):
        f(A, np.ones((3, 4)))
    with pytest.raises(ValueError, match="inner sizes differ"):
        f(A, np.ones((2, 3)))


@pytest.mark.parametrize(("left", "right"), [(2, 2), (3, 2), (2, 3), (3, 3)])
def test_gradient_of_batched_dot(left, right):
    rng = np.random.RandomState(1)
    a = rng.randn(2, 3, 4) if left == 3 else rng.randn(2, 4)
    b = rng.randn(2, 4, 5) if right == 3 else rng.randn(2, 4)
    jg.verify_grad(T.batched_dot, [a, b], rng=rng)


def test_assertions_in_a_graph():
    x = T.dvector("x")
    y = T.opt.Assert("x must be positive")(x, T.gt(x, 0).all(), T.lt(x, 9).all())
    for mode in (None, "reference"):
        f = jg.function([x], y * 2, mode=mode)
        assert f([1.0]).tolist() == [2]
        with pytest.raises(AssertionError, match="x must be positive"):
            f([-1.0])
    assert jg.function([x], T.grad(y.sum(), x))([1.0]).tolist() == [1]
    assert result(T.opt.assert_op(x, True), {x: [3]}).tolist() == [3]
    with pytest.raises(TypeError, match="must be 0-d"):
        T.opt.Assert()(x, x > 0)


# -- what only the call knows --------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["FAST_RUN", "reference"])
def test_join_along_an_axis_given_in_the_call(mode):
    x, y, axis = T.dmatrix("x"), T.dmatrix("y"), T.lscalar("axis")
    out = T.concatenate([x, y], axis=axis)
    cost = (T.join(axis, x, 2 * x) ** 2).sum()
    f = jg.function([axis, x, y], [out, T.grad(cost, x)], mode=mode)
    for k in (0, 1, -1, -2):
        joined, g = f(k, M, M + 1)
        exactly(joined, np.concatenate([M, M + 1], axis=k))
        exactly(g, 10 * M)
    # The joins that the call does not ask for may be impossible.
    exactly(jg.function([axis, x, y], out, mode=mode)(1, M, M[:, :1]), np.c_[M, M[:, :1]])
    for k in (2, -3):
        with pytest.raises(IndexError, match="out of"):
            f(k, M, M)
    with pytest.raises(ValueError, match="axis 1"):
        jg.function([axis, x, y], out)(0, M, M[:, :1])


@pytest.mark.parametrize("mode", ["FAST_RUN", "reference"])
def test_repeats_fit_the_axis(mode):
    m, n = T.dmatrix("m"), T.lvector("n")
    f = jg.function([m, n], T.repeat(m, n, axis=0), mode=mode)
    for repeats in ([1, 0, 2], [2]):  # one number, as in NumPy, is for all
        exactly(f(M, repeats), np.repeat(M, repeats, axis=0))
    for repeats in ([1, 2], [1, 2, 3, 4], []):
        with pytest.raises(ValueError, match=f"{len(repeats)} numbers of repeats.*length 3"):
            f(M, np.array(repeats, dtype=np.int64))


@pytest.mark.parametrize("mode", ["FAST_RUN", "reference"])
def test_arange_without_an_end_is_an_error(mode):
    i, x = T.lscalar("i"), T.dscalar("x")
    with pytest.raises(ValueError, match=r"step is zero|Maximum"), np.errstate(all="ignore"):
        jg.function([i], T.arange(0, 5, i), mode=mode)(0)
    floats = jg.function([x], T.arange(0.0, x), mode=mode)
    for stop in (np.inf, np.nan):
        with pytest.raises(ValueError, match=r"not finite|Maximum|cannot compute"):
            floats(stop)
    exactly(floats(-1.0), np.zeros(0))
    for step in (0, 0.0):
        with pytest.raises(ValueError, match="step is zero"):
            T.arange(0, 5, step)


def test_swapaxes_names_the_axis():
    with pytest.raises(ValueError, match=r"x float64\[\?, \?\] has no axis 5"):
        T.dmatrix("x").swapaxes(0, 5)
