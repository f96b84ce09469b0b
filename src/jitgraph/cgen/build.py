"""Values of variables at an index, as three-address statements.

`Builder.value(x, index)` answers "what is element `index` of x", by loading it where x lies in
memory, or by computing it from its inputs on the spot. Views (transposes, slices, stretched
axes, ranges) cost nothing but index arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.cgen.ir import (
    ZERO,
    Atom,
    Buffer,
    Call,
    Fill,
    IndexValue,
    Let,
    Load,
    Number,
    Poly,
    Ref,
    Value,
)
from jitgraph.cgen.lengths import Length, Lengths
from jitgraph.graph import Apply, Constant, Variable
from jitgraph.ops import arithmetic as ar
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import AdvancedSubtensor, Subtensor, slice_bounds
from jitgraph.ops.nnet import Pick
from jitgraph.ops.scalar import FUNCTIONS, fast_name
from jitgraph.ops.shape import (
    Alloc,
    ARange,
    DimShuffle,
    MakeVector,
    Rebroadcast,
    Reshape,
    ShapeI,
    SpecifyShape,
    known_int,
)

Index = tuple[Poly, ...]
# The index of a read that no loop shares: what is read must be complete.
WHOLE: Index = (Poly.name("?"),)
# Ops whose result is read through index arithmetic and never needs memory of its own.
VIEWS = (DimShuffle, Subtensor, Rebroadcast, SpecifyShape, Alloc, ARange, Pick, Reshape)
# Views whose index comes from an array, so it must be checked before it is used.
GATHERS = (Pick, AdvancedSubtensor)
# softplus -> x to softplus(-x), in both accuracies.
SOFTPLUS = {"softplus": "softplus_minus"}
SOFTPLUS |= {fast_name(f): fast_name(g) for f, g in SOFTPLUS.items()}


# gcc takes (double)(int32_t)x for trunc(x), which is -0.0 for -0.5 and 3e9 for 3e9. So an integer
# that a float was cut to is made a float again by arithmetic that it does not see through.
_FROM_CUT = {
    (target, source): replace(
        FUNCTIONS[f"cast{{{target}}}"],
        c=f"jg_{dtypes.TAGS[target]}_of_{dtypes.TAGS[source]}({{0}})",
        header="jg_arith.h",
    )
    for target in ("float32", "float64")
    for source in ("int32", "int64")
}


def number(value: Any, dtype: str) -> Number:
    """A literal of `dtype`, converted as a cast would."""
    with np.errstate(all="ignore"):
        item = np.asarray(value).astype(dtypes.NUMPY[dtype])[()].item()
    return Number(item, dtype)


class Builder:
    """Collects the statements of one loop body; equal computations are done once."""

    def __init__(
        self,
        lengths: Lengths,
        buffers: dict[Variable, Buffer],
        fresh: Callable[[], str],
        produced: dict[Variable, Index] | None = None,
        host: bool = False,
    ):
        self.lengths = lengths
        self.buffers = buffers
        self.fresh = fresh
        # Variables that this very loop body computes, with the index at which it does.
        self.produced = produced or {}
        self.host = host  # computes the scalars that others refer to by name
        self.body: list[Any] = []
        self.reads: list[tuple[Variable, Index]] = []
        self.headers: set[str] = set()
        self._memo: dict[Any, Atom] = {}
        self._drawn: dict[Apply, str] = {}  # names of what is made in this very loop
        self._cut: set[str] = set()  # integers that may have been cut from floats

    def let(self, value: Value, dtype: str) -> Atom:
        known = self._memo.get(value)
        if known is None:
            known = Ref(self.fresh(), dtype)
            self.body.append(Let(known.name, dtype, value))
            self._memo[value] = known
        return known

    # -- values --
    def value(self, variable: Variable, index: Index) -> Atom:
        """The element as an atom, with the statements that compute it appended.

        Depth-first over an explicit stack, so a chain of 10,000 ops does not recurse.
        """
        goal = (variable, index)
        stack = [goal]
        while stack:
            task = stack[-1]
            if task in self._memo:
                stack.pop()
                continue
            needed = self._step(*task)
            if needed:
                stack.extend(reversed(needed))
            else:
                stack.pop()
        return self._memo[goal]

    def _step(self, v: Variable, index: Index) -> list[tuple[Variable, Index]]:
        """Compute (v, index) into the memo, or return what must be computed before."""
        if isinstance(v, Constant) and v.data.size == 1:
            self._memo[(v, index)] = number(v.data.flat[0], v.type.dtype)
            return []
        buffer = self.buffers.get(v)
        if buffer is not None and self.produced.get(v) != index:
            self._memo[(v, index)] = self.load(v, buffer, index)
            return []
        node = v.owner
        assert node is not None, f"no value for {v}"
        if not self.host and not v.type.ndim and v not in self.produced:
            # What does not depend on any loop is computed once, before all of them.
            symbol = self.lengths.scalar(v)
            if symbol is not None:
                self._memo[(v, index)] = Ref(symbol.name, symbol.dtype)
                self._cut.add(symbol.name)
                return []
        if isinstance(node.op, Elementwise):
            return self._elementwise(node, v, index)
        if getattr(node.op, "c_filled", None) == v.index:
            self._memo[(v, index)] = self._draw(node, v, index)
            return []
        if isinstance(node.op, ShapeI):
            length = self.lengths.shape(node.inputs[0])[node.op.i]
            self._memo[(v, index)] = self.length_atom(length)
            return []
        return self._view(node, v, index)

    def load(self, v: Variable, buffer: Buffer, index: Index) -> Atom:
        self.reads.append((v, index))
        atom = self.let(Load(buffer, buffer.address(index), buffer.dtype), buffer.dtype)
        if buffer.kind != "in" and isinstance(atom, Ref):
            self._cut.add(atom.name)  # another loop of the same C function may have cut it
        return atom

    def _draw(self, node: Apply, v: Variable, index: Index) -> Atom:
        """An element of an array that is made block by block in this very loop."""
        header, call = node.op.c_fill(node)
        self.headers.add(header)
        wanted = [k for k in range(len(node.inputs)) if f"{{x{k}}}" in call]
        # The successor of the state is computed, and the state checked, before.
        self.reads += [(w, WHOLE) for w in (v, *(node.inputs[k] for k in wanted))]
        operands = tuple((k, self.buffers[node.inputs[k]]) for k in wanted)
        dims = tuple(map(self.lengths.poly, self.lengths.shape(v)))
        name = self._drawn.setdefault(node, f"drawn{len(self._drawn)}")
        buffer = Buffer(name, v.type.dtype, dims, "fill", Fill(call, operands, node))
        return self.let(Load(buffer, buffer.address(index), buffer.dtype), buffer.dtype)

    def wait_for(self, names: Iterable[str]) -> None:
        """What computes these lengths, if loops do, is read before this very loop begins."""
        if self.lengths.late:
            self.reads += [(v, WHOLE) for v in self.lengths.waits_of(names)]

    def length_atom(self, length: Length) -> Atom:
        length = self.lengths.find(length)
        return (
            Number(length, "int64") if isinstance(length, int) else Ref(length.name, length.dtype)
        )

    def _elementwise(self, node: Apply, v: Variable, index: Index) -> list[tuple[Variable, Index]]:
        tasks = [
            (x, tuple(ZERO if b else i for b, i in zip(x.type.broadcastable, index, strict=True)))
            for x in node.inputs
        ]
        if node.op.scalar_name == "second":
            tasks = tasks[1:]
        negated = self._negated(node)
        if negated is not None:
            tasks = [(negated, tasks[0][1])]
        missing = [t for t in tasks if t not in self._memo]
        if missing:
            return missing
        atoms = [self._memo[t] for t in tasks]
        if node.op.scalar_name == "second":
            self._memo[(v, index)] = atoms[0]
            return []
        if negated is not None:
            name = SOFTPLUS[node.op.scalar_name]
            self._memo[(v, index)] = self.call(name, tuple(atoms), v.type.dtype)
            return []
        self._memo[(v, index)] = self.apply(node.op, atoms, node.op.dtypes_in(node), v.type.dtype)
        return []

    def _negated(self, node: Apply) -> Variable | None:
        """x where the node is softplus(-x): together with softplus(x) it costs little more."""
        (x,) = node.inputs[:1]
        if node.op.scalar_name not in SOFTPLUS or x in self.buffers or x.owner is None:
            return None
        inner = x.owner
        if not isinstance(inner.op, Elementwise) or inner.op.scalar_name != "neg":
            return None
        (y,) = inner.inputs
        return y if y.type.dtype == x.type.dtype == node.outputs[0].type.dtype else None

    def apply(
        self, op: Elementwise, atoms: Sequence[Atom], wanted: Sequence[str], dtype: str
    ) -> Atom:
        function = op.scalar
        operands = [self.convert(a, d) for a, d in zip(atoms, wanted, strict=True)]
        if function.name == "identity":
            return operands[0]
        if function.arity >= 0:
            return self.call(op.scalar_name, tuple(operands), dtype)
        result = operands[0]
        for other in operands[1:]:
            result = self.call(op.scalar_name, (result, other), dtype)
        return result

    def call(self, name: str, operands: tuple[Atom, ...], dtype: str) -> Atom:
        function = FUNCTIONS[name]
        cut = any(isinstance(a, Ref) and a.name in self._cut for a in operands)
        if cut and (dtype, operands[0].dtype) in _FROM_CUT and name == f"cast{{{dtype}}}":
            function = _FROM_CUT[dtype, operands[0].dtype]
        if function.header:
            self.headers.update(function.headers(operands[0].dtype))
        result = self.let(Call(function, operands, dtype), dtype)
        cuts = name.startswith("cast{") and operands[0].dtype in dtypes.FLOATS
        if isinstance(result, Ref) and dtype in ("int32", "int64") and (cut or cuts):
            self._cut.add(result.name)
        return result

    def convert(self, atom: Atom, dtype: str) -> Atom:
        if atom.dtype == dtype:
            return atom
        if isinstance(atom, Number):
            return number(atom.value, dtype)
        return self.call(f"cast{{{dtype}}}", (atom,), dtype)

    # -- views --
    def _view(self, node: Apply, v: Variable, index: Index) -> list[tuple[Variable, Index]]:
        op, x = node.op, node.inputs[0]
        source: tuple[Variable, Index]
        if isinstance(op, ARange):
            return self._arange(node, v, index)
        if isinstance(op, GATHERS):
            return self._gather(node, v, index)
        if isinstance(op, MakeVector):
            k = index[0].as_int()
            assert k is not None, "a vector of scalars must lie in memory to be indexed"
            source = (node.inputs[k], ())
        elif isinstance(op, DimShuffle):
            source = (x, self._shuffled(op, index))
        elif isinstance(op, Alloc):
            tail = index[len(index) - x.type.ndim :]
            source = (
                x,
                tuple(ZERO if b else i for b, i in zip(x.type.broadcastable, tail, strict=True)),
            )
        elif isinstance(op, Subtensor):
            source = (x, self.subtensor_index(op, x, node.inputs[1:], index))
            self.wait_for(n for p in source[1] for n in p.names())
        elif isinstance(op, Reshape):
            # Only an array in memory is reshaped here: the same elements, another way to count.
            buffer = self.buffers[x]
            dims = tuple(map(self.lengths.poly, self.lengths.shape(v)))
            alias = Buffer(buffer.name, buffer.dtype, dims, buffer.kind)
            self.reads.append((x, ()))
            at = alias.address(index)
            self._memo[(v, index)] = self.let(Load(buffer, at, buffer.dtype), buffer.dtype)
            return []
        elif isinstance(op, (Rebroadcast, SpecifyShape)):
            source = (
                x,
                tuple(ZERO if b else i for b, i in zip(x.type.broadcastable, index, strict=True)),
            )
        else:
            raise AssertionError(f"{op} has no element access")
        if source not in self._memo:
            return [source]
        self._memo[(v, index)] = self._memo[source]
        return []

    @staticmethod
    def _shuffled(op: DimShuffle, index: Index) -> Index:
        result = [ZERO] * len(op.input_broadcastable)
        for position, axis in enumerate(op.new_order):
            if isinstance(axis, int) and not op.input_broadcastable[axis]:
                result[axis] = index[position]
        return tuple(result)

    def subtensor_index(
        self, op: Any, x: Variable, indices: Sequence[Variable], index: Index
    ) -> Index:
        """The index into x of element `index` of the view x[indices]."""
        shape = self.lengths.shape(x)
        remaining = list(index)
        result: list[Poly] = []
        for axis, entry in enumerate(op.entries(indices)):
            if isinstance(entry, slice):
                first, _, step = slice_bounds(entry, as_graph(shape[axis]))
                result.append(self.scalar_poly(first) + remaining.pop(0) * self.scalar_poly(step))
            else:
                result.append(self.lengths.poly(position_length(self.lengths, entry, shape[axis])))
        return tuple(result) + tuple(remaining)

    def scalar_poly(self, value: Any) -> Poly:
        return self.lengths.poly(self.lengths.length(value))

    def _arange(self, node: Apply, v: Variable, index: Index) -> list[tuple[Variable, Index]]:
        start, _, step = node.inputs
        dtype = node.op.dtype
        if dtype in dtypes.INTEGERS and all(w.type.dtype in dtypes.DISCRETE for w in (start, step)):
            first, by = (self.scalar_poly(ar.cast(w, "int64")) for w in (start, step))
            atom = self.let(IndexValue(first + index[0] * by), "int64")
            self._memo[(v, index)] = self.convert(atom, dtype)
            return []
        missing: list[tuple[Variable, Index]] = [
            (w, ()) for w in (start, step) if (w, ()) not in self._memo
        ]
        if missing:
            return missing
        # NumPy fills with start + i * delta, where delta is fl(start + step) - start.
        a, b = (self.convert(self._memo[(w, ())], dtype) for w in (start, step))
        second = self.call("add", (a, b), dtype)
        delta = self.call("sub", (second, a), dtype)
        i = self.convert(self.let(IndexValue(index[0]), "int64"), dtype)
        self._memo[(v, index)] = self.call("add", (a, self.call("mul", (i, delta), dtype)), dtype)
        return []

    def _gather(self, node: Apply, v: Variable, index: Index) -> list[tuple[Variable, Index]]:
        """x[i, labels[i]] of Pick, or x[k[i], …] with negative entries counted from the end."""
        x, entries = node.inputs
        n = entries.type.ndim
        here = tuple(
            ZERO if b else i for b, i in zip(entries.type.broadcastable, index[:n], strict=True)
        )
        if (entries, here) not in self._memo:
            return [(entries, here)]
        self.reads.append((v, ()))  # waits for the check of the entries
        entry = self.convert(self._memo[(entries, here)], "int64")
        source: tuple[Variable, Index]
        if isinstance(node.op, Pick):
            row = ZERO if x.type.broadcastable[0] else index[0]
            source = (x, (row, _atom_poly(entry)))
        else:
            source = (x, (_atom_poly(self._from_the_front(entry, x)), *index[n:]))
        if source not in self._memo:
            return [source]
        self._memo[(v, index)] = self._memo[source]
        return []

    def _from_the_front(self, entry: Atom, x: Variable) -> Atom:
        length = self.length_atom(self.lengths.shape(x)[0])
        negative = self.call("lt", (entry, Number(0, "int64")), "bool")
        return self.call(
            "switch", (negative, self.call("add", (entry, length), "int64"), entry), "int64"
        )


def _atom_poly(atom: Atom) -> Poly:
    return Poly.const(atom.value) if isinstance(atom, Number) else Poly.name(atom.name)


def is_gather(node: Apply) -> bool:
    """Whether the node selects by an index array that compiled code can follow."""
    if isinstance(node.op, Pick):
        return True
    if not isinstance(node.op, AdvancedSubtensor) or not node.op.is_row_gather:
        return False
    x, entries = node.inputs
    return entries.type.dtype != "bool" and entries.type.ndim > 0 and not x.type.broadcastable[0]


def as_graph(length: Length) -> Any:
    return length if isinstance(length, int) else length.variable


def position_length(lengths: Lengths, entry: Variable, length: Length) -> Length:
    """An index counted from the front, as a host scalar: negative ones count from the end."""
    k = known_int(entry)
    if k is not None and k >= 0:
        return k
    n = as_graph(length)
    if k is not None:
        return lengths.length(n + k)
    wide = ar.cast(entry, "int64")
    return lengths.length(ar.switch(ar.lt(wide, np.int64(0)), wide + n, wide))
