"""What the benchmarks share: turns, medians, fresh processes, the table, the JSON file.

Contenders take turns: each round times every one of them once, in an order that changes, so that
whatever else the machine does meets all of them. The first round warms up and does not count.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jitgraph.bench.peers.worker import median_of_pieces

ROOT = Path(__file__).resolve().parents[1]


def options(doc: str, rounds: int) -> argparse.ArgumentParser:
    """The arguments every benchmark takes; `doc` is its docstring."""
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=rounds, help=f"default: {rounds}")
    parser.add_argument("--json", metavar="FILE", help="write the figures to FILE too")
    return parser


def take_turns(
    contenders: Mapping[str, Callable[[], Any]], rounds: int, shortest: float = 0.01
) -> dict[str, list[float]]:
    """Seconds per call of every contender, one number a round.

    A call faster than `shortest` seconds is repeated within one timing. What a call returns is
    dropped at once, as a program in a loop does.
    """
    calls = {}
    for name, call in contenders.items():
        median_of_pieces(call, 1)
        calls[name] = max(1, int(shortest / max(median_of_pieces(call, 3), 1e-9)))
    order, seconds = random.Random(1), {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds + 1):
        for name in order.sample(names, len(names)):
            spent = median_of_pieces(contenders[name], calls[name])
            if number:
                seconds[name].append(spent)
    return seconds


def fresh(arguments: Sequence[str], env: Mapping[str, str] | None = None) -> Any:
    """Run Python with these arguments in a new process; the JSON value that it prints."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("JITGRAPH_")}
    # With it, every import would compile its source text again.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**variables, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{sys.argv[0]}: {' '.join(arguments)} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def expect(found: Any, expected: Any) -> None:
    """End the program if what was measured is not what was meant."""
    if found != expected:
        raise SystemExit(f"{sys.argv[0]}: expected {expected!r}, found {found!r}")


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median, median absolute deviation from it, and all values."""
    median = statistics.median(values)
    mad = statistics.median(abs(v - median) for v in values)
    return {"median": median, "mad": mad, "values": list(values)}


def optional(name: str) -> Any:
    """The module of this name, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], notes: str = "") -> None:
    """Print the table, columns of numbers to the right, and the machine."""
    widths = [max(len(r[k]) for r in [head, *rows]) for k in range(len(head))]
    numbers = [all(r[k][:1].isdigit() for r in rows) for k in range(len(head))]
    print(title)
    for row in [head, ["-" * w for w in widths], *rows]:
        cells = zip(row, widths, numbers, strict=True)
        print("  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in cells).rstrip())
    if notes:
        print(notes)
    print(machine())


def machine() -> str:
    """The machine and the versions in one line, with the load when the benchmark ended."""
    from jitgraph.inspect.machine import machine_facts

    facts = machine_facts()
    compiler = facts["compiler"]["version"] if facts["compiler"] else "none"
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    load = f"; load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{facts['cpu']}, {facts['cores']} cores; {compiler}; {versions}{load}"


def write(path: str | None, question: str, figures: Mapping[str, Any]) -> None:
    """Write the figures with everything that they depend on."""
    if path is None:
        return
    from jitgraph.inspect.machine import machine_facts

    data = {"question": question, "machine": machine_facts(), "figures": figures}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.write("\n")


def tutorial() -> tuple[list[Any], dict[str, Any], tuple[Any, Any]]:
    """Theano's tutorial regression, 400 examples of 784 numbers: shared (w, b), the keyword
    arguments for `jitgraph.function`, and the data.

    Source: the chapter 'More examples' of Theano's tutorial.
    """
    import numpy as np

    import jitgraph
    import jitgraph.tensor as T

    rng = np.random.RandomState(0)
    data = rng.randn(400, 784), rng.randint(size=400, low=0, high=2).astype("float64")
    x, y = T.dmatrix("x"), T.dvector("y")
    w, b = jitgraph.shared(rng.randn(784), name="w"), jitgraph.shared(0.0, name="b")
    p_1 = 1 / (1 + T.exp(-T.dot(x, w) - b))
    xent = -y * T.log(p_1) - (1 - y) * T.log(1 - p_1)
    cost = xent.mean() + 0.01 * (w**2).sum()
    gw, gb = T.grad(cost, [w, b])
    arguments = {
        "inputs": [x, y],
        "outputs": [p_1 > 0.5, xent],
        "updates": ((w, w - 0.1 * gw), (b, b - 0.1 * gb)),
    }
    return [w, b], arguments, data
