"""What a graph needs before it is compiled, if it has ops that programs define."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from jitgraph.extending.from_graph import OpFromGraph
from jitgraph.extending.user_op import PerformStep, step_for
from jitgraph.graph import Apply, Variable, toposort


def prepared(outputs: Sequence[Variable], stop: Iterable[Variable] = ()) -> list[Variable]:
    """The same graph with inner graphs in the place of OpFromGraph, and steps for other user ops.

    Variables in `stop` are leaves. What depends on no user op is shared with the given graph. The
    bodies of loops are prepared as well.
    """
    from jitgraph.rewrite.engine import merge_origins, reapply

    memo: dict[Variable, Variable] = {}
    for node in toposort(outputs, stop=stop):
        inputs = [memo.get(v, v) for v in node.inputs]
        body = getattr(node.op, "body", None)
        if body is not None:
            inside = type(body)(body.inputs, tuple(prepared(body.outputs, stop=body.inputs)))
            same = all(a is b for a, b in zip(inside.outputs, body.outputs, strict=True))
            if same and inputs == node.inputs:
                continue
            op = node.op if same else node.op.changed(body=inside)
            news = _with_op(op, node, inputs).outputs
        elif isinstance(node.op, OpFromGraph):
            inner = node.op.expand(inputs)
            made = toposort(inner, stop=inputs)
            for each in made:
                each.origins = merge_origins([each, node])
            news = prepared(inner, stop=inputs)
        elif node.op.needs_preparation:
            news = _with_op(step_for(node), node, inputs).outputs
        elif inputs != node.inputs:
            news = reapply(node, inputs).outputs
        else:
            continue
        memo.update(zip(node.outputs, news, strict=True))
    return [memo.get(v, v) for v in outputs]


def as_written(outputs: Sequence[Variable]) -> list[Variable]:
    """The graph with the user's ops in the place of the steps that run them."""
    from jitgraph.rewrite.engine import reapply

    memo: dict[Variable, Variable] = {}
    for node in toposort(outputs):
        inputs = [memo.get(v, v) for v in node.inputs]
        if isinstance(node.op, PerformStep):
            new = _with_op(node.op.user_op, node, inputs)
        elif inputs != node.inputs:
            new = reapply(node, inputs)
        else:
            continue
        memo.update(zip(node.outputs, new.outputs, strict=True))
    return [memo.get(v, v) for v in outputs]


def _with_op(op: Any, node: Apply, inputs: list[Variable]) -> Apply:
    new = Apply(op, inputs, [v.type.make_variable(v.name) for v in node.outputs])
    new.origins = node.origins
    return new
