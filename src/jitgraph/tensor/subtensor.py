"""The indexing ops, under the module name that Theano gives them."""

from __future__ import annotations

from jitgraph.errors import AdvancedIndexingError
from jitgraph.ops.index import (
    AdvancedIncSubtensor,
    AdvancedSubtensor,
    IncSubtensor,
    Subtensor,
    take_index,
)
from jitgraph.tensor.arranging import take
from jitgraph.tensor.indexing import inc_subtensor, set_subtensor

# Theano has ops of their own for one index vector; here the general ones do both.
AdvancedSubtensor1 = AdvancedSubtensor
AdvancedIncSubtensor1 = AdvancedIncSubtensor

__all__ = [
    "AdvancedIncSubtensor",
    "AdvancedIncSubtensor1",
    "AdvancedIndexingError",
    "AdvancedSubtensor",
    "AdvancedSubtensor1",
    "IncSubtensor",
    "Subtensor",
    "inc_subtensor",
    "set_subtensor",
    "take",
    "take_index",
]
