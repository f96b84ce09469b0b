"""Which values an input accepts, and what a refused one is told."""

from __future__ import annotations

import re

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from jitgraph import In, function
from jitgraph.config import config

MODES = ["FAST_RUN", "reference"]


@pytest.fixture(scope="module")
def same():
    """Functions that return their one input as it was stored, by type and options."""
    made = {}

    def get(type_, **options):
        key = (type_, tuple(options.items()))
        if key not in made:
            x = type_("x")
            made[key] = function([In(x, **options)], x.copy(), mode="reference", name="f")
        return made[key]

    return get


def accepted(f, value, expected, dtype):
    got = f(value)
    assert got.dtype == dtype
    assert got.shape == np.shape(expected)
    np.testing.assert_array_equal(got, expected)


# -- arrays ------------------------------------------------------------------------------------


def test_an_array_of_the_type_is_used_as_it_is(same, tmp_path):
    a = np.array([1.0, 2.5])
    accepted(same(T.dvector), a, [1.0, 2.5], "float64")
    mapped = np.memmap(tmp_path / "v", dtype="float64", mode="w+", shape=(2,))
    mapped[:] = a
    accepted(same(T.dvector), mapped, [1.0, 2.5], "float64")


@pytest.mark.parametrize("mode", MODES)
def test_strided_reversed_and_read_only_arrays(mode):
    x = T.dmatrix("x")
    f = function([x], 2 * x, mode=mode)
    base = np.arange(24.0).reshape(4, 6)
    frozen = base.copy()
    frozen.flags.writeable = False
    swapped = base.astype(">f8")
    for a in (base, base.T, base[::2, ::-1], np.asfortranarray(base), frozen, base[:0], swapped):
        np.testing.assert_array_equal(f(a), 2 * a)
    subclass = base.view(np.matrix)
    assert type(f(subclass)) is np.ndarray
    np.testing.assert_array_equal(f(subclass), 2 * base)


@pytest.mark.parametrize("mode", MODES)
def test_an_array_that_is_not_aligned(mode):
    x, s = T.dvector("x"), T.dscalar("s")
    f, g = function([x], 2 * x, mode=mode), function([x, s], s * x, mode=mode)
    raw = np.zeros(17, dtype=np.uint8)[1:].view("float64")
    raw[:] = 1, 2
    assert not raw.flags.aligned
    # by position, by name, and beside a number, which is converted first
    for value in (f(raw), f(x=raw), g(raw, 2.0), g(raw, s=np.array(2.0))):
        assert value.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (T.dvector, np.array([1, 2], "int32")),
        (T.dvector, np.array([1, 2], "int64")),
        (T.dvector, np.array([1, 2], "float32")),
        (T.dvector, np.array([True, False])),
        (T.dscalar, np.array(3)),
        (T.fvector, np.array([1, 2], "int8")),
        (T.fvector, np.array([1, 2], "uint16")),
        (T.lvector, np.array([1, 2], "uint32")),
        (T.wvector, np.array([1, 200], "uint8")),
    ],
)
def test_an_array_of_a_dtype_that_fits_is_converted(same, type_, value):
    accepted(same(type_), value, value, type_.dtype)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (T.fvector, np.array([1, 2], "int64")),
        (T.ivector, np.array([1, 2], "int64")),
        (T.fvector, np.array([1.0, 2.0])),
        (T.fscalar, np.array(1.0)),
        (T.bvector, np.array([1, 2], "uint8")),
        (T.lvector, np.array([1, 2], "uint64")),
        (T.lvector, np.array([1.0, 2.0])),
        (T.TensorType("bool", (False,)), np.array([0, 1], "int8")),
        (T.dvector, np.array([1.0 + 1j])),
        (T.fvector, np.array([1.0], np.longdouble)),
    ],
)
@pytest.mark.parametrize("mode", MODES)
def test_an_array_of_a_dtype_that_loses_precision_is_refused(type_, value, mode):
    x = type_("x")
    f = function([x], x.copy(), mode=mode)
    words = f"cannot store a value of dtype {value.dtype} without risking loss of precision"
    with pytest.raises(TypeError, match=words):
        f(value)


def test_strict_accepts_arrays_of_the_dtype_only(same):
    f = same(T.dvector, strict=True)
    accepted(f, np.array([1.0, 2.0]), [1, 2], "float64")
    for value in ([1.0, 2.0], (1.0,), np.array([1, 2]), np.array([1.0], "float32")):
        with pytest.raises(TypeError, match="expected a ndarray"):
            f(value)
    with pytest.raises(TypeError, match="expected a ndarray object"):
        same(T.dscalar, strict=True)(1.0)


def test_allow_downcast_converts_anything(same):
    ints = same(T.ivector, allow_downcast=True)
    accepted(ints, [1.5, -2.5], [1, -2], "int32")
    accepted(ints, np.array([2**32 + 7, 3]), [7, 3], "int32")
    accepted(same(T.fvector, allow_downcast=True), np.array([0.1]), [np.float32(0.1)], "float32")
    x = T.fvector("x")
    f = function([x], x.copy(), mode="reference", allow_input_downcast=True)
    accepted(f, np.array([0.1]), [np.float32(0.1)], "float32")
    exact = function([x], x.copy(), mode="reference", allow_input_downcast=False)
    with pytest.raises(TypeError, match="loss of precision"):
        exact(np.array([0.1]))


def test_allow_downcast_of_an_in_is_its_own():
    x, y = T.fscalars("x", "y")
    f = function([In(x), y], x + y, mode="reference", allow_input_downcast=True)
    assert f(0.5, 0.1) == np.float32(0.5) + np.float32(0.1)
    with pytest.raises(TypeError):
        f(0.1, 0.5)


# -- Python numbers and sequences --------------------------------------------------------------


def test_a_float_is_accepted_for_floatx_even_if_it_loses(same):
    assert config.floatX == "float64"
    accepted(same(T.dscalar), 1.1, 1.1, "float64")
    accepted(same(T.fscalar), 1.5, 1.5, "float32")
    with pytest.raises(TypeError, match=re.escape("cannot store accurately value 1.1")):
        same(T.fscalar)(1.1)
    with pytest.raises(TypeError, match="cannot store accurately"):
        same(T.fscalar, allow_downcast=False)(1.1)
    with jg.config.change_flags(floatX="float32"):
        accepted(same(T.fscalar), 1.1, np.float32(1.1), "float32")
        with pytest.raises(TypeError, match="cannot store accurately"):
            same(T.fscalar, allow_downcast=False)(1.1)
        with pytest.raises(TypeError, match="cannot store accurately"):
            same(T.fvector)([1.1])


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (T.ivector, [1, 2]),
        (T.fvector, [1.5, 2.0]),
        (T.fvector, (1, 2)),
        (T.dmatrix, [[1, 2], [3, 4]]),
        (T.dmatrix, [np.array([1, 2]), np.array([3.5, 4])]),
        (T.bscalar, 127),
        (T.lscalar, -(2**63)),
        (T.TensorType("uint8", ()), 255),
        (T.TensorType("uint64", ()), 2**64 - 1),
        (T.TensorType("bool", ()), True),
        (T.TensorType("bool", (False,)), [0, 1]),
        (T.iscalar, np.int64(7)),
        (T.iscalar, np.float64(7.0)),
        (T.iscalar, 7.0),
        (T.dscalar, np.float32(0.1)),
        (T.fscalar, np.float64(0.5)),
        (T.fvector, [np.nan, np.inf]),
        (T.dvector, range(3)),
        (T.dvector, []),
    ],
)
def test_other_values_are_accepted_if_nothing_is_lost(same, type_, value):
    expected = np.array(value if not isinstance(value, range) else list(value), dtype=type_.dtype)
    accepted(same(type_), value, expected, type_.dtype)


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (T.iscalar, 1.5),
        (T.ivector, [1, 2.5]),
        (T.fvector, [0.1]),
        (T.fscalar, np.float64(0.1)),
        (T.fscalar, 2**24 + 1),
        (T.bscalar, 128),
        (T.bscalar, np.int64(-129)),
        (T.iscalar, 2**31),
        (T.TensorType("uint8", ()), -1),
        (T.TensorType("bool", ()), 2),
        (T.iscalar, float("nan")),
        (T.dscalar, 1j),
        (T.lscalar, 2**64 + 5),
    ],
)
def test_other_values_are_refused_if_something_is_lost(same, type_, value):
    with pytest.raises(TypeError, match="cannot store"):
        same(type_)(value)


def test_values_that_are_no_numbers(same):
    with pytest.raises(ValueError, match="could not convert string to float"):
        same(T.dscalar)("abc")
    for value in ({"a": 1}, object(), [[1.0], [1.0, 2.0]]):
        with pytest.raises((TypeError, ValueError)):
            same(T.dvector)(value)


def test_none_is_no_value(same):
    with pytest.raises(TypeError):
        same(T.dscalar)(None)


# -- rank and pattern --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_number_of_axes(mode):
    x = T.dvector("x")
    f = function([x], x.copy(), mode=mode)
    with pytest.raises(TypeError) as caught:
        f(np.ones((2, 3)))
    assert "Wrong number of dimensions: expected 1, got 2 with shape (2, 3)." in str(caught.value)
    with pytest.raises(TypeError, match=r"expected 1, got 0 with shape \(\)"):
        f(3.0)
    with pytest.raises(TypeError, match="expected 1, got 2"):
        f([[1.0]])


@pytest.mark.parametrize("mode", MODES)
def test_a_broadcastable_axis_has_length_one(mode):
    r = T.drow("r")
    f = function([r], r * 2, mode=mode)
    assert f(np.ones((1, 3))).shape == (1, 3)
    with pytest.raises(TypeError, match="Non-unit value on shape on a broadcastable dimension"):
        f(np.ones((2, 3)))


def test_a_variable_is_no_value():
    x, s = T.dscalar("x"), jg.shared(1.0)
    f = function([x], x + 1, mode="reference")
    for value in (x, s, T.constant(1.0)):
        with pytest.raises(TypeError, match="Expected an array-like object, but found a Variable"):
            f(value)


# -- the text of the error ---------------------------------------------------------------------


def test_the_error_names_input_function_index_and_line():
    x = T.dscalar()
    y = T.fvector("y")
    f = function([x, y], y * 2, name="double", on_unused_input="ignore")
    with pytest.raises(TypeError) as caught:
        f(1.0, np.ones(2))
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(
        'Bad input argument with name "y" to jitgraph function with name "double" at index 1 '
        "(0-based)."
    )
    assert re.search(r"\(test_inputs\.py:\d+\)$", lines[0])
    assert "TensorType(float32, vector)" in lines[1] and "astype('float32')" in lines[1]
    with pytest.raises(
        TypeError, match=r"^Bad input argument to jitgraph function with .* index 0"
    ):
        f(np.ones(2), np.ones(2, "float32"))


def test_the_class_of_the_error_is_kept():
    x = T.dscalar("x")
    f = function([x], x + 1)
    with pytest.raises(ValueError, match="Bad input argument") as caught:
        f("abc")
    assert type(caught.value) is ValueError


def test_values_that_are_exact_beyond_the_dtypes_of_variables():
    """float16 arrays and integers of more than 64 bits, where a float holds them."""
    x, y, z = T.dvector("x"), T.dscalar("y"), T.fvector("z")
    f = function([x, y, z], [x * 2, y * 2, z * 2])
    doubled = f(np.array([0.1, 65504], dtype="float16"), 2**70, np.ones(1, dtype="float16"))
    assert doubled[0].tolist() == [2 * float(np.float16(0.1)), 131008]
    assert doubled[1] == 2.0**71 and doubled[2].tolist() == [2]
    for refused in (2**70 + 1, 10**400):
        with pytest.raises(TypeError, match='name "y"'):
            f([1.0], refused, [1.0])
    with pytest.raises(TypeError, match="float16"):
        function([T.lvector("k")], [], on_unused_input="ignore")(np.ones(1, dtype="float16"))
    with pytest.raises(TypeError, match="complex128"):
        f(np.ones(1, dtype=complex), 1, [1.0])
