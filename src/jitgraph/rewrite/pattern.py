"""Equations between expressions: patterns, how they match a graph, and how they build one.

A rule shows both of its sides:

>>> law("log(sigmoid(x)) -> -softplus(-x)", log(sigmoid(X)), -softplus(-X), tags=("stabilize",))

`X`, `Y`, … stand for any variable (the same one at every place), `C` for a constant. A number
matches a constant of any dtype and shape all of whose elements equal it, also behind
broadcasting, `fill`, `alloc` and casts. `add` and `mul` match their operands in either order. An
elementwise function is also found behind a dimshuffle, a reshape or an index (with one operand)
or a widening conversion between floats, as `f(view(x)) = view(f(x))`.

Conversions: operands that a node converts to its common dtype are bound as converted. Between two
functions of a pattern only a conversion from float to float may lie hidden; integer arithmetic
wraps in its own dtype, so nothing is moved across such a conversion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, Variable
from jitgraph.op import REGISTRY, Op
from jitgraph.ops.arithmetic import CASTS, cast
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import AdvancedSubtensor, Subtensor
from jitgraph.ops.nnet import Pick
from jitgraph.ops.scalar import FUNCTIONS
from jitgraph.ops.shape import Alloc, DimShuffle, Rebroadcast, Reshape
from jitgraph.ops.values import constant
from jitgraph.rewrite.engine import Key, Rewriter, Rule, made_of

CAST_NAMES = frozenset(op.scalar_name for op in CASTS.values())
# What a constant is recognised behind.
SHOWS_CONSTANT: frozenset[Key] = CAST_NAMES | {"constant", "second", DimShuffle, Alloc, Reshape}
# Behind these, too, an elementwise function of one operand is found: f(x)[i] = f(x[i]).
PARTS = (Reshape, Rebroadcast, Subtensor, AdvancedSubtensor, Pick)
COMMUTATIVE = frozenset({"add", "mul", "maximum", "minimum", "and_", "or_", "xor", "eq", "neq"})


# -- what equations are written with ---------------------------------------------------------


class Pattern:
    """One side of an equation. Operators and the builders below combine patterns."""

    def __add__(self, other: Any) -> Pattern:
        return Call("add", self, other)

    def __radd__(self, other: Any) -> Pattern:
        return Call("add", other, self)

    def __sub__(self, other: Any) -> Pattern:
        return Call("sub", self, other)

    def __rsub__(self, other: Any) -> Pattern:
        return Call("sub", other, self)

    def __mul__(self, other: Any) -> Pattern:
        return Call("mul", self, other)

    def __rmul__(self, other: Any) -> Pattern:
        return Call("mul", other, self)

    def __truediv__(self, other: Any) -> Pattern:
        return Call("true_div", self, other)

    def __rtruediv__(self, other: Any) -> Pattern:
        return Call("true_div", other, self)

    def __floordiv__(self, other: Any) -> Pattern:
        return Call("int_div", self, other)

    def __pow__(self, other: Any) -> Pattern:
        return Call("pow", self, other)

    def __neg__(self) -> Pattern:
        return Call("neg", self)

    def makers(self) -> frozenset[Key]:
        """What may have made a variable of this form (see `engine.made_of`); empty: anything."""
        return frozenset()


@dataclass(frozen=True, eq=False)
class Wild(Pattern):
    """Any variable; `constant`: only one whose value is known and the same everywhere."""

    name: str
    constant: bool = False


@dataclass(frozen=True, eq=False)
class Number(Pattern):
    value: float

    def makers(self) -> frozenset[Key]:
        return SHOWS_CONSTANT


class Call(Pattern):
    """An op applied to patterns: an elementwise function by name, or an op without parameters."""

    def __init__(self, op: Key, *args: Any):
        self.op = op
        self.args = tuple(a if isinstance(a, Pattern) else Number(a) for a in args)
        self.orders = [self.args]
        if op in COMMUTATIVE:
            self.orders.append(self.args[::-1])

    def makers(self) -> frozenset[Key]:
        if not isinstance(self.op, str):
            return frozenset({self.op})
        return frozenset({self.op, "cast{float64}", DimShuffle, *PARTS})


def builder(name: str) -> Callable[..., Pattern]:
    """The pattern builder of an elementwise function or of an op class without parameters."""
    key: Key = name if name in FUNCTIONS else REGISTRY[name]
    return lambda *args: Call(key, *args)


A, B, X, Y = Wild("a"), Wild("b"), Wild("x"), Wild("y")
K = Wild("k")
C = Wild("c", constant=True)


# -- constants ---------------------------------------------------------------------------------


def constant_source(v: Variable) -> tuple[Constant, list[Op]] | None:
    """The constant that `v` is made of by dimshuffle, reshape, fill, alloc and casts.

    With it the casts, the last one first.
    """
    casts: list[Op] = []
    while not isinstance(v, Constant):
        node = v.owner
        if node is None or made_of(v) not in SHOWS_CONSTANT:
            return None
        if isinstance(node.op, Elementwise) and node.op.scalar_name == "second":
            v = node.inputs[1]
            continue
        if isinstance(node.op, Elementwise):
            casts.append(node.op)
        v = node.inputs[0]
    return v, casts


def uniform_value(v: Variable) -> Any:
    """The value (a NumPy scalar) that all elements of `v` are known to have, else None."""
    found = constant_source(v)
    if found is None or found[0].data.size == 0:
        return None
    data, casts = found[0].data, found[1]
    first = data.flat[0]
    if first != data.flat[-1]:  # settles most large arrays at once
        return None
    if data.size > 2 and not bool((data == first).all()):
        return None
    for op in reversed(casts):
        first = op.evaluate(np.asarray(first))[0][()]
    return first


# -- matching ------------------------------------------------------------------------------------


@dataclass
class Match:
    """What the names of a pattern stand for, found in one graph."""

    rewriter: Rewriter
    bound: dict[str, tuple[Variable, str]] = field(default_factory=dict)
    nodes: list[Apply] = field(default_factory=list)
    numbers: list[Variable] = field(default_factory=list)

    def __getitem__(self, name: str) -> Variable:
        """The variable that `name` stands for, converted as its place demands."""
        v, dtype = self.bound[name]
        return cast(v, dtype)

    def save(self) -> tuple[dict[str, tuple[Variable, str]], int, int]:
        return dict(self.bound), len(self.nodes), len(self.numbers)

    def restore(self, saved: tuple[dict[str, tuple[Variable, str]], int, int]) -> None:
        self.bound = dict(saved[0])
        del self.nodes[saved[1] :]
        del self.numbers[saved[2] :]


def match(pattern: Pattern, v: Variable, dtype: str, m: Match) -> bool:
    """Whether `v`, used as `dtype`, has the form of `pattern`; fills in `m`."""
    if isinstance(pattern, Wild):
        return _match_wild(pattern, v, dtype, m)
    if isinstance(pattern, Number):
        value = uniform_value(v)
        if value is None or value != pattern.value:
            return False
        m.numbers.append(v)
        return True
    assert isinstance(pattern, Call)
    node = _exposed(v, pattern.op, len(pattern.args), m.rewriter)
    if node is None or not _hidden_conversion_is_safe(node.outputs[0].type.dtype, dtype):
        return False
    return match_node(pattern, node, m)


def match_node(pattern: Call, node: Apply, m: Match) -> bool:
    if len(node.inputs) != len(pattern.args):
        return False
    used_as: tuple[str, ...] = ()
    for args in pattern.orders:
        used_as = used_as or operand_dtypes(node)
        saved = m.save()
        if all(match(a, v, d, m) for a, v, d in zip(args, node.inputs, used_as, strict=True)):
            m.nodes.append(node)
            return True
        m.restore(saved)
    return False


def operand_dtypes(node: Apply) -> tuple[str, ...]:
    """The dtypes as which the node reads its inputs."""
    if isinstance(node.op, Elementwise):
        return node.op.dtypes_in(node)
    return tuple(v.type.dtype for v in node.inputs)


def _match_wild(pattern: Wild, v: Variable, dtype: str, m: Match) -> bool:
    if pattern.constant:
        if uniform_value(v) is None:
            return False
        m.numbers.append(v)
    known = m.bound.setdefault(pattern.name, (v, dtype))
    return known[1] == dtype and _same_value(known[0], v)


def _same_value(a: Variable, b: Variable) -> bool:
    """Whether the rewriter's merging has made both the same, or they are equal constants."""
    if a is b:
        return True
    return isinstance(a, Constant) and isinstance(b, Constant) and a.signature() == b.signature()


def _hidden_conversion_is_safe(source: str, target: str) -> bool:
    return source == target or (source in dtypes.FLOATS and target in dtypes.FLOATS)


def _exposed(v: Variable, op: Key, arity: int, rewriter: Rewriter) -> Apply | None:
    """The node of `op` that makes `v`, moved in front of the view that hides it if need be."""
    node = v.owner
    if node is None or v in rewriter.keep:
        return None
    if _is_a(node, op):
        return node
    if not isinstance(op, str):
        return None
    hidden = node.inputs[0].owner if node.inputs else None
    if hidden is None or node.inputs[0] in rewriter.keep:
        return None
    if isinstance(node.op, Elementwise):
        widens = node.op.scalar_name == "cast{float64}" and node.inputs[0].type.dtype == "float32"
        return hidden if widens and _is_a(hidden, op) else None
    if isinstance(node.op, DimShuffle) or (isinstance(node.op, PARTS) and arity == 1):
        if not _is_a(hidden, op):  # or behind one more view
            is_view = isinstance(hidden.op, (DimShuffle, *PARTS))
            inner = _exposed(node.inputs[0], op, arity, rewriter) if is_view else None
            return None if inner is None else through_view(node, inner, rewriter)
        return through_view(node, hidden, rewriter)
    return None


def through_view(view: Apply, inner: Apply, rewriter: Rewriter) -> Apply:
    """view(f(x, …)) as f(view(x), …): the node of f, its inputs in normal form."""
    moved = [rewriter.normal(w) for w in lifted_inputs(view, inner)]
    return inner.op.make_node(*moved)


def lifted_inputs(view: Apply, inner: Apply) -> list[Variable]:
    """The view of each input of an elementwise `inner` (of its only one, but for a dimshuffle)."""
    if isinstance(view.op, DimShuffle):
        order = view.op.new_order
        ops: list[Op] = [DimShuffle(v.type.broadcastable, order) for v in inner.inputs]
    else:
        ops = [view.op] * len(inner.inputs)
    rest = view.inputs[1:]
    return [op.make_node(v, *rest).outputs[0] for op, v in zip(ops, inner.inputs, strict=True)]


def _is_a(node: Apply, op: Key) -> bool:
    if isinstance(op, str):
        return type(node.op) is Elementwise and node.op.scalar_name == op
    return type(node.op) is op


# -- building ------------------------------------------------------------------------------------


def build(pattern: Pattern, bound: Callable[[str], Variable], dtype: str) -> Variable:
    """The graph of `pattern`; floats among its numbers take `dtype` where that is a float."""
    if isinstance(pattern, Wild):
        return bound(pattern.name)
    if isinstance(pattern, Number):
        if isinstance(pattern.value, int):
            return constant(pattern.value)
        return constant(np.asarray(pattern.value, dtype if dtype in dtypes.FLOATS else "float64"))
    assert isinstance(pattern, Call)
    args = [build(a, bound, dtype) for a in pattern.args]
    op: Op = Elementwise(pattern.op) if isinstance(pattern.op, str) else pattern.op()
    return op.make_node(*args).outputs[0]


# -- laws ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Law(Rule):
    """A rule given as an equation; `domain`: where both sides agree, for each name."""

    left: Pattern = X
    right: Pattern = X
    domain: dict[str, tuple[float, float]] = field(default_factory=dict)
    matrix: bool = False
    exact: bool = False


Condition = Callable[[Match], bool]


def law(
    name: str,
    left: Pattern,
    right: Pattern,
    *,
    tags: Iterable[str],
    when: Condition | None = None,
    domain: dict[str, tuple[float, float]] | None = None,
    matrix: bool = False,
    exact: bool = False,
) -> Law:
    """Declare `left -> right`.

    `when` is asked after the left side has matched. `exact`: both sides are equal to the last
    bit (but for the sign of zero); then a number on the left must be one element, so that no
    check of a shape is lost. `domain` gives the interval of each name on which the equation
    holds, (-3, 3) by default; `matrix`: the names stand for matrices (and `k` for labels).
    """
    assert isinstance(left, Call)

    def apply(node: Apply, rewriter: Rewriter) -> Variable | None:
        m = Match(rewriter)
        if not match_node(left, node, m):
            return None
        if exact and not all(all(n.type.broadcastable) for n in m.numbers):
            return None
        if when is not None and not when(m):
            return None
        rewriter.replaced = m.nodes
        return build(right, m.__getitem__, node.outputs[0].type.dtype)

    needs = tuple(n for n in (p.makers() for p in left.args) if n)
    return Law(
        name, frozenset(tags), (left.op,), apply, needs, left, right, domain or {}, matrix, exact
    )


def is_float(name: str) -> Condition:
    return lambda m: m.bound[name][1] in dtypes.FLOATS


def is_integer(name: str) -> Condition:
    return lambda m: m.bound[name][1] in dtypes.INTEGERS


def has_one_user(*path: int) -> Condition:
    """The operand found by following `path` from the matched node has no other user."""

    def ask(m: Match) -> bool:
        v = m.nodes[-1].outputs[0]
        for step in path:
            if v.owner is None:
                return True
            v = v.owner.inputs[step]
        return m.rewriter.used_alone(v)

    return ask
