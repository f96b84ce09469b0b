"""Rows whose first pass, a maximum, is made while the row before them is computed.

Softmax and its like read each row several times. The first time it comes from memory, and nothing
is computed meanwhile; the next times much is computed, and the memory waits. With the maximum of
row i + 1 taken block by block beside the exponentials of row i, neither waits for the other: a
fifth of the time of long rows, and of short rows of float32.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import Any

from jitgraph.cgen.ir import (
    AccumulateAt,
    Ahead,
    Blocks,
    Comment,
    For,
    Init,
    Kernel,
    Store,
    is_dear,
    top_loop,
    walk,
)


def look_ahead(kernel: Kernel) -> Kernel:
    """Mark the loop over rows of a kernel that gains by it."""
    loop = top_loop(kernel)
    if kernel.split != "rows" or not isinstance(loop, For):
        return kernel
    written = {s.buffer.name for s in walk(kernel.body) if isinstance(s, (Store, AccumulateAt))}
    ahead = _first_pass(loop, written)
    if ahead is None:
        return kernel
    body = tuple(replace(s, ahead=ahead) if s is loop else s for s in kernel.body)
    return replace(kernel, body=body)


def _first_pass(loop: For, written: set[str]) -> Ahead | None:
    """Where the pass is, and the first long work on the same row, beside which it is made."""
    before = sum(1 for _ in takewhile(lambda t: isinstance(t, (Init, Comment)), loop.body))
    s = loop.body[before] if before < len(loop.body) else None
    if not isinstance(s, Blocks) or len(s.folds) != 1 or s.body or s.fills:
        return None
    (fold,) = s.folds
    if fold.acc.kind not in ("max", "min") or fold.acc.position or fold.source is None:
        return None
    buffer, start = fold.source
    if buffer.name in written or loop.var not in start.names():
        return None
    init = next(k for k, t in enumerate(loop.body) if isinstance(t, Init) and t.acc == fold.acc)
    longer = (k for k, t in enumerate(loop.body) if k > before and _is_long_work(t, s))
    meanwhile = next(longer, None)
    return None if meanwhile is None else Ahead(init, before, meanwhile)


def _is_long_work(s: Any, found: Blocks) -> bool:
    """Whether a statement computes vector functions in the blocks of this pass."""
    return (
        isinstance(s, Blocks)
        and (s.var, s.extent) == (found.var, found.extent)
        and any(map(is_dear, s.body))
    )
