"""A loop over an inner graph: what a scan computes, apart from how.

The body is a graph of its own. At step s (0 ≤ s < n) it sees

* for each *sequence*, one row of an outer array: row s + offset, or, of a reversed one, row
  n - 1 - s + offset;
* for each *state* x and each of its lags k, the value x[s - k]; the values before the first step
  are the rows of `initial`, oldest first, so that x[-1] is the last of them;
* the *non-sequences*, the same at every step;

and computes the next value of every state, and *maps*: values that are kept, not fed back.
After the steps there are, of every state and map, a *trace* (one row a step, or only the last
`keep` of them; reversed: row n - 1 - s), of every state its *final* window (the newest rows, as
many as `initial` has, in its order), and, if the body ends with a condition, the number of steps
done: the loop ends after the first step in which the condition holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, TensorType, Variable, leaves, rebuild, toposort
from jitgraph.op import Op, describe, here
from jitgraph.ops.shape import ShapeI
from jitgraph.ops.values import as_tensor_variable
from jitgraph.steps import LoopForm, Rows, Trace, run_loop


@dataclass(frozen=True, eq=False)
class Body:
    """The inner graph; equal bodies compute the same in the same way."""

    inputs: tuple[Variable, ...]
    outputs: tuple[Variable, ...]

    @cached_property
    def text(self) -> str:
        from jitgraph.canonical import graph_text

        return graph_text(self.inputs, self.outputs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Body) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


class Scan(LoopForm, Op):
    """One loop. Inputs: n_steps, sequences, initials, non-sequences.

    The body's inputs: one row for each entry of `sequences`, for each state its lags in the order
    given, the non-sequences. The body's outputs: the states' next values, the maps, and with
    `until` a 0-d condition. Outputs of the op: traces of the states, traces of the maps, final
    windows of the states, and with `until` the number of steps done (int64); with `until`, rows
    of the traces beyond it are zero.
    """

    __props__ = (
        "body",
        "sequences",
        "lags",
        "traces",
        "until",
        "label",
        "truncate",
        "recompute",
    )
    foldable = False

    def __init__(
        self,
        body: Body,
        sequences: Iterable[Rows],
        lags: Iterable[Sequence[int]],
        traces: Iterable[Trace],
        until: bool = False,
        label: str = "",
        truncate: int = -1,
        recompute: bool = False,
    ):
        self.body = body
        super().__init__(sequences, lags, traces, until, label, truncate, recompute)

    def props(self) -> tuple[Any, ...]:
        gradient = (self.truncate, self.recompute)
        return (self.body, self.sequences, self.lags, self.traces, self.until, *gradient)

    def token(self) -> str:
        import json

        return json.dumps(
            [type(self).__name__, self.body.text, *self.form()], separators=(",", ":")
        )

    def __str__(self) -> str:
        return self.name

    def inner(self) -> tuple[list[Variable], list[list[Variable]], list[Variable]]:
        """(sequence rows, lagged values of each state, non-sequences) among the body's inputs."""
        a = len(self.sequences)
        rows, rest = list(self.body.inputs[:a]), list(self.body.inputs[a:])
        windows: list[list[Variable]] = []
        for taps in self.lags:
            windows.append(rest[: len(taps)])
            rest = rest[len(taps) :]
        return rows, windows, rest

    def sequence_name(self, k: int) -> str:
        name = self.body.inputs[k].name
        return f"sequence {k}, read as {name}," if name else f"sequence {k}"

    def changed(self, **changes: Any) -> Scan:
        """A copy with other properties."""
        mine = {k: getattr(self, k) for k in self.__props__}
        return Scan(**{**mine, **changes})

    # -- building --
    def make_node(self, *inputs: Any) -> Apply:
        variables = [as_tensor_variable(v) for v in inputs]
        n_steps, sequences, initials, fixed = self.outer(variables)
        rows, windows, inner_fixed = self.inner()
        values = self.body.outputs
        if len(self.traces) != self.n_states + self.n_maps:
            raise ValueError("scan: one trace for each state and map")
        if n_steps.type.ndim or n_steps.type.dtype not in dtypes.INTEGERS:
            raise TypeError(f"scan: n_steps must be an integer scalar, got {describe(n_steps)}")
        if len(fixed) != len(inner_fixed):
            raise ValueError("scan: the number of non-sequences differs from the body's")
        for x, row in zip(sequences, rows, strict=True):
            _same_row(x, row, "sequence")
        for k, (x, window, value) in enumerate(zip(initials, windows, values, strict=False)):
            for inner in window:
                _same_row(x, inner, "initial value")
            if value.type != window[0].type:
                raise TypeError(
                    f"scan: state {k} starts as {window[0].type} and the body gives {value.type}"
                    f"{here(value.owner.origins if value.owner is not None else ())}"
                )
        for x, inner in zip(fixed, inner_fixed, strict=True):
            if x.type != inner.type:
                raise TypeError(f"scan: non-sequence {describe(x)}, the body wants {inner.type}")
        return Apply(self, variables, [t.make_variable() for t in self._output_types()])

    def _output_types(self) -> list[TensorType]:
        values = self.body.outputs[: self.n_states + self.n_maps]
        types = [_stacked(v.type) for v in values]
        types += [
            _stacked(v.type, depth == 1) for v, depth in zip(values, self.depths, strict=False)
        ]
        return [*types, TensorType("int64", ())] if self.until else types

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        """Floats of the body's inputs reach whatever the body makes of them, in any later step."""
        from jitgraph.ops.scan_gradient import connections

        return connections(self, node)

    def grad(self, inputs: Any, outputs: Any, grads: Any) -> Any:
        from jitgraph.ops.scan_gradient import gradient

        return gradient(self, inputs, outputs, grads)

    # -- meaning --
    def evaluate(self, *arrays: Any) -> tuple[Any, ...]:
        from jitgraph.reference import evaluate

        def step(values: Sequence[Any]) -> list[Any]:
            known = dict(zip(self.body.inputs, values, strict=True))
            return evaluate(self.body.outputs, known)

        return run_loop(self, step, arrays, self.blank_row)

    def blank_row(self, k: int, arrays: Sequence[Any]) -> Any:
        """A row of zeros of trace k; axes whose length only a step could tell are empty."""
        from jitgraph.reference import evaluate

        _, sequences, initials, fixed = self.outer(arrays)
        value = self.body.outputs[k]
        dtype = dtypes.NUMPY[value.type.dtype]
        if k < self.n_states:
            return np.zeros(initials[k].shape[1:], dtype)
        rows, windows, inner_fixed = self.inner()
        known = {v: tuple(x.shape[1:]) for v, x in zip(rows, sequences, strict=True)}
        for window, x in zip(windows, initials, strict=True):
            known.update((v, tuple(x.shape[1:])) for v in window)
        known.update((v, tuple(x.shape)) for v, x in zip(inner_fixed, fixed, strict=True))
        found = shapes_of([value], known)
        if found is None:
            return np.zeros((0,) * value.type.ndim, dtype)
        try:
            values = evaluate(
                [as_tensor_variable(n) for n in found[0]],
                dict(zip(inner_fixed, fixed, strict=True)),
            )
        except KeyError:  # a value that a step would have computed
            return np.zeros((0,) * value.type.ndim, dtype)
        return np.zeros(tuple(int(n) for n in values), dtype)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        rows = self.row_shapes(node, shapes)
        if rows is None:
            return None
        n = node.inputs[0]
        from jitgraph.ops.arithmetic import cast, minimum

        n = cast(n, "int64")
        result: list[tuple[Any, ...]] = []
        for row, trace in zip(rows, self.traces, strict=True):
            kept = n if trace.keep is None else minimum(n, np.int64(trace.keep))
            result.append((kept, *row))
        result += [(d, *row) for d, row in zip(self.depths, rows, strict=False)]
        return [*result, ()] if self.until else result

    def row_shapes(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        """Shapes of what one step computes, in the terms of the outer graph; None: not known."""
        _, sequences, initials, fixed = self.outer(list(shapes))
        known: dict[Variable, tuple[Any, ...]] = {}
        rows, windows, inner_fixed = self.inner()
        known.update(zip(rows, (s[1:] for s in sequences), strict=True))
        for window, shape in zip(windows, initials, strict=True):
            known.update((v, tuple(shape[1:])) for v in window)
        known.update(zip(inner_fixed, fixed, strict=True))
        values = self.body.outputs[self.n_states : self.n_states + self.n_maps]
        found = shapes_of(values, known)
        if found is None:
            return None
        outside = dict(zip(inner_fixed, self.outer(node.inputs)[3], strict=True))
        maps = shapes_outside(found, known, outside)
        if maps is None:
            return None
        return [tuple(s[1:]) for s in initials] + maps


def _stacked(row: TensorType, one: bool = False) -> TensorType:
    return TensorType(row.dtype, (one, *row.broadcastable))


def _same_row(x: Variable, row: Variable, what: str) -> None:
    wanted = row.type.broadcastable
    if (
        x.type.ndim != row.type.ndim + 1
        or x.type.dtype != row.type.dtype
        or x.type.broadcastable[1:] != wanted
    ):
        raise TypeError(f"scan: {what} {describe(x)} does not have rows of {row.type}")


def shapes_of(
    variables: Sequence[Variable], known: dict[Variable, tuple[Any, ...]]
) -> list[tuple[Any, ...]] | None:
    """Shapes as ints and graph scalars, from those of the leaves; None if one is not known."""
    found = all_shapes(variables, known)
    result = [found.get(v) for v in variables]
    return None if None in result else result  # type: ignore[return-value]


def all_shapes(
    variables: Sequence[Variable], known: dict[Variable, tuple[Any, ...]]
) -> dict[Variable, tuple[Any, ...]]:
    """The shapes that are known of what `variables` are made of, as `shapes_of` gives them."""
    shapes = dict(known)

    def shape(v: Variable) -> tuple[Any, ...] | None:
        if isinstance(v, Constant) and v not in shapes:
            shapes[v] = tuple(int(n) for n in v.data.shape)
        return shapes.get(v)

    for node in toposort(variables, stop=known):
        given = [shape(v) for v in node.inputs]
        results = None if None in given else node.op.infer_shape(node, given)
        if results is None:
            continue
        for out, result in zip(node.outputs, results, strict=True):
            fixed = out.type.broadcastable
            shapes[out] = tuple(1 if b else n for n, b in zip(result, fixed, strict=True))
    for v in variables:
        shape(v)
    return shapes


def shapes_outside(
    shapes: Sequence[tuple[Any, ...]],
    known: dict[Variable, tuple[Any, ...]],
    outside: dict[Variable, Variable],
) -> list[tuple[Any, ...]] | None:
    """Shapes of values of the body in the terms of the outer graph.

    `known`: the shapes of the body's inputs in these terms; `outside`: what is passed for the
    non-sequences. None if a length depends on more than that.
    """
    scalars = [n for shape in shapes for n in shape if isinstance(n, Variable)]
    replace = dict(outside)
    for node in toposort(scalars):
        if isinstance(node.op, ShapeI) and node.inputs[0] in known:
            replace[node.outputs[0]] = as_tensor_variable(known[node.inputs[0]][node.op.i])
    moved = rebuild(scalars, replace)
    if any(v in known for v in leaves(moved)):
        return None
    lengths = iter(moved)
    return [tuple(next(lengths) if isinstance(n, Variable) else n for n in s) for s in shapes]
