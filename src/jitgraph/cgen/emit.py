"""C text of a kernel. Nothing is decided here: every choice is in the kernel already."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jitgraph import dtypes
from jitgraph.cgen.ir import (
    Accumulate,
    AccumulateAt,
    Accumulator,
    Atom,
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
    Number,
    Poly,
    Ref,
    Store,
    Value,
    is_dear,
    poly_text,
    top_loop,
    walk,
)
from jitgraph.cgen.lower import start_value
from jitgraph.cgen.outline import many_name, phases, touches_only_blocks

if TYPE_CHECKING:
    from jitgraph.cgen.stages import Stages

_C = dtypes.C_TYPES
_COMBINE = {"sum": "+=", "prod": "*=", "any": "|=", "all": "&="}
_LOGICAL = {"sum": "any", "max": "any", "any": "any", "prod": "all", "min": "all", "all": "all"}
_OPERATOR = {"max": ">", "min": "<", "argmax": ">", "argmin": "<"}


def literal(number: Number) -> str:
    """A C literal with exactly this value."""
    v, dtype = number.value, number.dtype
    if dtype in dtypes.FLOATS:
        suffix = "f" if dtype == "float32" else ""
        if math.isnan(v):
            return f'__builtin_nan{suffix}("")'
        if math.isinf(v):
            return f"{'-' if v < 0 else ''}__builtin_inf{suffix}()"
        text = _shortest(v, dtype)
        return f"({text}{suffix})" if text.startswith("-") else text + suffix
    v = int(v)
    if dtype == "uint64":
        return f"{v}u" if v < 2**32 else f"{v}ull"
    if v == -(2**63):
        return "(-9223372036854775807ll - 1)"
    suffix = "" if -(2**31) < v < 2**31 else "ll"
    return f"({v}{suffix})" if v < 0 else f"{v}{suffix}"


def _shortest(v: float, dtype: str) -> str:
    """The shortest decimal that reads back as v in its dtype."""
    text = repr(v) if dtype == "float64" else str(np.float32(v))
    return text if any(c in text for c in ".en") else text + ".0"


class Emitter:
    """Prints the statements of one kernel, with single-use loads written in place."""

    def __init__(self, kernel: Kernel):
        self.kernel = kernel
        self.lines: list[str] = []
        self.inline: dict[str, str] = {}
        self.uses = _count_uses(kernel.body)
        self.summed = {f.acc for f in _folds(kernel.body) if f.acc.kind == "sum"}
        self.block_index = ""  # the index within the block that is being written

    def line(self, depth: int, text: str) -> None:
        self.lines.append("    " * depth + text)

    # -- values --
    def atom(self, a: Atom) -> str:
        return literal(a) if isinstance(a, Number) else self.inline.get(a.name, a.name)

    def value(self, v: Value) -> str:
        if isinstance(v, Load) and v.buffer.fill is not None:
            return f"{v.buffer.name}[{self.block_index}]"
        if isinstance(v, Load):
            return f"{v.buffer.name}[{poly_text(v.at)}]"
        if isinstance(v, IndexValue):
            return poly_text(v.value)
        if isinstance(v, Call):
            text = v.function.template(tuple(a.dtype for a in v.operands), v.dtype)
            for k in range(len(v.operands)):
                text = text.replace(f"{{{k}}}", f"\x00{k}\x00")
            for k, a in enumerate(v.operands):
                text = text.replace(f"\x00{k}\x00", self.atom(a))
            return text
        return self.atom(v)

    # -- statements --
    def block(self, body: Sequence[Any], depth: int) -> None:
        for position, s in enumerate(body):
            self.statement(s, depth, body[position + 1 :])

    def statement(self, s: Any, depth: int, following: Sequence[Any]) -> None:
        if isinstance(s, Let):
            self._let(s, depth, following)
        elif isinstance(s, Store):
            self.line(depth, f"{s.buffer.name}[{poly_text(s.at)}] = {bare(self.atom(s.value))};")
        elif isinstance(s, AccumulateAt):
            place = f"{s.buffer.name}[{poly_text(s.at)}]"
            self._combine(depth, place, s.kind, self.atom(s.value), s.buffer.dtype)
        elif isinstance(s, Init):
            self._init(s.acc, depth)
        elif isinstance(s, Accumulate):
            self._accumulate(s, depth)
        elif isinstance(s, For):
            self.loop(s, depth, "0", poly_text(s.extent))
        elif isinstance(s, Blocks):
            self.blocks(s, depth, "0", poly_text(s.extent))
        elif isinstance(s, Comment):
            self.line(depth, f"/* {s.text} */")

    def _let(self, s: Let, depth: int, following: Sequence[Any]) -> None:
        text = self.value(s.value)
        if self.uses.get(s.name) == 1 and _may_inline(s, following):
            self.inline[s.name] = text
            return
        self.line(depth, f"const {_C[s.dtype]} {s.name} = {bare(text)};")

    def _init(self, acc: Accumulator, depth: int) -> None:
        start = literal(start_value(acc.kind, acc.dtype))
        lost = f", {acc.name}_lost = {bare(start)}" if acc in self.summed else ""
        self.line(depth, f"{_C[acc.dtype]} {acc.name} = {bare(start)}{lost};")
        if acc.position:
            self.line(depth, f"int64_t {acc.position} = -1;")

    def _accumulate(self, s: Accumulate, depth: int) -> None:
        self._take(s.acc, depth, self.atom(s.value), poly_text(s.position))

    def combine_chunk(self, acc: Accumulator, depth: int) -> None:
        """Fold what chunk c leaves."""
        self._take(acc, depth, f"{acc.name}_of[c]", f"{acc.position}_of[c]")

    def _take(self, acc: Accumulator, depth: int, value: str, place: str) -> None:
        """Combine one value with the result so far; `place` is its position."""
        if acc.position:
            sign = _OPERATOR[acc.kind]
            self.line(depth, f"JG_TAKE({value}, {place}, {acc.name}, {acc.position}, {sign});")
        else:
            self._combine(depth, acc.name, acc.kind, value, acc.dtype)

    def _combine(self, depth: int, place: str, kind: str, value: str, dtype: str) -> None:
        if dtype == "bool":
            kind = _LOGICAL[kind]  # a bool holds nothing but 0 and 1
        if kind in _COMBINE:
            self.line(depth, f"{place} {_COMBINE[kind]} {value};")
        elif dtype in dtypes.FLOATS:
            macro = "JG_LARGER" if kind == "max" else "JG_SMALLER"
            self.line(depth, f"{place} = {macro}({place}, {value});")
        else:
            sign = _OPERATOR[kind]
            self.line(depth, f"{place} = {value} {sign} {place} ? {value} : {place};")

    def loop(self, s: For, depth: int, begin: str, end: str) -> None:
        if s.ahead is not None:
            from jitgraph.cgen.stages import Stages

            Stages(self, s, s.ahead, (begin, end)).write(depth)
            return
        close = self._open(s, s.body, depth, (begin, end))
        self.block(s.body, depth + 1)
        self.line(depth, close)

    def _open(
        self, s: For | Blocks, part: Iterable[Any], depth: int, bounds: tuple[str, str]
    ) -> str:
        """The line that begins a loop over a part of the body; the one that ends it is returned."""
        v, (begin, end) = s.var, bounds
        if s.abreast and any(map(is_dear, part)):
            count, dtype = s.abreast
            macro = "JG_REACH" if s.reach else "JG_ABREAST"
            self.line(depth, f"{macro}({count}, {_C[dtype]}, {v}, {begin}, {end}, {{")
            return "});"
        self.line(depth, f"for (int64_t {v} = {begin}; {v} < {end}; {v}++) {{")
        return "}"

    def blocks(
        self,
        s: Blocks,
        depth: int,
        begin: str,
        end: str,
        stages: Stages | None = None,
    ) -> None:
        """A loop over blocks, those of one of several stages if there are `stages`."""
        v = s.var
        first, last = f"{v}0", f"{v}1"
        self.line(
            depth, f"for (int64_t {first} = {begin}; {first} < {end}; {first} += JG_BLOCK) {{"
        )
        self.line(depth + 1, f"const int64_t {last} = jg_min({first} + JG_BLOCK, {end});")
        if s.in_lanes:
            self._sum_in_lanes(s, depth + 1, (first, last, end))
            self.line(depth, "}")
            return
        kept_folds = tuple(f for f in s.folds if f.source is None)
        for fold in kept_folds:
            self.line(depth + 1, f"{_C[fold.acc.dtype]} {fold.acc.name}_part[JG_BLOCK];")
        for buffer, start in s.fills:
            self._fill(buffer, start, depth + 1, (first, last))
        self.block_index = f"{v} - {first}"
        parts = phases(s.body, bool(kept_folds))
        many = any(isinstance(t, Many) for t in s.body)
        kept = self._kept_between(parts, kept_folds)
        for name, dtype in kept.items():
            self.uses[name] = self.uses.get(name, 0) + 2  # it gets a line of its own
            self.line(depth + 1, f"{_C[dtype]} {name}_part[JG_BLOCK];")
        for number, part in enumerate(parts):
            folds = kept_folds if number == len(parts) - 1 else ()
            if part and isinstance(part[0], Many):
                call = part[0]
                operands = "".join(f", {a.name}_part" for a in call.operands)
                count = f"{last} - {first}"
                self.line(depth + 1, f"{many_name(call)}({count}, {call.name}_part{operands});")
            elif part or folds:
                whole = many and touches_only_blocks(part) and not folds
                bounds = ("0", last, "0") if whole else (first, last, first)
                if stages is None:
                    self._part(s, part, folds, kept, depth + 1, bounds)
                else:
                    with stages.steps(depth + 1, first, last) as (inner, bounds):
                        self._part(s, part, folds, kept, inner, bounds)
        if stages is not None:
            stages.beside(depth + 1, first, last)
        for fold in s.folds:
            self._fold(fold, v, depth + 1, (first, last))
        self.line(depth, "}")

    def _sum_in_lanes(self, s: Blocks, depth: int, bounds: tuple[str, str, str]) -> None:
        (fold,) = s.folds
        name, (first, last, end) = fold.acc.name, bounds
        self.line(depth, f"{_C[fold.acc.dtype]} {name}_block;")
        span = f"{name}_block, {s.var}, {first}, {last},"
        if s.abreast:
            count, dtype = s.abreast
            self.line(depth, f"JG_SUM_ABREAST({count}, {_C[dtype]}, {span}")
            *first_calls, last_call = self._fetches(s, f"{last} < {end}")
            for call in first_calls:
                self.line(depth, f"               {call}")
            self.line(depth, f"               {last_call}, {{")
        else:
            self.line(depth, f"JG_SUM_LANES({span} {{")
        for position, t in enumerate(s.body):
            self.statement(t, depth + 1, [*s.body[position + 1 :], fold])
        self.line(depth + 1, f"value = {bare(self.atom(fold.value))};")
        self.line(depth, "});")
        self.line(depth, f"JG_ADD({name}, {name}_lost, {name}_block);")

    def _fetches(self, s: Blocks, more: str) -> list[str]:
        """What asks for the elements that the next block will read, before each group abreast.

        Those that it reads one after another: of others it is not known where they lie. Where
        there is no `more`, asking would cost more than it gains: small sums took a microsecond.
        """
        assert s.abreast is not None
        own = {s.var} | {t.name for t in s.body if isinstance(t, Let)}
        width = s.abreast[0] * 64 // dtypes.NUMPY[s.abreast[1]].itemsize
        calls = set()
        for v in (t.value for t in s.body if isinstance(t, Let) and isinstance(t.value, Load)):
            start = v.at + Poly.name(s.var).scaled(-1)
            if not start.names() & own:
                place = _grouped(poly_text(start + Poly.name("at")))
                size = width * dtypes.NUMPY[v.buffer.dtype].itemsize
                calls.add(f"jg_fetch({v.buffer.name} + {place}, {size})")
        if len(calls) < 2:
            return [f"if ({more}) {c}" for c in calls] or [""]
        return [f"if ({more}) {{", *(f"    {c};" for c in sorted(calls)), "}"]

    def _fill(self, b: Buffer, start: Poly, depth: int, bounds: tuple[str, str]) -> None:
        """Make the elements of a block that the loop reads."""
        assert b.fill is not None
        first, last = bounds
        self.line(depth, f"{_C[b.dtype]} {b.name}[JG_BLOCK];")
        call = b.fill.call.replace("{out}", b.name).replace("{count}", f"{last} - {first}")
        call = call.replace("{first}", poly_text(start + Poly.name(first)))
        for k, operand in b.fill.operands:
            call = call.replace(f"{{x{k}}}", operand.name)
        self.line(depth, f"{call};")

    def _part(
        self,
        s: Blocks,
        part: list[Any],
        folds: Sequence[Accumulate],
        kept: dict[str, str],
        depth: int,
        bounds: tuple[str, str, str],
    ) -> None:
        """One loop over a block, or, from 0, over as many elements as any block has.

        The compiler takes a fraction of the time for a loop of known length. The last of the bounds
        is where the block begins, of which the loop may do a part.
        """
        v, (first, last, block) = s.var, bounds
        at = f"[{v}]" if block == "0" else f"[{v} - {block}]"
        end = "JG_BLOCK" if first == "0" else last
        close = self._open(s, part, depth, (first, end))
        made = {t.name for t in part if isinstance(t, Let)}
        for name in sorted(_names_in(part, folds) & kept.keys() - made):
            self.line(depth + 1, f"const {_C[kept[name]]} {name} = {name}_part{at};")
        for position, t in enumerate(part):
            self.statement(t, depth + 1, part[position + 1 :])
            if isinstance(t, Let) and t.name in kept:
                self.line(depth + 1, f"{t.name}_part{at} = {t.name};")
        for fold in folds:
            self.line(depth + 1, f"{fold.acc.name}_part{at} = {bare(self.atom(fold.value))};")
        self.line(depth, close)

    def _fold(self, fold: Accumulate, loop: str, depth: int, bounds: tuple[str, str]) -> None:
        """Combine a block of the loop over `loop` with the result so far."""
        acc, (first, last) = fold.acc, bounds
        values = f"{acc.name}_part"
        if fold.source is not None:
            buffer, start = fold.source
            values = f"{buffer.name} + {_grouped(poly_text(start + Poly.name(first)))}"
        if acc.position:
            place = poly_text(fold.position.replaced({loop: Poly.name(first)}))
            taken = f"jg_block_{acc.kind}_{dtypes.TAGS[acc.dtype]}"
            count = f"{last} - {first}"
            self.line(depth, f"{taken}({values}, {count}, {place}, &{acc.name}, &{acc.position});")
            return
        wide = fold.source is not None and fold.source[0].dtype != acc.dtype
        name = f"{'wide_' if wide else ''}{acc.kind}_{dtypes.TAGS[acc.dtype]}"
        folded = f"jg_block_{name}({values}, {last} - {first})"
        if acc in self.summed:
            self.line(depth, f"JG_ADD({acc.name}, {acc.name}_lost, {folded});")
            return
        if acc.kind in ("max", "min"):  # whose macros name their operands more than once
            self.line(depth, f"const {_C[acc.dtype]} {acc.name}_block = {folded};")
            folded = f"{acc.name}_block"
        self._combine(depth, acc.name, acc.kind, folded, acc.dtype)

    @staticmethod
    def _kept_between(parts: list[list[Any]], folds: Sequence[Any]) -> dict[str, str]:
        """Values that one part of a block's work computes and a later one reads: their dtypes."""
        home = {
            t.name: (number, t.dtype)
            for number, part in enumerate(parts)
            for t in part
            if isinstance(t, (Let, Many))
        }
        kept: dict[str, str] = {}
        for number, part in enumerate(parts):
            for name in _names_in(part, folds if number == len(parts) - 1 else ()):
                if name in home and home[name][0] != number:
                    kept[name] = home[name][1]
        for part in parts:
            kept.update((t.name, t.dtype) for t in part if isinstance(t, Many))
        return dict(sorted(kept.items()))


def _folds(body: Iterable[Any]) -> list[Accumulate]:
    return [f for s in walk(body) if isinstance(s, Blocks) for f in s.folds]


def _names_in(part: Sequence[Any], folds: Sequence[Any]) -> set[str]:
    """Names of values and lengths that statements read."""
    found: set[str] = set()
    for s in [*part, *folds]:
        found.update(a.name for a in _atoms(s) if isinstance(a, Ref))
        if isinstance(s, Many):
            found.update(a.name for a in s.operands)
        value = getattr(s, "value", None)
        for p in (
            getattr(s, "at", None),
            getattr(s, "position", None),
            getattr(value, "at", None),
            getattr(value, "value", None),
        ):
            if isinstance(p, Poly):
                found |= p.names()
    return found


def bare(text: str) -> str:
    """Without parentheses around the whole."""
    if text.startswith("(") and text.endswith(")"):
        level = 0
        for k, c in enumerate(text):
            level += (c == "(") - (c == ")")
            if level == 0:
                return text[1:-1] if k == len(text) - 1 else text
    return text


def _atoms(s: Any) -> Iterable[Atom]:
    value = getattr(s, "value", None)
    if isinstance(value, Call):
        yield from value.operands
    elif isinstance(value, (Ref, Number)):
        yield value


def _count_uses(body: Sequence[Any]) -> dict[str, int]:
    uses: dict[str, int] = {}

    def count(name: str, n: int = 1) -> None:
        uses[name] = uses.get(name, 0) + n

    for s in walk(body):
        for a in _atoms(s):
            if isinstance(a, Ref):
                count(a.name)
        if isinstance(s, (Store, AccumulateAt)):
            for n in s.at.names():
                count(n, 2)  # a name inside an address is never written in place
        elif isinstance(s, Let) and isinstance(s.value, Load):
            for n in s.value.at.names():
                count(n, 2)
        elif isinstance(s, Let) and isinstance(s.value, IndexValue):
            for n in s.value.value.names():
                count(n, 2)
    return uses


def _may_inline(let: Let, following: Sequence[Any]) -> bool:
    """A load goes into the one expression that uses it; a call only into the store it feeds."""
    for s in following:
        if any(isinstance(a, Ref) and a.name == let.name for a in _atoms(s)):
            if isinstance(s, Let) and isinstance(s.value, Call):
                return isinstance(let.value, Load) and _appears_once(s.value, let.name)
            if isinstance(s, AccumulateAt):
                return isinstance(let.value, Load) and s.kind in _COMBINE
            return isinstance(s, Store)
        if isinstance(let.value, Load) and (
            isinstance(s, (Store, AccumulateAt)) and s.buffer.name == let.value.buffer.name
        ):
            return False
        if isinstance(s, (For, Blocks)):
            return False
    return False


def _appears_once(call: Call, name: str) -> bool:
    template = call.function.template(tuple(a.dtype for a in call.operands), call.dtype)
    places = [k for k, a in enumerate(call.operands) if isinstance(a, Ref) and a.name == name]
    return sum(template.count(f"{{{k}}}") for k in places) == 1


# -- the function around the loops -----------------------------------------------------------------


def parameter(b: Buffer) -> str:
    const = "const " if b.kind in ("in", "const", "read") else ""
    return f"{const}{_C[b.dtype]} *restrict {b.name}"


def writes(kernel: Kernel) -> set[str]:
    """Names of the buffers the kernel stores to."""
    return {s.buffer.name for s in walk(kernel.body) if isinstance(s, (Store, AccumulateAt))}


def signature(kernel: Kernel) -> list[str]:
    written = writes(kernel)
    partial = {b.name for band in kernel.bands for b in (band.running, band.target)}
    result = [f"{_C[d]} {n}" for n, d in zip(kernel.lengths, kernel.types, strict=True)]
    for b in kernel.buffers:
        if b.name in partial:
            continue
        kind = b.kind if b.name in written else "read"
        result.append(parameter(Buffer(b.name, b.dtype, b.dims, kind)))
    return result


def partial_variables(kernel: Kernel) -> dict[str, str]:
    """What each chunk of a kernel leaves to be folded, and its dtype."""
    return {n: d for acc, _, _ in kernel.partials for n, d in acc.variables.items()}


def emit_kernel(kernel: Kernel, specifiers: str = "static") -> str:
    """The C function of a kernel, with its comment."""
    e = Emitter(kernel)
    for text in kernel.comment:
        e.line(0, f"/* {text} */" if len(kernel.comment) == 1 else f"// {text}")
    parameters = signature(kernel)
    split = kernel.split if top_loop(kernel) is not None else ""
    if split == "rows":
        parameters = ["int64_t begin", "int64_t end", *parameters]
    elif split == "chunks":
        parameters = ["int64_t first", "int64_t last", "int64_t chunk", *parameters]
        parts = partial_variables(kernel)
        parameters += [f"{_C[dtype]} *restrict {name}_of" for name, dtype in parts.items()]
    elif split == "bands":
        parameters = ["int64_t first", "int64_t last", "int64_t band", *parameters]
        parameters += [f"{_C[b.running.dtype]} *restrict {b.name}" for b in kernel.bands]
    e.lines.extend(_wrapped(f"{specifiers} void {kernel.name}(", parameters))
    e.line(0, "{")
    if split == "rows":
        _emit_rows(e, kernel)
    elif split == "chunks":
        _emit_chunks(e, kernel)
    elif split == "bands":
        _emit_bands(e, kernel)
    else:
        e.block(kernel.body, 1)
    e.line(0, "}")
    return "\n".join(e.lines) + "\n"


def _emit_rows(e: Emitter, kernel: Kernel) -> None:
    loop = top_loop(kernel)
    if isinstance(loop, Blocks):
        e.blocks(loop, 1, "begin", "end")
    else:
        assert isinstance(loop, For)
        e.loop(loop, 1, "begin", "end")


def _emit_chunks(e: Emitter, kernel: Kernel) -> None:
    loop = top_loop(kernel)
    assert loop is not None
    e.line(1, "for (int64_t c = first; c < last; c++) {")
    e.line(2, f"const int64_t stop = jg_min((c + 1) * chunk, {poly_text(loop.extent)});")
    for s in kernel.body:
        if isinstance(s, Init):
            e.statement(s, 2, ())
    if isinstance(loop, For):
        e.loop(loop, 2, "c * chunk", "stop")
    else:
        e.blocks(loop, 2, "c * chunk", "stop")
    for name in partial_variables(kernel):
        e.line(2, f"{name}_of[c] = {name};")
    e.line(1, "}")


def _emit_bands(e: Emitter, kernel: Kernel) -> None:
    """Each band sums its rows block by block: the first block where the result will be."""
    loop = top_loop(kernel)
    assert loop is not None
    e.line(1, "for (int64_t c = first; c < last; c++) {")
    e.line(2, "const int64_t start = c * band;")
    e.line(2, f"const int64_t stop = jg_min(start + band, {poly_text(loop.extent)});")
    e.line(2, "int64_t block = start;")
    e.line(2, "do {")
    e.line(3, "const int64_t end = jg_min(block + JG_BLOCK, stop);")
    for b in kernel.bands:
        c, size = _C[b.running.dtype], poly_text(b.size)
        name = b.running.name
        e.line(3, f"{c} *restrict {name} = {b.name} + (2*c + (block > start)) * ({size});")
        e.line(3, f"for (int64_t e = 0; e < {size}; e++)")
        e.line(4, f"{name}[e] = {bare(literal(start_value(b.kind, b.running.dtype)))};")
    if isinstance(loop, Blocks):
        e.blocks(loop, 3, "block", "end")
    else:
        e.loop(loop, 3, "block", "end")
    for b in kernel.bands:
        size, name = poly_text(b.size), b.running.name
        e.line(3, f"for (int64_t e = 0; block > start && e < {size}; e++)")
        e._combine(4, f"{name}[e - ({size})]", b.kind, f"{name}[e]", b.running.dtype)
    e.line(3, "block = end;")
    e.line(2, "} while (block < stop);")
    e.line(1, "}")


def fold_bands(e: Emitter, kernel: Kernel) -> None:
    """The bands combined in pairs, always in the same order, and stored."""
    bands = f"{kernel.name}_bands"
    for b in kernel.bands:
        size, dtype = _grouped(poly_text(b.size)), b.running.dtype
        e.line(0, f"for (int64_t w = 1; w < {bands}; w *= 2)")
        e.line(1, f"for (int64_t c = 0; c + w < {bands}; c += 2 * w)")
        e.line(2, f"for (int64_t e = 0; e < {size}; e++)")
        left, right = f"{b.name}[2*c*{size} + e]", f"{b.name}[2*(c + w)*{size} + e]"
        e._combine(3, left, b.kind, right, dtype)
        cast = "" if dtype == b.target.dtype else f"({_C[b.target.dtype]})"
        e.line(0, f"for (int64_t e = 0; e < {size}; e++)")
        e.line(1, f"{b.target.name}[e] = {cast}{b.name}[e];")


def _grouped(text: str) -> str:
    return f"({text})" if " " in text else text


def _wrapped(head: str, parameters: Sequence[str], width: int = 100) -> list[str]:
    """A parameter list broken so that no line passes `width`."""
    lines, line = [], head
    for k, p in enumerate(parameters):
        text = p + (", " if k < len(parameters) - 1 else ")")
        if len(line) + len(text.rstrip()) > width and line.strip() != head.strip():
            lines.append(line.rstrip())
            line = " " * len(head)
        line += text
    if not parameters:
        line += "void)"
    return [*lines, line]


def broken(line: str, width: int = 100) -> list[str]:
    """A statement on lines of at most `width`, the later ones aligned to its first bracket.

    It is broken between operands of that bracket; comments and texts are left as they are.
    """
    start = line.replace("{", "(").find("(") + 1
    if len(line) <= width or start == 0 or '"' in line or line.lstrip().startswith("/"):
        return [line]
    level, found = 0, 0
    for k, c in enumerate(line[: width + 1]):
        level += (c in "({[") - (c in ")}]")
        if c == " " and level == 1 and (line[k - 1] == "," or line[k - 2 : k] in ("||", "&&")):
            found = k
    if found <= start:
        return [line]
    return [line[:found], *broken(" " * start + line[found + 1 :], width)]
