"""What `scan` is given: sequences with taps, initial values with taps, the number of steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.config import config
from jitgraph.errors import MissingTestValueError, NotScalarConstantError
from jitgraph.graph import TensorType, Variable, user_origin
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import cast, maximum, minimum
from jitgraph.ops.shape import ShapeI, dimshuffle
from jitgraph.ops.values import as_tensor_variable, constant, scalar_value


def as_list(given: Any) -> list[Any]:
    """A list or tuple as a list, None as nothing, anything else as its only element."""
    if given is None:
        return []
    return list(given) if isinstance(given, (list, tuple)) else [given]


def _row_type(x: Variable) -> TensorType:
    return TensorType(x.type.dtype, x.type.broadcastable[1:])


def _at(name: str | None, tap: int) -> str | None:
    return None if name is None else f"{name}[t{tap:+d}]" if tap else f"{name}[t]"


def _leaf(type_: Any, name: str | None) -> Variable:
    leaf: Variable = type_.make_variable(name)
    leaf.origins = user_origin()
    return leaf


def _exemplify(v: Variable, source: Variable, row: int | None) -> None:
    """Give what stands for a row of `source` (or for it) the test value of the first step."""
    if config.compute_test_value == "off":
        return
    from jitgraph.test_values import get_test_value

    try:
        value = get_test_value(source)
    except MissingTestValueError:
        return
    if row is None or row < len(value):
        v.tag.__dict__["test_value"] = value if row is None else value[row]


def _taps(given: Any, what: str) -> tuple[int, ...]:
    taps = as_list(given)
    for tap in taps:
        if not isinstance(tap, (int, np.integer)) or isinstance(tap, bool):
            raise ValueError(f"{what}: taps must be integers, got {tap!r}{here()}")
    if not taps:
        raise ValueError(f"{what}: taps must not be empty{here()}")
    if len(set(taps)) != len(taps):
        raise ValueError(f"{what}: the taps {list(map(int, taps))} contain one twice{here()}")
    return tuple(int(tap) for tap in taps)


def _check_keys(given: dict[str, Any], known: Sequence[str], what: str) -> None:
    if "return_steps" in given:
        raise ValueError(
            f"{what}: return_steps is gone; index the result of scan instead (only the rows that "
            f"are used are kept){here()}"
        )
    if unknown := [k for k in given if k not in known]:
        raise ValueError(
            f"{what}: unknown key {unknown[0]!r}; known are {', '.join(known)}{here()}"
        )


@dataclass
class SequenceInput:
    """An array read row by row: tap k at step t is row t + k - min(taps, 0)."""

    variable: Variable
    taps: tuple[int, ...]
    inner: list[Variable]  # one row for each tap

    @property
    def low(self) -> int:
        return min(0, *self.taps)

    @property
    def span(self) -> int:
        """How many rows more than steps it takes."""
        return max(0, *self.taps) - self.low

    def offset(self, tap: int) -> int:
        return tap - self.low

    def steps(self) -> Variable:
        """For how many steps there are rows."""
        steps: Variable = ShapeI(0)(self.variable)
        if self.span:
            steps = maximum(steps - self.span, np.int64(0))  # type: ignore[operator]
        return steps

    def last_rows(self, n: Variable) -> Variable:
        """The rows that `n` steps read if they start at the end; all rows if there are too few."""
        start = maximum(ShapeI(0)(self.variable) - n - self.span, np.int64(0))
        return self.variable[start:]  # type: ignore[index]

    def first_rows(self, backwards: bool) -> list[Variable]:
        """What a single step reads, for each tap."""
        start = ShapeI(0)(self.variable) - 1 - self.span if backwards else np.int64(0)
        return [self.variable[start + self.offset(tap)] for tap in self.taps]  # type: ignore[index]


def sequences_of(given: Any, title: str) -> list[SequenceInput]:
    """The sequences; ValueError for wrong taps, unknown keys, and what has no rows."""
    result = []
    for i, entry in enumerate(as_list(given)):
        what = f"{title}: sequence {i}"
        taps: Any = [0]
        if isinstance(entry, dict):
            _check_keys(entry, ("input", "taps"), what)
            if entry.get("input") is None:
                raise ValueError(f"{what}: the dict has no 'input'{here()}")
            if entry.get("taps") is not None:
                taps = entry["taps"]
            entry = entry["input"]
        x = as_tensor_variable(entry)
        if not x.type.ndim:
            raise ValueError(f"{what}: {describe(x)} is a scalar and has no rows{here()}")
        taps = _taps(taps, what)
        inner = [_leaf(_row_type(x), _at(x.name, tap)) for tap in taps]
        source = SequenceInput(x, taps, inner)
        for tap, v in zip(taps, inner, strict=True):
            _exemplify(v, x, source.offset(tap))
        result.append(source)
    return result


@dataclass
class StateInput:
    """A value fed back: its initial value, the taps under which the step sees it."""

    initial: Variable
    taps: tuple[int, ...]
    inner: list[Variable]

    @property
    def depth(self) -> int:
        return -min(self.taps)

    @property
    def lags(self) -> tuple[int, ...]:
        return tuple(-tap for tap in self.taps)

    @property
    def is_single(self) -> bool:
        """Whether `initial` is one value, rather than rows of values."""
        return self.taps == (-1,)

    def window(self) -> Variable:
        """The values before the first step as rows, oldest first."""
        if self.is_single:
            return dimshuffle(self.initial, "x", *range(self.initial.type.ndim))
        return self.initial

    def first_values(self) -> list[Variable]:
        """What a single step reads, for each tap."""
        if self.is_single:
            return [self.initial]
        return [self.initial[self.depth - lag] for lag in self.lags]  # type: ignore[index]


def states_of(given: Any, title: str) -> list[StateInput | None]:
    """The entries of outputs_info, None for values that are not fed back.

    ValueError for wrong taps, taps without initial value, unknown keys.
    """
    result: list[StateInput | None] = []
    for i, entry in enumerate(as_list(given)):
        what = f"{title}: outputs_info {i}"
        taps: Any = None
        if isinstance(entry, dict):
            _check_keys(entry, ("initial", "taps", "inplace"), what)
            taps = entry.get("taps")
            entry = entry.get("initial")
            if entry is None and taps:
                raise ValueError(f"{what}: the taps {taps} need an initial value{here()}")
        if entry is None:
            result.append(None)
            continue
        taps = _taps([-1] if taps is None else taps, what)
        if wrong := [tap for tap in taps if tap >= 0]:
            raise ValueError(
                f"{what}: tap {wrong[0]} is not before the present step; the taps of a fed-back "
                f"value must be negative{here()}"
            )
        x = as_tensor_variable(entry)
        if taps != (-1,) and not x.type.ndim:
            raise ValueError(
                f"{what}: the taps {list(taps)} need {-min(taps)} initial rows, and {describe(x)} "
                f"is a scalar{here()}"
            )
        row = x.type if taps == (-1,) else _row_type(x)
        inner = [_leaf(row, _at(x.name, tap)) for tap in taps]
        for tap, v in zip(taps, inner, strict=True):
            _exemplify(v, x, None if taps == (-1,) else tap - min(taps))
        result.append(StateInput(x, taps, inner))
    return result


def non_sequences_of(given: Any) -> list[Variable]:
    """The further arguments as variables; what is no variable becomes a constant."""
    return [v if isinstance(v, Variable) else as_tensor_variable(v) for v in as_list(given)]


def given_steps(n_steps: Any, title: str) -> Variable | None:
    """`n_steps` as an int64 scalar; None if the sequences decide.

    ValueError for what is no integer scalar, IndexError for a negative number.
    """
    if n_steps is None or (isinstance(n_steps, float) and not math.isfinite(n_steps)):
        return None
    n = None if isinstance(n_steps, bool) else as_tensor_variable(n_steps)
    if n is None or n.type.ndim or n.type.dtype not in dtypes.INTEGERS:
        what = describe(n_steps) if isinstance(n_steps, Variable) else repr(n_steps)
        raise ValueError(f"{title}: n_steps must be an integer scalar, got {what}{here()}")
    known = known_steps(n)
    if known is None:
        return cast(n, "int64")
    if known < 0:
        raise IndexError(f"{title}: n_steps is {known}, and a loop cannot run backwards{here()}")
    return constant(np.int64(known))


def known_steps(n: Variable) -> int | None:
    """The number of steps if it is known while building."""
    try:
        return int(scalar_value(n))
    except NotScalarConstantError:
        return None


def steps_of(sequences: Sequence[SequenceInput], title: str) -> Variable:
    """The steps for which every sequence has rows; ValueError without sequences."""
    if not sequences:
        raise ValueError(
            f"{title}: without sequences the number of steps must be given as n_steps{here()}"
        )
    n: Variable | None = None
    seen: set[tuple[Variable, int]] = set()
    for x in sequences:
        if (x.variable, x.span) in seen:
            continue
        seen.add((x.variable, x.span))
        n = x.steps() if n is None else minimum(n, x.steps())
    assert n is not None
    return n


__all__ = [
    "SequenceInput",
    "StateInput",
    "as_list",
    "given_steps",
    "known_steps",
    "non_sequences_of",
    "sequences_of",
    "states_of",
    "steps_of",
]
