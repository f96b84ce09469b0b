"""How much longer does a loop take to compile than its body, and does the number of steps matter?

A recurrent network with tanh and an LSTM, each with the gradient of the sum of the squares of its
states with respect to all inputs: one step without a loop, a loop of 10 steps, a loop of 10,000.
Each in a fresh process with an empty cache.

LSTM: Hochreiter, Schmidhuber, Long short-term memory, 1997, with the forget gate of Gers,
Schmidhuber, Cummins, 2000.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from typing import Any

import common

HIDDEN, BATCH = 32, 16
MODELS = ("rnn", "lstm")
STEPS = (None, 10, 10_000)  # None: the body alone
STAGES = ("key", "rewrite", "plan", "emit", "cc", "load")
CHILD = "--child"


def outputs(model: str, steps: int | None) -> tuple[list[Any], list[Any]]:
    """Inputs, and [cost, gradients] of a model."""
    import jitgraph
    import jitgraph.tensor as T

    x, W, U = T.dtensor3("x"), T.dmatrix("W"), T.dmatrix("U")
    start = [T.dmatrix(name) for name in ("h0", "c0")[: 1 if model == "rnn" else 2]]

    def rnn(x: Any, h: Any, W: Any, U: Any) -> Any:
        return T.tanh(T.dot(x, W) + T.dot(h, U))

    def lstm(x: Any, h: Any, c: Any, W: Any, U: Any) -> Any:
        z = T.dot(x, W) + T.dot(h, U)
        i, f, o, g = (z[:, k * HIDDEN : (k + 1) * HIDDEN] for k in range(4))
        c = T.nnet.sigmoid(f) * c + T.nnet.sigmoid(i) * T.tanh(g)
        return [T.nnet.sigmoid(o) * T.tanh(c), c]

    step = rnn if model == "rnn" else lstm
    if steps is None:
        h = step(x[0], *start, W, U)
    else:
        h, _ = jitgraph.scan(step, x, start if len(start) > 1 else start[0], [W, U], steps)
    cost = T.sqr(h if model == "rnn" else h[0]).sum()
    inputs = [x, *start, W, U]
    return inputs, [cost, *T.grad(cost, inputs)]


def values(model: str, steps: int | None) -> list[Any]:
    """Arguments of the compiled function; small, so that states stay away from saturation."""
    import numpy as np

    rng = np.random.default_rng(0)
    gates = 1 if model == "rnn" else 4
    shapes = [(steps or 1, BATCH, HIDDEN), *[(BATCH, HIDDEN)] * (1 if model == "rnn" else 2)]
    shapes += [(HIDDEN, gates * HIDDEN)] * 2
    return [0.1 * rng.standard_normal(s) for s in shapes]


def child(model: str, steps: int | None) -> None:
    """Compile once and print the milliseconds of `function()` after the imports."""
    import numpy as np

    import jitgraph
    import jitgraph.tensor

    jitgraph.function  # noqa: B018  imported when it is first named; that is part of the imports
    symbols, results = outputs(model, steps)
    started = time.perf_counter()
    f = jitgraph.function(symbols, results)
    spent = (time.perf_counter() - started) * 1e3
    found = f(*values(model, steps))
    if not all(np.isfinite(v).all() for v in found):
        raise SystemExit("the function gives no numbers")
    print(json.dumps({"function": spent, "report": f.compile_report()}))


def main() -> None:
    if sys.argv[1:2] == [CHILD]:
        child(sys.argv[2], int(sys.argv[3]) or None)
        return
    arguments = common.options(__doc__, rounds=5).parse_args()
    cases = [(m, s) for m in MODELS for s in STEPS]
    found: dict[Any, dict[str, list[float]]] = {
        c: {stage: [] for stage in ("function", *STAGES)} for c in cases
    }
    order = random.Random(1)
    for number in range(arguments.rounds + 1):
        for model, steps in order.sample(cases, len(cases)):
            with tempfile.TemporaryDirectory() as cache:
                command = [__file__, CHILD, model, str(steps or 0)]
                answer = common.fresh(command, {"JITGRAPH_CACHE_DIR": cache})
            common.expect(answer["report"]["source"], "compiled")
            if number:
                for stage, seconds in found[model, steps].items():
                    seconds.append({**answer["report"], **answer}[stage])
    report(found, arguments.json)


def report(found: dict[Any, dict[str, list[float]]], path: str | None) -> None:
    """Print the table and write the file."""
    figures: dict[str, Any] = {}
    rows = []
    for (model, steps), stages in found.items():
        name = f"{model}, {'body alone' if steps is None else f'{steps:,} steps'}"
        figures[name] = {stage: common.summary(v) for stage, v in stages.items()}
        all_of_it = figures[name]["function"]
        ratio = all_of_it["median"] / common.summary(found[model, None]["function"])["median"]
        figures[name]["body alone = 1"] = ratio
        cells = [f"{figures[name][stage]['median']:.0f}" for stage in STAGES]
        mad = f"{all_of_it['mad']:.0f}"
        rows.append([name, f"{all_of_it['median']:.0f}", mad, f"{ratio:.2f}", *cells])
    head = ["with gradient", "ms", "± MAD", "body = 1", *STAGES]
    notes = "target: at most 1.5 times the body alone, the same for any number of steps"
    common.show("function() with an empty cache", head, rows, notes)
    common.write(path, "compilation of loops, ms", figures)


if __name__ == "__main__":
    main()
