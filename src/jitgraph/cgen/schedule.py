"""Passes over a kernel, each a function Kernel -> Kernel: collapse loops, block reductions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from jitgraph import dtypes
from jitgraph.cgen.abreast import set_abreast
from jitgraph.cgen.ahead import look_ahead
from jitgraph.cgen.ir import (
    ZERO,
    Accumulate,
    AccumulateAt,
    Atom,
    Blocks,
    Buffer,
    Call,
    For,
    IndexValue,
    Init,
    Kernel,
    Let,
    Load,
    Many,
    Poly,
    Ref,
    Store,
    is_dear,
    top_loop,
    walk,
    widened,
)
from jitgraph.cgen.lower import used_names
from jitgraph.cgen.narrow import narrow_apart
from jitgraph.cgen.stages import ahead_of

BLOCKED_KINDS = ("sum", "prod", "max", "min", "argmax", "argmin")


def collapse(kernel: Kernel) -> Kernel:
    """Make one loop of two nested ones wherever every address counts through both."""
    return replace(kernel, body=_map_loops(kernel.body, _collapse_pair))


def _map_loops(body: Sequence[Any], change: Any) -> tuple[Any, ...]:
    """Apply `change` to every For, inner ones first."""
    result: list[Any] = []
    for s in body:
        if isinstance(s, For):
            s = change(replace(s, body=_map_loops(s.body, change)))
        result.append(s)
    return tuple(result)


def _collapse_pair(outer: For) -> For:
    if len(outer.body) != 1 or not isinstance(outer.body[0], For):
        return outer
    inner = outer.body[0]
    polys = list(_polys(inner.body))
    if any(isinstance(s, For) for s in inner.body):
        return outer
    if not all(_counts_through(p, outer.var, inner.var, inner.extent) for p in polys):
        return outer
    values = {outer.var: ZERO, inner.var: Poly.name(outer.var)}
    return For(outer.var, outer.extent * inner.extent, _replaced(inner.body, values))


def _polys(body: Iterable[Any]) -> Iterable[Poly]:
    for s in walk(tuple(body)):
        if isinstance(s, Let):
            if isinstance(s.value, Load):
                yield s.value.at
            elif isinstance(s.value, IndexValue):
                yield s.value.value
        elif isinstance(s, (Store, AccumulateAt)):
            yield s.at
        elif isinstance(s, Accumulate):
            yield s.position
        elif isinstance(s, For):
            yield s.extent


def _counts_through(p: Poly, outer: str, inner: str, n: Poly) -> bool:
    """p depends on the two loop variables only as outer * n + inner, times something."""
    with_outer = Poly.of({m: c for m, c in p.terms if outer in m})
    with_inner = Poly.of({m: c for m, c in p.terms if inner in m})
    if any(outer in m and inner in m for m, _ in p.terms):
        return False
    stride = Poly.of({_without(m, inner): c for m, c in with_inner.terms})
    return with_outer == stride * n * Poly.name(outer)


def _without(monomial: tuple[str, ...], name: str) -> tuple[str, ...]:
    names = list(monomial)
    names.remove(name)
    return tuple(names)


def _replaced(body: Sequence[Any], values: dict[str, Poly]) -> tuple[Any, ...]:
    """The statements with index variables substituted."""
    result: list[Any] = []
    for s in body:
        if isinstance(s, Let) and isinstance(s.value, Load):
            s = replace(s, value=replace(s.value, at=s.value.at.replaced(values)))
        elif isinstance(s, Let) and isinstance(s.value, IndexValue):
            s = replace(s, value=replace(s.value, value=s.value.value.replaced(values)))
        elif isinstance(s, (Store, AccumulateAt)):
            s = replace(s, at=s.at.replaced(values))
        elif isinstance(s, Accumulate):
            s = replace(s, position=s.position.replaced(values))
        elif isinstance(s, For):
            s = replace(s, extent=s.extent.replaced(values), body=_replaced(s.body, values))
        result.append(s)
    return tuple(result)


def hoist(kernel: Kernel) -> Kernel:
    """Compute before an inner loop what is the same in all its steps.

    C compilers move arithmetic themselves, but not functions with branches or loops within. What is
    the same for the outermost loop stays in it: threads run parts of that one.
    """
    return replace(kernel, body=tuple(_hoisted(s) for s in kernel.body))


def _hoisted(s: Any) -> Any:
    if not isinstance(s, For):
        return s
    body: list[Any] = []
    for inner in map(_hoisted, s.body):
        if isinstance(inner, For):
            invariant = _invariant(inner)
            body += invariant
            inner = replace(inner, body=tuple(t for t in inner.body if t not in invariant))
        body.append(inner)
    return replace(s, body=tuple(body))


def _invariant(loop: For) -> list[Let]:
    """Values that do not depend on the step, and that may be computed where there is none.

    A load may if the array has elements whatever the length of the loop.
    """
    changing, written = {loop.var}, set()
    for s in walk(loop.body):
        if isinstance(s, (Store, AccumulateAt)):
            written.add(s.buffer.name)
        elif isinstance(s, (Init, Accumulate)):
            changing |= {s.acc.name, s.acc.position}
    found: list[Let] = []
    for s in loop.body:
        if not isinstance(s, Let):
            continue
        v, stays = s.value, False
        if isinstance(v, Load):
            lengths = {name for n in v.buffer.dims for name in n.names()}
            stays = v.buffer.fill is not None or v.buffer.name in written
            stays = stays or bool(lengths & loop.extent.names())
        if stays or _names_of(v) & changing:
            changing.add(s.name)
        else:
            found.append(s)
    return found


def _names_of(value: Any) -> set[str]:
    if isinstance(value, Load):
        return value.at.names()
    if isinstance(value, IndexValue):
        return value.value.names()
    atoms = value.operands if isinstance(value, Call) else (value,)
    return {a.name for a in atoms if isinstance(a, Ref)}


def block_reductions(kernel: Kernel) -> Kernel:
    """Fold float results block by block, because in-order additions cannot be vectorised."""
    return replace(kernel, body=_map_loops(kernel.body, _block))


def _block(loop: For) -> Any:
    # An accumulator that starts within the body belongs to a reduced axis of length 1.
    own = {s.acc for s in loop.body if isinstance(s, Init)}
    folds = tuple(
        s
        for s in loop.body
        if isinstance(s, Accumulate)
        and s.acc not in own
        and s.acc.kind in BLOCKED_KINDS
        and s.acc.dtype in dtypes.FLOATS
        and _counts_up(s, loop.var)
    )
    if not folds or any(isinstance(s, (For, Blocks)) for s in loop.body):
        return loop
    rest = tuple(s for s in loop.body if s not in folds)
    return Blocks(loop.var, loop.extent, rest, folds)


def _counts_up(s: Accumulate, var: str) -> bool:
    """Whether the positions of a block's values are as far apart as the values."""
    return not s.acc.position or var not in (s.position + Poly.name(var).scaled(-1)).names()


class NotFilled(Exception):
    """A loop does not read the array one element after another, so that must lie in memory."""

    def __init__(self, node: Any):
        super().__init__(str(node))
        self.node = node


def fill_blocks(kernel: Kernel) -> Kernel:
    """Make what lies nowhere in memory block by block, in the loops that read it."""
    if not any(_fill_of(s) for s in walk(kernel.body)):
        return kernel
    return replace(kernel, body=_filled(kernel.body))


def _fill_of(s: Any) -> Load | None:
    if isinstance(s, Let) and isinstance(s.value, Load) and s.value.buffer.fill is not None:
        return s.value
    return None


def _filled(body: Sequence[Any]) -> tuple[Any, ...]:
    result: list[Any] = []
    for s in body:
        if (load := _fill_of(s)) is not None:  # outside the innermost loop
            raise NotFilled(load.buffer.fill.node)  # type: ignore[union-attr]
        if isinstance(s, (For, Blocks)):
            if any(isinstance(t, (For, Blocks)) for t in s.body):
                s = replace(s, body=_filled(s.body))
            else:
                s = _with_fills(s)
        result.append(s)
    return tuple(result)


def _with_fills(loop: For | Blocks) -> Any:
    fills: dict[str, tuple[Buffer, Poly]] = {}
    body: list[Any] = []
    for s in loop.body:
        load = _fill_of(s)
        if load is not None:
            start = load.at + Poly.name(loop.var).scaled(-1)
            if start.names() & _own_names(loop):
                raise NotFilled(load.buffer.fill.node)  # type: ignore[union-attr]
            known = fills.setdefault(load.buffer.name, (load.buffer, start))
            if known[1] != start:
                raise NotFilled(load.buffer.fill.node)  # type: ignore[union-attr]
        body.append(s)
    if not fills:
        return loop
    folds = loop.folds if isinstance(loop, Blocks) else ()
    return Blocks(loop.var, loop.extent, tuple(body), folds, tuple(fills.values()))


def fold_in_place(kernel: Kernel) -> Kernel:
    """Fold values where they lie, when a block of them lies in memory as it is read or written."""
    return drop_dead_lets(replace(kernel, body=tuple(map(_folded, kernel.body))))


def _folded(s: Any) -> Any:
    if isinstance(s, For):
        return replace(s, body=tuple(map(_folded, s.body)))
    if not isinstance(s, Blocks) or not s.folds:
        return s
    folds = tuple(replace(f, source=_lies_in(s, f)) for f in s.folds)
    return replace(s, folds=folds)


def _lies_in(loop: Blocks, fold: Accumulate) -> tuple[Buffer, Poly] | None:
    """The array whose elements, one after another, are the values of a fold.

    Those of float32 may be summed in float64.
    """
    written = [s for s in loop.body if isinstance(s, (Store, AccumulateAt))]
    folded = _before_widening(loop, fold)
    for s in loop.body:
        place = None
        if isinstance(s, Let) and isinstance(s.value, Load) and folded == Ref(s.name, s.dtype):
            unchanged = all(w.buffer.name != s.value.buffer.name for w in written)
            place = (s.value.buffer, s.value.at) if unchanged else None
        elif isinstance(s, Store) and s.value == folded and isinstance(s.value, Ref):
            once = sum(w.buffer.name == s.buffer.name for w in written) == 1
            place = (s.buffer, s.at) if once else None
        if place is None or place[0].fill is not None or place[0].dtype != folded.dtype:
            continue
        start = place[1] + Poly.name(loop.var).scaled(-1)
        if not start.names() & _own_names(loop):
            return place[0], start
    return None


def _before_widening(loop: Blocks, fold: Accumulate) -> Atom:
    """What a sum adds, before it is cast to the dtype of the sum."""
    if fold.acc.kind == "sum" and fold.acc.dtype == "float64":
        for s in loop.body:
            if isinstance(s, Let) and Ref(s.name, s.dtype) == fold.value:
                return widened(s.value) or fold.value
    return fold.value


def _own_names(loop: For | Blocks) -> set[str]:
    """What changes within the loop: its variable, and numbers that its body computes."""
    return {loop.var} | {s.name for s in loop.body if isinstance(s, Let)}


def sum_in_lanes(kernel: Kernel) -> Kernel:
    """Add values where they are computed, rather than make a block of them first.

    Those that are cheap, and those that take long if several vectors of them are computed abreast,
    but for blocks that are made in stages.
    """
    staged = ahead_of(kernel) is not None
    body = tuple(_in_lanes(s, staged) for s in kernel.body)
    asks = any(isinstance(s, Blocks) and s.in_lanes and s.abreast for s in walk(body))
    return replace(kernel, body=body, headers=kernel.headers | ({"jg_stream.h"} if asks else set()))


def _in_lanes(s: Any, staged: bool) -> Any:
    if isinstance(s, For):
        return replace(s, body=tuple(_in_lanes(t, staged) for t in s.body))
    if not isinstance(s, Blocks) or len(s.folds) != 1 or s.fills:
        return s
    (fold,) = s.folds
    simple = fold.acc.kind == "sum" and fold.source is None
    cheap = not any(map(is_dear, s.body))
    abreast = s.abreast is not None and {s.abreast[1], fold.acc.dtype} == {"float64"}
    only_values = all(isinstance(t, Let) for t in s.body)
    return replace(s, in_lanes=simple and only_values and (cheap or (abreast and not staged)))


def drop_dead_lets(kernel: Kernel) -> Kernel:
    """Remove values that nothing reads."""
    body = kernel.body
    while True:
        smaller = _without_dead(body, used_names(body))
        if smaller == body:
            return replace(kernel, body=body)
        body = smaller


def _without_dead(body: Sequence[Any], used: set[str]) -> tuple[Any, ...]:
    result: list[Any] = []
    for s in body:
        if isinstance(s, Let) and s.name not in used:
            continue
        if isinstance(s, (For, Blocks)):
            s = replace(s, body=_without_dead(s.body, used))
            if isinstance(s, For) and not s.body:
                continue
        result.append(s)
    return tuple(result)


def collect(kernel: Kernel) -> Kernel:
    """List the buffers, lengths and host scalars the kernel uses, in order of first use.

    Buffers that are only read come before those that are written.
    """
    buffers: dict[str, Buffer] = {}
    names: dict[str, str] = {}  # name -> dtype
    local: set[str] = set()

    def note_poly(p: Poly) -> None:
        for n in sorted(p.names()):
            names.setdefault(n, "int64")

    def note_atoms(*atoms: Any) -> None:
        for a in atoms:
            if isinstance(a, Ref):
                names.setdefault(a.name, a.dtype)

    divided = top_loop(kernel) if kernel.split == "rows" else None
    for s in walk(kernel.body):
        if isinstance(s, (For, Blocks)):
            local.add(s.var)
            for filled, start in getattr(s, "fills", ()):
                note_poly(start)
                for _, operand in filled.fill.operands:
                    buffers.setdefault(operand.name, operand)
            if s is not divided:  # its bounds are parameters of their own
                note_poly(s.extent)
        elif isinstance(s, Let):
            local.add(s.name)
            if isinstance(s.value, Load):
                if s.value.buffer.fill is None:
                    buffers.setdefault(s.value.buffer.name, s.value.buffer)
                note_poly(s.value.at)
            elif isinstance(s.value, IndexValue):
                note_poly(s.value.value)
            elif isinstance(s.value, Call):
                note_atoms(*s.value.operands)
            else:
                note_atoms(s.value)
        elif isinstance(s, Many):
            local.add(s.name)
            note_atoms(*s.operands)
        elif isinstance(s, (Store, AccumulateAt)):
            buffers.setdefault(s.buffer.name, s.buffer)
            note_poly(s.at)
            note_atoms(s.value)
        elif isinstance(s, Accumulate) and s.source is not None:
            buffers.setdefault(s.source[0].name, s.source[0])
            note_poly(s.source[1])
        elif isinstance(s, Accumulate):
            note_poly(s.position)
            note_atoms(s.value)
        elif isinstance(s, Init):
            local.update((s.acc.name, s.acc.position))
    for _, _, at in kernel.partials:
        note_poly(at)
    written = {s.buffer.name for s in walk(kernel.body) if isinstance(s, (Store, AccumulateAt))}
    outer = {n: d for n, d in names.items() if n not in local}
    return replace(
        kernel,
        buffers=tuple(sorted(buffers.values(), key=lambda b: b.name in written)),
        lengths=tuple(outer),
        types=tuple(outer.values()),
    )


PASSES = (
    drop_dead_lets,
    collapse,
    hoist,
    block_reductions,
    fill_blocks,
    fold_in_place,
    narrow_apart,
    set_abreast,
    look_ahead,
    sum_in_lanes,
    collect,
)


def schedule(kernel: Kernel) -> Kernel:
    """All passes in order."""
    for change in PASSES:
        kernel = change(kernel)
    return kernel
