"""A scan as a record that rewrites can take apart, and the walk that puts changed ones in place.

A `Scan` node keeps its parts by position; a `Loop` keeps every state, map, sequence and
non-sequence as a record of its own, which knows the variables of the body that stand for it and
the variables outside that it replaces. Rewrites change the records; `Loop.build` makes a node of
them again and answers what the old variables have become.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from jitgraph.graph import Apply, Variable, rebuild, toposort
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.scan import Body, Rows, Scan, Trace
from jitgraph.ops.shape import known_int, restrict_pattern
from jitgraph.rewrite.engine import Rewriter, RuleSet, Settled, Table, merge_origins, reapply
from jitgraph.rewrite.index import entries_of
from jitgraph.rewrite.scan_rules import LoopRule

Making = Callable[[], Variable]


@dataclass(eq=False)
class Work:
    """What the rewrites of one compilation share: the rules that are on, the table, the log."""

    chosen: Collection[LoopRule]
    table: Table
    settled: Settled
    log: list[str]
    lengths: RuleSet  # what is needed to prove that lengths are equal

    def asks(self) -> Rewriter:
        """A walk that answers questions about lengths in normal form."""
        walk = Rewriter((self.lengths,), self.table, settled=self.settled)
        walk.run(())
        return walk

    def remake(self, node: Apply, inputs: list[Variable]) -> Sequence[Variable]:
        """The node on other inputs of the same types; equal nodes are one."""
        return self.table.node(node, inputs).outputs

    def fired(self, rule: LoopRule) -> None:
        self.log.append(rule.name)


@dataclass(eq=False)
class Sequenced:
    """An outer array of which the body sees one row a step."""

    outer: Variable
    rows: Rows
    inner: Variable


@dataclass(eq=False)
class Kept:
    """A value of the body whose trace may be kept; `old_traces` is what it stands for outside."""

    value: Variable
    trace: Trace
    old_traces: list[Variable] = field(default_factory=list)
    trace_used: bool = False
    # The trace outside: what `make_trace` makes, else an output of the loop that was built.
    make_trace: Making | None = None
    _trace: Variable | None = None

    def outside(self) -> Variable:
        if self._trace is None:
            assert self.make_trace is not None, "the loop has not been built"
            self._trace = self.make_trace()
        return self._trace


@dataclass(eq=False)
class State(Kept):
    """A value that is fed back: `lags` holds the variables of the body for x[s - k]."""

    initial: Variable = field(kw_only=True)
    lags: dict[int, Variable] = field(kw_only=True)
    depth: int = field(kw_only=True)
    old_finals: list[Variable] = field(default_factory=list)
    final_used: bool = False
    make_final: Making | None = None
    _final: Variable | None = None

    def final(self) -> Variable:
        if self._final is None:
            assert self.make_final is not None, "the loop has not been built"
            self._final = self.make_final()
        return self._final


@dataclass(eq=False)
class Fixed:
    """A non-sequence."""

    outer: Variable
    inner: Variable


@dataclass(eq=False)
class Loop:
    """The parts of one scan, in lists that rewrites change."""

    op: Scan
    n_steps: Variable
    sequences: list[Sequenced]
    states: list[State]
    maps: list[Kept]
    fixed: list[Fixed]
    condition: Variable | None
    old_steps: list[Variable]
    nodes: list[Apply]  # where it came from
    gone: list[Kept] = field(default_factory=list)  # parts that are no longer computed by the loop
    steps: Variable | None = None  # the number of steps done, once it is built

    @classmethod
    def of(cls, node: Apply, inputs: Sequence[Variable], used: Callable[[Variable], bool]) -> Loop:
        """The parts of `node` on `inputs`; `used`: whether anybody reads an output."""
        op = node.op
        n_steps, sequences, initials, fixed = op.outer(inputs)
        rows, windows, inner_fixed = op.inner()
        traces, map_traces, finals, steps = op.results(node.outputs)
        s, m, values = op.n_states, op.n_maps, op.body.outputs
        states = [
            State(
                values[k],
                op.traces[k],
                [traces[k]],
                used(traces[k]),
                initial=initials[k],
                lags=dict(zip(op.lags[k], windows[k], strict=True)),
                depth=op.depths[k],
                old_finals=[finals[k]],
                final_used=used(finals[k]),
            )
            for k in range(s)
        ]
        maps = [
            Kept(values[k], op.traces[k], [map_traces[k - s]], used(map_traces[k - s]))
            for k in range(s, s + m)
        ]
        return cls(
            op,
            n_steps,
            [Sequenced(*parts) for parts in zip(sequences, op.sequences, rows, strict=True)],
            states,
            maps,
            [Fixed(*parts) for parts in zip(fixed, inner_fixed, strict=True)],
            values[-1] if op.until else None,
            [steps] if steps is not None else [],
            [node],
        )

    # -- the body --

    @property
    def kept(self) -> list[Kept]:
        return [*self.states, *self.maps]

    def values(self) -> list[Variable]:
        """What the body computes: states, maps, the condition."""
        last = [] if self.condition is None else [self.condition]
        return [*(k.value for k in self.kept), *last]

    def set_values(self, values: Sequence[Variable]) -> None:
        for part, value in zip(self.kept, values, strict=False):
            part.value = value
        if self.condition is not None:
            self.condition = values[-1]

    def inputs(self) -> list[Variable]:
        """The leaves of the body."""
        lags = [v for state in self.states for v in state.lags.values()]
        return [*(q.inner for q in self.sequences), *lags, *(f.inner for f in self.fixed)]

    def substitute(self, replace: Mapping[Variable, Variable], work: Work) -> None:
        """Put other variables in the places of leaves of the body."""
        if replace:
            self.set_values(rebuild(self.values(), replace, work.remake))

    def add_fixed(self, outer: Variable, name: str | None = None) -> Variable:
        """The variable of the body for a new non-sequence, or the one that it has already."""
        for f in self.fixed:
            if f.outer is outer:
                return f.inner
        inner = outer.type.make_variable(name or outer.name)
        self.fixed.append(Fixed(outer, inner))
        return inner

    def drop(self, part: Kept, make_trace: Making | None) -> None:
        """The loop no longer computes `part`; its trace, if it is used, is made by `make_trace`."""
        if isinstance(part, State):
            self.states.remove(part)
        else:
            self.maps.remove(part)
        part.make_trace = make_trace
        self.gone.append(part)

    # -- the node --

    def build(self) -> dict[Variable, Variable]:
        """Make the node; for each old output that is used, what stands for it now."""
        if self.states or self.maps or self.old_steps:
            self._make_node()
        new: dict[Variable, Variable] = {}
        for part in [*self.kept, *self.gone]:
            if part.trace_used:
                new.update((v, like(part.outside(), v)) for v in part.old_traces)
            if isinstance(part, State) and part.final_used:
                new.update((v, like(part.final(), v)) for v in part.old_finals)
        if self.steps is not None:
            new.update((v, self.steps) for v in self.old_steps)
        return new

    def _make_node(self) -> None:
        op = self.op.changed(
            body=Body(tuple(self.inputs()), tuple(self.values())),
            sequences=[q.rows for q in self.sequences],
            lags=[tuple(state.lags) for state in self.states],
            traces=[part.trace for part in self.kept],
            until=self.condition is not None,
        )
        outer = [*(q.outer for q in self.sequences), *(s.initial for s in self.states)]
        node = op.make_node(self.n_steps, *outer, *(f.outer for f in self.fixed))
        node.origins = merge_origins(self.nodes)
        traces, map_traces, finals, self.steps = op.results(node.outputs)
        for part, out in zip(self.kept, [*traces, *map_traces], strict=True):
            part._trace = out
        for state, out in zip(self.states, finals, strict=True):
            state._final = out
        for part in self.kept:
            for old in part.old_traces:
                part.outside().name = part.outside().name or old.name


def like(new: Variable, old: Variable) -> Variable:
    """`new` with the type of `old`, of which only marks can differ."""
    return restrict_pattern(cast(new, old.type.dtype), old.type.broadcastable)


# -- the walk --------------------------------------------------------------------------------------

Visit = Callable[[Apply, list[Variable], "Sweep"], Mapping[Variable, Variable] | None]


class Sweep:
    """A graph rebuilt from its leaves upwards, with some nodes replaced.

    `users` tells who reads a variable of the old graph. A replacement further up is promised in
    `later`, and made when the walk comes there: by then all that the old variable depended on has
    its new form (`new_of`).
    """

    def __init__(self, outputs: Sequence[Variable], work: Work, keep: Collection[Variable] = ()):
        self.outputs = list(outputs)
        self.work = work
        self.keep = keep
        self.order = toposort(outputs, stop=keep)
        self.users: dict[Variable, list[Apply]] = {}
        for node in self.order:
            for v in dict.fromkeys(node.inputs):
                self.users.setdefault(v, []).append(node)
        self.roots = set(outputs)
        self.new: dict[Variable, Variable] = {}
        self.later: dict[Variable, Making] = {}

    @property
    def scans(self) -> list[Apply]:
        return [node for node in self.order if isinstance(node.op, Scan)]

    def new_of(self, v: Variable) -> Variable:
        return self.new.get(v, v)

    def used(self, v: Variable) -> bool:
        return v in self.users or v in self.roots

    def run(self, visit: Visit) -> list[Variable]:
        """Visit each scan with its new inputs; the new outputs."""
        if not self.scans:
            return self.outputs
        for node in self.order:
            for v in node.outputs:
                if v in self.later:
                    self.new[v] = self.later.pop(v)()
            if all(v in self.new for v in node.outputs):
                continue
            inputs = [self.new_of(v) for v in node.inputs]
            if isinstance(node.op, Scan):
                found = visit(node, inputs, self)
                if found is not None:
                    self.new.update(found)
                    continue
            if inputs != node.inputs:
                made = reapply(node, inputs)
                for old, out in zip(node.outputs, made.outputs, strict=True):
                    self.new.setdefault(old, out)
        return [self.new_of(v) for v in self.outputs]


# -- how outputs are read --------------------------------------------------------------------------


def first_entry(node: Apply) -> object:
    """The entry of a Subtensor for the first axis."""
    entries = entries_of(node)
    return entries[0] if entries else slice(None)


def cuts_at(node: Apply, stop: Variable) -> bool:
    """Whether the Subtensor takes the rows up to `stop` and nothing else of the first axis."""
    entry = first_entry(node)
    return isinstance(entry, slice) and (entry.start, entry.stop, entry.step) == (None, stop, None)


# -- lengths ---------------------------------------------------------------------------------------


def covers(length: Variable | int, n: Variable | int, offset: int) -> bool:
    """Whether `length` is provably at least n + offset; both in normal form."""
    if isinstance(length, int):
        return isinstance(n, int) and length >= n + offset
    if isinstance(n, int):
        return n + offset <= 0
    base, more = _split_sum(length)
    return any(more - m >= offset for part, m in _bounds(n) if part is base)


def _split_sum(v: Variable) -> tuple[Variable, int]:
    """(base, c) with v = base + c."""
    total = 0
    while v.owner is not None and getattr(v.owner.op, "scalar_name", "") in ("add", "sub"):
        a, b = v.owner.inputs
        sign = 1 if v.owner.op.scalar_name == "add" else -1
        if known_int(b) is not None:
            v, total = a, total + sign * (known_int(b) or 0)
        elif sign > 0 and known_int(a) is not None:
            v, total = b, total + (known_int(a) or 0)
        else:
            break
    return v, total


def _bounds(n: Variable) -> Iterable[tuple[Variable, int]]:
    """(base, c) with n ≤ base + c: n itself, and the operands of a minimum."""
    pending = [(n, 0)]
    while pending:
        v, c = pending.pop()
        base, more = _split_sum(v)
        name = getattr(base.owner.op, "scalar_name", "") if base.owner is not None else ""
        if name == "minimum" and base.owner is not None:
            pending.extend((part, c + more) for part in base.owner.inputs)
        elif name == "cast{int64}" and base.owner is not None:
            pending.append((base.owner.inputs[0], c + more))
        yield base, c + more


def has_rows(q: Sequenced, n_steps: Variable, asks: Rewriter) -> bool:
    """Whether the sequence is provably long enough, so that its check is not needed."""
    n = asks.length_of_entry(n_steps)
    return covers(asks.length(q.outer, 0), n, q.rows.offset)
