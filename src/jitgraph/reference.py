"""Evaluating a graph node by node with NumPy: the oracle of the tests and `mode='reference'`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jitgraph.errors import ShapeError
from jitgraph.graph import Apply, Constant, SharedVariable, Variable, toposort
from jitgraph.op import describe
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.ifelse import IfElse
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
    computed by its op's own NumPy reference, when all it needs is there. Of the branches of an
    `ifelse` only the chosen one is needed.
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

    for node, arrays in steps(outputs, known, value):
        check_stretching(node, arrays)
        results = node.op.evaluate(*arrays)
        for out, result in zip(node.outputs, results, strict=True):
            known[out] = result
    return [value(v) for v in outputs]


def steps(
    outputs: Sequence[Variable], known: Mapping[Variable, Any], value: Callable[[Variable], Any]
) -> Iterator[tuple[Apply, list[Any]]]:
    """Each node that `outputs` need, once, and the values of its inputs.

    Whoever asks for the next node has put the results of the last one into `known`. In place of
    a value that an `ifelse` does not choose there is an array without elements.
    """
    waiting = toposort(outputs, stop=known)
    if any(isinstance(node.op, IfElse) for node in waiting):
        waiting = [v.owner for v in outputs if v.owner is not None and v not in known]
    waiting.reverse()
    while waiting:
        node = waiting[-1]
        needed = _needed(node, known, value)
        missing = [v.owner for v in needed if v.owner is not None and v not in known]
        if missing:
            waiting.extend(reversed(missing))
            continue
        waiting.pop()
        if node.outputs[0] not in known:
            read = set(needed)
            yield node, [value(v) if v in read else _no_value(v) for v in node.inputs]


def _no_value(v: Variable) -> np.ndarray:
    return np.zeros((0,) * v.type.ndim, dtype=v.type.dtype)


def _needed(
    node: Apply, known: Mapping[Variable, Any], value: Callable[[Variable], Any]
) -> Sequence[Variable]:
    """The inputs that `node` reads: of an ifelse the condition, and then one of the branches."""
    if not isinstance(node.op, IfElse):
        return node.inputs
    condition, *branches = node.inputs
    if condition.owner is not None and condition not in known:
        return [condition]
    n = node.op.n_outs
    return [condition, *(branches[:n] if value(condition) else branches[n:])]
