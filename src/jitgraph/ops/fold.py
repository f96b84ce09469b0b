"""Evaluating the parts of a graph that are known before a function runs."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import Constant, Variable, leaves, toposort
from jitgraph.ops.shape import Alloc, ARange, Shape, ShapeI

# Larger results stay as nodes: the C text or the cache entry is no place for them.
LARGEST_FOLDED = 64


def fold_scalar(variable: Variable) -> Any:
    """The value of a scalar whose leaves are all constants, else None."""
    owner = variable.owner
    if owner is not None and getattr(owner.op, "scalar_name", "") == "second":
        return fold_scalar(owner.inputs[1])
    if variable.type.ndim and not all(variable.type.broadcastable):
        if owner is not None and isinstance(owner.op, Alloc):
            return fold_scalar(owner.inputs[0])
        return None
    for leaf in leaves([variable]):
        if not isinstance(leaf, Constant):
            return None
    values: dict[Variable, Any] = {}
    for node in toposort([variable]):
        if not node.op.foldable:
            return None
        if isinstance(node.op, (Shape, ShapeI)) and not isinstance(node.inputs[0], Constant):
            return None
        arrays = [v.data if isinstance(v, Constant) else values[v] for v in node.inputs]
        if isinstance(node.op, ARange) and max(abs(float(a)) for a in arrays) > 1e6:
            return None
        for out, value in zip(node.outputs, node.op.evaluate(*arrays), strict=True):
            values[out] = value
    result = variable.data if isinstance(variable, Constant) else values[variable]
    return result.flat[0] if result.size else None
