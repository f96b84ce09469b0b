"""PyTorch: eager, and through torch.compile (its default mode)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as functional

from . import workloads as wl
from .case import Case, UnsupportedError


def version() -> str:
    """Of torch."""
    return str(torch.__version__)


def start(threads: int) -> None:
    """Use so many threads."""
    torch.set_num_threads(threads)


def _ultra_fast_sigmoid(x: Any) -> Any:
    h = x.abs() * 0.5
    far = 0.935409070603099 + 0.0458812946797165 * (h - 1.7)
    y = torch.where(h < 1.7, 1.5 * h / (1 + h), torch.where(h < 3, far, 0.99505475368673))
    return 0.5 * (torch.copysign(y, x) + 1)


def _long(a: Any, b: Any, c: Any) -> Any:
    return torch.tanh(a * b + c) * torch.exp(-a * a) + (b - c) ** 2 / (1 + a.abs())


FUNCTIONS: dict[str, Any] = {
    # (torch's own hardsigmoid has another slope.)
    "hard_sigmoid": lambda x: torch.clamp(0.2 * x + 0.5, 0, 1),
    "ultra_fast_sigmoid": _ultra_fast_sigmoid,
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "tanh": torch.tanh,
    "log": torch.log,
    "log1p": torch.log1p,
    "erf": torch.erf,
    "softplus": functional.softplus,
    "long": _long,
    "mean_square": lambda a, b: ((a - b) ** 2).mean(),
    "sum_sigmoid": lambda x: torch.sigmoid(x).sum(),
    "crossentropy": lambda x, t: functional.binary_cross_entropy_with_logits(x, t),
    "softmax": lambda x: torch.softmax(x, 1),
    "one_element": lambda x: torch.exp(-x),
    "scalars": lambda a, b, c: (a + b) * c,
}
# What eager torch can write into a given tensor.
INTO: dict[str, Any] = {
    "sigmoid": torch.sigmoid,
    "exp": torch.exp,
    "tanh": torch.tanh,
    "log": torch.log,
    "log1p": torch.log1p,
    "erf": torch.erf,
    "softmax": lambda x, out: torch.softmax(x, 1, out=out),
    "hard_sigmoid": lambda x, out: torch.mul(x, 0.2, out=out).add_(0.5).clamp_(0, 1),
}


def make(w: wl.Workload, inputs: wl.Inputs, variant: str, compiled: bool = False) -> Case:
    """The case of a workload; variant "out": into a tensor that exists."""
    values = [torch.from_numpy(v) for v in inputs.values()]
    if w.group == "loops":
        raise UnsupportedError("no loop that is compiled as one")
    if w.out is None:
        return _step(w, values, compiled)
    function = FUNCTIONS[w.program]
    if variant == "default":
        f = torch.compile(function) if compiled else function
        return Case(_without_gradient(f, values), _arrays)
    if not w.out:
        raise UnsupportedError("the result is one number")
    out = torch.zeros(w.out, dtype=values[0].dtype)
    if compiled:
        into = torch.compile(lambda *a: a[-1].copy_(function(*a[:-1])))
        return Case(_without_gradient(into, [*values, out]), _arrays)
    if w.program not in INTO:
        raise UnsupportedError("several operations, each with a tensor of its own")
    eager = INTO[w.program]
    return Case(_without_gradient(lambda *a: eager(*a, out=out), values), _arrays)


def make_compiled(w: wl.Workload, inputs: wl.Inputs, variant: str) -> Case:
    """The same through torch.compile."""
    return make(w, inputs, variant, compiled=True)


def _without_gradient(f: Any, values: list[Any]) -> Any:
    def call() -> Any:
        with torch.no_grad():
            return f(*values)

    if values[0].numel() > 1000:
        return call
    # Entering no_grad costs as much as a small call; nothing here requires gradients anyway.
    return lambda: f(*values)


def _arrays(result: Any) -> Any:
    return [result.numpy()]


def logistic_step(w: Any, b: Any, x: Any, y: Any) -> Any:
    """Cross-entropies and predictions; gradients of the cost are left in w.grad and b.grad."""
    z = x @ w + b
    xent = functional.binary_cross_entropy_with_logits(z, y, reduction="none")
    return xent.mean() + wl.DECAY * (w**2).sum(), (z > 0, xent)


def perceptron_cost(*arguments: Any) -> Any:
    """The cost; parameters are weights and biases in turn, the last two arguments data."""
    *parameters, x, y = arguments
    h = x
    for k in range(0, len(parameters) - 2, 2):
        h = torch.tanh(h @ parameters[k] + parameters[k + 1])
    return functional.cross_entropy(h @ parameters[-2] + parameters[-1], y), ()


def training_step(cost: Any, state: list[Any], values: list[Any], rate: float) -> Any:
    """A step of gradient descent: cost, gradients, parameters updated in place."""
    value, others = cost(*state, *values)
    gradients = torch.autograd.grad(value, state)
    with torch.no_grad():
        for p, g in zip(state, gradients):  # noqa: B905  Python 3.9
            p.sub_(g, alpha=rate)
    return value, others


def _step(w: wl.Workload, values: list[Any], compiled: bool) -> Case:
    state = [torch.from_numpy(p).requires_grad_() for p in wl.parameters(w)]
    logistic = w.program == "logistic_step"
    cost, rate = (logistic_step, wl.RATE) if logistic else (perceptron_cost, wl.MLP_RATE)
    if compiled:
        cost = torch.compile(cost)
    return Case(
        lambda: training_step(cost, state, values, rate),
        lambda _: [p.detach().numpy().copy() for p in state],
    )
