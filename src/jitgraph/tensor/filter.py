"""Which values an input or shared variable of a tensor type accepts, and how they are converted."""

from __future__ import annotations

from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.config import config
from jitgraph.graph import TensorType, Variable
from jitgraph.op import describe, here

# The remedy in a message about the value of an input, and of a shared variable.
DOWNCAST = "pass allow_input_downcast=True"
SHARED_DOWNCAST = "make it with shared(…, allow_downcast=True)"

# Integers up to this magnitude are values of the dtype.
_EXACT = {"float32": 1 << 24, "float64": 1 << 53} | {
    f"int{bits}": (1 << (bits - 1)) - 1 for bits in (8, 16, 32, 64)
}
_LARGEST_FLOAT32 = (2 - 2**-23) * 2.0**127


def filter_shared(
    variable: Variable, value: Any, strict: bool = False, allow_downcast: bool | None = None
) -> np.ndarray:
    """`filter_value` for a value to be stored in `variable`, which the message names."""
    try:
        return filter_value(variable.type, value, strict, allow_downcast)
    except (TypeError, ValueError) as error:
        made = f", made at {variable.where}" if variable.where else ""
        reason = str(error).replace(DOWNCAST, SHARED_DOWNCAST)
        raise type(error)(
            f"{describe(variable)}, shared{made}, cannot have this value: {reason}"
        ) from None


def filter_value(
    type_: TensorType, value: Any, strict: bool = False, allow_downcast: bool | None = None
) -> np.ndarray:
    """`value` as an aligned array of `type_`, without a copy where it is one already.

    `strict`: only an ndarray of exactly this dtype. `allow_downcast`: True accepts anything
    that converts; False never loses precision; None is False except that a Python float
    is accepted for a floatX type.

    Raises TypeError for a dtype that would lose precision, a wrong number of axes, or a length
    other than 1 on a broadcastable axis.
    """
    if isinstance(value, Variable):
        raise TypeError(
            "Expected an array-like object, but found a Variable: maybe you are trying to call a "
            "function on a (possibly shared) variable instead of a numeric array?"
        )
    if isinstance(value, np.ndarray):
        array = _filter_array(type_, value, strict, allow_downcast)
    elif strict:
        raise TypeError(f"{type_} expected a ndarray object (strict), got {type(value).__name__}")
    else:
        array = _filter_other(type_, value, allow_downcast)
    if array.ndim != type_.ndim:
        raise TypeError(
            f"Wrong number of dimensions: expected {type_.ndim}, got {array.ndim} with shape "
            f"{array.shape}."
        )
    if not array.flags.aligned:
        array = array.copy()
    for axis, (fixed_to_one, n) in enumerate(zip(type_.broadcastable, array.shape, strict=True)):
        if fixed_to_one and n != 1:
            raise TypeError(
                f"Non-unit value on shape on a broadcastable dimension: axis {axis} of shape "
                f"{array.shape} for {type_}."
            )
    return array


def _filter_array(
    type_: TensorType, value: np.ndarray, strict: bool, allow_downcast: bool | None
) -> np.ndarray:
    native = dtypes.NUMPY[type_.dtype]
    if value.dtype == native:
        if value.dtype is native:
            return value
        # Arrays from a pickle have a dtype object of their own, and compiled code knows only one.
        return value.view(native) if value.dtype.isnative else value.astype(native)
    if strict:
        raise TypeError(f"{type_} expected a ndarray of dtype={type_.dtype}, got {value.dtype}")
    if allow_downcast:
        return _converted(value, native)
    if value.dtype.name in dtypes.CODES and (
        dtypes.upcast(type_.dtype, value.dtype.name) == type_.dtype
    ):
        return value.astype(native)
    if value.dtype == np.float16 and type_.dtype in dtypes.FLOATS:
        return value.astype(native)  # there are no float16 variables, but every value fits
    raise TypeError(
        f"{type_} cannot store a value of dtype {value.dtype} without risking loss of precision. "
        f"If you do not mind this loss, convert it with .astype('{type_.dtype}') or {DOWNCAST}."
    )


def _converted(value: Any, native: np.dtype) -> np.ndarray:
    if type(value) is float and native.char == "f" and abs(value) <= _LARGEST_FLOAT32:
        return np.asarray(value, dtype=native)  # nothing to be ignored
    with np.errstate(all="ignore"):
        return np.asarray(value).astype(native)


def _filter_other(type_: TensorType, value: Any, allow_downcast: bool | None) -> np.ndarray:
    native = dtypes.NUMPY[type_.dtype]
    if allow_downcast:
        return _converted(value, native)
    if allow_downcast is None and type(value) is float and type_.dtype == config.floatX:
        return np.asarray(value, dtype=native)
    if type(value) is int and abs(value) <= _EXACT.get(type_.dtype, -1):
        return np.array(value, dtype=native)  # the usual case, in a third of the time
    original = np.asarray(value)
    if original.dtype is native and (type(value) in (list, tuple) or isinstance(value, np.generic)):
        return original  # a new array that nobody else has
    if type(value) is int and original.dtype == object and type_.dtype in dtypes.FLOATS:
        original = _beyond_64_bits(type_, value)
    if original.dtype.kind in "OUSVc":
        if original.dtype.kind in "US":
            return original.astype(native)  # NumPy says what is wrong with the text
        raise TypeError(f"{type_} cannot store {value!r}")
    array = _converted(original, native)
    same = (array == original) | ((array != array) & (original != original))
    if not np.all(same):
        raise TypeError(
            f"{type_} cannot store accurately value {value!r}: it would become {array.tolist()!r}. "
            f"If you do not mind this loss, {DOWNCAST}."
        )
    return array


def _beyond_64_bits(type_: TensorType, value: int) -> np.ndarray:
    """The integer as float64; TypeError if it is not exactly that."""
    try:
        array = np.asarray(float(value))
    except OverflowError:
        raise TypeError(f"{type_} cannot store {value!r}") from None
    if int(array) != value:
        raise TypeError(
            f"{type_} cannot store accurately value {value!r}. If you do not mind this loss, pass "
            f"float({value!r})."
        )
    return array


def filter_variable(type_: TensorType, value: Any) -> Variable:
    """`value` as a variable of exactly `type_`.

    Arrays and numbers become constants. A variable that only has more axes marked as length 1
    loses the marks. Raises TypeError for anything else.
    """
    if not isinstance(value, Variable):
        value = type_.make_constant(filter_value(type_, value))
    if value.type == type_:
        return value
    same = (
        isinstance(value.type, TensorType)
        and value.type.dtype == type_.dtype
        and value.type.ndim == type_.ndim
    )
    if same and all(
        mine or not its
        for mine, its in zip(value.type.broadcastable, type_.broadcastable, strict=True)
    ):
        from jitgraph.ops.shape import restrict_pattern

        return restrict_pattern(value, type_.broadcastable)
    raise TypeError(
        f"Cannot convert Type {value.type} (of Variable {value}) into Type {type_}. You can try to "
        f"manually convert {value} into a {type_}{here()}"
    )


# Relative and absolute tolerance of values that count as approximately equal.
TOLERANCES = {"float32": (1e-5, 1e-5), "float64": (1e-5, 1e-8)}


def values_eq(a: Any, b: Any, approximately: bool = False) -> bool:
    """Whether two arrays have equal dtypes, shapes and elements; see `TensorType.values_eq`."""
    a, b = np.asarray(a), np.asarray(b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    rtol, atol = TOLERANCES.get(a.dtype.name, (0, 0)) if approximately else (0, 0)
    return bool(np.allclose(a, b, rtol=rtol, atol=atol, equal_nan=True))
