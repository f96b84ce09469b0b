"""Writing results into arrays that the caller brings (`f(x, out=z)`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.runtime.program import CompiledStep, Program


def given_outputs(out: Any, returns: Any, n: int) -> list[np.ndarray | None]:
    """`out` as one array or None for each output.

    `out` has the form of the result: an array, a sequence, or a dict by the outputs' names; None
    leaves an output to the function. Raises TypeError for another form or what is no array.
    """
    if isinstance(returns, list):
        if not isinstance(out, dict):
            raise TypeError("out: a dict of arrays by the names of the outputs is needed")
        unknown = [k for k in out if k not in returns]
        if unknown:
            raise TypeError(f"out: there is no output {unknown[0]!r}")
        arrays = [out.get(name) for name in returns]
    elif returns == "one":
        arrays = [out]
    else:
        if not isinstance(out, (list, tuple)) or len(out) != n:
            raise TypeError(f"out: a sequence of {n} arrays (or None) is needed")
        arrays = list(out)
    for a in arrays:
        if a is not None and not isinstance(a, np.ndarray):
            raise TypeError(f"out: numpy.ndarray is needed, got {type(a).__name__}")
    return arrays


def check_outputs(arrays: Sequence[np.ndarray | None], types: Sequence[Any]) -> None:
    """Raise for an array that cannot hold its output, before anything is computed.

    TypeError for another dtype or number of axes, ValueError for one that must not be written to,
    that overlaps another or whose elements share memory with each other.
    """
    for k, (a, type_) in enumerate(zip(arrays, types, strict=True)):
        if a is None:
            continue
        if a.dtype != dtypes.NUMPY[type_.dtype] or a.ndim != type_.ndim:
            raise TypeError(
                f"out: output {k} is {type_.dtype} with {type_.ndim} axes, "
                f"the array is {a.dtype} with {a.ndim}"
            )
        if not a.flags.writeable:
            raise ValueError(f"out: the array for output {k} is read-only")
        if overlaps_itself(a):
            raise ValueError(f"out: elements of the array for output {k} share memory")
    given = [a for a in arrays if a is not None]
    for k, a in enumerate(given):
        if k and any(np.may_share_memory(a, b) for b in given[:k]):
            raise ValueError("out: two of the arrays share memory")


def overlaps_itself(a: np.ndarray) -> bool:
    """Whether two elements may lie on the same bytes.

    They do not where each stride leads past all that the axes with smaller ones reach, which is so
    for every view that slices, transposes or reshapes an array.
    """
    if a.flags.c_contiguous:
        return False
    reach = a.itemsize
    for stride, n in sorted((abs(s), n) for s, n in zip(a.strides, a.shape, strict=True) if n > 1):
        if stride < reach:
            return a.size > 0
        reach += stride * (n - 1)
    return False


def is_plain(a: np.ndarray) -> bool:
    """Whether compiled code can store into `a` as it does into its own arrays."""
    return type(a) is np.ndarray and a.flags.c_contiguous and a.flags.aligned and a.dtype.isnative


def run_into(
    program: Program, values: tuple[Any, ...], arrays: Sequence[np.ndarray | None]
) -> Sequence[Any]:
    """The program's outputs, those with an array stored in it.

    Compiled code writes to the array itself where that is safe; otherwise the result is computed
    apart and copied. Raises ValueError if the shapes differ; the arrays are then unchanged.
    """
    direct = program.direct
    apart = direct is None or any(
        not is_plain(a)
        or any(isinstance(v, np.ndarray) and np.may_share_memory(a, v) for v in values)
        for a in arrays
        if a is not None
    )
    if apart or direct is None:
        results = list(program.run(values))
        for k, a in enumerate(arrays):
            if a is not None:
                _same_shape(k, a, results[k].shape)
        for k, a in enumerate(arrays):
            if a is not None:
                a[...] = results[k]
                results[k] = a
        return results
    more: list[np.ndarray | None] = [None] * (len(direct.outputs) - len(arrays))
    ordered = values if program.order is None else program.order(values)
    return _store(direct, ordered, [*arrays, *more])


def _store(
    step: CompiledStep, args: tuple[Any, ...], arrays: Sequence[np.ndarray | None]
) -> tuple[np.ndarray, ...]:
    def outputs(shapes: Sequence[tuple[np.dtype, tuple[int, ...]]]) -> tuple[np.ndarray, ...]:
        for k, (a, (_, shape)) in enumerate(zip(arrays, shapes, strict=True)):
            if a is not None:
                _same_shape(k, a, shape)
        pairs = zip(arrays, shapes, strict=True)
        return tuple([step.new(k, *s) if a is None else a for k, (a, s) in enumerate(pairs)])

    whole: Any = None if any(a is None for a in arrays) else tuple(arrays)
    return step.run_with(args, outputs, whole)


def _same_shape(k: int, a: np.ndarray, shape: tuple[int, ...]) -> None:
    if a.shape != shape:
        raise ValueError(f"out: output {k} has shape {shape}, the array {a.shape}")
