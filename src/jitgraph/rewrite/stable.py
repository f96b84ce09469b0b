"""Rules that replace an expression by an equal one which neither overflows nor cancels.

These change results for the better: each right side is finite wherever the true value is, and
accurate there. They are applied before differentiation too, so gradients inherit it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, Variable
from jitgraph.ops import math as m_ops
from jitgraph.ops.arithmetic import cast, lt, maximum, minimum, sqr, switch, true_div
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import AdvancedSubtensor, Subtensor
from jitgraph.ops.nnet import (
    LogSoftmax,
    LogSumExp,
    Softmax,
    logsoftmax_op,
    logsoftmax_pick,
    pick,
    softmax_op,
)
from jitgraph.ops.reduce import Reduce, reduce_of
from jitgraph.ops.shape import ARange, DimShuffle, Reshape, Shape, ShapeI, dimshuffle, known_int
from jitgraph.rewrite import logarithms
from jitgraph.rewrite.canonical import NEGATION
from jitgraph.rewrite.engine import Rewriter, Rule, rule_function
from jitgraph.rewrite.logarithms import is_shifted_by_maximum
from jitgraph.rewrite.pattern import (
    A,
    B,
    Condition,
    K,
    Match,
    Pattern,
    Wild,
    X,
    builder,
    constant_source,
    has_one_user,
    law,
    match,
    operand_dtypes,
    uniform_value,
)
from jitgraph.rewrite.shapes import strip_padding
from jitgraph.rewrite.views import made_by

exp, log, log1p, expm1 = map(builder, ("exp", "log", "log1p", "expm1"))
sigmoid, softplus, logaddexp = map(builder, ("sigmoid", "softplus", "logaddexp"))
erf, erfc = map(builder, ("erf", "erfc"))
sqrt_, sqr_, abs_, inv = map(builder, ("sqrt", "sqr", "abs_", "inv"))
switch_ = builder("switch")
sigmoid_crossentropy = builder("sigmoid_binary_crossentropy")
Softmax_, LogSoftmax_, Pick_, LogSoftmaxPick_ = map(
    builder, ("Softmax", "LogSoftmax", "Pick", "LogSoftmaxPick")
)

D = Wild("d")

STABLE = ("stabilize", "fast_run")
ALWAYS = ("fast_compile", "crossentropy", "specialize", *STABLE)
ABOVE_MINUS_1, BELOW_1 = (-0.9, 9.0), (-9.0, 0.9)


def _law(name: str, left: Pattern, right: Pattern, *tags: str, **more: Any) -> Rule:
    return law(name, left, right, tags=(*STABLE, *tags), **more)


SIGMOID = [
    _law("log(sigmoid(x)) -> -softplus(-x)", log(sigmoid(X)), -softplus(-X), "logsigm_to_softplus"),
    _law(
        "log(1 - sigmoid(x)) -> -softplus(x)",
        log(1 - sigmoid(X)),
        -softplus(X),
        "log1msigm_to_softplus",
    ),
    _law(
        "log1p(-sigmoid(x)) -> -softplus(x)",
        log1p(-sigmoid(X)),
        -softplus(X),
        "log1p_neg_sigmoid",
        "log1p_neg_sigmoid,",
    ),
    _law("log1p(exp(x)) -> softplus(x)", log1p(exp(X)), softplus(X), "log1pexp_to_softplus"),
    # With another user sigmoid(x) is computed anyway, and 1 - y is cheaper than a second one.
    _law(
        "1 - sigmoid(x) -> sigmoid(-x)",
        1 - sigmoid(X),
        sigmoid(-X),
        "local_1msigmoid",
        when=has_one_user(1),
    ),
    _law("1 - (1 - sigmoid(x)) -> sigmoid(x)", 1 - (1 - sigmoid(X)), sigmoid(X), "local_1msigmoid"),
    _law(
        "softplus(x) - softplus(-x) -> x",
        softplus(X) - softplus(-X),
        X,
        "local_softplus_difference",
    ),
    _law(
        "exp(-softplus(x)) -> sigmoid(-x)",
        exp(-softplus(X)),
        sigmoid(-X),
        "local_exp_neg_softplus",
    ),
    _law(
        "exp(x) / (1 + exp(x)) -> sigmoid(x)",
        exp(X) / (1 + exp(X)),
        sigmoid(X),
        "local_exp_over_1_plus_exp",
    ),
    _law("1 / (1 + exp(-x)) -> sigmoid(x)", 1 / (1 + exp(-X)), sigmoid(X), "local_inv_1_plus_exp"),
    _law("inv(1 + exp(-x)) -> sigmoid(x)", inv(1 + exp(-X)), sigmoid(X), "local_inv_1_plus_exp"),
    _law(
        "(1 + exp(-x)) ** -1 -> sigmoid(x)",
        (1 + exp(-X)) ** -1,
        sigmoid(X),
        "local_inv_1_plus_exp",
    ),
    _law(
        "(1 + exp(x)) ** -1 -> sigmoid(-x)",
        (1 + exp(X)) ** -1,
        sigmoid(-X),
        "local_inv_1_plus_exp",
    ),
    _law("1 / (1 + exp(x)) -> sigmoid(-x)", 1 / (1 + exp(X)), sigmoid(-X), "local_inv_1_plus_exp"),
    _law("inv(1 + exp(x)) -> sigmoid(-x)", inv(1 + exp(X)), sigmoid(-X), "local_inv_1_plus_exp"),
    _law(
        "a / (1 + exp(-x)) -> a * sigmoid(x)",
        A / (1 + exp(-X)),
        A * sigmoid(X),
        "local_inv_1_plus_exp",
    ),
    _law(
        "a / (1 + exp(x)) -> a * sigmoid(-x)",
        A / (1 + exp(X)),
        A * sigmoid(-X),
        "local_inv_1_plus_exp",
    ),
    _law(
        "exp(x) * sigmoid(-x) -> sigmoid(x)",
        exp(X) * sigmoid(-X),
        sigmoid(X),
        "local_sigm_times_exp",
    ),
    _law(
        "exp(-x) * sigmoid(x) -> sigmoid(-x)",
        exp(-X) * sigmoid(X),
        sigmoid(-X),
        "local_sigm_times_exp",
    ),
    _law(
        "(a * exp(x)) * sigmoid(-x) -> a * sigmoid(x)",
        (A * exp(X)) * sigmoid(-X),
        A * sigmoid(X),
        "local_sigm_times_exp",
    ),
    _law(
        "(a * exp(-x)) * sigmoid(x) -> a * sigmoid(-x)",
        (A * exp(-X)) * sigmoid(X),
        A * sigmoid(-X),
        "local_sigm_times_exp",
    ),
]

EXP_LOG = [
    _law(
        "log(exp(a) + exp(b)) -> logaddexp(a, b)",
        log(exp(A) + exp(B)),
        logaddexp(A, B),
        "local_log_add",
    ),
    _law("1 / exp(x) -> exp(-x)", 1 / exp(X), exp(-X), "local_inv_exp"),
    _law("inv(exp(x)) -> exp(-x)", inv(exp(X)), exp(-X), "local_inv_exp"),
    _law("log(exp(x)) -> x", log(exp(X)), X, "local_log_exp"),
    _law("exp(a) - 1 -> expm1(a)", exp(A) - 1, expm1(A), "local_expm1"),
    _law("exp(a) + -1 -> expm1(a)", exp(A) + -1, expm1(A), "local_expm1"),
    _law("1 - exp(a) -> -expm1(a)", 1 - exp(A), -expm1(A), "local_expm1"),
    _law(
        "log(1 + x) -> log1p(x)", log(1 + X), log1p(X), "local_log1p", domain={"x": ABOVE_MINUS_1}
    ),
    _law("log(1 - x) -> log1p(-x)", log(1 - X), log1p(-X), "local_log1p", domain={"x": BELOW_1}),
    _law("sqrt(sqr(x)) -> |x|", sqrt_(sqr_(X)), abs_(X), "local_sqrt_sqr"),
]

ERROR_FUNCTION = [
    _law("1 - erf(x) -> erfc(x)", 1 - erf(X), erfc(X), "local_one_minus_erf"),
    _law("1 + erf(-x) -> erfc(x)", 1 + erf(-X), erfc(X), "local_one_plus_neg_erf"),
    _law("1 + -erf(x) -> erfc(x)", 1 + -erf(X), erfc(X), "local_one_add_neg_erf"),
    _law("1 + erf(x) -> erfc(-x)", 1 + erf(X), erfc(-X), "local_one_plus_erf"),
    _law("erf(x) - 1 -> -erfc(x)", erf(X) - 1, -erfc(X), "local_erf_minus_one"),
    _law("erf(x) + -1 -> -erfc(x)", erf(X) + -1, -erfc(X), "local_erf_minus_one"),
    _law("1 - erfc(x) -> erf(x)", 1 - erfc(X), erf(X), "local_one_minus_erfc"),
    _law("1 + -erfc(x) -> erf(x)", 1 + -erfc(X), erf(X), "local_one_add_neg_erfc"),
    _law("erfc(-x) - 1 -> erf(x)", erfc(-X) - 1, erf(X), "local_erf_neg_minus_one"),
    _law("erfc(-x) + -1 -> erf(x)", erfc(-X) + -1, erf(X), "local_erf_neg_minus_one"),
]


# 0 * inf and 0 * nan in a branch that is masked out must not reach the result.
def _is_not_input(name: str) -> Condition:
    """The operand is a constant, or computed and so perhaps infinite or nan where it is masked.

    An input is left outside, so that the zero of a masked gradient keeps the sign that the
    product gives it; further rules reach through one such factor.
    """

    def ask(m: Match) -> bool:
        v = strip_padding(m.bound[name][0])
        return v.owner is not None or isinstance(v, Constant)

    return ask


MASKS = [
    _law(
        "a * switch(k, 0, b) -> switch(k, 0, a * b)",
        A * switch_(K, 0, B),
        switch_(K, 0, A * B),
        "local_mul_switch_sink",
        when=_is_not_input("a"),
    ),
    _law(
        "a * switch(k, b, 0) -> switch(k, a * b, 0)",
        A * switch_(K, B, 0),
        switch_(K, A * B, 0),
        "local_mul_switch_sink",
        when=_is_not_input("a"),
    ),
    _law(
        "(a * switch(k, 0, b)) * d -> switch(k, 0, (a * b) * d)",
        (A * switch_(K, 0, B)) * D,
        switch_(K, 0, (A * B) * D),
        "local_mul_switch_sink",
        when=_is_not_input("d"),
    ),
    _law(
        "(a * switch(k, b, 0)) * d -> switch(k, (a * b) * d, 0)",
        (A * switch_(K, B, 0)) * D,
        switch_(K, (A * B) * D, 0),
        "local_mul_switch_sink",
        when=_is_not_input("d"),
    ),
    _law(
        "(a * switch(k, 0, b)) / d -> switch(k, 0, (a * b) / d)",
        (A * switch_(K, 0, B)) / D,
        switch_(K, 0, (A * B) / D),
        "local_div_switch_sink",
        domain={"d": (0.5, 3.0)},
    ),
    _law(
        "(a * switch(k, b, 0)) / d -> switch(k, (a * b) / d, 0)",
        (A * switch_(K, B, 0)) / D,
        switch_(K, (A * B) / D, 0),
        "local_div_switch_sink",
        domain={"d": (0.5, 3.0)},
    ),
    _law(
        "switch(k, 0, a) / b -> switch(k, 0, a / b)",
        switch_(K, 0, A) / B,
        switch_(K, 0, A / B),
        "local_div_switch_sink",
        domain={"b": (0.5, 3.0)},
    ),
    _law(
        "switch(k, a, 0) / b -> switch(k, a / b, 0)",
        switch_(K, A, 0) / B,
        switch_(K, A / B, 0),
        "local_div_switch_sink",
        domain={"b": (0.5, 3.0)},
    ),
]

SOFTMAX = [
    law(
        "log(softmax(x)) -> logsoftmax(x)",
        log(Softmax_(X)),
        LogSoftmax_(X),
        tags=(*ALWAYS, "local_logsoftmax"),
        matrix=True,
    ),
    law(
        "log(pick(softmax(x), k)) -> logsoftmax_pick(x, k)",
        log(Pick_(Softmax_(X), K)),
        LogSoftmaxPick_(X, K),
        tags=(*ALWAYS, "crossentropy_to_crossentropy_with_softmax"),
        matrix=True,
    ),
]


# -- sums of exponentials ----------------------------------------------------------------------


def _operand_of_exp(v: Variable, rewriter: Rewriter) -> Variable | None:
    """x where v is exp(x), converted as exp reads it."""
    m = Match(rewriter)
    return m["x"] if match(exp(X), v, v.type.dtype, m) else None


@rule_function(
    "log(sum(exp(x), axes)) -> logsumexp(x, axes)", "log", tags=(*STABLE, "local_log_sum_exp")
)
def log_sum_exp(node: Apply, rewriter: Rewriter) -> Variable | None:
    """Any axes; with keepdims the axes of length 1 are put back. Not where x has been shifted."""
    (s,) = node.inputs
    view = made_by(s, DimShuffle)
    reduction = made_by(view.inputs[0] if view is not None else s, Reduce)
    if reduction is None or reduction.op.kind != "sum" or not reduction.op.axes:
        return None
    x = _operand_of_exp(reduction.inputs[0], rewriter)
    if x is None or is_shifted_by_maximum(x) or s.type.dtype not in dtypes.FLOATS:
        return None
    if operand_dtypes(node)[0] != reduction.op.dtype:
        return None
    result = LogSumExp(reduction.op.axes)(x)
    return result if view is None else dimshuffle(result, view.op.new_order)


@rule_function(
    "exp(x) / sum(exp(x), axis, keepdims) -> softmax(x)",
    "true_div",
    "mul",
    tags=(*STABLE, "softmax_simplifier", "local_softmax_simplifier"),
)
def softmax_of_quotient(node: Apply, rewriter: Rewriter) -> Variable | None:
    """exp(x) divided by, or times the reciprocal of, its sum; either may be seen through a view.

    x = z - max(z) gives softmax(z), which subtracts it itself.
    """
    if len(node.inputs) != 2:  # a product of more
        return None
    top, bottom = node.inputs
    if node.op.scalar_name == "mul":
        below = _reciprocal_of(bottom)
        top, below = (top, below) if below is not None else (bottom, _reciprocal_of(top))
        if below is None:
            return None
        bottom = below
    moved = made_by(top, DimShuffle)
    e = top if moved is None else moved.inputs[0]
    x = _operand_of_exp(e, rewriter)
    if x is None or x.type.dtype not in dtypes.FLOATS:
        return None
    order = tuple(range(x.type.ndim)) if moved is None else moved.op.new_order
    axes = _axes_of_sum(bottom, e, order)
    if not axes or e.type.dtype != node.outputs[0].type.dtype:
        return None
    soft = _softmax_over(x, axes)
    if soft is None:
        return None
    return soft if moved is None else dimshuffle(soft, order)


def _reciprocal_of(v: Variable) -> Variable | None:
    """w where v is 1 / w, or a view of that (then the view of w)."""
    view = made_by(v, DimShuffle)
    node = v.owner if view is None else view.inputs[0].owner
    name = getattr(node.op, "scalar_name", "") if node is not None else ""
    if node is None or name not in ("inv", "true_div"):
        return None
    if name == "true_div" and uniform_value(node.inputs[0]) != 1:
        return None
    below = node.inputs[-1]
    return below if view is None else dimshuffle(below, view.op.new_order)


def _axes_of_sum(v: Variable, e: Variable, order: Sequence[Any]) -> tuple[int, ...]:
    """The axes of `e` over which `v` is its sum, laid out like `dimshuffle(e, order)`; else ()."""
    view = (
        v.owner if v.owner is not None and isinstance(v.owner.op, (DimShuffle, Reshape)) else None
    )
    total = made_by(v if view is None else view.inputs[0], Reduce)
    if total is None or total.op.kind != "sum" or total.inputs[0] is not e:
        return ()
    axes: tuple[int, ...] = total.op.axes
    if total.op.dtype != e.type.dtype:
        return ()
    kept = [i for i in range(e.type.ndim) if i not in axes]
    if view is None:
        fits = not kept and v.type.ndim == len(order)
    elif isinstance(view.op, DimShuffle):
        fits = view.op.new_order == tuple("x" if o in axes else kept.index(o) for o in order)
    else:  # a vector of sums, made a column or a row
        marks = tuple(o in axes for o in order)
        fits = len(kept) == 1 and v.type.broadcastable == marks
    return axes if fits else ()


def _softmax_over(x: Variable, axes: tuple[int, ...]) -> Variable | None:
    """softmax over `axes`: the op where one row or column view is enough, else written out."""
    ndim = x.type.ndim
    if ndim == 1:
        return dimshuffle(softmax_op(_unshifted(dimshuffle(x, "x", 0))), 1)
    if ndim == 2 and axes == (1,):
        return softmax_op(_unshifted(x))
    if ndim == 2 and axes == (0,):
        return dimshuffle(softmax_op(dimshuffle(x, 1, 0)), 1, 0)
    if is_shifted_by_maximum(x):
        return None
    e = m_ops.exp(x - reduce_of("max", x, list(axes), keepdims=True, identity=True))
    return true_div(e, reduce_of("sum", e, list(axes), keepdims=True))


def _unshifted(x: Variable) -> Variable:
    """z where x is z - max(z, axis=1, keepdims), else x."""
    if not is_shifted_by_maximum(x) or x.owner is None:
        return x
    view = made_by(x.owner.inputs[1], DimShuffle)
    if view is None or view.op.new_order != (0, "x"):
        return x
    reduction = view.inputs[0].owner
    return x.owner.inputs[0] if reduction is not None and reduction.op.axes == (1,) else x


# -- picking by label --------------------------------------------------------------------------


@rule_function(
    "log(softmax(x))[arange(n), k] -> pick(logsoftmax(x), k)",
    AdvancedSubtensor,
    tags=(*ALWAYS, "local_advanced_indexing_crossentropy_onehot"),
)
def pick_of_index(node: Apply, rewriter: Rewriter) -> Variable | None:
    """Indexing by arange(length of k or x) and an integer vector k picks one element a row.

    Only of logarithms of a softmax: for these k is a vector of class numbers, each row has one,
    and a negative one is an error.
    """
    if not _picks(node, rewriter):
        return None
    x, _rows, labels = node.inputs
    m = Match(rewriter)
    if match(log(Softmax_(X)), x, x.type.dtype, m):
        return pick(logsoftmax_op(m["x"]), labels)
    return pick(x, labels) if made_by(x, LogSoftmax) is not None else None


@rule_function(
    "log(softmax(x)[arange(n), k]) -> logsoftmax_pick(x, k)",
    "log",
    tags=(*ALWAYS, "local_advanced_indexing_crossentropy_onehot"),
)
def log_of_pick(node: Apply, rewriter: Rewriter) -> Variable | None:
    """The same with the logarithm taken after indexing."""
    inner = made_by(node.inputs[0], AdvancedSubtensor)
    if inner is None or inner.outputs[0] in rewriter.keep or not _picks(inner, rewriter):
        return None
    soft = made_by(inner.inputs[0], Softmax)
    if soft is None or inner.inputs[0] in rewriter.keep:
        return None
    return logsoftmax_pick(soft.inputs[0], inner.inputs[2])


def _picks(node: Apply, rewriter: Rewriter) -> bool:
    """Whether the indexing reads one element of each row of a matrix."""
    if node.op.pattern != ("a", "a"):
        return False
    x, rows, labels = node.inputs
    if labels.type.ndim != 1 or labels.type.dtype not in dtypes.INTEGERS or x.type.ndim != 2:
        return False
    return _counts_rows(rows, (labels, x), rewriter)


def _counts_rows(rows: Variable, arrays: Sequence[Variable], rewriter: Rewriter) -> bool:
    """Whether `rows` is arange(n) with n the length of one of `arrays`."""
    node = made_by(rows, ARange)
    if node is None or known_int(node.inputs[0]) != 0 or known_int(node.inputs[2]) != 1:
        return False
    if any(rewriter.length(a, 0) is node.inputs[1] for a in arrays):
        return True
    return _length_source(node.inputs[1]) in {id(_shape_source(a)) for a in arrays}


def _shape_source(v: Variable) -> Variable:
    """The variable that lends `v` its first length, through functions that keep it."""
    while v.owner is not None and isinstance(v.owner.op, (Softmax, LogSoftmax)):
        v = v.owner.inputs[0]
    if v.owner is not None and getattr(v.owner.op, "scalar_name", None) == "log":
        return _shape_source(v.owner.inputs[0])
    return v


def _length_source(n: Variable) -> int | None:
    """The id of the array whose first length `n` is."""
    while n.owner is not None and getattr(n.owner.op, "scalar_name", None) == "cast{int64}":
        n = n.owner.inputs[0]
    length = made_by(n, ShapeI)
    if length is not None and length.op.i == 0:
        return id(_shape_source(length.inputs[0]))
    index = made_by(n, Subtensor)
    if index is None or index.op.pattern != ("i",) or known_int(index.inputs[1]) != 0:
        return None
    shape = made_by(index.inputs[0], Shape)
    return None if shape is None else id(_shape_source(shape.inputs[0]))


# -- the logarithm of erfc ---------------------------------------------------------------------

# Beyond these, erfc(x) is subnormal or zero.
_ERFC_TAIL = {"float32": 9.0, "float64": 26.0}


@rule_function(
    "log(erfc(x)) -> -x^2 - log(x sqrt(pi)) + log(1 - 1/(2x^2) + …)   (large x)",
    "log",
    tags=(*STABLE, "local_log_erfc", "local_grad_log_erfc_neg"),
)
def log_erfc(node: Apply, rewriter: Rewriter) -> Variable | None:
    """The asymptotic series of erfc (Abramowitz and Stegun 7.1.23) where erfc underflows.

    erfc(x) ~ exp(-x^2) / (x sqrt(pi)) * (1 + sum_n (-1)^n (2n-1)!! / (2 x^2)^n); five terms leave
    less than 1e-10 of the result at the float32 threshold, and 2e-18 at that of float64. Both
    branches are kept off the other's range, so that gradients stay finite too.
    """
    m = Match(rewriter)
    if not match(erfc(X), node.inputs[0], node.inputs[0].type.dtype, m):
        return None
    x = m["x"]
    if _is_bounded_above(x):
        return None
    dtype = x.type.dtype
    tail = np.asarray(_ERFC_TAIL[dtype], dtype)
    near = m_ops.log(m_ops.erfc(minimum(x, tail)))
    z = maximum(x, tail)
    w = np.asarray(0.5, dtype) / sqr(z)
    series: Any = np.asarray(-945.0, dtype) * w
    for coefficient in (105.0, -15.0, 3.0, -1.0):
        series = (np.asarray(coefficient, dtype) + series) * w
    half_log_pi = np.asarray(0.5 * math.log(math.pi), dtype)
    far = -(sqr(z)) - m_ops.log(z) - half_log_pi + m_ops.log1p(series)
    return cast(switch(lt(x, tail), near, far), node.outputs[0].type.dtype)


def _is_bounded_above(x: Variable) -> bool:
    """Whether x is minimum(·, c) with a constant c: this rule's own result."""
    node = x.owner
    return (
        node is not None
        and isinstance(node.op, Elementwise)
        and node.op.scalar_name == "minimum"
        and any(constant_source(v) is not None for v in node.inputs)
    )


# One logarithm in place of two. Its derivative is sigmoid(x) - t, which loses the small values that
# the two terms keep, so this is not done before differentiation.
SIGMOID_CROSSENTROPY = _law(
    "t * softplus(-x) + (1 - t) * softplus(x) -> sigmoid_binary_crossentropy(x, t)",
    A * softplus(-X) + (1 - A) * softplus(X),
    sigmoid_crossentropy(X, A),
    "local_sigmoid_crossentropy",
    domain={"a": (0.0, 1.0)},  # elsewhere the terms may cancel, on either side
)

RULES: list[Rule] = [
    *SIGMOID,
    SIGMOID_CROSSENTROPY,
    *EXP_LOG,
    log_sum_exp,
    softmax_of_quotient,
    *SOFTMAX,
    pick_of_index,
    log_of_pick,
    *ERROR_FUNCTION,
    log_erfc,
    *MASKS,
    *logarithms.RULES,  # last: rules above know the special cases
]

# What `grad` needs beside them: minus signs that these rules leave behind meet and vanish, and
# those written as a factor are seen.
_SIGNS = ("-(-x) -> x", "x * -1 -> -x")
BEFORE_GRADIENT: list[Rule] = [
    *(r for r in RULES if r is not SIGMOID_CROSSENTROPY),
    *(r for r in NEGATION if r.name in _SIGNS),
]
