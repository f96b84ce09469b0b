"""`f(x, out=z)`: results stored in the caller's arrays, or nothing written at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T

x = T.dvector("x")
SQUARE = jitgraph.function([x], x * x)


def test_the_array_itself_is_returned() -> None:
    a = np.arange(5.0)
    z = np.full(5, np.nan)
    assert SQUARE(a, out=z) is z
    assert z.tolist() == [0, 1, 4, 9, 16]


def test_many_sizes_one_after_another() -> None:
    for n in (3, 0, 7, 100_000, 3):
        a = np.arange(float(n))
        z = np.empty(n)
        assert SQUARE(a, out=z) is z
        np.testing.assert_array_equal(z, a * a)
        np.testing.assert_array_equal(SQUARE(a), a * a)


def test_an_array_that_is_also_an_argument() -> None:
    a = np.arange(6.0)
    assert SQUARE(a, out=a) is a
    assert a.tolist() == [0, 1, 4, 9, 16, 25]
    b = np.arange(6.0)
    SQUARE(b[:5], out=b[1:])
    assert b.tolist() == [0, 0, 1, 4, 9, 16]


def test_a_strided_array() -> None:
    z = np.zeros(10)
    SQUARE(np.arange(5.0), out=z[::2])
    assert z.tolist() == [0, 0, 1, 0, 4, 0, 9, 0, 16, 0]


def test_several_outputs() -> None:
    f = jitgraph.function([x], [x + 1, x.sum(), x * 2])
    p, q = np.empty(3), np.empty(3)
    results = f(np.ones(3), out=[p, None, q])
    assert results[0] is p and results[2] is q
    assert p.tolist() == [2, 2, 2] and q.tolist() == [2, 2, 2] and results[1] == 3
    g = jitgraph.function([x], {"a": x + 1, "b": x * 3})
    found = g(np.ones(3), out={"b": q})
    assert found["b"] is q and q.tolist() == [3, 3, 3] and found["a"].tolist() == [2, 2, 2]


def test_with_state_and_steps_of_numpy() -> None:
    s = jitgraph.shared(np.zeros(3), "s")
    f = jitgraph.function([x], T.sort(x) + s, updates=[(s, s + x)])
    z = np.empty(3)
    for k in range(3):
        f(np.array([3.0, 1.0, 2.0]), out=z)
        assert z.tolist() == [1 + 3 * k, 2 + k, 3 + 2 * k]
    assert s.get_value().tolist() == [9, 3, 6]


@pytest.mark.parametrize(
    ("z", "kind", "message"),
    [
        (np.empty(4), ValueError, r"output 0 has shape \(3,\), the array \(4,\)"),
        (np.empty(3, "float32"), TypeError, "output 0 is float64 with 1 axes"),
        (np.empty((3, 1)), TypeError, "1 axes, the array is float64 with 2"),
        ([1.0, 2.0, 3.0], TypeError, "numpy.ndarray is needed, got list"),
    ],
)
def test_refused(z: Any, kind: type[Exception], message: str) -> None:
    s = jitgraph.shared(np.zeros(3), "s")
    f = jitgraph.function([x], x * 2, updates=[(s, s + x)])
    before = np.array(z, copy=True)
    for function in (SQUARE, f):
        with pytest.raises(kind, match=message):
            function(np.ones(3), out=z)
    np.testing.assert_array_equal(z, before)
    assert s.get_value().tolist() == [0, 0, 0]


def test_read_only_and_shared_memory_refused() -> None:
    z = np.empty(3)
    z.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        SQUARE(np.ones(3), out=z)
    f = jitgraph.function([x], [x + 1, x * 2])
    w = np.empty(4)
    with pytest.raises(ValueError, match="share memory"):
        f(np.ones(3), out=[w[:3], w[1:]])


def test_an_array_whose_elements_share_memory_is_refused() -> None:
    strided = np.lib.stride_tricks.as_strided
    for bad in (strided(np.zeros(3), (3,), (0,)), strided(np.zeros(9), (3,), (4,))):
        with pytest.raises(ValueError, match="elements of the array for output 0 share memory"):
            SQUARE(np.ones(3), out=bad)
    columns, z = T.dmatrix("columns"), np.zeros((4, 6))
    f = jitgraph.function([columns], columns * 2)
    for good in (z[::-1, ::2], z[1:3, 1:].T, strided(np.zeros(1), (1, 1), (0, 0)), z[:0]):
        assert f(np.ones(good.shape), out=good) is good
        assert (good == 2).all()


@pytest.fixture
def no_general_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that would bind their arguments one by one, at ten times the cost, fail."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the general way was taken")

    monkeypatch.setattr(type(SQUARE), "_call_bound", refuse)


@pytest.mark.usefixtures("no_general_way")
def test_plain_arrays_and_keywords_cost_next_to_nothing() -> None:
    y, s = T.dvector("y"), jitgraph.shared(np.ones(3))
    f = jitgraph.function([x, y], x - y * s)
    a, b, z = np.arange(3.0), np.ones(3), np.empty(3)
    f(a, b)  # the lengths are known from here on
    for args, kwargs in (((a, b), {}), ((a,), {"y": b}), ((), {"y": b, "x": a})):
        assert f(*args, **kwargs).tolist() == [-1, 0, 1]
        z.fill(np.nan)
        assert f(*args, out=z, **kwargs) is z
        assert z.tolist() == [-1, 0, 1]


def test_checks_of_the_short_way() -> None:
    """What it does not take has the results and the errors of the general way."""
    y, s = T.dvector("y"), jitgraph.shared(np.ones(3), borrow=True)
    f = jitgraph.function([x, y], x - y * s)
    a, b, z = np.arange(3.0), np.ones(3), np.empty(3)
    f(a, b)
    state = s.get_value(borrow=True)
    for overlapping in (a.copy(), b.copy(), state):
        given = [overlapping if overlapping.tolist() == v.tolist() else v for v in (a, b)]
        assert f(*given, out=overlapping) is overlapping and overlapping.tolist() == [-1, 0, 1]
        s.set_value(np.ones(3))
    assert f(a.astype(">f8"), [1, 1, 1], out=z) is z and z.tolist() == [-1, 0, 1]
    for bad in (np.empty(4), np.empty(3, "float32"), np.empty((1, 3)), np.zeros(3)):
        if bad.shape == (3,) and bad.dtype == "float64":
            bad.flags.writeable = False
        before = bad.copy()
        with pytest.raises((TypeError, ValueError), match="out: "):
            f(a, y=b, out=bad)
        np.testing.assert_array_equal(bad, before)
    for args, kwargs, message in (
        ((a,), {"x": a, "out": z}, "Multiple values"),
        ((a,), {"out": z}, "Missing required input: y"),
        ((a, b), {"z": z}, "Unknown input or state: z"),
        ((a, b, a), {"out": z}, "Too many parameter"),
    ):
        with pytest.raises(TypeError, match=message):
            f(*args, **kwargs)


def test_inputs_with_one_name_have_no_keyword() -> None:
    f = jitgraph.function([x, T.dvector("x")], x * 2, on_unused_input="ignore")
    with pytest.raises(TypeError, match="Ambiguous name"):
        f(np.ones(2), x=np.ones(2))


def test_an_input_called_out() -> None:
    out = T.dvector("out")
    f = jitgraph.function([out], out + 1)
    assert f(out=np.zeros(2)).tolist() == [1, 1]
