"""The memory itself: the bytes of a workload moved by hand-written loops, nothing computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgraph.bench.limits import READS, Mover

from . import workloads as wl
from .by_jitgraph import release, start
from .case import Case, UnsupportedError

__all__ = ["check", "make", "release", "start", "version"]


def version() -> str:
    """There is none."""
    return ""


def make(w: wl.Workload, inputs: wl.Inputs, variant: str) -> Case:
    """The case of a workload."""
    if not w.limit or variant != "default":
        raise UnsupportedError("no limit of this kind")
    mover = Mover(w.limit, list(inputs.values()))
    return Case(mover, lambda result: [mover.out, np.asarray(result)])


def check(w: wl.Workload, inputs: wl.Inputs, found: list[Any]) -> float:
    """0.0; WrongResultError if the bits that arrived are not those that were sent."""
    # By rows of 64 bytes, as the loops see them.
    size = 64 * (w.elements * w.itemsize // 64)
    arrays = list(inputs.values())[: READS[w.limit]]
    words = [a.reshape(-1).view(np.uint8)[:size].view(np.uint64) for a in arrays]
    out, folded = found
    if w.limit in ("copy", "stream3"):
        total = words[0]
        for other in words[1:]:
            total = total ^ other
        right = np.array_equal(out.view(np.uint64), total)
    else:
        bits = np.uint64(0)
        for a in words:
            bits ^= np.bitwise_xor.reduce(a)
        right = int(bits) == int(folded) % 2**64
    if not right:
        raise wl.WrongResultError(f"{w.name}: the bits of {w.limit} are not those of the inputs")
    return 0.0
