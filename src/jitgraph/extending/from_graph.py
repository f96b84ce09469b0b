"""`OpFromGraph`: a piece of graph as an op, with gradients that a program may replace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitgraph.errors import MissingInputError
from jitgraph.extending.user_op import Op
from jitgraph.graph import (
    Apply,
    Constant,
    SharedVariable,
    TensorType,
    Variable,
    leaves,
    rebuild,
    toposort,
)
from jitgraph.op import (
    DISCONNECTED,
    Disconnected,
    Gradient,
    describe,
    here,
    without_test_values,
)
from jitgraph.ops.elementwise import zeros_for


class OpFromGraph(Op):
    """The op that computes `outputs` from `inputs`.

    inputs, outputs   lists of variables. Shared variables among the leaves become further inputs
                      of the node, so updates and gradients reach them
    inline            accepted; the graph is always expanded before rewriting, so it is fused with
                      what is around it
    grad_overrides    a function (inputs, output_grads) -> gradients of the inputs
    lop_overrides     a function (inputs, outputs, output_grads) -> gradients of the inputs;
                      one of the two at most
                      Either may be an OpFromGraph on the same arguments, None (all zero), or a list
                      with an entry for each input, shared ones last: 'default', None, a function
                      that returns one gradient, an OpFromGraph, or a gradient itself
                      (`DisconnectedType()()`, `grad_undefined(…)`)
    rop_overrides     accepted, not used: `Rop` differentiates the gradient
    connection_pattern  as Op.connection_pattern; default: what the graph says
    name              for messages; further arguments of `function` are accepted and not used

    Raises TypeError for inputs that are no plain variables and for updates= or givens=, ValueError
    for both kinds of overrides, MissingInputError for a leaf that is no input.
    """

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        inline: bool = False,
        lop_overrides: Any = "default",
        grad_overrides: Any = "default",
        rop_overrides: Any = "default",
        connection_pattern: Any = None,
        name: str | None = None,
        **kwargs: Any,
    ):
        _check(inputs, outputs, kwargs)
        if "default" not in (_kind(lop_overrides), _kind(grad_overrides)):
            raise ValueError(
                f"OpFromGraph: lop_overrides and grad_overrides are two ways to say one thing, "
                f"give one of them{here()}"
            )
        self.is_inline, self.name = inline, name
        self.n_inputs = len(inputs)
        self.shared_inputs = _shared_leaves(inputs, outputs)
        originals = [*inputs, *self.shared_inputs]
        self.inner_inputs = [v.type.make_variable(v.name) for v in originals]
        table = dict(zip(originals, self.inner_inputs, strict=True))
        with without_test_values():
            self.inner_outputs = rebuild(outputs, table)
        self._lop, self._grad = lop_overrides, grad_overrides
        self._pattern = connection_pattern

    def __str__(self) -> str:
        return f"OpFromGraph{{{self.name}}}" if self.__dict__.get("name") else "OpFromGraph"

    __repr__ = __str__

    # -- building --
    def make_node(self, *inputs: Any) -> Apply:
        # A node that is made again is given the shared inputs too.
        if len(inputs) == self.n_inputs:
            inputs = (*inputs, *self.shared_inputs)
        if len(inputs) != len(self.inner_inputs):
            raise ValueError(f"{self.name} takes {self.n_inputs} inputs, got {len(inputs)}{here()}")
        given = [
            inner.type.filter_variable(x) if isinstance(inner.type, TensorType) else x
            for inner, x in zip(self.inner_inputs, inputs, strict=True)
        ]
        return Apply(self, given, [_leaf_like(v) for v in self.inner_outputs])

    def expand(self, inputs: Sequence[Variable]) -> list[Variable]:
        """The inner graph on these inputs, shared ones included."""
        return rebuild(self.inner_outputs, dict(zip(self.inner_inputs, inputs, strict=True)))

    # -- meaning --
    def evaluate(self, *arrays: Any) -> tuple[Any, ...]:
        from jitgraph.reference import evaluate

        values = dict(zip(self.inner_inputs, arrays, strict=True))
        return tuple(
            np.array(v) if isinstance(v, np.ndarray) else v
            for v in evaluate(self.inner_outputs, values)
        )

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        if callable(self._pattern):
            return list(self._pattern(node))
        if self._pattern is not None:
            return list(self._pattern)
        return [self._reaches(v) for v in self.inner_inputs]

    def _reaches(self, source: Variable) -> list[bool]:
        """For each inner output, whether a gradient can flow from it to `source`."""
        reached = {source}
        for node in toposort(self.inner_outputs):
            pattern = node.op.connection_pattern(node)
            for k, out in enumerate(node.outputs):
                if any(
                    row[k] and v in reached for row, v in zip(pattern, node.inputs, strict=True)
                ):
                    reached.add(out)
        return [v in reached for v in self.inner_outputs]

    # -- gradient --
    def L_op(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        output_grads: Sequence[Gradient],
    ) -> list[Gradient]:
        override = self._grad
        arguments: list[list[Any]] = [list(inputs), list(output_grads)]
        if _kind(override) == "default":
            override = self._lop
            arguments.insert(1, list(outputs))
        if _kind(override) == "default":
            return self._default_gradients(inputs, output_grads)
        if override is None:
            return [zeros_for(v) for v in inputs]
        if isinstance(override, (list, tuple)):
            return self._from_list(override, arguments)
        answers = _ask(override, arguments)
        self._check_count(answers)
        return answers

    def _from_list(self, entries: Sequence[Any], arguments: list[list[Any]]) -> list[Gradient]:
        self._check_count(entries)
        inputs, output_grads = arguments[0], arguments[-1]
        default: list[Gradient] = []
        if any(_kind(e) == "default" for e in entries):
            default = self._default_gradients(inputs, output_grads)
        answers: list[Gradient] = []
        for k, (entry, v) in enumerate(zip(entries, inputs, strict=True)):
            if _kind(entry) == "default":
                answers.append(default[k])
            elif entry is None:
                answers.append(zeros_for(v))
            elif callable(entry):
                answers.append(_ask(entry, arguments)[0])
            else:
                answers.append(entry)
        return answers

    def _check_count(self, answers: Sequence[Any]) -> None:
        wanted = len(self.inner_inputs)
        if len(answers) != wanted:
            extra = wanted - self.n_inputs
            shared = f", {extra} of them shared variables of its graph" if extra else ""
            raise ValueError(
                f"{self.name}: {len(answers)} gradients are given for {wanted} inputs{shared}"
                f"{here()}"
            )

    def _default_gradients(
        self, inputs: Sequence[Variable], output_grads: Sequence[Gradient]
    ) -> list[Gradient]:
        """Those of the inner graph, found on leaves: inputs may be made of one another."""
        from jitgraph.gradient import grad
        from jitgraph.ops.arithmetic import add

        known: dict[Variable, Any] = {}
        copies = [_leaf_like(v) for v in self.inner_inputs]
        with without_test_values():
            for out, g in zip(self.expand(copies), output_grads, strict=True):
                if isinstance(g, Variable):
                    known[out] = add(known[out], g) if out in known else g
            if not known:
                return [DISCONNECTED] * len(inputs)
            found = grad(
                None,
                copies,
                known_grads=known,
                disconnected_inputs="ignore",
                return_disconnected="Disconnected",
                null_gradients="return",
                add_names=False,
            )
        table = dict(zip(copies, inputs, strict=True))
        return [rebuild([g], table)[0] if isinstance(g, Variable) else g for g in found]


def _kind(override: Any) -> str:
    if isinstance(override, str):
        if override != "default":
            raise ValueError(f"OpFromGraph: an override is a function or 'default', {here()}")
        return "default"
    return "given"


def _ask(override: Callable[..., Any], arguments: list[list[Any]]) -> list[Gradient]:
    """The answer of a function, or of an OpFromGraph on the same arguments, as a list."""
    if isinstance(override, OpFromGraph):
        flat = [v for group in arguments for v in group]
        if any(isinstance(v, Disconnected) for v in flat):
            raise ValueError(
                f"{override}: an output has no gradient that could be passed to it; use a function"
                f"{here()}"
            )
        answer = override(*flat)
    else:
        answer = override(*arguments)
    return list(answer) if isinstance(answer, (list, tuple)) else [answer]


def _leaf_like(v: Variable) -> Variable:
    made: Variable = v.type.make_variable()
    return made


def _check(inputs: Any, outputs: Any, kwargs: dict[str, Any]) -> None:
    for what, given in (("inputs", inputs), ("outputs", outputs)):
        if not isinstance(given, (list, tuple)) or not all(isinstance(v, Variable) for v in given):
            raise TypeError(
                f"OpFromGraph: {what} must be a list of variables, got {given!r}{here()}"
            )
    for v in inputs:
        if isinstance(v, (Constant, SharedVariable)):
            raise TypeError(f"OpFromGraph: {describe(v)} cannot be an input{here()}")
    for name in ("updates", "givens"):
        if name in kwargs:
            raise TypeError(f"OpFromGraph: {name} are not allowed{here()}")


def _shared_leaves(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> list[SharedVariable]:
    shared: list[SharedVariable] = []
    for v in leaves(outputs, stop=inputs):
        if v in inputs or isinstance(v, Constant):
            continue
        if not isinstance(v, SharedVariable):
            raise MissingInputError(
                f"OpFromGraph: the outputs need {describe(v)}, which is not among the inputs"
                f"{here()}"
            )
        shared.append(v)
    return shared
