"""What is gained by making an update `w - rate * dot(x.T, g)` as one product?

The product starts from a copy of w (or reads w, where jg_gemm.h makes it) instead of filling an
array of its own, which a loop then multiplies and takes from w. Each update is compiled with the
rewrite and without (`Mode().excluding("BlasOpt")`) and run on one thread, in float64 and float32.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import common
import numpy as np

import jitgraph
import jitgraph.tensor as T

SIZES = ((784, 512, 128), (512, 512, 64), (784, 500, 20), (784, 10, 600), (64, 64, 64))
MODES = {"one product": jitgraph.Mode(), "apart": jitgraph.Mode().excluding("BlasOpt")}


def update(dtype: str, start: np.ndarray, mode: Any) -> Any:
    x, g, rate = (T.TensorType(dtype, (False,) * n)() for n in (2, 2, 0))
    w = jitgraph.shared(start)
    return jitgraph.function([x, g, rate], updates=[(w, w - rate * T.dot(x.T, g))], mode=mode)


def main() -> None:
    arguments = common.options(__doc__, rounds=15).parse_args()
    jitgraph.set_num_threads(1)
    figures, rows = {}, []
    for dtype in ("float64", "float32"):
        for m, n, k in SIZES:
            rng = np.random.default_rng(1)
            start, x, g = (rng.normal(size=s).astype(dtype) for s in ((m, n), (k, m), (k, n)))
            rate = np.asarray(1e-3, dtype)
            made = {name: update(dtype, start, mode) for name, mode in MODES.items()}
            calls = {name: partial(f, x, g, rate) for name, f in made.items()}
            times = common.take_turns(calls, arguments.rounds)
            found = {name: common.summary([t * 1e6 for t in v]) for name, v in times.items()}
            case = f"{dtype}, {m} × {n}, {k} rows"
            figures[case] = found
            one, apart = (found[name]["median"] for name in MODES)
            rows.append([case, f"{one:.0f}", f"{apart:.0f}", f"{apart / one:.2f}"])
    common.show("w - rate * dot(x.T, g)", ["w", "one product, µs", "apart, µs", "ratio"], rows)
    common.write(arguments.json, "updates by products, µs", figures)


if __name__ == "__main__":
    main()
