"""The choice between two sets of values, made once, by a scalar, when the function runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import Gradient, Op, describe, here
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.elementwise import zeros_for
from jitgraph.ops.shape import restrict_pattern
from jitgraph.ops.values import as_tensor_variable


class IfElse(Op):
    """(condition, n values, n values) -> the first n if the condition is not zero, else the others.

    Values that only the other branch needs have no influence, not even by an error.
    """

    __props__ = ("n_outs", "label")

    def __init__(self, n_outs: int, label: str = ""):
        self.n_outs = int(n_outs)
        self.label = label  # the user's name, for messages

    @property
    def name(self) -> str:
        return f"ifelse{{{self.label}}}" if self.label else "ifelse"

    def __str__(self) -> str:
        return f"if{{{self.label}}}" if self.label else "if"

    def make_node(self, *inputs: Any) -> Apply:
        n = self.n_outs
        if len(inputs) != 1 + 2 * n:
            raise ValueError(f"ifelse takes {n} values for each branch{here()}")
        condition, *values = (as_tensor_variable(v) for v in inputs)
        if condition.type.ndim:
            raise TypeError(f"ifelse: the condition must be a scalar, got {describe(condition)}")
        for a, b in zip(values[:n], values[n:], strict=True):
            if a.type != b.type:
                raise TypeError(f"ifelse: the branches differ: {describe(a)} and {describe(b)}")
        return Apply(self, [condition, *values], [v.type.make_variable() for v in values[:n]])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        condition, *values = arrays
        chosen = values[: self.n_outs] if condition else values[self.n_outs :]
        return tuple(np.array(v) for v in chosen)

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        n = self.n_outs
        return [[True] * n, *([i == k for k in range(n)] for i in (*range(n), *range(n)))]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        """The gradient goes to the branch that was chosen; the other's is zero."""
        n = self.n_outs
        condition, firsts, seconds = inputs[0], inputs[1 : 1 + n], inputs[1 + n :]
        answers: list[Gradient] = [zeros_for(v) for v in inputs]
        places, flows = [], []
        for k, (g, out) in enumerate(zip(grads, outputs, strict=True)):
            if isinstance(g, Variable) and out.type.dtype in dtypes.FLOATS:
                places.append(k)
                flows.append(restrict_pattern(g, out.type.broadcastable))
        if places:
            choose = IfElse(len(places), self.label)
            for at, branch, first in ((1, firsts, True), (1 + n, seconds, False)):
                zeros = [
                    cast(zeros_for(branch[k]), g.type.dtype)
                    for k, g in zip(places, flows, strict=True)
                ]
                made = choose(condition, *(flows + zeros if first else zeros + flows))
                for k, v in zip(places, made if isinstance(made, list) else [made], strict=True):
                    answers[at + k] = v
        return answers


def common_type(a: Variable, b: Variable) -> tuple[Variable, Variable]:
    """Both with the marks of length 1 that both have; TypeError for other differences."""
    first, second = a.type, b.type
    if (
        not isinstance(first, TensorType)
        or not isinstance(second, TensorType)
        or first.dtype != second.dtype
        or first.ndim != second.ndim
    ):
        raise TypeError(
            f"ifelse: the two branches must have the same types, got {describe(a)} and "
            f"{describe(b)}{here()}"
        )
    pairs = zip(first.broadcastable, second.broadcastable, strict=True)
    marks = tuple(x and y for x, y in pairs)
    return restrict_pattern(a, marks), restrict_pattern(b, marks)
