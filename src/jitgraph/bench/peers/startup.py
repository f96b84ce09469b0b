"""One fresh process of the suite `compile`: import a peer, build a program, get the first result.

Prints one line of JSON: `done`, the monotonic clock at the first result (the parent knows when it
started this process; on Linux and macOS all processes have the same clock), `peak`, the largest
resident set in bytes, that of child processes such as compilers included, and the values found.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any

PROGRAMS = ("logistic", "mlp", "ops200", "ops10000")
SIZES = (784, 512, 256, 10)  # of the perceptron with three layers


def chain(x: Any, count: int, tanh: Any) -> Any:
    """`count` elementwise operations on x, different ones so that nothing folds away.

    Every fifth is a tanh, which keeps values within reach; and no factor exceeds 1.01 much, so
    that differences of rounding do not grow.
    """
    y = x
    for k in range(count):
        turn = k % 5
        if turn == 0:
            y = y * (1 + 1e-6 * k)
        elif turn == 1:
            y = y + x
        elif turn == 2:
            y = y - 0.5 / (k + 1)
        elif turn == 3:
            y = y * x
        else:
            y = tanh(y)
    return y


def _perceptron_parameters() -> list[Any]:
    import numpy as np

    rng = np.random.default_rng(3)
    result = []
    for k, rows in enumerate(SIZES[:-1]):
        columns = SIZES[k + 1]
        result += [rng.standard_normal((rows, columns)) * rows**-0.5, np.zeros(columns)]
    return result


def _data(program: str) -> tuple[Any, Any]:
    import numpy as np

    rng = np.random.default_rng(0)
    if program == "logistic":
        return rng.standard_normal((400, 784)), rng.integers(0, 2, 400).astype(float)
    if program == "mlp":
        return rng.standard_normal((128, SIZES[0])), rng.integers(0, SIZES[-1], 128)
    return np.linspace(-1, 1, 1000), None


def _weights() -> list[Any]:
    import numpy as np

    return [0.01 * np.random.default_rng(3).standard_normal(784), np.zeros(())]


def _ops(program: str) -> int:
    return int(program[3:])


# --- one function a peer: the cross-entropies, the cost, or the end of the chain -----------------


def by_numpy(program: str) -> Any:
    """The oracle, and the time to import NumPy."""
    import numpy as np

    x, y = _data(program)
    if program == "logistic":
        w, b = _weights()
        z = x @ w + b
        return np.logaddexp(0, z) - y * z
    if program == "mlp":
        h, p = x, _perceptron_parameters()
        for k in range(0, len(p) - 2, 2):
            h = np.tanh(h @ p[k] + p[k + 1])
        z = h @ p[-2] + p[-1]
        return (np.logaddexp.reduce(z, 1) - z[np.arange(len(y)), y]).mean()
    return chain(x, _ops(program), np.tanh)


def by_jitgraph(program: str) -> Any:
    """Builds and calls a function."""
    import jitgraph
    import jitgraph.tensor as T

    from . import by_jitgraph as peer

    x, y = _data(program)
    if program == "logistic":
        f, _ = peer.logistic_function(T.dmatrix("x"), T.dvector("y"), _weights())
        return f(x, y)[1]
    if program == "mlp":
        f, _ = peer.perceptron_function(T.dmatrix("x"), T.lvector("y"), _perceptron_parameters())
        return f(x, y)[0]
    v = T.dvector("x")
    return jitgraph.function([v], chain(v, _ops(program), T.tanh))(x)


def by_jax(program: str) -> Any:
    """`jit`; the persistent cache is used, as a program would that wants to start fast."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from . import by_jax as peer

    x, y = _data(program)
    if program == "logistic":
        return np.asarray(jax.jit(peer.logistic_step)(*_weights(), x, y)[3])
    if program == "mlp":
        return np.asarray(jax.jit(peer.perceptron_step)(*_perceptron_parameters(), x, y)[-1])
    count = _ops(program)
    return np.asarray(jax.jit(lambda v: chain(v, count, jnp.tanh))(x))


def by_torch(program: str) -> Any:
    """torch.compile."""
    import torch

    from . import by_torch as peer

    x, y = (None if v is None else torch.from_numpy(v) for v in _data(program))
    if program in ("logistic", "mlp"):
        first = _weights() if program == "logistic" else _perceptron_parameters()
        state = [torch.from_numpy(p).requires_grad_() for p in first]
        cost = peer.logistic_step if program == "logistic" else peer.perceptron_cost
        value, others = peer.training_step(torch.compile(cost), state, [x, y], 0.1)
        return (others[1] if others else value).detach().numpy()
    count = _ops(program)
    return torch.compile(lambda v: chain(v, count, torch.tanh))(x).numpy()


def by_pytensor(program: str, mode: Any = None) -> Any:
    """Builds and calls a function."""
    import pytensor
    import pytensor.tensor as pt

    from . import by_pytensor as peer

    x, y = _data(program)
    if program == "logistic":
        f, _ = peer.logistic_function(pt.dmatrix("x"), pt.dvector("y"), _weights(), mode)
        return f(x, y)[1]
    if program == "mlp":
        parameters = _perceptron_parameters()
        f, _ = peer.perceptron_function(pt.dmatrix("x"), pt.lvector("y"), parameters, mode)
        return f(x, y)[0]
    v = pt.dvector("x")
    return pytensor.function([v], chain(v, _ops(program), pt.tanh), mode=mode)(x)


def by_pytensor_c(program: str) -> Any:
    """The same through the C linker."""
    return by_pytensor(program, "CVM")


def by_numba(program: str) -> Any:
    """numba has no gradients; the step is written by hand."""
    from numba import njit

    from . import by_numpy as formulas
    from .case import UnsupportedError

    x, y = _data(program)
    if program == "logistic":
        w, b = _weights()
        return njit(formulas.logistic_step)(w, float(b), x, y)[3]
    if program == "mlp":
        raise UnsupportedError("numba has no gradients")
    count = _ops(program)
    source = f"from numpy import tanh\ndef f(x):\n    y = x\n{_chain_text(count)}    return y\n"
    return njit(_imported(source).f)(x)


def _imported(source: str) -> Any:
    """A module of this text."""
    import importlib.util
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.py"
        path.write_text(source, encoding="utf-8")
        spec = importlib.util.spec_from_file_location("chain", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def _chain_text(count: int) -> str:
    turns = ("y * {0!r}", "y + x", "y - {1!r}", "y * x", "tanh(y)")
    values = ((1 + 1e-6 * k, 0.5 / (k + 1)) for k in range(count))
    return "".join(f"    y = {turns[k % 5].format(*v)}\n" for k, v in enumerate(values))


PEERS = {
    "jitgraph": by_jitgraph,
    "NumPy": by_numpy,
    "numba": by_numba,
    "JAX": by_jax,
    "torch.compile": by_torch,
    "PyTensor": by_pytensor,
    "PyTensor C": by_pytensor_c,
}


def main(arguments: list[str]) -> None:
    """`startup PEER PROGRAM`."""
    peer, program = arguments
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    from .case import UnsupportedError

    answer: dict[str, Any] = {}
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 10_000))
    try:
        value = PEERS[peer](program)
        answer["done"] = time.monotonic()
        import numpy as np

        answer["values"] = np.asarray(value, np.float64).reshape(-1)[::37].tolist()
    except UnsupportedError as reason:
        answer = {"unsupported": str(reason)}
    except Exception as error:
        text = str(error).strip().splitlines() or [""]
        answer = {"failed": f"{type(error).__name__}: {text[0][:200]}"}
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = [resource.getrusage(w).ru_maxrss * unit for w in (0, -1)]  # SELF, CHILDREN
    answer["peak"] = max(peaks)
    out.write(json.dumps(answer) + "\n")
    out.flush()
    os._exit(0)  # what a library does at its end is not measured
