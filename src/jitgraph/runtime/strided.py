"""The C functions that read arguments in any order: compiled once, loaded when needed."""

from __future__ import annotations

import os
from typing import Any

from jitgraph.errors import JitgraphError
from jitgraph.runtime._abi import ffi
from jitgraph.runtime.loader import host

# Bytes of arguments that are not in C order from which these functions are loaded for them. NumPy
# copies less than that in the time it takes to find them on disk.
SMALLEST_STRIDED = 1 << 20

_refused = False


def attach_strided() -> bool:
    """Let kernels call `csrc/jg_strided.c` through `host().strided`; tell whether they can.

    They cannot where the library is not in the cache and there is no compiler; that is found out
    once.
    """
    global _refused
    if host().strided or _refused:
        return bool(host().strided)
    try:
        library = _library()
    except JitgraphError:
        _refused = True
        return False
    info = ffi.new("int64_t[1]")
    library.jg_entry(0, host(), 0, 0, ffi.NULL, info)
    host().strided = info[0]
    return True


def _library() -> Any:
    from jitgraph.runtime.library import own_library
    from jitgraph.runtime.toolchain import csrc_directory

    with open(os.path.join(csrc_directory(), "jg_strided.c"), encoding="utf-8") as file:
        return own_library(file.read(), "arguments in any order")
