"""Inverses and decompositions of matrices; they run as NumPy steps (LAPACK)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import Disconnected, Gradient, Op, Undefined, describe, here
from jitgraph.ops.arithmetic import cast, eq, switch
from jitgraph.ops.linalg import dot, outer_product
from jitgraph.ops.shape import ARange, ShapeI, dimshuffle
from jitgraph.ops.values import as_tensor_variable


def matrix(name: str, x: Any) -> Variable:
    """`x` as a float matrix; AssertionError for another rank."""
    x = as_tensor_variable(x)
    assert x.type.ndim == 2, f"{name} takes a matrix, got {describe(x)}{here()}"
    return cast(x, dtypes.to_float(x.type.dtype))


def transposed(x: Any) -> Any:
    return dimshuffle(x, 1, 0)


class MatrixInverse(Op):
    """The inverse of a square matrix; LinAlgError at run time if it is singular."""

    def make_node(self, x: Any) -> Apply:
        x = matrix("matrix_inverse", x)
        return Apply(self, [x], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.linalg.inv(arrays[0]),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (y,), (g,) = outputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        return [-dot(dot(transposed(y), g), transposed(y))]  # type: ignore[operator]


class Det(Op):
    """The determinant of a square matrix."""

    def make_node(self, x: Any) -> Apply:
        x = matrix("det", x)
        return Apply(self, [x], [TensorType(x.type.dtype, ()).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.asarray(np.linalg.det(arrays[0])),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [()]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (x,), (y,), (g,) = inputs, outputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        return [g * y * transposed(MatrixInverse()(x))]


class Cholesky(Op):
    """The triangular L with L Lᵀ = x (`lower`), else U with Uᵀ U = x; x symmetric, positive.

    LinAlgError at run time if x is not positive definite, or nan everywhere with on_error='nan'.
    Gradient: I. Murray, Differentiation of the Cholesky decomposition (2016), eq. 10.
    """

    __props__ = ("lower", "on_error")

    def __init__(self, lower: bool = True, on_error: str = "raise"):
        if on_error not in ("raise", "nan"):
            raise ValueError(f"cholesky: on_error is 'raise' or 'nan', not {on_error!r}{here()}")
        self.lower, self.on_error = bool(lower), on_error

    def make_node(self, x: Any) -> Apply:
        x = matrix("cholesky", x)
        return Apply(self, [x], [x.type.make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        try:
            factor = np.linalg.cholesky(arrays[0])
        except np.linalg.LinAlgError:
            if self.on_error == "raise":
                raise
            factor = np.full_like(arrays[0], np.nan)
        return (factor if self.lower else np.ascontiguousarray(factor.T),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        from jitgraph.tensor.diagonals import tril

        (y,), (g,) = outputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g]
        factor, g_factor = (y, g) if self.lower else (transposed(y), transposed(g))
        half = _half_diagonal(tril(dot(transposed(factor), g_factor)))
        inner = Solve()(transposed(factor), transposed(Solve()(transposed(factor), half)))
        both: Any = inner + transposed(inner)
        result = _half_diagonal(tril(both))
        return [result if self.lower else transposed(result)]


def _half_diagonal(x: Any) -> Any:
    n = ARange("int64")(np.int64(0), ShapeI(0)(x), np.int64(1))
    on_diagonal = eq(dimshuffle(n, 0, "x"), dimshuffle(n, "x", 0))
    return switch(on_diagonal, x * 0.5, x)


class Solve(Op):
    """x with a x = b; a square, b a vector or matrix. LinAlgError at run time if a is singular."""

    def make_node(self, a: Any, b: Any) -> Apply:
        a, b = matrix("solve", a), as_tensor_variable(b)
        assert b.type.ndim in (1, 2), f"solve: b has one or two axes, got {describe(b)}{here()}"
        dtype = dtypes.to_float(dtypes.upcast(a.type.dtype, b.type.dtype))
        a, b = cast(a, dtype), cast(b, dtype)
        marks = (False, *b.type.broadcastable[1:])
        return Apply(self, [a, b], [TensorType(dtype, marks).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        return (np.linalg.solve(*arrays),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [(shapes[0][1], *tuple(shapes[1])[1:])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        (a, b), (y,), (g,) = inputs, outputs, grads
        if isinstance(g, (Disconnected, Undefined)):
            return [g, g]
        gb = Solve()(transposed(a), g)
        ga = outer_product(gb, y) if b.type.ndim == 1 else dot(gb, transposed(y))
        return [-ga, gb]


class Eigh(Op):
    """Eigenvalues, ascending, and the matrix of eigenvectors of a symmetric matrix.

    Only the triangle `uplo` ('L' or 'U') is read. The gradient of the vectors exists where all
    eigenvalues differ.
    """

    __props__ = ("uplo",)

    def __init__(self, uplo: str = "L"):
        if uplo not in ("L", "U"):
            raise ValueError(f"eigh: UPLO is 'L' or 'U', not {uplo!r}{here()}")
        self.uplo = uplo

    def make_node(self, x: Any) -> Apply:
        x = matrix("eigh", x)
        outs = [TensorType(x.type.dtype, (False,)), TensorType(x.type.dtype, (False, False))]
        return Apply(self, [x], [t.make_variable() for t in outs])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        w, v = np.linalg.eigh(arrays[0], self.uplo)
        return w, np.ascontiguousarray(v)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [(shapes[0][0],), tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        from jitgraph.tensor.diagonals import tril, triu

        w, v = outputs
        for g in grads:
            if isinstance(g, Undefined):
                return [g]
        total: Any = 0
        gw, gv = grads
        if isinstance(gw, Variable):
            total = dot(v * dimshuffle(gw, "x", 0), transposed(v))  # type: ignore[operator]
        if isinstance(gv, Variable):
            gaps: Any = dimshuffle(w, "x", 0) - dimshuffle(w, 0, "x")  # type: ignore[operator]
            inner: Any = dot(transposed(v), gv)
            scaled = switch(eq(gaps, 0), np.zeros((), w.type.dtype), inner / gaps)
            total = total + dot(dot(v, scaled), transposed(v))
        if self.uplo == "L":
            return [tril(total) + transposed(triu(total, 1))]  # type: ignore[operator]
        return [triu(total) + transposed(tril(total, -1))]  # type: ignore[operator]


class Decomposition(Op):
    """`kind` 'svd' (U, s, Vᵀ), 'svd_values' (s) or 'qr' (Q, R); without a gradient."""

    __props__ = ("kind", "full")

    def __init__(self, kind: str, full: bool = False):
        self.kind, self.full = kind, bool(full)

    @property
    def name(self) -> str:
        return self.kind

    def make_node(self, x: Any) -> Apply:
        x = matrix(self.kind, x)
        ranks = {"svd": (2, 1, 2), "svd_values": (1,), "qr": (2, 2)}[self.kind]
        outs = [TensorType(x.type.dtype, (False,) * n).make_variable() for n in ranks]
        return Apply(self, [x], outs)

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        (x,) = arrays
        if self.kind == "svd":
            found: Any = np.linalg.svd(x, full_matrices=self.full)
        elif self.kind == "svd_values":
            found = (np.linalg.svd(x, compute_uv=False),)
        else:
            found = np.linalg.qr(x, mode="complete" if self.full else "reduced")
        return tuple(np.ascontiguousarray(a) for a in found)
