"""C libraries of jitgraph's own: compiled when first needed, then found in the cache."""

from __future__ import annotations

from typing import Any


def own_library(source: str, purpose: str) -> Any:
    """The loaded library of a C file that may include the headers of csrc/.

    `purpose` is the mode in its key. Raises what a compilation raises.
    """
    from jitgraph.runtime.cache import default_cache, make_key
    from jitgraph.runtime.loader import load
    from jitgraph.runtime.toolchain import csrc_directory, default_toolchain, tree_digest

    toolchain = default_toolchain()
    parts = {
        "graph": source,
        "mode": purpose,
        "jitgraph": tree_digest(csrc_directory(), (".h", ".c")),
        "toolchain": toolchain.identity,
    }
    key = make_key(parts)
    entry = default_cache().get_or_build(key, parts, lambda: (source, {}), toolchain, {})
    return load(entry.object_bytes, entry.key)
