"""Walks over graphs, copies of them, and whether two compute the same thing.

Every function takes and returns lists of variables or applications and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jitgraph import graph as _graph
from jitgraph.graph import Apply, Constant, Variable

__all__ = [
    "Apply",
    "Constant",
    "Variable",
    "ancestors",
    "clone",
    "equal_computations",
    "inputs",
    "io_toposort",
    "is_same_graph",
    "ops",
    "variables",
]


def inputs(variable_list: Iterable[Variable], blockers: Iterable[Variable] = ()) -> list[Variable]:
    """The leaves that the variables depend on: inputs, constants and shared variables."""
    return _graph.leaves(list(variable_list), stop=blockers or ())


def ancestors(
    variable_list: Iterable[Variable], blockers: Iterable[Variable] = ()
) -> list[Variable]:
    """The variables themselves and all they are computed from."""
    return list(_graph.ancestors(list(variable_list), stop=blockers or ()))


def io_toposort(inputs: Iterable[Variable], outputs: Iterable[Variable]) -> list[Apply]:
    """The applications between `inputs` and `outputs`, each after those it needs."""
    return _graph.toposort(list(outputs), stop=inputs)


def ops(i: Iterable[Variable], o: Iterable[Variable]) -> set[Apply]:
    """The applications between `i` and `o`."""
    return set(io_toposort(i, o))


def variables(i: Iterable[Variable], o: Iterable[Variable]) -> set[Variable]:
    """The variables between `i` and `o`, these included."""
    return {*i, *_graph.ancestors(list(o), stop=i)}


def clone(
    i: Sequence[Variable], o: Sequence[Variable], copy_inputs: bool = True
) -> tuple[list[Variable], list[Variable]]:
    """Copies (inputs, outputs) of the graph from `i` to `o`; the inputs are new if copy_inputs."""
    table = {v: v.clone() if copy_inputs else v for v in i}
    memo: dict[Variable, Variable] = dict(table)
    for node in io_toposort(i, o):
        new = _graph.reapply(node, [memo.get(v, v) for v in node.inputs])
        for old, made in zip(node.outputs, new, strict=True):
            memo.setdefault(old, made)
    return [table[v] for v in i], [memo.get(v, v) for v in o]


def _same_leaf(a: Variable, b: Variable) -> bool:
    if a is b:
        return True
    both = isinstance(a, Constant) and isinstance(b, Constant)
    return both and a.signature() == b.signature()  # type: ignore[attr-defined]


def equal_computations(
    xs: Sequence[Variable],
    ys: Sequence[Variable],
    in_xs: Sequence[Variable] = (),
    in_ys: Sequence[Variable] = (),
) -> bool:
    """Whether `xs` and `ys` are the same ops on the same leaves, in_xs[k] standing for in_ys[k].

    Names do not matter; equal constants are the same leaf.
    """
    if len(xs) != len(ys) or any(x.type != y.type for x, y in zip(xs, ys, strict=True)):
        return False
    paired = dict(zip(in_xs, in_ys, strict=True))
    seen: set[tuple[Variable, Variable]] = set()
    stack = list(zip(xs, ys, strict=True))
    while stack:
        x, y = stack.pop()
        if (x, y) in seen:
            continue
        seen.add((x, y))
        if x in paired:
            if paired[x] is not y:
                return False
            continue
        if x.owner is None or y.owner is None:
            if x.owner is not y.owner or not _same_leaf(x, y):
                return False
            continue
        left, right = x.owner, y.owner
        if x.index != y.index or left.op != right.op or left.nin != right.nin:
            return False
        stack.extend(zip(left.inputs, right.inputs, strict=True))
    return True


def is_same_graph(var1: Variable, var2: Variable, givens: Any = None) -> bool:
    """Whether two variables are computed alike, after the replacements in `givens`."""
    if givens:
        pairs = givens.items() if isinstance(givens, Mapping) else givens
        var1, var2 = _graph.rebuild([var1, var2], dict(pairs))
    return equal_computations([var1], [var2])
