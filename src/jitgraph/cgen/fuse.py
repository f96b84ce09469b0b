"""Which values are computed in which loop.

Every value that must lie in memory is a *root*: a function output, what BLAS or Python reads, a
reduction, an expensive value that several loops need. Roots over the same index space that do
not wait for each other share a loop. A root that needs, row by row, what an earlier reduction of
the same rows gives (softmax, normalisation) becomes a further *stage* inside the rows' loop.
Every decision is written down in `Cluster.why`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from jitgraph.cgen.build import GATHERS, VIEWS, Builder, Index, is_gather
from jitgraph.cgen.ir import Buffer, Call, Let, Poly
from jitgraph.cgen.lengths import Length, Lengths, Symbol
from jitgraph.graph import Apply, Constant, Variable
from jitgraph.ops.branch import Branch
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import IncSubtensor, Subtensor, slice_bounds
from jitgraph.ops.join import Join
from jitgraph.ops.linalg import Dot
from jitgraph.ops.nnet import Pick
from jitgraph.ops.reduce import ArgReduce, Reduce
from jitgraph.ops.scalar import ScalarFunction
from jitgraph.ops.scan import Scan
from jitgraph.ops.shape import DimShuffle, MakeVector, Reshape, ShapeI, known_int

LOOPS = ("i", "j", "k", "l", "p", "q", "r", "s")
# A value dearer than this is kept rather than computed again by a second reader. Units: one
# addition; a division or root counts as 4.
DEAR = 8
VECTOR_FUNCTION = 16
# Loops stay below this, because compilers take more than linear time for long functions: twenty
# calls of vector functions take gcc half a second, a thousand would take minutes.
LARGEST_VALUE, LARGEST_LOOP = 160, 320


def own_cost(node: Apply) -> int:
    if not isinstance(node.op, Elementwise):
        return 0
    return cost_of(node.op.scalar)


def cost_of(scalar: ScalarFunction) -> int:
    if scalar.is_vector_function:
        return VECTOR_FUNCTION
    return 4 if scalar.name in ("true_div", "inv", "sqrt", "int_div", "mod") else 1


@dataclass(eq=False)
class Root:
    """One value that gets memory: what is computed (`source`), over which space, stored where."""

    variable: Variable  # whose memory is written
    source: Variable  # the element that is evaluated in the loop
    space: tuple[Length, ...]
    axes: tuple[int, ...] | None = None  # reduced axes, None for a plain store
    # index of the loop -> index in the memory of `variable`
    place: Callable[[Index], Index] | None = None
    add: bool = False  # add to what is there instead of storing
    alone: bool = False  # never shares a loop
    node: Apply | None = None

    @property
    def first_reduced(self) -> int:
        """The depth of the first reduced loop if they are the innermost, 0 if they are not."""
        rank = len(self.space)
        if self.axes is None:
            return rank
        suffix = tuple(range(rank - len(self.axes), rank))
        return self.axes[0] if self.axes == suffix and self.axes else (rank if not self.axes else 0)

    @property
    def is_suffix(self) -> bool:
        rank = len(self.space)
        return self.axes is None or self.axes == tuple(range(rank - len(self.axes), rank))


@dataclass(eq=False)
class Stage:
    space: tuple[Length, ...]
    roots: list[Root] = field(default_factory=list)


@dataclass(eq=False)
class Cluster:
    """Loops that run together: `shared` outer loops around one or more stages."""

    stages: list[Stage]
    shared: int
    reads: set[Variable] = field(default_factory=set)
    cost: int = 0
    why: list[str] = field(default_factory=list)

    def roots(self) -> Iterable[Root]:
        for stage in self.stages:
            yield from stage.roots


@dataclass(eq=False)
class Product:
    """A matrix product: out = op(a) · op(b), scaled and added to as a Gemm says."""

    node: Apply
    a: Variable
    b: Variable
    transpose_a: bool
    transpose_b: bool


@dataclass(eq=False)
class LabelCheck:
    """Every entry of an index array must name a column or row; checked before it is used."""

    node: Apply
    labels: Variable

    @property
    def axis(self) -> int:
        """The axis of the first input that the entries select from."""
        return 1 if isinstance(self.node.op, Pick) else 0

    @property
    def may_be_negative(self) -> bool:
        return not isinstance(self.node.op, Pick)


@dataclass(eq=False)
class Loop:
    """A scan: a loop over steps, whose body is a segment of its own."""

    node: Apply
    body: Any  # Segment
    operands: list[list[Piece]]  # where each input of the node lies; n_steps lies nowhere


@dataclass(frozen=True)
class Piece:
    """Rows of an operand that lie one behind another: `count` rows of `base`, from `first` on."""

    base: Variable
    first: Any  # int or graph scalar
    count: Any  # int or graph scalar; None: all that are asked for


@dataclass(eq=False)
class Routine:
    """One call of a function of `csrc/` on whole arrays, as the op's `c_routine` says."""

    node: Apply
    header: str
    template: str

    @property
    def operands(self) -> list[Variable]:
        """The inputs that the call reads."""
        return [self.node.inputs[k] for k in routine_inputs(self.template)]

    @property
    def refusal(self) -> str | None:
        """What is wrong when the call gives the position of a bad element, not -1."""
        return getattr(self.node.op, "c_routine_checks", None)


@dataclass(eq=False)
class Choice:
    """Two bodies, of which one is run."""

    node: Apply
    bodies: list[Any]  # Segments


def drawn(node: Apply) -> int | None:
    """Which output of a node can be made in the loop that reads it, if one can (`c_fill`)."""
    return getattr(node.op, "c_filled", None) if routine_of(node) is not None else None


def routine_inputs(template: str) -> list[int]:
    """The numbers of the inputs whose memory a template names."""
    return sorted({int(k) for k in re.findall(r"\{x(\d+)\}", template)})


def routine_of(node: Apply) -> tuple[str, str] | None:
    """(header, template) of an op that is a call, if its results have a shape known beforehand."""
    declared = getattr(node.op, "c_routine", None)
    if declared is None:
        return None
    found = _ROUTINES.get(node, False)
    if found is False:
        shapes = [tuple(ShapeI(k)(v) for k in range(v.type.ndim)) for v in node.inputs]
        known = node.op.infer_shape(node, shapes) is not None
        found = _ROUTINES[node] = declared(node) if known else None
    return found


_ROUTINES: WeakKeyDictionary[Apply, Any] = WeakKeyDictionary()

Item = Cluster | Product | LabelCheck | Loop | Choice | Routine


def materialised(
    order: Sequence[Apply],
    outputs: Iterable[Variable],
    fusion: bool,
    unfused: Container[Apply] = (),
) -> set[Variable]:
    """The variables of a segment that get memory."""
    result = set(outputs)
    readers: dict[Variable, list[Apply]] = {}
    for node in order:
        for v in dict.fromkeys(node.inputs):
            readers.setdefault(v, []).append(node)
    cost: dict[Variable, int] = {}
    inside = set(order)
    hidden = _seen_through(order, readers) - result
    for node in order:
        op = node.op
        if isinstance(op, Dot):
            operands = node.inputs[:2]
            result.update(v.owner.inputs[0] for v in operands if _is_transpose(v) and v.owner)
        if (routine := routine_of(node)) is not None:
            result.update(node.inputs[k] for k in routine_inputs(routine[1]))
            stored = set(node.outputs)
            if fusion and node not in unfused and (k := drawn(node)) is not None:
                made = node.outputs[k]
                if made not in result and _is_streamed(made, readers.get(made, ())):
                    stored.discard(made)
                    cost[made] = 16
            result |= stored
        if isinstance(op, Scan):
            result.update(p.base for parts in operands_of(node, inside)[1:] for p in parts)
        for v in node.inputs:
            if _needs_memory(node, v):
                result.add(v)
        if isinstance(op, (Reduce, ArgReduce, Dot, Join, IncSubtensor, MakeVector, Scan, Branch)):
            result.update(node.outputs)
        inlined = sum(cost.get(v, 0) for v in set(node.inputs) if v not in result)
        for out in node.outputs:
            cost[out] = own_cost(node) + inlined + cost.get(out, 0)
            uses = readers.get(out, [])
            again = len(uses) > 1 or any(_stretches(r) for r in uses)
            kept = not fusion or (again and cost[out] >= DEAR) or cost[out] > LARGEST_VALUE
            if isinstance(op, Elementwise) and kept:
                result.add(out)
            if out in result:
                cost[out] = 0
    return {v for v in result if v.owner is not None} - hidden


def _needs_memory(node: Apply, v: Variable) -> bool:
    if hasattr(node.op, "c_routine") or isinstance(node.op, Branch):
        return True
    if isinstance(node.op, Reshape):
        return v is node.inputs[0]
    if isinstance(node.op, GATHERS):
        return v is node.inputs[1] or isinstance(getattr(v.owner, "op", None), (Reduce, Dot))
    if isinstance(node.op, Dot):  # factors that are constants stand in the text of the call
        if v in node.inputs[2:]:
            return v.type.ndim > 0 or not isinstance(v, Constant)
        return not _is_transpose(v)
    return v.owner is not None and isinstance(v.owner.op, MakeVector)


def pieces(v: Variable, inside: Container[Apply]) -> list[Piece]:
    """Where the rows of an operand of a loop lie, seen through views that leave rows in order.

    An axis of length 1 put before it, a slice of its rows and two arrays joined row to row need no
    copy: the loop counts its rows in what they are made of. Only nodes `inside` the segment are
    seen through.
    """
    node = v.owner
    alone = [Piece(v, 0, None)]
    if node is None or node not in inside or any(isinstance(x, Constant) for x in node.inputs[:1]):
        return alone
    op, x = node.op, node.inputs[0]
    if isinstance(op, DimShuffle) and op.new_order == ("x", *range(x.type.ndim)):
        return [Piece(x, 0, None)]
    if isinstance(op, Subtensor) and len(op.pattern) == 1 and op.pattern[0].startswith("s"):
        (entry,) = op.entries(node.inputs[1:])
        first, _, step = slice_bounds(entry, ShapeI(0)(x))
        inner = pieces(x, inside)
        if known_int(step) == 1 and len(inner) == 1 and inner[0].base.type.ndim == v.type.ndim:
            return [Piece(inner[0].base, _plus(inner[0].first, first), None)]
    if isinstance(op, Join) and op.axis == 0 and len(node.inputs) == 2:
        parts = [pieces(w, inside) for w in node.inputs]
        if not isinstance(node.inputs[1], Constant) and all(len(p) == 1 for p in parts):
            (a,), (b,) = parts
            return [Piece(a.base, a.first, ShapeI(0)(x)), b]
    return alone


def operands_of(node: Apply, inside: Container[Apply]) -> list[list[Piece]]:
    """Where each input of a loop lies; what the body reads as a whole lies in one piece."""
    _, sequences, initials, fixed = node.op.outer(node.inputs)
    by_row = [pieces(v, inside) for v in (*sequences, *initials)]
    return [[], *by_row, *([Piece(v, 0, None)] for v in fixed)]


def _plus(a: Any, b: Any) -> Any:
    return b if isinstance(a, int) and a == 0 else a if isinstance(b, int) and b == 0 else a + b


def _by_row(reader: Apply, v: Variable) -> bool:
    return isinstance(reader.op, Scan) and v not in reader.op.outer(reader.inputs)[3]


def _seen_through(order: Sequence[Apply], readers: dict[Variable, list[Apply]]) -> set[Variable]:
    """Joins that nobody but loops reads, row by row."""
    inside = set(order)
    return {
        node.outputs[0]
        for node in order
        if isinstance(node.op, Join)
        and all(_by_row(r, node.outputs[0]) for r in readers.get(node.outputs[0], ()))
        and len(pieces(node.outputs[0], inside)) > 1
    }


def _is_streamed(v: Any, uses: Sequence[Apply]) -> bool:
    """Whether v is read once, element by element, in the order in which it is made."""
    return (
        v.type.ndim > 0
        and len(uses) == 1
        and (
            isinstance(uses[0].op, Reduce)
            or (
                isinstance(uses[0].op, Elementwise)
                and uses[0].outputs[0].type.broadcastable == v.type.broadcastable
                and True not in v.type.broadcastable
            )
        )
    )


def _stretches(node: Apply) -> bool:
    return isinstance(node.op, DimShuffle) and "x" in node.op.new_order and bool(node.op.kept)


def _is_transpose(v: Variable) -> bool:
    """Whether BLAS reads what `v` is the transpose of, and is told so."""
    return (
        v.owner is not None
        and isinstance(v.owner.op, DimShuffle)
        and v.owner.op.new_order == (1, 0)
        and not isinstance(v.owner.inputs[0], Constant)
    )


def loop_index(space: Sequence[Length]) -> Index:
    """The loop variables of a space; an axis of length 1 needs none."""
    return tuple(
        Poly() if n == 1 and isinstance(n, int) else Poly.name(LOOPS[axis])
        for axis, n in enumerate(space)
    )


class Fuser:
    """Places roots one after another, each as early as what it reads allows."""

    def __init__(self, lengths: Lengths, buffers: dict[Variable, Buffer], fusion: bool):
        self.lengths = lengths
        self.buffers = buffers
        self.fusion = fusion
        self.items: list[Item] = []
        # where a variable is produced: (item, stage) of its last writer
        self.place: dict[Variable, tuple[int, int]] = {}
        self.root_of: dict[Variable, Root] = {}

    # -- placing --
    def add(self, root: Root) -> None:
        root.space = tuple(self.lengths.find(n) for n in root.space)
        reads, cost = self._reads(root)
        where = None
        if self.fusion and not root.alone:
            where = self._join(root, reads, cost) or self._follow(root, reads, cost)
        if where is None:
            why = self._why_apart(root, reads)
            self.items.append(Cluster([Stage(root.space, [root])], self._limit(root), why=why))
            where = (len(self.items) - 1, 0)
        cluster = self.items[where[0]]
        assert isinstance(cluster, Cluster)
        cluster.reads.update(v for v, _ in reads)
        cluster.cost += cost
        self.place[root.variable] = where
        self.root_of[root.variable] = root

    def add_item(self, item: Item, produces: Iterable[Variable] = ()) -> None:
        self.items.append(item)
        for v in produces:
            self.place[v] = (len(self.items) - 1, 0)

    def _limit(self, root: Root) -> int:
        return root.first_reduced if root.is_suffix else 0

    def _reads(self, root: Root) -> tuple[list[tuple[Variable, Index]], int]:
        """What the root loads, were it alone in its loop, and what that loop would cost."""
        counter = iter(range(10**9))
        builder = Builder(self.lengths, self.buffers, lambda: f"t{next(counter)}")
        index = loop_index(root.space)
        if root.axes is None and root.place is None:
            builder.produced = {root.variable: index}
        builder.value(root.source, index)
        builder.wait_for(n.name for n in root.space if isinstance(n, Symbol))
        cost = sum(
            cost_of(s.value.function)
            for s in builder.body
            if isinstance(s, Let) and isinstance(s.value, Call)
        )
        return builder.reads, cost

    def _join(
        self, root: Root, reads: list[tuple[Variable, Index]], cost: int
    ) -> tuple[int, int] | None:
        """An existing stage over the same space in which everything read is at hand."""
        index = loop_index(root.space)
        earliest = max((self.place[v][0] for v, _ in reads if v in self.place), default=-1)
        for number in range(len(self.items) - 1, max(earliest, 0) - 1, -1):
            cluster = self.items[number]
            if not isinstance(cluster, Cluster) or not self._shares(cluster, root, reads):
                continue
            if cluster.cost + cost > LARGEST_LOOP:
                continue
            for s, stage in enumerate(cluster.stages):
                if self.lengths.same(stage.space, root.space) and self._at_hand(
                    root, reads, number, s, index
                ):
                    if len(cluster.stages) == 1:
                        cluster.shared = min(cluster.shared, self._limit(root))
                    elif self._limit(root) < cluster.shared:
                        continue
                    stage.roots.append(root)
                    cluster.why.append(
                        f"{_label(root)} joins stage {s}: same index space, and what it reads is "
                        "at hand there"
                    )
                    return number, s
        return None

    def _shares(
        self, cluster: Cluster, root: Root, reads: Sequence[tuple[Variable, Index]]
    ) -> bool:
        if any(r.alone for r in cluster.roots()):
            return False
        mine = {v for v, _ in reads}
        return (
            not root.space
            or bool(mine & cluster.reads)
            or any(r.variable in mine for r in cluster.roots())
        )

    def _at_hand(
        self,
        root: Root,
        reads: Sequence[tuple[Variable, Index]],
        number: int,
        stage: int,
        index: Index,
    ) -> bool:
        cluster = self.items[number]
        assert isinstance(cluster, Cluster)
        for v, at in reads:
            if v not in self.place:
                continue
            item, its_stage = self.place[v]
            if item < number:
                continue
            producer = self.root_of.get(v)
            if item > number or producer is None:
                return False
            if its_stage == stage:
                if producer.axes is not None or at != index:
                    return False
            elif its_stage > stage or not self._row_by_row(cluster.shared, at, index):
                return False
        return True

    @staticmethod
    def _row_by_row(shared: int, at: Index, index: Index) -> bool:
        return shared > 0 and len(at) >= shared and at[:shared] == index[:shared]

    def _follow(
        self, root: Root, reads: list[tuple[Variable, Index]], cost: int
    ) -> tuple[int, int] | None:
        """A new last stage of the cluster whose reduction the root waits for."""
        number = max((self.place[v][0] for v, _ in reads if v in self.place), default=-1)
        if number < 0:
            return None
        cluster = self.items[number]
        if not isinstance(cluster, Cluster) or any(r.alone for r in cluster.roots()):
            return None
        if cluster.cost + cost > LARGEST_LOOP:
            return None
        index = loop_index(root.space)
        shared = min(cluster.shared, self._limit(root), len(root.space))
        while shared and not self.lengths.same(
            cluster.stages[0].space[:shared], root.space[:shared]
        ):
            shared -= 1
        if not shared or not any(not isinstance(n, int) or n > 1 for n in root.space[:shared]):
            return None
        for v, at in reads:
            if v in self.place and self.place[v][0] == number:
                producer = self.root_of.get(v)
                if producer is None or not self._row_by_row(shared, at, index):
                    return None
        cluster.shared = shared
        cluster.stages.append(Stage(root.space, [root]))
        cluster.why.append(
            f"{_label(root)} becomes stage {len(cluster.stages) - 1}: it waits, row by row, for a "
            "reduction of the same rows"
        )
        return number, len(cluster.stages) - 1

    # -- explaining --
    def _why_apart(self, root: Root, reads: Sequence[tuple[Variable, Index]]) -> list[str]:
        """Why no earlier loop took the root: one line for each that `_join` considered."""
        if not self.fusion:
            return [f"{_label(root)} is on its own: fusion is off"]
        if root.alone:
            return [f"{_label(root)} is on its own: it fills a part of an array"]
        earliest = max((self.place[v][0] for v, _ in reads if v in self.place), default=-1)
        why = []
        for number in range(len(self.items) - 1, max(earliest, 0) - 1, -1):
            cluster = self.items[number]
            if isinstance(cluster, Cluster):
                obstacle = self._obstacle(number, cluster, root, reads)
                why.append(f"{_label(root)} is apart from k{number}: {obstacle}")
        if earliest >= 0 and not isinstance(self.items[earliest], Cluster):
            kind = "matrix product" if isinstance(self.items[earliest], Product) else "label check"
            why.append(f"{_label(root)} comes after item {earliest}, the {kind} it waits for")
        return why or [f"{_label(root)} opens the first loop"]

    def _obstacle(
        self, number: int, cluster: Cluster, root: Root, reads: Sequence[tuple[Variable, Index]]
    ) -> str:
        if any(r.alone for r in cluster.roots()):
            return "that loop fills a part of an array"
        if not self._shares(cluster, root, reads):
            return "they read nothing in common"
        index = loop_index(root.space)
        for v, at in reads:
            if self.place.get(v, (-1, 0))[0] != number:
                continue
            producer = self.root_of.get(v)
            if producer is not None and producer.axes is not None:
                return f"it waits for the whole of {_label(producer)}"
            if producer is not None and at != index:
                return f"it reads {_label(producer)} at other indices than those being computed"
        if not any(self.lengths.same(stage.space, root.space) for stage in cluster.stages):
            spaces = (_space_text(cluster.stages[0].space), _space_text(root.space))
            return f"the index space there is {spaces[0]}, here {spaces[1]}"
        return "it does not reduce the rows that the stages there share"


def _label(root: Root) -> str:
    if root.variable.name:
        return root.variable.name
    return "a copy" if root.node is None else str(root.node.op.name).split("{")[0]


def _space_text(space: Sequence[Length]) -> str:
    return "[" + ", ".join(n.name if isinstance(n, Symbol) else str(n) for n in space) + "]"


def is_view(node: Apply) -> bool:
    return isinstance(node.op, VIEWS) or is_gather(node)


def stays_array(node: Apply, constant: Constant) -> bool:
    """Whether a constant cannot be written as one number where `node` reads it."""
    return constant.data.size != 1 or isinstance(node.op, Scan) or _needs_memory(node, constant)
