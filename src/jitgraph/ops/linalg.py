"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.errors import MethodNotDefined, ShapeError
from jitgraph.graph import Apply, Constant, TensorType, Variable
from jitgraph.op import Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.elementwise import zeros_for
from jitgraph.ops.shape import Reshape, ShapeI, dimshuffle, restrict_pattern, shape_vector
from jitgraph.ops.values import as_tensor_variable


class Dot(Op):
    """The product of two arrays of one or two axes, summed over the inner axis."""

    name = "dot"

    def __str__(self) -> str:
        return "dot"

    def make_node(self, a: Any, b: Any) -> Apply:
        x, y = as_tensor_variable(a), as_tensor_variable(b)
        if not (1 <= x.type.ndim <= 2 and 1 <= y.type.ndim <= 2):
            raise TypeError(
                f"dot takes vectors and matrices: {describe(x)} and {describe(y)}{here()}"
            )
        _check_inner(x, y)
        dtype = dtypes.upcast(x.type.dtype, y.type.dtype)
        x, y = cast(x, dtype), cast(y, dtype)
        marks = x.type.broadcastable[:-1] + y.type.broadcastable[1:]
        return Apply(self, [x, y], [TensorType(dtype, marks).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        a, b = arrays
        if a.shape[-1] != b.shape[0]:
            raise ShapeError(f"dot: inner sizes differ: {a.shape} and {b.shape}")
        with np.errstate(all="ignore"):
            return (np.asarray(np.dot(a, b)),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0][:-1]) + tuple(shapes[1][1:])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x, y), (g,) = inputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g, g]
        if outputs[0].type.dtype in dtypes.DISCRETE:
            return [zeros_for(x), zeros_for(y)]
        ranks = (x.type.ndim, y.type.ndim)
        if ranks == (1, 1):
            gx, gy = g * y, g * x
        elif ranks == (2, 1):
            gx, gy = outer_product(g, y), dot(dimshuffle(x, 1, 0), g)
        elif ranks == (1, 2):
            gx, gy = dot(g, dimshuffle(y, 1, 0)), outer_product(x, g)
        else:
            gx, gy = dot(g, dimshuffle(y, 1, 0)), dot(dimshuffle(x, 1, 0), g)
        return [
            restrict_pattern(gx, x.type.broadcastable),
            restrict_pattern(gy, y.type.broadcastable),
        ]


class Gemm(Dot):
    """alpha a . b, or alpha a . b + beta d, with numbers alpha and beta: one call of BLAS.

    Rewrites make it of products whose sums have to be stored (rewrite/blas.py); programs do not.
    Inputs: a, b, alpha [, beta, d]; all have the dtype of the result, and d has its shape.
    `minus`: the product is taken away; `less`: d is.
    """

    name = "gemm"
    __props__ = ("minus", "less")

    def __init__(self, minus: bool = False, less: bool = False):
        self.minus, self.less = minus, less

    def __str__(self) -> str:
        return "Gemm"

    def make_node(self, a: Any, b: Any, *rest: Any) -> Apply:
        product = Dot().make_node(a, b)
        out = product.outputs[0].type
        others = [as_tensor_variable(v) for v in rest]
        number = TensorType(out.dtype, ())
        if [v.type for v in others] not in ([number], [number, number, out]):
            raise TypeError(f"gemm takes a, b, alpha or a, b, alpha, beta, d of one dtype{here()}")
        return Apply(self, [*product.inputs, *others], [out.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        a, b, alpha, *added = arrays
        (product,) = super().evaluate(a, b)
        with np.errstate(all="ignore"):
            total = -(alpha * product) if self.minus else alpha * product
            if added:
                beta, d = added
                if d.shape != total.shape:
                    raise ShapeError(f"gemm: shapes differ: {total.shape} and {d.shape}")
                total = total - beta * d if self.less else total + beta * d
        return (np.asarray(total, dtype=product.dtype),)

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        raise MethodNotDefined("grad", type(self), "gemm: gradients are taken before rewriting")


def _check_inner(x: Variable, y: Variable) -> None:
    """Inner lengths that are known while building must agree."""
    known = [v.data.shape if isinstance(v, Constant) else None for v in (x, y)]
    if known[0] is not None and known[1] is not None and known[0][-1] != known[1][0]:
        raise ShapeError(
            f"dot: inner sizes differ: {describe(x)} has {known[0][-1]}, "
            f"{describe(y)} has {known[1][0]}{here()}"
        )


def outer_product(a: Variable, b: Variable) -> Variable:
    return dimshuffle(a, 0, "x") * dimshuffle(b, "x", 0)


def dot(a: Any, b: Any) -> Variable:
    """The product of a and b; with a 0-d operand, plain multiplication.

    Vectors and matrices: the sum over the last axis of a and the first of b. More axes: the
    last axis of a is contracted with the second to last of b. dtypes are promoted.
    Raises ValueError at run time when the inner lengths differ.
    """
    x, y = as_tensor_variable(a), as_tensor_variable(b)
    if x.type.ndim == 0 or y.type.ndim == 0:
        return x * y
    if x.type.ndim > 2 or y.type.ndim > 2:
        return tensordot(x, y, [[x.type.ndim - 1], [max(0, y.type.ndim - 2)]])
    return Dot()(x, y)


def outer(x: Any, y: Any) -> Variable:
    """The matrix of all products of the elements of x and y."""
    a, b = as_tensor_variable(x).flatten(), as_tensor_variable(y).flatten()  # type: ignore[attr-defined]
    return outer_product(a, b)


def _axis_lists(axes: Any, na: int, nb: int) -> tuple[list[int], list[int]]:
    if isinstance(axes, (int, np.integer)):
        n = int(axes)
        if n > na or n > nb or n < 0:
            raise ValueError(f"tensordot: cannot sum over {n} axes of {na} and {nb} axes{here()}")
        return list(range(na - n, na)), list(range(n))
    left, right = (list(np.atleast_1d(a)) for a in axes)
    if len(left) != len(right):
        raise ValueError(f"tensordot: {len(left)} axes cannot be paired with {len(right)}{here()}")
    for axis_list, n in ((left, na), (right, nb)):
        if any(not -n <= int(a) < n for a in axis_list):
            raise ValueError(f"tensordot: axes {axis_list} do not exist in {n} axes{here()}")
    return [int(a) % na for a in left], [int(a) % nb for a in right]


def tensordot(a: Any, b: Any, axes: Any = 2) -> Variable:
    """Sum over the paired axes of a and b: an int n (last n with first n) or two axis lists."""
    x, y = as_tensor_variable(a), as_tensor_variable(b)
    left, right = _axis_lists(axes, x.type.ndim, y.type.ndim)
    keep_x = [i for i in range(x.type.ndim) if i not in left]
    keep_y = [i for i in range(y.type.ndim) if i not in right]
    rows = [ShapeI(i)(x) for i in keep_x]
    cols = [ShapeI(i)(y) for i in keep_y]
    inner_x, inner_y = (
        _length([ShapeI(i)(v) for i in axes_]) for v, axes_ in ((x, left), (y, right))
    )
    m = Reshape(2)(dimshuffle(x, keep_x + left), shape_vector([_length(rows), inner_x]))
    n = Reshape(2)(dimshuffle(y, right + keep_y), shape_vector([inner_y, _length(cols)]))
    product = Dot()(m, n)
    marks = [x.type.broadcastable[i] for i in keep_x] + [y.type.broadcastable[i] for i in keep_y]
    lengths = rows + cols
    shape = shape_vector(lengths) if lengths else shape_vector(())
    return restrict_pattern(Reshape(len(lengths))(product, shape), marks)


def _length(lengths: Sequence[Any]) -> Any:
    total: Any = np.int64(1)
    for n in lengths:
        total = n if isinstance(total, np.integer) and total == 1 else total * n
    return total
