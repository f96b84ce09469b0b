"""The thread pool in C: the split, who runs what, and survival of fork."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from cbuild import build
from hypothesis import given, settings
from hypothesis import strategies as st

from jitgraph.runtime.toolchain import csrc_directory

CDEF = """
intptr_t jg_pool_new(int64_t threads);
void jg_pool_resize(intptr_t pool, int64_t threads);
void record(intptr_t pool, int64_t n, int64_t align, int64_t min_n, int64_t *begins,
            int64_t *threads, int64_t *visits);
int64_t meet(intptr_t pool, int64_t n, double seconds);
int64_t dawdle(intptr_t pool, int64_t n, double seconds);
void hold(intptr_t pool, int64_t n, int *started, int *release);
void nested(intptr_t pool, int64_t n, int64_t *inner_begins);
void block_sums(intptr_t pool, int64_t n, int64_t align, const double *x, double *sums);
void signals(intptr_t pool, int64_t n, int64_t *blocked);
"""

SOURCE = r"""
#include "jg_pool.h"
#include <signal.h>
#include <time.h>
#define EXPORT __attribute__((visibility("default")))

/* record: for every index, where its range began, on which thread, and how often it was visited */
typedef struct { int64_t *begins, *threads, *visits; } record_arg;
static _Thread_local char here;

static void record_body(void *arg, int64_t begin, int64_t end)
{
    record_arg *a = arg;
    for (int64_t i = begin; i < end; i++) {
        a->begins[i] = begin;
        a->threads[i] = (intptr_t)&here;
        a->visits[i]++;
    }
}

EXPORT void record(intptr_t pool, int64_t n, int64_t align, int64_t min_n, int64_t *begins,
                   int64_t *threads, int64_t *visits)
{
    record_arg a = {begins, threads, visits};
    jg_parallel_for(pool, n, align, min_n, record_body, &a);
}

/* meet: every range waits for all n others; returns how many had come when the time was over */
typedef struct { int64_t here, n; double seconds; } meet_arg;

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void meet_body(void *arg, int64_t begin, int64_t end)
{
    meet_arg *a = arg;
    const double limit = seconds_now() + a->seconds;
    const struct timespec nap = {0, 100000};
    __atomic_add_fetch(&a->here, begin < end, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&a->here, __ATOMIC_SEQ_CST) < a->n && seconds_now() < limit)
        nanosleep(&nap, 0);
}

EXPORT int64_t meet(intptr_t pool, int64_t n, double seconds)
{
    meet_arg a = {0, n, seconds};
    jg_parallel_for(pool, n, 1, 1, meet_body, &a);
    return a.here;
}

/* dawdle: the range that index 0 is in waits until all other indices are done; how many were */
static void dawdle_body(void *arg, int64_t begin, int64_t end)
{
    meet_arg *a = arg;
    const double limit = seconds_now() + a->seconds;
    const struct timespec nap = {0, 100000};
    __atomic_add_fetch(&a->here, end - begin, __ATOMIC_SEQ_CST);
    while (begin == 0 && __atomic_load_n(&a->here, __ATOMIC_SEQ_CST) < a->n &&
           seconds_now() < limit)
        nanosleep(&nap, 0);
    if (begin == 0)
        a->n = a->here;
}

EXPORT int64_t dawdle(intptr_t pool, int64_t n, double seconds)
{
    meet_arg a = {0, n, seconds};
    jg_parallel_for(pool, n, 1, 1, dawdle_body, &a);
    return a.n;
}

/* hold: stay inside the loop until released */
typedef struct { int *started, *release; } hold_arg;

static void hold_body(void *arg, int64_t begin, int64_t end)
{
    hold_arg *a = arg;
    const struct timespec nap = {0, 100000};
    __atomic_store_n(a->started, begin <= end, __ATOMIC_SEQ_CST);
    while (!__atomic_load_n(a->release, __ATOMIC_SEQ_CST))
        nanosleep(&nap, 0);
}

EXPORT void hold(intptr_t pool, int64_t n, int *started, int *release)
{
    hold_arg a = {started, release};
    jg_parallel_for(pool, n, 1, 1, hold_body, &a);
}

/* nested: a parallel loop of 10 inside every iteration of another */
typedef struct { intptr_t pool; int64_t *begins; } nested_arg;

static void inner_body(void *arg, int64_t begin, int64_t end)
{
    for (int64_t i = begin; i < end; i++)
        ((int64_t *)arg)[i] = begin;
}

static void nested_body(void *arg, int64_t begin, int64_t end)
{
    nested_arg *a = arg;
    for (int64_t i = begin; i < end; i++)
        jg_parallel_for(a->pool, 10, 1, 1, inner_body, a->begins + 10 * i);
}

EXPORT void nested(intptr_t pool, int64_t n, int64_t *inner_begins)
{
    nested_arg a = {pool, inner_begins};
    jg_parallel_for(pool, n, 1, 1, nested_body, &a);
}

/* block_sums: one sum per block of align elements */
typedef struct { const double *x; double *sums; int64_t align; } sums_arg;

static void sums_body(void *arg, int64_t begin, int64_t end)
{
    sums_arg *a = arg;
    for (int64_t i = begin; i < end; i++)
        a->sums[i / a->align] += a->x[i];
}

EXPORT void block_sums(intptr_t pool, int64_t n, int64_t align, const double *x, double *sums)
{
    sums_arg a = {x, sums, align};
    jg_parallel_for(pool, n, align, 1, sums_body, &a);
}

/* signals: whether the thread of index i blocks SIGINT (1) and SIGSEGV (2); each waits for all */
typedef struct { meet_arg meet; int64_t *blocked; } signals_arg;

static void signals_body(void *arg, int64_t begin, int64_t end)
{
    signals_arg *a = arg;
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, 0, &mask);
    for (int64_t i = begin; i < end; i++)
        a->blocked[i] = sigismember(&mask, SIGINT) + 2 * sigismember(&mask, SIGSEGV);
    meet_body(&a->meet, begin, end);
}

EXPORT void signals(intptr_t pool, int64_t n, int64_t *blocked)
{
    signals_arg a = {{0, n, 30.0}, blocked};
    jg_parallel_for(pool, n, 1, 1, signals_body, &a);
}
"""

CREATOR = "#define JG_POOL_IMPLEMENTATION\n" + SOURCE
# signals_body needs a declaration that only the implementation's headers bring along
OTHER = SOURCE.replace("#include <time.h>", "#include <pthread.h>\n#include <time.h>")
OTHER_CDEF = "\n".join(line for line in CDEF.splitlines() if "jg_pool" not in line)


class Ranges(NamedTuple):
    """What one loop did: (begin, end, thread) of each range in order, and visits per index."""

    ranges: list[tuple[int, int, int]]
    visits: np.ndarray


class Pool:
    """A pool, and the library whose loops run on it."""

    def __init__(self, ffi: Any, lib: Any, address: int) -> None:
        self.ffi, self.lib, self.address = ffi, lib, address

    def record(self, n: int, align: int = 1, min_n: int = 1, pool: int | None = None) -> Ranges:
        arrays = [np.full(n, -1, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)]
        self.lib.record(
            self.address if pool is None else pool,
            *(n, align, min_n),
            *(self.ffi.cast("int64_t *", a.ctypes.data) for a in arrays),
        )
        begins, threads, visits = arrays
        starts = np.flatnonzero(np.diff(begins, prepend=-1))
        ends = [*starts[1:].tolist(), n][: starts.size]
        ranges = [(int(begins[s]), e, int(threads[s])) for s, e in zip(starts, ends, strict=True)]
        return Ranges(ranges, visits)

    def array(self, a: np.ndarray) -> Any:
        return self.ffi.cast(("double" if a.dtype == float else "int64_t") + " *", a.ctypes.data)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pool, Pool]:
    directory = tmp_path_factory.mktemp("pool")
    ffi, creator = build(CREATOR, CDEF, directory, name="creator")
    other_ffi, other = build(OTHER, OTHER_CDEF, directory, name="other")
    address = creator.jg_pool_new(1)
    assert address != 0
    return Pool(ffi, creator, address), Pool(other_ffi, other, address)


@pytest.fixture
def pool(libraries: tuple[Pool, Pool]) -> Pool:
    libraries[0].lib.jg_pool_resize(libraries[0].address, 4)
    return libraries[0]


def check_split(done: Ranges, n: int, align: int, threads: int, min_n: int = 1) -> None:
    """The contract of the split: cover, boundaries, number, least length, balance."""
    assert (done.visits == 1).all()
    spans = min(threads, -(-n // align))
    ranges = len(done.ranges)
    assert ranges % spans == 0
    assert ranges <= (64 * spans if spans > 1 else 1)
    lengths = [end - begin for begin, end, _ in done.ranges[:-1]]
    assert ranges == spans or min(lengths) > min_n - align
    assert ranges == 64 * spans or spans == 1 or n < 2 * ranges * max(min_n, align)
    assert done.ranges[0][0] == 0
    assert [begin for begin, _, _ in done.ranges[1:]] == [end for _, end, _ in done.ranges[:-1]]
    assert all(begin % align == 0 for begin, _, _ in done.ranges)
    sizes = [-(-(end - begin) // align) for begin, end, _ in done.ranges]
    assert max(sizes) - min(sizes) <= 1
    assert len({thread for _, _, thread in done.ranges}) <= threads


def threads_alive() -> int:
    return len(os.listdir("/proc/self/task"))


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


# --- the split -----------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    n=st.integers(1, 2000),
    align=st.integers(1, 300),
    threads=st.integers(1, 9),
    min_n=st.integers(0, 300),
)
def test_split(libraries: tuple[Pool, Pool], n: int, align: int, threads: int, min_n: int) -> None:
    pool = libraries[0]
    pool.lib.jg_pool_resize(pool.address, threads if n >= min_n else 1)
    check_split(pool.record(n, align, min_n), n, align, threads if n >= min_n else 1, min_n)


def test_split_checker_sees_a_wrong_split(tmp_path: Path) -> None:
    header = Path(csrc_directory(), "jg_pool.h").read_text()
    right = "first + each + (number < more)"
    assert header.count(right) == 1
    (tmp_path / "jg_pool.h").write_text(header.replace(right, "first + each"))
    ffi, lib = build(CREATOR, CDEF, tmp_path, name="wrong", include=tmp_path)
    pool = Pool(ffi, lib, lib.jg_pool_new(3))
    check_split(pool.record(9, 1, 2), 9, 1, 3, 2)  # divisible: the remainder is not needed
    with pytest.raises(AssertionError):
        check_split(pool.record(10, 1, 2), 10, 1, 3, 2)
    lib.jg_pool_resize(pool.address, 0)


def test_no_elements(pool: Pool) -> None:
    assert pool.record(0).visits.size == 0
    assert pool.record(0, min_n=0).visits.size == 0


@pytest.mark.parametrize(
    "arguments",
    [{"n": 1000, "pool": 0}, {"n": 1000, "min_n": 1001}, {"n": 1000, "align": 1000}, {"n": 1}],
)
def test_serial_cases(pool: Pool, arguments: dict[str, int]) -> None:
    done = pool.record(**arguments)
    assert (done.visits == 1).all()
    assert len(done.ranges) == 1


def test_min_n_is_the_first_parallel_length(pool: Pool) -> None:
    assert len(pool.record(99, min_n=100).ranges) == 1
    assert len(pool.record(100, min_n=100).ranges) == 4


@pytest.mark.parametrize(
    ("n", "ranges"), [(100, 4), (799, 4), (800, 8), (25_600, 256), (10**6, 256)]
)
def test_ranges_are_not_shorter_than_is_worth_a_thread(pool: Pool, n: int, ranges: int) -> None:
    assert len(pool.record(n, min_n=100).ranges) == ranges


def test_result_per_block_is_that_of_one_thread(pool: Pool) -> None:
    n, align = 100_003, 64
    x = np.random.default_rng(0).standard_normal(n)
    results = []
    for threads in range(1, 9):
        pool.lib.jg_pool_resize(pool.address, threads)
        sums = np.zeros(-(-n // align))
        pool.lib.block_sums(pool.address, n, align, pool.array(x), pool.array(sums))
        results.append(sums.tobytes())
    assert len(set(results)) == 1
    np.testing.assert_allclose(
        np.frombuffer(results[0]).sum(), x.sum(), rtol=0, atol=1e-16 * n * np.abs(x).max()
    )


# --- who runs what -------------------------------------------------------------------------------


def test_the_caller_does_what_no_worker_has_begun(pool: Pool) -> None:
    """A worker that sleeps takes longer to wake than these ranges take."""
    pool.lib.jg_pool_resize(pool.address, 8)
    shared = 0
    for _ in range(200):
        time.sleep(0.001)
        done = pool.record(8)
        check_split(done, 8, 1, 8)
        shared += len({thread for _, _, thread in done.ranges}) < 8
    assert shared > 0


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_others_do_what_a_slow_thread_has_not_begun(pool: Pool, threads: int) -> None:
    """The thread of the first range is busy until the rest of its span is done."""
    pool.lib.jg_pool_resize(pool.address, threads)
    for n in (threads, 5 * threads, 1000):
        assert pool.lib.dawdle(pool.address, n, 30.0) == n


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_ranges_run_at_the_same_time(pool: Pool, threads: int) -> None:
    pool.lib.jg_pool_resize(pool.address, threads)
    assert pool.lib.meet(pool.address, threads, 30.0) == threads


def test_every_worker_is_woken_from_sleep(pool: Pool) -> None:
    for _ in range(20):
        time.sleep(0.002)  # a hundred times longer than a worker spins
        assert pool.lib.meet(pool.address, 4, 30.0) == 4


def test_other_libraries_use_the_pool(libraries: tuple[Pool, Pool]) -> None:
    creator, other = libraries
    creator.lib.jg_pool_resize(creator.address, 3)
    assert not hasattr(other.lib, "jg_pool_new")
    check_split(other.record(1000, 8), 1000, 8, 3)
    assert other.lib.meet(other.address, 3, 30.0) == 3


def test_nested_loops_are_serial(pool: Pool) -> None:
    begins = np.full(40 * 10, -1, np.int64)
    pool.lib.nested(pool.address, 40, pool.array(begins))
    assert (begins == 0).all()
    check_split(pool.record(1000), 1000, 1, 4)  # the mark of being inside is taken off again


def test_second_caller_is_serial_while_the_pool_is_busy(pool: Pool) -> None:
    started, release = pool.ffi.new("int *"), pool.ffi.new("int *")
    thread = threading.Thread(
        target=pool.lib.hold, args=(pool.address, 4, started, release), daemon=True
    )
    thread.start()
    while not started[0]:
        time.sleep(0.0005)
    busy = pool.record(1000)
    release[0] = 1
    thread.join(30)
    assert not thread.is_alive()
    assert (busy.visits == 1).all()
    assert len(busy.ranges) == 1
    check_split(pool.record(1000), 1000, 1, 4)


@linux
def test_eight_python_threads_share_one_pool(pool: Pool) -> None:
    check_split(pool.record(1000), 1000, 1, 4)
    before = threads_alive()
    errors: list[BaseException] = []
    alive = []

    def work(seed: int) -> None:
        try:
            rng = np.random.default_rng(seed)
            for _ in range(300):
                done = pool.record(int(rng.integers(1, 3000)), int(rng.integers(1, 100)))
                assert (done.visits == 1).all()
            alive.append(threads_alive())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(alive) == 8
    assert max(alive) <= before + 8


def test_workers_leave_signals_to_the_program(pool: Pool) -> None:
    blocked = np.full(4, -1, np.int64)
    pool.lib.signals(pool.address, 4, pool.array(blocked))
    assert blocked.tolist() == [0, 1, 1, 1]
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


# --- resize --------------------------------------------------------------------------------------


@linux
def test_resize(pool: Pool) -> None:
    pool.lib.jg_pool_resize(pool.address, 0)
    bare = threads_alive()
    assert len(pool.record(1000).ranges) == 1
    for threads in (3, 5, 2, 5, 1):
        pool.lib.jg_pool_resize(pool.address, threads)
        check_split(pool.record(1000), 1000, 1, threads)
    assert threads_alive() == bare + 4  # the most that were needed; those too many sleep
    pool.lib.jg_pool_resize(pool.address, 0)
    assert threads_alive() == bare
    pool.lib.jg_pool_resize(pool.address, 10**9)
    check_split(pool.record(1000), 1000, 1, 256)
    pool.lib.jg_pool_resize(pool.address, 0)
    assert threads_alive() == bare


def test_new_returns_the_same_pool(pool: Pool) -> None:
    assert pool.lib.jg_pool_new(2) == pool.address
    check_split(pool.record(1000), 1000, 1, 2)


@linux
def test_refused_threads_leave_the_loop_serial(pool: Pool, tmp_path: Path) -> None:
    build(CREATOR, CDEF, tmp_path, name="limited")
    code = f"""
import resource, sys
sys.path[:0] = {sys.path!r}
import cffi, numpy as np
from pathlib import Path
from test_pool import CDEF, Pool
ffi = cffi.FFI()
ffi.cdef(CDEF)
lib = ffi.dlopen({str(tmp_path / "limited.so")!r})
pool = Pool(ffi, lib, lib.jg_pool_new(8))
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
# Room for one stack of 2 MiB, not for seven.
resource.setrlimit(resource.RLIMIT_AS, (size + 4 * 2**20, resource.RLIM_INFINITY))
done = pool.record(1000, min_n=1000)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert (done.visits == 1).all()
assert len(done.ranges) < 4, done.ranges
assert pool.record(1000).visits.sum() == 1000
lib.jg_pool_resize(pool.address, 8)
assert len(pool.record(1000, min_n=1000).ranges) == 8
lib.jg_pool_resize(pool.address, 0)
"""
    directory = str(Path(__file__).parent)
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": directory, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr


# --- fork ----------------------------------------------------------------------------------------


def in_child(check: Callable[[], None], seconds: float = 5.0) -> None:
    """Run ``check`` in a forked child; fail if it raises or takes longer than ``seconds``."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    limit = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        if time.monotonic() > limit:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            pytest.fail(f"the child hung for {seconds} s")
        time.sleep(0.0002)


def test_hundred_forks_after_a_loop(pool: Pool) -> None:
    def child() -> None:
        for _ in range(3):
            check_split(pool.record(1000), 1000, 1, 4)
        assert pool.lib.meet(pool.address, 4, 4.0) == 4

    for _ in range(100):
        check_split(pool.record(1000), 1000, 1, 4)
        in_child(child)
    check_split(pool.record(1000), 1000, 1, 4)


def test_fork_of_a_fork(pool: Pool) -> None:
    def grandchild() -> None:
        check_split(pool.record(1000), 1000, 1, 4)

    def child() -> None:
        check_split(pool.record(1000), 1000, 1, 4)
        in_child(grandchild, 4.0)
        check_split(pool.record(1000), 1000, 1, 4)

    check_split(pool.record(1000), 1000, 1, 4)
    in_child(child)


def test_forks_from_a_thread_while_others_use_the_pool(pool: Pool) -> None:
    stop = threading.Event()
    errors: list[BaseException] = []

    def keep_busy() -> None:
        while not stop.is_set():
            pool.record(3000)

    def fork_often() -> None:
        try:
            for _ in range(50):
                in_child(lambda: check_split(pool.record(1000), 1000, 1, 4))
        except BaseException as error:
            errors.append(error)

    users = [threading.Thread(target=keep_busy) for _ in range(2)]
    forker = threading.Thread(target=fork_often)
    for thread in (*users, forker):
        thread.start()
    forker.join(300)
    stop.set()
    for thread in users:
        thread.join(30)
    assert errors == []
    assert not any(thread.is_alive() for thread in (*users, forker))


def test_child_ends_while_the_parents_loop_runs(pool: Pool) -> None:
    # The parent's owner lock is held at the time of the fork, by a thread the child lacks.
    started, release = pool.ffi.new("int *"), pool.ffi.new("int *")
    thread = threading.Thread(
        target=pool.lib.hold, args=(pool.address, 4, started, release), daemon=True
    )
    thread.start()
    while not started[0]:
        time.sleep(0.0005)

    def child() -> None:
        check_split(pool.record(1000), 1000, 1, 4)
        pool.lib.jg_pool_resize(pool.address, 0)

    in_child(child)
    release[0] = 1
    thread.join(30)
    assert not thread.is_alive()


def test_multiprocessing_fork(pool: Pool) -> None:
    check_split(pool.record(1000), 1000, 1, 4)
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=lambda: check_split(pool.record(1000), 1000, 1, 4))
        for _ in range(20)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(5)
        assert process.exitcode == 0
