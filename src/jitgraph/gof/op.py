"""The base class of ops."""

from __future__ import annotations

from jitgraph.extending.user_op import Op

__all__ = ["Op"]
