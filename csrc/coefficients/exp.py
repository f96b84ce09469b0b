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
    for degree in (9, 10, 11):
        print(
            fit(q, -HALF_LN2, HALF_LN2, range(degree + 1), weight=square, fixed={0: 0.5}).report(
                f"exp f64, q of degree {degree}"
            )
        )
    for degree in (3, 4, 5):
        print(
            fit(
                q,
                -HALF_LN2,
                HALF_LN2,
                range(degree + 1),
                weight=square,
                fixed={0: 0.5},
                dtype="f32",
            ).report(f"exp f32, q of degree {degree}", "f32")
        )


if __name__ == "__main__":
    main()
