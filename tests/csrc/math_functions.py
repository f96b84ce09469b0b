"""What each function of csrc/jg_*.h promises: oracle, bound in ULP, intervals, special values.

The oracle takes and returns MPFR numbers at the precision of the current gmpy2 context.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import gmpy2
import mpmath
from gmpy2 import mpfr

Oracle = Callable[..., mpfr]
Interval = tuple[float, float]
INF, NAN = float("inf"), float("nan")


@dataclass(frozen=True)
class MathFunction:
    """One C function family jg_<name>_f64, jg_<name>_f32."""

    name: str
    header: str
    oracle: Oracle
    intervals: dict[str, tuple[Interval, ...]]
    ulp: float = 1.0
    ulp_f32: float | None = None
    specials: tuple[tuple[float, ...], ...] = ()
    absolute: float = 0.0  # an absolute error that is also accepted (near zeros of the function)
    cost: float = 1.0  # oracle time in units of exp, to scale the number of points
    long_double: str = ""  # C expression of the long double {x} for screening in long runs
    vectorises: bool = True
    arity: int = field(default=1)

    def bound(self, dtype: str) -> float:
        """Claimed bound in ULP."""
        return self.ulp if dtype == "f64" or self.ulp_f32 is None else self.ulp_f32


def sigmoid(x: mpfr) -> mpfr:
    return 1 / (1 + gmpy2.exp(-x))


def softplus(x: mpfr) -> mpfr:
    return gmpy2.log1p(gmpy2.exp(x)) if x < 0 else x + gmpy2.log1p(gmpy2.exp(-x))


def both(*intervals: Interval) -> dict[str, tuple[Interval, ...]]:
    """The same intervals for both dtypes."""
    return {"f64": intervals, "f32": intervals}


def signed(dtype_intervals: dict[str, tuple[Interval, ...]]) -> dict[str, tuple[Interval, ...]]:
    """The intervals and their mirror images."""
    return {k: v + tuple((-b, -a) for a, b in v) for k, v in dtype_intervals.items()}


# Whole finite range of magnitudes, subnormals included.
WHOLE = {"f64": ((5e-324, 1.79e308),), "f32": ((1.5e-45, 3.4e38),)}

EXP_SPECIALS = ((0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN), (1e300, INF),
                (-1e300, 0.0), (1e-310, 1.0))
LOG_SPECIALS = ((0.0, -INF), (-0.0, -INF), (1.0, 0.0), (INF, INF), (-INF, NAN), (NAN, NAN),
                (-1.0, NAN), (-1e-310, NAN), (-1e300, NAN))
ODD_SPECIALS = ((0.0, 0.0), (-0.0, -0.0), (NAN, NAN))

TABLE: dict[str, MathFunction] = {}


def declare(name: str, header: str, oracle: Oracle,
            intervals: dict[str, tuple[Interval, ...]], **options: object) -> None:
    """Add one function to TABLE."""
    TABLE[name] = MathFunction(name, header, oracle, intervals, **options)  # type: ignore[arg-type]


declare("exp", "jg_exp.h", gmpy2.exp,
        {"f64": ((-745.2, -708.0), (-708.0, 709.79), (-1.0, 1.0), (0.34, 0.35), (1e-20, 1e-3)),
         "f32": ((-104.0, -87.0), (-87.0, 88.73), (-1.0, 1.0), (0.34, 0.35), (1e-10, 1e-3))},
        specials=EXP_SPECIALS, long_double="expl(x)")
declare("expm1", "jg_exp.h", gmpy2.expm1,
        {"f64": ((-60.0, 709.79), (-1.0, 1.0), (5e-324, 1e-3), (-1e-3, -5e-324), (35.0, 40.0)),
         "f32": ((-30.0, 88.73), (-1.0, 1.0), (1e-45, 1e-3), (-1e-3, -1e-45), (15.0, 18.0))},
        specials=((*ODD_SPECIALS, (INF, INF), (-INF, -1.0), (1e300, INF), (-1e300, -1.0))),
        long_double="expm1l(x)")
declare("log", "jg_log.h", gmpy2.log,
        {k: (*v, (0.5, 2.0), (0.99, 1.01), (0.7, 0.72), (1.40, 1.43)) for k, v in WHOLE.items()},
        specials=LOG_SPECIALS, long_double="logl(x)")
declare("log1p", "jg_log.h", gmpy2.log1p,
        {k: (*v, (-1.0, 1.0), (-1e-3, -1e-45), (-0.9999999, -0.99), (0.4, 0.43), (-0.3, -0.28))
         for k, v in WHOLE.items()},
        specials=(*ODD_SPECIALS, (-1.0, -INF), (INF, INF), (-INF, NAN), (-1.5, NAN), (-1e300, NAN)),
        long_double="log1pl(x)")
declare("sigmoid", "jg_sigmoid.h", sigmoid,
        {"f64": ((-745.2, -708.0), (-708.0, 40.0), (-1.0, 1.0), (-40.0, 40.0), (1e-20, 1e-3)),
         "f32": ((-104.0, -87.0), (-87.0, 20.0), (-1.0, 1.0), (-20.0, 20.0), (1e-10, 1e-3))},
        specials=((0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0), (NAN, NAN), (1e300, 1.0),
                  (-1e300, 0.0), (-746.0, 0.0), (36.8, 1.0)),
        long_double="1/(1+expl(-x))")
declare("softplus", "jg_sigmoid.h", softplus,
        {"f64": ((-745.2, -708.0), (-708.0, 60.0), (-1.0, 1.0), (-40.0, 40.0), (1e-20, 1e-3)),
         "f32": ((-104.0, -87.0), (-87.0, 30.0), (-1.0, 1.0), (-20.0, 20.0), (1e-10, 1e-3))},
        specials=((INF, INF), (-INF, 0.0), (NAN, NAN), (1e300, 1e300), (-1e300, 0.0)),
        long_double="x < 0 ? log1pl(expl(x)) : x + log1pl(expl(-x))")
declare("tanh", "jg_hyperbolic.h", gmpy2.tanh,
        signed({"f64": ((5e-324, 1e-3), (0.0, 1.0), (0.0, 23.0)),
                "f32": ((1e-45, 1e-3), (0.0, 1.0), (0.0, 11.0))}),
        specials=(*ODD_SPECIALS, (INF, 1.0), (-INF, -1.0), (1e300, 1.0), (-1e300, -1.0)),
        long_double="tanhl(x)")

# --- elementary functions to 2 ULP ---------------------------------------------------------------


def logaddexp(a: mpfr, b: mpfr) -> mpfr:
    high, low = max(a, b), min(a, b)
    return high if low == high == INF or low == -INF else (
        high + gmpy2.log1p(gmpy2.exp(low - high)))


declare("exp2", "jg_exp.h", gmpy2.exp2,
        {"f64": ((-1075.5, -1022.0), (-1022.0, 1024.0), (-1.0, 1.0), (1e-20, 1e-3)),
         "f32": ((-150.5, -126.0), (-126.0, 128.0), (-1.0, 1.0), (1e-10, 1e-3))},
        specials=(*EXP_SPECIALS, (10.0, 1024.0), (-1.0, 0.5)), long_double="exp2l(x)")
declare("log2", "jg_log.h", gmpy2.log2, TABLE["log"].intervals, ulp=1.5,
        specials=(*LOG_SPECIALS, (8.0, 3.0), (0.125, -3.0)), long_double="log2l(x)")
declare("log10", "jg_log.h", gmpy2.log10, TABLE["log"].intervals, ulp=1.5,
        specials=(*LOG_SPECIALS, (1000.0, 3.0), (1e10, 10.0)), long_double="log10l(x)")
declare("cbrt", "jg_log.h", gmpy2.cbrt if hasattr(gmpy2, "cbrt") else (
            lambda x: gmpy2.root(x, 3)),
        signed({k: (*v, (0.5, 2.0), (1.0, 8.0)) for k, v in WHOLE.items()}), ulp=1.0,
        specials=(*ODD_SPECIALS, (27.0, 3.0), (-8.0, -2.0), (INF, INF), (-INF, -INF)),
        long_double="cbrtl(x)")
declare("logaddexp", "jg_log.h", logaddexp,
        {"f64": ((-5.0, 5.0), (-5.0, 5.0), (-800.0, 800.0), (-800.0, 800.0),
                 (1e3, 1e3 + 50), (1e3, 1e3 + 50)),
         "f32": ((-5.0, 5.0), (-5.0, 5.0), (-200.0, 200.0), (-200.0, 200.0),
                 (1e3, 1e3 + 50), (1e3, 1e3 + 50))},
        arity=2, ulp=1.5, absolute=2.0**-54, cost=2,
        specials=((INF, INF, INF), (-INF, -INF, -INF), (INF, -INF, INF), (-INF, 3.0, 3.0),
                  (NAN, 1.0, NAN), (INF, NAN, NAN), (1e300, -1e300, 1e300)))
declare("pow", "jg_pow.h", lambda x, y: x**y,
        {"f64": ((0.0, 2.0), (-1000.0, 1000.0), (5e-324, 1.7e308), (-1.1, 1.1), (0.99, 1.01),
                 (-7e4, 7e4), (1e-5, 1e5), (-50.0, 50.0)),
         "f32": ((0.0, 2.0), (-140.0, 140.0), (1.5e-45, 3.4e38), (-1.1, 1.1), (0.99, 1.01),
                 (-8e3, 8e3), (1e-5, 1e5), (-7.0, 7.0))},
        arity=2, ulp=1.0, cost=2,
        specials=((0.0, 0.0, 1.0), (NAN, 0.0, 1.0), (1.0, NAN, 1.0), (NAN, 1.0, NAN),
                  (2.0, NAN, NAN), (-1.0, INF, 1.0), (-1.0, -INF, 1.0), (0.0, 3.0, 0.0),
                  (-0.0, 3.0, -0.0), (-0.0, 2.0, 0.0), (-0.0, 2.5, 0.0), (0.0, -3.0, INF),
                  (-0.0, -3.0, -INF), (-0.0, -2.0, INF), (-0.0, -INF, INF), (0.5, INF, 0.0),
                  (0.5, -INF, INF), (2.0, INF, INF), (2.0, -INF, 0.0), (INF, 0.5, INF),
                  (INF, -0.5, 0.0), (-INF, 3.0, -INF), (-INF, 2.0, INF), (-INF, 0.5, INF),
                  (-INF, -3.0, -0.0), (-INF, -2.0, 0.0), (-2.0, 3.0, -8.0), (-2.0, 2.0, 4.0),
                  (-2.0, 0.5, NAN), (-2.0, 1e300, INF), (-0.5, 1e300, 0.0), (3.0, 5.0, 243.0),
                  (-2.0, -1.0, -0.5), (10.0, 3.0, 1000.0)))

ANGLES = signed({"f64": ((5e-324, 1e-3), (0.0, 1.6), (0.0, 100.0), (100.0, 1048577.0),
                         (1048570.0, 1.79e308)),
                 "f32": ((1.5e-45, 1e-3), (0.0, 1.6), (0.0, 100.0), (100.0, 1048577.0),
                         (1048570.0, 3.4e38))})
declare("sin", "jg_trig.h", gmpy2.sin, ANGLES, ulp=1.5, ulp_f32=1.0, cost=3,
        specials=(*ODD_SPECIALS, (INF, NAN), (-INF, NAN)), long_double="sinl(x)")
declare("cos", "jg_trig.h", gmpy2.cos, ANGLES, ulp=1.5, ulp_f32=1.0, cost=3,
        specials=((0.0, 1.0), (-0.0, 1.0), (NAN, NAN), (INF, NAN), (-INF, NAN)),
        long_double="cosl(x)")
declare("tan", "jg_trig.h", gmpy2.tan, ANGLES, ulp=2.0, ulp_f32=1.0, cost=3,
        specials=(*ODD_SPECIALS, (INF, NAN), (-INF, NAN)), long_double="tanl(x)")
UNIT = signed({"f64": ((5e-324, 1e-3), (0.0, 1.0), (0.49, 0.51), (0.999, 1.0)),
               "f32": ((1.5e-45, 1e-3), (0.0, 1.0), (0.49, 0.51), (0.999, 1.0))})
declare("asin", "jg_trig.h", gmpy2.asin, UNIT, ulp=1.0, cost=3,
        specials=(*ODD_SPECIALS, (1.5, NAN), (-INF, NAN), (INF, NAN)), long_double="asinl(x)")
declare("acos", "jg_trig.h", gmpy2.acos, UNIT, ulp=1.0, cost=3,
        specials=((1.0, 0.0), (NAN, NAN), (1.5, NAN), (-INF, NAN), (INF, NAN)),
        long_double="acosl(x)")
declare("atan", "jg_trig.h", gmpy2.atan,
        signed({k: (*v, (0.0, 1.0), (0.40, 0.43), (2.3, 2.5), (1.0, 10.0))
                for k, v in WHOLE.items()}),
        ulp=1.0, cost=3, specials=ODD_SPECIALS, long_double="atanl(x)")
PI = 3.141592653589793
declare("atan2", "jg_trig.h", gmpy2.atan2,
        {"f64": ((-4.0, 4.0), (-4.0, 4.0), (-1.7e308, 1.7e308), (-1.7e308, 1.7e308),
                 (1e-3, 1.0), (5e-324, 1.7e308), (-1.0, 1.0), (-1.7e308, -5e-324)),
         "f32": ((-4.0, 4.0), (-4.0, 4.0), (-3.4e38, 3.4e38), (-3.4e38, 3.4e38),
                 (1e-3, 1.0), (1.5e-45, 3.4e38), (-1.0, 1.0), (-3.4e38, -1.5e-45))},
        arity=2, ulp=1.0, cost=3,
        specials=((0.0, 0.0, 0.0), (-0.0, 0.0, -0.0), (0.0, -0.0, PI), (-0.0, -0.0, -PI),
                  (0.0, 1.0, 0.0), (-0.0, 1.0, -0.0), (0.0, -1.0, PI), (-0.0, -1.0, -PI),
                  (1.0, 0.0, PI / 2), (-1.0, -0.0, -PI / 2), (INF, INF, PI / 4),
                  (INF, -INF, 3 * PI / 4), (-INF, INF, -PI / 4), (-INF, -INF, -3 * PI / 4),
                  (INF, 1.0, PI / 2), (-INF, 1.0, -PI / 2), (1.0, INF, 0.0), (-1.0, INF, -0.0),
                  (1.0, -INF, PI), (-1.0, -INF, -PI), (NAN, 1.0, NAN), (1.0, NAN, NAN),
                  (NAN, 0.0, NAN), (INF, NAN, NAN)))

declare("sinh", "jg_hyperbolic.h", gmpy2.sinh,
        signed({"f64": ((5e-324, 1e-3), (0.0, 1.0), (0.0, 40.0), (40.0, 710.4758)),
                "f32": ((1.5e-45, 1e-3), (0.0, 1.0), (0.0, 20.0), (20.0, 89.4159))}),
        ulp=2.0, ulp_f32=1.0, long_double="sinhl(x)",
        specials=(*ODD_SPECIALS, (INF, INF), (-INF, -INF), (1e300, INF), (-1e300, -INF)))
declare("cosh", "jg_hyperbolic.h", gmpy2.cosh, TABLE["sinh"].intervals, ulp=1.5, ulp_f32=1.0,
        long_double="coshl(x)",
        specials=((0.0, 1.0), (-0.0, 1.0), (NAN, NAN), (INF, INF), (-INF, INF), (1e300, INF)))
declare("asinh", "jg_hyperbolic.h", gmpy2.asinh,
        signed({k: (*v, (0.0, 1.0), (0.0, 10.0), (1e9, 2e9)) for k, v in WHOLE.items()}),
        ulp=2.0, ulp_f32=1.0, cost=3, long_double="asinhl(x)",
        specials=(*ODD_SPECIALS, (INF, INF), (-INF, -INF)))
declare("acosh", "jg_hyperbolic.h", gmpy2.acosh,
        {"f64": ((1.0, 1.0001), (1.0, 2.0), (1.0, 100.0), (1.0, 1.79e308), (1e9, 2e9)),
         "f32": ((1.0, 1.0001), (1.0, 2.0), (1.0, 100.0), (1.0, 3.4e38), (1e9, 2e9))},
        ulp=2.0, ulp_f32=1.0, cost=3, long_double="acoshl(x)",
        specials=((1.0, 0.0), (NAN, NAN), (0.5, NAN), (-2.0, NAN), (INF, INF), (-INF, NAN)))
declare("atanh", "jg_hyperbolic.h", gmpy2.atanh, UNIT, ulp=1.0, cost=3, long_double="atanhl(x)",
        specials=(*ODD_SPECIALS, (1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN)))

# --- error functions -----------------------------------------------------------------------------


def erfcx(x: mpfr) -> mpfr:
    with gmpy2.context(gmpy2.get_context(), precision=gmpy2.get_context().precision + 40):
        if abs(x) > 1e4:  # beyond the exponent range of exp(x^2)
            w = 1 / (2 * x * x)
            return (1 - w * (1 - w * (3 - w * (15 - w * (105 - w * 945))))) / (x * gmpy2.sqrt(gmpy2.const_pi()))
        return gmpy2.exp(x * x) * gmpy2.erfc(x)


declare("erf", "jg_erf.h", gmpy2.erf,
        signed({"f64": ((5e-324, 1e-3), (0.0, 1.0), (0.75, 0.95), (0.0, 6.5)),
                "f32": ((1.5e-45, 1e-3), (0.0, 1.0), (0.85, 0.95), (0.0, 4.5))}),
        ulp=1.0, cost=8, long_double="erfl(x)",
        specials=(*ODD_SPECIALS, (INF, 1.0), (-INF, -1.0), (1e300, 1.0), (-1e300, -1.0)))
declare("erfc", "jg_erf.h", gmpy2.erfc,
        {"f64": ((-6.0, 0.5), (0.0, 1.0), (0.5, 10.0), (10.0, 26.5), (26.5, 27.3), (-1e-3, 1e-3)),
         "f32": ((-4.0, 0.5), (0.0, 1.0), (0.5, 9.0), (9.0, 10.2), (-1e-3, 1e-3))},
        ulp=2.0, ulp_f32=1.0, cost=12, long_double="erfcl(x)",
        specials=((0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, 2.0), (NAN, NAN), (1e300, 0.0)))
declare("erfcx", "jg_erf.h", erfcx,
        {"f64": ((-26.6, 0.5), (-0.5, 0.5), (0.5, 10.0), (10.0, 1e6), (1e6, 1.7e308)),
         "f32": ((-9.3, 0.5), (-0.5, 0.5), (0.5, 10.0), (10.0, 1e6), (1e6, 3.4e38))},
        ulp=2.5, ulp_f32=1.0, cost=20,
        specials=((0.0, 1.0), (-0.0, 1.0), (INF, 0.0), (-INF, INF), (NAN, NAN), (-1e300, INF)))

# --- special functions: scalar, a few ULP --------------------------------------------------------


def with_mpmath(name: str) -> Oracle:
    """An mpmath function at the precision of the gmpy2 context, with guard bits."""
    def call(*args: mpfr) -> mpfr:
        with mpmath.workprec(gmpy2.get_context().precision + 60):
            exact = [mpmath.mpf(gmpy2.mpq(a)) if gmpy2.is_finite(a) else mpmath.mpf(float(a))
                     for a in args]
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

SCALAR = {"vectorises": False}
declare("erfinv", "jg_erf.h", with_mpmath("erfinv"),
        signed({"f64": ((1e-300, 1e-3), (0.0, 0.5), (0.5, 1 - 2.0**-53)),
                "f32": ((1e-37, 1e-3), (0.0, 0.5), (0.5, 1 - 2.0**-24))}),
        ulp=4.0, ulp_f32=1.0, cost=400, **SCALAR,
        specials=(*ODD_SPECIALS, (1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN)))
declare("erfcinv", "jg_erf.h", with_mpmath("erfcinv"),
        {"f64": ((5e-324, 1e-3), (1e-3, 0.5), (0.5, 1.5), (1.5, 2 - 2.0**-52)),
         "f32": ((1.5e-45, 1e-3), (1e-3, 0.5), (0.5, 1.5), (1.5, 2 - 2.0**-23))},
        ulp=4.0, ulp_f32=1.0, cost=400, **SCALAR,
        specials=((1.0, 0.0), (0.0, INF), (-0.0, INF), (2.0, -INF), (NAN, NAN), (-1.0, NAN),
                  (3.0, NAN)))
declare("gamma", "jg_gamma.h", gmpy2.gamma,
        {"f64": ((1e-300, 1e-3), (0.0, 5.0), (5.0, 171.6), (-20.0, 0.0), (-182.0, -20.0)),
         "f32": ((3e-38, 1e-3), (0.0, 5.0), (5.0, 35.0), (-20.0, 0.0), (-40.0, -20.0))},
        ulp=4.0, ulp_f32=1.0, cost=15, **SCALAR,
        specials=((0.0, INF), (-0.0, -INF), (INF, INF), (-INF, NAN), (NAN, NAN), (-1.0, NAN),
                  (1.0, 1.0), (2.0, 1.0), (5.0, 24.0), (172.0, INF), (-300.5, -0.0),
                  (-301.5, 0.0)))
declare("gammaln", "jg_gamma.h", lambda x: gmpy2.lgamma(x)[0],
        {"f64": ((1e-300, 1e-3), (0.0, 3.0), (0.99, 1.01), (1.99, 2.01), (3.0, 20.0),
                 (20.0, 1.7e305), (-50.0, 0.0)),
         "f32": ((1e-37, 1e-3), (0.0, 3.0), (0.99, 1.01), (1.99, 2.01), (3.0, 20.0),
                 (20.0, 4e36), (-50.0, 0.0))},
        ulp=4.0, ulp_f32=1.0, absolute=2.0**-51, cost=15, **SCALAR,
        specials=((0.0, INF), (-0.0, INF), (INF, INF), (-INF, INF), (NAN, NAN), (-1.0, INF),
                  (1.0, 0.0), (2.0, 0.0)))
declare("psi", "jg_gamma.h", gmpy2.digamma,
        {"f64": ((1e-300, 1e-3), (0.0, 3.0), (3.0, 20.0), (20.0, 1.7e308), (1.4616, 1.4617),
                 (-20.0, 0.0)),
         "f32": ((1e-37, 1e-3), (0.0, 3.0), (3.0, 20.0), (20.0, 3e38), (1.4616, 1.4617),
                 (-20.0, 0.0))},
        ulp=4.0, ulp_f32=1.0, absolute=2.0**-48, cost=15, **SCALAR,
        specials=((0.0, -INF), (-0.0, INF), (INF, INF), (-INF, NAN), (NAN, NAN), (-1.0, NAN)))
declare("tri_gamma", "jg_gamma.h", with_mpmath("tri_gamma"),
        {"f64": ((1e-150, 1e-3), (0.0, 3.0), (3.0, 20.0), (20.0, 1e15), (-20.0, 0.0)),
         "f32": ((1e-18, 1e-3), (0.0, 3.0), (3.0, 20.0), (20.0, 1e15), (-20.0, 0.0))},
        ulp=4.0, ulp_f32=1.0, cost=300, **SCALAR,
        specials=((0.0, INF), (-0.0, INF), (INF, 0.0), (NAN, NAN), (-1.0, INF)))
declare("j0", "jg_bessel.h", gmpy2.j0, both((-30.0, 30.0), (20.0, 30.0), (30.0, 1e5)),
        ulp=450.0, ulp_f32=1.0, absolute=2.0**-51, cost=50, **SCALAR,
        specials=((0.0, 1.0), (INF, 0.0), (-INF, 0.0), (NAN, NAN)))
declare("j1", "jg_bessel.h", gmpy2.j1, both((-30.0, 30.0), (20.0, 30.0), (30.0, 1e5)),
        ulp=450.0, ulp_f32=1.0, absolute=2.0**-51, cost=50, **SCALAR,
        specials=((0.0, 0.0), (-0.0, -0.0), (INF, 0.0), (-INF, 0.0), (NAN, NAN)))
declare("i0", "jg_bessel.h", with_mpmath("i0"), both((-30.0, 30.0), (35.0, 45.0), (40.0, 88.0)),
        ulp=8.0, ulp_f32=1.0, cost=400, **SCALAR,
        specials=((0.0, 1.0), (INF, INF), (-INF, INF), (NAN, NAN)))
declare("i1", "jg_bessel.h", with_mpmath("i1"), both((-30.0, 30.0), (35.0, 45.0), (40.0, 88.0)),
        ulp=8.0, ulp_f32=1.0, cost=400, **SCALAR,
        specials=((0.0, 0.0), (-0.0, -0.0), (INF, INF), (-INF, -INF), (NAN, NAN)))
# 450 ULP are 1e-13.  Boxes: (order, argument) pairs.
declare("jv", "jg_bessel.h", with_mpmath("jv"),
        both((0.0, 10.0), (0.0, 25.0), (0.0, 60.0), (20.0, 200.0), (-5.0, 5.0), (0.1, 60.0),
             (100.0, 200.0), (25.0, 200.0)),
        arity=2, ulp=450.0, ulp_f32=1.0, absolute=2.0**-46, cost=600, **SCALAR,
        specials=((0.0, 0.0, 1.0), (2.0, 0.0, 0.0), (0.5, -1.0, NAN), (NAN, 1.0, NAN),
                  (1.0, NAN, NAN), (1.0, INF, 0.0)))
declare("iv", "jg_bessel.h", with_mpmath("iv"),
        both((0.0, 10.0), (0.0, 25.0), (0.0, 60.0), (20.0, 85.0), (-4.9, 0.0), (0.1, 60.0)),
        arity=2, ulp=450.0, ulp_f32=1.0, cost=600, **SCALAR,
        specials=((0.0, 0.0, 1.0), (2.0, 0.0, 0.0), (0.5, -1.0, NAN), (NAN, 1.0, NAN),
                  (1.0, INF, INF), (1.0, -INF, -INF)))
K_X = both((0.01, 1.0), (0.01, 3.0), (0.5, 30.0), (0.1, 50.0), (50.0, 150.0), (40.0, 170.0))
INCOMPLETE = {"arity": 2, "ulp": 450.0, "ulp_f32": 1.0, "cost": 800, **SCALAR}
declare("gammainc", "jg_gamma.h", with_mpmath("gammainc"), K_X, **INCOMPLETE,
        specials=((1.0, 0.0, 0.0), (1.0, INF, 1.0), (0.0, 1.0, 1.0), (-1.0, 1.0, NAN),
                  (1.0, -1.0, NAN), (INF, 1.0, 0.0), (NAN, 1.0, NAN)))
declare("gammaincc", "jg_gamma.h", with_mpmath("gammaincc"), K_X, **INCOMPLETE,
        specials=((1.0, 0.0, 1.0), (1.0, INF, 0.0), (0.0, 1.0, 0.0), (-1.0, 1.0, NAN),
                  (1.0, -1.0, NAN), (INF, 1.0, 1.0), (NAN, 1.0, NAN)))
declare("gammau", "jg_gamma.h", with_mpmath("gammau"), K_X, **INCOMPLETE,
        specials=((5.0, 0.0, 24.0), (1.0, INF, 0.0), (NAN, 1.0, NAN)))
declare("gammal", "jg_gamma.h", with_mpmath("gammal"), K_X, **INCOMPLETE,
        specials=((5.0, 0.0, 0.0), (5.0, INF, 24.0), (NAN, 1.0, NAN)))
declare("chi2sf", "jg_gamma.h", with_mpmath("chi2sf"),
        both((0.01, 6.0), (0.02, 2.0), (0.1, 100.0), (1.0, 60.0)), **INCOMPLETE,
        specials=((0.0, 3.0, 1.0), (INF, 3.0, 0.0), (-1.0, 3.0, 1.0), (NAN, 1.0, NAN)))
