"""The class of shared arrays, under the module name that Theano gives it."""

from __future__ import annotations

from jitgraph.tensor.sharing import scalar_constructor, tensor_constructor
from jitgraph.tensor.variable import TensorSharedVariable

__all__ = ["TensorSharedVariable", "scalar_constructor", "tensor_constructor"]
