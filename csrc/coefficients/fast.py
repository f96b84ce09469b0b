"""Coefficients of jg_fast.h: the shorter polynomials of accuracy 'fast'."""

from __future__ import annotations

from erf import erf_rest
from exp import HALF_LN2, q
from log import doubled_rest
from mpmath import mp, mpf
from remez import fit

NARROW = (2 * (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * mpf("1.0001")) ** 2
MIDDLE = 2  # of the map t = (x - 2)/(x + 2)


def x_of(t: mpf) -> mpf:
    """The argument that t stands for."""
    return MIDDLE * (1 + t) / (1 - t)


def erfcx(t: mpf) -> mpf:
    """exp(x^2) erfc(x)."""
    return mp.exp(x_of(t) ** 2) * mp.erfc(x_of(t))


def t_of(x: mpf) -> mpf:
    """The inverse of x_of."""
    return (x - MIDDLE) / (x + MIDDLE)


def show(text: str, found: object, dtype: str) -> None:
    """Print one polynomial."""
    print(found.report(f"{text} {dtype}", dtype))  # type: ignore[attr-defined]


def main() -> None:
    """Print the C initialisers."""
    absolute = lambda x: x**2 * mp.exp(-x)  # noqa: E731  (of exp, relative to it)
    show("q, degree 4", fit(q, -HALF_LN2, HALF_LN2, range(5), weight=absolute, dtype="f32"), "f32")
    for dtype, narrow, wide in (("f64", 6, 8), ("f32", 2, 3)):
        for text, end, degree in (("near 1", NARROW, narrow), ("1 to 2", mpf(4) / 9, wide)):
            found = fit(doubled_rest, 0, end, range(degree + 1), weight=lambda z: z, dtype=dtype)
            show(f"log {text}", found, dtype)
    series = fit(erf_rest, 0, mpf("0.83") ** 2, range(11), dtype="f64")
    show("erf(x)/x - 1", series, "f64")
    ends = t_of(mpf("0.81")), t_of(mpf(6))  # erf(6) rounds to one
    weight = lambda t: mp.exp(-(x_of(t) ** 2))  # noqa: E731
    tail = fit(erfcx, *ends, range(12), weight=weight, dtype="f64", refit=2)
    show("exp(x^2) erfc(x)", tail, "f64")


if __name__ == "__main__":
    main()
