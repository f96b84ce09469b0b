"""Timing several contenders against each other, and the memory that this takes.

All contenders run in one process and take turns, so that whatever the machine does meanwhile
(clock, other programs, memory layout) meets all of them alike. The first round warms up: caches,
pages, thread pool, compiled code.
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import re
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

import numpy as np

Array = np.ndarray[Any, Any]
# A measurement shorter than this is repeated within one timing: the clock and the call of a
# Python function cost a fraction of a microsecond.
SHORTEST = 0.005  # seconds
MOST_CALLS = 10_000


@dataclass(frozen=True)
class Contender:
    """One way to do the work.

    name:        short, for tables and as key in JSON
    note:        what exactly runs, one line
    threads:     how many threads it uses
    call:        the work: the input array -> the result (a new array, or a buffer of its own)
    is_copy:     a plain copy: what the memory allows
    """

    name: str
    note: str
    threads: int
    call: Callable[[Array], Array]
    is_copy: bool = False


@dataclass
class Timing:
    """Seconds per call of one contender, one number a round."""

    contender: Contender
    calls: int = 1  # in one timing
    seconds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def mad(self) -> float:
        """Median of the absolute deviations from the median."""
        return statistics.median(abs(s - self.median) for s in self.seconds)


def measure(
    contenders: Sequence[Contender],
    x: Array,
    rounds: int,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Timing]:
    """Time every contender on `x` once per round, after one round that does not count.

    The order of a round is random (with a fixed seed), so that nobody always runs behind the
    same neighbour. The result of a call is freed after its clock has stopped. Raises
    ArithmeticError if a contender's result for all of `x` is not what it gives for a part.
    """
    timings = [Timing(c) for c in contenders]
    order = random.Random(1)
    with _quiet():
        for t in timings:
            progress(f"warming up: {t.contender.name}")
            _check(t.contender, x)
            # A second time: the first one found cold pages and idle threads.
            seconds = _seconds(t.contender, x, 1)
            t.calls = max(1, min(MOST_CALLS, int(SHORTEST / max(seconds, 1e-9))))
        for number in range(rounds):
            for t in order.sample(timings, len(timings)):
                progress(f"round {number + 1} of {rounds}: {t.contender.name}")
                t.seconds.append(_seconds(t.contender, x, t.calls))
    return timings


def _seconds(contender: Contender, x: Array, calls: int) -> float:
    call = contender.call
    result = None
    started = time.perf_counter()
    for _ in range(calls):
        result = call(x)
    seconds = (time.perf_counter() - started) / calls
    del result
    return seconds


def _check(contender: Contender, x: Array) -> None:
    """The long run must compute what a short one does: what is timed is what is examined."""
    at = np.random.default_rng(2).integers(0, x.size, min(x.size, 1000))
    whole = contender.call(x)[at].copy()
    part = contender.call(np.ascontiguousarray(x[at]))[: at.size]
    # Both are right to a few units of the last place, or (approximations) computed alike.
    if not np.allclose(whole, part, rtol=8 * float(np.finfo(x.dtype).eps), atol=0):
        raise ArithmeticError(
            f"{contender.name}: the result for {x.size:,} elements differs from "
            f"that for {at.size:,}"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No garbage collection between the clocks, no warnings of exp(-x) overflowing as it may."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        with np.errstate(all="ignore"):
            yield
    finally:
        if enabled:
            gc.enable()


# --- memory --------------------------------------------------------------------------------------


def available_memory() -> int:
    """Bytes that can be allocated without swapping, at most; 0 if the system does not say.

    The least of what the machine has left and what the memory limits of this process's control
    groups leave.
    """
    bounds = [b for b in (_machine_memory(), _group_memory()) if b is not None]
    return min(bounds, default=0)


def _machine_memory() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    try:  # no /proc: what the machine has at all
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None


# (limit, usage) of control groups, versions 2 and 1, as a container sees its own.
_GROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def _group_memory() -> int | None:
    for limit, usage in _GROUP_FILES:
        try:
            with open(limit, encoding="ascii") as a, open(usage, encoding="ascii") as b:
                return max(0, int(a.read()) - int(b.read()))
        except (OSError, ValueError):  # no such file, or the word "max"
            continue
    return None


# --- progress ------------------------------------------------------------------------------------


class Progress:
    """One line on a terminal that replaces itself and is gone at the end.

    Elsewhere, as in a log: a line for each stage (what stands before the colon, rounds aside) and
    one every EVERY seconds within a stage. JITGRAPH_PROGRESS=0 asks for nothing at all.
    """

    EVERY = 10.0

    def __init__(self, stream: TextIO | None = None):
        self.stream = sys.stderr if stream is None else stream
        wanted = os.environ.get("JITGRAPH_PROGRESS") != "0"
        self.shown = wanted and self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self.logged = wanted and not self.shown
        self.stage, self.last = "", 0.0
        self.started = time.perf_counter()

    def __call__(self, text: str) -> None:
        seconds = time.perf_counter() - self.started
        if self.shown:
            # A line that wraps could not be erased.
            line = f"{text} ({seconds:.0f} s)"[: shutil.get_terminal_size().columns - 1]
            self.stream.write(f"\r\x1b[K{line}")
            self.stream.flush()
        elif self.logged:
            stage = re.sub(r"^round \d+.*", "round", text.partition(":")[0])
            if stage != self.stage or seconds - self.last >= self.EVERY:
                self.stage, self.last = stage, seconds
                self.stream.write(f"{text} ({seconds:.0f} s)\n")
                self.stream.flush()

    def clear(self) -> None:
        """Make room for lines that stay."""
        if self.shown:
            self.stream.write("\r\x1b[K")
            self.stream.flush()

    def keep(self, text: str) -> None:
        """A line that stays."""
        self.clear()
        if self.shown or self.logged:
            self.stream.write(f"{text}\n")
            self.stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        self.clear()
