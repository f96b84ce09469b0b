"""Run-time assertions in a graph, under the module name that Theano gives them."""

from __future__ import annotations

from jitgraph.ops.extra import Assert
from jitgraph.ops.shape import MakeVector

__all__ = ["Assert", "MakeVector", "assert_", "assert_op"]

assert_op = Assert()
assert_ = assert_op
