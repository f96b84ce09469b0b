"""Comparing graphs by structure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jitgraph.graph import Variable, ancestors
from jitgraph.mode import Mode, get_mode
from jitgraph.ops.elementwise import Elementwise
from jitgraph.rewrite.engine import Rewriter, Table
from jitgraph.rewrite.pipeline import optimise

FAST_RUN: Mode = get_mode("FAST_RUN")
CANONICAL_ONLY = FAST_RUN.excluding("stabilize")


def merged(outputs: Iterable[Any]) -> list[Variable]:
    """Equal outputs become the same object; no rule is applied."""
    return Rewriter((), Table()).run(list(outputs))


def same_graph(a: Any, b: Any) -> bool:
    x, y = merged([a, b])
    return x is y


def becomes(before: Any, after: Any, mode: Mode = FAST_RUN) -> bool:
    """Whether `before` is rewritten to exactly the graph `after` (with constants folded)."""
    (result,) = optimise([before], mode)
    (wanted,) = optimise([after], Mode("c", None).including("constant_folding", "merge"))
    return result.type == before.type and same_graph(result, wanted)


def ops_of(outputs: Iterable[Variable]) -> list[str]:
    """The names of the ops of a graph, sorted."""
    nodes = {v.owner for v in ancestors(list(outputs)) if v.owner is not None}
    names = (
        n.op.scalar_name if isinstance(n.op, Elementwise) else type(n.op).__name__ for n in nodes
    )
    return sorted(names)


def rewritten_ops(*outputs: Any, mode: Mode = FAST_RUN) -> list[str]:
    return ops_of(optimise(list(outputs), mode))
