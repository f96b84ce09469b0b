"""Every program runs as compiled loops and by the reference evaluator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import jitgraph


@pytest.fixture(params=["FAST_RUN", "reference"])
def function(request: pytest.FixtureRequest) -> Callable[..., Any]:
    def make(inputs: Any, outputs: Any = None, **more: Any) -> Any:
        return jitgraph.function(inputs, outputs, mode=request.param, **more)

    return make
