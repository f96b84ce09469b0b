"""A state that only adds up products, one a step, is one product after the loop.

The gradient of a matrix that every step multiplies with is the sum over the steps of outer products
u v' (of A' B for matrices). With U and V holding u and v of all steps in their rows, the sum is
U' V: one product of matrices instead of n updates of a whole matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jitgraph.graph import Apply, Variable, toposort
from jitgraph.ops.arithmetic import add, sub
from jitgraph.ops.linalg import Dot
from jitgraph.ops.scan import Trace
from jitgraph.ops.shape import DimShuffle, dimshuffle
from jitgraph.ops.values import constant
from jitgraph.rewrite.index import take
from jitgraph.rewrite.scan_inputs import row_lengths
from jitgraph.rewrite.scan_lift import Lift, Outside, flat_rows
from jitgraph.rewrite.scan_loop import Kept, Loop, State, Work
from jitgraph.rewrite.scan_push import row_source
from jitgraph.rewrite.scan_rules import PUSH_SUMS
from jitgraph.rewrite.shapes import as_length


@dataclass
class Term:
    """`left`' `right`, added or subtracted: vectors or matrices, one row of the result for each
    element of a vector `left` or column of a matrix `left`."""

    sign: int
    left: Variable
    right: Variable


def push_sums(loop: Loop, work: Work) -> None:
    """Take the products out of every state that only adds up.

    Not where a condition ends the loop: rows of steps that were not done must not be added.
    """
    if loop.condition is not None:
        return
    users: Users | None = None
    for state in list(loop.states):
        if list(state.lags) != [1] or (state.trace_used and state.trace.keep != 1):
            continue
        users = _users(loop) if users is None else users
        summands = _summands(state, users)
        if summands is None:
            continue
        terms = [_as_product(sign, v) for sign, v in summands]
        products = [t for t in terms if t is not None]
        if products and _lengths_are_known(loop, products):
            rest = [s for s, t in zip(summands, terms, strict=True) if t is None]
            _take_out(loop, state, products, rest)
            work.fired(PUSH_SUMS)


Users = dict[Variable, list[Apply | None]]


def _users(loop: Loop) -> Users:
    """Who reads each value of the body; None stands for the loop itself."""
    users: Users = {}
    for node in toposort(loop.values()):
        for v in node.inputs:
            users.setdefault(v, []).append(node)
    for v in loop.values():
        users.setdefault(v, []).append(None)
    return users


def _summands(state: State, users: Users) -> list[tuple[int, Variable]] | None:
    """What a step adds to the state, with signs; None if it does anything else with it."""
    found: list[tuple[int, Variable]] = []
    v = state.lags[1]
    while True:
        readers = users.get(v, [])
        if len(readers) != 1:
            return None
        (node,) = readers
        if node is None:
            return found if v is state.value else None
        name = getattr(node.op, "scalar_name", "")
        if name not in ("add", "sub") or any(w.type.dtype != v.type.dtype for w in node.inputs):
            return None
        if len(node.inputs) != 2 or (name == "sub" and node.inputs[0] is not v):
            return None
        other = node.inputs[1 if node.inputs[0] is v else 0]
        found += _leaves_of_sum(1 if name == "add" else -1, other)
        v = node.outputs[0]


def _leaves_of_sum(sign: int, v: Variable) -> list[tuple[int, Variable]]:
    """What additions and subtractions (in the dtype of the sum) make `v` of, with signs."""
    found: list[tuple[int, Variable]] = []
    stack = [(sign, v)]
    while stack:
        s, w = stack.pop()
        node = w.owner
        name = getattr(node.op, "scalar_name", "") if node is not None else ""
        whole = node is not None and all(i.type == w.type for i in node.inputs)
        if node is not None and whole and name in ("add", "sub") and len(node.inputs) == 2:
            stack += [(s if name == "add" else -s, node.inputs[1]), (s, node.inputs[0])]
        elif node is not None and name == "neg":
            stack.append((-s, node.inputs[0]))
        else:
            found.append((s, w))
    return found


def _as_product(sign: int, v: Variable) -> Term | None:
    """`v` as a product of two vectors or of two matrices, the left one transposed."""
    node = v.owner
    if node is None or v.type.broadcastable != (False, False):
        return None
    if getattr(node.op, "new_order", ()) == (1, 0):  # (A' B)' = B' A
        term = _as_product(sign, node.inputs[0])
        return None if term is None else Term(sign, term.right, term.left)
    if isinstance(node.op, Dot):
        x, y = node.inputs
        return Term(sign, _transposed(x), y) if x.type.ndim == y.type.ndim == 2 else None
    if getattr(node.op, "scalar_name", "") != "mul" or len(node.inputs) != 2:
        return None
    if any(w.type.dtype != v.type.dtype for w in node.inputs):
        return None
    for column, row in (node.inputs, node.inputs[::-1]):
        if column.type.broadcastable == (False, True) and row.type.broadcastable == (True, False):
            return Term(sign, _vector(column, 0), _vector(row, 1))
    return None


def _transposed(x: Variable) -> Variable:
    if x.owner is not None and getattr(x.owner.op, "new_order", ()) == (1, 0):
        return x.owner.inputs[0]
    return dimshuffle(x, 1, 0)


def _vector(x: Variable, axis: int) -> Variable:
    """A row or column as a vector."""
    view = x.owner
    if view is not None and isinstance(view.op, DimShuffle) and view.inputs[0].type.ndim == 1:
        return view.inputs[0]
    return dimshuffle(x, axis)


def _lengths_are_known(loop: Loop, products: list[Term]) -> bool:
    """A trace of no rows must still have rows of the right length."""
    return row_lengths(loop, [v for t in products for v in (t.left, t.right)]) is not None


def _take_out(
    loop: Loop, state: State, products: list[Term], rest: list[tuple[int, Variable]]
) -> None:
    arrays = _Arrays(loop)
    pairs = [(t.sign, arrays.of(t.left, t.right)) for t in products]
    if rest:
        state.value = state.lags[1]
        for sign, v in rest:
            state.value = (add if sign > 0 else sub)(state.value, v)
        loop.states.remove(state)
        remaining = State(
            state.value,
            state.trace,
            initial=state.initial,
            lags=state.lags,
            depth=1,
            final_used=True,
        )
        loop.states.append(remaining)
        inner = remaining.final
    else:
        loop.states.remove(state)
        first = [slice(None, constant(np.int64(1)))]
        inner = lambda: take(state.initial, first)  # noqa: E731
    loop.gone.append(state)
    state.make_final = lambda: _total(inner(), pairs)
    # The last row, if a step was done.
    state.make_trace = lambda: take(state.final(), [slice(None, as_length(loop.n_steps))])


Pair = tuple[Callable[[], Variable], Callable[[], Variable]]


def _total(start: Variable, pairs: list[tuple[int, Pair]]) -> Variable:
    result = start
    for sign, (left, right) in pairs:
        u, v = left(), right()
        if u.type.ndim == 3:
            u, v = flat_rows(u), flat_rows(v)
        product = dimshuffle(Dot()(dimshuffle(u, 1, 0), v), "x", 0, 1)
        result = (add if sign > 0 else sub)(result, product)
    return result


class _Arrays:
    """The factors of all steps: from sequences where they can be, else kept by new maps."""

    def __init__(self, loop: Loop):
        self.loop = loop
        outside = Outside(loop)
        self.lifts = {
            backwards: Lift(
                outside,
                {
                    q.inner: row_source(loop, q)
                    for q in loop.sequences
                    if q.rows.reversed is backwards
                },
                _is_work,
            )
            for backwards in (False, True)
        }

    def of(self, left: Variable, right: Variable) -> Pair:
        """Arrays with the rows of both in the same order."""
        for backwards in (True, False):
            lift = self.lifts[backwards]
            if any(lift.moves(v) and lift.can(v) for v in (left, right)):
                return self._array(left, lift, backwards), self._array(right, lift, backwards)
        lift = self.lifts[False]
        return self._array(left, lift, False), self._array(right, lift, False)

    def _array(self, v: Variable, lift: Lift, backwards: bool) -> Callable[[], Variable]:
        if lift.moves(v) and lift.can(v):
            return lambda: lift.array(v)
        return self._kept(v, backwards).outside

    def _kept(self, v: Variable, backwards: bool) -> Kept:
        trace = Trace(None, backwards)
        for part in self.loop.kept:
            if part.value is v and (part.trace == trace or not part.trace_used):
                part.trace, part.trace_used = trace, True
                return part
        part = Kept(v, trace, [], True)
        self.loop.maps.append(part)
        return part


def _is_work(node: Apply) -> bool:
    """Only views are made again outside; whatever is computed is kept."""
    return not isinstance(node.op, DimShuffle)
