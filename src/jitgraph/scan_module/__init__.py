"""Loops: `scan` and what is made of it, under the module name that Theano gives them."""

from __future__ import annotations

from jitgraph.scan_module.checkpoints import scan_checkpoints
from jitgraph.scan_module.folds import foldl, foldr, map, reduce
from jitgraph.scan_module.loop import scan
from jitgraph.scan_module.returned import until

__all__ = ["foldl", "foldr", "map", "reduce", "scan", "scan_checkpoints", "until"]
