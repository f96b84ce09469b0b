"""Loops between graph and C: a small tree of frozen nodes that the emitter prints as it stands.

Index arithmetic is kept as polynomials over loop variables and lengths (`i*m + j`), so two
ways to write the same address are the same value. Scalar expressions name the graph's own
scalar functions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jitgraph.ops.scalar import ScalarFunction

Monomial = tuple[str, ...]


@dataclass(frozen=True)
class Poly:
    """A sum of integer multiples of products of names; `terms` is sorted, without zeros."""

    terms: tuple[tuple[Monomial, int], ...] = ()

    @staticmethod
    def of(terms: Mapping[Monomial, int]) -> Poly:
        return Poly(tuple(sorted((m, c) for m, c in terms.items() if c)))

    @staticmethod
    def const(value: int) -> Poly:
        return Poly.of({(): int(value)})

    @staticmethod
    def name(name: str) -> Poly:
        return Poly.of({(name,): 1})

    def __add__(self, other: Poly) -> Poly:
        total = dict(self.terms)
        for m, c in other.terms:
            total[m] = total.get(m, 0) + c
        return Poly.of(total)

    def __mul__(self, other: Poly) -> Poly:
        total: dict[Monomial, int] = {}
        for m, c in self.terms:
            for n, d in other.terms:
                key = tuple(sorted(m + n))
                total[key] = total.get(key, 0) + c * d
        return Poly.of(total)

    def scaled(self, factor: int) -> Poly:
        return Poly.of({m: c * factor for m, c in self.terms})

    def names(self) -> set[str]:
        return {n for m, _ in self.terms for n in m}

    def replaced(self, values: Mapping[str, Poly]) -> Poly:
        if not self.names() & values.keys():
            return self
        total = Poly()
        for m, c in self.terms:
            product = Poly.const(c)
            for n in m:
                product = product * values.get(n, Poly.name(n))
            total = total + product
        return total

    def as_int(self) -> int | None:
        if not self.terms:
            return 0
        return self.terms[0][1] if len(self.terms) == 1 and not self.terms[0][0] else None


ZERO = Poly()
ONE = Poly.const(1)


def poly_text(p: Poly) -> str:
    """`i*n1 + j`: longer products first, loop variables before lengths."""
    if not p.terms:
        return "0"

    def order(name: str) -> tuple[int, str]:
        return (1 if name.startswith("n") else 0, name)

    parts: list[str] = []
    for monomial, c in sorted(p.terms, key=lambda t: (-len(t[0]), [order(n) for n in t[0]])):
        names = sorted(monomial, key=order)
        factors = ([] if abs(c) == 1 and names else [str(abs(c))]) + names
        text = "*".join(factors)
        if not parts:
            parts.append(f"-{text}" if c < 0 else text)
        else:
            parts.append(f" - {text}" if c < 0 else f" + {text}")
    return "".join(parts)


# -- values: what a Let may compute --------------------------------------------------------------


@dataclass(frozen=True)
class Fill:
    """How a stretch of an array that is nowhere in memory is made: by a call, when it is read.

    `call` is the call with places {out}, {count}, {first} and {x<k>} for the operands.
    """

    call: str
    operands: tuple[tuple[int, Buffer], ...]
    node: Any = field(compare=False, default=None)


@dataclass(frozen=True)
class Buffer:
    """An array in memory, C-contiguous: argument, output, scratch, constant, or one row.

    One with a `fill` is made block by block in the loop that reads it.
    """

    name: str
    dtype: str
    dims: tuple[Poly, ...]
    kind: str  # "in" | "out" | "scratch" | "const" | "row" | "partial" | "fill"
    fill: Fill | None = None

    def address(self, index: Iterable[Poly]) -> Poly:
        """The offset of an element, in elements."""
        total = ZERO
        for i, n in zip(index, self.dims, strict=True):
            total = total * n + i
        return total


@dataclass(frozen=True)
class Ref:
    name: str
    dtype: str


@dataclass(frozen=True, eq=False)
class Number:
    """A literal; `value` is a Python int, bool or float of exactly this dtype."""

    value: Any
    dtype: str

    def key(self) -> tuple[str, str]:
        """Identity by bits: -0.0 is not 0.0, and nan is itself."""
        return (self.dtype, self.value.hex() if isinstance(self.value, float) else str(self.value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.key() == other.key()

    def __hash__(self) -> int:
        return hash(self.key())


@dataclass(frozen=True)
class Load:
    buffer: Buffer
    at: Poly
    dtype: str


@dataclass(frozen=True)
class IndexValue:
    """An index polynomial as a number."""

    value: Poly
    dtype: str = "int64"


@dataclass(frozen=True)
class Call:
    """A scalar function on atoms, already converted to the dtypes it wants."""

    function: ScalarFunction
    operands: tuple[Ref | Number, ...]
    dtype: str


Atom = Ref | Number
Value = Atom | Load | IndexValue | Call


# -- statements ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Let:
    name: str
    dtype: str
    value: Value


@dataclass(frozen=True)
class Store:
    buffer: Buffer
    at: Poly
    value: Atom


@dataclass(frozen=True)
class Accumulator:
    """A running result in a local variable, combined by `kind`."""

    name: str
    kind: str  # sum prod max min any all argmax argmin
    dtype: str
    position: str = ""  # the companion variable of argmax and argmin

    @property
    def result(self) -> Ref:
        """The local variable that holds what is asked for in the end."""
        return Ref(self.position, "int64") if self.position else Ref(self.name, self.dtype)

    @property
    def variables(self) -> dict[str, str]:
        """Its local variables and their dtypes."""
        return {self.name: self.dtype, self.result.name: self.result.dtype}


@dataclass(frozen=True)
class Init:
    acc: Accumulator


@dataclass(frozen=True)
class Accumulate:
    """acc <- acc (kind) value, within a loop; `position` for argmax and argmin."""

    acc: Accumulator
    value: Atom
    position: Poly = ZERO
    # Of a fold in Blocks, where its values lie in memory, if they do: the element of loop index 0.
    source: tuple[Buffer, Poly] | None = None


@dataclass(frozen=True)
class AccumulateAt:
    """buffer[at] <- buffer[at] (kind) value."""

    buffer: Buffer
    at: Poly
    kind: str
    value: Atom


@dataclass(frozen=True)
class Ahead:
    """Of the body of a loop: which statement, a reduction, is made one iteration ahead.

    By position: its Init, itself, and the Blocks beside which it is made; and, if it has one that
    may be made an iteration behind, the last loop. What the loop means does not change.
    """

    init: int
    first: int
    meanwhile: int
    last: int | None = None


@dataclass(frozen=True)
class For:
    """`for var in range(begin, end)`; begin is 0 unless the loop is a part of a split one.

    `abreast`: how many vectors are computed at a time, and of which dtype; `reach`: whether the
    last one may compute elements again that are done (JG_REACH).
    """

    var: str
    extent: Poly
    body: tuple[Any, ...]
    abreast: tuple[int, str] | None = None
    reach: bool = False
    ahead: Ahead | None = None


@dataclass(frozen=True)
class Blocks:
    """A loop run in blocks of JG_BLOCK; each (accumulator, value) is folded block by block.

    An array in `fills` has the element of the loop index 0 at the position that stands with it.
    """

    var: str
    extent: Poly
    body: tuple[Any, ...]
    folds: tuple[Accumulate, ...]
    fills: tuple[tuple[Buffer, Poly], ...] = ()  # what is made for each block, and from where on
    abreast: tuple[int, str] | None = None
    reach: bool = False
    in_lanes: bool = False  # whether the only fold, a sum, is kept in registers (JG_SUM_...)


@dataclass(frozen=True)
class Many:
    """In the body of Blocks: `name` for a whole block, by one call of a vector function."""

    name: str
    dtype: str
    function: ScalarFunction
    operands: tuple[Ref, ...]


@dataclass(frozen=True)
class Cut:
    """In the body of Blocks: what follows is done for a block after all that comes before."""


@dataclass(frozen=True)
class Comment:
    text: str


@dataclass(frozen=True)
class Kernel:
    """One loop nest as a C function.

    `split`: how its outermost loop may be divided among threads: "rows" (iterations are
    independent), "chunks" (each chunk leaves a partial result, folded afterwards in order),
    "bands" (the same, where partial results are arrays), or "" (not at all).
    """

    name: str
    body: tuple[Any, ...]
    buffers: tuple[Buffer, ...]
    lengths: tuple[str, ...]  # names of lengths and other host scalars, parameters of the function
    types: tuple[str, ...] = ()  # their dtypes
    comment: tuple[str, ...] = ()
    split: str = ""
    rows: tuple[Buffer, ...] = ()  # private row buffers
    partials: tuple[tuple[Accumulator, Buffer, Poly], ...] = ()  # chunked results and their target
    bands: tuple[Band, ...] = ()  # reductions into arrays, band by band
    headers: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Band:
    """A reduction over the outermost loop whose result is an array: kept in `running` meanwhile."""

    running: Buffer
    kind: str
    target: Buffer

    @property
    def name(self) -> str:
        """Of the memory for the results of all bands: two arrays each, the second for one block."""
        return f"{self.running.name}_of"

    @property
    def size(self) -> Poly:
        total = ONE
        for n in self.target.dims:
            total = total * n
        return total


def is_dear(s: Any) -> bool:
    """Whether a statement calls a vector function."""
    return isinstance(s, Let) and isinstance(s.value, Call) and s.value.function.is_vector_function


def widened(v: Any) -> Atom | None:
    """The float32 that a value is, cast to float64."""
    if isinstance(v, Call) and v.function.name == "cast{float64}":
        return v.operands[0] if v.operands[0].dtype == "float32" else None
    return None


def walk(statements: Iterable[Any]) -> Iterable[Any]:
    """Every statement, outer ones first."""
    for s in statements:
        yield s
        if isinstance(s, (For, Blocks)):
            yield from walk(s.body)
            if isinstance(s, Blocks):
                yield from s.folds


def top_loop(kernel: Kernel) -> For | Blocks | None:
    """The one outermost loop, if everything else at the top prepares accumulators of chunks."""
    if kernel.bands:
        (main,) = [
            s
            for s in kernel.body
            if isinstance(s, (For, Blocks))
            and any(isinstance(t, AccumulateAt) for t in walk(s.body))
        ]
        return main
    loops = [s for s in kernel.body if isinstance(s, (For, Blocks))]
    allowed = (For, Blocks, Init) if kernel.split == "chunks" else (For, Blocks)
    others = [s for s in kernel.body if not isinstance(s, allowed)]
    return loops[0] if len(loops) == 1 and not others else None
