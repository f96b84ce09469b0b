"""Batch normalisation (Ioffe and Szegedy, 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import cast, sqr
from jitgraph.ops.math import sqrt
from jitgraph.ops.shape import ShapeI, restrict_pattern
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.reductions import mean as mean_of

__all__ = ["batch_normalization", "batch_normalization_test", "batch_normalization_train"]


def batch_normalization(
    inputs: Any, gamma: Any, beta: Any, mean: Any, std: Any, mode: str = "low_mem"
) -> Variable:
    """(inputs - mean) gamma / std + beta, all of them broadcasting; `mode` changes nothing here.

    Raises ValueError for a mode other than 'low_mem' and 'high_mem'.
    """
    if mode not in ("low_mem", "high_mem"):
        raise ValueError(f"batch_normalization: mode is 'low_mem' or 'high_mem', not {mode!r}")
    x, g, b, m, s = (as_tensor_variable(v) for v in (inputs, gamma, beta, mean, std))
    return (x - m) * (g / s) + b  # type: ignore[operator]


def _axes(axes: Any, ndim: int) -> tuple[int, ...]:
    if axes == "per-activation":
        return (0,)
    if axes == "spatial":
        return (0, *range(2, ndim))
    if not isinstance(axes, (tuple, list, np.ndarray)) or not len(axes):
        raise ValueError(f"axes are 'per-activation', 'spatial' or a tuple, not {axes!r}{here()}")
    result = tuple(int(a) for a in axes)
    if any(not 0 <= a < ndim for a in result) or len(set(result)) < len(result):
        raise ValueError(f"axes {result} do not exist in {ndim} axes{here()}")
    return result


def _checked(
    inputs: Any, parameters: Sequence[Any], axes: Any, epsilon: float
) -> tuple[Any, list[Any], tuple[int, ...]]:
    """The input, the parameters with the axes of the statistics marked as length 1, these axes."""
    x = as_tensor_variable(inputs)
    over = _axes(axes, x.type.ndim)
    if epsilon < 1e-5:
        raise ValueError(f"epsilon is at least 1e-5, got {epsilon}{here()}")
    marked = []
    for p in map(as_tensor_variable, parameters):
        if p.type.ndim != x.type.ndim:
            raise ValueError(f"{describe(p)} and {describe(x)} need as many axes{here()}")
        pattern = [b or i in over for i, b in enumerate(p.type.broadcastable)]
        marked.append(restrict_pattern(p, pattern))
    return x, marked, over


def batch_normalization_train(
    inputs: Any,
    gamma: Any,
    beta: Any,
    axes: Any = "per-activation",
    epsilon: float = 1e-4,
    running_average_factor: float = 0.1,
    running_mean: Any = None,
    running_var: Any = None,
) -> tuple[Variable, ...]:
    """Normalise by the mean and variance of the batch.

    axes: 'per-activation' (0,), 'spatial' (all but 1), or a tuple. Returns (output, mean, invstd),
    the statistics with axes of length 1, invstd = 1 / sqrt(var + epsilon) with the variance
    divided by n; and, if the running statistics are given, their new values
    (1 - f) old + f new, where the new variance is divided by n - 1.

    Raises ValueError for epsilon < 1e-5, only one running statistic, or ranks that differ.
    """
    if (running_mean is None) != (running_var is None):
        raise ValueError(f"running_mean and running_var are given together or not{here()}")
    running = [] if running_mean is None else [running_mean, running_var]
    x, parameters, over = _checked(inputs, [gamma, beta, *running], axes, epsilon)
    g, b = parameters[:2]
    mean: Any = mean_of(x, over, keepdims=True)
    var: Any = mean_of(sqr(x - mean), over, keepdims=True)
    invstd: Any = 1 / sqrt(var + np.asarray(epsilon, dtype=var.type.dtype))  # type: ignore[operator]
    output = (x - mean) * (g * invstd) + b
    if not running:
        return output, mean, invstd
    f = np.asarray(running_average_factor, dtype=var.type.dtype)
    n: Any = np.int64(1)
    for axis in over:
        n = n * ShapeI(axis)(x)
    n = cast(n, var.type.dtype)
    new_mean = parameters[2] * (1 - f) + mean * f
    new_var = parameters[3] * (1 - f) + (n / (n - 1)) * var * f
    originals = [as_tensor_variable(r).type for r in running]
    news = [
        restrict_pattern(v, t.broadcastable)
        for v, t in zip((new_mean, new_var), originals, strict=True)
    ]
    return output, mean, invstd, *news


def batch_normalization_test(
    inputs: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    axes: Any = "per-activation",
    epsilon: float = 1e-4,
) -> Variable:
    """gamma (inputs - mean) / sqrt(var + epsilon) + beta; arguments as in training."""
    x, (g, b, m, v), _ = _checked(inputs, [gamma, beta, mean, var], axes, epsilon)
    return g * (x - m) / sqrt(v + np.asarray(epsilon, dtype=v.type.dtype)) + b
