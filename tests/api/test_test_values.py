"""compute_test_value: expressions are evaluated on example values while they are built."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.config import change_flags
from jitgraph.errors import MissingTestValueError, ShapeError
from jitgraph.gof.op import get_test_value

COMPUTING = change_flags(compute_test_value="raise")


def given(value, name="x"):
    value = np.asarray(value)
    x = T.TensorType(value.dtype, (False,) * value.ndim)(name)
    x.tag.test_value = value
    return x


def test_nothing_is_computed_by_default():
    x = given([1.0, 2.0])
    assert not hasattr((x + 1).tag, "test_value")


@COMPUTING
def test_values_follow_the_expression():
    x = given(np.arange(6.0).reshape(2, 3))
    w = jitgraph.shared(np.ones((3, 2)), name="w")
    y = T.nnet.softmax(T.dot(x, w) * [1.0, 2.0])
    want = np.array([[3.0, 6.0], [12.0, 24.0]])
    want = np.exp(want - want.max(axis=1, keepdims=True))
    np.testing.assert_allclose(y.tag.test_value, want / want.sum(axis=1, keepdims=True), rtol=1e-14)
    g = T.grad(T.log(y)[:, 0].sum(), w)
    assert g.tag.test_value.shape == (3, 2)
    assert (x.T[0] + x.shape[0]).tag.test_value.tolist() == [2.0, 5.0]


@COMPUTING
def test_an_error_of_shapes_is_raised_at_its_line():
    x, y = given(np.ones((2, 3))), given(np.ones((2, 3)), "y")
    with pytest.raises(ShapeError, match="inner sizes differ") as caught:
        T.dot(x, y)
    (note,) = caught.value.__notes__
    assert "x float64[?, ?]: (2, 3)" in note and "test_test_values.py" in note
    with pytest.raises(IndexError):
        x[5]


def test_a_missing_value_is_treated_as_asked_for(monkeypatch):
    x = T.dvector("x")
    with change_flags(compute_test_value="raise"):
        # Both are what programs for Theano catch.
        for class_ in (AttributeError, ValueError, MissingTestValueError):
            with pytest.raises(class_, match=r"Cannot compute test value: input 0 \(x\) of exp"):
                T.exp(x)
    with change_flags(compute_test_value="warn"), pytest.warns(UserWarning) as caught:
        y = T.exp(x)
    assert "missing default value" in str(caught[0].message)
    assert caught[0].filename == __file__ and not hasattr(y.tag, "test_value")
    with change_flags(compute_test_value="ignore"):
        assert not hasattr(T.exp(x).tag, "test_value")
    opened = []
    monkeypatch.setattr("sys.breakpointhook", lambda *a, **k: opened.append(True))
    with change_flags(compute_test_value="pdb"):
        T.exp(x)
    assert opened == [True]


@COMPUTING
def test_compiling_computes_none():
    """Rewriting, givens and new inputs build nodes whose leaves have no value."""
    x = given([0.5, 1.0])
    y = T.log(T.nnet.sigmoid(x)).sum()
    z = T.dvector("z")
    f = jitgraph.function([z], [y, T.grad(y, x)], givens={x: z})
    np.testing.assert_allclose(f([0.0])[0], np.log(0.5))
    assert jitgraph.function([y], y * 2)(3.0) == 6.0
    assert jitgraph.Rop(y, x, np.ones(2)).ndim == 0


@COMPUTING
def test_replaced_leaves_bring_their_own_values():
    x, z = given([1.0, 2.0]), given([5.0, 6.0, 7.0], "z")
    y = x * 2
    assert jitgraph.clone(y, replace={x: z}).tag.test_value.tolist() == [10.0, 12.0, 14.0]
    assert y.tag.test_value.tolist() == [2.0, 4.0]


@COMPUTING
def test_ops_of_the_program_are_computed_too():
    a = given([1.0, -2.0], "a")
    doubled = jitgraph.as_op(T.dvector, T.dvector)(lambda v: 2 * v)
    inner = jitgraph.OpFromGraph([a], [a + 1])
    y = inner(doubled(a))
    assert y.tag.test_value.tolist() == [3.0, -3.0]
    assert T.grad(inner(a).sum(), a).tag.test_value.tolist() == [1.0, 1.0]
    jitgraph.function([a], y)([0.0])


@COMPUTING
def test_the_value_is_converted_to_the_type():
    x = T.fvector("x")
    x.tag.test_value = [1, 2]
    assert (x + 1).tag.test_value.dtype == "float32"
    x = T.fvector("x")
    x.tag.test_value = np.ones((2, 2))
    with pytest.raises(TypeError, match=r"precision|dimensions"):
        x + 1


def test_values_on_demand():
    x = given([1.0, 2.0])
    assert get_test_value((x * 2).sum()) == 6.0
    assert get_test_value(3.0) == 3.0
    assert get_test_value(jitgraph.shared(4.0)) == 4.0
    with pytest.raises(MissingTestValueError, match="has no test value"):
        get_test_value(T.dvector("v") + 1)


def test_they_can_be_printed():
    x = given([1.0, 2.0])
    assert repr(x) == "x"
    with change_flags(print_test_value=True):
        assert repr(x) == "x\narray([1., 2.])"
        assert repr(T.dvector("y")) == "y"
