"""Memory of large results, used again when the last reference to a result is gone.

The first touch of fresh memory costs more than most loops: the kernel maps and clears every
page. A large output therefore lives in a block that returns to a pool when the array, and
every view of it, has died; the next result of about that size takes it over, pages and all.

An array keeps its block alive through its `base`, a `Lease`; views keep the array or the lease.
So a block is never given away while anything can still see it. NumPy shortens chains of bases,
but not past an array whose own memory belongs to something else than an array: therefore blocks
are anonymous maps, private to the process (a forked child gets its own copy).
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
from typing import Any

import numpy as np

from jitgraph.config import config

# Results below this come from NumPy: the C library keeps such pieces itself.
SMALLEST = 1 << 20
# A block may be this much larger than what is asked of it.
SLACK = 1.25


class Lease(np.ndarray):
    """The base of one large result; gives the block back when it dies."""

    block: mmap.mmap | None = None

    def __del__(self) -> None:
        block, self.block = self.block, None
        if block is not None and _pool is not None:  # None while the interpreter ends
            _pool.put(block)


class _Pool:
    """Blocks that no array uses at the moment, the oldest first, up to a limit in bytes."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        # Re-entrant: the garbage collector may run a lease's end inside take().
        self.lock = threading.RLock()
        self.blocks: list[mmap.mmap] = []
        self.bytes = 0

    def take(self, size: int) -> mmap.mmap:
        """A block of at least `size` bytes. Raises MemoryError."""
        with self.lock:
            # No name for a block that is not taken: it would keep it alive when all are given back.
            sizes = [len(block) for block in self.blocks]
            for k, n in enumerate(sizes):
                if size <= n <= size * SLACK:
                    self.bytes -= n
                    return self.blocks.pop(k)
        try:
            return _fresh(size)
        except MemoryError:
            self.clear()  # what lies idle may be just what is missing
            return _fresh(size)

    def put(self, block: mmap.mmap) -> None:
        with self.lock:
            if len(block) > limit():
                return
            self.blocks.append(block)
            self.bytes += len(block)
            while self.bytes > limit():
                self.bytes -= len(self.blocks.pop(0))

    def clear(self) -> None:
        with self.lock:
            self.blocks.clear()
            self.bytes = 0


def _fresh(size: int) -> mmap.mmap:
    """New memory, in huge pages where the system has them: far fewer page faults."""
    try:
        block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANON)
    except (OSError, ValueError, OverflowError) as error:
        raise MemoryError(str(error)) from None
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            block.madvise(mmap.MADV_HUGEPAGE)
    return block


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.reset)
_default_limit = 0


def limit() -> int:
    """Bytes the pool may keep: `config.memory_pool`, by default an eighth of the memory."""
    global _default_limit
    chosen = int(config.memory_pool)
    if chosen >= 0:
        return chosen
    if not _default_limit:
        try:
            _default_limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 8
        except (ValueError, OSError):
            _default_limit = 1 << 30
    return _default_limit


def allocate(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """An uninitialised array in C order, from the pool where it is large. Raises MemoryError."""
    size = dtype.itemsize
    for n in shape:
        size *= n
    if size < SMALLEST or limit() == 0:
        return np.empty(shape, dtype)
    block = _pool.take(size)
    lease = np.ndarray.__new__(Lease, (size,), np.uint8, block)
    lease.block = block
    return np.ndarray(shape, dtype, lease)


def free_memory() -> int:
    """Give the blocks that no array uses back to the system; return their bytes."""
    freed = _pool.bytes
    _pool.clear()
    return freed


def pooled_bytes() -> int:
    """Bytes of the blocks that wait for their next use."""
    return _pool.bytes
