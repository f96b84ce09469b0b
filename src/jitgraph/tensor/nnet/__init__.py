"""Functions for neural networks under Theano's names."""

from jitgraph.tensor.nnet import nnet, sigm
from jitgraph.tensor.nnet.nnet import *  # noqa: F403
from jitgraph.tensor.nnet.nnet import __all__ as _all

__all__ = [*_all, "nnet", "sigm"]


def __getattr__(name: str) -> object:
    if name == "ultra_sigmoid":
        raise AttributeError("there is no ultra_sigmoid; the function is ultra_fast_sigmoid")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
