"""Arithmetic, comparison, bitwise and selecting functions, and conversions between dtypes.

All results here are exact in the IEEE or integer sense, so compiled code equals NumPy
bit for bit. Integers wrap; division by zero and shifts follow NumPy's results.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops import scalar as rules
from jitgraph.ops.elementwise import FILL, Elementwise, elementwise, number_like
from jitgraph.ops.scalar import by_dtype

ARITH = "jg_arith.h"
ANYTHING = (-3.0, 3.0)
AWAY_FROM_ZERO = (0.5, 3.0)

add = elementwise(
    "add",
    arity=-1,
    rule=rules.common,
    numpy=np.add,
    c=by_dtype(bool="{0} | {1}", other="({T})({0} + {1})", float="{0} + {1}"),
    grad=lambda g, *operands: tuple(g for _ in operands[:-1]),
    infix="+",
    doc="Sum of all operands; `or` for bool.",
)
mul = elementwise(
    "mul",
    arity=-1,
    rule=rules.common,
    numpy=np.multiply,
    c=by_dtype(bool="{0} & {1}", other="({T})({0} * {1})", float="{0} * {1}"),
    grad=lambda g, *operands: _product_rule(g, operands[:-1]),
    infix="*",
    doc="Product of all operands; `and` for bool.",
)


def _product_rule(g: Variable, factors: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """d(abc)/da = bc; nothing is divided, so zeros among the factors do no harm."""
    terms = []
    for i in range(len(factors)):
        term = g
        for other in factors[:i] + factors[i + 1 :]:
            term = term * other
        terms.append(term)
    return tuple(terms)


sub = elementwise(
    "sub",
    arity=2,
    rule=rules.number,
    numpy=np.subtract,
    c=by_dtype(other="({T})({0} - {1})", float="{0} - {1}"),
    grad=lambda g, a, b, y: (g, -g),
    infix="-",
)
true_div = elementwise(
    "true_div",
    arity=2,
    rule=rules.division,
    numpy=np.true_divide,
    c="{0} / {1}",
    grad=lambda g, a, b, y: (g / b, -(g * a) / (b * b)),
    infix="/",
    domain=(ANYTHING, AWAY_FROM_ZERO),
)
int_div = elementwise(
    "int_div",
    arity=2,
    rule=rules.number,
    numpy=np.floor_divide,
    c="jg_floordiv_{t}({0}, {1})",
    header=ARITH,
    grad=lambda g, a, b, y: (None, None),
    infix="//",
    domain=(ANYTHING, AWAY_FROM_ZERO),
    smooth=False,
    doc="Floor of the quotient. An integer divided by zero gives 0, as in NumPy.",
)
mod = elementwise(
    "mod",
    arity=2,
    rule=rules.number,
    numpy=np.remainder,
    c="jg_mod_{t}({0}, {1})",
    header=ARITH,
    grad=lambda g, a, b, y: (g, -(a // b) * g),
    infix="%",
    domain=((0.6, 0.9), (1.0, 1.5)),
    doc="Remainder with the sign of the divisor. An integer modulo zero gives 0, as in NumPy.",
)


def _integer_power(base: Any, exponent: Any) -> Any:
    """NumPy's power, with the truncated reciprocal where an integer exponent is negative."""
    base, exponent = np.asarray(base), np.asarray(exponent)
    if base.dtype.kind == "f":
        return np.power(base, exponent)
    magnitude = np.power(base, np.where(exponent < 0, 0, exponent).astype(base.dtype))
    if base.dtype.kind == "u":
        return magnitude
    odd = (exponent & 1).astype(bool)
    reciprocal = np.where(base == 1, 1, np.where(base == -1, np.where(odd, -1, 1), 0))
    return np.where(exponent < 0, reciprocal.astype(base.dtype), magnitude)


def _pow_grad(g: Variable, x: Variable, p: Variable, y: Variable) -> tuple[Any, Any]:
    from jitgraph.ops.math import log

    left = g * p * x ** (p - 1)
    right = None if p.type.dtype in dtypes.DISCRETE else g * switch(eq(x, 0), 0, log(x) * x**p)
    return left, right


power = elementwise(
    "pow",
    arity=2,
    rule=rules.at_least_int8,
    numpy=_integer_power,
    c="jg_pow_{t}({0}, {1})",
    header="jg_pow.h",
    integer_header=ARITH,
    grad=_pow_grad,
    infix="**",
    ulp=2,
    domain=(AWAY_FROM_ZERO, ANYTHING),
    doc="x to the power y. The derivative with respect to y is taken as 0 where x is 0.",
)
maximum = elementwise(
    "maximum",
    arity=2,
    rule=rules.common,
    numpy=np.maximum,
    c=by_dtype(float="({0} >= {1} || {0} != {0}) ? {0} : {1}", other="{0} >= {1} ? {0} : {1}"),
    grad=lambda g, a, b, y: (eq(y, a) * g, neq(y, a) * g),
    doc="The larger operand; nan if either is. A tie sends the gradient to the first.",
)
minimum = elementwise(
    "minimum",
    arity=2,
    rule=rules.common,
    numpy=np.minimum,
    c=by_dtype(float="({0} <= {1} || {0} != {0}) ? {0} : {1}", other="{0} <= {1} ? {0} : {1}"),
    grad=lambda g, a, b, y: (eq(y, a) * g, neq(y, a) * g),
    doc="The smaller operand; nan if either is. A tie sends the gradient to the first.",
)
neg = elementwise(
    "neg",
    arity=1,
    rule=rules.number,
    numpy=np.negative,
    c=by_dtype(other="({T})(-{0})", float="-{0}"),
    grad=lambda g, x, y: -g,
)
abs_ = elementwise(
    "abs_",
    arity=1,
    rule=rules.common,
    numpy=np.absolute,
    c=by_dtype(
        bool="{0}", uint="{0}", int="({T})({0} < 0 ? -{0} : {0})", float="({T})__builtin_fabs({0})"
    ),
    grad=lambda g, x, y: g * sgn(x),
)
sgn = elementwise(
    "sgn",
    arity=1,
    rule=rules.number,
    numpy=np.sign,
    c=by_dtype(
        other="({T})(({0} > 0) - ({0} < 0))",
        float="{0} != {0} ? {0} : ({T})(({0} > 0) - ({0} < 0))",
    ),
    grad=lambda g, x, y: None,
    domain=(AWAY_FROM_ZERO,),
    doc="-1, 0 or 1; nan stays nan.",
)
sqr = elementwise(
    "sqr",
    arity=1,
    rule=rules.common,
    numpy=lambda x: x * x,
    c=by_dtype(bool="{0}", other="({T})({0} * {0})", float="{0} * {0}"),
    grad=lambda g, x, y: g * x * 2,
)
inv = elementwise(
    "inv",
    arity=1,
    rule=rules.floating,
    numpy=lambda x: np.true_divide(x.dtype.type(1), x),
    c="1 / {0}",
    grad=lambda g, x, y: -g / (x * x),
    domain=(AWAY_FROM_ZERO,),
    doc="The reciprocal of every element (not the inverse of a matrix).",
)

# -- rounding ----------------------------------------------------------------------------


def _half_away(x: Any) -> Any:
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.copysign(1, x), whole).astype(x.dtype)


def _rounding(name: str, numpy: Any, c: str, doc: str, rule: Any = rules.floating) -> Elementwise:
    return elementwise(
        name,
        arity=1,
        rule=rule,
        numpy=numpy,
        c=c,
        header="jg_round.h",
        grad=lambda g, x, y: None,
        domain=((0.1, 0.4),),
        doc=doc,
    )


ceil = _rounding("ceil", np.ceil, "jg_ceil_{t}({0})", "The next integer upwards, as a float.")
floor = _rounding("floor", np.floor, "jg_floor_{t}({0})", "The next integer downwards, as a float.")
trunc = _rounding("trunc", np.trunc, "jg_trunc_{t}({0})", "The integer part, as a float.")
round_half_to_even = _rounding(
    "round_half_to_even",
    np.rint,
    "jg_rint_{t}({0})",
    "The nearest integer, halves to the even one.",
    rules.only_floats,
)
round_half_away_from_zero = _rounding(
    "round_half_away_from_zero",
    _half_away,
    "jg_round_{t}({0})",
    "The nearest integer, halves away from zero.",
    rules.only_floats,
)

# -- comparison ----------------------------------------------------------------------------


def _comparison(name: str, numpy: Any, symbol: str) -> Elementwise:
    return elementwise(
        name,
        arity=2,
        rule=rules.comparison,
        numpy=numpy,
        c=f"{{0}} {symbol} {{1}}",
        grad=lambda g, a, b, y: (None, None),
    )


lt = _comparison("lt", np.less, "<")
le = _comparison("le", np.less_equal, "<=")
gt = _comparison("gt", np.greater, ">")
ge = _comparison("ge", np.greater_equal, ">=")
eq = _comparison("eq", np.equal, "==")
neq = _comparison("neq", np.not_equal, "!=")

isnan = elementwise(
    "isnan",
    arity=1,
    rule=rules.float_test,
    numpy=np.isnan,
    c=by_dtype(float="{0} != {0}", other="({0} & 0)"),
    grad=lambda g, x, y: None,
    doc="True where an element is nan; never for integers.",
)
isinf = elementwise(
    "isinf",
    arity=1,
    rule=rules.float_test,
    numpy=np.isinf,
    c=by_dtype(float="__builtin_fabs({0}) == __builtin_inf()", other="({0} & 0)"),
    grad=lambda g, x, y: None,
    doc="True where an element is infinite; never for integers.",
)

# -- bits ----------------------------------------------------------------------------------


def _bitwise(name: str, numpy: Any, symbol: str) -> Elementwise:
    return elementwise(
        name,
        arity=2,
        rule=rules.bits,
        numpy=numpy,
        c=f"({{T}})({{0}} {symbol} {{1}})",
        grad=lambda g, a, b, y: (None, None),
        infix=symbol,
        doc="Bitwise on integers, logical on bool.",
    )


and_ = _bitwise("and_", np.bitwise_and, "&")
or_ = _bitwise("or_", np.bitwise_or, "|")
xor = _bitwise("xor", np.bitwise_xor, "^")
invert = elementwise(
    "invert",
    arity=1,
    rule=rules.bits,
    numpy=np.invert,
    c=by_dtype(bool="!{0}", other="({T})~{0}"),
    grad=lambda g, x, y: None,
    doc="All bits flipped; logical not for bool.",
)

# -- selection -----------------------------------------------------------------------------


def _switch_grad(g: Variable, c: Variable, a: Variable, b: Variable, y: Variable) -> Any:
    # The masked branch gets an exact 0 (not 0 * nan). The condition gets zero, as comparisons
    # do: the second derivative of a function of pieces exists where its pieces are linear.
    zero = np.zeros((), dtype=g.type.dtype)
    return None, switch(c, g, zero), switch(c, zero, g)


switch = elementwise(
    "switch",
    arity=3,
    rule=rules.selection,
    numpy=lambda c, a, b: np.where(c != 0, a, b),
    c="{0} ? {1} : {2}",
    grad=_switch_grad,
    domain=((0.5, 3.0), ANYTHING, ANYTHING),
    doc="Element of the second operand where the first is not zero, else of the third.",
)


def _clip_grad(g: Variable, x: Variable, lo: Variable, hi: Variable, y: Variable) -> Any:
    below, above = lt(x, lo), gt(x, hi) & ge(x, lo)
    inside = invert(lt(x, lo) | gt(x, hi))
    zero = np.zeros((), dtype=g.type.dtype)
    return switch(inside, g, zero), switch(below, g, zero), switch(above, g, zero)


clip = elementwise(
    "clip",
    arity=3,
    rule=rules.common,
    numpy=lambda x, lo, hi: np.where(x < lo, lo, np.where(x > hi, hi, x)),
    c="{0} < {1} ? {1} : ({0} > {2} ? {2} : {0})",
    grad=_clip_grad,
    domain=((-1.0, 1.0), (-3.0, -2.0), (2.0, 3.0)),
    doc="x kept between lo and hi; lo wins if it is the larger. Slope 1 at both bounds.",
)
identity = elementwise(
    "identity",
    arity=1,
    rule=rules.common,
    numpy=lambda x: x,
    c="{0}",
    grad=lambda g, x, y: g,
    doc="The operand itself.",
)
deg2rad = elementwise(
    "deg2rad",
    arity=1,
    rule=rules.floating,
    numpy=lambda x: x * x.dtype.type(np.pi / 180),
    c="{0} * ({T})0x1.1df46a2529d39p-6",
    grad=lambda g, x, y: g * number_like(np.pi / 180, y),
)
rad2deg = elementwise(
    "rad2deg",
    arity=1,
    rule=rules.floating,
    numpy=lambda x: x * x.dtype.type(180 / np.pi),
    c="{0} * ({T})0x1.ca5dc1a63c1f8p+5",
    grad=lambda g, x, y: g * number_like(180 / np.pi, y),
)
fill = FILL

# -- conversion ------------------------------------------------------------------------------


def _cast_template(target: str) -> Any:
    def template(operands: tuple[str, ...], _result: str) -> str:
        source = operands[0]
        if target == "bool":
            return "{0} != 0"
        if source == "bool" and target in dtypes.FLOATS:
            # The same number: GCC has no vector conversion of a byte that a comparison made, and
            # takes up to fifteen times as long.
            return "jg_one_if_{t}({0})"
        if source in dtypes.FLOATS and target in dtypes.INTEGERS:
            # What the hardware does with nan and values out of range, spelt without
            # undefined conversions to the narrow types.
            if target == "uint64":
                return "jg_to_u64({0})"
            if source == "float64" and target not in ("int64", "uint32"):
                return "({T})(jg_cut){0}"
            via = {"int64": "", "int32": "", "uint32": "(int64_t)"}.get(target, "(int32_t)")
            return f"({{T}}){via}{{0}}"
        return "({T}){0}"

    return template


def _declare_cast(target: str) -> Elementwise:
    return elementwise(
        f"cast{{{target}}}",
        arity=1,
        rule=rules.fixed(target),
        numpy=lambda x: x,
        c=_cast_template(target),
        header=ARITH if target == "uint64" else None,
        grad=(lambda g, x, y: g) if target in dtypes.FLOATS else (lambda g, x, y: None),
        label=target,
        doc=f"Conversion to {target} as C does it.",
    )


CASTS = {name: _declare_cast(name) for name in dtypes.NAMES}


def cast(x: Any, dtype: Any) -> Variable:
    """`x` with the elements converted to `dtype` ('floatX' is the configured float).

    A variable that has the dtype already is returned itself. Raises TypeError for an
    unknown dtype. The gradient through a conversion to a discrete dtype is zero.
    """
    from jitgraph.ops.values import as_tensor_variable

    variable = as_tensor_variable(x)
    try:
        name = dtypes.check(dtype)
    except TypeError as error:
        raise TypeError(f"cast of {describe(variable)}: {error}{here()}") from None
    return variable if variable.type.dtype == name else CASTS[name](variable)
