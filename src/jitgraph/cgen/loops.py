"""Loops over steps: the body of a scan as a segment inside a segment, and its C.

The body becomes the statements of a C loop in the same function as everything else. What it reads
of a step is found by pointers that move with the step; states rotate through pointers (or, being
single numbers, through local variables that the compiler keeps in registers), so nothing is copied
between steps. Lengths that no step changes are computed before the loop, and so is the size of the
memory the body needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jitgraph import dtypes
from jitgraph.cgen.comment import safe
from jitgraph.cgen.fuse import Choice, Loop, Piece
from jitgraph.cgen.ir import Buffer, Poly, poly_text
from jitgraph.cgen.lengths import Check, Length, Symbol
from jitgraph.graph import Apply, Constant, Variable, format_origin
from jitgraph.ops.scan import Scan
from jitgraph.ops.shape import ShapeI

if TYPE_CHECKING:
    from jitgraph.cgen.entry import EntryEmitter
    from jitgraph.cgen.segment import Segment

_C = dtypes.C_TYPES


class NotALoop(Exception):
    """The body of a scan cannot be compiled into the loop; Python runs it step by step."""

    def __init__(self, node: Apply):
        super().__init__(str(node))
        self.node = node


class Scope:
    """The lengths of a body, in terms of those of the segment around it."""

    def __init__(self, body: Segment, outer: Segment, item: Loop | Choice):
        self.body, self.outer, self.item = body, outer, item
        self.slot_dims = self._slot_dims()
        self._moves: dict[str, bool] = {}

    def _slot_dims(self) -> list[tuple[Poly, ...]]:
        """For each slot of the body its lengths as polynomials of the outer segment."""
        op, inputs = self.item.node.op, self.item.node.inputs
        shape = self.outer.lengths.shape
        if isinstance(self.item, Choice):
            return [tuple(map(self.outer.lengths.poly, shape(v))) for v in inputs[1:]]
        _, sequences, initials, fixed = op.outer(inputs)
        found = [shape(x)[1:] for x in sequences]
        for x, taps in zip(initials, op.lags, strict=True):
            found += [shape(x)[1:]] * len(taps)
        found += [shape(x) for x in fixed]
        return [tuple(map(self.outer.lengths.poly, s)) for s in found]

    def source(self, symbol: Symbol) -> Poly | None:
        """The outer polynomial of a symbol that is the length of an argument of the body."""
        v = symbol.variable
        if v.owner is not None and isinstance(v.owner.op, ShapeI):
            k = self.body.lengths.slot_number.get(v.owner.inputs[0])
            if k is not None:
                return self.slot_dims[k][v.owner.op.i]
        return None

    def moves(self, symbol: Symbol) -> bool:
        """Whether the symbol may change from step to step, or with the steps of a loop around."""
        found = True if symbol.waits else self._moves.get(symbol.name)
        if found is None:
            source = self.source(symbol)
            if source is not None:
                found = bool(source.names() & self.outer.moving())
            else:
                found = self._depends_on_step(symbol)
            self._moves[symbol.name] = found
        return found

    def _depends_on_step(self, symbol: Symbol) -> bool:
        lengths = self.body.lengths
        stack, seen = [symbol.variable], set()
        while stack:
            v = stack.pop()
            if v in seen or isinstance(v, Constant):
                continue
            seen.add(v)
            if v in lengths.slot_number:
                return True
            if v.owner is not None and isinstance(v.owner.op, ShapeI):
                length = lengths.shape(v.owner.inputs[0])[v.owner.op.i]
                if isinstance(length, Symbol) and length is not symbol and self.moves(length):
                    return True
            elif v.owner is not None:
                stack.extend(v.owner.inputs)
        return False

    def moving(self) -> set[str]:
        """Names that change with the step."""
        mine = {s.name for s in self.body.lengths.symbols if self.moves(s)}
        return mine | self.outer.moving()


def add_checks(body: Segment, outer: Segment, item: Loop | Choice, scope: Scope) -> None:
    """What a body makes must have the shape of the memory it is stored in."""
    op, node = item.node.op, item.node
    if isinstance(item, Choice):
        shapes = [outer.lengths.shape(v) for v in node.outputs]
        _add_fits(body, outer, item, scope, dict(enumerate(shapes)))
        return
    _, windows, _ = op.inner()
    for k, window in enumerate(windows):
        value = body.outputs[k]
        pairs = zip(body.lengths.shape(window[0]), body.lengths.shape(value), strict=True)
        for axis, (a, b) in enumerate(pairs):
            body.lengths.require_equal(
                a, b, node, f"a step changes the length of axis {axis} of state {k}"
            )
    maps = range(op.n_states, len(op.traces))
    _add_fits(body, outer, item, scope, {k: outer.lengths.shape(node.outputs[k])[1:] for k in maps})


def _add_fits(
    body: Segment,
    outer: Segment,
    item: Loop | Choice,
    scope: Scope,
    shapes: dict[int, tuple[Length, ...]],
) -> None:
    """A check for every length that is not evidently the one wanted of that result."""
    known = {s.name: p for s in body.lengths.symbols if (p := scope.source(s)) is not None}
    for k, wanted in shapes.items():
        made = body.lengths.shape(body.outputs[k])
        for axis, (a, b) in enumerate(zip(made, wanted, strict=True)):
            if body.lengths.poly(a).replaced(known) != outer.lengths.poly(b):
                what = f"axis {axis} of output {k} does not have its length"
                body.lengths.checks.append(Check(a, b, item.node, what))


class LoopEmitter:
    """Writes one loop into the function of the segment around it."""

    def __init__(self, outer: EntryEmitter, loop: Loop):
        from jitgraph.cgen.entry import BodyEmitter

        self.outer = outer
        self.loop = loop
        self.node = loop.node
        self.op: Scan = loop.node.op
        self.segment: Segment = loop.body
        self.scope = self.segment.scope
        self.inner = BodyEmitter(outer, self.segment)
        self.t = ""

    # -- before everything --
    def prologue(self) -> None:
        """Lengths and checks that hold for all steps."""
        self.inner.hoisted_lengths()

    # -- the loop --
    def run(self) -> None:
        out, op = self.outer.out, self.op
        n, *_ = op.outer(self.node.inputs)
        self.steps = self._length(n)
        self.names = self.inner.root.names
        self.t = self.names.next("t")
        where = safe(format_origin(self.node.origins))
        label = f" {safe(op.label)}" if op.label else ""
        out(f"/* scan{label}" + (f"   ({where}) */" if where else " */"))
        out("{")
        self.outer.depth += 1
        self._declare_operands()
        self._open_states()
        t = self.t
        if op.until:
            out(f"int64_t {t} = 0;")
        out(f"for ({'' if op.until else f'int64_t {t} = 0'}; {t} < {self.steps}; {t}++) {{")
        self.outer.depth += 1
        self._rows()
        self._targets()
        self.inner.depth = self.outer.depth
        self.inner.step()
        self._keep()
        self._rotate()
        self._until()
        self.outer.depth -= 1
        out("}")
        self._finish()
        self.outer.depth -= 1
        out("}")

    def _length(self, value: Any) -> str:
        lengths = self.outer.segment.lengths
        from jitgraph.cgen.checks import as_length

        return poly_text(lengths.poly(lengths.length(as_length(value))))

    # -- operands --
    def _slot(self, k: int) -> Buffer:
        return self.segment.buffers[self.segment.slots[k]]

    def _row_size(self, k: int) -> Poly:
        total = Poly.const(1)
        for n in self.scope.slot_dims[k]:
            total = total * n
        return total

    def _memory(self, piece: Piece) -> str:
        """The address of the first row of a piece."""
        b = self.outer.segment.buffers[piece.base]
        pointer = self.outer.pointer(b)
        return f"((const {_C[b.dtype]} *){pointer})" if b.kind == "const" else pointer

    def _declare_operands(self) -> None:
        """Non-sequences keep their place for all steps."""
        op = self.op
        first = len(op.sequences) + op.n_windows
        for k, pieces in enumerate(self.loop.operands[1 + len(op.sequences) + op.n_states :]):
            b = self._slot(first + k)
            c = _C[b.dtype]
            self.outer.declare(b.name, f"const {c} *{b.name} = {self._memory(pieces[0])};")

    def _address(self, pieces: list[Piece], row: Poly, size: Poly, item: bool = False) -> str:
        """The address of a row, given by its number among all rows of the operand.

        With `item` the number there, of an operand whose rows are numbers.
        """
        lengths = self.outer.segment.lengths
        from jitgraph.cgen.checks import as_length

        def at(piece: Piece, row: Poly) -> str:
            first = lengths.poly(lengths.length(as_length(piece.first)))
            offset = (row + first) * size
            memory = self._memory(piece)
            if item:
                return f"{memory}[{poly_text(offset)}]"
            return memory if not offset.terms else f"{memory} + {_grouped(offset)}"

        if len(pieces) == 1:
            return at(pieces[0], row)
        count = lengths.poly(lengths.length(as_length(pieces[0].count)))
        test = f"{poly_text(row)} < {poly_text(count)}"
        return f"{test} ? {at(pieces[0], row)} : {at(pieces[1], row + count.scaled(-1))}"

    def _rows(self) -> None:
        """Pointers to the rows of the step."""
        t, n = Poly.name(self.t), self._steps_poly()
        for k, rows in enumerate(self.op.sequences):
            b = self._slot(k)
            row = t + Poly.const(rows.offset)
            if rows.reversed:
                row = n + t.scaled(-1) + Poly.const(rows.offset - 1)
            address = self._address(self.loop.operands[1 + k], row, self._row_size(k))
            self.outer.declare(b.name, f"const {_C[b.dtype]} *{b.name} = {address};")

    def _steps_poly(self) -> Poly:
        from jitgraph.cgen.checks import as_length

        lengths = self.outer.segment.lengths
        return lengths.poly(lengths.length(as_length(self.node.inputs[0])))

    # -- states --
    def _open_states(self) -> None:
        """A name for every earlier value that may still be needed, newest first."""
        op = self.op
        self.windows: list[list[str]] = []
        slot = len(op.sequences)
        for k, (taps, depth) in enumerate(zip(op.lags, op.depths, strict=True)):
            by_lag = {lag: self._slot(slot + i).name for i, lag in enumerate(taps)}
            window = [by_lag.get(lag) or self.names.next("h") for lag in range(1, depth + 1)]
            self.windows.append(window)
            b = self._slot(slot)
            size = self._row_size(slot)
            pieces = self.loop.operands[1 + len(op.sequences) + k]
            for lag, name in enumerate(window, start=1):
                address = self._address(pieces, Poly.const(depth - lag), size, not b.dims)
                if b.dims:
                    self.outer.out(f"const {_C[b.dtype]} *{name} = {address};")
                else:
                    self.outer.out(f"{_C[b.dtype]} {name}[1] = {{{address}}};")
            slot += len(taps)

    def _used(self, v: Variable) -> bool:
        return self.outer.segment.is_read(v)

    def _trace(self, k: int) -> Buffer | None:
        """The memory of trace k, if somebody reads it."""
        v = self.node.outputs[k]
        return self.outer.segment.buffers[v] if self._used(v) else None

    def _trace_row(self, k: int, trace: Buffer) -> Poly:
        """Where this step's row of a trace that keeps all rows begins."""
        row = Poly.name(self.t)
        if self.op.traces[k].reversed:
            row = self._steps_poly() + row.scaled(-1) + Poly.const(-1)
        return row * _product(trace.dims[1:])

    def _targets(self) -> None:
        """Where the step puts what it computes."""
        op = self.op
        for k, v in enumerate(self.segment.outputs):
            b = self.segment.buffers[v]
            c = _C[b.dtype]
            if not b.dims:
                self.outer.out(f"{c} {b.name}[1];")
                continue
            trace = self._trace(k) if k < len(op.traces) else None
            if trace is not None and op.traces[k].keep is None:
                self.outer.out(
                    f"{c} *{b.name} = {trace.name} + {_grouped(self._trace_row(k, trace))};"
                )
                continue
            row = self.segment.rows[v]
            size = poly_text(_product(row.dims[1:]))
            turn = "" if k >= op.n_states else f" + {self.t} % {op.depths[k] + 1} * ({size})"
            self.outer.out(f"{c} *{b.name} = {row.name}{turn};")

    def _keep(self) -> None:
        """Store rows of traces that are not written in place."""
        op = self.op
        for k, kept in enumerate(op.traces):
            b = self.segment.buffers[self.segment.outputs[k]]
            trace = self._trace(k)
            if trace is None or (b.dims and kept.keep is None):
                continue
            size = _product(trace.dims[1:])
            if kept.keep is None:
                at = poly_text(self._trace_row(k, trace))
                self.outer.out(f"{trace.name}[{at}] = {b.name}[0];")
                continue
            # The trace has min(n, keep) rows, of the last steps.
            first = f"{self.steps} - {poly_text(trace.dims[0])}"
            place = f"{self.t} - ({first})"
            if size.as_int() != 1:
                place = f"({place})*{_grouped(size)}"
            self.outer.out(f"if ({self.t} >= {first})")
            self.outer.out(f"    {_copied(trace.name, place, b.name, b.dtype, size)}")

    def _rotate(self) -> None:
        for k, window in enumerate(self.windows):
            b = self.segment.buffers[self.segment.outputs[k]]
            mark = "" if b.dims else "[0]"
            newer = [b.name, *window[:-1]]
            for name, source in reversed(list(zip(window, newer, strict=True))):
                self.outer.out(f"{name}{mark} = {source}{mark};")

    def _until(self) -> None:
        if not self.op.until:
            return
        condition = self.segment.buffers[self.segment.outputs[-1]]
        self.outer.out(f"if ({condition.name}[0]) {{")
        self.outer.out(f"    {self.t}++;")
        self.outer.out("    break;")
        self.outer.out("}")

    # -- after the loop --
    def _finish(self) -> None:
        op, outputs = self.op, self.node.outputs
        _, _, finals, steps = op.results(outputs)
        for final, window in zip(finals, self.windows, strict=True):
            if not self._used(final):
                continue
            target = self.outer.segment.buffers[final]
            size = _product(target.dims[1:])
            for place, name in enumerate(reversed(window)):
                at = _grouped(size.scaled(place))
                self.outer.out(_copied(target.name, at, name, target.dtype, size))
        if steps is None:
            return
        if self._used(steps):
            self.outer.out(f"{self.outer.segment.buffers[steps].name}[0] = {self.t};")
        rest = f"({self.steps} - {self.t})"
        for k, kept in enumerate(op.traces):
            trace = self._trace(k)
            if trace is not None:
                row = _grouped(_product(trace.dims[1:]))
                item = dtypes.NUMPY[trace.dtype].itemsize
                start = "" if kept.reversed else f" + {self.t}*{row}"
                self.outer.out(
                    f"__builtin_memset({trace.name}{start}, 0, {item} * {rest} * {row});"
                )


class ChoiceEmitter:
    """Writes an ifelse: two bodies, each with its own lengths and checks."""

    def __init__(self, outer: EntryEmitter, choice: Choice):
        from jitgraph.cgen.entry import BodyEmitter

        self.outer = outer
        self.choice = choice
        self.inner = [BodyEmitter(outer, body) for body in choice.bodies]

    def prologue(self) -> None:
        """The lengths that say how much memory either body needs; nothing is checked yet."""
        for body in self.inner:
            body.hoisted_lengths(checks=False)

    def run(self) -> None:
        out, outer, node = self.outer.out, self.outer, self.choice.node
        condition = outer.pointer(outer.segment.buffers[node.inputs[0]])
        where = safe(format_origin(node.origins))
        if where:
            out(f"/* {where} */")
        out(f"if ({condition}[0]) {{")
        for number, body in enumerate(self.inner):
            outer.depth += 1
            for v, inner in zip(node.inputs[1:], body.segment.slots, strict=True):
                b = body.segment.buffers[inner]
                memory = outer.pointer(outer.segment.buffers[v])
                outer.declare(b.name, f"const {_C[b.dtype]} *{b.name} = {memory};")
            for v, inner in zip(node.outputs, body.segment.outputs, strict=True):
                b = body.segment.buffers[inner]
                out(f"{_C[b.dtype]} *{b.name} = {outer.segment.buffers[v].name};")
            body.depth = outer.depth
            body.step(all_checks=True)
            outer.depth -= 1
            out("} else {" if number == 0 else "}")


def _copied(to: str, at: str, source: str, dtype: str, size: Poly) -> str:
    """A row copied to to[at]."""
    if size.as_int() == 1:
        return f"{to}[{at}] = {source}[0];"
    place = to if at == "0" else f"{to} + {at}"
    return (
        f"__builtin_memcpy({place}, {source}, {dtypes.NUMPY[dtype].itemsize} * {_grouped(size)});"
    )


def _grouped(p: Poly) -> str:
    text = poly_text(p)
    return f"({text})" if " " in text else text


def _product(dims: tuple[Poly, ...]) -> Poly:
    total = Poly.const(1)
    for n in dims:
        total = total * n
    return total


__all__ = ["ChoiceEmitter", "LoopEmitter", "NotALoop", "Scope", "add_checks"]
