"""Ops made of graphs."""

from __future__ import annotations

from jitgraph.extending.from_graph import OpFromGraph

__all__ = ["OpFromGraph"]
