"""Loops that take the same steps over the same values become one loop.

A gradient is built on a copy of the forward loop with more maps; together with the loop of the cost
it is one loop again, because states that begin and go on alike are one.
"""

from __future__ import annotations

from collections.abc import Sequence

from jitgraph.graph import Apply, Variable, rebuild
from jitgraph.ops.scan import Scan
from jitgraph.rewrite.scan_inputs import merge_equal
from jitgraph.rewrite.scan_loop import Fixed, Kept, Loop, Sequenced, State, Sweep, Work
from jitgraph.rewrite.scan_rules import MERGE


def merge_loops(outputs: Sequence[Variable], work: Work) -> list[Variable]:
    """Merge pairs of loops until none is left that could be."""
    current = list(outputs)
    while True:
        sweep = Sweep(current, work)
        replace = _one_merge(sweep, work)
        if replace is None:
            return current
        work.fired(MERGE)
        current = rebuild(current, replace, work.remake)


def _one_merge(sweep: Sweep, work: Work) -> dict[Variable, Variable] | None:
    """The replacements of the first pair that can be merged."""
    scans = sweep.scans
    if len(scans) < 2:
        return None
    depends = _dependencies(sweep)
    given = [_given(node) for node in scans]
    for j, second in enumerate(scans):
        for i, first in enumerate(scans[:j]):
            if first.inputs[0] is not second.inputs[0] or first.op.until != second.op.until:
                continue
            if given[i].isdisjoint(given[j]) or depends[j] >> i & 1 or depends[i] >> j & 1:
                continue
            a, b = (Loop.of(node, node.inputs, sweep.used) for node in (first, second))
            merged = _united(a, b, work)
            if merged is not None:
                return merged.build()
    return None


def _given(node: Apply) -> set[tuple[Variable, object]]:
    """The sequences of a loop, and what its states begin with: loops that share one are merged."""
    _, sequences, initials, _ = node.op.outer(node.inputs)
    return {*zip(sequences, node.op.sequences, strict=True)} | {
        *zip(initials, node.op.depths, strict=True)
    }


def _dependencies(sweep: Sweep) -> list[int]:
    """For each scan, which others it depends on, as bits."""
    mine: dict[Variable, int] = {}
    result: list[int] = []
    for node in sweep.order:
        bits = 0
        for v in node.inputs:
            bits |= mine.get(v, 0)
        if isinstance(node.op, Scan):
            result.append(bits)
            bits |= 1 << (len(result) - 1)
        mine.update((v, bits) for v in node.outputs)
    return result


def _united(a: Loop, b: Loop, work: Work) -> Loop | None:
    """Both in one loop; None if they do not end by the same condition."""
    inner = {v: v.clone() for v in b.inputs()}
    values = iter(rebuild(b.values(), inner, work.remake))
    a.sequences += [Sequenced(q.outer, q.rows, inner[q.inner]) for q in b.sequences]
    a.fixed += [Fixed(f.outer, inner[f.inner]) for f in b.fixed]
    a.states += [_moved_state(s, next(values), inner) for s in b.states]
    a.maps += [Kept(next(values), m.trace, m.old_traces, m.trace_used) for m in b.maps]
    a.nodes += b.nodes
    a.old_steps += b.old_steps
    if a.condition is None:
        merge_equal(a, work)
        return a
    return a if _same_condition(a, next(values), work) else None


def _moved_state(s: State, value: Variable, inner: dict[Variable, Variable]) -> State:
    return State(
        value,
        s.trace,
        s.old_traces,
        s.trace_used,
        initial=s.initial,
        lags={k: inner[v] for k, v in s.lags.items()},
        depth=s.depth,
        old_finals=s.old_finals,
        final_used=s.final_used,
    )


def _same_condition(loop: Loop, other: Variable, work: Work) -> bool:
    """Whether the loop's condition and `other` are the same once equal parts are one."""
    witness = Kept(other, loop.maps[0].trace if loop.maps else loop.states[0].trace)
    loop.maps.append(witness)
    merge_equal(loop, work)
    if witness.value is not loop.condition:
        return False
    if witness in loop.maps:
        loop.maps.remove(witness)
    return True
