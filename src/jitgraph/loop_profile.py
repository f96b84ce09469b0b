"""`f.profile()`: where the time of a call goes, loop by loop, against what the memory allows.

The function is compiled a second time, from the same plan, with a clock around every loop and
matrix product; the function itself stays as it is. Steps that Python runs are timed from outside.
"""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from jitgraph.errors import JitgraphError
from jitgraph.graph import Variable, format_origin
from jitgraph.printing import op_label, printable
from jitgraph.runtime.program import CompiledStep

# Bytes of the array that is copied for comparison: no cache of a core holds the smallest.
SMALLEST_COPY = 8 << 20
LARGEST_COPY = 256 << 20


@dataclass(frozen=True)
class Line:
    """One loop, product or step.

    kind:    "loop", "product", "sweep" (two products and the loop between them, in one reading of
             their matrix), "call", "check", "inner loop", or "python"
    what:    what it computes, in the names of the program
    where:   the lines of the program it comes from
    seconds: median over the calls
    bytes:   of the arrays it reads and of those it writes, each whole; 0 if that is not known
    share:   of the copy limit that its bytes per second reach, None without bytes; more than 1
             where the data lies in caches
    """

    kind: str
    what: str
    where: str
    seconds: float
    bytes: int
    share: float | None

    @property
    def gb_per_s(self) -> float:
        return self.bytes / self.seconds / 1e9 if self.seconds else 0.0


@dataclass(frozen=True)
class Profile:
    """The lines in the order in which they run.

    seconds:        of a whole call, median; what the lines do not add up to is the way in and out
    copy_limit:     bytes per second of a copy, read and write counted, with the same threads
    threads, calls: under which, and how often, this was measured
    """

    lines: list[Line]
    seconds: float
    copy_limit: float
    threads: int
    calls: int

    def as_json(self) -> dict[str, Any]:
        """Everything, with JSON types; times in seconds."""
        return {
            "seconds": self.seconds,
            "copy_limit_bytes_per_s": self.copy_limit,
            "threads": self.threads,
            "calls": self.calls,
            "lines": [{**line.__dict__, "gb_per_s": line.gb_per_s} for line in self.lines],
        }

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("ms", "of all", "MB", "GB/s", "of copy", "what")]
        for line in self.lines:
            rows.append((*self._figures(line.seconds, line), _cut(line)))
        rest = max(0.0, self.seconds - sum(line.seconds for line in self.lines))
        rows.append((*self._figures(rest), "arguments, results, and between the lines"))
        widths = [max(len(r[k]) for r in rows) for k in range(5)]
        text = [
            "  ".join([*(c.rjust(n) for c, n in zip(r[:5], widths, strict=True)), r[5]])
            for r in rows
        ]
        head = (
            f"{self.seconds * 1e3:.4g} ms a call (median of {self.calls}), {self.threads} "
            f"thread(s); a copy moves {self.copy_limit / 1e9:.3g} GB/s"
        )
        return "\n".join([head, *text])

    def _figures(self, seconds: float, line: Line | None = None) -> tuple[str, ...]:
        share = f"{seconds / self.seconds:.0%}" if self.seconds else ""
        if line is None or not line.bytes:
            return (f"{seconds * 1e3:.4g}", share, "", "", "")
        of_copy = "" if line.share is None else f"{line.share:.0%}"
        moved = f"{line.bytes / 1e6:.4g}"
        return (f"{seconds * 1e3:.4g}", share, moved, f"{line.gb_per_s:.3g}", of_copy)


def _cut(line: Line) -> str:
    what = line.what if len(line.what) <= 70 else line.what[:67] + "..."
    return printable(f"{line.kind}: {what}" + (f"   ({line.where})" if line.where else ""))


# --- measuring -----------------------------------------------------------------------------------


class TimedStep(CompiledStep):
    """An entry that leaves the times of its groups behind the lengths of its outputs."""

    def __init__(self, lib: Any, host: Any, step: dict[str, Any], first: int, marks: int):
        super().__init__(lib, host, step)
        self.first = first
        self.lengths += marks  # room in the workspace
        self.call = self._caller()

    def items(self, count: int) -> list[tuple[float, int]]:
        """(seconds, bytes) of each group of items of the last call."""
        info, at = self.free[-1].info, self.first
        ends = [int(info[at])] + [int(info[at + 2 * k + 1]) for k in range(count)]
        return [((ends[k + 1] - ends[k]) * 1e-9, int(info[at + 2 * k + 2])) for k in range(count)]


class Profiler:
    """A function compiled with clocks. Raises JitgraphError if no part of it is compiled."""

    def __init__(self, function: Any):
        compiled = function.compiled
        if compiled.mode.linker == "reference":
            raise JitgraphError("mode='reference' runs no compiled loops that could be profiled")
        self.function, self.plan = function, compiled.plan()
        self.steps = _compile(compiled, self.plan)
        # For each step its segment, or the node that Python runs.
        self.parts: list[Any] = []
        for segment, nodes in zip(self.plan.segments, self.plan.steps, strict=True):
            self.parts += [segment] if segment is not None else []
            self.parts += nodes

    def run(self, values: tuple[Any, ...], calls: int) -> Profile:
        """Times of `calls` calls after one that does not count; no update is stored."""
        from jitgraph.runtime.threads import get_num_threads

        totals: list[float] = []
        found: list[list[list[tuple[float, int]]]] = []
        for number in range(calls + 1):
            started = time.perf_counter()
            times = self._call(values)
            if number:
                totals.append(time.perf_counter() - started)
                found.append(times)
        names, threads = _names(self.function, self.plan), get_num_threads()
        medians = [
            (about, statistics.median(call[s][k][0] for call in found), found[0][s][k][1])
            for s, part in enumerate(self.parts)
            for k, about in enumerate(_descriptions(part, names))
        ]
        largest = max((moved for _, _, moved in medians), default=0)
        size = min(max(largest // 2, SMALLEST_COPY), LARGEST_COPY)
        limit = _copy_rate(1 << (size - 1).bit_length(), threads)
        lines = [
            Line(*about, seconds, moved, moved / seconds / limit if moved and seconds else None)
            for about, seconds, moved in medians
        ]
        return Profile(lines, statistics.median(totals), limit, threads, calls)

    def _call(self, inputs: tuple[Any, ...]) -> list[list[tuple[float, int]]]:
        """(seconds, bytes) of what is timed in each step."""
        program = self.function.compiled.program
        values: list[Any] = [*inputs, *program.blank[len(inputs) :]]
        times: list[list[tuple[float, int]]] = []
        for step, part in zip(self.steps, self.parts, strict=True):
            arguments = tuple([values[k] for k in step.inputs])
            started = time.perf_counter()
            results = step(arguments)
            seconds = time.perf_counter() - started
            if isinstance(step, TimedStep):
                times.append(step.items(len(part.groups)))
            else:
                moved = sum(a.nbytes for a in (*arguments, *results) if isinstance(a, np.ndarray))
                times.append([(seconds, moved)])
            for k, result in zip(step.outputs, results, strict=True):
                values[k] = result
        return times


def _compile(compiled: Any, plan: Any) -> list[Any]:
    """The steps of the plan with clocks in its own entries, from the cache or the compiler."""
    from jitgraph.canonical import graph_text
    from jitgraph.cgen.timed import first_mark, marks, timed_source
    from jitgraph.compiling import _program, code_digest, has_c
    from jitgraph.runtime.cache import default_cache, make_key
    from jitgraph.runtime.loader import attach_blas, host, load
    from jitgraph.runtime.threads import ensure_pool
    from jitgraph.runtime.toolchain import default_toolchain

    metadata = plan.metadata()
    if not has_c(metadata):
        return list(compiled.program.steps)
    toolchain = default_toolchain()
    parts = {
        "graph": graph_text(compiled.inputs, compiled.outputs),
        "mode": f"{compiled.mode.token()}, with clocks",
        "jitgraph": code_digest(),
        "toolchain": toolchain.identity,
    }
    key = make_key(parts)
    entry = default_cache().get_or_build(
        key, parts, lambda: (timed_source(plan), {}), toolchain, {}
    )
    library = load(entry.object_bytes, entry.key)
    if '"jg_blas.h"' in entry.c_source:
        attach_blas()
    if "JG_POOL_IMPLEMENTATION" in entry.c_source:
        ensure_pool(library, host())
    steps: list[Any] = list(_program(metadata, library, []).steps)
    segments = iter([s for s in plan.segments if s is not None])
    for k, description in enumerate(metadata["steps"]):
        if description["kind"] == "c":
            segment = next(segments)
            first, count = first_mark(segment), marks(segment)
            steps[k] = TimedStep(library, host(), description, first, count)
    return steps


@cache
def _copy_rate(size: int, threads: int) -> float:
    """Bytes per second; `threads` are those in use now, a part of the key."""
    from jitgraph.bench.limits import copy_rate

    return copy_rate(size)


# --- words ---------------------------------------------------------------------------------------


def _names(function: Any, plan: Any) -> dict[Variable, str]:
    """What the program calls the values that a plan reads and leaves."""
    names: dict[Variable, str] = {}
    for given, planned in zip(function.compiled.inputs, plan.inputs, strict=False):
        if given.name:
            names[planned] = given.name
    updated = [f"new {t.name or 'shared'}" for t in function.target_variables]
    results = enumerate(zip(function.compiled.outputs, plan.outputs, strict=True))
    for k, (written, planned) in results:
        is_update = k >= function.n_outputs
        words = updated[k - function.n_outputs] if is_update else written.name
        names[planned] = words or ("result" if function.n_outputs == 1 else f"result {k}")
    return names


def _descriptions(part: Any, names: dict[Variable, str]) -> list[tuple[str, str, str]]:
    """(kind, what, where) of each group of a segment, or of the one node that Python runs."""
    from jitgraph.cgen.segment import Segment

    if not isinstance(part, Segment):
        return [("python", op_label(part), format_origin(part.origins))]
    called = {b.name: names[v] for v, b in part.buffers.items() if v in names}
    items = [_described(part, number, called) for number in range(len(part.items))]
    found: list[tuple[str, str, str]] = []
    for group in part.groups:
        kinds, texts, places = zip(*(items[number] for number in group), strict=True)
        kind = kinds[0] if len(group) == 1 else "sweep"
        found.append((kind, "; ".join(texts), ", ".join(dict.fromkeys(places))))
    return found


def _described(segment: Any, number: int, called: dict[str, str]) -> tuple[str, str, str]:
    from jitgraph.cgen.fuse import Cluster, LabelCheck, Product, Routine

    item = segment.items[number]
    if isinstance(item, Cluster):
        what, where = _loop(segment, item, number)
        return "loop", _renamed(what, called), where
    where = format_origin(item.node.origins)
    if isinstance(item, (Product, Routine)):
        kind = "product" if isinstance(item, Product) else "call"
        return kind, _renamed(_node_text(segment, item.node), called), where
    if isinstance(item, LabelCheck):
        what = f"labels in {segment.buffers[item.labels].name}"
        return "check", _renamed(what, called), where
    return "inner loop", op_label(item.node), where


def _loop(segment: Any, cluster: Any, number: int) -> tuple[str, str]:
    from jitgraph.cgen.comment import _kept, _Writer

    writer, kernel = _Writer(segment.buffers), segment.kernels[number]
    roots = list(cluster.roots())
    kept = [r for r in roots if _kept(r, segment, kernel)] or roots
    places: dict[Any, None] = {}
    for root in roots:
        if root.node is not None:
            places.update(dict.fromkeys(root.node.origins))
    return "; ".join(writer.root(r) for r in kept), format_origin(places)


def _node_text(segment: Any, node: Any) -> str:
    """`z0 = dot(a0', a1)`: a view that the product reads by itself has a mark."""

    def called(v: Variable) -> str:
        if v in segment.buffers:
            return str(segment.buffers[v].name)
        if v.owner is not None:
            return f"{called(v.owner.inputs[0])}'"
        return str(v)

    operands = ", ".join(called(v) for v in node.inputs)
    return f"{called(node.outputs[0])} = {node.op.name}({operands})"


def _renamed(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\b[a-z]\d+\b", lambda m: names.get(m.group(), m.group()), text)


def profile(function: Any, values: Sequence[Any], calls: int) -> Profile:
    """The profile of `function` for complete arguments: inputs, shared values, constants.

    Raises JitgraphError if NumPy computes all of the function, ValueError if `calls` < 1.
    """
    if calls < 1:
        raise ValueError(f"calls must be at least 1, not {calls}")
    made = function.__dict__.get("_profiler")
    if made is None:
        made = function._profiler = Profiler(function)
    result: Profile = made.run(tuple(values), calls)
    return result
