"""Ctrl-C and SIGTERM while a run measures: an exception, so that what is complete is shown."""

from __future__ import annotations

import contextlib
import signal
import time
from types import FrameType
from typing import Any


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM has arrived.

    name:   "SIGINT" or "SIGTERM"
    status: the exit code of a program that is ended by it
    """

    def __init__(self, number: int):
        self.name = signal.Signals(number).name
        self.status = exit_status(self.name)
        super().__init__(self.name)


def exit_status(name: str) -> int:
    """The exit code of a program that is ended by the signal of this name."""
    return 128 + int(signal.Signals[name])


class Interrupts:
    """Within `with`, SIGINT and SIGTERM raise `Interrupted` in the main thread.

    For GRACE seconds after one, others are ignored: the processes of the peers are ended and the
    figures written meanwhile, and a key that is held down must not cut them off. A signal that the
    program was told to ignore when it was started (as by nohup) stays ignored.
    """

    GRACE = 3.0
    NUMBERS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.last = -self.GRACE
        self.before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in self.NUMBERS:
            before = signal.getsignal(number)
            # None: a handler that is not Python's. Other threads than the main one cannot set any.
            if before not in (signal.SIG_IGN, None):
                with contextlib.suppress(ValueError):
                    signal.signal(number, self._handle)
                    self.before[number] = before
        return self

    def __exit__(self, *exc: object) -> None:
        for number, before in self.before.items():
            signal.signal(number, before)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if now - self.last >= self.GRACE:
            self.last = now
            raise Interrupted(number)
