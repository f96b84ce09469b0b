"""Evaluating a graph node by node with NumPy: the oracle of the tests and `mode='reference'`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from jitgraph.graph import Constant, SharedVariable, Variable, toposort


def evaluate(outputs: Sequence[Variable], values: Mapping[Variable, Any]) -> list[Any]:
    """The values of `outputs`, given those of the leaves they need.

    Constants and shared variables bring their own value. No rewrite, no C: each node is
    computed by its op's own NumPy reference, in the order of the graph.
    """
    known: dict[Variable, Any] = dict(values)

    def value(v: Variable) -> Any:
        if v in known:
            return known[v]
        if isinstance(v, Constant):
            return v.data
        if isinstance(v, SharedVariable):
            return v.container.data
        raise KeyError(v)

    for node in toposort(outputs, stop=values):
        results = node.op.evaluate(*(value(v) for v in node.inputs))
        for out, result in zip(node.outputs, results, strict=True):
            known[out] = result
    return [value(v) for v in outputs]
