"""`f.memory_plan(shapes)`: the memory a call takes, told from the shapes, without running it.

Compiled entries say what they need before they compute (they check lengths first); here they are
asked with stand-ins that have the shapes of the arguments and no memory behind them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jitgraph.errors import JitgraphError, ShapeError
from jitgraph.graph import TensorType
from jitgraph.runtime._abi import ffi
from jitgraph.runtime.program import ARGUMENT, CHECK, LABEL, ORDER, PLAN, CompiledStep
from jitgraph.runtime.strided import attach_strided

# Arguments up to this size are zeros in memory: lengths may be read from them.
REAL = 1 << 16


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes by name, in the order of the program.

    inputs, shared:  what the caller and the shared variables hold already
    outputs:         results that are returned
    updates:         new values of shared variables; the old ones are there until all is done
    between:         results of one part of the program that a later part reads
    scratch:         working memory of the compiled parts, the largest of them
    copies:          arguments that must be in C order and are not, copied for a compiled part: the
                     most that one part needs
    """

    inputs: dict[str, int]
    shared: dict[str, int]
    outputs: dict[str, int]
    updates: dict[str, int]
    between: int
    scratch: int
    copies: int

    @property
    def new(self) -> int:
        """Bytes that a call takes beyond what is there before it."""
        made = sum(self.outputs.values()) + sum(self.updates.values())
        return made + self.between + self.scratch + self.copies

    @property
    def total(self) -> int:
        """All bytes at the end of a call."""
        return sum(self.inputs.values()) + sum(self.shared.values()) + self.new

    def __str__(self) -> str:
        rows = []
        for kind in ("inputs", "shared", "outputs", "updates"):
            rows += [(kind, name, size) for name, size in getattr(self, kind).items()]
        rows += [("between parts", "", self.between), ("scratch", "", self.scratch)]
        rows += [("copies in C order", "", self.copies)]
        rows += [("new in a call", "", self.new), ("total", "", self.total)]
        wide = [max(len(str(r[k])) for r in rows) for k in (0, 1)]
        count = max(len(f"{r[2]:,}") for r in rows)
        return "\n".join(
            f"{kind.ljust(wide[0])}  {name.ljust(wide[1])}  {format(size, ',').rjust(count)} bytes"
            for kind, name, size in rows
            if size or kind not in ("between parts", "scratch", "copies in C order")
        )


def stand_in(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array of this shape in C order that must not be read, unless it is small."""
    dtype = np.dtype(dtype)
    size = dtype.itemsize * math.prod(shape)
    if size <= REAL:
        return np.zeros(shape, dtype)
    strides, step = [], dtype.itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return np.lib.stride_tricks.as_strided(
        np.zeros(1, dtype), shape, tuple(reversed(strides)), writeable=False
    )


def memory_plan(function: Any, arguments: Sequence[Any]) -> MemoryPlan:
    """The plan for one value or shape an input, in their order.

    Raises TypeError for what is neither, ShapeError if the shapes do not fit together,
    JitgraphError if the shape of some result is known only when it has been computed.
    """
    compiled = function.compiled
    if compiled.mode.linker == "reference":
        raise JitgraphError("mode='reference' has no memory plan: NumPy allocates as it goes")
    given = [_value(function, k, a) for k, a in enumerate(arguments)]
    shared = [c.data for c in function.containers]
    program = compiled.program
    values: list[Any] = [*given, *shared, *compiled.constants]
    values += program.blank[len(values) :]
    scratch = copies = 0
    nodes = compiled.plan().step_nodes()
    for step in program.steps:
        operands = tuple([values[k] for k in step.inputs])
        if isinstance(step, CompiledStep):
            results, needed, copied = _ask(function, step, operands)
            scratch, copies = max(scratch, needed), max(copies, copied)
        else:
            results = _infer(nodes[step.number], operands)
        for k, result in zip(step.outputs, results, strict=True):
            values[k] = result
    return _summed(function, given, shared, values, scratch, copies)


def _value(function: Any, k: int, argument: Any) -> Any:
    """A shape as a stand-in, or a value as an array of the input's dtype."""
    type_ = function.ins[k].variable.type
    if not isinstance(type_, TensorType):
        return argument
    if isinstance(argument, np.ndarray):
        return argument
    if type_.ndim == 0 and isinstance(argument, (bool, int, float, np.generic)):
        return np.asarray(argument, type_.dtype)
    shape = (argument,) if isinstance(argument, (int, np.integer)) else argument
    if not isinstance(shape, (list, tuple)) or not all(
        isinstance(n, (int, np.integer)) and n >= 0 for n in shape
    ):
        raise TypeError(
            f"memory_plan: {function._label(k)} ({type_}) takes a shape, the length of a vector, "
            f"the value of a scalar or an array, not {argument!r}"
        )
    if len(shape) != type_.ndim:
        raise ShapeError(
            f"memory_plan: {function._label(k)} has {type_.ndim} axes, not the shape {shape}"
        )
    return stand_in(tuple(map(int, shape)), type_.dtype)


def _ask(
    function: Any, step: CompiledStep, arguments: tuple[Any, ...]
) -> tuple[list[np.ndarray], int, int]:
    """Stand-ins for the results of an entry, the bytes of its scratch and of copied arguments."""
    given, copied = arguments, 0
    info = ffi.new("int64_t[]", 5 + step.lengths)
    while True:
        status = step.entry(step.segment, step.host, id(given), 0, ffi.NULL, info)
        if status == ORDER and attach_strided():
            continue
        if status not in (ARGUMENT, ORDER):
            break
        k = int(info[1])
        if status == ORDER:
            k = next(k for k, a in enumerate(given) if not _in_order(a))
        if _in_order(given[k]):
            raise ShapeError(f"memory_plan: argument {k} does not have the declared type")
        copied += given[k].nbytes
        given = (*given[:k], _put_in_order(given[k]), *given[k + 1 :])
    if status in (CHECK, LABEL):
        node, what, _ = function.compiled.plan().describe_check(step.segment, int(info[1]))
        raise ShapeError(f"{node.op.name}: {what} ({int(info[2])} and {int(info[3])})")
    assert status == PLAN, f"an entry without results answers {status}"
    results, at = [], 5
    for dtype, ndim in step.types:
        results.append(stand_in(tuple(int(info[at + k]) for k in range(ndim)), dtype))
        at += ndim
    return results, int(info[4]), copied


def _in_order(a: np.ndarray) -> bool:
    return a.flags.c_contiguous and a.flags.aligned


def _put_in_order(a: np.ndarray) -> np.ndarray:
    return np.array(a, order="C") if a.nbytes <= REAL else stand_in(a.shape, a.dtype)


def _infer(node: Any, arguments: tuple[Any, ...]) -> list[np.ndarray]:
    """Stand-ins for the results of a step that Python runs."""
    from jitgraph.ops.shape import known_int

    shapes = node.op.infer_shape(node, [np.shape(a) for a in arguments])
    found = []
    for v, shape in zip(node.outputs, shapes or [None] * len(node.outputs), strict=True):
        lengths = [None] if shape is None else [_length(n, known_int) for n in shape]
        if None in lengths or not isinstance(v.type, TensorType):
            raise JitgraphError(
                f"memory_plan: the shape of the result of {node.op.name} is known only when it "
                "has been computed"
            )
        found.append(stand_in(tuple(n for n in lengths if n is not None), v.type.dtype))
    return found


def _length(n: Any, known_int: Any) -> int | None:
    if isinstance(n, (int, np.integer)):
        return int(n)
    found: int | None = known_int(n)
    return found


def _summed(
    function: Any,
    given: list[Any],
    shared: list[Any],
    values: list[Any],
    scratch: int,
    copies: int,
) -> MemoryPlan:
    program, n = function.compiled.program, function.n_outputs

    def size(a: Any) -> int:
        return int(a.dtype.itemsize * math.prod(a.shape)) if isinstance(a, np.ndarray) else 0

    def named(names: Sequence[str], arrays: Sequence[Any]) -> dict[str, int]:
        found: dict[str, int] = {}
        for name, a in zip(names, arrays, strict=True):
            while name in found:  # two of the same name
                name += "'"
            found[name] = size(a)
        return found

    written = function.compiled.outputs
    outputs = [v.name or f"result {k}" for k, v in enumerate(written[:n])]
    variables = [s.name or "unnamed" for s in function.shared]
    updates = [v.name or "unnamed" for v in function.target_variables]
    results = [values[k] for k in program.outputs]
    first = len(given) + len(shared) + len(function.compiled.constants)
    made = {k for step in program.steps for k in step.outputs if k >= first}
    return MemoryPlan(
        inputs=named([function._label(k) for k in range(len(given))], given),
        shared=named(variables, shared),
        outputs=named(outputs, results[:n]),
        updates=named(updates, results[n:]),
        between=sum(size(values[k]) for k in made - set(program.outputs)),
        scratch=scratch,
        copies=copies,
    )


__all__ = ["MemoryPlan", "memory_plan", "stand_in"]
