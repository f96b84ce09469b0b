"""Identities that act on the gradient alone, and the answers of an op that has no gradient.

Each op here returns its first input unchanged (`forwards`), so a rewriter may replace the
output by that input, but only in a graph that will not be differentiated any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from jitgraph.graph import Apply, Constant, Variable, format_origin
from jitgraph.op import DISCONNECTED, Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops.arithmetic import cast, clip
from jitgraph.ops.elementwise import zeros_for
from jitgraph.ops.values import as_tensor_variable

__all__ = [
    "ConsiderConstant",
    "DisconnectedGrad",
    "GradClip",
    "GradScale",
    "GradientMark",
    "UndefinedGrad",
    "ZeroGrad",
    "consider_constant",
    "disconnected_grad",
    "grad_clip",
    "grad_not_implemented",
    "grad_scale",
    "grad_undefined",
    "undefined_grad",
    "zero_grad",
]


class GradientMark(Op):
    """The first input itself; further inputs are scalars that only the gradient reads."""

    # The output is exactly inputs[0].
    forwards: ClassVar[bool] = True
    parameters: ClassVar[tuple[str, ...]] = ()

    def make_node(self, x: Any, *scalars: Any) -> Apply:
        x = as_tensor_variable(x)
        if len(scalars) != len(self.parameters):
            raise TypeError(f"{self.name} takes x and {', '.join(self.parameters)}{here()}")
        values = [as_tensor_variable(s) for s in scalars]
        for label, v in zip(self.parameters, values, strict=True):
            if v.type.ndim:
                raise TypeError(f"{self.name}: {label} must be a scalar, got {describe(v)}{here()}")
        return Apply(self, [x, *values], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (arrays[0].copy(),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True]] + [[False]] * len(self.parameters)

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        rest: list[Gradient] = [DISCONNECTED] * len(self.parameters)
        if isinstance(g, (Disconnected, Undefined)):
            return [g, *rest]
        return [self.passed(g, inputs), *rest]

    def passed(self, g: Variable, inputs: Sequence[Variable]) -> Gradient:
        """What becomes of the gradient `g` on its way to inputs[0]."""
        raise NotImplementedError


class GradClip(GradientMark):
    """Identity whose gradient is kept within [lo, hi]."""

    parameters = ("lo", "hi")

    def passed(self, g: Variable, inputs: Sequence[Variable]) -> Gradient:
        lo, hi = (cast(v, g.type.dtype) for v in inputs[1:])
        return clip(g, lo, hi)


class GradScale(GradientMark):
    """Identity whose gradient is multiplied by a number."""

    parameters = ("multiplier",)

    def passed(self, g: Variable, inputs: Sequence[Variable]) -> Gradient:
        return g * cast(inputs[1], g.type.dtype)  # type: ignore[operator]


class ZeroGrad(GradientMark):
    """Identity whose gradient is zero."""

    def passed(self, g: Variable, inputs: Sequence[Variable]) -> Gradient:
        return zeros_for(inputs[0])


class ConsiderConstant(ZeroGrad):
    """ZeroGrad under its older name."""


class DisconnectedGrad(GradientMark):
    """Identity that no gradient passes: its input does not count as connected."""

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False]]

    def passed(self, g: Variable, inputs: Sequence[Variable]) -> Gradient:
        return DISCONNECTED


class UndefinedGrad(GradientMark):
    """Identity whose gradient is declared undefined: asking for it is an error."""

    def passed(self, g: Variable, inputs: Sequence[Variable]) -> Gradient:
        return grad_undefined(self, 0, inputs[0], "undefined_grad forbids a gradient here")


def grad_clip(x: Any, lower_bound: Any, upper_bound: Any) -> Variable:
    """x itself; the gradient that flows back through it is kept within the bounds.

    The bounds are scalars (numbers or 0-d variables); lower > upper is a ValueError where
    both are numbers. Shape and dtype are those of x.

    >>> z = T.grad(grad_clip(x, -1, 1) ** 2, x)      # at x = 2: 1, not 4
    """
    bounds = [as_tensor_variable(b) for b in (lower_bound, upper_bound)]
    known = [b.data for b in bounds if isinstance(b, Constant) and not b.type.ndim]
    if len(known) == 2 and not known[0] <= known[1]:
        raise ValueError(f"grad_clip: lower bound {known[0]} above upper bound {known[1]}{here()}")
    return GradClip()(x, *bounds)


def grad_scale(x: Any, multiplier: Any) -> Variable:
    """x itself; the gradient that flows back through it is multiplied by a scalar.

    A negative multiplier reverses the gradient (Ganin & Lempitsky 2015).
    """
    return GradScale()(x, multiplier)


def zero_grad(x: Any) -> Variable:
    """x itself, with gradient zero. Unlike `disconnected_grad`, x counts as connected."""
    return ZeroGrad()(x)


def consider_constant(x: Any) -> Variable:
    """x itself, taken as a constant by the gradient: as `zero_grad`."""
    return ConsiderConstant()(x)


def disconnected_grad(x: Any) -> Variable:
    """x itself; what x was made of does not count as connected to what is made of the result."""
    return DisconnectedGrad()(x)


def undefined_grad(x: Any) -> Variable:
    """x itself; a gradient through it raises NullTypeGradError."""
    return UndefinedGrad()(x)


def grad_undefined(op: Any, x_pos: int, x: Variable, comment: str = "") -> Undefined:
    """What `grad` of an op returns for input number `x_pos` if there mathematically is none."""
    return Undefined(_reason("is undefined", op, x_pos, x, comment))


def grad_not_implemented(op: Any, x_pos: int, x: Variable, comment: str = "") -> Undefined:
    """What `grad` of an op returns for input number `x_pos` if nobody has written it yet."""
    return Undefined(_reason("is not implemented", op, x_pos, x, comment))


def _reason(verdict: str, op: Any, x_pos: int, x: Variable, comment: str) -> str:
    places = x.owner.origins if x.owner is not None else x.origins
    made = f", made at {format_origin(places)}" if places else ""
    why = f": {comment}" if comment else ""
    return (
        f"the gradient of {op} with respect to input {x_pos} ({describe(x)}{made}) {verdict}{why}"
    )
