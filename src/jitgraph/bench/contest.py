"""Workloads in turns: every round times every peer once, all in one run."""

from __future__ import annotations

import dataclasses
import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from jitgraph.bench.crew import Peer, PeerLostError
from jitgraph.bench.peers.loops import GRADIENT
from jitgraph.bench.peers.workloads import Workload

VARIANTS = ("default", "out")
# Groups without a large result to be given, or where it costs nothing beside the loop.
ONE_VARIANT = ("reductions", "training", "loops", "overhead")
YARDSTICKS = ("limit", "C", "C libmvec")  # written by hand for the comparison: not rivals
BASE = 300 << 20  # bytes of a process that has imported its library, about
SHARE = 0.8  # of the available memory that all processes together may take
LOSSES = 2  # workloads in which a peer may be lost before it is given up


@dataclass
class Result:
    """One peer's figures for a workload: seconds per call, one number a round.

    problem: why there are none, "" if there are
    lost:    because the process of the peer has ended or hangs
    error:   of the result, in units of eps relative to the exact values
    first:   seconds to compile and run for the first time
    """

    peer: str
    variant: str
    seconds: list[float] = field(default_factory=list)
    calls: int = 1
    problem: str = ""
    error: float = 0.0
    first: float = 0.0
    lost: bool = False

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def mad(self) -> float:
        """Median of the absolute deviations from the median."""
        return statistics.median(abs(s - self.median) for s in self.seconds)


@dataclass
class Outcome:
    """The results for a workload. together: all processes held their inputs at the same time."""

    workload: Workload
    results: list[Result]
    together: bool

    def result(self, peer: str, variant: str = "default") -> Result | None:
        """The figures of a peer, None if there are none."""
        for r in self.results:
            if (r.peer, r.variant) == (peer, variant) and r.seconds:
                return r
        return None

    def best(self, variant: str) -> Result | None:
        """The fastest of the others."""
        others = [
            r
            for r in self.results
            if r.variant == variant and r.seconds and r.peer not in ("jitgraph", *YARDSTICKS)
        ]
        return min(others, key=lambda r: r.median, default=None)


# --- memory --------------------------------------------------------------------------------------


def memory_alone(w: Workload) -> int:
    """Bytes that the hungriest process needs while all others hold nothing."""
    # JAX copies its inputs; a result and a buffer for it, or the copy's and the pool's.
    scratch = w.scratch * w.elements * w.itemsize
    return 2 * w.bytes_in + max(2 * w.bytes_out, w.bytes_out + scratch) + BASE


def memory_together(w: Workload, processes: int) -> int:
    """Bytes that so many processes need, holding inputs and results, and one of them working."""
    # Held: the inputs and the array for results that are given, or the pool's block.
    held = w.bytes_in + w.bytes_out + BASE
    return processes * held + w.bytes_in + w.bytes_out + w.scratch * w.elements * w.itemsize


def variants(w: Workload) -> tuple[str, ...]:
    """What is timed of a workload: of the gradient of a loop its forward pass as well."""
    if w.program.endswith(GRADIENT):
        return ("default", "forward")
    return VARIANTS[: 1 if w.group in ONE_VARIANT else 2]


# --- turns ---------------------------------------------------------------------------------------


class Contest:
    """Peers that compete in one workload after another.

    A peer whose process ends or hangs has no figures in that workload and is started again for the
    next one; after LOSSES such workloads it is not asked any more, so that a run comes to its end.
    """

    def __init__(
        self,
        peers: dict[str, Peer],
        rounds: int,
        available: int,
        time_limit: float,
        progress: Callable[[str], None] = lambda text: None,
    ):
        self.peers = {k: p for k, p in peers.items() if not p.missing}
        self.rounds, self.available, self.time_limit = rounds, available, time_limit
        self.progress = progress
        self.losses = dict.fromkeys(self.peers, 0)

    def run(self, w: Workload) -> Outcome:
        """Every peer's result is checked before it is timed; a wrong one is not timed."""
        needed = memory_together(w, len(self.peers))
        together = not self.available or needed <= SHARE * self.available
        results = {name: self._prepare(peer, w, together) for name, peer in self.peers.items()}
        order = random.Random(1)
        names = list(results)
        for number in range(self.rounds):
            for name in order.sample(names, len(names)):
                self.progress(f"{w.name}: round {number + 1} of {self.rounds}, {name}")
                able = [r for r in results[name] if not r.problem]
                self._turn(self.peers[name], order.sample(able, len(able)), together)
        for name in names:
            self._close(self.peers[name])
            self.losses[name] += any(r.lost for r in results[name])
        return Outcome(w, [r for found in results.values() for r in found], together)

    def _prepare(self, peer: Peer, w: Workload, keep: bool) -> list[Result]:
        if self.losses[peer.name] >= LOSSES:
            problem = f"failed: given up, as it was lost in {LOSSES} workloads before"
            return [Result(peer.name, v, problem=problem) for v in variants(w)]
        found: list[Result] = []
        hung: PeerLostError | None = None
        for variant in variants(w):
            result = Result(peer.name, variant)
            self.progress(f"{w.name}: {peer.name} compiles and is checked")
            try:
                if hung is not None:  # it would do so again, for as long
                    raise hung
                if variant == VARIANTS[0] or peer.process is None:
                    self._open(peer, w)
                answer = peer.ask(self.time_limit, do="prepare", variant=variant)
            except PeerLostError as error:
                answer = {"failed": str(error)}
                result.lost, hung = True, error if error.hung else None
            for problem in ("unsupported", "wrong", "failed"):
                if problem in answer:
                    result.problem = f"{problem}: {answer[problem]}"
            result.first = answer.get("seconds", 0.0)
            result.error = answer.get("error") or 0.0
            found.append(result)
        if not keep and peer.process is not None:
            try:
                peer.ask(self.time_limit, do="park")
            except PeerLostError as error:
                _mark_lost(found, error)
        return found

    def _open(self, peer: Peer, w: Workload) -> None:
        peer.ask(self.time_limit, do="open", workload=dataclasses.asdict(w))

    def _close(self, peer: Peer) -> None:
        if peer.process is not None:
            try:
                peer.ask(self.time_limit, do="close")
            except PeerLostError:
                peer.end()  # the next workload starts it again

    def _turn(self, peer: Peer, able: list[Result], together: bool) -> None:
        if not able:
            return
        try:
            if not together:
                peer.ask(self.time_limit, do="fill")
            for result in able:
                answer = peer.ask(self.time_limit, do="time", variant=result.variant)
                result.seconds.append(answer["seconds"])
                result.calls = answer["calls"]
            if not together:
                peer.ask(self.time_limit, do="park")
        except PeerLostError as error:
            _mark_lost(able, error)


def _mark_lost(results: list[Result], error: PeerLostError) -> None:
    for result in results:
        result.problem, result.seconds, result.lost = f"failed: {error}", [], True


def figures(outcome: Outcome) -> dict[str, Any]:
    """An outcome in a JSON form. Times are seconds per call."""
    w = outcome.workload
    limit = outcome.result("limit")
    return {
        "name": w.name,
        "group": w.group,
        "formula": w.formula,
        "dtype": w.dtype,
        "shapes": {k: list(s) for k, s in w.shapes},
        "bytes_moved": w.bytes_moved,
        "limit": w.limit,
        "limit_s": limit.median if limit else None,
        "together": outcome.together,
        "results": [
            _result(
                r,
                w,
                limit,
                outcome.result("jitgraph", "forward" if r.variant == "forward" else "default"),
            )
            for r in outcome.results
            if r.peer not in YARDSTICKS or not r.problem.startswith("unsupported")
        ],
    }


def _result(r: Result, w: Workload, limit: Result | None, mine: Result | None) -> dict[str, Any]:
    timed = bool(r.seconds)
    return {
        "peer": r.peer,
        "variant": r.variant,
        "problem": r.problem,
        "seconds": r.seconds,
        "calls_per_timing": r.calls,
        "median_s": r.median if timed else None,
        "mad_s": r.mad if timed else None,
        "first_s": r.first,
        "error_eps": r.error,
        "gb_per_s": w.bytes_moved / r.median / 1e9 if timed and w.limit else None,
        "ratio_to_limit": r.median / limit.median if timed and limit else None,
        "ratio_to_jitgraph": r.median / mine.median if timed and mine else None,
    }
