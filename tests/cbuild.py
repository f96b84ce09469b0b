"""Compile a piece of C for a test, with the flags of generated code, and load it."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import cffi

from jitgraph.runtime.toolchain import Toolchain, csrc_directory, find_toolchain


@cache
def toolchain() -> Toolchain:
    """The compiler of this machine."""
    return find_toolchain()


def build(
    source: str, cdef: str, directory: Path, *, name: str = "test", include: Path | None = None
) -> tuple[cffi.FFI, Any]:
    """Compile ``source`` to ``directory/name.so``; return (ffi, library) for ``cdef``.

    Headers come from ``include`` first, then from csrc/. Warnings are errors.
    """
    text, library = directory / f"{name}.c", directory / f"{name}.so"
    text.write_text(source)
    tools = toolchain()
    folders = [f"-I{folder}" for folder in (include, csrc_directory()) if folder is not None]
    subprocess.run(
        [
            *(*tools.argv, *tools.flags, "-Wall", "-Wextra", "-Werror", *folders),
            *(str(text), "-o", str(library), "-lm"),
        ],
        check=True,
    )
    ffi = cffi.FFI()
    ffi.cdef(cdef)
    return ffi, ffi.dlopen(str(library))
