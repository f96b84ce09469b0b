"""Logarithms of products, sums and parts of exponentials, taken where nothing overflows.

    log(a * b) = log a + log b        log(a + b)  = logaddexp(log a, log b)
    log(a / b) = log a - log b        log(sum(a)) = logsumexp(log a)
    log(a ** c) = c log a             log(a[i])   = (log a)[i]

These lead from a logarithm down to functions whose logarithm is known in closed form: exp(x),
sigmoid(x), softmax(x), 1 - sigmoid(x), 1 + tanh(x), cosh(x), positive constants. The rule applies
where every path ends in one of them, and one of them is not a constant. A sum needs all its terms
(an unknown one may be negative); of a product one factor may be unknown, whatever its sign: both
sides are nan where it is negative.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, Variable
from jitgraph.ops import math as m_ops
from jitgraph.ops.arithmetic import abs_, add, cast, mul, neg, sub, switch
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.join import Join
from jitgraph.ops.nnet import LogSumExp, Softmax, logsoftmax_op, softplus
from jitgraph.ops.reduce import Reduce, reduce_of
from jitgraph.ops.shape import DimShuffle, MakeVector, Shape, ShapeI
from jitgraph.rewrite.engine import Rewriter, Rule, rule_function
from jitgraph.rewrite.pattern import (
    CAST_NAMES,
    PARTS,
    constant_source,
    operand_dtypes,
    uniform_value,
)

# Steps from a logarithm down to a closed form; deeper expressions are left as they are.
DEEPEST = 24
LN2, LN10 = math.log(2), math.log(10)


@dataclass(frozen=True)
class Form:
    """log(v) for some v, not built before it is known to be wanted.

    `exponential`: whether a function that may overflow or vanish is among its parts; `one`: v is 1.
    """

    build: Callable[[], Variable]
    exponential: bool = False
    one: bool = False


@dataclass
class Search:
    """The logarithms of the variables below one node; None for those that have no closed form."""

    rewriter: Rewriter
    known: dict[Variable, Form | None] = field(default_factory=dict)

    def form(self, v: Variable, depth: int = 0) -> Form | None:
        if v not in self.known:
            self.known[v] = None  # while it is being found
            self.known[v] = _once(self._find(v, depth)) if depth < DEEPEST else None
        return self.known[v]

    def _find(self, v: Variable, depth: int) -> Form | None:
        if constant_source(v) is not None:
            return _constant_form(v)
        node = v.owner
        if v.type.dtype not in dtypes.FLOATS:
            return None
        if node is None or v in self.rewriter.keep:
            return None
        if _is_length(v):
            return Form(lambda: m_ops.log(v))
        if isinstance(node.op, Elementwise):
            return self._elementwise(node, depth + 1)
        if isinstance(node.op, Softmax):
            return Form(lambda: logsoftmax_op(node.inputs[0]), True)
        if isinstance(node.op, Reduce):
            return self._reduction(node, depth + 1)
        if isinstance(node.op, (DimShuffle, *PARTS)):
            return self._same(node, [self.form(node.inputs[0], depth + 1)], node.inputs[1:])
        if isinstance(node.op, (Join, MakeVector)):
            return self._same(node, [self.form(w, depth + 1) for w in node.inputs], [])
        return None

    @staticmethod
    def _same(node: Apply, forms: list[Form | None], rest: list[Variable]) -> Form | None:
        """The node on logarithms: it only moves elements, so the logarithm may be taken first."""
        parts = _all(forms)
        if parts is None or len({v.type.dtype for v in node.inputs[: len(parts)]}) > 1:
            return None
        return Form(
            lambda: node.op.make_node(*(f.build() for f in parts), *rest).outputs[0],
            any(f.exponential for f in parts),
        )

    def _reduction(self, node: Apply, depth: int) -> Form | None:
        (x,), op = node.inputs, node.op
        if x.type.dtype != op.dtype or op.kind not in ("sum", "prod", "max", "min") or not op.axes:
            return None
        if op.kind == "sum" and is_shifted_exponential(x):
            return Form(lambda: m_ops.log(node.outputs[0]))  # at least 1
        inner = self.form(x, depth)
        if inner is None:
            return None
        if op.kind == "sum":
            return Form(lambda: LogSumExp(op.axes)(inner.build()), inner.exponential)
        kind = "sum" if op.kind == "prod" else op.kind

        def build() -> Variable:
            return reduce_of(kind, inner.build(), list(op.axes), identity=op.identity)

        return Form(build, inner.exponential)

    def _elementwise(self, node: Apply, depth: int) -> Form | None:
        name, dtype = node.op.scalar_name, node.outputs[0].type.dtype
        used_as = operand_dtypes(node)
        x = node.inputs[0]
        closed = CLOSED.get(name)
        if closed is not None:
            return Form(lambda: closed(cast(x, used_as[0])), True)
        if name in ("add", "sub") and len(node.inputs) == 2:
            special = self._tanh_or_complement(node, depth)
            if special is not None or name == "sub":
                return special
        if name in CAST_NAMES:
            return None if (f := self.form(x, depth)) is None else f
        if name in POWERS or name == "pow":
            return self._power(node, depth)
        if name == "switch":
            branches = _all([self.form(v, depth) for v in node.inputs[1:]])
            if branches is None:
                return None
            a, b = branches
            return Form(
                lambda: switch(node.inputs[0], _as(a, dtype), _as(b, dtype)),
                a.exponential or b.exponential,
            )
        if name in ("mul", "true_div"):
            return self.product(node, depth, unknown_allowed=False)
        if name != "add":
            return None
        parts = _all([self.form(v, depth) for v in node.inputs])
        return None if parts is None else _sum(parts, dtype)

    def _tanh_or_complement(self, node: Apply, depth: int) -> Form | None:
        """1 - sigmoid(x), 1 - (1 - a), 1 + tanh(x) and 1 - tanh(x)."""
        a, b = node.inputs
        minus = node.op.scalar_name == "sub"
        if not minus and uniform_value(a) != 1:
            a, b = b, a
        inner = b.owner
        if uniform_value(a) != 1 or inner is None or b in self.rewriter.keep:
            return None
        x, name = inner.inputs[0], getattr(inner.op, "scalar_name", "")
        if name not in ("tanh", "sigmoid", "sub") or b.type.dtype not in dtypes.FLOATS:
            return None
        used_as = operand_dtypes(inner)[0]
        if name == "tanh":
            two = np.asarray(-2 if not minus else 2, used_as)
            return Form(lambda: LN2_OF[used_as] - softplus(two * cast(x, used_as)), True)
        if name == "sigmoid" and minus:
            return Form(lambda: neg(softplus(cast(x, used_as))), True)
        if name == "sub" and minus and uniform_value(x) == 1:
            return self.form(inner.inputs[1], depth)
        return None

    def _power(self, node: Apply, depth: int) -> Form | None:
        name, x, dtype = node.op.scalar_name, node.inputs[0], node.outputs[0].type.dtype
        inner = self.form(x, depth)
        exponent = POWERS.get(name) if name != "pow" else uniform_value(node.inputs[1])
        if inner is None or exponent is None or not math.isfinite(exponent):
            return None
        c = np.asarray(exponent, dtype)
        return Form(lambda: mul(c, _as(inner, dtype)), inner.exponential)

    def product(self, node: Apply, depth: int, unknown_allowed: bool) -> Form | None:
        """A product or quotient; at most one of its operands may be anything."""
        dtype = node.outputs[0].type.dtype
        forms = [self.form(v, depth) for v in node.inputs]
        unknown = [k for k, f in enumerate(forms) if f is None]
        if len(forms) != 2 or len(unknown) > int(unknown_allowed):
            return None
        exponential = any(f is not None and f.exponential for f in forms)
        combine = add if node.op.scalar_name == "mul" else sub

        def build() -> Variable:
            logs = [
                m_ops.log(cast(v, dtype)) if f is None else _as(f, dtype)
                for f, v in zip(forms, node.inputs, strict=True)
            ]
            return combine(*logs)

        return Form(build, exponential)


def _once(found: Form | None) -> Form | None:
    """The form with its graph made once, however often it is asked for."""
    if found is None:
        return None
    made: list[Variable] = []

    def build() -> Variable:
        if not made:
            made.append(found.build())
        return made[0]

    return Form(build, found.exponential, found.one)


def _all(forms: list[Form | None]) -> list[Form] | None:
    found = [f for f in forms if f is not None]
    return found if len(found) == len(forms) else None


def _as(f: Form, dtype: str) -> Variable:
    return cast(f.build(), dtype)


def _sum(parts: list[Form], dtype: str) -> Form:
    def build() -> Variable:
        total, first_is_one = _as(parts[0], dtype), parts[0].one
        for f in parts[1:]:
            if first_is_one:
                total = softplus(_as(f, dtype))
            elif f.one:
                total = softplus(total)
            else:
                total = m_ops.logaddexp(total, _as(f, dtype))
            first_is_one = False
        return total

    return Form(build, any(f.exponential for f in parts))


def _constant_form(v: Variable) -> Form | None:
    """log of a constant without negative elements, which is taken while compiling."""
    source = constant_source(v)
    if source is None or not bool((source[0].data >= 0).all()):
        return None
    wide = v.type.dtype if v.type.dtype in dtypes.FLOATS else "float64"
    return Form(lambda: m_ops.log(cast(v, wide)), one=uniform_value(v) == 1)


def _is_length(v: Variable) -> bool:
    """Whether `v` is the length of an axis, as a mean divides by it."""
    while v.owner is not None:
        node = v.owner
        if isinstance(node.op, (ShapeI, Shape)):
            return True
        keeps = isinstance(node.op, (DimShuffle, *PARTS)) or (
            getattr(node.op, "scalar_name", "") in CAST_NAMES
        )
        if not keeps:
            return False
        v = node.inputs[0]
    return False


def is_shifted_exponential(v: Variable) -> bool:
    """Whether v is exp(x) where x is z - max(z), whose sum is stable as it stands."""
    node = v.owner
    return (
        node is not None
        and getattr(node.op, "scalar_name", "") == "exp"
        and is_shifted_by_maximum(node.inputs[0])
    )


def is_shifted_by_maximum(x: Variable) -> bool:
    """Whether x is z - max(z) (or that maximum where it is finite): stable as it stands."""
    node = x.owner
    if node is None or getattr(node.op, "scalar_name", None) != "sub":
        return False
    z, top = node.inputs
    if top.owner is not None and getattr(top.owner.op, "scalar_name", None) == "switch":
        top = top.owner.inputs[2]
    while top.owner is not None and isinstance(top.owner.op, DimShuffle):
        top = top.owner.inputs[0]
    made = top.owner
    return (
        made is not None
        and isinstance(made.op, Reduce)
        and made.op.kind == "max"
        and made.inputs[0] is z
    )


LN2_OF = {d: np.asarray(LN2, d) for d in dtypes.FLOATS}


def _log_cosh(x: Variable) -> Variable:
    """|x| + log(1 + exp(-2 |x|)) - log 2."""
    dtype = x.type.dtype
    size = abs_(x)
    return size + (softplus(np.asarray(-2, dtype) * size) - LN2_OF[dtype])


# The logarithms of functions that overflow or vanish.
CLOSED: dict[str, Callable[[Variable], Variable]] = {
    "exp": lambda x: x,
    "exp2": lambda x: x * LN2_OF[x.type.dtype],
    "sigmoid": lambda x: neg(softplus(neg(x))),
    "cosh": _log_cosh,
}
POWERS = {"sqr": 2.0, "sqrt": 0.5, "inv": -1.0}
SCALES = {"log": 1.0, "log2": 1 / LN2, "log10": 1 / LN10}


@rule_function(
    "log(f(exp(x), …)) -> f'(x, …)   (products, quotients, powers, sums, parts)",
    "log",
    "log2",
    "log10",
    tags=("stabilize", "fast_run", "local_log_of_exponentials"),
)
def log_of_exponentials(node: Apply, rewriter: Rewriter) -> Variable | None:
    """Logarithms of all bases."""
    dtype = node.outputs[0].type.dtype
    if dtype not in dtypes.FLOATS or isinstance(node.inputs[0], Constant):
        return None
    name = node.op.scalar_name
    if name == "log" and _has_own_rule(node.inputs[0]):
        return None
    found = _top_form(Search(rewriter), node.inputs[0])
    if found is None or not found.exponential:
        return None
    result = cast(found.build(), dtype)
    return result if name == "log" else result * np.asarray(SCALES[name], dtype)


def _has_own_rule(v: Variable) -> bool:
    """Whether log(v) has a rule by Theano's name, which a mode may leave out."""
    node = v.owner
    return node is not None and (
        isinstance(node.op, Softmax)
        or getattr(node.op, "scalar_name", "") in ("exp", "sigmoid", "sub")
    )


def _top_form(search: Search, v: Variable) -> Form | None:
    """The form of the whole operand, in which one factor may be anything."""
    found = search.form(v)
    node = v.owner
    if found is not None or node is None or v in search.rewriter.keep:
        return found
    is_product = getattr(node.op, "scalar_name", "") in ("mul", "true_div")
    if not is_product or v.type.dtype not in dtypes.FLOATS:
        return None
    return search.product(node, 1, unknown_allowed=True)


@rule_function(
    "log1p(f(exp(x), …)) -> softplus(f'(x, …))",
    "log1p",
    tags=("stabilize", "fast_run", "local_log_of_exponentials"),
)
def log1p_of_exponentials(node: Apply, rewriter: Rewriter) -> Variable | None:
    """log(1 + exp(a) * b) and log(1 + exp(a) + exp(b)), which are log1p by then.

    log1p(-(1 - a)), where a is small, is log(a).
    """
    dtype, search, x = node.outputs[0].type.dtype, Search(rewriter), node.inputs[0]
    rest = _complement(x)
    if rest is not None and (kept := search.form(rest)) is not None and kept.exponential:
        return cast(kept.build(), dtype)
    found = search.form(x)
    if found is None or not found.exponential or not _may_overflow(x):
        return None
    return softplus(cast(found.build(), dtype))


def _complement(v: Variable) -> Variable | None:
    """a where v is a - 1 or -(1 - a), else None."""
    node = v.owner
    turned = node is not None and getattr(node.op, "scalar_name", "") == "neg"
    if node is not None and turned:
        node = node.inputs[0].owner
    if node is None or getattr(node.op, "scalar_name", "") != "sub":
        return None
    one, rest = node.inputs if turned else node.inputs[::-1]
    return rest if uniform_value(one) == 1 else None


def _may_overflow(v: Variable) -> bool:
    """Whether exp or cosh is among what `v` is made of; log1p of a sigmoid is accurate."""
    pending: list[Variable] = [v]
    seen: set[Apply] = set()
    while pending and len(seen) < 1000:
        node = pending.pop().owner
        if node is None or node in seen:
            continue
        seen.add(node)
        if getattr(node.op, "scalar_name", "") in ("exp", "exp2", "cosh"):
            return True
        pending.extend(node.inputs)
    return False


__all__ = ["is_shifted_by_maximum", "log1p_of_exponentials", "log_of_exponentials"]
RULES: list[Rule] = [log_of_exponentials, log1p_of_exponentials]
