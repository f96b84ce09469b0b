"""Stability across the loop: log(x) where x is the trace of a sigmoid or a softmax.

The rules of `stable` recognise expressions; a loop hides one half of log(sigmoid(x)) in its body.
For a logarithm that is read through views and arithmetic with single numbers from a trace of the
value y of the body, the same arithmetic is tried on y inside. If the stable rules then make an
expression g of it that no longer needs y, the logarithm is read from the loop in that form: the
loop also gives g, or rather the one value p of the body (the pre-activation) of which g is an
elementwise function, and g is applied outside to the trace of p.

This holds because row s of the trace of y is y in step s, and because views and functions of single
elements can be exchanged. Where y is itself a row of something that goes back to a sigmoid, before
the loop or in another one, the loop gives its logarithm, which `scan_reach` then takes further.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from jitgraph.graph import Apply, Variable, ancestors, toposort
from jitgraph.ops.arithmetic import identity
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import Subtensor
from jitgraph.ops.scan import Scan
from jitgraph.ops.shape import DimShuffle, Reshape, dimshuffle
from jitgraph.ops.values import constant
from jitgraph.rewrite.pattern import uniform_value
from jitgraph.rewrite.scan_loop import Kept, Loop, State, Sweep, Work, like
from jitgraph.rewrite.scan_reach import (
    Around,
    Normalise,
    Reading,
    bring_out,
    followed,
    has_loops,
    is_logarithm,
    leads_to_stable,
    part_read,
    same,
    with_functions,
)
from jitgraph.rewrite.scan_rules import STABLE

_MOST_LOOPS = 50  # that a logarithm is moved through


def reveal(
    outputs: Sequence[Variable], work: Work, normalise: Normalise, keep: Collection[Variable] = ()
) -> list[Variable]:
    """`outputs` with logarithms of traces in stable form, where there is one.

    `normalise` applies the stable rules. Variables in `keep` are leaves. A graph in which there is
    nothing to do is returned as it is.
    """
    around, current = Around(normalise, frozenset(keep)), list(outputs)
    for _ in range(_MOST_LOOPS):
        before = current
        current = _reveal_once(bring_out(current, work, around), work, around)
        if same(before, current):
            break
    return current


def _reveal_once(outputs: list[Variable], work: Work, around: Around) -> list[Variable]:
    sweep = Sweep(outputs, work, around.keep)
    readings: dict[Apply, list[Reading]] = {}
    for node in sweep.order if sweep.scans else ():
        if is_logarithm(node):
            reading = followed(node, around)
            maker = reading.end.owner
            if maker is not None and isinstance(maker.op, Scan) and reading.end not in around.keep:
                readings.setdefault(maker, []).append(reading)

    def visit(node: Apply, inputs: list[Variable], sweep: Sweep) -> dict[Variable, Variable] | None:
        loop, inside = Loop.of(node, inputs, sweep.used), around.inside(node)
        values = loop.values()
        if has_loops(node):
            loop.set_values(_reveal_once(values, work, inside))
        found = node in readings and _reveal_in(loop, readings[node], sweep, inside)
        if not found and same(values, loop.values()):
            return None
        new = loop.build()
        return {v: v if v in sweep.keep else new.get(v, v) for v in node.outputs}

    return sweep.run(visit)


def _reveal_in(loop: Loop, readings: list[Reading], sweep: Sweep, around: Around) -> bool:
    """Whether one of the readings is to be made from something else that the loop gives."""
    values = loop.values()
    loop.set_values(around.normalise(values))
    known = set(ancestors(loop.values()))
    found = False
    for reading in readings:
        part = part_read(reading.end, reading.path[0], loop)
        if part is None:
            continue
        form = _stable_form(reading, part.value, around.normalise)
        if form is not None:
            _promise(reading, part, form, _base(form, known), loop, sweep)
        elif leads_to_stable(part.value, reading.functions, around):
            form = _viewed(part.value, partial(with_functions, reading.functions))
            _promise(reading, part, form, None, loop, sweep)
        found |= form is not None
    if found:
        sweep.work.fired(STABLE)
    else:
        loop.set_values(values)
    return found


def _stable_form(reading: Reading, value: Variable, normalise: Normalise) -> Variable | None:
    """What the stable rules make of the functions applied to `value`, if that needs it no more."""
    needed = True

    def form_of(v: Variable) -> Variable:
        nonlocal needed
        (form,) = normalise([with_functions(reading.functions, v)])
        needed = v in ancestors([form])
        return form

    form = _viewed(value, form_of)
    return None if needed else form


def _viewed(value: Variable, change: Callable[[Variable], Variable]) -> Variable:
    """The views that `value` is of something, of what `change` makes of that."""
    views: list[Apply] = []
    while value.owner is not None and (
        isinstance(value.owner.op, (DimShuffle, Subtensor, Reshape)) or value.owner.op is identity
    ):
        if value.owner.op is not identity:
            views.append(value.owner)
        value = value.owner.inputs[0]
    value = change(value)
    for view in reversed(views):
        value = view.op.make_node(value, *view.inputs[1:]).outputs[0]
    return value


def _promise(
    reading: Reading,
    part: Kept,
    form: Variable,
    base: Variable | None,
    loop: Loop,
    sweep: Sweep,
) -> None:
    """Let the logarithm be made of the trace of a value that the loop gives for it.

    That is `base`, of which `form` is an elementwise function, or else `form` itself.
    """
    kept = _kept_for(form if base is None else base, part, loop)
    final_rows = None if reading.end in part.old_traces else part

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
