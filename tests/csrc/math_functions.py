"""What each function of csrc/jg_*.h promises: oracle, bound in ULP, intervals, special values.

The oracle takes and returns MPFR numbers at the precision of the current gmpy2 context.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import gmpy2
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

EXP_SPECIALS = (
    (0.0, 1.0),
    (-0.0, 1.0),
    (INF, INF),
    (-INF, 0.0),
    (NAN, NAN),
    (1e300, INF),
    (-1e300, 0.0),
    (1e-310, 1.0),
)
LOG_SPECIALS = (
    (0.0, -INF),
    (-0.0, -INF),
    (1.0, 0.0),
    (INF, INF),
    (-INF, NAN),
    (NAN, NAN),
    (-1.0, NAN),
    (-1e-310, NAN),
    (-1e300, NAN),
)
ODD_SPECIALS = ((0.0, 0.0), (-0.0, -0.0), (NAN, NAN))

TABLE: dict[str, MathFunction] = {}


def declare(
    name: str,
    header: str,
    oracle: Oracle,
    intervals: dict[str, tuple[Interval, ...]],
    **options: object,
) -> None:
    """Add one function to TABLE."""
    TABLE[name] = MathFunction(name, header, oracle, intervals, **options)  # type: ignore[arg-type]


declare(
    "exp",
    "jg_exp.h",
    gmpy2.exp,
    {
        "f64": ((-745.2, -708.0), (-708.0, 709.79), (-1.0, 1.0), (0.34, 0.35), (1e-20, 1e-3)),
        "f32": ((-104.0, -87.0), (-87.0, 88.73), (-1.0, 1.0), (0.34, 0.35), (1e-10, 1e-3)),
    },
    specials=EXP_SPECIALS,
    long_double="expl(x)",
)
declare(
    "expm1",
    "jg_exp.h",
    gmpy2.expm1,
    {
        "f64": ((-60.0, 709.79), (-1.0, 1.0), (5e-324, 1e-3), (-1e-3, -5e-324), (35.0, 40.0)),
        "f32": ((-30.0, 88.73), (-1.0, 1.0), (1e-45, 1e-3), (-1e-3, -1e-45), (15.0, 18.0)),
    },
    specials=((*ODD_SPECIALS, (INF, INF), (-INF, -1.0), (1e300, INF), (-1e300, -1.0))),
    long_double="expm1l(x)",
)
declare(
    "log",
    "jg_log.h",
    gmpy2.log,
    {k: (*v, (0.5, 2.0), (0.99, 1.01), (0.7, 0.72), (1.40, 1.43)) for k, v in WHOLE.items()},
    specials=LOG_SPECIALS,
    long_double="logl(x)",
)
declare(
    "log1p",
    "jg_log.h",
    gmpy2.log1p,
    {
        k: (*v, (-1.0, 1.0), (-1e-3, -1e-45), (-0.9999999, -0.99), (0.4, 0.43), (-0.3, -0.28))
        for k, v in WHOLE.items()
    },
    specials=(*ODD_SPECIALS, (-1.0, -INF), (INF, INF), (-INF, NAN), (-1.5, NAN), (-1e300, NAN)),
    long_double="log1pl(x)",
)
declare(
    "sigmoid",
    "jg_sigmoid.h",
    sigmoid,
    {
        "f64": (
            (-745.2, -708.0),
            (-708.0, 40.0),
            (-1.0, 1.0),
            (-39.0, -36.0),
            (-40.0, 40.0),
            (1e-20, 1e-3),
        ),
        "f32": (
            (-104.0, -87.0),
            (-87.0, 20.0),
            (-1.0, 1.0),
            (-18.5, -16.0),
            (-20.0, 20.0),
            (1e-10, 1e-3),
        ),
    },
    specials=(
        (0.0, 0.5),
        (-0.0, 0.5),
        (INF, 1.0),
        (-INF, 0.0),
        (NAN, NAN),
        (1e300, 1.0),
        (-1e300, 0.0),
        (-746.0, 0.0),
        (37.5, 1.0),
    ),
    long_double="1/(1+expl(-x))",
)
declare(
    "softplus",
    "jg_sigmoid.h",
    softplus,
    {
        "f64": ((-745.2, -708.0), (-708.0, 60.0), (-1.0, 1.0), (-40.0, 40.0), (1e-20, 1e-3)),
        "f32": ((-104.0, -87.0), (-87.0, 30.0), (-1.0, 1.0), (-20.0, 20.0), (1e-10, 1e-3)),
    },
    specials=((INF, INF), (-INF, 0.0), (NAN, NAN), (1e300, 1e300), (-1e300, 0.0)),
    long_double="x < 0 ? log1pl(expl(x)) : x + log1pl(expl(-x))",
)
declare(
    "tanh",
    "jg_hyperbolic.h",
    gmpy2.tanh,
    signed(
        {
            "f64": ((5e-324, 1e-3), (0.0, 1.0), (0.0, 23.0)),
            "f32": ((1e-45, 1e-3), (0.0, 1.0), (0.0, 11.0)),
        }
    ),
    specials=(*ODD_SPECIALS, (INF, 1.0), (-INF, -1.0), (1e300, 1.0), (-1e300, -1.0)),
    long_double="tanhl(x)",
)

# --- elementary functions to 2 ULP ---------------------------------------------------------------


def sigmoid_crossentropy(x: mpfr, t: mpfr) -> mpfr:
    """Both terms as they stand: they do not cancel for 0 <= t <= 1."""
    return t * softplus(-x) + (1 - t) * softplus(x)


def logaddexp(a: mpfr, b: mpfr) -> mpfr:
    high, low = max(a, b), min(a, b)
    return (
        high if low == high == INF or low == -INF else (high + gmpy2.log1p(gmpy2.exp(low - high)))
    )


declare(
    "exp2",
    "jg_exp.h",
    gmpy2.exp2,
    {
        "f64": ((-1075.5, -1022.0), (-1022.0, 1024.0), (-1.0, 1.0), (1e-20, 1e-3)),
        "f32": ((-150.5, -126.0), (-126.0, 128.0), (-1.0, 1.0), (1e-10, 1e-3)),
    },
    specials=(*EXP_SPECIALS, (10.0, 1024.0), (-1.0, 0.5)),
    long_double="exp2l(x)",
)
declare(
    "log2",
    "jg_log.h",
    gmpy2.log2,
    TABLE["log"].intervals,
    ulp=1.0,
    specials=(*LOG_SPECIALS, (8.0, 3.0), (0.125, -3.0)),
    long_double="log2l(x)",
)
declare(
    "log10",
    "jg_log.h",
    gmpy2.log10,
    TABLE["log"].intervals,
    ulp=1.0,
    specials=(*LOG_SPECIALS, (1000.0, 3.0), (1e10, 10.0)),
    long_double="log10l(x)",
)
declare(
    "cbrt",
    "jg_log.h",
    gmpy2.cbrt if hasattr(gmpy2, "cbrt") else (lambda x: gmpy2.root(x, 3)),
    signed({k: (*v, (0.5, 2.0), (1.0, 8.0)) for k, v in WHOLE.items()}),
    ulp=1.0,
    specials=(*ODD_SPECIALS, (27.0, 3.0), (-8.0, -2.0), (INF, INF), (-INF, -INF)),
    long_double="cbrtl(x)",
)
declare(
    "sigmoid_crossentropy",
    "jg_sigmoid.h",
    sigmoid_crossentropy,
    {
        "f64": (
            (-745.2, 745.2),
            (0.0, 1.0),
            (-40.0, 40.0),
            (0.0, 1.0),
            (-1.0, 1.0),
            (0.0, 1.0),
            (-40.0, 40.0),
            (0.999, 1.0),
            (-40.0, 40.0),
            (5e-324, 1e-3),
        ),
        "f32": (
            (-104.0, 104.0),
            (0.0, 1.0),
            (-20.0, 20.0),
            (0.0, 1.0),
            (-1.0, 1.0),
            (0.0, 1.0),
            (-20.0, 20.0),
            (0.999, 1.0),
            (-20.0, 20.0),
            (1e-45, 1e-3),
        ),
    },
    arity=2,
    ulp=2.0,
    cost=2,
    specials=(
        (INF, 0.5, INF),
        (-INF, 0.5, INF),
        (INF, 0.0, INF),
        (-INF, 1.0, INF),
        (NAN, 0.5, NAN),
        (NAN, 0.0, NAN),
        (NAN, 1.0, NAN),
        (1.0, NAN, NAN),
        (1e4, 1.0, 0.0),
        (-1e4, 0.0, 0.0),
    ),
)
declare(
    "logaddexp",
    "jg_log.h",
    logaddexp,
    {
        "f64": (
            (-5.0, 5.0),
            (-5.0, 5.0),
            (-800.0, 800.0),
            (-800.0, 800.0),
            (1e3, 1e3 + 50),
            (1e3, 1e3 + 50),
        ),
        "f32": (
            (-5.0, 5.0),
            (-5.0, 5.0),
            (-200.0, 200.0),
            (-200.0, 200.0),
            (1e3, 1e3 + 50),
            (1e3, 1e3 + 50),
        ),
    },
    arity=2,
    ulp=1.0,
    absolute=2.0**-54,
    cost=2,
    specials=(
        (INF, INF, INF),
        (-INF, -INF, -INF),
        (INF, -INF, INF),
        (-INF, 3.0, 3.0),
        (NAN, 1.0, NAN),
        (INF, NAN, NAN),
        (1e300, -1e300, 1e300),
    ),
)
declare(
    "pow",
    "jg_pow.h",
    lambda x, y: x**y,
    {
        "f64": (
            (0.0, 2.0),
            (-1000.0, 1000.0),
            (5e-324, 1.7e308),
            (-1.1, 1.1),
            (0.99, 1.01),
            (-7e4, 7e4),
            (1e-5, 1e5),
            (-50.0, 50.0),
        ),
        "f32": (
            (0.0, 2.0),
            (-140.0, 140.0),
            (1.5e-45, 3.4e38),
            (-1.1, 1.1),
            (0.99, 1.01),
            (-8e3, 8e3),
            (1e-5, 1e5),
            (-7.0, 7.0),
        ),
    },
    arity=2,
    ulp=1.0,
    cost=2,
    specials=(
        (0.0, 0.0, 1.0),
        (NAN, 0.0, 1.0),
        (1.0, NAN, 1.0),
        (NAN, 1.0, NAN),
        (2.0, NAN, NAN),
        (-1.0, INF, 1.0),
        (-1.0, -INF, 1.0),
        (0.0, 3.0, 0.0),
        (-0.0, 3.0, -0.0),
        (-0.0, 2.0, 0.0),
        (-0.0, 2.5, 0.0),
        (0.0, -3.0, INF),
        (-0.0, -3.0, -INF),
        (-0.0, -2.0, INF),
        (-0.0, -INF, INF),
        (0.5, INF, 0.0),
        (0.5, -INF, INF),
        (2.0, INF, INF),
        (2.0, -INF, 0.0),
        (INF, 0.5, INF),
        (INF, -0.5, 0.0),
        (-INF, 3.0, -INF),
        (-INF, 2.0, INF),
        (-INF, 0.5, INF),
        (-INF, -3.0, -0.0),
        (-INF, -2.0, 0.0),
        (-2.0, 3.0, -8.0),
        (-2.0, 2.0, 4.0),
        (-2.0, 0.5, NAN),
        (-2.0, 1e300, INF),
        (-0.5, 1e300, 0.0),
        (3.0, 5.0, 243.0),
        (-2.0, -1.0, -0.5),
        (10.0, 3.0, 1000.0),
    ),
)

ANGLES = signed(
    {
        "f64": (
            (5e-324, 1e-3),
            (0.0, 1.6),
            (0.0, 100.0),
            (100.0, 1048577.0),
            (1048570.0, 1.79e308),
        ),
        "f32": ((1.5e-45, 1e-3), (0.0, 1.6), (0.0, 100.0), (100.0, 1048577.0), (1048570.0, 3.4e38)),
    }
)
declare(
    "sin",
    "jg_trig.h",
    gmpy2.sin,
    ANGLES,
    ulp=1.6,
    ulp_f32=1.0,
    cost=3,
    specials=(*ODD_SPECIALS, (INF, NAN), (-INF, NAN)),
    long_double="sinl(x)",
)
declare(
    "cos",
    "jg_trig.h",
    gmpy2.cos,
    ANGLES,
    ulp=1.6,
    ulp_f32=1.0,
    cost=3,
    specials=((0.0, 1.0), (-0.0, 1.0), (NAN, NAN), (INF, NAN), (-INF, NAN)),
    long_double="cosl(x)",
)
declare(
    "tan",
    "jg_trig.h",
    gmpy2.tan,
    ANGLES,
    ulp=2.0,
    ulp_f32=1.0,
    cost=3,
    specials=(*ODD_SPECIALS, (INF, NAN), (-INF, NAN)),
    long_double="tanl(x)",
)
UNIT = signed(
    {
        "f64": ((5e-324, 1e-3), (0.0, 1.0), (0.49, 0.51), (0.999, 1.0)),
        "f32": ((1.5e-45, 1e-3), (0.0, 1.0), (0.49, 0.51), (0.999, 1.0)),
    }
)
declare(
    "asin",
    "jg_trig.h",
    gmpy2.asin,
    UNIT,
    ulp=1.0,
    cost=3,
    specials=(*ODD_SPECIALS, (1.5, NAN), (-INF, NAN), (INF, NAN)),
    long_double="asinl(x)",
)
declare(
    "acos",
    "jg_trig.h",
    gmpy2.acos,
    UNIT,
    ulp=1.0,
    cost=3,
    specials=((1.0, 0.0), (NAN, NAN), (1.5, NAN), (-INF, NAN), (INF, NAN)),
    long_double="acosl(x)",
)
declare(
    "atan",
    "jg_trig.h",
    gmpy2.atan,
    signed({k: (*v, (0.0, 1.0), (0.40, 0.43), (2.3, 2.5), (1.0, 10.0)) for k, v in WHOLE.items()}),
    ulp=1.0,
    cost=3,
    specials=ODD_SPECIALS,
    long_double="atanl(x)",
)
PI = 3.141592653589793
declare(
    "atan2",
    "jg_trig.h",
    gmpy2.atan2,
    {
        "f64": (
            (-4.0, 4.0),
            (-4.0, 4.0),
            (-1.7e308, 1.7e308),
            (-1.7e308, 1.7e308),
            (1e-3, 1.0),
            (5e-324, 1.7e308),
            (-1.0, 1.0),
            (-1.7e308, -5e-324),
        ),
        "f32": (
            (-4.0, 4.0),
            (-4.0, 4.0),
            (-3.4e38, 3.4e38),
            (-3.4e38, 3.4e38),
            (1e-3, 1.0),
            (1.5e-45, 3.4e38),
            (-1.0, 1.0),
            (-3.4e38, -1.5e-45),
        ),
    },
    arity=2,
    ulp=1.0,
    cost=3,
    specials=(
        (0.0, 0.0, 0.0),
        (-0.0, 0.0, -0.0),
        (0.0, -0.0, PI),
        (-0.0, -0.0, -PI),
        (0.0, 1.0, 0.0),
        (-0.0, 1.0, -0.0),
        (0.0, -1.0, PI),
        (-0.0, -1.0, -PI),
        (1.0, 0.0, PI / 2),
        (-1.0, -0.0, -PI / 2),
        (INF, INF, PI / 4),
        (INF, -INF, 3 * PI / 4),
        (-INF, INF, -PI / 4),
        (-INF, -INF, -3 * PI / 4),
        (INF, 1.0, PI / 2),
        (-INF, 1.0, -PI / 2),
        (1.0, INF, 0.0),
        (-1.0, INF, -0.0),
        (1.0, -INF, PI),
        (-1.0, -INF, -PI),
        (NAN, 1.0, NAN),
        (1.0, NAN, NAN),
        (NAN, 0.0, NAN),
        (INF, NAN, NAN),
    ),
)

declare(
    "sinh",
    "jg_hyperbolic.h",
    gmpy2.sinh,
    signed(
        {
            "f64": ((5e-324, 1e-3), (0.0, 1.0), (0.0, 40.0), (40.0, 710.4758)),
            "f32": ((1.5e-45, 1e-3), (0.0, 1.0), (0.0, 20.0), (20.0, 89.4159)),
        }
    ),
    ulp=2.0,
    ulp_f32=1.0,
    long_double="sinhl(x)",
    specials=(*ODD_SPECIALS, (INF, INF), (-INF, -INF), (1e300, INF), (-1e300, -INF)),
)
declare(
    "cosh",
    "jg_hyperbolic.h",
    gmpy2.cosh,
    TABLE["sinh"].intervals,
    ulp=1.0,
    ulp_f32=1.0,
    long_double="coshl(x)",
    specials=((0.0, 1.0), (-0.0, 1.0), (NAN, NAN), (INF, INF), (-INF, INF), (1e300, INF)),
)
declare(
    "asinh",
    "jg_hyperbolic.h",
    gmpy2.asinh,
    signed({k: (*v, (0.0, 1.0), (0.0, 10.0), (1e9, 2e9)) for k, v in WHOLE.items()}),
    ulp=1.25,
    ulp_f32=1.0,
    cost=3,
    long_double="asinhl(x)",
    specials=(*ODD_SPECIALS, (INF, INF), (-INF, -INF)),
)
declare(
    "acosh",
    "jg_hyperbolic.h",
    gmpy2.acosh,
    {
        "f64": ((1.0, 1.0001), (1.0, 2.0), (1.0, 100.0), (1.0, 1.79e308), (1e9, 2e9)),
        "f32": ((1.0, 1.0001), (1.0, 2.0), (1.0, 100.0), (1.0, 3.4e38), (1e9, 2e9)),
    },
    ulp=1.5,
    ulp_f32=1.0,
    cost=3,
    long_double="acoshl(x)",
    specials=((1.0, 0.0), (NAN, NAN), (0.5, NAN), (-2.0, NAN), (INF, INF), (-INF, NAN)),
)
declare(
    "atanh",
    "jg_hyperbolic.h",
    gmpy2.atanh,
    UNIT,
    ulp=1.0,
    cost=3,
    long_double="atanhl(x)",
    specials=(*ODD_SPECIALS, (1.0, INF), (-1.0, -INF), (1.5, NAN), (-INF, NAN)),
)
