"""Random loops: what their steps are given, what they compute, and data to run them with.

Every value stays of size about 1 (states pass through tanh), and everything is smooth, so that
numeric differentiation applies; conditions compare with thresholds that no perturbation crosses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import jitgraph
import jitgraph.tensor as T
from jitgraph.graph import TensorType, Variable
from jitgraph.scan_module import until


@dataclass
class Program:
    """A loop as a graph from `inputs` to `outputs`, and arrays for the inputs."""

    seed: int
    truncated: bool = False
    single: bool = False  # float32 takes part
    inputs: list[Variable] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    outputs: list[Variable] = field(default_factory=list)
    cost: Any = None

    @property
    def floats(self) -> list[Variable]:
        return [v for v in self.inputs if v.type.dtype in ("float32", "float64")]


class Pool:
    """Expressions of one step: scalars, vectors of length d, d x d matrices, all float64."""

    def __init__(self, rng: np.random.Generator, d: int):
        self.rng, self.d = rng, d
        self.by_rank: dict[int, list[Any]] = {0: [T.constant(0.7, dtype="float64")], 1: [], 2: []}

    def add(self, v: Any) -> None:
        self.by_rank[v.type.ndim].append(v)

    def take(self, rank: int) -> Any:
        """An expression of this rank, made from another one if there is none."""
        known = self.by_rank[rank]
        if known and self.rng.random() < 0.9:
            # The newer, the likelier: what has just been made is not left unused.
            return known[-1 - int(self.rng.integers(min(len(known), 4)))]
        if rank == 0:
            whole = [v for r in (1, 2) for v in self.by_rank[r]]
            return T.tanh(self.pick(whole).sum()) if whole else self.pick(known)
        scalar = self.pick(self.by_rank[0])
        weights = np.linspace(0.5, 1.5, self.d**rank).reshape((self.d,) * rank)
        return scalar * T.constant(weights)

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def rank(self) -> int:
        return int(self.rng.integers(3))

    # -- growing --
    def unary(self) -> Any:
        functions: list[Callable[[Any], Any]] = [
            T.tanh,
            T.sin,
            T.nnet.sigmoid,
            T.nnet.softplus,
            T.sqr,
            lambda x: T.exp(-T.sqr(x)),
            lambda x: 1 / (1 + T.sqr(x)),
            lambda x: T.log(T.nnet.sigmoid(x)) / 2,
            lambda x: x - 0.25,
        ]
        return self.pick(functions)(self.take(self.rank()))

    def binary(self) -> Any:
        rank = self.rank()
        other = rank if self.rng.random() < 0.6 else int(self.rng.integers(rank + 1))
        a, b = self.take(rank), self.take(other)
        return self.pick([lambda: a + b, lambda: a * b, lambda: a - b, lambda: b * a + a])()

    def product(self) -> Any:
        a, b = self.pick([(1, 1), (2, 1), (1, 2), (2, 2)])
        return T.tanh(T.dot(self.take(a), self.take(b)) / self.d)

    def reduction(self) -> Any:
        x = self.take(int(self.rng.integers(1, 3)))
        axis = int(self.rng.integers(x.type.ndim))
        return T.tanh(self.pick([T.sum, T.mean])(x, axis=axis))

    def view(self) -> Any:
        x = self.take(int(self.rng.integers(1, 3)))
        views = [lambda: x[::-1], lambda: x[int(self.rng.integers(self.d))]]
        if x.type.ndim == 2:
            views += [lambda: x.T, lambda: x[:, int(self.rng.integers(self.d))]]
        else:
            views += [lambda: T.set_subtensor(x[1:], 0.5 * x[:-1])]
        return self.pick(views)()

    def softmax(self) -> Any:
        return T.nnet.softmax(self.take(2))

    def loop(self) -> Any:
        """A loop in the loop, over a vector or the rows of a matrix."""
        x, w = self.take(int(self.rng.integers(1, 3))), self.take(0)
        start = x[0] * 0.5

        def step(x: Any, h: Any) -> Any:
            return T.tanh(h * w + x)

        backwards = bool(self.rng.integers(2))
        rows, _ = jitgraph.scan(step, x, start, go_backwards=backwards)
        return rows if self.rng.random() < 0.5 else rows[-1]

    def grow(self, steps: int) -> None:
        kinds = [self.unary] * 5 + [self.binary] * 6 + [self.product] * 3
        kinds += [self.reduction] * 2 + [self.view] * 2 + [self.softmax]
        if self.rng.random() < 0.4:
            kinds += [self.loop] * 5
        for _ in range(steps):
            self.add(self.pick(kinds)())


class Maker:
    """Chooses the arguments of one `scan` and calls it."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng([17, seed])
        self.program = Program(seed)
        self.d = int(self.rng.integers(2, 5))
        self.steps = int(self.rng.choice([0, 1, 2, 3, 3, 4, 5, 6, 7]))

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def leaf(self, shape: Sequence[int], dtype: str, name: str) -> Any:
        v = TensorType(dtype, [False] * len(shape)).make_variable(name)
        self.program.inputs.append(v)
        values = self.rng.normal(0, 0.6, tuple(shape))
        if dtype == "int64":
            values = self.rng.integers(0, 5, tuple(shape))
        self.program.values.append(np.asarray(values, dtype))
        return v

    def row_shape(self) -> tuple[int, ...]:
        return (self.d,) * int(self.rng.choice([0, 0, 1, 1, 1, 2]))

    def dtype(self) -> str:
        dtype = str(self.rng.choice(["float64"] * 8 + ["float32", "int64"]))
        self.program.single |= dtype == "float32"
        return dtype

    def sequences(self) -> list[Any]:
        result = []
        for i in range(int(self.rng.choice([0, 1, 1, 2]))):
            count = int(self.rng.choice([1, 1, 2]))
            taps = [int(k) for k in self.rng.choice([-2, -1, 0, 1, 2], count, replace=False)]
            if self.chance(0.5):
                taps = [0]
            span = max(0, *taps) - min(0, *taps)
            length = self.steps + span + int(self.rng.choice([0, 0, 2]))
            shape = (length, *self.row_shape())
            result.append({"input": self.leaf(shape, self.dtype(), f"x{i}"), "taps": taps})
        return result

    def states(self) -> list[Any]:
        result: list[Any] = []
        for i in range(int(self.rng.choice([0, 1, 1, 2, 3]))):
            dtype, shape = self.dtype(), self.row_shape()
            lags = [1]
            if self.chance(0.35):
                count = int(self.rng.integers(1, 3))
                lags = [int(k) for k in self.rng.choice([1, 2, 3], count, replace=False)]
            if lags == [1]:
                result.append(self.leaf(shape, dtype, f"h{i}"))
            else:
                initial = self.leaf((max(lags), *shape), dtype, f"h{i}")
                result.append({"initial": initial, "taps": [-k for k in lags]})
        return result

    def make(self) -> Program:
        sequences, states = self.sequences(), self.states()
        rest = [
            self.leaf(self.row_shape(), "float64", f"w{i}") for i in range(self.rng.integers(3))
        ]
        maps = int(self.rng.integers(0 if states else 1, 3))
        given = bool(not sequences or self.chance(0.5) or len(sequences) > 1)
        ends = self.chance(0.15)
        truncate = int(self.rng.integers(1, 6)) if self.chance(0.2) else -1
        self.program.truncated = truncate > 0

        def step(*arguments: Any) -> Any:
            pool = Pool(self.rng, self.d)
            for v in arguments:
                pool.add(T.cast(v, "float64") / (4 if v.type.dtype == "int64" else 1))
            pool.grow(int(self.rng.integers(2, 9)))
            news = [self.next_state(s, pool) for s in states]
            news += [pool.take(pool.rank()) for _ in range(maps)]
            if ends:
                return news, until(pool.take(0) > self.threshold())
            return news

        outputs, _ = jitgraph.scan(
            step,
            sequences,
            [*states, *[None] * maps],
            rest,
            n_steps=self.count() if given else None,
            go_backwards=self.chance(0.25),
            truncate_gradient=truncate,
            return_list=True,
        )
        self.program.outputs = outputs
        self.program.cost = cost_of(outputs)
        return self.program

    def count(self) -> Any:
        if self.chance(0.5):
            return self.steps
        n = self.leaf((), "int64", "n")
        self.program.values[-1] = np.asarray(self.steps)
        return n

    def threshold(self) -> Any:
        """Far from every value that symmetric programs tend to have."""
        return T.constant(float(self.rng.choice([-3.013, 0.3137, 0.6171, 5.2])), dtype="float64")

    @staticmethod
    def next_state(state: Any, pool: Pool) -> Any:
        initial = state["initial"] if isinstance(state, dict) else state
        type_ = initial.type
        rank = type_.ndim - isinstance(state, dict)
        if type_.dtype == "int64":
            whole = T.cast(T.floor(4 * T.nnet.sigmoid(pool.take(rank)) + 0.137), "int64")
            return whole
        return T.cast(T.tanh(pool.take(rank)), type_.dtype)


def cost_of(outputs: Sequence[Variable]) -> Any:
    """A number to which every element of the float outputs contributes with its own weight."""
    total: Any = T.constant(0.0, dtype="float64")
    for k, v in enumerate(outputs):
        if v.type.dtype in ("float32", "float64"):
            flat = v.flatten()
            weights = 1.25 + T.sin(T.arange(flat.shape[0]) * 1.7 + k)
            total = total + (flat * weights).sum()
    return total


def random_program(seed: int) -> Program:
    return Maker(seed).make()
