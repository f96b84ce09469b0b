"""Kernels with known answers, and fresh interpreters, for the tests of the run time."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from jitgraph.runtime import toolchain
from jitgraph.runtime.toolchain import Toolchain

SEARCH_PATH = os.pathsep.join(
    [str(Path(toolchain.__file__).parents[2]), str(Path(__file__).parent)]
)


def exec_of(toolchain: Toolchain) -> str:
    """The line of a shell script that becomes the compiler, with the script's arguments."""
    return f'exec {shlex.join(toolchain.argv)} "$@"'


def kernel(number: int) -> str:
    """Return C whose jg_entry(s, ...) is s + number."""
    return (
        "#include <stdint.h>\n"
        '__attribute__((visibility("default"))) int64_t jg_entry(int64_t segment,\n'
        "    const void *host, intptr_t args, intptr_t outs, void *scratch, int64_t *info)\n"
        "{\n"
        "    (void)host, (void)args, (void)outs, (void)scratch, (void)info;\n"
        f"    return segment + {number};\n"
        "}\n"
    )


def run_python(code: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh interpreter that finds jitgraph and this module.

    Fails the test with the traceback if the process fails.
    """
    path = os.pathsep.join([SEARCH_PATH, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path, **env},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done
