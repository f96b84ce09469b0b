"""NumPy as people write it: one operation after another, a new array for each. One thread."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import loops
from . import workloads as wl
from .case import Case, UnsupportedError


def version() -> str:
    """Of NumPy."""
    return np.__version__


def _erf() -> Any:
    try:
        from scipy.special import erf
    except ImportError:
        raise UnsupportedError("NumPy has no erf, and SciPy is not installed") from None
    return erf


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def _softmax(x: Any) -> Any:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def _crossentropy(x: Any, t: Any) -> Any:
    p = _sigmoid(x)
    return -(t * np.log(p) + (1 - t) * np.log(1 - p)).mean()


FUNCTIONS: dict[str, Any] = {
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1),
    "ultra_fast_sigmoid": wl.ultra_fast_sigmoid,
    "sigmoid": _sigmoid,
    "exp": np.exp,
    "tanh": np.tanh,
    "log": np.log,
    "log1p": np.log1p,
    "softplus": lambda x: np.log1p(np.exp(x)),
    "long": wl.FORMULAS["long"],
    "mean_square": lambda a, b: ((a - b) ** 2).mean(),
    "sum_sigmoid": lambda x: _sigmoid(x).sum(),
    "crossentropy": _crossentropy,
    "softmax": _softmax,
    "one_element": lambda x: np.exp(-x),
    "scalars": lambda a, b, c: (a + b) * c,
}
# Functions that NumPy has as they are can write into a given array.
UFUNCS = ("exp", "tanh", "log", "log1p")


def make(w: wl.Workload, inputs: wl.Inputs, variant: str) -> Case:
    """The case of a workload; variant "out": into an array that exists."""
    values = list(inputs.values())
    if w.group == "loops":
        return _loop(w, values)
    if w.program in ("logistic_step", "mlp_step"):
        return _step(w, inputs)
    function = _erf() if w.program == "erf" else FUNCTIONS[w.program]
    if variant == "default":
        return Case(lambda: function(*values))
    if w.program not in (*UFUNCS, "erf"):
        raise UnsupportedError("several operations, each with an array of its own")
    out = np.zeros(w.out or (), w.dtype)
    return Case(lambda: function(*values, out=out))


def _step(w: wl.Workload, inputs: wl.Inputs) -> Case:
    state = wl.parameters(w)
    step = logistic_step if w.program == "logistic_step" else mlp_step

    def call() -> Any:
        result = step(*state, *inputs.values())
        state[:] = result[: len(state)]
        return result

    return Case(call, lambda _: list(state))


def rnn(x: Any, h0: Any, W: Any) -> Any:
    """All h."""
    states = np.empty_like(x)
    h = h0
    for t in range(len(x)):
        h = np.tanh(W @ h + x[t])
        states[t] = h
    return states


def rnn_gradient(x: Any, h0: Any, W: Any) -> Any:
    """By hand."""
    h = rnn(x, h0, W)
    dx = np.empty_like(x)
    dW = np.zeros_like(W)
    back = np.zeros_like(h0)
    for k in range(len(x)):
        t = len(x) - 1 - k
        d = (2 * h[t] + back) * (1 - h[t] * h[t])
        dx[t] = d
        dW += np.outer(d, h[t - 1] if t > 0 else h0)
        back = W.T @ d
    return dx, back, dW


def ar1(e: Any, y0: Any, a: Any) -> Any:
    """All y."""
    states = np.empty_like(e)
    y = y0
    for t in range(len(e)):
        y = a * y + e[t]
        states[t] = y
    return states


def ar1_gradient(e: Any, y0: Any, a: Any) -> Any:
    """By hand."""
    y = ar1(e, y0, a)
    de = np.empty_like(e)
    d, da = 0 * a, 0 * a
    for k in range(len(e)):
        t = len(e) - 1 - k
        d = 2 * y[t] + a * d
        de[t] = d
        da += d * (y[t - 1] if t > 0 else y0)
    return de, a * d, da


LOOPS = {"rnn": rnn, "rnn_gradient": rnn_gradient, "ar1": ar1, "ar1_gradient": ar1_gradient}


def _loop(w: wl.Workload, values: list[Any]) -> Case:
    if w.program == "cd15":
        (x,) = values
        state, rng = wl.parameters(w), np.random.default_rng(1)

        def step() -> Any:
            slopes = loops.contrast(x, loops.gibbs(x, state, loops.CD_STEPS, rng), state)
            state[:] = [p - loops.RATE * g for p, g in zip(state, slopes)]  # noqa: B905
            return state

        return Case(step, list)
    function = LOOPS[w.program]
    values = [v[()] for v in values]  # scalars, not 0-d arrays
    return Case(lambda: function(*values), as_list)


def as_list(found: Any) -> list[Any]:
    """The arrays of a result or of several."""
    return [np.asarray(f) for f in (found if isinstance(found, tuple) else (found,))]


def logistic_step(w: Any, b: Any, x: Any, y: Any) -> Any:
    """New (w, b), the predictions and the cross-entropies."""
    p = 1 / (1 + np.exp(-(x @ w) - b))
    xent = -y * np.log(p) - (1 - y) * np.log(1 - p)
    error = (p - y) / len(y)
    return (
        w - wl.RATE * (x.T @ error + 2 * wl.DECAY * w),
        b - wl.RATE * error.sum(),
        p > 0.5,
        xent,
    )


def mlp_step(w1: Any, b1: Any, w2: Any, b2: Any, x: Any, y: Any) -> Any:
    """New (w1, b1, w2, b2) and the cost."""
    rows = np.arange(len(y))
    h = np.tanh(x @ w1 + b1)
    z = h @ w2 + b2
    e = np.exp(z - z.max(1, keepdims=True))
    p = e / e.sum(1, keepdims=True)
    cost = -np.log(p[rows, y]).mean()
    p[rows, y] -= 1
    p /= len(y)
    back = (p @ w2.T) * (1 - h * h)
    r = wl.MLP_RATE
    return (
        w1 - r * (x.T @ back),
        b1 - r * back.sum(0),
        w2 - r * (h.T @ p),
        b2 - r * p.sum(0),
        cost,
    )
