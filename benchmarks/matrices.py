"""How fast are products of matrices, and two products with one matrix that is read once?

First products that are made here or by NumPy's BLAS, as csrc/jg_gemm.h decides, against NumPy's,
in 10⁹ operations per second. Then dot(x.T, tanh(dot(x, w))) as one function, which reads x once, as
two functions, each with a product, and by NumPy.

    python benchmarks/matrices.py [--threads 1] [--dtype float32]

NumPy's threads are those that its environment says: OPENBLAS_NUM_THREADS=1 beside --threads 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import common
import numpy as np

import jitgraph
import jitgraph.tensor as T

SIZES = ((128, 512, 784), (512, 512, 512), (1000, 1000, 1000), (3000, 3000, 3000))
SIZES += ((2000, 64, 2000), (20_000, 100, 100), (100, 20_000, 100), (100, 100, 20_000))
FORMS: dict[str, Callable[[Any, Any], Any]] = {
    "a b": lambda a, b: (a, b),
    "aᵀ b": lambda a, b: (a.T, b),
    "a bᵀ": lambda a, b: (a, b.T),
}
SWEPT = ((400, 784), (2_000, 100), (4_000, 784), (2_000, 8_000), (60_000, 784))


def rested(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds per call, in turns, each after a pause: after a call the threads of OpenBLAS go on
    waiting for work in a loop, and would disturb whoever comes next."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            time.sleep(0.05)
            call()
            started = time.perf_counter()
            count = 0
            while (spent := time.perf_counter() - started) < 0.02 or not count:
                call()
                count += 1
            if number:
                found[name].append(spent / count)
    return found


def products(dtype: str, rounds: int, rng: np.random.Generator) -> dict[str, Any]:
    """Products of all sizes in all forms."""
    figures: dict[str, Any] = {}
    rows = []
    a, b = (T.TensorType(dtype, (False, False))() for _ in range(2))
    functions = {form: jitgraph.function([a, b], T.dot(*of(a, b))) for form, of in FORMS.items()}
    for m, n, k in SIZES:
        x, y = (rng.standard_normal(s).astype(dtype) for s in ((m, k), (k, n)))
        row = [f"{m} × {k} × {n}"]
        for form, of in FORMS.items():
            given = [np.ascontiguousarray(v) for v in of(x, y)]
            mine = partial(functions[form], *given)
            common.expect(bool(np.allclose(mine(), x @ y, atol=1e-3)), True)
            calls = {"jitgraph": mine, "NumPy": partial(np.matmul, *of(*given))}
            times = rested(calls, rounds)
            speed = {name: 2e-9 * m * n * k / np.median(t) for name, t in times.items()}
            figures[f"{row[0]}, {form}"] = speed
            row.append(f"{speed['jitgraph']:.0f} / {speed['NumPy']:.0f}")
        rows.append(row)
    common.show(f"10⁹ operations per second, {dtype}: jitgraph / NumPy", ["", *FORMS], rows)
    return figures


def sweeps(dtype: str, rounds: int, rng: np.random.Generator) -> dict[str, Any]:
    """Two products with one matrix."""
    x, w, e = (T.TensorType(dtype, (False,) * n)() for n in (2, 1, 1))
    whole = jitgraph.function([x, w], T.dot(x.T, T.tanh(T.dot(x, w))))
    first = jitgraph.function([x, w], T.tanh(T.dot(x, w)))
    second = jitgraph.function([x, e], T.dot(x.T, e))
    figures: dict[str, Any] = {}
    rows = []
    for m, k in SWEPT:
        a = (rng.standard_normal((m, k)) / k).astype(dtype)
        v = rng.standard_normal(k).astype(dtype)

        def apart(a: np.ndarray = a, v: np.ndarray = v) -> Any:
            return second(a, first(a, v))

        def by_numpy(a: np.ndarray = a, v: np.ndarray = v) -> Any:
            return a.T @ np.tanh(a @ v)

        common.expect(bool(np.allclose(whole(a, v), by_numpy(), atol=1e-4)), True)
        calls = {"one reading": partial(whole, a, v), "two functions": apart, "NumPy": by_numpy}
        times = rested(calls, rounds)
        found = {name: common.summary([t * 1e6 for t in v]) for name, v in times.items()}
        figures[f"{m} × {k}"] = found
        medians = [f["median"] for f in found.values()]
        ratios = [f"{other / medians[0]:.2f}" for other in medians[1:]]
        rows.append([f"{m} × {k}", *(f"{t:.0f}" for t in medians), *ratios])
    head = ["x", "one reading, µs", "two functions, µs", "NumPy, µs", "two / one", "NumPy / one"]
    common.show(f"dot(x.T, tanh(dot(x, w))), {dtype}", head, rows)
    return figures


def main() -> None:
    parser = common.options(__doc__, rounds=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=("float64", "float32"), default="float64")
    arguments = parser.parse_args()
    jitgraph.set_num_threads(arguments.threads)
    rng = np.random.default_rng(1)
    figures = products(arguments.dtype, arguments.rounds, rng)
    figures |= sweeps(arguments.dtype, arguments.rounds, rng)
    common.write(arguments.json, "products, 10⁹ operations per second; sweeps, µs", figures)


if __name__ == "__main__":
    main()
