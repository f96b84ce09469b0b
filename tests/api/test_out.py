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


def test_an_input_called_out() -> None:
    out = T.dvector("out")
    f = jitgraph.function([out], out + 1)
    assert f(out=np.zeros(2)).tolist() == [1, 1]
