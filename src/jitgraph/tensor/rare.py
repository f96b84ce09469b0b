"""Functions of Theano's that few programs call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.linalg import dot
from jitgraph.ops.shape import ShapeI, dimshuffle
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.basic import alloc, concatenate
from jitgraph.tensor.reductions import mean

__all__ = [
    "AllocEmpty",
    "autocast_float_as",
    "cov",
    "empty",
    "empty_like",
    "scalar_from_tensor",
    "tensor_from_scalar",
]


def _asarray(a: Any, dtype: Any, order: Any = None) -> np.ndarray:
    """`np.asarray` with a dtype that may be "floatX"; TypeError for one that does not exist."""
    return np.asarray(a, dtype=dtypes.NUMPY[dtypes.check(dtype)], order=order)


class AllocEmpty:
    """`AllocEmpty(dtype)(*shape)`: an array whose values do not matter; they are zeros here."""

    def __init__(self, dtype: Any):
        self.dtype = dtypes.check(dtype)

    def __call__(self, *shape: Any) -> Variable:
        return alloc(np.zeros((), dtype=self.dtype), *shape)


def empty(shape: Any, dtype: Any = None) -> Variable:
    """An array of `shape` whose values do not matter; dtype None is floatX."""
    lengths = shape if isinstance(shape, (list, tuple)) else [shape]
    return AllocEmpty(dtype or "floatX")(*lengths)


def empty_like(model: Any) -> Variable:
    """An array of the shape and dtype of `model` whose values do not matter."""
    model = as_tensor_variable(model)
    return AllocEmpty(model.type.dtype)(*(ShapeI(i)(model) for i in range(model.type.ndim)))


def tensor_from_scalar(x: Any) -> Variable:
    """x as a 0-d tensor; scalars and 0-d tensors are the same here."""
    return scalar_from_tensor(x)


def scalar_from_tensor(x: Any) -> Variable:
    """x itself, checked to be 0-d; scalars and 0-d tensors are the same here."""
    x = as_tensor_variable(x)
    if x.type.ndim:
        raise TypeError(f"a scalar is needed, got {describe(x)}{here()}")
    return x


@contextmanager
def autocast_float_as(*names: str) -> Iterator[None]:
    """While active, a Python float takes the first of `names` that holds it, or else the last."""
    before = dtypes.AUTOCAST_FLOATS
    dtypes.AUTOCAST_FLOATS = tuple(dtypes.check(n) for n in names)
    try:
        yield
    finally:
        dtypes.AUTOCAST_FLOATS = before


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
) -> Variable:
    """The covariance matrix of variables in rows (rowvar) or columns, as np.cov.

    Divided by n - 1, by n (`bias`) or n - ddof. Weights are not supported (NotImplementedError).
    """
    if fweights is not None or aweights is not None:
        raise NotImplementedError(f"cov: weights are not supported{here()}")
    if ddof is not None and ddof != int(ddof):
        raise ValueError(f"cov: ddof must be an integer, got {ddof!r}{here()}")

    def rows(v: Any) -> Any:
        v = as_tensor_variable(v)
        if v.type.ndim > 2:
            raise ValueError(f"cov takes one or two axes, got {describe(v)}{here()}")
        if v.type.dtype in dtypes.DISCRETE:
            v = cast(v, "float64")
        if v.type.ndim < 2:
            return dimshuffle(v, "x", 0)
        return v if rowvar else dimshuffle(v, 1, 0)

    data = rows(m) if y is None else concatenate([rows(m), rows(y)], axis=0)
    deviation: Any = data - mean(data, axis=1, keepdims=True)  # type: ignore[operator]
    divisor = int(ddof) if ddof is not None else (0 if bias else 1)
    n: Any = cast(ShapeI(1)(data), data.type.dtype)
    return dot(deviation, dimshuffle(deviation, 1, 0)) / (n - np.int8(divisor))
