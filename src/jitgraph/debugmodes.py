"""Modes that watch a function run, node by node: NanGuardMode, MonitorMode and DebugMode.

The nodes are those of the rewritten graph. NanGuardMode and MonitorMode evaluate them with NumPy;
DebugMode runs the compiled code too and compares. All are slow by design.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from jitgraph.compiling import Compiled, compile_plain, own_memory
from jitgraph.config import config
from jitgraph.errors import BadOptimization, BadThunkOutput, InvalidValueError
from jitgraph.graph import Apply, Constant, SharedVariable, TensorType, Variable
from jitgraph.mode import Mode
from jitgraph.op import describe, here
from jitgraph.reference import check_stretching, evaluate, steps
from jitgraph.runtime.program import Program, WholeStep

__all__ = ["DebugMode", "MonitorMode", "NanGuardMode", "detect_nan"]

BIG = 1e10
_NONE: frozenset[str] = frozenset()


class Storages:
    """`inputs` and `outputs` of a node that runs: for each, a list of one value."""

    def __init__(self, inputs: list[list[Any]], outputs: list[list[Any]]):
        self.inputs, self.outputs = inputs, outputs


Watcher = Callable[[int, Apply, Storages], None]


def _program(run: Callable[..., Sequence[Any]], inputs: int, outputs: int) -> Program:
    """A program of one step, which is a Python function of all arguments."""
    numbers = [inputs + k for k in range(outputs)]
    step = WholeStep(run, range(inputs), numbers)
    return Program([step], inputs + outputs, numbers)  # type: ignore[list-item]


def _watched(
    inputs: Sequence[Variable],
    values: Sequence[Any],
    outputs: Sequence[Variable],
    before: Watcher | None,
    after: Watcher | None,
) -> list[Any]:
    """The values of `outputs`, with a call before and after each node."""
    known: dict[Variable, Any] = dict(zip(inputs, values, strict=True))

    def value(v: Variable) -> Any:
        return v.data if isinstance(v, Constant) and v not in known else known[v]

    for i, (node, arrays) in enumerate(steps(outputs, known, value)):
        storages = Storages([[a] for a in arrays], [[None] for _ in node.outputs])
        if before is not None:
            before(i, node, storages)
        arrays = [cell[0] for cell in storages.inputs]
        check_stretching(node, arrays)
        for cell, result in zip(storages.outputs, node.op.evaluate(*arrays), strict=True):
            cell[0] = result
        if after is not None:
            after(i, node, storages)
        known.update(zip(node.outputs, (cell[0] for cell in storages.outputs), strict=True))
    return [value(v) for v in outputs]


def _rewritten(outputs: Sequence[Variable], mode: Mode) -> list[Variable]:
    from jitgraph.rewrite.pipeline import optimise

    return own_memory(optimise(list(outputs), mode))


def _set(mode: Mode, **fields: Any) -> None:
    for name, value in fields.items():
        object.__setattr__(mode, name, value)
    mode.__post_init__()


# -- watching with a function --------------------------------------------------------------------


@dataclass(frozen=True, init=False)
class MonitorMode(Mode):
    """Calls `pre_func(i, node, fn)` before and `post_func(i, node, fn)` after each node.

    `i` counts the nodes of a call from 0; `fn.inputs` and `fn.outputs` hold the values, each as a
    list of one. `linker` is accepted and not used: nodes run in NumPy.
    """

    pre_func: Watcher | None = None
    post_func: Watcher | None = None

    def __init__(
        self,
        pre_func: Watcher | None = None,
        post_func: Watcher | None = None,
        optimizer: str | None = "default",
        linker: str | None = None,
        included: frozenset[str] = _NONE,
        excluded: frozenset[str] = _NONE,
        required: frozenset[str] = _NONE,
        accuracy: str | None = None,
    ):
        _set(
            self,
            linker="reference",
            optimizer=optimizer,
            included=included,
            excluded=excluded,
            required=required,
            accuracy=accuracy,
            pre_func=pre_func,
            post_func=post_func,
        )

    def compile(self, inputs: Any, outputs: Any, report: dict[str, Any]) -> Compiled:
        own = _rewritten(outputs, self)

        def run(*values: Any) -> list[Any]:
            return _watched(inputs, values, own, self.pre_func, self.post_func)

        return _compiled(run, inputs, own, self, report)


def _compiled(
    run: Callable[..., Sequence[Any]],
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    mode: Mode,
    report: dict[str, Any],
) -> Compiled:
    report.update(cache="none", reason=f"{type(mode).__name__} runs node by node")
    program = _program(run, len(inputs), len(outputs))
    return Compiled(program, (), list(inputs), list(outputs), mode, report)


def detect_nan(i: int, node: Apply, fn: Any) -> None:
    """A `post_func` for MonitorMode: print the first node of a call that makes a nan."""
    from jitgraph.printing import debugprint

    for cell in fn.outputs:
        value = cell[0]
        if isinstance(value, np.ndarray) and value.dtype.kind == "f" and np.isnan(value).any():
            print("*** NaN detected ***")
            debugprint(node)
            print(f"Inputs : {[cell[0] for cell in fn.inputs]}")
            print(f"Outputs: {[cell[0] for cell in fn.outputs]}")
            return


# -- nan, infinities, large values ---------------------------------------------------------------


@dataclass(frozen=True, init=False)
class NanGuardMode(Mode):
    """An AssertionError at the first input or result with a nan, an infinity or a value above 1e10.

    None for one of the three means what config.NanGuardMode says; config.NanGuardMode.action
    chooses between an error, a warning and the debugger. `linker` is accepted and not used.
    """

    nan_is_error: bool | None = None
    inf_is_error: bool | None = None
    big_is_error: bool | None = None

    def __init__(
        self,
        nan_is_error: bool | None = None,
        inf_is_error: bool | None = None,
        big_is_error: bool | None = None,
        optimizer: str | None = "default",
        linker: str | None = None,
        included: frozenset[str] = _NONE,
        excluded: frozenset[str] = _NONE,
        required: frozenset[str] = _NONE,
        accuracy: str | None = None,
    ):
        _set(
            self,
            linker="reference",
            optimizer=optimizer,
            included=included,
            excluded=excluded,
            required=required,
            accuracy=accuracy,
            nan_is_error=nan_is_error,
            inf_is_error=inf_is_error,
            big_is_error=big_is_error,
        )

    def compile(self, inputs: Any, outputs: Any, report: dict[str, Any]) -> Compiled:
        own = _rewritten(outputs, self)

        def after(i: int, node: Apply, fn: Storages) -> None:
            for out, (value,) in zip(node.outputs, fn.outputs, strict=True):
                self._check(value, out, f"in the output of {node.op.name}")

        def run(*values: Any) -> list[Any]:
            for v, value in zip(inputs, values, strict=True):
                kind = "a shared variable" if isinstance(v, SharedVariable) else "an input"
                self._check(value, v, f"in {kind}")
            return _watched(inputs, values, own, None, after)

        return _compiled(run, inputs, own, self, report)

    def _check(self, value: Any, v: Variable, where: str) -> None:
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
            return
        found = [
            what
            for what, wanted, bad in (
                ("NaN detected", self.nan_is_error, np.isnan(value).any()),
                ("Inf detected", self.inf_is_error, np.isinf(value).any()),
                # maximum.reduce over finite values: nan would hide a large one.
                ("Big value detected", self.big_is_error, _largest(value) > BIG),
            )
            if bad and self._wanted(what, wanted)
        ]
        if not found:
            return
        place = f"   ({v.where})" if v.where else ""
        message = f"{', '.join(found)} {where}: {describe(v)} of shape {value.shape}{place}"
        action = config.NanGuardMode.action
        if action == "warn":
            warnings.warn(message, stacklevel=2)
        elif action == "pdb":
            print(message)
            breakpoint()
        else:
            raise AssertionError(message)

    @staticmethod
    def _wanted(what: str, asked: bool | None) -> bool:
        if asked is not None:
            return asked
        by_name = {
            "NaN": config.NanGuardMode.nan_is_error,
            "Inf": config.NanGuardMode.inf_is_error,
            "Big": config.NanGuardMode.big_is_error,
        }
        return bool(by_name[what.split()[0]])


def _largest(value: np.ndarray) -> float:
    finite = np.abs(value[np.isfinite(value)])
    return float(finite.max()) if finite.size else 0.0


# -- comparing -----------------------------------------------------------------------------------


@dataclass(frozen=True, init=False)
class DebugMode(Mode):
    """Runs the graph as written, the rewritten graph and the compiled code, and compares.

    BadOptimization   a rewrite changed a result (by more than 1e-5, where it was finite);
                      approximations that were asked for by name are no changes
    BadThunkOutput    compiled code and NumPy differ
    InvalidValueError  a result is nan or infinite (check_isfinite)

    check_c_code, check_py_code, check_isfinite: None means what config.DebugMode says. The further
    arguments of Theano's DebugMode are accepted and not used.
    """

    check_c_code: bool | None = None
    check_py_code: bool | None = None
    check_isfinite: bool | None = None

    def __init__(
        self,
        optimizer: str | None = "default",
        stability_patience: Any = None,
        check_c_code: bool | None = None,
        check_py_code: bool | None = None,
        check_isfinite: bool | None = None,
        check_preallocated_output: Any = None,
        require_matching_strides: Any = None,
        linker: Any = None,
        included: frozenset[str] = _NONE,
        excluded: frozenset[str] = _NONE,
        required: frozenset[str] = _NONE,
        accuracy: str | None = None,
    ):
        _set(
            self,
            linker="c",
            optimizer=optimizer,
            included=included,
            excluded=excluded,
            required=required,
            accuracy=accuracy,
            check_c_code=check_c_code,
            check_py_code=check_py_code,
            check_isfinite=check_isfinite,
        )

    def compile(self, inputs: Any, outputs: Any, report: dict[str, Any]) -> Compiled:
        checks_c = _chosen(self.check_c_code, config.DebugMode.check_c)
        code = compile_plain(inputs, outputs, self, report) if checks_c else None
        run = self._runner(inputs, self._as_asked(outputs), _rewritten(outputs, self), code)
        program = _program(run, len(inputs), len(outputs))
        if code is None:
            report.update(cache="none", reason="DebugMode without check_c_code")
        return Compiled(program, (), list(inputs), list(outputs), self, report)

    def _as_asked(self, outputs: Sequence[Variable]) -> list[Variable]:
        """The graph as written, with the approximations that were asked for by name."""
        from jitgraph.rewrite.special import OPT_IN

        tags = frozenset(t for rule in OPT_IN if self.selects(rule.tags) for t in rule.tags)
        return _rewritten(outputs, Mode("c", None, included=tags)) if tags else own_memory(outputs)

    def _runner(
        self, inputs: Any, written: Any, rewritten: Any, code: Compiled | None
    ) -> Callable[..., Sequence[Any]]:
        def run(*values: Any) -> Sequence[Any]:
            finite = _chosen(self.check_isfinite, config.DebugMode.check_finite)
            after = _check_finite if finite else None
            with np.errstate(all="ignore"):
                expected = _watched(inputs, values, rewritten, None, after)
                if _chosen(self.check_py_code, config.DebugMode.check_py):
                    plain = evaluate(written, dict(zip(inputs, values, strict=True)))
                    for v, a, b in zip(written, plain, expected, strict=True):
                        _compare(v, a, b, BadOptimization, "as written", "rewritten")
            if code is None:
                return expected
            results = code.program.run((*values, *code.constants))
            for v, a, b in zip(written, expected, results, strict=True):
                _compare(v, a, b, BadThunkOutput, "NumPy", "compiled")
            return results

        return run


def _chosen(asked: bool | None, configured: bool) -> bool:
    return configured if asked is None else bool(asked)


def _check_finite(i: int, node: Apply, fn: Storages) -> None:
    for out, (value,) in zip(node.outputs, fn.outputs, strict=True):
        is_float = isinstance(value, np.ndarray) and value.dtype.kind == "f"
        if is_float and not np.isfinite(value).all():
            raise InvalidValueError(
                f"{node.op.name}: the result {describe(out)} of shape {value.shape} holds nan or "
                f"infinity{here(node.origins)}"
            )


def _compare(v: Variable, a: Any, b: Any, error: type[Exception], first: str, second: str) -> None:
    """Raise `error` if the values of `v` differ; where `a` is not finite, `b` may be better."""
    compare = getattr(v.type, "values_eq_approx", None) or getattr(v.type, "values_eq", None)
    if compare is None:
        return
    shown = a
    if isinstance(v.type, TensorType) and error is BadOptimization and a.shape == b.shape:
        shown = np.where(np.isfinite(a), a, b).astype(a.dtype)
    if compare(shown, b):
        return
    place = f"   ({v.where})" if v.where else ""
    if not isinstance(v.type, TensorType) or a.shape != b.shape:
        raise error(f"{describe(v)}: {first} {a!r:.200}, {second} {b!r:.200}{place}")
    with np.errstate(all="ignore"):
        distance = np.abs(np.asarray(shown, "float64") - np.asarray(b, "float64"))
    distance = np.where(np.isnan(shown) != np.isnan(b), np.inf, np.nan_to_num(distance, nan=0.0))
    worst = np.unravel_index(int(distance.argmax()), distance.shape)
    raise error(
        f"{describe(v)} of shape {a.shape}: {first} {a[worst].item()!r}, "
        f"{second} {b[worst].item()!r} "
        f"at {tuple(map(int, worst))}{place}"
    )
