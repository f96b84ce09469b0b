"""PyTensor: its default mode (numba since version 3), and its C linker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from pytensor.tensor.random.utils import RandomStream

from . import loops
from . import workloads as wl
from .case import Case, UnsupportedError


def version() -> str:
    """Of PyTensor."""
    return str(pytensor.__version__)


FUNCTIONS: dict[str, Any] = {
    "hard_sigmoid": lambda x: pt.clip(_constant(0.2, x) * x + _constant(0.5, x), 0, 1),
    "sigmoid": lambda x: pt.sigmoid(x),
    "exp": lambda x: pt.exp(x),
    "tanh": lambda x: pt.tanh(x),
    "log": lambda x: pt.log(x),
    "log1p": lambda x: pt.log1p(x),
    "erf": lambda x: pt.erf(x),
    "softplus": lambda x: pt.softplus(x),
    "long": lambda a, b, c: pt.tanh(a * b + c) * pt.exp(-a * a) + (b - c) ** 2 / (1 + pt.abs(a)),
    "mean_square": lambda a, b: pt.mean((a - b) ** 2),
    "sum_sigmoid": lambda x: pt.sum(pt.sigmoid(x)),
    "crossentropy": lambda x, t: (pt.softplus(x) - t * x).mean(),
    "softmax": lambda x: pt.special.softmax(x, axis=1),
    "one_element": lambda x: pt.exp(-x),
    "scalars": lambda a, b, c: (a + b) * c,
}


def _constant(value: float, x: Any) -> Any:
    return np.asarray(value, x.dtype)


def make(w: wl.Workload, inputs: wl.Inputs, variant: str, mode: Any = None) -> Case:
    """The case of a workload; variant "out": the function keeps its result's memory."""
    symbols = [pt.tensor(k, dtype=str(v.dtype), shape=(None,) * v.ndim) for k, v in inputs.items()]
    values = list(inputs.values())
    if w.group == "loops":
        return _loop(w, symbols, values, mode)
    if w.out is None:
        return _step(w, symbols, values, mode)
    if w.program not in FUNCTIONS:
        raise UnsupportedError("PyTensor has no such function")
    result = FUNCTIONS[w.program](*symbols)
    if variant == "out":
        if not w.out:
            raise UnsupportedError("the result is one number")
        result = pytensor.Out(result, borrow=True)
    f = pytensor.function(symbols, result, mode=mode)
    return Case(lambda: f(*values))


def make_c(w: wl.Workload, inputs: wl.Inputs, variant: str) -> Case:
    """The same through the C linker."""
    return make(w, inputs, variant, "CVM")


def logistic_function(x: Any, y: Any, first: list[np.ndarray], mode: Any) -> tuple[Any, list[Any]]:
    """The training function of Theano's tutorial and its shared variables."""
    w, b = (pytensor.shared(p, name=n) for n, p in zip("wb", first))  # noqa: B905  Python 3.9
    p_1 = 1 / (1 + pt.exp(-pt.dot(x, w) - b))
    xent = -y * pt.log(p_1) - (1 - y) * pt.log(1 - p_1)
    cost = xent.mean() + wl.DECAY * (w**2).sum()
    return _trainer([x, y], [p_1 > 0.5, xent], cost, [w, b], wl.RATE, mode), [w, b]


def perceptron_function(
    x: Any, y: Any, first: list[np.ndarray], mode: Any
) -> tuple[Any, list[Any]]:
    """A step of gradient descent of tanh layers with softmax, and its shared variables."""
    shared = [pytensor.shared(p) for p in first]
    h = x
    for k in range(0, len(shared) - 2, 2):
        h = pt.tanh(pt.dot(h, shared[k]) + shared[k + 1])
    log_p = pt.special.log_softmax(pt.dot(h, shared[-2]) + shared[-1], axis=1)
    cost = -pt.mean(log_p[pt.arange(y.shape[0]), y])
    return _trainer([x, y], [cost], cost, shared, wl.MLP_RATE, mode), shared


def _trainer(
    inputs: list[Any], outputs: list[Any], cost: Any, shared: list[Any], rate: float, mode: Any
) -> Any:
    gradients = pt.grad(cost, shared)
    pairs = zip(shared, gradients)  # noqa: B905  Python 3.9
    updates = [(p, p - np.asarray(rate, p.dtype) * g) for p, g in pairs]
    return pytensor.function(inputs, outputs, updates=updates, mode=mode)


def machine_function(x: Any, first: list[np.ndarray], mode: Any) -> tuple[Any, list[Any]]:
    """The training function of a Boltzmann machine, and its shared W, c, b."""
    W, c, b = shared = [pytensor.shared(p) for p in first]
    streams = RandomStream(1)

    def free_energy(v: Any) -> Any:
        return -pt.softplus(pt.dot(v, W) + c).sum(axis=1) - pt.dot(v, b)

    def coins(z: Any) -> Any:
        return pt.cast(streams.bernoulli(pt.sigmoid(z)), x.dtype)

    def gibbs(h: Any) -> list[Any]:
        v = coins(pt.dot(h, W.T) + b)
        return [v, coins(pt.dot(v, W) + c)]

    start = coins(pt.dot(x, W) + c)
    (v, _), updates = pytensor.scan(gibbs, outputs_info=[None, start], n_steps=loops.CD_STEPS)
    end = v[-1]
    cost = free_energy(x).mean() - free_energy(end).mean()
    slopes = pt.grad(cost, shared, consider_constant=[end])
    rate = np.asarray(loops.RATE, x.dtype)
    changes = {p: p - rate * g for p, g in zip(shared, slopes)}  # noqa: B905
    return pytensor.function([x], [], updates={**updates, **changes}, mode=mode), shared


def _loop(w: wl.Workload, symbols: list[Any], values: list[Any], mode: Any) -> Case:
    if w.program == "cd15":
        f, shared = machine_function(symbols[0], wl.parameters(w), mode)
        return Case(lambda: f(*values), lambda _: [np.asarray(s.get_value()) for s in shared])

    def rnn(x: Any, h: Any, W: Any) -> Any:
        return pt.tanh(pt.dot(W, h) + x)

    def ar1(e: Any, y: Any, a: Any) -> Any:
        return a * y + e

    step = rnn if w.program.startswith("rnn") else ar1
    rows, start, factor = symbols
    states, _ = pytensor.scan(step, rows, start, factor)
    if not w.program.endswith(loops.GRADIENT):
        f = pytensor.function(symbols, states, mode=mode)
        return Case(lambda: f(*values))
    f = pytensor.function(symbols, pt.grad((states**2).sum(), symbols), mode=mode)
    return Case(lambda: f(*values), lambda found: [np.asarray(g) for g in found])


def _step(w: wl.Workload, symbols: list[Any], values: list[Any], mode: Any) -> Case:
    build = logistic_function if w.program == "logistic_step" else perceptron_function
    x, y = symbols
    f, shared = build(x, y, wl.parameters(w), mode)
    return Case(lambda: f(*values), lambda _: [np.asarray(s.get_value()) for s in shared])
