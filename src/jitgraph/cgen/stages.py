"""Rows in stages: while one is computed, the next is begun and the one before is finished.

While row i is computed, the maximum of row i + 1 is found (see ahead.py). Where the result is too
large for the caches, the last pass over row i - 1 is made meanwhile too: its values go past the
caches block by block, and reading, computing and writing go on at the same time. Until then a row
is kept where the last row of the range will be: memory that stays in the cache, and is written
last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jitgraph import dtypes
from jitgraph.cgen.ir import (
    ONE,
    ZERO,
    Accumulate,
    AccumulateAt,
    Ahead,
    Blocks,
    Buffer,
    Call,
    Comment,
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
    poly_text,
    top_loop,
    walk,
)
from jitgraph.cgen.lower import used_names

if TYPE_CHECKING:
    from jitgraph.cgen.emit import Emitter

_C = dtypes.C_TYPES

# Where a loop over a part of a block begins and ends, and where the block begins.
Bounds = tuple[str, str, str]

# Elements. In shorter rows nothing is gained: what waits is not the memory.
LEAST_ROW = 256


def follow(kernel: Kernel, used_elsewhere: Iterable[Buffer]) -> Kernel:
    """Mark the last pass over a row as one that may be made beside the work on the next row.

    `used_elsewhere` are the arrays of everything else that runs in the same call.
    """
    loop = top_loop(kernel)
    if not isinstance(loop, For) or loop.ahead is None or follows(kernel):
        return kernel
    rows = _results(loop, loop.body[loop.ahead.meanwhile], loop.body[-1])
    if not rows or set(rows) & set(used_elsewhere):
        return kernel
    ahead = replace(loop.ahead, last=len(loop.body) - 1)
    body = tuple(replace(s, ahead=ahead) if s is loop else s for s in kernel.body)
    lengths, types = (*kernel.lengths, "stream"), (*kernel.types, "int32")
    return replace(kernel, body=body, lengths=lengths, types=types)


def ahead_of(kernel: Kernel) -> Ahead | None:
    """How the rows of a kernel are computed in stages."""
    loop = top_loop(kernel)
    return loop.ahead if isinstance(loop, For) else None


def follows(kernel: Kernel) -> bool:
    """Whether `follow` has marked it."""
    ahead = ahead_of(kernel)
    return ahead is not None and ahead.last is not None


def behind_condition(kernel: Kernel) -> str:
    """The C expression for whether the last pass of this kernel is made past the caches."""
    loop = top_loop(kernel)
    assert isinstance(loop, For)
    last = loop.body[-1]
    size = sum(dtypes.NUMPY[b.dtype].itemsize for b in _stored(last))
    total = poly_text((loop.extent * last.extent).scaled(size))
    return f"{total} >= host->stream_min && {poly_text(last.extent)} >= {LEAST_ROW}"


def _stored(loop: For) -> list[Buffer]:
    return [s.buffer for s in loop.body if isinstance(s, Store)]


def _results(loop: For, meanwhile: Blocks, last: Any) -> list[Buffer]:
    """The results that the last pass writes, if rows of them can be kept anywhere: [] if not."""
    if not isinstance(last, For) or last.extent != meanwhile.extent:
        return []
    both = (*last.body, *meanwhile.body)
    if meanwhile.fills or not all(isinstance(s, (Let, Store, Comment)) for s in both):
        return []
    results = _stored(last)
    start = Poly.name(loop.var) * last.extent
    at = start + Poly.name(last.var)
    if not all(s.at == at and s.buffer.kind == "out" for s in last.body if isinstance(s, Store)):
        return []
    if len(set(results)) < len(results):
        return []
    # Everything else that touches them keeps to the same row.
    for buffer, place in _places(loop.body):
        if buffer in results and loop.var in (place + start.scaled(-1)).names():
            return []
    return results if _keeps_apart(loop, last, results) else []


def _keeps_apart(loop: For, last: For, results: list[Buffer]) -> bool:
    """Whether what the last pass reads is still there when the next row has been begun."""
    own = {s.name for s in walk(loop.body) if isinstance(s, (Let, Many))}
    own |= {s.acc.name for s in walk(loop.body) if isinstance(s, Init)}
    known = {s.name for s in (*loop.body, *last.body) if isinstance(s, Let)}
    if used_names([last]) & (own - known):
        return False
    written = {s.buffer.name for s in walk(loop.body) if isinstance(s, (Store, AccumulateAt))} - {
        b.name for b in results
    }
    return all(loop.var in at.names() for buffer, at in _places([last]) if buffer.name in written)


def _places(body: Sequence[Any]) -> Iterable[tuple[Buffer, Poly]]:
    for s in walk(body):
        if isinstance(s, Let) and isinstance(s.value, Load):
            yield s.value.buffer, s.value.at
        elif isinstance(s, (Store, AccumulateAt)):
            yield s.buffer, s.at
        elif isinstance(s, Accumulate) and s.source is not None:
            yield s.source


@dataclass(frozen=True)
class Kept:
    """The rows of some results, of row `start` each, under the names of the memory they are in."""

    rows: dict[str, Buffer]
    start: Poly

    @staticmethod
    def of(results: Iterable[Buffer], start: Poly) -> Kept:
        rows = {b.name: replace(b, name=f"{b.name}_row", kind="row") for b in results}
        return Kept(rows, start)

    def place(self, buffer: Buffer, at: Poly) -> tuple[Buffer, Poly]:
        row = self.rows.get(buffer.name)
        return (buffer, at) if row is None else (row, at + self.start.scaled(-1))

    def __call__(self, s: Any) -> Any:
        """A statement that finds these rows there."""
        if isinstance(s, Let) and isinstance(s.value, Load):
            buffer, at = self.place(s.value.buffer, s.value.at)
            return replace(s, value=replace(s.value, buffer=buffer, at=at))
        if isinstance(s, Store):
            buffer, at = self.place(s.buffer, s.at)
            return replace(s, buffer=buffer, at=at)
        if isinstance(s, Accumulate) and s.source is not None:
            return replace(s, source=self.place(*s.source))
        if isinstance(s, For):
            return replace(s, body=tuple(map(self, s.body)))
        if isinstance(s, Blocks):
            body, folds = tuple(map(self, s.body)), tuple(map(self, s.folds))
            return replace(s, body=body, folds=folds)
        return s


class Stages:
    """Writes one loop over rows."""

    def __init__(self, emitter: Emitter, loop: For, ahead: Ahead, bounds: tuple[str, str]):
        self.e, self.loop, self.ahead = emitter, loop, ahead
        self.begin, self.end = bounds
        (self.fold,) = loop.body[ahead.first].folds
        self.next = f"{self.fold.acc.name}_next"
        self.kept: Kept | None = None
        self.results: list[Buffer] = []
        self.carried: list[Let] = []  # what the last pass reads that is computed once a row
        if ahead.last is not None:
            last = loop.body[ahead.last]
            self.results = _stored(last)
            self.kept = Kept.of(self.results, Poly.name(loop.var) * last.extent)
            read = used_names([last])
            self.carried = [s for s in loop.body if isinstance(s, Let) and s.name in read]

    def write(self, depth: int) -> None:
        e, s, kept = self.e, self.loop, self.kept
        self._first_row(depth)
        for let in self.carried:
            e.line(depth, f"{_C[let.dtype]} {let.name}_before = 0;")
        close = e._open(s, s.body, depth, (self.begin, self.end))
        self._rows(depth + 1)
        now = self.fold.acc.name
        e.line(depth + 1, f"/* {now} of the next row is found while this one is computed. */")
        e._init(replace(self.fold.acc, name=self.next), depth + 1)
        body = s.body if kept is None else tuple(map(kept, s.body))
        for position, t in enumerate(body):
            if position == self.ahead.meanwhile:
                e.blocks(t, depth + 1, "0", poly_text(t.extent), self)
            elif position == self.ahead.last:
                e.line(depth + 1, f"if (!stream || {s.var} + 1 == {self.end}) {{")
                e.statement(t, depth + 2, ())
                e.line(depth + 1, "}")
            elif position not in (self.ahead.init, self.ahead.first):
                e.statement(t, depth + 1, body[position + 1 :])
        for let in self.carried:
            e.line(depth + 1, f"{let.name}_before = {let.name};")
        e.line(depth + 1, f"{now} = {self.next};")
        e.line(depth, close)
        if kept is not None:
            e.line(depth, "if (stream)")
            e.line(depth + 1, "jg_stream_end();")

    def _first_row(self, depth: int) -> None:
        """The reduction for the first iteration, before that for the next one is made in each."""
        e, found = self.e, self.loop.body[self.ahead.first]
        start = ZERO if self.begin == "0" else Poly.name(self.begin)
        e._init(self.fold.acc, depth)
        e.line(depth, f"if ({self.begin} < {self.end}) {{")
        of_first = replace(found, folds=(self._fold_of(start),))
        e.blocks(of_first, depth + 1, "0", poly_text(found.extent))
        e.line(depth, "}")

    def _fold_of(self, row: Poly) -> Accumulate:
        assert self.fold.source is not None
        buffer, start = self.fold.source
        return replace(self.fold, source=(buffer, start.replaced({self.loop.var: row})))

    def _rows(self, depth: int) -> None:
        if self.kept is None:
            return
        e, v = self.e, self.loop.var
        e.line(
            depth, "/* A row that goes past the caches does so in the next iteration, and is kept"
        )
        e.line(depth, " * until then where the last one will be. */")
        for b in self.results:
            width = poly_text(self.loop.body[-1].extent)
            width = f"({width})" if " " in width else width
            row = f"{b.name} + (stream ? {self.end} - 1 : {v})*{width}"
            e.line(depth, f"{_C[b.dtype]} *restrict {b.name}_row = {row};")
        e.line(depth, "int64_t done = 0;")

    @contextmanager
    def steps(self, depth: int, first: str, last: str) -> Iterator[tuple[int, Bounds]]:
        """Around the work on a block: steps of it, and the last pass over the row before."""
        if self.kept is None:
            yield depth, (first, last, first)
            return
        e, v = self.e, self.loop.body[-1].var
        begin, end = f"{v}2", f"{v}3"
        step = f"stream ? JG_STREAM_BYTES / (int64_t)sizeof *{self.results[0].name} : JG_BLOCK"
        head = f"int64_t {begin} = {first}, {end}; {begin} < {last}; {begin} = {end}"
        e.line(depth, f"for ({head}) {{")
        e.line(depth + 1, f"{end} = jg_min({begin} + ({step}), {last});")
        self._fetch(depth + 1, begin, end)
        self._finish(depth + 1, end)
        yield depth + 1, (begin, end, first)
        e.line(depth, "}")

    def _fetch(self, depth: int, begin: str, end: str) -> None:
        """Ask for what the next row's reduction will read, as much of it as a step computes, and
        for what the next steps read of this row."""
        now = Poly.name(self.loop.var)
        self.e.line(depth, "if (stream) {")
        for ask, row in (("jg_fetch", now + ONE), ("jg_fetch_again", now)):
            source = self._fold_of(row).source
            assert source is not None
            buffer, at = source[0].name, poly_text(source[1] + Poly.name(begin))
            size = f"({end} - {begin}) * sizeof *{buffer}"
            self.e.line(depth + 1, f"{ask}({buffer} + ({at}), {size});")
        self.e.line(depth, "}")

    def _finish(self, depth: int, end: str) -> None:
        """The last pass over the row before, to the end of the line that `end` is in."""
        assert self.kept is not None
        e, loop = self.e, self._of_row_before(self.kept(self.loop.body[-1]))
        start = poly_text((Poly.name(self.loop.var) + ONE.scaled(-1)) * loop.extent)
        to, n = self.results[0].name, poly_text(loop.extent)
        until = f"jg_stream_until({to} + ({start}), {end}, {n}, sizeof *{to})"
        e.line(depth, f"if (stream && {self.loop.var} > {self.begin}) {{")
        e.line(depth + 1, f"const int64_t until = {until};")
        close = e._open(loop, loop.body, depth + 1, ("done", "until"))
        e.block(loop.body, depth + 2)
        e.line(depth + 1, close)
        for b in self.results:
            to, count = f"{b.name} + ({start} + done)", f"(until - done) * sizeof *{b.name}"
            e.line(depth + 1, f"jg_stream({to}, {b.name}_row + done, {count});")
        e.line(depth + 1, "done = until;")
        e.line(depth, "}")

    def _of_row_before(self, loop: For) -> For:
        names = {s.name for s in self.carried}
        v = {n: Poly.name(f"{n}_before") for n in names}
        v[self.loop.var] = Poly.name(self.loop.var) + ONE.scaled(-1)

        def atom(a: Any) -> Any:
            carried = isinstance(a, Ref) and a.name in names
            return replace(a, name=f"{a.name}_before") if carried else a

        def moved(s: Any) -> Any:
            if isinstance(s, Store):
                return replace(s, value=atom(s.value))
            if not isinstance(s, Let):
                return s
            value = s.value
            if isinstance(value, Load):
                return replace(s, value=replace(value, at=value.at.replaced(v)))
            if isinstance(value, IndexValue):
                return replace(s, value=replace(value, value=value.value.replaced(v)))
            if isinstance(value, Call):
                operands = tuple(map(atom, value.operands))
                return replace(s, value=replace(value, operands=operands))
            return replace(s, value=atom(value))

        return replace(loop, body=tuple(map(moved, loop.body)))

    def beside(self, depth: int, first: str, last: str) -> None:
        """After the work on a block: the reduction of this part of the next row."""
        e = self.e
        later = self._fold_of(Poly.name(self.loop.var) + ONE)
        later = replace(later, acc=replace(later.acc, name=self.next))
        e.line(depth, f"if ({self.loop.var} + 1 < {self.end}) {{")
        e._fold(later, self.loop.body[self.ahead.first].var, depth + 1, (first, last))
        e.line(depth, "}")
