"""The base class of ops."""

from __future__ import annotations

from jitgraph.extending.user_op import Op
from jitgraph.test_values import get_test_value

__all__ = ["Op", "get_test_value"]
