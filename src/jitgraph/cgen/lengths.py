"""Lengths of axes as symbols, and the scalars they are computed from.

Every length in a program is an int or a `Symbol`: a scalar of the graph that can be computed
before any loop runs, from the shapes of the arguments and from 0-d arguments. Two lengths
that the run-time checks make equal become one symbol, so loops over them can be fused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from jitgraph import dtypes
from jitgraph.cgen.ir import Poly
from jitgraph.graph import Apply, Constant, Variable
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import Subtensor
from jitgraph.ops.shape import ShapeI, known_int

# A dearer scalar is left to a loop, which is divided where it grows too long for the compiler.
LARGEST_SCALAR = 64


class NotHostScalar(Exception):
    """A scalar needs an array computation, so it is not known before the loops run."""

    def __init__(self, variable: Variable):
        super().__init__(str(variable))
        self.variable = variable


class NotInSegment(Exception):
    """The shape of an argument of the function is needed that the segment does not get."""

    def __init__(self, variable: Variable):
        super().__init__(str(variable))
        self.variable = variable


class Names:
    """Names of C variables that no two scopes of a function share: n0, n1, … for each kind."""

    def __init__(self) -> None:
        self._count: dict[str, int] = {}

    def next(self, kind: str) -> str:
        number = self._count.get(kind, 0)
        self._count[kind] = number + 1
        return f"{kind}{number}"


@dataclass(eq=False)
class Symbol:
    """A length or other host scalar: `name` in the C text, defined by `variable`."""

    name: str
    variable: Variable
    dtype: str = "int64"
    # What loops of the same body must have computed before the symbol can be.
    waits: frozenset[Variable] = frozenset()


Length = int | Symbol


@dataclass(frozen=True)
class Check:
    """What must hold of two lengths when the function runs, and the node that demands it."""

    left: Length
    right: Length
    node: Apply
    what: str
    # or "index": 0 <= left < right; "count", "steps": left >= 0; "some": left > 0;
    # "nonzero": left != 0; "rows": left >= right
    kind: str = "equal"


class Lengths:
    """The lengths of every variable of a segment, made on demand from its leaves."""

    def __init__(self, slots: Sequence[Variable], names: Names | None = None, late: bool = False):
        """`late`: a number that loops compute may be the length of something after them."""
        self.slots = list(slots)
        self.late = late
        self.names = names or Names()
        self.slot_number = {v: i for i, v in enumerate(slots)}
        self.shapes: dict[Variable, tuple[Length, ...]] = {}
        self.by_key: dict[Any, Length] = {}
        self.symbols: list[Symbol] = []  # in order of definition
        self.checks: list[Check] = []
        self.parent: dict[int, Length] = {}
        self._keys: dict[Variable, Any] = {}
        self._numbers: dict[Any, int] = {}
        self._efforts: dict[Any, int] = {}
        self._waits: dict[Any, frozenset[Variable]] = {}  # of the keys that wait for something
        self._keepalive: list[Variable] = []

    # -- shapes --
    def shape(self, variable: Variable) -> tuple[Length, ...]:
        found = self.shapes.get(variable)
        if found is None:
            found = self.shapes[variable] = self._shape(variable)
        return tuple(self.find(n) for n in found)

    def _shape(self, variable: Variable) -> tuple[Length, ...]:
        if variable in self.slot_number:
            return tuple(
                1 if fixed else self._axis(variable, axis)
                for axis, fixed in enumerate(variable.type.broadcastable)
            )
        if isinstance(variable, Constant):
            return tuple(int(n) for n in variable.data.shape)
        node = variable.owner
        if node is None:
            raise NotInSegment(variable)
        given = [tuple(self._as_graph(n) for n in self.shape(v)) for v in node.inputs]
        results = node.op.infer_shape(node, given)
        if results is None:
            raise NotHostScalar(variable)
        for out, result in zip(node.outputs, results, strict=True):
            self.shapes[out] = tuple(
                1 if fixed else self.length(n)
                for n, fixed in zip(result, out.type.broadcastable, strict=True)
            )
        return self.shapes[variable]

    def _axis(self, variable: Variable, axis: int) -> Length:
        key = ("shape", self.slot_number[variable], axis)
        if key not in self.by_key:
            scalar = ShapeI(axis)(variable)
            self._keepalive.append(scalar)
            self.by_key[key] = self._new_symbol(scalar)
        return self.by_key[key]

    def _new_symbol(self, variable: Variable, key: Any = None) -> Symbol:
        waits = self._waits.get(key, frozenset())
        symbol = Symbol(self.names.next("n"), variable, variable.type.dtype, waits)
        self.symbols.append(symbol)
        return symbol

    @staticmethod
    def _as_graph(length: Length) -> Any:
        return length if isinstance(length, int) else length.variable

    # -- scalars --
    def length(self, value: Any) -> Length:
        """An int, or the symbol of a host scalar; equal computations give the same symbol."""
        if isinstance(value, int):
            return value
        if not isinstance(value, Variable):
            return int(value)
        key = self.key(value)
        if key[0] == "const":
            return int(key[2])
        if key[0] == "length":
            return self.find(next(s for s in self.symbols if s.name == key[1]))
        if key not in self.by_key:
            self.by_key[key] = self._new_symbol(value, key)
            self._keepalive.append(value)
        return self.find(self.by_key[key])

    def scalar(self, variable: Variable) -> Symbol | None:
        """The symbol of a 0-d value that is computed before any loop; None if it cannot be."""
        try:
            key = self.key(variable)
        except NotHostScalar:
            return None
        if key[0] in ("const", "float", "length") or self._effort(key) > LARGEST_SCALAR:
            return None
        if key in self._waits:
            return None
        if key not in self.by_key:
            self.by_key[key] = self._new_symbol(variable)
            self._keepalive.append(variable)
        found = self.find(self.by_key[key])
        return found if isinstance(found, Symbol) and found.dtype == variable.type.dtype else None

    def key(self, variable: Variable) -> Any:
        """What a host scalar computes, as a flat value; NotHostScalar if it is none.

        Operands enter by number, so keys stay small however deep the computation is; the walk
        is iterative for the same reason.
        """
        stack = [variable]
        while stack:
            v = stack[-1]
            pending = (
                [] if v in self._keys else [o for o in self._operands(v) if o not in self._keys]
            )
            if pending:
                stack.extend(pending)
            else:
                stack.pop()
                if v not in self._keys:
                    self._keys[v] = self._key(v)
        found = self._keys[variable]
        if found[0] == "array":
            raise NotHostScalar(found[1])
        return found

    def _operands(self, v: Variable) -> list[Variable]:
        """What must have a key before `v` can have one."""
        if isinstance(v, Constant) or v in self.slot_number or v.type.ndim or v.owner is None:
            return []
        return v.owner.inputs if isinstance(v.owner.op, Elementwise) else []

    def _key(self, variable: Variable) -> Any:
        if isinstance(variable, Constant) and variable.data.size == 1:
            value = variable.data.flat[0].item()
            # Floats by their bits: 0.0 and -0.0 are equal, but not the same.
            if isinstance(value, float):
                return ("float", variable.type.dtype, value.hex())
            return ("const", variable.type.dtype, value)
        if variable.type.ndim:
            return ("array", variable)
        if variable in self.slot_number:
            return ("item", self.slot_number[variable])
        node = variable.owner
        if node is not None and isinstance(node.op, ShapeI):
            length = self.shape(node.inputs[0])[node.op.i]
            if isinstance(length, int):
                return ("const", "int64", length)
            if length.waits:
                self._waits["length", length.name] = length.waits
            return ("length", length.name)
        if node is not None and isinstance(node.op, Elementwise):
            return self._function_key(node, variable)
        entry = vector_entry(variable)
        if entry is not None:
            vector, k = entry
            if vector in self.slot_number:
                return ("entry", self.slot_number[vector], k)
            if not self.late:
                return ("array", vector)
        if self.late:
            key = ("late", len(self._waits), variable)
            self._waits[key] = frozenset((variable,))
            return key
        return ("array", variable)

    def _function_key(self, node: Apply, variable: Variable) -> Any:
        keys = [self._keys[v] for v in node.inputs]
        for k in keys:
            if k[0] == "array":
                return k
        name, dtype = node.op.scalar_name, variable.type.dtype
        if all(k[0] == "const" for k in keys):
            arrays = [dtypes.NUMPY[k[1]].type(k[2]).reshape(()) for k in keys]
            value = node.op.evaluate(*arrays)[0].item()
            if not isinstance(value, float):
                return ("const", dtype, value)
        if dtype == "int64":
            simpler = _identity(name, keys)
            if simpler is not None and self._dtype_of(simpler) == "int64":
                return simpler
        numbers = [self._numbers.setdefault(k, len(self._numbers)) for k in keys]
        key = ("call", name, dtype, *numbers)
        waits = frozenset().union(*(self._waits.get(k, ()) for k in keys))
        if waits:
            self._waits[key] = waits
        own = 16 if node.op.scalar.header else 1
        self._efforts[key] = own + sum(map(self._effort, keys))
        return key

    def _effort(self, key: Any) -> int:
        """What computing a host scalar costs, in additions."""
        return self._efforts.get(key, 0)

    def _dtype_of(self, key: Any) -> str:
        if key[0] in ("const", "float"):
            return key[1]
        if key[0] in ("item", "entry"):
            return self.slots[key[1]].type.dtype
        if key[0] == "late":
            return key[2].type.dtype
        return "int64" if key[0] == "length" else key[2]

    # -- equality learnt from checks --
    def find(self, length: Length) -> Length:
        while isinstance(length, Symbol) and id(length) in self.parent:
            length = self.parent[id(length)]
        return length

    def awaited(self) -> set[Variable]:
        """What symbols wait for."""
        return {v for s in self.symbols for v in s.waits}

    def waits_of(self, names: Iterable[str]) -> set[Variable]:
        """What must be computed before the lengths of these names are known."""
        wanted = set(names)
        return {v for s in self.symbols if s.waits and s.name in wanted for v in s.waits}

    def require_equal(self, a: Length, b: Length, node: Apply, what: str) -> None:
        """Record that a == b must hold; from now on both are one length."""
        a, b = self.find(a), self.find(b)
        if a is b or (isinstance(a, int) and isinstance(b, int) and a == b):
            return
        self.checks.append(Check(a, b, node, what))
        if isinstance(b, Symbol) and (
            isinstance(a, int) or self.symbols.index(a) < self.symbols.index(b)
        ):
            self.parent[id(b)] = a
        elif isinstance(a, Symbol):
            self.parent[id(a)] = b

    def require(self, kind: str, left: Length, right: Length, node: Apply, what: str) -> None:
        """Record a check other than equality, unless it is decided already."""
        left, right = self.find(left), self.find(right)
        if kind == "rows" and (left is right or left == right):
            return
        if isinstance(left, int):
            decided = {
                "rows": isinstance(right, int) and left >= right,
                "steps": left >= 0,
                "count": left >= 0,
                "some": left > 0,
                "nonzero": left != 0,
                "index": isinstance(right, int) and 0 <= left < right,
            }[kind]
            if decided:
                return
        self.checks.append(Check(left, right, node, what, kind))

    def poly(self, length: Length) -> Poly:
        length = self.find(length)
        return Poly.const(length) if isinstance(length, int) else Poly.name(length.name)

    def same(self, a: Iterable[Length], b: Iterable[Length]) -> bool:
        left, right = [self.find(x) for x in a], [self.find(x) for x in b]
        return len(left) == len(right) and all(
            x is y or (isinstance(x, int) and isinstance(y, int) and x == y)
            for x, y in zip(left, right, strict=True)
        )


def vector_entry(variable: Variable) -> tuple[Variable, int] | None:
    """(v, k) where `variable` is v[k] of a vector, k counted from the front."""
    node = variable.owner
    if node is None or not isinstance(node.op, Subtensor) or node.op.pattern != ("i",):
        return None
    k = known_int(node.inputs[1])
    return None if k is None or k < 0 or variable.type.ndim else (node.inputs[0], k)


def _identity(name: str, keys: list[Any]) -> Any:
    """x * 1, x + 0, x - 0, x // 1, cast of int64 and the like."""

    def is_const(k: Any, value: int) -> bool:
        return k[0] == "const" and k[2] == value

    if name.startswith("cast{") or (name in ("add", "mul") and len(keys) == 1):
        return keys[0]
    if len(keys) != 2:
        return None
    a, b = keys
    neutral = {"mul": 1, "add": 0}.get(name)
    if neutral is not None:
        return b if is_const(a, neutral) else a if is_const(b, neutral) else None
    if name in ("int_div", "sub"):
        return a if is_const(b, 1 if name == "int_div" else 0) else None
    if name == "maximum" and is_const(b, 0) and a[0] == "length":
        return a  # a length is never negative
    if name == "maximum" and is_const(a, 0) and b[0] == "length":
        return b
    return None
