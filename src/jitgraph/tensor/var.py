"""The classes of symbolic arrays, under the module name that Theano gives them."""

from __future__ import annotations

from jitgraph.errors import AsTensorError
from jitgraph.tensor.variable import TensorConstant, TensorSharedVariable, TensorVariable

__all__ = ["AsTensorError", "TensorConstant", "TensorSharedVariable", "TensorVariable"]
