"""Errors of sigmoid implementations against values of 50 decimal digits.

The oracle is the standard library's `decimal` with 50 digits, whose exp is correctly rounded
(General Decimal Arithmetic Specification); 1/(1 + exp(-x)) then has some 49 right digits, where
float64 has 16. It is kept as a sum of two doubles, hi + lo (about 32 digits), so that errors of
many contenders are subtractions of arrays.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

LOW, HIGH = -8.0, 8.0  # the range that is timed, and over which the mean error is taken
_PRECISION = {"float64": 53, "float32": 24}  # bits
_SMALLEST = {"float64": -1074, "float32": -149}  # exponent of the smallest number
# Where exp(-x) overflows and where sigmoid(x) drops below the smallest number.
_UNDERFLOW = {"float64": (709.79, 745.2), "float32": (88.73, 103.98)}
# Where 1 - sigmoid(x) drops below half a unit of 1: (p + 1) log 2.
_SATURATES = {"float64": 37.43, "float32": 17.33}
# The knots of hard_sigmoid and ultra_fast_sigmoid, and where Theano's C code cut sigmoid off.
_KNOTS = (2.5, 3.4, 6.0, 15.0, 19.0, 30.0, 88.0, 709.0)
# Small results are scaled by this power of two, so that lo does not vanish below 5e-324.
_SCALE = 300


@dataclass(frozen=True)
class Errors:
    """Errors of one implementation.

    max_abs, mean_abs: |computed - exact|, the mean over the points of [-8, 8] drawn uniformly
    max_ulp:           in units of the last place of the exact value's binade; cut at 2^p (p bits
                       of precision), where no digit is right
    *_at:              the argument of the maximum
    limits:            whether nan, inf and -inf give nan, 1 and 0
    """

    max_abs: float
    max_abs_at: float
    mean_abs: float
    max_ulp: float
    max_ulp_at: float
    points: int
    limits: bool


class Oracle:
    """Exact values of the sigmoid at `x` (finite, of dtype float64 or float32)."""

    def __init__(self, x: Array):
        self.x = x
        self.dtype = x.dtype.name
        # exact * 2^shift = hi + lo
        exact = [exact_sigmoid(float(v)) for v in x]
        small = Decimal(2) ** -700
        self.shift = np.array([_SCALE if e < small else 0 for e in exact])
        # (The operators of Decimal would round to the 28 digits of the default context.)
        powers = [Decimal(2 ** int(s)) for s in self.shift]
        scaled = [_CONTEXT.multiply(e, p) for e, p in zip(exact, powers, strict=True)]
        self.hi = np.array([float(e) for e in scaled])
        self.lo = np.array(
            [float(_CONTEXT.subtract(e, Decimal(h))) for e, h in zip(scaled, self.hi, strict=True)]
        )
        self.ulp = np.ldexp(1.0, self._last_place() + self.shift)

    def _last_place(self) -> Array:
        """The exponent of the last place of the exact value in the format of x."""
        mantissa, exponent = np.frexp(self.hi)
        exponent = exponent - 1 - self.shift
        # hi was rounded up to a power of two; or even 50 digits were, to 1 or (x < 0) to 1/2.
        rounded = (self.lo == 0) & ((self.hi == 1) | ((self.hi == 0.5) & (self.x < 0)))
        exponent -= (mantissa == 0.5) & ((self.lo < 0) | rounded)
        smallest = _SMALLEST[self.dtype]
        place = np.maximum(exponent - (_PRECISION[self.dtype] - 1), smallest)
        return np.where(mantissa == 0, smallest, place)

    def errors(self, y: Array) -> tuple[Array, Array]:
        """(absolute, in ulp) errors of the values `y` computed at x."""
        # Near the exact value y - hi is exact (Sterbenz); further off lo does not matter.
        scaled = np.abs((np.ldexp(y.astype(np.float64), self.shift) - self.hi) - self.lo)
        with np.errstate(over="ignore"):
            ulp = np.minimum(scaled / self.ulp, 2.0 ** _PRECISION[self.dtype])
        return np.ldexp(scaled, -self.shift), ulp


_CONTEXT = Context(prec=50, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


def exact_sigmoid(x: float) -> Decimal:
    """1/(1 + exp(-x)) to 50 digits; 0 or 1 where the exponents of `decimal` end."""
    e = _CONTEXT.exp(Decimal(-x))
    return _CONTEXT.divide(Decimal(1), _CONTEXT.add(Decimal(1), e))


def sample(dtype: str) -> tuple[Array, int]:
    """(points, n): some 20,000 finite points; the first n are uniform in [-8, 8].

    Then: both tails to where the result is 0 and 1, magnitudes down to the smallest subnormal
    number, and every knot and limit with its 16 nearest neighbours of either sign.
    """
    rng = np.random.default_rng(20240521)
    overflow, underflow = _UNDERFLOW[dtype]
    smallest = _SMALLEST[dtype] * np.log10(2.0)
    uniform = rng.uniform(LOW, HIGH, 8000)
    tails = np.concatenate([rng.uniform(-underflow - 5, LOW, 4000), rng.uniform(HIGH, 100, 2000)])
    subnormal = rng.uniform(-underflow, -overflow, 1000)
    small = rng.choice([-1.0, 1.0], 4000) * 10 ** rng.uniform(smallest, 1, 4000)
    edges = [*_KNOTS, overflow, underflow, _SATURATES[dtype]]
    near = [_neighbours(np.asarray(e, dtype)) for e in edges]
    extreme = np.array([0.0, np.finfo(dtype).tiny, np.finfo(dtype).max], dtype)
    parts = [uniform, tails, subnormal, small, *near, extreme, -extreme, *(-n for n in near)]
    return np.concatenate([p.astype(dtype) for p in parts]), uniform.size


def _neighbours(center: Array) -> Array:
    """The floating-point number and its 16 nearest on either side."""
    integer = center.view(f"i{center.dtype.itemsize}")
    steps = np.arange(-16, 17, dtype=integer.dtype)
    return np.asarray(integer + steps).view(center.dtype)


class Examiner:
    """Examines implementations on the sample of a dtype."""

    def __init__(self, dtype: str):
        self.points, self.uniform = sample(dtype)
        self.oracle = Oracle(self.points)

    def examine(self, function: Any) -> Errors:
        """The errors of `function`, an array -> array of the same dtype."""
        with np.errstate(all="ignore"):
            y = np.asarray(function(self.points))
            limits = np.asarray(function(np.array([np.nan, np.inf, -np.inf], self.points.dtype)))
        absolute, ulp = self.oracle.errors(y)
        worst, worst_ulp = int(np.argmax(absolute)), int(np.argmax(ulp))
        return Errors(
            max_abs=float(absolute[worst]),
            max_abs_at=float(self.points[worst]),
            mean_abs=float(np.mean(absolute[: self.uniform])),
            max_ulp=float(ulp[worst_ulp]),
            max_ulp_at=float(self.points[worst_ulp]),
            points=self.points.size,
            limits=bool(np.isnan(limits[0])) and _equal(limits[1:], (1.0, 0.0)),
        )


def _equal(values: Iterable[float], expected: Iterable[float]) -> bool:
    return all(float(v) == e for v, e in zip(values, expected, strict=True))
