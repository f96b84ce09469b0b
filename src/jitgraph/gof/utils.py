"""The error about a method that an op does not have."""

from __future__ import annotations

from jitgraph.errors import MethodNotDefined

__all__ = ["MethodNotDefined"]
