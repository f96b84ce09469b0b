"""h_softmax, confusion_matrix and constant columns, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from api.tools import result, results
from jitgraph.tensor import nnet

RNG = np.random.RandomState(2)
BATCH, FEATURES, OUTPUTS, CLASSES, EACH = 3, 4, 5, 3, 2
X = RNG.randn(BATCH, FEATURES)
W1, B1 = RNG.randn(FEATURES, CLASSES), RNG.randn(CLASSES)
W2, B2 = RNG.randn(CLASSES, FEATURES, EACH), RNG.randn(CLASSES, EACH)


def softmax(a):
    e = np.exp(a - a.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def two_levels(x):
    inner = softmax(np.einsum("bd,cde->bce", x, W2) + B2)
    return (softmax(x @ W1 + B1)[:, :, None] * inner).reshape(len(x), -1)[:, :OUTPUTS]


def h_softmax(x, target=None):
    return nnet.h_softmax(x, BATCH, OUTPUTS, CLASSES, EACH, W1, B1, W2, B2, target)


def test_two_level_softmax():
    x, k, column = T.dmatrix("x"), T.lvector("k"), T.lmatrix("column")
    labels = np.array([4, 0, 3])
    every, some, same = results(
        [h_softmax(x), h_softmax(x, k), h_softmax(x, column)],
        {x: X, k: labels, column: labels[:, None]},
    )
    true = two_levels(X)
    np.testing.assert_allclose(every, true, rtol=1e-13)
    np.testing.assert_allclose(some, true[np.arange(BATCH), labels], rtol=1e-13)
    assert some.shape == same.shape == (BATCH,) and (some == same).all()


@pytest.mark.parametrize("target", [None, np.array([4, 0, 3])])
def test_gradient_of_the_two_level_softmax(target):
    jg.verify_grad(lambda x: h_softmax(x, target), [X], rng=np.random.RandomState(1))


def test_log_of_the_two_level_softmax_is_stable():
    x, k = T.dmatrix("x"), T.lvector("k")
    loss = -T.log(h_softmax(x, k))
    f = jg.function([x, k], [loss, T.grad(loss.sum(), x)])
    value, slope = f(1e4 * X, np.array([4, 0, 3]))
    assert np.isfinite(value).all() and value.max() > 1e3 and np.isfinite(slope).all()


def test_confusion_matrix():
    a, p = T.lvector("a"), T.lvector("p")
    actual, predicted = np.array([2, 0, 2, 2, 0, 7]), np.array([0, 0, 2, 2, 0, 2])
    counts, order = results(nnet.confusion_matrix(a, p), {a: actual, p: predicted})
    assert order.tolist() == [0, 2, 7] and counts.dtype == "int64"
    assert counts.tolist() == [[2, 0, 0], [1, 2, 0], [0, 1, 0]]
    with pytest.raises(ValueError, match="confusion_matrix takes vectors, got m"):
        nnet.confusion_matrix(T.lmatrix("m"), p)


def test_constant_columns():
    m, s = T.fmatrix("m"), T.dscalar("s")
    value = np.array([[1, 2], [3, 4]], "float32")
    given = {m: value, s: 5.0}
    assert results(
        [
            nnet.prepend_scalar_to_each_row(s, m),
            nnet.prepend_0_to_each_row(m),
            nnet.prepend_1_to_each_row(m),
        ],
        given,
    )[0].tolist() == [[5, 1, 2], [5, 3, 4]]
    ones = result(nnet.prepend_1_to_each_row(m), {m: value})
    assert ones.dtype == "float32" and ones.tolist() == [[1, 1, 2], [1, 3, 4]]
    assert result(nnet.prepend_0_to_each_row(m), {m: value})[:, 0].tolist() == [0, 0]
    with pytest.raises(TypeError, match="a number and a matrix"):
        nnet.prepend_1_to_each_row(T.dvector())
