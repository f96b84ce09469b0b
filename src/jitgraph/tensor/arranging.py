"""Arrays made of the elements of others: repeated, shifted, split, stacked and picked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import maximum, minimum, mod
from jitgraph.ops.extra import RepeatIndex, Split
from jitgraph.ops.join import concatenate, join, stack
from jitgraph.ops.reduce import normalise_axes
from jitgraph.ops.shape import (
    Alloc,
    Reshape,
    ShapeI,
    as_int_scalar,
    dimshuffle,
    restrict_pattern,
    shape_entries,
    shape_vector,
)
from jitgraph.ops.sorting import ArgSort, TakeAlong
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.basic import arange, flatten, get_vector_length

__all__ = [
    "choose",
    "compress",
    "horizontal_stack",
    "inverse_permutation",
    "permute_row_elements",
    "repeat",
    "roll",
    "split",
    "stacklists",
    "take",
    "tile",
    "vertical_stack",
]


def _axis(name: str, axis: Any, x: Variable) -> int:
    return normalise_axes(int(axis), x.type.ndim, name)[0]


def tile(x: Any, reps: Any, ndim: int | None = None) -> Variable:
    """x laid side by side `reps` times along each axis, as np.tile.

    reps: an int, a list or tuple of ints and integer scalars, or an integer vector of known
    length (or `ndim` says it). `ndim` adds leading ones to reps. Raises TypeError for repeats
    that are no integers, ValueError if ndim is less than the length of reps.
    """
    x = as_tensor_variable(x)
    counts = _repeats(reps, ndim)
    if ndim is not None and ndim < len(counts):
        raise ValueError(f"tile: ndim={ndim} is less than the {len(counts)} repeats{here()}")
    n = max(len(counts), x.type.ndim, ndim or 0)
    counts = [1] * (n - len(counts)) + counts
    x = dimshuffle(x, ["x"] * (n - x.type.ndim) + list(range(x.type.ndim)))
    once = [1 if b else ShapeI(i)(x) for i, b in enumerate(x.type.broadcastable)]
    # Each axis becomes (repeat, position); merging the two gives the repeated axis.
    pairs = dimshuffle(x, [o for i in range(n) for o in ("x", i)])
    wide = Alloc()(pairs, *(v for pair in zip(counts, once, strict=True) for v in pair))
    merged = [
        b if isinstance(a, int) and a == 1 else a * b for a, b in zip(counts, once, strict=True)
    ]
    return Reshape(n)(wide, shape_vector(merged))


def _repeats(reps: Any, ndim: int | None) -> list[Any]:
    if isinstance(reps, np.ndarray):
        reps = reps.tolist()
    if isinstance(reps, Variable) and reps.type.ndim == 1:
        if reps.type.dtype not in dtypes.INTEGERS:
            raise TypeError(f"tile: repeats are integers, got {describe(reps)}{here()}")
        try:
            length = get_vector_length(reps)
        except ValueError:
            if ndim is None:
                raise ValueError(
                    f"tile: the length of {describe(reps)} is not known; pass ndim{here()}"
                ) from None
            length = ndim
        return list(shape_entries(reps, length) or [])
    if isinstance(reps, Variable) and reps.type.ndim > 1:
        raise ValueError(f"tile: repeats are a vector, got {describe(reps)}{here()}")
    entries = reps if isinstance(reps, (list, tuple)) else [reps]
    return [
        int(r)
        if isinstance(r, (int, np.integer)) and not isinstance(r, bool)
        else as_int_scalar(r, "a repeat of tile")
        for r in entries
    ]


def repeat(x: Any, repeats: Any, axis: Any = None) -> Variable:
    """Each element of x along `axis` (None: flattened) `repeats` times in a row.

    repeats: an integer scalar, or a vector with one number for each element. Raises TypeError
    for repeats that are no integers or uint64, ValueError at run time for negative ones and for
    a vector of another length than the axis.
    """
    x = as_tensor_variable(x)
    n = as_tensor_variable(repeats)
    if n.type.dtype not in dtypes.INTEGERS - {"uint64"}:
        raise TypeError(f"repeat: repeats are integers up to int64, got {describe(n)}{here()}")
    if n.type.ndim > 1:
        raise TypeError(f"repeat: repeats are a scalar or a vector, got {describe(n)}{here()}")
    if axis is None:
        x, axis = flatten(x), 0
    at = _axis("repeat", axis, x)
    if n.type.ndim == 1 and not n.type.broadcastable[0]:
        index = RepeatIndex()(n, ShapeI(at)(x))
        return x[(slice(None),) * at + (index,)]  # type: ignore[index]
    count = n if n.type.ndim == 0 else n[0]  # type: ignore[index]
    order: list[Any] = [*range(at + 1), "x", *range(at + 1, x.type.ndim)]
    lengths: list[Any] = [ShapeI(i)(x) for i in range(x.type.ndim)]
    wide = Alloc()(dimshuffle(x, order), *lengths[: at + 1], count, *lengths[at + 1 :])
    marks = [b and i != at for i, b in enumerate(x.type.broadcastable)]
    lengths[at] = lengths[at] * count
    return restrict_pattern(Reshape(x.type.ndim)(wide, shape_vector(lengths)), marks)


def roll(x: Any, shift: Any, axis: Any = None) -> Variable:
    """x with the elements moved `shift` places along `axis`, those beyond the end put in front.

    axis None: moved in the flattened array. shift: an integer scalar of any size and sign.
    """
    x = as_tensor_variable(x)
    if axis is None:
        flat = roll(flatten(x), shift, 0)
        lengths = [ShapeI(i)(x) for i in range(x.type.ndim)]
        back = Reshape(x.type.ndim)(flat, shape_vector(lengths))
        return restrict_pattern(back, x.type.broadcastable)
    at = _axis("roll", axis, x)
    if x.type.broadcastable[at]:
        return x
    n: Any = ShapeI(at)(x)
    amount = as_int_scalar(shift, "the shift of roll")
    cut = n - mod(amount, maximum(n, np.int64(1)))
    whole = (slice(None),) * at
    front, rest = x[(*whole, slice(cut, None))], x[(*whole, slice(None, cut))]  # type: ignore[index]
    return restrict_pattern(join(at, front, rest), x.type.broadcastable)


def split(x: Any, splits_size: Any, n_splits: int, axis: Any = 0) -> list[Variable]:
    """`n_splits` consecutive parts of x along `axis`, with the lengths `splits_size`.

    Raises ValueError at run time if the lengths do not sum to that of the axis or one is negative.
    """
    x = as_tensor_variable(x)
    if isinstance(n_splits, bool) or not isinstance(n_splits, (int, np.integer)) or n_splits < 1:
        raise TypeError(f"split: n_splits is a positive Python int, got {n_splits!r}{here()}")
    sizes = as_tensor_variable(splits_size)
    if sizes.type.ndim != 1 or sizes.type.dtype not in dtypes.INTEGERS:
        raise TypeError(f"split: the sizes are an integer vector, got {describe(sizes)}{here()}")
    return Split(_axis("split", axis, x), int(n_splits))(x, sizes)


def stacklists(arg: Any) -> Variable:
    """Nested lists of scalars and tensors as one tensor, the outer list along the first axis."""
    if isinstance(arg, (list, tuple)):
        return stack([stacklists(a) for a in arg])
    return as_tensor_variable(arg)


def _matrices(name: str, args: Sequence[Any]) -> list[Variable]:
    assert len(args) >= 2, f"{name} joins two or more matrices, got {len(args)}{here()}"
    variables = [as_tensor_variable(a) for a in args]
    for v in variables:
        assert v.type.ndim == 2, f"{name} joins matrices, got {describe(v)}{here()}"
    return variables


def horizontal_stack(*args: Any) -> Variable:
    """Matrices side by side. AssertionError for fewer than two, or anything but matrices."""
    return concatenate(_matrices("horizontal_stack", args), axis=1)


def vertical_stack(*args: Any) -> Variable:
    """Matrices one above another. AssertionError for fewer than two, or anything but matrices."""
    return concatenate(_matrices("vertical_stack", args), axis=0)


def take(a: Any, indices: Any, axis: Any = None, mode: str = "raise") -> Variable:
    """The elements of a at the integer `indices` along `axis` (None: flattened).

    mode: what an index beyond the axis does: 'raise' IndexError at run time, 'clip' the nearest
    valid index, 'wrap' modulo the length.
    """
    a = as_tensor_variable(a)
    index: Any = as_tensor_variable(indices)
    if index.type.dtype not in dtypes.INTEGERS:
        raise TypeError(f"take: the indices are integers, got {describe(index)}{here()}")
    if mode not in ("raise", "clip", "wrap"):
        raise ValueError(f"take: mode is 'raise', 'clip' or 'wrap', not {mode!r}{here()}")
    if axis is None:
        a, axis = flatten(a), 0
    at = _axis("take", axis, a)
    length: Any = ShapeI(at)(a)
    if mode == "clip":
        index = minimum(maximum(index, np.int64(0)), length - 1)
    elif mode == "wrap":
        index = mod(index, length)
    return a[(slice(None),) * at + (index,)]  # type: ignore[index]


def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Variable:
    """Element by element, choices[a]: a list of arrays or one array with a first axis of choices.

    All broadcast together; mode as in `take`. Raises TypeError if `out` is given.
    """
    if out is not None:
        raise TypeError(
            f"choose: out is not supported; a function never writes its arguments{here()}"
        )
    index: Any = as_tensor_variable(a)
    if index.type.dtype not in dtypes.DISCRETE:
        raise TypeError(f"choose: the first argument holds integers, got {describe(index)}{here()}")
    index = index + np.int64(0)
    table: Any = stack(list(choices)) if isinstance(choices, (list, tuple)) else choices
    table = as_tensor_variable(table)
    n = max(index.type.ndim, table.type.ndim - 1)
    index = dimshuffle(index, ["x"] * (n - index.type.ndim) + list(range(index.type.ndim)))
    padding = ["x"] * (n - table.type.ndim + 1)
    table = dimshuffle(table, [0, *padding, *range(1, table.type.ndim)])
    length: Any = ShapeI(0)(table)
    if mode == "clip":
        index = minimum(maximum(index, np.int64(0)), length - 1)
    elif mode == "wrap":
        index = mod(index, length)
    elif mode != "raise":
        raise ValueError(f"choose: mode is 'raise', 'clip' or 'wrap', not {mode!r}{here()}")
    places = [_places(index, table, i, n) for i in range(n)]
    return table[(index, *places)]


def _places(index: Any, table: Any, i: int, n: int) -> Any:
    """0, 1, 2, … along axis i of n axes, or a single 0 where the table has length 1 there."""
    length = 1 if table.type.broadcastable[i + 1] else ShapeI(i + 1)(table)
    return dimshuffle(arange(length), ["x"] * i + [0] + ["x"] * (n - i - 1))


def compress(condition: Any, x: Any, axis: Any = None) -> Variable:
    """The slices of x along `axis` (None: the elements) at the true entries of a vector."""
    from jitgraph.tensor.positions import flatnonzero

    return take(x, flatnonzero(condition), axis)


def permute_row_elements(x: Any, y: Any, inverse: Any = 0) -> Variable:
    """The rows of x (its last axis) in the order of y, or of the inverse permutation.

    y: an integer vector for all rows, or as many permutations as rows.
    """
    x, y = as_tensor_variable(x), as_tensor_variable(y)
    if y.type.dtype not in dtypes.INTEGERS:
        raise TypeError(f"a permutation holds integers, got {describe(y)}{here()}")
    if inverse:
        y = inverse_permutation(y)
    if y.type.ndim == 1:
        return x[(Ellipsis, y)]  # type: ignore[index]
    if x.type.ndim != y.type.ndim:
        raise TypeError(f"one permutation for each row: {describe(x)} and {describe(y)}{here()}")
    return TakeAlong(x.type.ndim - 1)(x, y)


def inverse_permutation(perm: Any) -> Variable:
    """The permutation that undoes `perm` (a vector, or one for each row)."""
    perm = as_tensor_variable(perm)
    return ArgSort(perm.type.ndim - 1, "stable")(perm)
