"""How far a logarithm reaches: through views, into bodies of loops and out of them.

A loop may take the logarithm of rows of an array that was a sigmoid before the loop, or the trace
of one in another loop. `leads_to_stable` follows such a value to what it is made of, and tells
whether the stable rules know the logarithm of that. If so, `bring_out` takes the logarithm of the
whole array before the loop, of which the loop then reads rows: functions of single elements and
the reading of rows and views can be exchanged. What the rules do next, or the loop that made the
array, is the business of `scan_stable`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from jitgraph.graph import Apply, TensorType, Variable, ancestors, made_for, toposort
from jitgraph.ops.arithmetic import identity
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import AdvancedSubtensor, Subtensor
from jitgraph.ops.nnet import Pick
from jitgraph.ops.scan import Scan
from jitgraph.ops.shape import DimShuffle, Rebroadcast, Reshape, known_int
from jitgraph.ops.values import constant
from jitgraph.rewrite.pattern import uniform_value
from jitgraph.rewrite.scan_loop import (
    Fixed,
    Kept,
    Loop,
    Sequenced,
    State,
    Sweep,
    Work,
    cuts_at,
    like,
)
from jitgraph.rewrite.scan_rules import STABLE

# Views of which the first operand is the data.
VIEWS = (DimShuffle, Reshape, Rebroadcast, Subtensor, AdvancedSubtensor, Pick)
_LOGARITHMS = ("log", "log1p", "log2", "log10")

Normalise = Callable[[list[Variable]], list[Variable]]


@dataclass(frozen=True)
class Around:
    """Where a graph lies: the loops that it is in the body of, outermost first.

    `normalise` applies the stable rules; variables in `keep` are leaves.
    """

    normalise: Normalise
    keep: frozenset[Variable]
    loops: tuple[Apply, ...] = ()
    _steady: dict[Variable, Variable] = field(default_factory=dict)

    def inside(self, node: Apply) -> Around:
        return Around(self.normalise, self.keep, (*self.loops, node), self._steady)

    def outside(self) -> Around:
        return Around(self.normalise, self.keep, self.loops[:-1], self._steady)

    def source(self, leaf: Variable) -> Variable | None:
        """The array outside that the innermost body reads as `leaf`, whole or by rows."""
        if not self.loops:
            return None
        node = self.loops[-1]
        _, sequences, _, fixed = node.op.outer(node.inputs)
        rows, _, inner_fixed = node.op.inner()
        for inner, outer in zip((*rows, *inner_fixed), (*sequences, *fixed), strict=True):
            if inner is leaf:
                return outer  # type: ignore[no-any-return]
        return None

    def steady(self, v: Variable) -> Variable:
        """`v` after the stable rules, which leave it alone from then on."""
        if v not in self._steady:
            (self._steady[v],) = self.normalise([v])
        return self._steady[v]


@dataclass(eq=False)
class Reading:
    """A logarithm, what it is read from, and the steps on the way (nearest to that first)."""

    top: Variable
    end: Variable
    path: list[Apply]

    @property
    def views(self) -> list[Apply]:
        return [node for node in self.path if isinstance(node.op, VIEWS)]

    @property
    def functions(self) -> list[Apply]:
        return [node for node in self.path if not isinstance(node.op, VIEWS)]


def is_logarithm(node: Apply) -> bool:
    return getattr(node.op, "scalar_name", "") in _LOGARITHMS


def has_loops(node: Apply) -> bool:
    """Whether the body of the loop holds one."""
    return any(isinstance(n.op, Scan) for n in toposort(node.op.body.outputs))


def followed(top: Apply, around: Around) -> Reading:
    """From a logarithm down to what is neither a view nor arithmetic with single numbers."""
    path, v = [top], top.inputs[0]
    while v not in around.keep and v.owner is not None:
        below = moving_operand(v.owner)
        if below is None:
            break
        if v.owner.op is not identity:
            path.append(v.owner)
        v = below
    return Reading(top.outputs[0], v, path[::-1])


def moving_operand(node: Apply) -> Variable | None:
    """What a view is of; of an elementwise function the operand that is no number.

    None if there are several of these, or if the one there is is stretched.
    """
    if isinstance(node.op, VIEWS):
        return node.inputs[0]
    if not isinstance(node.op, Elementwise):
        return None
    moving = [v for v in node.inputs if uniform_value(v) is None]
    if len(moving) != 1:
        return None
    stretched = moving[0].type.broadcastable != node.outputs[0].type.broadcastable
    return None if stretched else moving[0]


def with_functions(functions: Sequence[Apply], x: Variable) -> Variable:
    """The functions, innermost first, on x in place of what moves; numbers are single elements."""
    for node in functions:
        numbers = [uniform_value(v) for v in node.inputs]
        with made_for(node.origins):
            x = node.op(*(x if number is None else constant(number) for number in numbers))
    return x


def part_read(v: Variable, nearest: Apply | None, loop: Loop) -> Kept | None:
    """The part of the loop whose rows are read as `v`, all of them rows of steps that were done.

    `nearest`: what reads `v`.
    """
    for part in loop.kept:
        if v in part.old_traces:
            cut = (
                nearest is not None
                and isinstance(nearest.op, Subtensor)
                and any(cuts_at(nearest, n) for n in loop.old_steps)
            )
            return part if cut or loop.condition is None else None
        if isinstance(part, State) and v in part.old_finals:
            enough = (known_int(loop.n_steps) or 0) >= part.depth and loop.condition is None
            return part if enough and part.trace.keep is None else None
    return None


def leads_to_stable(v: Variable, functions: Sequence[Apply], around: Around) -> bool:
    """Whether `v` goes back to a value of which the stable rules know the functions.

    That is, of which they make an expression that no longer needs the value.
    """
    v, nearest = around.steady(v), None
    while v not in around.keep:
        node = v.owner
        if node is None:
            source = around.source(v)
            if source is None:
                return False
            around = around.outside()
            v, nearest = around.steady(source), None
        elif isinstance(node.op, Scan):
            part = part_read(v, nearest, Loop.of(node, node.inputs, lambda _: True))
            if part is None:
                return False
            around = around.inside(node)
            v, nearest = around.steady(part.value), None
        elif isinstance(node.op, VIEWS) or node.op is identity:
            v, nearest = node.inputs[0], node
        else:
            (form,) = around.normalise([with_functions(functions, v)])
            if v not in ancestors([form]):
                return True
            below = moving_operand(node)
            if below is None:
                return False
            v, nearest, functions = below, node, [node, *functions]
    return False


# -- out of the body -------------------------------------------------------------------------------


def bring_out(outputs: list[Variable], work: Work, around: Around) -> list[Variable]:
    """Logarithms of rows, and of what is the same at every step, taken before the loop.

    Only those for which there is a stable form further on.
    """

    def visit(node: Apply, inputs: list[Variable], sweep: Sweep) -> dict[Variable, Variable] | None:
        loop, inside = Loop.of(node, inputs, sweep.used), around.inside(node)
        values = loop.values()
        if has_loops(node):
            loop.set_values(bring_out(values, work, inside))
        if not _bring_out_of(loop, work, inside) and same(values, loop.values()):
            return None
        new = loop.build()
        return {v: v if v in sweep.keep else new.get(v, v) for v in node.outputs}

    return Sweep(outputs, work, around.keep).run(visit)


def _bring_out_of(loop: Loop, work: Work, around: Around) -> bool:
    leaves: dict[Variable, Sequenced | Fixed] = {q.inner: q for q in loop.sequences}
    leaves.update((f.inner, f) for f in loop.fixed)
    replace: dict[Variable, Variable] = {}
    for node in toposort(loop.values()):
        if not is_logarithm(node):
            continue
        reading = followed(node, around)
        if reading.end in leaves and leads_to_stable(reading.end, reading.functions, around):
            inner = _read_before(reading, leaves[reading.end], loop)
            for view in reading.views:
                inner = view.op.make_node(inner, *view.inputs[1:]).outputs[0]
            replace[reading.top] = like(inner, reading.top)
    if replace:
        work.fired(STABLE)
        loop.substitute(replace, work)
    return bool(replace)


def same(old: Sequence[Variable], new: Sequence[Variable]) -> bool:
    """Whether nothing was changed."""
    return all(a is b for a, b in zip(old, new, strict=True))


def _read_before(reading: Reading, leaf: Sequenced | Fixed, loop: Loop) -> Variable:
    """The variable of the body for the functions of the whole array outside."""
    array = with_functions(reading.functions, leaf.outer)
    if isinstance(leaf, Fixed):
        return loop.add_fixed(array, leaf.inner.name)
    row = TensorType(array.type.dtype, leaf.inner.type.broadcastable)
    inner = row.make_variable(leaf.inner.name)
    loop.sequences.append(Sequenced(array, leaf.rows, inner))
    return inner
