"""The process of one peer: it answers one request a line, in JSON, until its input ends.

    {"do": "open", "workload": {...}}     make the inputs
    {"do": "prepare", "variant": "out"}   compile, run, check the result
    {"do": "time", "variant": "out"}      seconds of a call
    {"do": "park"}, {"do": "fill"}        give the inputs' memory back, have them again
    {"do": "close"}                       forget inputs and cases

The first line of the output says whether the peer is installed. What libraries print goes to
standard error.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import statistics
import sys
import time
import warnings
from typing import Any

# name -> (module of this folder, module it needs, name of the function that makes cases)
PEERS = {
    "limit": ("by_limits", "jitgraph", "make"),
    "C": ("by_c", "jitgraph", "make"),
    "C libmvec": ("by_c", "jitgraph", "make_vector"),
    "jitgraph": ("by_jitgraph", "jitgraph", "make"),
    "NumPy": ("by_numpy", "numpy", "make"),
    "numexpr": ("by_numexpr", "numexpr", "make"),
    "numba": ("by_numba", "numba", "make"),
    "JAX": ("by_jax", "jax", "make"),
    "torch": ("by_torch", "torch", "make"),
    "torch.compile": ("by_torch", "torch", "make_compiled"),
    "PyTensor": ("by_pytensor", "pytensor", "make"),
    "PyTensor C": ("by_pytensor", "pytensor", "make_c"),
}
# A timing shorter than this is repeated: clock and call cost a fraction of a microsecond.
SHORTEST = 0.02  # seconds
MOST_CALLS = 100_000
# Such a timing is divided: where another program has had the processor meanwhile, the mean of all
# calls would tell of that program, in most of the pieces it has not.
PIECES = 20


class Worker:
    """State of the process: the module of the peer, the open workload and its cases."""

    def __init__(self, peer: str, threads: int):
        module, needed, maker = PEERS[peer]
        importlib.import_module(needed)  # its absence is not ours
        self.module = importlib.import_module(f".{module}", __package__)
        self.make = getattr(self.module, maker)
        if hasattr(self.module, "start"):
            self.module.start(threads)
        self.close()

    def close(self) -> dict[str, Any]:
        """Free everything."""
        self.workload: Any = None
        self.inputs: dict[str, Any] = {}
        self.cases: dict[str, Any] = {}
        self.calls: dict[str, int] = {}
        gc.collect()
        if hasattr(self, "module") and hasattr(self.module, "release"):
            self.module.release()
        return {}

    def open(self, workload: dict[str, Any]) -> dict[str, Any]:
        """Make the inputs."""
        from . import workloads as wl

        shapes = tuple((k, tuple(s)) for k, s in workload["shapes"])
        out = None if workload["out"] is None else tuple(workload["out"])
        self.workload = wl.Workload(**{**workload, "shapes": shapes, "out": out})
        self.inputs = wl.make_inputs(self.workload)
        return {}

    def park(self) -> dict[str, Any]:
        """Give the memory of the inputs to the other processes; cases stay compiled."""
        from . import workloads as wl

        wl.park(self.inputs)
        if hasattr(self.module, "release"):
            self.module.release()
        return {}

    def fill(self) -> dict[str, Any]:
        """Have the inputs again."""
        from . import workloads as wl

        wl.fill(self.workload, self.inputs)
        return {}

    def prepare(self, variant: str) -> dict[str, Any]:
        """Compile and run once; the error of the result and the seconds until it was there.

        variant: "default"; "out", into an array that is given; "forward", the forward pass alone
        """
        from . import workloads as wl
        from .case import UnsupportedError

        started = time.perf_counter()
        try:
            w, into = self.workload, variant
            if variant == "forward":  # of a gradient: a workload of its own
                w, into = wl.forward(w), "default"
            case = self.make(w, self.inputs, into)
            result = case.call()
            seconds = time.perf_counter() - started
            checker = getattr(self.module, "check", wl.check)
            error = checker(w, self.inputs, case.arrays(result))
        except UnsupportedError as reason:
            return {"unsupported": str(reason)}
        except wl.WrongResultError as reason:
            return {"wrong": str(reason)}
        except MemoryError as reason:
            return {"failed": f"no memory: {reason}"}
        except Exception as reason:  # whatever a library throws concerns that library alone
            text = str(reason).strip().splitlines() or [""]
            return {"failed": f"{type(reason).__name__}: {text[0][:200]}"}
        del result
        self.cases[variant] = case
        return {"seconds": seconds, "error": error}

    def time(self, variant: str) -> dict[str, Any]:
        """Seconds of a call, after one that is not counted."""
        call = self.cases[variant].call
        spent = _seconds(call, 1)
        if variant not in self.calls:
            spent = _seconds(call, 1)
            if spent < SHORTEST / 10:
                spent = _seconds(call, 10)
            self.calls[variant] = max(1, min(MOST_CALLS, int(SHORTEST / max(spent, 1e-9))))
        return {"seconds": _seconds(call, self.calls[variant]), "calls": self.calls[variant]}


def _seconds(call: Any, calls: int) -> float:
    """Of one call; results are dropped at once, that of a single call after the clock."""
    if calls == 1:
        started = time.perf_counter()
        result = call()
        seconds = time.perf_counter() - started
        del result
        return seconds
    return median_of_pieces(call, calls)


def median_of_pieces(call: Any, calls: int) -> float:
    """Seconds of one of so many calls; results are dropped at once."""
    count, pieces = max(1, calls // PIECES), []
    for _ in range(min(PIECES, calls)):
        started = time.perf_counter()
        for _ in range(count):
            call()
        pieces.append((time.perf_counter() - started) / count)
    return statistics.median(pieces)


def main(arguments: list[str]) -> None:
    """`worker PEER THREADS`: answer requests on standard input."""
    peer, threads = arguments[0], int(arguments[1])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # prints of libraries must not mix with answers
    warnings.simplefilter("ignore")

    def answer(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    try:
        worker = Worker(peer, threads)
    except ImportError as error:
        answer({"missing": str(error)})
        return
    except Exception as error:
        answer({"missing": f"its import fails: {type(error).__name__}: {error}"})
        return
    import numpy as np

    answer({"version": worker.module.version(), "python": sys.version.split()[0]})
    gc.disable()
    with np.errstate(all="ignore"):
        for line in sys.stdin:
            request = json.loads(line)
            action = getattr(worker, request.pop("do"))
            answer(action(**request))
