"""Two-level softmax, confusion matrices, constant columns."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import cast, eq
from jitgraph.ops.extra import Unique
from jitgraph.ops.join import join
from jitgraph.ops.linalg import dot
from jitgraph.ops.nnet import pick, softmax_op
from jitgraph.ops.reduce import reduce_of
from jitgraph.ops.shape import Alloc, Reshape, ShapeI, dimshuffle, shape_vector
from jitgraph.ops.values import as_tensor_variable

__all__ = [
    "confusion_matrix",
    "h_softmax",
    "prepend_0_to_each_row",
    "prepend_1_to_each_row",
    "prepend_scalar_to_each_row",
]


def prepend_scalar_to_each_row(val: Any, m: Any) -> Variable:
    """The matrix m with a column of the number `val` before its first; TypeError otherwise."""
    val, m = as_tensor_variable(val), as_tensor_variable(m)
    if m.type.ndim != 2 or val.type.ndim != 0:
        raise TypeError(
            f"prepend_scalar_to_each_row takes a number and a matrix, got {describe(val)} and "
            f"{describe(m)}{here()}"
        )
    column: Any = Alloc()(cast(val, m.type.dtype), ShapeI(0)(m), 1)
    return join(1, column, m)


def prepend_0_to_each_row(m: Any) -> Variable:
    """The matrix m with a column of zeros before its first."""
    return prepend_scalar_to_each_row(0, m)


def prepend_1_to_each_row(m: Any) -> Variable:
    """The matrix m with a column of ones before its first."""
    return prepend_scalar_to_each_row(1, m)


def confusion_matrix(actual: Any, pred: Any) -> list[Variable]:
    """[counts, labels]: how often the label of a row was predicted as that of a column.

    `actual` and `pred` are vectors of equal length; `labels` has their different values in order,
    counts (int64) as many rows and columns. Raises ValueError for other ranks. No gradient.
    """
    given = [as_tensor_variable(v) for v in (actual, pred)]
    for v in given:
        if v.type.ndim != 1:
            raise ValueError(f"confusion_matrix takes vectors, got {describe(v)}{here()}")
    labels: Any = Unique()(join(0, *given))
    hits = [cast(eq(dimshuffle(v, 0, "x"), labels), "int64") for v in given]
    return [dot(dimshuffle(hits[0], 1, 0), hits[1]), labels]


def h_softmax(
    x: Any,
    batch_size: Any,
    n_outputs: Any,
    n_classes: Any,
    n_outputs_per_class: Any,
    W1: Any,
    b1: Any,
    W2: Any,
    b2: Any,
    target: Any = None,
) -> Variable:
    """Two-level softmax: the probability of a class times that of an output in it.

    x (batch, d); W1 (d, classes), b1 (classes,); W2 (classes, d, per class), b2 (classes, per
    class). Output k belongs to class k // n_outputs_per_class. Without `target` the probabilities
    of all outputs, (batch, n_outputs); with integers of shape (batch,) or (batch, 1), those of the
    targets, (batch,), which computes only the classes they belong to.
    """
    x, W2, b2 = as_tensor_variable(x), as_tensor_variable(W2), as_tensor_variable(b2)
    first: Any = softmax_op(dot(x, W1) + b1)  # type: ignore[operator]
    if target is None:
        # (batch, class, per class) as one product of matrices
        flat_w = Reshape(2)(dimshuffle(W2, 1, 0, 2), shape_vector([ShapeI(1)(W2), -1]))
        scores: Any = Reshape(2)(
            dot(x, flat_w) + Reshape(1)(b2, shape_vector([-1])),  # type: ignore[operator]
            shape_vector([-1, n_outputs_per_class]),
        )
        inner: Any = Reshape(3)(
            softmax_op(scores), shape_vector([batch_size, n_classes, n_outputs_per_class])
        )
        joint = dimshuffle(first, 0, 1, "x") * inner
        return Reshape(2)(joint, shape_vector([batch_size, -1]))[:, :n_outputs]  # type: ignore[index]
    labels: Any = as_tensor_variable(target).flatten()  # type: ignore[attr-defined]
    group, member = labels // n_outputs_per_class, labels % n_outputs_per_class
    chosen: Any = W2[group]  # type: ignore[index]
    scores = reduce_of("sum", dimshuffle(x, 0, 1, "x") * chosen, 1) + b2[group]  # type: ignore
    return pick(first, group) * pick(softmax_op(scores), member)  # type: ignore[operator]
