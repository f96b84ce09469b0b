"""Memory of large results: taken over by the next one, never while anything still sees it."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.config import config
from jitgraph.runtime import buffers

FLOAT = np.dtype("float64")
BIG = buffers.SMALLEST // 8 + 1000


@pytest.fixture(autouse=True)
def empty_pool():
    buffers.free_memory()
    yield
    buffers.free_memory()


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_a_dead_result_is_taken_over():
    first = buffers.allocate((BIG,), FLOAT)
    where = address(first)
    del first
    assert buffers.pooled_bytes() == BIG * 8
    assert address(buffers.allocate((BIG,), FLOAT)) == where


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[10:],
        lambda a: a.reshape(-1, 2).T,
        lambda a: a.view(np.int64),
        lambda a: memoryview(a),
        lambda a: np.lib.stride_tricks.as_strided(a, (3,), (8,)),
        lambda a: iter(a),
    ],
    ids=["slice", "transpose", "dtype", "memoryview", "strided", "iterator"],
)
def test_a_block_waits_for_the_last_view(view):
    array = buffers.allocate((BIG + BIG % 2,), FLOAT)
    where = address(array)
    kept = view(array)
    del array
    gc.collect()
    assert buffers.pooled_bytes() == 0
    other = buffers.allocate((BIG,), FLOAT)
    assert address(other) != where
    del kept, other
    gc.collect()
    assert buffers.pooled_bytes() > 0


def test_small_results_are_plain_arrays():
    array = buffers.allocate((10, 3), FLOAT)
    assert array.base is None and array.flags.owndata


def test_results_look_like_any_array():
    array = buffers.allocate((4, BIG), FLOAT)
    assert type(array) is np.ndarray
    assert array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
    array[...] = 1.5
    assert array.sum() == 4 * BIG * 1.5


def test_a_much_larger_block_is_not_wasted_on_a_small_result():
    big = buffers.allocate((10 * BIG,), FLOAT)
    where = address(big)
    del big
    assert address(buffers.allocate((BIG,), FLOAT)) != where
    assert buffers.pooled_bytes() == 88 * BIG  # the large block, and the one just dropped


def test_the_limit_holds_and_the_switch_turns_it_off():
    with config.change_flags(memory_pool=3 * 8 * BIG):
        arrays = [buffers.allocate((BIG,), FLOAT) for _ in range(5)]
        del arrays
        assert buffers.pooled_bytes() <= 3 * 8 * BIG
    buffers.free_memory()
    with config.change_flags(memory_pool=0):
        array = buffers.allocate((BIG,), FLOAT)
        assert array.base is None
        del array
        assert buffers.pooled_bytes() == 0


def test_free_memory_gives_everything_back():
    array = buffers.allocate((BIG,), FLOAT)
    del array
    assert buffers.free_memory() == 8 * BIG
    assert buffers.pooled_bytes() == 0


def test_a_copied_argument_takes_one_block_for_the_result():
    x = T.dvector("x")
    f = jitgraph.function([x], T.exp(x))
    f(np.ones(BIG))
    for _ in range(3):
        f(np.ones(2 * BIG)[::2])
    assert buffers.pooled_bytes() == BIG * 8


def test_room_for_a_result_is_not_taken_by_a_guess(monkeypatch):
    """Where results of the last shape and of this one do not fit together, this one still does."""
    x = T.dvector("x")
    f = jitgraph.function([x], T.exp(x))
    f(np.ones(BIG))
    alive = []  # of blocks that are in use or idle

    def fresh(size, plain=buffers._fresh):
        if sum(len(b()) for b in alive if b() is not None) + size > 3 * BIG * 8:
            raise MemoryError
        block = plain(size)
        alive.append(weakref.ref(block))
        return block

    buffers.free_memory()
    monkeypatch.setattr(buffers, "_fresh", fresh)
    f(np.ones(BIG))
    f(np.ones(5 * BIG // 2))


def test_threads_never_share_a_block():
    def work(number: int) -> None:
        for _ in range(200):
            array = buffers.allocate((BIG,), FLOAT)
            array[:] = number
            if not (array == number).all():
                failures.append(number)

    failures: list[int] = []
    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failures == []
