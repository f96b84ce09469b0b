"""Measuring compiled functions: `function(profile=True)`, `config.profile`, `f.profile`."""

from __future__ import annotations

import atexit
import io
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TextIO

from jitgraph.config import config
from jitgraph.runtime.program import Program, WholeStep

__all__ = ["ProfileStats"]

_all: list[ProfileStats] = []


class ProfileStats:
    """Figures of one function, or of several that were given the same object.

    message          what they are called in the report
    compile_time     s, from the call of `function` to its return; optimizer_time: rewriting;
                     linker_time: writing C, compiling and loading it
    fct_callcount, fct_call_time  calls, and s in them; vm_call_time: s in compiled code and steps
    apply_time, apply_callcount, apply_cimpl  by step: s, calls, whether it is compiled. One
                     compiled step is a group of loops; single operations are not told apart
    """

    def __init__(self, message: str | None = None, atexit_print: bool = True):
        self.message = message
        self.compile_time = self.optimizer_time = self.linker_time = 0.0
        self.fct_callcount = 0
        self.fct_call_time = self.vm_call_time = 0.0
        self.apply_time: dict[str, float] = {}
        self.apply_callcount: dict[str, int] = {}
        self.apply_cimpl: dict[str, bool] = {}
        self._ignored = False
        if atexit_print:
            if not _all:
                atexit.register(_print_all)
            _all.append(self)

    # -- filling --
    def add_compilation(self, report: dict[str, Any]) -> None:
        self.compile_time += report.get("total", 0.0) / 1e3
        self.optimizer_time += report.get("rewrite", 0.0) / 1e3
        stages = ("plan", "emit", "cc", "load")
        self.linker_time += sum(report.get(s) or 0.0 for s in stages) / 1e3

    def add_call(self, seconds: float) -> None:
        if config.profiling.ignore_first_call and not self._ignored:
            self._ignored = True
            self.vm_call_time = 0.0
            self.apply_time.clear()
            self.apply_callcount.clear()
            return
        self.fct_callcount += 1
        self.fct_call_time += seconds

    def add_step(self, label: str, seconds: float, compiled: bool) -> None:
        self.vm_call_time += seconds
        self.apply_time[label] = self.apply_time.get(label, 0.0) + seconds
        self.apply_callcount[label] = self.apply_callcount.get(label, 0) + 1
        self.apply_cimpl[label] = compiled

    # -- showing --
    def summary(self, file: TextIO | None = None, n_apply_to_print: int | None = None) -> None:
        """Write the report to `file` (default: stderr)."""
        file = sys.stderr if file is None else file
        most = config.profiling.n_apply if n_apply_to_print is None else n_apply_to_print
        lines = ["Function profiling", "==================", f"  Message: {self.message}"]
        if self.fct_callcount:
            lines.append(
                f"  Time in {self.fct_callcount} calls to Function.__call__: "
                f"{self.fct_call_time:e}s"
            )
            share = 100 * self.vm_call_time / self.fct_call_time if self.fct_call_time else 0.0
            lines.append(
                f"  Time in compiled code and steps: {self.vm_call_time:e}s ({share:.3f}%)"
            )
        lines.append(f"  Total compile time: {self.compile_time:e}s")
        lines.append(f"    Rewriting: {self.optimizer_time:e}s")
        lines.append(f"    C code, compiler and loading: {self.linker_time:e}s")
        if self.apply_time:
            lines += ["Apply", "------", "  <% time> <time> <#call> <kind> <step>"]
            total = sum(self.apply_time.values()) or 1.0
            ordered = sorted(self.apply_time.items(), key=lambda item: -item[1])
            for label, seconds in ordered[:most]:
                kind = "C" if self.apply_cimpl[label] else "Py"
                lines.append(
                    f"  {100 * seconds / total:5.1f}% {seconds:.3e}s "
                    f"{self.apply_callcount[label]:7d} {kind:>2} {label}"
                )
            if len(ordered) > most:
                lines.append(f"   ... ({len(ordered) - most} more steps)")
        width = config.profiling.output_line_width
        file.write("\n".join(line[:width] for line in lines) + "\n")


def profile_for(asked: Any, name: str | None) -> ProfileStats | None:
    """The object that `function(profile=asked)` means; None: nothing is measured.

    Raises TypeError for anything but None, bool, a message, or a ProfileStats.
    """
    if asked is None:
        asked = bool(config.profile)
    if asked is False:
        return None
    if isinstance(asked, ProfileStats):
        return asked
    if asked is True or isinstance(asked, str):
        return ProfileStats(asked if isinstance(asked, str) else name)
    raise TypeError(f"profile must be None, a bool, a message or a ProfileStats, got {asked!r}")


def timed(program: Program, stats: ProfileStats, labels: Sequence[str]) -> Program:
    """The same program, with its steps timed one by one, or as a whole."""
    if config.profiling.time_thunks:
        steps = [
            WholeStep(
                _timed(step, stats, label, hasattr(step, "segment")), step.inputs, step.outputs
            )
            for step, label in zip(program.steps, labels, strict=True)
        ]
    else:
        made = {k for step in program.steps for k in step.outputs} | set(program.literals)
        given = [k for k in range(program.slots) if k not in made]
        run = _timed(program.run, stats, "the whole program", False)
        return _whole(program, run, given)
    return Program(steps, program.slots, program.outputs, program.literals)  # type: ignore[arg-type]


def _timed(
    call: Callable[[tuple[Any, ...]], Any], stats: ProfileStats, label: str, compiled: bool
) -> Callable[..., Any]:
    def timed_call(*args: Any) -> Any:
        start = time.perf_counter()
        results = call(args)
        stats.add_step(label, time.perf_counter() - start, compiled)
        return results

    return timed_call


def _whole(program: Program, run: Callable[..., Any], given: Sequence[int]) -> Program:
    """A program of one step that runs `program`; its outputs are in slots of their own."""
    n = len(given)
    numbers = [n + k for k in range(len(program.outputs))]
    return Program([WholeStep(run, range(n), numbers)], n + len(numbers), numbers)  # type: ignore[list-item]


def labels_of(program: Program, step_ops: Sequence[Any]) -> list[str]:
    """A name for each step: the loops of a compiled one are numbered, the others are ops."""
    names = []
    for step in program.steps:
        if hasattr(step, "segment"):
            names.append(f"compiled loops {step.segment}")
        else:
            number = getattr(step, "number", 0)
            op = step_ops[number] if number < len(step_ops) else "NumPy evaluation"
            names.append(f"{op} (step {number})")
    return names


def _print_all() -> None:
    destination = config.profiling.destination
    out = io.StringIO()
    for stats in _all:
        if stats.fct_callcount or stats.compile_time:
            stats.summary(out)
    if config.print_global_stats:
        total = ProfileStats("Sum of all functions", atexit_print=False)
        for stats in _all:
            _accumulate(total, stats)
        total.summary(out)
    text = out.getvalue()
    if destination in ("stderr", "stdout"):
        getattr(sys, destination).write(text)
    else:
        with open(destination, "w", encoding="utf-8") as file:
            file.write(text)


def _accumulate(total: ProfileStats, stats: ProfileStats) -> None:
    names = ("compile_time", "optimizer_time", "linker_time", "fct_callcount", "fct_call_time")
    for name in (*names, "vm_call_time"):
        setattr(total, name, getattr(total, name) + getattr(stats, name))


def measured(call: Callable[[], Any], stats: ProfileStats) -> Any:
    """What `call` returns; its time is added to `stats`."""
    start = time.perf_counter()
    result = call()
    stats.add_call(time.perf_counter() - start)
    return result
