"""How a worker of the comparison times a call."""

from __future__ import annotations

from typing import Any

import pytest

from jitgraph.bench.peers import worker


class Clock:
    """A clock that only the calls move, each by `usual` seconds, some by more."""

    def __init__(self, usual: float, slow: dict[int, float]):
        self.usual, self.slow, self.calls, self.now = usual, slow, 0, 0.0

    def __call__(self) -> None:
        self.now += self.slow.get(self.calls, self.usual)
        self.calls += 1


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Any:
    def measure(clock: Clock, calls: int) -> float:
        monkeypatch.setattr(worker.time, "perf_counter", lambda: clock.now)
        return worker._seconds(clock, calls)

    return measure


@pytest.mark.parametrize("calls", [1, 2, 19, 20, 21, 1000])
def test_a_steady_call(seconds: Any, calls: int) -> None:
    clock = Clock(0.25, {})
    assert seconds(clock, calls) == 0.25
    assert calls - worker.PIECES < clock.calls <= calls


def test_another_program_that_has_the_processor_for_some_time(seconds: Any) -> None:
    """The mean of all calls would be 2.25 s, and 1.24 s."""
    assert seconds(Clock(0.25, {3: 1000.0, 77: 1000.0}), 1000) == 0.25
    assert seconds(Clock(0.25, {5: 20.0}), 20) == 0.25


def test_what_is_slow_most_of_the_time_is_slow(seconds: Any) -> None:
    assert seconds(Clock(0.25, {k: 2.0 for k in range(600)}), 1000) == 2.0
