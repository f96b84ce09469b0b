"""Coefficients of jg_erf.h: erf near zero, (1 + 2 x) erfcx(x), erfcx(x), and the root of erfc(x).

The mapping t = (x - 4)/(x + 4) is that of Schonfelder, "Chebyshev expansions for the error and
related functions", Math. Comp. 32 (1978).
"""

from __future__ import annotations

from mpmath import mp, mpf
from remez import fit


def erf_rest(z: mpf) -> mpf:
    """erf(x)/x - 1 as a function of z = x^2."""
    two = 2 / mp.sqrt(mp.pi)
    return mp.fsum(two * (-z) ** n / (mp.factorial(n) * (2 * n + 1)) for n in range(60)) - 1


def scaled(t: mpf) -> mpf:
    """(1 + 2x) exp(x^2) erfc(x) at x = 4 (1 + t)/(1 - t); 2/sqrt(pi) in the limit t = 1."""
    if t > 1 - mpf("1e-12"):
        return 2 / mp.sqrt(mp.pi)
    x = 4 * (1 + t) / (1 - t)
    if x > 300:
        w = 1 / (2 * x * x)
        s = mp.fsum((-w) ** n * mp.fac2(2 * n - 1) for n in range(1, 12)) + 1
        return (1 + 2 * x) * s / (x * mp.sqrt(mp.pi))
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


CENTER = mpf(0.4)  # of the range of z = x^2


def t_of(x: mpf) -> mpf:
    """The argument of the polynomial for the tail of erf: small where erfc is large."""
    return (x - 1) / (x + mpf("1.5"))


def x_of(t: mpf) -> mpf:
    """Its inverse."""
    return (1 + mpf("1.5") * t) / (1 - t)


def erfcx(t: mpf) -> mpf:
    """exp(x^2) erfc(x)."""
    return mp.exp(x_of(t) ** 2) * mp.erfc(x_of(t))


def erf_weight(t: mpf) -> mpf:
    """What an error of `erfcx` is multiplied by in erf."""
    return mp.exp(-(x_of(t) ** 2))


# Of float32: where the series ends, and the places around which the polynomials are written.
SPLIT, SQUARE_CENTER, ROOT_CENTER = mpf("1.1875"), mpf("0.5"), mpf("2.375")


def root(y: mpf) -> mpf:
    """The square root of erfc(y + 2.375)."""
    return mp.sqrt(mp.erfc(y + ROOT_CENTER))


def show_f32() -> None:
    """Print the C initialisers of float32; the errors are those in erf(x)/x and in erf."""
    ends = -SQUARE_CENTER, SPLIT**2 - SQUARE_CENTER
    found = fit(lambda y: erf_rest(y + SQUARE_CENTER), *ends, range(8), dtype="f32")
    print(found.report("erf f32: erf(x)/x - 1 in x^2 - 1/2, x <= 1.1875", "f32"))
    ends = SPLIT - ROOT_CENTER, 4 - ROOT_CENTER  # erf(4) rounds to one
    found = fit(root, *ends, range(10), weight=lambda y: 2 * root(y), dtype="f32", refit=1)
    print(found.report("sqrt(erfc(x)) in x - 2.375, times twice itself", "f32"))


def main() -> None:
    """Print the C initialisers."""
    show_f32()
    print(
        fit(lambda y: erf_rest(y + CENTER), -CENTER, mpf("0.4101"), range(12)).report(
            "erf f64: erf(x)/x - 1 in x^2 - 0.4, x <= 0.9"
        )
    )
    low = (mpf("0.69") - 4) / (mpf("0.69") + 4)
    found = fit(scaled, low, 1, range(23), weight=lambda t: 1 / scaled(t), refit=2)
    print(found.report("(1 + 2x) erfcx(x) for x >= 0.69, relative"))
    ends = t_of(mpf("0.89")), t_of(mpf(6))  # erf(6) rounds to one
    found = fit(erfcx, *ends, range(14), weight=erf_weight, refit=2)
    print(found.report("erfcx(x) in t = (x - 1)/(x + 3/2), times exp(-x^2)"))


if __name__ == "__main__":
    main()
