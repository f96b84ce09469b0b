"""A graph as a program: compiled segments with NumPy steps between them, over numbered slots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitgraph.canonical import large_constants, own_memory
from jitgraph.cgen.fuse import Routine
from jitgraph.cgen.lengths import Check, NotHostScalar, NotInSegment
from jitgraph.cgen.library import emit_library
from jitgraph.cgen.loops import NotALoop
from jitgraph.cgen.segment import Segment, is_compiled, make_segment
from jitgraph.graph import Apply, Constant, Variable, leaves, toposort
from jitgraph.ops.branch import Branch
from jitgraph.ops.scan import Body, Scan


@dataclass
class Plan:
    """The stages of a program: for each, one segment (or None) and the Python steps after it."""

    inputs: list[Variable]
    outputs: list[Variable]
    segments: list[Segment | None]
    steps: list[list[Apply]]
    slot_of: dict[Variable, int] = field(default_factory=dict)
    literals: int | None = None  # from which input on they are constants (None: none are)
    # of loops that Python steps through, and of branches that it chooses
    bodies: dict[Apply, list[Plan]] = field(default_factory=dict)

    def all_segments(self) -> list[Segment]:
        """The segments of the plan and of the bodies of its loops, in the order of the library."""
        found: list[Segment] = []
        for segment, steps in zip(self.segments, self.steps, strict=True):
            if segment is not None:
                found.append(segment)
            for node in steps:
                for body in self.bodies.get(node, ()):
                    found.extend(body.all_segments())
        return found

    def c_source(self) -> str:
        return emit_library(self.all_segments())

    def metadata(self, first: int = 0) -> dict[str, Any]:
        """What the runtime needs, as plain data (no names, no lines of the user).

        `first` is the number of this plan's first segment in the library.
        """
        result: list[dict[str, Any]] = []
        number = first
        for segment, steps in zip(self.segments, self.steps, strict=True):
            if segment is not None:
                result.append(self._segment(segment, number))
                number += 1
            for node in steps:
                result.append(self._step(node))
                bodies = []
                for body in self.bodies.get(node, ()):
                    bodies.append(body.metadata(number))
                    number += len(body.all_segments())
                if bodies:
                    result[-1] |= self._nested(node, bodies)
        return {
            "slots": len(self.slot_of),
            "inputs": len(self.inputs),
            "steps": result,
            "outputs": [self.slot_of[v] for v in self.outputs],
            "literals": [
                [slot, v.type.dtype, list(v.data.shape), v.data.tobytes().hex()]
                for v, slot in self.slot_of.items()
                if isinstance(v, Constant) and slot >= self._passed
            ],
        }

    @property
    def _passed(self) -> int:
        return len(self.inputs) if self.literals is None else self.literals

    def _segment(self, segment: Segment, number: int) -> dict[str, Any]:
        return {
            "kind": "c",
            "segment": number,
            "in": [self.slot_of[v] for v in segment.slots],
            "out": [self.slot_of[v] for v in segment.outputs],
            "types": [[v.type.dtype, v.type.ndim] for v in segment.outputs],
            "checks": [getattr(c, "kind", "label") for c in segment.all_checks()],
        }

    def _step(self, node: Apply) -> dict[str, Any]:
        return {
            "kind": "numpy",
            "op": "" if isinstance(node.op, (Scan, Branch)) else node.op.token(),
            "in": [self.slot_of[v] for v in node.inputs],
            "out": [self.slot_of[v] for v in node.outputs],
        }

    def _nested(self, node: Apply, bodies: list[dict[str, Any]]) -> dict[str, Any]:
        op = node.op
        if isinstance(op, Branch):
            return {"kind": "choice", "bodies": bodies}
        return {
            "kind": "loop",
            "form": op.form(),
            "label": op.label,
            "traces": [[v.type.dtype, v.type.ndim] for v in op.body.outputs[: len(op.traces)]],
            "bodies": bodies,
        }

    def describe_check(self, step: int, number: int) -> tuple[Apply, str, str]:
        """(node, what is wrong, kind) of a failed check, for the error message."""
        segment = self.all_segments()[step]
        failed = segment.all_checks()[number]
        if isinstance(failed, Check):
            return failed.node, failed.what, failed.kind
        if isinstance(failed, Routine):
            return failed.node, failed.refusal or "", "value"
        if failed.may_be_negative:
            return failed.node, "an index is out of range", "entry"
        return failed.node, "y_i value out of bounds", "label"

    def step_nodes(self) -> list[Apply]:
        """The nodes that Python runs, in the order in which the runtime numbers them."""
        found: list[Apply] = []
        for steps in self.steps:
            for node in steps:
                found.append(node)
                for body in self.bodies.get(node, ()):
                    found.extend(body.step_nodes())
        return found


def make_plan(
    inputs: Sequence[Variable], outputs: Sequence[Variable], fusion: bool = True, first: int = 0
) -> Plan:
    """Divide the graph from `inputs` (leaves and large constants) to `outputs` into stages.

    `first`: how many segments the library has before those of this plan.
    """
    order = toposort(outputs)
    facts = _Facts()
    while True:
        try:
            return _divide(inputs, outputs, order, facts, fusion, first)
        except NotALoop as loop:
            if loop.node not in order:  # within the body of another one
                raise
            facts.interpreted.add(loop.node)
        except _MustWait as wait:
            known = facts.waits.setdefault(wait.node, set())
            if wait.variable in known:
                raise AssertionError(f"{wait.node} waits for {wait.variable} in vain") from None
            known.add(wait.variable)


@dataclass
class _Facts:
    """What attempts to divide the graph have taught."""

    # node -> values that must be computed before the shape of its result is known
    waits: dict[Apply, set[Variable]] = field(default_factory=dict)
    interpreted: set[Apply] = field(default_factory=set)  # loops that cannot be C after all

    def compiled(self, node: Apply) -> bool:
        return node not in self.interpreted and is_compiled(node)


class _MustWait(Exception):
    """The shape of a node's result depends on a value that is computed first."""

    def __init__(self, node: Apply, variable: Variable):
        super().__init__()
        self.node = node
        self.variable = variable


def _divide(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    order: Sequence[Apply],
    facts: _Facts,
    fusion: bool,
    first: int,
) -> Plan:
    stage = _stages(order, facts)
    count = 1 + max(stage.values(), default=-1)
    compiled: list[list[Apply]] = [[] for _ in range(count)]
    steps: list[list[Apply]] = [[] for _ in range(count)]
    for node in order:
        (compiled if facts.compiled(node) else steps)[stage[node]].append(node)
    produced_in = {v: stage[n] for n in order if facts.compiled(n) for v in n.outputs}
    wanted = _wanted(outputs, order, stage, produced_in, facts)
    plan = Plan(list(inputs), list(outputs), [], steps)
    for v in inputs:
        plan.slot_of[v] = len(plan.slot_of)
    for number in range(count):
        segment = None
        if compiled[number]:
            before = first + _count(plan)
            prefix = f"k{before}_" if before else "k"
            segment = _segment(compiled[number], wanted.get(number, []), facts, fusion, prefix)
        plan.segments.append(segment)
        for node in steps[number]:
            if isinstance(node.op, (Scan, Branch)):
                plan.bodies[node] = []
                for body in [node.op.body] if isinstance(node.op, Scan) else node.op.bodies:
                    plan.bodies[node].append(_body_plan(body, fusion, first + _count(plan)))
        made = list(segment.outputs) if segment else []
        # Small constants that NumPy steps read are kept in slots of their own.
        made += [v for node in steps[number] for v in node.inputs if isinstance(v, Constant)]
        made += [v for node in steps[number] for v in node.outputs]
        for v in made:
            plan.slot_of.setdefault(v, len(plan.slot_of))
    return plan


def _count(plan: Plan) -> int:
    bodies = sum(len(b.all_segments()) for found in plan.bodies.values() for b in found)
    return bodies + sum(s is not None for s in plan.segments)


def _body_plan(body: Body, fusion: bool, first: int) -> Plan:
    """An inner graph as a plan of its own, for Python to call."""
    outputs = own_memory(body.outputs)
    inputs = [*body.inputs, *large_constants(outputs, body.inputs)]
    plan = make_plan(inputs, outputs, fusion, first)
    plan.literals = len(body.inputs)
    return plan


def _stages(order: Sequence[Apply], facts: _Facts) -> dict[Apply, int]:
    """C nodes run before the NumPy steps of their stage; what reads a step comes a stage later."""
    stage: dict[Apply, int] = {}
    for node in order:
        here = 0
        for v in node.inputs:
            if v.owner is not None and v.owner in stage:
                after_step = facts.compiled(node) and not facts.compiled(v.owner)
                here = max(here, stage[v.owner] + after_step)
        for v in facts.waits.get(node, ()):
            if v.owner is not None:
                here = max(here, stage[v.owner] + 1)
        stage[node] = here
    return stage


def _wanted(
    outputs: Sequence[Variable],
    order: Sequence[Apply],
    stage: dict[Apply, int],
    produced_in: dict[Variable, int],
    facts: _Facts,
) -> dict[int, list[Variable]]:
    """For each stage, the values its segment hands on: to NumPy steps, later stages, the caller."""
    found: dict[Variable, None] = {}
    for node in order:
        for v in [*node.inputs, *facts.waits.get(node, ())]:
            if v in produced_in and (not facts.compiled(node) or stage[node] > produced_in[v]):
                found[v] = None
    for v in outputs:
        if v in produced_in:
            found[v] = None
    wanted: dict[int, list[Variable]] = {}
    for v in found:
        wanted.setdefault(produced_in[v], []).append(v)
    return wanted


def _segment(
    nodes: list[Apply],
    outputs: list[Variable],
    facts: _Facts,
    fusion: bool,
    prefix: str,
) -> Segment:
    inside = {v for node in nodes for v in node.outputs}
    slots: dict[Variable, None] = {}
    for node in nodes:
        for v in [*node.inputs, *facts.waits.get(node, ())]:
            if v not in inside and not _is_written_out(v):
                slots[v] = None
    while True:
        try:
            return make_segment(list(slots), nodes, outputs, fusion, prefix)
        except NotInSegment as missing:
            # Only its shape is needed, for the length of something an earlier stage has made.
            slots[missing.variable] = None
        except NotHostScalar as missing:
            variable = missing.variable
            node = _first_needing(nodes, variable, slots)
            if node is variable.owner:  # only running the loop tells how long a row is
                raise NotALoop(node) from None
            raise _MustWait(node, variable) from None


def _first_needing(nodes: Sequence[Apply], variable: Variable, slots: Iterable[Variable]) -> Apply:
    """The first node after the producer of `variable` whose shape cannot be told without it."""
    from jitgraph.cgen import checks
    from jitgraph.cgen.lengths import Lengths

    lengths = Lengths(list(slots))
    for node in nodes:
        try:
            checks.record(lengths, node)
        except NotHostScalar:
            return node
    raise AssertionError(f"no node needs {variable}")


def _is_written_out(v: Variable) -> bool:
    """Small constants stand in the C text; larger ones are passed like arguments."""
    return isinstance(v, Constant) and v.data.size <= 64


def graph_inputs(outputs: Sequence[Variable]) -> list[Variable]:
    return leaves(outputs)
