"""A choice between two graphs, of which only one is computed.

`ifelse` is written as an ordinary op on the values of both branches. Before code is made,
`close_branches` moves into each branch what nothing else needs, so that it can be left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitgraph.graph import Apply, Constant, Variable, rebuild, toposort
from jitgraph.op import Op
from jitgraph.ops.ifelse import IfElse
from jitgraph.ops.scan import Body, Scan, shapes_of


class Branch(Op):
    """inputs: a condition, then what either body reads; outputs: those of the chosen body."""

    __props__ = ("then", "other")
    foldable = False

    def __init__(self, then: Body, other: Body):
        self.then = then
        self.other = other

    @property
    def name(self) -> str:
        return "ifelse"

    @property
    def bodies(self) -> tuple[Body, Body]:
        return (self.then, self.other)

    def token(self) -> str:
        import json

        return json.dumps([type(self).__name__, self.then.text, self.other.text])

    def make_node(self, *inputs: Any) -> Apply:
        return Apply(self, list(inputs), [v.type.make_variable() for v in self.then.outputs])

    def evaluate(self, *arrays: Any) -> tuple[Any, ...]:
        from jitgraph.reference import evaluate

        condition, *values = arrays
        body = self.then if condition else self.other
        return tuple(evaluate(body.outputs, dict(zip(body.inputs, values, strict=True))))

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        from jitgraph.ops.arithmetic import neq, switch

        found = []
        for body in self.bodies:
            result = shapes_of(body.outputs, dict(zip(body.inputs, shapes[1:], strict=True)))
            if result is None:
                return None
            outside = dict(zip(body.inputs, node.inputs[1:], strict=True))
            found.append([_moved(shape, outside) for shape in result])
        condition = neq(node.inputs[0], 0)
        return [
            tuple(
                a if a is b or (isinstance(a, int) and a == b) else switch(condition, a, b)
                for a, b in zip(*pair, strict=True)
            )
            for pair in zip(*found, strict=True)
        ]


def _moved(shape: Sequence[Any], outside: dict[Variable, Variable]) -> tuple[Any, ...]:
    scalars = [n for n in shape if isinstance(n, Variable)]
    moved = iter(rebuild(scalars, outside))
    return tuple(next(moved) if isinstance(n, Variable) else n for n in shape)


def close_branches(outputs: Sequence[Variable]) -> list[Variable]:
    """The graph with every `ifelse`, also within loops, in the form that leaves a branch out."""
    outputs = list(outputs)
    while True:
        order = toposort(outputs)
        node = next((n for n in reversed(order) if isinstance(n.op, IfElse)), None)
        if node is None:
            break
        new = _closed(node, order, outputs)
        outputs = rebuild(outputs, dict(zip(node.outputs, new, strict=True)))
    return _in_loops(outputs)


def _in_loops(outputs: list[Variable]) -> list[Variable]:
    def changed(node: Apply, inputs: list[Variable]) -> Sequence[Variable]:
        op = node.op
        if isinstance(op, Scan):
            op = op.changed(body=Body(op.body.inputs, tuple(close_branches(op.body.outputs))))
        new = op.make_node(*inputs)
        new.origins = node.origins
        return new.outputs

    replace: dict[Variable, Variable] = {}
    for node in toposort(outputs):
        if isinstance(node.op, Scan) and _has_choice(node.op):
            inputs = rebuild(node.inputs, replace)
            replace.update(zip(node.outputs, changed(node, inputs), strict=True))
    return rebuild(outputs, replace) if replace else outputs


def _has_choice(op: Scan) -> bool:
    return any(
        isinstance(n.op, IfElse) or (isinstance(n.op, Scan) and _has_choice(n.op))
        for n in toposort(op.body.outputs)
    )


def _closed(node: Apply, order: Sequence[Apply], outputs: Sequence[Variable]) -> Sequence[Variable]:
    """The outputs of a Branch that computes what `node` chooses from."""
    condition, *values = node.inputs
    half = len(values) // 2
    sides = [values[:half], values[half:]]
    own = [_exclusive(node, order, outputs, k) for k in range(2)]
    captured: dict[Variable, Variable] = {}
    for side, nodes in zip(sides, own, strict=True):
        for v in [*(v for n in nodes for v in n.inputs), *side]:
            if v.owner not in nodes and not (isinstance(v, Constant) and v.data.size <= 64):
                captured.setdefault(v, v.type.make_variable(v.name))
    bodies = []
    for side in sides:
        inside = close_branches(rebuild(side, captured))
        bodies.append(Body(tuple(captured.values()), tuple(inside)))
    new = Branch(*bodies).make_node(condition, *captured)
    new.origins = node.origins
    return new.outputs


def _exclusive(
    node: Apply, order: Sequence[Apply], outputs: Sequence[Variable], branch: int
) -> set[Apply]:
    """The nodes that nobody but one branch of `node` needs."""
    half = (len(node.inputs) - 1) // 2
    chosen = range(1 + branch * half, 1 + (branch + 1) * half)
    needed_elsewhere = set(outputs)
    for k, v in enumerate(node.inputs):
        if k not in chosen:
            needed_elsewhere.add(v)
    mine = {node.inputs[k] for k in chosen}
    found: set[Apply] = set()
    for n in reversed(order):
        if n is node:
            continue
        if any(v in mine for v in n.outputs) and not any(v in needed_elsewhere for v in n.outputs):
            found.add(n)
            mine.update(n.inputs)
        else:
            needed_elsewhere.update(n.inputs)
    return found
