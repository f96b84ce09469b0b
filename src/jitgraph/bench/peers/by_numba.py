"""numba: loops over the elements or rows, `njit(parallel=True)`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numba import njit, prange

from . import by_numpy
from . import workloads as wl
from .case import Case, UnsupportedError


def version() -> str:
    """Of numba."""
    return str(numba.__version__)


def start(threads: int) -> None:
    """Use so many threads."""
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))


def _scalar_functions(kind: Any) -> dict[str, Callable[..., Any]]:
    """One element of each formula; constants have the dtype, integers would make it float64."""
    zero, half, one, fifth = kind(0), kind(0.5), kind(1), kind(0.2)
    k15, k17, k3 = kind(1.5), kind(1.7), kind(3)
    start, slope, end = kind(0.935409070603099), kind(0.0458812946797165), kind(0.99505475368673)

    def hard_sigmoid(x: Any) -> Any:
        return min(max(fifth * x + half, zero), one)

    def ultra_fast_sigmoid(x: Any) -> Any:
        h = half * abs(x)
        y = k15 * h / (one + h) if h < k17 else (start + slope * (h - k17) if h < k3 else end)
        return half * ((y if x >= zero else -y) + one)

    def crossentropy(x: Any, t: Any) -> Any:
        p = one / (one + math.exp(-x))
        return -(t * math.log(p) + (one - t) * math.log(one - p))

    def long(a: Any, b: Any, c: Any) -> Any:
        d = b - c
        return math.tanh(a * b + c) * math.exp(-a * a) + d * d / (one + abs(a))

    return {
        "hard_sigmoid": hard_sigmoid,
        "ultra_fast_sigmoid": ultra_fast_sigmoid,
        "sigmoid": lambda x: one / (one + math.exp(-x)),
        "exp": lambda x: math.exp(x),
        "tanh": lambda x: math.tanh(x),
        "log": lambda x: math.log(x),
        "log1p": lambda x: math.log1p(x),
        "erf": lambda x: math.erf(x),
        "softplus": lambda x: math.log1p(math.exp(x)),
        "long": long,
        "mean_square": lambda a, b: (a - b) * (a - b),
        "sum_sigmoid": lambda x: one / (one + math.exp(-x)),
        "crossentropy": crossentropy,
    }


def make(w: wl.Workload, inputs: wl.Inputs, variant: str) -> Case:
    """The case of a workload; variant "out": into an array that exists."""
    values = list(inputs.values())
    if w.program in ("logistic_step", "mlp_step"):
        return _step(w, inputs)
    if w.group == "loops":
        return _loop(w, values)
    if w.group == "overhead":
        formula = by_numpy.FUNCTIONS[w.program]
        compiled = njit(formula)
        if w.program == "scalars":  # 0-d arrays are not what numba takes; scalars are
            values = [v[()] for v in values]
        return Case(lambda: compiled(*values))
    if w.program == "softmax":
        into = _softmax()
    else:
        scalar = njit(_scalar_functions(np.dtype(w.dtype).type)[w.program])
        if not w.out:
            return _reduction(w, scalar, values)
        into = _map(scalar, len(values))
    if variant == "out":
        out = np.zeros(w.out or (), w.dtype)
        return Case(lambda: into(*values, out))
    return Case(_fresh(into, values))


def _rnn() -> Any:
    # Sums of products in any order, or they would not be vector instructions.
    @njit(fastmath={"reassoc", "contract"})
    def rnn(x: Any, h0: Any, W: Any) -> Any:
        states = np.empty_like(x)
        h = h0
        for t in range(x.shape[0]):
            for i in range(h.size):
                z = x[t, i]
                for j in range(h.size):
                    z += W[i, j] * h[j]
                states[t, i] = math.tanh(z)
            h = states[t]
        return states

    return rnn


def _loop(w: wl.Workload, values: list[Any]) -> Case:
    if w.program not in ("rnn", "ar1"):
        raise UnsupportedError("no gradients")
    function = _rnn() if w.program == "rnn" else njit(by_numpy.ar1)
    values = [v[()] for v in values]  # scalars, not 0-d arrays
    return Case(lambda: function(*values))


def _fresh(into: Any, values: list[Any]) -> Callable[[], Any]:
    def call() -> Any:
        return into(*values, np.empty_like(values[0]))

    return call


def _map(scalar: Any, arity: int) -> Any:
    if arity == 1:

        @njit(parallel=True)
        def into(x: Any, out: Any) -> Any:
            for i in prange(x.size):
                out[i] = scalar(x[i])
            return out

        return into

    @njit(parallel=True)
    def into3(a: Any, b: Any, c: Any, out: Any) -> Any:
        for i in prange(a.size):
            out[i] = scalar(a[i], b[i], c[i])
        return out

    return into3


def _reduction(w: wl.Workload, scalar: Any, values: list[Any]) -> Case:
    divisor = 1 if w.program == "sum_sigmoid" else w.elements
    # Sums in any order, as every vectorised sum is.
    if len(values) == 1:

        @njit(parallel=True, fastmath={"reassoc", "contract"})
        def total(x: Any) -> Any:
            s = 0.0
            for i in prange(x.size):
                s += scalar(x[i])
            return s

    else:

        @njit(parallel=True, fastmath={"reassoc", "contract"})
        def total(a: Any, b: Any) -> Any:
            s = 0.0
            for i in prange(a.size):
                s += scalar(a[i], b[i])
            return s

    return Case(lambda: total(*values) / divisor)


def _softmax() -> Any:
    @njit(parallel=True, fastmath={"reassoc", "contract"})
    def into(x: Any, out: Any) -> Any:
        for i in prange(x.shape[0]):
            top = x[i, 0]
            for j in range(x.shape[1]):
                top = max(top, x[i, j])
            total = x[i, 0] - x[i, 0]
            for j in range(x.shape[1]):
                e = math.exp(x[i, j] - top)
                out[i, j] = e
                total += e
            for j in range(x.shape[1]):
                out[i, j] /= total
        return out

    return into


def _step(w: wl.Workload, inputs: wl.Inputs) -> Case:
    if w.program == "mlp_step":
        raise UnsupportedError("no gradients, and no indexing by two arrays")
    state: list[Any] = wl.parameters(w)
    state[1] = float(state[1])
    step = njit(by_numpy.logistic_step)
    x, y = inputs["x"], inputs["y"]

    def call() -> Any:
        result = step(state[0], state[1], x, y)
        state[:] = result[:2]
        return result

    return Case(call, lambda _: [np.asarray(v) for v in state])
