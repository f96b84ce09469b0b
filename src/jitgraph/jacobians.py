"""Matrices of derivatives, row by row: one loop whose step is a reverse sweep.

The sweep is built once, for a vector u in place of the row of the identity; what does not depend
on u is computed before the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph.graph import Variable, rebuild
from jitgraph.op import describe, here, without_test_values
from jitgraph.ops.elementwise import FILL
from jitgraph.ops.index import IncSubtensor
from jitgraph.ops.shape import ARange, ShapeI

__all__ = ["hessian", "jacobian"]


def jacobian(
    expression: Variable,
    wrt: Any,
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The derivatives of every element of `expression`, a vector or scalar.

    For a vector of length n and a variable of shape s the result has shape (n, *s); for a scalar
    it is the gradient. Returned in the form of `wrt`; the further arguments are those of `grad`.
    Raises AssertionError for an expression with more axes.
    """
    from jitgraph.gradient import format_as, grad

    if not isinstance(expression, Variable):
        raise AssertionError(f"jacobian takes a symbolic expression, got {expression!r}{here()}")
    if expression.type.ndim > 1:
        raise AssertionError(
            f"jacobian takes a vector or a scalar, got {describe(expression)}: flatten() it{here()}"
        )
    if not expression.type.ndim:
        return grad(expression, wrt, consider_constant, disconnected_inputs)
    with without_test_values():
        rows = _rows(expression, wrt, consider_constant, disconnected_inputs)
    return format_as(isinstance(wrt, list), isinstance(wrt, tuple), rows)


def hessian(
    cost: Variable,
    wrt: Any,
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The second derivatives of the scalar `cost` with respect to vectors: n x n matrices.

    Each variable by itself, no mixed ones; in the form of `wrt`. A gradient that does not depend
    on its variable has a Hessian of zeros. Raises AssertionError for a cost that is not 0-d and
    for variables that are no vectors.
    """
    from jitgraph.gradient import format_as, grad

    if not isinstance(cost, Variable) or cost.type.ndim:
        shown = describe(cost) if isinstance(cost, Variable) else repr(cost)
        raise AssertionError(f"hessian takes a scalar cost, got {shown}{here()}")
    targets = list(wrt) if isinstance(wrt, (list, tuple)) else [wrt]
    for v in targets:
        if not isinstance(v, Variable) or v.type.ndim != 1:
            shown = describe(v) if isinstance(v, Variable) else repr(v)
            raise AssertionError(f"hessian takes vectors as wrt, got {shown}{here()}")
    gradients = grad(cost, targets, consider_constant, disconnected_inputs)
    found = [
        _rows(g, v, consider_constant, "ignore")[0] for g, v in zip(gradients, targets, strict=True)
    ]
    return format_as(isinstance(wrt, list), isinstance(wrt, tuple), found)


def _rows(
    expression: Variable,
    wrt: Any,
    consider_constant: Sequence[Variable] | None,
    disconnected_inputs: str,
) -> list[Variable]:
    """For each of `wrt`, the gradients of the elements of the vector `expression`, stacked."""
    from jitgraph.gradient import Lop, dual
    from jitgraph.scan_module.loop import frozen_map

    u = dual(expression)
    targets = list(wrt) if isinstance(wrt, (list, tuple)) else [wrt]
    sweep = Lop(expression, targets, u, consider_constant, disconnected_inputs)
    zeros = FILL(expression, np.zeros((), u.type.dtype))

    def row(i: Variable) -> list[Variable]:
        unit = IncSubtensor(("i",), True)(zeros, np.ones((), u.type.dtype), i)
        return rebuild(sweep, {u: unit})

    count = ShapeI(0)(expression)
    return frozen_map(row, ARange("int64")(np.int64(0), count, np.int64(1)), "jacobian")
