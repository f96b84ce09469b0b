"""Declarations of inputs and outputs."""

from __future__ import annotations

from jitgraph.function_io import In, Out

SymbolicInput, SymbolicOutput = In, Out

__all__ = ["In", "Out", "SymbolicInput", "SymbolicOutput"]
