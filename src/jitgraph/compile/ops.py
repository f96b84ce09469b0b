"""Ops made of Python functions."""

from __future__ import annotations

from jitgraph.extending.from_function import FromFunctionOp, as_op

__all__ = ["FromFunctionOp", "as_op"]
