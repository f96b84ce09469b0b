"""How the values of a call become what compiled code reads.

Compiled code reads arrays of the declared dtype and, for an input of no axes, NumPy numbers of it
and Python numbers of which it loses nothing, or as much as `config.floatX` allows (`jg_number` in
csrc/jg_abi.h). Any other value is made an array first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.function_io import In
from jitgraph.graph import TensorType
from jitgraph.tensor.filter import filter_value

_FLOAT64 = dtypes.NUMPY["float64"]


class Argument:
    """The values that one input takes.

    is_number: it has no axes
    in_place:  compiled code takes no number that `array` would refuse
    """

    __slots__ = ("declared", "dtype", "in_place", "is_number", "ndim", "type")

    def __init__(self, declared: In):
        self.declared = declared
        self.type = type_ = declared.variable.type
        is_tensor = isinstance(type_, TensorType)
        self.ndim: int = type_.ndim if is_tensor else -1
        self.is_number = self.ndim == 0
        exact = is_tensor and type_.dtype == "float32" and declared.allow_downcast is False
        self.in_place = not (self.is_number and (declared.strict or exact))
        # An array with an axis of length 1 is examined.
        plain = is_tensor and not any(type_.broadcastable)
        self.dtype = dtypes.NUMPY[type_.dtype] if plain else None

    def array(self, value: Any) -> Any:
        """The value as an array of the declared type, without a copy where it is one already.

        What is no tensor is left as it is. Raises TypeError or ValueError for a wrong value.
        """
        kind = type(value)
        if kind is np.ndarray:
            if value.dtype is self.dtype and value.ndim == self.ndim and value.flags.aligned:
                return value
        elif kind is float and self.is_number and self.in_place and self.dtype is _FLOAT64:
            return np.asarray(value)
        if not isinstance(self.type, TensorType):
            return value
        i = self.declared
        array = filter_value(self.type, value, i.strict, i.allow_downcast)
        return array if type(array) is np.ndarray else array.view(np.ndarray)
