"""The protocol of an op, and what the gradient of an op may answer.

An op is a value: two ops are equal when their class and the attributes listed in
`__props__` are equal, and `token()` writes both as text for cache keys and metadata.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from jitgraph.config import change_flags, config
from jitgraph.errors import MethodNotDefined
from jitgraph.graph import (
    Apply,
    Constant,
    Variable,
    format_origin,
    user_origin,
    user_place,
)


class Disconnected:
    """Gradient answer: the output does not depend on this input (or only through integers)."""

    __slots__ = ()

    @property
    def type(self) -> DisconnectedType:
        return DisconnectedType()

    def __repr__(self) -> str:
        return "<DisconnectedType>"


class Undefined:
    """Gradient answer: mathematically there is none, and `reason` says why."""

    __slots__ = ("reason",)

    def __init__(self, reason: str):
        self.reason = reason

    @property
    def type(self) -> NullType:
        return NullType(self.reason)

    def __repr__(self) -> str:
        return f"<NullType: {self.reason}>"


DISCONNECTED = Disconnected()


@dataclass(frozen=True)
class DisconnectedType:
    """The `type` of a gradient that is not connected; `DisconnectedType()()` is the gradient."""

    def __call__(self, name: str | None = None) -> Disconnected:
        return DISCONNECTED


@dataclass(frozen=True)
class NullType:
    """The `type` of a gradient that does not exist, for the reason `why_null`."""

    why_null: str = "(no reason was given)"

    def __call__(self, name: str | None = None) -> Undefined:
        return Undefined(self.why_null)


Gradient = Variable | Disconnected | Undefined

REGISTRY: dict[str, type[Op]] = {}


class Op:
    """What is computed, apart from how: types, reference value, shape and gradient."""

    __props__: ClassVar[tuple[str, ...]] = ()
    # Facts about the op that passes ask for.
    foldable: bool = True  # may be evaluated when all inputs are constants
    default_output: int | None = None
    is_left_padding: bool = False  # only puts axes of length 1 before its input
    needs_preparation: bool = False  # replaced before compilation, see jitgraph.extending

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        REGISTRY.setdefault(cls.__name__, cls)

    # -- identity --
    def props(self) -> tuple[Any, ...]:
        return tuple(getattr(self, name) for name in self.__props__)

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self.props() == other.props())

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.props()))

    def token(self) -> str:
        """The op as text from which `from_token` makes an equal op."""
        import json

        return json.dumps([type(self).__name__, *self.props()], separators=(",", ":"))

    @property
    def name(self) -> str:
        return type(self).__name__

    def __str__(self) -> str:
        if not self.__props__:
            return type(self).__name__
        inner = ", ".join(f"{p}={getattr(self, p)!r}" for p in self.__props__)
        return f"{type(self).__name__}{{{inner}}}"

    __repr__ = __str__

    def __reduce_ex__(self, protocol: Any) -> Any:
        if hasattr(self, "body"):  # an inner graph, which is stored as graphs are
            return super().__reduce_ex__(protocol)
        return _stored_op, (type(self).__module__, self.token())

    # -- building --
    def make_node(self, *inputs: Any) -> Apply:
        raise NotImplementedError

    def __call__(self, *inputs: Any) -> Any:
        node = self.make_node(*inputs)
        self.noted(node)
        if len(node.outputs) == 1:
            return node.outputs[0]
        if self.default_output is not None:
            return node.outputs[self.default_output]
        return list(node.outputs)

    def noted(self, node: Apply) -> None:
        """Keep the place in the program that made `node`, and compute test values if asked for."""
        node.origins, node.trace_source = user_place(config.traceback.limit)
        if config.compute_test_value != "off":
            from jitgraph.test_values import compute

            compute(node)

    # -- meaning --
    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """The outputs by NumPy alone; the oracle of every test. Inputs stay as they are."""
        raise NotImplementedError(f"{self} has no reference evaluation")

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        """Shapes of the outputs from those of the inputs: tuples of ints and int64 scalars.

        None: the shape is known only after the op has run.
        """
        return None

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        """Gradients of the inputs, given those of the outputs (`grads`, some DISCONNECTED)."""
        raise MethodNotDefined("grad", type(self), type(self).__name__)

    def L_op(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        """What differentiation asks: `grad`, in the form that ops written for Theano have too."""
        return self.grad(inputs, outputs, grads)

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """For each input and each output, whether a gradient can flow between them."""
        return [[True] * len(node.outputs) for _ in node.inputs]


def _freeze(value: Any) -> Any:
    return tuple(_freeze(v) for v in value) if isinstance(value, list) else value


def from_token(token: str) -> Op:
    """The op that `token` describes (see `Op.token`)."""
    import json

    name, *props = json.loads(token)
    return REGISTRY[name](*(_freeze(p) for p in props))


def _stored_op(module: str, token: str) -> Op:
    """The op that was pickled under this token; `module` declares its class."""
    import importlib

    importlib.import_module(module)
    try:
        return from_token(token)
    except KeyError as missing:
        raise LookupError(
            f"the op {token} is declared by a program: import what declares {missing} first"
        ) from None


def without_test_values() -> AbstractContextManager[Any]:
    """For building nodes that are no part of the program: rewriting, auxiliary leaves."""
    if config.compute_test_value == "off":
        return nullcontext()
    return change_flags(compute_test_value="off")


def describe(variable: Variable) -> str:
    """`x float64[?, 1]`: how a variable is called in an error message."""
    while (
        variable.name is None and variable.owner is not None and variable.owner.op.is_left_padding
    ):
        variable = variable.owner.inputs[0]  # what the user wrote, without the axes put before it
    kind = getattr(variable.type, "dtype", None)
    label = variable.name or (
        f"the result of {variable.owner.op.name}"
        if variable.owner is not None
        else "a constant"
        if isinstance(variable, Constant)
        else "an unnamed input"
    )
    if kind is None:
        return label
    dims = ", ".join("1" if b else "?" for b in variable.type.broadcastable)
    return f"{label} {kind}[{dims}]"


def here(origins: Sequence[tuple[str, int]] = ()) -> str:
    """`   (model.py:41)`, the suffix that names the user's line."""
    text = format_origin(origins or user_origin())
    return f"   ({text})" if text else ""
