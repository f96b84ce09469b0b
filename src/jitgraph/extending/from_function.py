"""`as_op`: a Python function on arrays as an op."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from jitgraph.errors import MethodNotDefined
from jitgraph.extending.user_op import Op
from jitgraph.graph import Apply, Type, Variable
from jitgraph.op import Gradient, here

Inference = Callable[[Apply, Sequence[Any]], Any]


class NoGradientError(MethodNotDefined, AttributeError):
    """A function on arrays has no gradient."""


class FromFunctionOp(Op):
    """The op of one Python function; equal for the same function and types."""

    def __init__(
        self,
        fn: Callable[..., Any],
        itypes: Sequence[Type],
        otypes: Sequence[Type],
        infer_shape: Inference | None,
    ):
        self.fn, self.itypes, self.otypes = fn, list(itypes), list(otypes)
        self._infer_shape = infer_shape
        self.__doc__ = fn.__doc__
        self.name = getattr(fn, "__name__", None)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, FromFunctionOp)
            and self.fn == other.fn
            and (self.itypes, self.otypes) == (other.itypes, other.otypes)
        )

    def __hash__(self) -> int:
        return hash(self.fn)

    def __str__(self) -> str:
        return f"FromFunctionOp{{{self.name}}}"

    __repr__ = __str__

    def perform(self, node: Apply, inputs: Sequence[Any], output_storage: list[list[Any]]) -> None:
        results = self.fn(*inputs)
        if not isinstance(results, (list, tuple)):
            results = (results,)
        if len(results) != len(output_storage):
            raise ValueError(
                f"{self.name} returned {len(results)} values for {len(output_storage)} outputs"
            )
        for cell, value in zip(output_storage, results, strict=True):
            cell[0] = value

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> Any:
        return None if self._infer_shape is None else self._infer_shape(node, shapes)

    def grad(  # type: ignore[override]
        self, inputs: Sequence[Variable], output_grads: Sequence[Gradient]
    ) -> Any:
        raise NoGradientError("grad", type(self), f"{self.name} is a function on arrays")

    def __reduce__(self) -> tuple[Any, ...]:
        # Under the name of the decorated function stands this op, so the function is not found.
        name = self.fn.__qualname__
        if "<locals>" in name or "<lambda>" in name:
            raise TypeError(f"{self} cannot be pickled: its function is not global in a module")
        return _named, (self.fn.__module__, name)


def _named(module: str, name: str) -> FromFunctionOp:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if not isinstance(found, FromFunctionOp):
        raise TypeError(f"{module}.{name} is no op made by as_op")
    return found


def _types(given: Any, what: str) -> list[Type]:
    types = list(given) if isinstance(given, (list, tuple)) else [given]
    if not all(isinstance(t, Type) for t in types):
        raise TypeError(f"as_op: {what} must be a type or a list of types, got {given!r}{here()}")
    return types


def as_op(
    itypes: Any, otypes: Any, infer_shape: Inference | None = None
) -> Callable[[Callable[..., Any]], FromFunctionOp]:
    """Decorate a function on arrays to make it an op on variables, without gradient.

    itypes, otypes  a type such as `T.dmatrix`, or a list of them
    infer_shape     (node, input shapes) -> list of output shapes; optional

    The function must return new arrays of exactly the types `otypes`. Raises TypeError if types are
    no types; the op raises TypeError for inputs of other types.

    >>> @as_op(itypes=[T.dmatrix], otypes=[T.dvector])
    ... def row_ranks(a):
    ...     return a.argsort(axis=1)[:, 0].astype("float64")
    """
    ins, outs = _types(itypes, "itypes"), _types(otypes, "otypes")
    if infer_shape is not None and not callable(infer_shape):
        raise TypeError(f"as_op: infer_shape must be callable, got {infer_shape!r}{here()}")

    def decorate(fn: Callable[..., Any]) -> FromFunctionOp:
        return FromFunctionOp(fn, ins, outs, infer_shape)

    return decorate
