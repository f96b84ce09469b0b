"""Calls of vector functions on blocks, for programs with very many of them.

Written where they are used, the vector functions make the fastest loops, and each of them costs the
compiler about 13 ms. A program with hundreds is compiled with one copy of every function instead,
that computes a block of JG_BLOCK values; the loops hand blocks to it, and blocks stay in the first
level of the cache. The values are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from jitgraph import dtypes
from jitgraph.cgen.ir import (
    Blocks,
    Call,
    Cut,
    For,
    Init,
    Kernel,
    Let,
    Many,
    Number,
    Ref,
    is_dear,
    walk,
)

# More calls than this in one entry are outlined: they would take gcc two seconds.
MOST_INLINE = 128


def dear_calls(kernels: Iterable[Kernel]) -> int:
    """How many vector functions are written out in the kernels."""
    return sum(is_dear(s) for k in kernels for s in walk(k.body))


def outline(kernel: Kernel) -> Kernel:
    """The kernel with calls on blocks in its innermost loops."""
    if not any(is_dear(s) for s in walk(kernel.body)):
        return kernel
    return replace(kernel, body=_outlined(kernel.body))


def _outlined(body: Sequence[Any]) -> tuple[Any, ...]:
    result: list[Any] = []
    for s in body:
        if isinstance(s, (For, Blocks)):
            if any(isinstance(t, (For, Blocks)) for t in s.body):
                s = replace(s, body=_outlined(s.body))
            elif any(map(is_dear, s.body)) and not any(isinstance(t, Init) for t in s.body):
                s = _on_blocks(s)
        result.append(s)
    return tuple(result)


def _on_blocks(loop: For | Blocks) -> Blocks:
    body: list[Any] = []
    own = {s.name for s in loop.body if isinstance(s, Let)}
    for s in loop.body:
        if not is_dear(s):
            body.append(s)
            continue
        operands: list[Ref] = []
        for k, a in enumerate(s.value.operands):
            if not isinstance(a, Ref) or a.name not in own:  # the same for the whole block
                body.append(Let(f"{s.name}_{k}", a.dtype, a))
                a = Ref(f"{s.name}_{k}", a.dtype)
            operands.append(a)
        body.append(Many(s.name, s.dtype, s.value.function, tuple(operands)))
    if isinstance(loop, Blocks):
        return replace(loop, body=tuple(body), abreast=None, in_lanes=False)
    return Blocks(loop.var, loop.extent, tuple(body), ())


def many_name(s: Many) -> str:
    """The function that computes a block."""
    kinds = [dtypes.TAGS[a.dtype] for a in s.operands]
    label = "".join(c if c.isalnum() else "_" for c in s.function.name).strip("_")
    return "_".join(["many", label, *dict.fromkeys([*kinds, dtypes.TAGS[s.dtype]])])


def many_text(s: Many) -> str:
    """Its text."""
    text = s.function.template(tuple(a.dtype for a in s.operands), s.dtype)
    for k in range(len(s.operands)):
        text = text.replace(f"{{{k}}}", f"x{k}[i]")
    c = dtypes.C_TYPES
    parameters = "".join(f", const {c[a.dtype]} *x{k}" for k, a in enumerate(s.operands))
    return (
        f"static __attribute__((noinline)) void {many_name(s)}(int64_t n, {c[s.dtype]} *restrict z"
        f"{parameters})\n{{\n    for (int64_t i = 0; i < n; i++)\n        z[i] = {text};\n}}\n"
    )


def phases(body: Sequence[Any], ends_with_loop: bool) -> list[list[Any]]:
    """The statements between cuts and calls on blocks, and each such call by itself.

    `ends_with_loop`: something is done for each element after all of them.
    """
    result: list[list[Any]] = [[]]
    for s in body:
        if isinstance(s, Many):
            result += [[s], []]
        elif isinstance(s, Cut):
            result.append([])
        else:
            result[-1].append(s)
    found = [p for p in result[:-1] if p]
    return [*found, result[-1]] if result[-1] or ends_with_loop or not found else found


def touches_only_blocks(part: Sequence[Any]) -> bool:
    """Whether statements may run on all of a block, also beyond the end of the data.

    Floats and truth values only: no arithmetic on leftovers of floats can trap.
    """
    return bool(part) and all(
        isinstance(s, Let)
        and isinstance(s.value, (Call, Ref, Number))
        and s.dtype in (*dtypes.FLOATS, "bool")
        for s in part
    )
