"""Functions of neural networks: the sigmoid family, softmax and its relatives, picking by label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.errors import ShapeError
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import DISCONNECTED, Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops import scalar as rules
from jitgraph.ops.arithmetic import abs_, cast, eq, ge, isinf, maximum, neg, switch
from jitgraph.ops.elementwise import elementwise, zeros_for
from jitgraph.ops.math import exp, log, logaddexp
from jitgraph.ops.reduce import normalise_axes, reduce_of, sum_of
from jitgraph.ops.shape import ARange, ShapeI, dimshuffle
from jitgraph.ops.values import as_tensor_variable

SIGMOID = "jg_sigmoid.h"


def _sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    one = x.dtype.type(1)
    return np.where(x >= 0, one / (one + e), e / (one + e))


sigmoid = elementwise(
    "sigmoid",
    arity=1,
    rule=rules.floating,
    numpy=_sigmoid,
    c="jg_sigmoid_{t}({0})",
    fast="jg_sigmoid_fast_{t}({0})",
    header=SIGMOID,
    grad=lambda g, x, y: g * y * (1 - y),
    ulp=1,
    doc="1 / (1 + exp(-x)): exactly 1 and 0 only within one unit in the last place of that.",
)

# The pieces of ultra_fast_sigmoid, in h = |x| / 2 (Theano's constants).
_SLOPE, _AT_KNEE, _TOP = 0.0458812946797165, 0.935409070603099, 0.99505475368673
_KNEE, _FLAT = 1.7, 3.0


def _ultra_fast_sigmoid(x: np.ndarray) -> np.ndarray:
    t = x.dtype.type
    h = x * t(0.5)
    a = np.abs(h)
    piece = np.where(
        a < t(_KNEE),
        t(1.5) * a / (t(1) + a),
        np.where(a < t(_FLAT), t(_AT_KNEE) + t(_SLOPE) * (a - t(_KNEE)), t(_TOP)),
    )
    return np.where(np.isnan(x), x, t(0.5) * (np.copysign(piece, h) + t(1)))


def _ultra_fast_sigmoid_grad(g: Variable, x: Variable, y: Variable) -> Variable:
    """The derivative of the pieces: 3 / (2 + |x|)^2, then the slope of the line, then 0."""
    a = abs_(x) * 0.5
    curve = 0.375 / ((1 + a) * (1 + a))
    line = np.asarray(
        _SLOPE / 4, dtype=x.type.dtype if x.type.dtype in dtypes.FLOATS else "float64"
    )
    zero = np.zeros((), dtype=g.type.dtype)
    # In this order: nan is below nothing, and takes the curve, where it stays nan.
    return g * switch(ge(a, _FLAT), zero, switch(ge(a, _KNEE), line, curve))


ultra_fast_sigmoid = elementwise(
    "ultra_fast_sigmoid",
    arity=1,
    rule=rules.floating,
    numpy=_ultra_fast_sigmoid,
    c="jg_ultra_fast_sigmoid_{t}({0})",
    header=SIGMOID,
    grad=_ultra_fast_sigmoid_grad,
    ulp=1,
    domain=((-3.0, 3.0),),
    vectors=(1, 1),
    doc="A rational and linear approximation of sigmoid; error at most 0.0277, never 0 or 1.",
)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, x.dtype.type(0)) + np.log1p(np.exp(-np.abs(x)))


softplus = elementwise(
    "softplus",
    arity=1,
    rule=rules.floating,
    numpy=_softplus,
    c="jg_softplus_{t}({0})",
    fast="jg_softplus_fast_{t}({0})",
    header=SIGMOID,
    grad=lambda g, x, y: g * sigmoid(x),
    ulp=1,
    doc="log(1 + exp(x)) without overflow or cancellation.",
)


softplus_minus = elementwise(
    "softplus_minus",
    arity=1,
    rule=rules.floating,
    numpy=lambda x: _softplus(-x),
    c="jg_softplus_minus_{t}({0})",
    fast="jg_softplus_minus_fast_{t}({0})",
    header=SIGMOID,
    grad=lambda g, x, y: -g * sigmoid(-x),
    ulp=1,
    doc="softplus(-x), which compiled code calls where a program has softplus of a negative.",
)


class LogSumExp(Op):
    """log(sum(exp(x))) over `axes`, without overflow; -inf where all of them are -inf."""

    __props__ = ("axes",)

    def __init__(self, axes: Sequence[int]):
        self.axes = tuple(axes)

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        marks = [b for i, b in enumerate(x.type.broadcastable) if i not in self.axes]
        return Apply(self, [x], [x.type.clone(broadcastable=marks).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        with np.errstate(all="ignore"):
            if any(x.shape[a] == 0 for a in self.axes):
                return (
                    np.full(
                        [n for i, n in enumerate(x.shape) if i not in self.axes], -np.inf, x.dtype
                    ),
                )
            top = x.max(axis=self.axes, keepdims=True)
            safe = np.where(np.isinf(top), x.dtype.type(0), top)
            total = np.exp(x - safe).sum(axis=self.axes, keepdims=True, dtype="float64")
            return (np.squeeze(np.log(total) + safe, axis=self.axes).astype(x.dtype),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(n for i, n in enumerate(shapes[0]) if i not in self.axes)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x,), (y,), (g,) = inputs, outputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        weights = exp(x - self._expanded(y, x.type.ndim))
        return [self._expanded(g, x.type.ndim) * weights]

    def _expanded(self, v: Variable, ndim: int) -> Variable:
        kept = iter(range(v.type.ndim))
        return dimshuffle(v, ["x" if i in self.axes else next(kept) for i in range(ndim)])

    def expand(self, x: Variable) -> Variable:
        """max + log(sum(exp(x - max))); an infinite maximum is not subtracted (inf - inf = nan)."""
        top = reduce_of("max", x, self.axes, keepdims=True, identity=True)
        safe = switch(isinf(top), np.zeros((), x.type.dtype), top)
        total = reduce_of("sum", exp(x - safe), self.axes)
        kept = [i for i in range(x.type.ndim) if i not in self.axes]
        return dimshuffle(safe, kept) + log(total)


def logsumexp(x: Any, axis: Any = None) -> Variable:
    """log(sum(exp(x))) over `axis` (None: all), without overflow. Float dtypes."""
    x = as_tensor_variable(x)
    x = cast(x, dtypes.to_float(x.type.dtype))
    return LogSumExp(normalise_axes(axis, x.type.ndim, "logsumexp"))(x)


class _RowOp(Op):
    """An op on the rows (last axis) of a float matrix that keeps its shape."""

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        if x.type.dtype not in dtypes.FLOATS or x.type.ndim not in (1, 2):
            raise ValueError(f"x must be 1-d or 2-d tensor of floats. Got {describe(x)}{here()}")
        if x.type.ndim == 1:
            x = dimshuffle(x, "x", 0)
        return Apply(self, [x], [x.type.make_variable()])

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]


class Softmax(_RowOp):
    """exp(x) / sum(exp(x)) for each row, with the row's maximum subtracted first."""

    name = "softmax"

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        if x.shape[1] == 0:
            return (x.copy(),)
        with np.errstate(all="ignore"):
            e = np.exp(x - x.max(axis=1, keepdims=True))
            return ((e / e.sum(axis=1, keepdims=True, dtype="float64")).astype(x.dtype),)

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (y,), (g,) = outputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        return [y * (g - sum_of(g * y, (1,), keepdims=True))]

    def expand(self, x: Variable) -> Variable:
        e = exp(x - reduce_of("max", x, 1, keepdims=True, identity=True))
        return e / reduce_of("sum", e, 1, keepdims=True)


class LogSoftmax(_RowOp):
    """log(softmax(x)) for each row, as x - max - log(sum(exp(x - max)))."""

    name = "logsoftmax"

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        if x.shape[1] == 0:
            return (x.copy(),)
        with np.errstate(all="ignore"):
            shifted = x - x.max(axis=1, keepdims=True)
            total = np.exp(shifted).sum(axis=1, keepdims=True, dtype="float64")
            return ((shifted - np.log(total)).astype(x.dtype),)

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (y,), (g,) = outputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        return [g - sum_of(g, (1,), keepdims=True) * exp(y)]

    def expand(self, x: Variable) -> Variable:
        shifted = x - reduce_of("max", x, 1, keepdims=True, identity=True)
        return shifted - log(reduce_of("sum", exp(shifted), 1, keepdims=True))


class LabelError(IndexError, ValueError):
    """A class label lies outside the columns it selects from."""


def _check_labels(x: Variable, labels: Variable) -> None:
    if x.type.ndim != 2:
        raise TypeError(f"a matrix is required, got {describe(x)}{here()}")
    if labels.type.ndim != 1 or labels.type.dtype not in dtypes.INTEGERS:
        raise TypeError(f"integer vector required, got {describe(labels)}{here()}")


class Pick(Op):
    """x[i, labels[i]] for each row i of a matrix."""

    name = "pick"

    def make_node(self, x: Any, labels: Any) -> Apply:
        x, labels = as_tensor_variable(x), as_tensor_variable(labels)
        _check_labels(x, labels)
        marks = (x.type.broadcastable[0] and labels.type.broadcastable[0],)
        return Apply(self, [x, labels], [TensorType(x.type.dtype, marks).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, labels = arrays
        check_label_range(labels, x.shape[1])
        if x.shape[0] != labels.shape[0]:
            raise ShapeError(f"{x.shape[0]} rows and {labels.shape[0]} labels")
        return (x[np.arange(x.shape[0]), labels],)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [(shapes[1][0],)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x, labels), (g,) = inputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g, DISCONNECTED]
        if x.type.dtype in dtypes.DISCRETE:
            return [zeros_for(x), DISCONNECTED]
        zero = np.zeros((), g.type.dtype)
        return [switch(one_hot_mask(labels, x), dimshuffle(g, 0, "x"), zero), DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], [False]]


def check_label_range(labels: np.ndarray, columns: int) -> None:
    bad = np.flatnonzero((labels < 0) | (labels >= columns))
    if bad.size:
        raise LabelError(
            f"y_i value out of bounds: label {labels[bad[0]]} at position {bad[0]}, "
            f"but there are {columns} columns"
        )


def one_hot_mask(labels: Variable, x: Variable) -> Variable:
    """bool[i, j]: whether j is the label of row i, for the columns of x."""
    columns = ARange("int64")(np.int64(0), ShapeI(1)(x), np.int64(1))
    return eq(dimshuffle(columns, "x", 0), dimshuffle(labels, 0, "x"))


class LogSoftmaxPick(Op):
    """log(softmax(x))[i, labels[i]] without forming the other columns."""

    make_node = Pick.make_node
    infer_shape = Pick.infer_shape
    connection_pattern = Pick.connection_pattern

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        x, labels = arrays
        check_label_range(labels, x.shape[1])
        return Pick().evaluate(LogSoftmax().evaluate(x)[0], labels)

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x, labels), (g,) = inputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g, DISCONNECTED]
        hit = cast(one_hot_mask(labels, x), x.type.dtype)
        return [dimshuffle(g, 0, "x") * (hit - Softmax()(x)), DISCONNECTED]

    def expand(self, x: Variable, labels: Variable) -> Variable:
        top = reduce_of("max", x, 1, identity=True)
        total = reduce_of("sum", exp(x - dimshuffle(top, 0, "x")), 1)
        return (Pick()(x, labels) - top) - log(total)


softmax_op = Softmax()
logsoftmax_op = LogSoftmax()
pick = Pick()
logsoftmax_pick = LogSoftmaxPick()

__all__ = [
    "LabelError",
    "LogSoftmax",
    "LogSoftmaxPick",
    "LogSumExp",
    "Pick",
    "Softmax",
    "logaddexp",
    "logsoftmax_op",
    "logsoftmax_pick",
    "logsumexp",
    "maximum",
    "neg",
    "one_hot_mask",
    "pick",
    "sigmoid",
    "softmax_op",
    "softplus",
    "softplus_minus",
    "ultra_fast_sigmoid",
]
