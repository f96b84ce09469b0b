"""Functions for neural networks under Theano's names."""

from jitgraph.tensor.nnet import nnet, sigm
from jitgraph.tensor.nnet.nnet import *  # noqa: F403
from jitgraph.tensor.nnet.nnet import __all__ as _all

__all__ = [*_all, "nnet", "sigm"]


_CLASSES = (
    "confusion_matrix",
    "h_softmax",
    "prepend_0_to_each_row",
    "prepend_1_to_each_row",
    "prepend_scalar_to_each_row",
)


def __getattr__(name: str) -> object:
    if name in _CLASSES:
        from jitgraph.tensor.nnet import classes

        return getattr(classes, name)
    if name in ("bn", "batch_normalization"):
        from importlib import import_module

        bn = import_module(f"{__name__}.bn")
        return bn if name == "bn" else bn.batch_normalization
    if name == "ultra_sigmoid":
        raise AttributeError("there is no ultra_sigmoid; the function is ultra_fast_sigmoid")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
