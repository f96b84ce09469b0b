"""`jitgraph inspect`: what became of a compiled function, as data and as text."""

from __future__ import annotations

from typing import Any

from jitgraph.callable import Function
from jitgraph.cgen.fuse import Choice, Cluster, LabelCheck, Loop, Product, Root, Routine, Stage
from jitgraph.cgen.lengths import Length, Symbol
from jitgraph.cgen.products import matrix_vector
from jitgraph.cgen.segment import Segment
from jitgraph.graph import Apply, Constant, TensorType, Variable, format_origin
from jitgraph.inspect import CommandError
from jitgraph.ops.scan import Scan
from jitgraph.ops.shape import ShapeI
from jitgraph.printing import debugprint, op_label, printable

RULE = "─"


# --- data ----------------------------------------------------------------------------------------


def describe(target: str, function: Function) -> dict[str, Any]:
    """Everything that `render` shows, in a JSON form.

    Keys: target, name, inputs, shared, outputs, graph (as written), optimised (after rewriting),
    steps (in the order in which they run), c_source (None without C), compiled (the report of the
    compilation).
    """
    compiled = function.compiled
    inputs = [i.variable for i in function.ins]
    reference = compiled.mode.linker == "reference"
    return {
        "target": target,
        "name": function.name,
        "mode": str(compiled.mode),
        "inputs": [_declared(v) for v in inputs],
        "shared": [_declared(v) for v in function.shared],
        "outputs": [_declared(v) for v in compiled.outputs[: function.n_outputs]],
        "updates": [str(v) for v in function.target_variables],
        "graph": debugprint(compiled.outputs, file="str"),
        "optimised": debugprint(function, file="str"),
        "steps": [] if reference else _steps(compiled.plan()),
        "c_source": None if reference else function.c_source,
        "compiled": function.compile_report(),
    }


def c_source(function: Function) -> str:
    """The C file of `function`; CommandError if it has none."""
    if function.compiled.mode.linker == "reference":
        raise CommandError("the function has mode='reference': NumPy computes it, there is no C")
    return function.c_source


def _called(v: Variable) -> str:
    """The user's name of a variable, or what computes it."""
    return str(v) if v.name or v.owner is None else _operation(v.owner)


def _operation(node: Apply) -> str:
    return str(getattr(node.op, "name", node.op)).split("{")[0]


def _declared(v: Variable) -> str:
    """`x: float64[?, 1]`; an axis whose length is fixed to 1 is shown as 1."""
    if not isinstance(v.type, TensorType):
        return f"{_called(v)}: {v.type}"
    axes = ", ".join("1" if fixed else "?" for fixed in v.type.broadcastable)
    return f"{_called(v)}: {v.type.dtype}[{axes}]"


def _steps(plan: Any) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    number = 0
    for segment, numpy_steps in zip(plan.segments, plan.steps, strict=True):
        if segment is not None:
            steps.append(_segment(segment, number))
            number += 1
        steps.extend(_numpy_step(node) for node in numpy_steps)
    return steps


def _numpy_step(node: Apply) -> dict[str, Any]:
    return {
        "kind": "numpy",
        "op": op_label(node),
        "reads": [_declared(v) for v in node.inputs],
        "writes": [_declared(v) for v in node.outputs],
        "where": format_origin(node.origins),
        "why": [
            "its body is no C: Python steps through the loop"
            if isinstance(node.op, Scan)
            else "this op has no C: NumPy computes it, through Python, between the C entries"
        ],
    }


def _segment(segment: Segment, number: int) -> dict[str, Any]:
    buffers = segment.buffers
    return {
        "kind": "c",
        "entry": f"segment_{number}",
        "reads": [f"{buffers[v].name}: {_declared(v)}" for v in segment.slots],
        "writes": [f"{buffers[v].name}: {_declared(v)}" for v in segment.outputs],
        "lengths": {s.name: _length_source(segment, s) for s in segment.lengths.symbols},
        "checks": [f"{c.what}: {_length(c.left)}, {_length(c.right)}" for c in segment.checks],
        "scratch": [f"{b.name}: {b.dtype}, {len(b.dims)} axes" for b in segment.scratch],
        "items": [_item(segment, k) for k in range(len(segment.items))],
    }


def _length(n: Length) -> str:
    return n.name if isinstance(n, Symbol) else str(n)


def _length_source(segment: Segment, symbol: Symbol) -> str:
    node = symbol.variable.owner
    if node is not None and isinstance(node.op, ShapeI) and node.inputs[0] in segment.buffers:
        return f"axis {node.op.i} of {segment.buffers[node.inputs[0]].name}"
    return str(symbol.variable)


def _scaled(segment: Segment, item: Product, product: str) -> str:
    """The product with the factors and the array of a Gemm."""
    rest = item.node.inputs[2:]
    if not rest:
        return product
    names = [
        f"{v.data:g}" if isinstance(v, Constant) and not v.type.ndim else segment.buffers[v].name
        for v in rest
    ]
    op = item.node.op
    text = f"{'-' if op.minus else ''}{names[0]} {product}"
    return f"{text} {'-' if op.less else '+'} {names[1]} {names[2]}" if names[1:] else text


def _why_product(segment: Segment, number: int, item: Product) -> str:
    """What makes a product; where it is one of two, the sizes of a call decide."""
    buffers = segment.buffers
    product = matrix_vector(item, buffers)
    for sweep in segment.sweeps.values():
        if number in sweep.items and product is not None:
            matrix = buffers[product.matrix].name
            return f"{matrix} is read once for two products, some rows at a time: {sweep.name}"
    if product is not None:
        return "a matrix and a vector are multiplied by jg_gemv.h, or by BLAS"
    return "matrices are multiplied by BLAS, or where that is sooner by jg_gemm.h"


def _item(segment: Segment, number: int) -> dict[str, Any]:
    item = segment.items[number]
    if isinstance(item, Product):
        a, b, out = (segment.buffers[v].name for v in (item.a, item.b, item.node.outputs[0]))
        marks = ("ᵀ" if item.transpose_a else "", "ᵀ" if item.transpose_b else "")
        product = _scaled(segment, item, f"{a}{marks[0]} · {b}{marks[1]}")
        return {
            "kind": "product",
            "computes": f"{out} = {product}",
            "where": format_origin(item.node.origins),
            "why": [_why_product(segment, number, item)],
        }
    if isinstance(item, LabelCheck):
        return {
            "kind": "label check",
            "computes": f"every label in {segment.buffers[item.labels].name} names a column",
            "where": format_origin(item.node.origins),
            "why": ["labels are checked before any loop uses them"],
        }
    if isinstance(item, Routine):
        reads = ", ".join(segment.buffers[v].name for v in item.operands)
        writes = ", ".join(segment.buffers[v].name for v in item.node.outputs)
        return {
            "kind": "call",
            "computes": f"{writes} = {item.node.op.name}({reads})",
            "where": format_origin(item.node.origins),
            "why": [f"the op is a function of {item.header}"],
        }
    if isinstance(item, Choice):
        return {
            "kind": "ifelse",
            "computes": item.node.op.name,
            "where": format_origin(item.node.origins),
            "items": [_item(body, k) for body in item.bodies for k in range(len(body.items))],
            "why": ["only the branch that is taken is computed"],
        }
    if isinstance(item, Loop):
        body = item.body
        return {
            "kind": "scan",
            "computes": item.node.op.name,
            "where": format_origin(item.node.origins),
            "lengths": {s.name: _length_source(body, s) for s in body.lengths.symbols},
            "scratch": [f"{b.name}: {b.dtype}, {len(b.dims)} axes" for b in body.scratch],
            "items": [_item(body, k) for k in range(len(body.items))],
            "why": ["its body is C: the steps are a loop of this entry"],
        }
    return _cluster(segment, item, number)


def _cluster(segment: Segment, cluster: Cluster, number: int) -> dict[str, Any]:
    kernel = segment.kernels[number]
    shared = [_length(n) for n in cluster.stages[0].space[: cluster.shared]]
    return {
        "kind": "loop",
        "kernel": kernel.name,
        "threads": {
            "rows": "rows are shared out",
            "chunks": "chunks, folded at the end",
            "bands": "bands of rows, folded at the end",
        }.get(kernel.split, "one thread"),
        "shared_loops": shared if len(cluster.stages) > 1 else [],
        "stages": [_stage(segment, stage) for stage in cluster.stages],
        "where": _origins(cluster),
        "why": list(cluster.why),
    }


def _origins(cluster: Cluster) -> str:
    """Where in the user's files the results of a cluster were written."""
    nodes = [root.node for root in cluster.roots() if root.node is not None]
    return format_origin(dict.fromkeys(o for node in nodes for o in node.origins))


def _stage(segment: Segment, stage: Stage) -> dict[str, Any]:
    return {
        "space": [_length(n) for n in stage.space],
        "computes": [_root(segment, root) for root in stage.roots],
    }


def _root(segment: Segment, root: Root) -> str:
    what = "copy" if root.node is None else _operation(root.node)
    name = f" {root.variable.name!r}" if root.variable.name else ""
    over = "" if root.axes is None else f" over axes {list(root.axes)}"
    verb = "+=" if root.add else "="
    return f"{segment.buffers[root.variable].name}{name} {verb} {what}{over}"


# --- text ----------------------------------------------------------------------------------------


def render(described: dict[str, Any]) -> str:
    """The description as text for a terminal; names of the user cannot move its cursor."""
    lines = [f"{described['target']}", *_head(described)]
    lines += ["", *_title("Graph as written"), *described["graph"].splitlines()]
    lines += ["", *_title("Graph after rewriting"), *described["optimised"].splitlines()]
    lines += ["", *_title("Steps")]
    if described["c_source"] is None:
        lines.append("NumPy evaluates the graph node by node (mode='reference'); there is no C.")
    for number, step in enumerate(described["steps"]):
        lines += _step_lines(number, step)
    if described["c_source"] is not None:
        lines += ["", *_title("C"), *described["c_source"].splitlines()]
    return "\n".join(printable(line, keep="\t") for line in lines) + "\n"


def _title(text: str) -> list[str]:
    return [text, RULE * len(text)]


def _head(described: dict[str, Any]) -> list[str]:
    lines = []
    for key in ("inputs", "shared", "outputs", "updates"):
        if described[key]:
            lines.append(f"  {key:8} {'   '.join(described[key])}")
    lines.append(f"  mode     {described['mode']}")
    report = described["compiled"]
    if "source" in report:
        spent = f"{report.get('total', 0):.0f} ms"
        compiler = f", of which C compiler {report['cc']:.0f} ms" if report.get("cc") else ""
        lines.append(f"  code     from {_SOURCES[report['source']]}, {spent}{compiler}")
        if report.get("reason"):
            lines.append(f"           {report['reason']}")
    return lines


_SOURCES = {
    "memory": "this process's memory",
    "disk": "the cache on disk",
    "compiled": "the C compiler",
}


def _step_lines(number: int, step: dict[str, Any]) -> list[str]:
    if step["kind"] == "numpy":
        return [
            f"{number}. NumPy: {step['op']}{_where(step)}",
            f"     reads   {',  '.join(step['reads'])}",
            f"     writes  {',  '.join(step['writes'])}",
            *_why(step, "     "),
        ]
    lines = [f"{number}. C entry {step['entry']}"]
    for key in ("reads", "writes", "scratch"):
        if step[key]:
            lines.append(f"     {key:8}{',  '.join(step[key])}")
    if step["lengths"]:
        pairs = [f"{name} = {source}" for name, source in step["lengths"].items()]
        lines.append(f"     lengths {',  '.join(pairs)}")
    if step["checks"]:
        lines.append(f"     checks  {';  '.join(step['checks'])}")
    for position, item in enumerate(step["items"]):
        first, *rest = _item_lines(item)
        lines += [f"   {number}.{position}  {first}", *(f"        {line}" for line in rest)]
    return lines


def _item_lines(item: dict[str, Any]) -> list[str]:
    if item["kind"] in ("scan", "ifelse"):
        lines = [f"{item['kind']}: {item['computes']}{_where(item)}"]
        for position, inner in enumerate(item["items"]):
            first, *rest = _item_lines(inner)
            lines += [f"  .{position}  {first}", *(f"      {line}" for line in rest)]
        return lines + _why(item)
    if item["kind"] != "loop":
        return [f"{item['kind']}: {item['computes']}{_where(item)}", *_why(item)]
    lines = [f"loop {item['kernel']}: {item['threads']}{_where(item)}"]
    if item["shared_loops"]:
        lines.append(f"outer loops [{', '.join(item['shared_loops'])}] around all stages")
    for number, stage in enumerate(item["stages"]):
        lines.append(f"stage {number} over [{', '.join(stage['space'])}]")
        lines += [f"  {text}" for text in stage["computes"]]
    return lines + _why(item)


def _why(item: dict[str, Any], indent: str = "") -> list[str]:
    return [f"{indent}why: {text}" for text in item["why"]]


def _where(item: dict[str, Any]) -> str:
    return f"   ({item['where']})" if item["where"] else ""
