"""Turning Python values into variables: constants, and the axes put before a variable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.errors import AsTensorError, EmptyConstantError, NotScalarConstantError
from jitgraph.graph import Apply, Constant, TensorType, Variable
from jitgraph.op import describe, here


def constant(
    x: Any, name: str | None = None, ndim: int | None = None, dtype: Any = None
) -> Constant:
    """A constant variable holding `x`; axes of length 1 are broadcastable.

    Python numbers take the dtype that `dtypes.autocast` gives them, arrays keep theirs.
    `ndim` adds axes of length 1 on the left.

    Raises TypeError for values that are no numbers, ValueError for an impossible `ndim`.
    """
    if isinstance(x, Constant):
        x = x.data
    if dtype is not None:
        array = np.array(x, dtype=dtypes.NUMPY[dtypes.check(dtype)])
    elif isinstance(x, (np.ndarray, np.generic)):
        array = np.array(x)
    elif isinstance(x, (bool, int, float)):
        array = dtypes.autocast(x)
    else:
        array = np.array(x)
        if array.size == 0 and array.dtype == np.float64:
            array = array.astype(dtypes.check("floatX"))
    if array.dtype == object or array.dtype.kind in "USVmM":
        raise AsTensorError(f"{x!r} cannot be made a tensor constant{here()}")
    array = array.astype(array.dtype.newbyteorder("="), order="C", copy=False)
    if ndim is not None:
        if array.ndim > ndim:
            raise ValueError(f"a value with {array.ndim} axes cannot have ndim={ndim}{here()}")
        array = array.reshape((1,) * (ndim - array.ndim) + array.shape)
    array.flags.writeable = False
    type_ = TensorType(array.dtype.name, [n == 1 for n in array.shape])
    return TensorType.constant_class(type_, array, name=name)


def as_tensor_variable(x: Any, name: str | None = None, ndim: int | None = None) -> Any:
    """`x` as a tensor variable: a variable unchanged, numbers and arrays as constants.

    A list or tuple that contains variables is stacked along a new first axis. `ndim` puts
    broadcastable axes on the left, or drops such axes from the left.

    Raises AsTensorError (a TypeError) for str, dict, bool, ragged lists and the like,
    ValueError for an impossible `ndim`.
    """
    if isinstance(x, Apply):
        if len(x.outputs) != 1:
            raise ValueError(f"{x} has {len(x.outputs)} outputs; choose one of them{here()}")
        x = x.outputs[0]
    if isinstance(x, Variable):
        if not isinstance(x.type, TensorType):
            raise AsTensorError(f"{x} holds {x.type}, not an array{here()}")
        return x if ndim is None else _with_ndim(x, ndim)
    if isinstance(x, (bool, str, bytes, dict, set)) or x is None:
        hint = "; use T.constant(…, dtype='bool')" if isinstance(x, bool) else ""
        raise AsTensorError(f"cannot convert {x!r} to a tensor variable{hint}{here()}")
    if isinstance(x, (list, tuple)) and _holds_variable(x):
        from jitgraph.ops.join import stack

        return as_tensor_variable(stack([as_tensor_variable(v) for v in x]), name, ndim)
    try:
        return constant(x, name=name, ndim=ndim)
    except (TypeError, ValueError) as error:
        if ndim is not None and isinstance(error, ValueError):
            raise
        raise AsTensorError(f"cannot convert {x!r} to a tensor variable: {error}") from error


def _holds_variable(x: Sequence[Any]) -> bool:
    return any(
        isinstance(v, (Variable, Apply)) or (isinstance(v, (list, tuple)) and _holds_variable(v))
        for v in x
    )


def pad_left(variable: Variable, ndim: int) -> Variable:
    """Put broadcastable axes before `variable` until it has `ndim` axes."""
    missing = ndim - variable.type.ndim
    if missing == 0:
        return variable
    from jitgraph.ops.shape import DimShuffle

    order = ("x",) * missing + tuple(range(variable.type.ndim))
    return DimShuffle(variable.type.broadcastable, order)(variable)


def _with_ndim(variable: Variable, ndim: int) -> Variable:
    surplus = variable.type.ndim - ndim
    if surplus <= 0:
        return pad_left(variable, ndim)
    if not all(variable.type.broadcastable[:surplus]):
        raise ValueError(f"{describe(variable)} cannot have ndim={ndim}{here()}")
    from jitgraph.ops.shape import DimShuffle

    return DimShuffle(variable.type.broadcastable, tuple(range(surplus, variable.type.ndim)))(
        variable
    )


def scalar_value(variable: Any) -> Any:
    """The number that `variable` is known to hold before anything runs.

    Looks through broadcasting, casts of constants and shapes of constants.
    Raises NotScalarConstantError when it is not known.
    """
    from jitgraph.ops.fold import fold_scalar

    if isinstance(variable, (int, float, np.generic)):
        return np.asarray(variable)[()]
    if isinstance(variable, np.ndarray):
        variable = constant(variable)
    if isinstance(variable, Constant):
        if variable.data.size == 0:
            raise EmptyConstantError(f"{variable} is empty")
        if variable.data.size == 1 or (variable.data == variable.data.flat[0]).all():
            return variable.data.flat[0]
        raise NotScalarConstantError(f"{variable} holds more than one value")
    value = fold_scalar(variable)
    if value is None:
        raise NotScalarConstantError(f"{variable} is not known before the function runs")
    return value
