"""`jitgraph.function`: from symbolic inputs, outputs and updates to something that is called."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from jitgraph.compiling import compile_graph
from jitgraph.config import config
from jitgraph.errors import MissingInputError, UnusedInputError
from jitgraph.function_io import In, Out, as_input, as_output
from jitgraph.graph import (
    Constant,
    SharedVariable,
    TensorType,
    Variable,
    ancestors,
    format_origin,
    leaves,
    rebuild,
    user_origin,
)
from jitgraph.op import describe, here, without_test_values

__all__ = ["In", "Out", "evaluate_variable", "function"]

Updates = dict[SharedVariable, Variable]


def function(
    inputs: Any,
    outputs: Any = None,
    mode: Any = None,
    updates: Any = None,
    givens: Any = None,
    no_default_updates: Any = False,
    accept_inplace: bool = False,
    name: str | None = None,
    rebuild_strict: bool = True,
    allow_input_downcast: bool | None = None,
    profile: Any = None,
    on_unused_input: str | None = None,
) -> Any:
    """Compile the graph from `inputs` to `outputs` into a callable.

    inputs    list or tuple of variables or `In`
    outputs   a variable or `Out` (the call returns an array), a list or tuple (a list of
              arrays), a dict with str keys (a dict), None (an empty list)
    mode      None for the configured one, a name ('FAST_RUN', 'FAST_COMPILE', 'reference') or
              a `Mode`
    updates   pairs (shared, expression) or a dict: all expressions are computed from the
              values before the call, and stored together after everything succeeded
    givens    pairs (variable, replacement) or a dict, for this function only
    no_default_updates  True: ignore every `default_update`; a list: those of these variables
    name      for messages; default: file and line of the call
    allow_input_downcast  as `In(allow_downcast=…)` for plain inputs
    profile   None for the configured choice, True, a message, or a `ProfileStats`: calls are
              measured, and `f.profile` holds the figures; printed when the process ends
    on_unused_input  'raise', 'warn', 'ignore', or None for the configured one

    The function never changes its arguments, and its results share memory with nothing.
    Raises MissingInputError, UnusedInputError, TypeError, ValueError as described in
    docs/errors.md.
    """
    started = time.perf_counter()
    if not isinstance(inputs, (list, tuple)):
        raise Exception(
            f"Input variables of a function should be contained in a list, even when there is a "
            f"single input; got {type(inputs).__name__}{here()}"
        )
    origin = user_origin()
    ins = [_with_default_downcast(as_input(x), x, allow_input_downcast) for x in inputs]
    outs, shape_of_result = _outputs(outputs)
    _check_distinct(ins)
    pairs = _update_pairs(updates)
    replacements = _givens(givens, {i.variable for i in ins}, rebuild_strict)
    defaults = _DefaultUpdates(no_default_updates)
    expressions = [o.variable for o in outs]
    targets: list[Any] = [*pairs, *(i for i in ins if i.update is not None)]
    news = [*pairs.values(), *(i.update for i in ins if i.update is not None)]
    given = [_as_leaf(i.variable, replacements) for i in ins]
    rebuilt = _replaced([*expressions, *news], replacements)
    news = list(rebuilt[len(expressions) :])
    expressions = list(rebuilt[: len(expressions)])
    defaults.extend(targets, expressions, news, replacements)
    shared = _needed_leaves(given, [*expressions, *news], targets)
    _check_unused(ins, given, [*expressions, *news], on_unused_input)
    report: dict[str, Any] = {}
    from jitgraph.mode import get_mode

    compiled = compile_graph([*given, *shared], [*expressions, *news], get_mode(mode), report)
    report["total"] = (time.perf_counter() - started) * 1e3
    from jitgraph.callable import Function

    name = name or (format_origin(origin) or None)
    stats = None
    if profile is not None or config.profile:
        from jitgraph.profile_stats import profile_for

        stats = profile_for(profile, name)
        if stats is not None:
            stats.add_compilation(report)

    return Function(
        compiled,
        ins,
        shared,
        [t.container if isinstance(t, SharedVariable) else t for t in targets],
        [t if isinstance(t, SharedVariable) else t.variable for t in targets],
        len(outs),
        shape_of_result,
        name,
        profile=stats,
    )


def _replaced(
    outputs: Sequence[Variable], replacements: Mapping[Variable, Variable]
) -> list[Variable]:
    if not replacements:
        return list(outputs)
    with without_test_values():
        return rebuild(outputs, replacements)


def _as_leaf(variable: Variable, replacements: dict[Variable, Variable]) -> Variable:
    """The leaf that an input is in the graph; an intermediate result is replaced by a new one."""
    if variable.owner is None:
        return variable
    leaf = variable.type.make_variable(variable.name)
    leaf.origins = variable.owner.origins
    replacements[variable] = leaf
    return leaf


def _with_default_downcast(i: In, original: Any, allow: bool | None) -> In:
    if i is not original:
        i.allow_downcast = allow
    return i


def _outputs(outputs: Any) -> tuple[list[Out], Any]:
    """The outputs as a list, and how the call returns them: 'one', 'list', or dict keys."""
    if outputs is None:
        return [], "list"
    if isinstance(outputs, dict):
        if not all(isinstance(k, str) for k in outputs):
            raise AssertionError(f"the keys of an outputs dict must be strings{here()}")
        keys = sorted(outputs)
        return [as_output(outputs[k]) for k in keys], keys
    if isinstance(outputs, (list, tuple)):
        return [as_output(o) for o in outputs], "list"
    return [as_output(outputs)], "one"


def _check_distinct(ins: Sequence[In]) -> None:
    seen: set[Variable] = set()
    for i in ins:
        if i.variable in seen:
            raise UnusedInputError(
                f"The variable {describe(i.variable)} is used twice in inputs to a function, so "
                f"one of the values would not be used{here()}"
            )
        seen.add(i.variable)


def _pairs(given: Any, what: str) -> list[tuple[Any, Any]]:
    if given is None:
        return []
    if isinstance(given, Mapping):
        return list(given.items())
    result = []
    for entry in given:
        if isinstance(entry, Variable) or not isinstance(entry, (list, tuple)) or len(entry) != 2:
            raise ValueError(
                f"{what} must be a dict or a list of pairs, got the entry {entry!r}{here()}"
            )
        result.append((entry[0], entry[1]))
    return result


def _update_pairs(updates: Any) -> Updates:
    result: Updates = {}
    for target, value in _pairs(updates, "updates"):
        if not isinstance(target, SharedVariable):
            raise TypeError(f"update target must be a SharedVariable, got {target!r}{here()}")
        if target in result:
            raise ValueError(
                f"this shared variable already has an update expression: {target}{here()}"
            )
        result[target] = update_expression(target, value)
    return result


def update_expression(target: SharedVariable, value: Any) -> Variable:
    """`value` as an expression of exactly the type of `target`."""
    if not isinstance(value, Variable):
        if isinstance(target.type, TensorType):
            from jitgraph.tensor.filter import filter_shared

            value = target.type.make_constant(filter_shared(target, value))
            if value.type != target.type:
                return value
        else:
            raise TypeError(f"the update of {target} must be a variable, got {value!r}{here()}")
    if value.type != target.type:
        hint = ""
        if isinstance(value.type, TensorType) and isinstance(target.type, TensorType):
            hint = _hint_for_update(value.type, target.type)
        raise TypeError(
            f"An update must have the same type as the original shared variable "
            f"(shared_var={target}, shared_var.type={target.type}, update_val={value}, "
            f"update_val.type={value.type}).{hint}{here()}"
        )
    return value


def _hint_for_update(type_: TensorType, wanted: TensorType) -> str:
    if type_.ndim != wanted.ndim:
        return ""
    if type_.dtype != wanted.dtype:
        return f" Convert the update with T.cast(…, '{wanted.dtype}')."
    return (
        " If the difference is related to the broadcast pattern, you can call the "
        "tensor.unbroadcast(var, axis_to_unbroadcast[, ...]) function to remove broadcastable "
        "dimensions."
    )


def _givens(givens: Any, inputs: set[Variable], strict: bool) -> dict[Variable, Variable]:
    result: dict[Variable, Variable] = {}
    for old, new in _pairs(givens, "givens"):
        if not isinstance(old, Variable):
            raise TypeError(f"givens: {old!r} is not a variable{here()}")
        if old in inputs:
            raise RuntimeError(
                f"You are trying to replace variable '{old}' through the `givens` parameter, but "
                f"this variable is an input to your function. Replacing inputs is currently "
                f"forbidden because it has no effect. One way to modify an input `x` to a function "
                f"evaluating f(x) is to define a new input `y` and use "
                f"`jitgraph.function([y], f(x), givens={{x: g(y)}})`. Another solution consists in "
                f"using `jitgraph.clone`{here()}"
            )
        if old in result:
            raise AssertionError(f"givens: {old} is replaced twice{here()}")
        result[old] = _replacement(old, new, strict)
    for old, new in result.items():
        for v in ancestors([new]):
            if v in result and v is not old:
                raise AssertionError(
                    f"givens: the replacement of {old} depends on {v}, "
                    f"which is replaced too{here()}"
                )
    return result


def _replacement(old: Variable, new: Any, strict: bool) -> Variable:
    """`new` as a variable of the type of `old`; a value becomes an anonymous shared variable."""
    if not isinstance(new, Variable):
        from jitgraph.tensor.sharing import shared

        if isinstance(old.type, TensorType):
            new = shared(old.type.filter(new), broadcastable=old.type.broadcastable)
        else:
            new = shared(new)
    if new.type == old.type or not strict:
        return new
    if isinstance(old.type, TensorType):
        return old.type.filter_variable(new)
    raise TypeError(f"Cannot convert Type {new.type} (of Variable {new}) into {old.type}{here()}")


class _DefaultUpdates:
    """Adds the default updates of the shared variables that a graph needs."""

    def __init__(self, excluded: Any):
        if not isinstance(excluded, (bool, list, tuple)):
            raise TypeError(f"no_default_update should be either a boolean or a list{here()}")
        self.none = excluded is True
        self.excluded = set(excluded) if isinstance(excluded, (list, tuple)) else set()

    def extend(
        self,
        targets: list[Any],
        expressions: Sequence[Variable],
        news: list[Variable],
        replacements: Mapping[Variable, Variable],
    ) -> None:
        """Append each default update to `targets` and `news`; one may bring in others."""
        if self.none:
            return
        seen = set(self.excluded)
        pending = leaves([*expressions, *news])
        while pending:
            v = pending.pop(0)
            if v in seen:
                continue
            seen.add(v)
            update = getattr(v, "default_update", None)
            if not isinstance(v, SharedVariable) or update is None or v in targets:
                continue
            new = update_expression(v, update)
            [new] = _replaced([new], replacements)
            targets.append(v)
            news.append(new)
            pending.extend(leaves([new]))


def _needed_leaves(
    inputs: Sequence[Variable], outputs: Sequence[Variable], targets: Sequence[Any]
) -> list[SharedVariable]:
    """The shared variables the graph reads; MissingInputError for any other leaf."""
    known = set(inputs)
    shared: list[SharedVariable] = []
    for v in leaves(outputs, stop=inputs):
        if v in known or isinstance(v, Constant):
            continue
        if isinstance(v, SharedVariable):
            shared.append(v)
            continue
        raise MissingInputError(f"the outputs need {_missing(v)}")
    return shared


def _missing(v: Variable) -> str:
    """What is said of a leaf without a value."""
    where = f"   ({v.where})" if v.where else here()
    loop = getattr(v.tag, "step_of", None)
    if loop is not None:
        # The default update of a draw, for one, whose size is that of a variable of the step.
        return (
            f"{describe(v)}, which exists in the step of {loop} only: return it from the step; or, "
            f"if the step makes random draws, pass the updates that scan returned to the "
            f"function, updates=updates{where}"
        )
    return (
        f"{describe(v)}, which is not among the inputs and has no value of its own: add it to "
        f"the inputs, or give it a value with `givens`{where}"
    )


def _check_unused(
    ins: Sequence[In], given: Sequence[Variable], outputs: Sequence[Variable], choice: str | None
) -> None:
    choice = choice or config.on_unused_input
    if choice not in ("raise", "warn", "ignore"):
        raise ValueError(
            f"Invalid value for keyword on_unused_input of a function: {choice!r}. Valid values "
            f"are 'raise', 'warn' and 'ignore'{here()}"
        )
    if choice == "ignore":
        return
    used = set(ancestors(outputs, stop=given))
    for i, leaf in zip(ins, given, strict=True):
        if leaf in used or i.update is not None:
            continue
        where = f"   ({i.variable.where})" if i.variable.where else here()
        message = (
            f"the input {describe(i.variable)} is not used to compute any output: leave it out, or "
            f"pass on_unused_input='ignore'{where}"
        )
        if choice == "warn":
            warnings.warn(message, stacklevel=3)
        else:
            raise UnusedInputError(message)


def evaluate_variable(variable: Variable, values: Mapping[Variable, Any] | None) -> Any:
    """The value of `variable` for the given inputs (see `TensorVariable.eval`)."""
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise TypeError(f"eval takes a dict from variables to values, got {values!r}{here()}")
    for v in values:
        if not isinstance(v, Variable):
            raise TypeError(f"the keys of eval's dict must be variables, got {v!r}{here()}")
    known = variable.tag.__dict__.setdefault("_eval_functions", {})
    keys = tuple(values)
    if keys not in known:
        known[keys] = function(list(keys), variable)
    return known[keys](*values.values())
