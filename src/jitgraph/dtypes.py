"""The element types of arrays: names, C types, promotion, and how Python numbers are read.

The promotion table is NumPy's, applied to dtypes as if every operand were an array:
values never matter (`int8 + uint8 -> int16`, `int32 + float32 -> float64`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from jitgraph.config import config

# The order is part of the ABI: the C side looks a dtype object up by its position.
NAMES: tuple[str, ...] = (
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float32",
    "float64",
)
CODES = {name: code for code, name in enumerate(NAMES)}
NUMPY = {name: np.dtype(name) for name in NAMES}

C_TYPES = {
    "bool": "uint8_t",
    "float32": "float",
    "float64": "double",
} | {n: f"{n}_t" for n in NAMES if n.startswith(("int", "uint"))}

# The tag in the name of a C function: jg_exp_f64.
TAGS = {"bool": "b8", "float32": "f32", "float64": "f64"} | {
    n: n.replace("uint", "u").replace("int", "i") for n in NAMES if n.startswith(("int", "uint"))
}

BOOLS = frozenset({"bool"})
SIGNED = frozenset({"int8", "int16", "int32", "int64"})
UNSIGNED = frozenset({"uint8", "uint16", "uint32", "uint64"})
INTEGERS = SIGNED | UNSIGNED
DISCRETE = BOOLS | INTEGERS
FLOATS = frozenset({"float32", "float64"})

# The dtypes tried for a Python float in place of those that floatX stands for, in order.
AUTOCAST_FLOATS: tuple[str, ...] = ()

_KNOWN_ELSEWHERE = frozenset({"float16", "complex64", "complex128"})


def check(name: Any) -> str:
    """Return the canonical name of a dtype; `"floatX"` is the configured float type.

    Raises TypeError for a dtype that jitgraph has no arrays of.
    """
    if isinstance(name, str):
        if name in CODES:
            return name
        if name == "floatX":
            return check(config.floatX)
    try:
        canonical = np.dtype(name).name
    except TypeError:
        raise TypeError(f"unknown dtype {name!r}; known are {', '.join(NAMES)}") from None
    if canonical in CODES:
        return canonical
    hint = (
        " (float16 and complex arrays are not supported)" if canonical in _KNOWN_ELSEWHERE else ""
    )
    raise TypeError(f"unsupported dtype {canonical!r}{hint}; supported are {', '.join(NAMES)}")


@cache
def _promote(names: frozenset[str]) -> str:
    return np.result_type(*(NUMPY[n] for n in sorted(names))).name


def upcast(*names: str) -> str:
    """The smallest dtype that holds every given dtype, by NumPy's table.

    >>> upcast("int8", "uint8"), upcast("int32", "float32")
    ('int16', 'float64')
    """
    return _promote(frozenset(names))


def to_float(name: str) -> str:
    """The float dtype in which a function such as exp is computed.

    bool and integers of at most 16 bits become float32, larger ones float64.
    """
    if name in FLOATS:
        return name
    return "float32" if NUMPY[name].itemsize <= 2 else "float64"


def autocast(value: bool | int | float) -> np.ndarray:
    """Read a Python number as a 0-d array of the dtype it takes in an expression.

    An int takes the smallest of int8 … int64, uint64 that holds it. With
    `floatX=float64` a float takes float32 where that is exact (0.5, 2.0) and
    float64 otherwise (0.1); with another `floatX` it takes that. With
    `cast_policy=numpy+floatX` an int takes int64, a float floatX.

    Raises OverflowError for an int beyond 64 bits.
    """
    if isinstance(value, bool):
        return np.asarray(value, dtype="int8")
    if config.cast_policy == "numpy+floatX":
        array = np.asarray(value)
        if array.dtype == object:
            raise OverflowError(f"{value} does not fit in 64 bits")
        return array.astype(check(config.floatX)) if array.dtype == np.float64 else array
    if isinstance(value, int):
        for name in ("int8", "int16", "int32", "int64", "uint64"):
            info = np.iinfo(name)
            if info.min <= value <= info.max:
                return np.asarray(value, dtype=name)
        raise OverflowError(f"{value} does not fit in 64 bits")
    floatx = check(config.floatX)
    choice = AUTOCAST_FLOATS or (("float32", "float64") if floatx == "float64" else (floatx,))
    with np.errstate(over="ignore"):
        for name in choice[:-1]:
            array = np.asarray(value, dtype=name)
            if float(array) == value or value != value:
                return array
        return np.asarray(value, dtype=choice[-1])
