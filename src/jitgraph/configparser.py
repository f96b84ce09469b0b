"""The configuration, under the module name that Theano gives it."""

from __future__ import annotations

from jitgraph.config import Config, change_flags, config

__all__ = ["Config", "change_flags", "config"]
