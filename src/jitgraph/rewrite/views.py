"""Exact rules about views: dimshuffle, reshape, rebroadcast, and reductions over single elements.

Views move towards the leaves, so that elementwise functions stand next to each other and can be
computed in one loop. A view moves in front of a function only where nothing else uses that
function's result; otherwise it would be computed twice.
"""

from __future__ import annotations

from collections.abc import Sequence

from jitgraph.graph import Apply, Variable
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.reduce import Reduce
from jitgraph.ops.shape import (
    Alloc,
    DimShuffle,
    MakeVector,
    Rebroadcast,
    Reshape,
    dimshuffle,
    known_int,
    restrict_pattern,
    shape_entries,
)
from jitgraph.rewrite.engine import Rewriter, Rule, rule_function
from jitgraph.rewrite.pattern import lifted_inputs
from jitgraph.rewrite.shapes import SHAPE, as_length, vector_entries

VIEWS = ("canonicalize", "fast_compile", "fast_run")


def made_by(v: Variable, op_class: type) -> Apply | None:
    """The node that makes `v` if it is one of `op_class`."""
    return v.owner if v.owner is not None and isinstance(v.owner.op, op_class) else None


# -- dimshuffle ------------------------------------------------------------------------------


@rule_function("dimshuffle(dimshuffle(x)) -> dimshuffle(x)", DimShuffle, tags=VIEWS)
def merge_dimshuffles(node: Apply, _rewriter: Rewriter) -> Variable | None:
    order = node.op.new_order
    (x,) = node.inputs
    if order == tuple(range(x.type.ndim)):
        return x
    inner = made_by(x, DimShuffle)
    if inner is None:
        return None
    return dimshuffle(inner.inputs[0], ["x" if o == "x" else inner.op.new_order[o] for o in order])


@rule_function(
    "dimshuffle(f(x, y)) -> f(dimshuffle(x), dimshuffle(y))",
    DimShuffle,
    tags=(*VIEWS, "local_dimshuffle_lift"),
)
def lift_dimshuffle(node: Apply, rewriter: Rewriter) -> Variable | None:
    inner = made_by(node.inputs[0], Elementwise)
    if inner is None or not rewriter.used_alone(node.inputs[0]):
        return None
    return inner.op.make_node(*lifted_inputs(node, inner)).outputs[0]


@rule_function("dimshuffle(alloc(x, n)) -> alloc(dimshuffle(x), n)", DimShuffle, tags=VIEWS)
def dimshuffle_of_alloc(node: Apply, _rewriter: Rewriter) -> Variable | None:
    inner = made_by(node.inputs[0], Alloc)
    if inner is None:
        return None
    value, *lengths = inner.inputs
    order = node.op.new_order
    missing = len(lengths) - value.type.ndim
    if any(
        i not in order and i >= missing and not value.type.broadcastable[i - missing]
        for i in range(len(lengths))
    ):
        return None  # an axis is dropped that alloc knows to be 1, but the value does not
    moved = dimshuffle(value, ["x" if o == "x" or o < missing else o - missing for o in order])
    if not order:
        return moved
    return Alloc()(moved, *(as_length(1) if o == "x" else lengths[o] for o in order))


@rule_function("dimshuffle([a]) -> a", DimShuffle, tags=VIEWS)
def dimshuffle_of_entry(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """A vector of one scalar, with any axes of length 1, is a view of that scalar."""
    inner = made_by(node.inputs[0], MakeVector)
    if inner is None or len(inner.inputs) != 1:
        return None
    entry = cast(inner.inputs[0], inner.op.dtype)
    return dimshuffle(entry, ["x"] * len(node.op.new_order))


# -- reshape ---------------------------------------------------------------------------------


@rule_function("reshape(reshape(x)) -> reshape(x)", Reshape, tags=(*VIEWS, "local_reshape_chain"))
def merge_reshapes(node: Apply, _rewriter: Rewriter) -> Variable | None:
    inner = made_by(node.inputs[0], Reshape)
    return None if inner is None else node.op(inner.inputs[0], node.inputs[1])


@rule_function("reshape(x, shape(x)) -> x", Reshape, tags=(*VIEWS, *SHAPE, "local_useless_reshape"))
def useless_reshape(node: Apply, rewriter: Rewriter) -> Variable | None:
    """The lengths are those of x already; one -1 is that of x if all others are."""
    x, shape = node.inputs
    if x.type.ndim != node.op.ndim:
        return None
    entries = reshape_lengths(shape, node.op.ndim)
    if entries is None:
        return x if x.type.ndim == 1 and x.type == node.outputs[0].type else None
    unmatched = [e for i, e in enumerate(entries) if e != rewriter.length(x, i)]
    return x if not unmatched or unmatched == [-1] else None


def reshape_lengths(shape: Variable, ndim: int) -> list[Variable | int] | None:
    """The entries of the new shape: ints where known. None where they are not written out."""
    entries = vector_entries(shape)
    if entries is None or len(entries) != ndim:
        return None
    return [e if (k := known_int(e)) is None else k for e in entries]


@rule_function(
    "reshape(x, lengths of x and 1s) -> dimshuffle(x)",
    Reshape,
    tags=(*VIEWS, "local_reshape_to_dimshuffle"),
)
def reshape_to_dimshuffle(node: Apply, rewriter: Rewriter) -> Variable | None:
    """Only axes of length 1 come or go, as the types and provable lengths tell."""
    x, shape = node.inputs
    entries = reshape_lengths(shape, node.op.ndim)
    if entries is None:
        return None
    wanted = [e for e in entries if e != 1]
    kept = [i for i in range(x.type.ndim) if not x.type.broadcastable[i]]
    if len(wanted) != len(kept) or wanted.count(-1) > 1:
        return None
    if any(e not in (-1, rewriter.length(x, i)) for e, i in zip(wanted, kept, strict=True)):
        return None
    rest = iter(kept)
    view = dimshuffle(x, ["x" if e == 1 else next(rest) for e in entries])
    return restrict_pattern(view, node.outputs[0].type.broadcastable)


@rule_function(
    "reshape(f(x)) -> f(reshape(x))",
    Reshape,
    tags=(*VIEWS, "local_reshape_lift", "local_flatten_lift"),
)
def lift_reshape(node: Apply, rewriter: Rewriter) -> Variable | None:
    inner = made_by(node.inputs[0], Elementwise)
    if inner is None or len(inner.inputs) != 1 or not rewriter.used_alone(node.inputs[0]):
        return None
    return inner.op.make_node(*lifted_inputs(node, inner)).outputs[0]


@rule_function("reshape(x, rebroadcast(s)) -> reshape(x, s)", Reshape, tags=VIEWS)
def plain_reshape_shape(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """The marks of the shape vector mean nothing to reshape."""
    inner = made_by(node.inputs[1], Rebroadcast)
    if inner is None or any(inner.op.pattern):
        return None
    entries = shape_entries(inner.inputs[0])
    if entries is None or len(entries) != node.op.ndim:
        return None
    return node.op(node.inputs[0], inner.inputs[0])


# -- rebroadcast -----------------------------------------------------------------------------


@rule_function("rebroadcast(x) -> x", Rebroadcast, tags=(*VIEWS, "local_useless_rebroadcast"))
def useless_rebroadcast(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Marks that are there already; two changes of marks where no check is lost."""
    (x,) = node.inputs
    if x.type.broadcastable == node.op.pattern:
        return x
    inner = made_by(x, Rebroadcast)
    if inner is None:
        return None
    source = inner.inputs[0]
    checked = [
        mark and not known
        for mark, known in zip(inner.op.pattern, source.type.broadcastable, strict=True)
    ]
    if any(c and not its for c, its in zip(checked, node.op.pattern, strict=True)):
        return None
    return node.op(source)


# -- reductions ------------------------------------------------------------------------------


@rule_function("sum(x, axis of length 1) -> x", Reduce, tags=(*VIEWS, "local_reduce_broadcastable"))
def reduce_single(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Axes of length fixed to 1 are dropped, not reduced."""
    op, (x,) = node.op, node.inputs
    single = [i for i in op.axes if x.type.broadcastable[i]]
    if not single and op.axes:
        return None
    if any(a not in single for a in op.axes):
        return _reduce_others(op, x, single)
    if op.kind in ("sum", "prod"):
        x = cast(x, op.acc_dtype)
    elif op.kind in ("all", "any"):
        x = cast(x, "bool")
    return cast(dimshuffle(x, [i for i in range(x.type.ndim) if i not in single]), op.dtype)


def _reduce_others(op: Reduce, x: Variable, single: Sequence[int]) -> Variable:
    kept = [i for i in range(x.type.ndim) if i not in single]
    axes = [kept.index(a) for a in op.axes if a not in single]
    return op.along(axes)(dimshuffle(x, kept))


RULES: list[Rule] = [
    merge_dimshuffles,
    dimshuffle_of_alloc,
    dimshuffle_of_entry,
    useless_reshape,
    plain_reshape_shape,
    merge_reshapes,
    reshape_to_dimshuffle,
    useless_rebroadcast,
    reduce_single,
]

# Rules that take a function apart into parts of its operands come after those that recognise
# functions by the form of the whole expression (exp(x) / sum(exp(x))).
MOVING: list[Rule] = [lift_dimshuffle, lift_reshape]
