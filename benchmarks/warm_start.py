"""How long does function() take when another process has compiled it before?

The training function of cold_compile.py in fresh processes; the cache holds its code alone, or
with 10,000 other entries beside it.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import common

CHILD = str(Path(__file__).with_name("compile_once.py"))
STAGES = ("function", "key", "lookup", "load", "first call")
OTHERS = 10_000


def fill(directory: str, number: int) -> None:
    """Publish this many other entries of 4 KiB."""
    from jitgraph.runtime.cache import DEFAULT_LIMIT
    from jitgraph.runtime.entry import Contents, encode
    from jitgraph.runtime.store import Store

    store = Store(directory, DEFAULT_LIMIT)
    for k in range(number):
        key = hashlib.sha256(str(k).encode()).hexdigest()
        store.publish(key, encode(key, Contents({}, "", bytes(4096))), {"graph": key})


def main() -> None:
    arguments = common.options(__doc__, rounds=11).parse_args()
    figures: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as alone, tempfile.TemporaryDirectory() as crowded:
        fill(crowded, OTHERS)
        caches = {"its entry alone": alone, f"with {OTHERS:,} others": crowded}
        found = {name: {stage: [] for stage in STAGES} for name in caches}
        for place in caches.values():
            common.fresh([CHILD], {"JITGRAPH_CACHE_DIR": place})
        for _ in range(arguments.rounds):
            for name, place in caches.items():
                child = common.fresh([CHILD], {"JITGRAPH_CACHE_DIR": place})
                common.expect(child["report"]["source"], "disk")
                for stage in STAGES:
                    found[name][stage].append({**child["report"], **child}[stage])
    figures = {
        name: {stage: common.summary(values) for stage, values in stages.items()}
        for name, stages in found.items()
    }
    rows = [
        [stage, *(f"{f[stage]['median']:.2f} ± {f[stage]['mad']:.2f}" for f in figures.values())]
        for stage in STAGES
    ]
    head = ["ms (median ± MAD)", *figures]
    common.show("function() with its code in the cache", head, rows, "target for function: 30 ms")
    common.write(arguments.json, "warm start, ms", figures)


if __name__ == "__main__":
    main()
