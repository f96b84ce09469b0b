"""One entry of a library: checks, then loops and matrix products in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jitgraph import dtypes
from jitgraph.canonical import own_memory
from jitgraph.cgen import checks as demands
from jitgraph.cgen import sweep
from jitgraph.cgen.build import Builder, is_gather
from jitgraph.cgen.comment import kernel_comment
from jitgraph.cgen.fuse import (
    Choice,
    Cluster,
    Fuser,
    Item,
    LabelCheck,
    Loop,
    Product,
    Root,
    Routine,
    Stage,
    drawn,
    is_view,
    loop_index,
    materialised,
    operands_of,
    routine_of,
    stays_array,
)
from jitgraph.cgen.ir import ZERO, Buffer, Kernel, Poly
from jitgraph.cgen.lengths import Check, Lengths, Names, NotHostScalar, NotInSegment
from jitgraph.cgen.loops import NotALoop, Scope, add_checks
from jitgraph.cgen.lower import ClusterLowering
from jitgraph.cgen.outline import MOST_INLINE, dear_calls, outline
from jitgraph.cgen.schedule import NotFilled, collect, schedule
from jitgraph.graph import Apply, Constant, TensorType, Variable, toposort
from jitgraph.ops.branch import Branch
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import IncSubtensor
from jitgraph.ops.join import Join
from jitgraph.ops.linalg import Dot, Gemm
from jitgraph.ops.reduce import ArgReduce, Reduce
from jitgraph.ops.scan import Body, Scan
from jitgraph.ops.shape import DimShuffle, MakeVector, Shape, ShapeI, dimshuffle

FUSIBLE = (Elementwise, Reduce, ArgReduce, Join, IncSubtensor, MakeVector, ShapeI)


def is_compiled(node: Apply) -> bool:
    """Whether a node becomes C; all others are run as NumPy steps."""
    if isinstance(node.op, Dot):
        return node.outputs[0].type.dtype in dtypes.FLOATS
    if isinstance(node.op, Scan):
        return has_compiled_body(node.op)
    if isinstance(node.op, Branch):
        return all(map(is_compiled_graph, node.op.bodies))
    if hasattr(node.op, "c_routine"):
        return routine_of(node) is not None
    return isinstance(node.op, FUSIBLE) or (is_view(node) and not isinstance(node.op, Shape))


def is_compiled_graph(body: Body) -> bool:
    """Whether, going by its ops and types, an inner graph can be C."""
    return all(isinstance(v.type, TensorType) for v in body.inputs) and all(
        is_compiled(node) for node in toposort(body.outputs, stop=body.inputs)
    )


def has_compiled_body(op: Scan) -> bool:
    """Whether, going by its ops and types, a loop can be C."""
    if op.until and any(t.keep is not None for t in op.traces):
        return False
    return is_compiled_graph(op.body)


@dataclass
class Segment:
    """A run of nodes that becomes one C entry, with everything the emitter needs."""

    slots: list[Variable]
    nodes: list[Apply]
    outputs: list[Variable]
    fusion: bool = True
    unfused: frozenset[Apply] = frozenset()  # draws that loops turned out not to read in order
    prefix: str = "k"  # of the names of its loops, which are unique in the whole file
    names: Names = field(default_factory=Names)
    scope: Scope | None = None  # of the body of a loop
    around: tuple[Segment, Loop | Choice] | None = None  # where this is the body of an item
    lengths: Lengths = field(init=False)
    buffers: dict[Variable, Buffer] = field(default_factory=dict)
    constants: list[tuple[Buffer, Constant]] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)
    kernels: dict[int, Kernel] = field(default_factory=dict)
    scratch: list[Buffer] = field(default_factory=list)
    labels: list[LabelCheck | Routine] = field(default_factory=list)
    rows: dict[Variable, Buffer] = field(default_factory=dict)  # of a body: memory of its results
    nested: dict[Apply, Loop | Choice] = field(default_factory=dict)
    bodies: list[Segment] = field(default_factory=list)  # of these, in their order
    written_in_place: set[Apply] = field(default_factory=set)
    groups: list[sweep.Group] = field(default_factory=list)  # all items, in the order of the C
    sweeps: dict[int, sweep.Sweep] = field(default_factory=dict)  # by the first of their items
    first_check: int = 0  # the number of its first check in the C function

    def __post_init__(self) -> None:
        self.lengths = Lengths(self.slots, self.names, late=self.around is not None)
        if self.around is not None:
            self.scope = Scope(self, *self.around)
        self.inside = set(self.nodes)
        for node in self.nodes:
            demands.record(self.lengths, node)
        memory = materialised(self.nodes, self.outputs, self.fusion, self.unfused)
        memory |= self.lengths.awaited()
        self._name_buffers(memory)
        self._write_in_place()
        self._place_roots(memory)
        self._reuse_outputs(memory)
        self._lower()
        self.groups, self.sweeps = sweep.order(self)
        if self.scope is not None:
            self._fit_into_loop()

    @property
    def checks(self) -> list[Check]:
        return self.lengths.checks

    # -- memory --
    def _buffer(self, name: str, v: Variable, kind: str) -> Buffer:
        dims = tuple(map(self.lengths.poly, self.lengths.shape(v)))
        return Buffer(name, v.type.dtype, dims, kind)

    def _name_buffers(self, memory: set[Variable]) -> None:
        for v in self.slots:
            self.buffers[v] = self._buffer(self.names.next("a"), v, "in")
        for v in self.outputs:
            self.buffers[v] = self._buffer(self.names.next("z"), v, "out")
        for node in self.nodes:
            for v in node.inputs:
                if isinstance(v, Constant) and v not in self.buffers and stays_array(node, v):
                    buffer = self._buffer(self.names.next("c"), v, "const")
                    self.buffers[v] = buffer
                    self.constants.append((buffer, v))
            for v in node.outputs:
                if v in memory and v not in self.buffers:
                    buffer = self._buffer(self.names.next("s"), v, "scratch")
                    self.buffers[v] = buffer
                    self.scratch.append(buffer)

    def _write_in_place(self) -> None:
        """An array that is read only to be written to in a part needs no copy for that, nor does
        one to which a product of matrices is added."""
        uses = Counter(v for node in self.nodes for v in node.inputs)
        uses.update(self.outputs)
        for node in reversed(self.nodes):
            changed = isinstance(node.op, IncSubtensor)
            added = isinstance(node.op, Gemm) and len(node.inputs) == 5
            if not changed and not (added and min(v.type.ndim for v in node.inputs[:2]) == 2):
                continue
            x, out = node.inputs[0 if changed else 4], node.outputs[0]
            mine = self.buffers.get(x)
            if mine is not None and mine.kind == "scratch" and uses[x] == 1:
                self.buffers[x] = self.buffers[out]
                if changed:
                    self.written_in_place.add(node)

    # -- roots --
    def _place_roots(self, memory: set[Variable]) -> None:
        self.fuser = Fuser(self.lengths, self.buffers, self.fusion)
        self.items = self.fuser.items
        for node in self.nodes:
            if is_gather(node):
                self._add_label_check(node)
            for out in node.outputs:
                if out in memory:
                    self._add_roots(node, out)

    def _add_label_check(self, node: Apply) -> None:
        check = LabelCheck(node, node.inputs[1])
        self.labels.append(check)
        self.fuser.add_item(check, node.outputs)

    def _add_roots(self, node: Apply, out: Variable) -> None:
        op, shape = node.op, self.lengths.shape
        if isinstance(op, Dot):
            self.fuser.add_item(self._product(node), [out])
        elif (found := routine_of(node)) is not None:
            if out is next(v for v in node.outputs if v in self.buffers):
                made = node.outputs[k] if (k := drawn(node)) is not None else out
                if made not in self.buffers:
                    found = node.op.c_rest(node)
                routine = Routine(node, *found)
                self.fuser.add_item(routine, node.outputs)
                if routine.refusal:
                    self.labels.append(routine)
        elif isinstance(op, (Scan, Branch)):
            if node not in self.nested:
                self.nested[node] = self._loop(node) if isinstance(op, Scan) else self._choice(node)
        elif isinstance(op, Reduce):
            x = node.inputs[0]
            self.fuser.add(Root(out, x, shape(x), axes=op.axes, node=node))
        elif isinstance(op, ArgReduce):
            self._add_search(node, out)
        elif isinstance(op, Join):
            self._add_join(node, out)
        elif isinstance(op, IncSubtensor):
            self._add_write(node, out)
        elif isinstance(op, MakeVector):
            for k, v in enumerate(node.inputs):
                place = _at_constant(k)
                self.fuser.add(Root(out, v, (), place=place, node=node))
        else:
            self.fuser.add(Root(out, out, shape(out), node=node))

    def _add_search(self, node: Apply, out: Variable) -> None:
        """A search keeps its best value in a register, so the searched axes are made innermost."""
        x, axes = node.inputs[0], node.op.axes
        kept = [axis for axis in range(x.type.ndim) if axis not in axes]
        source = dimshuffle(x, *kept, *axes)
        suffix = tuple(range(len(kept), x.type.ndim))
        self.fuser.add(Root(out, source, self.lengths.shape(source), axes=suffix, node=node))

    # -- loops over steps --
    def _loop(self, node: Apply) -> Loop:
        """The item of a scan; its body is a segment that this one surrounds."""
        body = node.op.body
        loop = Loop(node, None, operands_of(node, self.inside))
        for piece in [p for operand in loop.operands for p in operand]:
            for n in (piece.first, piece.count):
                if n is not None:  # named now, among the lengths defined before everything
                    self.lengths.length(demands.as_length(n))
        loop.body = self._body(loop, body.inputs, body.outputs, "s")
        self.fuser.add_item(loop, node.outputs)
        return loop

    def _choice(self, node: Apply) -> Choice:
        """The item of an ifelse, with the bodies of both branches."""
        choice = Choice(node, [])
        for mark, body in zip("ab", node.op.bodies, strict=True):
            choice.bodies.append(self._body(choice, body.inputs, body.outputs, mark))
        self.fuser.add_item(choice, node.outputs)
        return choice

    def _body(
        self,
        item: Loop | Choice,
        inputs: Sequence[Variable],
        results: Sequence[Variable],
        mark: str,
    ) -> Segment:
        outputs = own_memory(results)
        try:
            body = make_segment(
                list(inputs),
                toposort(outputs, stop=inputs),
                outputs,
                self.fusion,
                f"{self.prefix}{len(self.items)}{mark}",
                names=self.names,
                around=(self, item),
            )
        except (NotHostScalar, NotInSegment):
            raise NotALoop(item.node) from None
        self.bodies.append(body)
        return body

    def _fit_into_loop(self) -> None:
        """Checks of shapes, and memory for what the step computes beside the traces."""
        assert self.scope is not None and self.around is not None
        outer, loop = self.around
        add_checks(self, outer, loop, self.scope)
        if isinstance(loop, Loop):
            self._add_rows(loop)
        moving = self.scope.moving()
        for b in [*self.scratch, *self.wide(), *self.rows.values()]:
            if any(n.names() & moving for n in b.dims):
                raise NotALoop(loop.node)

    def _add_rows(self, loop: Loop) -> None:
        op = loop.node.op
        for k, v in enumerate(self.outputs):
            b = self.buffers[v]
            if not b.dims:
                continue
            rows = op.depths[k] + 1 if k < op.n_states else 1
            name = self.names.next("s")
            self.rows[v] = Buffer(name, b.dtype, (Poly.const(rows), *b.dims), "scratch")

    def moving(self) -> set[str]:
        """Names of lengths that change with the steps of the loops around."""
        return self.scope.moving() if self.scope is not None else set()

    def wide(self) -> list[Buffer]:
        """Accumulators of a wider dtype than the result they are for."""
        found: dict[str, Buffer] = {}
        for kernel in self.kernels.values():
            banded = {band.running.name for band in kernel.bands}
            for b in kernel.buffers:
                if b.kind == "wide" and b.name not in banded:
                    found[b.name] = b
        return list(found.values())

    def bands(self) -> list[Buffer]:
        """The results of the bands of reductions into arrays, two arrays a band."""
        return [
            Buffer(
                band.name,
                band.running.dtype,
                (Poly.name(f"{kernel.name}_bands"), Poly.const(2), *band.target.dims),
                "scratch",
            )
            for kernel in self.kernels.values()
            for band in kernel.bands
        ]

    def memory(self) -> list[Buffer]:
        """All that must lie in scratch memory, that of the bodies of loops included."""
        mine = [*self.scratch, *self.wide(), *self.bands(), *self._used_rows()]
        mine += sweep.memory(self)
        return mine + [b for body in self.bodies for b in body.memory()]

    def _used_rows(self) -> list[Buffer]:
        """Rows of results that are not computed in their place in a trace."""
        if self.around is None or not isinstance(self.around[1], Loop):
            return []
        outer, loop = self.around
        op = loop.node.op
        found = []
        for k, v in enumerate(self.outputs):
            whole = k < len(op.traces) and op.traces[k].keep is None
            if v in self.rows and not (whole and outer.is_read(loop.node.outputs[k])):
                found.append(self.rows[v])
        return found

    def is_read(self, v: Variable) -> bool:
        """Whether something after its computation needs the value in memory."""
        return v in self.outputs or v in self.readers

    def number_checks(self, first: int = 0) -> int:
        """Give every check of the C function a number; the number after the last."""
        self.first_check = first
        first += len(self.checks) + len(self.labels)
        for body in self.bodies:
            first = body.number_checks(first)
        return first

    def all_checks(self) -> list[Check | LabelCheck | Routine]:
        """The checks of the C function by number."""
        mine: list[Check | LabelCheck | Routine] = [*self.checks, *self.labels]
        return mine + [c for body in self.bodies for c in body.all_checks()]

    def _product(self, node: Apply) -> Product:
        flags, operands = [], []
        for v in node.inputs[:2]:
            transposed = (
                v not in self.buffers and v.owner is not None and isinstance(v.owner.op, DimShuffle)
            )
            flags.append(transposed)
            operands.append(v.owner.inputs[0] if transposed and v.owner is not None else v)
        return Product(node, operands[0], operands[1], flags[0], flags[1])

    def _add_join(self, node: Apply, out: Variable) -> None:
        offset = ZERO
        axis = node.op.axis
        for v in node.inputs:
            shape = self.lengths.shape(v)
            self.fuser.add(Root(out, v, shape, place=_shifted(axis, offset), alone=True, node=node))
            offset = offset + self.lengths.poly(shape[axis])

    def _add_write(self, node: Apply, out: Variable) -> None:
        """Copy x, then store or add y into the part that the index names."""
        x, y, *indices = node.inputs
        if node not in self.written_in_place:
            shape = self.lengths.shape(out)
            self.fuser.add(Root(out, x, shape, place=tuple, alone=True, node=node))
        view = _view_type(node)
        shape = self._part_shape(node)
        builder = Builder(self.lengths, self.buffers, lambda: "")

        def place(index: Any) -> Any:
            return builder.subtensor_index(node.op, x, indices, index)

        # y is stretched to the part: read it through the loop of the part.
        source = y if y.type.ndim == len(shape) else None
        if source is None:
            from jitgraph.ops.values import pad_left

            source = pad_left(y, len(shape))
        stretched = _stretch(source, view)
        self.fuser.add(
            Root(
                out,
                stretched,
                shape,
                place=place,
                add=not node.op.set_instead_of_inc,
                alone=True,
                node=node,
            )
        )
        for v in (source, stretched):
            self.lengths.shapes.setdefault(v, shape if v is stretched else self.lengths.shape(v))

    def _part_shape(self, node: Apply) -> Any:
        from jitgraph.ops.index import Subtensor

        part = Subtensor(node.op.pattern).make_node(node.inputs[0], *node.inputs[2:])
        return self.lengths.shape(part.outputs[0])

    # -- lowering --
    def _reads_by_stage(self) -> dict[Variable, list[tuple[int, int, bool]]]:
        """For each variable in memory: (item, stage, at the loop's own index) of its readers."""
        readers: dict[Variable, list[tuple[int, int, bool]]] = {}
        for number, item in enumerate(self.items):
            if isinstance(item, Product):
                for v in (item.a, item.b, *item.node.inputs[2:]):
                    if v in self.buffers:
                        readers.setdefault(v, []).append((number, 0, False))
            elif isinstance(item, LabelCheck):
                readers.setdefault(item.labels, []).append((number, 0, False))
            elif isinstance(item, (Routine, Choice)):
                for v in item.operands if isinstance(item, Routine) else item.node.inputs:
                    readers.setdefault(v, []).append((number, 0, False))
            elif isinstance(item, Loop):
                for part in [p for operand in item.operands[1:] for p in operand]:
                    readers.setdefault(part.base, []).append((number, 0, False))
            else:
                for s, stage in enumerate(item.stages):
                    index = loop_index(stage.space)
                    builder = Builder(self.lengths, self.buffers, _counter())
                    builder.produced = {
                        r.variable: index for r in stage.roots if r.axes is None and r.place is None
                    }
                    for r in stage.roots:
                        builder.value(r.source, index)
                        if r.node in self.written_in_place:
                            readers.setdefault(r.node.inputs[0], []).append((number, s, False))
                    for v, at in [*builder.reads, *((v, ()) for v in self.lengths.awaited())]:
                        readers.setdefault(v, []).append((number, s, at == index))
        return readers

    def _reuse_outputs(self, memory: set[Variable]) -> None:
        """Let an intermediate live in the memory of the value that replaces it element by element.

        exp(x - max) of a softmax is divided in place: it is read for the last time by the loop
        that stores the quotient at the same index.
        """
        self.readers = self._reads_by_stage()
        taken: set[str] = set()
        for number, item in enumerate(self.items):
            if not isinstance(item, Cluster) or len(item.stages) < 2:
                continue
            for root in list(item.roots()):
                self._reuse_one(number, item, root, taken)
        self.scratch = [b for b in self.scratch if any(x is b for x in self.buffers.values())]

    def _reuse_one(self, number: int, item: Cluster, root: Root, taken: set[str]) -> None:
        v = root.variable
        mine = self.buffers[v]
        uses = self.readers.get(v, [])
        if mine.kind != "scratch" or root.axes is not None or root.place or not uses:
            return
        last = max(s for _, s, _ in uses)
        if any(n != number or not same for n, s, same in uses if s == last or n != number):
            return
        if any(not same for _, _, same in uses):
            return
        # Whoever reads v last in the loop body may overwrite it, and who comes after that.
        stage = item.stages[last]
        readers = [k for k, r in enumerate(stage.roots) if self._root_reads(stage, r, v)]
        for heir in stage.roots[max(readers, default=0) :]:
            other = self.buffers[heir.variable]
            if (
                heir.axes is None
                and heir.place is None
                and heir.variable is not v
                and other.dtype == mine.dtype
                and other.dims == mine.dims
                and other.name not in taken
            ):
                taken.add(other.name)
                self.buffers[v] = other
                return

    def _root_reads(self, stage: Stage, root: Root, v: Variable) -> bool:
        index = loop_index(stage.space)
        builder = Builder(self.lengths, self.buffers, _counter())
        builder.produced = {
            r.variable: index for r in stage.roots if r.axes is None and r.place is None
        }
        builder.value(root.source, index)
        return any(w is v for w, _ in builder.reads)

    def _lower(self) -> None:
        needed = set(self.outputs) | set(self.readers)
        for number, item in enumerate(self.items):
            if isinstance(item, Cluster):
                name = f"{self.prefix}{number}_{kernel_label(item)}"
                lowering = ClusterLowering(
                    item, self.lengths, self.buffers, name, needed, bands=self.around is None
                )
                kernel = schedule(lowering.run())
                self.kernels[number] = replace(kernel, comment=kernel_comment(item, self, kernel))
        if dear_calls(self.kernels.values()) > MOST_INLINE:
            self.kernels = {n: collect(outline(k)) for n, k in self.kernels.items()}
        used = {b.name for k in self.kernels.values() for b in k.buffers}
        used |= {
            self.buffers[v].name
            for item in self.items
            if isinstance(item, Product)
            for v in (item.a, item.b, item.node.outputs[0])
        }
        used |= {b.name for k in self.kernels.values() for _, b, _ in k.partials}
        used |= {self.buffers[v].name for v in self.readers if v in self.buffers}
        for item in self.items:
            if isinstance(item, (Routine, Choice)):  # they write all their results
                written = [v for v in item.node.outputs if v in self.buffers]
                used |= {self.buffers[v].name for v in written}
        self.scratch = [b for b in self.scratch if b.name in used]


def make_segment(
    slots: list[Variable],
    nodes: list[Apply],
    outputs: list[Variable],
    fusion: bool,
    prefix: str,
    **place: Any,
) -> Segment:
    """The segment, with as many draws made within the loops that read them as can be."""
    unfused: frozenset[Apply] = frozenset()
    while True:
        try:
            return Segment(slots, nodes, outputs, fusion, unfused, prefix, **place)
        except NotFilled as draw:
            unfused |= {draw.node}


def _counter() -> Any:
    numbers = iter(range(10**9))
    return lambda: f"t{next(numbers)}"


def _at_constant(k: int) -> Any:
    return lambda index: (Poly.const(k),)


def _shifted(axis: int, offset: Poly) -> Any:
    def place(index: Any) -> Any:
        return (*index[:axis], index[axis] + offset, *index[axis + 1 :])

    return place


def _view_type(node: Apply) -> Any:
    from jitgraph.ops.index import Subtensor

    return Subtensor(node.op.pattern).make_node(node.inputs[0], *node.inputs[2:]).outputs[0].type


def _stretch(y: Variable, view: Any) -> Variable:
    """y read with the index of the part it is put in: its length-1 axes always at 0."""
    from jitgraph.ops.arithmetic import identity

    return y if y.type.broadcastable == view.broadcastable else _Stretched.of(y, view, identity)


class _Stretched:
    """An identity node whose output has the pattern of the part, so that indexing y drops to 0."""

    @staticmethod
    def of(y: Variable, view: Any, op: Any) -> Variable:
        out = view.clone(dtype=y.type.dtype).make_variable()
        Apply(op, [y], [out])
        return out


def kernel_label(cluster: Cluster) -> str:
    """A name for the loops from the ops they compute: `sum_mul`."""
    names: list[str] = []
    for root in cluster.roots():
        node = root.node
        if node is not None:
            names.append("".join(c if c.isalnum() else "_" for c in node.op.name.split("{")[0]))
    return "_".join(dict.fromkeys(n.strip("_") for n in names if n))[:24].rstrip("_") or "copy"
