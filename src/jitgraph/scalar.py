"""Scalar types and their promotion, under the module name that Theano gives them.

A 0-d C scalar and a 0-d array are the same thing here, so `Scalar(dtype)` is an array type
without axes, and the functions of scalars are those of `jitgraph.tensor`.
"""

from __future__ import annotations

from typing import Any

from jitgraph import dtypes
from jitgraph.dtypes import upcast
from jitgraph.errors import ComplexError, IntegerDivisionError
from jitgraph.graph import TensorType

__all__ = [
    "ComplexError",
    "IntegerDivisionError",
    "Scalar",
    "get_scalar_type",
    "upcast",
    "upcast_out",
    "upgrade_to_float",
]


class Scalar(TensorType):
    """The type of one number. Raises TypeError for a dtype that does not exist here."""

    __slots__ = ()

    def __init__(self, dtype: Any):
        super().__init__(dtype, ())

    def __str__(self) -> str:
        return str(self.dtype)

    __repr__ = __str__


def get_scalar_type(dtype: Any) -> Scalar:
    """`Scalar(dtype)`."""
    return Scalar(dtype)


def upcast_out(*types: TensorType) -> tuple[Scalar]:
    """The type of the promoted dtype, in a tuple of one."""
    return (Scalar(upcast(*(t.dtype for t in types))),)


def upgrade_to_float(*types: TensorType) -> tuple[Scalar]:
    """The float type in which functions such as exp compute for these types, in a tuple of one.

    bool and integers of at most 16 bits give float32, larger ones float64.
    """
    return (Scalar(upcast(*(dtypes.to_float(t.dtype) for t in types))),)


def __getattr__(name: str) -> Any:
    if name in dtypes.CODES:
        return Scalar(name)
    from jitgraph import tensor
    from jitgraph.ops.elementwise import Elementwise

    found = getattr(tensor, name, None)
    if isinstance(found, Elementwise):
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
