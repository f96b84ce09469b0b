"""`x log(x)` and `x log(y)` that are 0, not nan, at x = 0."""

from __future__ import annotations

from jitgraph.ops.math import xlogx, xlogy0

__all__ = ["xlogx", "xlogy0"]
