"""Reductions and statistics with Theano's signatures."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Variable
from jitgraph.op import here
from jitgraph.ops.arithmetic import cast, sqr, true_div
from jitgraph.ops.math import sqrt
from jitgraph.ops.reduce import normalise_axes, reduce_of
from jitgraph.ops.shape import Shape
from jitgraph.ops.values import as_tensor_variable


def sum(
    input: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, acc_dtype: Any = None
) -> Variable:
    """Sum over `axis` (None: all). bool and integers are summed in 64 bits, float32 in float64.

    TypeError for a `dtype` or `acc_dtype` that cannot hold the values of `input`; float dtypes are
    allowed for discrete input.
    """
    return reduce_of("sum", input, axis, keepdims, dtype, acc_dtype)


def prod(
    input: Any,
    axis: Any = None,
    dtype: Any = None,
    keepdims: bool = False,
    acc_dtype: Any = None,
    no_zeros_in_input: bool = False,
) -> Variable:
    """Product over `axis` (None: all). The gradient is exact with zeros among the factors."""
    return reduce_of("prod", input, axis, keepdims, dtype, acc_dtype)


def max(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The largest element over `axis`; nan if any is. Empty: ValueError when run."""
    return reduce_of("max", x, axis, keepdims)


def min(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """The smallest element over `axis`; nan if any is. Empty: ValueError when run."""
    return reduce_of("min", x, axis, keepdims)


def argmax(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Position (int64) of the first largest element, in the flattened axes given."""
    return reduce_of("argmax", x, axis, keepdims)


def argmin(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Position (int64) of the first smallest element, in the flattened axes given."""
    return reduce_of("argmin", x, axis, keepdims)


def max_and_argmax(x: Any, axis: Any = None, keepdims: bool = False) -> tuple[Variable, Variable]:
    return max(x, axis, keepdims), argmax(x, axis, keepdims)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Whether some element is not zero: bool."""
    return reduce_of("any", x, axis, keepdims)


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Variable:
    """Whether no element is zero: bool."""
    return reduce_of("all", x, axis, keepdims)


def ptp(a: Any, axis: Any = None) -> Variable:
    """Largest minus smallest element."""
    return max(a, axis) - min(a, axis)  # type: ignore[operator]


def mean(
    input: Any,
    axis: Any = None,
    dtype: Any = None,
    op: bool = False,
    keepdims: bool = False,
    acc_dtype: Any = None,
) -> Variable:
    """The sum divided by each reduced length in turn. Discrete input: float64.

    `dtype` is that of the inner sum. Empty: nan.
    """
    x = as_tensor_variable(input)
    axes = normalise_axes(axis, x.type.ndim, "mean")
    inner = dtype
    if inner is None and x.type.dtype in dtypes.DISCRETE:
        inner = "float64"
    if x.type.dtype in dtypes.DISCRETE and dtypes.check(inner) in dtypes.FLOATS:
        total = sum(cast(x, inner), list(axes), dtype=inner, keepdims=keepdims, acc_dtype=acc_dtype)
    else:
        total = sum(x, list(axes), dtype=inner, keepdims=keepdims, acc_dtype=acc_dtype)
    lengths = cast(Shape()(x), total.type.dtype if total.type.dtype in dtypes.FLOATS else "float64")
    for i in axes:
        total = true_div(total, lengths[i])  # type: ignore[index]
    return total


def var(
    input: Any,
    axis: Any = None,
    ddof: int = 0,
    keepdims: bool = False,
    corrected: bool = False,
) -> Variable:
    """Mean of (x - mean)^2 over `axis`, times n / (n - ddof); two passes.

    `corrected` subtracts the squared mean of the deviations, which rounding leaves.
    """
    if isinstance(ddof, (bool, np.bool_)):
        raise ValueError(f"var: ddof is a number, got a bool; keepdims comes after it{here()}")
    x = as_tensor_variable(input)
    axes = list(normalise_axes(axis, x.type.ndim, "var"))
    deviation = x - mean(x, axes, keepdims=True)  # type: ignore[operator]
    result = mean(sqr(deviation), axes, keepdims=keepdims)
    if corrected:
        result = result - sqr(mean(deviation, axes, keepdims=keepdims))  # type: ignore[operator]
    if ddof:
        lengths = cast(Shape()(x), result.type.dtype)
        n = lengths[axes[0]]  # type: ignore[index]
        for i in axes[1:]:
            n = n * lengths[i]  # type: ignore[index]
        result = result * (n / (n - cast(ddof, result.type.dtype)))
    return result


def std(
    input: Any,
    axis: Any = None,
    ddof: int = 0,
    keepdims: bool = False,
    corrected: bool = False,
) -> Variable:
    """The square root of `var`."""
    return sqrt(var(input, axis, ddof, keepdims, corrected))


_ = builtins
