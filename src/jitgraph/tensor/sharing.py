"""Shared variables: values that live between the calls of compiled functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import (
    Container,
    GenericType,
    SharedVariable,
    TensorType,
    Variable,
    user_origin,
)
from jitgraph.op import here
from jitgraph.tensor.variable import TensorSharedVariable


class GenericSharedVariable(SharedVariable):
    """A shared value that is no array, such as a random state."""

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        import copy

        return self.container.data if borrow else copy.deepcopy(self.container.data)

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        import copy

        self.container.data = new_value if borrow else copy.deepcopy(new_value)

    def clone(self) -> GenericSharedVariable:
        return type(self)(self.type, self.container, self.name)

    def __getitem__(self, key: Any) -> Any:
        raise TypeError(
            f"this shared variable holds a {type(self.container.data).__name__}, which cannot be "
            f"indexed or used in mathematics; share np.asarray(value) instead{here()}"
        )


Constructor = Callable[..., SharedVariable]
_constructors: list[Constructor] = []


def shared_constructor(function: Constructor) -> Constructor:
    """Register `function(value, name, strict, allow_downcast, **kw)`; it declines by TypeError."""
    _constructors.append(function)
    return function


@shared_constructor
def generic_constructor(
    value: Any, name: str | None = None, strict: bool = False, allow_downcast: Any = None
) -> SharedVariable:
    if isinstance(value, (np.ndarray, np.generic, complex)):
        dtypes.check(np.asarray(value).dtype)  # an array must not become a generic value unnoticed
    _check_size(value)
    return GenericSharedVariable(GenericType(), Container(value), name)


NO_NUMBER, NO_ARRAY = "not a number", "not an array"


def _check_size(value: Any) -> None:
    """TypeError for an integer that no dtype holds: neither an array nor a generic value."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        raise TypeError(
            f"an integer of {value.bit_length()} bits fits no dtype; share float(…) of it instead"
        )


def _tensor(
    type_: TensorType, array: np.ndarray, name: str | None, strict: bool, allow_downcast: Any
) -> TensorSharedVariable:
    variable = TensorSharedVariable(type_, Container(array), name)
    variable.strict, variable.allow_downcast = bool(strict), allow_downcast
    return variable


@shared_constructor
def scalar_constructor(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: Any = None,
    borrow: bool = False,
    target: str = "cpu",
) -> SharedVariable:
    if not isinstance(value, (bool, int, float, np.generic)):
        raise TypeError(NO_NUMBER)
    _check_size(value)
    array = np.array(value)
    type_ = TensorType(dtypes.check(array.dtype), ())
    return _tensor(type_, array, name, strict, allow_downcast)


@shared_constructor
def tensor_constructor(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: Any = None,
    borrow: bool = False,
    broadcastable: Sequence[bool] | None = None,
    target: str = "cpu",
) -> SharedVariable:
    if not isinstance(value, np.ndarray):
        raise TypeError(NO_ARRAY)
    if broadcastable is None:
        broadcastable = (False,) * value.ndim
    type_ = TensorType(dtypes.check(value.dtype), broadcastable)
    from jitgraph.tensor.filter import filter_value

    array = filter_value(type_, value)
    if not borrow:
        array = np.array(array, order="C")
    return _tensor(type_, array, name, strict, allow_downcast)


def shared(
    value: Any,
    name: str | None = None,
    strict: bool = False,
    allow_downcast: bool | None = None,
    **kwargs: Any,
) -> Any:
    """A variable whose value is kept between calls and changed by `updates` or `set_value`.

    ndarray: a tensor of its dtype, no axis broadcastable unless `broadcastable=` says so.
    Python and NumPy numbers: 0-d (int -> int64, float -> float64). RandomState: a random
    state. Anything else: a generic value. `borrow=True` makes the caller's array the storage.
    `set_value` takes only arrays of exactly this dtype with `strict`, and with `allow_downcast`
    whatever converts, precision or not.

    Raises TypeError for a Variable, or arguments no constructor takes.
    """
    if isinstance(value, Variable):
        raise TypeError(
            f"shared takes a numeric value, not the symbolic {value}; use .get_value() or .eval()"
            f"{here()}"
        )
    if type(value).__module__.startswith("numpy.random"):
        import jitgraph.tensor.shared_randomstreams  # noqa: F401 - registers its constructor
    refusals: list[str] = []
    for make in reversed(_constructors):
        try:
            variable = make(
                value, name=name, strict=strict, allow_downcast=allow_downcast, **kwargs
            )
        except TypeError as error:
            refusals.append(str(error))
            continue
        variable.origins = user_origin()
        return variable
    raise TypeError(
        f"No suitable SharedVariable constructor could be found for {type(value).__name__} with "
        f"{', '.join(kwargs) or 'no further arguments'}: {_reason(kwargs, refusals)}{here()}"
    )


def _reason(kwargs: dict[str, Any], refusals: Sequence[str]) -> str:
    """Why no constructor took the value: an argument that none of them has, or what they say."""
    from inspect import signature

    known = {name for make in _constructors for name in signature(make).parameters}
    unknown = [name for name in kwargs if name not in known]
    if not unknown:
        told = dict.fromkeys(r for r in refusals if r not in (NO_NUMBER, NO_ARRAY))
        return "; ".join(told or refusals)
    hint = "; convert the value: np.asarray(value, dtype)" if "dtype" in unknown else ""
    return f"there is no argument {', '.join(unknown)}{hint}"
