"""Coefficients of jg_erf.h: erf on [0, 0.9], and (1 + 2 x) erfcx(x) in t = (x - 4)/(x + 4).

The mapping is that of Schonfelder, "Chebyshev expansions for the error and related functions",
Math. Comp. 32 (1978).
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


def main() -> None:
    """Print the C initialisers."""
    print(
        fit(erf_rest, 0, mpf("0.8101"), range(13)).report(
            "erf f64: erf(x)/x - 1 in z = x^2, x <= 0.9"
        )
    )
    low = (mpf("0.69") - 4) / (mpf("0.69") + 4)
    found = fit(scaled, low, 1, range(23), weight=lambda t: 1 / scaled(t), refit=2)
    print(found.report("(1 + 2x) erfcx(x) for x >= 0.69, relative"))


if __name__ == "__main__":
    main()
