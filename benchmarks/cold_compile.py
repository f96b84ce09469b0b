"""How long does the first compilation of a training function take, and what takes the time?

The logistic regression of Theano's tutorial, each time in a fresh process with an empty cache.
The runs of the C compiler are counted by a script in its place, in a process of its own.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path

import common

CHILD = str(Path(__file__).with_name("compile_once.py"))
STAGES = ("function", "key", "rewrite", "plan", "emit", "cc", "load", "first call")


def compiler_runs() -> int:
    """How often the C compiler is started for one function."""
    from jitgraph.runtime.toolchain import default_toolchain

    real = default_toolchain().argv
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory, "runs")
        # The name tells the kind of compiler, so it stays the same.
        script = Path(directory, os.path.basename(real[0]))
        script.write_text(
            f'#!/bin/sh\necho run >> {shlex.quote(str(log))}\nexec {shlex.quote(real[0])} "$@"\n'
        )
        script.chmod(0o755)
        command = shlex.join([str(script), *real[1:]])
        common.fresh([CHILD], {"JITGRAPH_CC": command, "JITGRAPH_CACHE_DIR": f"{directory}/cache"})
        return len(log.read_text().splitlines())


def main() -> None:
    arguments = common.options(__doc__, rounds=7).parse_args()
    found: dict[str, list[float]] = {name: [] for name in STAGES}
    for number in range(arguments.rounds + 1):
        with tempfile.TemporaryDirectory() as cache:
            child = common.fresh([CHILD], {"JITGRAPH_CACHE_DIR": cache})
        common.expect(child["report"]["source"], "compiled")
        if number:
            for name in STAGES:
                found[name].append({**child["report"], **child}[name])
    figures = {name: common.summary(values) for name, values in found.items()}
    runs = compiler_runs()
    rows = [[n, f"{f['median']:.1f}", f"{f['mad']:.1f}"] for n, f in figures.items()]
    notes = f"compiler runs for the one function: {runs}; target for function: 500 ms"
    common.show("function() with an empty cache", ["stage", "ms", "± MAD"], rows, notes)
    common.write(arguments.json, "cold compilation, ms", {**figures, "compiler runs": runs})


if __name__ == "__main__":
    main()
