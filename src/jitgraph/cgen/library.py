"""The C file of a library: the kernels and entries of all its segments, behind one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jitgraph.cgen.entry import EntryEmitter
from jitgraph.cgen.segment import Segment


def emit_library(
    segments: Sequence[Segment],
    emitter: Callable[[Segment, int], EntryEmitter] = EntryEmitter,
) -> str:
    """The whole C file: headers, kernels, one entry function for all segments."""
    emitters = [emitter(s, k) for k, s in enumerate(segments)]
    bodies = [e.run() for e in emitters]
    headers = set().union(*(e.headers for e in emitters)) if emitters else {"jg_abi.h"}
    headers.add("jg_abi.h")
    # A library with loops to divide also brings the code of the pool, for the first one to use.
    lines = ["#define JG_POOL_IMPLEMENTATION"] if "jg_pool.h" in headers else []
    lines += [f'#include "{h}"' for h in sorted(headers)]
    cases = "".join(
        f"    case {k}: return segment_{k}(host, args, outs, scratch, info);\n"
        for k in range(len(segments))
    )
    head = "int64_t jg_entry("
    entry = (
        f"\nJG_EXPORT {head}int64_t segment, const jg_host *host, intptr_t args, intptr_t outs,\n"
        f"                           void *scratch, int64_t *info);\n"
        f"{head}int64_t segment, const jg_host *host, intptr_t args, intptr_t outs,"
        f" void *scratch,\n{' ' * len(head)}int64_t *info)\n{{\n"
        f"    switch (segment) {{\n{cases}    default: return -1;\n    }}\n}}\n"
        "\nJG_EXPORT int64_t jg_run(const jg_call *c);\nint64_t jg_run(const jg_call *c)\n{\n"
        "    const intptr_t *t = c->tuples;\n"
        "    return jg_entry(c->segment, c->host, t[0], t[1], c->scratch, c->info);\n}\n"
    )
    many: dict[str, str] = {}
    for e in emitters:
        many.update(e.many)
    return "\n".join(lines) + "\n\n" + "\n".join([*many.values(), *bodies]) + entry
