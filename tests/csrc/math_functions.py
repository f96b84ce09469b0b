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
