"""How contenders take turns, what is counted, what memory is seen, and the progress line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

from jitgraph.bench import measure as module
from jitgraph.bench.measure import Contender, Progress, Timing, available_memory, measure

X = np.linspace(-1, 1, 5000)


def contenders(log: list[str], names: str = "abc") -> list[Contender]:
    def make(name: str) -> Contender:
        def call(x: np.ndarray) -> np.ndarray:
            if x.size == X.size:
                log.append(name)
            return x + 1

        return Contender(name, "", 1, call)

    return [make(name) for name in names]


def test_contenders_take_turns_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORTEST", 0.0)  # one call a timing
    log: list[str] = []
    timings = measure(contenders(log), X, rounds=7)
    warm, counted = log[:6], log[6:]
    assert warm == ["a", "a", "b", "b", "c", "c"]
    rounds = ["".join(counted[k : k + 3]) for k in range(0, len(counted), 3)]
    assert len(rounds) == 7
    assert all(sorted(r) == ["a", "b", "c"] for r in rounds)
    assert len(set(rounds)) > 1  # not always in the same order
    assert all(len(t.seconds) == 7 and min(t.seconds) > 0 for t in timings)


def test_short_work_is_repeated_within_a_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHORTEST", 0.002)
    log: list[str] = []
    (timing,) = measure(contenders(log, "a"), X, rounds=2)
    assert timing.calls > 5
    assert len(log) == 2 + 2 * timing.calls
    assert timing.median < 0.002


def test_statistics_of_the_rounds() -> None:
    timing = Timing(contenders([], "a")[0], seconds=[5.0, 1.0, 2.0, 100.0, 3.0])
    assert timing.median == 3.0
    assert timing.mad == 2.0  # deviations 2, 2, 1, 97, 0


def test_a_contender_that_computes_something_else_is_caught() -> None:
    def cheat(x: np.ndarray) -> np.ndarray:
        return x + 1 if x.size < X.size else np.zeros_like(x)

    with pytest.raises(
        ArithmeticError, match="cheat: the result for 5,000 elements differs from that for 1,000"
    ):
        measure([Contender("cheat", "", 1, cheat)], X, rounds=1)


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit, usage = tmp_path / "max", tmp_path / "current"
    monkeypatch.setattr(module, "_GROUP_FILES", ((str(limit), str(usage)),))
    free = available_memory()
    assert 1 << 20 < free < 1 << 50
    limit.write_text("max\n")
    usage.write_text("123\n")
    assert available_memory() == pytest.approx(free, rel=0.5)
    limit.write_text("1000000\n")
    usage.write_text("400000\n")
    assert available_memory() == 600_000
    usage.write_text("2000000\n")
    assert available_memory() == 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_erases_itself_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("JITGRAPH_PROGRESS", raising=False)
    terminal = Terminal()
    with Progress(terminal) as progress:
        progress("round 1 of 5")
    text = terminal.getvalue()
    assert "\r\x1b[Kround 1 of 5 (0 s)" in text
    assert text.endswith("\r\x1b[K")
    assert "\n" not in text


def test_lines_that_stay_and_lines_too_long_for_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.delenv("JITGRAPH_PROGRESS", raising=False)
    terminal = Terminal()
    with Progress(terminal) as progress:
        progress("[1/2] something: round 1 of 5")
        progress.keep("[1/2] something: 5 ms")
    parts = terminal.getvalue().split("\r\x1b[K")
    assert parts == ["", "[1/2] something: ro", "[1/2] something: 5 ms\n", ""]


@pytest.mark.parametrize(("stream", "term"), [(io.StringIO(), "xterm"), (Terminal(), "dumb")])
def test_progress_elsewhere_is_a_line_for_each_stage(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, term: str
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("JITGRAPH_PROGRESS", raising=False)
    with Progress(stream) as progress:
        for text in ("input", "round 1 of 2: exp", "round 1 of 2: tanh", "round 2 of 2: exp"):
            progress(text)
        for text in ("[1/2] a 9x1: round 1 of 2", "[1/2] a 9x1: round 2 of 2", "[2/2] a 1x9: is"):
            progress(text)
    stages = ["input", "round 1 of 2: exp", "[1/2] a 9x1: round 1 of 2", "[2/2] a 1x9: is"]
    assert stream.getvalue() == "".join(f"{s} (0 s)\n" for s in stages)


def test_a_long_stage_is_heard_of_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JITGRAPH_PROGRESS", raising=False)
    stream = io.StringIO()
    progress = Progress(stream)
    progress("round 1 of 9")
    for _ in range(3):
        progress.started -= 0.6 * Progress.EVERY  # as if that had passed
        progress("round 2 of 9")
    assert stream.getvalue() == "round 1 of 9 (0 s)\nround 2 of 9 (12 s)\n"


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_progress_is_silent_if_asked(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> None:
    monkeypatch.setenv("JITGRAPH_PROGRESS", "0")
    with Progress(stream) as progress:
        progress("round 1 of 5")
        progress.keep("[1/5] 3 ms")
    assert stream.getvalue() == ""
