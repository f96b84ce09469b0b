"""Linear algebra that NumPy computes, under the module name that Theano gives it."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import abs_, sqr
from jitgraph.ops.decompositions import Decomposition, Det, Eigh, MatrixInverse, matrix
from jitgraph.ops.linalg import dot
from jitgraph.ops.math import sqrt
from jitgraph.ops.reduce import reduce_of
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.diagonals import AllocDiag, ExtractDiag, diag, trace

__all__ = [
    "AllocDiag",
    "ExtractDiag",
    "MatrixInverse",
    "det",
    "diag",
    "eigh",
    "matrix_dot",
    "matrix_inverse",
    "matrix_power",
    "norm",
    "pinv",
    "qr",
    "svd",
    "trace",
]

matrix_inverse = MatrixInverse()
det = Det()


def pinv(a: Any) -> Variable:
    """The Moore-Penrose inverse of a matrix; no gradient."""
    return Decomposition("pinv")(a)


def eigh(a: Any, UPLO: str = "L") -> list[Variable]:
    """[eigenvalues ascending, eigenvectors in columns] of a symmetric matrix."""
    return Eigh(UPLO)(a)


def svd(a: Any, full_matrices: int = 1, compute_uv: int = 1) -> Any:
    """[U, s, Vᵀ] of a matrix, or s alone; no gradient."""
    return (
        Decomposition("svd", bool(full_matrices))(a)
        if compute_uv
        else Decomposition("svd_values")(a)
    )


def qr(a: Any, mode: str = "reduced") -> list[Variable]:
    """[Q, R] of a matrix, mode 'reduced' or 'complete'; no gradient."""
    if mode not in ("reduced", "complete"):
        raise NotImplementedError(f"qr: mode is 'reduced' or 'complete', not {mode!r}{here()}")
    return Decomposition("qr", mode == "complete")(a)


def matrix_dot(*args: Any) -> Variable:
    """The product of matrices, from left to right."""
    result = as_tensor_variable(args[0])
    for other in args[1:]:
        result = dot(result, other)
    return result


def matrix_power(M: Any, n: int) -> Any:
    """The n-th power of a square matrix, n >= 0, by repeated squaring; n = 0 gives the identity."""
    if n < 0:
        raise ValueError(f"matrix_power: n={n} is negative{here()}")
    power, result = matrix("matrix_power", M), None
    while n:
        if n & 1:
            result = power if result is None else dot(result, power)
        power, n = dot(power, power), n >> 1
    if result is None:
        from jitgraph.tensor.basic import identity_like

        return identity_like(M)
    return result


def norm(x: Any, ord: Any) -> Variable:
    """The norm of a vector or matrix.

    ord: None or 'fro' the root of the sum of squares; for a vector 'inf', '-inf', 0 (how many are
    not zero) or a number p; for a matrix 'inf', '-inf' (sums of rows), 1, -1 (sums of columns).
    Raises ValueError for another ord, NotImplementedError for more than two axes.
    """
    x = as_tensor_variable(x)
    if x.type.ndim not in (1, 2):
        raise NotImplementedError(f"norm of {describe(x)}{here()}")
    if ord is None or ord == "fro":
        return sqrt(reduce_of("sum", sqr(x)))
    size: Any = abs_(x)
    if x.type.ndim == 1:
        if ord in ("inf", "-inf"):
            return reduce_of("max" if ord == "inf" else "min", size)
        if ord == 0:
            from jitgraph.ops.arithmetic import neq

            return reduce_of("sum", neq(x, 0))
        if isinstance(ord, (int, float)):
            return reduce_of("sum", size**ord) ** (1.0 / ord)
    elif ord in ("inf", "-inf", 1, -1):
        sums = reduce_of("sum", size, 1 if ord in ("inf", "-inf") else 0)
        return reduce_of("max" if ord in ("inf", 1) else "min", sums)
    raise ValueError(f"norm: ord={ord!r} of {describe(x)}{here()}")
