"""Shared variables and their constructors."""

from __future__ import annotations

from jitgraph.graph import SharedVariable
from jitgraph.tensor.sharing import generic_constructor, shared, shared_constructor

__all__ = ["SharedVariable", "generic_constructor", "shared", "shared_constructor"]
