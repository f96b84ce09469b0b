"""`function` by the name of its first implementation."""

from __future__ import annotations

from jitgraph.function_io import In
from jitgraph.functions import function

pfunc = function
Param = In

__all__ = ["Param", "pfunc"]
