"""Activations, softmax and cross-entropies."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import abs_, cast, gt, switch
from jitgraph.ops.crossentropy import sigmoid_crossentropy
from jitgraph.ops.math import exp, expm1, log
from jitgraph.ops.nnet import (
    logsoftmax_op,
    one_hot_mask,
    pick,
    sigmoid,
    softmax_op,
    softplus,
    ultra_fast_sigmoid,
)
from jitgraph.ops.reduce import reduce_of
from jitgraph.ops.shape import dimshuffle
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.nnet.sigm import hard_sigmoid

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "crossentropy_categorical_1hot",
    "crossentropy_softmax_1hot",
    "crossentropy_softmax_1hot_with_bias",
    "crossentropy_softmax_1hot_with_bias_dx",
    "crossentropy_softmax_argmax_1hot_with_bias",
    "crossentropy_softmax_max_and_argmax_1hot",
    "crossentropy_softmax_max_and_argmax_1hot_with_bias",
    "elu",
    "hard_sigmoid",
    "logsoftmax",
    "relu",
    "selu",
    "sigmoid",
    "sigmoid_binary_crossentropy",
    "softmax",
    "softmax_grad",
    "softmax_graph",
    "softmax_op",
    "softmax_with_bias",
    "softplus",
    "softsign",
    "ultra_fast_sigmoid",
]


def relu(x: Any, alpha: Any = 0) -> Variable:
    """x where x > 0, else alpha x; alpha a number or an array that broadcasts with x.

    Slope at 0: (1 + alpha) / 2. Formula (Theano): 0.5 (1 + alpha) x + 0.5 (1 - alpha) |x|,
    for alpha 0: 0.5 (x + |x|).
    """
    x = as_tensor_variable(x)
    if not isinstance(alpha, Variable) and np.ndim(alpha) == 0 and alpha == 0:
        return 0.5 * (x + abs_(x))  # type: ignore[operator]
    alpha = as_tensor_variable(alpha)
    return 0.5 * (1 + alpha) * x + 0.5 * (1 - alpha) * abs_(x)


def softsign(x: Any) -> Variable:
    """x / (1 + |x|)."""
    x = as_tensor_variable(x)
    return x / (1.0 + abs_(x))  # type: ignore[operator]


def elu(x: Any, alpha: Any = 1) -> Variable:
    """x where x > 0, else alpha (exp(x) - 1). Source: Clevert et al. 2015."""
    return switch(gt(x, 0), x, alpha * expm1(x))


def selu(x: Any) -> Variable:
    """scale * elu(x, alpha) with the constants of Klambauer et al. 2017."""
    alpha = 1.6732632423543772848170429916717
    scale = 1.0507009873554804934193349852946
    curve: Any = elu(x, alpha)
    return scale * curve


def softmax(x: Any) -> Variable:
    """exp(x) / sum(exp(x)) for each row of a float matrix, without overflow.

    A vector is taken as one row, so the result has two axes. Raises ValueError for integers
    and other ranks.
    """
    return softmax_op(x)


def softmax_graph(c: Any) -> Variable:
    """softmax spelt out in elementary operations."""
    c = as_tensor_variable(c)
    e = exp(c)
    return e / e.sum(axis=1, keepdims=True)


def logsoftmax(c: Any) -> Variable:
    """log(softmax(c)) for each row: c - max - log(sum(exp(c - max)))."""
    return logsoftmax_op(c)


def softmax_grad(dy: Any, sm: Any) -> Variable:
    """The gradient of softmax: sm (dy - sum(dy sm)) for each row."""
    dy, sm = as_tensor_variable(dy), as_tensor_variable(sm)
    return sm * (dy - reduce_of("sum", dy * sm, 1, keepdims=True))  # type: ignore[operator]


def _biased(x: Any, b: Any) -> Variable:
    x, b = as_tensor_variable(x), as_tensor_variable(b)
    if x.type.ndim != 2 or x.type.dtype not in dtypes.FLOATS:
        raise ValueError(f"x must be 2-d tensor of floats, got {describe(x)}{here()}")
    if b.type.ndim != 1 or b.type.dtype not in dtypes.FLOATS:
        raise ValueError(f"b must be 1-d tensor of floats, got {describe(b)}{here()}")
    return x + b  # type: ignore[operator]


def softmax_with_bias(x: Any, b: Any) -> Variable:
    """softmax(x + b); x a float matrix, b a float vector."""
    return softmax_op(_biased(x, b))


def binary_crossentropy(output: Any, target: Any) -> Variable:
    """-(target log(output) + (1 - target) log(1 - output)), element by element.

    `output` strictly between 0 and 1, or the result of sigmoid (then any pre-activation is
    fine, because the logarithm of a sigmoid is rewritten). dtype: promotion of both.
    """
    output, target = as_tensor_variable(output), as_tensor_variable(target)
    return -(target * log(output) + (1.0 - target) * log(1.0 - output))  # type: ignore[operator]


def sigmoid_binary_crossentropy(output: Any, target: Any) -> Variable:
    """binary_crossentropy(sigmoid(output), target), stable for any `output`.

    Formula: softplus(-|o|) + o ((o > 0) - target).
    """
    output, target = as_tensor_variable(output), as_tensor_variable(target)
    return sigmoid_crossentropy(output, target)


def categorical_crossentropy(coding_dist: Any, true_dist: Any) -> Variable:
    """The cross-entropy of each row of `coding_dist` with its true distribution.

    `true_dist` of equal rank holds probabilities: -sum(true log(coding)) over the last axis.
    With one axis less it is an integer vector of class numbers: -log(coding[i, true[i]]).
    Raises TypeError for other ranks or a label vector that does not hold integers; at run
    time an error that is both IndexError and ValueError for a label outside the columns.
    """
    coding, true = as_tensor_variable(coding_dist), as_tensor_variable(true_dist)
    if true.type.ndim == coding.type.ndim:
        return -reduce_of("sum", true * log(coding), coding.type.ndim - 1)  # type: ignore[operator]
    if true.type.ndim == coding.type.ndim - 1:
        return crossentropy_categorical_1hot(coding, true)
    raise TypeError(
        f"rank mismatch between coding and true distributions: {describe(coding)} and "
        f"{describe(true)}{here()}"
    )


def crossentropy_categorical_1hot(coding_dist: Any, true_one_of_n: Any) -> Variable:
    """-log(coding[i, label[i]]) for each row i."""
    labels = as_tensor_variable(true_one_of_n)
    if labels.type.dtype not in ("int32", "int64"):
        raise TypeError(f"integer vector required (int32 or int64), got {describe(labels)}{here()}")
    return -log(pick(coding_dist, labels))


def _checked_labels(labels: Any) -> Variable:
    labels = as_tensor_variable(labels)
    if labels.type.ndim != 1 or labels.type.dtype not in dtypes.INTEGERS:
        raise ValueError(f"y_idx must be 1-d tensor of integers, got {describe(labels)}{here()}")
    return labels


def crossentropy_softmax_argmax_1hot_with_bias(
    x: Any, b: Any, y_idx: Any
) -> tuple[Variable, Variable, Variable]:
    """(nll, softmax, argmax) of the rows of x + b, with the class numbers y_idx.

    nll[i] = -log(softmax(x + b)[i, y_idx[i]]), never through log(0); argmax has the dtype
    of y_idx.
    """
    z, labels = _biased(x, b), _checked_labels(y_idx)
    nll = -pick(logsoftmax_op(z), labels)
    return nll, softmax_op(z), cast(reduce_of("argmax", z, 1), labels.type.dtype)


def crossentropy_softmax_1hot_with_bias(
    x: Any, b: Any, y_idx: Any, **kwargs: Any
) -> list[Variable]:
    """[nll, softmax] of the rows of x + b."""
    return list(crossentropy_softmax_argmax_1hot_with_bias(x, b, y_idx)[:2])


def crossentropy_softmax_1hot(x: Any, y_idx: Any, **kwargs: Any) -> list[Variable]:
    """[nll, softmax] of the rows of x."""
    z, labels = as_tensor_variable(x), _checked_labels(y_idx)
    return [-pick(logsoftmax_op(z), labels), softmax_op(z)]


def crossentropy_softmax_max_and_argmax_1hot_with_bias(
    x: Any, b: Any, y_idx: Any, **kwargs: Any
) -> tuple[Variable, Variable, Variable, Variable]:
    """(nll, softmax, max, argmax) of the rows of x + b; max and argmax are of the softmax."""
    nll, sm, arg = crossentropy_softmax_argmax_1hot_with_bias(x, b, y_idx)
    return nll, sm, reduce_of("max", sm, -1), cast(reduce_of("argmax", sm, -1), arg.type.dtype)


def crossentropy_softmax_max_and_argmax_1hot(
    x: Any, y_idx: Any, **kwargs: Any
) -> tuple[Variable, Variable, Variable, Variable]:
    """(nll, softmax, max, argmax) of the rows of x."""
    nll, sm = crossentropy_softmax_1hot(x, y_idx)
    labels = as_tensor_variable(y_idx)
    return nll, sm, reduce_of("max", sm, -1), cast(reduce_of("argmax", sm, -1), labels.type.dtype)


def crossentropy_softmax_1hot_with_bias_dx(dnll: Any, sm: Any, y_idx: Any) -> Variable:
    """dnll[i] (sm[i, j] - [j = y_idx[i]]): the gradient of nll with respect to x."""
    dnll, sm, labels = as_tensor_variable(dnll), as_tensor_variable(sm), _checked_labels(y_idx)
    hit = cast(one_hot_mask(labels, sm), sm.type.dtype)
    return dimshuffle(dnll, 0, "x") * (sm - hit)
