"""Reductions over leading axes: band by band, the same bits for any number of threads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.runtime.threads import get_num_threads, set_num_threads

SHAPES = [(0, 3), (1, 1), (5, 7), (513, 2), (40_000, 3), (300_000, 1), (700, 3000), (3, 70_000)]


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_of_columns(shape: tuple[int, int]) -> None:
    """Within one rounding of the exact sums, where NumPy adds row by row."""
    x = T.dmatrix("x")
    f = jitgraph.function([x], [x.sum(axis=0), (x * x).mean(axis=0)])
    values = np.random.default_rng(len(SHAPES)).normal(size=shape)
    total, squares = f(values)
    columns = range(0, shape[1], max(1, shape[1] // 5))
    for k in columns:
        exact = math.fsum(values[:, k])
        size = math.fsum(np.abs(values[:, k]))
        # Blocks of 512, at most 256 bands of blocks, pairs of bands.
        assert abs(total[k] - exact) <= (512 + shape[0] / 512 / 16 + 8) * 2**-53 * size
        if shape[0]:
            wanted = math.fsum(values[:, k] ** 2) / shape[0]
            assert abs(squares[k] - wanted) <= 1e-13 * wanted


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "bool", "uint16"])
def test_all_kinds(shape: tuple[int, int], dtype: str) -> None:
    x = T.matrix("x", dtype)
    results = [x.prod(axis=0), x.any(axis=0), x.all(axis=0)]
    if shape[0]:
        results += [x.max(axis=0), x.min(axis=0)]
    f = jitgraph.function([x], results)
    rng = np.random.default_rng(5)
    values = rng.choice(np.array([0, 1, 1, 1, 1, 1, 2, 3], dtype), size=shape)
    wanted: list[Any] = [
        values.prod(axis=0, dtype=results[0].dtype),
        values.any(axis=0),
        values.all(axis=0),
    ]
    if shape[0]:
        wanted += [values.max(axis=0), values.min(axis=0)]
    with np.errstate(over="ignore"):
        for a, b in zip(f(values), wanted, strict=True):
            np.testing.assert_array_equal(a, b)


def test_the_same_bits_for_any_number_of_threads() -> None:
    x, b = T.dtensor3("x"), T.dvector("b")
    y = T.exp(x + b)
    f = jitgraph.function([x, b], [y.sum(axis=(0, 1)), y.sum(axis=0), y.sum(axis=(0, 2)), y.max(0)])
    values = np.random.default_rng(1).normal(size=(20_000, 4, 5))
    bias = np.arange(5.0)
    before = get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            found.append([a.tobytes() for a in f(values, bias)])
    finally:
        set_num_threads(before)
    assert found[0] == found[1] == found[2]


def test_nan_and_infinities_are_kept() -> None:
    x = T.dmatrix("x")
    f = jitgraph.function([x], [x.max(axis=0), x.min(axis=0), x.sum(axis=0)])
    values = np.zeros((50_000, 3))
    values[37_000, 1] = np.nan
    values[100, 2], values[49_000, 2] = np.inf, -np.inf
    high, low, total = f(values)
    np.testing.assert_array_equal(high, [0, np.nan, np.inf])
    np.testing.assert_array_equal(low, [0, np.nan, -np.inf])
    np.testing.assert_array_equal(total, [0, np.nan, np.nan])
