"""Functional writes into indexed parts: set_subtensor and inc_subtensor."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.index import (
    AdvancedIncSubtensor,
    AdvancedSubtensor,
    IncSubtensor,
    Subtensor,
)
from jitgraph.ops.shape import DimShuffle, Reshape, Shape, dimshuffle
from jitgraph.tensor.basic import addbroadcast


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
        view = owner.inputs[0]
        written = AdvancedIncSubtensor(op.pattern, set_instead)(view, y, *owner.inputs[1:])
        return _without_new_axes(view, written) if getattr(x.tag, "new_axes", False) else written
    if isinstance(op, DimShuffle):
        return _write_shuffled(owner.inputs[0], op, y, set_instead)
    if isinstance(op, Reshape):
        inner = owner.inputs[0]
        y = _as(y)
        if y.type.ndim:
            y = Reshape(inner.type.ndim)(y, Shape()(inner))
        return _write(inner, y, set_instead)
    raise TypeError(f"x must be the result of a subtensor operation, not of {op.name}{here()}")


def _write_shuffled(inner: Variable, op: DimShuffle, y: Any, set_instead: bool) -> Variable:
    """y put into `inner`, its axes brought into the order they have there."""
    y = _as(y)
    order = [o for o in op.new_order if isinstance(o, int)]
    # x[None] and x[:, None] have new axes only, and stand for the whole of x.
    new_axes_only = order == list(range(inner.type.ndim)) != list(op.new_order)
    whole = new_axes_only and not _is_part(inner)
    missing = len(op.new_order) - y.type.ndim
    if missing < 0:
        raise TypeError(
            f"{describe(y)} has more axes than the {len(op.new_order)} of what it is put in{here()}"
        )
    if y.type.ndim:
        back: list[Any] = ["x"] * inner.type.ndim
        for axis, o in enumerate(op.new_order[missing:]):
            if isinstance(o, int):
                back[o] = axis
            else:
                y = addbroadcast(y, axis)
        y = dimshuffle(y, back)
    return IncSubtensor((), set_instead)(inner, y) if whole else _write(inner, y, set_instead)


def _is_part(v: Variable) -> bool:
    """Whether `v` was taken from another array by an index."""
    while v.owner is not None and isinstance(v.owner.op, (DimShuffle, Reshape)):
        v = v.owner.inputs[0]
    return v.owner is not None and isinstance(v.owner.op, (Subtensor, AdvancedSubtensor))


def _without_new_axes(view: Variable, written: Variable) -> Variable:
    """`written`, which has the axes of `view`, without those that None added to it."""
    assert view.owner is not None
    order = view.owner.op.new_order
    return dimshuffle(written, [i for i, o in enumerate(order) if o != "x"])


def _as(y: Any) -> Variable:
    from jitgraph.ops.values import as_tensor_variable

    return as_tensor_variable(y)
