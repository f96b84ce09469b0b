"""Running sums, differences, windows; and the other names that live in `tensor.extra_ops`."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import abs_, switch
from jitgraph.ops.extra import Cumulative, Unique
from jitgraph.ops.reduce import normalise_axes
from jitgraph.ops.shape import as_int_scalar
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.arranging import compress, repeat
from jitgraph.tensor.basic import arange, flatten, squeeze
from jitgraph.tensor.diagonals import fill_diagonal, fill_diagonal_offset
from jitgraph.tensor.positions import (
    bincount,
    ravel_multi_index,
    searchsorted,
    to_one_hot,
    unravel_index,
)

__all__ = [
    "Unique",
    "bartlett",
    "bincount",
    "compress",
    "cumprod",
    "cumsum",
    "diff",
    "fill_diagonal",
    "fill_diagonal_offset",
    "ravel_multi_index",
    "repeat",
    "searchsorted",
    "squeeze",
    "to_one_hot",
    "unravel_index",
]


def _running(kind: str, x: Any, axis: Any) -> Variable:
    x = as_tensor_variable(x)
    if axis is None:
        x, axis = flatten(x), 0
    return Cumulative(kind, normalise_axes(int(axis), x.type.ndim, kind)[0])(x)


def cumsum(x: Any, axis: Any = None) -> Variable:
    """Running sums along `axis` (None: flattened), in the dtype of x (int8 wraps, unlike NumPy)."""
    return _running("cumsum", x, axis)


def cumprod(x: Any, axis: Any = None) -> Variable:
    """Running products along `axis` (None: flattened), in the dtype of x. Its gradient divides
    by x."""
    return _running("cumprod", x, axis)


def diff(x: Any, n: int = 1, axis: Any = -1) -> Variable:
    """The n-th differences of neighbours along `axis`; the axis is n shorter."""
    x = as_tensor_variable(x)
    if x.type.ndim == 0:
        raise ValueError(f"diff of the scalar {describe(x)}{here()}")
    if n < 0:
        raise ValueError(f"diff: n={n} is negative{here()}")
    whole = (slice(None),) * normalise_axes(int(axis), x.type.ndim, "diff")[0]
    for _ in range(n):
        later, earlier = x[(*whole, slice(1, None))], x[(*whole, slice(None, -1))]  # type: ignore[index]
        x = later ^ earlier if x.type.dtype == "bool" else later - earlier
    return x


def bartlett(M: Any) -> Variable:
    """The triangular window of M points, float64: 1 - |2 i / (M - 1) - 1|; a single point is 1."""
    m: Any = as_int_scalar(M, "the length of bartlett")
    steps: Any = arange(m)
    value = 1.0 - abs_(2.0 * steps / (m - 1.0) - 1.0)
    return switch(m > 1, value, np.float64(1))
