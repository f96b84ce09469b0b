"""The op that applies a scalar function to arrays, with broadcasting by pattern."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.config import config
from jitgraph.errors import MethodNotDefined, ShapeError
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import DISCONNECTED, Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops.scalar import FUNCTIONS, ScalarFunction, declare
from jitgraph.ops.values import as_tensor_variable, pad_left


class Elementwise(Op):
    """`scalar` applied to every element; axes of length fixed to 1 stretch."""

    __props__ = ("scalar_name",)

    def __init__(self, scalar_name: str):
        self.scalar_name = scalar_name
        self.scalar: ScalarFunction = FUNCTIONS[scalar_name]

    def __reduce__(self) -> tuple[Any, ...]:
        # The declaration holds functions, which do not pickle; its name leads to it.
        return (Elementwise, (self.scalar_name,))

    @property
    def scalar_op(self) -> ScalarFunction:
        return self.scalar

    @property
    def name(self) -> str:
        return self.scalar_name

    @property
    def nfunc_spec(self) -> tuple[str, int, int]:
        return (self.scalar_name, self.scalar.arity, 1)

    def __str__(self) -> str:
        return f"Elemwise{{{self.scalar_name},no_inplace}}"

    def make_node(self, *inputs: Any) -> Apply:
        if len(inputs) != self.scalar.arity and (self.scalar.arity >= 0 or not inputs):
            raise TypeError(
                f"{self.scalar_name} takes {self.scalar.arity} arguments, got {len(inputs)}{here()}"
            )
        variables = [as_tensor_variable(x) for x in inputs]
        ndim = max(v.type.ndim for v in variables)
        variables = [pad_left(v, ndim) for v in variables]
        try:
            _, out_dtype = self.scalar.rule(*(v.type.dtype for v in variables))
        except TypeError as error:
            operands = " and ".join(map(describe, variables))
            raise TypeError(f"{self.scalar_name} {error}: {operands}{here()}") from None
        self._check_static_shapes(variables)
        pattern = [
            all(column) for column in zip(*(v.type.broadcastable for v in variables), strict=True)
        ]
        return Apply(self, variables, [TensorType(out_dtype, pattern).make_variable()])

    def _check_static_shapes(self, variables: Sequence[Variable]) -> None:
        """Lengths that are known while building must agree."""
        for axis in range(variables[0].type.ndim):
            seen: list[tuple[int, Variable]] = []
            for v in variables:
                data = getattr(_through_padding(v), "data", None)
                if data is not None and not v.type.broadcastable[axis]:
                    seen.append((data.shape[axis - v.type.ndim + data.ndim], v))
            for length, v in seen[1:]:
                if length != seen[0][0]:
                    raise ShapeError(
                        f"{self.scalar_name}: lengths of axis {axis} differ: {seen[0][0]} and "
                        f"{length}: {describe(seen[0][1])} and {describe(v)}{here()}"
                    )

    # -- meaning --
    def dtypes_in(self, node: Apply) -> tuple[str, ...]:
        """The dtypes to which the inputs of `node` are converted before the function is applied."""
        return self.scalar.rule(*(v.type.dtype for v in node.inputs))[0]

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        converted, result = self.scalar.rule(*(a.dtype.name for a in arrays))
        with np.errstate(all="ignore"):
            operands = [
                a if a.dtype.name == d else cast_array(a, d)
                for a, d in zip(arrays, converted, strict=True)
            ]
            if self.scalar.arity < 0:
                value = operands[0]
                for other in operands[1:]:
                    value = self.scalar.numpy(value, other)
            else:
                value = self.scalar.numpy(*operands)
            shape = np.broadcast_shapes(*(a.shape for a in arrays))
            return (np.broadcast_to(cast_array(np.asarray(value), result), shape).copy(),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        result: list[Any] = []
        for axis, fixed_to_one in enumerate(node.outputs[0].type.broadcastable):
            if fixed_to_one:
                result.append(1)
                continue
            candidates = [
                s[axis]
                for v, s in zip(node.inputs, shapes, strict=True)
                if not v.type.broadcastable[axis]
            ]
            result.append(next((c for c in candidates if isinstance(c, int)), candidates[0]))
        return [tuple(result)]

    # -- gradient --
    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        g = grads[0]
        if isinstance(g, (Disconnected, Undefined)):
            return [g] * len(inputs)
        if outputs[0].type.dtype in dtypes.DISCRETE:
            return [zeros_for(v) for v in inputs]
        if self.scalar.grad is None:
            raise MethodNotDefined("grad", type(self), f"{self.scalar_name}: {self.scalar.no_grad}")
        terms = self.scalar.grad(g, *inputs, outputs[0])
        terms = terms if isinstance(terms, (tuple, list)) else (terms,)
        return [self._reduced(v, term) for v, term in zip(inputs, terms, strict=True)]

    def _reduced(self, variable: Variable, term: Any) -> Gradient:
        """Sum over the axes along which `variable` was stretched."""
        if term is None:
            return zeros_for(variable)
        if isinstance(term, (Disconnected, Undefined)):
            return term
        from jitgraph.ops.reduce import sum_of

        axes = tuple(
            i
            for i, (mine, its) in enumerate(
                zip(variable.type.broadcastable, term.type.broadcastable, strict=True)
            )
            if mine and not its
        )
        return sum_of(term, axes, keepdims=True) if axes else term

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        if self.scalar_name == "second":
            return [[False], [True]]
        return [[True] for _ in node.inputs]


def _through_padding(variable: Variable) -> Variable:
    """The constant behind the axes that were put before it for broadcasting."""
    while variable.owner is not None and type(variable.owner.op).__name__ == "DimShuffle":
        order = variable.owner.op.new_order
        kept = [i for i in order if i != "x"]
        if list(order) != ["x"] * (len(order) - len(kept)) + sorted(kept):
            return variable
        variable = variable.owner.inputs[0]
    return variable


# Whether jg_cut of jg_abi.h is int64.
_CUTS_TO_INT64 = platform.machine() in ("aarch64", "arm64")


def cast_array(array: np.ndarray, dtype: str) -> np.ndarray:
    """Convert as C does: fractions are cut, out-of-range values do as the hardware does."""
    with np.errstate(all="ignore"):
        if array.dtype.kind == "f" and dtype in dtypes.INTEGERS:
            array = _cut(array, dtype)
        return array.astype(dtypes.NUMPY[dtype], copy=False)


def _cut(array: np.ndarray, dtype: str) -> np.ndarray:
    """The integers by way of which floats are converted: those of the C of a cast.

    NumPy's own conversion of values out of range depends on strides and vector width, and on
    aarch64 it makes negative values 0 or wraps them, depending on the place in the array.
    """
    if dtype == "uint64":
        high = array >= 2.0**63
        low = np.where(high, array - array.dtype.type(2.0**63), array).astype("int64")
        return np.where(high, low ^ np.iinfo("int64").min, low)
    if dtype in ("int64", "uint32") or (array.dtype == np.float64 and _CUTS_TO_INT64):
        return array.astype("int64")
    return array.astype("int32")


def zeros_for(variable: Variable) -> Variable:
    """The zero gradient of `variable`: its shape, and a float dtype even if it is discrete."""
    dtype = variable.type.dtype
    zero = np.zeros((), dtype=dtypes.check(config.floatX) if dtype in dtypes.DISCRETE else dtype)
    return FILL(variable, zero)


def number_like(value: float, model: Variable) -> np.ndarray:
    """`value` in the dtype of `model`: a factor that does not turn float32 into float64."""
    return np.asarray(value, dtype=model.type.dtype)


def elementwise(name: str, **declaration: Any) -> Elementwise:
    """Declare a scalar function and return the op that applies it to arrays."""
    declare(ScalarFunction(name=name, **declaration))
    return Elementwise(name)


def _second_grad(g: Variable, _a: Variable, _b: Variable, _y: Variable) -> tuple[Any, ...]:
    return DISCONNECTED, g


declare(
    ScalarFunction(
        name="second",
        arity=2,
        rule=lambda a, b: ((a, b), b),
        numpy=lambda a, b: np.broadcast_to(b, np.broadcast_shapes(a.shape, b.shape)),
        c="{1}",
        grad=_second_grad,
        label="fill",
        doc="The second operand, stretched to the shape of both.",
    )
)
FILL = Elementwise("second")
