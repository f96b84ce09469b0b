"""The special functions of csrc/jg_erf.h, jg_gamma.h and jg_bessel.h for math_functions.TABLE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gmpy2
import mpmath
from gmpy2 import mpfr
from math_functions import INF, NAN, ODD_SPECIALS, Oracle, both, declare, signed

# --- error functions -----------------------------------------------------------------------------


def erfcx(x: mpfr) -> mpfr:
    with gmpy2.context(gmpy2.get_context(), precision=gmpy2.get_context().precision + 40):
        if abs(x) > 1e4:  # beyond the exponent range of exp(x^2)
            w = 1 / (2 * x * x)
            return (1 - w * (1 - w * (3 - w * (15 - w * (105 - w * 945))))) / (
                x * gmpy2.sqrt(gmpy2.const_pi())
            )
        return gmpy2.exp(x * x) * gmpy2.erfc(x)


declare(
    "erf",
    "jg_erf.h",
    gmpy2.erf,
    signed(
        {
            "f64": ((5e-324, 1e-3), (0.0, 1.0), (0.75, 0.95), (0.0, 6.5)),
            "f32": ((1.5e-45, 1e-3), (0.0, 1.0), (1.1, 1.3), (0.0, 4.5)),
        }
    ),
    ulp=1.0,
    cost=8,
    long_double="erfl(x)",
    specials=(*ODD_SPECIALS, (INF, 1.0), (-INF, -1.0), (1e300, 1.0), (-1e300, -1.0)),
)
declare(
    "erfc",
    "jg_erf.h",
    gmpy2.erfc,
    {
        "f64": ((-6.0, 0.5), (0.0, 1.0), (0.5, 10.0), (10.0, 26.5), (26.5, 27.3), (-1e-3, 1e-3)),
        "f32": ((-4.0, 0.5), (0.0, 1.0), (0.5, 9.0), (9.0, 10.2), (-1e-3, 1e-3)),
    },
    ulp=1.5,
    ulp_f32=1.0,
    cost=12,
    long_double="erfcl(x)",
    specials=((0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 2.0), (NAN, NAN), (1e300, 0.0)),
)
declare(
    "erfcx",
    "jg_erf.h",
    erfcx,
    {
        "f64": ((-26.6, 0.5), (-0.5, 0.5), (0.5, 10.0), (10.0, 1e6), (1e6, 1.7e308)),
        "f32": ((-9.3, 0.5), (-0.5, 0.5), (0.5, 10.0), (10.0, 1e6), (1e6, 3.4e38)),
    },
    ulp=2.5,
    ulp_f32=1.0,
    cost=20,
    specials=((0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, INF), (NAN, NAN), (-1e300, INF)),
)

# --- special functions: scalar, a few ULP --------------------------------------------------------


def with_mpmath(name: str) -> Oracle:
    """An mpmath function at the precision of the gmpy2 context, with guard bits."""

    def call(*args: mpfr) -> mpfr:
        with mpmath.workprec(gmpy2.get_context().precision + 60):
            exact = [
                mpmath.mpf(gmpy2.mpq(a)) if gmpy2.is_finite(a) else mpmath.mpf(float(a))
                for a in args
            ]
            value = mpmath.mpf(SPECIAL[name](*exact))
            if not mpmath.isfinite(value):
                return mpfr(float(value))
            digits, exponent = value.man_exp  # the magnitude: mpmath keeps the sign apart
            return mpfr(digits if value > 0 else -digits) * mpfr(2) ** exponent

    return call


def inverse_erfc(q: mpmath.mpf) -> mpmath.mpf:
    """Newton's method on log erfc from an asymptotic start."""
    if q > 1:
        return -inverse_erfc(2 - q)
    if q > mpmath.mpf("0.1"):
        return mpmath.erfinv(1 - q)
    y = mpmath.sqrt(-mpmath.log(q * mpmath.sqrt(-mpmath.log(q))))
    for _ in range(9):
        e = mpmath.erfc(y)
        y += mpmath.log(e / q) * e * mpmath.exp(y * y) * mpmath.sqrt(mpmath.pi) / 2
    return y


SPECIAL: dict[str, Callable[..., mpmath.mpf]] = {
    "erfinv": lambda x: mpmath.erfinv(x),
    "erfcinv": inverse_erfc,
    "tri_gamma": lambda x: mpmath.inf if x <= 0 and x == int(x) else mpmath.psi(1, x),
    "jv": lambda v, x: mpmath.besselj(v, x),
    "iv": lambda v, x: mpmath.besseli(v, x),
    "i0": lambda x: mpmath.besseli(0, x),
    "i1": lambda x: mpmath.besseli(1, x),
    "gammainc": lambda k, x: mpmath.gammainc(k, 0, x, regularized=True),
    "gammaincc": lambda k, x: mpmath.gammainc(k, x, regularized=True),
    "gammal": lambda k, x: mpmath.gammainc(k, 0, x),
    "gammau": lambda k, x: mpmath.gammainc(k, x),
    "chi2sf": lambda x, k: mpmath.gammainc(k / 2, x / 2, regularized=True),
}

SCALAR: dict[str, Any] = {"vectorises": False}
declare(
    "erfinv",
    "jg_erf.h",
    with_mpmath("erfinv"),
    signed(
        {
            "f64": ((1e-300, 1e-3), (0.0, 0.5), (0.5, 1 - 2.0**-53)),
            "f32": ((1e-37, 1e-3), (0.0, 0.5), (0.5, 1 - 2.0**-24)),
        }
    ),
    ulp=4.0,
    ulp_f32=1.0,
    cost=400,
    **SCALAR,
    specials=(*ODD_SPECIALS, (1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN)),
)
declare(
    "erfcinv",
    "jg_erf.h",
    with_mpmath("erfcinv"),
    {
        "f64": ((5e-324, 1e-3), (1e-3, 0.5), (0.5, 1.5), (1.5, 2 - 2.0**-52)),
        "f32": ((1.5e-45, 1e-3), (1e-3, 0.5), (0.5, 1.5), (1.5, 2 - 2.0**-23)),
    },
    ulp=4.0,
    ulp_f32=1.0,
    cost=400,
    **SCALAR,
    specials=(
        (1.0, 0.0),
        (0.0, INF),
        (-0.0, INF),
        (2.0, -INF),
        (NAN, NAN),
        (-1.0, NAN),
        (3.0, NAN),
    ),
)
declare(
    "gamma",
    "jg_gamma.h",
    gmpy2.gamma,
    {
        "f64": ((1e-300, 1e-3), (0.0, 5.0), (5.0, 171.6), (-20.0, 0.0), (-182.0, -20.0)),
        "f32": ((3e-38, 1e-3), (0.0, 5.0), (5.0, 35.0), (-20.0, 0.0), (-40.0, -20.0)),
    },
    ulp=2.5,
    ulp_f32=1.0,
    cost=15,
    specials=(
        (0.0, INF),
        (-0.0, -INF),
        (INF, INF),
        (-INF, NAN),
        (NAN, NAN),
        (-1.0, NAN),
        (1.0, 1.0),
        (2.0, 1.0),
        (5.0, 24.0),
        (172.0, INF),
        (-300.5, -0.0),
        (-301.5, 0.0),
    ),
)
declare(
    "gammaln",
    "jg_gamma.h",
    lambda x: gmpy2.lgamma(x)[0],
    {
        "f64": (
            (1e-300, 1e-3),
            (0.0, 3.0),
            (0.99, 1.01),
            (1.99, 2.01),
            (3.0, 20.0),
            (20.0, 1.7e305),
            (-50.0, 0.0),
        ),
        "f32": (
            (1e-37, 1e-3),
            (0.0, 3.0),
            (0.99, 1.01),
            (1.99, 2.01),
            (3.0, 20.0),
            (20.0, 4e36),
            (-50.0, 0.0),
        ),
    },
    ulp=2.0,
    ulp_f32=1.0,
    absolute=2.0**-51,
    cost=15,
    **SCALAR,
    specials=(
        (0.0, INF),
        (-0.0, INF),
        (INF, INF),
        (-INF, INF),
        (NAN, NAN),
        (-1.0, INF),
        (1.0, 0.0),
        (2.0, 0.0),
    ),
)
declare(
    "psi",
    "jg_gamma.h",
    gmpy2.digamma,
    {
        "f64": (
            (1e-300, 1e-3),
            (0.0, 3.0),
            (3.0, 20.0),
            (20.0, 1.7e308),
            (1.4616, 1.4617),
            (-20.0, 0.0),
        ),
        "f32": (
            (1e-37, 1e-3),
            (0.0, 3.0),
            (3.0, 20.0),
            (20.0, 3e38),
            (1.4616, 1.4617),
            (-20.0, 0.0),
        ),
    },
    ulp=1.0,
    ulp_f32=1.0,
    absolute=2.0**-48,
    cost=15,
    specials=((0.0, -INF), (-0.0, INF), (INF, INF), (-INF, NAN), (NAN, NAN), (-1.0, NAN)),
)
declare(
    "tri_gamma",
    "jg_gamma.h",
    with_mpmath("tri_gamma"),
    {
        "f64": ((1e-150, 1e-3), (0.0, 3.0), (3.0, 20.0), (20.0, 1e15), (-20.0, 0.0)),
        "f32": ((1e-18, 1e-3), (0.0, 3.0), (3.0, 20.0), (20.0, 1e15), (-20.0, 0.0)),
    },
    ulp=3.0,
    ulp_f32=1.0,
    cost=300,
    **SCALAR,
    specials=((0.0, INF), (-0.0, INF), (INF, 0.0), (NAN, NAN), (-1.0, INF)),
)
declare(
    "j0",
    "jg_bessel.h",
    gmpy2.j0,
    both((-30.0, 30.0), (20.0, 30.0), (30.0, 1e5)),
    ulp=450.0,
    ulp_f32=1.0,
    absolute=2.0**-52,
    cost=50,
    **SCALAR,
    specials=((0.0, 1.0), (INF, 0.0), (-INF, 0.0), (NAN, NAN)),
)
declare(
    "j1",
    "jg_bessel.h",
    gmpy2.j1,
    both((-30.0, 30.0), (20.0, 30.0), (30.0, 1e5)),
    ulp=450.0,
    ulp_f32=1.0,
    absolute=2.0**-52,
    cost=50,
    **SCALAR,
    specials=((0.0, 0.0), (-0.0, -0.0), (INF, 0.0), (-INF, 0.0), (NAN, NAN)),
)
declare(
    "i0",
    "jg_bessel.h",
    with_mpmath("i0"),
    both((-30.0, 30.0), (35.0, 45.0), (40.0, 88.0)),
    ulp=8.0,
    ulp_f32=1.0,
    cost=400,
    **SCALAR,
    specials=((0.0, 1.0), (INF, INF), (-INF, INF), (NAN, NAN)),
)
declare(
    "i1",
    "jg_bessel.h",
    with_mpmath("i1"),
    both((-30.0, 30.0), (35.0, 45.0), (40.0, 88.0)),
    ulp=8.0,
    ulp_f32=1.0,
    cost=400,
    **SCALAR,
    specials=((0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN)),
)
# 450 ULP are 1e-13.  Boxes: (order, argument) pairs.
declare(
    "jv",
    "jg_bessel.h",
    with_mpmath("jv"),
    both(
        (0.0, 10.0),
        (0.0, 25.0),
        (0.0, 60.0),
        (20.0, 200.0),
        (-5.0, 5.0),
        (0.1, 60.0),
        (100.0, 200.0),
        (25.0, 200.0),
    ),
    arity=2,
    ulp=450.0,
    ulp_f32=1.0,
    absolute=2.0**-49,
    cost=600,
    **SCALAR,
    specials=(
        (0.0, 0.0, 1.0),
        (2.0, 0.0, 0.0),
        (0.5, -1.0, NAN),
        (NAN, 1.0, NAN),
        (1.0, NAN, NAN),
        (1.0, INF, 0.0),
    ),
)
declare(
    "iv",
    "jg_bessel.h",
    with_mpmath("iv"),
    both((0.0, 10.0), (0.0, 25.0), (0.0, 60.0), (20.0, 85.0), (-4.9, 0.0), (0.1, 60.0)),
    arity=2,
    ulp=450.0,
    ulp_f32=1.0,
    cost=600,
    **SCALAR,
    specials=(
        (0.0, 0.0, 1.0),
        (2.0, 0.0, 0.0),
        (0.5, -1.0, NAN),
        (NAN, 1.0, NAN),
        (1.0, INF, INF),
        (1.0, -INF, -INF),
    ),
)
K_X = both((0.01, 1.0), (0.01, 3.0), (0.5, 30.0), (0.1, 50.0), (50.0, 150.0), (40.0, 170.0))
INCOMPLETE: dict[str, Any] = {"arity": 2, "ulp": 450.0, "ulp_f32": 1.0, "cost": 800, **SCALAR}
declare(
    "gammainc",
    "jg_gamma.h",
    with_mpmath("gammainc"),
    K_X,
    **INCOMPLETE,
    specials=(
        (1.0, 0.0, 0.0),
        (1.0, INF, 1.0),
        (0.0, 1.0, 1.0),
        (-1.0, 1.0, NAN),
        (1.0, -1.0, NAN),
        (INF, 1.0, 0.0),
        (NAN, 1.0, NAN),
    ),
)
declare(
    "gammaincc",
    "jg_gamma.h",
    with_mpmath("gammaincc"),
    K_X,
    **INCOMPLETE,
    specials=(
        (1.0, 0.0, 1.0),
        (1.0, INF, 0.0),
        (0.0, 1.0, 0.0),
        (-1.0, 1.0, NAN),
        (1.0, -1.0, NAN),
        (INF, 1.0, 1.0),
        (NAN, 1.0, NAN),
    ),
)
declare(
    "gammau",
    "jg_gamma.h",
    with_mpmath("gammau"),
    K_X,
    **INCOMPLETE,
    specials=((5.0, 0.0, 24.0), (1.0, INF, 0.0), (NAN, 1.0, NAN)),
)
declare(
    "gammal",
    "jg_gamma.h",
    with_mpmath("gammal"),
    K_X,
    **INCOMPLETE,
    specials=((5.0, 0.0, 0.0), (5.0, INF, 24.0), (NAN, 1.0, NAN)),
)
declare(
    "chi2sf",
    "jg_gamma.h",
    with_mpmath("chi2sf"),
    both((0.01, 6.0), (0.02, 2.0), (0.1, 100.0), (1.0, 60.0)),
    **INCOMPLETE,
    specials=((0.0, 3.0, 1.0), (INF, 3.0, 0.0), (-1.0, 3.0, 1.0), (NAN, 1.0, NAN)),
)
