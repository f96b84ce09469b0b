"""Constructors of symbolic variables, their types, and constants."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from jitgraph.tensor.basic import EmptyConstantError, NotScalarConstantError
from jitgraph.tensor.var import AsTensorError, TensorConstant, TensorVariable

PATTERNS = {
    "scalar": (),
    "vector": (False,),
    "matrix": (False, False),
    "row": (True, False),
    "col": (False, True),
    "tensor3": (False,) * 3,
    "tensor4": (False,) * 4,
    "tensor5": (False,) * 5,
    "tensor6": (False,) * 6,
    "tensor7": (False,) * 7,
}
PREFIXES = {
    "b": "int8",
    "w": "int16",
    "i": "int32",
    "l": "int64",
    "f": "float32",
    "d": "float64",
}
PLURALS = {"matrix": "matrices"} | {n: n + "s" for n in PATTERNS if n != "matrix"}


@pytest.mark.parametrize("shape", PATTERNS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_typed_constructors(prefix, shape):
    type_ = getattr(T, prefix + shape)
    assert isinstance(type_, T.TensorType)
    assert type_ == T.TensorType(PREFIXES[prefix], PATTERNS[shape])
    x = type_("x")
    assert isinstance(x, TensorVariable)
    assert x.type == type_
    assert (x.name, x.dtype, x.broadcastable) == ("x", PREFIXES[prefix], PATTERNS[shape])
    assert x.ndim == len(PATTERNS[shape])
    assert type_().name is None


@pytest.mark.parametrize("prefix", "cz")
@pytest.mark.parametrize("shape", PATTERNS)
def test_complex_constructors_say_that_there_are_none(prefix, shape):
    dtype = {"c": "complex64", "z": "complex128"}[prefix]
    with pytest.raises(AttributeError, match=f"arrays of {dtype} are not supported"):
        getattr(T, prefix + shape)


@pytest.mark.parametrize("shape", PATTERNS)
def test_untyped_constructors_follow_floatx_when_called(shape):
    make = getattr(T, shape)
    assert make("x").type == T.TensorType("float64", PATTERNS[shape])
    with jg.config.change_flags(floatX="float32"):
        assert make().dtype == "float32"
        assert make("x", dtype="int8").dtype == "int8"
    assert make(dtype="uint16").dtype == "uint16"
    assert make(name="n", dtype="floatX").dtype == "float64"
    assert make("n").name == "n"


@pytest.mark.parametrize("shape", PATTERNS)
@pytest.mark.parametrize("prefix", ["", "f", "d", "i", "l"])
def test_plurals(prefix, shape):
    several = getattr(T, prefix + PLURALS[shape])
    type_ = T.TensorType(PREFIXES.get(prefix, "float64"), PATTERNS[shape])
    a, b = several("a", "b")
    assert (a.name, b.name) == ("a", "b")
    assert a.type == b.type == type_
    unnamed = several(3)
    assert [v.name for v in unnamed] == [None] * 3
    assert all(v.type == type_ for v in unnamed)


def test_plurals_of_a_single_argument():
    letters = T.dvectors("foo")
    assert [v.name for v in letters] == ["f", "o", "o"]
    single = T.dvectors("a")
    assert isinstance(single, TensorVariable) and single.name == "a"
    [only] = T.dvectors(1)
    assert isinstance(only, TensorVariable)
    assert T.dvectors() == []
    assert T.dvectors(0) == []
    assert len(T.matrices("x", "y", "z")) == 3


@pytest.mark.parametrize("name", ["uscalar", "hmatrix", "dtensor8", "bvectors", "abs", "nonsense"])
def test_names_that_do_not_exist(name):
    with pytest.raises(AttributeError):
        getattr(T, name)


# -- types -------------------------------------------------------------------------------------


def test_tensor_and_tensor_type():
    x = T.tensor(dtype="int16", broadcastable=(False, True), name="x")
    assert x.type == T.TensorType("int16", [0, 1])
    assert T.tensor("float32", (False,)).type == T.fvector
    assert T.TensorType("floatX", ())().dtype == "float64"
    with jg.config.change_flags(floatX="float32"):
        assert T.TensorType("floatX", ()) == T.fscalar
    assert T.TensorType(np.float32, (False,)) == T.fvector
    for dtype in ("float128", "no such dtype", "complex64", "float16", "object"):
        with pytest.raises(TypeError):
            T.TensorType(dtype, ())


def test_types_are_values():
    a, b = T.TensorType("float64", (False,)), T.dvector
    assert a == b and hash(a) == hash(b)
    assert len({a, b, T.dmatrix}) == 2
    assert a != T.TensorType("float64", (True,))
    assert a != T.fvector
    assert a.clone(dtype="int8") == T.bvector
    assert a.clone(broadcastable=(False, False)) == T.dmatrix
    assert (a.ndim, a.dtype, a.broadcastable) == (1, "float64", (False,))


def test_methods_of_a_type():
    t = T.fvector
    assert t.filter([1, 2]).dtype == "float32"
    with pytest.raises(TypeError):
        t.filter(np.array([0.1]))
    assert t.filter(np.array([0.1]), allow_downcast=True).dtype == "float32"
    with pytest.raises(TypeError):
        t.filter([1, 2], strict=True)
    assert t.make_variable("v").name == "v"
    assert t.make_constant([1, 2]).data.dtype == "float32"
    x = t("x")
    assert t.filter_variable(x) is x
    assert t.filter_variable([1, 2]).type == t
    row = T.frow("r")
    assert T.fmatrix.filter_variable(row).type == T.fmatrix
    with pytest.raises(TypeError, match="Cannot convert Type"):
        t.filter_variable(T.dvector())
    nan = np.array([np.nan, 1], "float32")
    assert t.values_eq(nan, nan.copy())
    assert not t.values_eq(nan, np.array([np.nan, 2], "float32"))
    near = nan * np.float32(1 + 5e-6)
    assert not t.values_eq(nan, near)
    assert t.values_eq_approx(nan, near)
    assert not t.values_eq_approx(nan, nan * np.float32(1.001))
    assert not t.values_eq_approx(nan, nan.astype("float64"))


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (T.dscalar, "TensorType(float64, scalar)"),
        (T.fvector, "TensorType(float32, vector)"),
        (T.irow, "TensorType(int32, row)"),
        (T.lcol, "TensorType(int64, col)"),
        (T.bmatrix, "TensorType(int8, matrix)"),
        (T.dtensor3, "TensorType(float64, 3D)"),
        (T.dtensor4, "TensorType(float64, 4D)"),
        (T.TensorType("bool", (True, True)), "TensorType(bool, (True, True))"),
    ],
)
def test_text_of_types(type_, text):
    assert str(type_) == repr(type_) == text
    assert str(type_()) == f"<{text}>"


def test_text_of_variables():
    x, y = T.dvectors("x", "y")
    assert str(x) == repr(x) == "x"
    assert str(x + y) == "Elemwise{add,no_inplace}.0"
    named = x + y
    named.name = "z"
    assert str(named) == "z"
    with pytest.raises(TypeError, match="must be a string, not 3"):
        T.dscalar(3)


def test_attributes_of_variables():
    x = T.dmatrix("x")
    y = x + 1
    assert (y.owner.op.name, y.index, y.owner.outputs) == ("add", 0, [y])
    assert y.owner.inputs[0] is x
    assert x.owner is None and x.index is None
    assert x.T.ndim == x.ndim == 2
    x.tag.note = "mine"
    assert x.tag.note == "mine"
    assert x.auto_name != T.dmatrix().auto_name
    assert x.real is x
    assert x.shape.type == T.lvector and x.size.type == T.lscalar


# -- constants ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype", "pattern"),
    [
        (1, "int8", ()),
        (1.0, "float32", ()),
        (0.1, "float64", ()),
        (True, "int8", ()),
        ([1, 2], "int64", (False,)),
        ([1.0, 2.0], "float64", (False,)),
        ([], "float64", (False,)),
        ([3], "int64", (True,)),
        (np.zeros((1, 3), "float32"), "float32", (True, False)),
        (np.int16(4), "int16", ()),
        (np.array(True), "bool", ()),
    ],
)
def test_constants(value, dtype, pattern):
    c = T.constant(value)
    assert isinstance(c, TensorConstant)
    assert (c.dtype, c.broadcastable) == (dtype, pattern)
    np.testing.assert_array_equal(c.data, value)


def test_options_of_constants():
    assert T.constant(1, dtype="float32").dtype == "float32"
    assert T.constant(1, name="one").name == "one"
    assert T.constant([1, 2], ndim=3).broadcastable == (True, True, False)
    with pytest.raises(ValueError, match="cannot have ndim=0"):
        T.constant([1, 2], ndim=0)
    for bad in ("text", object()):
        with pytest.raises(TypeError):
            T.constant(bad)


def test_small_numbers_are_one_constant():
    for make in (lambda: T.constant(1), lambda: T.constant(-2.5), lambda: T.constant(np.int8(10))):
        assert make() is make()
    others = [1, 1.0, np.float64(1), np.int64(1), 0.0, -0.0]
    made = [T.constant(v) for v in others]
    assert len({id(c) for c in made}) == len(others)
    assert [c.data.dtype.name for c in made[:4]] == ["int8", "float32", "float64", "int64"]
    assert np.signbit(made[5].data) and not np.signbit(made[4].data)
    for value in (11, float("nan"), [1], np.ones(3)):
        assert T.constant(value) is not T.constant(value)
    assert T.constant(1, ndim=1).ndim == 1


def test_names_and_tags_of_a_small_constant_stay_its_own():
    one = T.constant(1)
    assert T.constant(1, name="one") is not one and T.constant(1) is one
    one.name = "unit"
    plain = T.constant(1)
    assert plain is not one and plain.name is None and T.constant(1) is plain
    plain.tag.comment = "mine"
    assert T.constant(1) is not plain
    x = T.dvector("x")
    added = x + 1
    T.constant(1).name = "later"
    assert "later" not in jg.pp(added)


def test_a_constant_keeps_its_value():
    a = np.ones(2)
    c = T.constant(a)
    a[0] = 5
    assert c.data.tolist() == [1, 1]
    with pytest.raises(ValueError):
        c.data[0] = 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "TensorConstant{1.0}"),
        (np.zeros((3, 3)), "TensorConstant{(3, 3) of 0.0}"),
        ([1.0, 2.0], "TensorConstant{[1. 2.]}"),
        (7, "TensorConstant{7}"),
    ],
)
def test_text_of_constants(value, text):
    assert str(T.constant(value)) == text


def test_as_tensor_variable():
    x, y = T.dscalars("x", "y")
    assert T.as_tensor_variable(x) is x
    assert T.as_tensor_variable((x + 1).owner).owner.op.name == "add"
    assert T.as_tensor is T.as_tensor_variable
    assert T.as_tensor_variable([x, y, 3]).ndim == 1
    assert T.as_tensor_variable([[x, y], [y, x]]).ndim == 2
    assert T.as_tensor_variable([x, 2.5]).eval({x: 1}).tolist() == [1, 2.5]
    assert T.as_tensor_variable(np.ones(2)).type == T.dvector
    assert T.as_tensor_variable(x, ndim=2).broadcastable == (True, True)
    assert T.as_tensor_variable(T.drow("r"), ndim=1).type == T.dvector
    assert T.as_tensor_variable(2.0, name="two").name == "two"
    with pytest.raises(ValueError, match="cannot have ndim=1"):
        T.as_tensor_variable(T.dmatrix("m"), ndim=1)
    for bad in ("text", {}, [[1, 2], [3]], True, None, object()):
        with pytest.raises(AsTensorError):
            T.as_tensor_variable(bad)
    assert issubclass(AsTensorError, TypeError)


def test_known_values():
    x = T.dvector("x")
    assert T.get_scalar_constant_value(T.constant(3)) == 3
    assert T.get_scalar_constant_value(T.alloc(2.0, 3, 4)) == 2
    assert T.get_scalar_constant_value(T.zeros_like(x)) == 0
    assert T.get_scalar_constant_value(T.constant([4, 5])[1]) == 5
    assert T.get_scalar_constant_value(T.constant(np.zeros((3, 4))).shape[1]) == 4
    assert T.constant(7).get_scalar_constant_value() == 7
    assert T.extract_constant(T.constant(3)) == 3
    assert T.extract_constant(x[0]).owner is not None
    with pytest.raises(NotScalarConstantError):
        T.get_scalar_constant_value(x[0])
    with pytest.raises(NotScalarConstantError):
        T.get_scalar_constant_value(T.constant([1, 2]))
    with pytest.raises(EmptyConstantError):
        T.get_scalar_constant_value(T.constant([]))
    assert issubclass(EmptyConstantError, NotScalarConstantError)


def test_known_lengths():
    m = T.dmatrix("m")
    assert T.get_vector_length(m.shape) == 2
    assert T.get_vector_length(m.shape[1:]) == 1
    assert T.get_vector_length(T.constant([1, 2, 3])) == 3
    assert T.get_vector_length(T.as_tensor_variable([m[0, 0], 2.0])) == 2
    assert T.get_vector_length(T.concatenate([m.shape, [5]])) == 3
    with pytest.raises(ValueError, match=r"length of m|length of the result|is not known"):
        T.get_vector_length(m[0])
    with pytest.raises(TypeError):
        T.get_vector_length(m)


def test_make_vector():
    k = T.lscalar("k")
    v = T.make_vector(k, 2, T.iscalar("i"))
    assert v.dtype == "int64" and T.get_vector_length(v) == 3 and T.opt.make_vector is T.make_vector
    f = jg.function([k, v.owner.inputs[2]], v)
    assert f(7, 5).tolist() == [7, 2, 5]
    with pytest.raises(TypeError, match="without loss"):
        T.make_vector(T.dscalar("d"))
