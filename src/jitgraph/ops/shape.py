"""Ops about shape: reading it, moving axes, reshaping, and arrays made to a shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.errors import ShapeError
from jitgraph.graph import Apply, Constant, TensorType, Variable
from jitgraph.op import DISCONNECTED, Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops.values import as_tensor_variable, constant

INT64_VECTOR = TensorType("int64", (False,))
INT64_SCALAR = TensorType("int64", ())


def as_int_scalar(x: Any, what: str) -> Variable:
    """`x` as a 0-d integer variable; anything else is a TypeError naming `what`."""
    variable = as_tensor_variable(x)
    if variable.type.ndim or variable.type.dtype not in dtypes.INTEGERS:
        raise TypeError(f"{what} must be an integer scalar, got {describe(variable)}{here()}")
    return variable


def known_int(variable: Any) -> int | None:
    """The integer a shape entry is fixed to, if it is known while building."""
    if isinstance(variable, (int, np.integer)):
        return int(variable)
    if isinstance(variable, Constant) and variable.data.size == 1:
        return int(variable.data.flat[0])
    return None


def never_negative(length: Any) -> bool:
    """Whether an int or integer scalar is at least 0 whatever the arguments of the function are."""
    pending = [length]
    while pending:
        v = pending.pop()
        k = known_int(v)
        if k is not None:
            if k < 0:
                return False
        elif isinstance(v, Variable) and v.owner is not None:
            op = v.owner.op
            if getattr(op, "scalar_name", "") in ("add", "mul"):
                pending.extend(v.owner.inputs)
            elif not isinstance(op, ShapeI):
                return False
        else:
            return False
    return True


def _product(lengths: Sequence[Any]) -> Any:
    total: Any = 1
    for n in lengths:
        total = total * n
    return total


class Shape(Op):
    """The lengths of all axes, as an int64 vector. The data is never computed for it."""

    def make_node(self, x: Any) -> Apply:
        return Apply(self, [as_tensor_variable(x)], [INT64_VECTOR.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.array(arrays[0].shape, dtype=np.int64),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [(node.inputs[0].type.ndim,)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False]]


class ShapeI(Op):
    """The length of axis `i`, as an int64 scalar."""

    __props__ = ("i",)

    def __init__(self, i: int):
        self.i = i

    def __str__(self) -> str:
        return f"Shape_i{{{self.i}}}"

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        if not 0 <= self.i < x.type.ndim:
            raise ValueError(f"{describe(x)} has no axis {self.i}{here()}")
        return Apply(self, [x], [INT64_SCALAR.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.asarray(arrays[0].shape[self.i], dtype=np.int64),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [()]

    grad = Shape.grad
    connection_pattern = Shape.connection_pattern


class DimShuffle(Op):
    """A view with permuted axes, new axes of length 1 ('x') and fixed length-1 axes dropped."""

    __props__ = ("input_broadcastable", "new_order")

    def __init__(self, input_broadcastable: Sequence[bool], new_order: Sequence[int | str]):
        self.input_broadcastable = tuple(bool(b) for b in input_broadcastable)
        self.new_order = tuple(int(o) if isinstance(o, (int, np.integer)) else o for o in new_order)
        self._check()
        self.kept = tuple(int(o) for o in self.new_order if o != "x")
        self.dropped = tuple(i for i in range(len(self.input_broadcastable)) if i not in self.kept)

    def _check(self) -> None:
        ndim = len(self.input_broadcastable)
        axes = [o for o in self.new_order if o != "x"]
        for o in axes:
            if not isinstance(o, int) or not 0 <= o < ndim:
                raise ValueError(
                    f"dimshuffle{self.new_order}: axis {o} does not exist in {ndim} axes{here()}"
                )
        if len(set(axes)) != len(axes):
            raise ValueError(f"dimshuffle{self.new_order}: an axis appears twice{here()}")
        for i, fixed_to_one in enumerate(self.input_broadcastable):
            if i not in axes and not fixed_to_one:
                raise ValueError(
                    f"dimshuffle{self.new_order}: axis {i} cannot be dropped, because its length "
                    f"is not fixed to 1{here()}"
                )

    def __str__(self) -> str:
        return f"DimShuffle{{{','.join(map(str, self.new_order))}}}"

    @property
    def is_left_padding(self) -> bool:  # type: ignore[override]
        n = len(self.input_broadcastable)
        return self.new_order == ("x",) * (len(self.new_order) - n) + tuple(range(n))

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        if x.type.broadcastable != self.input_broadcastable:
            raise TypeError(
                f"dimshuffle{self.new_order} expects the pattern {self.input_broadcastable}, "
                f"got {describe(x)}{here()}"
            )
        pattern = [True if o == "x" else x.type.broadcastable[o] for o in self.new_order]
        return Apply(self, [x], [TensorType(x.type.dtype, pattern).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        x = x.transpose(self.kept + self.dropped)
        shape = iter(x.shape)
        return (x.reshape([1 if o == "x" else next(shape) for o in self.new_order]).copy(),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        (s,) = shapes
        return [tuple(1 if o == "x" else s[o] for o in self.new_order)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        order: list[int | str] = ["x"] * len(self.input_broadcastable)
        for position, o in enumerate(self.new_order):
            if o != "x":
                order[o] = position  # type: ignore[index]
        surplus = tuple(i for i, o in enumerate(self.new_order) if o == "x")
        if not all(g.type.broadcastable[i] for i in surplus):
            from jitgraph.ops.reduce import sum_of

            axes = tuple(i for i in surplus if not g.type.broadcastable[i])
            g = sum_of(g, axes, keepdims=True)
        return [dimshuffle(g, order)]


def dimshuffle(x: Any, *pattern: Any) -> Variable:
    """Permute the axes of `x` and insert axes of length 1 where the pattern says 'x'.

    Axes left out must have length fixed to 1. Raises ValueError for a repeated, unknown
    or undroppable axis.

    >>> dimshuffle(T.matrix(), 1, "x", 0)      # (n, m) -> (m, 1, n)
    """
    x = as_tensor_variable(x)
    if len(pattern) == 1 and isinstance(pattern[0], (list, tuple)):
        pattern = tuple(pattern[0])
    if pattern == tuple(range(x.type.ndim)):
        return x
    return DimShuffle(x.type.broadcastable, pattern)(x)


class MakeVector(Op):
    """A vector made of scalars."""

    __props__ = ("dtype",)

    def __init__(self, dtype: str = "int64"):
        self.dtype = dtypes.check(dtype)

    def __str__(self) -> str:
        return f"MakeVector{{dtype='{self.dtype}'}}"

    def make_node(self, *inputs: Any) -> Apply:
        variables = [as_tensor_variable(x) for x in inputs]
        for v in variables:
            if v.type.ndim:
                raise TypeError(f"MakeVector takes scalars, got {describe(v)}{here()}")
            if dtypes.upcast(v.type.dtype, self.dtype) != self.dtype:
                raise TypeError(
                    f"MakeVector of {self.dtype} cannot hold {describe(v)} without loss{here()}"
                )
        out = TensorType(self.dtype, (len(variables) == 1,)).make_variable()
        return Apply(self, variables, [out])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.array([a[()] for a in arrays], dtype=self.dtype),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [(len(node.inputs),)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g] * len(inputs)
        if self.dtype in dtypes.DISCRETE:
            return [DISCONNECTED] * len(inputs)
        return [g[i] for i in range(len(inputs))]  # type: ignore[index]


def shape_vector(shape: Any) -> Variable:
    """A shape given as int, tuple, list, array or int vector, as an int64 vector."""
    if isinstance(shape, Variable):
        if shape.type.ndim > 1 or shape.type.dtype not in dtypes.INTEGERS:
            raise TypeError(f"a shape must hold integers, got {describe(shape)}{here()}")
        from jitgraph.ops.arithmetic import cast

        return cast(shape if shape.type.ndim else MakeVector(shape.type.dtype)(shape), "int64")
    if isinstance(shape, (int, np.integer)):
        shape = (shape,)
    if isinstance(shape, np.ndarray) and shape.dtype.kind in "iu":
        shape = shape.tolist()
    if all(isinstance(s, (int, np.integer)) for s in shape):
        return constant(np.array([int(s) for s in shape], dtype="int64"))
    return MakeVector("int64")(*map(_length_entry, shape))


def _length_entry(s: Any) -> Variable:
    """A length as an int64 scalar; a constant one stays a constant, so that a 1 is seen as such."""
    from jitgraph.ops.arithmetic import cast

    variable = as_int_scalar(s, "a length in a shape")
    known = known_int(variable)
    return cast(variable, "int64") if known is None else constant(np.int64(known))


def shape_entries(vector: Variable, ndim: int | None = None) -> list[Variable] | None:
    """The scalars of a shape vector, where its length is known; None otherwise."""
    if isinstance(vector, Constant):
        return [constant(v) for v in vector.data]
    if vector.owner is not None:
        op = vector.owner.op
        if isinstance(op, MakeVector):
            return list(vector.owner.inputs)
        if isinstance(op, Shape):
            x = vector.owner.inputs[0]
            return [ShapeI(i)(x) for i in range(x.type.ndim)]
        if getattr(op, "scalar_name", "") == "cast{int64}":
            entries = shape_entries(vector.owner.inputs[0], ndim)
            if entries is not None:
                return entries
    if ndim is None:
        return [vector[0]] if vector.type.broadcastable == (True,) else None  # type: ignore[index]
    return [vector[i] for i in range(ndim)]  # type: ignore[index]


class Reshape(Op):
    """The elements of x in C order under another shape of `ndim` axes; one -1 is inferred."""

    __props__ = ("ndim",)

    def __init__(self, ndim: int, name: str | None = None):
        self.ndim = ndim

    def __str__(self) -> str:
        return f"Reshape{{{self.ndim}}}"

    def make_node(self, x: Any, shape: Any) -> Apply:
        x = as_tensor_variable(x)
        vector = shape_vector(shape)
        entries = shape_entries(vector, self.ndim)
        if entries is None or len(entries) != self.ndim:
            raise ValueError(f"reshape: the new shape does not have {self.ndim} entries{here()}")
        lengths = [known_int(e) for e in entries]
        if lengths.count(-1) > 1 or any(n is not None and n < -1 for n in lengths):
            raise ValueError(f"reshape: impossible new shape {lengths}{here()}")
        out = TensorType(x.type.dtype, [n == 1 for n in lengths]).make_variable()
        return Apply(self, [x, vector], [out])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, shape = arrays
        if len(shape) != self.ndim:
            raise ShapeError(f"reshape: {len(shape)} entries for a result of {self.ndim} axes")
        try:
            return (x.reshape([int(s) for s in shape]).copy(),)
        except ValueError as error:
            raise ShapeError(f"reshape: {error}") from None

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        x_shape = shapes[0]
        entries = shape_entries(node.inputs[1], self.ndim)
        assert entries is not None
        known = [known_int(e) for e in entries]
        wanted: list[Any] = [e if n is None else n for e, n in zip(entries, known, strict=True)]
        result = list(wanted)
        for axis, n in enumerate(wanted):
            if never_negative(n):
                continue
            rest = _product(wanted[:axis] + wanted[axis + 1 :])
            inferred = _product(x_shape) // rest if not isinstance(rest, int) or rest else 0
            if isinstance(n, int):
                result[axis] = inferred
            else:
                from jitgraph.ops.arithmetic import eq, switch

                result[axis] = switch(eq(n, -1), inferred, n)
        return [tuple(result)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        x = inputs[0]
        if isinstance(g, (Disconnected, Undefined)):
            return [g, DISCONNECTED]
        back = Reshape(x.type.ndim)(g, Shape()(x))
        return [restrict_pattern(back, x.type.broadcastable), DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], [False]]


class Rebroadcast(Op):
    """Change which axes are marked as length 1; a wrong mark is an error when the function runs."""

    __props__ = ("pattern",)

    def __init__(self, pattern: Sequence[bool]):
        self.pattern = tuple(bool(b) for b in pattern)

    def __str__(self) -> str:
        return f"Rebroadcast{{{','.join('1' if b else '?' for b in self.pattern)}}}"

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        if x.type.ndim != len(self.pattern):
            raise ValueError(f"a pattern of {len(self.pattern)} axes for {describe(x)}{here()}")
        return Apply(self, [x], [x.type.clone(broadcastable=self.pattern).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        for axis, (fixed_to_one, n) in enumerate(zip(self.pattern, x.shape, strict=True)):
            if fixed_to_one and n != 1:
                raise ShapeError(
                    f"Dimension {axis} in Rebroadcast's input was supposed to be 1 "
                    f"(got {n} instead)"
                )
        return (x.copy(),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(1 if b else s for b, s in zip(self.pattern, shapes[0], strict=True))]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        return [restrict_pattern(g, inputs[0].type.broadcastable)]


def restrict_pattern(x: Variable, pattern: Sequence[bool]) -> Variable:
    """`x` with exactly the marks of `pattern`."""
    pattern = tuple(bool(b) for b in pattern)
    return x if x.type.broadcastable == pattern else Rebroadcast(pattern)(x)


class Alloc(Op):
    """`value` stretched to a shape."""

    def make_node(self, value: Any, *shape: Any) -> Apply:
        value = as_tensor_variable(value)
        lengths = [as_int_scalar(s, "a length given to alloc") for s in shape]
        if value.type.ndim > len(lengths):
            raise TypeError(
                f"alloc: {describe(value)} has more axes than the {len(lengths)} asked for{here()}"
            )
        known = [known_int(n) for n in lengths]
        for n in known:
            if n is not None and n < 0:
                raise ValueError(f"alloc: negative length {n}{here()}")
        out = TensorType(value.type.dtype, [n == 1 for n in known]).make_variable()
        return Apply(self, [value, *lengths], [out])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        value, *lengths = arrays
        shape = [int(n) for n in lengths]
        if any(n < 0 for n in shape):
            raise ShapeError(f"alloc: negative length in the shape {tuple(shape)}")
        try:
            return (np.broadcast_to(value, shape).copy(),)
        except ValueError:
            raise ShapeError(
                f"alloc: a value of shape {value.shape} cannot be stretched to {tuple(shape)}"
            ) from None

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        from jitgraph.ops.arithmetic import cast

        # Products of lengths must not overflow in the narrow dtype of an argument.
        return [
            tuple(cast(n, "int64") if (k := known_int(n)) is None else k for n in node.inputs[1:])
        ]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        rest: list[Gradient] = [DISCONNECTED] * (len(inputs) - 1)
        if isinstance(g, (Disconnected, Undefined)):
            return [g, *rest]
        from jitgraph.ops.reduce import sum_of

        value = inputs[0]
        extra = g.type.ndim - value.type.ndim
        axes = tuple(range(extra))
        stretched = tuple(
            i + extra
            for i, b in enumerate(value.type.broadcastable)
            if b and not g.type.broadcastable[i + extra]
        )
        if stretched:
            g = sum_of(g, stretched, keepdims=True)
        return [sum_of(g, axes) if axes else g, *rest]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True]] + [[False]] * (len(node.inputs) - 1)


class SpecifyShape(Op):
    """The identity, with a check of the shape when the function runs."""

    def make_node(self, x: Any, shape: Any) -> Apply:
        x = as_tensor_variable(x)
        return Apply(self, [x, shape_vector(shape)], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, shape = arrays
        if x.shape != tuple(int(s) for s in shape):
            raise AssertionError(
                f"SpecifyShape: got shape {x.shape}, expected {tuple(int(s) for s in shape)}."
            )
        return (x.copy(),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [grads[0], DISCONNECTED]

    connection_pattern = Reshape.connection_pattern


class ARange(Op):
    """start, start + step, … below stop, in `dtype`."""

    __props__ = ("dtype",)

    def __init__(self, dtype: str):
        self.dtype = dtypes.check(dtype)

    def __str__(self) -> str:
        return f"ARange{{dtype='{self.dtype}'}}"

    def make_node(self, start: Any, stop: Any, step: Any) -> Apply:
        inputs = [as_tensor_variable(v) for v in (start, stop, step)]
        for v in inputs:
            if v.type.ndim:
                raise TypeError(f"arange takes scalars, got {describe(v)}{here()}")
        if isinstance(inputs[2], Constant) and not inputs[2].data:
            raise ValueError(f"arange: the step is zero{here()}")
        return Apply(self, inputs, [TensorType(self.dtype, (False,)).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        start, stop, step = (a[()] for a in arrays)
        return (np.arange(start, stop, step, dtype=self.dtype),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        from jitgraph.ops.arithmetic import cast, ceil, maximum

        stop = node.inputs[1]
        known = [known_int(v) if v.type.dtype in dtypes.INTEGERS else None for v in node.inputs]
        if known[0] == 0 and known[2] == 1:
            return [(maximum(cast(stop, "int64"), np.int64(0)),)]
        if all(v.type.dtype in dtypes.INTEGERS for v in node.inputs):
            # Lengths are exact in integers: -((start - stop) // step), not below zero.
            a, b, c = (cast(v, "int64") for v in node.inputs)
            return [(maximum(-((a - b) // c), np.int64(0)),)]
        a, b, c = (cast(v, "float64") for v in node.inputs)
        return [(maximum(cast(ceil((b - a) / c), "int64"), np.int64(0)),)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g] * 3
        if self.dtype in dtypes.DISCRETE:
            return [DISCONNECTED] * 3
        from jitgraph.ops.arithmetic import cast
        from jitgraph.ops.elementwise import zeros_for
        from jitgraph.ops.reduce import sum_of

        n = ShapeI(0)(g)
        index = cast(ARange("int64")(np.int64(0), n, np.int64(1)), g.type.dtype)
        return [sum_of(g, (0,)), zeros_for(inputs[1]), sum_of(g * index, (0,))]


class Eye(Op):
    """Ones on diagonal k of an n × m matrix of zeros."""

    __props__ = ("dtype",)

    def __init__(self, dtype: str):
        self.dtype = dtypes.check(dtype)

    def make_node(self, n: Any, m: Any, k: Any) -> Apply:
        inputs = [as_int_scalar(v, "an argument of eye") for v in (n, m, k)]
        return Apply(self, inputs, [TensorType(self.dtype, (False, False)).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        n, m, k = (int(a) for a in arrays)
        return (np.eye(n, m, k, dtype=self.dtype),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        from jitgraph.ops.arithmetic import cast

        return [
            tuple(cast(n, "int64") if (k := known_int(n)) is None else k for n in node.inputs[:2])
        ]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [DISCONNECTED] * 3

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False]] * 3
