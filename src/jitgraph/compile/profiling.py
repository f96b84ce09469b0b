"""The figures of functions that are measured."""

from __future__ import annotations

from jitgraph.profile_stats import ProfileStats

__all__ = ["ProfileStats"]
