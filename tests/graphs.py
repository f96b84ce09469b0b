"""Random graphs over every kind of op, with values for their inputs and the expected results.

A graph is grown op by op; each new op is evaluated with NumPy at once (`bounds.Bounds`), so its
operands have fitting shapes and its result is determined. Everything follows from the seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bounds import Bounds, Unsure
from values import boundary_values, differing, random_values

import jitgraph.tensor as T
from jitgraph import dtypes
from jitgraph.graph import Constant, TensorType, Variable, ancestors, rebuild, toposort
from jitgraph.ops.arithmetic import CASTS
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.join import join, stack
from jitgraph.ops.nnet import logsumexp, pick
from jitgraph.ops.reduce import reduce_of
from jitgraph.ops.scalar import FUNCTIONS
from jitgraph.ops.shape import ARange, Eye, MakeVector, SpecifyShape, restrict_pattern
from jitgraph.tensor.indexing import inc_subtensor, set_subtensor
from jitgraph.tensor.nnet import softmax

LARGEST_SIZE = 6000
EXACT_UNARY = (
    "neg abs_ sgn sqr inv invert isnan isinf ceil floor trunc round_half_to_even identity sqrt "
    "round_half_away_from_zero deg2rad"
).split()
INEXACT_UNARY = "exp expm1 log log1p log2 tanh sigmoid softplus sin cos arctan erf cosh".split()
BINARY = (
    "add mul sub true_div int_div mod maximum minimum lt le gt ge eq neq and_ or_ xor second"
).split()
INEXACT_BINARY = ["arctan2", "pow", "logaddexp"]


@dataclass
class Graph:
    """Outputs, the inputs they need with values, and what a compiled function must give."""

    seed: int
    inputs: list[Variable]
    values: list[np.ndarray]
    outputs: list[Variable]
    rewritten: bool
    expected: list[np.ndarray] = field(default_factory=list)
    bounds: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        known = Bounds(dict(zip(self.inputs, self.values, strict=True)), self.rewritten)
        for v in self.outputs:
            value, bound = known.of(v)
            self.expected.append(value)
            self.bounds.append(bound)

    def given(self) -> dict[Variable, np.ndarray]:
        return dict(zip(self.inputs, self.values, strict=True))

    @property
    def size(self) -> int:
        return len(toposort(self.outputs))

    def complaint(self, results: Sequence[Any]) -> str:
        """What is wrong with `results`; empty if nothing is."""
        for k, (got, want, bound) in enumerate(
            zip(results, self.expected, self.bounds, strict=True)
        ):
            if not isinstance(got, np.ndarray) or got.shape != want.shape:
                return f"output {k}: {np.shape(got)} instead of {want.shape}"
            if got.dtype != want.dtype:
                return f"output {k}: {got.dtype} instead of {want.dtype}"
            wrong = self._wrong(got, want, bound)
            if wrong.any():
                at = tuple(int(i) for i in np.argwhere(wrong)[0])
                return (
                    f"output {k} of seed {self.seed} at {at} of {want.shape}: {got[at]!r} instead "
                    f"of {want[at]!r} ± {bound[at]:.3g} ({wrong.sum()} of {wrong.size} wrong)"
                )
        return ""

    @staticmethod
    def _wrong(got: np.ndarray, want: np.ndarray, bound: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            far = ~(np.abs(got.astype("float64") - want.astype("float64")) <= bound)
        return differing(got, want) & np.where(bound > 0, far, True)


def random_graph(
    seed: int, ops: int | None = None, rewritten: bool = True, extreme: bool = False
) -> Graph:
    """A graph of about `ops` ops. `extreme`: with the boundary values of each dtype as data."""
    grower = Grower(seed, rewritten, extreme)
    grower.grow(int(grower.rng.integers(1, 61)) if ops is None else ops)
    return grower.graph()


class Grower:
    """The pool of values that the next op may take."""

    def __init__(self, seed: int, rewritten: bool, extreme: bool):
        self.rng = np.random.default_rng(seed)
        self.seed, self.rewritten, self.extreme = seed, rewritten, extreme
        self.known = Bounds({}, rewritten)
        self.inputs: list[Variable] = []
        self.values: list[np.ndarray] = []
        self.pool: list[Variable] = []
        r = self.rng.random()
        self.lengths = [1, 2, 3, 5, 8, 17]
        if r < 0.1:
            self.lengths.append(0)
        elif r < 0.2:
            self.lengths.append(600)
        self.floats = [str(self.rng.choice(["float32", "float64"]))]
        for _ in range(int(self.rng.integers(1, 4))):
            self.input()

    # -- choices --
    def choice(self, options: Sequence[Any]) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def shuffled(self, items: Sequence[Any]) -> list[Any]:
        return [items[k] for k in self.rng.permutation(len(items))]

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def array(self, variable: Variable) -> np.ndarray:
        return self.known.of(variable)[0]

    def take(self, accept: Callable[[Variable], bool] = lambda v: True) -> Variable:
        """A value of the pool, later ones more likely, that `accept` takes."""
        found = [v for v in self.pool if accept(v)]
        if not found:
            raise Unsure
        k = int(len(found) * self.rng.random() ** 0.5)
        return found[min(k, len(found) - 1)]

    def dtype(self) -> str:
        return self.choice(self.floats * 6 + list(dtypes.NAMES))

    # -- inputs --
    def input(
        self,
        dtype: str | None = None,
        shape: Sequence[int] | None = None,
        pattern: Sequence[bool] | None = None,
    ) -> Variable:
        dtype = dtype or self.dtype()
        if shape is None:
            rank = self.choice([0, 1, 1, 2, 2, 2, 3, 4])
            shape = [self.choice(self.lengths) for _ in range(rank)]
            while int(np.prod(shape)) > LARGEST_SIZE:
                shape = [min(n, 8) for n in shape]
        if pattern is None:
            pattern = [n == 1 and self.chance(0.6) for n in shape]
        variable = TensorType(dtype, pattern)(f"x{len(self.inputs)}")
        return self.leaf(variable, self.layout(self.data(dtype, tuple(shape))))

    def leaf(self, variable: Variable, value: np.ndarray) -> Variable:
        self.inputs.append(variable)
        self.values.append(value)
        self.known.known[variable] = (value, self.known._settled(value, np.zeros(value.shape)))
        self.pool.append(variable)
        return variable

    def data(self, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        size = int(np.prod(shape))
        if self.extreme:
            edges = self.rng.choice(boundary_values(dtype), size)
            mixed = np.where(
                self.rng.random(size) < 0.6, edges, random_values(dtype, size, self.rng)
            )
            return mixed.astype(dtype).reshape(shape)
        if dtype in dtypes.FLOATS:
            a = self.rng.uniform(0.1, 3, size) * self.rng.choice([-1.0, 1.0], size)
            return a.astype(dtype).reshape(shape)
        if dtype == "bool":
            return self.rng.integers(0, 2, size).astype(bool).reshape(shape)
        low = -9 if dtype in dtypes.SIGNED else 0
        return self.rng.integers(low, 10, size).astype(dtype).reshape(shape)

    def layout(self, a: np.ndarray) -> np.ndarray:
        """The same values in C or Fortran order, with strides, or read-only."""
        kind = self.rng.integers(8)
        if kind == 0 and a.ndim:
            a = np.asfortranarray(a)
        elif kind == 1 and a.ndim:
            wide = np.zeros([*a.shape[:-1], 2 * a.shape[-1]], a.dtype)
            wide[..., ::2] = a
            a = wide[..., ::2]
        elif kind == 2 and a.ndim:
            a = np.ascontiguousarray(a[::-1])[::-1]
        elif kind == 3:
            a.flags.writeable = False
        return a

    # -- growing --
    def grow(self, ops: int) -> None:
        count = failures = 0
        while count < ops and failures < 5 * ops + 20:
            make = self.choice(FAMILIES)
            before = len(self.inputs)
            try:
                new = make(self)
                self.known.of(new)
                if self.array(new).size > LARGEST_SIZE:
                    raise Unsure
            except Unsure:
                failures += 1
                self.forget(before)
                continue
            if new not in self.pool:
                self.pool.append(new)
                count += 1
            if self.chance(0.05):
                self.input()

    def forget(self, count: int) -> None:
        """Take back the inputs made for an op that did not come about."""
        for v in self.inputs[count:]:
            self.pool.remove(v)
        del self.inputs[count:], self.values[count:]

    def graph(self) -> Graph:
        made = [v for v in self.pool if v.owner is not None] or self.pool[:1]
        used = {v for out in made for v in ancestors([out]) if v is not out}
        outputs = [v for v in made if v not in used][-6:]
        if self.chance(0.5):
            outputs.append(self.choice(made))
        needed = set(ancestors(outputs))
        kept = [k for k, v in enumerate(self.inputs) if v in needed]
        return Graph(
            self.seed,
            [self.inputs[k] for k in kept],
            [self.values[k] for k in kept],
            outputs,
            self.rewritten,
        )

    # -- elementwise --
    def apply(self, name: str, *operands: Variable) -> Variable:
        """The function on variables padded to one rank; Unsure for dtypes it refuses."""
        try:
            FUNCTIONS[name].rule(*(v.type.dtype for v in operands))
        except TypeError:
            raise Unsure from None
        return Elementwise(name)(*operands)

    def unary(self) -> Variable:
        names = EXACT_UNARY if self.chance(0.6) else INEXACT_UNARY
        return self.apply(self.choice(names), self.take())

    def partner(self, x: Variable) -> Variable:
        """Something that broadcasts with x: of the pool, a constant or a new input."""
        r = self.rng.random()
        if r < 0.15:
            return self.constant(x.type.dtype)
        if r < 0.3:
            shape = [
                1 if b else n
                for b, n in zip(x.type.broadcastable, self.array(x).shape, strict=True)
            ]
            marks = [self.chance(0.3) or (n == 1 and self.chance(0.5)) for n in shape]
            shape = [1 if b else n for b, n in zip(marks, shape, strict=True)]
            first = int(self.rng.integers(0, 2))
            dtype = self.choice([x.type.dtype, self.dtype()])
            return self.input(dtype, shape[first:], marks[first:])
        return self.take(lambda y: self.fits(x, y))

    def constant(self, dtype: str) -> Constant:
        value = self.data(dtype, ())
        return TensorType(dtype, ()).make_constant(value)

    def fits(self, x: Variable, y: Variable) -> bool:
        a, b = self.array(x).shape, self.array(y).shape
        marks = zip(x.type.broadcastable[::-1], y.type.broadcastable[::-1], strict=False)
        pairs = zip(marks, zip(a[::-1], b[::-1], strict=False), strict=False)
        return all(p or q or n == m for (p, q), (n, m) in pairs)

    def binary(self) -> Variable:
        x = self.take()
        y = self.partner(x)
        pair = (x, y) if self.chance(0.6) else (y, x)
        names = BINARY if self.chance(0.85) else INEXACT_BINARY
        return self.apply(self.choice(names), *pair)

    def several(self) -> Variable:
        x = self.take()
        others = [self.partner(x)]
        while len(others) < 3 and self.chance(0.5):
            y = self.partner(x)
            others += [y] if all(self.fits(y, z) for z in others) else []
        return self.apply(self.choice(["add", "mul"]), x, *others)

    def three(self) -> Variable:
        x = self.take()
        y, z = self.partner(x), self.partner(x)
        if not self.fits(y, z):
            raise Unsure
        return self.apply(self.choice(["switch", "clip"]), *self.shuffled([x, y, z]))

    def cast(self) -> Variable:
        x = self.take()
        target = self.choice([d for d in dtypes.NAMES if d != x.type.dtype])
        return CASTS[target](x)

    # -- reductions --
    def axes(self, x: Variable) -> list[int] | None:
        n = x.type.ndim
        if self.chance(0.3):
            return None
        return sorted(self.rng.permutation(n)[: int(self.rng.integers(0, n + 1))].tolist())

    def reduction(self) -> Variable:
        x = self.take(lambda v: v.type.ndim > 0 or self.chance(0.1))
        kind = self.choice("sum sum sum prod max min all any argmax argmin".split())
        axes = self.axes(x)
        reduced = range(x.type.ndim) if axes is None else axes
        if kind in ("max", "min", "argmax", "argmin") and not all(
            self.array(x).shape[a] for a in reduced
        ):
            raise Unsure  # an error; errors have tests of their own
        return reduce_of(kind, x, axes, keepdims=self.chance(0.3))

    def centred(self) -> Variable:
        """x less, or over, a reduction of its own rows."""
        x = self.take(lambda v: v.type.ndim > 0 and v.type.dtype in dtypes.FLOATS)
        axes = self.axes(x)
        if not self.array(x).size:
            raise Unsure
        kind = self.choice(["sum", "max", "min"])
        other = reduce_of(kind, x, axes, keepdims=True)
        return self.apply(self.choice(["sub", "mul", "ge", "true_div"]), x, other)

    def softmax(self) -> Variable:
        x = self.take(lambda v: v.type.ndim > 0 and v.type.dtype in dtypes.FLOATS)
        if not self.array(x).size:
            raise Unsure
        if x.type.ndim == 2 and self.chance(0.6):
            return self.choice([softmax, T.nnet.logsoftmax])(x)
        return logsumexp(x, self.choice(range(x.type.ndim)))

    def pick(self) -> Variable:
        x = self.take(lambda v: v.type.ndim == 2 and self.array(v).shape[1] > 0)
        n, m = self.array(x).shape
        dtype = self.choice(["int64", "int32", "uint8", "int8"])
        labels = TensorType(dtype, (False,))(f"x{len(self.inputs)}")
        self.leaf(labels, self.rng.integers(0, min(m, 100), n).astype(dtype))
        if x.type.broadcastable[0]:
            raise Unsure
        return pick(x, labels)

    def dot(self) -> Variable:
        x = self.take(lambda v: v.type.ndim in (1, 2) and v.type.dtype != "bool")
        inner = self.array(x).shape[-1]
        y = None
        if self.chance(0.5):
            found = [
                v
                for v in self.pool
                if v.type.ndim in (1, 2)
                and v.type.dtype != "bool"
                and self.array(v).shape[0] == inner
                and v.type.broadcastable[0] == x.type.broadcastable[-1]
            ]
            y = self.choice(found) if found else None
        if y is None:
            shape = [inner] if self.chance(0.3) else [inner, self.choice(self.lengths[:6])]
            y = self.input(x.type.dtype, shape)
        if x.type.ndim == 2 and self.chance(0.3):
            return T.dot(x.T.T, y)
        if y.type.ndim == 2 and x.type.ndim == 2 and self.chance(0.3):
            return T.dot(y.T, x.T)
        return T.dot(x, y)

    # -- shapes --
    def shuffle(self) -> Variable:
        x = self.take()
        order: list[Any] = self.rng.permutation(x.type.ndim).tolist()
        order = [a for a in order if not x.type.broadcastable[a] or self.chance(0.6)]
        while len(order) < 4 and self.chance(0.4):
            order.insert(int(self.rng.integers(0, len(order) + 1)), "x")
        return x.dimshuffle(order)

    def reshape(self) -> Variable:
        x = self.take()
        size = self.array(x).size
        shape: list[int] = []
        rest = size
        while rest > 1 and len(shape) < 3 and self.chance(0.7):
            factor = self.choice([f for f in range(1, min(rest, 50) + 1) if rest % f == 0])
            shape.append(factor)
            rest //= factor
        if size:
            shape.insert(int(self.rng.integers(0, len(shape) + 1)), rest)
        else:
            shape = [0] * int(self.rng.integers(1, 3))
        given: list[Any] = list(shape)
        if self.chance(0.4) and size:
            given[int(self.rng.integers(0, len(given)))] = -1
        elif self.chance(0.5):
            k = int(self.rng.integers(0, len(given)))
            given[k] = self.scalar(shape[k])
        return x.reshape(given, ndim=len(given))

    def scalar(self, value: int) -> Variable:
        """An integer scalar of the given value: an input, or read from a shape."""
        same = [(v, a) for v in self.pool for a, n in enumerate(self.array(v).shape) if n == value]
        if same and self.chance(0.5):
            v, axis = self.choice(same)
            return v.shape[axis]
        dtype = "int64" if not -128 <= value < 128 else self.choice(["int64", "int32", "int8"])
        return self.leaf(TensorType(dtype, ())(f"x{len(self.inputs)}"), np.asarray(value, dtype))

    def maybe_symbolic(self, value: int) -> Any:
        return self.scalar(value) if self.chance(0.3) else value

    def key(self, shape: Sequence[int]) -> tuple[Any, ...]:
        """An index of ints and slices that fits `shape`."""
        entries: list[Any] = []
        for n in shape[: int(self.rng.integers(1, len(shape) + 1))]:
            if n and self.chance(0.3):
                entries.append(self.maybe_symbolic(int(self.rng.integers(-n, n))))
                continue
            low, high = -n - 2, n + 3
            parts = [
                self.maybe_symbolic(int(self.rng.integers(low, high))) if self.chance(0.5) else None
                for _ in range(2)
            ]
            step = self.choice([None, None, 1, 2, -1, -2, 3])
            step = self.maybe_symbolic(step) if step is not None else None
            entries.append(slice(*parts, step))
        if self.chance(0.1):
            entries.insert(0, None)
        return tuple(entries)

    def subtensor(self) -> Variable:
        x = self.take(lambda v: v.type.ndim > 0)
        return x[self.key(self.array(x).shape)]

    def write(self) -> Variable:
        x = self.take(lambda v: v.type.ndim > 0)
        key = tuple(k for k in self.key(self.array(x).shape) if k is not None)
        part = x[key]
        if part.owner is None or type(part.owner.op).__name__ != "Subtensor":
            raise Unsure
        self.known.of(part)
        if self.chance(0.5):
            y: Any = self.input(x.type.dtype, self.array(part).shape)
        else:
            y = self.constant(x.type.dtype)
        # Axes of y that stretch must be marked, all others must have the length of the part.
        return self.choice([set_subtensor, inc_subtensor])(part, y)

    def join(self) -> Variable:
        x = self.take(lambda v: v.type.ndim > 0)
        axis = self.choice(range(x.type.ndim))
        shape = self.array(x).shape

        def joins(v: Variable) -> bool:
            s = self.array(v).shape
            return len(s) == len(shape) and all(
                a == b for k, (a, b) in enumerate(zip(s, shape, strict=True)) if k != axis
            )

        parts = [x, *(self.take(joins) for _ in range(int(self.rng.integers(1, 3))))]
        return join(axis, *parts)

    def stack(self) -> Variable:
        x = self.take()
        shape = self.array(x).shape
        parts = [x, self.take(lambda v: self.array(v).shape == shape)]
        return stack(parts, axis=int(self.rng.integers(0, len(shape) + 1)) if shape else 0)

    def alloc(self) -> Variable:
        x = self.take(lambda v: v.type.ndim < 3)
        shape: list[Any] = [
            self.choice(self.lengths[:5]) if b else n
            for b, n in zip(x.type.broadcastable, self.array(x).shape, strict=True)
        ]
        shape = [self.choice(self.lengths[:5]) for _ in range(int(self.rng.integers(0, 2)))] + shape
        return T.alloc(x, *(self.maybe_symbolic(n) for n in shape))

    def arange(self) -> Variable:
        dtype = self.choice(["int64", "int32", "uint8", "float32", "float64", "int16"])
        start, stop = sorted(self.rng.integers(0, 30, 2).tolist())
        step = self.choice([1, 1, 2, 3])
        if self.chance(0.2) and dtype != "uint8":
            start, stop, step = stop, start, -step
        if dtype.startswith("float"):
            values = [np.asarray(v, dtype) for v in (start / 4, stop / 4, step / 4)]
            return ARange(dtype)(*values)
        return ARange(dtype)(
            *(
                np.int64(v) if isinstance(w := self.maybe_symbolic(v), int) else w
                for v in (start, stop, step)
            )
        )

    def marks(self) -> Variable:
        """Pattern changes and checks of shapes that hold."""
        x = self.take(lambda v: v.type.ndim > 0)
        shape = self.array(x).shape
        if self.chance(0.5):
            return restrict_pattern(x, [n == 1 and self.chance(0.5) for n in shape])
        return SpecifyShape()(x, [self.maybe_symbolic(n) for n in shape])

    def shape_number(self) -> Variable:
        x = self.take(lambda v: v.type.ndim > 0)
        n = x.shape[self.choice(range(x.type.ndim))]
        return self.choice([lambda: n, lambda: x.shape, lambda: n * 2 - 1, lambda: x.size])()

    def vector_of_scalars(self) -> Variable:
        parts = [self.take(lambda v: v.type.ndim == 0) for _ in range(2)]
        dtype = dtypes.upcast(*(p.type.dtype for p in parts))
        return MakeVector(dtype)(*(p.astype(dtype) for p in parts))

    def eye(self) -> Variable:
        n, m = (self.choice(self.lengths[:5]) for _ in range(2))
        return Eye(self.choice(self.floats))(*map(np.int64, (n, m, self.choice([-1, 0, 1]))))

    # -- index arrays --
    def gather(self) -> Variable:
        x = self.take(lambda v: v.type.ndim > 0 and self.array(v).shape[0] > 0)
        n = self.array(x).shape[0]
        if self.chance(0.3):
            mask = TensorType("bool", (False,))(f"x{len(self.inputs)}")
            return x[self.leaf(mask, self.rng.integers(0, 2, n).astype(bool))]
        at = TensorType("int64", (False,))(f"x{len(self.inputs)}")
        self.leaf(at, self.rng.integers(-n, n, int(self.rng.integers(0, 6))))
        if x.type.ndim > 1 and self.chance(0.4):
            other = TensorType("int32", (False,))(f"x{len(self.inputs)}")
            m = self.array(x).shape[1]
            if not m:
                raise Unsure
            self.leaf(other, self.rng.integers(0, m, len(self.values[-1])).astype("int32"))
            return x[at, other]
        return x[at]

    def scatter(self) -> Variable:
        x = self.take(lambda v: v.type.ndim == 1 and self.array(v).shape[0] > 0)
        n = self.array(x).shape[0]
        at = TensorType("int64", (False,))(f"x{len(self.inputs)}")
        self.leaf(at, self.rng.permutation(n)[: int(self.rng.integers(1, n + 1))])
        return self.choice([set_subtensor, inc_subtensor])(x[at], self.constant(x.type.dtype))


FAMILIES: list[Callable[[Grower], Variable]] = [
    *[Grower.unary] * 8,
    *[Grower.binary] * 10,
    *[Grower.several] * 2,
    *[Grower.three] * 3,
    *[Grower.cast] * 3,
    *[Grower.reduction] * 6,
    *[Grower.centred] * 2,
    *[Grower.softmax] * 2,
    *[Grower.dot] * 2,
    *[Grower.shuffle] * 4,
    *[Grower.reshape] * 2,
    *[Grower.subtensor] * 4,
    *[Grower.write] * 2,
    *[Grower.join] * 2,
    *[Grower.alloc] * 2,
    Grower.stack,
    Grower.pick,
    Grower.arange,
    Grower.marks,
    Grower.shape_number,
    Grower.vector_of_scalars,
    Grower.eye,
    Grower.gather,
    Grower.scatter,
]


# -- making a failing graph small ------------------------------------------------------------------


def minimised(graph: Graph, fails: Callable[[Graph], bool]) -> Graph:
    """A graph with one output and as few ops as possible for which `fails` still holds."""
    for out in graph.outputs:
        one = _smaller(graph, [out], {})
        if one is not None and fails(one):
            graph = one
            break
    shrunk = True
    while shrunk:
        shrunk = False
        for v in [n.outputs[0] for n in toposort(graph.outputs)][-2::-1]:
            cut = _smaller(graph, graph.outputs, {v: v.type()})
            if cut is not None and cut.size < graph.size and fails(cut):
                graph, shrunk = cut, True
                break
    return graph


def _smaller(graph: Graph, outputs: list[Variable], cut: dict[Variable, Variable]) -> Graph | None:
    """The graph of `outputs` in which the keys of `cut` have become inputs."""
    known = Bounds(graph.given(), graph.rewritten)
    given = graph.given()
    for old, new in cut.items():
        given[new] = known.of(old)[0]
    try:
        outputs = rebuild(outputs, cut)
        needed = set(ancestors(outputs))
        inputs = [v for v in given if v in needed]
        return Graph(graph.seed, inputs, [given[v] for v in inputs], outputs, graph.rewritten)
    except (Unsure, TypeError, ValueError):  # without what was cut away, marks of axes are lost
        return None


def shown(graph: Graph) -> str:
    """The graph and its data as text for a failure message."""
    from jitgraph.printing import debugprint

    text = debugprint(graph.outputs, file="str")
    np.set_printoptions(threshold=60)
    data = "\n".join(
        f"{v} : {v.type} = {a!r}" for v, a in zip(graph.inputs, graph.values, strict=True)
    )
    return f"{text}\n{data}"
