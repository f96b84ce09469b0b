"""Sums and multiples of matrix products as one call of BLAS each.

The last rewrite of all: no other rule knows `Gemm`. A product whose multiple or sum with something
has to be stored anyway is made where the sum is wanted: `c - lr * dot(x.T, g)` starts from a copy
of c, and no array holds the product alone. Where a loop computes with the result, it adds and
multiplies on its way, and nothing is gained; so there it is left alone, except for two products
that are added to each other, of which the second is added to the first in its memory.

A sum is rounded in another order: each term counts with an error that is relative to it, as
before, and the product of k terms with its own of k roundings, on which the factor adds one more
(jg_gemm.h). All terms are computed whatever the factors are, so that nan and inf spread as in the
sum of arrays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, Origin, TensorType, Variable, toposort
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.extra import BatchedDot
from jitgraph.ops.index import IncSubtensor, Subtensor
from jitgraph.ops.join import Join
from jitgraph.ops.linalg import Dot, Gemm
from jitgraph.ops.reduce import ArgReduce, Reduce
from jitgraph.ops.shape import DimShuffle, MakeVector, Rebroadcast, ShapeI, SpecifyShape
from jitgraph.ops.values import as_tensor_variable
from jitgraph.rewrite.engine import merge_origins, reapply
from jitgraph.rewrite.pattern import uniform_value
from jitgraph.rewrite.scan_rules import LoopRule

# Ops that compute with elements while these are made, and ops that only pass them on.
_LOOPS = (Elementwise, Reduce, ArgReduce, Join, IncSubtensor, MakeVector, ShapeI)
_VIEWS = (DimShuffle, Subtensor, Rebroadcast, SpecifyShape)

add, sub, mul = map(Elementwise, ("add", "sub", "mul"))

_ALL = ("fast_run", "BlasOpt", "local_dot_to_dot22")


def _rule(name: str, *tags: str) -> LoopRule:
    return LoopRule(name, frozenset({*_ALL, *tags}))


GEMM = _rule("alpha * dot(a, b) + beta * c -> gemm", "gemm_optimizer")
GEMV = _rule("alpha * dot(a, x) + beta * y -> gemv", "local_gemm_to_gemv")
SCALAR = _rule("alpha * dot(a, b) -> dot22scalar", "local_dot22_to_dot22scalar")
GER = _rule("dot(column, row) -> column * row", "local_gemm_to_ger", "local_dot22_to_ger_or_gemv")
BATCHED = _rule("batched_dot(a.T, b) -> batched_dot of a as it lies", "batched_transpose")
RULES = [GEMM, GEMV, SCALAR, GER, BATCHED]


@dataclass(frozen=True)
class Term:
    """One term of a sum: sign * factors * value."""

    value: Variable
    minus: bool = False
    factors: tuple[Variable, ...] = ()  # 0-d, of the dtype of the sum

    @property
    def is_product(self) -> bool:
        return self.value.owner is not None and type(self.value.owner.op) is Dot

    @property
    def is_plain(self) -> bool:
        return not self.minus and not self.factors


def blas_form(
    outputs: Sequence[Variable], rules: Collection[LoopRule], log: list[str]
) -> list[Variable]:
    """`outputs` with products in the form in which BLAS makes them, by the rules among `rules`."""
    order = toposort(outputs)
    if not any(isinstance(node.op, (Dot, BatchedDot)) for node in order):
        return list(outputs)
    return _Walk(outputs, order, rules, log).run()


@dataclass
class _Walk:
    """One pass over a graph, from the leaves to `outputs`."""

    outputs: Sequence[Variable]
    order: Sequence[Apply]
    rules: Collection[LoopRule]
    log: list[str]
    new: dict[Variable, Variable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.users: dict[Variable, list[Apply]] = {}
        for node in self.order:
            for v in node.inputs:
                self.users.setdefault(v, []).append(node)
        self.given = set(self.outputs)
        self.stored = set(self.outputs)
        for node in reversed(self.order):
            seen_through = isinstance(node.op, _VIEWS) and self.stored.isdisjoint(node.outputs)
            if not seen_through and not isinstance(node.op, _LOOPS):
                self.stored.update(node.inputs)
        self.known = set(self.order)
        self.inner: set[Variable] = set()  # parts of sums that are replaced as a whole
        self.plans: dict[Variable, list[Term]] = {}

    def run(self) -> list[Variable]:
        for node in reversed(self.order):
            if len(node.outputs) == 1 and node.outputs[0] not in self.inner:
                self._look(node.outputs[0])
        for node in self.order:
            if node.outputs[0] not in self.inner:
                self._visit(node)
        return [self._now(v) for v in self.outputs]

    def _now(self, v: Variable) -> Variable:
        return self.new.get(v, v)

    def _visit(self, node: Apply) -> None:
        old = node.outputs[0]
        made: Variable | None = None
        if old in self.plans:
            made = self._sum(self.plans[old], old)
        elif GER in self.rules and type(node.op) is Dot:
            made = self._outer(node)
        elif BATCHED in self.rules and type(node.op) is BatchedDot:
            made = self._batched(node)
        if made is not None:
            self.new[old] = made
            if old.name and not made.name:
                made.name = old.name
            return
        inputs = [self._now(v) for v in node.inputs]
        if any(a is not b for a, b in zip(inputs, node.inputs, strict=True)):
            self.new.update(zip(node.outputs, reapply(node, inputs).outputs, strict=True))

    # -- which sums --

    def _look(self, v: Variable) -> None:
        """Plan the sum that v is, if products belong into it."""
        if not isinstance(v.type, TensorType) or v.type.dtype not in dtypes.FLOATS:
            return
        parts: list[Variable] = []
        terms = list(self._terms(v, v.type, parts))
        products = [t for t in terms if self._is_taken(t, v.type)]
        if not products or (len(terms) == 1 and terms[0].is_plain):
            return
        rule = SCALAR if len(terms) == 1 else GEMM if v.type.ndim == 2 else GEMV
        if rule not in self.rules or not self._is_worth(v, terms, products):
            return
        self.log.append(rule.name)
        self.plans[v] = terms
        self.inner.update(p for p in parts if p is not v)
        self.inner.update(t.value for t in products)

    def _is_worth(self, v: Variable, terms: list[Term], products: list[Term]) -> bool:
        if len(products) > 1 and v.type.ndim == 2:
            return True
        rest = [t for t in terms if t not in products]
        return v in self.stored and (not rest or any(t.value.type == v.type for t in rest))

    def _is_taken(self, term: Term, wanted: TensorType) -> bool:
        """Whether a term is a product that nothing else uses."""
        v = term.value
        if not term.is_product or v.type != wanted or v in self.given:
            return False
        if GER in self.rules and v.owner is not None and _is_outer(v.owner):
            return False
        return v.type.ndim in (1, 2) and len(self.users[v]) == 1

    def _terms(self, root: Variable, wanted: TensorType, parts: list[Variable]) -> Iterator[Term]:
        """The terms of the sum that `root` is. `parts`: the sums and multiples seen through."""
        stack: list[tuple[Term, bool]] = [(Term(root), True)]  # bool: not within a multiple
        while stack:
            term, whole = stack.pop()
            v = term.value
            name = self._name(v, wanted, v is not root)
            inputs = v.owner.inputs if v.owner is not None else []
            if name == "neg":
                stack.append((replace(term, value=inputs[0], minus=not term.minus), whole))
            elif name in ("add", "sub") and whole:
                minus = term.minus != (name == "sub")
                stack += [(replace(term, value=w, minus=minus), True) for w in inputs[:0:-1]]
                stack.append((replace(term, value=inputs[0]), True))
            elif name == "mul" and (found := _scaled(inputs, wanted)) is not None:
                numbers, array = found
                stack.append((Term(array, term.minus, (*term.factors, *numbers)), False))
            else:
                yield term
                continue
            parts.append(v)

    def _name(self, v: Variable, wanted: TensorType, inside: bool) -> str:
        """The function that makes v, where v is nothing but a part of the sum."""
        if v.owner is None or type(v.owner.op) is not Elementwise or v.type != wanted:
            return ""
        if inside and (v in self.given or len(self.users[v]) != 1):
            return ""
        name = v.owner.op.scalar_name
        return name if name in ("add", "sub", "neg", "mul") else ""

    # -- what becomes of them --

    def _sum(self, terms: list[Term], old: Variable) -> Variable:
        """The sum with the products added to the rest one after another."""
        assert old.owner is not None and isinstance(old.type, TensorType)
        terms = [replace(t, factors=tuple(map(self._now, t.factors))) for t in terms]
        products = [t for t in terms if self._is_taken(t, old.type)]
        rest = [replace(t, value=self._now(t.value)) for t in terms if t not in products]
        owners = [old.owner, *(t.value.owner for t in products if t.value.owner is not None)]
        later: list[Term] = []  # what a loop adds
        if old not in self.stored or not any(t.value.type == old.type for t in rest):
            later, rest = rest, later
        if rest:
            start = self._start(rest)
        else:
            first = min(products, key=lambda t: not t.is_plain)
            products.remove(first)
            start = Term(self._product(first, None))
        for t in products:
            start = Term(self._product(t, start))
        made = start.value
        for t in later:
            made = (sub if t.minus else add)(made, _expression(t))
        self._adopt(made, merge_origins(owners))
        return made

    def _adopt(self, made: Variable, origins: tuple[Origin, ...]) -> None:
        """Fresh nodes have the lines of those they replace."""
        fresh = [v.owner for v in (made,) if v.owner is not None]
        while fresh:
            node = fresh.pop()
            if node not in self.known:
                self.known.add(node)
                node.origins = origins
                fresh.extend(v.owner for v in node.inputs if v.owner is not None)

    def _product(self, t: Term, start: Term | None) -> Variable:
        """A product with its sign and factors, added to `start`."""
        assert t.value.owner is not None
        operands = [self._now(v) for v in t.value.owner.inputs]
        if start is None and t.is_plain:
            return reapply(t.value.owner, operands).outputs[0]
        added = () if start is None else (_number(start), start.value)
        op = Gemm(t.minus, start is not None and start.minus)
        return _typed(op.make_node(*operands, _number(t), *added), t.value.type)

    def _start(self, rest: list[Term]) -> Term:
        """What the products are added to: an array as it is, times a number, or a sum of arrays."""
        if len(rest) == 1:
            return rest[0]
        first = next((t for t in rest if not t.minus), None)
        if first is None:
            turned = self._start([replace(t, minus=False) for t in rest])
            return replace(turned, minus=True)
        total = _expression(first)
        for t in rest:
            if t is not first:
                total = (sub if t.minus else add)(total, _expression(t))
        return Term(total)

    def _outer(self, node: Apply) -> Variable | None:
        """A column times a row has one term in each sum: loops make it with what is around it."""
        if not _is_outer(node):
            return None
        made = mul(*map(self._now, node.inputs))
        if made.type != node.outputs[0].type:
            return None
        self._adopt(made, node.origins)
        self.log.append(GER.name)
        return made

    def _batched(self, node: Apply) -> Variable | None:
        flags, operands = [], []
        for v in node.inputs:
            turned = (
                v.owner is not None
                and isinstance(v.owner.op, DimShuffle)
                and v.owner.op.new_order == (0, 2, 1)
            )
            flags.append(turned)
            operands.append(self._now(v.owner.inputs[0] if turned and v.owner is not None else v))
        if not any(flags):
            return None
        self.log.append(BATCHED.name)
        made = _typed(BatchedDot(*flags).make_node(*operands), node.outputs[0].type)
        self._adopt(made, node.origins)
        return made


def _is_outer(node: Apply) -> bool:
    """Whether a product is that of a column and a row."""
    a, b = (v.type.broadcastable for v in node.inputs)
    return len(a) == len(b) == 2 and a[1] and b[0]


def _scaled(
    factors: Sequence[Variable], wanted: TensorType
) -> tuple[list[Variable], Variable] | None:
    """(numbers, array) where all factors but one are the same number everywhere."""
    for k, array in enumerate(factors):
        if array.type == wanted:
            others = [*factors[:k], *factors[k + 1 :]]
            numbers = [n for v in others if (n := _as_number(v, wanted.dtype)) is not None]
            if len(numbers) == len(others):
                return numbers, array
    return None


def _as_number(v: Variable, dtype: str) -> Variable | None:
    """v as a 0-d variable of `dtype`, if it is one that has been given axes of length 1."""
    if isinstance(v, Constant):
        value = uniform_value(v) if all(v.type.broadcastable) else None
        return None if value is None else _constant(value, dtype)
    if v.owner is not None and isinstance(v.owner.op, Elementwise) and all(v.type.broadcastable):
        # A product of numbers: each of its factors is one.
        if v.owner.op.scalar_name not in ("mul", "neg") or v.type.dtype != dtype:
            return None
        factors = [_as_number(w, dtype) for w in v.owner.inputs]
        if any(f is None for f in factors):
            return None
        return v.owner.op.make_node(*factors).outputs[0]
    if v.owner is not None and isinstance(v.owner.op, DimShuffle):
        x = v.owner.inputs[0]
        return cast(x, dtype) if x.type.ndim == 0 else None
    return None


def _constant(value: object, dtype: str) -> Variable:
    return as_tensor_variable(np.asarray(value, dtype=dtype))


def _number(t: Term) -> Variable:
    """The product of the factors of a term."""
    fixed = [f.data for f in t.factors if isinstance(f, Constant)]
    number: Variable | None = None
    for f in t.factors:
        if not isinstance(f, Constant):
            number = f if number is None else mul(number, f)
    if number is None:
        return _constant(np.prod(fixed) if fixed else 1, t.value.type.dtype)
    return mul(_constant(np.prod(fixed), number.type.dtype), number) if fixed else number


def _expression(t: Term) -> Variable:
    """The term without its sign."""
    return mul(_number(t), t.value) if t.factors else t.value


def _typed(node: Apply, known: TensorType) -> Variable:
    """The result of a fresh node, of the type that is known of what it replaces."""
    if node.outputs[0].type == known:
        return node.outputs[0]
    return Apply(node.op, node.inputs, [known.make_variable()]).outputs[0]
