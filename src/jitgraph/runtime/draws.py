"""Random draws that advance their generator in place.

A draw maps (state, …) to (next state, sample). Copying a state costs more than most draws, so
where a call replaces a stored state by the end of a chain of draws, and nothing else looks at
the states in between, the chain works on the stored state itself. The caller restores it if
the call fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jitgraph.runtime.program import Program, PythonStep


def with_draws_in_place(
    program: Program,
    step_ops: Sequence[Any],
    slots: Mapping[int, Any],
    updates: Mapping[int, Any],
) -> tuple[Program, list[Any]]:
    """The program with such chains made in place, and the containers of their states.

    `slots` maps input slots to containers, `updates` output slots to the containers they are
    stored in.
    """
    draws: dict[int, tuple[int, PythonStep, Any]] = {}  # state slot read -> the step
    reads: Counter[int] = Counter()
    for position, step in enumerate(program.steps):
        reads.update(step.inputs)
        if isinstance(step, PythonStep):
            op = step_ops[step.number]
            if hasattr(op, "draw_in_place"):
                draws[step.inputs[0]] = (position, step, op)
    reads.update(program.outputs)
    steps = list(program.steps)
    used = []
    for slot, container in slots.items():
        chain = []
        at = slot
        while at in draws and reads[at] == 1 and not (at != slot and at in updates):
            chain.append(draws[at])
            at = draws[at][1].outputs[0]
        if not chain or updates.get(at) is not container or reads[at] != 1:
            continue
        used.append(container)
        for position, step, op in chain:
            steps[position] = _InPlace(op, step)
    return Program(steps, program.slots, program.outputs, program.literals), used


class _InPlace(PythonStep):
    """A draw on the given state object, which is also the next state."""

    def __init__(self, op: Any, step: PythonStep):
        def draw(state: Any, *arguments: Any) -> tuple[Any, Any]:
            return state, op.draw_in_place(state, *arguments)

        super().__init__(draw, {"in": step.inputs, "out": step.outputs}, step.number)
