"""What each op demands of the lengths of its operands when a function runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.cgen.build import as_graph, position_length
from jitgraph.cgen.lengths import Length, Lengths
from jitgraph.graph import Apply, Constant
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.extra import BatchedDot
from jitgraph.ops.index import IncSubtensor, Subtensor
from jitgraph.ops.join import Join
from jitgraph.ops.linalg import Dot
from jitgraph.ops.nnet import LabelError, Pick
from jitgraph.ops.reduce import ArgReduce, Reduce
from jitgraph.ops.scan import Scan
from jitgraph.ops.shape import (
    Alloc,
    ARange,
    MakeVector,
    Rebroadcast,
    Reshape,
    Shape,
    SpecifyShape,
    never_negative,
    shape_entries,
)


def record(lengths: Lengths, node: Apply) -> None:
    """Add the checks of `node`, and learn which lengths they make equal."""
    for kinds, demand in _DEMANDS:
        if isinstance(node.op, kinds):
            demand(lengths, node)
    if getattr(node.op, "size_input", None) is not None:
        _size(lengths, node)
    for out in node.outputs:
        lengths.shape(out)


def _elementwise(lengths: Lengths, node: Apply) -> None:
    for axis in range(node.outputs[0].type.ndim):
        stretched = [v for v in node.inputs if not v.type.broadcastable[axis]]
        for v in stretched[1:]:
            lengths.require_equal(
                lengths.shape(stretched[0])[axis],
                lengths.shape(v)[axis],
                node,
                f"lengths of axis {axis} differ",
            )


def _dot(lengths: Lengths, node: Apply) -> None:
    a, b, *rest = node.inputs
    lengths.require_equal(lengths.shape(a)[-1], lengths.shape(b)[0], node, "inner sizes differ")
    if len(rest) == 3:  # what is added
        own, added = lengths.shape(a)[:-1] + lengths.shape(b)[1:], lengths.shape(rest[2])
        for axis, (n, other) in enumerate(zip(own, added, strict=True)):
            lengths.require_equal(n, other, node, f"lengths of axis {axis} differ")


def _batched_dot(lengths: Lengths, node: Apply) -> None:
    a, b = (lengths.shape(v) for v in node.inputs)
    lengths.require_equal(a[0], b[0], node, "batch sizes differ")
    x, y = node.op.inner_axes(*(v.type.ndim for v in node.inputs))
    lengths.require_equal(a[x], b[y], node, "inner sizes differ")


def _join(lengths: Lengths, node: Apply) -> None:
    first = lengths.shape(node.inputs[0])
    for v in node.inputs[1:]:
        for axis, (a, b) in enumerate(zip(first, lengths.shape(v), strict=True)):
            if axis != node.op.axis:
                lengths.require_equal(a, b, node, f"lengths of axis {axis} differ")


def _index(lengths: Lengths, node: Apply) -> None:
    skip = 2 if isinstance(node.op, IncSubtensor) else 1
    shape = lengths.shape(node.inputs[0])
    for axis, entry in enumerate(node.op.entries(node.inputs[skip:])):
        if isinstance(entry, slice):
            if entry.step is not None:
                step = lengths.length(as_length(entry.step))
                lengths.require("nonzero", step, 0, node, f"slice step of axis {axis} is zero")
        else:
            position = position_length(lengths, entry, shape[axis])
            lengths.require(
                "index", position, shape[axis], node, f"index out of range on axis {axis}"
            )


def _write(lengths: Lengths, node: Apply) -> None:
    x, y = node.inputs[:2]
    view = Subtensor(node.op.pattern).make_node(x, *node.inputs[2:])
    shape = lengths.shape(view.outputs[0])
    extra = len(shape) - y.type.ndim
    for axis, (fixed, n) in enumerate(zip(y.type.broadcastable, lengths.shape(y), strict=True)):
        if not fixed:
            lengths.require_equal(
                shape[axis + extra], n, node, f"lengths of axis {axis + extra} differ"
            )


def _rows(lengths: Lengths, node: Apply) -> None:
    x, labels = node.inputs
    if not x.type.broadcastable[0]:
        lengths.require_equal(
            lengths.shape(labels)[0], lengths.shape(x)[0], node, "rows and labels differ in number"
        )


def _alloc(lengths: Lengths, node: Apply) -> None:
    value, *wanted = node.inputs
    shape = [lengths.length(as_length(n)) for n in wanted]
    for n in shape:
        lengths.require("count", n, 0, node, "negative length")
    extra = len(shape) - value.type.ndim
    for axis, fixed in enumerate(value.type.broadcastable):
        if not fixed:
            lengths.require_equal(
                lengths.shape(value)[axis],
                shape[axis + extra],
                node,
                f"the value does not fit axis {axis + extra}",
            )


def as_length(value: Any) -> Any:
    """A graph scalar or int as something `Lengths.length` reads, in int64."""
    from jitgraph.ops.arithmetic import cast

    return value if isinstance(value, int) else cast(value, "int64")


def _size(lengths: Lengths, node: Apply) -> None:
    """The vector of lengths of a random draw."""
    _entries(lengths, node, node.op.ndim, node.op.size_input)
    for out in node.outputs:
        for n in lengths.shape(out):
            if not never_negative(as_graph(n)):
                lengths.require("count", n, 0, node, "size has the negative length")


def _entries(lengths: Lengths, node: Apply, ndim: int, position: int = 1) -> None:
    """A shape given as a vector that is read when the function runs has one entry per axis."""
    vector = node.inputs[position]
    if isinstance(vector, Constant) or (vector.owner is not None and _has_entries(vector.owner.op)):
        return
    lengths.require_equal(
        lengths.shape(vector)[0], ndim, node, "the shape has another number of entries"
    )


def _has_entries(op: Any) -> bool:
    return isinstance(op, (MakeVector, Shape))


def _reshape(lengths: Lengths, node: Apply) -> None:
    _entries(lengths, node, node.op.ndim)
    for n in lengths.shape(node.outputs[0]):
        if not never_negative(as_graph(n)):
            lengths.require("count", n, 0, node, "negative length")

    def product(ns: tuple[Length, ...]) -> Any:
        total: Any = None
        for n in ns:
            total = as_graph(n) if total is None else total * as_graph(n)
        return 1 if total is None else total

    before = lengths.length(product(lengths.shape(node.inputs[0])))
    after = lengths.length(product(lengths.shape(node.outputs[0])))
    lengths.require_equal(before, after, node, "cannot reshape: sizes differ")


def _specify(lengths: Lengths, node: Apply) -> None:
    _entries(lengths, node, node.inputs[0].type.ndim)
    entries = shape_entries(node.inputs[1], node.inputs[0].type.ndim) or []
    for axis, (n, entry) in enumerate(zip(lengths.shape(node.inputs[0]), entries, strict=True)):
        wanted = lengths.length(as_length(entry))
        lengths.require_equal(n, wanted, node, f"length of axis {axis}")


def _arange(lengths: Lengths, node: Apply) -> None:
    """The step is not zero, and of floats the number of elements is finite."""
    from jitgraph.ops.arithmetic import cast, invert, isinf, isnan, or_, sub, true_div

    if all(v.type.dtype in dtypes.INTEGERS for v in node.inputs):
        by = lengths.length(as_length(node.inputs[2]))
        lengths.require("nonzero", by, 0, node, "the step is zero")
        return
    start, stop, step = (cast(v, "float64") for v in node.inputs)
    ratio = true_div(sub(stop, start), step)
    finite = lengths.length(cast(invert(or_(isnan(ratio), isinf(ratio))), "int64"))
    lengths.require("nonzero", finite, 0, node, "the number of elements is not finite")


def _rebroadcast(lengths: Lengths, node: Apply) -> None:
    x = node.inputs[0]
    for axis, (fixed, n) in enumerate(zip(node.op.pattern, lengths.shape(x), strict=True)):
        if fixed:
            lengths.require_equal(
                n, 1, node, f"Dimension {axis} in Rebroadcast's input was supposed to be 1"
            )


def _nonempty(lengths: Lengths, node: Apply) -> None:
    if isinstance(node.op, Reduce) and not node.op.needs_elements:
        return
    shape = lengths.shape(node.inputs[0])
    for axis in node.op.axes:
        lengths.require(
            "some", shape[axis], 0, node, f"zero-size array has no {node.op.name} along axis {axis}"
        )


def _scan(lengths: Lengths, node: Apply) -> None:
    """Every step finds its rows, and the first one its earlier values."""
    from jitgraph.ops.arithmetic import gt, switch

    op = node.op
    n, sequences, initials, _ = op.outer(node.inputs)
    n = as_length(n)
    if not never_negative(as_graph(lengths.length(n))):
        lengths.require("steps", lengths.length(n), 0, node, "n_steps is negative")
    for k, (x, rows) in enumerate(zip(sequences, op.sequences, strict=True)):
        needed = lengths.length(n + np.int64(rows.offset))
        if rows.offset:  # no step needs no rows
            needed = lengths.length(
                switch(gt(n, np.int64(0)), n + np.int64(rows.offset), np.int64(0))
            )
        lengths.require("rows", lengths.shape(x)[0], needed, node, f"sequence {k} is too short")
    for k, (x, depth) in enumerate(zip(initials, op.depths, strict=True)):
        what = f"the initial value of state {k} does not reach back {depth} steps"
        lengths.require("rows", lengths.shape(x)[0], depth, node, what)


_DEMANDS: list[tuple[Any, Any]] = [
    (Elementwise, _elementwise),
    (Dot, _dot),
    (BatchedDot, _batched_dot),
    (Join, _join),
    ((Subtensor, IncSubtensor), _index),
    (IncSubtensor, _write),
    (Pick, _rows),
    (Alloc, _alloc),
    (Reshape, _reshape),
    (SpecifyShape, _specify),
    (Rebroadcast, _rebroadcast),
    (ARange, _arange),
    ((Reduce, ArgReduce), _nonempty),
    (Scan, _scan),
]

# The exception that a failed check becomes.
ERRORS: dict[str, type[Exception]] = {
    "index": IndexError,
    "steps": IndexError,
    "value": ValueError,
    "rows": ValueError,
    "some": ValueError,
    "nonzero": ValueError,
    "label": LabelError,
    "entry": IndexError,
}
