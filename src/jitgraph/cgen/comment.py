"""What stands above each loop: its formula, the arrays it touches, and the user's lines.

Names and file names come from outside, so whatever could end a comment, join two lines or
reorder text on a screen is spelt out. The C itself never depends on them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jitgraph.cgen.emit import bare
from jitgraph.cgen.fuse import Cluster, Root
from jitgraph.cgen.ir import Buffer, Kernel, Poly, poly_text
from jitgraph.graph import Constant, Variable, format_origin
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.index import IncSubtensor
from jitgraph.ops.join import Join
from jitgraph.ops.reduce import ArgReduce, Reduce
from jitgraph.ops.shape import DimShuffle, MakeVector, ShapeI

if TYPE_CHECKING:
    from jitgraph.cgen.segment import Segment

WIDTH = 96
LONGEST_NAME = 40
DEEPEST = 5  # levels of a formula that are written out
_UNSAFE = re.compile(r"[^A-Za-z0-9_ .,:;+=()\[\]{}<>|&%@!^~'-]")


def safe(text: str) -> str:
    """`text` without characters that mean something in a C comment or on a terminal."""
    text = _UNSAFE.sub(lambda m: f"<U+{ord(m.group()):04X}>", text[:LONGEST_NAME])
    return text if len(text) <= 4 * LONGEST_NAME else text[: 4 * LONGEST_NAME] + "..."


def kernel_comment(cluster: Cluster, segment: Segment, kernel: Kernel) -> tuple[str, ...]:
    """The lines above a kernel: one for each result, then the arrays."""
    writer = _Writer(segment.buffers)
    lines = [_cut(writer.root(r)) for r in cluster.roots() if _kept(r, segment, kernel)]
    arrays = [writer.array(b) for b in kernel.buffers if b.kind != "wide"]
    lines += _wrapped(arrays)
    places: dict[Any, None] = {}
    for root in cluster.roots():
        if root.node is not None:
            places.update(dict.fromkeys(root.node.origins))
    where = safe(format_origin(places))
    if where and lines:
        lines[0] += f"   ({where})"
    return tuple(lines)


def _kept(root: Root, segment: Segment, kernel: Kernel) -> bool:
    """Whether the result of a root lies in memory that the kernel writes."""
    name = segment.buffers[root.variable].name
    stored = {b.name for b in kernel.buffers} | {b.name for _, b, _ in kernel.partials}
    return name in stored


def _cut(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 4] + " ..."


def _wrapped(parts: list[str]) -> list[str]:
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) + 2 <= WIDTH:
            lines[-1] += f"  {part}"
        else:
            lines.append(part)
    return lines


class _Writer:
    """Writes values in terms of the buffers they are made from."""

    def __init__(self, buffers: dict[Variable, Buffer]):
        self.buffers = buffers

    def array(self, buffer: Buffer) -> str:
        """`a0: x float64[n0,n1]`."""
        names = [v.name for v, b in self.buffers.items() if b.name == buffer.name and v.name]
        dims = ",".join(map(_dim, buffer.dims)) if buffer.dims else ""
        called = f"{safe(names[0])} " if names else ""
        return f"{buffer.name}: {called}{buffer.dtype}[{dims}]"

    def root(self, root: Root) -> str:
        target = self.buffers[root.variable].name
        node = root.node
        if node is not None and isinstance(node.op, (Reduce, ArgReduce)):
            axes = "" if len(node.op.axes) == len(root.space) else f", axis={list(node.op.axes)}"
            return f"{target} = {node.op.kind}({bare(self.value(node.inputs[0]))}{axes})"
        if node is not None and isinstance(node.op, (IncSubtensor, Join, MakeVector)):
            whole = isinstance(node.op, IncSubtensor) and root.source is node.inputs[0]
            sign = "+=" if root.add else "="
            return f"{target}{'' if whole else '[part]'} {sign} {bare(self.value(root.source))}"
        return f"{target} = {bare(self.value(root.source, own=root.variable))}"

    def value(self, v: Variable, depth: int = 0, own: Variable | None = None) -> str:
        """The formula of v; `own` is what the loop computes, so it is not just named."""
        if isinstance(v, Constant):
            return str(v.data.flat[0].item()) if v.data.size == 1 else self._name(v)
        if v in self.buffers and v is not own:
            return self._name(v)
        node = v.owner
        if node is None:
            return safe(v.name or "value")
        if isinstance(node.op, ShapeI):
            return "length"
        if isinstance(node.op, DimShuffle) or node.op.name == "identity":
            return self.value(node.inputs[0], depth)
        if depth >= DEEPEST:
            return "..."
        parts = [self.value(x, depth + 1) for x in node.inputs]
        if not isinstance(node.op, Elementwise):
            return f"{safe(node.op.name)}({', '.join(map(bare, parts[:1]))})"
        scalar = node.op.scalar
        if scalar.infix and len(parts) > 1:
            return f"({f' {scalar.infix} '.join(parts)})"
        return f"{safe(scalar.printed)}({', '.join(map(bare, parts))})"

    def _name(self, v: Variable) -> str:
        return self.buffers[v].name if v in self.buffers else "constant"


def _dim(p: Poly) -> str:
    return poly_text(p).replace(" ", "")
