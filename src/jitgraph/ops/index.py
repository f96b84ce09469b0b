"""Indexing: views by ints and slices, gathers by arrays and masks, and their functional writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from jitgraph import dtypes
from jitgraph.errors import AdvancedIndexingError, ShapeError
from jitgraph.graph import Apply, Constant, TensorType, Variable
from jitgraph.op import DISCONNECTED, Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops.arithmetic import cast, lt, maximum, minimum, switch
from jitgraph.ops.elementwise import zeros_for
from jitgraph.ops.shape import dimshuffle, known_int
from jitgraph.ops.values import as_tensor_variable, constant

# One entry of an index pattern: "i" takes a scalar, "a" an index array; a slice is "s" followed
# by a letter for each part that is given: "s", "sb", "se", "sbe", "sbet", … (begin, end, step).
Pattern = tuple[str, ...]


def _index_scalar(x: Any) -> Variable:
    variable = constant(np.int64(x)) if isinstance(x, (int, np.integer)) else as_tensor_variable(x)
    if variable.type.ndim or variable.type.dtype not in dtypes.INTEGERS:
        raise TypeError(f"an index must be an integer, got {describe(variable)}{here()}")
    return variable


class _Indexing(Op):
    """What the indexing ops share: reading their pattern together with the index inputs."""

    __props__: ClassVar[tuple[str, ...]] = ("pattern",)

    def __init__(self, pattern: Sequence[str]):
        self.pattern = tuple(pattern)

    def entries(self, indices: Sequence[Any]) -> list[Any]:
        """The index as Python would write it: scalars, arrays and slices of `indices`."""
        values = iter(indices)
        result: list[Any] = []
        for p in self.pattern:
            if p[0] == "s":
                parts = {letter: next(values) for letter in p[1:]}
                result.append(slice(parts.get("b"), parts.get("e"), parts.get("t")))
            else:
                result.append(next(values))
        return result

    def numpy_index(self, indices: Sequence[np.ndarray]) -> tuple[Any, ...]:
        def plain(v: Any) -> Any:
            if isinstance(v, slice):
                return slice(*(None if p is None else int(p) for p in (v.start, v.stop, v.step)))
            return int(v) if v.ndim == 0 and v.dtype != bool else v

        return tuple(plain(e) for e in self.entries(indices))


class Subtensor(_Indexing):
    """x[i, a:b:c, …]: a view by integer scalars and slices."""

    def __str__(self) -> str:
        def show(p: str) -> str:
            if p == "i":
                return "int64"
            parts = ["int64" if letter in p[1:] else "" for letter in "bet"]
            return ":".join(parts) if parts[2] else ":".join(parts[:2]) + ":"

        return f"Subtensor{{{', '.join(map(show, self.pattern))}}}"

    def make_node(self, x: Any, *indices: Any) -> Apply:
        x = as_tensor_variable(x)
        scalars = [_index_scalar(i) for i in indices]
        if len(self.pattern) > x.type.ndim:
            raise IndexError(f"too many indices for {describe(x)}{here()}")
        marks: list[bool] = []
        for axis, entry in enumerate(self.entries(scalars)):
            fixed_to_one = x.type.broadcastable[axis]
            if isinstance(entry, slice):
                # Only a whole slice of a length-1 axis is known to keep length 1.
                start = 0 if entry.start is None else known_int(entry.start)
                keeps = start == 0 and (entry.stop is None or (known_int(entry.stop) or 0) > 0)
                marks.append(fixed_to_one and keeps and entry.step is None)
            elif fixed_to_one and known_int(entry) not in (None, 0, -1):
                raise IndexError(
                    f"index {known_int(entry)} of axis {axis} of {describe(x)}{here()}"
                )
        marks.extend(x.type.broadcastable[len(self.pattern) :])
        return Apply(self, [x, *scalars], [TensorType(x.type.dtype, marks).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.array(arrays[0][self.numpy_index(arrays[1:])]),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        result: list[Any] = []
        for axis, entry in enumerate(self.entries(node.inputs[1:])):
            if isinstance(entry, slice):
                result.append(slice_length(entry, shapes[0][axis]))
        return [tuple(result) + tuple(shapes[0][len(self.pattern) :])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        rest: list[Gradient] = [DISCONNECTED] * (len(inputs) - 1)
        if isinstance(g, (Disconnected, Undefined)):
            return [g, *rest]
        x = inputs[0]
        if x.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x), *rest]
        zeros = zeros_for(x)
        return [IncSubtensor(self.pattern, False)(zeros, g, *inputs[1:]), *rest]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True]] + [[False]] * (len(node.inputs) - 1)


def slice_bounds(entry: slice, length: Any) -> tuple[Any, Any, Any]:
    """(first, count, step) of a slice of an axis, as ints or int64 scalars, by Python's rules."""
    step = 1 if entry.step is None else known_int(entry.step)
    known = [None if p is None else known_int(p) for p in (entry.start, entry.stop)]
    unknown = any(
        p is not None and k is None for p, k in zip((entry.start, entry.stop), known, strict=True)
    )
    if step is not None and isinstance(length, int) and not unknown:
        r = range(*slice(known[0], known[1], step).indices(length))
        return r.start, len(r), step
    if step == 1 and entry.stop is None and (entry.start is None or known[0] == 0):
        return 0, length, 1
    return _symbolic_bounds(entry, as_int64(length), step)


def as_int64(x: Any) -> Variable:
    return constant(np.int64(x)) if isinstance(x, int) else cast(x, "int64")


def _symbolic_bounds(entry: slice, n: Variable, step: int | None) -> tuple[Any, Any, Any]:
    zero, one = np.int64(0), np.int64(1)
    stride: Any = np.int64(step) if step is not None else as_int64(entry.step)
    down: Any = (step < 0) if step is not None else lt(stride, zero)

    def choose(if_down: Any, if_up: Any) -> Any:
        return (
            (if_down if down else if_up) if isinstance(down, bool) else switch(down, if_down, if_up)
        )

    low, high = choose(np.int64(-1), zero), choose(n - one, n)

    def bound(part: Any, default: Any) -> Any:
        if part is None:
            return default
        value = as_int64(part)
        return minimum(maximum(switch(lt(value, zero), value + n, value), low), high)

    first = bound(entry.start, choose(n - one, zero))
    last = bound(entry.stop, choose(np.int64(-1), n))
    span = as_int64(last) - first if not isinstance(last, np.integer) else last - first
    # ceil(span / stride) in exact integers, never below zero
    count = maximum(-((-as_int64(span)) // stride), zero)
    return first, count, step if step is not None else stride


def slice_length(entry: slice, length: Any) -> Any:
    return slice_bounds(entry, length)[1]


class IncSubtensor(_Indexing):
    """A copy of x in which y is added to (or stored in) the view x[index]."""

    __props__ = ("pattern", "set_instead_of_inc")

    def __init__(self, pattern: Sequence[str], set_instead_of_inc: bool):
        super().__init__(pattern)
        self.set_instead_of_inc = bool(set_instead_of_inc)

    def __str__(self) -> str:
        kind = "Set" if self.set_instead_of_inc else "Inc"
        return f"IncSubtensor{{{kind};{str(Subtensor(self.pattern))[10:-1]}}}"

    def make_node(self, x: Any, y: Any, *indices: Any) -> Apply:
        x = as_tensor_variable(x)
        view = Subtensor(self.pattern).make_node(x, *indices)
        y = cast(as_tensor_variable(y), x.type.dtype)
        ndim = view.outputs[0].type.ndim
        if y.type.ndim > ndim:
            raise TypeError(
                f"{describe(y)} has more axes than the {ndim} of what it is put in{here()}"
            )
        return Apply(self, [x, y, *view.inputs[1:]], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, y, *indices = arrays
        out, index = x.copy(), self.numpy_index(indices)
        try:
            if self.set_instead_of_inc:
                out[index] = y
            else:
                out[index] += y
        except ValueError as error:
            raise ShapeError(f"{self.name}: {error}") from None
        return (out,)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        x, y, *indices = inputs
        rest: list[Gradient] = [DISCONNECTED] * len(indices)
        if isinstance(g, (Disconnected, Undefined)):
            return [g, g, *rest]
        if x.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x), zeros_for(y), *rest]
        gx = g
        if self.set_instead_of_inc:
            gx = IncSubtensor(self.pattern, True)(g, np.zeros((), g.type.dtype), *indices)
        return [gx, _match_stretched(Subtensor(self.pattern)(g, *indices), y), *rest]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], [True]] + [[False]] * (len(node.inputs) - 2)


def _match_stretched(g: Variable, y: Variable) -> Variable:
    """Sum g over the axes along which y was stretched to reach its shape."""
    from jitgraph.ops.reduce import sum_of

    extra = g.type.ndim - y.type.ndim
    if extra:
        g = sum_of(g, tuple(range(extra)))
    axes = tuple(i for i, b in enumerate(y.type.broadcastable) if b and not g.type.broadcastable[i])
    return sum_of(g, axes, keepdims=True) if axes else g


class AdvancedSubtensor(_Indexing):
    """x[index] with index arrays and masks among scalars and slices, by NumPy's rules."""

    def make_node(self, x: Any, *indices: Any) -> Apply:
        x = as_tensor_variable(x)
        inputs = [as_tensor_variable(i) for i in indices]
        for v in inputs:
            if v.type.dtype in dtypes.FLOATS:
                raise TypeError(
                    f"index arrays must hold integers or bool, got {describe(v)}{here()}"
                )
        marks = self._result_marks(x, inputs)
        return Apply(self, [x, *inputs], [TensorType(x.type.dtype, marks).make_variable()])

    def _result_marks(self, x: Variable, inputs: Sequence[Variable]) -> list[bool]:
        """Which axes of the result have fixed length 1.

        The axes of all index arrays together stand where the first of them stood if they are
        side by side in the index, else in front; slices and untouched axes keep their order.
        """
        entries = self.entries(inputs)
        if sum(_axes_of(e) for e in entries) > x.type.ndim:
            raise IndexError(f"too many indices for {describe(x)}{here()}")
        arrays = [k for k, e in enumerate(entries) if not isinstance(e, slice)]
        marks = [False for e in entries if isinstance(e, slice)]
        marks += x.type.broadcastable[sum(_axes_of(e) for e in entries) :]
        shapes = [
            [False] if _is_mask(entries[k]) else entries[k].type.broadcastable for k in arrays
        ]
        ndim = max((len(m) for m in shapes), default=0)
        padded = [[True] * (ndim - len(m)) + list(m) for m in shapes]
        joint = [all(column) for column in zip(*padded, strict=True)]
        side_by_side = bool(arrays) and arrays == list(range(arrays[0], arrays[-1] + 1))
        at = arrays[0] if side_by_side else 0
        return marks[:at] + joint + marks[at:]

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.array(arrays[0][self.numpy_index(arrays[1:])]),)

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        rest: list[Gradient] = [DISCONNECTED] * (len(inputs) - 1)
        if isinstance(g, (Disconnected, Undefined)):
            return [g, *rest]
        x = inputs[0]
        zeros = zeros_for(x)
        if x.type.dtype in dtypes.DISCRETE:
            return [zeros, *rest]
        return [AdvancedIncSubtensor(self.pattern, False)(zeros, g, *inputs[1:]), *rest]

    connection_pattern = Subtensor.connection_pattern

    @property
    def is_row_gather(self) -> bool:
        """Whether this is x[k] with one index array and nothing else (a mask looks the same)."""
        return self.pattern == ("a",)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        if self.is_row_gather and node.inputs[1].type.dtype != "bool":
            return [tuple(shapes[1]) + tuple(shapes[0][1:])]
        return None


def _is_mask(entry: Any) -> bool:
    return isinstance(entry, Variable) and entry.type.dtype == "bool"


class AdvancedIncSubtensor(_Indexing):
    """A copy of x with y added to (duplicates accumulate) or stored in x[index]."""

    __props__ = ("pattern", "set_instead_of_inc")

    def __init__(self, pattern: Sequence[str], set_instead_of_inc: bool):
        super().__init__(pattern)
        self.set_instead_of_inc = bool(set_instead_of_inc)

    def make_node(self, x: Any, y: Any, *indices: Any) -> Apply:
        x = as_tensor_variable(x)
        view = AdvancedSubtensor(self.pattern).make_node(x, *indices)
        y = cast(as_tensor_variable(y), x.type.dtype)
        if y.type.ndim > view.outputs[0].type.ndim:
            raise TypeError(f"{describe(y)} has more axes than what it is put in{here()}")
        return Apply(self, [x, y, *view.inputs[1:]], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, y, *indices = arrays
        out, index = x.copy(), self.numpy_index(indices)
        try:
            if self.set_instead_of_inc:
                out[index] = y
            else:
                np.add.at(out, index, y)
        except ValueError as error:
            raise ShapeError(f"{self.name}: {error}") from None
        return (out,)

    infer_shape = IncSubtensor.infer_shape
    connection_pattern = IncSubtensor.connection_pattern

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (g,) = grads
        x, y, *indices = inputs
        rest: list[Gradient] = [DISCONNECTED] * len(indices)
        if isinstance(g, (Disconnected, Undefined)):
            return [g, g, *rest]
        if x.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x), zeros_for(y), *rest]
        gx = g
        if self.set_instead_of_inc:
            zero = np.zeros((), g.type.dtype)
            gx = AdvancedIncSubtensor(self.pattern, True)(g, zero, *indices)
        return [gx, _match_stretched(AdvancedSubtensor(self.pattern)(g, *indices), y), *rest]


# -- from Python's index notation -------------------------------------------------------------


def take_index(x: Variable, key: Any) -> Variable:
    """`x[key]` for every kind of key NumPy knows."""
    full = _expanded(x, key)
    new_axes = any(k is None for k in full)
    if not any(_is_array(k) for k in full):
        pattern, indices = _pattern([k for k in full if k is not None])
        if new_axes and not pattern:
            return dimshuffle(x, _order_after(full))
        # A whole view is a node, too: set_subtensor(x[:], y) looks for it.
        part = Subtensor(pattern)(x, *indices)
        return dimshuffle(part, _order_after(full)) if new_axes else part
    # A new axis between index arrays decides where their axes go, so it comes first.
    view, full = _insert_new_axes(x, full)
    pattern, indices = _pattern(full)
    part = AdvancedSubtensor(pattern)(view, *indices)
    part.tag.new_axes = new_axes
    return part


def _is_array(k: Any) -> bool:
    return isinstance(k, Variable) and bool(k.type.ndim or k.type.dtype == "bool")


def _expanded(x: Variable, key: Any) -> tuple[Any, ...]:
    """The key with one entry for each axis: variables, ints, slices, and None for new axes."""
    key = key if isinstance(key, tuple) else (key,)
    key = tuple(_normalised(k) for k in key)
    if sum(k is Ellipsis for k in key) > 1:
        raise IndexError(f"an index can only have a single ellipsis ('...'){here()}")
    consumed = sum(_axes_of(k) for k in key)
    if consumed > x.type.ndim:
        raise IndexError(f"too many indices for {describe(x)}: {consumed}{here()}")
    fill = (slice(None),) * (x.type.ndim - consumed)
    if any(k is Ellipsis for k in key):
        at = next(i for i, k in enumerate(key) if k is Ellipsis)
        return key[:at] + fill + key[at + 1 :]
    return key + fill


def _pattern(key: Sequence[Any]) -> tuple[Pattern, list[Any]]:
    """The pattern of a key without None, and the inputs it stands for."""
    key = list(key)
    while key and isinstance(key[-1], slice) and key[-1] == slice(None):
        key.pop()
    pattern: list[str] = []
    indices: list[Any] = []
    for k in key:
        if isinstance(k, slice):
            parts = {"b": k.start, "e": k.stop, "t": k.step}
            given = {n: v for n, v in parts.items() if v is not None}
            if k.step is not None and known_int(_index_scalar(k.step)) == 0:
                raise ValueError(f"slice step cannot be zero{here()}")
            pattern.append("s" + "".join(given))
            indices.extend(_index_scalar(v) for v in given.values())
        elif _is_array(k):
            pattern.append("a")
            indices.append(k)
        else:
            pattern.append("i")
            indices.append(_index_scalar(k))
    return tuple(pattern), indices


def _order_after(key: Sequence[Any]) -> list[int | str]:
    """The axes of x[key], where the key without its None gives the axes that remain."""
    order: list[int | str] = []
    axis = 0
    for k in key:
        if k is None:
            order.append("x")
        elif isinstance(k, slice):
            order.append(axis)
            axis += 1
    return order


def _normalised(k: Any) -> Any:
    if k is None or k is Ellipsis or isinstance(k, slice):
        return k
    if isinstance(k, (bool, np.bool_)):
        raise TypeError(f"a bool cannot be an index; use a mask array{here()}")
    if isinstance(k, (int, np.integer)):
        return int(k)
    if isinstance(k, (float, np.floating)):
        raise TypeError(f"an index must be an integer, got {k!r}{here()}")
    if isinstance(k, list) and any(isinstance(v, bool) for v in k):
        raise TypeError(f"a list of bool cannot be an index; use a NumPy bool array{here()}")
    try:
        variable = as_tensor_variable(k)
    except TypeError as error:
        raise AdvancedIndexingError(f"{k!r} cannot be an index{here()}") from error
    if isinstance(variable, Constant) and variable.data.size == 0:
        return cast(variable, "int64")
    return variable


def _axes_of(k: Any) -> int:
    if k is None or k is Ellipsis:
        return 0
    return k.type.ndim if _is_mask(k) else 1


def _insert_new_axes(x: Variable, key: tuple[Any, ...]) -> tuple[Variable, tuple[Any, ...]]:
    """Turn every None of the key into a real axis of length 1 of x, taken whole."""
    if not any(k is None for k in key):
        return x, key
    order: list[int | str] = []
    axis = 0
    for k in key:
        if k is None:
            order.append("x")
        else:
            order.extend(range(axis, axis + _axes_of(k)))
            axis += _axes_of(k)
    order.extend(range(axis, x.type.ndim))
    return dimshuffle(x, order), tuple(slice(None) if k is None else k for k in key)
