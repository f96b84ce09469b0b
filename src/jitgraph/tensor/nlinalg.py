"""Linear algebra that NumPy computes, under the module name that Theano gives it."""

from __future__ import annotations

import functools
import operator
from typing import Any

from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import abs_, sqr
from jitgraph.ops.decompositions import Decomposition, Det, Eigh, MatrixInverse, Solve, matrix
from jitgraph.ops.linalg import dot
from jitgraph.ops.math import sqrt
from jitgraph.ops.matrix_functions import LeastSquares, PseudoInverse
from jitgraph.ops.reduce import reduce_of
from jitgraph.ops.shape import Reshape, ShapeI, dimshuffle, shape_vector
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.diagonals import AllocDiag, ExtractDiag, diag, trace

__all__ = [
    "AllocDiag",
    "ExtractDiag",
    "MatrixInverse",
    "det",
    "diag",
    "eigh",
    "lstsq",
    "matrix_dot",
    "matrix_inverse",
    "matrix_power",
    "norm",
    "pinv",
    "qr",
    "svd",
    "tensorinv",
    "tensorsolve",
    "trace",
]

matrix_inverse = MatrixInverse()
det = Det()
pinv = PseudoInverse()
lstsq = LeastSquares()


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


def tensorinv(a: Any, ind: int = 2) -> Variable:
    """The inverse of `a` under tensordot over `ind` axes.

    The first `ind` axes are the rows of a square matrix, the others its columns; the result has
    the columns' axes first. Raises ValueError unless 0 < ind < the number of axes.
    """
    a = as_tensor_variable(a)
    if not 0 < ind < a.type.ndim:
        raise ValueError(f"tensorinv: ind={ind} of {describe(a)}{here()}")
    lengths: list[Any] = [ShapeI(i)(a) for i in range(a.type.ndim)]
    rows, columns = lengths[:ind], lengths[ind:]
    flat = Reshape(2)(a, shape_vector([_product(rows), _product(columns)]))
    return Reshape(a.type.ndim)(matrix_inverse(flat), shape_vector([*columns, *rows]))


def tensorsolve(a: Any, b: Any, axes: Any = None) -> Variable:
    """x with tensordot(a, x, x.ndim) = b.

    `axes` of `a` are moved to its end first. Raises ValueError if `a` has no more axes than `b`.
    """
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    if a.type.ndim <= b.type.ndim:
        raise ValueError(f"tensorsolve of {describe(a)} and {describe(b)}{here()}")
    if axes is not None:
        last = [int(i) % a.type.ndim for i in axes]
        a = dimshuffle(a, [i for i in range(a.type.ndim) if i not in last] + last)
    lengths: list[Any] = [ShapeI(i)(a) for i in range(b.type.ndim, a.type.ndim)]
    n = _product([ShapeI(i)(b) for i in range(b.type.ndim)])
    flat = Reshape(2)(a, shape_vector([n, _product(lengths)]))
    x = Solve()(flat, Reshape(1)(b, shape_vector([n])))
    return Reshape(len(lengths))(x, shape_vector(lengths))


def _product(lengths: list[Any]) -> Any:
    return functools.reduce(operator.mul, lengths, 1)
