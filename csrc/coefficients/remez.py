"""Minimax polynomials with machine-number coefficients (Remez exchange on a dense grid).

Every script beside this file calls `fit` and prints C initialisers.  The exchange runs on a
Chebyshev-spaced grid in high precision, which is exact enough: between neighbouring grid points
the error curve moves by less than 1e-4 of its amplitude.  Coefficients are rounded one at a time
from the lowest power up and the rest is fitted again, so that the rounding of an important
coefficient is absorbed by the later ones (Brisebarre and Chevillard, "Efficient polynomial
L-infinity approximations", ARITH 2007, describe the optimal form of this idea).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mpmath import mp, mpf

mp.prec = 240

Real = Callable[[mpf], mpf]


@dataclass(frozen=True)
class Fit:
    """A polynomial sum(c * x**p) and its largest weighted error on the interval."""

    powers: tuple[int, ...]
    coefficients: tuple[mpf, ...]
    error: mpf

    def report(self, name: str, dtype: str = "f64") -> str:
        """C text: one line per coefficient, and log2 of the error in a comment."""
        bits = "-inf" if self.error == 0 else f"{float(mp.log(self.error, 2)):.2f}"
        lines = [f"/* {name}: error 2^{bits} */"]
        for power, c in zip(self.powers, self.coefficients, strict=True):
            lines.append(f"    {as_c(c, dtype)}, /* x^{power} */")
        return "\n".join(lines)


def to_f32(value: mpf) -> mpf:
    """Round to binary32 (the range is never an issue for coefficients)."""
    if value == 0:
        return mpf(0)
    exponent = mp.frexp(value)[1]
    scale = mp.ldexp(mpf(1), 24 - exponent)
    return mp.nint(value * scale) / scale


def to_f64(value: mpf) -> mpf:
    """Round to binary64."""
    return mpf(float(value))


def as_c(value: mpf, dtype: str = "f64") -> str:
    """The number as a C hexadecimal literal."""
    if dtype == "f32":
        return f"{struct.unpack('<f', struct.pack('<f', float(value)))[0].hex()}f"
    return float(value).hex()


def chebyshev_grid(low: mpf, high: mpf, count: int) -> list[mpf]:
    """Points cos-spaced in [low, high], ends included."""
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]


def _extrema(errors: Sequence[mpf], wanted: int) -> list[int]:
    """Indices of `wanted` alternating extrema of the sampled error curve."""
    peaks: list[int] = []
    for i, e in enumerate(errors):
        if peaks and (errors[peaks[-1]] > 0) == (e > 0):
            if abs(e) > abs(errors[peaks[-1]]):
                peaks[-1] = i
        elif e != 0:
            peaks.append(i)
    while len(peaks) > wanted:
        drop_first = abs(errors[peaks[0]]) < abs(errors[peaks[-1]])
        peaks.pop(0 if drop_first else -1)
    return peaks


def _exchange(
    grid: list[mpf], values: list[mpf], weights: list[mpf], powers: Sequence[int]
) -> tuple[list[mpf], mpf]:
    """Best coefficients on the grid and the largest weighted error.

    The lowest power moves into the weight: 1, x, x^2, ... alternate on an interval around zero,
    x, x^2, ... do not.
    """
    base = powers[0]
    weights = [w * abs(x) ** base for x, w in zip(grid, weights, strict=True)]
    floor = max(weights) / 10**6  # rows of zeros would be singular
    kept = [i for i, w in enumerate(weights) if w > floor]
    grid, weights = [grid[i] for i in kept], [weights[i] for i in kept]
    values = [values[i] / x**base for i, x in zip(kept, grid, strict=True)]
    powers = [p - base for p in powers]
    n = len(powers)
    rows = [[w * x**p for p in powers] for x, w in zip(grid, weights, strict=True)]
    targets = [w * v for w, v in zip(weights, values, strict=True)]
    reference = [round((len(grid) - 1) * i / n) for i in range(n + 1)]
    best: list[mpf] = [mpf(0)] * n
    best_error = max(abs(t) for t in targets)
    for _ in range(40):
        matrix = mp.matrix(n + 1, n + 1)
        right = mp.matrix(n + 1, 1)
        for i, index in enumerate(reference):
            for j in range(n):
                matrix[i, j] = rows[index][j]
            matrix[i, n] = mpf((-1) ** i)
            right[i] = targets[index]
        solution = mp.lu_solve(matrix, right)
        c = [solution[j] for j in range(n)]
        errors = [t - mp.fdot(row, c) for row, t in zip(rows, targets, strict=True)]
        worst = max(abs(e) for e in errors)
        if worst < best_error:
            best, best_error = c, worst
        peaks = _extrema(errors, n + 1)
        if len(peaks) < n + 1 or worst <= abs(solution[n]) * mpf("1.0005"):
            break
        reference = peaks
    return best, best_error


def fit(
    f: Real,
    low: float | mpf,
    high: float | mpf,
    powers: Sequence[int],
    *,
    weight: Real = lambda _x: mpf(1),
    dtype: str = "f64",
    fixed: dict[int, float | mpf] | None = None,
    refit: int = 4,
    points: int = 1200,
) -> Fit:
    """Minimise max |weight(x) * (f(x) - sum(c_p x^p))| over [low, high].

    `fixed` gives powers whose coefficient is prescribed.  The first `refit` free coefficients are
    rounded with a new fit after each; the rest are rounded together.
    """
    grid = chebyshev_grid(mpf(low), mpf(high), points)
    weights = [weight(x) for x in grid]
    values = [f(x) for x in grid]
    rounder = to_f32 if dtype == "f32" else to_f64
    chosen: dict[int, mpf] = {p: mpf(c) for p, c in (fixed or {}).items()}
    for p, c in chosen.items():
        values = [v - c * x**p for v, x in zip(values, grid, strict=True)]
    free = [p for p in powers if p not in chosen]
    for _ in range(min(refit, len(free))):
        coefficients, _error = _exchange(grid, values, weights, free)
        p, c = free.pop(0), rounder(coefficients[0])
        chosen[p] = c
        values = [v - c * x**p for v, x in zip(values, grid, strict=True)]
    if free:
        coefficients, _error = _exchange(grid, values, weights, free)
        for p, c in zip(free, (rounder(c) for c in coefficients), strict=True):
            chosen[p] = c
            values = [v - c * x**p for v, x in zip(values, grid, strict=True)]
    error = max(abs(w * v) for w, v in zip(weights, values, strict=True))
    return Fit(tuple(powers), tuple(chosen[p] for p in powers), error)
