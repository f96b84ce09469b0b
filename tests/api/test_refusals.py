"""Python's own operations on symbolic values: what they refuse, and what builds nodes."""

from __future__ import annotations

import math

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from api.tools import exactly, results
from jitgraph.tensor.variable import FUNCTIONS, UFUNCS


@pytest.fixture(scope="module")
def x():
    return T.dvector("x")


def test_truth(x):
    with pytest.raises(TypeError, match=r"Variables do not support boolean operations.*T.switch"):
        bool(x < 3)
    with pytest.raises(TypeError, match="Variables do not support boolean operations"):
        0 < x < 1  # noqa: B015
    with pytest.raises(TypeError, match=r"the truth of x float64\[\?\] is not known.*T.switch"):
        if x:
            pass
    with pytest.raises(TypeError, match="is not known"):
        not (x > 0).any()
    with pytest.raises(TypeError):
        x and 1  # noqa: B018


@pytest.mark.parametrize(
    ("operation", "message"),
    [
        (len, "the length of x .* use x.shape"),
        (float, r"float\(\) of x .* has no value before the function runs"),
        (int, r"int\(\) of x"),
        (complex, r"complex\(\) of x"),
        (iter, "cannot iterate over x"),
        (list, "cannot iterate over x|the length of x"),
        (sum, "cannot iterate over x"),
        (lambda v: 3 in v, "`in` of x"),
        (lambda v: [10, 20][v], r"index\(\) of x"),
        (lambda v: np.asarray(v), "x .* is symbolic and cannot become a NumPy array"),
        (lambda v: np.float64(v), "x "),
        (lambda v: range(v), r"index\(\) of x"),
        (round, r"round\(\) of x .*T\.round"),
        (lambda v: round(v, 2), r"round\(\) of x .*T\.round"),
        (math.trunc, r"trunc\(\) of x .*T\.trunc"),
        (lambda v: f"{v:.3f}", r"the format '\.3f' of x .*x\.eval"),
        (lambda v: T.cast(v, "foo"), r"cast of x .*unknown dtype 'foo'"),
        (lambda v: v.astype("complex64"), r"cast of x .*unsupported dtype 'complex64'"),
    ],
)
def test_operations_that_need_a_value(x, operation, message):
    with pytest.raises(TypeError, match=message) as caught:
        operation(x)
    assert "test_refusals.py" in str(caught.value)


def test_text_of_a_variable_without_a_format(x):
    assert f"{x} {x!s}" == "x x"


def test_item_assignment_names_set_subtensor(x):
    with pytest.raises(TypeError, match=r"x float64\[\?\] .*T\.set_subtensor") as caught:
        x[0] = 1.0
    assert "test_refusals.py" in str(caught.value)
    with pytest.raises(TypeError, match="set_subtensor"):
        x[1:] += 2.0


def test_a_variable_of_known_length_can_be_iterated():
    m = T.dmatrix("m")
    rows, cols = m.shape
    f = jg.function([m], [rows * 10 + cols, sum(m.shape), sum(T.constant([1.0, 2.0]))])
    assert f(np.zeros((2, 3))) == [23, 5, 3]
    a, b = T.as_tensor_variable([m[0, 0], m[1, 1]])
    assert jg.function([m], a + b)([[1, 0], [0, 2]]) == 3


def test_equality_is_identity(x):
    y = T.dvector("x")
    assert x == x and x != y and not (x == y)  # noqa: SIM201
    assert {x: 1}[x] == 1 and y not in {x: 1}
    assert [y, x].index(x) == 1


def test_operands_that_are_no_numbers(x):
    for bad in ("text", {}, {1}, None, object()):
        with pytest.raises(TypeError):
            x + bad
        with pytest.raises(TypeError):
            bad * x


def test_operators_with_arrays_build_nodes(x):
    a = np.array([1.0, 2.0, 3.0])
    outs = [
        a + x,
        a - x,
        a * x,
        a / x,
        a**x,
        a // x,
        a % x,
        a < x,
        a >= x,
        np.float64(2) * x,
        a @ x,
    ]
    assert all(isinstance(o, T.TensorVariable) for o in outs)
    at = np.array([2.0, 2.0, 4.0])
    expected = [
        a + at,
        a - at,
        a * at,
        a / at,
        a**at,
        a // at,
        a % at,
        a < at,
        a >= at,
        2 * at,
        a @ at,
    ]
    for value, wanted in zip(results(outs, {x: at}), expected, strict=True):
        np.testing.assert_allclose(value, wanted, rtol=2e-16)
        assert value.dtype == wanted.dtype
    a_before = a.copy()
    a += 0
    with pytest.raises(TypeError):
        a += x
    np.testing.assert_array_equal(a, a_before)


@pytest.mark.parametrize("ufunc", list(UFUNCS), ids=lambda u: u.__name__)
def test_every_ufunc_builds_the_node_it_computes(ufunc):
    integer = ufunc in (np.bitwise_and, np.bitwise_or, np.bitwise_xor, np.invert)
    v = (T.lvector if integer else T.dvector)("v")
    at = np.array([1, 2, 3]) if integer else np.array([0.25, 0.5, 0.75])
    if ufunc is np.arccosh:
        at = at + 1
    args, values = ([v], [at]) if ufunc.nin == 1 else ([v, at[::-1]], [at, at[::-1]])
    out = ufunc(*args)
    assert isinstance(out, T.TensorVariable)
    [value] = results([out], {v: at})
    np.testing.assert_allclose(value, ufunc(*values), rtol=4e-16)


@pytest.mark.parametrize("function", list(FUNCTIONS), ids=lambda f: f.__name__)
def test_every_numpy_function_builds_the_node_it_computes(function):
    m = T.dmatrix("m")
    at = np.array([[1.0, -2.0], [0.0, 4.0]])
    arguments = {
        np.dot: lambda a: (a, a),
        np.where: lambda a: (a > 0, a, 7.0),
        np.clip: lambda a: (a, -1, 1),
        np.concatenate: lambda a: ([a, a],),
        np.stack: lambda a: ([a, a],),
    }.get(function, lambda a: (a,))
    out = function(*arguments(m))
    [value] = results([out], {m: at})
    expected = np.asarray(function(*arguments(at)))
    np.testing.assert_allclose(value, expected, rtol=2e-15)
    assert value.shape == expected.shape


def test_numpy_functions_that_are_not_translated(x):
    with pytest.raises(
        TypeError, match=r"np.hypot does not take symbolic arrays like x.*jitgraph.tensor"
    ):
        np.hypot(x, x)
    with pytest.raises(TypeError, match=r"np.add.reduce does not take symbolic"):
        np.add.reduce(x)
    with pytest.raises(TypeError, match="with out"):
        np.exp(x, out=np.zeros(3))
    with pytest.raises(TypeError, match=r"np.median does not take symbolic arrays"):
        np.median(x)


def test_function_of_an_overwritten_name():
    """`x = f(x)` followed by function([x], …) takes the intermediate value as the input."""
    x = T.dvector("x")
    x = T.exp(x)
    f = jg.function([x], x * 2)
    exactly(f([1.0, 2.0]), [2.0, 4.0])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("abs", "T.abs_"), ("hstack", "T.concatenate"), ("logical_and", "T.and_"), ("power", "T.pow")]
    + [(name, f"T.nnet.{name}") for name in ("sigmoid", "softmax", "softplus", "relu")],
)
def test_names_looked_for_in_the_wrong_place(name, remedy):
    with pytest.raises(AttributeError, match=rf"T\.{name} does not exist: use .*{remedy}"):
        getattr(T, name)
    assert eval(remedy, {"T": T}) is not None
