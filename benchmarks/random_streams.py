"""How fast are random numbers, against NumPy's generators of the same kind?

N uniform and N normal float64 from each kind of stream, with the same numbers by NumPy where it has
the generator: `RandomState` (bit for bit the same), `Generator(Philox)` (the same uniform numbers),
`Generator(SFC64)`, NumPy's fastest normals; and MRG31k3p written with NumPy's array operations.
The numbers that should be the same are compared before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import common
import numpy as np

import jitgraph
import jitgraph.tensor as T
from jitgraph.ops.mrg import draw_with_numpy
from jitgraph.random import PhiloxStreams
from jitgraph.sandbox.rng_mrg import MRG_RandomStreams
from jitgraph.tensor.shared_randomstreams import RandomStreams


def cases(n: int) -> dict[str, tuple[Callable[[], Any], str]]:
    """label -> (call, label of what it is compared with)."""
    state, philox = np.random.RandomState(7), np.random.Generator(np.random.Philox(7))
    sfc = np.random.Generator(np.random.SFC64(7))
    mrg = MRG_RandomStreams(7)
    uniform_mrg = mrg.uniform((n,))
    states = mrg.state_updates[0][0].get_value()

    def compiled(draw: Any) -> Callable[[], Any]:
        return jitgraph.function([], draw)

    fused = PhiloxStreams(7)
    return {
        "uniform | NumPy RandomState": (lambda: state.uniform(0.0, 1.0, n), ""),
        "uniform | RandomStreams": (
            compiled(RandomStreams(7).uniform((n,))),
            "uniform | NumPy RandomState",
        ),
        "uniform | NumPy Generator(Philox)": (lambda: philox.random(n), ""),
        "uniform | PhiloxStreams": (
            compiled(PhiloxStreams(7).uniform((n,))),
            "uniform | NumPy Generator(Philox)",
        ),
        "uniform | MRG with NumPy": (lambda: draw_with_numpy(states, n, "float64"), ""),
        "uniform | MRG_RandomStreams": (compiled(uniform_mrg), "uniform | MRG with NumPy"),
        "normal | NumPy RandomState": (lambda: state.standard_normal(n), ""),
        "normal | RandomStreams": (
            compiled(RandomStreams(7).normal((n,))),
            "normal | NumPy RandomState",
        ),
        "normal | NumPy Generator(SFC64)": (lambda: sfc.standard_normal(n), ""),
        "normal | PhiloxStreams": (
            compiled(PhiloxStreams(7).normal((n,))),
            "normal | NumPy Generator(SFC64)",
        ),
        "normal | MRG_RandomStreams": (
            compiled(MRG_RandomStreams(7).normal((n,))),
            "normal | NumPy Generator(SFC64)",
        ),
        "mean of exp(normal) | NumPy Generator(SFC64)": (
            lambda: np.exp(sfc.standard_normal(n)).mean(),
            "",
        ),
        "mean of exp(normal) | PhiloxStreams": (
            compiled(T.exp(fused.normal((n,))).mean()),
            "mean of exp(normal) | NumPy Generator(SFC64)",
        ),
    }


def check() -> None:
    """The numbers are those of the contenders."""
    n = 50_000
    u = jitgraph.function([], PhiloxStreams(7).uniform((n,)))()
    common.expect(bool((u == np.random.Generator(np.random.Philox(7)).random(n)).all()), True)
    streams = RandomStreams(7)
    draw = streams.uniform((n,))
    oracle = draw.rng.get_value()
    common.expect(bool((jitgraph.function([], draw)() == oracle.uniform(size=n)).all()), True)
    mrg = MRG_RandomStreams(7)
    draw = mrg.uniform((n,))
    expected = draw_with_numpy(mrg.state_updates[0][0].get_value(), n, "float64")[1]
    common.expect(bool((jitgraph.function([], draw)() == expected).all()), True)


def main() -> None:
    parser = common.options(__doc__, rounds=5)
    parser.add_argument("-n", type=float, default=1e7, help="numbers (default: 1e7)")
    parser.add_argument("--threads", type=int, help="of jitgraph")
    arguments = parser.parse_args()
    n = int(arguments.n)
    with jitgraph.num_threads(arguments.threads):
        check()
        threads = jitgraph.get_num_threads()
        table = cases(n)
        calls = {name: call for name, (call, _) in table.items()}
        found = common.take_turns(calls, arguments.rounds, shortest=0.0)
    figures = {name: common.summary(v) for name, v in found.items()}
    rows = []
    for name, (_, base) in table.items():
        seconds = figures[name]["median"]
        ratio = f"{figures[base]['median'] / seconds:.2f}" if base else "1"
        what, _, by = name.partition(" | ")
        rows.append([what, by, f"{seconds / n * 1e9:.3f}", ratio])
    head = ["numbers", "by", "ns each", "times as fast"]
    common.show(f"{n:,} float64, {threads} threads", head, rows)
    common.write(arguments.json, "seconds of random draws", {"n": n, **figures})


if __name__ == "__main__":
    main()
