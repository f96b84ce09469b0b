"""How inputs and outputs of a function are declared: In and Out."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import Constant, Container, SharedVariable, TensorType, Variable
from jitgraph.op import here


class In:
    """One input of a function.

    variable      the symbolic input
    name          keyword under which it may be passed; default: the variable's name
    value         default value; the input may then be left out
    update        expression whose value replaces `value` after each call
    mutable       the function may overwrite the array passed (default: True iff `update`)
    strict        accept only arrays of exactly the declared type
    allow_downcast  True: convert anything; False: never lose precision; None: only a Python
                  float may, for a floatX input
    implicit      the caller may not pass it; default: True iff `value` is a shared variable
    borrow        an output may share memory with this input; default: `mutable`

    Raises AssertionError for mutable=True with borrow=False, TypeError for implicit=True
    without a value, an update of another type, or a name that is no string.
    """

    def __init__(
        self,
        variable: Variable,
        name: str | None = None,
        value: Any = None,
        update: Any = None,
        mutable: bool | None = None,
        strict: bool = False,
        allow_downcast: bool | None = None,
        autoname: bool = True,
        implicit: bool | None = None,
        borrow: bool | None = None,
        shared: bool = False,
    ):
        if not isinstance(variable, Variable):
            raise TypeError(f"Unknown parameter type: {type(variable)}{here()}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a string! (got: {name!r}){here()}")
        self.variable = variable
        self.name = variable.name if autoname and name is None else name
        self.strict, self.allow_downcast, self.shared = strict, allow_downcast, shared
        self.mutable = bool(update is not None) if mutable is None else mutable
        if self.mutable and borrow is False:
            raise AssertionError(
                f"In({self.name}): mutable=True needs borrow=True: an input that is overwritten "
                f"in place cannot be kept apart from the outputs{here()}"
            )
        self.borrow = self.mutable if borrow is None else borrow
        self.update = self._checked_update(update)
        self.container = self._container(value)
        self.value = value
        if implicit is None:
            implicit = isinstance(value, (Container, SharedVariable))
        if implicit and value is None:
            raise TypeError(f"An implicit input must be given a default value{here()}")
        self.implicit = implicit

    def _checked_update(self, update: Any) -> Variable | None:
        if update is None:
            return None
        from jitgraph.ops.values import as_tensor_variable

        update = as_tensor_variable(update)
        if update.type != self.variable.type:
            raise TypeError(
                f"Variable '{self.variable}' has an update of type {update.type}, but its own type "
                f"is {self.variable.type}{here()}"
            )
        return update

    @staticmethod
    def _container(value: Any) -> Container | None:
        if isinstance(value, SharedVariable):
            return value.container
        return value if isinstance(value, Container) else None

    def __repr__(self) -> str:
        return (
            f"In({self.variable} -> {self.update})"
            if self.update is not None
            else f"In({self.variable})"
        )


class Out:
    """One output of a function; `borrow=True` allows it to be memory that a later call reuses."""

    def __init__(self, variable: Any, borrow: bool = False):
        self.variable = variable
        self.borrow = borrow

    def __repr__(self) -> str:
        return f"Out({self.variable},{self.borrow})"


def as_input(x: Any) -> In:
    """An entry of the `inputs` list as In.

    Raises TypeError for constants, shared variables and anything that is no variable.
    """
    if isinstance(x, In):
        return x
    if isinstance(x, Constant):
        raise TypeError(f"Constants not allowed in param list: {x}{here()}")
    if isinstance(x, SharedVariable):
        raise TypeError(
            f"Cannot use a shared variable ({x}) as explicit input. Consider substituting a "
            f"non-shared variable via the `givens` parameter{here()}"
        )
    if isinstance(x, Variable):
        return In(x)
    raise TypeError(f"Unknown parameter type: {type(x)} ({x!r}){here()}")


def as_output(x: Any) -> Out:
    """An output as Out. Raises TypeError for anything that is no variable."""
    if isinstance(x, Out):
        return Out(as_output(x.variable).variable, x.borrow)
    if isinstance(x, Variable):
        return Out(x)
    raise TypeError(f"Outputs must be a Variable or Out instances, got {x!r} of {type(x)}{here()}")


def is_tensor(variable: Variable) -> bool:
    return isinstance(variable.type, TensorType)
