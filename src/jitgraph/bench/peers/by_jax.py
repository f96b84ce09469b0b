"""JAX: `jit`, float64 enabled, arrays on the CPU device; a call ends with block_until_ready."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import loops
from . import workloads as wl
from .case import Case, UnsupportedError

jax.config.update("jax_enable_x64", True)


def version() -> str:
    """Of JAX."""
    return str(jax.__version__)


def _ultra_fast_sigmoid(x: Any) -> Any:
    h = jnp.abs(x) * 0.5
    far = 0.935409070603099 + 0.0458812946797165 * (h - 1.7)
    y = jnp.where(h < 1.7, 1.5 * h / (1 + h), jnp.where(h < 3, far, 0.99505475368673))
    return 0.5 * (jnp.copysign(y, x) + 1)


def _crossentropy(x: Any, t: Any) -> Any:
    return jnp.mean(jax.nn.softplus(x) - t * x)


def _long(a: Any, b: Any, c: Any) -> Any:
    return jnp.tanh(a * b + c) * jnp.exp(-a * a) + (b - c) ** 2 / (1 + jnp.abs(a))


FUNCTIONS: dict[str, Any] = {
    "hard_sigmoid": lambda x: jnp.clip(0.2 * x + 0.5, 0, 1),
    "ultra_fast_sigmoid": _ultra_fast_sigmoid,
    "sigmoid": jax.nn.sigmoid,
    "exp": jnp.exp,
    "tanh": jnp.tanh,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "erf": jax.scipy.special.erf,
    "softplus": jax.nn.softplus,
    "long": _long,
    "mean_square": lambda a, b: jnp.mean((a - b) ** 2),
    "sum_sigmoid": lambda x: jnp.sum(jax.nn.sigmoid(x)),
    "crossentropy": _crossentropy,
    "softmax": lambda x: jax.nn.softmax(x, axis=1),
    "one_element": lambda x: jnp.exp(-x),
    "scalars": lambda a, b, c: (a + b) * c,
}


def make(w: wl.Workload, inputs: wl.Inputs, variant: str) -> Case:
    """The case of a workload; there is no variant "out"."""
    if variant == "out":
        raise UnsupportedError("JAX cannot write into a given array")
    # Copied into the device, as the arrays of a program that uses JAX are; freed with the case.
    values = [jax.device_put(v) for v in inputs.values()]
    if w.group == "loops":
        return _loop(w, values)
    if w.out is None:
        return _step(w, values)
    f = jax.jit(FUNCTIONS[w.program])
    return Case(lambda: f(*values).block_until_ready())


def _rnn(x: Any, h0: Any, W: Any) -> Any:
    def step(h: Any, x: Any) -> Any:
        h = jnp.tanh(W @ h + x)
        return h, h

    return jax.lax.scan(step, h0, x)[1]


def _ar1(e: Any, y0: Any, a: Any) -> Any:
    def step(y: Any, e: Any) -> Any:
        y = a * y + e
        return y, y

    return jax.lax.scan(step, y0, e)[1]


def machine_step(W: Any, c: Any, b: Any, key: Any, x: Any) -> Any:
    """New W, c, b and key of a Boltzmann machine."""

    def coins(key: Any, z: Any) -> Any:
        return jax.random.bernoulli(key, jax.nn.sigmoid(z)).astype(x.dtype)

    def gibbs(h: Any, key: Any) -> Any:
        down, up = jax.random.split(key)
        v = coins(down, h @ W.T + b)
        return coins(up, v @ W + c), v

    def cost(state: Any, v: Any) -> Any:
        W, c, b = state

        def free_energy(v: Any) -> Any:
            return -jax.nn.softplus(v @ W + c).sum(1) - v @ b

        return free_energy(x).mean() - free_energy(v).mean()

    key, first, *keys = jax.random.split(key, 2 + loops.CD_STEPS)
    _, v = jax.lax.scan(gibbs, coins(first, x @ W + c), jnp.stack(keys))
    slopes = jax.grad(cost)((W, c, b), v[-1])
    return *(p - loops.RATE * g for p, g in zip((W, c, b), slopes)), key  # noqa: B905


def _loop(w: wl.Workload, values: list[Any]) -> Case:
    if w.program == "cd15":
        state = [*(jax.device_put(p) for p in wl.parameters(w)), jax.random.PRNGKey(1)]
        step = jax.jit(machine_step)

        def call() -> Any:
            state[:] = jax.block_until_ready(step(*state, *values))
            return state

        return Case(call, lambda _: [np.asarray(p) for p in state[:3]])
    trace = _rnn if w.program.startswith("rnn") else _ar1
    if not w.program.endswith(loops.GRADIENT):
        f = jax.jit(trace)
        return Case(lambda: f(*values).block_until_ready())
    slope = jax.jit(jax.grad(lambda *v: (trace(*v) ** 2).sum(), argnums=(0, 1, 2)))
    return Case(
        lambda: jax.block_until_ready(slope(*values)), lambda found: [np.asarray(g) for g in found]
    )


def logistic_step(w: Any, b: Any, x: Any, y: Any) -> Any:
    """New (w, b), the predictions and the cross-entropies."""

    def cost(w: Any, b: Any) -> Any:
        z = x @ w + b
        xent = jax.nn.softplus(z) - y * z
        return xent.mean() + wl.DECAY * (w**2).sum(), (z > 0, xent)

    (gw, gb), (prediction, xent) = jax.grad(cost, argnums=(0, 1), has_aux=True)(w, b)
    return w - wl.RATE * gw, b - wl.RATE * gb, prediction, xent


def perceptron_step(*arguments: Any) -> Any:
    """New parameters (weights and biases in turn) and the cost; the last two arguments are data."""
    *parameters, x, y = arguments

    def cost(parameters: Any) -> Any:
        h = x
        for k in range(0, len(parameters) - 2, 2):
            h = jnp.tanh(h @ parameters[k] + parameters[k + 1])
        log_p = jax.nn.log_softmax(h @ parameters[-2] + parameters[-1])
        return -jnp.mean(log_p[jnp.arange(len(y)), y])

    value, gradients = jax.value_and_grad(cost)(parameters)
    steps = zip(parameters, gradients)  # noqa: B905  Python 3.9
    return (*(p - wl.MLP_RATE * g for p, g in steps), value)


def _step(w: wl.Workload, values: list[Any]) -> Case:
    state = [jax.device_put(p) for p in wl.parameters(w)]
    step = jax.jit(logistic_step if w.program == "logistic_step" else perceptron_step)

    def call() -> Any:
        result = jax.block_until_ready(step(*state, *values))
        state[:] = result[: len(state)]
        return result

    return Case(call, lambda _: [np.asarray(v) for v in state])
