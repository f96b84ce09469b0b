"""Coefficients of jg_log.h: log(1+f) = 2 atanh(s), s = f/(2+f).

2 atanh(s) = 2 s + s^3 R(s^2), R(z) = 2/3 + 2/5 z + 2/7 z^2 + ...
"""

from __future__ import annotations

from mpmath import mp, mpf
from remez import as_c, fit


def r_of(z: mpf) -> mpf:
    """R(z)."""
    if z < mpf("1e-4"):
        return mp.nsum(lambda n: 2 * z**n / (2 * n + 3), [0, 20])
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) - 2 * s) / s**3


def doubled_rest(z: mpf) -> mpf:
    """(2 atanh(u/2) - u) / u^3 as a function of z = u^2: in u = 2 s, s = f/(2 + f)."""
    return r_of(z / 4) / 8


def main() -> None:
    """Print the C initialisers."""
    narrow = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1) * mpf("1.0001")
    wide = mpf("0.2001")
    for dtype, degree in (("f64", 7), ("f32", 3)):
        powers = range(degree + 1)
        found = fit(r_of, 0, wide**2, powers, weight=lambda z: z ** mpf("1.5"), dtype=dtype)
        print(found.report(f"log {dtype}, |s| <= 0.2, R of degree {degree}", dtype))
    for dtype, degree in (("f64", 9), ("f32", 4)):
        found = fit(doubled_rest, 0, mpf(4) / 9, range(degree + 1), weight=lambda z: z, dtype=dtype)
        print(found.report(f"log {dtype} of 1 to 2 in u = 2 s, relative", dtype))
    third = mpf(2) / 3
    head = mpf(float(third))
    print(f"2/3 = {as_c(head)} + {as_c(third - head)}")
    rest = lambda z: (r_of(z) - third) / z if z > mpf("1e-12") else mpf(2) / 5  # noqa: E731
    print(
        fit(rest, 0, narrow**2, range(8), weight=lambda z: z**2).report(
            "log f64 for pow: (R(z) - 2/3) / z, relative"
        )
    )
    low, high = mp.sqrt(mpf(1) / 2), mp.sqrt(2)
    print(
        fit(mp.cbrt, low * mpf("0.9999"), high * mpf("1.0001"), range(8), refit=1).report(
            "cbrt of m, sqrt(1/2) <= m <= sqrt(2)"
        )
    )


if __name__ == "__main__":
    main()
