"""Values of a loop's body for all steps at once.

A value that depends only on rows of arrays that exist outside (sequences before the loop, traces
after it) and on what is the same at every step is, for all steps together, an expression of these
arrays: with X of shape (n, *row) holding x of shape (*row) in row s, f(x) becomes F(X) with f(x) in
row s. `Lift` knows F for each op; the products of matrices become one product over all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from jitgraph.graph import Apply, Constant, Variable, made_for
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import AdvancedSubtensor, IncSubtensor, Subtensor
from jitgraph.ops.linalg import Dot
from jitgraph.ops.nnet import LogSoftmax, LogSumExp, Softmax
from jitgraph.ops.reduce import Reduce
from jitgraph.ops.shape import (
    Alloc,
    DimShuffle,
    Rebroadcast,
    Reshape,
    ShapeI,
    dimshuffle,
    restrict_pattern,
    shape_entries,
    shape_vector,
)
from jitgraph.rewrite.scan_loop import Loop

Source = Callable[[], Variable]


class Outside:
    """What the body computes from non-sequences, constants and lengths alone, outside the loop."""

    def __init__(self, loop: Loop):
        self.known: dict[Variable, Variable] = {f.inner: f.outer for f in loop.fixed}
        self._arrays: dict[Variable, Variable] = {q.inner: q.outer for q in loop.sequences}
        self._arrays.update((v, s.initial) for s in loop.states for v in s.lags.values())
        self._no: set[Variable] = set()

    def has(self, v: Variable) -> bool:
        """Whether `v` is the same at every step."""
        stack = [v]
        while stack:
            w = stack[-1]
            if w in self.known or w in self._no:
                stack.pop()
                continue
            if isinstance(w, Constant):
                self.known[w] = w
            elif w.owner is None:
                self._no.add(w)
            elif not self._length(w):
                pending = [i for i in w.owner.inputs if i not in self.known and i not in self._no]
                if pending:
                    stack.extend(pending)
                elif any(i in self._no for i in w.owner.inputs):
                    self._no.update(w.owner.outputs)
                else:
                    self._make(w.owner)
        return v in self.known

    def _length(self, w: Variable) -> bool:
        """The length of an axis of a row or a state is that of the next axis of the whole."""
        assert w.owner is not None
        if not isinstance(w.owner.op, ShapeI):
            return False
        array = self._arrays.get(w.owner.inputs[0])
        if array is None:
            return False
        self.known[w] = ShapeI(w.owner.op.i + 1)(array)
        return True

    def _make(self, node: Apply) -> None:
        from jitgraph.rewrite.engine import reapply

        inputs = [self.known[v] for v in node.inputs]
        made = node if inputs == node.inputs else reapply(node, inputs)
        self.known.update(zip(node.outputs, made.outputs, strict=True))

    def __getitem__(self, v: Variable) -> Variable:
        return self.known[v]


class Lift:
    """Arrays of all steps, made from those in `sources` (with the steps along axis 0)."""

    def __init__(
        self,
        outside: Outside,
        sources: Mapping[Variable, Source],
        refused: Callable[[Apply], bool] = lambda node: False,
    ):
        self.outside = outside
        self.sources = sources
        self.refused = refused  # nodes that are not to be computed outside
        self._can: dict[Variable, bool] = {}
        self._made: dict[Variable, Variable] = {}

    def moves(self, v: Variable) -> bool:
        """Whether `v` depends on the step."""
        return not self.outside.has(v)

    def can(self, v: Variable) -> bool:
        """Whether `v`, which depends on the step, can be computed for all steps at once."""
        stack = [v]
        while stack:
            w = stack[-1]
            if w in self._can:
                stack.pop()
                continue
            node = w.owner
            if w in self.sources or node is None or not self._is_liftable(node):
                self._can[w] = w in self.sources
                continue
            moving = [i for i in node.inputs if self.moves(i)]
            pending = [i for i in moving if i not in self._can]
            if pending:
                stack.extend(pending)
            else:
                self._can[w] = all(self._can[i] for i in moving)
        return self._can[v]

    def _is_liftable(self, node: Apply) -> bool:
        check = _CHECKS.get(type(node.op))
        if check is None or self.refused(node):
            return False
        return check(node, [self.moves(v) for v in node.inputs])

    def reads(self, v: Variable) -> list[Variable]:
        """The sources that `v` depends on."""
        found: dict[Variable, None] = {}
        seen: set[Variable] = set()
        stack = [v]
        while stack:
            w = stack.pop()
            if w in seen or not self.moves(w):
                continue
            seen.add(w)
            if w in self.sources:
                found.setdefault(w)
            elif w.owner is not None:
                stack.extend(w.owner.inputs)
        return list(found)

    def array(self, v: Variable) -> Variable:
        """The array of `v`; only if `can(v)`."""
        stack = [v]
        while stack:
            w = stack[-1]
            if w in self._made:
                stack.pop()
            elif w in self.sources:
                self._made[w] = self.sources[w]()
            else:
                assert w.owner is not None
                moving = [i for i in w.owner.inputs if self.moves(i)]
                pending = [i for i in moving if i not in self._made]
                if pending:
                    stack.extend(pending)
                else:
                    self._made[w] = self._make(w)
        return self._made[v]

    def _make(self, v: Variable) -> Variable:
        assert v.owner is not None
        flags = [self.moves(i) for i in v.owner.inputs]
        inputs = [
            self._made[i] if moves else self.outside[i]
            for i, moves in zip(v.owner.inputs, flags, strict=True)
        ]
        with made_for(v.owner.origins):
            new = _MAKERS[type(v.owner.op)](v.owner, inputs, flags)
            return restrict_pattern(new, (False, *v.type.broadcastable))


# -- one op at a time ------------------------------------------------------------------------------
# In each, `inputs[k]` has the steps along its first axis where `flags[k]`, else it is as inside.


def _elementwise(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    return node.op(*inputs)  # type: ignore[no-any-return]


def _dimshuffle(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    return dimshuffle(inputs[0], [0, *(o if o == "x" else o + 1 for o in node.op.new_order)])


def _reduce(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    op = node.op
    return op.along([a + 1 for a in op.axes])(inputs[0])


def _log_sum_exp(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    return LogSumExp([a + 1 for a in node.op.axes])(inputs[0])


def _rebroadcast(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    return Rebroadcast((False, *node.op.pattern))(inputs[0])


def _alloc(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    value, *lengths = inputs
    missing = len(lengths) - (value.type.ndim - 1)
    spread = dimshuffle(value, [0, *["x"] * missing, *range(1, value.type.ndim)])
    return Alloc()(spread, ShapeI(0)(value), *lengths)


def _reshape(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    x, shape = inputs
    entries = shape_entries(shape, node.op.ndim)
    assert entries is not None
    return Reshape(node.op.ndim + 1)(x, shape_vector([ShapeI(0)(x), *entries]))


def _index(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    x, *indices = inputs
    if flags[0]:
        return Subtensor(("s", *node.op.pattern))(x, *indices)
    return AdvancedSubtensor(("a",))(x, *indices)


def _write(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    """y put into x, of which at least one has all steps; the other is the same in each."""
    x, y, *indices = inputs
    view = Subtensor(node.op.pattern)(node.inputs[0], *node.inputs[2:])
    if not flags[0]:
        n = ShapeI(0)(y)
        x = Alloc()(x, n, *(ShapeI(i)(x) for i in range(x.type.ndim)))
        x = restrict_pattern(x, (False, *node.inputs[0].type.broadcastable))
    if flags[1]:
        missing = view.type.ndim - (y.type.ndim - 1)
        y = dimshuffle(y, [0, *["x"] * missing, *range(1, y.type.ndim)])
    return IncSubtensor(("s", *node.op.pattern), node.op.set_instead_of_inc)(x, y, *indices)


def _gather(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    return node.op(*inputs)


def _row_function(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    """softmax and the like of the rows of matrices."""
    return _of_rows(inputs[0], node.op)


def _of_rows(x: Variable, function: Callable[[Variable], Variable]) -> Variable:
    """`function` of the matrix (n b, k) of all rows of x (n, b, k), as (n, b, …)."""
    if x.type.broadcastable[1]:
        result = function(dimshuffle(x, 0, 2))
        return dimshuffle(result, [0, "x", *range(1, result.type.ndim)])
    n, b = ShapeI(0)(x), ShapeI(1)(x)
    result = function(flat_rows(x))
    rest = [ShapeI(i)(result) for i in range(1, result.type.ndim)]
    return Reshape(result.type.ndim + 1)(result, shape_vector([n, b, *rest]))


def flat_rows(x: Variable) -> Variable:
    """(n, b, k) as (n b, k)."""
    if x.type.broadcastable[1]:
        return dimshuffle(x, 0, 2)
    n, b, k = (ShapeI(i)(x) for i in range(3))
    return Reshape(2)(x, shape_vector([n * b, k]))


def _dot(node: Apply, inputs: list[Variable], flags: list[bool]) -> Variable:
    """One product for all steps; a matrix on the left is put on the right, transposed."""
    x, y = inputs
    if flags[0]:
        return Dot()(x, y) if x.type.ndim == 2 else _of_rows(x, lambda rows: Dot()(rows, y))
    matrix = dimshuffle(x, 1, 0) if x.type.ndim == 2 else x
    if y.type.ndim == 2:
        return Dot()(y, matrix)
    columns = _of_rows(dimshuffle(y, 0, 2, 1), lambda rows: Dot()(rows, matrix))
    return dimshuffle(columns, 0, 2, 1) if columns.type.ndim == 3 else columns


_Maker = Callable[[Apply, list[Variable], list[bool]], Variable]
_Check = Callable[[Apply, Sequence[bool]], bool]


def _first_only(node: Apply, flags: Sequence[bool]) -> bool:
    return flags[0] and not any(flags[1:])


def _can_index(node: Apply, flags: Sequence[bool]) -> bool:
    """x[i] with a moving x, or with a matrix that stays and one moving index."""
    return _first_only(node, flags) or (node.op.pattern == ("i",) and not flags[0])


def _can_gather(node: Apply, flags: Sequence[bool]) -> bool:
    return node.op.is_row_gather and not flags[0] and node.inputs[1].type.dtype != "bool"


def _one_moves(node: Apply, flags: Sequence[bool]) -> bool:
    return sum(flags) == 1


_MAKERS: dict[type, _Maker] = {
    Elementwise: _elementwise,
    DimShuffle: _dimshuffle,
    Reduce: _reduce,
    LogSumExp: _log_sum_exp,
    Softmax: _row_function,
    LogSoftmax: _row_function,
    Rebroadcast: _rebroadcast,
    Alloc: _alloc,
    Reshape: _reshape,
    Subtensor: _index,
    AdvancedSubtensor: _gather,
    IncSubtensor: _write,
    Dot: _dot,
}
_CHECKS: dict[type, _Check] = {op: _first_only for op in _MAKERS} | {
    Elementwise: lambda node, flags: True,
    Subtensor: _can_index,
    AdvancedSubtensor: _can_gather,
    IncSubtensor: lambda node, flags: not any(flags[2:]),
    Dot: _one_moves,
}
