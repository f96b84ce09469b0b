"""Linear algebra that Theano takes from SciPy; what NumPy can do of it."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.decompositions import Cholesky, Eigh, Solve, transposed
from jitgraph.ops.matrix_functions import Expm
from jitgraph.ops.shape import Reshape, ShapeI, dimshuffle, shape_vector
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.diagonals import tril, triu

__all__ = [
    "Cholesky",
    "Expm",
    "Solve",
    "cholesky",
    "eigvalsh",
    "expm",
    "kron",
    "solve",
    "solve_lower_triangular",
    "solve_upper_triangular",
]

cholesky = Cholesky()
solve = Solve()
expm = Expm()


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


def eigvalsh(a: Any, b: Any = None, lower: bool = True) -> Variable:
    """The eigenvalues w, ascending, of a x = w b x (b None: the identity).

    a is symmetric, b symmetric and positive definite (else LinAlgError at run time); only the
    `lower` triangle of both is read, or the upper one.
    """
    uplo = "L" if lower else "U"
    if b is None:
        return Eigh(uplo)(a)[0]
    symmetric: list[Any] = []
    for x in (a, b):
        half = tril(x) if lower else transposed(triu(x))
        symmetric.append(half + transposed(tril(half, -1)))
    factor = cholesky(symmetric[1])
    half = solve(factor, symmetric[0])  # L⁻¹ a, then L⁻¹ a L⁻ᵀ has the same eigenvalues
    return Eigh("L")(solve(factor, transposed(half)))[0]
