"""Modes: which rewrites a function is compiled with, whether it runs as C or in NumPy, and how
accurate the C functions are.

A mode selects rewrites by tags: names of groups ('stabilize', 'fusion', 'fast_run', …) and of
single rules ('local_log1p', …). Names are Theano's; a tag that nothing has is ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from jitgraph.config import config

__all__ = ["Mode", "get_default_mode", "get_mode", "predefined_modes", "register_mode"]

# Who runs the program: generated C, or the NumPy evaluation of each node.
LINKERS = {
    "c": "c",
    "c|py": "c",
    "c|py_nogc": "c",
    "cvm": "c",
    "cvm_nogc": "c",
    "py": "reference",
    "vm": "reference",
    "vm_nogc": "reference",
    "reference": "reference",
}

# Theano's other names of sets that are the same here.
ALIASES = {
    "o1": "fast_compile",
    "o3": "fast_run",
    "o4": "fast_run",
    "fast_run_stable": "fast_run",
    "unsafe": "fast_run",
}
# The groups that each set of rewrites consists of.
OPTIMIZERS: dict[str, frozenset[str]] = {
    "None": frozenset(),
    "merge": frozenset({"merge"}),
    "fast_compile": frozenset({"fast_compile"}),
    "o2": frozenset({"fast_compile", "fusion"}),
    "fast_run": frozenset({"fast_run"}),
    "stabilize": frozenset({"merge", "ShapeOpt", "canonicalize", "stabilize"}),
}

# Two passes that are no rules of a graph: the union of equal nodes, and the fusion of loops.
MERGE = frozenset({"merge", "merge1", "merge2", "merge3", "fast_compile", "fast_run"})
FUSION = frozenset({"fusion", "elemwise_fusion", "local_elemwise_fusion", "fast_run"})


@dataclass(frozen=True)
class Mode:
    """`linker` (None: config.linker), a set of rewrites `optimizer` ('default': config.optimizer,
    None: no rewrites), the tags added, taken out and required, and the `accuracy` of compiled
    functions: 'exact', 'fast' or None (config.accuracy when a function is compiled).

    Aliases are resolved: `linker` is 'c' or 'reference' after construction. Raises KeyError for an
    unknown linker, optimizer or accuracy. Modes are values: the methods return new ones.
    """

    linker: str | None = None
    optimizer: str | None = "default"
    included: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    required: frozenset[str] = frozenset()
    accuracy: str | None = None

    def __post_init__(self) -> None:
        linker = config.linker if self.linker is None else self.linker
        optimizer = config.optimizer if self.optimizer == "default" else self.optimizer
        _require(linker, LINKERS, "linker")
        object.__setattr__(self, "linker", LINKERS[linker])
        name = "None" if optimizer is None else optimizer
        _require(name, {**OPTIMIZERS, **ALIASES}, "optimizer")
        object.__setattr__(self, "optimizer", ALIASES.get(name, name))
        if self.accuracy is not None:
            _require(self.accuracy, ("exact", "fast"), "accuracy")

    def including(self, *tags: str) -> Mode:
        """This mode with the rewrites that have one of `tags`, too."""
        return replace(self, included=self.included | set(tags))

    def excluding(self, *tags: str) -> Mode:
        """This mode without the rewrites that have one of `tags`; excluding is stronger."""
        return replace(self, excluded=self.excluded | set(tags))

    def requiring(self, *tags: str) -> Mode:
        """This mode with those of its rewrites only that have all of `tags`."""
        return replace(self, required=self.required | set(tags))

    def with_accuracy(self, accuracy: str | None) -> Mode:
        """This mode with functions like exp at most 1 ULP or so off ('exact'), or 4 ('fast')."""
        return replace(self, accuracy=accuracy)

    def clone(self, link_kwargs: Any = None, optimizer: Any = "", **kwargs: Any) -> Mode:
        """The same mode, with another set of rewrites if `optimizer` is given."""
        return self if optimizer == "" else replace(self, optimizer=optimizer)

    def compile(self, inputs: Any, outputs: Any, report: dict[str, Any]) -> Any:
        """The program of a mode that runs functions in its own way, None for the usual one."""
        return None

    # -- what it means --

    @property
    def groups(self) -> frozenset[str]:
        return OPTIMIZERS[self.optimizer or "None"]

    def selects(self, tags: frozenset[str]) -> bool:
        """Whether a rewrite with these tags belongs to the mode."""
        return (
            not tags.isdisjoint(self.groups | self.included)
            and tags.isdisjoint(self.excluded)
            and self.required <= tags
        )

    @property
    def merge(self) -> bool:
        """Whether equal nodes become one."""
        return self.selects(MERGE)

    @property
    def fusion(self) -> bool:
        """Whether elementwise functions that feed each other share one loop."""
        return self.selects(FUSION) and config.tensor.local_elemwise_fusion

    @property
    def fast(self) -> bool:
        """Whether compiled code calls the fast forms of functions."""
        return self.linker == "c" and (self.accuracy or config.accuracy) == "fast"

    def token(self) -> str:
        """The mode as text for cache keys: equal for modes that compile the same program."""
        facts: list[Any] = [self.linker, self.merge, self.fusion, self._rules_token()]
        facts.extend(["fast"] if self.fast else [])
        return json.dumps(facts, separators=(",", ":"))

    def _rules_token(self) -> str:
        """The set of rewrites: its name, or a digest of the selection where tags change it.

        Only modes with tags of their own load the rules for this.
        """
        if not (self.included or self.excluded or self.required):
            return "+".join(sorted(self.groups & {"fast_run", "fast_compile", "stabilize"}))
        from jitgraph.rewrite.pipeline import selected

        names = [r.name for r in selected(self)]
        plain = Mode(self.linker, self.optimizer)
        if names == [r.name for r in selected(plain)]:
            return plain._rules_token()
        return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]

    def __str__(self) -> str:
        parts = [f"{self.linker}, {self.optimizer}"]
        for word, tags in (
            ("including", self.included),
            ("excluding", self.excluded),
            ("requiring", self.required),
        ):
            parts.extend([f"{word} {', '.join(sorted(tags))}"] if tags else [])
        parts.extend([f"accuracy {self.accuracy}"] if self.accuracy else [])
        return f"Mode({'; '.join(parts)})"


def _require(name: Any, known: Collection[str], what: str) -> None:
    """KeyError unless `name` is one of `known`."""
    if not isinstance(name, str) or name not in known:
        raise KeyError(f"unknown {what} {name!r}; known are {', '.join(known)}")


FAST_RUN = Mode("cvm", "fast_run")
FAST_COMPILE = Mode("cvm", "fast_compile")

predefined_modes: dict[str, Mode] = {
    "FAST_RUN": FAST_RUN,
    "FAST_COMPILE": FAST_COMPILE,
    "reference": Mode("reference", None),
}


# Modes that are made, and whose module is loaded, when they are asked for by name.
_ON_DEMAND = {"debugmode": "DebugMode", "debug_mode": "DebugMode", "nanguardmode": "NanGuardMode"}


def register_mode(name: str, mode: Mode) -> None:
    """Make `mode` known to `function(mode=name)`. Raises ValueError if the name is taken."""
    if name == "Mode" or name in predefined_modes:
        raise ValueError(f"Mode name already taken: {name}")
    predefined_modes[name] = mode


def get_default_mode() -> Any:
    """The mode of `function(mode=None)`: config.mode with the flags optimizer_excluding,
    _including and _requiring, which act on no other mode."""
    mode = get_mode(config.mode)
    for method, flag in (
        ("excluding", config.optimizer_excluding),
        ("including", config.optimizer_including),
        ("requiring", config.optimizer_requiring),
    ):
        tags = [tag.strip() for tag in flag.split(":") if tag.strip()]
        if tags:
            mode = getattr(mode, method)(*tags)
    return mode


def get_mode(mode: Any) -> Any:
    """The mode that `mode` names: None (the default mode), a name, or a Mode, which is returned.

    'Mode' is made of config.linker and config.optimizer. The case of a name does not matter.
    Raises Exception for an unknown name, TypeError for anything else.
    """
    if mode is None:
        return get_default_mode()
    if isinstance(mode, Mode):
        return mode
    if not isinstance(mode, str):
        raise TypeError(
            f"a mode is a name ({', '.join(predefined_modes)}, …) or a Mode, not {mode!r} of "
            f"{type(mode)}"
        )
    if mode.lower() == "mode":
        return Mode()
    found = predefined_modes.get(mode)
    if found is None:
        found = {n.lower(): m for n, m in predefined_modes.items()}.get(mode.lower())
    if found is None and mode.lower() in _ON_DEMAND:
        from jitgraph import debugmodes

        found = getattr(debugmodes, _ON_DEMAND[mode.lower()])()
    if found is None:
        known = ", ".join(["Mode", *predefined_modes, *dict.fromkeys(_ON_DEMAND.values())])
        raise Exception(f"No predefined mode exist for string: {mode}. There are {known}")
    return found
