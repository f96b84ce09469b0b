"""PyTensor: its default mode (numba since version 3), and its C linker."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt

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


def _step(w: wl.Workload, symbols: list[Any], values: list[Any], mode: Any) -> Case:
    build = logistic_function if w.program == "logistic_step" else perceptron_function
    x, y = symbols
    f, shared = build(x, y, wl.parameters(w), mode)
    return Case(lambda: f(*values), lambda _: [np.asarray(s.get_value()) for s in shared])
