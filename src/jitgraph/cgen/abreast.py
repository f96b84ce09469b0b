"""Which innermost loops compute several vectors at a time (`csrc/jg_abreast.h`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from jitgraph import dtypes
from jitgraph.cgen.ir import AccumulateAt, Blocks, Call, Comment, Cut, For, Kernel, Let, Store

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


def _marked(s: Any) -> Any:
    if not isinstance(s, (For, Blocks)):
        return s
    if any(isinstance(t, (For, Blocks)) for t in s.body):
        return replace(s, body=tuple(map(_marked, s.body)))
    return replace(s, abreast=_worth(s.body))


def _worth(body: Sequence[Any]) -> tuple[int, str] | None:
    """How many vectors abreast a loop is worth, and of which dtype."""
    if not all(isinstance(s, (Let, Store, AccumulateAt, Comment, Cut)) for s in body):
        return None
    calls = [s.value for s in body if isinstance(s, Let) and isinstance(s.value, Call)]
    dear = [c for c in calls if c.function.abreast(c.dtype)]
    gains = [v for c in dear if (v := c.function.abreast(c.dtype)) > 1]
    if not gains:
        return None
    vectors = min(gains) // len(dear)
    dtype = min((c.dtype for c in dear), key=lambda d: dtypes.NUMPY[d].itemsize)
    return (vectors, dtype) if vectors > 1 else None
