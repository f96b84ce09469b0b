"""Two products with one matrix that is read once: y = A x, e made of y row by row, z = Aᵀ e.

Each row of A is needed for y and then for z. One after the other, the products would read A twice;
by tiles of rows (csrc/jg_sweep.h), the second one finds the tile in the first cache. There are such
pairs in every step of a regression by gradients, in power iteration and in conjugate gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jitgraph import dtypes
from jitgraph.cgen import partials
from jitgraph.cgen.emit import partial_variables
from jitgraph.cgen.fuse import Cluster, Product
from jitgraph.cgen.ir import (
    ONE,
    AccumulateAt,
    Blocks,
    Buffer,
    For,
    Kernel,
    Poly,
    Store,
    poly_text,
    top_loop,
    walk,
)
from jitgraph.cgen.products import factors_of, matrix_vector, scaled
from jitgraph.cgen.ranges import Division
from jitgraph.cgen.strided import places, row_of

if TYPE_CHECKING:
    from jitgraph.cgen.entry import EntryEmitter
    from jitgraph.cgen.segment import Segment

# Items that run together, by number: one, or those of a sweep.
Group = tuple[int, ...]


@dataclass(frozen=True)
class Sweep:
    """Of the items of a segment: both products, and the loop that makes e of y, if there is one."""

    name: str  # of what only its C needs
    first: int
    between: int | None
    second: int

    @property
    def items(self) -> Group:
        middle = () if self.between is None else (self.between,)
        return (self.first, *middle, self.second)


# -- which items -----------------------------------------------------------------------------------


def order(segment: Segment) -> tuple[list[Group], dict[int, Sweep]]:
    """The items of a segment as they are run, and the sweeps by the first of their items.

    What stands between the items of a sweep goes before it or after it.
    """
    groups: list[Group] = [(k,) for k in range(len(segment.items))]
    sweeps: dict[int, Sweep] = {}
    pairs = _pairs(segment) if segment.around is None and segment.fusion else []
    for first, second in pairs:
        taken = {k for s in sweeps.values() for k in s.items}
        if taken & {first, second}:
            continue
        made = _joined(segment, groups, taken, (first, second))
        if made is not None:
            groups, items = made
            between = items[1] if len(items) == 3 else None
            sweeps[first] = Sweep(f"w{len(sweeps)}", first, between, second)
    return groups, sweeps


def _pairs(segment: Segment) -> list[tuple[int, int]]:
    """Products y = A x that a product with the transpose of the same A follows."""
    found: list[tuple[int, int]] = []
    rows: dict[str, list[int]] = {}
    for number, item in enumerate(segment.items):
        if not isinstance(item, Product):
            continue
        product = matrix_vector(item, segment.buffers)
        if product is None:
            continue
        matrix = segment.buffers[product.matrix].name
        if product.turned:
            found += [(first, number) for first in rows.get(matrix, ())]
        elif factors_of(item, segment.buffers, lambda b: b.name).plain:
            rows.setdefault(matrix, []).append(number)
    return found


def _joined(
    segment: Segment, groups: list[Group], taken: set[int], pair: tuple[int, int]
) -> tuple[list[Group], Group] | None:
    """The groups with both products and what connects them as one; None if that cannot be."""
    begin, end = groups.index((pair[0],)), groups.index((pair[1],))
    if begin > end:
        return None
    stretch = groups[begin : end + 1]
    if not all(isinstance(segment.items[k], (Cluster, Product)) for g in stretch for k in g):
        return None
    touched = [_touched(segment, g) for g in stretch]
    later = {0}  # what depends on the first product …
    for k in range(1, len(stretch)):
        if any(_conflict(touched[j], touched[k]) for j in later):
            later.add(k)
    if len(stretch) - 1 not in later:
        return None
    needed = {len(stretch) - 1}  # … and what the second one depends on
    for k in range(len(stretch) - 2, -1, -1):
        if k in later and any(_conflict(touched[k], touched[j]) for j in needed):
            needed.add(k)
    items = tuple(n for k in sorted(needed) for n in stretch[k])
    if taken & set(items) or not _is_sweep(segment, items):
        return None
    before = [stretch[k] for k in range(len(stretch)) if k not in later]
    after = [stretch[k] for k in sorted(later - needed)]
    return [*groups[:begin], *before, items, *after, *groups[end + 1 :]], items


def _touched(segment: Segment, group: Group) -> tuple[set[str], set[str]]:
    """The names of the arrays that items read and write."""
    reads: set[str] = set()
    writes: set[str] = set()
    for number in group:
        item = segment.items[number]
        if isinstance(item, Product):
            used = [item.a, item.b, *item.node.inputs[2:]]
            reads |= {segment.buffers[v].name for v in used if v in segment.buffers}
            writes.add(segment.buffers[item.node.outputs[0]].name)
            continue
        kernel = segment.kernels[number]
        reads |= {b.name for b in kernel.buffers}
        writes |= _written(kernel)
    return reads, writes


def _written(kernel: Kernel) -> set[str]:
    names = {s.buffer.name for s in walk(kernel.body) if isinstance(s, (Store, AccumulateAt))}
    names |= {target.name for _, target, _ in kernel.partials}
    return names | {band.target.name for band in kernel.bands}


def _conflict(one: tuple[set[str], set[str]], other: tuple[set[str], set[str]]) -> bool:
    """Whether their order matters."""
    return bool(one[1] & (other[0] | other[1]) or one[0] & other[1])


def _is_sweep(segment: Segment, items: Group) -> bool:
    """Whether e is made of y in one loop over the rows, element by element."""
    y = segment.buffers[_product(segment, items[0]).node.outputs[0]]
    (a, x), (_, e) = (_operands(segment, items[k]) for k in (0, -1))
    if len(items) == 2:
        return e.name == y.name
    kernel = segment.kernels.get(items[1]) if len(items) == 3 else None
    if kernel is None or _written(kernel) & {a.name, x.name, y.name}:  # the next tile needs them
        return False
    return _by_row(kernel, y, e)


def _by_row(kernel: Kernel, y: Buffer, e: Buffer) -> bool:
    """Whether the loop makes element i of e, and reads of y no element but i."""
    loop = top_loop(kernel)
    if loop is None or loop.extent != y.dims[0] or kernel.split not in ("rows", "chunks"):
        return False
    if any(isinstance(s, (For, Blocks)) for s in walk(loop.body)):
        return False
    stores = [s for s in walk(kernel.body) if isinstance(s, (Store, AccumulateAt))]
    mine = [s for s in stores if s.buffer.name == e.name]
    here = Poly.name(loop.var)
    return (
        bool(mine)
        and all(isinstance(s, Store) and s.at == here for s in mine)
        and row_of(kernel, y.name) == ONE
        and (row_of(kernel, e.name) == ONE or not any(places(kernel, e.name)))
    )


# -- its C -----------------------------------------------------------------------------------------


def memory(segment: Segment) -> list[Buffer]:
    """What sweeps need beside the arrays of the program: sums of bands, and results of tiles."""
    found: list[Buffer] = []
    for sweep in segment.sweeps.values():
        z = segment.buffers[_product(segment, sweep.second).node.outputs[0]]
        dims = (Poly.name(f"{sweep.name}_parts"), *z.dims)
        found.append(Buffer(f"{sweep.name}_part", z.dtype, dims, "scratch"))
        if sweep.between is None:
            continue
        kernel = segment.kernels[sweep.between]
        loop = top_loop(kernel)
        assert loop is not None
        for name, dtype in partial_variables(kernel).items():
            found.append(Buffer(f"{name}_of", dtype, (loop.extent,), "scratch"))
    return found


def define_tiles(entry: EntryEmitter) -> None:
    """How many rows are a tile decides how much memory is needed."""
    for sweep in entry.segment.sweeps.values():
        entry.headers |= {"jg_sweep.h", "jg_blas.h", "jg_gemv.h", "jg_pool.h"}
        sizes = _sizes(entry.segment, sweep)
        for what in ("tile", "parts"):
            name = f"{sweep.name}_{what}"
            entry.declare(name, f"const int64_t {name} = jg_sweep_{what}({sizes});")


def _sizes(segment: Segment, sweep: Sweep) -> str:
    a, _ = _operands(segment, sweep.first)
    return f"{poly_text(a.dims[0])}, {poly_text(a.dims[1])}, {dtypes.NUMPY[a.dtype].itemsize}"


def _product(segment: Segment, number: int) -> Product:
    item = segment.items[number]
    assert isinstance(item, Product)
    return item


def _operands(segment: Segment, number: int) -> tuple[Buffer, Buffer]:
    """The matrix and the vector of a product."""
    found = matrix_vector(_product(segment, number), segment.buffers)
    assert found is not None
    return segment.buffers[found.matrix], segment.buffers[found.vector]


def run(entry: EntryEmitter, sweep: Sweep) -> None:
    """The statements that make both products and what is between them."""
    segment, pointer = entry.segment, entry.pointer
    (a, x), (_, e) = (_operands(segment, n) for n in (sweep.first, sweep.second))
    first, second = (_product(segment, n) for n in (sweep.first, sweep.second))
    y, z = (segment.buffers[item.node.outputs[0]].name for item in (first, second))
    rows, cols = map(poly_text, a.dims)
    given = f"host, {rows}, {cols}, {pointer(a)}, {pointer(x)}, {y}"
    call = f"jg_sweep_{dtypes.TAGS[a.dtype]}({given}, "
    rest = f"{pointer(e)}, {z}, {sweep.name}_part);"
    if sweep.between is None:
        entry.out(f"{call}(jg_rowwise){{0}}, {rest}")
    else:
        _with_loop(entry, sweep, call, rest)
    if more := scaled(second, segment.buffers, pointer):
        entry.out(more.strip())


def _with_loop(entry: EntryEmitter, sweep: Sweep, call: str, rest: str) -> None:
    assert sweep.between is not None
    kernel = entry.segment.kernels[sweep.between]
    loop = top_loop(kernel)
    assert loop is not None
    parts = Division.of(kernel, loop)
    entry.wide_accumulators(kernel)
    entry.out("{")
    if parts.chunk:
        tile = f"{sweep.name}_tile"
        partials.chunk_arguments(entry, kernel, f"{tile} ? {tile} : {parts.chunk}", parts.n)
        given = f"chunks, {parts.align}, {parts.least}, chunk"
    else:
        entry.row_arguments(kernel)
        given = f"{parts}, 1"
    entry.out(f"    const jg_rowwise rows = {{{kernel.name}_range, &k, {given}}};")
    entry.out(f"    {call}rows, {rest}")
    partials.fold_chunks(entry, kernel, "long")
    entry.out("}")
