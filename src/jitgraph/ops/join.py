"""Putting arrays together along an axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.errors import NotScalarConstantError, ShapeError
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops.arithmetic import cast, eq
from jitgraph.ops.elementwise import zeros_for
from jitgraph.ops.shape import MakeVector, ShapeI, dimshuffle, restrict_pattern
from jitgraph.ops.values import as_tensor_variable, scalar_value


class Join(Op):
    """The arrays one behind another along `axis`; all other lengths are equal."""

    __props__ = ("axis",)

    def __init__(self, axis: int):
        self.axis = axis

    def make_node(self, *inputs: Any) -> Apply:
        parts = [as_tensor_variable(x) for x in inputs]
        if not parts:
            raise ValueError(f"nothing to join{here()}")
        ndim = parts[0].type.ndim
        if any(p.type.ndim != ndim for p in parts):
            ranks = ", ".join(map(describe, parts))
            raise TypeError(f"join: all parts need the same number of axes: {ranks}{here()}")
        if not ndim:
            raise TypeError(f"join: scalars cannot be joined, use stack{here()}")
        dtype = dtypes.upcast(*(p.type.dtype for p in parts))
        parts = [cast(p, dtype) for p in parts]
        # Elsewhere than along the axis, one part of fixed length 1 fixes it for all.
        marks = [
            any(p.type.broadcastable[i] for p in parts) if i != self.axis else False
            for i in range(ndim)
        ]
        if len(parts) == 1:
            marks[self.axis] = parts[0].type.broadcastable[self.axis]
        return Apply(self, parts, [TensorType(dtype, marks).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        try:
            return (np.concatenate(arrays, axis=self.axis),)
        except ValueError as error:
            raise ShapeError(f"join: {error}") from None

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        length: Any = 0
        for s in shapes:
            length = (
                s[self.axis] if isinstance(length, int) and length == 0 else length + s[self.axis]
            )
        result = list(shapes[0])
        result[self.axis] = length
        return [tuple(result)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g] * len(inputs)
        if outputs[0].type.dtype in dtypes.DISCRETE:
            return [zeros_for(x) for x in inputs]
        result: list[Gradient] = []
        start: Any = np.int64(0)
        for x in inputs:
            stop = start + ShapeI(self.axis)(x)
            key = (slice(None),) * self.axis + (slice(start, stop),)
            result.append(restrict_pattern(g[key], x.type.broadcastable))  # type: ignore[index]
            start = stop
        return result


def join(axis: Any, *tensors: Any) -> Variable:
    """Concatenate `tensors` along `axis`, an int or an integer scalar.

    A single tensor is returned itself. Raises TypeError if the numbers of axes differ,
    ValueError for an axis that does not exist (IndexError if it is known at run time only) or,
    at run time, lengths that differ.
    """
    parts = [as_tensor_variable(t) for t in tensors]
    if not parts:
        raise ValueError(f"nothing to join{here()}")
    ndim = parts[0].type.ndim
    try:
        number = int(scalar_value(axis)) if not isinstance(axis, int) else axis
    except NotScalarConstantError:
        return _join_along_unknown(axis, parts)
    if ndim and not -ndim <= number < ndim:
        raise ValueError(f"join: axis {number} does not exist in {ndim} axes{here()}")
    return parts[0] if len(parts) == 1 else Join(number % ndim if ndim else 0)(*parts)


def _join_along_unknown(axis: Variable, parts: Sequence[Variable]) -> Variable:
    """The parts joined along an axis that only the call knows; only this join is computed."""
    from jitgraph.ops.ifelse import IfElse

    ndim = parts[0].type.ndim
    joined = [join(k, *parts) for k in range(ndim)]
    if len(parts) == 1 or ndim == 1:
        return joined[0]
    plain = [restrict_pattern(j, (False,) * ndim) for j in joined]
    # Indexing turns a negative axis into its number, and refuses one that does not exist.
    number = as_tensor_variable(np.arange(ndim))[axis]  # type: ignore[index]
    result = plain[-1]
    for k in reversed(range(ndim - 1)):
        result = IfElse(1)(eq(number, np.int64(k)), plain[k], result)
    return result


def concatenate(tensor_list: Any, axis: Any = 0) -> Variable:
    """The arrays of a list or tuple one behind another along `axis`; dtypes are promoted."""
    if not isinstance(tensor_list, (list, tuple)):
        raise TypeError(
            f"concatenate takes a list or tuple of arrays, got {type(tensor_list).__name__}{here()}"
        )
    return join(axis, *tensor_list)


def stack(tensors: Any, axis: int = 0, *more: Any) -> Variable:
    """The arrays as the entries of a new axis.

    Raises Exception for an empty list, ValueError for an axis that does not exist.
    """
    if isinstance(tensors, Variable) or (isinstance(axis, Variable)):
        parts = [tensors, axis, *more] if isinstance(axis, Variable) else [tensors, *more]
        axis = 0
    else:
        parts = list(tensors)
    if not parts:
        raise Exception(f"stack needs at least one array{here()}")
    variables = [as_tensor_variable(p) for p in parts]
    dtype = dtypes.upcast(*(v.type.dtype for v in variables))
    ndim = max(v.type.ndim for v in variables)
    if ndim == 0:
        return MakeVector(dtype)(*(cast(v, dtype) for v in variables))
    if any(v.type.ndim != ndim for v in variables):
        raise TypeError(
            f"stack: all arrays need the same number of axes: "
            f"{', '.join(map(describe, variables))}{here()}"
        )
    if not -ndim - 1 <= axis <= ndim:
        raise ValueError(f"stack: axis {axis} does not exist in {ndim + 1} axes{here()}")
    at = axis % (ndim + 1)
    order: list[int | str] = [*range(at), "x", *range(at, ndim)]
    wide = [dimshuffle(v, order) for v in variables]
    return wide[0] if len(wide) == 1 else Join(at)(*wide)
