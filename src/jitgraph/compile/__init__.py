"""Compilation, under the module names that Theano gives it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_NAMES = {
    "jitgraph.callable": ("Function",),
    "jitgraph.debugmodes": ("DebugMode", "MonitorMode", "NanGuardMode"),
    "jitgraph.errors": ("AliasedMemoryError", "UnusedInputError"),
    "jitgraph.extending.from_function": ("as_op",),
    "jitgraph.extending.from_graph": ("OpFromGraph",),
    "jitgraph.function_io": ("In", "Out"),
    "jitgraph.functions": ("function",),
    "jitgraph.graph": ("SharedVariable",),
    "jitgraph.mode": (
        "FAST_COMPILE",
        "FAST_RUN",
        "Mode",
        "get_default_mode",
        "get_mode",
        "predefined_modes",
        "register_mode",
    ),
    "jitgraph.profile_stats": ("ProfileStats",),
    "jitgraph.tensor.sharing": ("shared", "shared_constructor"),
}
_WHERE = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = (
    "builders",
    "debugmode",
    "function_module",
    "io",
    "mode",
    "monitormode",
    "nanguardmode",
    "ops",
    "pfunc",
    "profiling",
    "sharedvalue",
)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        return getattr(import_module(_WHERE[name]), name)
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE, *_MODULES})
