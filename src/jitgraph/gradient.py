"""Symbolic differentiation: reverse mode over the gradients that the ops themselves define.

The graph of the cost is first made numerically stable (log(sigmoid(x)) becomes
-softplus(-x)), because the derivative of an overflowing expression is not repaired by
any later rewrite. Then one sweep from the cost towards the leaves adds up, for each
variable, the terms its consumers contribute, always in the same order.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.config import config
from jitgraph.errors import (
    DisconnectedInputError,
    GradientError,
    MethodNotDefined,
    NullTypeGradError,
)
from jitgraph.gradient_ops import (
    consider_constant,
    disconnected_grad,
    grad_clip,
    grad_not_implemented,
    grad_scale,
    grad_undefined,
    undefined_grad,
    zero_grad,
)
from jitgraph.graph import Apply, Constant, TensorType, Variable, rebuild, toposort, user_origin
from jitgraph.jacobians import hessian, jacobian
from jitgraph.op import (
    DISCONNECTED,
    Disconnected,
    DisconnectedType,
    Gradient,
    NullType,
    Undefined,
    describe,
    here,
    without_test_values,
)
from jitgraph.ops.arithmetic import add, identity
from jitgraph.ops.elementwise import FILL, zeros_for
from jitgraph.ops.shape import DimShuffle, restrict_pattern
from jitgraph.ops.values import as_tensor_variable
from jitgraph.verify import numeric_grad, verify_grad

__all__ = [
    "DisconnectedInputError",
    "DisconnectedType",
    "GradientError",
    "Lop",
    "NullType",
    "NullTypeGradError",
    "Rop",
    "consider_constant",
    "disconnected_grad",
    "format_as",
    "grad",
    "grad_clip",
    "grad_not_implemented",
    "grad_scale",
    "grad_undefined",
    "hessian",
    "jacobian",
    "numeric_grad",
    "subgraph_grad",
    "undefined_grad",
    "verify_grad",
    "zero_grad",
]


def grad(
    cost: Variable | None,
    wrt: Any,
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
    add_names: bool = True,
    known_grads: Mapping[Variable, Any] | None = None,
    return_disconnected: str = "zero",
    null_gradients: str = "raise",
) -> Any:
    """The gradient of the 0-d `cost` with respect to `wrt`: a variable, or a list or tuple of them.

    Each gradient has the shape of its variable and the dtype that the computation gives it
    (a float32 parameter of a float64 cost has a float64 gradient); it is called `(dcost/dx)`
    if both have names and `add_names`. The answer has the form of `wrt`. A discrete cost has
    zero gradients, and a discrete variable receives a float gradient (floatX zeros where
    only integers depend on it).

    `consider_constant`: variables through which nothing is propagated.
    `known_grads`: variable -> gradient to start from, besides the cost or (`cost=None`) in
    its place; it stands for everything that would have reached that variable.
    `disconnected_inputs`: what to do about a variable that the cost does not depend on:
    'raise', 'warn' or 'ignore'; `return_disconnected`: what to return for it: 'zero', 'None'
    or 'Disconnected'.
    `null_gradients`: 'raise', or 'return' the gradient whose `type` is NullType.

    Below an intermediate variable that is itself in `wrt`, the graph is differentiated as it
    was written, without the rewrites for stability.

    Raises TypeError for a cost that is not 0-d, for `wrt` that are no variables and for a
    discrete known gradient; DisconnectedInputError; NullTypeGradError; MethodNotDefined for an
    op without gradient; ValueError for an unknown choice; AssertionError without any start.
    """
    targets, as_list, as_tuple = _targets(wrt)
    constants = _variables(consider_constant, "consider_constant")
    _choice("disconnected_inputs", disconnected_inputs, ("raise", "warn", "ignore"))
    _choice("return_disconnected", return_disconnected, ("zero", "None", "Disconnected"))
    _choice("null_gradients", null_gradients, ("raise", "return"))
    found = _propagate(_known(cost, known_grads), targets, constants)
    results: dict[Variable, Any] = {}
    for v in targets:
        g: Any = _answer(
            v, found[v], cost, (disconnected_inputs, return_disconnected, null_gradients)
        )
        if isinstance(g, Variable) and add_names and cost is not None:
            g = _named(g, cost, v, (known_grads or {}).values())
        results[v] = g
    return format_as(as_list, as_tuple, [results[v] for v in targets])


def _answer(v: Variable, g: Gradient, cost: Variable | None, choices: tuple[str, str, str]) -> Any:
    """What the caller sees of the gradient `g` of `v`, by the three choices of `grad`."""
    disconnected_inputs, return_disconnected, null_gradients = choices
    if isinstance(g, Undefined) and null_gradients == "raise":
        raise NullTypeGradError(
            f"the gradient with respect to {describe(v)} does not exist: {g.reason}{here()}"
        )
    if isinstance(g, Disconnected):
        _report_disconnected(v, cost, disconnected_inputs)
        return {"zero": zeros_for(v), "None": None}.get(return_disconnected, DISCONNECTED)
    return restrict_pattern(g, v.type.broadcastable) if isinstance(g, Variable) else g


# -- arguments ---------------------------------------------------------------------------------


def _targets(wrt: Any) -> tuple[list[Variable], bool, bool]:
    """The variables of `wrt`, and whether they came in a list or in a tuple."""
    if isinstance(wrt, (set, frozenset)):
        raise TypeError(
            f"wrt must not be a set: it has no order in which to return the gradients{here()}"
        )
    targets = list(wrt) if isinstance(wrt, (list, tuple)) else [wrt]
    for v in targets:
        if not isinstance(v, Variable):
            raise TypeError(f"Expected Variable, got {v!r} of type {type(v).__name__}{here()}")
        if not isinstance(v.type, TensorType):
            raise TypeError(
                f"there is no gradient with respect to {v}, which holds {v.type}{here()}"
            )
    return targets, isinstance(wrt, list), isinstance(wrt, tuple)


def _variables(given: Any, what: str) -> list[Variable]:
    if given is None:
        return []
    if isinstance(given, Variable):
        raise ValueError(
            f"{what} takes a list of variables, got {describe(given)}; length not known{here()}"
        )
    if not isinstance(given, Iterable):
        raise TypeError(f"{what} takes a list of variables, got {given!r}{here()}")
    result = list(given)
    for v in result:
        if not isinstance(v, Variable):
            raise TypeError(f"{what} takes variables, got {v!r} of type {type(v).__name__}{here()}")
    return result


def _choice(what: str, value: Any, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}; got {value!r}{here()}")


def _known(
    cost: Variable | None, known_grads: Mapping[Variable, Any] | None
) -> dict[Variable, Gradient]:
    """The gradients the sweep starts from: those that were given, and 1 for the cost."""
    known: dict[Variable, Gradient] = {}
    for v, g in (known_grads or {}).items():
        if not isinstance(v, Variable):
            raise TypeError(f"known_grads: {v!r} is no variable{here()}")
        if not isinstance(g, (Disconnected, Undefined)):
            g = as_tensor_variable(g)
            if g.type.dtype in dtypes.DISCRETE:
                raise TypeError(
                    f"known_grads: a gradient must be float, but that of {describe(v)} is "
                    f"{describe(g)}{here()}"
                )
            if g.type.ndim != v.type.ndim:
                raise TypeError(
                    f"known_grads: {describe(g)} cannot be the gradient of {describe(v)}{here()}"
                )
        known[v] = g
    if cost is None:
        if not known:
            raise AssertionError(f"a gradient needs a cost or known_grads{here()}")
        return known
    if not isinstance(cost, Variable) or not isinstance(cost.type, TensorType):
        raise TypeError(f"cost must be a scalar variable, got {cost!r}{here()}")
    if cost.type.ndim:
        raise TypeError(f"cost must be a scalar. Got {describe(cost)}{here()}")
    known.setdefault(cost, _one_like(cost))
    return known


def _one_like(cost: Variable) -> Variable:
    dtype = cost.type.dtype
    if dtype in dtypes.DISCRETE:
        dtype = dtypes.check(config.floatX)
    return FILL(cost, np.ones((), dtype=dtype))


def _report_disconnected(v: Variable, cost: Variable | None, action: str) -> None:
    """Raise or warn that no gradient connects `v` with the cost (or the known gradients)."""
    if action == "ignore":
        return
    made = f", made at {v.where}," if v.where else ""
    of = describe(cost) if cost is not None else "what known_grads start from"
    message = (
        f"{describe(v)}{made} is not part of the computation of {of}, or only through operations "
        f"without derivative (indices, shapes, argmax); disconnected_inputs='ignore' takes its "
        f"gradient as zero{here()}"
    )
    if action == "raise":
        raise DisconnectedInputError(message)
    # The place to blame is the user's, whatever the depth of the calls in between.
    file, line = (user_origin() or (("jitgraph", 0),))[0]
    warnings.warn_explicit(message, UserWarning, file, line)


def _named(g: Variable, cost: Variable, v: Variable, given: Iterable[Any]) -> Variable:
    """`g` called (dcost/dv); a copy of it if that variable is somebody else's already."""
    if not (cost.name and v.name):
        return g
    label = f"(d{cost.name}/d{v.name})"
    if g.owner is None or g.name not in (None, label) or any(g is k for k in given):
        g = identity(g)
    g.name = label
    return g


def format_as(use_list: bool, use_tuple: bool, outputs: Any) -> Any:
    """`outputs` as a list or tuple, or, with neither, its only element.

    Raises AssertionError for both at once, and for several outputs with neither.
    """
    assert not (use_list and use_tuple), "format_as: a list or a tuple, not both"
    if use_list or use_tuple:
        items = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
        return items if use_list else tuple(items)
    if isinstance(outputs, (list, tuple)):
        assert len(outputs) == 1, f"format_as: {len(outputs)} outputs where one is asked for"
        return outputs[0]
    return outputs


# -- the sweep ---------------------------------------------------------------------------------


def _reached(roots: Iterable[Variable], constants: Iterable[Variable]) -> set[Variable]:
    """The variables from which a gradient can flow to `roots` (which are among them)."""
    blocked = set(constants)
    seen: set[Variable] = set()
    stack = list(roots)
    while stack:
        v = stack.pop()
        if v in seen:
            continue
        seen.add(v)
        if v.owner is not None and v not in blocked:
            pattern = v.owner.op.connection_pattern(v.owner)
            for x, connected in zip(v.owner.inputs, pattern, strict=True):
                if connected[v.index or 0]:
                    stack.append(x)
    return seen


def _stabilised(
    known: Mapping[Variable, Gradient], targets: Sequence[Variable], constants: Sequence[Variable]
) -> dict[Variable, Variable]:
    """For each variable in `known` its numerically stable form.

    Variables the caller refers to stay the same objects wherever others are made of them.
    """
    from jitgraph.rewrite.pipeline import stabilise

    roots = list(known)
    below = _strictly_below(roots)
    keep = {v for v in (*targets, *roots) if v in below or v not in known} | set(constants)
    return dict(zip(roots, stabilise(roots, keep=keep), strict=True))


def _strictly_below(roots: Sequence[Variable]) -> set[Variable]:
    """The variables that some root is made of."""
    return {v for node in toposort(roots) for v in node.inputs}


def _propagate(
    known: Mapping[Variable, Gradient],
    targets: Sequence[Variable],
    constants: Sequence[Variable],
    add_known: bool = False,
) -> dict[Variable, Gradient]:
    """The gradient of each target, from the gradients in `known`.

    A known gradient is the total of its variable, or with `add_known` one more term of it.
    """
    stable = _stabilised(known, targets, constants)
    # A root that others are made of keeps its identity; the rest go by their stable form.
    start: dict[Variable, Gradient] = dict(known)
    for v, form in stable.items():
        start.setdefault(form, known[v])
    sweep = _Sweep(list(stable.values()), start, targets, constants, add_known)
    as_written = _reached(known, constants)
    as_rewritten = _reached(stable.values(), constants) | set(known)
    found: dict[Variable, Gradient] = {}
    for v in targets:
        g = sweep.total(v)
        if v not in as_written:
            g = DISCONNECTED
        elif v not in as_rewritten:
            g = zeros_for(v)  # what depended on it was simplified away, as in x * 0
        found[v] = g
    return found


def propagate(
    known: Mapping[Variable, Gradient], targets: Sequence[Variable]
) -> dict[Variable, Gradient]:
    """The gradient of each target, where `known` are terms of the gradients of its variables.

    For ops with a graph inside: nothing is checked, and what does not exist is returned.
    """
    return _propagate(known, targets, (), add_known=True)


class _Sweep:
    """The terms of every gradient, collected from the roots towards the leaves."""

    def __init__(
        self,
        roots: Sequence[Variable],
        start: Mapping[Variable, Gradient],
        targets: Sequence[Variable],
        constants: Sequence[Variable],
        add_start: bool,
    ):
        self.totals: dict[Variable, Gradient] = {} if add_start else dict(start)
        self.terms: dict[Variable, list[Gradient]] = (
            {v: [g] for v, g in start.items()} if add_start else {}
        )
        order = toposort(roots, stop=constants)
        wanted = self._wanted(order, targets)
        for node in reversed(order):
            if any(v in wanted for v in node.inputs):
                self._visit(node, wanted)

    @staticmethod
    def _wanted(order: Sequence[Apply], targets: Sequence[Variable]) -> set[Variable]:
        """The variables that depend on a target, and the targets."""
        wanted = set(targets)
        for node in order:
            pattern = node.op.connection_pattern(node)
            for v, connected in zip(node.inputs, pattern, strict=True):
                if v in wanted:
                    wanted.update(out for out, c in zip(node.outputs, connected, strict=True) if c)
        return wanted

    def total(self, v: Variable) -> Gradient:
        """The sum of the terms of `v`, in the order they came."""
        if v not in self.totals:
            self.totals[v] = _sum(self.terms.pop(v, []))
        return self.totals[v]

    def _visit(self, node: Apply, wanted: set[Variable]) -> None:
        grads = [self.total(out) for out in node.outputs]
        if all(isinstance(g, Disconnected) for g in grads):
            return
        for v, term in zip(node.inputs, _input_gradients(node, grads), strict=True):
            if v in wanted and not isinstance(term, Disconnected):
                self.terms.setdefault(v, []).append(term)


def _sum(terms: Sequence[Gradient]) -> Gradient:
    """The terms added from the left; a zero is left out while there is anything else."""
    for term in terms:
        if isinstance(term, Undefined):
            return term
    arrays = [t for t in terms if isinstance(t, Variable)]
    if not arrays:
        return DISCONNECTED
    kept = [t for t in arrays if not is_zero(t)] or arrays[:1]
    total = kept[0]
    for term in kept[1:]:
        total = add(total, term)
    return total


def is_zero(v: Variable) -> bool:
    """Whether `v` is written as zeros: a constant, or one stretched to a shape."""
    while (node := v.owner) is not None:
        if node.op == FILL:
            v = node.inputs[1]
        elif isinstance(node.op, DimShuffle):
            v = node.inputs[0]
        else:
            return False
    return isinstance(v, Constant) and not np.any(v.data)


def _input_gradients(node: Apply, grads: Sequence[Gradient]) -> list[Gradient]:
    """The gradients of the inputs of `node`, given those of its outputs.

    Zero needs no op: nothing but zero comes of it, and of an output that holds integers.
    Undefined goes on to every input that is connected to it.
    """
    pattern = node.op.connection_pattern(node)
    flows = [
        [g for g, c in zip(grads, connected, strict=True) if c and not isinstance(g, Disconnected)]
        for connected in pattern
    ]
    answers: list[Gradient | None] = [None] * len(node.inputs)
    smooth = [not _is_discrete(out) for out in node.outputs]
    for i, (v, connected) in enumerate(zip(node.inputs, pattern, strict=True)):
        undefined = [g for g in flows[i] if isinstance(g, Undefined)]
        live = any(
            c and s and isinstance(g, Variable) and not is_zero(g)
            for g, c, s in zip(grads, connected, smooth, strict=True)
        )
        if not flows[i]:
            answers[i] = DISCONNECTED
        elif undefined:
            answers[i] = undefined[0]
        elif not live:
            answers[i] = zeros_for(v) if isinstance(v.type, TensorType) else DISCONNECTED
    if all(a is not None for a in answers):
        return [a for a in answers if a is not None]
    asked = _ask(node, [DISCONNECTED if isinstance(g, Undefined) else g for g in grads])
    return [a if b is None else b for a, b in zip(asked, answers, strict=True)]


def _ask(node: Apply, grads: Sequence[Gradient]) -> list[Gradient]:
    """What the op of `node` answers, checked."""
    op, where = node.op, here(node.origins)
    try:
        answers = list(op.L_op(node.inputs, node.outputs, grads))
    except MethodNotDefined as error:
        reason = str(error.args[-1]) if error.args else op.name
        raise type(error)("grad", type(op), f"{reason}{where}") from error
    if len(answers) != len(node.inputs):
        raise ValueError(
            f"{op.name}.grad returned {len(answers)} gradients for {len(node.inputs)} inputs{where}"
        )
    for i, (v, g) in enumerate(zip(node.inputs, answers, strict=True)):
        if isinstance(g, (Disconnected, Undefined)):
            continue
        if not isinstance(g, Variable):
            raise TypeError(f"{op.name}.grad returned {g!r} for input {i}, no variable{where}")
        if g.type.ndim != v.type.ndim:
            raise ValueError(
                f"{op.name}.grad returned {describe(g)} for input {i}, {describe(v)}{where}"
            )
        if _is_discrete(g):
            raise TypeError(
                f"{op.name}.grad returned the integer gradient {describe(g)} for input {i}{where}"
            )
    return answers


def _is_discrete(v: Variable) -> bool:
    return getattr(v.type, "dtype", None) in dtypes.DISCRETE


# -- products with the Jacobian ----------------------------------------------------------------


def _as_list(x: Any) -> list[Any]:
    return list(x) if isinstance(x, (list, tuple)) else [x]


def Lop(
    f: Any,
    wrt: Any,
    eval_points: Any,
    consider_constant: Sequence[Variable] | None = None,
    disconnected_inputs: str = "raise",
) -> Any:
    """The row vectors `eval_points` times the Jacobian of `f` with respect to `wrt`.

    f, eval_points: a variable or equally long lists, of equal shapes. Returns gradients in
    the form and shape of `wrt`. Raises AssertionError if the counts differ.
    """
    outputs, points = _as_list(f), _as_list(eval_points)
    assert len(outputs) == len(points), f"Lop: {len(outputs)} outputs, {len(points)} eval_points"
    _choice("disconnected_inputs", disconnected_inputs, ("raise", "warn", "ignore"))
    targets, as_list, as_tuple = _targets(wrt)
    constants = _variables(consider_constant, "consider_constant")
    found = _rows(zip(outputs, points, strict=True), targets, constants)
    choices = (disconnected_inputs, "zero", "raise")
    return format_as(as_list, as_tuple, [_answer(v, found[v], None, choices) for v in targets])


def _rows(
    pairs: Iterable[tuple[Variable, Any]],
    targets: Sequence[Variable],
    constants: Sequence[Variable] = (),
) -> dict[Variable, Gradient]:
    """The sum of point times Jacobian over the (output, point) pairs, for each target.

    An output may be made of another one, or named twice: then its point is one term of its
    gradient, besides those of what is made of it.
    """
    known: dict[Variable, Any] = {}
    for out, point in pairs:
        known[out] = add(known[out], point) if out in known else point
    return _propagate(_known(None, known), targets, constants, add_known=True)


def Rop(
    f: Any,
    wrt: Any,
    eval_points: Any,
    disconnected_outputs: str = "raise",
    return_disconnected: str = "zero",
) -> Any:
    """The Jacobian of `f` with respect to `wrt` times the vectors `eval_points`.

    wrt, eval_points: a variable or equally long lists, of equal ranks. Returns derivatives in
    the form and shape of `f`. Computed by two reverse sweeps: u -> u J is linear in u, so its
    own product with v is J v (Townsend 2017, "A new trick for calculating Jacobian vector
    products").

    Raises AssertionError if the counts differ, ValueError if the rank of a point differs,
    DisconnectedInputError for an output that depends on no `wrt` (see `grad` for the choices
    'raise', 'warn', 'ignore' and 'zero', 'None', 'Disconnected').
    """
    outputs, inputs, points = _as_list(f), _as_list(wrt), _as_list(eval_points)
    assert len(inputs) == len(points), f"Rop: {len(inputs)} wrt, {len(points)} eval_points"
    points = [as_tensor_variable(p) for p in points]
    for i, (v, p) in enumerate(zip(inputs, points, strict=True)):
        if v.type.ndim != p.type.ndim:
            raise ValueError(
                f"Rop: wrt {i} is {describe(v)} and its eval_point {describe(p)}: the ranks "
                f"differ{here()}"
            )
    _choice("disconnected_outputs", disconnected_outputs, ("raise", "warn", "ignore"))
    _choice("return_disconnected", return_disconnected, ("zero", "None", "Disconnected"))
    _targets(inputs)
    duals = [dual(out) for out in outputs]
    with without_test_values():
        rows = _rows(zip(outputs, duals, strict=True), inputs)
    choices = (disconnected_outputs, return_disconnected, "raise")
    pairs = [
        (_answer(x, rows[x], None, choices), p)
        for x, p in zip(inputs, points, strict=True)
        if not isinstance(rows[x], Disconnected)
    ]
    with without_test_values():
        found = _rows(pairs, duals) if pairs else dict.fromkeys(duals, DISCONNECTED)
    # Being linear, the rows have a derivative free of the duals, except for their shapes.
    shapes = {u: FILL(y, np.zeros((), u.type.dtype)) for u, y in zip(duals, outputs, strict=True)}
    results: list[Any] = []
    for y, u in zip(outputs, duals, strict=True):
        g = found[u]
        if isinstance(g, Variable):
            [g] = rebuild([g], shapes)
        results.append(_answer(y, g, None, choices))
    return format_as(isinstance(f, list), isinstance(f, tuple), results)


def dual(out: Variable) -> Variable:
    """A new variable for the gradient of `out`: of its shape, float."""
    dtype = out.type.dtype
    if dtype in dtypes.DISCRETE:
        dtype = dtypes.check(config.floatX)
    return out.type.clone(dtype=dtype).make_variable()


def subgraph_grad(
    wrt: list[Variable],
    end: list[Variable],
    start: Mapping[Variable, Any] | None = None,
    cost: Variable | None = None,
    details: bool = False,
) -> Any:
    """Gradients through a part of a graph: from `start` and `cost` down to `end`, not beyond.

    Returns (gradients of `wrt`, gradients of `end`), as lists with None for what is not
    connected; feed {v: g} of the second as `start` of the next part. `details` adds the
    shares of `start` and of `cost`. Raises AssertionError without start and cost, TypeError
    if `wrt` or `end` is no list or `start` no dict.
    """
    assert start is not None or cost is not None, "subgraph_grad needs start or cost"
    for what, value, kind in (("wrt", wrt, list), ("end", end, list), ("start", start, dict)):
        if value is not None and not isinstance(value, kind):
            raise TypeError(
                f"subgraph_grad: {what} must be a {kind.__name__}, got {value!r}{here()}"
            )
    params = list(dict.fromkeys([*wrt, *end]))
    from_start = _partial(None, start, params, end) if start is not None else None
    from_cost = _partial(cost, None, params, end) if cost is not None else None
    total: dict[Variable, Any] = {}
    for i, v in enumerate(params):
        shares = [s[i] for s in (from_start, from_cost) if s is not None and s[i] is not None]
        total[v] = None if not shares else shares[0] if len(shares) == 1 else add(*shares)
    answer = [total[v] for v in wrt], [total[v] for v in end]
    return (*answer, from_start, from_cost) if details else answer


def _partial(
    cost: Variable | None,
    start: Mapping[Variable, Any] | None,
    params: list[Variable],
    end: list[Variable],
) -> list[Any]:
    result: list[Any] = grad(
        cost,
        params,
        consider_constant=end,
        disconnected_inputs="ignore",
        known_grads=start,
        return_disconnected="None",
    )
    return result
