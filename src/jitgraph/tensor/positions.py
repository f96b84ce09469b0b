"""Where elements are: positions of nonzero elements, places to insert, grids of indices."""

from __future__ import annotations

from typing import Any

from jitgraph import dtypes
from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.extra import (
    Bincount,
    Nonzero,
    RavelMultiIndex,
    SearchSorted,
    UnravelIndex,
)
from jitgraph.ops.join import stack
from jitgraph.ops.shape import ShapeI, dimshuffle, shape_vector
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.basic import alloc, arange, flatten, get_vector_length, zeros
from jitgraph.tensor.indexing import set_subtensor

__all__ = [
    "bincount",
    "flatnonzero",
    "mgrid",
    "nonzero",
    "nonzero_values",
    "ogrid",
    "ravel_multi_index",
    "searchsorted",
    "to_one_hot",
    "unravel_index",
]


def nonzero(a: Any, return_matrix: bool = False) -> Any:
    """The positions of the elements that are not 0: one int64 vector an axis, usable as an index.

    return_matrix: the vectors as the rows of one matrix. Raises ValueError for a scalar.
    """
    found = Nonzero()(a)
    return stack(found) if return_matrix else tuple(found)


def flatnonzero(a: Any) -> Variable:
    """The positions of the elements of the flattened array that are not 0."""
    a = as_tensor_variable(a)
    if not a.type.ndim:
        raise ValueError(f"flatnonzero of the scalar {describe(a)}{here()}")
    return Nonzero()(flatten(a))[0]


def nonzero_values(a: Any) -> Variable:
    """The elements of a that are not 0, as a vector."""
    a = as_tensor_variable(a)
    return flatten(a)[flatnonzero(a)]  # type: ignore[index]


def searchsorted(x: Any, v: Any, side: str = "left", sorter: Any = None) -> Variable:
    """Where v would be inserted in the sorted vector x (int64, shape of v).

    side: before ('left') or after ('right') equal elements; sorter: positions that sort x.
    """
    return SearchSorted(side)(x, v, *(() if sorter is None else (sorter,)))


def bincount(
    x: Any, weights: Any = None, minlength: Any = None, assert_nonneg: bool = False
) -> Variable:
    """How often each of 0, 1, 2, … occurs in the integer vector x: an int64 vector.

    With weights, the sum of those of each number, in their dtype. `minlength`: the least length.
    Raises TypeError unless x is a vector of integers up to int64, ValueError at run time for a
    negative number.
    """
    x = as_tensor_variable(x)
    if x.type.ndim != 1:
        raise TypeError(f"bincount takes a vector, got {describe(x)}{here()}")
    if x.type.dtype not in dtypes.DISCRETE - {"uint64"}:
        raise TypeError(f"bincount takes integers up to int64, got {describe(x)}{here()}")
    return Bincount()(
        cast(x, "int64"),
        0 if minlength is None else minlength,
        *(() if weights is None else (weights,)),
    )


def to_one_hot(y: Any, nb_class: Any, dtype: Any = None) -> Variable:
    """A matrix with a row for each class number of y: 1 at the number, 0 elsewhere.

    dtype None is floatX. Raises IndexError at run time for a number beyond nb_class.
    """
    y = as_tensor_variable(y)
    n = ShapeI(0)(y)
    blank: Any = zeros([n, nb_class], dtype)
    return set_subtensor(blank[arange(n), y], 1)


def unravel_index(
    indices: Any, dims: Any, order: str = "C", ndim: int | None = None
) -> tuple[Variable, ...]:
    """The coordinates, one int64 array an axis, of positions in a flattened array of shape dims."""
    dims = shape_vector(dims)
    n = get_vector_length(dims) if ndim is None else ndim
    return tuple(UnravelIndex(order, n)(indices, dims))


def ravel_multi_index(
    multi_index: Any, dims: Any, mode: str = "raise", order: str = "C"
) -> Variable:
    """The int64 positions in a flattened array of shape dims of coordinates (an array an axis)."""
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"ravel_multi_index: mode {mode!r} is unknown{here()}")
    return RavelMultiIndex(mode, order)(*multi_index, shape_vector(dims))


class _Grid:
    """`mgrid[a:b, c:d]`, `ogrid[a:b, c:d]`: the coordinates of a rectangular grid, a list.

    Slices take numbers or scalars; complex steps (numbers of points) are not supported.
    """

    def __init__(self, sparse: bool):
        self.sparse = sparse

    def __getitem__(self, key: Any) -> list[Variable]:
        slices = key if isinstance(key, tuple) else (key,)
        n = len(slices)
        axes: list[Any] = []
        for i, s in enumerate(slices):
            if not isinstance(s, slice) or s.stop is None:
                raise TypeError(f"a grid is made of slices with an end, got {s!r}{here()}")
            if isinstance(s.step, complex):
                raise NotImplementedError(f"complex steps of a grid{here()}")
            start, step = (0 if s.start is None else s.start), (1 if s.step is None else s.step)
            line = arange(start, s.stop, step)
            axes.append(dimshuffle(line, ["x"] * i + [0] + ["x"] * (n - i - 1)))
        if self.sparse:
            return axes
        lengths = [ShapeI(i)(a) for i, a in enumerate(axes)]
        return [alloc(a, *lengths) for a in axes]


mgrid = _Grid(sparse=False)
ogrid = _Grid(sparse=True)
