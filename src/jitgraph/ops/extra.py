"""Less common array ops: counting, finding, splitting as NumPy steps, and batched products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.errors import MethodNotDefined, ShapeError
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import DISCONNECTED, Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops.arithmetic import cast, eq, switch
from jitgraph.ops.elementwise import zeros_for
from jitgraph.ops.shape import dimshuffle, restrict_pattern
from jitgraph.ops.values import as_tensor_variable

INT64_VECTOR = TensorType("int64", (False,))


class _IntegerResult(Op):
    """An op through which no gradient flows."""

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [DISCONNECTED] * len(inputs)

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False] * len(node.outputs) for _ in node.inputs]


class Cumulative(Op):
    """Running sums (`kind` 'cumsum') or products ('cumprod') along `axis`, in the dtype of x."""

    __props__ = ("kind", "axis")

    def __init__(self, kind: str, axis: int):
        self.kind, self.axis = kind, axis

    @property
    def name(self) -> str:
        return self.kind

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        return Apply(self, [x], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        with np.errstate(all="ignore"):
            return (getattr(np, self.kind)(x, axis=self.axis, dtype=x.dtype),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x,), (y,), (g,) = inputs, outputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        if x.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x)]
        return [self._product_grad(x, y, g) if self.kind == "cumprod" else self._sum_after(g)]

    def _sum_after(self, terms: Any) -> Any:
        """For each element the sum of `terms` from its place to the end of the axis."""
        back = (slice(None),) * self.axis + (slice(None, None, -1),)
        total = Cumulative("cumsum", self.axis)(terms[back])[back]
        return restrict_pattern(total, terms.type.broadcastable)

    def _product_grad(self, x: Any, y: Any, g: Any) -> Any:
        """sum over i >= k of g[i] times the product of x[0], …, x[i] without x[k].

        That product is y[i] / x[k] where x[k] is not 0. At the first 0 of the axis it is the
        running product with this factor left out, and at any later 0 it has the first one in it.
        """
        one = np.ones((), x.type.dtype)
        is_zero = eq(x, 0)
        first = is_zero & eq(Cumulative("cumsum", self.axis)(cast(is_zero, "int64")), 1)
        without = Cumulative("cumprod", self.axis)(switch(first, one, x))
        at_zero = switch(first, self._sum_after(g * without), np.zeros((), x.type.dtype))
        return switch(is_zero, at_zero, self._sum_after(g * y) / switch(is_zero, one, x))


class Nonzero(_IntegerResult):
    """For each axis the int64 positions of the elements that are not 0, in C order."""

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        if not x.type.ndim:
            raise ValueError(f"nonzero of the scalar {describe(x)}{here()}")
        return Apply(self, [x], [INT64_VECTOR.make_variable() for _ in range(x.type.ndim)])

    def __call__(self, *inputs: Any) -> list[Variable]:
        result = super().__call__(*inputs)
        return result if isinstance(result, list) else [result]

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(np.ascontiguousarray(p, dtype=np.int64) for p in np.nonzero(arrays[0]))


class RepeatIndex(_IntegerResult):
    """0, 1, …, n - 1, each as often as the vector of repeats says; one number is for all."""

    def make_node(self, repeats: Any, n: Any) -> Apply:
        inputs = [as_tensor_variable(repeats), as_tensor_variable(n)]
        return Apply(self, inputs, [INT64_VECTOR.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        repeats, n = arrays[0], int(arrays[1])
        if (repeats < 0).any():
            raise ShapeError("repeat: a number of repeats is negative")
        if len(repeats) not in (1, n):
            raise ShapeError(f"repeat: {len(repeats)} numbers of repeats for an axis of length {n}")
        return (np.repeat(np.arange(n, dtype=np.int64), repeats),)


class SearchSorted(_IntegerResult):
    """Where to insert v in the sorted vector x, `side` of equal elements; int64."""

    __props__ = ("side",)

    def __init__(self, side: str = "left"):
        if side not in ("left", "right"):
            raise ValueError(f"searchsorted: side is 'left' or 'right', not {side!r}{here()}")
        self.side = side

    def make_node(self, x: Any, v: Any, *sorter: Any) -> Apply:
        inputs = [as_tensor_variable(a) for a in (x, v, *sorter)]
        if inputs[0].type.ndim != 1:
            raise TypeError(f"searchsorted looks in a vector, got {describe(inputs[0])}{here()}")
        if sorter and inputs[2].type.dtype not in dtypes.INTEGERS:
            raise TypeError(f"sorter must hold integers, got {describe(inputs[2])}{here()}")
        out = inputs[1].type.clone(dtype="int64").make_variable()
        return Apply(self, inputs, [out])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, v, *sorter = arrays
        order = sorter[0] if sorter else None
        found = np.searchsorted(x, v, side=self.side, sorter=order)
        return (np.asarray(found, dtype=np.int64),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[1])]


class Bincount(Op):
    """How often 0, 1, 2, … occur in an integer vector, or the sums of their weights."""

    def make_node(self, x: Any, minlength: Any, *weights: Any) -> Apply:
        inputs = [as_tensor_variable(a) for a in (x, minlength, *weights)]
        dtype = inputs[2].type.dtype if weights else "int64"
        return Apply(self, inputs, [TensorType(dtype, (False,)).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, minlength, *weights = arrays
        if x.size and x.min() < 0:
            raise ShapeError("bincount: the numbers counted must not be negative")
        n = max(int(minlength), int(x.max()) + 1 if x.size else 0)
        if not weights:
            return (np.bincount(x.astype(np.int64), minlength=n).astype(np.int64),)
        if weights[0].shape != x.shape:
            raise ShapeError(f"bincount: {weights[0].shape} weights for {x.shape} numbers")
        out = np.zeros(n, dtype=weights[0].dtype)
        np.add.at(out, x, weights[0])
        return (out,)

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        rest: list[Gradient] = [DISCONNECTED] * 2
        if len(inputs) < 3:
            return rest
        if isinstance(g, (Disconnected, Undefined)):
            return [*rest, g]
        if inputs[2].type.dtype in dtypes.DISCRETE:
            return [*rest, zeros_for(inputs[2])]
        return [*rest, g[inputs[0]]]  # type: ignore[index]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[k == 2] for k in range(len(node.inputs))]


class Unique(_IntegerResult):
    """The sorted distinct elements of the flattened array, and what else is asked for (int64)."""

    __props__ = ("return_index", "return_inverse", "return_counts")

    def __init__(
        self, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False
    ):
        self.return_index, self.return_inverse = bool(return_index), bool(return_inverse)
        self.return_counts = bool(return_counts)

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        more = sum(self.props())
        outs = [TensorType(x.type.dtype, (False,)).make_variable()]
        return Apply(self, [x], outs + [INT64_VECTOR.make_variable() for _ in range(more)])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        found = np.unique(arrays[0].ravel(), *self.props())
        values, *more = found if isinstance(found, tuple) else (found,)
        return (values, *(np.asarray(m, dtype=np.int64) for m in more))


class Split(Op):
    """`n` consecutive parts of x along `axis`; their lengths are run-time values."""

    __props__ = ("axis", "n")

    def __init__(self, axis: int, n: int):
        self.axis, self.n = axis, n

    def make_node(self, x: Any, sizes: Any) -> Apply:
        x, sizes = as_tensor_variable(x), as_tensor_variable(sizes)
        marks = [b and i != self.axis for i, b in enumerate(x.type.broadcastable)]
        outs = [TensorType(x.type.dtype, marks).make_variable() for _ in range(self.n)]
        return Apply(self, [x, sizes], outs)

    def __call__(self, *inputs: Any) -> list[Variable]:
        result = super().__call__(*inputs)
        return result if isinstance(result, list) else [result]

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, sizes = arrays
        length = x.shape[self.axis]
        if sizes.shape != (self.n,):
            raise ShapeError(f"split: {sizes.size} sizes for {self.n} parts")
        if (sizes < 0).any():
            raise ShapeError(f"split: negative size in {sizes.tolist()}")
        if int(sizes.sum()) != length:
            raise ShapeError(f"split: the sizes {sizes.tolist()} do not sum to the length {length}")
        parts = np.split(x, np.cumsum(sizes)[:-1], axis=self.axis)
        return tuple(np.array(p, order="C") for p in parts)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        sizes: Any = cast(node.inputs[1], "int64")
        shape = tuple(shapes[0])
        return [(*shape[: self.axis], sizes[i], *shape[self.axis + 1 :]) for i in range(self.n)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        x = inputs[0]
        if all(isinstance(g, (Disconnected, Undefined)) for g in grads):
            return [grads[0], DISCONNECTED]
        if x.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x), DISCONNECTED]
        undefined = [g for g in grads if isinstance(g, Undefined)]
        if undefined:
            return [undefined[0], DISCONNECTED]
        from jitgraph.ops.join import join

        parts = [
            zeros_for(out) if isinstance(g, Disconnected) else g
            for out, g in zip(outputs, grads, strict=True)
        ]
        return [restrict_pattern(join(self.axis, *parts), x.type.broadcastable), DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True] * self.n, [False] * self.n]


class BatchedDot(Op):
    """For each entry of the first axis, the product of matrices or vectors of that entry.

    `left`, `right`: the matrices of the first, the second operand are given as their transposes.
    Rewrites ask for that (rewrite/blas.py), programs do not.
    """

    __props__ = ("left", "right")

    def __init__(self, left: bool = False, right: bool = False):
        self.left, self.right = left, right

    def inner_axes(self, *ranks: int) -> tuple[int, int]:
        """The axes of the two operands that are summed over."""
        return ranks[0] - 1 - self.left, 1 + self.right

    def make_node(self, a: Any, b: Any) -> Apply:
        x, y = as_tensor_variable(a), as_tensor_variable(b)
        if x.type.ndim not in (2, 3) or y.type.ndim not in (2, 3):
            raise TypeError(
                f"batched_dot takes two or three axes: {describe(x)} and {describe(y)}{here()}"
            )
        dtype = dtypes.upcast(x.type.dtype, y.type.dtype)
        x, y = cast(x, dtype), cast(y, dtype)
        left, right = x.type.broadcastable, y.type.broadcastable
        marks = (left[0] or right[0], *self._outer(left, right))
        return Apply(self, [x, y], [TensorType(dtype, marks).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, y = arrays
        if x.shape[0] != y.shape[0]:
            raise ShapeError(f"batched_dot: batch sizes differ: {x.shape[0]} and {y.shape[0]}")
        inner = self.inner_axes(x.ndim, y.ndim)
        if x.shape[inner[0]] != y.shape[inner[1]]:
            raise ShapeError(f"batched_dot: inner sizes differ: {x.shape} and {y.shape}")
        with np.errstate(all="ignore"):
            wide_x = x if x.ndim == 3 else x[:, None, :]
            wide_y = y if y.ndim == 3 else y[:, :, None]
            product = np.matmul(
                wide_x.swapaxes(1, 2) if self.left else wide_x,
                wide_y.swapaxes(1, 2) if self.right else wide_y,
            )
        return (product.reshape(x.shape[0], *self._outer(x.shape, y.shape)),)

    def _outer(self, x: tuple[Any, ...], y: tuple[Any, ...]) -> tuple[Any, ...]:
        """The entries of x and y for the axes of the result behind the first."""
        inner = self.inner_axes(len(x), len(y))
        both = ((x, inner[0]), (y, inner[1]))
        return tuple(n for v, axis in both for k, n in enumerate(v) if k not in (0, axis))

    def c_routine(self, node: Apply) -> tuple[str, str] | None:
        x, y = node.inputs
        if x.type.dtype not in dtypes.FLOATS:
            return None
        inner = self.inner_axes(x.type.ndim, y.type.ndim)[1]
        m = f"{{d:x0:{1 + self.left}}}" if x.type.ndim == 3 else "1"
        n = f"{{d:x1:{2 - self.right}}}" if y.type.ndim == 3 else "1"
        name = f"jg_batched_dot_{dtypes.TAGS[x.type.dtype]}"
        lengths = f"{self.left:d}, {self.right:d}, {{d:x0:0}}, {m}, {n}, {{d:x1:{inner}}}"
        return "jg_batched.h", f"{name}(host, {lengths}, {{x0}}, {{x1}}, {{z0}})"

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        left, right = (tuple(s) for s in shapes)
        return [(left[0], *self._outer(left, right))]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        if self.left or self.right:
            raise MethodNotDefined("grad", type(self), "gradients are taken before rewriting")
        (x, y), (g,) = inputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g, g]
        if outputs[0].type.dtype in dtypes.DISCRETE:
            return [zeros_for(x), zeros_for(y)]
        product = BatchedDot()
        ranks = (x.type.ndim, y.type.ndim)
        if ranks == (2, 2):
            column = dimshuffle(g, 0, "x")
            gx, gy = column * y, column * x
        elif ranks == (3, 2):
            gx = dimshuffle(g, 0, 1, "x") * dimshuffle(y, 0, "x", 1)
            gy = product(dimshuffle(x, 0, 2, 1), g)
        elif ranks == (2, 3):
            gx = product(g, dimshuffle(y, 0, 2, 1))
            gy = dimshuffle(x, 0, 1, "x") * dimshuffle(g, 0, "x", 1)
        else:
            gx = product(g, dimshuffle(y, 0, 2, 1))
            gy = product(dimshuffle(x, 0, 2, 1), g)
        return [
            restrict_pattern(gx, x.type.broadcastable),
            restrict_pattern(gy, y.type.broadcastable),
        ]


class UnravelIndex(_IntegerResult):
    """The coordinates, one int64 array an axis, of positions in a flattened array of shape dims."""

    __props__ = ("order", "ndim")

    def __init__(self, order: str, ndim: int):
        self.order, self.ndim = order, ndim

    def make_node(self, index: Any, dims: Any) -> Apply:
        index, dims = as_tensor_variable(index), as_tensor_variable(dims)
        outs = [index.type.clone(dtype="int64").make_variable() for _ in range(self.ndim)]
        return Apply(self, [index, dims], outs)

    def __call__(self, *inputs: Any) -> list[Variable]:
        result = super().__call__(*inputs)
        return result if isinstance(result, list) else [result]

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        index, dims = arrays
        found = np.unravel_index(index, tuple(int(n) for n in dims), order=self.order)
        return tuple(np.array(f, dtype=np.int64) for f in found)


class RavelMultiIndex(_IntegerResult):
    """The int64 positions, in a flattened array of shape dims, of the coordinates given."""

    __props__ = ("mode", "order")

    def __init__(self, mode: str, order: str):
        self.mode, self.order = mode, order

    def make_node(self, *inputs: Any) -> Apply:
        *coordinates, dims = (as_tensor_variable(v) for v in inputs)
        out = coordinates[0].type.clone(dtype="int64").make_variable()
        return Apply(self, [*coordinates, dims], [out])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        *coordinates, dims = arrays
        shape = tuple(int(n) for n in dims)
        found = np.ravel_multi_index(tuple(coordinates), shape, mode=self.mode, order=self.order)
        return (np.array(found, dtype=np.int64),)


class Assert(Op):
    """The first operand itself; AssertionError(msg) at run time unless all the others are true."""

    __props__ = ("msg",)

    def __init__(self, msg: str = "jitgraph Assert failed!"):
        self.msg = msg

    def make_node(self, value: Any, *conditions: Any) -> Apply:
        value = as_tensor_variable(value)
        conditions = tuple(
            as_tensor_variable(np.asarray(c) if isinstance(c, bool) else c) for c in conditions
        )
        for c in conditions:
            if c.type.ndim:
                raise TypeError(f"a condition of Assert must be 0-d, got {describe(c)}{here()}")
        return Apply(self, [value, *conditions], [value.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        value, *conditions = arrays
        if not all(c != 0 for c in conditions):
            raise AssertionError(self.msg)
        return (value.copy(),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [grads[0], *([DISCONNECTED] * (len(inputs) - 1))]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True]] + [[False]] * (len(node.inputs) - 1)
