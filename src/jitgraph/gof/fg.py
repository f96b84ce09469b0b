"""Errors about the consistency of a graph."""

from __future__ import annotations

from jitgraph.errors import InconsistencyError, MissingInputError

__all__ = ["InconsistencyError", "MissingInputError"]
