"""Only as many rows of a trace are kept as are read.

A loop whose trace is read by x[-1], x[-k] or x[-k:] alone (k known) keeps the last rows. The index
stays as it is, and so do its errors when there are fewer rows.
"""

from __future__ import annotations

from collections.abc import Sequence

from jitgraph.graph import Apply, Variable
from jitgraph.ops.index import Subtensor
from jitgraph.ops.scan import Trace
from jitgraph.ops.shape import ShapeI, known_int
from jitgraph.rewrite.scan_loop import (
    Kept,
    Loop,
    Making,
    State,
    Sweep,
    Work,
    cuts_at,
    first_entry,
    like,
)
from jitgraph.rewrite.scan_rules import SAVE


def save_memory(loop: Loop, work: Work, sweep: Sweep) -> None:
    """Keep fewer rows, or, of a state that takes at least one step, the final window alone."""
    steps = known_int(loop.n_steps) or 0
    for part in loop.kept:
        if not part.trace_used:
            continue
        k = _rows_read(part, loop, sweep)
        if k is None:
            continue
        if isinstance(part, State) and k <= min(part.depth, steps) and _reads_end(part):
            _read_final(part, loop, sweep)
            work.fired(SAVE)
        elif not loop.old_steps and (part.trace.keep is None or part.trace.keep > k):
            part.trace = Trace(k, part.trace.reversed)
            work.fired(SAVE)


def _reads_end(part: State) -> bool:
    return not part.trace.reversed and part.trace.keep is None


def _readers(part: Kept, loop: Loop, sweep: Sweep) -> list[Apply] | None:
    """The nodes that index the trace; None if it is read in any other way."""
    found: list[Apply] = []
    pending = list(part.old_traces)
    while pending:
        trace = pending.pop()
        if trace in sweep.roots:
            return None
        for node in sweep.users.get(trace, []):
            if isinstance(node.op, ShapeI) and node.op.i > 0:
                continue
            if not isinstance(node.op, Subtensor) or trace in node.inputs[1:]:
                return None
            if loop.old_steps and trace in part.old_traces:
                if not any(cuts_at(node, n) for n in loop.old_steps):
                    return None
                if len(node.op.pattern) > 1:
                    return None
                pending.append(node.outputs[0])
            else:
                found.append(node)
    return found


def _rows_read(part: Kept, loop: Loop, sweep: Sweep) -> int | None:
    """How many rows at the end of the trace (of a reversed one, at its beginning) are read."""
    readers = _readers(part, loop, sweep)
    if not readers:
        return None
    counts = [_count(first_entry(node), part.trace.reversed) for node in readers]
    return None if None in counts else max(c for c in counts if c is not None)


def _count(entry: object, backwards: bool) -> int | None:
    if not isinstance(entry, slice):
        i = known_int(entry)
        if i is None:
            return None
        return (i + 1 if i >= 0 else None) if backwards else (-i if i < 0 else None)
    if entry.step is not None:
        return None
    bound, other = (entry.stop, entry.start) if backwards else (entry.start, entry.stop)
    b = known_int(bound) if bound is not None else None
    if b is None or not (other is None or (backwards and known_int(other) == 0)):
        return None
    b = b if backwards else -b
    return b if b > 0 else None


def _read_final(part: State, loop: Loop, sweep: Sweep) -> None:
    """Let the readers take the same rows from the end of the final window."""
    readers = _readers(part, loop, sweep)
    assert readers is not None
    for node in readers:
        (out,) = node.outputs
        indices = node.inputs[1:]
        sweep.later[out] = _index_of_final(part, node, indices, sweep)
    part.trace_used = False
    part.final_used = True


def _index_of_final(part: State, node: Apply, indices: Sequence[Variable], sweep: Sweep) -> Making:
    def make() -> Variable:
        return like(node.op(part.final(), *map(sweep.new_of, indices)), node.outputs[0])

    return make
