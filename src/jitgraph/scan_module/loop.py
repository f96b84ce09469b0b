"""`scan`: one step as a Python function of symbolic variables, and the loop made of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jitgraph.cloning import OrderedUpdates
from jitgraph.graph import (
    Apply,
    Constant,
    SharedVariable,
    TensorType,
    Variable,
    rebuild,
)
from jitgraph.op import describe, here, without_test_values
from jitgraph.ops.arithmetic import neq
from jitgraph.ops.scan import Body, Rows, Scan, Trace
from jitgraph.ops.shape import Rebroadcast, dimshuffle, restrict_pattern
from jitgraph.scan_module.arguments import (
    SequenceInput,
    StateInput,
    given_steps,
    known_steps,
    non_sequences_of,
    sequences_of,
    states_of,
    steps_of,
)
from jitgraph.scan_module.closing import (
    age,
    as_array_state,
    check_strict,
    close,
    distinct,
    from_array_state,
    incoming,
    with_default_updates,
)
from jitgraph.scan_module.returned import Returned, parse_returned


def scan(
    fn: Callable[..., Any],
    sequences: Any = None,
    outputs_info: Any = None,
    non_sequences: Any = None,
    n_steps: Any = None,
    truncate_gradient: int = -1,
    go_backwards: bool = False,
    mode: Any = None,
    name: str | None = None,
    profile: Any = False,
    allow_gc: Any = None,
    strict: bool = False,
    return_list: bool = False,
) -> tuple[Any, OrderedUpdates]:
    """A loop whose step is `fn`; returns (outputs, updates).

    fn            called once, with symbolic variables: for each sequence its taps in order, for
                  each fed-back output its taps in order, then the non-sequences. Returns the
                  outputs of a step; or outputs, updates; outputs, updates, until(…); or
                  outputs, until(…)
    sequences     arrays read row by row: a variable, a dict {input: v, taps: [0, …]}, or a list
                  of these. Tap k at step t reads row t + k - min(taps, 0)
    outputs_info  for each output None (not fed back), its initial value (the step is given the
                  previous value), or a dict {initial: v, taps: [-1, -2, …]}, whose initial value
                  has a row for each step that the largest lag goes back, oldest first
    non_sequences  given to every step as they are. Shared variables and outer variables may also
                  just be used by fn
    n_steps       an int or integer scalar; None: as long as the shortest sequence. 0 gives zero
                  rows; a constant 1 gives no loop at all, but the step itself
    truncate_gradient  the number of last steps that a gradient goes back through; -1: all
    go_backwards  read the sequences from their ends (outputs stay in the order of the steps)
    name          for messages
    strict        shared variables that do not change must be in non_sequences
    return_list   a list even for a single output

    `mode`, `profile` and `allow_gc` are accepted and have no meaning: the step is compiled into
    the loop. Each output has its steps along a new first axis: all `n_steps`, or with until the
    steps done. `updates` holds what the loop made of shared variables (fn's updates, random
    draws) and belongs into the updates of the function.

    Raises ValueError for wrong taps, for a state whose dtype or rank changes, a wrong number of
    outputs, an n_steps that is no integer; TypeError for values that are no arrays; IndexError
    for a negative n_steps; MissingInputError by `strict`. When run: ValueError for a sequence
    too short for n_steps and for a state whose shape changes.
    """
    return _Loop(
        fn, sequences, outputs_info, non_sequences, n_steps, go_backwards, name, strict
    ).result(truncate_gradient, return_list)


def frozen_map(fn: Callable[..., Any], sequence: Any, name: str) -> list[Variable]:
    """`fn` for every row; random draws in it are those made outside, the same for all rows."""
    loop = _Loop(fn, sequence, None, None, None, False, name, frozen=True)
    outputs: list[Variable] = loop.result(-1, True)[0]
    return outputs


def blockwise(
    fn: Callable[..., Any],
    sequences: Any,
    outputs_info: Any,
    non_sequences: Any,
    n_steps: Any,
    name: str | None,
) -> tuple[Any, OrderedUpdates]:
    """A loop whose gradient runs its step again instead of having kept what is in it."""
    loop = _Loop(fn, sequences, outputs_info, non_sequences, n_steps, False, name)
    return loop.result(-1, False, recompute=True)


def title_of(name: str | None) -> str:
    return f"scan {name!r}" if name else "scan"


@dataclass
class _State:
    """A value carried from step to step; `window` are its rows before the first step."""

    window: Variable
    inner: list[Variable]
    lags: tuple[int, ...]
    value: Variable


class _Loop:
    """The arguments of one call of `scan`, and what the step function made of them."""

    def __init__(
        self,
        fn: Callable[..., Any],
        sequences: Any,
        outputs_info: Any,
        non_sequences: Any,
        n_steps: Any,
        go_backwards: bool,
        name: str | None,
        strict: bool = False,
        frozen: bool = False,
    ):
        """`frozen`: shared variables keep their values; random draws are those made outside."""
        self.label, self.title = name or "", title_of(name)
        self.backwards, self.strict = bool(go_backwards), strict
        self.sequences: list[SequenceInput] = sequences_of(sequences, self.title)
        self.infos: list[StateInput | None] = states_of(outputs_info, self.title)
        self.given = non_sequences_of(non_sequences)
        # Arguments that are outer expressions; shared variables and constants are what they are.
        self.whole = [v for v in self.given if not isinstance(v, (Constant, SharedVariable))]
        self.known_n = given_steps(n_steps, self.title)
        self.n = steps_of(self.sequences, self.title) if self.known_n is None else self.known_n
        self.step = self._called(fn)
        self.updates: dict[SharedVariable, Variable] = (
            {}
            if frozen
            else with_default_updates(self._expressions(), self.step.updates, self.whole)
        )

    @property
    def states(self) -> list[StateInput]:
        return [s for s in self.infos if s is not None]

    @property
    def inner(self) -> list[Variable]:
        sources: Sequence[SequenceInput | StateInput] = [*self.sequences, *self.states]
        return [v for source in sources for v in source.inner]

    def _called(self, fn: Callable[..., Any]) -> Returned:
        self.since = age(TensorType("int64", ()).make_variable())
        for v in self.inner:
            v.tag.__dict__["step_of"] = self.title  # for the error when it is used outside
        step = parse_returned(fn(*self.inner, *self.given), self.title)
        if not self.infos:
            self.infos = [None] * len(step.outputs)
        if len(self.infos) != len(step.outputs):
            raise ValueError(
                f"{self.title}: the step function returns {len(step.outputs)} outputs, and "
                f"outputs_info has {len(self.infos)} entries{here()}"
            )
        for i, v in enumerate(step.outputs):
            if not isinstance(v.type, TensorType):
                raise TypeError(f"{self.title}: output {i}, {describe(v)}, is no array{here()}")
        return step

    def _expressions(self) -> list[Variable]:
        condition = self.step.condition
        return [*self.step.outputs, *([] if condition is None else [condition])]

    def result(
        self, truncate: int, return_list: bool, recompute: bool = False
    ) -> tuple[Any, OrderedUpdates]:
        if not isinstance(truncate, (int, np.integer)) or (truncate != -1 and truncate < 1):
            raise ValueError(
                f"{self.title}: truncate_gradient must be -1 or a number of steps, got "
                f"{truncate!r}{here()}"
            )
        if known_steps(self.n) == 1 and self.known_n is not None:
            outputs, updates = self._single_step()
        else:
            outputs, updates = self._looped(int(truncate), recompute)
        if return_list or len(outputs) > 1:
            return outputs, updates
        return (outputs[0] if outputs else None), updates

    # -- one step without a loop --
    def _single_step(self) -> tuple[list[Variable], OrderedUpdates]:
        first: list[Variable] = []
        for x in self.sequences:
            first += x.first_rows(self.backwards)
        for s in self.states:
            first += s.first_values()
        table = dict(zip(self.inner, first, strict=True))
        values = rebuild([*self.step.outputs, *self.updates.values()], table)
        outputs = [_as_rows(v) for v in values[: len(self.step.outputs)]]
        news = values[len(outputs) :]
        return outputs, OrderedUpdates(zip(self.updates, news, strict=True))

    # -- the loop --
    def _looped(self, truncate: int, recompute: bool) -> tuple[list[Variable], OrderedUpdates]:
        targets = list(self.updates)
        with without_test_values():  # the leaves of the inner graph have none
            made = self._made(targets, truncate, recompute)
        made.op.noted(made)
        return self._user_results(made.op, made.outputs, targets)

    def _made(self, targets: list[SharedVariable], truncate: int, recompute: bool) -> Apply:
        """The application of the loop to what it takes from outside."""
        self._agree()
        expressions = [*self._expressions(), *self.updates.values()]
        found = incoming(expressions, self.inner, targets, self.whole, self.since)
        if self.strict:
            check_strict(found, self.given, self.title)
        closed = close(expressions, targets, found, self.title)
        count = len(self.step.outputs)
        values, stop = closed.outputs[:count], None
        if self.step.condition is not None:
            stop = neq(closed.outputs[count], np.int8(0))
        states = [
            _State(s.window(), s.inner, s.lags, v)
            for s, v in zip(self.infos, values, strict=True)
            if s is not None
        ]
        news = closed.outputs[len(self._expressions()) :]
        for target, inner, new in zip(targets, closed.inner_shared, news, strict=True):
            array = as_array_state(target)
            window = dimshuffle(array, "x", *range(array.type.ndim))
            new = restrict_pattern(new, inner.type.broadcastable)
            states.append(_State(window, [inner], (1,), new))
        maps = [v for s, v in zip(self.infos, values, strict=True) if s is None]
        op, arguments = self._op(states, maps, stop, closed.inner_fixed)
        op = op.changed(truncate=truncate, recompute=recompute)
        return op.make_node(self.n, *arguments, *(s.window for s in states), *closed.fixed)

    def _op(
        self,
        states: list[_State],
        maps: list[Variable],
        stop: Variable | None,
        inner_fixed: list[Variable],
    ) -> tuple[Scan, list[Variable]]:
        """The loop, and the outer arrays of its sequences."""
        arguments, rows, taps = [], [], []
        for x in self.sequences:
            source = x.variable
            if self.backwards and (self.known_n is not None or len(self.sequences) > 1):
                source = x.last_rows(self.n)
            for tap, inner in zip(x.taps, x.inner, strict=True):
                arguments.append(source)
                rows.append(Rows(x.offset(tap), self.backwards))
                taps.append(inner)
        values = distinct([*(s.value for s in states), *maps])
        body = Body(
            (*taps, *(v for s in states for v in s.inner), *inner_fixed),
            (*values, *([] if stop is None else [stop])),
        )
        lags = [s.lags for s in states]
        traces = [Trace()] * len(values)
        op = Scan(body, rows, lags, traces, stop is not None, self.label)
        return op, arguments

    def _user_results(
        self, op: Scan, outputs: Sequence[Variable], targets: list[SharedVariable]
    ) -> tuple[list[Variable], OrderedUpdates]:
        traces, maps, finals, steps = op.results(outputs)
        cut = [t if steps is None else t[:steps] for t in (*traces, *maps)]
        of_states, of_maps = iter(cut), iter(cut[len(traces) :])
        results = [next(of_maps if s is None else of_states) for s in self.infos]
        updates = OrderedUpdates()
        for target, final in zip(targets, finals[len(self.states) :], strict=True):
            new = dimshuffle(final, *range(1, final.type.ndim))
            updates[target] = from_array_state(new, target.type)
        return results, updates

    # -- types --
    def _agree(self) -> None:
        """Make the step's results have exactly the types of the states they are fed back as."""
        table: dict[Variable, Variable] = {}
        for i, (s, v) in enumerate(zip(self.infos, self.step.outputs, strict=True)):
            if s is None:
                continue
            old = s.inner[0].type
            if v.type.dtype != old.dtype or v.type.ndim != old.ndim:
                raise ValueError(self._disagreement(i, s, v))
            marks = tuple(
                a and b for a, b in zip(old.broadcastable, v.type.broadcastable, strict=True)
            )
            if marks != old.broadcastable:
                table.update(self._unmarked(s, marks))
            self.step.outputs[i] = restrict_pattern(v, marks)
        if table:
            count = len(self.step.outputs)
            expressions = self._expressions()
            moved = rebuild([*expressions, *self.updates.values()], table)
            self.step.outputs = list(moved[:count])
            if self.step.condition is not None:
                self.step.condition = moved[count]
            news = moved[len(expressions) :]
            self.updates = dict(zip(self.updates, news, strict=True))

    @staticmethod
    def _unmarked(s: StateInput, marks: tuple[bool, ...]) -> dict[Variable, Variable]:
        """Carry the state without the marks of length 1 that the step's result does not have.

        The step still sees them: it was written for them, and the length is checked there.
        """
        table = {}
        for k, old in enumerate(s.inner):
            new = TensorType(old.type.dtype, marks).make_variable(old.name)
            new.origins = old.origins
            table[old] = Rebroadcast(old.type.broadcastable)(new)
            s.inner[k] = new
        outer = s.initial.type.broadcastable
        s.initial = restrict_pattern(s.initial, marks if s.is_single else (outer[0], *marks))
        return table

    def _disagreement(self, i: int, s: StateInput, v: Variable) -> str:
        old = s.inner[0].type
        start = f"output {i} starts as {describe(s.initial)}"
        if not s.is_single:
            start += f" (rows of {old})"
        text = f"{self.title}: {start}, and the step makes {describe(v)} of it: "
        if v.type.ndim != old.ndim:
            text += (
                f"a state keeps its number of axes, and {old.ndim} is not {v.type.ndim}. Give it "
                f"an initial value with the axes of the step's result"
            )
        else:
            label = s.initial.name or "initial"
            text += (
                f"a state keeps its dtype. Write {label}.astype('{v.type.dtype}') for the initial "
                f"value, or .astype('{old.dtype}') for the step's result"
            )
        return text + here(v.owner.origins if v.owner is not None else v.origins)


def _as_rows(v: Variable) -> Variable:
    """The only row of an output: an array with a first axis that is not marked as length 1."""
    row = dimshuffle(v, "x", *range(v.type.ndim))
    return restrict_pattern(row, (False, *v.type.broadcastable))
