"""Coefficients of jg_exp.h: exp(r) = 1 + r + r^2 q(r) on |r| <= log(2)/2, and 2^r."""

from __future__ import annotations

from mpmath import mp, mpf
from remez import fit

HALF_LN2 = mp.log(2) / 2 * mpf("1.0001")  # the rounded quotient may be a little over one half


def q(x: mpf) -> mpf:
    """(exp(x) - 1 - x) / x^2, by its series near zero."""
    if abs(x) < mpf("1e-3"):
        return mp.nsum(lambda n: x**n / mp.factorial(n + 2), [0, 25])
    return (mp.expm1(x) - x) / x**2


def main() -> None:
    """Print the C initialisers."""
    square = lambda x: x**2  # noqa: E731  (absolute error of exp is wanted, not of q)
    for dtype, degree in (("f64", 10), ("f32", 5)):
        powers = range(degree + 1)
        found = fit(q, -HALF_LN2, HALF_LN2, powers, weight=square, fixed={0: 0.5}, dtype=dtype)
        print(found.report(f"exp {dtype}, q of degree {degree}", dtype))
    found = fit(q, -HALF_LN2, HALF_LN2, range(10), weight=square, dtype="f64")
    print(found.report("exp f64 where nothing cancels, q of degree 9", "f64"))


if __name__ == "__main__":
    main()
