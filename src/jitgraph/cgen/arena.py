"""Which arrays between the loops of a segment may lie in the same memory.

An array lives from the item that writes it to the last one that reads it. Two share a place, as
large as the larger of them, if one is dead before the other is born: the caches then hold one array
instead of two. Which arrays are alike in size is told by the number of lengths that are multiplied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jitgraph import dtypes
from jitgraph.cgen.fuse import Choice, Cluster, LabelCheck, Loop, Product
from jitgraph.cgen.ir import ONE, Buffer, Poly

if TYPE_CHECKING:
    from jitgraph.cgen.segment import Segment


def bytes_of(b: Buffer) -> Poly:
    """The size of an array."""
    size = ONE
    for n in b.dims:
        size = size * n
    return size.scaled(dtypes.NUMPY[b.dtype].itemsize)


def shared_places(segment: Segment) -> dict[str, str]:
    """For an array that takes over the place of another: the name of the first one there.

    Not for segments with loops over steps, whose bodies read the arrays around them.
    """
    if segment.around is not None or any(isinstance(i, (Loop, Choice)) for i in segment.items):
        return {}
    last: dict[str, int] = {}
    for time, group in enumerate(segment.groups):
        last.update((b.name, time) for number in group for b in _touched(segment, number))
    fixed = {segment.buffers[v].name for v in segment.lengths.awaited() if v in segment.buffers}
    mine = {b.name for b in segment.scratch} - fixed
    places: dict[str, str] = {}
    left: list[_Left] = []
    for time, group in enumerate(segment.groups):
        for b in [b for number in group for b in _touched(segment, number)]:
            if b.name not in mine:
                continue
            mine.discard(b.name)
            size = bytes_of(b)
            ready = [p for p in left if p.after < time and _degree(p.size) == _degree(size)]
            if ready:
                taken = min(ready, key=lambda p: p.size != size)
                left.remove(taken)
                places[b.name] = taken.place
            left.append(_Left(places.get(b.name, b.name), last[b.name], size))
    return places


@dataclass(frozen=True)
class _Left:
    """A place that is free after the group of number `after`; the last array there had `size`."""

    place: str
    after: int
    size: Poly


def _degree(p: Poly) -> int:
    return max((len(names) for names, _ in p.terms), default=0)


def _touched(segment: Segment, number: int) -> Iterator[Buffer]:
    """The arrays that an item reads or writes."""
    item = segment.items[number]
    if isinstance(item, Cluster):
        kernel = segment.kernels[number]
        yield from kernel.buffers
        yield from (target for _, target, _ in kernel.partials)
        yield from (band.target for band in kernel.bands)
        return
    used = [*item.node.inputs, *item.node.outputs]
    if isinstance(item, Product):
        used += [item.a, item.b]
    elif isinstance(item, LabelCheck):
        used.append(item.labels)
    yield from (segment.buffers[v] for v in used if v in segment.buffers)
