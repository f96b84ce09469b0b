"""The generator MRG31k3p: its arithmetic on whole arrays of streams, and the op that draws.

P. L'Ecuyer and R. Touzin, "Fast combined multiple recursive generators with multipliers of the
form a = +-2^q +- 2^r", Winter Simulation Conference 2000. A state is a row of six int32
(x[n], x[n-1], x[n-2], y[n], y[n-1], y[n-2]); the formulas are in csrc/jg_mrg.h.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import DISCONNECTED, Gradient, Op, Undefined, describe, here
from jitgraph.ops.elementwise import cast_array
from jitgraph.ops.shape import known_int, shape_entries, shape_vector
from jitgraph.ops.values import as_tensor_variable

M1 = 2**31 - 1
M2 = 2**31 - 21069
MOST = 2**31 - 1  # numbers of one draw
# The factor from 1 … M1 to (0, 1), in float32 the largest below 2**-31, so that 1 is not reached.
NORM = {"float64": np.float64(2.0**-31), "float32": np.float32(4.6566126e-10)}

Matrix = tuple[tuple[int, int, int], ...]
A1: Matrix = ((0, 2**22, 2**7 + 1), (1, 0, 0), (0, 1, 0))
A2: Matrix = ((2**15, 0, 2**15 + 1), (1, 0, 0), (0, 1, 0))


# -- jumping ahead ---------------------------------------------------------------------


def _product(a: Matrix, b: Matrix, m: int) -> Matrix:
    columns = list(zip(*b, strict=True))
    rows = [
        tuple(sum(x * y for x, y in zip(row, c, strict=True)) % m for c in columns) for row in a
    ]
    return tuple(rows)  # type: ignore[arg-type]


@cache
def power(a: Matrix, exponent: int, m: int) -> Matrix:
    """a**exponent mod m, by squaring."""
    result: Matrix = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    while exponent:
        if exponent & 1:
            result = _product(result, a, m)
        a = _product(a, a, m)
        exponent >>= 1
    return result


def jumped(states: np.ndarray, steps: int) -> np.ndarray:
    """The states (…, 6) after `steps` numbers each, as int32."""
    rows = np.asarray(states).astype(np.uint64)
    halves = []
    for half, (a, m) in enumerate(((A1, M1), (A2, M2))):
        matrix = np.array(power(a, steps, m), dtype=np.uint64)
        # Three products below 2**62 add up to less than 2**64.
        x = rows[..., 3 * half : 3 * half + 3]
        halves.append((x[..., None, :] * matrix).sum(-1) % np.uint64(m))
    return np.concatenate(halves, axis=-1).astype(np.int32)


def substreams(state: np.ndarray, count: int) -> np.ndarray:
    """`count` states, number k being `state` after k * 2**72 numbers: int32[count, 6]."""
    states = np.asarray(state, dtype=np.int32).reshape(1, 6)
    while len(states) < count:
        states = np.concatenate([states, jumped(states, len(states) * 2**72)])
    return states[:count].copy()


# -- drawing with NumPy ----------------------------------------------------------------


def next_integers(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The states (streams, 6) one number further, and the numbers, from 1 to M1 (int64)."""
    x1, x2, x3, y1, y2, y3 = states.astype(np.int64).T
    x = (2**22 * x2 + (2**7 + 1) * x3) % M1
    y = (2**15 * y1 + (2**15 + 1) * y3) % M2
    z = np.where(x > y, x - y, x - y + M1)
    return np.stack([x, x1, x2, y, y1, y2], axis=1).astype(np.int32), z


def draw_with_numpy(states: np.ndarray, n: int, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """The states after `n` numbers, and the numbers: element i from stream i mod streams."""
    states = np.array(states, dtype=np.int32)
    streams = len(states)
    result = np.empty(n, dtype=dtype)
    for start in range(0, n, streams):
        count = min(streams, n - start)
        states[:count], z = next_integers(states[:count])
        # float32: the integer is rounded, then the product.
        result[start : start + count] = z.astype(dtype) * NORM[dtype]
    return states, result


# -- the op ----------------------------------------------------------------------------


class mrg_uniform(Op):
    """(states int32[streams, 6], size) -> (the states after the draw, uniform in (0, 1)).

    Element i in C order is the next number of stream i mod streams. `output_type` is a
    TensorType, or (dtype, pattern), of float64 or float32. At most 2**31 - 1 elements.
    """

    __props__ = ("out",)
    foldable = False
    size_input = 1  # the input that holds the lengths of the draw
    c_routine_checks = (
        "states must be a matrix of at least one row of 6 numbers, and a draw has at most "
        "2**31 - 1 elements"
    )

    def __init__(self, output_type: Any, inplace: bool = False):
        """`inplace` is left to the runtime."""
        is_type = isinstance(output_type, TensorType)
        dtype, pattern = (output_type.dtype, output_type.broadcastable) if is_type else output_type
        self.out = (dtypes.check(dtype), tuple(bool(b) for b in pattern))
        if self.out[0] not in dtypes.FLOATS:
            raise TypeError(f"uniform numbers are float32 or float64, not {self.out[0]}{here()}")

    @classmethod
    def new(cls, rstate: Any, ndim: int | None, dtype: Any, size: Any) -> Any:
        """(new states, draw) for a size given as tuple, list or int vector.

        `ndim` is needed for a vector of unknown length.
        """
        vector = shape_vector(size)
        if ndim is None:
            from jitgraph.tensor.basic import get_vector_length

            ndim = get_vector_length(vector)
        return cls((dtype, (False,) * ndim))(rstate, vector)

    @property
    def dtype(self) -> str:
        return self.out[0]

    @property
    def ndim(self) -> int:
        return len(self.out[1])

    @property
    def output_type(self) -> TensorType:
        return TensorType(*self.out)

    def __str__(self) -> str:
        return f"mrg_uniform{{{self.output_type},no_inplace}}"

    def make_node(self, rstate: Any, size: Any) -> Apply:
        states = as_tensor_variable(rstate)
        if states.type.dtype != "int32" or states.type.ndim != 2:
            raise TypeError(
                f"mrg_uniform draws from an int32 matrix of states, got {describe(states)}{here()}"
            )
        vector = shape_vector(size)
        entries = shape_entries(vector, self.ndim)
        lengths = [known_int(e) for e in entries or ()]
        if entries is not None and len(entries) != self.ndim:
            raise ValueError(
                f"size has {len(entries)} entries, but {self.ndim} axes were declared{here()}"
            )
        if any(n is not None and n < 0 for n in lengths):
            raise ValueError(f"size has the negative length {min(filter(None, lengths))}{here()}")
        if None not in lengths:
            element_count([n for n in lengths if n is not None], here())
        outputs = [states.type.make_variable(), self.output_type.make_variable()]
        return Apply(self, [states, vector], outputs)

    # -- meaning --
    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        states, size = arrays
        shape = tuple(int(n) for n in size)
        if len(shape) != self.ndim:
            raise ValueError(f"size {shape} has not the declared length {self.ndim}")
        if any(n < 0 for n in shape):
            raise ValueError(f"size {shape} has a negative length")
        if not len(states) or states.shape[1] != 6:
            raise ValueError(f"states must have rows of 6 numbers, got the shape {states.shape}")
        after, drawn = draw_with_numpy(states, element_count(shape), self.dtype)
        return after, drawn.reshape(shape)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        entries = shape_entries(node.inputs[1], self.ndim)
        if entries is None or len(entries) != self.ndim:
            return None
        lengths = [e if (k := known_int(e)) is None else k for e in entries]
        return [tuple(shapes[0]), tuple(lengths)]

    def c_routine(self, node: Apply) -> tuple[str, str]:
        call = f"jg_mrg_uniform_{dtypes.TAGS[self.dtype]}(host->pool, {{x0}}, {{d:x0:0}}, "
        return "jg_mrg.h", call + "{d:x0:1}, {z0}, {z1}, {n:z1})"

    # -- gradient --
    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [DISCONNECTED, DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False, False], [False, False]]


def element_count(lengths: Iterable[int], where: str = "") -> int:
    """The number of elements; ValueError beyond what one draw may have."""
    entries = tuple(lengths)
    total = math.prod(entries)
    if total > MOST:
        raise ValueError(
            f"size {entries} has {total:,} elements; one draw has 2**31 - 1 at most{where}"
        )
    return total


class MultinomialCounts(Op):
    """(pvals[rows, outcomes], unis[rows * n]) -> how often each outcome is drawn, [rows, outcomes].

    Draw c of row r uses number c * rows + r: the first outcome whose cumulated probability is
    above it. No outcome is counted where rounding leaves the sum below the number.
    """

    __props__ = ("dtype",)

    def __init__(self, dtype: Any):
        self.dtype = dtypes.check(dtype)

    def make_node(self, pvals: Any, unis: Any) -> Apply:
        pvals, unis = as_tensor_variable(pvals), as_tensor_variable(unis)
        return Apply(self, [pvals, unis], [TensorType(self.dtype, (False, False)).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        pvals, unis = arrays
        rows, outcomes = pvals.shape
        upper = np.cumsum(pvals, axis=1, dtype=pvals.dtype)
        draws = unis.reshape(-1, rows) if rows else unis.reshape(0, 0)
        below = np.zeros((rows, outcomes + 1), dtype=np.int64)
        for u in draws:
            below[:, 1:] += upper > u[:, None]
        return (cast_array(np.diff(below, axis=1), self.dtype),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [tuple(shapes[0])]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        reason = "counts of outcomes are no differentiable function of the probabilities"
        return [Undefined(reason) for _ in inputs]


class ChoiceWithoutReplacement(Op):
    """(pvals[rows, outcomes], unis[rows * n], n) -> n different outcomes a row, [rows, n].

    Draw c of row r uses number c * rows + r: the first outcome whose cumulated probability is
    above it. Then that outcome gets probability 0 and the row is divided by its sum.
    """

    __props__ = ("dtype",)

    def __init__(self, dtype: Any):
        self.dtype = dtypes.check(dtype)

    def make_node(self, pvals: Any, unis: Any, n: Any) -> Apply:
        inputs = [as_tensor_variable(v) for v in (pvals, unis, n)]
        return Apply(self, inputs, [TensorType(self.dtype, (False, False)).make_variable()])

    def evaluate(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        pvals, unis, n = np.array(arrays[0]), arrays[1], int(arrays[2])
        rows, outcomes = pvals.shape
        if n > outcomes:
            raise ValueError(f"choice: {n} different values cannot be taken from {outcomes}")
        result = np.empty((rows, n), dtype=np.int64)
        every = np.arange(rows)
        for c in range(n):
            above = np.cumsum(pvals, axis=1, dtype=pvals.dtype) > unis[c * rows :][:rows, None]
            # Where rounding leaves the sum below the number: the last outcome that is left.
            last = outcomes - 1 - (pvals[:, ::-1] > 0).argmax(1)
            found = np.where(above.any(1), above.argmax(1), last)
            result[:, c] = found
            pvals[every, found] = 0
            with np.errstate(invalid="ignore", divide="ignore"):
                total = pvals.sum(1, keepdims=True)
                pvals = np.where(total > 0, pvals / total, pvals)
        return (cast_array(result, self.dtype),)

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        reason = "a choice is no differentiable function of the probabilities"
        return [Undefined(reason), Undefined(reason), DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[True], [True], [False]]


__all__ = [
    "A1",
    "A2",
    "M1",
    "M2",
    "ChoiceWithoutReplacement",
    "MultinomialCounts",
    "draw_with_numpy",
    "jumped",
    "mrg_uniform",
    "next_integers",
    "power",
    "substreams",
]
