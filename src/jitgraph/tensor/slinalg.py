"""Linear algebra that Theano takes from SciPy; what NumPy can do of it."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.decompositions import Cholesky, Solve
from jitgraph.ops.shape import Reshape, ShapeI, dimshuffle, shape_vector
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.diagonals import tril, triu

__all__ = [
    "Cholesky",
    "Solve",
    "cholesky",
    "kron",
    "solve",
    "solve_lower_triangular",
    "solve_upper_triangular",
]

cholesky = Cholesky()
solve = Solve()


def solve_lower_triangular(a: Any, b: Any) -> Variable:
    """x with L x = b, where L is the lower triangle of a."""
    return solve(tril(a), b)


def solve_upper_triangular(a: Any, b: Any) -> Variable:
    """x with U x = b, where U is the upper triangle of a."""
    return solve(triu(a), b)


def kron(a: Any, b: Any) -> Variable:
    """The Kronecker product of two matrices; TypeError for other ranks."""
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    if a.type.ndim != 2 or b.type.ndim != 2:
        raise TypeError(f"kron takes two matrices, got {describe(a)} and {describe(b)}{here()}")
    blocks = dimshuffle(a, 0, "x", 1, "x") * dimshuffle(b, "x", 0, "x", 1)  # type: ignore[operator]
    lengths: list[Any] = [ShapeI(i)(a) * ShapeI(i)(b) for i in range(2)]  # type: ignore[operator]
    return Reshape(2)(blocks, shape_vector(lengths))
