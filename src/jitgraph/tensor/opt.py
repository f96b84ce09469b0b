"""Run-time assertions and vectors of scalars, under the module name that Theano gives them."""

from __future__ import annotations

from jitgraph.ops.extra import Assert
from jitgraph.ops.shape import MakeVector

__all__ = ["Assert", "MakeVector", "assert_", "assert_op", "make_vector"]

assert_op = Assert()
assert_ = assert_op
make_vector = MakeVector("int64")
