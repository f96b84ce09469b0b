"""Coefficients of jg_trig.h: sin, cos, arc tangent, arc sine, and the parts of pi/2."""

from __future__ import annotations

from mpmath import mp, mpf
from remez import as_c, fit


def series(z: mpf, first: int, sign: int, step: int) -> mpf:
    """sum over n >= 0 of sign^n z^n / (first + step n)!, exact to working precision."""
    return mp.fsum(sign**n * z**n / mp.factorial(first + step * n) for n in range(25))


def atan_rest(z: mpf) -> mpf:
    """(atan(t) - t) / t^3 as a function of z = t^2."""
    if z < mpf("1e-5"):
        return mp.fsum((-1) ** (n + 1) * z**n / (2 * n + 3) for n in range(16))
    t = mp.sqrt(z)
    return (mp.atan(t) - t) / t**3


def asin_rest(z: mpf) -> mpf:
    """(asin(t) - t) / t^3 as a function of z = t^2."""
    if z < mpf("1e-5"):
        return mp.fsum(
            mp.binomial(2 * n, n) / mpf(4) ** n / (2 * n + 1) * z ** (n - 1) for n in range(1, 16)
        )
    t = mp.sqrt(z)
    return (mp.asin(t) - t) / t**3


def parts_of_half_pi() -> None:
    """pi/2 = p1 + p2 + p3 + p4; the first three have 33 bits, so that n p is exact to n = 2^20."""
    rest = mp.pi / 2
    for i in range(1, 4):
        scale = mp.ldexp(1, 33 - mp.frexp(rest)[1])
        part = mp.floor(rest * scale) / scale
        print(f"p{i} = {as_c(part)}")
        rest -= part
    print(f"p4 = {as_c(mpf(float(rest)))}")


def main() -> None:
    """Print the C initialisers."""
    parts_of_half_pi()
    quarter = (mp.pi / 4 * mpf("1.0001")) ** 2
    w3 = lambda z: z ** mpf("1.5")  # noqa: E731
    print(
        fit(lambda z: -series(z, 3, -1, 2), 0, quarter, range(6), weight=w3).report(
            "sin f64: (sin(r) - r) / r^3 in z = r^2"
        )
    )
    print(
        fit(lambda z: series(z, 4, -1, 2), 0, quarter, range(6), weight=lambda z: z**2).report(
            "cos f64: (cos(r) - 1 + z/2) / z^2 in z = r^2"
        )
    )
    print(
        fit(lambda z: -series(z, 3, -1, 2), 0, quarter, range(4), weight=w3).report(
            "sin for f32 results"
        )
    )
    print(
        fit(lambda z: series(z, 4, -1, 2), 0, quarter, range(3), weight=lambda z: z**2).report(
            "cos for f32 results"
        )
    )
    print(
        fit(
            atan_rest, 0, (mp.sqrt(2) - 1) ** 2 * mpf("1.0001"), range(12), weight=lambda z: z
        ).report("atan f64, t^2 <= 0.1716, relative")
    )
    print(
        fit(asin_rest, 0, mpf("0.2501"), range(13), weight=lambda z: z).report(
            "asin f64, t^2 <= 1/4, relative"
        )
    )


if __name__ == "__main__":
    main()
