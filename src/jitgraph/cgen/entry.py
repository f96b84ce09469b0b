"""The C entry of a segment: read the arguments, check lengths, run loops and products in order."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.cgen import partials, strided, sweep
from jitgraph.cgen.arena import bytes_of, shared_places
from jitgraph.cgen.build import Builder
from jitgraph.cgen.emit import (
    Emitter,
    broken,
    emit_kernel,
    literal,
)
from jitgraph.cgen.fuse import Choice, Cluster, LabelCheck, Loop, Product, Routine
from jitgraph.cgen.ir import (
    Blocks,
    Buffer,
    For,
    Kernel,
    Many,
    Number,
    Poly,
    poly_text,
    top_loop,
    walk,
)
from jitgraph.cgen.lengths import Check, Length, Names, Symbol, vector_entry
from jitgraph.cgen.loops import ChoiceEmitter, LoopEmitter
from jitgraph.cgen.outline import many_name, many_text
from jitgraph.cgen.products import product_call
from jitgraph.cgen.ranges import (
    Division,
    specifiers,
    stream_condition,
    streamed,
    trampoline,
)
from jitgraph.cgen.segment import Segment
from jitgraph.cgen.stages import ahead_of, behind_condition, follow, follows
from jitgraph.graph import Variable
from jitgraph.ops.shape import ShapeI

_C = dtypes.C_TYPES


_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True)
class Declaration:
    """A line of C that only defines `name`."""

    name: str
    text: str


class EntryEmitter:
    """Writes the function `segment_<number>` and the kernels it calls."""

    often = False  # whether what is written is run in every step of a loop

    def __init__(self, segment: Segment, number: int):
        self.segment = segment
        self.number = number
        self.lines: list[str | Declaration] = []
        self.headers: set[str] = {"jg_abi.h"}
        self.parts: list[str] = []  # functions, in the order of their text
        self.constants = list(segment.constants)
        self.many: dict[str, str] = {}  # functions on blocks: the same for all entries
        self.depth = 1
        self.names = Names()  # of what only the text needs
        self.loops: dict[int, LoopEmitter | ChoiceEmitter] = {}
        self.gathers: strided.Gathers = {}
        self.read_here: set[Variable] = set()  # arguments that the entry itself reads

    def out(self, text: str, depth: int | None = None) -> None:
        line = "    " * (self.depth if depth is None else depth) + text if text else ""
        self.lines.extend(broken(line))

    def declare(self, name: str, text: str) -> None:
        """A line that is left out if nothing after it uses `name`."""
        self.lines.append(Declaration(name, "    " * self.depth + text))

    def run(self) -> str:
        self.segment.number_checks()
        self.kernels()
        self._entry()
        body = "\n".join(self._body()) + "\n"
        constants = [
            self._constant(b, c) for b, c in self.constants if f"{b.name}_{self.number})" in body
        ]
        return "\n".join([*constants, *self.parts, body])

    def kernels(self) -> None:
        """The functions of all loops, those of the bodies of scans before what comes after them."""
        for number, item in enumerate(self.segment.items):
            if isinstance(item, Loop):
                self.loops[number] = LoopEmitter(self, item)
            elif isinstance(item, Choice):
                self.loops[number] = ChoiceEmitter(self, item)
            if number not in self.segment.kernels:
                continue
            kernel = self._staged(number)
            self.headers |= kernel.headers
            for s in walk(kernel.body):
                if isinstance(s, Many):
                    self.many.setdefault(many_name(s), many_text(s))
            if self._in_place(kernel):
                continue
            results = self._streamed(kernel)
            text = emit_kernel(kernel, specifiers(kernel, results))
            self.parts.append(text + self._trampoline(kernel, results))
            if self._needs_reduce(kernel):
                self.headers.add("jg_reduce.h")

    def _body(self) -> list[str]:
        """The function of the segment, without unused declarations."""
        kept: list[str] = []
        used: set[str] = set()
        for line in reversed(self.lines):
            if isinstance(line, Declaration):
                if line.name not in used:
                    continue
                line = line.text
            used.update(_IDENTIFIER.findall(line))
            kept.append(line)
        head = f"static int64_t segment_{self.number}("
        parameters = ("host", "args", "outs", "scratch", "info")
        unused = [f"(void){p}" for p in parameters if p not in used]
        return [
            head + "const jg_host *host, intptr_t args, intptr_t outs, char *scratch,",
            " " * len(head) + "int64_t *info)",
            "{",
            *([f"    {', '.join(unused)};"] if unused else []),
            *kept[::-1],
            "}",
        ]

    @staticmethod
    def _needs_reduce(kernel: Kernel) -> bool:
        from jitgraph.cgen.ir import Accumulate, AccumulateAt, walk

        return kernel.split in ("chunks", "bands") or any(
            isinstance(s, (Blocks, Accumulate, AccumulateAt)) for s in walk(kernel.body)
        )

    def _constant(self, buffer: Buffer, constant: Any) -> str:
        values = [
            literal(Number(v, buffer.dtype)) for v in np.asarray(constant.data).ravel().tolist()
        ]
        text = f"static const {_C[buffer.dtype]} {buffer.name}_{self.number}[] = {{"
        return text + (", ".join(values) or "0") + "};\n"

    # -- calling kernels ---------------------------------------------------------------------
    def _split(self, kernel: Kernel) -> str:
        return kernel.split if top_loop(kernel) is not None else ""

    def _trampoline(self, kernel: Kernel, results: tuple[Buffer, ...]) -> str:
        """The body that the thread pool calls with a range of the outermost loop."""
        if not self._split(kernel):
            return ""
        if results:
            self.headers.add("jg_stream.h")
        return trampoline(kernel, results)

    def _staged(self, number: int) -> Kernel:
        """A kernel, of which the last pass over each row may be made past the caches."""
        kernel = self.segment.kernels[number]
        others = self._used_elsewhere(kernel) if ahead_of(kernel) else None
        if others is not None:
            kernel = self.segment.kernels[number] = follow(kernel, others)
            if follows(kernel):
                self.headers.add("jg_stream.h")
        return kernel

    def _streamed(self, kernel: Kernel) -> tuple[Buffer, ...]:
        """The results of this kernel that may be stored past the caches."""
        others = self._used_elsewhere(kernel)
        return () if others is None else streamed(kernel, others)

    def _used_elsewhere(self, kernel: Kernel) -> list[Buffer] | None:
        """The arrays of all that runs in the same call; None if they are not known."""
        segment = self.segment
        if segment.around is not None:
            return None
        others = [b for k in segment.kernels.values() if k is not kernel for b in k.buffers]
        for item in segment.items:
            if isinstance(item, (Loop, Choice, Routine)):
                return None
            if not isinstance(item, Cluster):
                used = [*item.node.inputs, *item.node.outputs]
                used += [item.a, item.b] if isinstance(item, Product) else [item.labels]
                others += [segment.buffers[v] for v in used if v in segment.buffers]
        return others

    def arguments(self, kernel: Kernel) -> list[str]:
        partial = {b.name for band in kernel.bands for b in (band.running, band.target)}
        given = [self.pointer(b) for b in kernel.buffers if b.name not in partial]
        return [*kernel.lengths, *given]

    def pointer(self, b: Buffer) -> str:
        return f"jg_table({b.name}_{self.number})" if b.kind == "const" else b.name

    def _statements(self, kernel: Kernel) -> None:
        emitter = Emitter(kernel)
        for text in kernel.comment[:1]:
            emitter.line(0, f"/* {text} */")
        emitter.line(0, "{")
        emitter.block(kernel.body, 1)
        emitter.line(0, "}")
        for line in emitter.lines:
            self.out(line)

    def _call(self, kernel: Kernel) -> None:
        if self._in_place(kernel):
            self._statements(kernel)
            return
        split = self._split(kernel)
        self.wide_accumulators(kernel)
        if not split:
            self.out(f"{kernel.name}({', '.join(self.arguments(kernel))});")
            return
        loop = top_loop(kernel)
        assert loop is not None
        self.headers.add("jg_pool.h")
        parts = Division.of(kernel, loop)
        self.out("{")
        if split == "rows":
            self.row_arguments(kernel)
            self._parallel(kernel, parts)
        elif split == "bands":
            partials.call_bands(self, kernel, loop)
        else:
            partials.chunk_arguments(self, kernel, parts.chunk, parts.n, "[JG_CHUNKS]")
            self._parallel(kernel, replace(parts, n="chunks"))
            partials.fold_chunks(self, kernel)
        self.out("}")

    def row_arguments(self, kernel: Kernel) -> None:
        """Define `k`, the arguments of a loop over independent rows."""
        results = self._streamed(kernel)
        args = self.arguments(kernel)
        if results:
            args.append(stream_condition(kernel, results))
        elif follows(kernel):
            self.out(f"    const int32_t stream = {behind_condition(kernel)};")
        self.out(f"    struct {kernel.name}_args k = {{{', '.join(args)}}};")

    def _parallel(self, kernel: Kernel, parts: Division) -> None:
        """Run a loop, whose arguments stand in `k`, on all threads."""
        name = kernel.name
        call = f"jg_parallel_for(host->pool, {parts}, {name}_range, &k);"
        if name not in self.gathers:
            self.out(f"    {call}")
            return
        g = self._gather_name(name)
        gathered = f"host->pool, &{g}, scratch + {g}_at, {name}_gathered, &k"
        self.out(f"    if ({g}.views)")
        self.out(f"        jg_parallel_gather({gathered});")
        self.out("    else")
        self.out(f"        {call}")

    def _gather_name(self, kernel: str) -> str:
        return f"g{list(self.gathers).index(kernel)}"

    def wide_accumulators(self, kernel: Kernel) -> None:
        banded = {b.running.name for b in kernel.bands}
        for b in kernel.buffers:
            if b.kind == "wide" and b.name not in banded:
                self.out(f"{_C[b.dtype]} *{b.name} = ({_C[b.dtype]} *)(scratch + {b.name}_at);")

    def _product(self, item: Product) -> None:
        text, headers = product_call(item, self.segment.buffers, self.pointer, self.often)
        self.headers |= headers
        self.out(text)

    def _routine(self, item: Routine) -> None:
        self.headers.add(item.header)
        if "host->pool" in item.template:
            self.headers.add("jg_pool.h")
        if "(host, " in item.template:  # it calls the library
            self.headers |= {"jg_blas.h", "jg_pool.h"}
        buffers, node = self.segment.buffers, item.node

        def operand(place: re.Match[str]) -> str:
            kind, side, number, axis = place.groups()
            v = (node.inputs if side == "x" else node.outputs)[int(number)]
            dims = tuple(map(self.segment.lengths.poly, self.segment.lengths.shape(v)))
            if kind is None:
                return self.pointer(buffers[v])
            return poly_text(_product(dims) if kind == "n" else dims[int(axis)])

        call = re.sub(r"\{(?:([nd]):)?([xz])(\d+)(?::(\d+))?\}", operand, item.template)
        if item.refusal is None:
            self.out(f"{call};")
            return
        number = self._label_number(item)
        self.out("{")
        self.out(f"    const int64_t bad = {call};")
        self.out("    if (bad >= 0) {")
        self.out(f"        info[1] = {number}, info[2] = bad, info[3] = 0;")
        self.out("        return JG_LABEL;")
        self.out("    }")
        self.out("}")

    def _label_number(self, item: LabelCheck | Routine) -> int:
        segment = self.segment
        return segment.first_check + len(segment.checks) + segment.labels.index(item)

    def _label_check(self, item: LabelCheck) -> None:
        self.headers.add("jg_label.h")
        segment = self.segment
        labels = segment.buffers[item.labels]
        length = segment.lengths.shape(item.node.inputs[0])[item.axis]
        columns = poly_text(segment.lengths.poly(length))
        rows = poly_text(_product(labels.dims))
        kind = "index" if item.may_be_negative else "label"
        number = self._label_number(item)
        tag = dtypes.TAGS[labels.dtype]
        self.out("{")
        self.out(f"    const {_C[labels.dtype]} *entry = {self.pointer(labels)};")
        self.out(f"    const int64_t bad = jg_bad_{kind}_{tag}(entry, {rows}, {columns});")
        self.out("    if (bad >= 0) {")
        self.out(f"        info[1] = {number}, info[2] = bad, info[3] = (int64_t)entry[bad];")
        self.out("        return JG_LABEL;")
        self.out("    }")
        self.out("}")

    # -- the entry ---------------------------------------------------------------------------
    def _entry(self) -> None:
        # What the lengths are made of decides which arguments must be in C order.
        self._lengths_and_checks()
        self.gathers = strided.gathers(self.segment, self.read_here)
        after = self.lines[:]
        self.lines.clear()
        self._read_arguments()
        self.lines += after
        self._divide_gathered()
        for loop in self.loops.values():
            loop.prologue()
        partials.count_bands(self)
        sweep.define_tiles(self)
        self._plan()
        self.items()
        self.out("return JG_OK;")

    def _in_place(self, kernel: Kernel) -> bool:
        """Whether the statements stand where they are run, not in a function of their own."""
        return False

    def items(self) -> None:
        """Loops, products and checks in their order."""
        for group in self.segment.groups:
            self.group(group)

    def group(self, group: sweep.Group) -> None:
        """Items that are run together."""
        if group[0] in self.segment.sweeps:
            sweep.run(self, self.segment.sweeps[group[0]])
        else:
            self._item(group[0])

    def _item(self, number: int) -> None:
        item = self.segment.items[number]
        if isinstance(item, Cluster):
            self._call(self.segment.kernels[number])
        elif isinstance(item, Product):
            self._product(item)
        elif isinstance(item, (Loop, Choice)):
            self.loops[number].run()
        elif isinstance(item, Routine):
            self._routine(item)
        else:
            self._label_check(item)

    def _read_arguments(self) -> None:
        gathered = {k for slots in self.gathers.values() for k, _ in slots}
        for k, v in enumerate(self.segment.slots):
            dtype, nd = v.type.dtype, v.type.ndim
            code = "JG_" + dtypes.TAGS[dtype].upper().replace("B8", "BOOL")
            if nd == 0:
                self.out(f"jg_room room{k};")
                read = f"jg_number(host, args, {k}, {code}, &room{k})"
                self.out(f"const void *in{k} = {read};")
                continue
            read = f"jg_argument(host, args, {k}, {code}, {nd}, {dtypes.NUMPY[dtype].itemsize})"
            if k in gathered:
                read = f"jg_any_argument(host, args, {k}, {code}, {nd})"
            self.out(f"const jg_array *in{k} = {read};")
        conditions: list[str] = []
        for k, v in enumerate(self.segment.slots):
            wrong = [f"!in{k}"]
            wrong += [f"in{k}->dim[{i}] != 1" for i, b in enumerate(v.type.broadcastable) if b]
            conditions.append(" || ".join(wrong))
        for k, condition in enumerate(conditions):
            self.out(f"if ({condition}) {{")
            self.out(f"    info[1] = {k};")
            self.out("    return JG_ARGUMENT;")
            self.out("}")
        for k, v in enumerate(self.segment.slots):
            c, data = _C[v.type.dtype], f"in{k}->data" if v.type.ndim else f"in{k}"
            self.declare(f"a{k}", f"const {c} *a{k} = (const {c} *){data};")

    def _divide_gathered(self) -> None:
        """For arguments that are not in C order: how the loops that read them are divided."""
        segment = self.segment
        for kernel in segment.kernels.values():
            slots, loop = self.gathers.get(kernel.name), top_loop(kernel)
            if not slots or loop is None:
                continue
            self.headers |= {"jg_pool.h", "jg_strided.h"}
            names = [segment.buffers[segment.slots[k]].name for k, _ in slots]
            self.parts.append(strided.trampoline(kernel, names))
            parts = Division.of(kernel, loop)
            typed = [(k, row, segment.slots[k].type.dtype) for k, row in slots]
            for line in strided.division(
                self._gather_name(kernel.name), typed, str(parts), parts.chunk
            ):
                self.out(line)

    def _lengths_and_checks(self) -> None:
        """Define the lengths, then test what must hold of them."""
        segment = self.segment
        scalars = self._scalars()
        # Defining a symbol may bring in others, so the list can grow while it is walked.
        position = 0
        while position < len(segment.lengths.symbols):
            self._define(segment.lengths.symbols[position], scalars)
            position += 1
        self.headers |= scalars.headers
        self.read_here.update(v for v, _ in scalars.reads)
        for k, check in enumerate(segment.checks):
            self._check(segment.first_check + k, check)

    def _scalars(self) -> Builder:
        known = [*self.segment.slots, *self.segment.lengths.awaited()]
        buffers = {v: self.segment.buffers[v] for v in known}
        fresh = self.names.next
        return Builder(self.segment.lengths, buffers, lambda: fresh("v"), host=True)

    def _define(self, symbol: Symbol, scalars: Builder) -> None:
        v = symbol.variable
        lengths = self.segment.lengths
        if (
            v.owner is not None
            and isinstance(v.owner.op, ShapeI)
            and v.owner.inputs[0] in lengths.slot_number
        ):
            text = self._slot_length(symbol, lengths.slot_number[v.owner.inputs[0]], v.owner.op.i)
        elif (entry := vector_entry(v)) is not None and entry[0] in lengths.slot_number:
            # Read before any check has passed, so not beyond the end.
            self.read_here.add(entry[0])
            k = lengths.slot_number[entry[0]]
            name = self.segment.buffers[entry[0]].name
            text = f"{self._vector_length(k)} > {entry[1]} ? {name}[{entry[1]}] : 0"
        else:
            before = len(scalars.body)
            atom = scalars.value(v, ())
            emitter = Emitter(Kernel("", tuple(scalars.body[before:]), (), ()))
            emitter.uses = {}  # every value gets its own line
            for s in scalars.body[before:]:
                emitter.statement(s, 0, ())
            for s, line in zip(scalars.body[before:], emitter.lines, strict=True):
                self.declare(s.name, line.strip())
            text = literal(atom) if isinstance(atom, Number) else atom.name
        self.declare(symbol.name, f"const {_C[symbol.dtype]} {symbol.name} = {text};")

    def _slot_length(self, symbol: Symbol, k: int, axis: int) -> str:
        """The length of an argument, where it comes from."""
        return f"in{k}->dim[{axis}]"

    def _vector_length(self, k: int) -> str:
        return f"in{k}->dim[0]"

    def _check(self, number: int, check: Check) -> None:
        left, right = _length_text(check.left), _length_text(check.right)
        condition = {
            "equal": f"{left} != {right}",
            "index": f"{left} < 0 || {left} >= {right}",
            "count": f"{left} < 0",
            "steps": f"{left} < 0",
            "rows": f"{left} < {right}",
            "some": f"{left} <= 0",
            "nonzero": f"{left} == 0",
        }[check.kind]
        self.out(f"if ({condition}) {{")
        self.out(f"    info[1] = {number}, info[2] = {left}, info[3] = {right};")
        self.out("    return JG_CHECK;")
        self.out("}")

    def _plan(self) -> None:
        """Say what outputs and scratch are needed, unless they are there already."""
        segment = self.segment
        offset = "0"
        places = shared_places(segment)
        sizes: dict[str, list[str]] = {}
        for b in segment.memory():
            sizes.setdefault(places.get(b.name, b.name), []).append(poly_text(bytes_of(b)))
        for place, wanted in sizes.items():
            self.out(f"const int64_t {place}_at = {offset};")
            largest, *others = dict.fromkeys(wanted)
            for size in others:
                largest = f"jg_max({largest}, {size})"
            offset = f"{place}_at + jg_round_up({largest})"
        for g in map(self._gather_name, self.gathers):
            self.out(f"const int64_t {g}_at = {offset};")
            offset = f"{g}_at + jg_gather_bytes(&{g})"
        fits = ["!outs"]
        if offset != "0":
            self.out(f"const int64_t need = {offset};")
            fits.append("info[0] < need")
        for k, v in enumerate(segment.outputs):
            dims = segment.buffers[v].dims
            if dims:
                self.out(f"const int64_t out{k}[] = {{{', '.join(map(poly_text, dims))}}};")
                fits.append(f"!jg_output_fits(host, outs, {k}, {len(dims)}, out{k})")
        self.out(f"if ({' || '.join(fits)}) {{")
        self.out(f"    info[4] = {'0' if offset == '0' else 'need'};")
        at = 5
        for k, v in enumerate(segment.outputs):
            for axis in range(v.type.ndim):
                self.out(f"    info[{at}] = out{k}[{axis}];")
                at += 1
        self.out("    return JG_PLAN;")
        self.out("}")
        for k, v in enumerate(segment.outputs):
            c = _C[v.type.dtype]
            self.declare(f"z{k}", f"{c} *z{k} = ({c} *)jg_output(host, outs, {k});")
        for b in segment.memory():
            if b.kind != "wide":
                place = places.get(b.name, b.name)
                self.out(f"{_C[b.dtype]} *{b.name} = ({_C[b.dtype]} *)(scratch + {place}_at);")


class BodyEmitter(EntryEmitter):
    """Writes the body of a loop into the function of the segment around it."""

    often = True

    def __init__(self, outer: EntryEmitter, segment: Segment):
        super().__init__(segment, outer.number)
        self.outer = outer
        self.lines, self.headers, self.parts = outer.lines, outer.headers, outer.parts
        self.many = outer.many
        self.root: EntryEmitter = getattr(outer, "root", outer)
        self.root.constants += segment.constants
        self.names = self.root.names
        self.host_scalars = self._scalars()
        self.later: list[Symbol] = []  # lengths and scalars that change with the step
        self.position = 0
        self.kernels()

    def _in_place(self, kernel: Kernel) -> bool:
        """Numbers without loops: the compiler keeps what a step hands on in registers."""
        return (
            not kernel.split
            and all(not isinstance(s, (For, Blocks)) for s in kernel.body)
            and all(b.kind not in ("const", "wide") for b in kernel.buffers)
        )

    def hoisted_lengths(self, checks: bool = True) -> None:
        """Before the loop: what no step changes."""
        self.depth = self.root.depth
        self._define_new()
        for k, check in enumerate(self.segment.checks):
            if checks and not self._moves(check):
                self._check(self.segment.first_check + k, check)
        for loop in self.loops.values():
            loop.prologue()

    def _define_new(self) -> None:
        scope, symbols = self.segment.scope, self.segment.lengths.symbols
        assert scope is not None
        while self.position < len(symbols):
            symbol = symbols[self.position]
            self.position += 1
            if scope.moves(symbol):
                self.later.append(symbol)
            else:
                self._define(symbol, self.host_scalars)

    def _moves(self, check: Check) -> bool:
        moving = self.segment.moving()
        return any(isinstance(n, Symbol) and n.name in moving for n in (check.left, check.right))

    def step(self, all_checks: bool = False) -> None:
        """What is done in every step, or in a branch that is taken."""
        self.defined: set[str] = set()
        self.unchecked = [
            (self.segment.first_check + k, check)
            for k, check in enumerate(self.segment.checks)
            if all_checks or self._moves(check)
        ]
        for number in range(len(self.segment.items)):
            self._define_ready(number)
            self._item(number)
        self._define_ready(len(self.segment.items))

    def _define_ready(self, number: int) -> None:
        """Define and check the lengths for which the items before `number` are enough."""
        place = self.segment.fuser.place
        self._define_new()
        done = 0
        while done < len(self.later):
            symbol = self.later[done]
            ready = all(place[v][0] < number for v in symbol.waits)
            if ready and symbol.name not in self.defined:
                self.defined.add(symbol.name)
                self._define(symbol, self.host_scalars)
                self._define_new()
            done += 1
        self.headers |= self.host_scalars.headers
        later = {s.name for s in self.later} - self.defined
        rest = []
        for k, check in self.unchecked:
            if any(isinstance(n, Symbol) and n.name in later for n in (check.left, check.right)):
                rest.append((k, check))
            else:
                self._check(k, check)
        self.unchecked = rest

    def _slot_length(self, symbol: Symbol, k: int, axis: int) -> str:
        assert self.segment.scope is not None
        return poly_text(self.segment.scope.slot_dims[k][axis])

    def _vector_length(self, k: int) -> str:
        assert self.segment.scope is not None
        return poly_text(self.segment.scope.slot_dims[k][0])


def _product(dims: Iterable[Poly]) -> Poly:
    total = Poly.const(1)
    for n in dims:
        total = total * n
    return total


def _length_text(length: Length) -> str:
    return str(length) if isinstance(length, int) else length.name
