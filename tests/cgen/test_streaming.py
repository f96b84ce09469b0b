"""Results stored past the caches: the same bits, wherever they lie and however long they are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from values import same_bits

import jitgraph
import jitgraph.tensor as T
from jitgraph.config import change_flags
from jitgraph.runtime.loader import host

x, y, m = T.dvector("x"), T.dvector("y"), T.dmatrix("m")
NEVER = 2**62


@pytest.fixture(params=[1, 2])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """The number of threads, for loops of any length."""
    with change_flags(num_threads=request.param, parallel_threshold=0):
        yield request.param


def both(f: Any, *values: Any) -> Any:
    """The result of `f`, which must not depend on how it is stored."""
    with change_flags(streaming_threshold=NEVER):
        wanted = f(*values)
    with change_flags(streaming_threshold=0):
        found = f(*values)
    for a, b in zip(np.atleast_1d(found), np.atleast_1d(wanted), strict=True):
        assert same_bits(np.asarray(a), np.asarray(b))
    return found


@pytest.mark.parametrize("n", [0, 1, 7, 511, 512, 513, 1024, 1031, 5000, 40_961])
def test_any_length(n: int, threads: int) -> None:
    f = jitgraph.function([x], T.clip(x * 0.2 + 0.5, 0, 1))
    assert "jg_stream(" in f.c_source
    values = np.linspace(-6, 6, n)
    assert same_bits(both(f, values), np.clip(values * 0.2 + 0.5, 0, 1))


@pytest.mark.parametrize("dtype", ["float32", "int8", "uint16", "int64", "bool"])
def test_any_dtype(dtype: str, threads: int) -> None:
    v = T.vector(dtype=dtype)
    f = jitgraph.function([v], T.eq(v, 1) if dtype == "bool" else v + v)
    assert "jg_stream(" in f.c_source
    values = np.arange(3001).astype(dtype)
    assert same_bits(both(f, values), values if dtype == "bool" else values + values)


def test_several_results_of_different_size(threads: int) -> None:
    f = jitgraph.function([x, y], [x * y, T.cast(x + y, "float32"), x > y])
    a, b = np.random.default_rng(1).normal(size=(2, 2777))
    with change_flags(streaming_threshold=0):
        product, total, larger = f(a, b)
    assert same_bits(product, a * b)
    assert same_bits(total, (a + b).astype("float32"))
    assert same_bits(larger, a > b)


def test_all_axes_of_a_matrix(threads: int) -> None:
    f = jitgraph.function([m], abs(m) - 1)
    values = np.random.default_rng(2).normal(size=(37, 53))
    assert same_bits(both(f, values), abs(values) - 1)


@pytest.mark.parametrize("offset", range(0, 9))
def test_into_an_array_at_any_address(offset: int, threads: int) -> None:
    """The array need not begin with a line of the cache; nothing beside it is hit."""
    f = jitgraph.function([x], x * 3)
    room = np.full(3000, 7.0)
    values = np.arange(2500.0)
    with change_flags(streaming_threshold=0):
        f(values, out=room[offset : offset + 2500])
    assert same_bits(room[offset : offset + 2500], values * 3)
    assert (room[:offset] == 7).all() and (room[offset + 2500 :] == 7).all()


def test_what_is_read_again_stays_in_the_caches() -> None:
    total = jitgraph.function([x], [T.exp(x), T.exp(x).sum()])
    product = jitgraph.function([m], [m * 2, T.dot(m * 2, m.T)])
    for f in (total, product):
        assert "jg_stream(" not in f.c_source


def test_one_thread_with_vector_functions_is_not_slowed_down() -> None:
    assert "jg_pool_threads(host->pool) > 1" in jitgraph.function([x], T.exp(x)).c_source
    assert "jg_pool_threads(" not in jitgraph.function([x], abs(x)).c_source


def test_the_option_reaches_compiled_functions() -> None:
    before = host().stream_min
    with change_flags(streaming_threshold=12345):
        assert host().stream_min == 12345
    assert host().stream_min == before == 2**26
    with pytest.raises(ValueError, match="streaming_threshold"):
        jitgraph.config.streaming_threshold = -1


def test_another_thread_sees_the_results() -> None:
    """The stores are ordered before what the caller does next."""
    f = jitgraph.function([x], x + 1)
    seen: list[bool] = []
    with change_flags(streaming_threshold=0, parallel_threshold=0):
        for k in range(50):
            result = f(np.full(4096, float(k)))
            reader = threading.Thread(target=lambda r=result, k=k: seen.append((r == k + 1).all()))
            reader.start()
            reader.join()
    assert len(seen) == 50 and all(seen)
