"""Loads and stores of short types apart from vector functions of long ones.

A vectorised loop takes as many elements at a time as a vector of its shortest type holds. Where a
result of one byte (`p > 0.5`) is stored beside functions of float64, that is eight vectors of each
of their values: eight times the code, and registers for one of them. Such a loop is cut: values
that are computed in one part and used in another are kept for a block of elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jitgraph import dtypes
from jitgraph.cgen.ir import (
    AccumulateAt,
    Blocks,
    Call,
    Comment,
    Cut,
    For,
    Kernel,
    Let,
    Load,
    Ref,
    Store,
    is_dear,
)
from jitgraph.cgen.lower import used_names

# By how many times a type is shorter, where that is worth a pass over a block in the cache.
RATIO = 4


def narrow_apart(kernel: Kernel) -> Kernel:
    """Cut the innermost loops in which short types meet vector functions of long ones."""
    return replace(kernel, body=tuple(map(_cut, kernel.body)))


def _cut(s: Any) -> Any:
    if not isinstance(s, (For, Blocks)):
        return s
    if any(isinstance(t, (For, Blocks)) for t in s.body):
        return replace(s, body=tuple(map(_cut, s.body)))
    if not all(isinstance(t, (Let, Store, AccumulateAt, Comment)) for t in s.body):
        return s
    wide = [_size(t.dtype) for t in s.body if is_dear(t)]
    if not wide or (isinstance(s, Blocks) and s.fills):
        return s
    limit = min(wide) // RATIO
    first = _first_part(s, limit)
    last = _last_part(s, [t for t in s.body if t not in first], limit)
    if not first and not last:
        return s
    middle = [t for t in s.body if t not in first and t not in last]
    cut = [*first, *([Cut()] if first else []), *middle, *([Cut()] if last else []), *last]
    if isinstance(s, Blocks):
        return replace(s, body=tuple(cut))
    return Blocks(s.var, s.extent, tuple(cut), ())


def _size(dtype: str) -> int:
    return dtypes.NUMPY[dtype].itemsize


def _first_part(loop: For | Blocks, limit: int) -> list[Any]:
    """Loads of short types up to where all that is made of them alone is long."""
    written = {t.buffer.name for t in loop.body if isinstance(t, (Store, AccumulateAt))}
    own = {t.name for t in loop.body if isinstance(t, Let)}
    chosen: list[Any] = []
    names: set[str] = set()
    for t in loop.body:
        if not isinstance(t, Let) or is_dear(t):
            continue
        if isinstance(t.value, Load):
            take = _size(t.dtype) <= limit and t.value.buffer.name not in written
            take = take and t.value.at.names() & own <= names
        else:
            read = {a.name for a in _operands(t) if isinstance(a, Ref)}
            take = bool(read) and read <= names
        if take:
            chosen.append(t)
            names.add(t.name)
    rest = [t for t in loop.body if t not in chosen]
    folds = loop.folds if isinstance(loop, Blocks) else ()
    outside = used_names([*rest, *folds])
    crossing = [t for t in chosen if t.name in outside]
    return chosen if all(_size(t.dtype) > limit for t in crossing) else []


def _last_part(loop: For | Blocks, body: Sequence[Any], limit: int) -> list[Any]:
    """Stores of short types that the loop does not read, with what is computed for them alone."""
    read = {t.value.buffer.name for t in body if isinstance(t, Let) and isinstance(t.value, Load)}
    chosen: list[Any] = [
        t
        for t in body
        if isinstance(t, Store) and _size(t.buffer.dtype) <= limit and t.buffer.name not in read
    ]
    folds = list(loop.folds) if isinstance(loop, Blocks) else []
    for t in reversed(body):
        if not isinstance(t, Let) or is_dear(t) or isinstance(t.value, Load):
            continue
        others = used_names([*(o for o in body if o not in chosen and o is not t), *folds])
        if chosen and t.name not in others:
            chosen.append(t)
    return [t for t in body if t in chosen]


def _operands(t: Let) -> tuple[Any, ...]:
    return t.value.operands if isinstance(t.value, Call) else (t.value,)
