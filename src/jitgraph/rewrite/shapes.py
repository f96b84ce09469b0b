"""Shapes without data: every op says its output's shape, so reading one never computes an array.

`Shape_i(f(x, …))` becomes an expression of the `Shape_i` of the inputs until only those of leaves
are left. Shape vectors become lists of their entries, and arithmetic on them arithmetic on the
entries. `fill` becomes `alloc` with such lengths, and vanishes where lengths are provably equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, TensorType, Variable
from jitgraph.ops.arithmetic import add, cast, mul
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.fold import LARGEST_FOLDED
from jitgraph.ops.index import Subtensor
from jitgraph.ops.join import Join
from jitgraph.ops.reduce import Reduce
from jitgraph.ops.shape import Alloc, DimShuffle, MakeVector, Rebroadcast, Shape, ShapeI, known_int
from jitgraph.ops.values import constant, pad_left
from jitgraph.rewrite.engine import Rewriter, Rule, rule_function

SHAPE = ("ShapeOpt", "fast_compile", "fast_run")
VECTOR = ("canonicalize", "fast_compile", "fast_run")
FILL_TO_ALLOC = ("canonicalize", "fast_compile", "fast_run", "local_fill_to_alloc")


def as_length(n: Any) -> Variable:
    """A shape entry as an int64 scalar."""
    return cast(n, "int64") if isinstance(n, Variable) else constant(np.int64(n))


# -- reading shapes --------------------------------------------------------------------------


@rule_function("shape(x)[i] without x", ShapeI, tags=SHAPE)
def lift_length(node: Apply, rewriter: Rewriter) -> Variable | None:
    """Shape_i{k}(f(a, b)) -> the entry that f.infer_shape gives, in terms of a and b."""
    (x,) = node.inputs
    axis = node.op.i
    if x.type.broadcastable[axis]:
        return as_length(1)
    if isinstance(x, Constant):
        return as_length(int(x.data.shape[axis]))
    if x.owner is None or x in rewriter.keep:
        return None
    shapes = [input_shape(v) for v in x.owner.inputs]
    inferred = x.owner.op.infer_shape(x.owner, shapes)
    if inferred is None:
        return None
    entry = inferred[x.index or 0][axis]
    return None if entry is node.outputs[0] else as_length(entry)


def input_shape(v: Variable) -> tuple[Any, ...] | None:
    """The shape of `v` as ops are told it: ints where known, else Shape_i nodes."""
    if not isinstance(v.type, TensorType):
        return None
    if isinstance(v, Constant):
        return tuple(int(n) for n in v.data.shape)
    return tuple(1 if b else ShapeI(i)(v) for i, b in enumerate(v.type.broadcastable))


@rule_function("shape(x) -> [shape(x)[0], …]", Shape, tags=SHAPE)
def list_shape(node: Apply, _rewriter: Rewriter) -> Variable | None:
    (x,) = node.inputs
    if x.type.ndim == 0:
        return node.outputs[0].type.make_constant(np.zeros(0, "int64"))
    vector = MakeVector("int64")(*(ShapeI(i)(x) for i in range(x.type.ndim)))
    # A list of one entry is marked as such; the shape of a vector is not.
    return Rebroadcast((False,))(vector) if x.type.ndim == 1 else vector


# -- vectors of known length -----------------------------------------------------------------


def vector_entries(v: Variable) -> list[Variable] | None:
    """The entries of a vector that is written out in the graph, else None."""
    while v.owner is not None and isinstance(v.owner.op, Rebroadcast):
        v = v.owner.inputs[0]
    if isinstance(v, Constant) and v.type.ndim == 1 and v.data.size <= LARGEST_FOLDED:
        return [constant(n) for n in v.data]
    if v.owner is None or not isinstance(v.owner.op, MakeVector):
        return None
    return [cast(e, v.type.dtype) for e in v.owner.inputs]


def make_vector(entries: Sequence[Variable], type_: TensorType) -> Variable:
    """The entries as a vector of the given type."""
    if not entries:
        return type_.make_constant(np.zeros(0, type_.dtype))
    vector = MakeVector(type_.dtype)(*(cast(e, type_.dtype) for e in entries))
    if vector.type.broadcastable != type_.broadcastable:
        vector = Rebroadcast(type_.broadcastable)(vector)
    return vector


@rule_function("[a, b, …][i] -> the entry", Subtensor, tags=VECTOR)
def index_list(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """An entry, or a slice with constant bounds, of a vector that is written out."""
    x = node.inputs[0]
    if x.type.ndim != 1 or isinstance(x, Constant) or not node.op.pattern:
        return None
    entries = vector_entries(x)
    if entries is None:
        return None
    known = [known_int(v) for v in node.inputs[1:]]
    if any(k is None for k in known):
        return None
    (index,) = node.op.entries(known)
    try:
        chosen = entries[index]
    except IndexError:
        return None  # the error belongs to the call that runs it
    return make_vector(chosen, node.outputs[0].type) if isinstance(chosen, list) else chosen


@rule_function("f([a, b]) -> [f(a), f(b)]", tags=VECTOR, needs=(MakeVector, Rebroadcast))
def map_list(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Integer arithmetic (and conversion) of vectors that are written out, entry by entry."""
    op, out = node.op, node.outputs[0]
    if type(op) is not Elementwise or out.type.ndim != 1:
        return None
    discrete = out.type.dtype in dtypes.DISCRETE or op.scalar_name.startswith("cast{")
    if not discrete or not any(_is_list(v) for v in node.inputs):
        return None
    columns: list[Any] = []
    for v in node.inputs:
        scalar = _stretched_scalar(v)
        columns.append(scalar if scalar is not None else vector_entries(v))
    lengths = {len(c) for c in columns if isinstance(c, list)}
    if any(c is None for c in columns) or len(lengths) != 1:
        return None
    (n,) = lengths
    rows = [[c[i] if isinstance(c, list) else c for c in columns] for i in range(n)]
    return make_vector([op(*row) for row in rows], out.type)


def _is_list(v: Variable) -> bool:
    return v.owner is not None and isinstance(v.owner.op, (MakeVector, Rebroadcast))


def _stretched_scalar(v: Variable) -> Variable | None:
    """The scalar that a vector marked as length 1 was made from by a dimshuffle."""
    if v.type.broadcastable != (True,):
        return None
    if isinstance(v, Constant):
        return constant(v.data.reshape(()))
    if (
        v.owner is not None
        and isinstance(v.owner.op, DimShuffle)
        and not v.owner.inputs[0].type.ndim
    ):
        return v.owner.inputs[0]
    return None


@rule_function("sum([a, b]) -> a + b", Reduce, tags=VECTOR)
def reduce_list(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Integer sums and products of a vector that is written out, from the left."""
    op = node.op
    combine = {"sum": add, "prod": mul}.get(op.kind)
    if combine is None or op.axes != (0,) or node.inputs[0].type.ndim != 1:
        return None
    if op.acc_dtype not in dtypes.INTEGERS or isinstance(node.inputs[0], Constant):
        return None
    entries = vector_entries(node.inputs[0])
    if not entries:
        return None
    result = cast(entries[0], op.acc_dtype)
    for e in entries[1:]:
        result = combine(result, cast(e, op.acc_dtype))
    return cast(result, op.dtype)


@rule_function("join([a], [b]) -> [a, b]", Join, tags=(*VECTOR, "local_join_make_vector"))
def join_lists(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """One part is itself; parts that are vectors written out become one such vector."""
    if len(node.inputs) == 1:
        return node.inputs[0]
    out = node.outputs[0]
    if out.type.ndim != 1 or not any(_is_list(v) for v in node.inputs):
        return None
    parts = [vector_entries(v) for v in node.inputs]
    if any(p is None for p in parts):
        return None
    return make_vector([e for p in parts for e in p or ()], out.type)


# -- fill and alloc --------------------------------------------------------------------------


@rule_function("fill(a, b) -> alloc(b, shape(a))", "second", tags=FILL_TO_ALLOC)
def fill_to_alloc(node: Apply, rewriter: Rewriter) -> Variable | None:
    """Only the shape of `a` matters; where `b` provably has it, only `b` is left."""
    _a, b = node.inputs
    out = node.outputs[0]
    lengths = output_lengths(node, rewriter)
    if b.type.broadcastable == out.type.broadcastable and _has_lengths(b, lengths, rewriter):
        return b
    return Alloc()(strip_padding(b), *map(as_length, lengths)) if lengths else b


def output_lengths(node: Apply, rewriter: Rewriter) -> list[Variable | int]:
    """The lengths of an elementwise node's output, from those of its inputs, in normal form."""
    (entries,) = node.op.infer_shape(node, [input_shape(v) for v in node.inputs])
    return [rewriter.length_of_entry(e) for e in entries]


def _has_lengths(v: Variable, lengths: Sequence[Any], rewriter: Rewriter) -> bool:
    """Whether the last axes of these lengths are provably those of `v` that are not fixed to 1."""
    offset = len(lengths) - v.type.ndim
    return all(
        b or rewriter.length(v, i) == lengths[i + offset]
        for i, b in enumerate(v.type.broadcastable)
    )


def strip_padding(v: Variable) -> Variable:
    """`v` without the axes of length 1 before it: those of a dimshuffle, or of a constant."""
    if isinstance(v, Constant):
        marks = v.type.broadcastable
        extra = next((i for i, b in enumerate(marks) if not b), len(marks))
        return constant(v.data.reshape(v.data.shape[extra:])) if extra else v
    while v.owner is not None and v.owner.op.is_left_padding:
        v = v.owner.inputs[0]
    return v


def alloc_lengths(node: Apply) -> list[Variable | int]:
    return [n if (k := known_int(n)) is None else k for n in node.inputs[1:]]


@rule_function("alloc(x, shape(x)) -> x", Alloc, tags=(*VECTOR, "local_useless_alloc"))
def useless_alloc(node: Apply, rewriter: Rewriter) -> Variable | None:
    value, *rest = node.inputs
    out = node.outputs[0]
    if value.type == out.type and _has_lengths(value, alloc_lengths(node), rewriter):
        return value
    stripped = strip_padding(value)
    return Alloc()(stripped, *rest) if stripped is not value else None


@rule_function(
    "f(alloc(a, shape(y)), y) -> f(a, y)", tags=(*VECTOR, "local_elemwise_alloc"), needs=(Alloc,)
)
def unstretch_operands(node: Apply, rewriter: Rewriter) -> Variable | None:
    """An elementwise function stretches its operands itself.

    An alloc is dropped where another operand provably has its lengths. When every operand is an
    alloc or a single element, the function is applied before stretching.
    """
    if type(node.op) is not Elementwise:
        return None
    ndim = node.outputs[0].type.ndim
    if all(_is_alloc(v) or all(v.type.broadcastable) for v in node.inputs):
        return _apply_before_stretching(node, rewriter)
    inputs = list(node.inputs)
    for i, v in enumerate(inputs):
        if _is_alloc(v) and _another_has_lengths(inputs, i, rewriter):
            inputs[i] = pad_left(_unstretched(v), ndim)
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return None
    return node.op.make_node(*inputs).outputs[0]


def _is_alloc(v: Variable) -> bool:
    return v.owner is not None and isinstance(v.owner.op, Alloc)


def _unstretched(v: Variable) -> Variable:
    """What an alloc stretches; `v` itself where only the alloc knows that an axis has length 1."""
    if v.owner is None or not _is_alloc(v):
        return v
    value = v.owner.inputs[0]
    known = v.type.broadcastable[v.type.ndim - value.type.ndim :]
    loses = any(k and not b for k, b in zip(known, value.type.broadcastable, strict=True))
    return v if loses else value


def _another_has_lengths(inputs: Sequence[Variable], i: int, rewriter: Rewriter) -> bool:
    v = inputs[i]
    for axis, fixed_to_one in enumerate(v.type.broadcastable):
        if fixed_to_one:
            continue
        n = rewriter.length(v, axis)
        if not any(
            k != i and not w.type.broadcastable[axis] and rewriter.length(w, axis) == n
            for k, w in enumerate(inputs)
        ):
            return False
    return True


def _apply_before_stretching(node: Apply, rewriter: Rewriter) -> Variable | None:
    lengths = output_lengths(node, rewriter)
    if not all(_has_lengths(v, lengths, rewriter) for v in node.inputs):
        return None
    if any(_is_alloc(v) and _unstretched(v) is v for v in node.inputs):
        return None
    # No padding here: it would be computed on instead of being put before the result.
    inner = node.op.make_node(*(strip_padding(_unstretched(v)) for v in node.inputs)).outputs[0]
    return Alloc()(inner, *map(as_length, lengths))


RULES: list[Rule] = [
    lift_length,
    list_shape,
    index_list,
    map_list,
    reduce_list,
    join_lists,
    fill_to_alloc,
    useless_alloc,
    unstretch_operands,
]
