"""Special functions: error functions, gamma family, Bessel functions; and the angle of a number.

Derivatives are from the NIST Digital Library of Mathematical Functions (DLMF), cited by
equation. `ulp` is the bound that the C of `csrc` states against the true value. References
that NumPy and the math module lack are taken from SciPy, in reference mode only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Variable
from jitgraph.op import Undefined
from jitgraph.ops import scalar as rules
from jitgraph.ops.arithmetic import sqr
from jitgraph.ops.elementwise import Elementwise, elementwise, number_like
from jitgraph.ops.math import POSITIVE, TWO_OVER_SQRT_PI, exp

ERF, GAMMA, BESSEL = "jg_erf.h", "jg_gamma.h", "jg_bessel.h"
HALF_SQRT_PI = math.sqrt(math.pi) / 2
# The bound of the functions that are summed or integrated rather than fitted: 450 ulp is 1e-13.
FAR = 450.0

Array = np.ndarray


# -- references ----------------------------------------------------------------------------------


def _scipy(name: str) -> Callable[..., Any]:
    """A function of scipy.special, looked up when it is first needed."""

    def apply(*operands: Array) -> Array:
        try:
            import scipy.special
        except ImportError:
            raise ImportError(
                f"the NumPy reference of {name} needs SciPy: pip install scipy "
                f"(compiled functions do not need it)"
            ) from None
        wide = (np.asarray(a, dtype="float64") for a in operands)
        return np.asarray(getattr(scipy.special, name)(*wide)).astype(operands[0].dtype)

    return apply


def _elementwise_reference(one: Callable[[float], float]) -> Callable[[Array], Array]:
    return lambda x: np.vectorize(one, otypes=["float64"])(x).astype(x.dtype)


def _gamma(x: float) -> float:
    try:
        return math.gamma(x)
    except OverflowError:
        return math.copysign(math.inf, x)  # only near +0, -0 and far to the right
    except ValueError:
        return math.copysign(math.inf, x) if x == 0 else math.nan


def _gammaln(x: float) -> float:
    try:
        return math.lgamma(x)
    except (OverflowError, ValueError):
        return math.inf  # the poles, and beyond the largest number


# Coefficients of the asymptotic series in 1/x^2: B_2k / (2k) for psi (DLMF 5.11.2) and
# B_2k for tri_gamma (DLMF 5.15.8), with the Bernoulli numbers B_2 ... B_14.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
# From here on the first omitted term is below 2e-17 relative.
_LARGE = 12.0


def _series(y: Array, coefficients: list[float]) -> Array:
    total = np.zeros_like(y)
    for c in reversed(coefficients):
        total = total * y + c
    return total


def _raised(x: Array, term: Callable[[Array], Array]) -> tuple[Array, Array]:
    """x moved up by whole steps to at least _LARGE, and the terms of the steps added up."""
    x, total = x.copy(), np.zeros_like(x)
    while (low := x < _LARGE).any():
        total = np.where(low, total + term(x), total)
        x = np.where(low, x + 1, x)
    return x, total


def _psi_right(x: Array) -> Array:
    """psi(x) = psi(x + 1) - 1/x (DLMF 5.5.2) until the series ln x - 1/(2x) - ... applies."""
    x, total = _raised(x, lambda t: 1 / t)
    y = 1 / (x * x)
    tail = y * _series(y, [b / (2 * k) for k, b in enumerate(_BERNOULLI, 1)])
    return np.log(x) - 0.5 / x - tail - total


def _psi(x: Array) -> Array:
    """By reflection for x < 1/2: psi(1 - x) - psi(x) = pi / tan(pi x) (DLMF 5.5.4)."""
    wide = np.asarray(x, dtype="float64")
    with np.errstate(all="ignore"):
        left = wide < 0.5
        right = _psi_right(np.where(left, 1 - wide, wide))
        value = np.where(left, right - np.pi / np.tan(np.pi * (wide - np.rint(wide))), right)
        value = np.where((wide <= 0) & (wide == np.rint(wide)), np.nan, value)
    # At 0 the two sides of the pole are told apart by the sign of zero.
    value = np.where(wide == 0, np.copysign(np.inf, -wide), value)
    return value.astype(x.dtype)


def _tri_gamma_right(x: Array) -> Array:
    x, total = _raised(x, lambda t: 1 / (t * t))
    y = 1 / (x * x)
    return total + 1 / x + 0.5 * y + y / x * _series(y, list(_BERNOULLI))


def _tri_gamma(x: Array) -> Array:
    """By reflection for x < 1/2: psi'(1 - x) + psi'(x) = (pi / sin(pi x))^2."""
    wide = np.asarray(x, dtype="float64")
    with np.errstate(all="ignore"):
        left = wide < 0.5
        right = _tri_gamma_right(np.where(left, 1 - wide, wide))
        sine = np.sin(np.pi * (wide - np.rint(wide)))
        value = np.where(left, (np.pi / sine) ** 2 - right, right)
        pole = (wide <= 0) & (wide == np.rint(wide)) & np.isfinite(wide)
        value = np.where(pole, np.inf, value)
        return value.astype(x.dtype)


# -- declarations --------------------------------------------------------------------------------


def _declare(name: str, arity: int, numpy: Any, header: str, grad: Any, **more: Any) -> Elementwise:
    operands = ", ".join(f"{{{i}}}" for i in range(arity))
    more.setdefault("c", f"jg_{name}_{{t}}({operands})")
    more.setdefault("rule", rules.floating)
    more.setdefault("ulp", 4)
    more.setdefault("vectors", (0, 0))  # not vectorised
    return elementwise(name, arity=arity, numpy=numpy, header=header, grad=grad, **more)


erfcx = _declare(
    "erfcx",
    1,
    _scipy("erfcx"),
    ERF,
    lambda g, x, y: g * (2 * x * y - number_like(TWO_OVER_SQRT_PI, y)),
    ulp=2,
    doc="exp(x^2) erfc(x), without overflow for large x. Derivative: DLMF 7.10.",
)
erfinv = _declare(
    "erfinv",
    1,
    _scipy("erfinv"),
    ERF,
    lambda g, x, y: g * number_like(HALF_SQRT_PI, y) * exp(sqr(y)),
    domain=((-0.9, 0.9),),
    doc="The y with erf(y) = x; infinite at -1 and 1, nan outside.",
)
erfcinv = _declare(
    "erfcinv",
    1,
    _scipy("erfcinv"),
    ERF,
    lambda g, x, y: -g * number_like(HALF_SQRT_PI, y) * exp(sqr(y)),
    domain=((0.1, 1.9),),
    doc="The y with erfc(y) = x; infinite at 0 and 2, nan outside.",
)

gamma = _declare(
    "gamma",
    1,
    _elementwise_reference(_gamma),
    GAMMA,
    lambda g, x, y: g * y * psi(x),
    domain=POSITIVE,
    ulp=2.5,
    vectors=(4, 2),
    doc="The gamma function; nan at the negative integers.",
)
gammaln = _declare(
    "gammaln",
    1,
    _elementwise_reference(_gammaln),
    GAMMA,
    lambda g, x, y: g * psi(x),
    domain=POSITIVE,
    doc="log |gamma(x)|; inf at the poles.",
)
psi: Elementwise = _declare(
    "psi",
    1,
    _psi,
    GAMMA,
    lambda g, x, y: g * tri_gamma(x),
    domain=POSITIVE,
    ulp=1,
    vectors=(4, 2),
    doc="The derivative of gammaln (digamma); nan at the negative integers.",
)
tri_gamma: Elementwise = _declare(
    "tri_gamma",
    1,
    _tri_gamma,
    GAMMA,
    None,
    no_grad="its derivative, the polygamma function of order 2, is not available",
    domain=POSITIVE,
    doc="The derivative of psi; inf at zero and the negative integers.",
)


def _gamma_pair(name: str, numpy: Any, doc: str, **more: Any) -> Elementwise:
    more.setdefault("no_grad", "the derivative with respect to k has no closed form")
    more.setdefault("ulp", FAR)
    return _declare(name, 2, numpy, GAMMA, None, domain=POSITIVE, doc=doc, **more)


_P, _Q = _scipy("gammainc"), _scipy("gammaincc")


def _times_gamma(regularised: Callable[..., Array]) -> Callable[[Array, Array], Array]:
    """The incomplete function itself, from the regularised one, computed in float64."""

    def apply(k: Array, x: Array) -> Array:
        wide = np.asarray(k, dtype="float64")
        return (regularised(wide, x) * _elementwise_reference(_gamma)(wide)).astype(k.dtype)

    return apply


gammainc = _gamma_pair(
    "gammainc", _P, "P(k, x): the regularised lower incomplete gamma function (DLMF 8.2.4)."
)
gammaincc = _gamma_pair(
    "gammaincc", _Q, "Q(k, x) = 1 - P(k, x): the regularised upper incomplete gamma function."
)
gammau = _gamma_pair(
    "gammau", _times_gamma(_Q), "The integral of t^(k-1) exp(-t) from x to infinity (DLMF 8.2.2)."
)
gammal = _gamma_pair(
    "gammal", _times_gamma(_P), "The integral of t^(k-1) exp(-t) from 0 to x (DLMF 8.2.1)."
)


def _in_float64(*operands: str) -> tuple[tuple[str, ...], str]:
    return ("float64",) * len(operands), "float64"


_chi2_tail = _scipy("chdtrc")  # takes k first

chi2sf = _gamma_pair(
    "chi2sf",
    lambda x, k: _chi2_tail(k, x),
    "The probability that chi-squared with k degrees of freedom exceeds x; always float64.",
    c="jg_chi2sf_f64({0}, {1})",
    rule=_in_float64,
)


# Bessel functions: 2 J_v' = J_(v-1) - J_(v+1) (DLMF 10.6.1), 2 I_v' = I_(v-1) + I_(v+1)
# (DLMF 10.29.1).


def _no_order_gradient(name: str) -> Undefined:
    return Undefined(f"the derivative of {name}(v, x) with respect to the order v is not available")


def _bessel(name: str, arity: int, grad: Any, doc: str, **more: Any) -> Elementwise:
    more.setdefault("ulp", FAR)
    return _declare(name, arity, _scipy(name), BESSEL, grad, doc=doc, **more)


def _jv_grad(g: Variable, v: Any, x: Variable, y: Variable) -> tuple[Any, ...]:
    return _no_order_gradient("jv"), g * (jv(v - 1, x) - jv(v + 1, x)) / 2.0


def _iv_grad(g: Variable, v: Any, x: Variable, y: Variable) -> tuple[Any, ...]:
    return _no_order_gradient("iv"), g * (iv(v - 1, x) + iv(v + 1, x)) / 2.0


ORDER_AND_ARGUMENT = ((0.5, 2.5), (0.3, 3.0))

j0 = _bessel("j0", 1, lambda g, x, y: -g * j1(x), "Bessel function of the first kind, order 0.")
j1: Elementwise = _bessel(
    "j1",
    1,
    lambda g, x, y: g * (j0(x) - jv(_order(2, x), x)) / 2.0,
    "Bessel function of the first kind, order 1.",
)
jv: Elementwise = _bessel(
    "jv",
    2,
    _jv_grad,
    "Bessel function of the first kind, order v.",
    domain=ORDER_AND_ARGUMENT,
)
i0 = _bessel("i0", 1, lambda g, x, y: g * i1(x), "Modified Bessel function, order 0.", ulp=4)
i1: Elementwise = _bessel(
    "i1",
    1,
    lambda g, x, y: g * (i0(x) + iv(_order(2, x), x)) / 2.0,
    "Modified Bessel function, order 1.",
    ulp=4,
)
iv: Elementwise = _bessel(
    "iv", 2, _iv_grad, "Modified Bessel function, order v.", domain=ORDER_AND_ARGUMENT
)


def _order(v: int, x: Variable) -> Array:
    """An order as a number that does not widen the computation with x."""
    return np.asarray(v, dtype=dtypes.to_float(x.type.dtype))


# -- parts of a number ---------------------------------------------------------------------------

angle = elementwise(
    "angle",
    arity=1,
    rule=_in_float64,
    numpy=lambda x: np.where(np.isnan(x), x, np.where(x < 0, np.pi, 0.0)),
    c="{0} != {0} ? {0} : ({0} < 0 ? 0x1.921fb54442d18p+1 : 0.0)",
    grad=lambda g, x, y: None,
    domain=POSITIVE,
    doc="The angle of a real number in the complex plane: pi if it is negative, else 0.",
)
