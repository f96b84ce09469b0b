"""Gradients of random graphs, compiled, against numeric differentiation of the reference.

The graphs hold smooth functions on intervals where their fifth derivatives stay moderate, so the
five-point stencil of `numeric_gradient` is good to 1e-8 relative; see there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numeric_gradient import STEP, stencil

import jitgraph
import jitgraph.tensor as T
from jitgraph.graph import Variable
from jitgraph.ops.nnet import logsumexp, pick
from jitgraph.reference import evaluate
from jitgraph.tensor.indexing import inc_subtensor, set_subtensor

GRAPHS = 200
BATCH = 20
RTOL, ATOL = 1e-6, 1e-8


class Smooth:
    """Grows a differentiable graph of matrices, vectors and scalars of fixed lengths."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.inputs: list[Variable] = []
        self.values: list[np.ndarray] = []
        self.pool: list[Variable] = []
        for shape in [(2, 3), (2, 3), (3,), ()][: int(self.rng.integers(2, 5))]:
            v = T.TensorType("float64", [False] * len(shape))(f"x{len(self.inputs)}")
            self.inputs.append(v)
            self.values.append(self.rng.uniform(0.3, 1.7, shape))
            self.pool.append(v)

    def choice(self, options: Any) -> Any:
        return options[int(self.rng.integers(len(options)))]

    def tame(self, v: Variable) -> Variable:
        """Back to values in (-1.5, 1.5), with slopes of order 1."""
        return 1.5 * T.sin(v * 0.7)

    def unary(self, v: Variable) -> Variable:
        functions = [
            T.exp, T.tanh, T.sin, T.cos, T.sqr, T.nnet.sigmoid, T.nnet.softplus, T.neg, T.arctan,
            T.sinh, T.expm1, T.erf, lambda w: T.log(w * w + 1.2), lambda w: T.sqrt(w * w + 0.7),
            lambda w: 1 / (w * w + 1), lambda w: w**3, lambda w: T.log1p(w * w),
        ]  # fmt: skip
        return self.choice(functions)(self.tame(v))

    def binary(self, v: Variable) -> Variable:
        w = self.choice(self.pool)
        if v.type.ndim < w.type.ndim:
            v, w = w, v
        if v.type.ndim and w.type.ndim and v.type.broadcastable[-1] != w.type.broadcastable[-1]:
            w = w.sum()
        functions = [
            T.add, T.mul, T.sub, lambda p, q: p / (q * q + 1.1), lambda p, q: T.logaddexp(p, q),
            lambda p, q: T.arctan2(p, q * q + 1.0), lambda p, q: T.switch(p > q, p * q, p - q),
        ]  # fmt: skip
        return self.choice(functions)(self.tame(v), self.tame(w))

    def shape(self, v: Variable) -> Variable:
        n = v.type.ndim
        if n == 2:
            return self.choice(
                [
                    lambda: v.sum(axis=0),
                    lambda: v - v.mean(axis=1, keepdims=True),
                    lambda: T.nnet.softmax(v),
                    lambda: T.dot(T.dot(v, v.T), v),
                    lambda: T.concatenate([v, v * 2], axis=0)[1:3],
                    lambda: v[::-1, ::-1],
                    lambda: set_subtensor(v[0], T.sin(v[1])),
                    lambda: inc_subtensor(v[:, 1:], v[:, :-1]),
                    lambda: v.reshape((3, 2)).T,
                    lambda: v[[0, 1, 1], [2, 0, 0]],
                    lambda: v * pick(T.nnet.softmax(v), T.constant([2, 0])).dimshuffle(0, "x"),
                    lambda: logsumexp(v, 0),
                    lambda: (v * v + 0.5).prod(axis=0),
                    # Different summands, so that no two elements tie for the maximum.
                    lambda: (v + np.arange(3) * 5).max(axis=1).dimshuffle(0, "x") * v,
                ]
            )()
        if n == 1:
            return self.choice(
                [
                    lambda: v.sum(),
                    lambda: v[::-1] * v,
                    lambda: T.outer(v[:2], v),
                    lambda: T.dot(v, v),
                    lambda: T.stack([v, v * v])[:, :3],
                    lambda: v[[2, 0, 0]],
                    lambda: v.std() * v,
                    lambda: T.alloc(v, 2, 3),
                ]
            )()
        return self.choice(
            [lambda: T.alloc(v, 3), lambda: v * v, lambda: T.fill(self.pool[0], v)]
        )()

    def cost(self) -> Variable:
        for _ in range(int(self.rng.integers(2, 9))):
            v = self.pool[-1] if self.rng.random() < 0.5 else self.choice(self.pool)
            new = self.choice([self.unary, self.binary, self.shape])(v)
            # Large values have large derivatives of all orders: no place for finite differences.
            if (
                np.abs(evaluate([new], dict(zip(self.inputs, self.values, strict=True)))[0]).max()
                < 8
            ):
                self.pool.append(new)
        total: Any = 0.0
        for v in self.pool[-3:]:
            total = total + T.sum(T.cos(self.tame(v) + 0.3))
        for v in self.inputs:
            total = total + (v * v).sum() * 0.1
        return total


def smooth(seed: int) -> tuple[Smooth, Variable]:
    grower = Smooth(seed)
    return grower, grower.cost()


def complaint(grower: Smooth, cost: Variable, gradients: list[np.ndarray]) -> str:
    """Compare slopes along two random directions through all inputs at once."""
    for v, got, a in zip(grower.inputs, gradients, grower.values, strict=True):
        if got.shape != a.shape:
            return f"{v}: shape {got.shape} instead of {a.shape}"
    rng = np.random.default_rng(17)
    for _ in range(2):
        directions = [rng.choice([-1.0, 1.0], a.shape) for a in grower.values]

        def f(step: float, directions: list[np.ndarray] = directions) -> float:
            points = [a + step * d for a, d in zip(grower.values, directions, strict=True)]
            return float(evaluate([cost], dict(zip(grower.inputs, points, strict=True)))[0])

        want = stencil(f, STEP)
        terms = [(g * d).sum() for g, d in zip(gradients, directions, strict=True)]
        scale = sum(np.abs(g).sum() for g in gradients)
        if abs(sum(terms) - want) > ATOL + RTOL * scale:
            return f"slope {sum(terms)} instead of {want}"
    return ""


@pytest.mark.parametrize("first", range(0, GRAPHS, BATCH))
def test_gradients(first: int) -> None:
    graphs = [smooth(seed) for seed in range(first, first + BATCH)]
    outputs = [g for grower, cost in graphs for g in T.grad(cost, grower.inputs)]
    inputs = [v for grower, _ in graphs for v in grower.inputs]
    before = jitgraph.config.cflags
    jitgraph.config.cflags = "-O0"
    try:
        f = jitgraph.function(inputs, outputs, on_unused_input="ignore")
    finally:
        jitgraph.config.cflags = before
    results = f(*(a for grower, _ in graphs for a in grower.values))
    complaints = []
    for number, (grower, cost) in enumerate(graphs):
        mine, results = results[: len(grower.inputs)], results[len(grower.inputs) :]
        found = complaint(grower, cost, mine)
        if found:
            text = jitgraph.printing.debugprint(cost, file="str")
            complaints.append(f"seed {first + number}: {found}\n{text}")
    assert not complaints, "\n\n".join(complaints[:2])


def test_a_wrong_gradient_is_noticed() -> None:
    grower, cost = smooth(0)
    gradients = evaluate(
        T.grad(cost, grower.inputs), dict(zip(grower.inputs, grower.values, strict=True))
    )
    assert not complaint(grower, cost, gradients)
    gradients[0] = gradients[0] * (1 + 1e-5) + 1e-4
    assert complaint(grower, cost, gradients)
