"""The machine, the compiler and the versions in words, for reports."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from functools import cache
from typing import Any

from jitgraph.errors import JitgraphError
from jitgraph.runtime.toolchain import Toolchain, default_toolchain


def machine_facts() -> dict[str, Any]:
    """What a figure of a benchmark depends on; all values have a JSON form."""
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_bytes": physical_memory(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "huge_pages": _transparent_huge_pages(),
        "compiler": compiler_facts(),
        "versions": versions(),
    }


@cache
def cpu_model() -> str:
    """The processor's name as its maker writes it, or the architecture."""
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
            return subprocess.run(
                command, capture_output=True, text=True, timeout=10
            ).stdout.strip()
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return platform.machine()


def usable_cores() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def physical_memory() -> int:
    """Bytes of memory of the machine, 0 if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _transparent_huge_pages() -> str:
    try:
        with open("/sys/kernel/mm/transparent_hugepage/enabled", encoding="ascii") as file:
            return file.read().partition("[")[2].partition("]")[0]
    except OSError:
        return "unknown"


def versions() -> dict[str, str]:
    """Versions of what takes part in every computation."""
    import _cffi_backend
    import numpy

    import jitgraph

    return {
        "jitgraph": jitgraph.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "numpy": numpy.__version__,
        "cffi": _cffi_backend.__version__,
    }


def compiler_facts() -> dict[str, Any] | None:
    """Command, version, flags and instruction set of the compiler, None if there is none."""
    try:
        toolchain = default_toolchain()
    except JitgraphError:
        return None
    return {
        "command": list(toolchain.argv),
        "kind": toolchain.kind,
        "version": compiler_version(toolchain),
        "flags": list(toolchain.flags),
        "isa": toolchain.isa,
    }


def compiler_version(toolchain: Toolchain) -> str:
    """The first line that the compiler prints about itself, or why there is none."""
    try:
        done = subprocess.run(
            [*toolchain.argv, "--version"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"unknown ({error})"
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    if done.returncode or not lines:
        return f"unknown (exit status {done.returncode})"
    return "".join(c if c.isprintable() else "?" for c in lines[0])[:120]
