"""Compilers for the tests of the run time: the real one, and scripts in its place."""

from __future__ import annotations

import shlex
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness import kernel

from jitgraph.runtime import cache as cache_module
from jitgraph.runtime.toolchain import Toolchain, compile_shared, find_toolchain


@pytest.fixture(scope="session")
def toolchain() -> Toolchain:
    """The compiler of this machine."""
    return find_toolchain()


@pytest.fixture(scope="session")
def objects(toolchain: Toolchain) -> Callable[[int], bytes]:
    """A function n -> bytes of a library whose answer is s + n; each compiled once."""
    made: dict[int, bytes] = {}

    def get(number: int) -> bytes:
        if number not in made:
            with tempfile.TemporaryDirectory() as directory:
                made[number] = compile_shared(toolchain, kernel(number), directory)
        return made[number]

    return get


@pytest.fixture
def fake(tmp_path: Path, toolchain: Toolchain) -> Callable[..., Toolchain]:
    """A function shell script -> Toolchain that runs it in place of the compiler."""

    def make(script: str, *, name: str = "fakecc", timeout: float = 30.0) -> Toolchain:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return replace(toolchain, argv=(str(path),), timeout=timeout)

    return make


@pytest.fixture
def counting(
    tmp_path: Path, fake: Callable[..., Toolchain], objects: Callable[[int], bytes]
) -> tuple[Toolchain, Callable[[], int]]:
    """A compiler whose every output is the kernel s + 7, in 1 ms, and the count of its runs."""
    log, library = tmp_path / "runs", tmp_path / "seven.so"
    library.write_bytes(objects(7))
    script = f"echo run >> {shlex.quote(str(log))}; cp {shlex.quote(str(library))} kernel.so"

    def runs() -> int:
        return len(log.read_text().splitlines()) if log.exists() else 0

    return fake(script), runs


@pytest.fixture(autouse=True)
def _fresh_warnings() -> Iterator[None]:
    """Each test sees the first warning of a process."""
    before = set(cache_module._warned)
    cache_module._warned.clear()
    yield
    cache_module._warned.clear()
    cache_module._warned.update(before)
