"""Constructors of tensor variables: T.matrix, T.dvector, T.iscalars and the rest."""

from __future__ import annotations

from typing import Any

from jitgraph import dtypes
from jitgraph.graph import TensorType, Variable, user_origin

_PATTERNS: dict[str, tuple[bool, ...]] = {
    "scalar": (),
    "vector": (False,),
    "matrix": (False, False),
    "row": (True, False),
    "col": (False, True),
} | {f"tensor{n}": (False,) * n for n in range(3, 8)}

_PREFIXES = {"b": "int8", "w": "int16", "i": "int32", "l": "int64", "f": "float32", "d": "float64"}
_UNSUPPORTED = {"c": "complex64", "z": "complex128"}
_PLURALS = {name: name + ("es" if name == "matrix" else "s") for name in _PATTERNS} | {
    "matrix": "matrices"
}


def tensor(
    dtype: Any = None, broadcastable: Any = None, name: str | None = None, **kwargs: Any
) -> Variable:
    """A variable of `dtype` whose axes are marked by `broadcastable` (True: length 1)."""
    if kwargs:
        raise TypeError(f"tensor() got unexpected arguments {', '.join(kwargs)}")
    return TensorType(dtype if dtype is not None else "floatX", broadcastable or ())(name)


def _constructor(label: str, pattern: tuple[bool, ...]) -> Any:
    def make(name: str | None = None, dtype: Any = None) -> Variable:
        return TensorType(dtype if dtype is not None else "floatX", pattern)(name)

    make.__name__ = label
    make.__doc__ = f"A {label} variable; dtype None is floatX at the time of the call."
    return make


def _several(make: Any, label: str) -> Any:
    def several(*names: Any) -> Any:
        if len(names) == 1:
            if isinstance(names[0], int):
                return [make() for _ in range(names[0])]
            names = tuple(names[0])
        made = []
        for name in names:
            variable = make(name)
            variable.origins = user_origin()
            made.append(variable)
        return made[0] if len(made) == 1 else made

    several.__name__ = label
    several.__doc__ = (
        f"Several variables: {label}('a', 'b') named, {label}(3) unnamed, {label}('foo') one for "
        "each letter. A single one is returned itself, unless asked for by number."
    )
    return several


def _namespace() -> dict[str, Any]:
    names: dict[str, Any] = {}
    for label, pattern in _PATTERNS.items():
        names[label] = _constructor(label, pattern)
        names[_PLURALS[label]] = _several(names[label], _PLURALS[label])
        for prefix, dtype in _PREFIXES.items():
            names[prefix + label] = TensorType(dtype, pattern)
            if prefix in "fdil":
                plural = prefix + _PLURALS[label]
                names[plural] = _several(names[prefix + label], plural)
    return names


CONSTRUCTORS = _namespace()


def unsupported_constructor(name: str) -> str | None:
    """The dtype of a constructor that jitgraph has no arrays for (T.zmatrix), or None."""
    if name[:1] in _UNSUPPORTED and (name[1:] in _PATTERNS or name[1:] in _PLURALS.values()):
        return _UNSUPPORTED[name[:1]]
    return None


def check_dtype(name: Any) -> str:
    return dtypes.check(name)
