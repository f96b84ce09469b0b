"""Lengths of a loop's outputs that are known without a look into its body."""

from __future__ import annotations

import numpy as np

from jitgraph.graph import Apply, Variable
from jitgraph.ops.arithmetic import minimum
from jitgraph.ops.scan import Scan
from jitgraph.ops.shape import ShapeI
from jitgraph.rewrite.engine import Rewriter, Rule, rule_function
from jitgraph.rewrite.shapes import SHAPE, as_length


@rule_function("shape(scan)[i] without the loop", ShapeI, tags=(*SHAPE, "scan"), needs=(Scan,))
def length_of_output(node: Apply, rewriter: Rewriter) -> Variable | None:
    """A trace has n rows (or `keep`), a final window as many as its state is deep; the rows of a
    state have the lengths of its initial rows."""
    (x,) = node.inputs
    if x.owner is None or x in rewriter.keep or not isinstance(x.owner.op, Scan):
        return None
    op, axis, k = x.owner.op, node.op.i, x.index or 0
    n_steps, _, initials, _ = op.outer(x.owner.inputs)
    kept = len(op.traces)
    if axis == 0:
        if k >= kept:
            return as_length(op.depths[k - kept])
        n, keep = as_length(n_steps), op.traces[k].keep
        return n if keep is None else minimum(n, np.int64(keep))
    state = k if k < op.n_states else k - kept
    return ShapeI(axis)(initials[state]) if 0 <= state < op.n_states else None


RULES: list[Rule] = [length_of_output]
