"""Calls from several threads, memory that must not be shared, and calls that fail half way."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import jitgraph as jg
import jitgraph.tensor as T
from jitgraph import In, Out, function, shared
from jitgraph.runtime import buffers
from jitgraph.runtime.program import Workspace

THREADS, CALLS = 16, 2000


def run_threads(work):
    """Run work(k) in all threads at once; the first error of any is raised."""
    errors = []
    start = threading.Barrier(THREADS)

    def body(k):
        try:
            start.wait()
            work(k)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(k,)) for k in range(THREADS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


# -- threads -----------------------------------------------------------------------------------


def test_the_tester_finds_a_lost_update():
    """The harness must be able to fail: an update without a lock loses counts."""
    state = {"n": 0}

    def work(k):
        for _ in range(200):
            before = state["n"]
            time.sleep(0)
            state["n"] = before + 1

    run_threads(work)
    assert state["n"] < THREADS * 200


def test_one_function_called_from_many_threads():
    x, y = T.dvectors("x", "y")
    f = function([x, y], [T.exp(x) * y, (x * y).sum(), x[::-1] + y])
    inputs = [(np.full(3 + k, k / 7.0), np.arange(3.0 + k)) for k in range(THREADS)]
    expected = [f(*pair) for pair in inputs]

    def work(k):
        a, b = inputs[k]
        kept = []
        for n in range(CALLS):
            got = f(a, b)
            for one, wanted in zip(got, expected[k], strict=True):
                assert one.shape == wanted.shape
                assert np.array_equal(one, wanted)
            if n % 500 == 0:
                kept.append(got)
        for got in kept:  # later calls have not written into earlier results
            assert np.array_equal(got[0], expected[k][0])

    run_threads(work)


def test_shapes_that_another_thread_has_meanwhile(monkeypatch):
    """A call with other shapes comes between the plan of a call and its results."""
    x = T.dvector("x")
    f = function([x], T.exp(x))
    reserve = Workspace.reserve

    def interrupted(work, size):
        monkeypatch.setattr(Workspace, "reserve", reserve)
        f(np.ones(3))
        reserve(work, size)

    for arguments in ({"out": np.empty(5)}, {}):
        monkeypatch.setattr(Workspace, "reserve", interrupted)
        assert f(np.ones(5), **arguments).shape == (5,)


def test_a_function_with_numpy_steps_called_from_many_threads():
    x, k = T.dvector("x"), T.lvector("k")
    f = function([x, k], T.sort(x)[k] * 2 + T.cumsum(x)[-1])

    def work(n):
        a = np.arange(4.0)[::-1] + n
        for _ in range(CALLS // 4):
            assert f(a, [n % 4]) == 2 * (n % 4 + n) + a.sum()

    run_threads(work)


def test_updates_of_many_threads_are_all_counted():
    count, double = shared(0), shared(0.0)
    f = function([], count, updates=[(count, count + 1), (double, double + 2.0)])
    g = function([], [count, double], updates=[(double, double - 1.0), (count, count + 3)])
    seen = [[] for _ in range(THREADS)]

    def work(k):
        call = f if k % 2 else lambda: g()[0]
        for _ in range(CALLS):
            seen[k].append(int(call()))

    run_threads(work)
    half = THREADS // 2 * CALLS
    assert count.get_value() == half + 3 * half
    assert double.get_value() == 2 * half - half
    # every call saw another old value: none was computed from a stale one
    everything = [v for values in seen for v in values]
    assert len(set(everything)) == len(everything) == THREADS * CALLS


def test_draws_of_many_threads_are_one_sequence():
    from jitgraph.tensor.shared_randomstreams import RandomStreams

    u = RandomStreams(seed=11).uniform((4,))
    expected = u.rng.get_value()
    f = function([], u)
    drawn = [[] for _ in range(THREADS)]

    def work(k):
        for _ in range(50):
            drawn[k].append(tuple(f()))

    run_threads(work)
    wanted = {tuple(expected.uniform(size=4)) for _ in range(THREADS * 50)}
    assert {d for values in drawn for d in values} == wanted


def test_compiling_in_many_threads():
    x = T.dscalar("x")

    def work(k):
        f = function([x], x * 3 + k % 4)
        assert f(2.0) == 6 + k % 4

    run_threads(work)


# -- memory ------------------------------------------------------------------------------------

GRAPHS = {
    "the input itself": lambda x, s, c: x,
    "a view": lambda x, s, c: x[1:],
    "a reversed view": lambda x, s, c: x[::-1],
    "a transpose": lambda x, s, c: x.dimshuffle("x", 0).T,
    "a reshape": lambda x, s, c: x.reshape((1, -1)),
    "a copy": lambda x, s, c: x.copy(),
    "shared": lambda x, s, c: s,
    "a view of shared": lambda x, s, c: s[:2],
    "a constant": lambda x, s, c: c,
    "a view of a constant": lambda x, s, c: c[1:],
    "a large constant": lambda x, s, c: T.constant(np.arange(100.0)),
    "a sum": lambda x, s, c: x + 1,
    "an identity": lambda x, s, c: x * 1,
    "a cast to itself": lambda x, s, c: T.cast(x, "float64"),
    "a gather": lambda x, s, c: x[[0, 1]],
    "a sort": lambda x, s, c: T.sort(x),
    "a split": lambda x, s, c: T.split(x, [1, 3], 2)[1],
    "one part joined": lambda x, s, c: T.concatenate([x]),
    "a write": lambda x, s, c: T.set_subtensor(x[0], 7.0),
    "a tile": lambda x, s, c: T.tile(x, 1),
    "an assertion": lambda x, s, c: T.opt.Assert()(x, T.constant(1)),
    "a specified shape": lambda x, s, c: T.specify_shape(x, [4]),
    "a pattern": lambda x, s, c: T.patternbroadcast(x, [False]),
}
ARRAYS = {
    "contiguous": lambda: np.arange(4.0),
    "strided": lambda: np.arange(8.0)[::2],
    "reversed": lambda: np.arange(4.0)[::-1],
    "read only": lambda: np.frombuffer(np.arange(4.0).tobytes()),
}


def no_memory_in_common(arrays):
    for k, a in enumerate(arrays):
        for b in arrays[k + 1 :]:
            assert not np.shares_memory(a, b)


@pytest.mark.parametrize("mode", [None, "reference"])
def test_results_share_memory_with_nothing(mode):
    x, s, c = T.dvector("x"), shared(np.arange(3.0)), T.constant(np.arange(3.0))
    outs = [build(x, s, c) for build in GRAPHS.values()]
    f = function([x], outs + outs, mode=mode)
    for make in ARRAYS.values():
        a = make()
        before = a.copy()
        first, second = f(a), f(a)
        no_memory_in_common([a, s.get_value(borrow=True), c.data, *first, *second])
        for value, again in zip(first, second, strict=True):
            np.testing.assert_array_equal(value, again)
            if value.size:
                value.flat[0] = 99.0  # results can be written to, and nobody else notices
        np.testing.assert_array_equal(a, before)
        for value, again in zip(second, f(a), strict=True):
            np.testing.assert_array_equal(value, again)
    assert s.get_value().tolist() == c.data.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", ["the input itself", "a view", "a sort", "a sum", "an assertion"])
def test_stored_values_share_memory_with_nothing(name):
    x, c = T.dvector("x"), T.constant(np.arange(3.0))
    a, b = shared(np.arange(4.0)), shared(np.arange(4.0))
    new = GRAPHS[name](x, a, c)
    f = function([x], [new, a], updates=[(a, new), (b, new)])
    given_array = np.arange(5.0, 9.0)
    out = f(given_array)
    no_memory_in_common([given_array, a.get_value(borrow=True), b.get_value(borrow=True), *out])
    given_array[:] = -1
    out[0][...] = -2
    assert (a.get_value() >= 0).all() and (b.get_value() >= 0).all()


def test_shared_values_exchanged_by_updates():
    a, b = shared(np.zeros(3)), shared(np.ones(3))
    f = function([], [a, b], updates=[(a, b), (b, a)])
    for _ in range(3):
        out = f()
        no_memory_in_common([a.get_value(borrow=True), b.get_value(borrow=True), *out])
    assert a.get_value().tolist() == [1] * 3 and b.get_value().tolist() == [0] * 3


def test_declarations_that_allow_sharing_change_nothing():
    x, s = T.dvector("x"), shared(np.ones(2))
    f = function([In(x, mutable=True)], [Out(x, borrow=True), Out(s, borrow=True), x * 2])
    a = np.array([1.0, 2.0])
    out = f(a)
    no_memory_in_common([a, s.get_value(borrow=True), *out])
    assert a.tolist() == [1, 2]


def test_a_result_survives_later_calls():
    x = T.dvector("x")
    f = function([x], T.exp(x))
    kept = [f(np.full(5, k / 10)) for k in range(50)]
    for k, value in enumerate(kept):
        np.testing.assert_allclose(value, np.exp(np.full(5, k / 10)), rtol=1e-15)
    no_memory_in_common(kept)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_overlapping_arguments(data):
    """Any two views of one buffer as arguments: results as NumPy's, the buffer unchanged."""
    f = overlapping_function()
    buffer = np.arange(24.0)
    views = []
    for _ in range(2):
        start = data.draw(st.integers(0, 11))
        step = data.draw(st.sampled_from([-2, -1, 0, 1, 2]))
        if step == 0:
            view = np.lib.stride_tricks.as_strided(buffer[start:], (6,), (0,))
        elif step > 0:
            view = buffer[start : start + 6 * step : step]
        else:
            view = buffer[start : start + 6 * -step : -step][::-1]
        views.append(view)
    a, b = views
    before = buffer.copy()
    wanted = [a + b, a[::-1] * b, (a - b).sum(), np.concatenate([b, a])]
    got = f(a, b)
    np.testing.assert_array_equal(buffer, before)
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert s_of_overlap.get_value().tolist() == wanted[0].tolist()
    assert not np.shares_memory(s_of_overlap.get_value(borrow=True), buffer)


s_of_overlap = shared(np.zeros(6))
_overlapping = []


def overlapping_function():
    if not _overlapping:
        x, y = T.dvectors("x", "y")
        outs = [x + y, x[::-1] * y, (x - y).sum(), T.concatenate([y, x])]
        _overlapping.append(function([x, y], outs, updates=[(s_of_overlap, x + y)]))
    return _overlapping[0]


# -- calls that fail ---------------------------------------------------------------------------


class Failure(Exception):
    pass


def failing_function(check):
    """A function with several updates and a random state that fails in `check` of its input."""
    from jitgraph.tensor.shared_randomstreams import RandomStreams

    x = T.dvector("x")
    a, b = shared(np.zeros(2), name="a"), shared(0, name="b")
    u = RandomStreams(seed=4).uniform((2,))
    late = check(a + u + x)
    f = function([x], [late, u], updates=[(a, late), (b, b + 1)])
    return f, a, b, u


CHECKS = {
    "an assertion": (
        lambda v: T.opt.Assert("too large")(v, (v < 50).all()),
        AssertionError,
        [99.0, 0.0],
    ),
    "an index": (
        lambda v: v[T.cast(v, "int64") % 2 + T.cast(v > 50, "int64") * 9],
        IndexError,
        [99.0, 0.0],
    ),
    "a length": (lambda v: v * np.ones(2), ValueError, [1.0, 2.0, 3.0]),
    "a size": (lambda v: v.reshape((2, -1)).flatten(), ValueError, [1.0]),
}


@pytest.mark.parametrize("mode", [None, "reference"])
@pytest.mark.parametrize("kind", CHECKS)
def test_a_call_that_fails_changes_nothing(kind, mode):
    check, error, bad = CHECKS[kind]
    with jg.config.change_flags(mode=mode) if mode else jg.config.change_flags():
        f, a, b, u = failing_function(check)
    good = [1.0, 2.0]
    f(good)
    state = u.rng.get_value().get_state()
    value = a.get_value()
    for _ in range(3):
        with pytest.raises(error):
            f(bad)
        assert b.get_value() == 1
        np.testing.assert_array_equal(a.get_value(), value)
        after = u.rng.get_value().get_state()
        assert after[2:] == state[2:] and np.array_equal(after[1], state[1])
    _, drawn = f(good)
    expected = np.random.RandomState()
    expected.set_state(state)
    np.testing.assert_array_equal(drawn, expected.uniform(size=2))
    assert b.get_value() == 2


def test_an_exception_in_a_step_changes_nothing(monkeypatch):
    """Any exception of Python code, also one the library does not know."""
    from jitgraph.ops.sorting import Sort

    x = T.dvector("x")
    a, b = shared(0.0), shared(0)
    step = T.dscalar("step")
    step = In(step, value=1.0, update=step * 2)
    f = function([x, step], T.sort(x), updates=[(a, T.sort(x)[0]), (b, b + 1)])
    f([3.0, 1.0])
    plain = Sort.evaluate
    for error in (Failure("no"), KeyboardInterrupt(), MemoryError("no")):

        def fail(self, *arrays, error=error):
            raise error

        monkeypatch.setattr(Sort, "evaluate", fail)
        with pytest.raises(type(error)):
            broken = function([x, step], T.sort(x), updates=[(a, T.sort(x)[0]), (b, b + 1)])
            broken([5.0, 4.0])
        monkeypatch.setattr(Sort, "evaluate", plain)
        assert (a.get_value(), b.get_value(), f[step.variable]) == (1, 1, 2)
    assert f([5.0, 4.0]).tolist() == [4, 5]
    assert (a.get_value(), b.get_value(), f[step.variable]) == (4, 2, 4)


def test_locks_are_released_after_a_failure():
    s, x = shared(np.zeros(2)), T.dvector("x")
    f = function([x], updates=[(s, s + x)])
    with pytest.raises(ValueError):
        f([1.0, 2.0, 3.0])
    done = []
    thread = threading.Thread(target=lambda: done.append(f([1.0, 1.0])))
    thread.start()
    thread.join(timeout=20)
    assert done == [[]]
    assert s.get_value().tolist() == [1, 1]


def no_room_above(limit, monkeypatch):
    def fresh(size, plain=buffers._fresh):
        if size > limit:
            raise MemoryError
        return plain(size)

    monkeypatch.setattr(buffers, "_fresh", fresh)
    buffers.free_memory()


def test_no_room_for_a_result_names_it_and_loses_nothing(monkeypatch):
    x = T.dmatrix("x")
    out = T.exp(x)
    out.name = "big"
    w = shared(np.zeros((2, 3)), name="w")
    f = function([x], [x.sum(), out], updates=[(w, w + 1)])
    g = function([x], [], updates=[(w, x * 2)])
    h = function([x], T.sort(T.exp(x)) * 2)
    few, many = np.ones((2, 3)), np.ones((400, 500))
    for each in (f, g, h):
        each(few)
    before = w.get_value()
    no_room_above(1 << 20, monkeypatch)
    for each, name in (
        (f, "the result big"),
        (g, "the new value of w"),
        (h, "an intermediate result"),
    ):
        text = f"no room for {name}, shape (400, 500), dtype float64: 1,600,000 bytes"
        with pytest.raises(MemoryError) as caught:
            each(many)
        assert str(caught.value) == text
        assert type(caught.value) is MemoryError
        assert np.array_equal(w.get_value(), before)
    assert np.array_equal(f(few)[1], np.exp(few))
