"""Real and imaginary parts: defined for real arrays, the only ones there are."""

from __future__ import annotations

from typing import Any, NoReturn

from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.special import angle
from jitgraph.ops.values import as_tensor_variable
from jitgraph.tensor.basic import conj, zeros_like

__all__ = ["angle", "complex", "complex_from_polar", "conj", "imag", "real"]


def real(z: Any) -> Variable:
    """The real part of an array, which is the array itself."""
    return as_tensor_variable(z)


def imag(z: Any) -> Variable:
    """The imaginary part of a real array: zeros of its shape and dtype."""
    return zeros_like(z)


def complex(real: Any, imag: Any) -> NoReturn:
    """Refused with a TypeError: there are no complex arrays."""
    _refuse("complex", real, imag)


def complex_from_polar(abs: Any, angle: Any) -> NoReturn:
    """Refused with a TypeError: there are no complex arrays."""
    _refuse("complex_from_polar", abs, angle)


def _refuse(name: str, *operands: Any) -> NoReturn:
    shown = " and ".join(describe(as_tensor_variable(x)) for x in operands)
    raise TypeError(
        f"{name} of {shown}: complex arrays are unsupported; keep the two parts as real arrays"
        f"{here()}"
    )
