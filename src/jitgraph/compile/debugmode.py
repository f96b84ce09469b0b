"""The mode that compares, and what it may find."""

from __future__ import annotations

from jitgraph.debugmodes import DebugMode
from jitgraph.errors import BadOptimization, BadThunkOutput, DebugModeError, InvalidValueError

__all__ = [
    "BadOptimization",
    "BadThunkOutput",
    "DebugMode",
    "DebugModeError",
    "InvalidValueError",
]
