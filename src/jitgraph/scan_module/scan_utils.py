"""Names that programs import from Theano's module of this name."""

from __future__ import annotations

from jitgraph.cloning import clone
from jitgraph.gof.graph import equal_computations
from jitgraph.scan_module.returned import until

__all__ = ["clone", "equal_computations", "until"]
