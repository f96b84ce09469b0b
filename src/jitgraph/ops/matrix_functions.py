"""The exponential and pseudo-inverse of a matrix, and least squares; they run as NumPy steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.decompositions import matrix, transposed
from jitgraph.ops.linalg import dot
from jitgraph.ops.shape import ShapeI
from jitgraph.ops.values import as_tensor_variable


class PseudoInverse(Op):
    """The Moore-Penrose inverse P of a matrix A.

    Gradient, where the rank does not change: G. H. Golub and V. Pereyra, The differentiation of
    pseudo-inverses and nonlinear least squares problems whose variables separate (1973), eq. 4.12:
    dP = -P dA P + P P' dA' (I - A P) + (I - P A) dA' P' P.
    """

    name = "pinv"

    def make_node(self, x: Any) -> Apply:
        x = matrix("pinv", x)
        return Apply(self, [x], [TensorType(x.type.dtype, (False, False)).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.ascontiguousarray(np.linalg.pinv(arrays[0])),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])[::-1]]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (a,), (p,), (g,) = inputs, outputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        pt, gt = transposed(p), transposed(g)
        left: Any = dot(gt, dot(p, pt))  # G' P P', before the projection I - A P
        right: Any = dot(dot(pt, p), gt)
        total = left - dot(a, dot(p, left)) + right - dot(dot(right, p), a)
        return [total - dot(dot(pt, g), pt)]


# Higham, The scaling and squaring method for the matrix exponential revisited (2005), table 2.3
# and eq. 2.3: the coefficients of the [13/13] Padé approximant and the norm it is good for.
_PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
    10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
_THETA = 5.371920351148152


def _expm(a: np.ndarray) -> np.ndarray:
    """exp(a) in float64: halved until small, approximated, squared as often."""
    norm = float(np.abs(a).sum(axis=0).max()) if a.size else 0.0
    if not math.isfinite(norm):
        return np.full(a.shape, np.nan)
    squarings = max(0, math.ceil(math.log2(norm / _THETA))) if norm > _THETA else 0
    a = a / 2.0**squarings
    b, one = _PADE, np.eye(len(a))
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a4 @ a2
    odd = a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2
    u, v = a @ (odd + b[1] * one), even + b[0] * one
    result = np.linalg.solve(v - u, v + u)
    for _ in range(squarings):
        result = result @ result
    return result


class Expm(Op):
    """The exponential of a square matrix, the sum of a^k / k!.

    Gradient: the derivative at a' in the direction of the gradient, which is the upper right
    block of exp([[a', g], [0, a']]) (Higham, Functions of Matrices, 2008, eq. 3.16).
    """

    name = "expm"

    def make_node(self, x: Any) -> Apply:
        x = matrix("expm", x)
        return Apply(self, [x], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        if x.shape[0] != x.shape[1]:
            raise ValueError(f"a matrix of shape {x.shape} is not square")
        with np.errstate(all="ignore"):
            return (_expm(x.astype("float64")).astype(x.dtype),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        from jitgraph.ops.elementwise import zeros_for
        from jitgraph.ops.join import join

        (x,), (g,) = inputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        xt: Any = transposed(x)
        rows = join(1, xt, g), join(1, zeros_for(xt), xt)
        n = ShapeI(0)(x)
        whole: Any = Expm()(join(0, *rows))
        return [whole[:n, n:]]


class LeastSquares(Op):
    """(x, residuals, rank, singular values) with x minimising |a x - b|; without a gradient.

    b is a vector or a matrix. Singular values below rcond times the largest count as 0; a negative
    rcond is the precision of the dtype.
    """

    name = "lstsq"

    def make_node(self, a: Any, b: Any, rcond: Any) -> Apply:
        a, b, rcond = matrix("lstsq", a), as_tensor_variable(b), as_tensor_variable(rcond)
        assert b.type.ndim in (1, 2), f"lstsq: b has one or two axes, got {describe(b)}{here()}"
        assert rcond.type.ndim == 0, f"lstsq: rcond is a number, got {describe(rcond)}{here()}"
        dtype = dtypes.to_float(dtypes.upcast(a.type.dtype, b.type.dtype))
        types = [
            TensorType(dtype, (False,) * b.type.ndim),
            TensorType(dtype, (False,)),
            TensorType("int64", ()),
            TensorType(dtype, (False,)),
        ]
        inputs = [cast(a, dtype), cast(b, dtype), cast(rcond, "float64")]
        return Apply(self, inputs, [t.make_variable() for t in types])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        a, b, rcond = arrays
        x, residuals, rank, s = np.linalg.lstsq(a, b, rcond=float(rcond) if rcond >= 0 else -1)
        return x, np.atleast_1d(residuals), np.asarray(rank, "int64"), s
