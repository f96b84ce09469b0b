"""`ifelse`: one of two expressions, chosen by a scalar when the function runs."""

from __future__ import annotations

from typing import Any

from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.ifelse import IfElse, common_type
from jitgraph.ops.values import as_tensor_variable

__all__ = ["IfElse", "ifelse"]


def ifelse(condition: Any, then_branch: Any, else_branch: Any, name: str | None = None) -> Any:
    """`then_branch` if `condition` is not zero, else `else_branch`.

    condition: a 0-d number of any dtype. Branches: a variable, or lists or tuples of equal
    length; the result has the form of `then_branch`. Values have the same dtypes and numbers of
    axes; only what both branches mark as length 1 is marked in the result. `jitgraph.tensor.switch`
    chooses element by element instead, and computes both sides. `name` is for messages.

    Raises TypeError for a condition with axes and for branches of different types, ValueError
    for branches of different lengths.
    """
    choice = as_tensor_variable(condition)
    if choice.type.ndim:
        raise TypeError(f"ifelse: the condition must be a scalar, got {describe(choice)}{here()}")
    firsts, seconds = _as_list(then_branch), _as_list(else_branch)
    if len(firsts) != len(seconds):
        raise ValueError(
            f"ifelse: the branches have different lengths, {len(firsts)} and {len(seconds)}{here()}"
        )
    if not firsts:
        return type(then_branch)()
    pairs = [common_type(a, b) for a, b in zip(firsts, seconds, strict=True)]
    op = IfElse(len(pairs), name or "")
    made = op(choice, *(a for a, _ in pairs), *(b for _, b in pairs))
    results = made if isinstance(made, list) else [made]
    if isinstance(then_branch, (list, tuple)):
        return type(then_branch)(results)
    return results[0]


def _as_list(branch: Any) -> list[Variable]:
    values = branch if isinstance(branch, (list, tuple)) else [branch]
    return [as_tensor_variable(v) for v in values]
