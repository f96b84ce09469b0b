"""One process of cold_compile.py and warm_start.py: compile the tutorial's training function, and
print as JSON the milliseconds of `function()` after the imports, with its report."""

from __future__ import annotations

import json
import time

import common


def main() -> None:
    import jitgraph
    import jitgraph.tensor

    _, arguments, data = common.tutorial()
    jitgraph.function  # noqa: B018  imported when it is first named; that is part of the imports
    started = time.perf_counter()
    train = jitgraph.function(**arguments)
    compiled = time.perf_counter()
    train(*data)
    called = time.perf_counter()
    figures = {
        "function": (compiled - started) * 1e3,
        "first call": (called - compiled) * 1e3,
        "report": train.compile_report(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
