"""Arguments that a call may bring in any order: which they are, and the C that gathers them.

A loop that reads an argument from front to back, the same number of elements at every iteration,
runs just as well on a part of it. Where an argument is not in C order, its parts are gathered into
memory that stays in the cache (csrc/jg_strided.h), and the function of the loop is called for each
part. What anything else in the same call reads as a whole must be in C order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from jitgraph import dtypes
from jitgraph.cgen.emit import broken
from jitgraph.cgen.fuse import Choice, Cluster, Loop, Product, Routine
from jitgraph.cgen.ir import (
    ONE,
    ZERO,
    Blocks,
    Buffer,
    For,
    Kernel,
    Let,
    Load,
    Poly,
    poly_text,
    top_loop,
    walk,
)

if TYPE_CHECKING:
    from jitgraph.cgen.segment import Segment
    from jitgraph.graph import Variable

# As in csrc/jg_strided.h.
AXES = 8
VIEWS = 16

# For each kernel by name: (slot, elements that an iteration reads).
Gathers = dict[str, list[tuple[int, Poly]]]


def gathers(segment: Segment, read_before: Iterable[Variable]) -> Gathers:
    """What the kernels of an entry can gather; `read_before`: read by the entry itself."""
    if segment.around is not None or any(isinstance(i, (Loop, Choice)) for i in segment.items):
        return {}
    whole = {*read_before, *_used_by_others(segment)}
    slots = {
        segment.buffers[v].name: k
        for k, v in enumerate(segment.slots)
        if 0 < v.type.ndim <= AXES and v not in whole
    }
    rows: dict[tuple[str, str], Poly] = {}
    swept = {s.between for s in segment.sweeps.values()}
    for number, kernel in segment.kernels.items():
        free = 0 if number in swept else VIEWS  # tiles of a sweep are not gathered piece by piece
        for b in kernel.buffers:
            if b.name not in slots:
                continue
            row = row_of(kernel, b.name) if free else None
            if row is None:
                del slots[b.name]
            else:
                rows[kernel.name, b.name] = row
                free -= 1
    found: Gathers = {}
    for (kernel_name, name), row in rows.items():
        if name in slots:
            found.setdefault(kernel_name, []).append((slots[name], row))
    return found


def _used_by_others(segment: Segment) -> set[Variable]:
    """What products, routines and checks read."""
    used: set[Variable] = set()
    for item in segment.items:
        if not isinstance(item, Cluster):
            used.update(item.node.inputs)
            if isinstance(item, Product):
                used.update((item.a, item.b))
            elif not isinstance(item, (Routine, Loop, Choice)):
                used.add(item.labels)
    return used


def row_of(kernel: Kernel, name: str) -> Poly | None:
    """S, where iteration i of the outermost loop reads the elements [i S, (i + 1) S) of the array.

    So it is if all addresses are i S + (what does not depend on i), and the loop ends where the
    array does: no address leaves the array, so at the first iteration what is added to i S is at
    least 0, and at the last one it is below S. None if it is not so.
    """
    loop = top_loop(kernel)
    if kernel.split not in ("rows", "chunks") or loop is None:
        return None
    if any(isinstance(s, Blocks) and s.fills for s in walk(kernel.body)):
        return None  # what is made within the loop counts its elements from the first one
    inner = {s.var for s in walk(loop.body) if isinstance(s, (For, Blocks))}
    fixed = set(kernel.lengths) | {n for s in (loop,) for n in s.extent.names()}
    found: set[Poly] = set()
    for buffer, at in places(kernel, name):
        row = Poly.of({_without(m, loop.var): c for m, c in at.terms if loop.var in m})
        rest = Poly.of({m: c for m, c in at.terms if loop.var not in m})
        if row.names() - fixed or rest.names() - fixed - inner:
            return None
        if loop.extent * row != _size(buffer) or (row == ONE and rest != ZERO):
            return None
        found.add(row)
    return found.pop() if len(found) == 1 else None


def places(kernel: Kernel, name: str) -> Iterable[tuple[Buffer, Poly]]:
    """Every address at which the kernel reads the array."""
    for s in walk(kernel.body):
        if isinstance(s, Let) and isinstance(s.value, Load) and s.value.buffer.name == name:
            yield s.value.buffer, s.value.at
        elif isinstance(s, Blocks):
            for fold in s.folds:
                if fold.source is not None and fold.source[0].name == name:
                    yield fold.source[0], fold.source[1] + Poly.name(s.var)


def _without(monomial: tuple[str, ...], name: str) -> tuple[str, ...]:
    names = list(monomial)
    names.remove(name)
    return tuple(names)


def _size(buffer: Buffer) -> Poly:
    total = ONE
    for n in buffer.dims:
        total = total * n
    return total


# -- C --------------------------------------------------------------------------------------------


def trampoline(kernel: Kernel, names: Iterable[str]) -> str:
    """The function that the pool calls with a range of a loop whose arguments are gathered."""
    struct = f"struct {kernel.name}_args"
    taken = ", ".join(f"k.{n} = p.data[{number}]" for number, n in enumerate(names))
    lines = [
        f"static void {kernel.name}_gathered(void *arg, int64_t begin, int64_t end)",
        "{",
        "    const jg_gather *g = arg;",
        f"    const {struct} *args = g->args;",
        f"    {struct} k = *args;",
        "    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {",
        f"        {taken};",
        f"        {kernel.name}_range(&k, p.begin, p.end);",
        "    }",
        "}",
    ]
    return "\n".join(piece for line in lines for piece in broken(line)) + "\n"


def division(name: str, slots: list[tuple[int, Poly, str]], parts: str, chunk: str) -> list[str]:
    """How a loop is divided if some argument must be gathered: `name`, with a view of each.

    `slots`: number, elements of an iteration, dtype. `parts`: what `jg_parallel_for` is told of
    the loop. `chunk`: the length of a chunk in a reduction, where an iteration is a whole chunk.
    """
    items = [(k, row, dtypes.NUMPY[dtype].itemsize) for k, row, dtype in slots]
    is_strided = " || ".join(f"jg_is_strided(in{k}, {item})" for k, _, item in items)
    lines = [
        f"jg_view {name}_view[{len(items)}];",
        f"jg_gather {name} = {{0}};",
        f"if ({is_strided}) {{",
        "    if (!host->strided)",
        "        return JG_ORDER;",
    ]
    if chunk:
        lines.append(f"    const int64_t chunk = {chunk};")
    for number, (k, row, item) in enumerate(items):
        elements = poly_text(row * Poly.name("chunk") if chunk else row)
        lines.append(
            f"    {name}_view[{number}] = host->strided->view_of(in{k}, {item}, {elements});"
        )
    divided = f"host->strided->gather_of(host, {name}_view, {len(items)}, {parts})"
    return [*lines, f"    {name} = {divided};", "}"]


__all__ = ["AXES", "VIEWS", "Gathers", "division", "gathers", "places", "row_of", "trampoline"]
