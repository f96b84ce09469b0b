"""Loops and choices whose bodies are programs of their own, called from Python.

Only those that compiled code cannot run as a whole come here: their bodies call Python, or make
arrays whose shape depends on a value of the step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.runtime.program import Program, PythonStep
from jitgraph.steps import LoopForm, run_loop


class LoopStep(PythonStep):
    """A loop around a `Program`."""

    def __init__(self, bodies: Sequence[Program], step: dict[str, Any], number: int):
        (body,) = bodies
        form = LoopForm.from_plain(step["form"], step["label"])
        types = [(dtypes.NUMPY[d], n) for d, n in step["traces"]]

        def once(values: Sequence[Any]) -> Sequence[Any]:
            return body.run(tuple([np.asarray(v, order="C") for v in values]))

        def blank(k: int, arrays: Sequence[Any]) -> np.ndarray:
            """The body tells the shape of a row no step has made, tried on zeros."""
            dtype, ndim = types[k]
            _, sequences, initials, fixed = form.outer(arrays)
            rows = [np.zeros(x.shape[1:], x.dtype) for x in sequences]
            lagged = [
                np.zeros(x.shape[1:], x.dtype)
                for x, taps in zip(initials, form.lags, strict=True)
                for _ in taps
            ]
            try:
                return np.zeros_like(once([*rows, *lagged, *fixed])[k])
            except Exception:
                return np.zeros((0,) * ndim, dtype)

        super().__init__(lambda *arrays: run_loop(form, once, arrays, blank), step, number)


class ChoiceStep(PythonStep):
    """Two programs, of which one is run."""

    def __init__(self, bodies: Sequence[Program], step: dict[str, Any], number: int):
        then, other = bodies

        def choose(condition: Any, *values: Any) -> Sequence[Any]:
            return (then if condition else other).run(values)

        super().__init__(choose, step, number)
