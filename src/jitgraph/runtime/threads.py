"""How many threads a compiled function uses, and the pool that holds them.

The pool itself is C (``csrc/jg_pool.h``); here it is made, resized and ended. Unless
:func:`set_num_threads` says otherwise, the number of threads is :func:`default_threads`.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

from jitgraph.config import config

__all__ = [
    "MAX_THREADS",
    "cgroup_cpus",
    "default_threads",
    "ensure_pool",
    "get_num_threads",
    "num_threads",
    "set_num_threads",
]

MAX_THREADS = 256  # JG_POOL_MAX of jg_pool.h


# --- the number ----------------------------------------------------------------------------------


def default_threads() -> int:
    """Return the number of threads that suits this process, at least 1.

    The least of: the processors it may run on (affinity), the CPU quota of its control groups
    rounded down, ``config.num_threads`` (``JITGRAPH_NUM_THREADS``; 0 is no bound) and
    ``OMP_NUM_THREADS``. It is 1 in a worker process of multiprocessing.Pool,
    ProcessPoolExecutor, joblib or dask, whose siblings use the other processors.
    """
    if _is_worker_process():
        return 1
    bounds = [_affinity(), MAX_THREADS]
    quota = cgroup_cpus()
    if quota is not None:
        bounds.append(int(quota))
    if config.num_threads:
        bounds.append(config.num_threads)
    # OpenMP allows a list, one number per level of nesting; other programs' errors are not ours.
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if first.isdecimal() and int(first) > 0:
        bounds.append(int(first))
    return max(1, min(bounds))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_worker_process() -> bool:
    process_module = sys.modules.get("multiprocessing.process")
    if process_module is None:
        return False
    process = process_module.current_process()
    if process.daemon:  # multiprocessing.Pool, dask's workers
        return True
    # ProcessPoolExecutor and loky (joblib) make workers that are not daemons; what tells them
    # is the function they run.
    target = getattr(process, "_target", None)
    module = getattr(target, "__module__", None) or ""
    return module == "concurrent.futures.process" or module.endswith("loky.process_executor")


@cache
def cgroup_cpus(root: str = "/") -> float | None:
    """Return the processors' worth of time the control groups allow, None for no limit.

    A limit of any group above the process holds for it, so the least one counts. Versions 1 and
    2 are read from their usual mount points below ``root``/sys/fs/cgroup. In a container the
    group's path may be that of the host, of which the container sees the top only; therefore
    directories that do not exist are passed over.
    """
    try:
        lines = Path(root, "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    mounted = Path(root, "sys/fs/cgroup")
    limits: list[float | None] = []
    mounts: tuple[str, ...]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            mounts, read = ("", "unified"), _quota_v2
        elif "cpu" in controllers.split(","):
            mounts, read = ("cpu", "cpu,cpuacct", "cpuacct,cpu"), _quota_v1
        else:
            continue
        for mount in mounts:
            limits += [read(mounted / mount / level) for level in _levels(path)]
    return min((limit for limit in limits if limit is not None), default=None)


def _levels(path: str) -> list[str]:
    """The group and those above it, relative to the mount point: /a/b -> a/b, a, and the top."""
    pure = PurePosixPath(path)
    if ".." in pure.parts:  # outside the container's own namespace
        return [""]
    return [str(level).lstrip("/") for level in (pure, *pure.parents)]


def _quota_v2(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _quota_v1(group: Path) -> float | None:
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


# --- the pool ------------------------------------------------------------------------------------


class _Pool:
    """The pool of the process: its address, and the library that made it, whose code the workers
    execute and which therefore must not be unloaded."""

    def __init__(self) -> None:
        self.address = 0
        self.library: Any = None
        self.exact: int | None = None  # what set_num_threads asked for
        self.lock = threading.Lock()
        self.known_to_multiprocessing = False

    def threads(self) -> int:
        return default_threads() if self.exact is None else self.exact

    def resize(self) -> None:
        if self.address:
            self.library.jg_pool_resize(self.address, self.threads())

    def end(self) -> None:
        """End the workers. Later loops are serial; at exit the library may be unloaded."""
        if self.address:
            self.library.jg_pool_resize(self.address, 0)

    def watch_multiprocessing(self) -> None:
        # os.register_at_fork is too early in a child of multiprocessing: that the process is a
        # worker is known only when multiprocessing's own hooks run.
        util = sys.modules.get("multiprocessing.util")
        if util is not None and not self.known_to_multiprocessing:
            util.register_after_fork(self, _Pool.resize)
            self.known_to_multiprocessing = True

    def reset_lock(self) -> None:
        self.lock = threading.Lock()  # it may be held by a thread that the child does not have


_pool = _Pool()
os.register_at_fork(before=_pool.watch_multiprocessing, after_in_child=_pool.reset_lock)
atexit.register(_pool.end)
config.watch("num_threads", lambda _value: _pool.resize())


def ensure_pool(lib: Any, host: Any) -> None:
    """Set ``host.pool`` to the pool of the process, made by ``lib`` if there is none yet.

    ``lib`` is a cffi library that exports ``jg_pool_new`` and ``jg_pool_resize``; it is kept for
    ever if it makes the pool. ``host`` is any object with an integer field ``pool``; 0 there
    means serial, and stays when the system allows no pool. No thread is started: workers begin
    with the first loop that is long enough for them.
    """
    if host.pool:
        return
    with _pool.lock:
        if not _pool.address:
            _pool.watch_multiprocessing()
            _pool.library = lib
            _pool.address = lib.jg_pool_new(_pool.threads())
        host.pool = _pool.address


def get_num_threads() -> int:
    """Return the number of threads that compiled functions use for long loops."""
    return _pool.threads()


def set_num_threads(n: int | None) -> None:
    """Use exactly ``n`` threads (1 to 256) in this process; None: :func:`default_threads` again.

    The number may exceed that of the processors. Results do not depend on it. Raises TypeError if
    ``n`` is not an integer, ValueError if it is out of range.
    """
    if n is not None:
        if isinstance(n, bool) or not hasattr(n, "__index__"):
            raise TypeError(f"The number of threads must be an integer or None, not {n!r}")
        n = n.__index__()
        if not 1 <= n <= MAX_THREADS:
            raise ValueError(f"The number of threads must be 1 to {MAX_THREADS}, not {n}")
    _pool.exact = n
    _pool.resize()


@contextmanager
def num_threads(n: int | None) -> Iterator[None]:
    """``with num_threads(n):`` :func:`set_num_threads` for a while; for the whole process."""
    before = _pool.exact
    set_num_threads(n)
    try:
        yield
    finally:
        set_num_threads(before)
