"""Reductions over axes: sum, prod, max, min, all, any, argmax and argmin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, TensorType, Variable
from jitgraph.op import DISCONNECTED, Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops.arithmetic import cast, eq, maximum, minimum, switch
from jitgraph.ops.elementwise import FILL, Elementwise, zeros_for
from jitgraph.ops.shape import dimshuffle
from jitgraph.ops.values import as_tensor_variable

__all__ = ["REDUCTIONS", "ArgReduce", "Reduce", "normalise_axes", "reduce_of", "sum_of"]

# bool and integers are summed and multiplied in 64 bits, float32 in float64.
_WIDE = (
    {"bool": "int64", "float32": "float64", "float64": "float64"}
    | {d: "int64" for d in dtypes.SIGNED}
    | {d: "uint64" for d in dtypes.UNSIGNED}
)
REDUCTIONS = ("sum", "prod", "max", "min", "all", "any")


def normalise_axes(axis: Any, ndim: int, name: str) -> tuple[int, ...]:
    """`axis` (None, int, list or tuple, negatives allowed) as sorted axis numbers.

    Raises ValueError for an axis that does not exist or appears twice, TypeError for anything
    but ints.
    """
    if axis is None:
        return tuple(range(ndim))
    if isinstance(axis, np.ndarray):
        axis = axis.tolist()
    axes = axis if isinstance(axis, (list, tuple)) else [axis]
    result = set()
    for a in axes:
        if isinstance(a, Constant):
            a = a.data[()]  # a constant variable
        if isinstance(a, bool) or not isinstance(a, (int, np.integer)):
            raise TypeError(f"{name}: axis must be an int or a list of ints, got {a!r}{here()}")
        if not -ndim <= a < ndim:
            raise ValueError(f"{name}: axis {a} does not exist in an array of {ndim} axes{here()}")
        if int(a) % ndim in result:
            raise ValueError(f"{name}: axis {a} appears twice{here()}")
        result.add(int(a) % ndim)
    return tuple(sorted(result))


def kept_shape(shape: Sequence[Any], axes: Sequence[int]) -> tuple[Any, ...]:
    return tuple(s for i, s in enumerate(shape) if i not in axes)


class Reduce(Op):
    """`kind` over `axes`; sum and prod accumulate in `acc_dtype` and return `dtype`.

    max and min of an empty axis are a ValueError; with `identity` (floats only) they are -inf and
    inf, as a shift by the maximum within a stable form of a sum of exponentials needs it.
    """

    __props__ = ("kind", "axes", "acc_dtype", "dtype", "identity")

    def __init__(
        self, kind: str, axes: Sequence[int], acc_dtype: str, dtype: str, identity: bool = False
    ):
        self.kind, self.axes, self.identity = kind, tuple(axes), identity
        self.acc_dtype, self.dtype = dtypes.check(acc_dtype), dtypes.check(dtype)

    @property
    def name(self) -> str:
        return self.kind

    def __str__(self) -> str:
        return f"{self.kind.capitalize()}{{axis={list(self.axes)}, acc_dtype={self.acc_dtype}}}"

    @property
    def axis(self) -> tuple[int, ...]:
        return self.axes

    @property
    def needs_elements(self) -> bool:
        """Whether an empty axis is an error."""
        return self.kind in ("max", "min") and not self.identity

    def along(self, axes: Sequence[int]) -> Reduce:
        """The same reduction over other axes."""
        return Reduce(self.kind, axes, self.acc_dtype, self.dtype, self.identity)

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        pattern = kept_shape(x.type.broadcastable, self.axes)
        return Apply(self, [x], [TensorType(self.dtype, pattern).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        if self.needs_elements and any(x.shape[a] == 0 for a in self.axes):
            raise ValueError(
                f"{self.kind}: zero-size array has no {self.kind}imum along an empty axis"
            )
        if not self.axes:
            return (x.astype(self.dtype),)
        function = getattr(np, self.kind)
        with np.errstate(all="ignore"):
            kwargs: dict[str, Any] = {}
            if self.kind in ("sum", "prod"):
                kwargs["dtype"] = self.acc_dtype
            elif self.identity:
                kwargs["initial"] = -np.inf if self.kind == "max" else np.inf
            return (np.asarray(function(x, axis=self.axes, **kwargs)).astype(self.dtype),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [kept_shape(shapes[0], self.axes)]

    def expanded(self, reduced: Variable, ndim: int) -> Variable:
        """The result with axes of length 1 where axes were reduced."""
        axes = iter(range(reduced.type.ndim))
        return dimshuffle(reduced, ["x" if i in self.axes else next(axes) for i in range(ndim)])

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x,), (y,), (g,) = inputs, outputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        if y.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x)]
        wide = self.expanded(g, x.type.ndim)
        if self.kind == "sum":
            return [FILL(x, wide)]
        if self.kind in ("max", "min"):
            # Every element that attains the extremum receives the whole gradient.
            return [eq(self.expanded(y, x.type.ndim), x) * wide]
        return [wide * _product_of_others(x, self.axes, self.acc_dtype)]


def _product_of_others(x: Variable, axes: Sequence[int], acc_dtype: str) -> Variable:
    """For each element the product of all others along `axes`, exact with zeros among them.

    With p the product of the nonzero elements: p / x where there is no zero, p at a
    single zero, and 0 elsewhere.
    """
    one = np.ones((), dtype=x.type.dtype)
    is_zero = eq(x, 0)
    nonzero = reduce_of("prod", switch(is_zero, one, x), axes, keepdims=True, acc_dtype=acc_dtype)
    zeros = reduce_of("sum", cast(is_zero, "int64"), axes, keepdims=True)
    only_zero = switch(eq(zeros, 1) & is_zero, nonzero, 0)
    return switch(eq(zeros, 0), nonzero / switch(is_zero, one, x), only_zero)


class ArgReduce(Op):
    """Position (int64) of the first extremum, in C order over `axes`; nan counts as one."""

    __props__ = ("kind", "axes")

    def __init__(self, kind: str, axes: Sequence[int]):
        self.kind, self.axes = kind, tuple(axes)

    @property
    def name(self) -> str:
        return self.kind

    @property
    def axis(self) -> tuple[int, ...]:
        return self.axes

    def __str__(self) -> str:
        return f"{self.kind.capitalize()}{{axis={self.axes}}}"

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        pattern = kept_shape(x.type.broadcastable, self.axes)
        return Apply(self, [x], [TensorType("int64", pattern).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        if any(x.shape[a] == 0 for a in self.axes):
            raise ValueError(f"{self.kind}: attempt to get {self.kind} of an empty sequence")
        kept = [i for i in range(x.ndim) if i not in self.axes]
        shape = [x.shape[i] for i in kept]
        count = math.prod(x.shape[i] for i in self.axes)
        flat = x.transpose(kept + list(self.axes)).reshape([*shape, count])
        return (np.asarray(getattr(np, self.kind)(flat, axis=-1), dtype=np.int64),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [kept_shape(shapes[0], self.axes)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False]]


def _wide_enough(acc: str, source: str, name: str, what: str) -> str:
    """`acc`, which holds all values of `source` or is a float dtype for discrete ones."""
    acc = dtypes.check(acc)
    if source in dtypes.DISCRETE and acc in dtypes.FLOATS:
        return acc
    if dtypes.upcast(source, acc) != acc:
        lost = "fractions" if acc in dtypes.DISCRETE and source in dtypes.FLOATS else "precision"
        raise TypeError(
            f"{name}: {what}={acc} would lose the {lost} of {source}; "
            f"if that is meant, cast the operand or the result{here()}"
        )
    return acc


def reduce_of(
    kind: str,
    x: Any,
    axis: Any = None,
    keepdims: bool = False,
    dtype: Any = None,
    acc_dtype: Any = None,
    identity: bool = False,
) -> Variable:
    """`kind` ('sum', 'prod', 'max', 'min', 'all', 'any', 'argmax', 'argmin') of `x` over axes.

    `identity`: see `Reduce`.
    """
    x = as_tensor_variable(x)
    if isinstance(axis, Variable) and getattr(axis, "data", None) is None:
        raise TypeError(f"{kind}: axis must be known, got {describe(axis)}{here()}")
    axes = normalise_axes(axis, x.type.ndim, kind)
    op: Op
    if kind in ("argmax", "argmin"):
        op = ArgReduce(kind, axes)
    else:
        if kind in ("all", "any"):
            x = cast(x, "bool")
        acc, out = _reduction_dtypes(kind, x.type.dtype, dtype, acc_dtype)
        op = Reduce(kind, axes, acc, out, identity)
    result = op(x)
    if keepdims:
        kept = iter(range(result.type.ndim))
        result = dimshuffle(result, ["x" if i in axes else next(kept) for i in range(x.type.ndim)])
    return result


def _reduction_dtypes(kind: str, source: str, dtype: Any, acc_dtype: Any) -> tuple[str, str]:
    if kind not in ("sum", "prod"):
        return source, source
    wide = _WIDE[source]
    if dtype is not None:
        out = _wide_enough(dtype, source, kind, "dtype")
    else:
        out = source if source in dtypes.FLOATS else wide
    if acc_dtype is not None:
        acc = _wide_enough(acc_dtype, source, kind, "acc_dtype")
    else:
        acc = dtypes.upcast(wide, out) if source in dtypes.FLOATS else out
    return acc, out


def sum_of(x: Variable, axes: Sequence[int], keepdims: bool = False) -> Variable:
    return reduce_of("sum", x, list(axes), keepdims=keepdims)


# How the reductions combine two partial results, for code generation.
COMBINE: dict[str, Callable[..., Any] | Elementwise] = {"max": maximum, "min": minimum}
