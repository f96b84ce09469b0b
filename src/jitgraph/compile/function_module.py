"""The compiled function and its errors."""

from __future__ import annotations

from jitgraph.callable import Function
from jitgraph.errors import AliasedMemoryError, UnusedInputError

__all__ = ["AliasedMemoryError", "Function", "UnusedInputError"]
