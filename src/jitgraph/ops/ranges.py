"""Parameters that must lie in a range, checked while building where that is possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, Variable
from jitgraph.op import Gradient, Op, here
from jitgraph.ops.shape import DimShuffle, Rebroadcast, Reshape
from jitgraph.ops.values import as_tensor_variable

_PROBABILITIES = frozenset({"sigmoid", "hard_sigmoid", "ultra_fast_sigmoid"})
_COMPOSITE = frozenset({"Softmax"})
_C_LIMITS = {"float64": "f64", "float32": "f32", "int64": "i64"}


class InRange(Op):
    """x itself; ValueError, with the position, for an element outside [low, high] or nan.

    `low` and `high` may be None. `owner` and `parameter` name what is checked in the message;
    `text` is the whole rule in words, where those do not say it.
    """

    __props__ = ("owner", "parameter", "low", "high", "text")

    def __init__(self, owner: str, parameter: str, low: Any, high: Any, text: str | None = None):
        self.owner, self.parameter, self.low, self.high = owner, parameter, low, high
        self.text = text

    @property
    def name(self) -> str:
        return self.owner

    @property
    def rule(self) -> str:
        """What must hold, in words."""
        if self.text is not None:
            return self.text
        if self.high is None:
            return f"{self.parameter} must be at least {self.low}"
        if self.low is None:
            return f"{self.parameter} must be at most {self.high}"
        return f"{self.parameter} must lie in [{self.low}, {self.high}]"

    @property
    def c_routine_checks(self) -> str:
        return self.rule

    def make_node(self, x: Any) -> Apply:
        x = as_tensor_variable(x)
        return Apply(self, [x], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        inside = np.ones(x.shape, dtype=bool)
        if self.low is not None:
            inside &= x >= self.low
        if self.high is not None:
            inside &= x <= self.high
        if not inside.all():
            raise ValueError(f"{self.owner}: {self.rule}, got {x[~inside].flat[0]}")
        return (x.copy(),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def c_routine(self, node: Apply) -> tuple[str, str] | None:
        dtype = node.inputs[0].type.dtype
        if dtype not in _C_LIMITS:
            return None
        whole = dtype == "int64"
        low, high = self.low, self.high
        low_text = str(low) if low is not None else "INT64_MIN" if whole else "-__builtin_inf()"
        high_text = str(high) if high is not None else "INT64_MAX" if whole else "__builtin_inf()"
        call = f"jg_copy_in_range_{_C_LIMITS[dtype]}({{x0}}, {{z0}}, {{n:x0}}, "
        return "jg_range.h", f"{call}{low_text}, {high_text})"

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [grads[0]]


def in_range(owner: str, parameter: str, x: Any, low: Any = None, high: Any = None) -> Any:
    """`x` as a variable that is checked to lie in [low, high].

    A constant is checked at once, and what is known to lie in [0, 1] (sigmoid, softmax, a
    comparison, a clip) is not checked at all.
    """
    x = as_tensor_variable(x)
    check = InRange(owner, parameter, low, high)
    if isinstance(x, Constant):
        try:
            check.evaluate(np.asarray(x.data))
        except ValueError as error:
            raise ValueError(f"{error}{here()}") from None
        return x
    if low is not None and low <= 0 and high is not None and high >= 1 and is_probability(x):
        return x
    return check(x)


def is_probability(x: Variable) -> bool:
    """Whether every element lies in [0, 1] whatever the arguments are (nan aside)."""
    while x.owner is not None and isinstance(x.owner.op, (DimShuffle, Reshape, Rebroadcast)):
        x = x.owner.inputs[0]
    if x.type.dtype in dtypes.BOOLS:
        return True
    if isinstance(x, Constant):
        return bool(((x.data >= 0) & (x.data <= 1)).all())
    if x.owner is None:
        return False
    name = getattr(x.owner.op, "scalar_name", type(x.owner.op).__name__)
    if name in _PROBABILITIES or name in _COMPOSITE:
        return True
    if name.startswith("cast{float"):
        return is_probability(x.owner.inputs[0])
    if name == "clip":
        return all(is_probability(v) for v in x.owner.inputs[1:])
    return name == "mul" and all(is_probability(v) for v in x.owner.inputs)


__all__ = ["InRange", "in_range", "is_probability"]
