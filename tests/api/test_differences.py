"""The rows of docs/differences.md that no other test of this directory holds."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph.tensor as T
from api.tools import exactly
from jitgraph import function, shared

INF, NAN = np.inf, np.nan


def test_floats_are_not_simplified_where_that_is_wrong():
    x = T.dvector("x")
    f = function([x], [x / x, x - x, 0 * x, 0 / x])
    values = f([0.0, INF, NAN, 2.0])
    exactly(values[0], [NAN, NAN, NAN, 1])
    exactly(values[1], [0, NAN, NAN, 0])
    exactly(values[2], [0, NAN, NAN, 0])
    exactly(values[3], [NAN, 0, NAN, 0])


def test_division_by_a_constant_is_a_division():
    x = T.dvector("x")
    at = np.random.RandomState(0).randn(1000)
    exactly(function([x], x / 3)(at), at / 3)
    exactly(function([x], x / 10.0)(at), at / 10.0)
    assert (at / 3 != at * (1 / 3)).any()


def test_argmax_of_softmax_is_right_for_every_axis():
    x = T.dmatrix("x")
    y = T.nnet.softmax(x)
    f = function([x], [T.argmax(y, axis=0), T.argmax(y), T.argmax(y, axis=1)])
    values = f([[10.0, 0.0], [20.0, 30.0]])
    assert [v.tolist() for v in values] == [[0, 1], 0, [0, 1]]
    saturated = function([x], T.argmax(T.nnet.sigmoid(x), axis=1))
    assert saturated([[100.0, 200.0]]).tolist() == [0]


def test_triangles_select():
    x = T.dmatrix("x")
    value = function([x], T.tril(x))([[1.0, NAN], [2.0, 3.0]])
    exactly(value, [[1, 0], [2, 3]])


@pytest.mark.parametrize("form", [lambda x: ("name", x), lambda x: (x, 3.0), lambda x: ((x, x), 1)])
def test_input_shortcuts_are_refused(form):
    x = T.dscalar("x")
    with pytest.raises(TypeError, match="Unknown parameter type"):
        function([form(x)], x)


def test_arrays_without_a_dtype_here_are_not_shared_as_objects():
    for value in (1j, np.complex64(1), np.zeros(2, "complex128"), np.zeros(2, "float16")):
        with pytest.raises(TypeError, match="not supported"):
            shared(value)
    with pytest.raises(TypeError, match="unsupported dtype 'object'"):
        shared(np.array([None, {}]))
