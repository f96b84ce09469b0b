"""The gradient of a loop: one more loop, which goes through the steps from the last to the first.

With D the gradient of what a step computes, the step's own gradient gives that of what it was
given: of its rows (kept, one row a step), of the non-sequences (summed over the steps), and of
each lagged value x[s - k], which is carried to the step that made it. At step s the carried P_j is
the sum so far for x[s - j], so that

    D    = P_0 + (gradient of row s of the trace)
    P_j <- P_(j+1) + (gradient of x[s - j - 1] in step s)         P_depth = 0

and after the first step P_j belongs to x[-1 - j], a row of the initial value.

What the step needs of the forward loop is read from rows: its own rows, the states before it, the
results it kept. Values in between are kept by the forward loop too (as further maps) if they are
at least as dear as one exp: products of matrices, functions with code of their own, reductions,
draws, inner loops. Arithmetic and views are done again, and so are values whose lengths may differ
from step to step: they could not be stacked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, TensorType, Variable, ancestors, rebuild, toposort
from jitgraph.op import DISCONNECTED, Disconnected, Gradient, Undefined, here, without_test_values
from jitgraph.ops.arithmetic import ARITH, add, cast, identity, minimum
from jitgraph.ops.elementwise import Elementwise, zeros_for
from jitgraph.ops.index import IncSubtensor, Subtensor
from jitgraph.ops.join import Join
from jitgraph.ops.scan import Body, Rows, Scan, Trace, all_shapes
from jitgraph.ops.shape import (
    Alloc,
    ARange,
    DimShuffle,
    Eye,
    MakeVector,
    Rebroadcast,
    Reshape,
    Shape,
    ShapeI,
    SpecifyShape,
    dimshuffle,
    restrict_pattern,
)

# -- what is connected with what ---------------------------------------------------------------


def one_step(op: Scan) -> list[int]:
    """For each output of the body, the inputs it is connected with: bit i for input i."""
    known: list[int] | None = op.__dict__.get("_one_step")
    if known is None:
        masks: dict[Variable, int] = {v: 1 << i for i, v in enumerate(op.body.inputs)}
        for node in toposort(op.body.outputs, stop=op.body.inputs):
            pattern = node.op.connection_pattern(node)
            for k, out in enumerate(node.outputs):
                mask = 0
                for v, connected in zip(node.inputs, pattern, strict=True):
                    if connected[k]:
                        mask |= masks.get(v, 0)
                masks[out] = mask
        known = op.__dict__["_one_step"] = [masks.get(v, 0) for v in op.body.outputs]
    return known


def lag_masks(op: Scan) -> list[int]:
    """For each state, the bits of its lagged values among the body's inputs."""
    result, at = [], len(op.sequences)
    for taps in op.lags:
        result.append(((1 << len(taps)) - 1) << at)
        at += len(taps)
    return result


def any_step(op: Scan) -> list[int]:
    """As `one_step`, after any number of steps."""
    masks, lags = list(one_step(op)), lag_masks(op)
    changed = True
    while changed:
        changed = False
        for o, mask in enumerate(masks):
            for k, bits in enumerate(lags):
                if mask & bits:
                    mask |= masks[k]
            if mask != masks[o]:
                masks[o], changed = mask, True
    return masks


def connections(op: Scan, node: Apply) -> list[list[bool]]:
    """For each input and output of the loop, whether a gradient can flow between them."""
    known: list[list[bool]] | None = op.__dict__.get("_connections")
    if known is None:
        masks, lags = any_step(op), lag_masks(op)
        states = range(op.n_states)
        values = masks[: op.n_states + op.n_maps]
        bits = [1 << i for i in range(len(op.sequences))]
        first_fixed = len(op.sequences) + op.n_windows
        fixed = [1 << i for i in range(first_fixed, len(op.body.inputs))]

        def row(mine: int, own: int = -1) -> list[bool]:
            reached = [bool(m & mine) for m in values]
            finals = [reached[k] or k == own for k in states]
            return reached + finals + [False] * op.until

        known = [[False] * len(node.outputs)]
        known += [row(b) for b in bits]
        known += [row(lags[k], k) for k in states]
        known += [row(b) for b in fixed]
        op.__dict__["_connections"] = known
    return known


# -- what is dear ------------------------------------------------------------------------------

# Ops that move elements or make them from nothing: cheaper to repeat than to keep.
_FREE = (
    Alloc,
    ARange,
    DimShuffle,
    Eye,
    IncSubtensor,
    Join,
    MakeVector,
    Rebroadcast,
    Reshape,
    Shape,
    ShapeI,
    SpecifyShape,
    Subtensor,
)


def is_dear(v: Variable) -> bool:
    """Whether computing `v` once more costs at least as much as one exp an element."""
    if v.owner is None or not isinstance(v.type, TensorType):
        return False
    op = v.owner.op
    if isinstance(op, Elementwise):
        return bool(op.scalar.header) and op.scalar.header != ARITH
    return not isinstance(op, _FREE)


def stackable(op: Scan, values: Sequence[Variable]) -> set[Variable]:
    """Of what `values` of the body are made of, that which has one shape in all steps."""
    same: set[Variable] = set(op.inner()[2])  # what does not depend on the step
    known = {
        v: tuple(1 if b else ShapeI(i)(v) for i, b in enumerate(v.type.broadcastable))
        for v in op.body.inputs
    }
    same.update(n for shape in known.values() for n in shape if isinstance(n, Variable))
    shapes = all_shapes(values, known)
    lengths = [n for shape in shapes.values() for n in shape if isinstance(n, Variable)]
    for node in toposort(lengths, stop=same):
        of_row = isinstance(node.op, ShapeI) and node.inputs[0] in known
        if of_row or all(v in same or isinstance(v, Constant) for v in node.inputs):
            same.update(node.outputs)
    return {
        v
        for v, shape in shapes.items()
        if all(n in same or isinstance(n, (int, Constant)) for n in shape)
    }


def _is_float(v: Variable) -> bool:
    return isinstance(v.type, TensorType) and v.type.dtype in dtypes.FLOATS


def _given(g: Any, model: Variable) -> Variable | None:
    """`g` in the type of `model`; None where nothing flows."""
    from jitgraph.gradient import is_zero

    if not isinstance(g, Variable) or not _is_float(model) or is_zero(g):
        return None
    return restrict_pattern(cast(g, model.type.dtype), model.type.broadcastable)


def _named(type_: Any, name: str) -> Variable:
    v: Variable = type_.make_variable(name)
    return v


# -- the loop ----------------------------------------------------------------------------------


def gradient(
    op: Scan, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
) -> list[Gradient]:
    """The gradients of the inputs of a loop, from those of its outputs."""
    if any(t.keep is not None for t in op.traces):
        raise ValueError(f"{op.name}: a loop that kept only its last rows has no gradient")
    with without_test_values():  # the leaves of inner graphs have none
        inner = _Inner(op, outputs, grads)
        return _Outer(inner, inputs, outputs).answers()


class _Inner:
    """The gradient of one step, as expressions of what the forward step was given and made."""

    def __init__(self, op: Scan, outputs: Sequence[Variable], grads: Sequence[Gradient]):
        from jitgraph.rewrite.pipeline import stabilise

        self.op = op
        self.rows, self.windows, self.fixed = op.inner()
        values = list(op.body.outputs[: op.n_states + op.n_maps])
        self.values = stabilise(values, keep=set(op.body.inputs))
        traces, maps, finals, _ = op.results(grads)
        out_traces, out_maps, out_finals, _ = op.results(outputs)
        models = [*out_traces, *out_maps]
        self.of_traces = [_given(g, v) for g, v in zip([*traces, *maps], models, strict=True)]
        self.of_finals = [_given(g, v) for g, v in zip(finals, out_finals, strict=True)]
        self.where = here(outputs[0].owner.origins if outputs[0].owner is not None else ())
        self._find_live()
        self._make_cotangents()
        self._differentiate()

    def _find_live(self) -> None:
        """The float outputs that a gradient reaches, and the states whose lags pass one on."""
        op, masks, lags = self.op, one_step(self.op), lag_masks(self.op)
        live = {o for o, g in enumerate(self.of_traces) if g is not None}
        live |= {k for k, g in enumerate(self.of_finals) if g is not None}
        states = [k for k in range(op.n_states) if _is_float(self.values[k])]
        read: set[int] = set()
        changed = True
        while changed:
            read = {k for k in states if any(masks[o] & lags[k] for o in live)}
            changed = not read <= live
            live |= read
        self.live = sorted(live)
        self.carried = [
            k for k in states if k in read or (k in live and self.of_finals[k] is not None)
        ]

    def _make_cotangents(self) -> None:
        """D for each live output; the leaves it is made of."""
        self.pending: dict[int, list[Variable]] = {}
        self.trace_rows: dict[int, Variable] = {}
        self.cotangents: dict[int, Gradient] = {}
        for o in self.live:
            value = self.values[o]
            label = value.name or f"output {o}"
            terms = []
            if o in self.carried:
                depth = self.op.depths[o]
                self.pending[o] = [
                    _named(value.type, f"pending {label}[t-{j}]") for j in range(depth)
                ]
                terms.append(self.pending[o][0])
            if self.of_traces[o] is not None:
                self.trace_rows[o] = _named(value.type, f"gradient of {label}")
                terms.append(self.trace_rows[o])
            self.cotangents[o] = terms[0] if len(terms) == 1 else add(*terms)

    def _differentiate(self) -> None:
        """Gradients of the step's inputs; a state without one makes undefined what it reaches."""
        from jitgraph.gradient import propagate

        wanted = [v for v in self.op.body.inputs if _is_float(v)]
        while True:
            known: dict[Variable, Gradient] = {}
            for o in self.live:
                v, g = self.values[o], self.cotangents[o]
                if v in known:  # two outputs with one stable form
                    terms = [known[v], g]
                    undefined = [t for t in terms if isinstance(t, Undefined)]
                    g = undefined[0] if undefined else add(*terms)
                known[v] = g
            self.found = propagate(known, wanted) if known else {}
            spoilt = {
                k: g
                for k in self.carried
                for v in self.windows[k]
                if isinstance(g := self.found.get(v, DISCONNECTED), Undefined)
                and not isinstance(self.cotangents[k], Undefined)
            }
            if not spoilt:
                break
            self.cotangents.update(spoilt)
        self.gradients = {v: self._answer(v, g) for v, g in self.found.items()}

    def _answer(self, v: Variable, g: Gradient) -> Gradient:
        from jitgraph.gradient import is_zero

        if isinstance(g, Undefined):
            return Undefined(f"{g.reason}; in {self.op.name}{self.where}")
        if isinstance(g, Disconnected) or is_zero(g):
            return DISCONNECTED
        return restrict_pattern(g, v.type.broadcastable)

    def of(self, v: Variable) -> Gradient:
        """The gradient of an input of the step; DISCONNECTED for a zero."""
        return self.gradients.get(v, DISCONNECTED)

    def next_pending(self, k: int) -> list[Variable]:
        """What each P_j of state k becomes."""
        pending, result = self.pending[k], []
        by_lag = dict(zip(self.op.lags[k], self.windows[k], strict=True))
        for j in range(len(pending)):
            terms = pending[j + 1 : j + 2]
            v = by_lag.get(j + 1)
            g = self.of(v) if v is not None else DISCONNECTED
            if isinstance(g, Variable):
                terms = [*terms, g]
            new = terms[0] if len(terms) == 1 else add(*terms) if terms else zeros_for(pending[j])
            type_ = pending[j].type
            result.append(restrict_pattern(cast(new, type_.dtype), type_.broadcastable))
        return result

    @property
    def states(self) -> list[int]:
        """The states whose gradient the backward loop carries."""
        return [k for k in self.carried if not isinstance(self.cotangents[k], Undefined)]


class _Outer:
    """The backward loop around the gradient of a step, and what its results mean."""

    def __init__(self, inner: _Inner, inputs: Sequence[Variable], outputs: Sequence[Variable]):
        self.inner, self.op = inner, inner.op
        self.inputs, self.outputs = list(inputs), list(outputs)
        n, self.sequences, self.initials, self.fixed = self.op.outer(inputs)
        steps = self.op.results(outputs)[3]
        self.n = cast(n, "int64")
        self.done = self.n if steps is None else steps
        self.truncated = self.op.truncate >= 0
        self.steps = minimum(self.done, np.int64(self.op.truncate)) if self.truncated else self.done
        self._collect()
        self._read_forward()
        self._run()

    # -- the new body --
    def _collect(self) -> None:
        """The results of the backward step: carried gradients, sums, rows."""
        inner = self.inner
        self.carried = {k: inner.next_pending(k) for k in inner.states}
        self.sums: dict[int, Variable] = {}
        self.maps: dict[int, Variable] = {}
        for i, v in enumerate(inner.fixed):
            if isinstance(g := inner.of(v), Variable):
                self.sums[i] = g
        for i, v in enumerate(inner.rows):
            if isinstance(g := inner.of(v), Variable):
                self.maps[i] = g
        self.expressions = [v for news in self.carried.values() for v in news]
        self.expressions += [*self.sums.values(), *self.maps.values()]

    def _read_forward(self) -> None:
        """Replace what the forward loop keeps by its rows; find what it is to keep besides."""
        inner, op = self.inner, self.op
        kept = self._results()
        forward = set(ancestors(inner.values, stop=op.body.inputs))
        worth_keeping = self._varying() & stackable(op, inner.values)
        extra: dict[Variable, None] = {}
        seen: set[Variable] = set()
        stack = self.expressions[::-1]
        while stack:
            v = stack.pop()
            if v in seen or v in kept or v.owner is None:
                seen.add(v)
                continue
            seen.add(v)
            if not op.recompute and v in forward and v in worth_keeping and is_dear(v):
                extra[v] = None
            else:
                stack.extend(reversed(v.owner.inputs))
        used = seen | set(extra)
        self.leaves: dict[Variable, tuple[Variable, Rows]] = {}  # inner -> outer array, rows
        self._rows_of_results({v: o for v, o in kept.items() if v in used})
        self._rows_of_extra(list(extra))
        self._rows_of_inputs(used)
        for o, v in inner.trace_rows.items():
            if v in used:
                given = inner.of_traces[o]
                assert given is not None
                self.leaves[v] = self._fetched(given, Rows(0, op.traces[o].reversed))

    def _results(self) -> dict[Variable, int]:
        """The values whose trace the forward loop gives."""
        own = set(self.op.body.inputs)
        kept: dict[Variable, int] = {}
        for o, v in enumerate(self.inner.values):
            if v not in own and v.owner is not None:
                kept.setdefault(v, o)
                kept.setdefault(self.op.body.outputs[o], o)
        return kept

    def _varying(self) -> set[Variable]:
        found = set(self.op.body.inputs) - set(self.inner.fixed)
        for node in toposort(self.inner.values, stop=self.op.body.inputs):
            if any(v in found for v in node.inputs):
                found.update(node.outputs)
        return found

    # -- rows of the forward loop, read from the end --
    def _fetched(self, array: Variable, rows: Rows) -> tuple[Variable, Rows]:
        """What the forward loop reads as `rows` of `array` at step done - 1 - t, at step t."""
        if rows.reversed:  # row n - 1 - s + offset = t + (n - done) + offset
            cut = self._without(array, self.n, self.done) if self.op.until else array
            return cut, Rows(rows.offset, False)
        # row s + offset = (steps - 1 - t) + (done - steps) + offset
        cut = self._without(array, self.done, self.steps) if self.truncated else array
        return cut, Rows(rows.offset, True)

    @staticmethod
    def _without(array: Variable, longer: Variable, shorter: Variable) -> Variable:
        return array[longer - shorter :]  # type: ignore[index,no-any-return]

    def _rows_of_results(self, kept: dict[Variable, int]) -> None:
        for v, o in kept.items():
            self.leaves[v] = self._fetched(self.outputs[o], Rows(0, self.op.traces[o].reversed))

    def _rows_of_inputs(self, used: set[Variable]) -> None:
        inner, op = self.inner, self.op
        for v, x, rows in zip(inner.rows, self.sequences, op.sequences, strict=True):
            if v in used:
                self.leaves[v] = self._fetched(x, rows)
        for k, window in enumerate(inner.windows):
            for v, lag in zip(window, op.lags[k], strict=True):
                if v in used:
                    self.leaves[v] = self._fetched(*self._history(k, lag))
        self.used_fixed = [i for i, v in enumerate(inner.fixed) if v in used]

    def _history(self, k: int, lag: int) -> tuple[Variable, Rows]:
        """The array that holds x[s - lag] at every step s, and where."""
        known: dict[int, Variable] = self.__dict__.setdefault("_joined", {})
        depth, backwards = self.op.depths[k], self.op.traces[k].reversed
        if k not in known:
            trace, initial = self.outputs[k], self.initials[k]
            if depth > 1 or not initial.type.broadcastable[0]:
                initial = initial[:depth]  # type: ignore[index]
            parts = [trace, initial[::-1]] if backwards else [initial, trace]  # type: ignore[index]
            joined: Variable = Join(0)(*parts)
            known[k] = restrict_pattern(joined, (False, *trace.type.broadcastable[1:]))
        return known[k], Rows(lag if backwards else depth - lag, backwards)

    def _rows_of_extra(self, extra: list[Variable]) -> None:
        """Run the forward loop so that it keeps `extra` as well."""
        if not extra:
            return
        op, at = self.op, self.op.n_states + self.op.n_maps
        body = op.body.outputs
        own = [v if v not in set(body) else identity(v) for v in extra]
        wider = op.changed(
            body=Body(op.body.inputs, (*body[:at], *own, *body[at:])),
            traces=(*op.traces, *[Trace()] * len(extra)),
        )
        made = wider.make_node(*self.inputs)
        if self.outputs[0].owner is not None:
            made.origins = self.outputs[0].owner.origins
        for v, kept in zip(extra, made.outputs[at : at + len(extra)], strict=True):
            self.leaves[v] = self._fetched(kept, Rows())

    # -- the loop --
    def _run(self) -> None:
        """Build the backward loop, unless it would compute nothing."""
        if not self.expressions:
            return
        inner = self.inner
        table = {v: _named(v.type, v.name or "") for v in self.leaves}
        pending = [v for k in self.carried for v in inner.pending[k]]
        fixed = [inner.fixed[i] for i in self.used_fixed]
        totals = [_named(v.type, f"sum {i}") for i, v in self.sums.items()]
        for v in (*pending, *fixed):
            table[v] = _named(v.type, v.name or "")
        moved = rebuild(self.expressions, table)
        first_sum, first_map = len(pending), len(pending) + len(totals)
        sums = [
            restrict_pattern(cast(add(total, v), total.type.dtype), total.type.broadcastable)
            for total, v in zip(totals, moved[first_sum:first_map], strict=True)
        ]
        values = _distinct([*moved[:first_sum], *sums, *moved[first_map:]])
        states = [*(table[v] for v in pending), *totals]
        body = Body(
            (*(table[v] for v in self.leaves), *states, *(table[v] for v in fixed)), tuple(values)
        )
        maps = [Trace(reversed=not self.op.sequences[i].reversed) for i in self.maps]
        label = f"gradient of {self.op.label}" if self.op.label else "gradient"
        op = Scan(
            body,
            [rows for _, rows in self.leaves.values()],
            [(1,)] * len(states),
            [*[Trace()] * len(states), *maps],
            label=label,
        )
        made = op(
            self.steps,
            *(array for array, _ in self.leaves.values()),
            *self._initial_windows(),
            *(self.fixed[i] for i in self.used_fixed),
        )
        made = made if isinstance(made, list) else [made]
        _, self.map_rows, self.finals, _ = op.results(made)

    def _initial_windows(self) -> list[Variable]:
        """Before the last step: the gradient of the final window; sums are zero."""
        windows = []
        for k in self.carried:
            pattern = self.inner.values[k].type.broadcastable
            g = self.inner.of_finals[k]
            depth = self.op.depths[k]
            for j in range(depth):
                row = (
                    zeros_for(self.initials[k][0])  # type: ignore[index]
                    if g is None
                    else g[depth - 1 - j]  # type: ignore[index]
                )
                windows.append(_window(restrict_pattern(row, pattern)))
        for i, v in self.sums.items():
            zero = zeros_for(self.fixed[i])
            windows.append(
                _window(restrict_pattern(cast(zero, v.type.dtype), v.type.broadcastable))
            )
        return windows

    # -- what comes out --
    def answers(self) -> list[Gradient]:
        sequences = [self._of_sequence(i) for i in range(len(self.sequences))]
        initials = [self._of_initial(k) for k in range(len(self.initials))]
        fixed = [self._of_fixed(i) for i in range(len(self.fixed))]
        return [DISCONNECTED, *sequences, *initials, *fixed]

    def _of_fixed(self, i: int) -> Gradient:
        g = self.inner.of(self.inner.fixed[i])
        if isinstance(g, Undefined):
            return g
        if i not in self.sums:
            return zeros_for(self.fixed[i])
        at = sum(len(news) for news in self.carried.values()) + list(self.sums).index(i)
        total = self.finals[at]
        row = dimshuffle(total, *range(1, total.type.ndim))
        return restrict_pattern(row, self.fixed[i].type.broadcastable)

    def _of_sequence(self, i: int) -> Gradient:
        """The rows that were read get their gradients, the others zero."""
        x, rows = self.sequences[i], self.op.sequences[i]
        g = self.inner.of(self.inner.rows[i])
        if isinstance(g, Undefined):
            return g
        if i not in self.maps:
            return zeros_for(x)
        found = self.map_rows[list(self.maps).index(i)]
        whole = not self.op.until and not self.truncated and rows.offset == 0
        if whole and _is_length_of(self.n, x):
            return restrict_pattern(found, x.type.broadcastable)
        start: Any = np.int64(rows.offset)
        if rows.reversed and self.op.until:
            start = self.n - self.done + start  # type: ignore[operator]
        elif not rows.reversed and self.truncated:
            start = self.done - self.steps + start  # type: ignore[operator]
        zeros = cast(zeros_for(x), found.type.dtype)
        place = IncSubtensor(("sbe",), False)
        return place(zeros, found, start, start + self.steps)  # type: ignore[no-any-return]

    def _of_initial(self, k: int) -> Gradient:
        initial, depth = self.initials[k], self.op.depths[k]
        for v in self.inner.windows[k]:
            if isinstance(g := self.inner.of(v), Undefined):
                return g
        if k not in self.carried:
            return zeros_for(initial)
        at = sum(len(self.carried[j]) for j in self.carried if j < k)
        rows: list[Variable] = self.finals[at : at + depth][::-1]
        if self.truncated:
            skipped = self.done - self.steps
            blank = zeros_for(rows[0][0])  # type: ignore[index]
            shape = [ShapeI(a)(blank) for a in range(blank.type.ndim)]
            zeros = Alloc()(np.zeros((), blank.type.dtype), skipped, *shape)
            zeros = restrict_pattern(zeros, (False, *rows[0].type.broadcastable[1:]))
            found: Variable = Join(0)(zeros, *rows)[:depth]
        else:
            found = rows[0] if depth == 1 else Join(0)(*rows)
        if depth == 1 and initial.type.broadcastable[0]:
            return restrict_pattern(found, initial.type.broadcastable)
        found = restrict_pattern(found, (False, *initial.type.broadcastable[1:]))
        place = IncSubtensor(("se",), False)
        return place(zeros_for(initial), found, np.int64(depth))  # type: ignore[no-any-return]


def _window(row: Variable) -> Variable:
    return dimshuffle(row, "x", *range(row.type.ndim))


def _distinct(outputs: Iterable[Variable]) -> list[Variable]:
    seen: set[Variable] = set()
    result = []
    for v in outputs:
        if v.owner is None or v in seen:
            v = identity(v)
        seen.add(v)
        result.append(v)
    return result


def _is_length_of(n: Variable, x: Variable) -> bool:
    """Whether `n` was taken from `x` itself."""
    node = n.owner
    return (
        node is not None
        and isinstance(node.op, ShapeI)
        and node.op == ShapeI(0)
        and node.inputs[0] is x
    )
