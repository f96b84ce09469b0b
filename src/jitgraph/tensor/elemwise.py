"""The elementwise and reducing ops, under the module name that Theano gives them."""

from __future__ import annotations

from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.reduce import ArgReduce, Reduce
from jitgraph.ops.shape import DimShuffle

Elemwise = Elementwise
CAReduce = Reduce

__all__ = ["ArgReduce", "CAReduce", "DimShuffle", "Elementwise", "Elemwise", "Reduce"]
