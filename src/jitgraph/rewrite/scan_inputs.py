"""What a loop is given and what it keeps: parts that are constant, equal, unused or trivial.

Every rewrite here is exact. A sequence that is not used is still given to the loop unless it is
provably long enough: the loop checks its length.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from jitgraph.canonical import LARGEST_WRITTEN
from jitgraph.graph import Apply, Constant, Variable, ancestors, rebuild
from jitgraph.ops.join import Join
from jitgraph.ops.scan import Trace, shapes_of, shapes_outside
from jitgraph.ops.shape import Alloc, dimshuffle, known_int
from jitgraph.ops.values import constant
from jitgraph.rewrite.engine import Rewriter
from jitgraph.rewrite.index import take
from jitgraph.rewrite.scan_loop import Kept, Loop, State, Sweep, Work, has_rows, like
from jitgraph.rewrite.scan_rules import CLEAN, EQUAL, INLINE
from jitgraph.rewrite.shapes import as_length, input_shape

# -- constants -----------------------------------------------------------------------------------


def move_constants(loop: Loop, work: Work) -> None:
    """Small constants, and rows of which all are equal, are written in the body."""
    replace: dict[Variable, Variable] = {}
    for f in list(loop.fixed):
        if isinstance(f.outer, Constant) and f.outer.data.size <= LARGEST_WRITTEN:
            replace[f.inner] = like(f.outer, f.inner)
            loop.fixed.remove(f)
    asks = work.asks()
    for q in list(loop.sequences):
        value = _equal_rows(q.outer)
        if value is not None and has_rows(q, loop.n_steps, asks):
            loop.sequences.remove(q)
            replace[q.inner] = like(_row_inside(loop, q.outer, value), q.inner)
    if replace:
        work.fired(CLEAN)
        loop.substitute(replace, work)


def _equal_rows(x: Variable) -> Variable | None:
    """What an alloc stretches along its first axis, so that all rows are the same."""
    if x.owner is None or not isinstance(x.owner.op, Alloc):
        return None
    value = x.owner.inputs[0]
    if value.type.ndim == x.type.ndim:
        return None
    return value


def _row_inside(loop: Loop, x: Variable, value: Variable) -> Variable:
    """The body's expression for a row of alloc(value, n, …)."""
    assert x.owner is not None
    small = isinstance(value, Constant) and value.data.size <= LARGEST_WRITTEN
    inner = value if small else loop.add_fixed(value)
    if x.type.ndim == 1:
        return inner
    lengths = [
        as_length(k) if (k := known_int(n)) is not None else loop.add_fixed(as_length(n))
        for n in x.owner.inputs[2:]
    ]
    return Alloc()(inner, *lengths)


# -- equal parts ---------------------------------------------------------------------------------


def merge_equal(loop: Loop, work: Work) -> None:
    """Sequences, non-sequences, states and maps that are the same, each once."""
    merge_inputs(loop, work)
    merge_states(loop, work)
    _merge_maps(loop, work)


def merge_inputs(loop: Loop, work: Work) -> None:
    """Equal sequences and equal non-sequences."""
    replace: dict[Variable, Variable] = {}
    first: dict[Hashable, Variable] = {}
    for q in list(loop.sequences):
        inner = first.setdefault((q.outer, q.rows), q.inner)
        if inner is not q.inner:
            replace[q.inner] = inner
            loop.sequences.remove(q)
    for f in list(loop.fixed):
        inner = first.setdefault(f.outer, f.inner)
        if inner is not f.inner:
            replace[f.inner] = inner
            loop.fixed.remove(f)
    if replace:
        work.fired(EQUAL)
        loop.substitute(replace, work)


def merge_states(loop: Loop, work: Work) -> None:
    """States that begin alike and go on alike.

    Two states are equal if their initial values are and if, supposing that all states of a class
    are equal, their next values are. The classes start as large as possible, by initial values,
    and are split by next values until nothing is split any more: the coarsest partition that
    proves itself by induction over the steps.
    """
    label: dict[State, Hashable] = {s: (s.initial, s.depth, s.value.type) for s in loop.states}
    if len(set(label.values())) == len(loop.states):
        return
    while True:
        first: dict[Hashable, State] = {}
        for s in loop.states:
            first.setdefault(label[s], s)
        if len(first) == len(loop.states):
            return
        replace = _lags_of_classes(loop.states, label, first)
        values = rebuild(loop.values(), replace, work.remake)
        finer: dict[State, Hashable] = {
            s: (label[s], v) for s, v in zip(loop.states, values, strict=False)
        }
        if len(set(finer.values())) == len(first):
            break
        label = finer
    work.fired(EQUAL)
    loop.set_values(values)
    for s in list(loop.states):
        if first[label[s]] is not s:
            _join_state(loop, s, first[label[s]])


def _lags_of_classes(
    states: Sequence[State], label: Mapping[State, Hashable], first: Mapping[Hashable, State]
) -> dict[Variable, Variable]:
    """For each lagged value, that of the first state of its class that has this lag."""
    known: dict[tuple[State, int], Variable] = {}
    replace: dict[Variable, Variable] = {}
    for s in states:
        for k, v in s.lags.items():
            chosen = known.setdefault((first[label[s]], k), v)
            if chosen is not v:
                replace[v] = chosen
    return replace


def _join_state(loop: Loop, s: State, same: State) -> None:
    for k, v in s.lags.items():
        same.lags.setdefault(k, v)
    same.old_finals += s.old_finals
    same.final_used |= s.final_used
    loop.states.remove(s)
    _hand_over(loop, s, same)


def _hand_over(loop: Loop, part: Kept, same: Kept) -> None:
    """Let the trace of `same` stand for that of `part`, which has the same value."""
    if part.trace == same.trace or not part.trace_used:
        same.old_traces += part.old_traces
        same.trace_used |= part.trace_used
    elif not same.trace_used:
        same.trace, same.trace_used = part.trace, True
        same.old_traces += part.old_traces
    else:
        loop.maps.append(Kept(same.value, part.trace, part.old_traces, True))


def _merge_maps(loop: Loop, work: Work) -> None:
    first: dict[Hashable, Kept] = {}
    for s in loop.states:
        first.setdefault((s.value, s.trace), s)
    for m in list(loop.maps):
        same = first.setdefault((m.value, m.trace), m)
        if same is not m:
            work.fired(EQUAL)
            loop.maps.remove(m)
            _hand_over(loop, m, same)


# -- states that are none --------------------------------------------------------------------------


def simplify_states(loop: Loop, work: Work) -> bool:
    """States that never change become non-sequences; values that are not fed back, maps."""
    changed = False
    for s in list(loop.states):
        if s.depth == 1 and s.value is s.lags[1] and not (s.trace_used and loop.old_steps):
            _fix_state(loop, s, work)
            changed = True
    needed = set(ancestors(loop.values()))
    for s in list(loop.states):
        if not s.final_used and s.trace_used and needed.isdisjoint(s.lags.values()):
            loop.states.remove(s)
            loop.maps.append(Kept(s.value, s.trace, s.old_traces, True))
            changed = True
        elif len(s.lags) > 1:
            s.lags = {k: v for k, v in s.lags.items() if v in needed or k == s.depth}
    if changed:
        work.fired(CLEAN)
    return changed


def _fix_state(loop: Loop, s: State, work: Work) -> None:
    """x[s] = x[s - 1] = initial[0]."""
    row = take(s.initial, [constant(np.int64(0))])
    inner = loop.add_fixed(like(row, s.lags[1]))
    loop.drop(s, lambda: repeated(row, s.trace, loop.n_steps))
    s.make_final = lambda: take(s.initial, [slice(None, constant(np.int64(1)))])
    loop.substitute({s.lags[1]: inner}, work)


def repeated(row: Variable, trace: Trace, n_steps: Variable) -> Variable:
    """alloc(row, number of rows, lengths of the row)."""
    from jitgraph.ops.arithmetic import minimum

    n = as_length(n_steps)
    if trace.keep is not None:
        n = minimum(n, np.int64(trace.keep))
    shape = input_shape(row)
    assert shape is not None
    return Alloc()(row, n, *map(as_length, shape))


# -- parts that nobody uses ------------------------------------------------------------------------


def prune(outputs: Sequence[Variable], work: Work) -> list[Variable]:
    """Without the states, maps and inputs of loops that no output depends on.

    What is needed is found from the outputs backwards, through all loops at once; a state is
    needed if something is that reads one of its lags.
    """
    sweep = Sweep(outputs, work)
    scans = set(sweep.scans)
    if not scans:
        return list(outputs)
    asks = work.asks()
    needed = set(outputs)
    wanted: dict[Apply, Loop] = {}
    for node in reversed(sweep.order):
        if needed.isdisjoint(node.outputs):
            continue
        if node in scans:
            loop = Loop.of(node, node.inputs, needed.__contains__)
            if _prune_loop(loop, asks):
                work.fired(CLEAN)
                wanted[node] = loop
            outer = [*(q.outer for q in loop.sequences), *(s.initial for s in loop.states)]
            needed.update((loop.n_steps, *outer, *(f.outer for f in loop.fixed)))
        else:
            needed.update(node.inputs)

    def visit(node: Apply, inputs: list[Variable], sweep: Sweep) -> dict[Variable, Variable] | None:
        loop = wanted.get(node)
        if loop is None:
            return None
        loop.n_steps = sweep.new_of(loop.n_steps)
        for q in loop.sequences:
            q.outer = sweep.new_of(q.outer)
        for s in loop.states:
            s.initial = sweep.new_of(s.initial)
        for f in loop.fixed:
            f.outer = sweep.new_of(f.outer)
        found = loop.build()
        return {v: found.get(v, v) for v in node.outputs}

    return sweep.run(visit) if wanted else list(outputs)


def _prune_loop(loop: Loop, asks: Rewriter) -> bool:
    """Drop what is not needed; whether there was anything."""
    needed = _needed_inside(loop)
    drop = [s for s in loop.states if not _is_needed(s, needed)]
    unused_maps = [m for m in loop.maps if not m.trace_used]
    for s in drop:
        loop.states.remove(s)
    for m in unused_maps:
        loop.maps.remove(m)
    sequences = [
        q for q in loop.sequences if q.inner in needed or not has_rows(q, loop.n_steps, asks)
    ]
    fixed = [f for f in loop.fixed if f.inner in needed]
    fewer = len(sequences) < len(loop.sequences) or len(fixed) < len(loop.fixed)
    loop.sequences, loop.fixed = sequences, fixed
    return bool(drop or unused_maps or fewer)


def _is_needed(s: State, needed: set[Variable]) -> bool:
    return s.trace_used or s.final_used or not needed.isdisjoint(s.lags.values())


def _needed_inside(loop: Loop) -> set[Variable]:
    """The variables of the body that something used depends on, through any number of steps."""
    roots = [] if loop.condition is None else [loop.condition]
    roots += [m.value for m in loop.maps if m.trace_used]
    roots += [s.value for s in loop.states if s.trace_used or s.final_used]
    needed = set(ancestors(roots))
    pending = [s for s in loop.states if not (s.trace_used or s.final_used)]
    while True:
        more = [s for s in pending if not needed.isdisjoint(s.lags.values())]
        if not more:
            return needed
        pending = [s for s in pending if s not in more]
        needed.update(ancestors([s.value for s in more], stop=needed))


# -- no loop at all --------------------------------------------------------------------------------


def inline(loop: Loop, work: Work) -> dict[Variable, Variable] | None:
    """The outputs of a loop whose number of steps is known to be 0 or 1, without a loop."""
    n = known_int(loop.n_steps)
    if n not in (0, 1):
        return None
    result = _one_step(loop) if n == 1 else _no_step(loop)
    if result is not None:
        result.update((v, as_length(n)) for v in loop.old_steps)
        work.fired(INLINE)
    return result


def _one_step(loop: Loop) -> dict[Variable, Variable]:
    """A sequence that is too short is still an error, now of the index that takes its row."""
    replace: dict[Variable, Variable] = {f.inner: f.outer for f in loop.fixed}
    for q in loop.sequences:
        replace[q.inner] = like(take(q.outer, [constant(np.int64(q.rows.offset))]), q.inner)
    for s in loop.states:
        for k, v in s.lags.items():
            replace[v] = like(take(s.initial, [constant(np.int64(s.depth - k))]), v)
    values = rebuild(loop.values(), replace)
    new: dict[Variable, Variable] = {}
    for part, value in zip(loop.kept, values, strict=False):
        row = dimshuffle(value, ["x", *range(value.type.ndim)])
        new.update((v, like(row, v)) for v in part.old_traces)
        if isinstance(part, State) and part.final_used:
            old = take(part.initial, [slice(constant(np.int64(1)), constant(np.int64(part.depth)))])
            window = row if part.depth == 1 else Join(0)(old, row)
            new.update((v, like(window, v)) for v in part.old_finals)
    return new


def _no_step(loop: Loop) -> dict[Variable, Variable] | None:
    rows = row_lengths(loop, [part.value for part in loop.kept])
    if rows is None:
        return None
    new: dict[Variable, Variable] = {}
    for part, shape in zip(loop.kept, rows, strict=True):
        dtype = part.value.type.dtype
        if part.trace_used:
            empty = Alloc()(constant(np.zeros((), dtype)), as_length(0), *map(as_length, shape))
            new.update((v, like(empty, v)) for v in part.old_traces)
        if isinstance(part, State) and part.final_used:
            window = take(part.initial, [slice(None, constant(np.int64(part.depth)))])
            new.update((v, like(window, v)) for v in part.old_finals)
    return new


def row_lengths(loop: Loop, values: Sequence[Variable]) -> list[tuple[object, ...]] | None:
    """The shapes of values of one step, in terms of the outer graph; None if not known."""
    known: dict[Variable, tuple[object, ...]] = {}
    outside: dict[Variable, Variable] = {f.inner: f.outer for f in loop.fixed}
    for q in loop.sequences:
        known[q.inner] = (input_shape(q.outer) or ())[1:]
    for s in loop.states:
        known.update((v, (input_shape(s.initial) or ())[1:]) for v in s.lags.values())
    known.update((f.inner, input_shape(f.outer) or ()) for f in loop.fixed)
    found = shapes_of(values, known)
    return None if found is None else shapes_outside(found, known, outside)
