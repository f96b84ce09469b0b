"""Exact rules about indexing: parts are taken before things are computed, not after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, Variable
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import AdvancedSubtensor, IncSubtensor, Subtensor
from jitgraph.ops.nnet import LogSoftmax, Pick, logsoftmax_pick
from jitgraph.ops.shape import (
    Alloc,
    DimShuffle,
    Rebroadcast,
    dimshuffle,
    known_int,
    restrict_pattern,
)
from jitgraph.ops.values import constant
from jitgraph.rewrite.engine import Rewriter, Rule, rule_function
from jitgraph.rewrite.shapes import as_length
from jitgraph.rewrite.views import VIEWS, made_by

WHOLE = slice(None)


# -- the index of a Subtensor as one entry an axis ---------------------------------------------


def entries_of(node: Apply) -> list[Any]:
    """One entry for each axis of the indexed array: a scalar variable or a slice of variables."""
    x = node.inputs[0]
    given: list[Any] = node.op.entries(node.inputs[1:])
    return given + [WHOLE] * (x.type.ndim - len(given))


def is_whole(entry: Any) -> bool:
    return isinstance(entry, slice) and entry == WHOLE


def take(x: Variable, entries: Sequence[Any]) -> Variable:
    """x indexed with one entry for each axis; x itself when all are whole."""
    entries = list(entries)
    while entries and is_whole(entries[-1]):
        entries.pop()
    if not entries:
        return x
    pattern: list[str] = []
    indices: list[Variable] = []
    for e in entries:
        if isinstance(e, slice):
            parts = {"b": e.start, "e": e.stop, "t": e.step}
            given = {letter: v for letter, v in parts.items() if v is not None}
            pattern.append("s" + "".join(given))
            indices.extend(given.values())
        else:
            pattern.append("i")
            indices.append(e)
    return Subtensor(pattern)(x, *indices)


# -- rules about Subtensor ---------------------------------------------------------------------


@rule_function("x[:] -> x", Subtensor, tags=(*VIEWS, "local_useless_subtensor"))
def useless_index(node: Apply, rewriter: Rewriter) -> Variable | None:
    """Slices that take a whole axis: `:`, `0:`, `:n` with n provably the length, `::1`."""
    x = node.inputs[0]
    entries = entries_of(node)
    changed = [_simplified(e, x, axis, rewriter) for axis, e in enumerate(entries)]
    unchanged = all(a is b for a, b in zip(changed, entries, strict=True))
    if unchanged and node.op.pattern[-1:] not in ((), ("s",)):
        return None  # and no whole slice at the end to be left out
    return take(x, changed)


def _simplified(entry: Any, x: Variable, axis: int, rewriter: Rewriter) -> Any:
    if not isinstance(entry, slice) or is_whole(entry):
        return entry
    start, stop, step = entry.start, entry.stop, entry.step
    if step is not None:
        if known_int(step) != 1:
            return entry
        step = None
    if start is not None and known_int(start) == 0:
        start = None
    if stop is not None and _is_length(stop, x, axis, rewriter):
        stop = None
    unchanged = start is entry.start and stop is entry.stop and step is entry.step
    return entry if unchanged else slice(start, stop, step)


def _is_length(stop: Variable, x: Variable, axis: int, rewriter: Rewriter) -> bool:
    if x.type.broadcastable[axis]:
        return (known_int(stop) or 0) >= 1
    n = rewriter.length(x, axis)
    known = known_int(stop)
    return known >= n if isinstance(n, int) and known is not None else n is stop


@rule_function("x[a:b][i] -> x[a + i]", Subtensor, tags=(*VIEWS, "local_subtensor_merge"))
def merge_indices(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Two indexings with constant parts, or on different axes, become one.

    An index into a slice is merged only where the slice starts at a constant not below zero, has
    no end and step 1, and the index is a constant not below zero: then no length is needed.
    """
    inner = made_by(node.inputs[0], Subtensor)
    if inner is None:
        return None
    outer = iter(entries_of(node))
    merged: list[Any] = []
    for e in entries_of(inner):
        joint = _joint(e, next(outer)) if isinstance(e, slice) else e
        if joint is None:
            return None
        merged.append(joint)
    return take(inner.inputs[0], merged)


def _joint(first: slice, then: Any) -> Any:
    """The entry that does what `first` followed by `then` does; None if lengths are needed."""
    if is_whole(first):
        return then
    if is_whole(then):
        return first
    start = 0 if first.start is None else known_int(first.start)
    if start is None or start < 0 or first.stop is not None or first.step is not None:
        return None
    if not isinstance(then, slice):
        i = known_int(then)
        return None if i is None or i < 0 else constant(np.int64(start + i))
    bounds = [None if b is None else known_int(b) for b in (then.start, then.stop)]
    given = (then.start, then.stop)
    if any(g is not None and (b is None or b < 0) for g, b in zip(given, bounds, strict=True)):
        return None
    if then.step is not None and (known_int(then.step) or 0) <= 0:
        return None
    ends = [None if b is None else constant(np.int64(start + b)) for b in bounds]
    begin = ends[0] if ends[0] is not None else first.start
    return slice(begin, ends[1], then.step)


@rule_function("f(x, y)[i] -> f(x[i], y[i])", Subtensor, tags=(*VIEWS, "local_subtensor_lift"))
def lift_index(node: Apply, rewriter: Rewriter) -> Variable | None:
    """Where nothing else needs f(x, y), compute only the part that is taken."""
    inner = made_by(node.inputs[0], Elementwise)
    if inner is None or not rewriter.used_alone(node.inputs[0]):
        return None
    entries = entries_of(node)
    marks = inner.outputs[0].type.broadcastable
    parts = [_part_of_operand(v, entries, marks) for v in inner.inputs]
    if any(p is None for p in parts):
        return None
    return inner.op.make_node(*parts).outputs[0]


def _part_of_operand(v: Variable, entries: Sequence[Any], marks: Sequence[bool]) -> Variable | None:
    """The part of one operand that `entries` of the stretched result read; None if unclear."""
    mine: list[Any] = []
    dropped: list[int] = []
    for axis, e in enumerate(entries):
        if is_whole(e) or not v.type.broadcastable[axis]:
            mine.append(e)
        elif isinstance(e, slice):
            if marks[axis]:
                return None  # a slice of a single element may be empty
            mine.append(WHOLE)
        else:
            if marks[axis] and known_int(e) not in (0, -1):
                return None  # the check of the index would be lost
            mine.append(WHOLE)
            dropped.append(axis)
    if dropped:
        v = dimshuffle(v, [a for a in range(v.type.ndim) if a not in dropped])
        mine = [e for a, e in enumerate(mine) if a not in dropped]
    return take(v, mine)


@rule_function("rebroadcast(x)[i] -> rebroadcast(x[i])", Subtensor, tags=VIEWS)
def index_of_rebroadcast(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Where the index takes none of the axes of which the rebroadcast checks the length."""
    inner = made_by(node.inputs[0], Rebroadcast)
    if inner is None:
        return None
    (x,) = inner.inputs
    entries = entries_of(node)
    marks = zip(inner.op.pattern, x.type.broadcastable, entries, strict=True)
    if any(new and not known and not is_whole(e) for new, known, e in marks):
        return None
    return restrict_pattern(take(x, entries), node.outputs[0].type.broadcastable)


@rule_function("dimshuffle(x)[i] -> dimshuffle(x[i])", Subtensor, tags=VIEWS)
def index_of_dimshuffle(node: Apply, _rewriter: Rewriter) -> Variable | None:
    inner = made_by(node.inputs[0], DimShuffle)
    if inner is None:
        return None
    x, order = inner.inputs[0], inner.op.new_order
    mine: list[Any] = [WHOLE] * x.type.ndim
    result: list[Any] = []
    for axis, e in enumerate(entries_of(node)):
        if order[axis] == "x":
            if is_whole(e):
                result.append("x")
            elif isinstance(e, slice) or known_int(e) not in (0, -1):
                return None
            continue
        mine[order[axis]] = e
        if isinstance(e, slice):
            result.append(order[axis])
    part = take(x, mine)
    # Axes of x that are left after the integers have taken theirs.
    left = [a for a in range(x.type.ndim) if isinstance(mine[a], slice)]
    if any(not part.type.broadcastable[left.index(a)] for a in left if a not in result):
        return None
    return dimshuffle(part, ["x" if a == "x" else left.index(a) for a in result])


@rule_function("alloc(x, n)[i] -> alloc(x[i], …)", Subtensor, tags=VIEWS)
def index_of_alloc(node: Apply, rewriter: Rewriter) -> Variable | None:
    """Only of single values: their copies are all the same."""
    inner = made_by(node.inputs[0], Alloc)
    if inner is None or inner.inputs[0].type.ndim:
        return None
    entries = entries_of(node)
    lengths = inner.inputs[1:]
    for e, n in zip(entries, lengths, strict=True):
        if not isinstance(e, slice) and not _surely_inside(e, n):
            return None
    out = node.outputs[0]
    if not out.type.ndim:
        return inner.inputs[0]
    known = tuple(n if (k := known_int(n)) is None else k for n in lengths)
    shape = node.op.infer_shape(node, [known])[0]
    return Alloc()(inner.inputs[0], *map(as_length, shape))


def _surely_inside(index: Variable, length: Variable) -> bool:
    i, n = known_int(index), known_int(length)
    return i is not None and n is not None and -n <= i < n


# -- writing parts --------------------------------------------------------------------------------


@rule_function(
    "inc(zeros, x, i) + inc(zeros, y, j) -> inc(inc(zeros, x, i), y, j)",
    "add",
    tags=("canonicalize", "fast_run", "local_incsubtensor_of_zeros"),
    needs=(IncSubtensor,),
)
def add_parts(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Gradients of several slices of one array are added into one array, in the same order.

    Exact: what is added to where the other part is zero changes no bit, since a sum that began
    with zeros is never -0.0.
    """
    first, *others = node.inputs
    total = first if _is_sum_of_parts(first) else None
    taken = 0
    for v in others:
        part = made_by(v, IncSubtensor)
        if total is None or part is None or not _is_sum_of_parts(v) or v.type != total.type:
            break
        if made_by(part.inputs[0], IncSubtensor) is not None:
            break
        total = part.op(total, *part.inputs[1:])
        taken += 1
    if not taken or total is None:
        return None
    rest = others[taken:]
    return node.op.make_node(total, *rest).outputs[0] if rest else total


def _is_sum_of_parts(v: Variable) -> bool:
    """Whether v is zeros to whose parts something was added."""
    node = made_by(v, IncSubtensor)
    if node is None or node.op.set_instead_of_inc or v.type.dtype not in dtypes.FLOATS:
        return False
    while node is not None and not node.op.set_instead_of_inc:
        v = node.inputs[0]
        node = made_by(v, IncSubtensor)
    return _is_zeros(v)


def _is_zeros(v: Variable) -> bool:
    """Whether every element is known to be +0.0."""
    if isinstance(v, Constant):
        return not v.data.any() and not np.signbit(v.data).any()
    inner = made_by(v, Alloc)
    if inner is not None:
        return _is_zeros(inner.inputs[0])
    filled = made_by(v, Elementwise)
    return filled is not None and filled.op.scalar_name == "second" and _is_zeros(filled.inputs[1])


# -- picking one column of each row --------------------------------------------------------------


@rule_function(
    "pick(f(x, row, col), k) -> f(pick(x, k), row[k], col)",
    Pick,
    tags=("canonicalize", "fast_compile", "fast_run", "local_pick_lift"),
)
def lift_pick(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Compute the elementwise function only where its result is picked.

    At least one operand must be a whole matrix: picking from it checks the labels.
    """
    x, labels = node.inputs
    inner = made_by(x, Elementwise)
    if inner is None or x.type.broadcastable != (False, False):
        return None
    if not any(v.type.broadcastable == (False, False) for v in inner.inputs):
        return None
    picked = [_picked(v, labels) for v in inner.inputs]
    return inner.op.make_node(*picked).outputs[0]


def _picked(v: Variable, labels: Variable) -> Variable:
    marks = v.type.broadcastable
    if marks == (False, False):
        return Pick()(v, labels)
    if marks == (True, False):
        return AdvancedSubtensor(("a",))(dimshuffle(v, 1), labels)
    return dimshuffle(v, 0)


@rule_function(
    "pick(logsoftmax(x), k) -> logsoftmax_pick(x, k)",
    Pick,
    tags=("canonicalize", "fast_compile", "fast_run", "crossentropy"),
)
def fuse_logsoftmax_pick(node: Apply, _rewriter: Rewriter) -> Variable | None:
    inner = made_by(node.inputs[0], LogSoftmax)
    return None if inner is None else logsoftmax_pick(inner.inputs[0], node.inputs[1])


RULES: list[Rule] = [
    useless_index,
    merge_indices,
    index_of_rebroadcast,
    index_of_dimshuffle,
    index_of_alloc,
    fuse_logsoftmax_pick,
    add_parts,
]
MOVING: list[Rule] = [lift_index, lift_pick]
