"""From the expressions of one step to a closed inner graph: what comes in from outside, and how.

A variable from outside that does not change during the loop becomes a non-sequence, as the whole
expression it is: a gradient with respect to it finds it. What depends on a shared variable that
the loop updates (a counter, the state of a random draw) is part of every step instead, even if
it was written outside; so such a draw has a new value at every step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitgraph.canonical import LARGEST_WRITTEN
from jitgraph.errors import MissingInputError
from jitgraph.functions import update_expression
from jitgraph.graph import (
    Apply,
    Constant,
    SharedVariable,
    TensorType,
    Variable,
    leaves,
    reapply,
    rebuild,
    toposort,
    user_origin,
)
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import identity
from jitgraph.ops.random import RandomFunction, RandomStateType


def age(v: Variable) -> int:
    """Variables are numbered in the order they are made."""
    return int(v.auto_name.removeprefix("auto_"))


def with_default_updates(
    outputs: Sequence[Variable],
    updates: Mapping[SharedVariable, Variable],
    given: Sequence[Variable],
) -> dict[SharedVariable, Variable]:
    """`updates` and the default updates of the shared variables that a step needs.

    What the variables in `given` are made of is no part of the step.
    """
    found = {target: update_expression(target, new) for target, new in updates.items()}
    pending = leaves([*outputs, *found.values()], stop=given)
    seen: set[Variable] = set()
    while pending:
        v = pending.pop(0)
        if v in seen:
            continue
        seen.add(v)
        new = getattr(v, "default_update", None)
        if isinstance(v, SharedVariable) and new is not None and v not in found:
            found[v] = update_expression(v, new)
            pending.extend(leaves([found[v]], stop=given))
    return found


def distinct(outputs: Sequence[Variable]) -> list[Variable]:
    """The outputs as different computed values: leaves and repetitions are copied."""
    seen: set[Variable] = set()
    result = []
    for v in outputs:
        if v.owner is None or v in seen:
            v = _like(identity.make_node(v), v)
        seen.add(v)
        result.append(v)
    return result


def _like(node: Apply, v: Variable) -> Variable:
    node.origins = v.owner.origins if v.owner is not None else user_origin()
    node.outputs[0].name = v.name
    return node.outputs[0]


# -- what comes in -----------------------------------------------------------------------------


def _dependent(
    outputs: Sequence[Variable], roots: Iterable[Variable], blocked: set[Variable]
) -> set[Variable]:
    """The roots and everything made of them, otherwise than through `blocked`."""
    found = set(roots)
    for node in toposort(outputs, stop=found | blocked):
        if any(v in found for v in node.inputs):
            found.update(node.outputs)
    return found


def _stays(v: Variable, constants: set[Variable]) -> bool:
    """Whether `v` is computed inside: small constants and what is made of them alone."""
    if isinstance(v, Constant):
        return bool(v.data.size <= LARGEST_WRITTEN)
    return v in constants


def incoming(
    outputs: Sequence[Variable],
    inner: Iterable[Variable],
    changing: Iterable[Variable],
    given: Iterable[Variable],
    since: int,
) -> list[Variable]:
    """The variables that a step takes from outside.

    `inner`: the leaves that differ from step to step; `changing`: shared variables that the loop
    updates; `given`: variables that come in whatever they are made of. A variable older than
    `since` was made before the step function was called.
    """
    blocked = set(given)
    varying = _dependent(outputs, {*inner, *changing}, blocked)
    constants: set[Variable] = set()
    for node in toposort(outputs, stop=varying | blocked):
        if node.inputs and node.op.foldable and all(_stays(v, constants) for v in node.inputs):
            constants.update(node.outputs)
    found: dict[Variable, None] = {}
    seen: set[Variable] = set()
    stack = list(outputs)[::-1]
    while stack:
        v = stack.pop()
        if v in seen:
            continue
        seen.add(v)
        if v in blocked:
            found.setdefault(v)
        elif v in varying:
            stack.extend(reversed(v.owner.inputs if v.owner is not None else []))
        elif _stays(v, constants):
            continue
        elif v.owner is None or (age(v) < since and isinstance(v.type, TensorType)):
            found.setdefault(v)
        else:
            stack.extend(reversed(v.owner.inputs))
    return list(found)


def check_strict(found: Iterable[Variable], passed: Sequence[Variable], title: str) -> None:
    """MissingInputError for a shared variable that is used without having been passed."""
    for v in found:
        missing = [s for s in leaves([v]) if isinstance(s, SharedVariable) and s not in passed]
        if missing and v not in passed:
            raise MissingInputError(
                f"{title}: strict=True, and the step uses the shared variable {missing[0]} without "
                f"having been given it: add it to non_sequences{here()}"
            )


# -- random states as arrays -------------------------------------------------------------------


def as_array_state(v: Variable) -> Variable:
    """A random state as the array that a loop carries; any other array as it is."""
    if isinstance(v.type, RandomStateType):
        from jitgraph.ops.random_array import ArrayToState, StateToArray

        if v.owner is not None and isinstance(v.owner.op, ArrayToState):
            return v.owner.inputs[0]
        state: Variable = StateToArray()(v)
        return state
    return v


def from_array_state(array: Variable, type_: Any) -> Variable:
    if isinstance(type_, RandomStateType):
        from jitgraph.ops.random_array import ArrayToState

        state: Variable = ArrayToState()(array)
        return state
    return array


def drawn_from_arrays(node: Apply, inputs: list[Variable]) -> Sequence[Variable]:
    """`node` on other inputs; a draw from a state that is an array draws from the array."""
    source = inputs[0].owner if inputs and isinstance(node.op, RandomFunction) else None
    if source is not None and isinstance(inputs[0].type, RandomStateType):
        from jitgraph.ops.random_array import ArrayToState, array_draw

        if isinstance(source.op, ArrayToState):
            drawn = array_draw(node.op, source.inputs[0], *inputs[1:], origins=node.origins)
            if drawn is not None:
                state, sample = drawn
                return [ArrayToState()(state), sample]
    return reapply(node, inputs)


# -- the closed graph --------------------------------------------------------------------------


@dataclass
class Closed:
    """Expressions of one step whose leaves are all listed."""

    outputs: list[Variable]
    inner_shared: list[Variable]  # the updated shared variables, as arrays, before the step
    fixed: list[Variable]  # outside: the non-sequences
    inner_fixed: list[Variable]
    table: dict[Variable, Variable] = field(default_factory=dict)


def close(
    outputs: Sequence[Variable],
    updated: Sequence[SharedVariable],
    found: Sequence[Variable],
    title: str,
) -> Closed:
    """The outputs with fresh leaves for the updated shared variables and for what comes in.

    Raises TypeError for a value from outside that is no array and no random state.
    """
    table: dict[Variable, Variable] = {}

    def leaf(v: Variable, suffix: str) -> Variable:
        if not isinstance(v.type, (TensorType, RandomStateType)):
            raise TypeError(f"{title}: a loop cannot use {describe(v)}, which is no array{here()}")
        array = as_array_state(v)
        name = f"{v.name}{suffix}" if v.name else None
        fresh: Variable = array.type.make_variable(name)
        fresh.origins = user_origin()
        table[v] = from_array_state(fresh, v.type)
        return fresh

    inner_shared = [leaf(v, "[t-1]") for v in updated]
    inner_fixed = [leaf(v, "") for v in found]
    closed = [as_array_state(v) for v in rebuild(outputs, table, drawn_from_arrays)]
    return Closed(closed, inner_shared, [as_array_state(v) for v in found], inner_fixed, table)
