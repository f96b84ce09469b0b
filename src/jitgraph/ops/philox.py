"""Draws from Philox4x64-10: the state, the op, and the quantile function of the normal.

J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC11. The words are those of `numpy.random.Philox`, which is the reference here; csrc/jg_philox.h
has the same in C. A state is uint64[7]: two words of the key, four of the counter (least
significant first), and the position, the number of words used so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.graph import Apply, TensorType, Variable
from jitgraph.op import DISCONNECTED, Gradient, Op, describe, here
from jitgraph.ops.elementwise import elementwise
from jitgraph.ops.shape import known_int, shape_entries, shape_vector
from jitgraph.ops.values import as_tensor_variable

STATE_WORDS = 7
POSITION = 6
Array = np.ndarray


def bit_generator(state: Array) -> np.random.Philox:
    """NumPy's generator that goes on with the words that come next."""
    key, counter, position = state[:2], _number(state[2:6]), int(state[POSITION])
    first = (counter + position // 4) % 2**256
    limbs = [first >> (64 * i) & (2**64 - 1) for i in range(4)]
    generator = np.random.Philox(key=key, counter=np.array(limbs, dtype=np.uint64))
    generator.random_raw(position % 4, output=False)
    return generator


def _number(limbs: Array) -> int:
    return sum(int(x) << (64 * i) for i, x in enumerate(limbs))


# -- from words to numbers ---------------------------------------------------------------


def _uniform(words: Array, dtype: str) -> Array:
    """0 … 1 - eps/2 in steps of eps/2."""
    if dtype == "float32":
        return (words >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _open(words: Array, dtype: str) -> Array:
    """The midpoints of 2**52 (float32: 2**23) equal parts of (0, 1)."""
    if dtype == "float32":
        return ((words >> np.uint64(41)).astype(np.float32) + np.float32(0.5)) * np.float32(2**-23)
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _normal(words: Array, dtype: str) -> Array:
    """The quantile of (k + 1/2) / 2**53 for the first 53 bits k of each word."""
    k = words >> np.uint64(11)
    upper = k >> np.uint64(52) != 0
    j = np.where(upper, np.uint64(2**53 - 1) - k, k)
    t = (j.astype(np.float64) + 0.5) * 2.0**-53
    far = 0.5 - t > _CENTRE
    x = _quantile_of_centre(0.5 - t)
    x[far] = _quantile_of_tail(t[far])
    return np.where(upper, x, -x).astype(dtype)


def _word(words: Array, dtype: str) -> Array:
    return words


# The coefficients of csrc/jg_normal.h, whose comments say what they are.
_CENTRE = 0.425
_N_CENTRE, _D_CENTRE, _N_TAIL, _D_TAIL = (
    [float.fromhex(c) for c in text.split()]
    for text in (
        "0x1.c63647a7bbdd7p-1 0x1.060f37a13ea82p+5 0x1.98b186bf8a639p+8 "
        "0x1.7bf43d392efd1p+10 -0x1.ba92e89f14fbap+12 -0x1.0ebd8b3447ca1p+16 "
        "-0x1.5585b6af8a72cp+17 -0x1.24ed887eff6cdp+17 -0x1.db0c15d71b74ap+14",
        "0x1p+0 0x1.8331d36bfa9cap+5 0x1.d1e8c555acc83p+9 0x1.1d221308647b5p+13 "
        "0x1.793cbcc3cc646p+15 0x1.0940bf1d5c571p+17 0x1.6c9df25888aa1p+17 "
        "0x1.95d8203c9c99cp+16 0x1.cb988824a93d9p+13",
        "-0x1.0c800829c58fbp-1 -0x1.b6751c538bad6p-1 -0x1.1aeb7e0c9b889p-1 "
        "-0x1.6c832ff132bf5p-3 -0x1.dd222c371a58dp-6 -0x1.1ac29ebf45da0p-9 "
        "-0x1.b7a376693ea58p-15 0x1.b01cc6fb1f9bap-27 0x1.40eee14ec9174p-29",
        "0x1p+0 0x1.4dd31a2fedb9dp+1 0x1.6b9565f527288p+1 0x1.ad1cabf7ab85ep+0 "
        "0x1.28b9efab4e0e3p-1 0x1.e264e264b31d0p-4 0x1.b216c10606071p-7 "
        "0x1.744b7c8184eb0p-11 0x1.a901a0d56b749p-17",
    )
)
_LOG = [
    float.fromhex(c)
    for c in (
        "0x1.5555555555547p-1 0x1.999999999e122p-2 0x1.24924920773b9p-2 0x1.c71c7593c7e89p-3 "
        "0x1.745c18060e345p-3 0x1.3b3b4fb64179bp-3 0x1.0d79efede6255p-3 0x1.1d6bdd3dab3cep-3"
    ).split()
]


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Horner's rule, every operation rounded: NumPy never fuses them."""
    result = np.full_like(x, coefficients[-1])
    for c in coefficients[-2::-1]:
        result = result * x + c
    return result


def _quantile_of_centre(q: Array) -> Array:
    z = _CENTRE * _CENTRE - q * q
    return q * (2.5 + _polynomial(_N_CENTRE, z) / _polynomial(_D_CENTRE, z))


def _minus_log(t: Array) -> Array:
    m, exponent = np.frexp(t)  # 1/2 <= m < 1
    low = m < float.fromhex("0x1.6a09e667f3bcdp-1")
    m, k = np.where(low, 2 * m, m), (exponent - low).astype(np.float64)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    square = 0.5 * f * f
    tail = square - (
        s * (square + _polynomial(_LOG, z) * z) + k * float.fromhex("0x1.a39ef35793c76p-33")
    )
    return (tail - f) - k * float.fromhex("0x1.62e42feep-1")


def _quantile_of_tail(t: Array) -> Array:
    r = np.sqrt(_minus_log(t))
    s = r - 1.6
    return r * (1.4140625 + _polynomial(_N_TAIL, s) / _polynomial(_D_TAIL, s))


_MAKERS: dict[str, Callable[[Array, str], Array]] = {
    "uniform": _uniform,
    "open": _open,
    "normal": _normal,
    "word": _word,
}


# -- the op ----------------------------------------------------------------------------


class PhiloxDraw(Op):
    """(state uint64[7], size) -> (the state after the draw, the draw).

    Element i in C order is made from word position + i alone. `kind`:

    uniform  [0, 1): as numpy.random.Generator.random; float32: the first 24 bits / 2**24
    open     (0, 1): (k + 1/2) / 2**52 for the first 52 bits k; float32: 23 bits
    normal   the quantile of (k + 1/2) / 2**53, within 3 ULP; float32: rounded
    word     the words themselves, uint64

    `output_type` is a TensorType, or (dtype, pattern).
    """

    __props__ = ("kind", "out")
    foldable = False
    size_input = 1
    c_routine_checks = f"the state must have {STATE_WORDS} words"
    c_filled = 1  # the draw may be made in the loop that reads it

    def __init__(self, kind: str, output_type: Any):
        is_type = isinstance(output_type, TensorType)
        dtype, pattern = (output_type.dtype, output_type.broadcastable) if is_type else output_type
        if kind not in _MAKERS:
            raise ValueError(f"unknown kind {kind!r}; known are {', '.join(_MAKERS)}{here()}")
        self.kind = kind
        self.out = (dtypes.check(dtype), tuple(bool(b) for b in pattern))
        if self.out[0] not in (("uint64",) if kind == "word" else dtypes.FLOATS):
            raise TypeError(f"a {kind} draw has no dtype {self.out[0]}{here()}")

    @property
    def dtype(self) -> str:
        return self.out[0]

    @property
    def ndim(self) -> int:
        return len(self.out[1])

    @property
    def name(self) -> str:
        return self.kind

    def __str__(self) -> str:
        return f"PhiloxDraw{{{self.kind}}}"

    def make_node(self, state: Any, size: Any) -> Apply:
        state, vector = as_tensor_variable(state), shape_vector(size)
        if state.type.dtype != "uint64" or state.type.ndim != 1:
            raise TypeError(f"the state is a uint64 vector, got {describe(state)}{here()}")
        return Apply(
            self,
            [state, vector],
            [state.type.make_variable(), TensorType(*self.out).make_variable()],
        )

    def evaluate(self, *arrays: Array) -> tuple[Array, ...]:
        state, size = arrays
        shape = tuple(int(n) for n in size)
        if len(shape) != self.ndim:
            raise ValueError(f"size {shape} has not the declared length {self.ndim}")
        if any(n < 0 for n in shape):
            raise ValueError(f"size {shape} has a negative length")
        if len(state) != STATE_WORDS:
            raise ValueError(f"the state must have {STATE_WORDS} words, got {len(state)}")
        count = int(np.prod(shape, dtype=object)) if shape else 1
        words = bit_generator(state).random_raw(count)
        after = state.copy()
        after[POSITION] += np.uint64(count)
        return after, _MAKERS[self.kind](words, self.dtype).reshape(shape)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        entries = shape_entries(node.inputs[1], self.ndim)
        if entries is None or len(entries) != self.ndim:
            return None
        lengths = [e if (k := known_int(e)) is None else k for e in entries]
        return [tuple(shapes[0]), tuple(lengths)]

    def c_routine(self, node: Apply) -> tuple[str, str]:
        call = f"jg_philox_draw_{self.kind}_{dtypes.TAGS[self.dtype]}(host->pool, {{x0}}, "
        return "jg_philox.h", call + "{d:x0:0}, {z0}, {z1}, {n:z1})"

    def c_fill(self, node: Apply) -> tuple[str, str]:
        """A part of the draw: elements first … first + count - 1."""
        name = f"{self.kind}_{dtypes.TAGS[self.dtype]}"
        return "jg_philox.h", f"jg_philox_fill_draw_{name}({{out}}, {{count}}, {{x0}}, {{first}})"

    def c_rest(self, node: Apply) -> tuple[str, str]:
        """The successor of the state where the draw is made elsewhere."""
        return "jg_philox.h", "jg_philox_next({x0}, {d:x0:0}, {z0}, {n:z1})"

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [DISCONNECTED, DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False, False], [False, False]]


def _high_product(a: Array, b: Array) -> Array:
    half, mask = np.uint64(32), np.uint64(2**32 - 1)
    a0, a1, b0, b1 = a & mask, a >> half, b & mask, b >> half
    middle = a1 * b0 + (a0 * b0 >> half)
    other = a0 * b1 + (middle & mask)
    return a1 * b1 + (middle >> half) + (other >> half)


def _all_uint64(*operands: str) -> tuple[tuple[str, ...], str]:
    return ("uint64",) * len(operands), "uint64"


scaled_word = elementwise(
    "scaled_word",
    arity=2,
    rule=_all_uint64,
    numpy=_high_product,
    c="(uint64_t)(((unsigned __int128){0} * {1}) >> 64)",
    grad=None,
    no_grad="it is an integer",
    doc="floor(a b / 2**64): a word a as an integer below b.",
)

# -- counts ----------------------------------------------------------------------------

LARGEST_MEAN = 1e9  # of a Poisson distribution: JG_POISSON_LARGEST of csrc/jg_poisson.h


def _from_zero(u: float, mean: float) -> int:
    p, k = math.exp(-mean), 0
    u -= p
    while u >= 0 and (k < mean or p >= 2.0**-64):
        k += 1
        p *= mean / k
        u -= p
    return k


def _from_mode(u: float, mean: float) -> int:
    m = math.floor(mean)
    d, z = mean - m, 1.0 / (m * m)
    stirling = (1 / 12 + z * (-1 / 360 + z * (1 / 1260 + z * (-1 / 1680 + z / 1188)))) / m
    p = math.exp(m * math.log1p(d / m) - d - stirling) / math.sqrt(2 * math.pi * m)
    above, below, high, low = p, p, m, m
    u -= p
    if u < 0:
        return m
    while True:
        high += 1
        above *= mean / high
        u -= above
        if u < 0:
            return high
        below *= low / mean
        low -= 1
        u -= below
        if u < 0:
            return low
        if above < 2.0**-64 and below < 2.0**-64:
            return high


def _poisson_count(u: float, mean: float) -> int:
    if not 0 < mean <= LARGEST_MEAN:
        return 0
    return _from_zero(u, mean) if mean < 16 else _from_mode(u, mean)


def _poisson_counts(u: Array, mean: Array) -> Array:
    pairs = np.broadcast(u, mean)
    found = np.array([_poisson_count(float(a), float(b)) for a, b in pairs], dtype=np.int64)
    return found.reshape(pairs.shape)


poisson_count = elementwise(
    "poisson_count",
    arity=2,
    rule=lambda *operands: (("float64", "float64"), "int64"),
    numpy=_poisson_counts,
    c="jg_poisson_f64({0}, {1})",
    header="jg_poisson.h",
    grad=None,
    no_grad="it is an integer",
    doc="A count with the Poisson distribution of a mean, from a uniform number of [0, 1).",
)

__all__ = [
    "LARGEST_MEAN",
    "POSITION",
    "STATE_WORDS",
    "PhiloxDraw",
    "bit_generator",
    "poisson_count",
    "scaled_word",
]
