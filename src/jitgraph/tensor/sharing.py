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
    return GenericSharedVariable(GenericType(), Container(value), name)


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
        raise TypeError("not a number")
    array = np.array(value)
    type_ = TensorType(dtypes.check(array.dtype), ())
    return TensorSharedVariable(type_, Container(array), name)


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
        raise TypeError("not an array")
    if broadcastable is None:
        broadcastable = (False,) * value.ndim
    type_ = TensorType(dtypes.check(value.dtype), broadcastable)
    from jitgraph.tensor.filter import filter_value

    array = filter_value(type_, value)
    if not borrow:
        array = np.array(array, order="C")
    return TensorSharedVariable(type_, Container(array), name)


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
        f"{', '.join(kwargs) or 'no further arguments'}: {'; '.join(refusals)}{here()}"
    )
