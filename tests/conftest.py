"""Every test session has its own cache of compiled code, so none can see another's entries."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from typing import Any

import pytest

# Before anything imports jitgraph: the directory is read when the first function is compiled, and
# the processes that tests start inherit it.
_CACHE = tempfile.mkdtemp(prefix="jitgraph-tests-")
os.environ["JITGRAPH_CACHE_DIR"] = _CACHE
atexit.register(shutil.rmtree, _CACHE, ignore_errors=True)


def pytest_addoption(parser: Any) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite tests/golden/*.c with what the code generator emits now",
    )


@pytest.fixture
def changed_compiler(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function to call before rules, kernels or the code generator are changed.

    From then on nothing that was compiled is found, and what is compiled is not found by others.
    """

    def changed() -> None:
        digest = f"changed {uuid.uuid4()}"
        monkeypatch.setattr("jitgraph.compiling.code_digest", lambda: digest)

    return changed
