"""What a peer's module gives for a workload."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


class UnsupportedError(Exception):
    """The peer has no way to do this; the message says why."""


def _as_arrays(result: Any) -> list[np.ndarray]:
    return [np.asarray(result)]


@dataclass
class Case:
    """call: does the work once, waits until it is done, returns the result
    arrays: the result as NumPy arrays, for the check
    """

    call: Callable[[], Any]
    arrays: Callable[[Any], list[np.ndarray]] = _as_arrays
