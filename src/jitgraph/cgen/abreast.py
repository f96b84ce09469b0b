"""Which innermost loops compute several vectors at a time (`csrc/jg_abreast.h`)."""

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
    Store,
    is_dear,
)

HEADER = "jg_abreast.h"


def set_abreast(kernel: Kernel) -> Kernel:
    """Mark the loops that gain by it: those with one vector function, or two.

    More functions in a loop keep the processor busy by themselves, as far as they do not wait for
    each other, and twice the text takes the compiler twice the time.
    """
    body = tuple(map(_marked, kernel.body))
    if body == kernel.body:
        return kernel
    return replace(kernel, body=body, headers=kernel.headers | {HEADER})


def _marked(s: Any, inner: bool = False) -> Any:
    if not isinstance(s, (For, Blocks)):
        return s
    if any(isinstance(t, (For, Blocks)) for t in s.body):
        return replace(s, body=tuple(_marked(t, True) for t in s.body))
    if inner and _may_repeat(s.body) and not any(map(_one_by_one, s.body)):
        abreast = _worth(s.body, 1)
        # Of float64 at most seven elements are left, and nothing is gained.
        if abreast is not None and abreast[1] == "float32":
            return replace(s, abreast=abreast, reach=True)
    return replace(s, abreast=_worth(s.body, 2))


def _one_by_one(s: Any) -> bool:
    """Whether a statement calls a function that is not vectorised."""
    return is_dear(s) and not s.value.function.abreast(s.value.dtype)


def _may_repeat(body: Sequence[Any]) -> bool:
    """Whether a step can be done twice: it reads nothing that it writes."""
    if not all(isinstance(s, (Let, Store, Comment)) for s in body):
        return False
    written = {s.buffer.name for s in body if isinstance(s, Store)}
    loads = [s.value for s in body if isinstance(s, Let) and isinstance(s.value, Load)]
    return not any(v.buffer.name in written or v.buffer.fill for v in loads)


def _worth(body: Sequence[Any], least: int) -> tuple[int, str] | None:
    """How many vectors abreast a loop is worth, and of which dtype; None if fewer than `least`."""
    if not all(isinstance(s, (Let, Store, AccumulateAt, Comment, Cut)) for s in body):
        return None
    calls = [s.value for s in body if isinstance(s, Let) and isinstance(s.value, Call)]
    stores = any(isinstance(s, (Store, AccumulateAt)) for s in body)
    dear = [c for c in calls if c.function.abreast(c.dtype)]
    gains = [v for c in dear if (v := c.function.abreast(c.dtype, stores)) >= least]
    if not gains:
        return None
    vectors = min(gains) // len(dear)
    dtype = min((c.dtype for c in dear), key=lambda d: dtypes.NUMPY[d].itemsize)
    return (vectors, dtype) if vectors >= least else None
