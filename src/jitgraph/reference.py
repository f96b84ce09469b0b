"""Evaluating a graph node by node with NumPy: the oracle of the tests and `mode='reference'`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jitgraph.errors import ShapeError
from jitgraph.graph import Apply, Constant, SharedVariable, Variable, toposort
from jitgraph.op import describe
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import IncSubtensor
from jitgraph.ops.shape import Alloc


def check_stretching(node: Apply, arrays: Sequence[Any]) -> None:
    """Only an axis marked as length 1 stretches; NumPy would stretch any axis of length 1.

    Raises ShapeError.
    """
    op = node.op
    if isinstance(op, Elementwise):
        try:
            wanted: Sequence[int] = np.broadcast_shapes(*(a.shape for a in arrays))
        except ValueError:
            shapes = " and ".join(str(a.shape) for a in arrays)
            raise ShapeError(f"{op.name}: the shapes {shapes} do not match") from None
        operands = list(zip(node.inputs, arrays, strict=True))
    elif isinstance(op, Alloc):
        wanted = [int(n) for n in arrays[1:]]
        operands = [(node.inputs[0], arrays[0])]
    elif isinstance(op, IncSubtensor):
        wanted = arrays[0][op.numpy_index(arrays[2:])].shape
        operands = [(node.inputs[1], arrays[1])]
    else:
        return
    for v, a in operands:
        lengths = wanted[len(wanted) - a.ndim :]
        for axis, (n, m, fixed) in enumerate(
            zip(a.shape, lengths, v.type.broadcastable, strict=True)
        ):
            if n != m and not fixed:
                raise ShapeError(
                    f"{op.name}: axis {axis} of {describe(v)} has length {n} where {m} is needed, "
                    f"and it is not marked as broadcastable"
                )


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
        arrays = [value(v) for v in node.inputs]
        check_stretching(node, arrays)
        results = node.op.evaluate(*arrays)
        for out, result in zip(node.outputs, results, strict=True):
            known[out] = result
    return [value(v) for v in outputs]
