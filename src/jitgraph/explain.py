"""What went wrong in a call, in the user's words: the operation, the operands, the line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from jitgraph.cgen.checks import ERRORS
from jitgraph.config import config
from jitgraph.errors import ShapeError
from jitgraph.graph import Apply, Constant, SharedVariable, Variable, format_origin, toposort
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.shape import ShapeI, SpecifyShape
from jitgraph.runtime.program import CheckFailed, NoRoom

# Values are computed again only to show their shapes, so not when that could take long.
LARGEST_REPLAY = 50_000_000

E = TypeVar("E", bound=BaseException)


def explained(function: Any, error: BaseException, values: Sequence[Any]) -> BaseException:
    """The exception to raise in place of `error`, which a call with `values` met."""
    if isinstance(error, CheckFailed):
        return _explain_check(function, error, values)
    if isinstance(error, NoRoom):
        return error.named(_array_name(function, error.slot))
    number = getattr(error, "jitgraph_step", None)
    if number is None or function.compiled.mode.linker == "reference":
        return error
    nodes = function.compiled.plan().step_nodes()
    node = nodes[number]
    details = _details(function, node, values) if _verbose() else ""
    placed = _with_place(error, node, _shapes(function, node, values), details)
    return _with_more(placed, function, node, values)


def _array_name(function: Any, slot: int) -> str:
    """An argument, a result, the new value of a shared variable, or what is none of these."""
    outputs, n = function.compiled.program.outputs, function.n_outputs
    if slot < len(function.ins):
        return str(function._label(slot))
    if slot < len(function.ins) + len(function.shared):
        return function.shared[slot - len(function.ins)].name or "a shared variable"
    if slot not in outputs:
        return "an intermediate result"
    k = outputs.index(slot)
    if k >= n:
        return f"the new value of {function.target_variables[k - n].name or 'a shared variable'}"
    name = function.compiled.outputs[k].name
    return f"the result {name}" if name else f"result {k}"


def _explain_check(function: Any, error: CheckFailed, values: Sequence[Any]) -> Exception:
    node, what, kind = function.compiled.plan().describe_check(error.segment, error.number)
    left, right = error.left, error.right
    if kind in ("label", "entry"):
        what = f"{what}: {right} at position {left}"
    elif kind == "value":
        what = f"{what} (element {left})"
    elif kind == "rows":
        what = f"{what}: {left} rows where {right} are needed"
    elif kind == "equal":
        what = f"{what} ({left} and {right})"
        if isinstance(node.op, Elementwise) and 1 in (left, right):
            what += "; T.addbroadcast(x, axis) declares a length 1, to be stretched"
    elif kind == "index":
        # The check sees a negative index with the length added.
        what = f"{what}: {left if left >= 0 else left - right} of {right}"
    elif kind in ("count", "steps"):
        what = f"{what} {left}" if kind == "count" else f"{what}: {left}"
    class_ = ERRORS.get(kind, ShapeError)
    if isinstance(node.op, SpecifyShape):
        class_ = AssertionError
    operands = _operands(node, _shapes(function, node, values))
    place = format_origin(node.origins)
    text = f"{node.op.name}: {what}: {operands}" + (f"   ({place})" if place else "")
    details = _details(function, node, values) if _verbose() else ""
    return _with_more(class_(text + details), function, node, values)


def _with_more(error: E, function: Any, node: Apply, values: Sequence[Any]) -> E:
    """The error with a method `explain`: the message and all that is known, for printing."""
    message, verbose = str(error), _verbose()

    def explain() -> str:
        return message if verbose else message + _details(function, node, values)

    error.explain = explain  # type: ignore[attr-defined]
    return error


def _verbose() -> bool:
    """Whether messages have the details in them already."""
    return bool(config.exception_verbosity == "high")


def _details(function: Any, node: Apply, values: Sequence[Any]) -> str:
    """The callers, the graph, and what the arguments hold."""
    from jitgraph.printing import debugprint

    places = set(node.origins)
    made = [n.trace for n in toposort(function.compiled.written) if places & set(n.origins)]
    lines = ["", "Backtrace when the node is created, innermost first:"]
    lines += [f"  {file}:{line}" for file, line in (made[0] if made else ())]
    lines += ["Debugprint of the apply node:", debugprint(node, depth=8, file="str").rstrip()]
    lines += ["Storage map footprint:"]
    total = 0
    for v, a in zip(function.compiled.plan().inputs, values, strict=False):
        if isinstance(a, np.ndarray):
            kind = "shared" if isinstance(v, SharedVariable) else "input"
            lines.append(f" - {v}, {kind}, {a.dtype}, Shape: {a.shape}, TotalSize: {a.nbytes} Byte")
            total += a.nbytes
    return "\n".join([*lines, f" TotalSize: {total} Byte"])


def _with_place(
    error: BaseException, node: Apply, shapes: dict[Variable, Any], details: str
) -> BaseException:
    place = format_origin(node.origins)
    what = str(error)
    if not what.startswith(f"{node.op.name}: "):
        what = f"{node.op.name}: {what}"
    text = f"{what}: {_operands(node, shapes)}" + (f"   ({place})" if place else "") + details
    try:
        new = type(error)(text)
    except TypeError:
        return error
    return new


def _operands(node: Apply, shapes: dict[Variable, Any]) -> str:
    """`x float64[3, 4], the result of exp float64[4]`."""
    parts = []
    for v in node.inputs:
        if isinstance(v, Constant) and v.data.size == 1:
            continue
        dtype = getattr(v.type, "dtype", None)
        if dtype is None:
            continue
        shown = shapes.get(v)
        dims = ", ".join(map(str, shown)) if shown is not None else _symbolic(v)
        parts.append(f"{_label(v)} {dtype}[{dims}]")
    return ", ".join(parts[:6])


def _symbolic(v: Variable) -> str:
    return ", ".join("1" if b else "?" for b in v.type.broadcastable)


def _label(v: Variable) -> str:
    while v.name is None and v.owner is not None and v.owner.op.name == "DimShuffle":
        v = v.owner.inputs[0]
    if v.name:
        return v.name
    if v.owner is not None and isinstance(v.owner.op, ShapeI):
        return f"length {v.owner.op.i} of {_label(v.owner.inputs[0])}"
    if isinstance(v, Constant):
        return "a constant"
    if isinstance(v, SharedVariable):
        return "a shared variable"
    return f"the result of {v.owner.op.name}" if v.owner is not None else "an unnamed input"


def _shapes(function: Any, node: Apply, values: Sequence[Any]) -> dict[Variable, Any]:
    """The shapes the operands of `node` had, as far as they can be told cheaply."""
    known = dict(zip(function.compiled.plan().inputs, values, strict=False))
    shapes: dict[Variable, Any] = {
        v: a.shape for v, a in known.items() if isinstance(a, np.ndarray)
    }
    size = sum(a.nbytes for a in known.values() if isinstance(a, np.ndarray))
    for v in node.inputs:
        if v in shapes or size > LARGEST_REPLAY:
            continue
        if isinstance(v, Constant):
            shapes[v] = v.data.shape
            continue
        try:
            from jitgraph.reference import evaluate

            shapes[v] = np.shape(evaluate([v], known)[0])
        except Exception:  # the operand itself cannot be computed: its shape stays unknown
            continue
    return shapes
