"""Rewriting graphs with loops, and comparing what they compute before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from structure import FAST_RUN

from jitgraph.graph import Apply, Variable, toposort
from jitgraph.mode import Mode
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.scan import Scan
from jitgraph.reference import evaluate
from jitgraph.rewrite.pipeline import optimise
from jitgraph.rewrite.scan_rules import RULES

NAMES = {r.name for r in RULES}


class Rewritten:
    """The outputs after rewriting, with what happened to the loops."""

    def __init__(self, outputs: Sequence[Variable], mode: Mode = FAST_RUN):
        self.log: list[str] = []
        self.outputs = optimise(list(outputs), mode, self.log)

    @property
    def rules(self) -> set[str]:
        """The rewrites of loops that fired."""
        return NAMES.intersection(self.log)

    @property
    def scans(self) -> list[Apply]:
        return [n for n in toposort(self.outputs) if isinstance(n.op, Scan)]

    @property
    def scan(self) -> Apply:
        (node,) = self.scans
        return node

    def outside(self) -> list[str]:
        return op_names(self.outputs)

    def inside(self, number: int = 0) -> list[str]:
        """The names of the ops in the body of a loop."""
        return op_names(self.scans[number].op.body.outputs)


def op_names(outputs: Sequence[Variable]) -> list[str]:
    return sorted(
        n.op.scalar_name if isinstance(n.op, Elementwise) else type(n.op).__name__
        for n in toposort(outputs)
    )


def agree(
    outputs: Sequence[Variable],
    values: Mapping[Variable, Any],
    ulp: float = 0,
    mode: Mode = FAST_RUN,
) -> Rewritten:
    """Rewrite, and compare all outputs with those of the graph as it was written.

    `ulp`: how far elements may differ, in units in the last place of the largest element of the
    output (what other orders of summation cost); 0: not at all.
    """
    new = Rewritten(outputs, mode)
    before = evaluate(outputs, values)
    after = evaluate(new.outputs, values)
    for old, a, b in zip(outputs, before, after, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert a.dtype == b.dtype and a.shape == b.shape
        if not ulp or a.dtype.kind != "f" or not a.size:
            np.testing.assert_array_equal(a, b, err_msg=str(old))
        else:
            unit = np.spacing(np.abs(a).max())
            np.testing.assert_allclose(a, b, rtol=0, atol=ulp * unit, err_msg=str(old))
    for old, v in zip(outputs, new.outputs, strict=True):
        assert old.type == v.type
    return new
