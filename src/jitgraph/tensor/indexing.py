"""Functional writes into indexed parts: set_subtensor and inc_subtensor."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import Variable
from jitgraph.op import here
from jitgraph.ops.index import (
    AdvancedIncSubtensor,
    AdvancedSubtensor,
    IncSubtensor,
    Subtensor,
)
from jitgraph.ops.shape import DimShuffle, Reshape, Shape, dimshuffle


def set_subtensor(
    x: Any, y: Any, inplace: bool = False, tolerate_inplace_aliasing: bool = False
) -> Variable:
    """A copy of the array that `x = a[index]` was taken from, with y stored there.

    y is converted to the dtype of the array and stretched to the shape of the part. With an
    index named twice the last one wins. Raises TypeError if x is not the result of indexing
    or y has too many axes; at run time ValueError if the shapes differ.
    """
    return _write(x, y, set_instead=True)


def inc_subtensor(
    x: Any,
    y: Any,
    inplace: bool = False,
    set_instead_of_inc: bool = False,
    tolerate_inplace_aliasing: bool = False,
) -> Variable:
    """As `set_subtensor`, but y is added; an index named twice is added twice."""
    return _write(x, y, set_instead=set_instead_of_inc)


def _write(x: Any, y: Any, set_instead: bool) -> Variable:
    owner = getattr(x, "owner", None)
    if owner is None:
        raise TypeError(f"x must be the result of a subtensor operation{here()}")
    op = owner.op
    if isinstance(op, Subtensor):
        return IncSubtensor(op.pattern, set_instead)(owner.inputs[0], y, *owner.inputs[1:])
    if isinstance(op, AdvancedSubtensor):
        return AdvancedIncSubtensor(op.pattern, set_instead)(owner.inputs[0], y, *owner.inputs[1:])
    if isinstance(op, DimShuffle) and getattr(y, "ndim", 0) != 0:
        inner = owner.inputs[0]
        order: list[Any] = ["x"] * inner.type.ndim
        for position, o in enumerate(op.new_order):
            if isinstance(o, int):
                order[o] = position
        return _write(inner, dimshuffle(_as(y), order), set_instead)
    if isinstance(op, DimShuffle):
        return _write(owner.inputs[0], y, set_instead)
    if isinstance(op, Reshape):
        inner = owner.inputs[0]
        y = _as(y)
        if y.type.ndim:
            y = Reshape(inner.type.ndim)(y, Shape()(inner))
        return _write(inner, y, set_instead)
    raise TypeError(f"x must be the result of a subtensor operation, not of {op.name}{here()}")


def _as(y: Any) -> Variable:
    from jitgraph.ops.values import as_tensor_variable

    return as_tensor_variable(y)
