"""The steps of a loop: which rows its body reads, what is kept, and running a body step by step.

Nothing here knows graphs: the body is any function of arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rows:
    """How the body reads a sequence: row s + offset, or n - 1 - s + offset."""

    offset: int = 0
    reversed: bool = False


@dataclass(frozen=True)
class Trace:
    """What is kept of a value: all rows (None) or the last `keep`; from the end if reversed."""

    keep: int | None = None
    reversed: bool = False


class LoopForm:
    """All of a loop but its body: what is read and kept, step by step."""

    def __init__(
        self,
        sequences: Iterable[Rows],
        lags: Iterable[Sequence[int]],
        traces: Iterable[Trace],
        until: bool = False,
        label: str = "",
        truncate: int = -1,
        recompute: bool = False,
    ):
        self.sequences = tuple(sequences)
        self.lags = tuple(tuple(int(k) for k in taps) for taps in lags)
        self.traces = tuple(traces)
        self.until = bool(until)
        self.label = label  # the user's name for the loop; part of messages only
        # What the gradient reads: through how many of the last steps it goes (-1: all), and whether
        # it computes everything but the traces again rather than have the loop keep it.
        self.truncate = int(truncate)
        self.recompute = bool(recompute)

    def form(self) -> list[Any]:
        """The loop as plain data, from which `LoopForm.from_plain` makes it again."""
        return [
            [[r.offset, r.reversed] for r in self.sequences],
            [list(taps) for taps in self.lags],
            [[t.keep, t.reversed] for t in self.traces],
            self.until,
        ]

    @staticmethod
    def from_plain(form: Sequence[Any], label: str = "") -> LoopForm:
        sequences, lags, traces, until = form
        return LoopForm(
            [Rows(*r) for r in sequences], lags, [Trace(*t) for t in traces], until, label
        )

    @property
    def name(self) -> str:
        return f"scan{{{self.label}}}" if self.label else "scan"

    # -- counting --
    @property
    def n_states(self) -> int:
        return len(self.lags)

    @property
    def n_maps(self) -> int:
        return len(self.traces) - len(self.lags)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """For each state, how many earlier values its initial window holds."""
        return tuple(max(taps) for taps in self.lags)

    @property
    def n_windows(self) -> int:
        return sum(map(len, self.lags))

    def outer(self, inputs: Sequence[Any]) -> tuple[Any, list[Any], list[Any], list[Any]]:
        """(n_steps, sequences, initials, non-sequences) out of the op's inputs."""
        a = 1 + len(self.sequences)
        b = a + self.n_states
        return inputs[0], list(inputs[1:a]), list(inputs[a:b]), list(inputs[b:])

    def sequence_name(self, k: int) -> str:
        """How messages call sequence k."""
        return f"sequence {k}"

    def results(self, outputs: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any], Any]:
        """(traces of states, traces of maps, finals, steps or None) out of the op's outputs."""
        s, m = self.n_states, self.n_maps
        steps = outputs[-1] if self.until else None
        return list(outputs[:s]), list(outputs[s : s + m]), list(outputs[s + m : 2 * s + m]), steps


def check_steps(op: LoopForm, n: int, sequences: Sequence[Any], initials: Sequence[Any]) -> None:
    """Raise for a negative number of steps, short sequences, short initial windows."""
    if n < 0:
        raise IndexError(f"{op.name}: n_steps is {n}, and a loop cannot run backwards")
    for k, (x, rows) in enumerate(zip(sequences, op.sequences, strict=True)):
        if n and x.shape[0] < n + rows.offset:
            raise ValueError(
                f"{op.name}: {op.sequence_name(k)} has {x.shape[0]} rows, "
                f"and {n} steps at offset {rows.offset} need {n + rows.offset}"
            )
    for k, (x, depth) in enumerate(zip(initials, op.depths, strict=True)):
        if x.shape[0] < depth:
            raise ValueError(
                f"{op.name}: the initial value of state {k} has {x.shape[0]} rows, "
                f"and its taps reach back {depth} steps"
            )


def run_loop(
    op: LoopForm,
    step: Callable[..., Sequence[Any]],
    arrays: Sequence[Any],
    blank: Callable[..., Any],
) -> tuple[Any, ...]:
    """The outputs of `op`, with `step(list of arrays) -> list of arrays` as its body.

    `blank(k, arrays)` is a row of zeros of trace k, asked for where no step is done.
    """
    n_steps, sequences, initials, fixed = op.outer(arrays)
    n = int(n_steps)
    check_steps(op, n, sequences, initials)
    windows = [[*x[:d]] for x, d in zip(initials, op.depths, strict=True)]
    kept: list[list[Any]] = [[] for _ in op.traces]
    done = 0
    while done < n:
        rows = [
            x[(n - 1 - done if r.reversed else done) + r.offset]
            for x, r in zip(sequences, op.sequences, strict=True)
        ]
        lagged = [w[-k] for w, taps in zip(windows, op.lags, strict=True) for k in taps]
        values = step([*map(np.asarray, [*rows, *lagged]), *fixed])
        done += 1
        for k, (window, value) in enumerate(zip(windows, values, strict=False)):
            if np.shape(value) != window[-1].shape:
                raise ValueError(
                    f"{op.name}: state {k} has shape {window[-1].shape}, "
                    f"and step {done - 1} gives it {np.shape(value)}"
                )
            window.append(np.array(value))
            del window[0]
        for rows_kept, value, trace in zip(kept, values, op.traces, strict=False):
            rows_kept.append(np.array(value))
            if trace.keep is not None and len(rows_kept) > trace.keep:
                del rows_kept[0]
        if op.until and bool(values[-1]):
            break
    traces = [
        _trace(op, k, rows_kept or [blank(k, arrays)], len(rows_kept), n)
        for k, rows_kept in enumerate(kept)
    ]
    finals = [
        np.array(w).reshape((d, *x.shape[1:])).astype(x.dtype)
        for w, d, x in zip(windows, op.depths, initials, strict=True)
    ]
    return (*traces, *finals, *([np.int64(done)] if op.until else []))


def _trace(op: LoopForm, k: int, rows: list[Any], count: int, n: int) -> Any:
    trace = op.traces[k]
    shape = rows[0].shape
    for row in rows:
        if row.shape != shape:
            raise ValueError(
                f"{op.name}: output {k} has shape {shape} in one step and {row.shape} in "
                "another, so its steps cannot be stacked"
            )
    result = np.zeros((n if trace.keep is None else min(n, trace.keep), *shape), rows[0].dtype)
    if count:
        result[:count] = rows
    return result[::-1].copy() if trace.reversed else result
