"""Graphs and ops, under the module names that Theano gives them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from jitgraph.errors import InconsistencyError, MethodNotDefined, MissingInputError
from jitgraph.extending.user_op import Op
from jitgraph.graph import Apply, Constant, Type, Variable

__all__ = [
    "Apply",
    "Constant",
    "InconsistencyError",
    "MethodNotDefined",
    "MissingInputError",
    "Op",
    "Type",
    "Variable",
]
_MODULES = ("fg", "graph", "op", "utils")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
