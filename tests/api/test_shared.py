"""Shared variables: how values become them, and what get_value and set_value share."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from jitgraph import shared
from jitgraph.compile import SharedVariable
from jitgraph.tensor.var import TensorSharedVariable


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, "int64"),
        (2.0, "float64"),
        (True, "bool"),
        (np.float32(1), "float32"),
        (np.int8(1), "int8"),
        (np.uint64(2**63), "uint64"),
        (np.float64(0.1), "float64"),
    ],
)
def test_numbers_become_scalars(value, dtype):
    s = shared(value)
    assert s.type == T.TensorType(dtype, ())
    assert s.get_value().shape == () and s.get_value().dtype == dtype
    assert s.get_value() == value


def test_a_float_is_float64_whatever_floatx_is():
    with jg.config.change_flags(floatX="float32"):
        assert shared(0.0).dtype == "float64"
        assert shared(np.zeros(2)).dtype == "float64"


def test_arrays_become_tensors_without_broadcastable_axes():
    s = shared(np.ones((1, 3), "float32"), name="s")
    assert s.type == T.fmatrix
    assert s.broadcastable == (False, False)
    assert (s.name, str(s), s.ndim) == ("s", "s", 2)
    assert isinstance(s, SharedVariable) and isinstance(s, TensorSharedVariable)
    row = shared(np.ones((1, 3)), broadcastable=(True, False))
    assert row.type == T.drow
    with pytest.raises(TypeError, match="Non-unit value"):
        shared(np.ones((2, 3)), broadcastable=(True, False))


def test_other_values_become_generic():
    s = shared([1, 2], name="a list")
    assert s.get_value() == [1, 2]
    with pytest.raises(TypeError, match=r"holds a list.*share np.asarray\(value\)"):
        s[0]
    with pytest.raises(TypeError):
        s + 1
    s.set_value({"any": "thing"})
    assert s.get_value() == {"any": "thing"}


def test_a_random_state_is_kept_as_one():
    s = shared(np.random.RandomState(5))
    assert isinstance(s.get_value(), np.random.RandomState)
    assert s.get_value() is not s.get_value()
    assert s.get_value(borrow=True) is s.get_value(borrow=True)


def test_integers_that_no_dtype_holds():
    assert jg.shared(2**64 - 1).dtype == "uint64" and jg.shared(-(2**63)).dtype == "int64"
    for value in (2**64, -(2**63) - 1, 10**30):
        with pytest.raises(TypeError, match=r"bits fits no dtype; share float\(…\)") as caught:
            jg.shared(value)
        assert len(str(caught.value)) < 200


def test_arguments_that_no_constructor_has():
    for value in (np.ones(2), 1.5, "text"):
        with pytest.raises(TypeError, match="there is no argument dtype; convert") as caught:
            jg.shared(value, dtype="float32")
        assert len(str(caught.value)) < 200
    with pytest.raises(TypeError, match=r"there is no argument colour   \("):
        jg.shared(1.5, colour=3)


def test_refused_values():
    with pytest.raises(TypeError, match="not the symbolic x"):
        shared(T.dscalar("x"))
    with pytest.raises(TypeError, match=r"No suitable SharedVariable constructor .* dtype"):
        shared(np.ones(2), dtype="float32")
    with pytest.raises(TypeError, match="No suitable SharedVariable constructor"):
        shared(1.0, nonsense=1)
    for value in (1j, np.ones(2, "complex128"), np.ones(2, "float16")):
        with pytest.raises(TypeError, match="not supported"):
            shared(value)
    with pytest.raises(TypeError, match="name of a variable must be a string"):
        shared(1.0, name=3)


def test_borrow_of_the_constructor():
    a = np.zeros(2)
    kept, own = shared(a, borrow=True), shared(a)
    a[0] = 5
    assert kept.get_value().tolist() == [5, 0]
    assert own.get_value().tolist() == [0, 0]
    number = np.float64(1.0)
    assert shared(number, borrow=True).get_value() == 1.0


def test_get_value_copies_unless_borrowed():
    s = shared(np.zeros(2))
    value = s.get_value()
    value[0] = 7
    assert s.get_value().tolist() == [0, 0]
    live = s.get_value(borrow=True)
    live[0] = 7
    assert s.get_value().tolist() == [7, 0]
    assert s.get_value(borrow=True, return_internal_type=True) is live
    assert type(shared(0).get_value()) is np.ndarray
    assert str(shared(0).get_value()) == "0"


def test_set_value_filters_and_copies():
    s = shared(np.zeros(2))
    a = np.ones(3)
    s.set_value(a)
    a[0] = 9
    assert s.get_value().tolist() == [1, 1, 1]
    s.set_value(a, borrow=True)
    a[0] = 4
    assert s.get_value().tolist() == [4, 1, 1]
    s.set_value([1, 2])
    assert s.get_value().dtype == "float64"
    s.set_value(np.array([3, 4]))
    assert s.get_value().tolist() == [3, 4]
    for bad, words in (
        (np.ones((2, 2)), "Wrong number of dimensions: expected 1, got 2"),
        (np.ones(2, "complex64"), "loss of precision"),
        (1.0, "Wrong number of dimensions"),
    ):
        with pytest.raises(TypeError, match=words):
            s.set_value(bad)
    assert s.get_value().tolist() == [3, 4]
    single = shared(np.zeros(2, "float32"))
    with pytest.raises(TypeError, match="cannot store a value of dtype float64"):
        single.set_value(np.zeros(2))


def test_zero():
    s = shared(np.ones(3))
    before = s.get_value(borrow=True)
    s.zero()
    assert s.get_value().tolist() == [0, 0, 0]
    assert before.tolist() == [1, 1, 1]
    s.set_value(before, borrow=True)
    s.zero(borrow=True)
    assert before.tolist() == [0, 0, 0]


def test_clone_shares_the_container():
    s = shared(1.0, name="s")
    other = s.clone()
    assert other is not s and other.container is s.container and other.name == "s"
    s.set_value(3.0)
    assert other.get_value() == 3


def test_the_attribute_value_is_gone():
    with pytest.raises(Exception, match="does not exist anymore"):
        shared(1.0).value  # noqa: B018


def test_default_update():
    s = shared(0)
    s.default_update = s + 1
    f = jg.function([], s * 10)
    assert [f(), f()] == [0, 10]
    assert s.get_value() == 2


def test_pickle_and_deepcopy():
    s = shared(np.arange(3.0), name="w")
    s.default_update = s + 1
    back = pickle.loads(pickle.dumps(s))
    assert (back.name, back.type) == ("w", s.type)
    assert back.get_value().tolist() == [0, 1, 2]
    back.set_value([5.0])
    assert s.get_value().tolist() == [0, 1, 2]
    assert jg.function([], back)().tolist() == [5]
    assert back.get_value().tolist() == [6]
    twin = copy.deepcopy(s)
    twin.set_value([9.0])
    assert s.get_value().tolist() == [0, 1, 2]


def test_pickle_of_a_graph():
    x = T.dvector("x")
    y = T.nnet.sigmoid(x)[1:].sum() + T.constant(2.0)
    [x2, y2] = pickle.loads(pickle.dumps([x, y]))
    assert jg.function([x2], y2)([0.0, 0.0, 0.0]) == 3.0
    [x3, y3] = copy.deepcopy([x, y])
    assert x3 is not x
    assert jg.function([x3], y3)([0.0, 0.0]) == 2.5


def test_a_constructor_of_the_programs_own():
    from jitgraph.tensor import sharing

    class Money:
        def __init__(self, cents: int):
            self.cents = cents

    def money_constructor(value, name=None, strict=False, allow_downcast=None):
        if not isinstance(value, Money):
            raise TypeError("not money")
        return sharing.shared(np.asarray(value.cents), name)

    jg.shared_constructor(money_constructor)
    try:
        assert shared(Money(250), name="m").get_value() == 250
        assert shared(3).get_value() == 3
    finally:
        sharing._constructors.remove(money_constructor)


def test_strict_and_allow_downcast_are_for_set_value():
    strict = shared(np.ones(2), "strict", strict=True)
    for refused in ([1.0, 2.0], np.arange(2), np.ones(2, dtype="float32")):
        with pytest.raises(TypeError, match="expected a ndarray"):
            strict.set_value(refused)
        with pytest.raises(TypeError, match="expected a ndarray"):
            strict.clone().set_value(refused)
    strict.set_value(np.arange(3.0))
    assert strict.get_value().tolist() == [0, 1, 2]

    loose = shared(np.ones(2, dtype="float32"), allow_downcast=True)
    loose.set_value(np.array([0.1]))
    assert loose.get_value().dtype == "float32" and loose.get_value() == np.float32(0.1)
    number = shared(1, allow_downcast=True)
    number.set_value(2.7)
    assert number.get_value() == 2
    with pytest.raises(TypeError, match="dimensions"):
        loose.set_value(np.ones((2, 2)))


def test_a_refused_value_is_told_which_variable():
    w = shared(np.zeros(3), "w")
    for bad in (np.zeros((2, 2)), np.zeros(2, dtype=complex), T.dvector(), None, "a"):
        with pytest.raises((TypeError, ValueError), match=r"^w float64\[\?\], shared, made at "):
            w.set_value(bad)
    with pytest.raises(TypeError, match=r"^w float64\[\?\], shared, made at .*test_shared.py"):
        jg.function([], [], updates=[(w, 3)])
    half = shared(np.float32(0), "half")
    with pytest.raises(TypeError, match=r"shared\(…, allow_downcast=True\)"):
        half.set_value(0.1)
    assert w.get_value().tolist() == [0, 0, 0]


def test_a_container_shows_its_value():
    x = T.dscalar("x")
    f = jg.function([jg.In(x, value=2.0, update=x + 1)], x)
    f()
    assert f.container[x].value == f.container["x"].value == 3
