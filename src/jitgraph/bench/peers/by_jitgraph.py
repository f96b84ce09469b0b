"""jitgraph itself."""

from __future__ import annotations

from typing import Any

import numpy as np

import jitgraph
import jitgraph.tensor as T
from jitgraph.random import PhiloxStreams

from . import loops
from . import workloads as wl
from .case import Case, UnsupportedError


def version() -> str:
    """Of jitgraph."""
    return jitgraph.__version__


def start(threads: int) -> None:
    """Use so many threads."""
    jitgraph.set_num_threads(threads)


def _long(a: Any, b: Any, c: Any) -> Any:
    return T.tanh(a * b + c) * T.exp(-a * a) + (b - c) ** 2 / (1 + abs(a))


FUNCTIONS: dict[str, Any] = {
    "hard_sigmoid": T.nnet.hard_sigmoid,
    "ultra_fast_sigmoid": T.nnet.ultra_fast_sigmoid,
    "sigmoid": T.nnet.sigmoid,
    "exp": T.exp,
    "tanh": T.tanh,
    "log": T.log,
    "log1p": T.log1p,
    "erf": T.erf,
    "softplus": T.nnet.softplus,
    "long": _long,
    "mean_square": lambda a, b: T.mean((a - b) ** 2),
    "sum_sigmoid": lambda x: T.sum(T.nnet.sigmoid(x)),
    "crossentropy": lambda x, t: T.mean(T.nnet.binary_crossentropy(T.nnet.sigmoid(x), t)),
    "softmax": T.nnet.softmax,
    "one_element": lambda x: T.exp(T.neg(x)),
    "scalars": lambda a, b, c: (a + b) * c,
}


def make(w: wl.Workload, inputs: wl.Inputs, variant: str) -> Case:
    """The case of a workload; variant "out": into an array that exists."""
    symbols = [T.TensorType(str(v.dtype), (False,) * v.ndim)(k) for k, v in inputs.items()]
    values = list(inputs.values())
    if w.group == "loops":
        return _loop(w, symbols, values)
    if w.out is None:
        return _step(w, symbols, values)
    f = jitgraph.function(symbols, FUNCTIONS[w.program](*symbols))
    if variant == "default":
        return Case(lambda: f(*values))
    if not w.out:
        raise UnsupportedError("the result is one number")
    out = np.zeros(w.out, w.dtype)
    return Case(lambda: f(*values, out=out))


def logistic_function(x: Any, y: Any, first: list[np.ndarray]) -> tuple[Any, list[Any]]:
    """The training function of Theano's tutorial and its shared variables."""
    w, b = (jitgraph.shared(p, name=n) for n, p in zip("wb", first, strict=True))
    z: Any = T.dot(x, w)
    p_1: Any = 1 / (1 + T.exp(-z - b))
    xent = -y * T.log(p_1) - (1 - y) * T.log(1 - p_1)
    cost = xent.mean() + wl.DECAY * (w**2).sum()
    return _trainer([x, y], [p_1 > 0.5, xent], cost, [w, b], wl.RATE), [w, b]


def perceptron_function(x: Any, y: Any, first: list[np.ndarray]) -> tuple[Any, list[Any]]:
    """A step of gradient descent of tanh layers with softmax, and its shared variables."""
    shared = [jitgraph.shared(p) for p in first]
    h = x
    for k in range(0, len(shared) - 2, 2):
        h = T.tanh(T.dot(h, shared[k]) + shared[k + 1])
    p = T.nnet.softmax(T.dot(h, shared[-2]) + shared[-1])
    cost = T.mean(T.nnet.categorical_crossentropy(p, y))
    return _trainer([x, y], [cost], cost, shared, wl.MLP_RATE), shared


def _trainer(
    inputs: list[Any], outputs: list[Any], cost: Any, shared: list[Any], rate: float
) -> Any:
    gradients = T.grad(cost, shared)
    pairs = zip(shared, gradients, strict=True)
    updates = [(p, p - np.asarray(rate, p.type.dtype) * g) for p, g in pairs]
    return jitgraph.function(inputs, outputs, updates=updates)


def _step(w: wl.Workload, symbols: list[Any], values: list[Any]) -> Case:
    build = logistic_function if w.program == "logistic_step" else perceptron_function
    x, y = symbols
    f, shared = build(x, y, wl.parameters(w))
    return Case(lambda: f(*values), lambda _: [np.asarray(s.get_value()) for s in shared])


def trace(program: str, symbols: list[Any], n_steps: Any = None) -> Any:
    """All states of a loop: of rnn from (x, h0, W), of ar1 from (e, y0, a)."""
    rows, start, factor = symbols

    def rnn(x: Any, h: Any, W: Any) -> Any:
        return T.tanh(T.dot(W, h) + x)

    def ar1(e: Any, y: Any, a: Any) -> Any:
        return a * y + e

    step = rnn if program.startswith("rnn") else ar1
    states, _ = jitgraph.scan(step, rows, start, factor, n_steps)
    return states


def machine_function(x: Any, first: list[np.ndarray], streams: Any) -> tuple[Any, list[Any]]:
    """The training function of a Boltzmann machine, and its shared W, c, b."""
    W, c, b = shared = [jitgraph.shared(p) for p in first]

    def free_energy(v: Any) -> Any:
        return -T.nnet.softplus(T.dot(v, W) + c).sum(axis=1) - T.dot(v, b)

    def coins(z: Any) -> Any:
        return streams.binomial(size=z.shape, n=1, p=T.nnet.sigmoid(z), dtype=x.dtype)

    def gibbs(h: Any) -> list[Any]:
        v = coins(T.dot(h, W.T) + b)
        return [v, coins(T.dot(v, W) + c)]

    start = coins(T.dot(x, W) + c)
    (v, _), updates = jitgraph.scan(gibbs, outputs_info=[None, start], n_steps=loops.CD_STEPS)
    end = v[-1]
    cost = free_energy(x).mean() - free_energy(end).mean()
    slopes = T.grad(cost, shared, consider_constant=[end])
    rate = np.asarray(loops.RATE, x.dtype)
    for p, g in zip(shared, slopes, strict=True):
        updates[p] = p - rate * g
    return jitgraph.function([x], [], updates=updates), shared


def _loop(w: wl.Workload, symbols: list[Any], values: list[Any]) -> Case:
    if w.program == "cd15":
        f, shared = machine_function(symbols[0], wl.parameters(w), PhiloxStreams(1))
        return Case(lambda: f(*values), lambda _: [np.asarray(s.get_value()) for s in shared])
    states: Any = trace(w.program, symbols)
    if not w.program.endswith(loops.GRADIENT):
        f = jitgraph.function(symbols, states)
        return Case(lambda: f(*values))
    f = jitgraph.function(symbols, T.grad((states**2).sum(), symbols))
    return Case(lambda: f(*values), lambda found: [np.asarray(g) for g in found])


def release() -> None:
    """Give the memory of freed results back to the system."""
    jitgraph.free_memory()
