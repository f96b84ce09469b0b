"""Arrays that make functions go wrong, and how results are compared."""

from __future__ import annotations

import numpy as np

from jitgraph import dtypes


def boundary_values(dtype: str) -> np.ndarray:
    """The values at which a function of `dtype` changes its behaviour."""
    if dtype == "bool":
        return np.array([False, True])
    if dtype in dtypes.INTEGERS:
        info = np.iinfo(dtype)
        near = [
            info.min,
            info.min + 1,
            -2,
            -1,
            0,
            1,
            2,
            3,
            7,
            info.max // 2,
            info.max - 1,
            info.max,
        ]
        return np.array([v for v in dict.fromkeys(near) if info.min <= v <= info.max], dtype)
    info = np.finfo(dtype)
    positive = [
        0.0,
        info.smallest_subnormal,
        info.smallest_normal,
        info.eps,
        0.5,
        1.0,
        np.nextafter(np.asarray(1, dtype), np.asarray(2, dtype)),
        1.5,
        2.5,
        100.0,
        2.0 ** (info.nmant + 1),
        info.max,
        np.inf,
    ]
    positive = np.array(positive, dtype)
    return np.concatenate([positive, -positive, np.array([np.nan], dtype)])


def random_values(dtype: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Values over the whole range of `dtype`, half of them of everyday size."""
    if dtype == "bool":
        return rng.integers(0, 2, size).astype(bool)
    if dtype in dtypes.INTEGERS:
        info = np.iinfo(dtype)
        whole = rng.integers(info.min, info.max, size, dtype=dtype, endpoint=True)
        small = rng.integers(max(info.min, -20), 21, size).astype(dtype)
        return np.where(rng.random(size) < 0.5, whole, small)
    info = np.finfo(dtype)
    exponent = rng.uniform(info.minexp, info.maxexp - 1, size)
    wide = np.exp2(exponent) * rng.choice([-1.0, 1.0], size)
    near = rng.uniform(-6, 6, size)
    return np.where(rng.random(size) < 0.5, wide, near).astype(dtype)


def same_bits(a: np.ndarray, b: np.ndarray, zeros: bool = True) -> bool:
    """Equal shape, dtype and bits, where every nan is the same; with `zeros` also their signs."""
    return a.shape == b.shape and a.dtype == b.dtype and not differing(a, b, zeros).any()


def differing(a: np.ndarray, b: np.ndarray, zeros: bool = True) -> np.ndarray:
    """Where two arrays of one shape and dtype differ in a bit."""
    if a.dtype.kind != "f":
        return a != b
    with np.errstate(invalid="ignore"):
        different = (a != b) & ~(np.isnan(a) & np.isnan(b))
        return different | ((np.signbit(a) != np.signbit(b)) & (a == 0)) if zeros else different


def ulps(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The distance in units of the last place of `expected`; inf where only one is finite."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(expected) & np.isfinite(got)
        unit = np.spacing(np.abs(np.where(finite, expected, 1)).astype(expected.dtype))
        distance = np.abs(got.astype("float64") - expected.astype("float64")) / unit.astype(
            "float64"
        )
        same = (got == expected) | (np.isnan(got) & np.isnan(expected))
        return np.where(same, 0.0, np.where(finite, distance, np.inf))
