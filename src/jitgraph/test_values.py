"""Test values: example arrays on variables, computed along while a graph is built.

With `config.compute_test_value` other than 'off', every op that a program applies is also evaluated
on `tag.test_value` of its inputs, so that a wrong shape is an error at the line that wrote it.
Constants and shared variables bring their own value.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from jitgraph.config import config
from jitgraph.errors import MissingTestValueError
from jitgraph.graph import Apply, Constant, SharedVariable, Variable
from jitgraph.op import describe, here

__all__ = ["compute", "get_test_value"]


class _MissingError(Exception):
    """Values cannot be computed for want of that of `leaf`."""

    def __init__(self, leaf: Variable):
        super().__init__(leaf)
        self.leaf = leaf


def compute(node: Apply) -> None:
    """Put test values on the outputs of `node`, computing those of its inputs first if needed.

    A leaf without one is treated as config.compute_test_value says: 'raise' raises
    MissingTestValueError, 'warn' warns, 'ignore' leaves the outputs without value, 'pdb' opens the
    debugger. Errors of the computation itself (shapes, indices) are raised, with the line.
    """
    try:
        _compute(node)
    except _MissingError as missing:
        _answer(node, missing.leaf)


def _compute(node: Apply) -> None:
    stack = [node]
    while stack:
        top = stack[-1]
        pending = [v.owner for v in top.inputs if v.owner is not None and not _has_value(v)]
        if pending:
            stack.extend(dict.fromkeys(pending))
            continue
        stack.pop()
        if not all(_has_value(out) for out in top.outputs):
            _evaluate(top)


def _has_value(v: Variable) -> bool:
    return "test_value" in v.tag.__dict__


def _evaluate(node: Apply) -> None:
    from jitgraph.reference import check_stretching

    arrays = [_value(v) for v in node.inputs]
    try:
        check_stretching(node, arrays)
        with np.errstate(all="ignore"):
            results = node.op.evaluate(*arrays)
    except (ArithmeticError, AssertionError, IndexError, TypeError, ValueError) as error:
        shapes = ", ".join(
            f"{describe(v)}: {np.shape(a)}" for v, a in zip(node.inputs, arrays, strict=True)
        )
        error.add_note(f"while computing a test value of {node.op.name} ({shapes}){here()}")
        raise
    for out, result in zip(node.outputs, results, strict=True):
        out.tag.__dict__["test_value"] = result


def _value(v: Variable) -> Any:
    if _has_value(v):
        value = v.tag.__dict__["test_value"]
        convert = getattr(v.type, "filter", None) if v.owner is None else None
        return value if convert is None else convert(value)
    if isinstance(v, Constant):
        return v.data
    if isinstance(v, SharedVariable):
        return v.container.data
    raise _MissingError(v)


def _answer(node: Apply, leaf: Variable) -> None:
    choice = config.compute_test_value
    if choice == "ignore":
        return
    place = f"input {node.inputs.index(leaf)} ({leaf})" if leaf in node.inputs else f"{leaf}"
    message = (
        f"Cannot compute test value: {place} of {node.op.name} missing default value. "
        f"Give {describe(leaf)} one: x.tag.test_value = array{here()}"
    )
    if choice == "warn":
        warnings.warn(message, stacklevel=5)
    elif choice == "pdb":
        breakpoint()
    else:
        raise MissingTestValueError(message)


def get_test_value(v: Any) -> Any:
    """The test value of a variable, computed if need be; a number or array is its own.

    Raises MissingTestValueError if a leaf has none.
    """
    if not isinstance(v, Variable):
        return np.asarray(v)
    try:
        if v.owner is not None and not _has_value(v):
            _compute(v.owner)
        return _value(v)
    except _MissingError as missing:
        raise MissingTestValueError(
            f"{describe(missing.leaf)} has no test value: x.tag.test_value = array{here()}"
        ) from None
