"""The mode that calls a function at each node."""

from __future__ import annotations

from jitgraph.debugmodes import MonitorMode, detect_nan

__all__ = ["MonitorMode", "detect_nan"]
