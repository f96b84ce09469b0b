"""How much longer does a program start because it imports jitgraph?

Fresh processes take turns: import numpy, import numpy and jitgraph, import jitgraph.tensor. The
byte code of all of them has been written by a first run.
"""

from __future__ import annotations

import common

CASES = {
    "python": "pass",
    "numpy": "import numpy",
    "numpy, jitgraph": "import numpy, jitgraph",
    "numpy, jitgraph, jitgraph.tensor": "import numpy, jitgraph, jitgraph.tensor",
}
PROGRAM = "import time; t = time.perf_counter(); {}; print((time.perf_counter() - t) * 1e3)"


def main() -> None:
    arguments = common.options(__doc__, rounds=15).parse_args()

    def run(code: str) -> float:
        return float(common.fresh(["-c", PROGRAM.format(code)]))

    seconds: dict[str, list[float]] = {name: [] for name in CASES}
    for code in CASES.values():
        run(code)
    for _ in range(arguments.rounds):
        for name, code in CASES.items():
            seconds[name].append(run(code))
    figures = {name: common.summary(values) for name, values in seconds.items()}
    base = figures["numpy"]["median"]
    rows = [
        [name, f"{f['median']:.1f}", f"{f['mad']:.1f}", f"{f['median'] / base:.2f}"]
        for name, f in figures.items()
    ]
    head = ["imports, in a new process", "ms", "± MAD", "numpy = 1"]
    common.show("Time of import statements", head, rows)
    common.write(arguments.json, "import time, ms", figures)


if __name__ == "__main__":
    main()
