"""Modules that Theano keeps under `theano.sandbox`: the random streams `rng_mrg`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = ("rng_mrg",)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
