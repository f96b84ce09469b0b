"""Exact simplifications of elementwise expressions, and evaluation of what is constant.

Both sides of each law here are the same to the last bit in every dtype, with three exceptions
that each law states: the sign of a zero (`x + 0`, negations moved outwards), powers that become
products (within 2 ULP of the true power), and `x**0.5`, which as `sqrt(x)` is nan at -inf, as it
is in NumPy's `**`.

Not here, because they change values: x/x -> 1, x-x -> 0, 0*x -> 0, eq(x, x) -> True, division by
a constant as multiplication, other orders of summation.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, TensorType, Variable
from jitgraph.ops.arithmetic import CASTS, cast
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.fold import LARGEST_FOLDED, fold_scalar
from jitgraph.ops.shape import MakeVector
from jitgraph.rewrite.engine import Rewriter, Rule, rule_function
from jitgraph.rewrite.pattern import (
    CAST_NAMES,
    A,
    B,
    C,
    Pattern,
    X,
    builder,
    is_float,
    is_integer,
    law,
    uniform_value,
)

neg, abs_, sqr, sqrt, inv = map(builder, ("neg", "abs_", "sqr", "sqrt", "inv"))
switch, fill, identity, invert = map(builder, ("switch", "second", "identity", "invert"))
maximum, minimum = map(builder, ("maximum", "minimum"))

USELESS = ("canonicalize", "fast_compile", "fast_run", "useless")
SIMPLE = ("canonicalize", "fast_compile", "fast_run")
POWERS = ("specialize", "fast_run", "local_pow_specialize")


def _exact(name: str, left: Pattern, right: Pattern, **more: Any) -> Rule:
    more.setdefault("tags", SIMPLE)
    return law(name, left, right, exact=True, **more)


def _holds(value: Any) -> bool:
    return bool(value is not None and value != 0)


def _value_of(name: str) -> Any:
    return lambda m: uniform_value(m.bound[name][0])


def _condition_is(expected: bool) -> Any:
    return lambda m: _holds(_value_of("c")(m)) is expected


def _is_signed(name: str) -> Any:
    return lambda m: m.bound[name][1] in dtypes.FLOATS | dtypes.SIGNED


NEUTRAL = [
    _exact("identity(x) -> x", identity(X), X, tags=USELESS),
    _exact("x * 1 -> x", X * 1, X, tags=(*USELESS, "local_mul_specialize")),
    _exact("x / 1 -> x", X / 1, X, tags=USELESS),
    _exact("x // 1 -> x", X // 1, X, when=is_integer("x"), tags=(*USELESS, "local_intdiv_by_one")),
    _exact("x - 0 -> x", X - 0, X, tags=USELESS),
    # -0.0 + 0.0 is +0.0: the sign of a zero may change.
    _exact("x + 0 -> x", X + 0, X, tags=USELESS),
    _exact("maximum(x, x) -> x", maximum(X, X), X, tags=USELESS),
    _exact("minimum(x, x) -> x", minimum(X, X), X, tags=USELESS),
    _exact("invert(invert(x)) -> x", invert(invert(X)), X, tags=USELESS),
]

# Negations travel outwards, where they meet and vanish or turn a sum into a difference. Rounding
# is symmetric, so only the sign of a zero result may differ.
NEGATION = [
    _exact("-(-x) -> x", neg(neg(X)), X, tags=(*SIMPLE, "local_neg_neg")),
    _exact("x * -1 -> -x", X * -1, neg(X), tags=(*SIMPLE, "mul_to_neg")),
    _exact("x / -1 -> -x", X / -1, neg(X)),
    _exact("-a + -b -> -(a + b)", neg(A) + neg(B), neg(A + B)),
    _exact("a + -b -> a - b", A + neg(B), A - B),
    _exact("a - -b -> a + b", A - neg(B), A + B),
    _exact("-(a - b) -> b - a", neg(A - B), B - A),
    _exact("a * -b -> -(a * b)", A * neg(B), neg(A * B)),
    _exact("-a / b -> -(a / b)", neg(A) / B, neg(A / B)),
    _exact("a / -b -> -(a / b)", A / neg(B), neg(A / B)),
    _exact("sqr(-x) -> sqr(x)", sqr(neg(X)), sqr(X)),
    _exact("|-x| -> |x|", abs_(neg(X)), abs_(X), when=_is_signed("x")),
    _exact("| |x| | -> |x|", abs_(abs_(X)), abs_(X)),
    _exact("sqr(|x|) -> sqr(x)", sqr(abs_(X)), sqr(X)),
    _exact("|sqr(x)| -> sqr(x)", abs_(sqr(X)), sqr(X), when=is_float("x")),
]

SELECTION = [
    _exact(
        "switch(c, a, b) -> a   (c not 0)",
        switch(C, A, B),
        A,
        when=_condition_is(True),
        tags=(*USELESS, "local_useless_switch"),
    ),
    _exact(
        "switch(c, a, b) -> b   (c = 0)",
        switch(C, A, B),
        B,
        when=_condition_is(False),
        tags=(*USELESS, "local_useless_switch"),
    ),
    _exact("switch(x, a, a) -> a", switch(X, A, A), A, tags=(*USELESS, "local_useless_switch")),
]

POSITIVE = {"x": (0.1, 9.0)}
POWER = [
    _exact("x ** 0 -> 1", X**0, fill(X, 1), tags=POWERS),
    _exact("x ** 1 -> x", X**1, X, tags=(*POWERS, "canonicalize", "local_pow_canonicalize")),
    law("x ** 2 -> sqr(x)", X**2, sqr(X), tags=POWERS),
    law("x ** 3 -> x * sqr(x)", X**3, X * sqr(X), tags=POWERS),
    law("x ** 4 -> sqr(sqr(x))", X**4, sqr(sqr(X)), tags=POWERS),
    law("x ** 0.5 -> sqrt(x)", X**0.5, sqrt(X), when=is_float("x"), tags=POWERS, domain=POSITIVE),
    law("x ** -1 -> inv(x)", X**-1, inv(X), when=is_float("x"), tags=POWERS, domain=POSITIVE),
    _exact("x * x -> sqr(x)", X * X, sqr(X), tags=("specialize", "fast_run", "local_mul_to_sqr")),
]


# -- number of operands, dtypes ---------------------------------------------------------------


@rule_function("a + b + c -> (a + b) + c", "add", "mul", tags=SIMPLE)
def to_binary(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Sums and products of any number of operands, combined from the left as they are defined."""
    op, inputs, dtype = node.op, node.inputs, node.outputs[0].type.dtype
    if len(inputs) == 2:
        return None
    if len(inputs) == 1:
        return cast(inputs[0], dtype)
    # With all operands in the final dtype the partial results are those of the n-ary node.
    result = op(cast(inputs[0], dtype), cast(inputs[1], dtype))
    for other in inputs[2:]:
        result = op(result, other)
    return result


# bits of exact integers that each dtype holds, sign apart
_INTEGER_BITS = {"bool": 1, "float32": 24, "float64": 53} | {
    d: np.iinfo(d).bits - (d in dtypes.SIGNED) for d in dtypes.INTEGERS
}


def holds_all(wide: str, narrow: str) -> bool:
    """Whether every value of dtype `narrow` is exact in `wide`."""
    if narrow in dtypes.FLOATS:
        return wide in dtypes.FLOATS and _INTEGER_BITS[wide] >= _INTEGER_BITS[narrow]
    if narrow in dtypes.SIGNED and wide not in dtypes.SIGNED | dtypes.FLOATS:
        return False
    return _INTEGER_BITS[wide] >= _INTEGER_BITS[narrow]


@rule_function("cast(cast(x)) -> cast(x)", *sorted(CAST_NAMES), tags=USELESS, needs=CAST_NAMES)
def merge_casts(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """A conversion to the dtype it has already, or of one that lost nothing.

    An integer on its way through a float to another integer is left alone: conversions between
    integers wrap, those from floats do not.
    """
    (x,) = node.inputs
    target = node.outputs[0].type.dtype
    if x.type.dtype == target:
        return x
    if x.owner is None or getattr(x.owner.op, "scalar_name", None) not in CAST_NAMES:
        return None
    source, between = x.owner.inputs[0].type.dtype, x.type.dtype
    if not holds_all(between, source):
        return None
    via_float = between in dtypes.FLOATS and source in dtypes.DISCRETE
    if via_float and target in dtypes.INTEGERS and target != source:
        return None
    return cast(x.owner.inputs[0], target)


@rule_function(
    "f(x, c) -> f(x, cast(c))",
    tags=(*SIMPLE, "local_upcast_elemwise_constant_inputs"),
    needs=("constant",),
)
def upcast_constants(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Constants take the dtype in which an elementwise function reads them."""
    op = node.op
    if type(op) is not Elementwise or len(node.inputs) == 1:
        return None
    used_as = op.dtypes_in(node)
    inputs = list(node.inputs)
    for i, (v, dtype) in enumerate(zip(node.inputs, used_as, strict=True)):
        if v.type.dtype != dtype and isinstance(v, Constant) and v.data.size <= LARGEST_FOLDED:
            inputs[i] = _converted(v, dtype)
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return None
    # The conversion must not have decided the dtype of the others.
    if op.scalar.rule(*(v.type.dtype for v in inputs)) != (used_as, node.outputs[0].type.dtype):
        return None
    return op.make_node(*inputs).outputs[0]


def _converted(v: Constant, dtype: str) -> Constant:
    (data,) = CASTS[dtype].evaluate(v.data)
    return _frozen(v.type.clone(dtype=dtype), data)


def _frozen(type_: TensorType, data: np.ndarray) -> Constant:
    data = np.asarray(data, dtype=type_.dtype)
    data.flags.writeable = False
    return type_.make_constant(data)


# -- constants -------------------------------------------------------------------------------


@rule_function("f(constants) -> constant", tags=(*SIMPLE, "constant_folding"), needs=("constant",))
def fold_constants(node: Apply, _rewriter: Rewriter) -> Variable | None:
    """Evaluate a node whose inputs are constants, if its result is small."""
    if not node.op.foldable or not all(isinstance(v, Constant) for v in node.inputs):
        return None
    if isinstance(node.op, MakeVector) and len(node.inputs) > LARGEST_FOLDED:
        return None
    size = known_size(node)
    if size is None or size > LARGEST_FOLDED:
        return None
    try:
        results = node.op.evaluate(*(v.data for v in node.inputs))  # type: ignore[attr-defined]
    except (ArithmeticError, AssertionError, IndexError, TypeError, ValueError):
        return None  # the error belongs to the call that runs it
    return _frozen(node.outputs[0].type, results[0])


def known_size(node: Apply) -> int | None:
    """The number of elements of the output of a node on constants, found without computing it."""
    if not isinstance(node.outputs[0].type, TensorType):
        return None
    shapes = [v.data.shape for v in node.inputs]  # type: ignore[attr-defined]
    inferred = node.op.infer_shape(node, shapes)
    if inferred is None:
        # At most one element for each of the inputs' pairs; only tiny inputs are tried.
        return max((v.data.size for v in node.inputs), default=0) ** 2  # type: ignore[attr-defined]
    size = 1
    for n in inferred[0]:
        length = fold_scalar(n) if isinstance(n, Variable) else n
        if length is None:
            return None
        size *= int(length)
    return size


RULES: list[Rule] = [
    fold_constants,
    to_binary,
    merge_casts,
    *NEUTRAL,
    *NEGATION,
    *SELECTION,
    *POWER,
    upcast_constants,
]
