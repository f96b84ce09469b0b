"""Elementary and special functions of real numbers, with their derivatives.

`ulp` is the bound that the C of `csrc` states against the true value.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jitgraph.graph import Variable
from jitgraph.ops import scalar as rules
from jitgraph.ops.arithmetic import eq, sqr, switch
from jitgraph.ops.elementwise import Elementwise, elementwise, number_like

TWO_OVER_SQRT_PI = 2 / math.sqrt(math.pi)
LN2, LN10 = math.log(2.0), math.log(10.0)


def _vectorised(function: Any) -> Any:
    """A reference from the math module, element by element, in the dtype of its operand."""

    def one(x: float) -> float:
        try:
            return function(float(x))
        except (ValueError, OverflowError):
            return math.nan

    def apply(x: np.ndarray) -> np.ndarray:
        return np.vectorize(one, otypes=["float64"])(x).astype(x.dtype)

    return apply


def _unary(
    name: str, numpy: Any, header: str, grad: Any, *, fast: bool = False, **more: Any
) -> Elementwise:
    """A function of one operand by its C name; `fast`: jg_fast.h has a form of it."""
    more.setdefault("c", f"jg_{name}_{{t}}({{0}})")
    if fast:
        more["fast"] = f"jg_{name}_fast_{{t}}({{0}})"
    more.setdefault("ulp", 2)
    more.setdefault("rule", rules.floating)
    return elementwise(name, arity=1, numpy=numpy, header=header, grad=grad, **more)


POSITIVE = ((0.3, 3.0),)
UNIT = ((-0.9, 0.9),)

exp = _unary("exp", np.exp, "jg_exp.h", lambda g, x, y: g * y, ulp=1, fast=True, short=True)
exp2 = _unary(
    "exp2",
    np.exp2,
    "jg_exp.h",
    lambda g, x, y: g * y * number_like(LN2, y),
    fast=True,
    short=True,
)
expm1 = _unary("expm1", np.expm1, "jg_exp.h", lambda g, x, y: g * exp(x), ulp=1, fast=True)
log = _unary(
    "log",
    np.log,
    "jg_log.h",
    lambda g, x, y: g / x,
    ulp=1,
    domain=POSITIVE,
    fast=True,
)
log2 = _unary(
    "log2",
    np.log2,
    "jg_log.h",
    lambda g, x, y: g / (x * number_like(LN2, y)),
    domain=POSITIVE,
    fast=True,
    vectors=(2, 2),
)
log10 = _unary(
    "log10",
    np.log10,
    "jg_log.h",
    lambda g, x, y: g / (x * number_like(LN10, y)),
    domain=POSITIVE,
    fast=True,
    vectors=(2, 2),
)
log1p = _unary(
    "log1p",
    np.log1p,
    "jg_log.h",
    lambda g, x, y: g / (1 + x),
    ulp=1,
    domain=((-0.6, 3.0),),
    fast=True,
)
sqrt = _unary(
    "sqrt",
    np.sqrt,
    "jg_round.h",
    lambda g, x, y: g * 0.5 / y,
    ulp=0,
    domain=POSITIVE,
    c=lambda operands, result: (
        "__builtin_sqrtf({0})" if result == "float32" else "__builtin_sqrt({0})"
    ),
)
cbrt = _unary(
    "cbrt", np.cbrt, "jg_log.h", lambda g, x, y: g / (3 * y * y), domain=POSITIVE, vectors=(4, 2)
)

sin = _unary("sin", np.sin, "jg_trig.h", lambda g, x, y: g * cos(x))
cos = _unary("cos", np.cos, "jg_trig.h", lambda g, x, y: -g * sin(x))
tan = _unary("tan", np.tan, "jg_trig.h", lambda g, x, y: g / sqr(cos(x)), domain=((-1.2, 1.2),))
arcsin = _unary(
    "arcsin",
    np.arcsin,
    "jg_trig.h",
    lambda g, x, y: g / sqrt(1 - sqr(x)),
    c="jg_asin_{t}({0})",
    domain=UNIT,
    vectors=(2, 2),
)
arccos = _unary(
    "arccos",
    np.arccos,
    "jg_trig.h",
    lambda g, x, y: -g / sqrt(1 - sqr(x)),
    c="jg_acos_{t}({0})",
    domain=UNIT,
    vectors=(1, 1),
)
arctan = _unary(
    "arctan",
    np.arctan,
    "jg_trig.h",
    lambda g, x, y: g / (1 + sqr(x)),
    c="jg_atan_{t}({0})",
    vectors=(2, 2),
)
arctan2 = elementwise(
    "arctan2",
    arity=2,
    rule=rules.floating,
    numpy=np.arctan2,
    c="jg_atan2_{t}({0}, {1})",
    header="jg_trig.h",
    grad=lambda g, a, b, y: (g * b / (sqr(a) + sqr(b)), -g * a / (sqr(a) + sqr(b))),
    ulp=2,
    domain=((0.3, 3.0),),
    doc="The angle of the point (b, a) in radians, in (-pi, pi].",
)
sinh = _unary("sinh", np.sinh, "jg_hyperbolic.h", lambda g, x, y: g * cosh(x), vectors=(4, 2))
cosh = _unary("cosh", np.cosh, "jg_hyperbolic.h", lambda g, x, y: g * sinh(x), vectors=(4, 2))
tanh = _unary(
    "tanh",
    np.tanh,
    "jg_hyperbolic.h",
    lambda g, x, y: g * (1 - sqr(y)),
    ulp=1,
    fast=True,
)
arcsinh = _unary(
    "arcsinh",
    np.arcsinh,
    "jg_hyperbolic.h",
    lambda g, x, y: g / sqrt(sqr(x) + 1),
    c="jg_asinh_{t}({0})",
    vectors=(4, 2),
)
arccosh = _unary(
    "arccosh",
    np.arccosh,
    "jg_hyperbolic.h",
    lambda g, x, y: g / sqrt(sqr(x) - 1),
    c="jg_acosh_{t}({0})",
    domain=((1.3, 3.0),),
    vectors=(4, 2),
)
arctanh = _unary(
    "arctanh",
    np.arctanh,
    "jg_hyperbolic.h",
    lambda g, x, y: g / (1 - sqr(x)),
    c="jg_atanh_{t}({0})",
    domain=UNIT,
    vectors=(4, 2),
)


def _logaddexp_grad(g: Variable, a: Variable, b: Variable, y: Variable) -> Any:
    from jitgraph.ops.nnet import sigmoid

    return g * sigmoid(a - b), g * sigmoid(b - a)


logaddexp = elementwise(
    "logaddexp",
    arity=2,
    rule=rules.floating,
    numpy=np.logaddexp,
    c="jg_logaddexp_{t}({0}, {1})",
    header="jg_log.h",
    grad=_logaddexp_grad,
    ulp=2,
    doc="log(exp(a) + exp(b)) without overflow.",
)


def _xlogx(x: np.ndarray) -> np.ndarray:
    return np.where(x == 0, x.dtype.type(0), x * np.log(np.where(x == 0, x.dtype.type(1), x)))


def _xlogy0(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(x == 0, x.dtype.type(0), x * np.log(np.where(x == 0, y.dtype.type(1), y)))


xlogx = elementwise(
    "xlogx",
    arity=1,
    rule=rules.floating,
    numpy=_xlogx,
    c="{0} == 0 ? 0 : {0} * jg_log_{t}({0})",
    fast="{0} == 0 ? 0 : {0} * jg_log_fast_{t}({0})",
    header="jg_log.h",
    grad=lambda g, x, y: g * (1 + log(x)),
    ulp=2,
    domain=POSITIVE,
    doc="x log x, and 0 at x = 0.",
)
xlogy0 = elementwise(
    "xlogy0",
    arity=2,
    rule=rules.floating,
    numpy=_xlogy0,
    c="{0} == 0 ? 0 : {0} * jg_log_{t}({1})",
    fast="{0} == 0 ? 0 : {0} * jg_log_fast_{t}({1})",
    header="jg_log.h",
    grad=lambda g, a, b, y: (g * log(b), switch(eq(a, 0), 0.0, g * a / b)),
    ulp=2,
    domain=POSITIVE,
    doc="x log y, and 0 at x = 0.",
)

# -- the error function ----------------------------------------------------------------------

erf = _unary(
    "erf",
    _vectorised(math.erf),
    "jg_erf.h",
    lambda g, x, y: g * number_like(TWO_OVER_SQRT_PI, y) * exp(-sqr(x)),
    ulp=1,
    fast=True,
    vectors=(2, 4),
)
erfc = _unary(
    "erfc",
    _vectorised(math.erfc),
    "jg_erf.h",
    lambda g, x, y: -g * number_like(TWO_OVER_SQRT_PI, y) * exp(-sqr(x)),
    vectors=(4, 2),
)
