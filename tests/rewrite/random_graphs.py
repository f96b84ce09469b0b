"""Small random graphs of every kind of op, with values for their leaves.

Shapes are fixed (matrices 3 x 4, vectors of 4 and of 3, rows, columns, scalars), so that any two
members of a kind combine. `exact` graphs hold only ops whose results the rules must not change by
one bit; the others also hold functions that the stable rules rewrite, arranged so that no op
enlarges an error by more than a small factor.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

import jitgraph.tensor as T
from jitgraph.graph import Variable
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.nnet import logsumexp, pick
from jitgraph.ops.shape import Rebroadcast

Pool = dict[str, list[Variable]]
Values = dict[Variable, np.ndarray]


def leaves(rng: np.random.Generator, dtype: str) -> tuple[Pool, Values]:
    def leaf(pattern: tuple[bool, ...], shape: tuple[int, ...], kind: str, name: str) -> Variable:
        v = T.TensorType(kind, pattern)(name)
        if kind.startswith("float"):
            values[v] = np.asarray(rng.normal(size=shape), kind)
        else:
            values[v] = np.asarray(rng.integers(-5, 6, size=shape), kind)
        return v

    values: Values = {}
    pool: Pool = {
        "m": [leaf((False, False), (3, 4), dtype, n) for n in ("m0", "m1")],
        "v": [leaf((False,), (4,), dtype, n) for n in ("v0", "v1")],
        "u": [leaf((False,), (3,), dtype, "u0")],
        "s": [leaf((), (), dtype, "s0")],
        "row": [leaf((True, False), (1, 4), dtype, "row0")],
        "col": [leaf((False, True), (3, 1), dtype, "col0")],
        "im": [leaf((False, False), (3, 4), "int32", "i0")],
        "k": [T.lvector("k0")],
    }
    values[pool["k"][0]] = rng.integers(0, 4, size=3)
    return pool, values


STRETCHED = {"m": ("m", "v", "row", "col", "s"), "v": ("v", "s"), "u": ("u", "s"), "s": ("s",)}
BINARY: list[Callable[..., Any]] = [
    T.add, T.sub, T.mul, T.maximum, T.minimum, lambda a, b: T.switch(T.lt(a, b), a, -b),
    lambda a, b: T.fill(a, b), lambda a, b: a * T.ones_like(b), lambda a, b: b - -a,
    lambda a, b: T.clip(a, -2.0, 1.0) + b, lambda a, b: T.add(a, b, a),
]  # fmt: skip
UNARY: list[Callable[..., Any]] = [
    T.neg, abs, T.sqr, T.identity, lambda a: a * 1, lambda a: a + 0, lambda a: a / 1,
    lambda a: T.neg(T.neg(a)), lambda a: a * -1, lambda a: T.switch(1, a, a * 3),
    lambda a: cast(cast(a, "float64"), a.dtype),
    lambda a: T.zeros_like(a) + a, lambda a: a - 0.0, lambda a: T.ones_like(a), lambda a: a * 0.5,
]  # fmt: skip
FLOAT_BINARY: list[Callable[..., Any]] = [
    lambda a, b: T.log(T.exp(T.tanh(a)) + T.exp(T.tanh(b))),
    lambda a, b: T.tanh(a) / (1 + T.exp(-b)),
    lambda a, b: T.tanh(a) / (T.exp(T.tanh(b)) + 1),
    lambda a, b: T.nnet.binary_crossentropy(T.nnet.sigmoid(T.tanh(a)), T.sqr(T.sin(b))),
    lambda a, b: T.tanh(a) * T.switch(T.gt(b, 0), T.cos(b), 0),
]
FLOAT_UNARY: list[Callable[..., Any]] = [
    T.tanh, T.nnet.sigmoid, T.nnet.softplus, T.sin, T.erf,
    lambda a: T.log(1 + T.sqr(T.sin(a))), lambda a: T.log(1 - T.nnet.sigmoid(T.tanh(a))),
    lambda a: 1 - T.nnet.sigmoid(a), lambda a: T.exp(T.tanh(a)) - 1, lambda a: 1 - T.erf(a),
    lambda a: T.log(T.erfc(T.tanh(a))), lambda a: T.sqrt(T.sqr(a)), lambda a: T.tanh(a) ** 3,
    lambda a: (1 + T.sqr(T.tanh(a))) ** 0.5, lambda a: T.log(T.nnet.sigmoid(a)),
    lambda a: T.exp(a) / (1 + T.exp(a)), lambda a: T.log1p(T.exp(T.sin(a))),
]  # fmt: skip


class Builder:
    """Grows a pool of variables by applying ops drawn at random."""

    def __init__(self, seed: int, exact: bool, dtype: str = "float64"):
        self.draw = random.Random(seed)
        self.exact = exact
        self.pool, self.values = leaves(np.random.default_rng(seed), dtype)
        self.steps: list[Callable[[], None]] = [
            self.binary, self.binary, self.unary, self.reduce, self.dimshuffle, self.index,
            self.reshape, self.integers, self.shape, self.join, self.pick, self.matrix_product,
        ]  # fmt: skip

    def grow(self, n: int) -> list[Variable]:
        """`n` new variables in the pool; some of the last ones are the outputs."""
        for _ in range(n):
            self.draw.choice(self.steps)()
        late = [vs[-1] for vs in self.pool.values() if vs[-1].owner is not None]
        return self.draw.sample(late, min(3, len(late)))

    def any(self, kind: str) -> Any:
        return self.draw.choice(self.pool[kind][-5:])

    def put(self, kind: str, v: Variable) -> None:
        self.pool[kind].append(v)

    def binary(self) -> None:
        kind = self.draw.choice(list(STRETCHED))
        functions = BINARY if self.exact else BINARY + 2 * FLOAT_BINARY
        a, b = self.any(kind), self.any(self.draw.choice(STRETCHED[kind]))
        self.put(kind, self.damped(self.draw.choice(functions)(a, b)))

    def unary(self) -> None:
        kind = self.draw.choice(("m", "v", "u", "s", "row", "col"))
        functions = UNARY if self.exact else UNARY + 2 * FLOAT_UNARY
        self.put(kind, self.damped(self.draw.choice(functions)(self.any(kind))))

    def damped(self, v: Any) -> Any:
        """Magnitudes are kept near 1 in inexact graphs, so that errors are not magnified."""
        return v if self.exact else v / 2

    def reduce(self) -> None:
        m = self.any("m")
        kinds = [T.max, T.min] if self.exact else [T.max, T.sum, T.mean, T.min]
        axis, function = self.draw.choice((0, 1)), self.draw.choice(kinds)
        if self.draw.random() < 0.3:
            keep = function(m, axis=axis, keepdims=True)
            self.put("row" if axis == 0 else "col", self.damped(keep))
        else:
            self.put("v" if axis == 0 else "u", self.damped(function(m, axis=axis)))
        if not self.exact:
            self.softmaxes(m)

    def softmaxes(self, m: Any) -> None:
        e, k = T.exp(m), self.any("k")
        choices: list[Callable[[], tuple[str, Any]]] = [
            lambda: ("m", e / e.sum(axis=1, keepdims=True)),
            lambda: ("m", T.log(T.nnet.softmax(m)) / 8),
            lambda: ("u", T.log(T.nnet.softmax(m))[T.arange(k.shape[0]), k] / 8),
            lambda: ("u", T.log(T.exp(m).sum(axis=1)) / 4),
            lambda: ("v", T.log(T.exp(m).sum(axis=0)) / 4),
            lambda: ("col", T.log(T.sum(e, axis=1, keepdims=True)) / 4),
            lambda: ("v", logsumexp(m, axis=0) / 4),
        ]
        self.put(*self.draw.choice(choices)())

    def dimshuffle(self) -> None:
        choices: list[tuple[str, Callable[[], Any]]] = [
            ("m", lambda: (self.any("m").T + self.any("col").dimshuffle(1, 0)).T),
            ("row", lambda: self.any("v").dimshuffle("x", 0)),
            ("col", lambda: self.any("u").dimshuffle(0, "x")),
            ("v", lambda: self.any("row").dimshuffle(1)),
            ("u", lambda: self.any("col").dimshuffle(0)),
            ("m", lambda: self.any("m").dimshuffle(1, "x", 0).dimshuffle(2, 0)),
            ("s", lambda: self.any("s").dimshuffle("x", "x").dimshuffle()),
            ("v", lambda: Rebroadcast((False,))(Rebroadcast((False,))(self.any("v")))),
        ]
        kind, make = self.draw.choice(choices)
        self.put(kind, make())

    def index(self) -> None:
        m, v, u = self.any("m"), self.any("v"), self.any("u")
        i = T.argmax(v)
        choices: list[tuple[str, Any]] = [
            ("v", m[1]), ("v", (m * 2)[-1]), ("u", m[:, 2]), ("u", m.T[i]), ("s", m[0, 1]),
            ("s", v[i]), ("m", m[:]), ("v", v[0:]), ("u", v[1:]), ("u", (v + self.any("s"))[:3]),
            ("v", v[::-1]), ("m", m[:, ::-1]), ("s", (m + v)[2][1]), ("u", v[1:][0:3]),
            ("m", T.set_subtensor(m[1], v)),
            ("m", T.inc_subtensor(m[:, 1:2], u.dimshuffle(0, "x"))),
            ("v", m.dimshuffle("x", 1, 0)[0, :, 2 - 1]), ("m", m[0 : m.shape[0], : v.shape[0]]),
            ("s", T.alloc(self.any("s"), 3, 4)[1, 2]), ("v", (m + self.any("row"))[0]),
        ]  # fmt: skip
        self.put(*self.draw.choice(choices))

    def reshape(self) -> None:
        m, v = self.any("m"), self.any("v")
        choices: list[tuple[str, Any]] = [
            ("m", m.reshape(m.shape)), ("m", abs(m.flatten()).reshape((3, 4))),
            ("v", v.reshape((4,))),
            ("m", m.reshape((4, 3)).reshape((3, 4))), ("row", v.reshape((1, 4))),
            ("v", v.reshape((-1,))), ("m", (-m).reshape((m.shape[0], -1))), ("v", v.flatten()),
            ("col", self.any("u").reshape((3, 1))), ("m", m.reshape((v.shape[0] - 1, m.shape[1]))),
        ]  # fmt: skip
        self.put(*self.draw.choice(choices))

    def integers(self) -> None:
        a, b = self.any("im"), self.any("im")
        choices = [
            a + b, a * 3, a - (-b), -(a - b), a // 1, T.mod(a, 3), T.int_div(a, 2),
            a**2, a**3, a**1,
            cast(cast(a, "int64"), "int32"), cast(cast(a, "int8"), "int32"), T.maximum(a, b),
            T.switch(T.eq(a, b), a, 0), cast(cast(a, "bool"), "int32"), T.fill(a, b[0, 0]), a * a,
            cast(cast(a, "uint8") - cast(b, "uint8"), "int32"), abs(-a), a & 7, ~(~a),
        ]  # fmt: skip
        self.put("im", cast(self.draw.choice(choices), "int32"))

    def shape(self) -> None:
        m, v = self.any("m"), self.any("v")
        choices = [
            m.shape[0], T.prod(m.shape), (m.shape * 2)[1], m.shape.sum(), v.shape[0] + 1,
            T.dot(m, m.T).shape[1], T.concatenate([m.shape, v.shape])[2], m.size, m[1:].shape[0],
            T.concatenate([m, m], axis=1).shape[1], m.flatten().shape[0], m[:, ::2].shape[1],
        ]  # fmt: skip
        self.put("s", self.damped(cast(self.draw.choice(choices), m.dtype)) / 8)

    def join(self) -> None:
        m, v = self.any("m"), self.any("v")
        both = T.concatenate([m, m * 2], axis=0)
        stacked = T.stack([v, v + 1, v])
        self.put("m", self.draw.choice([both[2:5], stacked, T.concatenate([stacked[:1], m[1:]])]))

    def pick(self) -> None:
        m, k = self.any("m"), self.any("k")
        wide = [m, m + self.any("row"), m * self.any("col") - self.any("s"), abs(m)]
        whole = self.draw.choice(wide)
        self.put("u", pick(whole, k))

    def matrix_product(self) -> None:
        if self.exact:
            return self.index()
        self.put("u", T.dot(self.any("m"), self.any("v")) / 4)
        return None
