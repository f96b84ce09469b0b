"""Compile a piece of C for a test, with the flags of generated code, and load it."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cffi

from jitgraph.runtime.toolchain import compile_shared, find_toolchain

# As in the package, libraries stay loaded: where zig has no C run time but its own, unloading does
# not take back what a library asked to be called at a fork.
_kept: list[Any] = []


def build(
    source: str,
    cdef: str,
    directory: Path,
    *,
    name: str = "test",
    include: Path | None = None,
    target: str = "native",
) -> tuple[cffi.FFI, Any]:
    """Compile ``source`` to ``directory/name.so``; return (ffi, library) for ``cdef``.

    Headers come from ``include`` first, then from csrc/. Warnings are errors. ``target`` is the
    instruction set: "native", or a level that this machine has.
    """
    tools = find_toolchain(target=target)
    folder = () if include is None else (f"-I{include}",)
    tools = replace(tools, flags=(*tools.flags, "-Wall", "-Wextra", "-Werror", *folder))
    library = directory / f"{name}.so"
    with tempfile.TemporaryDirectory() as workdir:
        library.write_bytes(compile_shared(tools, source, workdir))
    ffi = cffi.FFI()
    ffi.cdef(cdef)
    lib = ffi.dlopen(str(library))
    _kept.append(lib)
    return ffi, lib
