"""The number of threads: where it comes from, who may change it, and what workers get."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cbuild import build

from jitgraph.config import config
from jitgraph.runtime import threads
from jitgraph.runtime.threads import cgroup_cpus, default_threads

CDEF = """
intptr_t jg_pool_new(int64_t threads);
void jg_pool_resize(intptr_t pool, int64_t threads);
int64_t ranges(intptr_t pool, int64_t n);
"""

# ranges: into how many ranges a loop over n elements is split that is not worth more than one of a
# thread, which is the number of threads
SOURCE = r"""
#define JG_POOL_IMPLEMENTATION
#include "jg_pool.h"

static void body(void *count, int64_t begin, int64_t end)
{
    __atomic_add_fetch((int64_t *)count, begin < end, __ATOMIC_RELAXED);
}

__attribute__((visibility("default"))) int64_t ranges(intptr_t pool, int64_t n)
{
    int64_t count = 0;
    jg_parallel_for(pool, n, 1, n, body, &count);
    return count;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("threads")
    build(SOURCE, CDEF, directory, name="pool")
    return directory / "pool.so"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A machine of 16 processors without quota, and no wishes in the environment."""
    monkeypatch.setattr(threads, "_affinity", lambda: 16)
    monkeypatch.setattr(threads, "cgroup_cpus", lambda: None)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with config.change_flags(num_threads=0), threads.num_threads(None):
        yield monkeypatch


# --- the default ---------------------------------------------------------------------------------


def test_default_is_the_least_bound(machine: pytest.MonkeyPatch) -> None:
    assert default_threads() == 16
    machine.setenv("OMP_NUM_THREADS", "12,4")
    assert default_threads() == 12
    machine.setattr(threads, "cgroup_cpus", lambda: 10.9)
    assert default_threads() == 10
    with config.change_flags(num_threads=8):
        assert default_threads() == 8
        machine.setattr(threads, "_affinity", lambda: 3)
        assert default_threads() == 3
    machine.setattr(threads, "cgroup_cpus", lambda: 0.25)
    assert default_threads() == 1


@pytest.mark.parametrize("text", ["", "0", "-2", "many", "1.5", ",2"])
def test_other_programs_errors_are_not_ours(machine: pytest.MonkeyPatch, text: str) -> None:
    machine.setenv("OMP_NUM_THREADS", text)
    assert default_threads() == 16


def test_default_is_bounded_by_the_pool(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(threads, "_affinity", lambda: 1000)
    assert default_threads() == threads.MAX_THREADS == 256


def test_affinity_is_obeyed() -> None:
    code = (
        "import os; cpu = min(os.sched_getaffinity(0)); os.sched_setaffinity(0, {cpu})\n"
        "from jitgraph.runtime.threads import default_threads; print(default_threads())"
    )
    if not hasattr(os, "sched_setaffinity"):
        code = "from jitgraph.runtime.threads import _affinity as f; print(f() >= 1 and 1)"
    assert run(code) == "1"


def test_environment_is_obeyed(library: Path) -> None:
    code = "from jitgraph.runtime.threads import default_threads; print(default_threads())"
    assert run(code, JITGRAPH_NUM_THREADS="1") == "1"
    assert run(code, OMP_NUM_THREADS="1") == "1"


# --- control groups ------------------------------------------------------------------------------


def fake_groups(root: Path, membership: str, files: dict[str, str]) -> str:
    for name, text in {"proc/self/cgroup": membership, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


CGROUPS: dict[str, tuple[str, dict[str, str], float | None]] = {
    "v2": ("0::/a/b\n", {"sys/fs/cgroup/a/b/cpu.max": "250000 100000\n"}, 2.5),
    "v2 without limit": ("0::/a\n", {"sys/fs/cgroup/a/cpu.max": "max 100000\n"}, None),
    "v2 limit above": (
        "0::/a/b/c\n",
        {
            "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a/b/c/cpu.max": "400000 100000\n",
        },
        1.5,
    ),
    "v2 container sees its own top": (
        "0::/\n",
        {"sys/fs/cgroup/cpu.max": "50000 100000\n"},
        0.5,
    ),
    "v2 outside the namespace": (
        "0::/../../other\n",
        {"sys/fs/cgroup/cpu.max": "300000 100000\n", "sys/fs/other/cpu.max": "1000 100000\n"},
        3.0,
    ),
    "v1": (
        "5:memory:/x\n4:cpu,cpuacct:/job\n0::/\n",
        {
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "600000\n",
            "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
        },
        6.0,
    ),
    "v1 without limit": (
        "4:cpu:/job\n",
        {
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "v1 container with the host's path": (
        "4:cpuacct,cpu:/docker/0123\n",
        {
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        2.0,
    ),
    "v1 ignores cpuset": (
        "4:cpuset:/job\n",
        {
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
        },
        None,
    ),
    "both versions": (
        "4:cpu:/job\n0::/unit\n",
        {
            "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "500000\n",
            "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/unified/unit/cpu.max": "450000 100000\n",
        },
        4.5,
    ),
    "malformed": ("0::/a\n", {"sys/fs/cgroup/a/cpu.max": "lots\n"}, None),
    "empty": ("", {}, None),
}


@pytest.mark.parametrize("name", CGROUPS)
def test_cgroup(tmp_path: Path, name: str) -> None:
    membership, files, expected = CGROUPS[name]
    assert cgroup_cpus(fake_groups(tmp_path, membership, files)) == expected


def test_no_control_groups(tmp_path: Path) -> None:
    assert cgroup_cpus(str(tmp_path)) is None


# --- the setting ---------------------------------------------------------------------------------


def test_set_and_restore(machine: pytest.MonkeyPatch) -> None:
    threads.set_num_threads(3)
    assert threads.get_num_threads() == 3
    with threads.num_threads(200):
        assert threads.get_num_threads() == 200
        with threads.num_threads(None):
            assert threads.get_num_threads() == 16
    assert threads.get_num_threads() == 3
    with pytest.raises(KeyError), threads.num_threads(1):
        raise KeyError
    assert threads.get_num_threads() == 3
    threads.set_num_threads(None)
    assert threads.get_num_threads() == 16


@pytest.mark.parametrize(
    ("n", "error"),
    [(0, ValueError), (-1, ValueError), (257, ValueError), (2.0, TypeError), (True, TypeError)],
)
def test_refused_numbers(machine: pytest.MonkeyPatch, n: Any, error: type[Exception]) -> None:
    before = threads.get_num_threads()
    with pytest.raises(error, match="number of threads must be"):
        threads.set_num_threads(n)
    assert threads.get_num_threads() == before


# --- the pool, in processes of their own ---------------------------------------------------------

PRELUDE = f"""
import os, sys, types
import cffi
from jitgraph.config import config
from jitgraph.runtime import threads
ffi = cffi.FFI()
ffi.cdef('''{CDEF}''')
lib = ffi.dlopen(os.environ["LIBRARY"])
threads._affinity = lambda: 4
threads.cgroup_cpus = lambda: None
host = types.SimpleNamespace(pool=0)
def ranges():
    return lib.ranges(host.pool, 1000)
"""


def run(code: str, **env: str) -> str:
    """Run ``code`` in a fresh interpreter; return what it prints, without the last newline."""
    source = str(Path(threads.__file__).parents[2])
    path = os.pathsep.join([source, os.environ.get("PYTHONPATH", "")])
    clean = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=clean | {"PYTHONPATH": path} | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip("\n")


def with_pool(library: Path, code: str) -> list[str]:
    return run(PRELUDE + textwrap.dedent(code), LIBRARY=str(library)).split()


def test_ensure_pool_makes_one_pool(library: Path) -> None:
    ffi, lib = build(SOURCE, CDEF, library.parent, name="second")
    assert ffi.typeof(lib.jg_pool_new).args[0].cname == "int64_t"
    code = f"""
    second = ffi.dlopen({str(library.parent / "second.so")!r})
    before = len(os.listdir("/proc/self/task")) if os.path.exists("/proc/self/task") else 0
    print(ranges())                            # 1: no pool yet
    threads.ensure_pool(lib, host)
    other = types.SimpleNamespace(pool=0)
    threads.ensure_pool(second, other)
    print(other.pool == host.pool != 0)        # True
    after = len(os.listdir("/proc/self/task")) if before else 0
    print(after - before)                      # 0: threads start with the first loop
    print(ranges(), second.ranges(host.pool, 1000))   # 4 4
    """
    assert with_pool(library, code) == ["1", "True", "0", "4", "4"]


def test_pool_follows_the_setting(library: Path) -> None:
    code = """
    threads.ensure_pool(lib, host)
    print(ranges())
    with threads.num_threads(7): print(ranges())
    print(ranges())
    config.num_threads = 2; print(ranges())
    threads.set_num_threads(3); print(ranges())
    config.num_threads = 1; print(ranges())
    threads.set_num_threads(None); print(ranges())
    """
    assert with_pool(library, code) == ["4", "7", "4", "2", "3", "3", "1"]


def test_setting_before_the_pool_exists(library: Path) -> None:
    code = "threads.set_num_threads(5)\nthreads.ensure_pool(lib, host)\nprint(ranges())"
    assert with_pool(library, code) == ["5"]


def test_exit_with_workers_spinning(library: Path) -> None:
    code = """
    threads.ensure_pool(lib, host)
    import atexit
    atexit.register(lambda: print(ranges()))   # runs before the end of the pool
    for _ in range(1000): n = ranges()
    print(n)
    """
    for _ in range(5):
        assert with_pool(library, code) == ["4", "4"]


def test_after_the_end_loops_are_serial(library: Path) -> None:
    code = """
    threads.ensure_pool(lib, host)
    print(ranges())
    threads._pool.end(); print(ranges())
    threads.set_num_threads(2); print(ranges())
    """
    assert with_pool(library, code) == ["4", "1", "2"]


def test_multiprocessing_pool_worker_is_serial(library: Path) -> None:
    code = """
    import multiprocessing
    threads.ensure_pool(lib, host)
    print(ranges())
    def work(_): return ranges(), threads.get_num_threads()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(*set(pool.map(work, range(4))))
    print(ranges())
    """
    assert with_pool(library, code) == ["4", "(1,", "1)", "4"]


def test_child_that_is_no_worker_keeps_its_threads(library: Path) -> None:
    code = """
    import multiprocessing
    threads.ensure_pool(lib, host)
    print(ranges(), flush=True)
    child = multiprocessing.get_context("fork").Process(target=lambda: print(ranges(), flush=True))
    child.start(); child.join(); print(child.exitcode)
    """
    assert with_pool(library, code) == ["4", "4", "0"]


def test_explicit_number_holds_in_workers(library: Path) -> None:
    code = """
    import multiprocessing
    threads.ensure_pool(lib, host)
    threads.set_num_threads(3)
    def work(_): return ranges()
    with multiprocessing.get_context("fork").Pool(1) as pool: print(*pool.map(work, range(1)))
    """
    assert with_pool(library, code) == ["3"]


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_process_pool_executor_worker_is_serial(tmp_path: Path, method: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import multiprocessing
            from concurrent.futures import ProcessPoolExecutor
            from jitgraph.runtime import threads
            threads._affinity = lambda: 4
            threads.cgroup_cpus = lambda: None
            if __name__ == "__main__":
                context = multiprocessing.get_context({method!r})
                with ProcessPoolExecutor(1, mp_context=context) as pool:
                    print(threads.get_num_threads(), pool.submit(threads.get_num_threads).result())
            """
        )
    )
    code = f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')"
    assert run(code) == "4 1"


def test_joblib_worker_is_serial() -> None:
    code = """
    import os
    from joblib import Parallel, delayed
    from jitgraph.runtime import threads
    def inside():
        from jitgraph.runtime import threads
        os.environ.pop("OMP_NUM_THREADS", None)   # joblib sets it; the worker itself must count
        threads._affinity, threads.cgroup_cpus = (lambda: 4), (lambda: None)
        return threads.get_num_threads()
    print(*Parallel(n_jobs=2, backend="loky")(delayed(inside)() for _ in range(2)))
    """
    assert run(code) == "1 1"


def test_fork_while_the_lock_is_held(library: Path) -> None:
    code = """
    threads.ensure_pool(lib, host)
    threads._pool.lock.acquire()
    pid = os.fork()
    if pid == 0:
        host.pool = 0
        threads.ensure_pool(lib, host)
        os._exit(ranges())
    import signal, time
    for _ in range(500):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done: break
        time.sleep(0.01)
    else:
        os.kill(pid, signal.SIGKILL)
    print(os.waitstatus_to_exitcode(status) if done else "hung")
    """
    assert with_pool(library, code) == ["4"]


def test_no_pool_possible_stays_serial() -> None:
    # The system refuses (pthread_atfork without memory): jg_pool_new returns 0.
    code = """
    import types
    from jitgraph.runtime import threads
    lib = types.SimpleNamespace(jg_pool_new=lambda n: 0)
    host = types.SimpleNamespace(pool=0)
    threads.ensure_pool(lib, host)
    threads.set_num_threads(3)
    print(host.pool)
    """
    assert run(code) == "0"


def test_host_that_has_a_pool_is_left_alone() -> None:
    host = SimpleNamespace(pool=17)
    threads.ensure_pool(None, host)
    assert host.pool == 17
