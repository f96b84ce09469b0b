"""The comparisons that the other tests rely on reject what they must."""

from __future__ import annotations

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from api.tools import agree, exactly, results
from jitgraph.ops.arithmetic import sqr


@pytest.mark.parametrize(
    ("value", "expected", "dtype"),
    [
        (0.0, -0.0, None),
        ([1.0, 2.0], [1.0, np.nextafter(2.0, 3.0)], None),
        ([1.0], 1.0, None),
        (np.ones((1, 2)), np.ones(2), None),
        (np.nan, 0.0, None),
        (np.float32(1), 1.0, "float64"),
        ([True], [False], None),
    ],
)
def test_exactly_rejects(value, expected, dtype):
    with pytest.raises(AssertionError):
        exactly(value, expected, dtype)


def test_exactly_accepts():
    exactly([np.nan, -0.0, np.inf], [-np.nan, -0.0, np.inf])
    exactly(np.ones(2, "float32"), [1, 1], "float32")


def test_agree_rejects():
    for one, other in (
        (np.ones(2), np.ones(2, "float32")),
        (np.ones(2), np.ones((1, 2))),
        (np.ones(2), np.ones(2) * (1 + 1e-14)),
        (np.array([1]), np.array([2])),
    ):
        with pytest.raises(AssertionError):
            agree(one, other)


def test_results_compares_both_ways(monkeypatch):
    x = T.dvector("x")
    compiled = jitgraph.function([x], sqr(x))
    assert compiled([3.0]).tolist() == [9]
    monkeypatch.setattr(type(sqr), "evaluate", lambda self, *arrays: (arrays[0] + 1,))
    with pytest.raises(AssertionError):
        results([sqr(x)], {x: [3.0]})
