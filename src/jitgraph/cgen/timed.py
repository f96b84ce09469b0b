"""The same C with a clock: how long each group of items takes, and how many bytes it moves.

Behind the lengths of the outputs, `info` receives the clock at the first item and then, for each
group, the clock after it and the bytes of the arrays it reads and writes. An array counts once for
reading and once for writing, whole, whatever part of it a loop needs.
"""

from __future__ import annotations

from collections.abc import Iterable

from jitgraph import dtypes
from jitgraph.cgen.entry import EntryEmitter
from jitgraph.cgen.fuse import Cluster, LabelCheck, Product, Routine
from jitgraph.cgen.ir import (
    ONE,
    Accumulate,
    AccumulateAt,
    Buffer,
    Kernel,
    Let,
    Load,
    Poly,
    Store,
    poly_text,
    walk,
)
from jitgraph.cgen.library import emit_library
from jitgraph.cgen.plan import Plan
from jitgraph.cgen.segment import Segment
from jitgraph.cgen.sweep import Group
from jitgraph.graph import Variable


def first_mark(segment: Segment) -> int:
    """The place in `info` of the clock at the first item."""
    return 5 + sum(v.type.ndim for v in segment.outputs)


def marks(segment: Segment) -> int:
    """How many places are used from there on."""
    return 1 + 2 * len(segment.groups)


def timed_source(plan: Plan) -> str:
    """The C of a plan with a clock in its own entries, not in those of bodies within."""
    own = {id(s) for s in plan.segments if s is not None}

    def emitter(segment: Segment, number: int) -> EntryEmitter:
        return (TimedEmitter if id(segment) in own else EntryEmitter)(segment, number)

    return emit_library(plan.all_segments(), emitter)


class TimedEmitter(EntryEmitter):
    """Writes entries that note the time around every group of items."""

    def items(self) -> None:
        self.headers.add("jg_clock.h")
        at = first_mark(self.segment)
        self.out(f"info[{at}] = jg_clock();")
        for number, group in enumerate(self.segment.groups):
            self.group(group)
            self.out(f"info[{at + 2 * number + 1}] = jg_clock();")
            self.out(f"info[{at + 2 * number + 2}] = {self._bytes(group)};")

    def _bytes(self, group: Group) -> str:
        moved = [b for number in group for b in self._moved(number)]
        if len(group) > 1:  # what one hands to the other, and what they share, is moved once
            moved = list({b.name: b for b in moved}.values())
        total = Poly()
        for b in moved:
            size = ONE
            for n in b.dims:
                size = size * n
            total = total + size.scaled(dtypes.NUMPY[b.dtype].itemsize)
        return poly_text(total)

    def _moved(self, number: int) -> list[Buffer]:
        item = self.segment.items[number]
        if isinstance(item, Cluster):
            return traffic(self.segment.kernels[number])
        if isinstance(item, Product):
            return self._buffers([item.a, item.b, *item.node.inputs[4:], item.node.outputs[0]])
        if isinstance(item, Routine):
            return self._buffers([*item.node.inputs, *item.node.outputs])
        if isinstance(item, LabelCheck):
            return self._buffers([item.labels])
        return []  # loops within: not known from outside

    def _buffers(self, variables: Iterable[Variable]) -> list[Buffer]:
        found = self.segment.buffers
        return [found[v] for v in variables if v in found]


def traffic(kernel: Kernel) -> list[Buffer]:
    """The arrays that a loop reads, and those that it writes; one that it does both to is twice."""
    reads: dict[str, Buffer] = {}
    writes: dict[str, Buffer] = {b.name: b for _, b, _ in kernel.partials}
    for s in walk(kernel.body):
        if isinstance(s, Let) and isinstance(s.value, Load):
            reads[s.value.buffer.name] = s.value.buffer
        elif isinstance(s, Accumulate) and s.source is not None:
            reads.setdefault(s.source[0].name, s.source[0])
        elif isinstance(s, (Store, AccumulateAt)):
            writes[s.buffer.name] = s.buffer
            if isinstance(s, AccumulateAt):
                reads[s.buffer.name] = s.buffer
    # What the loop folds of its own results is in the cache.
    stored = {s.buffer.name for s in walk(kernel.body) if isinstance(s, Store)}
    folded = {s.source[0].name for s in walk(kernel.body) if isinstance(s, Accumulate) and s.source}
    loaded = {
        s.value.buffer.name
        for s in walk(kernel.body)
        if isinstance(s, Let) and isinstance(s.value, Load)
    }
    for name in (folded & stored) - loaded:
        reads.pop(name, None)
    private = ("row", "wide", "const", "partial")
    return [b for b in [*reads.values(), *writes.values()] if b.kind not in private]
