"""What jitgraph is to reach, and whether a run shows it.

Ratios of one run only: time over that of the memory limit, of a loop written by hand in C or of the
own forward pass (lower is better), or the time of the fastest peer over jitgraph's (higher is
better).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jitgraph.bench.contest import Outcome

# program -> (must, aim) as multiples of the memory limit; aim None: the must is all
LIMITS: dict[str, tuple[float, float | None]] = {
    "hard_sigmoid": (1.15, 1.05),
    "ultra_fast_sigmoid": (1.15, 1.05),
    "sigmoid": (1.6, 1.2),
    "exp": (1.6, 1.2),
    "tanh": (1.6, 1.2),
    "log": (2.2, 1.5),
    "log1p": (2.2, 1.5),
    "erf": (2.2, 1.5),
    "softplus": (3.0, 2.0),
    "long": (1.8, 1.3),
    "mean_square": (1.1, 1.0),
    "sum_sigmoid": (2.0, 1.5),
    "crossentropy": (2.5, 1.7),
    "softmax": (2.0, 1.5),
}
# program -> times faster than the best peer's default call
PEERS: dict[str, tuple[float, float | None]] = {
    "sigmoid": (3.0, 5.0),
    "long": (2.0, None),
    "sum_sigmoid": (1.3, None),
    "crossentropy": (1.5, None),
    "softmax": (2.0, None),
    "logistic_step": (1.0, 1.5),
    "mlp_step": (1.0, 1.5),
}
# the same with a result array given on both sides
OUT: dict[str, tuple[float, float | None]] = {
    "sigmoid": (1.2, 1.4),
    "hard_sigmoid": (1.0, None),
    "ultra_fast_sigmoid": (1.0, None),
    "softmax": (1.2, None),
}
# program -> time over that of the loop written by hand in C, whichever of the two is faster
WRITTEN_BY_HAND: dict[str, tuple[float, float | None]] = {"rnn": (2.0, 1.2), "ar1": (1.5, 1.1)}
OVER_FORWARD = (4.0, 3.0)  # time of the gradient of a loop over that of its forward pass
# program -> times faster than the best of those that compile loops
LOOP_PEERS: dict[str, tuple[float, float | None]] = {
    "rnn": (1.0, None),
    "ar1": (1.0, None),
    "cd15": (1.0, None),
}
LOOP_COMPILERS = ("numba", "JAX", "PyTensor", "PyTensor C")
ONE_THREAD = 1.3  # times faster than the best peer, where memory does not limit both
AT_LIMIT = 1.15  # a time this close to the limit is limited by memory
CALL_SECONDS = 1.5e-6  # of programs in the suite overhead; the aim is NumPy's own expression


@dataclass(frozen=True)
class Verdict:
    """One target and what was found.

    at_most: whether lower figures are better
    grade:   "aim", "must" or "miss": the best that was reached
    """

    workload: str
    what: str
    found: float
    must: float
    aim: float | None
    at_most: bool
    note: str = ""

    @property
    def grade(self) -> str:
        sign = 1 if self.at_most else -1
        if sign * self.found > sign * self.must:
            return "miss"
        return "aim" if self.aim is None or sign * self.found <= sign * self.aim else "must"

    def as_json(self) -> dict[str, Any]:
        return {**self.__dict__, "grade": self.grade}


def verdicts(outcome: Outcome, threads: int) -> list[Verdict]:
    """The targets of a workload, as far as what they compare has been measured."""
    w = outcome.workload
    mine = outcome.result("jitgraph")
    if mine is None:
        return []
    if w.group == "overhead":
        numpy = outcome.result("NumPy")
        aim = numpy.median if numpy else None
        return [Verdict(w.name, "seconds a call", mine.median, CALL_SECONDS, aim, True)]
    if w.group == "loops":
        return _loop(outcome, mine.median)
    if threads == 1 and w.limit:
        return _one_thread(outcome, mine.median)
    found = []
    limit = outcome.result("limit")
    if limit is not None and w.program in LIMITS:
        must, aim = LIMITS[w.program]
        ratio = mine.median / limit.median
        found.append(Verdict(w.name, f"times the {w.limit} limit", ratio, must, aim, True))
    best = outcome.best("default")
    if best is not None and w.program in PEERS:
        must, aim = PEERS[w.program]
        what = "times the speed of the best, new"
        ratio = best.median / mine.median
        found.append(Verdict(w.name, what, ratio, must, aim, False, best.peer))
    return found + _given_result(outcome, mine.median)


def _given_result(outcome: Outcome, default: float) -> list[Verdict]:
    w, best = outcome.workload, outcome.best("out")
    if best is None or w.program not in OUT:
        return []
    must, aim = OUT[w.program]
    mine = outcome.result("jitgraph", "out")
    # The default call writes into memory that is there already, too.
    note = best.peer if mine is not None else f"{best.peer}; ours new"
    ratio = best.median / (mine.median if mine is not None else default)
    what = "times the speed of the best, given"
    return [Verdict(w.name, what, ratio, must, aim, False, note)]


def _loop(outcome: Outcome, mine: float) -> list[Verdict]:
    w, found = outcome.workload, []
    by_hand = [r for r in map(outcome.result, ("C", "C libmvec")) if r is not None]
    if by_hand and w.program in WRITTEN_BY_HAND:
        must, aim = WRITTEN_BY_HAND[w.program]
        best = min(by_hand, key=lambda r: r.median)
        ratio = mine / best.median
        found.append(Verdict(w.name, "times the loop in C", ratio, must, aim, True, best.peer))
    rivals = [r for r in map(outcome.result, LOOP_COMPILERS) if r is not None]
    if rivals and w.program in LOOP_PEERS:
        must, aim = LOOP_PEERS[w.program]
        best = min(rivals, key=lambda r: r.median)
        what, ratio = "times the speed of the best", best.median / mine
        found.append(Verdict(w.name, what, ratio, must, aim, False, best.peer))
    forward = outcome.result("jitgraph", "forward")
    if forward is not None:
        ratio = mine / forward.median
        found.append(Verdict(w.name, "times the forward pass", ratio, *OVER_FORWARD, True))
    return found


def _one_thread(outcome: Outcome, mine: float) -> list[Verdict]:
    w, best, limit = outcome.workload, outcome.best("default"), outcome.result("limit")
    if best is None:
        return []
    if limit is not None and max(best.median, mine) <= AT_LIMIT * limit.median:
        return []
    ratio = best.median / mine
    what = "times the speed of the best, 1 thread"
    return [Verdict(w.name, what, ratio, ONE_THREAD, None, False, best.peer)]
