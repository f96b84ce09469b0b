"""Operations that a program defines itself: `Op`, `as_op`, `OpFromGraph`.

They are ordinary nodes while a graph is built and differentiated. Before it is compiled,
`prepare.prepared` puts the inner graph in the place of an OpFromGraph, and a Python step in the
place of an op that computes with `perform`.
"""

from __future__ import annotations

from jitgraph.extending.from_function import FromFunctionOp, as_op
from jitgraph.extending.from_graph import OpFromGraph
from jitgraph.extending.user_op import Op

__all__ = ["FromFunctionOp", "Op", "OpFromGraph", "as_op"]
