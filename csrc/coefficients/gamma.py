"""Coefficients of jg_gamma.h: log Gamma(1 + u) = u (u - 1) Q(u) on [0, 1]."""

from __future__ import annotations

from mpmath import mp, mpf
from remez import fit


def q(u: mpf) -> mpf:
    """log Gamma(1 + u) / (u (u - 1)), by its limits at the ends."""
    if abs(u) < mpf("1e-20"):
        return mp.euler
    if abs(u - 1) < mpf("1e-20"):
        return 1 - mp.euler
    return mp.loggamma(1 + u) / (u * (u - 1))


def main() -> None:
    """Print the C initialisers."""
    print(
        fit(q, 0, 1, range(23), weight=lambda u: 1 / q(u), refit=1, points=600).report(
            "log Gamma(1 + u) / (u (u - 1)), relative"
        )
    )


if __name__ == "__main__":
    main()
