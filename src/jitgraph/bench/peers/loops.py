"""The suite `loops`: what is computed step by step, its inputs, and its exact results by NumPy.

    rnn    h[t] = tanh(W h[t-1] + x[t]); the result is all h
    ar1    y[t] = a y[t-1] + e[t], numbers; the result is all y
    cd15   a training step of a restricted Boltzmann machine: contrastive divergence with 15 steps
           of Gibbs sampling (Hinton, Training products of experts by minimizing contrastive
           divergence, 2002) and gradient descent in W, c (hidden units) and b (visible units)

The gradients of rnn and ar1 are those of the sum of the squares of the trace with respect to all
inputs. Draws differ from peer to peer, so a step of cd15 is compared in distribution.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Array = np.ndarray
Inputs = dict[str, Array]

HIDDEN = 32  # units of the recurrent network
STEPS, LONG_STEPS = 10_000, 1_000_000  # of rnn and ar1
BATCH, VISIBLE, UNITS, CD_STEPS = 20, 784, 500, 15  # of the Boltzmann machine
RATE = 1e-3  # small: a timing makes many steps on the one mini-batch
GRADIENT = "_gradient"  # what the name of a forward pass becomes that of its gradient with


def inputs(program: str, shapes: dict[str, tuple[int, ...]], dtype: str) -> Inputs:
    """The arguments of a program, the same in every process.

    W is 0.9 times an orthogonal matrix and a is 0.9: what a state holds is forgotten in some ten
    steps, so that neither states nor gradients, nor errors of rounding, grow with the length.
    """
    rng = np.random.default_rng(0)
    if program == "cd15":
        # Pictures with a fifth of their pixels on, in blocks, as those of digits are.
        blocks = rng.random((BATCH, VISIBLE // 8)) < 0.2
        return {"x": np.repeat(blocks, 8, axis=1)[:, :VISIBLE].astype(dtype)}
    made = {name: rng.standard_normal(shape).astype(dtype) for name, shape in shapes.items()}
    if "W" in made:
        orthogonal, _ = np.linalg.qr(made["W"].astype(np.float64))
        made["W"] = (0.9 * orthogonal).astype(dtype)
    if "a" in made:
        made["a"] = np.asarray(0.9, dtype)
    return made


def parameters(dtype: str) -> list[Array]:
    """[W, c, b] of the machine before the first step.

    Weights of 0.06 make the largest mode of the chain shrink by sigma(W)^2 / 16 = 0.57 a step (a
    sigmoid has a slope of a quarter): one step is told from 15, and the chain does not freeze.
    """
    rng = np.random.default_rng(3)
    W = 0.06 * rng.standard_normal((VISIBLE, UNITS))
    return [W.astype(dtype), np.zeros(UNITS, dtype), np.zeros(VISIBLE, dtype)]


# --- exact results -------------------------------------------------------------------------------


def exact(program: str, given: Inputs) -> list[Array]:
    """The results in float64; not of cd15, which has none."""
    values = [v.astype(np.float64) for v in given.values()]
    return EXACT[program](*values)


def _rnn(x: Array, h0: Array, W: Array) -> list[Array]:
    h, result = h0, np.empty_like(x)
    for t in range(len(x)):
        h = result[t] = np.tanh(W @ h + x[t])
    return [result]


def _rnn_gradient(x: Array, h0: Array, W: Array) -> list[Array]:
    (h,) = _rnn(x, h0, W)
    d, back = np.empty_like(h), np.zeros_like(h0)
    for t in reversed(range(len(h))):
        d[t] = (2 * h[t] + back) * (1 - h[t] * h[t])
        back = W.T @ d[t]
    before = np.concatenate([h0[None], h[:-1]])
    return [d, back, d.T @ before]


def _ar1(e: Array, y0: Array, a: Array) -> list[Array]:
    y, factor, result = float(y0), float(a), []
    for step in e.tolist():
        y = factor * y + step
        result.append(y)
    return [np.array(result, np.float64)]


def _ar1_gradient(e: Array, y0: Array, a: Array) -> list[Array]:
    (y,) = _ar1(e, y0, a)
    (d,) = _ar1(2 * y[::-1], np.zeros(()), a)  # d[t] = 2 y[t] + a d[t+1]
    d = d[::-1]
    before = np.concatenate([np.reshape(y0, 1), y[:-1]])
    return [d, np.asarray(float(a) * d[0]), np.asarray(math.fsum((d * before).tolist()))]


EXACT: dict[str, Any] = {
    "rnn": _rnn,
    "rnn_gradient": _rnn_gradient,
    "ar1": _ar1,
    "ar1_gradient": _ar1_gradient,
}


# --- contrastive divergence ----------------------------------------------------------------------

REPLICAS = 24  # mini-batches of chains from which the distribution is estimated
# Deviations beyond which a step is wrong: less than one in 10^5 of the right ones, by Student's t
# with 23 degrees of freedom, which is what a deviation in units of an estimated sigma has.
SIGMAS = 6.0


def sigmoid(x: Array) -> Array:
    """Arguments of the chain are within some 20."""
    return 1 / (1 + np.exp(-x))


def gibbs(v: Array, state: list[Array], steps: int, rng: Any) -> Array:
    """The visible units after so many steps of the chain that begins with a draw of h given v."""
    W, c, b = state
    dtype = W.dtype
    h = (rng.random((len(v), len(c))) < sigmoid(v @ W + c)).astype(dtype)
    for k in range(steps):
        v = (rng.random((len(v), len(b))) < sigmoid(h @ W.T + b)).astype(dtype)
        if k + 1 < steps:  # nobody sees the last h
            h = (rng.random((len(v), len(c))) < sigmoid(v @ W + c)).astype(dtype)
    return v


def contrast(x: Array, v: Array, state: list[Array]) -> list[Array]:
    """The slope of mean F(x) - mean F(v) in W, c, b, where F is the free energy
    -sum log(1 + exp(v W + c)) - v b."""
    W, c, _ = state
    p, q = sigmoid(x @ W + c), sigmoid(v @ W + c)
    return [(v.T @ q - x.T @ p) / len(x), q.mean(0) - p.mean(0), v.mean(0) - x.mean(0)]


def statistics(slopes: list[Array], directions: list[Array]) -> Array:
    """Numbers that show a wrong sign, factor, transposition or length of the chain.

    Means of the three slopes; the part of each along `directions` (the expected slopes, by which a
    wrong factor is seen); the length of that of b, which is mostly noise of single draws.
    """
    found = [float(np.mean(s)) for s in slopes]
    found += [float(np.vdot(s, d) / np.vdot(d, d)) for s, d in zip(slopes, directions)]  # noqa: B905
    return np.array([*found, float(np.vdot(slopes[2], slopes[2]))])


def deviation(x: Array, after: list[Array]) -> float:
    """How many standard deviations a step is from the mean of such steps, at the most.

    after: [W, c, b] after one step from `parameters`; inf for wrong shapes and for nan.
    """
    state = parameters("float64")
    if [np.shape(p) for p in after] != [p.shape for p in state]:
        return math.inf
    slopes = [(p - np.asarray(q, np.float64)) / RATE for p, q in zip(state, after)]  # noqa: B905
    x = x.astype(np.float64)
    rng = np.random.default_rng(11)
    ends = gibbs(np.tile(x, (REPLICAS, 1)), state, CD_STEPS, rng).reshape(REPLICAS, *x.shape)
    drawn = [contrast(x, v, state) for v in ends]
    expected = [np.mean([d[k] for d in drawn], axis=0) for k in range(3)]
    samples = np.array([statistics(d, expected) for d in drawn])
    mean, sigma = samples.mean(0), samples.std(0, ddof=1)
    worst = float(np.max(np.abs(statistics(slopes, expected) - mean) / sigma))
    return worst if math.isfinite(worst) else math.inf
