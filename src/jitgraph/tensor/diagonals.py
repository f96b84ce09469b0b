"""Diagonals and triangles of matrices, and products of batches of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import cast, ge, maximum, minimum, switch
from jitgraph.ops.extra import Assert, BatchedDot
from jitgraph.ops.reduce import normalise_axes, reduce_of
from jitgraph.ops.shape import Reshape, ShapeI, as_int_scalar, dimshuffle, shape_vector
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.basic import arange, zeros
from jitgraph.tensor.indexing import set_subtensor

__all__ = [
    "AllocDiag",
    "ExtractDiag",
    "batched_dot",
    "batched_tensordot",
    "diag",
    "diagonal",
    "fill_diagonal",
    "fill_diagonal_offset",
    "trace",
    "tri",
    "tril",
    "triu",
]


def tri(N: Any, M: Any = None, k: Any = 0, dtype: Any = None) -> Variable:
    """An N × M matrix of ones on and below diagonal k, zeros above; dtype None is floatX."""
    name = dtypes.check(dtype or "floatX")
    rows: Any = arange(as_int_scalar(N, "N of tri"))
    cols: Any = arange(as_int_scalar(N if M is None else M, "M of tri"))
    below = ge(dimshuffle(rows, 0, "x") + as_int_scalar(k, "k of tri"), dimshuffle(cols, "x", 0))
    return cast(below, name)


def _matrix(name: str, m: Any) -> Variable:
    m = as_tensor_variable(m)
    if m.type.ndim != 2:
        raise ValueError(f"{name} takes a matrix, got {describe(m)}{here()}")
    return m


def tril(m: Any, k: Any = 0) -> Variable:
    """The matrix m with zeros above diagonal k."""
    m = _matrix("tril", m)
    zero = np.zeros((), dtype=m.type.dtype)
    return switch(tri(ShapeI(0)(m), ShapeI(1)(m), k, "bool"), m, zero)


def triu(m: Any, k: Any = 0) -> Variable:
    """The matrix m with zeros below diagonal k."""
    m = _matrix("triu", m)
    zero = np.zeros((), dtype=m.type.dtype)
    below = tri(ShapeI(0)(m), ShapeI(1)(m), as_tensor_variable(k) - 1, "bool")  # type: ignore[operator]
    return switch(below, zero, m)


def _diagonal_index(rows: Any, cols: Any, offset: Any) -> tuple[Any, Any]:
    """Row and column numbers of diagonal `offset` of a rows × cols matrix."""
    k: Any = cast(as_int_scalar(offset, "the offset of a diagonal"), "int64")
    down, right = maximum(-k, np.int64(0)), maximum(k, np.int64(0))
    length = maximum(minimum(rows - down, cols - right), np.int64(0))
    steps: Any = arange(length)
    return steps + down, steps + right


def diagonal(a: Any, offset: Any = 0, axis1: int = 0, axis2: int = 1) -> Variable:
    """Diagonal `offset` of the matrices in axes axis1 and axis2; it becomes the last axis.

    Raises ValueError for fewer than two axes or equal ones.
    """
    a = as_tensor_variable(a)
    if a.type.ndim < 2:
        raise ValueError(f"diagonal of {describe(a)}: it needs two axes{here()}")
    first, second = (normalise_axes(int(x), a.type.ndim, "diagonal")[0] for x in (axis1, axis2))
    if first == second:
        raise ValueError(f"diagonal: axis1 and axis2 are both {first}{here()}")
    others = [i for i in range(a.type.ndim) if i not in (first, second)]
    moved: Any = dimshuffle(a, [*others, first, second])
    n = a.type.ndim
    rows, cols = _diagonal_index(ShapeI(n - 2)(moved), ShapeI(n - 1)(moved), offset)
    return moved[(Ellipsis, rows, cols)]


def diag(v: Any, k: Any = 0) -> Variable:
    """A vector: the matrix with it on diagonal k. More axes: diagonal k of the first two.

    Raises ValueError for a scalar.
    """
    v = as_tensor_variable(v)
    if v.type.ndim == 0:
        raise ValueError(f"diag of the scalar {describe(v)}{here()}")
    if v.type.ndim > 1:
        return diagonal(v, k)
    offset: Any = cast(as_int_scalar(k, "k of diag"), "int64")
    n: Any = ShapeI(0)(v) + abs(offset)
    rows, cols = _diagonal_index(n, n, offset)
    return set_subtensor(zeros([n, n], v.type.dtype)[rows, cols], v)  # type: ignore[index]


class AllocDiag:
    """`AllocDiag(offset)(v)`: the matrix with v on diagonal `offset`."""

    def __init__(self, offset: int = 0, axis1: int = 0, axis2: int = 1):
        if (axis1, axis2) != (0, 1):
            raise NotImplementedError(f"AllocDiag makes matrices, so its axes are 0 and 1{here()}")
        self.offset = offset

    def __call__(self, v: Any) -> Variable:
        v = as_tensor_variable(v)
        if v.type.ndim != 1:
            raise TypeError(f"AllocDiag takes a vector, got {describe(v)}{here()}")
        return diag(v, self.offset)


class ExtractDiag:
    """`ExtractDiag(offset, axis1, axis2)(a)`: `diagonal` as a copy; `view` changes nothing."""

    def __init__(self, offset: int = 0, axis1: int = 0, axis2: int = 1, view: bool = False):
        self.offset, self.axis1, self.axis2 = offset, axis1, axis2

    def __call__(self, a: Any) -> Variable:
        return diagonal(a, self.offset, self.axis1, self.axis2)


def trace(a: Any) -> Variable:
    """The sum of the main diagonal of a matrix."""
    return reduce_of("sum", diagonal(_matrix("trace", a)), None)


def fill_diagonal(a: Any, val: Any) -> Variable:
    """A copy of a with the scalar `val` on the main diagonal.

    More than two axes must have equal lengths (AssertionError at run time).
    """
    a = as_tensor_variable(a)
    val = as_tensor_variable(val)
    if a.type.ndim < 2:
        raise TypeError(f"fill_diagonal takes two or more axes, got {describe(a)}{here()}")
    if val.type.ndim:
        raise TypeError(f"fill_diagonal puts in a scalar, got {describe(val)}{here()}")
    lengths: list[Any] = [ShapeI(i)(a) for i in range(a.type.ndim)]
    steps: Any = arange(minimum(lengths[0], lengths[1]))
    if a.type.ndim > 2:
        from jitgraph.ops.arithmetic import eq

        same = [eq(n, lengths[0]) for n in lengths[1:]]
        a = Assert("fill_diagonal: all axes of the array need equal lengths")(a, *same)
    return set_subtensor(a[(steps,) * a.type.ndim], val)  # type: ignore[index]


def fill_diagonal_offset(a: Any, val: Any, offset: Any) -> Variable:
    """A copy of the matrix a with the scalar `val` on diagonal `offset`."""
    a, val = as_tensor_variable(a), as_tensor_variable(val)
    if a.type.ndim != 2:
        raise TypeError(f"fill_diagonal_offset takes a matrix, got {describe(a)}{here()}")
    if val.type.ndim:
        raise TypeError(f"fill_diagonal_offset puts in a scalar, got {describe(val)}{here()}")
    rows, cols = _diagonal_index(ShapeI(0)(a), ShapeI(1)(a), offset)
    return set_subtensor(a[rows, cols], val)  # type: ignore[index]


def batched_dot(a: Any, b: Any) -> Variable:
    """dot(a[i], b[i]) for every i: products of matrices and vectors in batches.

    One axis: a plain product with the entries of the batch. Raises TypeError for a scalar,
    ValueError at run time if the batches or the inner lengths differ.
    """
    x, y = as_tensor_variable(a), as_tensor_variable(b)
    if x.type.ndim == 0 or y.type.ndim == 0:
        raise TypeError(f"batched_dot needs a batch axis: {describe(x)} and {describe(y)}{here()}")
    if x.type.ndim == 1:
        return dimshuffle(x, 0, *["x"] * (y.type.ndim - 1)) * y  # type: ignore[operator]
    if y.type.ndim == 1:
        return x * dimshuffle(y, 0, *["x"] * (x.type.ndim - 1))  # type: ignore[operator]
    if x.type.ndim > 3 or y.type.ndim > 3:
        return batched_tensordot(x, y, [[x.type.ndim - 1], [max(1, y.type.ndim - 2)]])
    return BatchedDot()(x, y)


def batched_tensordot(x: Any, y: Any, axes: Any = 2) -> Variable:
    """tensordot(x[i], y[i]) for every i.

    axes: an int n (the last n of x with the first n after the batch axis of y), or two lists of
    axis numbers, the batch axis 0 not among them.
    """
    x, y = as_tensor_variable(x), as_tensor_variable(y)
    left, right = _paired_axes(x.type.ndim, y.type.ndim, axes)
    keep_x = [i for i in range(1, x.type.ndim) if i not in left]
    keep_y = [i for i in range(1, y.type.ndim) if i not in right]

    def collapsed(v: Variable, groups: list[list[int]]) -> Variable:
        lengths: list[Any] = [ShapeI(0)(v)]
        for group in groups:
            total: Any = np.int64(1)
            for i in group:
                total = total * ShapeI(i)(v)
            lengths.append(total)
        order = [0, *groups[0], *groups[1]]
        return Reshape(3)(dimshuffle(v, order), shape_vector(lengths))

    product = BatchedDot()(collapsed(x, [keep_x, left]), collapsed(y, [right, keep_y]))
    lengths = [ShapeI(i)(x) for i in [0, *keep_x]] + [ShapeI(i)(y) for i in keep_y]
    return Reshape(len(lengths))(product, shape_vector(lengths))


def _paired_axes(nx: int, ny: int, axes: Any) -> tuple[list[int], list[int]]:
    if isinstance(axes, (int, np.integer)):
        n = int(axes)
        if not 0 <= n < min(nx, ny):
            raise ValueError(
                f"batched_tensordot: cannot sum over {n} axes of {nx - 1} and {ny - 1}{here()}"
            )
        return list(range(nx - n, nx)), list(range(1, n + 1))
    left, right = ([int(i) for i in np.atleast_1d(a)] for a in axes)
    if len(left) != len(right):
        raise ValueError(
            f"batched_tensordot: {len(left)} axes cannot be paired with {len(right)}{here()}"
        )
    for listed, n in ((left, nx), (right, ny)):
        if any(not -n <= i < n or i % n == 0 for i in listed):
            raise ValueError(f"batched_tensordot: axes {listed} of {n} with batch axis 0{here()}")
    return [i % nx for i in left], [i % ny for i in right]
