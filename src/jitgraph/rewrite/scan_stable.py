"""Stability across the loop: log(x) where x is the trace of a sigmoid or a softmax.

The rules of `stable` recognise expressions; a loop hides one half of log(sigmoid(x)) in its body.
For a logarithm that is read through views and arithmetic with single numbers from a trace of the
value y of the body, the same arithmetic is tried on y inside. If the stable rules then make an
expression g of it that no longer needs y, the logarithm is read from the loop in that form: the
loop also gives g, or rather the one value p of the body (the pre-activation) of which g is an
elementwise function, and g is applied outside to the trace of p.

This holds because row s of the trace of y is y in step s, and because views and functions of single
elements can be exchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from jitgraph.graph import Apply, Variable, ancestors, toposort
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import AdvancedSubtensor, Subtensor
from jitgraph.ops.nnet import Pick
from jitgraph.ops.scan import Scan
from jitgraph.ops.shape import DimShuffle, Rebroadcast, Reshape, dimshuffle, known_int
from jitgraph.ops.values import constant
from jitgraph.rewrite.pattern import uniform_value
from jitgraph.rewrite.scan_loop import Kept, Loop, State, Sweep, Work, cuts_at, like
from jitgraph.rewrite.scan_rules import STABLE

# Views of which the first operand is the data.
_VIEWS = (DimShuffle, Reshape, Rebroadcast, Subtensor, AdvancedSubtensor, Pick)
_LOGARITHMS = ("log", "log1p")

Normalise = Callable[[list[Variable]], list[Variable]]


@dataclass(eq=False)
class Reading:
    """A logarithm of a trace: the scan, which output, the steps on the way (nearest first)."""

    top: Variable
    output: Variable
    path: list[Apply]

    @property
    def views(self) -> list[Apply]:
        return [node for node in self.path if isinstance(node.op, _VIEWS)]

    @property
    def functions(self) -> list[Apply]:
        return [node for node in self.path if not isinstance(node.op, _VIEWS)]


def reveal(
    outputs: Sequence[Variable], work: Work, normalise: Normalise, keep: Collection[Variable] = ()
) -> list[Variable]:
    """`outputs` with logarithms of traces in stable form, where there is one.

    `normalise` applies the stable rules to values of a body. Variables in `keep` are leaves. A
    graph in which there is nothing to do is returned as it is.
    """
    sweep = Sweep(outputs, work, keep)
    if not sweep.scans:
        return list(outputs)
    readings: dict[Apply, list[Reading]] = {}
    for node in sweep.order:
        if getattr(node.op, "scalar_name", "") in _LOGARITHMS:
            reading = _follow(node, keep)
            if reading is not None and reading.output.owner is not None:
                readings.setdefault(reading.output.owner, []).append(reading)
    if not readings:
        return list(outputs)

    def visit(node: Apply, inputs: list[Variable], sweep: Sweep) -> dict[Variable, Variable] | None:
        if node not in readings:
            return None
        return _reveal_in(node, inputs, readings[node], sweep, normalise)

    return sweep.run(visit)


def _follow(top: Apply, keep: Collection[Variable]) -> Reading | None:
    """From a logarithm down to the output of a loop that it is taken of."""
    path = [top]
    v = top.inputs[0]
    while v not in keep and v.owner is not None:
        node = v.owner
        if isinstance(node.op, Scan):
            return Reading(top.outputs[0], v, path[::-1])
        if isinstance(node.op, _VIEWS):
            v = node.inputs[0]
        elif isinstance(node.op, Elementwise):
            moving = [w for w in node.inputs if uniform_value(w) is None]
            if len(moving) != 1:
                return None
            v = moving[0]
            if v.type.broadcastable != node.outputs[0].type.broadcastable:
                return None  # stretched by a constant
        else:
            return None
        path.append(node)
    return None


def _reveal_in(
    node: Apply,
    inputs: list[Variable],
    readings: list[Reading],
    sweep: Sweep,
    normalise: Normalise,
) -> dict[Variable, Variable] | None:
    loop = Loop.of(node, inputs, sweep.used)
    values = loop.values()
    loop.set_values(normalise(values))
    known = set(ancestors(loop.values()))
    found = False
    for reading in readings:
        part = _part_read(reading, loop)
        if part is None:
            continue
        form = _stable_form(reading, part.value, normalise)
        if form is not None:
            _promise(reading, part, form, known, loop, sweep)
            found = True
    if not found:
        return None
    sweep.work.fired(STABLE)
    new = loop.build()
    return {v: v if v in sweep.keep else new.get(v, v) for v in node.outputs}


def _part_read(reading: Reading, loop: Loop) -> Kept | None:
    """The part of the loop whose rows are read, all of them rows of steps that were done."""
    for part in loop.kept:
        if reading.output in part.old_traces:
            first = reading.path[0]
            cut = isinstance(first.op, Subtensor) and any(cuts_at(first, n) for n in loop.old_steps)
            return part if cut or loop.condition is None else None
        if isinstance(part, State) and reading.output in part.old_finals:
            enough = (known_int(loop.n_steps) or 0) >= part.depth and loop.condition is None
            return part if enough and part.trace.keep is None else None
    return None


def _stable_form(reading: Reading, value: Variable, normalise: Normalise) -> Variable | None:
    """What the stable rules make of the functions applied to `value`, if that needs it no more."""
    views: list[Apply] = []
    while value.owner is not None and isinstance(value.owner.op, (DimShuffle, Subtensor, Reshape)):
        views.append(value.owner)
        value = value.owner.inputs[0]
    result = value
    for node in reading.functions:
        result = _apply(node, result)
    (form,) = normalise([result])
    if value in ancestors([form]):
        return None
    for view in reversed(views):
        form = view.op.make_node(form, *view.inputs[1:]).outputs[0]
    return form


def _apply(node: Apply, x: Variable) -> Variable:
    """The function of `node` on x in place of what moves; numbers become single elements."""
    operands = []
    for v in node.inputs:
        number = uniform_value(v)
        operands.append(x if number is None else constant(number))
    return node.op(*operands)  # type: ignore[no-any-return]


def _promise(
    reading: Reading, part: Kept, form: Variable, known: set[Variable], loop: Loop, sweep: Sweep
) -> None:
    """Let the logarithm be made of the trace of a value that the loop gives for it."""
    base = _base(form, known)
    kept = _kept_for(form if base is None else base, part, loop)
    final_rows = None if reading.output in part.old_traces else part

    def make() -> Variable:
        x = kept.outside()
        if isinstance(final_rows, State):
            x = x[-final_rows.depth :]  # type: ignore[index]
        for view in reading.views:
            x = _view_again(view, x, sweep)
        if base is not None:
            x = _elementwise_of(form, base, x)
        return like(x, reading.top)

    sweep.later[reading.top] = make


def _view_again(view: Apply, x: Variable, sweep: Sweep) -> Variable:
    """The view of x; a dimshuffle is made for its marks."""
    if isinstance(view.op, DimShuffle):
        return dimshuffle(x, view.op.new_order)
    return view.op(x, *map(sweep.new_of, view.inputs[1:]))  # type: ignore[no-any-return]


def _kept_for(value: Variable, part: Kept, loop: Loop) -> Kept:
    """The part that gives the trace of `value`, like that of `part`."""
    for other in loop.kept:
        if other.value is value and other.trace == part.trace:
            other.trace_used = True
            return other
    new = Kept(value, part.trace, [], True)
    loop.maps.append(new)
    return new


def _base(form: Variable, known: set[Variable]) -> Variable | None:
    """The one value of the body of which `form` is an elementwise function with numbers."""
    v = form
    while v not in known:
        if v.owner is None or not isinstance(v.owner.op, Elementwise):
            return None
        moving = [w for w in dict.fromkeys(v.owner.inputs) if uniform_value(w) is None]
        if len(moving) != 1 or moving[0].type.broadcastable != form.type.broadcastable:
            return None
        v = moving[0]
    return v


def _elementwise_of(form: Variable, base: Variable, x: Variable) -> Variable:
    """`form` with x, which may have another rank, for `base`."""
    made = {base: x}
    for node in toposort([form], stop=[base]):
        if any(v in made for v in node.inputs):
            operands = [made[v] if v in made else constant(uniform_value(v)) for v in node.inputs]
            made[node.outputs[0]] = node.op(*operands)
    return made[form]
