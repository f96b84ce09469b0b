"""`jitgraph bench compile`: how long a program waits for its first result, in fresh processes.

Each peer gets a cache directory of its own: empty for the cold start, then the same again. A first
process per peer, not counted, has the files of the peer itself read into memory.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jitgraph.bench.crew import OWN, command, environment
from jitgraph.bench.peers.startup import PEERS, PROGRAMS
from jitgraph.bench.peers.worker import PEERS as WORKERS
from jitgraph.bench.targets import Verdict

TITLES = {
    "logistic": "logistic regression, training function",
    "mlp": "perceptron of three layers with gradients",
    "ops200": "200 elementwise operations",
    "ops10000": "10,000 elementwise operations",
}
ONLY_JITGRAPH = ("ops10000",)
STATES = ("empty cache", "warm cache")
# (program, state) -> (must, aim) in seconds
SECONDS: dict[tuple[str, str], tuple[float, float | None]] = {
    ("logistic", "empty cache"): (0.6, 0.3),
    ("logistic", "warm cache"): (0.3, 0.15),
    ("ops200", "empty cache"): (1.0, None),
    ("ops10000", "empty cache"): (10.0, None),
}
OVER_NUMPY = (0.1, 0.05)  # seconds of a warm start beyond importing NumPy
PEAK = 1 << 30  # bytes, of the 10,000 operations


@dataclass
class Start:
    """Seconds from the start of the process to the first result, and the peak memory in bytes."""

    peer: str
    program: str
    state: str
    seconds: list[float] = field(default_factory=list)
    peak: int = 0
    problem: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def mad(self) -> float:
        """Median of the absolute deviations from the median."""
        return statistics.median(abs(s - self.median) for s in self.seconds)


def measure(
    names: Sequence[str],
    interpreters: Mapping[str, str],
    threads: int,
    rounds: int,
    time_limit: float,
    progress: Callable[[str], None] = lambda text: None,
) -> Iterator[list[Start]]:
    """One program after the other, all peers in turns, cold and warm.

    A failure ends that peer's program.
    """
    peers = [n for n in names if n in PEERS and _installed(n, interpreters)]
    for program in PROGRAMS:
        starts = {n: [Start(n, program, s) for s in _states(n, program)] for n in peers}
        exact = _process("NumPy", program, sys.executable, threads, None, time_limit)
        for number in range(rounds + 1):
            for name, states in starts.items():
                if not states or any(s.problem for s in states):
                    continue
                text = f"round {number} of {rounds}" if number else "warming up"
                progress(f"{TITLES[program]}: {text}, {name}")
                interpreter = interpreters.get(name, sys.executable)
                _one_round(states, interpreter, threads, time_limit, exact, number > 0)
        yield [s for states in starts.values() for s in states]


def _states(name: str, program: str) -> tuple[str, ...]:
    """In which states of its cache a peer starts a program; NumPy has no cache."""
    if name == "NumPy":
        return STATES[:1] if program == "logistic" else ()
    return STATES if name == "jitgraph" or program not in ONLY_JITGRAPH else ()


def _installed(name: str, interpreters: Mapping[str, str]) -> bool:
    return name in interpreters or importlib.util.find_spec(WORKERS[name][1]) is not None


def _one_round(
    states: list[Start],
    interpreter: str,
    threads: int,
    limit: float,
    exact: dict[str, Any],
    counts: bool,
) -> None:
    with tempfile.TemporaryDirectory(prefix="jitgraph-bench-") as cache:
        for start in states:
            answer = _process(start.peer, start.program, interpreter, threads, cache, limit)
            problem = _problem(answer, exact)
            if problem:
                for s in states:
                    s.problem = problem
                return
            if counts:
                start.seconds.append(answer["seconds"])
            start.peak = max(start.peak, answer["peak"])


def _problem(answer: dict[str, Any], exact: dict[str, Any]) -> str:
    """Why a process does not count, "" if it does."""
    for key in ("unsupported", "failed"):
        if key in answer:
            return f"{key}: {answer[key]}"
    if "failed" in exact:
        return f"failed: no values of NumPy to compare with: {exact['failed']}"
    same = _close(answer["values"], exact["values"])
    return "" if same else "wrong: the result differs from NumPy's"


def _close(found: Sequence[float], exact: Sequence[float]) -> bool:
    pairs = zip(found, exact, strict=True)
    return len(found) == len(exact) and all(
        math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-9) for a, b in pairs
    )


def _process(
    peer: str, program: str, interpreter: str, threads: int, cache: str | None, limit: float
) -> dict[str, Any]:
    """What a fresh process prints, with `seconds` from its start."""
    variables = environment(threads, peer in OWN)
    if cache is not None:
        variables.update(caches(cache, variables))
    started = time.monotonic()
    process = subprocess.Popen(
        command(interpreter, "startup", peer, program),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=variables,
        cwd=cache,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _end(process)
        return {"failed": f"no result in {limit:g} s"}
    finally:
        _end(process)
    if not out.strip():
        return {"failed": f"exit status {process.returncode}"}
    answer: dict[str, Any] = json.loads(out.splitlines()[-1])
    if "done" in answer:
        answer["seconds"] = answer["done"] - started
    return answer


def _end(process: subprocess.Popen[str]) -> None:
    """The process and what it has started (torch has compile workers)."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def caches(directory: str, variables: Mapping[str, str]) -> dict[str, str]:
    """Variables that put the caches of all peers below `directory`."""
    flags = [variables.get("PYTENSOR_FLAGS", ""), f"base_compiledir={directory}/pytensor"]
    return {
        "JITGRAPH_CACHE_DIR": f"{directory}/jitgraph",
        "PYTENSOR_FLAGS": ",".join(f for f in flags if f),
        "TORCHINDUCTOR_CACHE_DIR": f"{directory}/inductor",
        "TRITON_CACHE_DIR": f"{directory}/triton",
        "JAX_COMPILATION_CACHE_DIR": f"{directory}/jax",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "NUMBA_CACHE_DIR": f"{directory}/numba",
    }


# --- report --------------------------------------------------------------------------------------


def verdicts(starts: Sequence[Start]) -> list[Verdict]:
    """The targets of starting and compiling."""
    mine = {(s.program, s.state): s for s in starts if s.peer == "jitgraph" and s.seconds}
    found = []
    for (program, state), (must, aim) in SECONDS.items():
        if (program, state) in mine:
            seconds = mine[program, state].median
            found.append(Verdict(program, f"seconds, {state}", seconds, must, aim, True))
    numpy = next((s for s in starts if s.peer == "NumPy" and s.seconds), None)
    warm = mine.get(("logistic", STATES[1]))
    if numpy is not None and warm is not None:
        over = warm.median - numpy.median
        what = "seconds over NumPy, warm cache"
        found.append(Verdict("logistic", what, over, *OVER_NUMPY, True))
    large = mine.get(("ops10000", STATES[0]))
    if large is not None:
        gib = large.peak / 2**30
        found.append(Verdict("ops10000", "peak memory, GiB", gib, PEAK / 2**30, None, True))
    return found


def figures(start: Start) -> dict[str, Any]:
    """In a JSON form; times in seconds, memory in bytes."""
    timed = bool(start.seconds)
    return {
        "peer": start.peer,
        "program": start.program,
        "state": start.state,
        "problem": start.problem,
        "seconds": start.seconds,
        "median_s": start.median if timed else None,
        "mad_s": start.mad if timed else None,
        "peak_bytes": start.peak,
    }
