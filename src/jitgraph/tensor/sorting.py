"""Sorting and the largest or smallest elements, with Theano's signatures."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import Variable
from jitgraph.op import here
from jitgraph.ops.reduce import normalise_axes
from jitgraph.ops.sorting import ArgSort, Sort, TopK
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.basic import flatten

__all__ = ["argsort", "argtopk", "sort", "topk", "topk_and_argtopk"]

KINDS = ("quicksort", "mergesort", "heapsort", "stable")


def _along(name: str, a: Any, axis: Any, kind: str, order: Any) -> tuple[Variable, int]:
    if order is not None:
        raise ValueError(f"{name}: order is for structured arrays, which do not exist here{here()}")
    if kind not in KINDS:
        raise ValueError(f"{name}: kind is one of {', '.join(KINDS)}, not {kind!r}{here()}")
    x = as_tensor_variable(a)
    if axis is None:
        return flatten(x), 0
    return x, normalise_axes(int(axis), x.type.ndim, name)[0]


def sort(a: Any, axis: Any = -1, kind: str = "quicksort", order: Any = None) -> Variable:
    """a in ascending order along `axis` (None: flattened), nan last.

    Raises ValueError for an axis that does not exist or an unknown kind.
    """
    x, axis = _along("sort", a, axis, kind, order)
    return Sort(axis, kind)(x)


def argsort(a: Any, axis: Any = -1, kind: str = "quicksort", order: Any = None) -> Variable:
    """The int64 positions that sort `a` along `axis` (None: flattened)."""
    x, axis = _along("argsort", a, axis, kind, order)
    return ArgSort(axis, kind)(x)


def topk_and_argtopk(
    x: Any, kth: Any, axis: Any = -1, sorted: bool = True, idx_dtype: Any = "int64"
) -> tuple[Variable, Variable]:
    """The `kth` largest elements along `axis`, and their positions; kth < 0: the smallest.

    The order is descending for the largest and ascending for the smallest, whether `sorted` or
    not. axis None: flattened. Raises ValueError for kth = 0, at run time if there are fewer.
    """
    x = as_tensor_variable(x)
    if axis is None:
        x, axis = flatten(x), 0
    if isinstance(kth, int) and kth == 0:
        raise ValueError(f"topk: kth is not 0{here()}")
    values, positions = TopK(normalise_axes(int(axis), x.type.ndim, "topk")[0], idx_dtype)(x, kth)
    return values, positions


def topk(
    x: Any, kth: Any, axis: Any = -1, sorted: bool = True, idx_dtype: Any = "int64"
) -> Variable:
    """The first result of `topk_and_argtopk`."""
    return topk_and_argtopk(x, kth, axis, sorted, idx_dtype)[0]


def argtopk(
    x: Any, kth: Any, axis: Any = -1, sorted: bool = True, idx_dtype: Any = "int64"
) -> Variable:
    """The second result of `topk_and_argtopk`, of dtype `idx_dtype`."""
    return topk_and_argtopk(x, kth, axis, sorted, idx_dtype)[1]
