"""Copies of graphs with substitutions, and ordered collections of updates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jitgraph.graph import Constant, SharedVariable, Variable, leaves, rebuild
from jitgraph.op import here


def clone(
    output: Any,
    replace: Any = None,
    strict: bool = True,
    share_inputs: bool = True,
    copy_inputs: bool | None = None,
) -> Any:
    """A copy of the graph of `output` (a variable or list) with variables replaced.

    `replace` is a dict or list of pairs {old: new}. With share_inputs=False the leaves that are
    neither constants nor shared values are new variables too. Raises TypeError if `strict` and
    a replacement has another type.
    """
    pairs = list(replace.items()) if isinstance(replace, Mapping) else list(replace or [])
    table: dict[Variable, Variable] = {}
    for old, new in pairs:
        if not isinstance(old, Variable):
            raise TypeError(f"clone replaces variables, got {old!r} of {type(old)}{here()}")
        if not isinstance(new, Variable):
            from jitgraph.ops.values import as_tensor_variable

            new = as_tensor_variable(new)
        if strict and old.type != new.type:
            raise TypeError(f"clone: {old} is {old.type}, its replacement {new.type}{here()}")
        table[old] = new
    outputs = list(output) if isinstance(output, (list, tuple)) else [output]
    if not (share_inputs if copy_inputs is None else copy_inputs):
        for leaf in leaves(outputs, stop=table):
            if leaf not in table and not isinstance(leaf, (Constant, SharedVariable)):
                table[leaf] = leaf.clone()
    result = rebuild(outputs, table)
    return result if isinstance(output, (list, tuple)) else result[0]


class OrderedUpdates(dict[Any, Any]):
    """A dict of updates whose keys are shared variables; `+` unites two of them.

    Raises TypeError for another key, KeyError('Collision') if both hold different expressions
    for one variable.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()
        for key, value in dict(*args, **kwargs).items():
            self[key] = value

    def __setitem__(self, key: Any, value: Any) -> None:
        if not isinstance(key, SharedVariable):
            raise TypeError(f"OrderedUpdates keys must inherit from SharedVariable, got {key!r}")
        super().__setitem__(key, value)

    def update(self, other: Any = None) -> None:  # type: ignore[override]
        for key, value in dict(other or {}).items():
            if key in self and self[key] is not value:
                raise KeyError("Collision", key)
            self[key] = value

    def __add__(self, other: Any) -> OrderedUpdates:
        result = OrderedUpdates(self)
        result.update(other)
        return result

    __radd__ = __add__
