"""Calls with numbers, which compiled code reads where they are, without an array in between.

What is accepted, what becomes of it and what is said of the rest is compared with
`mode='reference'`, in which every value is made an array first.
"""

from __future__ import annotations

import contextlib
import gc
import threading
import warnings
import weakref

import numpy as np
import pytest

import jitgraph as jg
import jitgraph.tensor as T
from jitgraph import In, dtypes, function, shared
from jitgraph.runtime import loader

EDGES = [0, 7, 8, 15, 16, 24, 30, 31, 32, 53, 59, 60, 61, 63, 64, 90]
INTS = sorted({s * (2**e + d) for e in EDGES for d in (-1, 0, 1) for s in (1, -1)})
LARGEST = (2 - 2**-23) * 2.0**127  # of float32
FLOATS = [0.0, -0.0, 0.1, -2.5, 3.0, 1e-46, -1e-320, 1e300, LARGEST, LARGEST * (1 + 2**-26), 3.5e38]
FLOATS += [2.0**24 + 1, float("inf"), -float("inf"), float("nan")]
with np.errstate(all="ignore"):
    NUMPY = [np.array(v).astype(name)[()] for name in dtypes.NAMES for v in (3.0, 0.1, -1.0)]
OTHERS = [True, False, None, "3", 1j, [3], np.float16(0.5), np.longdouble(0.1), np.longlong(3)]
VALUES = [*INTS, *FLOATS, *NUMPY, *OTHERS, np.array(3.5), np.array(3), np.array([3.0])]


class Whole(int):
    """A subclass of int, as IntEnum is."""


def answer(f, *args):
    """dtype, bits and warnings of a call's result, or its error."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            result = f(*args)
        except Exception as error:
            return type(error), str(error), [str(w.message) for w in told]
    kind = type(result), result.dtype, result.shape, result.flags.owndata
    bits = result.tobytes() if not np.isnan(result).any() else "nan"
    return (*kind, bits, [str(w.message) for w in told])


def pair(type_, **options):
    """A compiled function that returns its input, and what it is compared with."""
    x = type_("x")
    return [
        function([In(x, **options)], x, name="f", mode=mode) for mode in ("FAST_RUN", "reference")
    ]


# -- values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", dtypes.NAMES)
def test_every_number_is_accepted_or_refused_as_if_it_were_an_array(name):
    accepted = 0
    for options in ({}, {"allow_downcast": True}, {"allow_downcast": False}, {"strict": True}):
        f, expected = pair(T.TensorType(name, ()), **options)
        for floatx in ("float64", "float32"):
            with jg.config.change_flags(floatX=floatx):
                for value in VALUES:
                    found = answer(f, value)
                    assert found == answer(expected, value), (options, floatx, value)
                    accepted += found[0] is np.ndarray
                for value in (Whole(3), Whole(-(2**40)), np.float64(0.5)):
                    assert answer(f, value) == answer(expected, value), (options, floatx, value)
    assert accepted > 100


def test_the_comparison_finds_a_wrong_value():
    f, expected = pair(T.fscalar)
    assert answer(f, 0.5) != answer(expected, 0.25)
    assert answer(f, 0.1) != answer(expected, 0.5)
    assert answer(f, 0.0) != answer(expected, -0.0)


def test_nan_keeps_its_bits():
    quiet = np.array([0x7FF8_0000_0000_1234, 0xFFF8_0000_0000_0001], "uint64").view("float64")
    f, _ = pair(T.dscalar)
    for number in (*quiet, *quiet.tolist()):
        assert f(number).tobytes() == np.asarray(number).tobytes()
    single = np.array([0x7FC0_1234], "uint32").view("float32")[0]
    g, _ = pair(T.fscalar)
    assert g(single).tobytes() == single.tobytes()
    assert g(float(quiet[1])).tobytes() == np.asarray(quiet[1]).astype("float32").tobytes()


def test_numbers_beside_arrays_and_state():
    x, v, k, s = T.dscalar("x"), T.dvector("v"), T.lscalar("k"), T.fscalar("s")
    total = shared(0.0)
    f = function([x, v, k, s], [x * v[k], v + s], updates=[(total, total + x * k)])
    array = np.arange(40_000.0)
    for numbers in ((2.0, 3, 0.5), (np.float64(2), np.int64(3), np.float32(0.5)), (2, 3, 0.5)):
        for given in (array, array[::-1].copy()[::-1], np.repeat(array, 2)[::2], array.tolist()):
            one, two = f(numbers[0], given, *numbers[1:])
            assert one == 6.0 and one.dtype == np.float64
            np.testing.assert_array_equal(two, array + 0.5)
    assert total.get_value() == 12 * 6.0


def test_numbers_beside_an_array_in_another_order(monkeypatch):
    """As long as nothing is loaded that gathers its parts, it is copied."""
    monkeypatch.setattr(loader.host(), "strided", 0)
    v, x = T.dvector("v"), T.dscalar("x")
    f = function([x, v], v * x)
    for two in (2.0, 2, np.float64(2), np.array(2.0)):
        assert f(two, np.arange(6.0)[::-2]).tolist() == [10, 6, 2]


@pytest.mark.parametrize("sort", [False, True])
def test_steps_of_numpy_are_given_arrays(sort):
    """With a step in Python there is more than one entry; numbers reach none of its code."""
    x, v = T.dscalar("x"), T.dvector("v")
    f = function([x, v], (T.sort(v) if sort else v) * x + T.cumsum(v)[-1])
    for two in (2.0, 2, np.float64(2), np.int8(2), np.array(2.0)):
        assert f(two, [1.0, 3.0]).tolist() == [6.0, 10.0]


def test_numbers_where_ints_cannot_be_read(monkeypatch):
    """The interpreter need not store ints as it does here."""
    monkeypatch.setattr(loader.host(), "int_type", 0, raising=False)
    i, x = T.iscalar("i"), T.dscalar("x")
    f = function([i, x], x * i)
    assert [f(3, 2), f(-3, 2.5), f(True, 2**53)] == [6.0, -7.5, 2.0**53]
    with pytest.raises(TypeError, match="cannot store accurately value 2147483648"):
        f(2**31, 1.0)


# -- the form of the call ----------------------------------------------------------------------


def test_keywords_and_results_that_are_given():
    x, y, w = T.dscalars("x", "y", "w")
    f = function([x, y, w], (x + y) * w)
    a = np.array(3.0)
    assert f(1, y=2.0, w=a) == f(w=a, x=1, y=2.0) == 9.0
    z = np.array(0.0)
    assert f(1, 2.0, a, out=z) is z and z == 9.0
    assert f(w=np.float64(2), out=z, x=1, y=2.0) is z and z == 6.0
    assert f(a, 1, 2, out=a) is a and a == 8.0  # an argument, too
    part = np.zeros(4)
    view = part[1:2].reshape(())
    assert f(1.0, 1.0, view, out=view) is view and part.tolist() == [0, 0, 0, 0]
    assert f(1.0, 1.0, part[1:2].reshape(()) + 4, out=view) is view
    assert part.tolist() == [0, 8, 0, 0]
    with pytest.raises(TypeError, match=r"Missing required input: w"):
        f(1.0, y=2.0)
    with pytest.raises(TypeError, match=r"Multiple values for input: x"):
        f(1.0, x=1.0, y=2.0)
    with pytest.raises(TypeError, match=r"Unknown input or state: v"):
        f(x=1.0, y=2.0, v=2.0)
    with pytest.raises(ValueError, match=r'argument with name "y" .* at index 1'):
        f(1.0, "a", 2.0, out=z)
    assert z == 6.0


def test_a_result_that_shares_memory_with_an_argument():
    v, x = T.dvector("v"), T.dscalar("x")
    f = function([v, x], v[::-1] * x)
    whole = np.arange(6.0)
    for make in (lambda a: a, lambda a: a[:], lambda a: np.frombuffer(a, a.dtype)):
        a = whole.copy()
        f(make(a), 2.0, out=a)
        assert a.tolist() == [10, 8, 6, 4, 2, 0]
        b = whole.copy()
        z = make(b)
        f(b, 2, out=z)
        assert z.tolist() == [10, 8, 6, 4, 2, 0]


# -- errors ------------------------------------------------------------------------------------


def test_a_failed_check_tells_the_same_of_numbers_and_arrays():
    v, k, n = T.dvector("v"), T.lscalar("k"), T.iscalar("n")
    f = function([v, k], v[k] * 2)
    g = function([v, n], v.reshape((n, 2)) * 2)
    h = function([v, n], T.sort(v)[n])
    a = np.ones(3)
    for call in (f, g, h):
        told = []
        for number in (7, np.int64(7), np.int32(7), np.array(7, "int64" if call is f else "int32")):
            if call is not f and isinstance(number, np.int64):
                continue
            with pytest.raises((IndexError, ValueError)) as caught:
                call(a, number)
            told.append((type(caught.value), str(caught.value), caught.value.explain()))
        assert len(set(told)) == 1, told


def test_a_call_that_was_refused_changes_nothing_for_the_next():
    x, y = T.fscalar("x"), T.dscalar("y")
    f = function([x, y], x * y, allow_input_downcast=True)
    for _ in range(2):
        assert f(0.5, 3) == 1.5
        assert f(0.1, 3.0) == np.float64(np.float32(0.1)) * 3.0
        assert f(np.float32(2), np.array(0.5)) == 1.0
        with pytest.raises(TypeError, match="index 1"):
            f(0.1, {"a": 1})


# -- memory and threads ------------------------------------------------------------------------


def test_no_argument_and_no_result_is_kept():
    v, k = T.dvector("v"), T.lscalar("k")
    f = function([v, k], v[k:] * 2)
    g = function([v, k], v * v[k])

    def gone(call, size, **keywords):
        a = np.ones(size)
        refs = [weakref.ref(a)]
        with contextlib.suppress(IndexError):
            refs.append(weakref.ref(call(a, **keywords)))
        del a
        gc.collect()
        return all(r() is None for r in refs)

    for n in (3, 300_000):
        assert gone(f, n, k=1) and gone(f, n, k=0) and gone(g, n, k=2)
        assert gone(g, n, k=n)  # refused
        assert gone(lambda a, size=n: g(a, 1, out=np.empty(size)), n)


def test_numbers_from_many_threads():
    x, k = T.dscalar("x"), T.lscalar("k")
    f = function([x, k], x * k + 1)
    errors = []

    def work(seed):
        rng = np.random.default_rng(seed)
        for _ in range(1500):
            a, b = float(rng.integers(1 << 20)), int(rng.integers(1 << 20))
            for args in ((a, b), (np.float64(a), np.int64(b)), (int(a), np.array(b))):
                if f(*args) != a * b + 1:
                    errors.append(args)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not errors
