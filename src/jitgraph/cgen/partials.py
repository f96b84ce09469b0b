"""Loops that leave a partial result for every chunk or band of them, to be folded in order.

How many parts there are depends on lengths alone, so the result is the same for any number of
threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jitgraph import dtypes
from jitgraph.cgen.emit import Emitter, fold_bands, partial_variables
from jitgraph.cgen.ir import (
    Accumulator,
    Blocks,
    For,
    Init,
    Kernel,
    Poly,
    poly_text,
    top_loop,
)
from jitgraph.cgen.ranges import work

if TYPE_CHECKING:
    from jitgraph.cgen.entry import EntryEmitter

_C = dtypes.C_TYPES


def chunk_arguments(
    entry: EntryEmitter, kernel: Kernel, chunk: str, count: str, room: str = ""
) -> None:
    """Define `k`, the arguments of a loop that leaves a result of every chunk: on the stack,
    where there is `room`, or in scratch memory."""
    variables = partial_variables(kernel)
    entry.out(f"    const int64_t chunk = {chunk};")
    entry.out(f"    const int64_t chunks = {count};")
    for name, dtype in variables.items():
        if room:
            entry.out(f"    {_C[dtype]} {name}_of{room};")
    args = ["chunk", *entry.arguments(kernel), *(f"{name}_of" for name in variables)]
    entry.out(f"    struct {kernel.name}_args k = {{{', '.join(args)}}};")


def fold_chunks(entry: EntryEmitter, kernel: Kernel, how: str = "block") -> None:
    """Fold the results of the chunks; `how`: a sum of a `block` of them, or of a `long` row."""
    emitter = Emitter(kernel)
    for acc, target, at in kernel.partials:
        folded = _folded(entry, acc, emitter, how)
        cast = "" if acc.result.dtype == target.dtype else f"({_C[target.dtype]})"
        entry.out(f"    {target.name}[{poly_text(at)}] = {cast}{folded};")


def _folded(entry: EntryEmitter, acc: Accumulator, emitter: Emitter, how: str) -> str:
    """Fold what the chunks leave, in their order: the C expression of the result."""
    if acc.dtype in dtypes.FLOATS and not acc.position:
        length = how if acc.kind == "sum" else "block"
        return f"jg_{length}_{acc.kind}_{dtypes.TAGS[acc.dtype]}({acc.name}_of, chunks)"
    emitter.lines = []
    emitter.statement(Init(acc), 1, ())
    emitter.line(1, "for (int64_t c = 0; c < chunks; c++)")
    emitter.combine_chunk(acc, 2)
    for line in emitter.lines:
        entry.out(line)
    return acc.result.name


def call_bands(entry: EntryEmitter, kernel: Kernel, loop: For | Blocks) -> None:
    """Run a loop that leaves an array of every band, and fold them."""
    bands = f"{kernel.name}_bands"
    args = ["band", *entry.arguments(kernel), *(b.name for b in kernel.bands)]
    entry.out(f"    const int64_t band = ({poly_text(loop.extent)} + {bands} - 1) / {bands};")
    entry.out(f"    struct {kernel.name}_args k = {{{', '.join(args)}}};")
    entry.out(f"    jg_parallel_for(host->pool, {bands}, 1, 2, {kernel.name}_range, &k);")
    emitter = Emitter(kernel)
    fold_bands(emitter, kernel)
    for line in emitter.lines:
        entry.out(f"    {line}")


def count_bands(entry: EntryEmitter) -> None:
    """How many bands there are decides how much memory they need."""
    for kernel in entry.segment.kernels.values():
        loop = top_loop(kernel)
        if kernel.bands and loop is not None:
            size = Poly.const(0)
            for b in kernel.bands:
                size = size + b.size
            count = f"jg_band_count({poly_text(loop.extent)}, {work(loop)}, {poly_text(size)})"
            entry.out(f"const int64_t {kernel.name}_bands = {count};")
