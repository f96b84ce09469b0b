"""Running expressions both ways: compiled, and node by node with NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import jitgraph
from jitgraph.graph import Variable

# The two ways round differently in exp, log and sums; all else is equal bit for bit.
RTOL = {"float64": 4e-15, "float32": 2e-6}


def agree(compiled: np.ndarray, reference: np.ndarray) -> None:
    assert compiled.dtype == reference.dtype
    assert compiled.shape == reference.shape
    rtol = RTOL.get(compiled.dtype.name, 0.0)
    np.testing.assert_allclose(compiled, reference, rtol=rtol, atol=0.0)


def results(outputs: Sequence[Variable], given: Mapping[Variable, Any] | None = None) -> list[Any]:
    """The values of all outputs, from one compiled function; the reference must agree."""
    given = dict(given or {})
    arguments = {"on_unused_input": "ignore"}
    compiled = jitgraph.function(list(given), list(outputs), **arguments)(*given.values())
    reference = jitgraph.function(list(given), list(outputs), mode="reference", **arguments)(
        *given.values()
    )
    for one, other in zip(compiled, reference, strict=True):
        agree(one, other)
    return compiled


def result(output: Variable, given: Mapping[Variable, Any] | None = None) -> Any:
    """The value of one output (see `results`)."""
    return results([output], given)[0]


def exactly(value: Any, expected: Any, dtype: str | None = None) -> None:
    """Equal shape and values, nan equal to nan and -0 different from 0."""
    value, expected = np.asarray(value), np.asarray(expected)
    if dtype is not None:
        assert value.dtype == dtype
    assert value.shape == expected.shape
    np.testing.assert_array_equal(value, expected)
    if value.dtype.kind == "f":
        number = ~np.isnan(value)
        np.testing.assert_array_equal(np.signbit(value) & number, np.signbit(expected) & number)
