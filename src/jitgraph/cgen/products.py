"""Calls of the library, or of jg_gemm.h and jg_gemv.h, for matrix products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from jitgraph import dtypes
from jitgraph.cgen.emit import literal
from jitgraph.cgen.fuse import Product
from jitgraph.cgen.ir import Buffer, Number, poly_text
from jitgraph.graph import Constant, Variable
from jitgraph.ops.linalg import Gemm


@dataclass(frozen=True)
class MatrixVector:
    """y = op(matrix) · vector; `turned`: the matrix is stored as the transpose of what is meant."""

    turned: int
    matrix: Variable
    vector: Variable


def matrix_vector(item: Product, buffers: dict[Variable, Buffer]) -> MatrixVector | None:
    """A product of a matrix and a vector as such, None for others."""
    ranks = (len(buffers[item.a].dims), len(buffers[item.b].dims))
    if ranks == (2, 1):
        return MatrixVector(int(item.transpose_a), item.a, item.b)
    if ranks == (1, 2):  # a row times a matrix is the transpose of the matrix times a column
        return MatrixVector(1 - int(item.transpose_b), item.b, item.a)
    return None


@dataclass(frozen=True)
class Factors:
    """C text of what a product is multiplied with and what is added to it."""

    alpha: str = "1"
    beta: str = "0"
    added: str = "0"  # the array, 0: none

    @property
    def plain(self) -> bool:
        return self == Factors()


def product_call(
    item: Product,
    buffers: dict[Variable, Buffer],
    pointer: Callable[[Buffer], str],
    often: bool = False,
) -> tuple[str, set[str]]:
    """The statement that makes a product, and the headers it needs.

    `often`: it is made in every step of a loop, which may be so short that a call of the library
    would take most of the time.
    """
    a, b, c = buffers[item.a], buffers[item.b], buffers[item.node.outputs[0]]
    t = dtypes.TAGS[c.dtype]
    pa, pb = pointer(a), pointer(b)
    ranks = (len(a.dims), len(b.dims))
    ta, tb = int(item.transpose_a), int(item.transpose_b)
    if ranks == (1, 1):
        text = f"{c.name}[0] = jg_dot_{t}(host, {poly_text(a.dims[0])}, {pa}, {pb});"
        return text, {"jg_blas.h"}
    found = matrix_vector(item, buffers)
    if found is None:
        factors = factors_of(item, buffers, pointer)
        m, k = _pair(a, ta)
        n = poly_text(b.dims[0 if tb else 1])
        last = f"{factors.beta}, {factors.added}, {c.name}"
        text = f"jg_gemm_{t}(host, {ta}, {tb}, {m}, {n}, {k}, {factors.alpha}, {pa}, {pb}, {last});"
        return text, {"jg_blas.h", "jg_gemm.h", "jg_pool.h"}
    m, k = _pair(buffers[found.matrix], found.turned)
    name = f"jg_small_gemv_{t}" if often else f"jg_gemv_{t}"
    operands = f"{pointer(buffers[found.matrix])}, {pointer(buffers[found.vector])}"
    text = f"{name}(host, {found.turned}, {m}, {k}, {operands}, {c.name});"
    return text + scaled(item, buffers, pointer), {"jg_blas.h", "jg_gemv.h", "jg_pool.h"}


def scaled(item: Product, buffers: dict[Variable, Buffer], pointer: Callable[[Buffer], str]) -> str:
    """What follows a product of a matrix and a vector that is to be scaled or added to."""
    factors = factors_of(item, buffers, pointer)
    if factors.plain:
        return ""
    c = buffers[item.node.outputs[0]]
    last = f"{factors.alpha}, {factors.beta}, {factors.added}, {c.name}"
    return f" jg_scale_add_{dtypes.TAGS[c.dtype]}({poly_text(c.dims[0])}, {last});"


def factors_of(
    item: Product, buffers: dict[Variable, Buffer], pointer: Callable[[Buffer], str]
) -> Factors:
    op = item.node.op
    if not isinstance(op, Gemm):
        return Factors()

    def number(v: Variable, negative: bool) -> str:
        if isinstance(v, Constant):
            value = -np.asarray(v.data) if negative else np.asarray(v.data)
            return literal(Number(value.item(), v.type.dtype))
        return f"{'-' if negative else ''}{pointer(buffers[v])}[0]"

    alpha, *added = item.node.inputs[2:]
    if not added:
        return Factors(number(alpha, op.minus))
    beta, d = added
    return Factors(number(alpha, op.minus), number(beta, op.less), pointer(buffers[d]))


def _pair(b: Buffer, transposed: int) -> tuple[str, str]:
    rows, cols = map(poly_text, b.dims)
    return (cols, rows) if transposed else (rows, cols)
