"""Rows in stages: the next one's maximum and the last pass of the one before, made beside a row."""

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


# -- the last pass, behind and past the caches -----------------------------------------------------


def programs(m: Any, labels: Any) -> dict[str, Any]:
    softmax, log = T.nnet.softmax(m), T.nnet.logsoftmax(m)
    loss = T.nnet.categorical_crossentropy(softmax, labels).sum()
    return {
        "softmax": [softmax],
        "logsoftmax": [log],
        "both": [softmax, log],
        "gradient": [jitgraph.grad(loss, m)],
        "second pass": [jitgraph.grad((softmax * T.sqr(m)).sum(), m, consider_constant=[m])],
        "scaled": [softmax * T.cast(labels.dimshuffle(0, "x") + 1, m.dtype)],
    }


NAMES = list(programs(T.matrix(), T.lvector()))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_the_last_pass_behind_has_the_same_bits(name: str, dtype: str, threads: int) -> None:
    m, labels = T.matrix("m", dtype=dtype), T.lvector("labels")
    f = jitgraph.function([m, labels], programs(m, labels)[name], on_unused_input="ignore")
    assert "_before" in f.c_source
    random = np.random.default_rng(5)
    for shape in [
        (0, 300),
        (1, 300),
        (2, 256),
        (3, 257),
        (5, 512),
        (9, 513),
        (41, 1030),
        (6, 9001),
    ]:
        values = random.normal(scale=9, size=shape).astype(dtype)
        given = values, random.integers(shape[1], size=shape[0])
        with change_flags(num_threads=threads, parallel_threshold=0):
            wanted = f(*given)
            with change_flags(streaming_threshold=0):
                found = f(*given)
                turned = f(np.asfortranarray(values)[::-1], given[1][::-1])
        for a, b, c in zip(found, wanted, turned, strict=True):
            assert same_bits(a, b), shape
            assert same_bits(c[::-1], b), shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("offset", range(0, 16, 3))
def test_lines_of_the_result_begin_anywhere(dtype: str, offset: int) -> None:
    """Nothing beside the result is written, wherever in a line it begins."""
    f, values = ahead(dtype), np.random.default_rng(6).normal(size=(7, 1001)).astype(dtype)
    memory = np.full(values.size + 64, 77, dtype)
    place = memory[offset : offset + values.size].reshape(values.shape)
    wanted = f(values)
    with change_flags(streaming_threshold=0):
        f(values, out=place)
    assert same_bits(place.copy(), wanted)
    assert (memory[:offset] == 77).all() and (memory[offset + values.size :] == 77).all()


def test_short_rows_stay_as_they_are() -> None:
    """Where the memory does not wait: the condition is in the code, and both ways are the same."""
    f, values = ahead("float64"), np.random.default_rng(7).normal(size=(50, 255))
    assert ">= 256" in f.c_source
    wanted = f(values)
    with change_flags(streaming_threshold=0):
        assert same_bits(f(values), wanted)


def test_a_result_that_is_read_again_stays_in_the_caches() -> None:
    m, w = T.dmatrix("m"), T.dmatrix("w")
    f = jitgraph.function([m, w], [T.nnet.softmax(m), T.nnet.softmax(m).dot(w)])
    assert "max1_next" in f.c_source and "_before" not in f.c_source
