"""Work that need not be done step by step leaves the loop: before it, after it, once for all.

A product over a whole sequence is one product of matrices instead of many small ones, and a
function of a sequence is computed in one long loop. Products and sums over steps are associated
differently then, so results may differ in the last bits; everything else here is exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jitgraph.graph import Apply, Constant, Variable, ancestors, toposort
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import Subtensor
from jitgraph.ops.linalg import Dot
from jitgraph.ops.scan import Rows, Trace
from jitgraph.ops.shape import (
    Alloc,
    DimShuffle,
    MakeVector,
    Rebroadcast,
    Reshape,
    Shape,
    ShapeI,
)
from jitgraph.ops.values import constant
from jitgraph.rewrite.index import take
from jitgraph.rewrite.scan_inputs import repeated
from jitgraph.rewrite.scan_lift import Lift, Outside, Source
from jitgraph.rewrite.scan_loop import (
    Kept,
    Loop,
    Sequenced,
    Sweep,
    Work,
    cuts_at,
    has_rows,
    like,
)
from jitgraph.rewrite.scan_rules import PUSH_FIXED, PUSH_RESULTS, PUSH_ROWS
from jitgraph.rewrite.shapes import as_length

# Views, and stretched values that need no memory: as cheap inside as outside.
_FREE = (DimShuffle, Reshape, Rebroadcast, Subtensor, Alloc, Shape, ShapeI, MakeVector)


def is_dear(node: Apply) -> bool:
    """A product of matrices, or a function with code of its own (exp, tanh, …)."""
    if isinstance(node.op, Elementwise):
        return node.op.scalar.is_vector_function
    return isinstance(node.op, Dot)


# -- the same at every step ------------------------------------------------------------------------


def push_fixed(loop: Loop, work: Work) -> None:
    """What the body computes from non-sequences alone is computed before the loop."""
    outside = Outside(loop)
    replace: dict[Variable, Variable] = {}
    for v in _fixed_frontier(loop, outside):
        replace[v] = loop.add_fixed(like(outside[v], v), v.name)
    if replace:
        work.fired(PUSH_FIXED)
        loop.substitute(replace, work)


def _fixed_frontier(loop: Loop, outside: Outside) -> list[Variable]:
    """The results worth computing outside that something else in the body reads.

    Free views are left in the body, and so are lengths: there they tell which are equal.
    """
    found: dict[Variable, None] = {}
    pending = [v for v in loop.values() if outside.has(v)]
    for node in toposort(loop.values()):
        if not outside.has(node.outputs[0]):
            pending += [v for v in node.inputs if outside.has(v)]
    seen: set[Variable] = set()
    while pending:
        v = pending.pop()
        if v in seen or v.owner is None:
            continue
        seen.add(v)
        if _stays_inside(v):
            pending.extend(v.owner.inputs)
        else:
            found.setdefault(v)
    return list(found)


def _stays_inside(v: Variable) -> bool:
    assert v.owner is not None
    if isinstance(v.owner.op, _FREE):
        return True
    is_length = v.type.ndim == 0 and v.type.dtype == "int64" and isinstance(v.owner.op, Elementwise)
    return is_length or not any(not isinstance(w, Constant) for w in ancestors([v]) if not w.owner)


# -- before the loop -------------------------------------------------------------------------------


def row_source(loop: Loop, q: Sequenced, trace: Trace = Trace()) -> Source:  # noqa: B008
    """The rows of a sequence that the loop reads, of the last `trace.keep` steps if that is set."""
    first, n = q.rows.offset, as_length(loop.n_steps)

    def make() -> Variable:
        start = constant(np.int64(first))
        x = take(q.outer, [slice(start, n + start if first else n)])
        if trace.keep is None:
            return x
        k = constant(np.int64(trace.keep))
        return take(x, [slice(None, k) if trace.reversed else slice(-k, None)])

    return make


def push_rows(loop: Loop, work: Work) -> None:
    """Products with fixed matrices, and dear functions, of rows of sequences: before the loop."""
    for backwards in (False, True):
        _push_rows_of(loop, backwards, work)


def _push_rows_of(loop: Loop, backwards: bool, work: Work) -> None:
    sources = {q.inner: row_source(loop, q) for q in loop.sequences if q.rows.reversed is backwards}
    if not sources:
        return
    lift = Lift(Outside(loop), sources)
    chosen = _row_frontier(loop, lift)
    replace: dict[Variable, Variable] = {}
    for v in chosen:
        # Named as a row that it is made of: messages about its length are about that sequence.
        inner = v.type.make_variable(v.name or lift.reads(v)[0].name)
        replace[v] = inner
        loop.sequences.append(Sequenced(lift.array(v), Rows(0, backwards), inner))
    if replace:
        work.fired(PUSH_ROWS)
        loop.substitute(replace, work)


def _row_frontier(loop: Loop, lift: Lift) -> list[Variable]:
    """The largest values that can be computed before the loop and contain something dear.

    Cheap arithmetic of one such value with what is fixed stays inside: there it needs no memory.
    """
    order = toposort(loop.values())
    dear = {
        v for node in order if is_dear(node) for v in node.outputs if lift.moves(v) and lift.can(v)
    }
    for node in order:
        if not dear.isdisjoint(node.inputs):
            dear.update(v for v in node.outputs if lift.can(v))
    pending = [v for v in loop.values() if v in dear]
    for node in order:
        if not any(v in dear for v in node.outputs):
            pending += [v for v in node.inputs if v in dear]
    found: dict[Variable, None] = {}
    while pending:
        v = pending.pop()
        assert v.owner is not None
        moving = [i for i in v.owner.inputs if lift.moves(i)]
        cheap = not is_dear(v.owner) and not _shrinks(v.owner)
        if cheap and len(moving) == 1 and moving[0] in dear:
            pending.append(moving[0])
        else:
            found.setdefault(v)
    return list(found)


def _shrinks(node: Apply) -> bool:
    return not isinstance(node.op, (Elementwise, *_FREE)) or isinstance(node.op, Subtensor)


# -- after the loop --------------------------------------------------------------------------------


@dataclass
class Results:
    """Which maps can be computed after the loop, from what else is kept or was given."""

    loop: Loop
    outside: Outside
    needed: set[Apply]  # what the body computes for states and the condition

    def refused(self, node: Apply) -> bool:
        """Dear work that the loop does anyway is not done again."""
        return node in self.needed and is_dear(node)

    def lift(self, m: Kept, given: list[Kept]) -> Lift:
        """The arrays with a row for each row of the trace of `m`."""
        loop, trace = self.loop, m.trace
        sources: dict[Variable, Source] = {
            q.inner: row_source(loop, q, trace)
            for q in loop.sequences
            if q.rows.reversed is trace.reversed and not (loop.old_steps and trace.keep is not None)
        }
        for part in given:
            if part is not m and self._lends(part, trace):
                sources.setdefault(part.value, _lender(part, trace))
        return Lift(self.outside, sources, self.refused)

    @staticmethod
    def _lends(part: Kept, trace: Trace) -> bool:
        return not part.trace_used or part.trace == trace


def _lender(part: Kept, trace: Trace) -> Source:
    def make() -> Variable:
        part.trace, part.trace_used = trace, True
        return part.outside()

    return make


def push_results(loop: Loop, work: Work, sweep: Sweep) -> None:
    """Maps that only read what is kept anyway, or multiply it by a fixed matrix: after the loop."""
    core = [s.value for s in loop.states]
    core += [] if loop.condition is None else [loop.condition]
    results = Results(loop, Outside(loop), set(toposort(core)))
    asks = work.asks()
    checked = bool(loop.states) or all(has_rows(q, loop.n_steps, asks) for q in loop.sequences)
    if not checked:
        return
    kept: list[Kept] = []
    for m in [m for m in loop.maps if m.trace_used]:
        if not _push_map(loop, m, results, [*loop.states], work, sweep):
            kept.append(m)
    for m in kept:
        _push_map(loop, m, results, [*loop.states, *kept], work, sweep)


def _push_map(
    loop: Loop, m: Kept, results: Results, given: list[Kept], work: Work, sweep: Sweep
) -> bool:
    """Whether `m` could be dropped from the loop."""
    if m.value.owner in results.needed or (loop.old_steps and not reads_done_rows(m, loop, sweep)):
        return False
    lift = results.lift(m, given)
    if results.outside.has(m.value):
        row = results.outside[m.value]
        loop.drop(m, lambda: repeated(row, m.trace, loop.n_steps))
        work.fired(PUSH_RESULTS)
        return True
    if not lift.can(m.value) or (m.value in lift.sources and m.value.owner is not None):
        return False
    if not _worth_it(m, given, lift):
        return False
    for part in given:
        if part.value in lift.reads(m.value) and not part.trace_used:
            part.trace, part.trace_used = m.trace, True
    loop.drop(m, lambda: lift.array(m.value))
    work.fired(PUSH_RESULTS)
    return True


def _worth_it(m: Kept, given: list[Kept], lift: Lift) -> bool:
    """A value is kept for this alone only if a product of matrices is done after the loop."""
    read = set(lift.reads(m.value))
    new = [part for part in given if part.value in read and not part.trace_used]
    if not new:
        return True
    if len(new) > 1:
        return False
    return any(isinstance(node.op, Dot) for node in toposort([m.value], stop=read))


def reads_done_rows(part: Kept, loop: Loop, sweep: Sweep) -> bool:
    """Whether everybody reads only the rows of steps that were done: trace[:steps]."""
    for trace in part.old_traces:
        if trace in sweep.roots:
            return False
        for node in sweep.users.get(trace, []):
            if not isinstance(node.op, Subtensor) or node.inputs[0] is not trace:
                return False
            if not any(cuts_at(node, steps) for steps in loop.old_steps):
                return False
    return True


def each_loop(
    outputs: list[Variable], work: Work, change: Callable[[Loop, Sweep], None]
) -> list[Variable]:
    """Every loop rebuilt after `change`; a loop that stays as it is is kept."""

    def visit(node: Apply, inputs: list[Variable], sweep: Sweep) -> dict[Variable, Variable] | None:
        loop = Loop.of(node, inputs, sweep.used)
        before = len(work.log)
        change(loop, sweep)
        if len(work.log) == before:
            return None
        found = loop.build()
        return {v: found.get(v, v) for v in node.outputs}

    return Sweep(outputs, work).run(visit)
