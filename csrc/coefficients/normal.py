"""Coefficients of jg_normal.h: the quantile function of the normal distribution.

The division into a centre in q^2 and tails in sqrt(-log t), with rational functions, is that of
M. J. Wichura, "Algorithm AS 241: The percentage points of the normal distribution", Applied
Statistics 37 (1988); the coefficients are our own.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from mpmath import mp, mpf
from remez import as_c, to_f64

CENTRE = mpf("0.425")  # |q| up to here; beyond, t = 1/2 - |q| is at most 0.075
LOWEST = mpf(2) ** -54  # the smallest t


def quantile(t: mpf) -> mpf:
    """x > 0 with P(X > x) = t, by Newton's method on the logarithm of the tail."""
    x = mp.sqrt(-2 * mp.log(t)) if t < mpf("0.1") else mp.sqrt(2) * (1 - 2 * t)
    for _ in range(80):
        tail = mp.erfc(x / mp.sqrt(2)) / 2
        step = (mp.log(tail) - mp.log(t)) * tail / mp.npdf(x)
        x += step
        if abs(step) < mpf(10) ** -60:
            return x
    raise ArithmeticError(f"no convergence at {t}")


def centre(z: mpf) -> mpf:
    """The quantile of 1/2 + q over q, as a function of z = CENTRE^2 - q^2."""
    q = mp.sqrt(max(CENTRE**2 - z, mpf(0)))  # the end may be passed by a rounding error
    return quantile(mpf("0.5") - q) / q if q > mpf("1e-30") else mp.sqrt(2 * mp.pi)


def tail(s: mpf) -> mpf:
    """The quantile of t = exp(-r^2) over r, as a function of s = r - 1.6."""
    r = s + mpf("1.6")
    return quantile(mp.exp(-r * r)) / r


def rational(
    f: Callable[[mpf], mpf], low: mpf, high: mpf, upper: int, lower: int
) -> tuple[list[mpf], list[mpf], mpf]:
    """Coefficients of P/Q (Q(0) = 1), and the relative error.

    The function is interpolated; the distances between its nodes are changed until the error
    is nearly as large between one pair of nodes as between any other (Maehly 1963).
    """
    count = upper + lower + 1
    edges = [low + (high - low) * (1 - mp.cos(mp.pi * i / count)) / 2 for i in range(count + 1)]
    gaps = [b - a for a, b in pairwise(edges)]
    gaps = [gaps[0] / 2, *((a + b) / 2 for a, b in pairwise(gaps)), gaps[-1] / 2]
    best: tuple[list[mpf], list[mpf], mpf] | None = None
    for _ in range(60):
        ends = [low]
        for gap in gaps:
            ends.append(ends[-1] + gap)
        p, q = _interpolate(f, ends[1:-1], upper, lower)
        peaks = []
        for a, b in pairwise(ends):
            inside = [a + (b - a) * k / 6 for k in range(0 if a == low else 1, 7)]
            values = [mp.polyval(p[::-1], x) / mp.polyval(q[::-1], x) / f(x) - 1 for x in inside]
            peaks.append(max(map(abs, values)))
        if best is None or max(peaks) < best[2]:
            best = p, q, max(peaks)
        middle = mp.exp(mp.fsum(map(mp.log, peaks)) / len(peaks))
        gaps = [g * (middle / e) ** mpf("0.12") for g, e in zip(gaps, peaks, strict=True)]
        scale = (high - low) / mp.fsum(gaps)
        gaps = [g * scale for g in gaps]
    assert best is not None
    return best


def _interpolate(
    f: Callable[[mpf], mpf], nodes: list[mpf], upper: int, lower: int
) -> tuple[list[mpf], list[mpf]]:
    """The rational function with Q(0) = 1 that has the value of f at every node."""
    count = upper + lower + 1
    matrix, right = mp.matrix(count, count), mp.matrix(count, 1)
    for i, x in enumerate(nodes):
        value = f(x)
        right[i] = mpf(1)
        for j in range(upper + 1):
            matrix[i, j] = x**j / value
        for j in range(1, lower + 1):
            matrix[i, upper + j] = -(x**j)
    solution = mp.lu_solve(matrix, right)
    c = [solution[j] for j in range(count)]
    return c[: upper + 1], [mpf(1), *c[upper + 1 :]]


def report(name: str, found: tuple[list[mpf], list[mpf], mpf], constant: mpf) -> str:
    """C text: P/Q = constant + N/Q, the coefficients of N and Q and log2 of the error.

    The constant is most of the value, so that rounding errors of N and Q count little.
    """
    p, q, error = found
    n = [a - constant * b for a, b in zip(p, q, strict=True)]
    lines = [f"/* {name}: {float(constant)!r} + N/Q, error 2^{float(mp.log(error, 2)):.1f} */"]
    for label, c in (("N", n), ("Q", q)):
        lines.append(f"    /* {label} */ " + ", ".join(as_c(to_f64(x)) for x in c))
    return "\n".join(lines)


def main() -> None:
    """Print the C initialisers."""
    print(report("centre", rational(centre, mpf(0), CENTRE**2, 8, 8), mpf("2.5")))
    low = mp.sqrt(-mp.log(mpf("0.5") - CENTRE)) - mpf("1.6")
    high = mp.sqrt(-mp.log(LOWEST)) - mpf("1.6")
    print(report("tail", rational(tail, low, high, 8, 8), mpf("1.4140625")))


if __name__ == "__main__":
    main()
