"""A graph as text: equal for graphs that compute the same thing in the same way.

Names, lines of the user and the identity of variables do not enter; order of inputs and outputs,
ops with their parameters, dtypes, broadcast patterns and the bytes of constants do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from jitgraph.graph import Apply, Constant, TensorType, Variable, toposort
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.scalar import FUNCTIONS, fast_name

# Constants with more elements are passed to compiled code like arguments.
LARGEST_WRITTEN = 64


def type_text(type_: Any) -> str:
    if isinstance(type_, TensorType):
        return f"{type_.dtype}:{''.join('1' if b else '?' for b in type_.broadcastable)}"
    return type(type_).__name__


def _constant_text(constant: Constant) -> str:
    data = constant.data
    raw = data.tobytes()
    body = raw.hex() if len(raw) <= 64 else hashlib.sha256(raw).hexdigest()
    return f"const {type_text(constant.type)} {data.shape} {body}"


def _code_text(node: Apply) -> str:
    """The C expressions of an elementwise function, of either accuracy: one declared by a program,
    at run time, is not covered by the digest of our own files, and may change from one run to the
    next."""
    op = node.op
    if not isinstance(op, Elementwise):
        return ""
    forms = [op.scalar]
    if op.scalar.fast is not None:
        forms.append(FUNCTIONS[fast_name(op.scalar_name)])
    result = node.outputs[0].type.dtype
    return "".join(f" {f.template(op.dtypes_in(node), result)!r}" for f in forms)


def graph_text(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> str:
    """The canonical text of the graph from `inputs` to `outputs`."""
    number: dict[Variable, int] = {}
    lines: list[str] = []

    def define(variable: Variable, text: str) -> None:
        number[variable] = len(number)
        lines.append(text)

    for v in inputs:
        define(v, f"input {type_text(v.type)}")
    tokens: dict[Any, str] = {}
    for node in toposort(outputs, stop=inputs):
        for v in node.inputs:
            if v not in number and isinstance(v, Constant):
                define(v, _constant_text(v))
        op = node.op
        token = tokens.get(op)
        if token is None:
            token = tokens[op] = op.token()
        arguments = " ".join(str(number[v]) for v in node.inputs)
        types = " ".join(type_text(v.type) for v in node.outputs)
        for k, v in enumerate(node.outputs):
            number[v] = len(number)
            if k == 0:
                lines.append(f"{token} {arguments} -> {types}{_code_text(node)}")
            else:
                lines.append("+")
    for v in outputs:
        if v not in number and isinstance(v, Constant):
            define(v, _constant_text(v))
    lines.append("outputs " + " ".join(str(number[v]) for v in outputs))
    return "\n".join(lines)


def large_constants(outputs: Sequence[Variable], inputs: Sequence[Variable]) -> list[Constant]:
    """The constants of a graph that are too large for the C text, in the graph's order."""
    found: dict[Constant, None] = {}
    for node in toposort(outputs, stop=inputs):
        for v in node.inputs:
            if isinstance(v, Constant) and v.data.size > LARGEST_WRITTEN:
                found.setdefault(v)
    for v in outputs:
        if isinstance(v, Constant) and v.data.size > LARGEST_WRITTEN:
            found.setdefault(v)
    return list(found)


def own_memory(outputs: Sequence[Variable]) -> list[Variable]:
    """Outputs as distinct computed values: leaves and repetitions are copied by the program."""
    from jitgraph.ops.arithmetic import identity

    seen: set[Variable] = set()
    result = []
    for v in outputs:
        if isinstance(v.type, TensorType) and (v.owner is None or v in seen):
            v = identity.make_node(v).outputs[0]
        seen.add(v)
        result.append(v)
    return result
