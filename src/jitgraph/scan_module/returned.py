"""What the function given to `scan` returns: outputs, updates of shared variables, a condition."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jitgraph.graph import SharedVariable, Variable
from jitgraph.op import describe, here
from jitgraph.ops.values import as_tensor_variable


class until:
    """The loop ends after the step in which `condition`, a 0-d number, is not zero.

    That step's values are kept. nan is not zero, so it ends the loop. Raises AssertionError
    for a condition with axes.
    """

    def __init__(self, condition: Any):
        self.condition: Variable = as_tensor_variable(condition)
        assert not self.condition.type.ndim, (
            f"until: the condition must be a scalar, got {describe(self.condition)}{here()}"
        )


@dataclass
class Returned:
    outputs: list[Variable] = field(default_factory=list)
    updates: dict[SharedVariable, Variable] = field(default_factory=dict)
    condition: Variable | None = None


ORDER = "outputs; outputs, updates; outputs, updates, until(…); or outputs, until(…)"


def parse_returned(value: Any, title: str) -> Returned:
    """The parts of what the step function returned; ValueError for any other form."""
    _check_contents(value, title)
    if _are_outputs(value):
        return Returned(_outputs(value))
    if _are_updates(value):
        return Returned([], _updates(value, title))
    parts = list(value) if isinstance(value, (list, tuple)) else [value]
    result, rest = Returned(), parts[:]
    if rest and _are_outputs(rest[0]):
        result.outputs = _outputs(rest.pop(0))
    if rest and _are_updates(rest[0]):
        result.updates = _updates(rest.pop(0), title)
    if rest and isinstance(rest[0], until):
        result.condition = rest.pop(0).condition
    if rest or (len(parts) == 1 and result.condition is not None):
        raise ValueError(
            f"{title}: the step function must return {ORDER}; got {_shown(value)}{here()}"
        )
    return result


def _check_contents(value: Any, title: str) -> None:
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, (list, tuple)):
        for part in value:
            _check_contents(part, title)
    elif not isinstance(value, (Variable, until)):
        raise ValueError(
            f"{title}: the step function returned {value!r}; it may return symbolic variables, "
            f"lists and dicts of them, and until(…). Make a number a constant by "
            f"jitgraph.tensor.constant{here()}"
        )


def _are_outputs(part: Any) -> bool:
    if isinstance(part, (list, tuple)):
        return all(isinstance(v, Variable) for v in part)
    return isinstance(part, Variable)


def _are_updates(part: Any) -> bool:
    if isinstance(part, dict):
        return True
    return isinstance(part, (list, tuple)) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in part
    )


def _outputs(part: Any) -> list[Variable]:
    return list(part) if isinstance(part, (list, tuple)) else [part]


def _updates(part: Any, title: str) -> dict[SharedVariable, Variable]:
    result: dict[SharedVariable, Variable] = {}
    for target, value in part.items() if isinstance(part, dict) else part:
        if not isinstance(target, SharedVariable):
            raise ValueError(
                f"{title}: only shared variables can be updated, not {_shown(target)}{here()}"
            )
        if target in result and result[target] is not value:
            raise ValueError(f"{title}: {target} is updated twice in one step{here()}")
        result[target] = value
    return result


def _shown(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"({', '.join(map(_shown, value))})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_shown(k)}: …' for k in value)}}}"
    return "until(…)" if isinstance(value, until) else str(value)
