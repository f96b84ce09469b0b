"""Ops that order elements along an axis; they run as NumPy steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.errors import ShapeError
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import DISCONNECTED, Disconnected, Gradient, Op, Undefined
from jitgraph.ops.elementwise import zeros_for
from jitgraph.ops.shape import as_int_scalar
from jitgraph.ops.values import as_tensor_variable


class Sort(Op):
    """The elements in ascending order along `axis`, nan last; `kind` as in NumPy."""

    __props__ = ("axis", "kind")

    def __init__(self, axis: int, kind: str = "quicksort"):
        self.axis, self.kind = axis, kind

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        return Apply(self, [x], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.sort(arrays[0], axis=self.axis, kind=self.kind),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x,), (g,) = inputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        if x.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x)]
        return [ScatterAlong(self.axis)(x, ArgSort(self.axis, "stable")(x), g)]


class ArgSort(Op):
    """The int64 positions that put the elements in ascending order along `axis`."""

    __props__ = ("axis", "kind")

    def __init__(self, axis: int, kind: str = "quicksort"):
        self.axis, self.kind = axis, kind

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        return Apply(self, [x], [x.type.clone(dtype="int64").make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        order = np.argsort(arrays[0], axis=self.axis, kind=self.kind)  # type: ignore[arg-type]
        return (order.astype(np.int64, copy=False),)

    infer_shape = Sort.infer_shape

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False]]


class TakeAlong(Op):
    """The elements of x at the positions `index` along `axis`; all other axes correspond."""

    __props__ = ("axis",)

    def __init__(self, axis: int):
        self.axis = axis

    def make_node(self, x: Any, index: Any) -> Apply:
        x, index = as_tensor_variable(x), as_tensor_variable(index)
        pattern = index.type.broadcastable
        return Apply(self, [x, index], [TensorType(x.type.dtype, pattern).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, index = arrays
        return (np.take_along_axis(x, index, axis=self.axis),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[1])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x, index), (g,) = inputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g, DISCONNECTED]
        if x.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x), DISCONNECTED]
        return [ScatterAlong(self.axis)(x, index, g), DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], [False]]


class ScatterAlong(Op):
    """Zeros of the shape of x with g added at the positions `index` along `axis`.

    The adjoint of `TakeAlong`; x gives only its shape.
    """

    __props__ = ("axis",)

    def __init__(self, axis: int):
        self.axis = axis

    def make_node(self, x: Any, index: Any, g: Any) -> Apply:
        x, index, g = (as_tensor_variable(v) for v in (x, index, g))
        out = TensorType(g.type.dtype, x.type.broadcastable).make_variable()
        return Apply(self, [x, index, g], [out])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, index, g = arrays
        out = np.zeros(x.shape, dtype=g.dtype)
        where = list(np.ogrid[tuple(slice(n) for n in index.shape)])
        where[self.axis] = index
        np.add.at(out, tuple(where), g)
        return (out,)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        if isinstance(g, (Disconnected, Undefined)):
            return [DISCONNECTED, DISCONNECTED, g]
        return [DISCONNECTED, DISCONNECTED, TakeAlong(self.axis)(g, inputs[1])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False], [False], [True]]


class TopK(Op):
    """The k largest elements along `axis` in descending order (k < 0: the -k smallest, ascending),
    and their positions. Of equal elements the first comes first.
    """

    __props__ = ("axis", "idx_dtype")

    def __init__(self, axis: int, idx_dtype: str = "int64"):
        self.axis, self.idx_dtype = axis, dtypes.check(idx_dtype)

    def make_node(self, x: Any, k: Any) -> Apply:
        x, k = as_tensor_variable(x), as_int_scalar(k, "kth")
        marks = [b and i != self.axis for i, b in enumerate(x.type.broadcastable)]
        outs = [TensorType(d, marks).make_variable() for d in (x.type.dtype, self.idx_dtype)]
        return Apply(self, [x, k], outs)

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, k = arrays[0], int(arrays[1])
        n = x.shape[self.axis]
        if k == 0 or abs(k) > n:
            raise ShapeError(f"topk: kth={k} of an axis of length {n}")
        if k < 0:
            order = np.argsort(x, axis=self.axis, kind="stable")
        else:  # equal elements keep their order: sort the reversed axis, then look from the end
            flipped = np.argsort(np.flip(x, self.axis), axis=self.axis, kind="stable")
            order = n - 1 - np.flip(flipped, self.axis)
        index = np.take(order, np.arange(abs(k)), axis=self.axis)
        return np.take_along_axis(x, index, self.axis), index.astype(self.idx_dtype)

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x, _), g = inputs, grads[0]
        if isinstance(g, (Disconnected, Undefined)):
            return [g, DISCONNECTED]
        if x.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x), DISCONNECTED]
        return [ScatterAlong(self.axis)(x, outputs[1], g), DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True, False], [False, False]]
