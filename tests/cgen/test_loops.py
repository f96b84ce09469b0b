"""Loops made by hand of the op itself: every way of reading, keeping and ending, in C and by NumPy.

Each graph is computed by the compiled function, by the loop that Python steps through and by the
reference; all must agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.cgen import plan as planning
from jitgraph.graph import TensorType, Variable
from jitgraph.ops.scan import Body, Rows, Scan, Trace
from jitgraph.reference import evaluate


def leaf(dtype: str, ndim: int, name: str) -> Variable:
    return TensorType(dtype, (False,) * ndim).make_variable(name)


class RandomLoop:
    """A loop with random operands, and a body of random functions, sums and products."""

    def __init__(self, seed: int, depth: int = 0):
        self.rng = rng = np.random.default_rng(seed)
        self.depth = depth
        self.n = int(rng.choice([0, 1, 2, 3, 7]))
        self.width = int(rng.choice([1, 2, 5]))
        self.inputs: list[Variable] = []
        self.values: list[Any] = []
        self.inner: list[Variable] = []
        sequences = [self.sequence() for _ in range(rng.integers(0, 3))]
        states = [self.state() for _ in range(rng.integers(0 if sequences else 1, 3))]
        fixed = [self.fixed() for _ in range(rng.integers(0, 3))]
        self.pool = list(self.inner)
        for _ in range(rng.integers(1, 6)):
            self.pool.append(self.combine())
        results = [self.of_type(inner[0]) for _, _, inner in states]
        maps = [self.pick() for _ in range(rng.integers(0 if states else 1, 3))]
        outputs = [*results, *maps]
        until = rng.random() < 0.2
        if until:
            first = next((v for v in self.inner if v.type.ndim == 0), None)
            value = T.sum(self.pick()) if first is None else first
            outputs.append(T.gt(value, np.float64(0.7)))
        traces = [self.trace(until) for _ in [*results, *maps]]
        op = Scan(
            Body(tuple(self.inner), tuple(outputs)),
            [rows for _, rows in sequences],
            [lags for _, lags, _ in states],
            traces,
            until,
            f"loop{seed}",
        )
        n = leaf("int64", 0, "n")
        outer = [n, *(v for v, _ in sequences), *(v for v, _, _ in states), *fixed]
        self.inputs = [n, *self.inputs]
        self.values = [np.array(self.n), *self.values]
        made = op(*outer)
        self.outputs = list(made) if isinstance(made, list) else [made]

    # -- operands --
    def dims(self, ndim: int) -> tuple[int, ...]:
        return (self.width,) * ndim

    def outer(self, name: str, shape: tuple[int, ...]) -> Variable:
        v = leaf("float64", len(shape), f"{name}{len(self.inputs)}")
        self.inputs.append(v)
        self.values.append(self.rng.normal(size=shape))
        return v

    def sequence(self) -> tuple[Variable, Rows]:
        rng = self.rng
        ndim, offset, more = int(rng.integers(0, 3)), int(rng.integers(0, 3)), int(rng.integers(3))
        rows = self.n + offset
        how = rng.integers(4)
        if how == 0 and rows:  # a slice of a longer array
            v = self.outer("x", (rows + more + 1, *self.dims(ndim)))[1:]
        elif how == 1 and rows > 1:  # two arrays joined
            a = self.outer("x", (1, *self.dims(ndim)))
            v = T.join(0, a, self.outer("y", (rows - 1 + more, *self.dims(ndim))))
        elif how == 2:  # computed
            v = T.exp(self.outer("x", (rows + more, *self.dims(ndim))))
        else:
            v = self.outer("x", (rows + more, *self.dims(ndim)))
        self.inner.append(leaf("float64", ndim, "row"))
        return v, Rows(offset, bool(rng.integers(2)))

    def state(self) -> tuple[Variable, tuple[int, ...], list[Variable]]:
        ndim = int(self.rng.integers(0, 3))
        lags = [(1,), (1,), (2,), (1, 2), (3, 1)][self.rng.integers(5)]
        if max(lags) == 1 and self.rng.random() < 0.5:
            start = self.outer("h", self.dims(ndim)).dimshuffle("x", *range(ndim))
        else:
            start = self.outer("h", (max(lags), *self.dims(ndim)))
        inner = [leaf("float64", ndim, f"h{k}") for k in lags]
        self.inner.extend(inner)
        return start, lags, inner

    def fixed(self) -> Variable:
        ndim = int(self.rng.integers(0, 3))
        v = self.outer("w", self.dims(ndim))
        self.inner.append(leaf("float64", ndim, "w"))
        return v

    def trace(self, until: bool) -> Trace:
        if self.rng.random() < 0.3 and not until:
            return Trace(int(self.rng.integers(1, 4)))
        return Trace(None, bool(self.rng.random() < 0.3))

    # -- the body --
    def pick(self) -> Variable:
        return self.pool[self.rng.integers(len(self.pool))]

    def combine(self) -> Variable:
        rng = self.rng
        a, b = self.pick(), self.pick()
        kind = rng.integers(7)
        if kind == 0:
            return T.tanh(a) * 0.5
        if kind == 1:
            return T.sum(a, axis=int(rng.integers(a.type.ndim))) * 0.1 if a.type.ndim else T.sin(a)
        if kind == 2 and a.type.ndim and b.type.ndim:
            return T.tanh(T.dot(a, b))
        if kind == 3 and a.type.ndim:
            index = T.cast(T.floor(T.nnet.sigmoid(T.sum(b)) * self.width), "int64")
            return a[T.clip(index, 0, self.width - 1)]
        if kind == 4 and self.depth < 1:
            return self.nested(a)
        if kind == 5 and a.type.ndim == 2:
            return T.nnet.softmax(a)
        return T.cos(a) + b * 0.5 if a.type.ndim <= b.type.ndim else T.cos(b) - a

    def nested(self, a: Variable) -> Variable:
        """A loop within the loop, over the steps that a length gives."""
        x = leaf("float64", a.type.ndim, "inner")
        op = Scan(Body((x,), (T.sin(x) + 0.1,)), [], [(1,)], [Trace()], False, "inner")
        trace, final = op(np.int64(3), a.dimshuffle("x", *range(a.type.ndim)))
        return final[0] if self.rng.random() < 0.5 else T.sum(trace, axis=0)

    def of_type(self, like: Variable) -> Variable:
        """A value of the body with the type of `like`, which it also depends on."""
        for v in self.pool[::-1]:
            if v.type == like.type:
                return T.tanh(v) if v in self.inner else v
        return T.tanh(like)


def check(graph: RandomLoop, outputs: Sequence[Variable]) -> None:
    known = dict(zip(graph.inputs, graph.values, strict=True))
    try:
        wanted = evaluate(outputs, known)
    except ValueError as error:  # nothing but the shape of rows that no step has made
        pytest.fail(str(error))
    f = jitgraph.function(graph.inputs, outputs, on_unused_input="ignore", mode=MODE)
    for k, (a, b) in enumerate(zip(f(*graph.values), wanted, strict=True)):
        assert a.shape == b.shape, f"output {k}"
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11, err_msg=f"output {k}")


MODE = "FAST_RUN"


@pytest.mark.parametrize("seed", range(160))
def test_compiled(seed: int) -> None:
    graph = RandomLoop(seed)
    check(graph, graph.outputs)
    # Only some of the outputs: the others get no memory.
    some = [v for k, v in enumerate(graph.outputs) if (seed + k) % 3]
    if some and seed % 2:
        check(graph, some)


@pytest.mark.parametrize("seed", range(200, 230))
def test_stepped_by_python(
    seed: int, monkeypatch: pytest.MonkeyPatch, changed_compiler: Callable[[], None]
) -> None:
    changed_compiler()
    monkeypatch.setattr(
        planning._Facts,
        "compiled",
        lambda self, node: not isinstance(node.op, Scan) and planning.is_compiled(node),
    )
    graph = RandomLoop(seed)
    check(graph, graph.outputs)
