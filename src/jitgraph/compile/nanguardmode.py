"""The mode that looks for nan, infinities and large values."""

from __future__ import annotations

from jitgraph.debugmodes import NanGuardMode

__all__ = ["NanGuardMode"]
