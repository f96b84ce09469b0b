"""How far a compiled result may lie from the reference, derived node by node.

`Bounds` evaluates a graph with NumPy and carries along, for every element, a bound on the
distance between that value and what compiled code may compute. Where a result is not determined
by such neighbours (a comparison within the bound, a pole, a sum that has lost its digits) it
raises `Unsure`, and the generator takes another op. A bound of 0 means: bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from itertools import product
from typing import Any

import numpy as np

from jitgraph.graph import Apply, Constant, Variable, toposort
from jitgraph.ops import index, join, linalg, nnet, reduce, shape
from jitgraph.ops.elementwise import Elementwise
from jitgraph.reference import check_stretching

# The error of NumPy's vector functions (4 ULP), and of references that are several of them.
REFERENCE_ULP = 8.0
# Bounds beyond this fraction of max(1, |value|) would no longer test anything.
LARGEST_FRACTION = {"float32": 1e-3, "float64": 1e-9}
LARGEST_VALUE = 1e6
EPS = {"float32": 2.0**-24, "float64": 2.0**-53}
# A zero whose sign is not settled: anything that depends on it is unsure.
TINY = 5e-324
# Functions that end with a sum of terms as large as their operands.
CANCELLING = {"logaddexp"}
Array = np.ndarray
Pair = tuple[Array, Array]


class Unsure(Exception):
    """The reference is not the only right answer."""


class Bounds:
    """Values and bounds of the variables of a graph.

    `rewritten`: the graph may be compiled as another one that is equal over the real numbers;
    then every float operation counts as rounded, and only finite values are comparable.
    """

    def __init__(self, values: dict[Variable, Array], rewritten: bool):
        self.rewritten = rewritten
        self.known: dict[Variable, Pair] = {
            v: (a, self._settled(a, np.zeros(a.shape))) for v, a in values.items()
        }

    def of(self, variable: Variable) -> Pair:
        for node in toposort([variable], stop=self.known):
            for v in node.inputs:
                self._leaf(v)
            self._compute(node)
        self._leaf(variable)
        return self.known[variable]

    def _leaf(self, v: Variable) -> None:
        if isinstance(v, Constant) and v not in self.known:
            self.known[v] = (v.data, self._settled(v.data, np.zeros(v.data.shape)))

    def _settled(self, value: Array, bound: Array) -> Array:
        if value.dtype.kind == "f" and self.rewritten:
            return np.where(value == 0, np.maximum(bound, TINY), bound)
        return bound

    def _compute(self, node: Apply) -> None:
        pairs = [self.known[v] for v in node.inputs]
        with np.errstate(all="ignore"):
            arrays = [a for a, _ in pairs]
            check_stretching(node, arrays)
            values = node.op.evaluate(*arrays)
            if hasattr(node.op, "expand"):
                bounds: Sequence[Array] = [self._expanded(node, values[0])]
            else:
                bounds = bounds_of(node.op, self, node, pairs, values)
            for v, value, bound in zip(node.outputs, values, bounds, strict=True):
                assert value.dtype.name == v.type.dtype and value.ndim == v.type.ndim, node
                assert bound.shape == value.shape, node
                self._check(value, bound)
                self.known[v] = (value, self._settled(value, bound))

    def _expanded(self, node: Apply, value: Array) -> Array:
        """Two evaluations of the expansion, each within its bound of the true value."""
        _, bound = self.of(node.op.expand(*node.inputs))
        return 2 * bound + 4 * np.spacing(np.abs(value)).astype("float64")

    def _check(self, value: Array, bound: Array) -> None:
        if value.dtype.kind != "f":
            if bound.any():
                raise Unsure
            return
        size = np.abs(value)
        if self.rewritten and not (size <= LARGEST_VALUE).all():
            raise Unsure
        finite = np.isfinite(value)
        limit = LARGEST_FRACTION[value.dtype.name] * np.maximum(1, size)
        if not (bound[finite] <= limit[finite]).all() or bound[~finite].any():
            raise Unsure


@singledispatch
def bounds_of(op: Any, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    """The bounds of the outputs of `node`, from the (value, bound) of its inputs."""
    raise Unsure


# -- elementwise ---------------------------------------------------------------------------------


@bounds_of.register
def _(op: Elementwise, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    (value,) = values
    function = op.scalar
    if function.arity < 0 and len(pairs) > 2:
        return [_folded(op, b, pairs, value)]
    own = function.ulp + REFERENCE_ULP if function.ulp and value.dtype.kind == "f" else 0.0
    if b.rewritten and own == 0 and function.name != "identity":
        own = 1.0
    return [_perturbed(op, pairs, value, own)]


def _folded(op: Elementwise, b: Bounds, pairs: list[Pair], value: Array) -> Array:
    """A sum or product of several operands, in any order when rewritten."""
    total = pairs[0]
    for other in pairs[1:]:
        y = op.evaluate(total[0], other[0])[0]
        total = (y, _perturbed(op, [total, other], y, 1.0 if b.rewritten else 0.0))
    if b.rewritten and value.dtype.kind == "f" and op.scalar_name == "add":
        magnitude = sum(np.abs(a).astype("float64") for a, _ in pairs)
        return total[1] + len(pairs) * np.spacing(magnitude.astype(value.dtype))
    if b.rewritten and value.dtype.kind == "f":
        return total[1] + 4 * np.spacing(np.abs(value))
    return total[1]


def _perturbed(op: Elementwise, pairs: list[Pair], value: Array, own: float) -> Array:
    """The largest change over the corners of the operands' bounds, and the function's own error."""
    name = op.scalar_name
    if name in ("eq", "neq") and _may_meet(*pairs):
        raise Unsure
    if name in ("switch", "cast{bool}") and _may_meet(pairs[0], (np.zeros(()), np.zeros(()))):
        raise Unsure
    if name in ("maximum", "minimum", "clip") and value.dtype.kind == "f":
        own_zero = np.where(value == 0, TINY, 0.0)
    else:
        own_zero = np.zeros(value.shape)
    moving = [k for k, (_, e) in enumerate(pairs) if e.any()]
    change = np.zeros(value.shape)
    if moving:
        wide = [a.astype("float64") if a.dtype.kind == "f" else a for a, _ in pairs]
        center = op.evaluate(*wide)[0]
        for signs in product((-1.0, 1.0), repeat=len(moving)):
            moved = list(wide)
            for k, sign in zip(moving, signs, strict=True):
                moved[k] = wide[k] + sign * pairs[k][1]
            change = np.maximum(change, _distance(op.evaluate(*moved)[0], center))
    if value.dtype.kind != "f":
        if change.any():
            raise Unsure
        return change
    size = np.abs(value) + change.astype(value.dtype)
    if name in CANCELLING:
        for a, _ in pairs:
            size = np.maximum(size, np.abs(a.astype(value.dtype)))
    unit = np.spacing(np.where(np.isfinite(value), size, 0))
    total = 1.5 * change + own * unit.astype("float64") + own_zero
    if moving and not own:
        total += unit  # equal operations on unequal operands round apart
    return np.where(np.isfinite(value), total, change)


def _may_meet(x: Pair, y: Pair) -> bool:
    reach = x[1] + y[1]
    apart = np.abs(x[0].astype("float64") - y[0].astype("float64"))
    return bool(((reach > 0) & ~(apart > reach)).any())


def _distance(a: Array, b: Array) -> Array:
    """|a - b|, 0 where both are the same infinity or nan, inf where only one is finite."""
    if a.dtype.kind != "f":
        return (a != b).astype("float64")
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    d = np.abs(a - b)
    return np.where(same, 0.0, np.where(np.isnan(d), np.inf, d))


# -- reductions and products -----------------------------------------------------------------------


@bounds_of.register
def _(op: reduce.Reduce, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    (x, e), value = pairs[0], values[0]
    if value.dtype.kind != "f":
        if e.any():
            raise Unsure
        return [np.zeros(value.shape)]
    if op.kind in ("max", "min"):
        worst = e.max(axis=op.axes) if op.axes else e
        return [np.where(value == 0, np.maximum(worst, TINY), worst)]
    n = int(np.prod([x.shape[a] for a in op.axes], dtype=np.int64))
    x = x.astype("float64")
    finite = np.isfinite(value)
    plain = np.where(np.isfinite(x) & (x != 0), np.abs(x), op.kind == "prod")
    if op.kind == "sum":
        size = plain.sum(axis=op.axes)
        bound = e.sum(axis=op.axes) + 2 * n * EPS[op.acc_dtype] * size
        overflows = size > 1e300
    else:
        relative = (e / np.where(x == 0, 1, np.abs(x))).sum(axis=op.axes)
        bound = np.abs(value) * 1.1 * (relative + 2 * n * EPS[op.acc_dtype])
        overflows = np.abs(np.log2(plain)).sum(axis=op.axes) > 990
    # Another order could overflow, or lose all digits of a product, on the way.
    settled = finite.all() and (op.kind == "sum" or (np.abs(x) > e).all())
    if np.any(overflows) or (e.any() and not settled):
        raise Unsure
    total = bound + 2 * np.spacing(np.abs(value)).astype("float64") + TINY
    return [np.where(finite, total, 0)]


@bounds_of.register
def _(op: reduce.ArgReduce, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    (x, e), value = pairs[0], values[0]
    if e.any():
        kept = [i for i in range(x.ndim) if i not in op.axes]
        order = [*kept, *op.axes]
        rows = x.transpose(order).reshape(value.size, -1).astype("float64")
        reach = e.transpose(order).reshape(value.size, -1)
        if op.kind == "argmin":
            rows = -rows
        at = np.arange(value.size), value.ravel()
        others = rows + reach
        best = rows[at] - reach[at]
        others[at] = -np.inf
        if not (best > others.max(axis=1, initial=-np.inf)).all():
            raise Unsure
    return [np.zeros(value.shape)]


@bounds_of.register
def _(op: linalg.Dot, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    (x, ex), (y, ey) = pairs
    value = values[0]
    if value.dtype.kind != "f":
        return [np.zeros(value.shape)]
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.isfinite(value).all()):
        raise Unsure  # a product may be skipped where a factor is 0, and nan lost
    wx, wy = np.abs(x).astype("float64"), np.abs(y).astype("float64")
    terms = 2 * (x.shape[-1] + 2) * EPS[value.dtype.name]
    bound = np.dot(ex, wy) + np.dot(wx, ey) + np.dot(ex, ey) + terms * np.dot(wx, wy)
    return [np.asarray(bound) + np.spacing(np.abs(value)).astype("float64") + TINY]


# -- moving elements about -------------------------------------------------------------------------


def _moved(op: Any, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    """The op applied to the bounds of its first operand, with the same indices or lengths."""
    if any(e.any() for _, e in pairs[1:]):
        raise Unsure
    return [op.evaluate(pairs[0][1], *(a for a, _ in pairs[1:]))[0]]


for _class in (
    shape.DimShuffle,
    shape.Reshape,
    shape.Rebroadcast,
    shape.SpecifyShape,
    shape.Alloc,
    index.Subtensor,
    index.AdvancedSubtensor,
    nnet.Pick,
):
    bounds_of.register(_class, _moved)


@bounds_of.register
def _(op: join.Join, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    return [np.concatenate([e for _, e in pairs], axis=op.axis)]


@bounds_of.register
def _(op: shape.MakeVector, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    return [np.array([e[()] for _, e in pairs], dtype="float64")]


def _written(op: Any, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    (_, ex), (_, ey), *rest = pairs
    bound = op.evaluate(ex, np.asarray(ey, "float64"), *(a for a, _ in rest))[0]
    value = values[0]
    if value.dtype.kind == "f" and not op.set_instead_of_inc:
        if not np.isfinite(value).all() and bound.any():
            raise Unsure
        if b.rewritten or bound.any():
            bound = bound + 4 * np.where(np.isfinite(value), np.spacing(np.abs(value)), 0)
    return [bound]


bounds_of.register(index.IncSubtensor, _written)
bounds_of.register(index.AdvancedIncSubtensor, _written)


def _exact(op: Any, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    if any(e.any() and a.dtype.kind != "f" for a, e in pairs):
        raise Unsure
    return [np.zeros(v.shape) for v in values]


for _class in (shape.Shape, shape.ShapeI, shape.Eye):
    bounds_of.register(_class, _exact)


@bounds_of.register
def _(op: shape.ARange, b: Bounds, node: Apply, pairs: list[Pair], values: Any) -> list[Array]:
    if any((e > TINY).any() for _, e in pairs) or len(values[0]) > 2000:
        raise Unsure
    return [
        4 * np.spacing(np.abs(values[0]))
        if b.rewritten and values[0].dtype.kind == "f"
        else np.zeros(values[0].shape)
    ]
