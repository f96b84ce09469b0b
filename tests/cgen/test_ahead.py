"""The maximum of a row found while the row before is computed: where, and the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from values import same_bits

import jitgraph
import jitgraph.tensor as T
from jitgraph.config import change_flags

SHAPES = [(0, 5), (1, 5), (2, 1), (3, 512), (7, 513), (301, 100), (5, 3000)]


def given_maxima(values: np.ndarray) -> np.ndarray:
    """Softmax of rows with their maxima as an argument: there is no pass to be made ahead."""
    m, largest = T.matrix("m", dtype=values.dtype), T.vector("largest", dtype=values.dtype)
    e = T.exp(m - largest.dimshuffle(0, "x"))
    f = jitgraph.function([m, largest], [e, e.sum(axis=1)])
    assert "max1" not in f.c_source
    powers, total = f(values, values.max(axis=1))
    return powers / total[:, np.newaxis]


def ahead(dtype: str) -> Any:
    m = T.matrix("m", dtype=dtype)
    f = jitgraph.function([m], T.nnet.softmax(m))
    assert "max1_next" in f.c_source
    return f


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_same_bits(shape: tuple[int, int], dtype: str, threads: int) -> None:
    values = np.random.default_rng(3).normal(scale=9, size=shape).astype(dtype)
    with change_flags(num_threads=threads, parallel_threshold=0):
        assert same_bits(ahead(dtype)(values), given_maxima(values))
        elsewhere = np.asfortranarray(values)[:, ::-1]
        assert same_bits(ahead(dtype)(elsewhere), given_maxima(elsewhere))


def test_the_result_in_the_place_of_the_argument() -> None:
    """Row i is overwritten before row i + 1 is read the second time."""
    values = np.random.default_rng(4).normal(size=(40, 700))
    f, x = ahead("float64"), values.copy()
    wanted = f(values)
    f(x, out=x)
    assert same_bits(x, wanted)


def test_nan_and_infinities_stay_in_their_rows() -> None:
    values = np.zeros((5, 600))
    values[1, 599], values[3, 0] = np.nan, np.inf
    found = ahead("float64")(values)
    assert np.isnan(found).any(axis=1).tolist() == [False, True, False, True, False]
    assert (found[[0, 2, 4]] == 1 / 600).all()


@pytest.mark.parametrize(
    "program",
    [
        lambda m: m.max(axis=1),
        lambda m: m / m.max(axis=1, keepdims=True),  # nothing long to do meanwhile
        lambda m: T.argmax(m, axis=1),
        lambda m: T.exp(m - m.mean(axis=1, keepdims=True)).sum(axis=1),
    ],
)
def test_other_rows_are_computed_one_by_one(program: Any) -> None:
    m = T.dmatrix("m")
    assert "max1_next" not in jitgraph.function([m], program(m)).c_source


@pytest.mark.parametrize("n", [1, 15, 16, 17, 513, 2000])
def test_float32_is_summed_in_float64_where_it_lies(n: int) -> None:
    m = T.fmatrix("m")
    f = jitgraph.function([m], [T.exp(m), T.exp(m).sum(axis=1)])
    assert "jg_block_wide_sum_f64(z0" in f.c_source
    values = np.random.default_rng(n).normal(size=(20, n)).astype("float32")
    e, total = f(values)
    assert same_bits(total, e.astype("float64").sum(axis=1).astype("float32"))
