"""Promotion, autocast of Python numbers, floatX, casts, and the dtype of every operator."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.scalar as scalar
import jitgraph.tensor as T
from jitgraph import dtypes

NAMES = dtypes.NAMES
FLOAT_OF = {n: "float32" for n in ("bool", "int8", "uint8", "int16", "uint16", "float32")} | {
    n: "float64" for n in ("int32", "uint32", "int64", "uint64", "float64")
}


def var(dtype, name=None):
    return T.TensorType(dtype, (False,))(name)


# -- promotion ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "result"),
    [
        ("int8", "uint8", "int16"),
        ("int32", "float32", "float64"),
        ("int64", "float32", "float64"),
        ("uint64", "int64", "float64"),
        ("int16", "float32", "float32"),
        ("uint32", "int32", "int64"),
        ("bool", "int8", "int8"),
        ("bool", "float32", "float32"),
        ("uint8", "int64", "int64"),
        ("float32", "float64", "float64"),
    ],
)
def test_promotion(a, b, result):
    assert scalar.upcast(a, b) == scalar.upcast(b, a) == result
    assert (var(a) + var(b)).dtype == result


def test_promotion_is_that_of_numpy_for_every_pair():
    for a, b in itertools.product(NAMES, NAMES):
        expected = np.result_type(np.dtype(a), np.dtype(b)).name
        assert dtypes.upcast(a, b) == expected
        assert (var(a) * var(b)).dtype == expected
        assert T.maximum(var(a), var(b)).dtype == expected
        assert T.switch(var("bool"), var(a), var(b)).dtype == expected
    assert dtypes.upcast("int8", "uint8", "float32") == "float32"


def test_a_scalar_counts_like_any_other_operand():
    assert (T.fvector() + T.dscalar()).dtype == "float64"
    assert (T.fvector() + T.iscalar()).dtype == "float64"
    assert (T.fvector() + np.float64(1)).dtype == "float64"
    assert (T.fvector() + np.asarray(1.0)).dtype == "float64"


# -- autocast ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, "int8"),
        (-128, "int8"),
        (128, "int16"),
        (200, "int16"),
        (-129, "int16"),
        (40000, "int32"),
        (3_000_000_000, "int64"),
        (2**63 - 1, "int64"),
        (2**63, "uint64"),
        (-(2**63), "int64"),
        (0.5, "float32"),
        (1.5, "float32"),
        (2.0, "float32"),
        (0.0, "float32"),
        (0.1, "float64"),
        (1e300, "float64"),
        (float("inf"), "float32"),
        (float("nan"), "float32"),
    ],
)
def test_autocast(value, dtype):
    assert T.constant(value).dtype == dtype
    assert T.as_tensor_variable(value).dtype == dtype


def test_autocast_with_another_floatx():
    with jg.config.change_flags(floatX="float32"):
        assert T.constant(0.1).dtype == "float32"
        assert (T.fvector() * 1.1).dtype == "float32"
        assert (T.dvector() * 1.1).dtype == "float64"
        assert (T.ivector() * 1.1).dtype == "float64"
        assert T.constant(3).dtype == "int8"


def test_an_int_beyond_64_bits():
    for value in (2**64, 2**70, -(2**63) - 1):
        with pytest.raises(OverflowError, match="does not fit in 64 bits"):
            T.constant(value)
        with pytest.raises(OverflowError):
            T.dscalar() + value


def test_autocast_in_expressions():
    x = T.fvector()
    assert (x * 1.1).dtype == "float64"
    assert (x * 1.5).dtype == "float32"
    assert (x + 1).dtype == "float32"
    assert (x + 200).dtype == "float32"
    assert (x + 40000).dtype == "float64"
    assert (x + 2**40).dtype == "float64"
    assert (T.ivector() * 0.5).dtype == "float64"
    assert (T.bvector() + 200).dtype == "int16"
    assert T.alloc(0.0, 2, 3).dtype == "float32"
    assert T.arange(5.0).dtype == "float32"
    assert T.arange(5).dtype == "int64"


def test_autocast_float_as():
    with T.autocast_float_as("float32"):
        assert T.constant(0.1).dtype == "float32"
        assert (T.fvector() * 1.1).dtype == "float32"
    with T.autocast_float_as("float64"):
        assert T.constant(0.5).dtype == "float64"
    assert T.constant(0.1).dtype == "float64"
    assert T.constant(0.5).dtype == "float32"
    with pytest.raises(TypeError), T.autocast_float_as("float16"):
        pass


# -- operators ---------------------------------------------------------------------------------


@pytest.mark.parametrize("a", NAMES)
def test_dtypes_of_unary_functions(a):
    x = var(a)
    for f in (T.exp, T.log, T.sqrt, T.sin, T.tanh, T.inv, T.erf, T.nnet.sigmoid, T.nnet.softplus):
        assert f(x).dtype == FLOAT_OF[a]
    for f in (T.ceil, T.floor, T.trunc, T.deg2rad):
        assert f(x).dtype == FLOAT_OF[a]
    for f in (T.abs_, T.sqr, T.identity):
        assert f(x).dtype == a
    assert T.isnan(x).dtype == "bool"
    assert T.angle(x).dtype == "float64"
    assert T.nnet.hard_sigmoid(x).dtype == FLOAT_OF[a]
    assert T.nnet.ultra_fast_sigmoid(x).dtype == FLOAT_OF[a]
    if a == "bool":
        for f in (T.neg, T.sgn):
            with pytest.raises(TypeError, match="not defined for bool"):
                f(x)
    else:
        assert (-x).dtype == T.sgn(x).dtype == a
    if a in ("float32", "float64"):
        assert T.round(x).dtype == a and T.iround(x).dtype == "int64"
    else:
        with pytest.raises(TypeError, match="float operands only"):
            T.round(x)


def test_dtypes_of_binary_functions_for_every_pair():
    for a, b in itertools.product(NAMES, NAMES):
        x, y = var(a), var(b)
        u = np.result_type(np.dtype(a), np.dtype(b)).name
        assert (x / y).dtype == ("float64" if u in dtypes.DISCRETE else u)
        for f in (T.lt, T.le, T.gt, T.ge, T.eq, T.neq):
            assert f(x, y).dtype == "bool"
        assert (x**y).dtype == ("int8" if u == "bool" else u)
        if u == "bool":
            for f in (T.sub, T.int_div, T.mod):
                with pytest.raises(TypeError, match="not defined for bool"):
                    f(x, y)
        else:
            assert (x - y).dtype == (x // y).dtype == (x % y).dtype == u
        if {a, b} & {"float32", "float64"}:
            for f in (T.and_, T.or_, T.xor):
                with pytest.raises(TypeError, match="bool or integer operands only"):
                    f(x, y)
        elif u == "float64":  # uint64 with a signed operand: no integer dtype holds both
            with pytest.raises(TypeError, match="uint64 and signed operands"):
                x & y
        else:
            assert (x & y).dtype == (x | y).dtype == (x ^ y).dtype == u


def test_division_of_integers_is_in_floatx():
    a, b = T.ivectors("a", "b")
    f = jg.function([a, b], a / b)
    value = f([7, 0, -1], [2, 0, 0])
    assert value.dtype == "float64"
    np.testing.assert_array_equal(value, [3.5, np.nan, -np.inf])
    with jg.config.change_flags(floatX="float32"):
        quotient = a / b
        assert quotient.dtype == "float32"
        assert (var("bool") / var("bool")).dtype == "float32"


def test_integers_wrap():
    x = T.bvector("x")
    f = jg.function([x], [x + x, x * x, -x, abs(x)])
    values = f(np.array([127, -128, 100], "int8"))
    assert [v.dtype.name for v in values] == ["int8"] * 4
    assert [v.tolist() for v in values] == [
        [-2, 0, -56],
        [1, 0, 16],
        [-127, -128, -100],
        [127, -128, 100],
    ]


def test_bool_arithmetic():
    a, b = var("bool", "a"), var("bool", "b")
    f = jg.function([a, b], [a + b, a * b, ~a, a ^ b, T.maximum(a, b)])
    values = f(np.array([True, True, False]), np.array([True, False, False]))
    assert [v.tolist() for v in values] == [
        [True, True, False],
        [True, False, False],
        [False, False, True],
        [False, True, False],
        [True, True, False],
    ]
    assert {v.dtype.name for v in values} == {"bool"}


# -- casts -------------------------------------------------------------------------------------


def test_cast():
    x = T.dvector("x")
    assert T.cast(x, "float64") is x
    assert x.astype("floatX") is x
    assert T.cast(x, "int8").dtype == x.astype(np.int8).dtype == "int8"
    with jg.config.change_flags(floatX="float32"):
        assert T.cast(x, "floatX").dtype == "float32"
    for bad in ("no such dtype", "float16", "complex64"):
        with pytest.raises(TypeError, match="dtype"):
            T.cast(x, bad)
    f = jg.function([x], [T.cast(x, d) for d in ("int32", "uint8", "bool", "float32", "int64")])
    values = f([-1.7, 2.9, 0.0, 300.0])
    assert values[0].tolist() == [-1, 2, 0, 300]
    assert values[1].tolist() == [255, 2, 0, 44]
    assert values[2].tolist() == [True, True, False, True]
    assert values[3].dtype == "float32"
    assert values[4].tolist() == [-1, 2, 0, 300]


def test_gradient_through_a_discrete_cast_is_zero():
    x = T.dscalar("x")
    g = T.grad(T.cast(T.cast(x, "int32"), "float64") + x * 2, x)
    assert jg.function([x], g)(3.7) == 2


# -- the module of scalars ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", NAMES)
def test_upgrade_to_float(dtype):
    [found] = scalar.upgrade_to_float(scalar.Scalar(dtype=dtype))
    assert found.dtype == FLOAT_OF[dtype]
    assert scalar.Scalar(dtype) == T.TensorType(dtype, ())


def test_scalar_types():
    assert scalar.Scalar("float32").dtype == "float32"
    assert scalar.int32.dtype == "int32" and scalar.float64().type == T.dscalar
    assert scalar.upgrade_to_float(scalar.int8, scalar.int32)[0].dtype == "float64"
    assert scalar.exp is T.exp
    with pytest.raises(TypeError, match="complex64"):
        scalar.Scalar("complex64")
    with pytest.raises(AttributeError):
        scalar.no_such_name  # noqa: B018
