"""From inputs and outputs to a program that runs: key, cache, and on a miss rewriting and C."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.canonical import graph_text, large_constants, own_memory
from jitgraph.graph import Constant, Variable, toposort
from jitgraph.op import from_token, without_test_values
from jitgraph.runtime.program import CompiledStep, Program, PythonStep


@dataclass
class Compiled:
    """A program with what is needed to explain it: the graph it came from, and the report."""

    program: Program
    constants: tuple[Any, ...]  # values of the slots behind the inputs
    inputs: list[Variable]
    outputs: list[Variable]
    mode: Any
    report: dict[str, Any]
    step_ops: list[Any] = field(default_factory=list)
    c_inputs: frozenset[int] = frozenset()  # inputs that the first step, C code, checks by itself
    _plan: Any = None
    written: list[Variable] = field(default_factory=list)  # outputs with the ops of the program

    def plan(self) -> Any:
        """The plan of this very graph, with the user's names and lines; made when asked for."""
        if self._plan is None:
            self._plan = plan_graph(self.inputs, self.outputs, self.mode)[0]
        return self._plan


@cache
def code_digest() -> str:
    """Digest of everything that decides what C comes out of a graph."""
    from jitgraph.runtime.toolchain import csrc_directory, tree_digest

    root = Path(__file__).parent
    parts = [
        tree_digest(str(root / place), (".py",)) for place in ("cgen", "ops", "rewrite", "runtime")
    ]
    parts += [tree_digest(csrc_directory(), (".h", ".c"))]
    top = ("graph.py", "op.py", "dtypes.py", "canonical.py", "compiling.py")
    parts += [(root / name).read_text(encoding="utf-8") for name in top]
    import hashlib

    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def plan_graph(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    mode: Any,
    report: dict[str, Any] | None = None,
) -> tuple[Any, list[Constant]]:
    """Rewrite and plan; also the large constants of the rewritten graph, the slots after inputs."""
    from jitgraph.cgen.plan import make_plan
    from jitgraph.ops.branch import close_branches
    from jitgraph.rewrite.pipeline import optimise

    report = {} if report is None else report
    with _timed(report, "rewrite"):
        rewritten = own_memory(close_branches(optimise(list(outputs), mode)))
    constants = large_constants(rewritten, inputs)
    with _timed(report, "plan"):
        plan = make_plan([*inputs, *constants], rewritten, fusion=mode.fusion)
    return plan, constants


def compile_graph(
    inputs: Sequence[Variable], outputs: Sequence[Variable], mode: Any, report: dict[str, Any]
) -> Compiled:
    """The program for a graph whose leaves are `inputs`, from memory, disk or the compiler."""
    written = list(outputs)
    if _has_user_ops(outputs, inputs):
        from jitgraph.extending.prepare import prepared

        outputs = prepared(outputs, stop=inputs)
    with without_test_values():
        compiled: Compiled = mode.compile(inputs, outputs, report) or compile_plain(
            inputs, outputs, mode, report
        )
    compiled.written = written
    return compiled


def _has_user_ops(outputs: Sequence[Variable], stop: Sequence[Variable]) -> bool:
    """Whether an op of the program is in the graph, or in the body of a loop."""
    for node in toposort(outputs, stop=stop):
        body = getattr(node.op, "body", None)
        if node.op.needs_preparation or (body and _has_user_ops(body.outputs, body.inputs)):
            return True
    return False


def compile_plain(
    inputs: Sequence[Variable], outputs: Sequence[Variable], mode: Any, report: dict[str, Any]
) -> Compiled:
    """As `compile_graph`, for built-in ops and without what the mode adds to the program."""
    if mode.linker == "reference":
        return _reference_program(inputs, outputs, mode, report)
    from jitgraph.runtime.cache import Entry, default_cache, make_key
    from jitgraph.runtime.toolchain import default_toolchain

    with _timed(report, "key"):
        toolchain = default_toolchain()
        text = graph_text(inputs, outputs)
        parts = {
            "graph": text,
            "mode": mode.token(),
            "jitgraph": code_digest(),
            "toolchain": toolchain.identity,
        }
        key = make_key(parts)
    given = large_constants(outputs, inputs)
    made: dict[str, Any] = {}

    def build() -> tuple[str, dict[str, Any]]:
        plan, constants = plan_graph(inputs, outputs, mode, report)
        made["plan"] = plan
        metadata = plan.metadata()
        metadata["constants"] = [_reference_to(c, given) for c in constants]
        if not has_c(metadata):
            raise _NothingToCompile(Entry(key, metadata, "", b"", "none"))
        with _timed(report, "emit"):
            return plan.c_source(), metadata

    try:
        entry = default_cache().get_or_build(key, parts, build, toolchain, report)
    except _NothingToCompile as plain:
        entry = plain.entry
        report.update(cache="none", reason="no part of the graph is compiled", source="none")
    report["entry"] = key
    return _assemble(inputs, outputs, mode, report, entry, given, made.get("plan"))


class _NothingToCompile(Exception):
    """The program consists of NumPy steps alone; `entry` describes them."""

    def __init__(self, entry: Any):
        super().__init__()
        self.entry = entry


def _reference_to(constant: Constant, given: Sequence[Constant]) -> Any:
    """Which large constant of the user's graph this is, or, for a new one, its value."""
    signature = constant.signature()
    for k, other in enumerate(given):
        if other.signature() == signature:
            return k
    return [constant.type.dtype, list(constant.data.shape), constant.data.tobytes().hex()]


def _assemble(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    mode: Any,
    report: dict[str, Any],
    entry: Any,
    given: Sequence[Constant],
    plan: Any,
) -> Compiled:
    from jitgraph.runtime.loader import attach_blas, host, load
    from jitgraph.runtime.threads import ensure_pool

    metadata = entry.metadata
    ops: list[Any] = []
    with _timed(report, "load"):
        lib: Any = None
        if has_c(metadata):
            lib = load(entry.object_bytes, entry.key)
            if '"jg_blas.h"' in entry.c_source:
                attach_blas()
            if "JG_POOL_IMPLEMENTATION" in entry.c_source:
                ensure_pool(lib, host())
        program = _program(metadata, lib, ops)
    steps = program.steps
    constants = tuple(
        given[k].data if isinstance(k, int) else _literal(*k) for k in metadata["constants"]
    )
    checked = steps[0].inputs if steps and isinstance(steps[0], CompiledStep) else ()
    return Compiled(
        program, constants, list(inputs), list(outputs), mode, report, ops, frozenset(checked), plan
    )


def has_c(metadata: dict[str, Any]) -> bool:
    """Whether some step of a program, or of the body of one of its loops, is compiled."""
    return any(s["kind"] == "c" or any(map(has_c, s.get("bodies", ()))) for s in metadata["steps"])


def _program(metadata: dict[str, Any], lib: Any, ops: list[Any]) -> Program:
    """The program that `Plan.metadata` describes; adds the ops of its Python steps to `ops`."""
    from jitgraph.runtime.loader import host

    steps: list[CompiledStep | PythonStep] = []
    for s in metadata["steps"]:
        if s["kind"] == "c":
            steps.append(CompiledStep(lib, host(), s))
            continue
        number = len(ops)
        if "bodies" in s:
            from jitgraph.runtime.loop import ChoiceStep, LoopStep

            ops.append(None)
            bodies = [_program(body, lib, ops) for body in s["bodies"]]
            kind = LoopStep if s["kind"] == "loop" else ChoiceStep
            steps.append(kind(bodies, s, number))
        else:
            ops.append(from_token(s["op"]))
            steps.append(PythonStep(ops[-1].evaluate, s, number))
    literals = {k: _literal(*value) for k, *value in metadata["literals"]}
    return Program(steps, metadata["slots"], metadata["outputs"], literals)


def _literal(dtype: str, shape: Sequence[int], data: str) -> np.ndarray:
    """A read-only array from the bytes that `Plan.metadata` wrote in hexadecimal."""
    return np.frombuffer(bytes.fromhex(data), dtypes.NUMPY[dtype]).reshape(shape)


def _reference_program(
    inputs: Sequence[Variable], outputs: Sequence[Variable], mode: Any, report: dict[str, Any]
) -> Compiled:
    """The graph evaluated node by node with NumPy."""
    from jitgraph.reference import evaluate

    def run(*values: Any) -> list[Any]:
        return evaluate(own, dict(zip(inputs, values, strict=True)))

    own = own_memory(outputs)
    numbers = list(range(len(inputs)))
    made = [len(inputs) + k for k in range(len(own))]
    step = PythonStep(run, {"in": numbers, "out": made}, 0)
    program = Program([step], len(inputs) + len(own), made)
    report.update(cache="none", reason="mode='reference' uses no compiled code")
    return Compiled(program, (), list(inputs), list(outputs), mode, report)


class _timed:
    """Add the milliseconds of a block to report[name]."""

    def __init__(self, report: dict[str, Any], name: str):
        self.report, self.name = report, name

    def __enter__(self) -> None:
        self.start = time.perf_counter()

    def __exit__(self, *exc: object) -> None:
        self.report[self.name] = (time.perf_counter() - self.start) * 1e3
