"""Who takes turns with whom, what is done about wrong and lost peers, and the verdicts."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from jitgraph.bench import comparison, contest, crew, history, startup, targets
from jitgraph.bench.contest import Contest, Outcome, Result, memory_alone, memory_together
from jitgraph.bench.crew import Peer, PeerLostError
from jitgraph.bench.peers.workloads import Workload, suite
from jitgraph.bench.report import render, seconds, starts_line, workload_line
from jitgraph.inspect import CommandError

(SIGMOID,) = (w for w in suite("sigmoid", 1000, "float64") if w.program == "sigmoid")


class FakePeer:
    """Answers like a process; `log` has what all of them were asked, in order."""

    missing = ""

    def __init__(self, name: str, log: list[tuple[str, str]], **answers: Any):
        self.name, self.log, self.answers = name, log, answers
        self.process: Any = object()

    def ask(self, limit: float, do: str, **request: Any) -> dict[str, Any]:
        self.log.append((self.name, do))
        answer = self.answers.get(do)
        if isinstance(answer, Exception):
            raise answer
        if answer is not None:
            return dict(answer)
        return {
            "prepare": {"seconds": 1.0, "error": 2.0},
            "time": {"seconds": 0.5, "calls": 3},
        }.get(do, {})

    def end(self) -> None:
        self.process = None


def run(peers: list[FakePeer], rounds: int = 6, available: int = 0) -> Outcome:
    named: Any = {p.name: p for p in peers}
    return Contest(named, rounds, available, 10).run(SIGMOID)


def test_every_round_times_every_peer_in_a_changing_order() -> None:
    log: list[tuple[str, str]] = []
    outcome = run([FakePeer(n, log) for n in "abc"])
    assert outcome.together
    timed = [name for name, do in log if do == "time"]
    rounds = [timed[k : k + 6] for k in range(0, len(timed), 6)]  # two variants each
    assert len(rounds) == 6
    assert all(sorted(r) == ["a", "a", "b", "b", "c", "c"] for r in rounds)
    assert len({"".join(r) for r in rounds}) > 1
    assert all(len(r.seconds) == 6 for r in outcome.results)
    # All inputs are there before the first clock, and are closed after the last.
    assert max(k for k, (_, do) in enumerate(log) if do == "prepare") < log.index(("a", "time"))
    assert [do for _, do in log[-3:]] == ["close"] * 3


def test_without_memory_for_all_one_at_a_time_has_its_inputs() -> None:
    log: list[tuple[str, str]] = []
    outcome = run([FakePeer(n, log) for n in "ab"], rounds=2, available=1)
    assert not outcome.together
    full = 0
    for _, do in log:
        full += {"open": 1, "fill": 1, "park": -1}.get(do, 0)
        assert 0 <= full <= 1
        assert full == 1 or do not in ("prepare", "time")
    assert sum(do == "time" for _, do in log) == 2 * 2 * 2


def test_a_wrong_peer_is_reported_and_not_timed() -> None:
    log: list[tuple[str, str]] = []
    outcome = run([FakePeer("a", log), FakePeer("b", log, prepare={"wrong": "off by 1"})])
    assert ("b", "time") not in log
    assert {r.problem for r in outcome.results if r.peer == "b"} == {"wrong: off by 1"}
    assert outcome.result("b") is None
    assert outcome.result("a") is not None
    figures = contest.figures(outcome)
    assert [r["median_s"] for r in figures["results"] if r["peer"] == "b"] == [None, None]


def test_a_lost_peer_does_not_stop_the_others() -> None:
    log: list[tuple[str, str]] = []
    lost = FakePeer("b", log, time=PeerLostError("its process ended"))
    outcome = run([FakePeer("a", log), lost], rounds=3)
    assert outcome.result("a") is not None
    problems = {r.problem for r in outcome.results if r.peer == "b"}
    assert "failed: its process ended" in problems
    assert outcome.result("b") is None


def lost(hung: bool) -> PeerLostError:
    error = PeerLostError("no answer in 9 s")
    error.hung = hung
    return error


@pytest.mark.parametrize(("hung", "asked"), [(True, 1), (False, 2)])
def test_a_peer_that_hangs_is_not_given_another_such_wait(hung: bool, asked: int) -> None:
    log: list[tuple[str, str]] = []
    outcome = run([FakePeer("a", log), FakePeer("b", log, prepare=lost(hung))])
    assert log.count(("b", "prepare")) == asked  # two variants
    problems = [r.problem for r in outcome.results if r.peer == "b"]
    assert problems == ["failed: no answer in 9 s"] * 2
    assert ("b", "time") not in log


def test_a_peer_lost_again_and_again_is_given_up() -> None:
    log: list[tuple[str, str]] = []
    peers: Any = {"a": FakePeer("a", log), "b": FakePeer("b", log, time=lost(True))}
    several = Contest(peers, 2, 0, 10)
    outcomes = [several.run(SIGMOID) for _ in range(4)]
    assert log.count(("b", "open")) == contest.LOSSES == 2
    problems = [{r.problem for r in o.results if r.peer == "b"} for o in outcomes]
    given_up = "failed: given up, as it was lost in 2 workloads before"
    assert problems == [{"failed: no answer in 9 s"}] * 2 + [{given_up}] * 2
    assert all(o.result("a") is not None for o in outcomes)
    report = {"interrupted": None, "starts": []}
    found = [{**contest.figures(o), "name": n} for o, n in zip(outcomes, "wxyz", strict=True)]
    assert comparison.incomplete({**report, "workloads": found}) == [
        "b was not timed in w, x (failed: no answer in 9 s)",
        f"b was not timed in y, z ({given_up})",
    ]


# --- verdicts ------------------------------------------------------------------------------------


def outcome_of(w: Workload, **times: float) -> Outcome:
    results = []
    for key, value in times.items():
        peer, _, variant = key.partition("__")
        results.append(Result(peer, variant or "default", [value] * 5))
    return Outcome(w, results, True)


def test_grades_by_hand() -> None:
    found = targets.verdicts(
        outcome_of(SIGMOID, limit=1.0, jitgraph=1.5, torch=6.0, torch__out=1.9, NumPy=40.0), 2
    )
    by = {v.what: v for v in found}
    limit = by["times the copy limit"]
    assert (limit.found, limit.must, limit.aim, limit.grade) == (1.5, 1.6, 1.2, "must")
    best = by["times the speed of the best, new"]
    assert (best.found, best.note, best.grade) == (4.0, "torch", "must")
    given = by["times the speed of the best, given"]
    assert given.found == pytest.approx(1.9 / 1.5)
    assert (given.grade, given.note) == ("must", "torch; ours new")
    slow = targets.verdicts(outcome_of(SIGMOID, limit=1.0, jitgraph=1.7, torch=2.0), 2)
    assert [v.grade for v in slow] == ["miss", "miss"]
    fast = targets.verdicts(outcome_of(SIGMOID, limit=1.0, jitgraph=1.1, torch=9.0), 2)
    assert [v.grade for v in fast] == ["aim", "aim"]


def test_one_thread_counts_only_where_memory_does_not_limit_both() -> None:
    (found,) = targets.verdicts(outcome_of(SIGMOID, limit=1.0, jitgraph=2.0, torch=2.5), 1)
    assert (found.found, found.must, found.grade) == (1.25, 1.3, "miss")
    assert not targets.verdicts(outcome_of(SIGMOID, limit=1.0, jitgraph=1.1, torch=1.12), 1)
    assert not targets.verdicts(outcome_of(SIGMOID, limit=1.0, jitgraph=1.1), 1)


def test_a_target_for_every_formula() -> None:
    for name in ("sigmoid", "elementwise", "reductions", "softmax"):
        for w in suite(name, 1000, "float32"):
            assert targets.verdicts(outcome_of(w, limit=1.0, jitgraph=1.0), 2), w.name
    for w in suite("training", 1, "float64"):
        (v,) = targets.verdicts(outcome_of(w, jitgraph=1.0, JAX=1.2), 2)
        assert (v.grade, v.at_most) == ("must", False)
    for w in suite("overhead", 1, "float64"):
        (v,) = targets.verdicts(outcome_of(w, jitgraph=1.4e-6, NumPy=1.5e-6), 2)
        assert v.grade == "aim"


def test_verdicts_of_starts() -> None:
    def start(peer: str, program: str, state: str, value: float, peak: int = 0) -> startup.Start:
        return startup.Start(peer, program, state, [value] * 5, peak)

    found = startup.verdicts(
        [
            start("jitgraph", "logistic", "empty cache", 0.5),
            start("jitgraph", "logistic", "warm cache", 0.2),
            start("NumPy", "logistic", "empty cache", 0.12),
            start("jitgraph", "ops10000", "empty cache", 11, 2**29),
        ]
    )
    grades = {(v.workload, v.what): v.grade for v in found}
    assert grades == {
        ("logistic", "seconds, empty cache"): "must",
        ("logistic", "seconds, warm cache"): "must",
        ("logistic", "seconds over NumPy, warm cache"): "must",
        ("ops10000", "seconds, empty cache"): "miss",
        ("ops10000", "peak memory, GiB"): "aim",
    }


# --- processes -----------------------------------------------------------------------------------


def test_processes_that_cannot_start_or_do_not_speak_are_missing(tmp_path: Path) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 3\n")
    silent.chmod(0o755)
    pythons = {"NumPy": str(silent), "numba": "/no/such/python"}
    with crew.crew(["NumPy", "numba"], pythons, 1) as peers:
        assert peers["NumPy"].missing == "its process ended: no such thing"
        assert "No such file" in peers["numba"].missing


def test_a_peer_that_hangs_is_given_up_and_can_be_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = Peer("NumPy", sys.executable, 1, str(tmp_path))
    peer.greet()
    assert (peer.missing, peer.python) == ("", sys.version.split()[0])
    try:
        assert peer.process is not None
        peer.process.send_signal(signal.SIGSTOP)  # it cannot answer, however late this is asked
        send = peer._signal
        monkeypatch.setattr(peer, "_signal", lambda name: name == "SIGCONT" or send(name))
        with pytest.raises(PeerLostError, match="no answer in 0"):
            peer.ask(0, do="close")
        assert peer.process is None
        assert peer.ask(60, do="close") == {}
    finally:
        peer.end()


def test_every_process_is_told_the_number_of_threads() -> None:
    variables = crew.environment(3, own=True)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        assert variables[name] == "3"
    assert "openmp=True" in variables["PYTENSOR_FLAGS"]
    assert "openmp=False" in crew.environment(1, own=False)["PYTENSOR_FLAGS"]


# --- memory --------------------------------------------------------------------------------------


def test_the_refusal_names_bytes_and_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = comparison.Settings("elementwise", n=10**9, dtype="float64")
    needed = max(map(memory_alone, settings.workloads()))
    assert needed > 10**9 * 8 * 4  # three inputs and a result
    monkeypatch.setattr(comparison, "available_memory", lambda: needed)
    comparison.refuse_if_too_large(settings)
    monkeypatch.setattr(comparison, "available_memory", lambda: needed - 1)
    with pytest.raises(CommandError, match=rf"needs {needed:,} bytes .* fits is -n 9999999\d\d"):
        comparison.refuse_if_too_large(settings)
    monkeypatch.setattr(comparison, "available_memory", lambda: 1000)
    with pytest.raises(CommandError, match="Nothing fits"):
        comparison.refuse_if_too_large(settings)
    assert memory_together(SIGMOID, 9) > memory_together(SIGMOID, 2)


# --- names, history, text ------------------------------------------------------------------------


def test_names_of_peers() -> None:
    assert comparison.peer_names("all") == list(comparison.NAMES)
    assert comparison.peer_names("none") == []
    assert comparison.peer_names("jax, Torch.Compile") == ["JAX", "torch.compile"]
    with pytest.raises(ValueError, match="no peer is called 'jitgraph'"):
        comparison.peer_names("jitgraph")


def report(seconds_of_jitgraph: float, limit: float) -> dict[str, Any]:
    outcome = outcome_of(SIGMOID, limit=limit, jitgraph=seconds_of_jitgraph, NumPy=3.0)
    machine = {
        "cpu": "a",
        "cores": 2,
        "compiler": None,
        "system": "s",
        "versions": {"numpy": "2"},
    }
    return {
        "benchmark": "sigmoid",
        "n": 1000,
        "threads": 2,
        "rounds": 5,
        "load_before": 0.1,
        "machine": machine,
        "peers": {
            "NumPy": {"version": "2", "missing": ""},
            "numba": {"version": "", "missing": "No module named 'numba'"},
        },
        "workloads": [contest.figures(outcome)],
        "starts": [],
        "verdicts": [v.as_json() for v in targets.verdicts(outcome, 2)],
        "remarks": [],
        "incomplete": [],
    }


def test_two_runs_are_compared_relative_to_their_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "runs.jsonl")
    for name, value, limit in (("aaa1", 2.0, 1.0), ("bbb2", 3.0, 2.0), ("aaa9", 2.0, 1.0)):
        monkeypatch.setattr(history, "commit", lambda name=name: name)
        history.append(path, report(value, limit))
    runs = history.read(path)
    assert history.find(runs, "2")["commit"] == "bbb2"
    assert history.find(runs, "aaa")["commit"] == "aaa9"  # the latest that begins so
    with pytest.raises(CommandError, match="no run 'ccc'"):
        history.find(runs, "ccc")
    compared = history.compare(runs[0], runs[1])
    (row,) = compared["rows"]
    # Slower by the clock, but 1.5 times the limit instead of 2.
    assert (row["name"], row["compared"]) == ("sigmoid", "ratio")
    assert row["change"] == pytest.approx(-0.25)
    assert "-25%  faster" in history.render(compared)
    assert len(history.listing(runs).splitlines()) == 3
    assert "interrupted" not in history.render(compared) + history.listing(runs)
    runs[1]["report"]["interrupted"] = "SIGINT"
    assert history.listing(runs).count(", interrupted\n") == 1
    text = history.render(history.compare(runs[0], runs[1]))
    assert "CAREFUL: the second run was interrupted" in text
    runs[1]["report"]["machine"]["cpu"] = "b"
    assert "another machine or compiler: cpu" in history.render(history.compare(runs[0], runs[1]))


def test_a_history_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        history.read(str(tmp_path / "none"))
    (tmp_path / "text").write_text("hello\n")
    with pytest.raises(CommandError, match="is not a file of runs"):
        history.read(str(tmp_path / "text"))


def test_the_text_has_every_figure() -> None:
    text = render(report(1.3, 1.0))
    assert "not compared: numba: No module named 'numba'" in text
    (line,) = (s for s in text.splitlines() if s.startswith("  jitgraph"))
    assert line.split() == ["jitgraph", "new", "1.3", "s", "0%", "0.0", "1.30", "1.00"]
    assert "Targets: 2; 0 reach the aim, 1 miss what they must" in text
    assert "DO NOT RELY" not in text
    assert "NOT COMPLETE" not in text
    late = {**report(1.3, 1.0), "incomplete": ["interrupted", "b was not timed"]}
    assert "\nNOT COMPLETE: interrupted; b was not timed.\n" in render(late)
    assert max(map(len, text.splitlines())) <= 110
    assert [seconds(v) for v in (2.5, 0.0123, 4.56e-5, 7e-9)] == [
        "2.5 s",
        "12.3 ms",
        "45.6 µs",
        "7 ns",
    ]


def test_one_line_of_a_workload_and_of_starts() -> None:
    (w,) = report(1.3, 1.0)["workloads"]
    assert workload_line(w) == "sigmoid: jitgraph 1.3 s, 1.30 x copy, best peer NumPy 3 s"
    lost = [Result("jitgraph", "default"), Result("JAX", "default", problem="failed: it ended")]
    lost += [Result("JAX", "out", problem="failed: it ended")]
    lost += [Result("numba", "default", problem="unsupported: no erf")]
    alone = contest.figures(Outcome(SIGMOID, lost, True))
    assert workload_line(alone) == "sigmoid: jitgraph not timed, JAX not timed"
    times = {("jitgraph", 0): 0.5, ("jitgraph", 1): 0.1, ("JAX", 0): 0.6, ("NumPy", 0): 0.2}
    starts = [
        startup.figures(startup.Start(p, "ops200", startup.STATES[k], [t]))
        for (p, k), t in times.items()
    ]
    text = "200 elementwise operations: jitgraph 500 ms, empty cache, best peer JAX 600 ms"
    assert starts_line(starts) == text
