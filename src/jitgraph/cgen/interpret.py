"""Running loop IR in Python, element by element and without a compiler.

A wrong number of a compiled function is in the graph's rewriting, in the lowering to loops, or
in the C text. `interpret` runs what the text is printed from: where it is right and the compiled
function is not, the emitter or csrc/ is to blame. Slow by design: every statement of the IR is
one branch here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.cgen.fuse import Cluster, Loop, Product, Routine
from jitgraph.cgen.ir import (
    Accumulate,
    AccumulateAt,
    Accumulator,
    Blocks,
    Buffer,
    Call,
    Comment,
    Cut,
    For,
    IndexValue,
    Init,
    Kernel,
    Let,
    Load,
    Many,
    Number,
    Poly,
    Ref,
    Store,
    walk,
)
from jitgraph.cgen.lower import start_value
from jitgraph.cgen.plan import Plan
from jitgraph.cgen.segment import Segment
from jitgraph.graph import Constant, Variable
from jitgraph.ops.elementwise import Elementwise, cast_array
from jitgraph.reference import evaluate
from jitgraph.steps import run_loop

Array = np.ndarray
_COMBINE = {
    "sum": np.add,
    "prod": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "any": np.logical_or,
    "all": np.logical_and,
}


class KernelRun:
    """One kernel at work: `memory` holds flat arrays by buffer name, `names` everything scalar."""

    def __init__(self, memory: dict[str, Array], names: Mapping[str, Any]):
        self.memory = memory
        self.names: dict[str, Any] = dict(names)

    def poly(self, p: Poly) -> int:
        total = 0
        for monomial, factor in p.terms:
            for name in monomial:
                factor *= int(self.names[name])
            total += factor
        return total

    def value(self, v: Any) -> Array:
        """The value of an atom or of what a Let computes, as a 0-d array of its dtype."""
        if isinstance(v, Number):
            return np.asarray(v.value, dtypes.NUMPY[v.dtype])
        if isinstance(v, Ref):
            return np.asarray(self.names[v.name], dtypes.NUMPY[v.dtype])
        if isinstance(v, Load):
            return self._cell(v.buffer, v.at).copy()
        if isinstance(v, IndexValue):
            return np.asarray(self.poly(v.value), np.int64)
        assert isinstance(v, Call)
        operands = [self.value(a) for a in v.operands]
        return cast_array(Elementwise(v.function.name).evaluate(*operands)[0], v.dtype)

    def _cell(self, buffer: Buffer, at: Poly) -> Array:
        """A 0-d view of one element; an address outside the buffer is an IndexError."""
        k = self.poly(at)
        if k < 0:
            raise IndexError(f"{buffer.name}[{k}]")
        return self.memory[buffer.name][k : k + 1].reshape(())

    def run(self, statements: Sequence[Any]) -> None:
        for s in statements:
            if isinstance(s, Let):
                self.names[s.name] = self.value(s.value)
            elif isinstance(s, Store):
                self._cell(s.buffer, s.at)[...] = self.value(s.value)
            elif isinstance(s, Init):
                self._start(s.acc)
            elif isinstance(s, Accumulate):
                self._accumulate(s)
            elif isinstance(s, AccumulateAt):
                cell = self._cell(s.buffer, s.at)
                cell[...] = _COMBINE[s.kind](cell, self.value(s.value))
            elif isinstance(s, For):
                self._loop(s.var, s.extent, s.body)
            elif isinstance(s, Many):
                self.names[s.name] = self.value(Call(s.function, s.operands, s.dtype))
            elif isinstance(s, Blocks):
                self._loop(s.var, s.extent, (*s.body, *s.folds))
            elif not isinstance(s, (Comment, Cut)):
                raise AssertionError(f"{type(s).__name__} is no statement")

    def _loop(self, var: str, extent: Poly, body: Sequence[Any]) -> None:
        for i in range(self.poly(extent)):
            self.names[var], self.innermost = i, var
            self.run(body)

    def _start(self, acc: Accumulator) -> None:
        self.names[acc.name] = self.value(start_value(acc.kind, acc.dtype))
        if acc.position:
            self.names[acc.position] = -1

    def _accumulated(self, s: Accumulate) -> Array:
        if s.source is None:
            return self.value(s.value)
        buffer, start = s.source
        return self._cell(buffer, start + Poly.name(self.innermost))

    def _accumulate(self, s: Accumulate) -> None:
        acc, value = s.acc, self._accumulated(s)
        best = self.names[acc.name]
        if not acc.position:
            self.names[acc.name] = _COMBINE[acc.kind](best, value).astype(acc.dtype)
        elif self.names[acc.position] < 0 or (
            best == best
            and (value != value or (value > best if acc.kind == "argmax" else value < best))
        ):
            self.names[acc.name], self.names[acc.position] = value, self.poly(s.position)


def run_kernel(kernel: Kernel, memory: dict[str, Array], names: Mapping[str, Any]) -> None:
    """The effect of a kernel on `memory`; a chunked one as a single chunk."""
    run = KernelRun(memory, names)
    for s in walk(kernel.body):
        for b, _ in getattr(s, "fills", ()):
            assert b.fill is not None
            state, *_ = (memory[operand.name] for _, operand in b.fill.operands)
            shape = np.array([run.poly(n) for n in b.dims])
            memory[b.name] = np.ravel(b.fill.node.op.evaluate(state, shape)[1])
    run.run(kernel.body)
    for acc, target, at in kernel.partials:
        result = np.asarray(run.names[acc.result.name])
        run._cell(target, at)[...] = cast_array(result, target.dtype)


def run_segment(segment: Segment, arguments: Sequence[Array]) -> list[Array]:
    """The outputs of a segment, without its run-time checks."""
    known: dict[Variable, Array] = dict(zip(segment.slots, arguments, strict=True))
    names: dict[str, Any] = {}
    for symbol in segment.lengths.symbols:
        names[symbol.name] = evaluate([symbol.variable], known)[0]
    run = KernelRun({}, names)
    shapes = {b.name: [run.poly(n) for n in b.dims] for b in segment.buffers.values()}
    memory = run.memory
    for v, a in known.items():
        memory[segment.buffers[v].name] = np.ravel(a)
    for buffer, constant in segment.constants:
        memory[buffer.name] = np.ravel(constant.data)
    for b in [*segment.buffers.values(), *_wide(segment)]:
        if b.name not in memory:
            memory[b.name] = np.zeros(int(np.prod([run.poly(n) for n in b.dims])), b.dtype)
    for number, item in enumerate(segment.items):
        if isinstance(item, Cluster):
            run_kernel(segment.kernels[number], memory, names)
        elif isinstance(item, Product):
            _multiply(segment, item, memory, shapes)
        elif isinstance(item, (Loop, Routine)):
            _call(segment, item, memory, shapes)
    results = [segment.buffers[v] for v in segment.outputs]
    return [memory[b.name].reshape(shapes[b.name]) for b in results]


def _wide(segment: Segment) -> list[Buffer]:
    """Memory for sums that are kept in a wider dtype than their result."""
    return [b for k in segment.kernels.values() for b in k.buffers if b.kind == "wide"]


def _call(
    segment: Segment,
    item: Loop | Routine,
    memory: dict[str, Array],
    shapes: dict[str, list[int]],
) -> None:
    """A loop around the interpreted body, or the NumPy form of a call."""
    known = {v: memory[b.name].reshape(shapes[b.name]) for v, b in segment.buffers.items()}
    for v in item.node.outputs:
        known.pop(v, None)
    op = item.node.op
    arrays = evaluate(item.node.inputs, known)
    if isinstance(item, Loop):
        body = item.body
        results = run_loop(op, lambda rows: run_segment(body, rows), arrays, op.blank_row)
    else:
        results = op.evaluate(*arrays)
    for v, a in zip(item.node.outputs, results, strict=True):
        if v in segment.buffers:
            memory[segment.buffers[v].name] = np.ravel(a)


def _multiply(
    segment: Segment, item: Product, memory: dict[str, Array], shapes: dict[str, list[int]]
) -> None:
    def operand(v: Variable, transposed: bool) -> Array:
        name = segment.buffers[v].name
        a = memory[name].reshape(shapes[name])
        return a.T if transposed else a

    a = operand(item.a, item.transpose_a)
    b = operand(item.b, item.transpose_b)
    rest = [
        np.asarray(v.data)
        if isinstance(v, Constant) and v not in segment.buffers
        else operand(v, False)
        for v in item.node.inputs[2:]
    ]
    (product,) = item.node.op.evaluate(a, b, *rest)
    memory[segment.buffers[item.node.outputs[0]].name][...] = product.ravel()


def interpret(plan: Plan, values: Sequence[Array]) -> list[Array]:
    """The outputs of a plan for the values of its inputs (the constants among them included)."""
    known: dict[Variable, Any] = dict(zip(plan.inputs, values, strict=True))

    def value(v: Variable) -> Any:
        return known[v] if v in known else v.data if isinstance(v, Constant) else known[v]

    for segment, steps in zip(plan.segments, plan.steps, strict=True):
        if segment is not None:
            results = run_segment(segment, [value(v) for v in segment.slots])
            known.update(zip(segment.outputs, results, strict=True))
        for node in steps:
            outputs = node.op.evaluate(*(value(v) for v in node.inputs))
            known.update(zip(node.outputs, outputs, strict=True))
    return [value(v) for v in plan.outputs]
