"""The array type, under the module name that Theano gives it."""

from __future__ import annotations

from jitgraph.graph import TensorType

__all__ = ["TensorType"]
