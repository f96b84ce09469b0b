"""What the thread pool calls: a kernel on a part of its outermost loop.

A loop that only writes large results, and does not read them, has them past the caches: it makes
a block at a time in memory that stays in the cache, and the block is stored around it. A store into
the cache would first read what it overwrites, a third of the traffic of a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jitgraph import dtypes
from jitgraph.cgen.emit import broken, partial_variables, signature
from jitgraph.cgen.fuse import VECTOR_FUNCTION, cost_of
from jitgraph.cgen.ir import (
    Blocks,
    Buffer,
    Call,
    Comment,
    For,
    Kernel,
    Let,
    Load,
    Poly,
    Store,
    is_dear,
    poly_text,
    top_loop,
)

_C = dtypes.C_TYPES


@dataclass(frozen=True)
class Division:
    """How a loop is divided among threads, in C: what `jg_parallel_for` is told."""

    n: str  # iterations
    align: int  # ranges begin at multiples of it
    least: str  # below so many iterations there is one thread
    chunk: str = ""  # the length of a chunk, if that is what an iteration is

    @staticmethod
    def of(kernel: Kernel, loop: For | Blocks) -> Division:
        extent, inner = poly_text(loop.extent), work(loop)
        if kernel.split == "chunks":
            chunk = f"jg_chunk_length({extent}, {inner if isinstance(loop, For) else '1'})"
            return Division(f"({extent} + chunk - 1) / chunk", 1, "2", chunk)
        if inner == "1":
            return Division(extent, 512, "host->parallel_min")
        return Division(extent, 1, f"1 + host->parallel_min / jg_max(1, {inner})")

    def __str__(self) -> str:
        return f"{self.n}, {self.align}, {self.least}"


def work(loop: For | Blocks) -> str:
    """Elements of one iteration: the extents of the loops inside, multiplied along the deepest."""
    best = Poly.const(1)
    depth = 0

    def descend(body: Sequence[Any], total: Poly, level: int) -> None:
        nonlocal best, depth
        for s in body:
            if isinstance(s, (For, Blocks)):
                inner = total * s.extent
                if level + 1 > depth:
                    best, depth = inner, level + 1
                descend(s.body, inner, level + 1)

    descend(loop.body, Poly.const(1), 0)
    return poly_text(best)


def streamed(kernel: Kernel, used_elsewhere: Iterable[Buffer]) -> tuple[Buffer, ...]:
    """The results that `kernel` can store past the caches: written in order, read by nothing.

    Only for a single loop over all elements; `used_elsewhere` are the arrays of everything else
    that runs in the same call.
    """
    loop = top_loop(kernel)
    if kernel.split != "rows" or not isinstance(loop, For):
        return ()
    if not all(isinstance(s, (Let, Store, Comment)) for s in loop.body):
        return ()
    stores = [s for s in loop.body if isinstance(s, Store)]
    if not all(s.buffer.kind == "out" and s.at == Poly.name(loop.var) for s in stores):
        return ()
    read = {s.value.buffer for s in loop.body if isinstance(s, Let) and isinstance(s.value, Load)}
    results = [s.buffer for s in stores]
    if len(set(results)) < len(results) or (read | set(used_elsewhere)) & set(results):
        return ()
    return tuple(results)


def specifiers(kernel: Kernel, results: tuple[Buffer, ...]) -> str:
    """How the function of a kernel is declared, of which `results` may be stored past the caches.

    A short one is compiled into the loop over the blocks, where the constants of its vector
    function stay in registers: a twentieth of the time of sigmoid.
    """
    loop = top_loop(kernel)
    short = bool(results) and loop is not None and sum(map(is_dear, loop.body)) <= 1
    return "JG_INLINED" if short else "static"


def stream_condition(kernel: Kernel, results: tuple[Buffer, ...]) -> str:
    """The C expression for whether that is worth its time in this call.

    Results must be larger than the caches. One thread that computes vector functions does not wait
    for the memory, and the way through a block costs it 0.06 ns an element.
    """
    loop = top_loop(kernel)
    assert loop is not None
    size = sum(dtypes.NUMPY[b.dtype].itemsize for b in results)
    large = f"{poly_text(loop.extent.scaled(size))} >= host->stream_min"
    calls = [s.value for s in loop.body if isinstance(s, Let) and isinstance(s.value, Call)]
    if sum(cost_of(c.function) for c in calls) < VECTOR_FUNCTION:
        return large
    return f"{large} && jg_pool_threads(host->pool) > 1"


def declarations(kernel: Kernel) -> list[str]:
    """The parameters of the kernel that stay the same in all parts, as fields of a structure."""
    declared = [p.replace("restrict ", "") for p in signature(kernel)]
    if kernel.split == "chunks":
        extra = [f"{_C[dtype]} *{name}_of" for name, dtype in partial_variables(kernel).items()]
        return ["int64_t chunk", *declared, *extra]
    if kernel.split == "bands":
        return [
            "int64_t band",
            *declared,
            *(f"{_C[b.running.dtype]} *{b.name}" for b in kernel.bands),
        ]
    return declared


def trampoline(kernel: Kernel, results: tuple[Buffer, ...]) -> str:
    """The structure of the arguments, and the function that the pool calls with a range."""
    declared = declarations(kernel)
    names = [d.split(" ")[-1].lstrip("*") for d in declared]
    struct = f"struct {kernel.name}_args"
    fields = "".join(f"    {d};\n" for d in [*declared, *(["int stream"] if results else [])])
    args = "".join(f", k->{n}" for n in names)
    whole = "\n".join(broken(f"    {kernel.name}(begin, end{args});"))
    return (
        f"\n{struct} {{\n{fields}}};\n"
        f"\nstatic void {kernel.name}_range(void *arg, int64_t begin, int64_t end)\n{{\n"
        f"    const {struct} *k = arg;\n"
        + (_by_blocks(kernel, names, results) if results else "")
        + f"{whole}\n}}\n"
    )


def _by_blocks(kernel: Kernel, names: list[str], results: tuple[Buffer, ...]) -> str:
    made = {b.name for b in results}
    args = "".join(
        f", jg_before({n}, begin * sizeof *{n})" if n in made else f", k->{n}" for n in names
    )
    blocks = [f"        JG_BLOCK_OF({_C[b.dtype]}, {b.name});\n" for b in results]
    stores = [
        f"            jg_stream(k->{b.name} + begin, {b.name}, sizeof {b.name});\n" for b in results
    ]
    lines = f"k->{results[0].name} + begin, sizeof *k->{results[0].name}"
    call = "\n".join(broken(f"            {kernel.name}(begin, begin + JG_STREAM_BLOCK{args});"))
    return (
        "    if (k->stream) {\n"
        + "".join(blocks)
        + "        while (begin + JG_STREAM_BLOCK <= end) {\n"
        f"{call}\n"
        + "".join(stores)
        + f"            begin += jg_stream_step({lines});\n"
        + "        }\n        jg_stream_end();\n    }\n"
    )
