"""A cluster of roots as one loop nest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jitgraph import dtypes
from jitgraph.cgen.build import Builder, Index
from jitgraph.cgen.fuse import LOOPS, Cluster, Root, Stage, loop_index
from jitgraph.cgen.ir import (
    ONE,
    ZERO,
    Accumulate,
    AccumulateAt,
    Accumulator,
    Atom,
    Band,
    Buffer,
    For,
    Init,
    Kernel,
    Let,
    Number,
    Poly,
    Ref,
    Store,
)
from jitgraph.cgen.lengths import Length, Lengths
from jitgraph.graph import Variable
from jitgraph.ops.reduce import ArgReduce, Reduce

# What a reduction starts from; max and min of integers start at the dtype's own extremes.
START = {"sum": 0, "prod": 1, "any": 0, "all": 1}


def start_value(kind: str, dtype: str) -> Number:
    if kind in START:
        return Number(float(START[kind]) if dtype in dtypes.FLOATS else START[kind], dtype)
    low = kind in ("max", "argmax")
    if dtype in dtypes.FLOATS:
        return Number(float("-inf") if low else float("inf"), dtype)
    if dtype == "bool":
        return Number(0 if low else 1, dtype)
    import numpy as np

    info = np.iinfo(dtype)
    return Number(int(info.min if low else info.max), dtype)


class ClusterLowering:
    """Builds the nest of one cluster."""

    def __init__(
        self,
        cluster: Cluster,
        lengths: Lengths,
        buffers: dict[Variable, Buffer],
        name: str,
        needed: set[Variable],
        bands: bool = True,
    ):
        """`bands`: there may be memory for partial results that are arrays."""
        self.may_band = bands
        self.cluster = cluster
        self.lengths = lengths
        self.buffers = buffers
        self.name = name
        self.needed = needed  # variables that someone outside their own stage reads
        self.count = 0
        self.headers: set[str] = set()
        self.before: list[Any] = []  # loops that prepare accumulation in memory
        self.after: list[Any] = []
        self.partials: list[tuple[Accumulator, Buffer, Poly]] = []
        self.bands: list[Band] = []

    def fresh(self) -> str:
        self.count += 1
        return f"t{self.count - 1}"

    def run(self) -> Kernel:
        chunked = self._is_chunked()
        stages = [self._stage(stage, chunked) for stage in self.cluster.stages]
        body = self._wrap(stages)
        banded = bool(self.bands) and self._is_banded()
        if chunked:
            split = "chunks"
        elif banded:
            split = "bands"
        elif self.before or not self.cluster.stages[0].space:
            split = ""
        else:
            split = "rows"
        return Kernel(
            self.name,
            tuple(self.before) + tuple(body) + tuple(self.after),
            (),
            (),
            split=split,
            partials=tuple(self.partials),
            bands=tuple(self.bands) if banded else (),
            headers=frozenset(self.headers),
        )

    def _is_chunked(self) -> bool:
        """Whether some reduction runs over everything, so that its parts are folded at the end."""
        roots = list(self.cluster.roots())
        whole = [
            r for r in roots if r.axes and r.is_suffix and self._is_top(r.space, r.first_reduced)
        ]
        in_memory = [r for r in roots if r.axes is not None and not r.is_suffix]
        return (
            bool(whole)
            and not in_memory
            and len(self.cluster.stages) == 1
            and all(isinstance(r.node.op, (Reduce, ArgReduce)) for r in whole if r.node)
            and not self._is_top(roots[0].space, len(roots[0].space))
        )

    def _is_banded(self) -> bool:
        """Whether every reduction into memory is over the outermost axis, whose steps are many."""
        (space, *_) = [stage.space for stage in self.cluster.stages]
        return (
            self.may_band
            and len(self.cluster.stages) == 1
            and self.lengths.poly(space[0]) != ONE
            and all(
                0 in r.axes if not r.is_suffix else r.first_reduced > 0
                for r in self.cluster.roots()
                if r.axes
            )
        )

    def _is_top(self, space: Sequence[Length], depth: int) -> bool:
        """Whether no loop encloses the statements at `depth`: axes of length 1 have none."""
        return all(self.lengths.poly(n) == ONE for n in space[:depth])

    # -- one stage --
    def _stage(self, stage: Stage, chunked: bool) -> list[Any]:
        """The statements of a stage inside the shared loops."""
        index = loop_index(stage.space)
        produced = {r.variable: index for r in stage.roots if r.axes is None and r.place is None}
        builder = Builder(self.lengths, self.buffers, self.fresh, produced)
        per_depth: dict[int, list[tuple[Root, Accumulator]]] = {}
        for root in stage.roots:
            atom = builder.value(root.source, index)
            if root.axes is None:
                self._store(builder, root, atom, index)
            elif root.is_suffix and root.axes:
                acc = self._accumulator(root, atom.dtype)
                value = builder.convert(atom, acc.dtype)
                position = self._position(root, stage)
                builder.body.append(Accumulate(acc, value, position))
                per_depth.setdefault(root.first_reduced, []).append((root, acc))
            else:
                self._accumulate_in_memory(builder, root, atom, index)
        self.headers |= builder.headers
        return self._nest(stage, tuple(builder.body), per_depth, chunked)

    def _store(self, builder: Builder, root: Root, atom: Atom, index: Index) -> None:
        if root.variable not in self.needed and root.place is None:
            return  # only this very loop reads it
        target = self.buffers[root.variable]
        at = target.address(root.place(index) if root.place else index)
        value = builder.convert(atom, target.dtype)
        if root.add:
            builder.body.append(AccumulateAt(target, at, "sum", value))
        else:
            builder.body.append(Store(target, at, value))

    def _accumulator(self, root: Root, dtype: str) -> Accumulator:
        assert root.node is not None
        op = root.node.op
        number = self.count
        self.count += 1
        if isinstance(op, ArgReduce):
            return Accumulator(f"best{number}", op.kind, dtype, f"at{number}")
        return Accumulator(f"{op.kind}{number}", op.kind, op.acc_dtype)

    def _position(self, root: Root, stage: Stage) -> Poly:
        """The flat position of the current element among the reduced ones."""
        assert root.axes is not None
        total = ZERO
        for axis in root.axes:
            n = self.lengths.poly(stage.space[axis])
            total = total * n + (ZERO if n == ONE else Poly.name(LOOPS[axis]))
        return total

    def _nest(
        self,
        stage: Stage,
        innermost: tuple[Any, ...],
        per_depth: dict[int, list[tuple[Root, Accumulator]]],
        chunked: bool,
    ) -> list[Any]:
        """Wrap the innermost statements in the loops of this stage, from the inside out."""
        body = list(innermost)
        outer = self.cluster.shared if len(self.cluster.stages) > 1 else 0
        for depth in range(len(stage.space), outer - 1, -1):
            reductions = per_depth.get(depth, [])
            if reductions:
                at_top = self._is_top(stage.space, depth)
                finish: list[Any] = []
                for root, acc in reductions:
                    finish.extend(self._finish(root, acc, stage, chunked and at_top))
                body = [Init(acc) for _, acc in reductions] + body + finish
            if depth > outer:
                body = self._loop(stage, depth - 1, body)
        return body

    def _loop(self, stage: Stage, axis: int, body: list[Any]) -> list[Any]:
        n = self.lengths.poly(stage.space[axis])
        return body if n == ONE else [For(LOOPS[axis], n, tuple(body))]

    def _finish(self, root: Root, acc: Accumulator, stage: Stage, chunk: bool) -> list[Any]:
        """Store a finished reduction."""
        target = self.buffers[root.variable]
        kept = loop_index(stage.space)[: root.first_reduced]
        at = target.address(kept)
        if chunk:
            self.partials.append((acc, target, at))
            return []
        source = acc.result
        statements: list[Any] = []
        value: Atom = source
        if source.dtype != target.dtype:
            builder = Builder(self.lengths, self.buffers, self.fresh)
            value = builder.convert(source, target.dtype)
            statements.extend(builder.body)
            self.headers |= builder.headers
        return [*statements, Store(target, at, value)]

    # -- reductions whose kept axes vary fastest: the results themselves are the accumulators --
    def _accumulate_in_memory(self, builder: Builder, root: Root, atom: Atom, index: Index) -> None:
        assert root.node is not None and root.axes is not None
        op = root.node.op
        target = self.buffers[root.variable]
        kept_axes = [a for a in range(len(root.space)) if a not in root.axes]
        kept = tuple(index[a] for a in kept_axes)
        if not root.axes:
            one: Atom = Number(0, "int64") if isinstance(op, ArgReduce) else atom
            value = builder.convert(one, target.dtype)
            builder.body.append(Store(target, target.address(kept), value))
            return
        running = target
        if op.acc_dtype != target.dtype:
            running = Buffer(f"{target.name}_acc", op.acc_dtype, target.dims, "wide")
        self.bands.append(Band(running, op.kind, target))
        value = builder.convert(atom, op.acc_dtype)
        builder.body.append(AccumulateAt(running, running.address(kept), op.kind, value))
        start: list[Any] = [
            Store(running, running.address(kept), start_value(op.kind, op.acc_dtype))
        ]
        self.before.extend(self._over(root, kept_axes, start))
        if running is not target:
            load = Builder(self.lengths, {}, self.fresh)
            from jitgraph.cgen.ir import Load

            at = running.address(kept)
            value = load.convert(
                load.let(Load(running, at, running.dtype), running.dtype), target.dtype
            )
            last = [*load.body, Store(target, target.address(kept), value)]
            self.after.extend(self._over(root, kept_axes, last))

    def _over(self, root: Root, axes: Sequence[int], body: list[Any]) -> list[Any]:
        for axis in reversed(axes):
            n = self.lengths.poly(root.space[axis])
            if n != ONE:
                body = [For(LOOPS[axis], n, tuple(body))]
        return body

    # -- the shared loops --
    def _wrap(self, stages: list[list[Any]]) -> list[Any]:
        body = [statement for stage in stages for statement in stage]
        if len(self.cluster.stages) == 1:
            return body
        space = self.cluster.stages[0].space
        for axis in reversed(range(self.cluster.shared)):
            n = self.lengths.poly(space[axis])
            if n != ONE:
                body = [For(LOOPS[axis], n, tuple(body))]
        return body


def used_names(statements: Sequence[Any]) -> set[str]:
    """Names of Lets that some statement reads."""
    from jitgraph.cgen.ir import Call, IndexValue, Load, walk

    used: set[str] = set()
    for s in walk(statements):
        if isinstance(s, Let):
            if isinstance(s.value, Call):
                used.update(a.name for a in s.value.operands if isinstance(a, Ref))
            elif isinstance(s.value, Load):
                used |= s.value.at.names()
            elif isinstance(s.value, IndexValue):
                used |= s.value.value.names()
        elif isinstance(s, (Store, AccumulateAt)):
            used |= s.at.names()
            if isinstance(s.value, Ref):
                used.add(s.value.name)
        elif isinstance(s, Accumulate):
            used |= s.position.names()
            if s.source is not None:  # the values are read where they lie
                used |= s.source[1].names()
            elif isinstance(s.value, Ref):
                used.add(s.value.name)
    return used
