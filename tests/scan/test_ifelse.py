"""`ifelse`: which branch is taken, which forms and types, where the gradient goes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import jitgraph
import jitgraph.tensor as T
from jitgraph.ifelse import ifelse

X, Y, C = T.dvector("x"), T.dvector("y"), T.lscalar("c")
XS, YS = np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0])


def test_choice(function: Any) -> None:
    f = function([C, X, Y], ifelse(C, X * 2, Y + 1))
    assert_array_equal(f(1, XS, YS), XS * 2)
    assert_array_equal(f(0, XS, YS), YS + 1)  # of another length, too
    assert_array_equal(f(-3, XS, YS), XS * 2)


@pytest.mark.parametrize("dtype", ["bool", "int8", "float32", "float64"])
def test_conditions_of_any_dtype(function: Any, dtype: str) -> None:
    c = T.TensorType(dtype, ())("c")
    f = function([c], ifelse(c, T.constant(1), T.constant(2)))
    assert f(np.asarray(1, dtype)) == 1 and f(np.asarray(0, dtype)) == 2
    if dtype.startswith("float"):
        assert f(np.asarray(np.nan, dtype)) == 1  # nan is not zero
        assert f(np.asarray(-0.0, dtype)) == 2


def test_conditions_that_are_expressions(function: Any) -> None:
    f = function([X, Y], ifelse(X.sum() > Y.sum(), X, Y))
    assert_array_equal(f(XS, YS), YS)
    assert_array_equal(f(XS * 100, YS), XS * 100)


@pytest.mark.parametrize("form", [list, tuple])
def test_several_values(function: Any, form: Any) -> None:
    chosen = ifelse(C, form([X, X.sum()]), form([Y, Y.max()]))
    assert type(chosen) is form
    f = function([C, X, Y], list(chosen))
    for got, wanted in zip(f(0, XS, YS), (YS, 20.0), strict=True):
        assert_array_equal(got, wanted)
    assert type(ifelse(C, form([X]), form([Y]))) is form


def test_marks_of_length_one() -> None:
    row, matrix = T.drow("row"), T.dmatrix("matrix")
    assert ifelse(C, row, matrix).broadcastable == (False, False)
    assert ifelse(C, row, row + 1).broadcastable == (True, False)


def test_gradient_goes_to_the_chosen_branch(function: Any) -> None:
    z = ifelse(C, [X**2, X.sum()], [X * 3, X[0]])
    g = T.grad(z[0].sum() + 5 * z[1], X)
    f = function([C, X], g)
    assert_array_equal(f(1, XS), 2 * XS + 5)
    assert_array_equal(f(0, XS), [8.0, 3.0, 3.0])


def test_gradient_of_a_branch_that_is_not_taken_is_zero(function: Any) -> None:
    z = ifelse(C, T.log(X).sum(), T.exp(Y).sum())
    gx, gy = T.grad(z, [X, Y])
    f = function([C, X, Y], [gx, gy])
    gx, gy = f(0, -XS, YS)
    assert_array_equal(gx, np.zeros(3))  # not nan, though log has none there
    np.testing.assert_allclose(gy, np.exp(YS), rtol=1e-15)


def test_the_condition_has_a_gradient_of_zero(function: Any) -> None:
    c = T.dscalar("c")
    g = T.grad(ifelse(c, X * c, X).sum(), c)
    f = function([c, X], g)
    assert f(2.0, XS) == XS.sum()  # through the branch alone
    assert f(0.0, XS) == 0.0


def test_second_derivative(function: Any) -> None:
    z = ifelse(C, (X**3).sum(), (X**2).sum())
    h = T.grad(T.grad(z, X).sum(), X)
    f = function([C, X], h)
    assert_array_equal(f(1, XS), 6 * XS)
    assert_array_equal(f(0, XS), np.full(3, 2.0))


def test_inside_a_loop(function: Any) -> None:
    out, _ = jitgraph.scan(
        lambda x, h: ifelse(x > 1.5, h * x, h + x), X, T.constant(1.0, dtype="float64")
    )
    f = function([X], [out, T.grad(out[-1], X)])
    value, slope = f(XS)
    assert_array_equal(value, [2.0, 4.0, 16.0])
    assert_array_equal(slope, [8.0, 8.0, 4.0])


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (TypeError, r"the condition must be a scalar, got x float64\[\?\]", (X, X, Y)),
        (TypeError, r"must have the same types, got x float64\[\?\] and", (C, X, T.fvector("f"))),
        (TypeError, "must have the same types", (C, X, T.dmatrix("m"))),
        (ValueError, "the branches have different lengths, 2 and 1", (C, [X, X], [Y])),
        (ValueError, "the branches have different lengths, 2 and 1", (C, [X, X], Y)),
    ],
)
def test_refusals(error: Any, message: str, arguments: Any) -> None:
    with pytest.raises(error, match=message) as caught:
        ifelse(*arguments)
    assert re.search(r"test_ifelse\.py:\d+", str(caught.value))


@pytest.mark.parametrize("mode", ["FAST_RUN", "FAST_COMPILE", "reference", "DebugMode"])
def test_the_other_branch_may_be_impossible(mode: str) -> None:
    """In every mode only the chosen branch is computed, and only its errors are met."""
    inner = ifelse(C > 1, X + Y, X)
    f = jitgraph.function([C, X, Y], ifelse(C, inner, Y), mode=mode)
    assert_array_equal(f(1, XS, YS), XS)
    assert_array_equal(f(0, XS, YS), YS)
    with pytest.raises(ValueError, match=r"lengths|shapes|axis"):
        f(2, XS, YS)
