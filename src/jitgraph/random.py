"""Random streams of a counter-based generator: Philox4x64-10, word for word that of NumPy.

>>> from jitgraph.random import PhiloxStreams
>>> streams = PhiloxStreams(seed=7)
>>> f = jitgraph.function([], streams.normal((1000, 1000)))

Element i of a draw is a function of the seed, of which draw of the stream it is, of how many
elements the draw has given before, and of i; so the numbers are the same for any number of threads,
any way to divide the work, and any machine. `PhiloxStreams(seed).uniform(n)` is
`numpy.random.Generator(numpy.random.Philox(seed)).random(n)`; draw number k of a stream is that of
`numpy.random.Philox(seed).jumped(k)`.

Sizes come first: an int, a tuple or list of ints and integer scalars (-1 copies the length of a
parameter's axis), an integer vector (of known length, or pass `ndim`), or None for the shape of
the parameters. Parameters may be tensors. A gradient flows from uniform, normal, truncated_normal,
exponential, gumbel, laplace and logistic draws to the parameters that move and scale them.
"""

from __future__ import annotations

import math
import os
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.config import config
from jitgraph.graph import Constant, Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.philox import (
    LARGEST_MEAN,
    POSITION,
    STATE_WORDS,
    PhiloxDraw,
    bit_generator,
    poisson_count,
    scaled_word,
)
from jitgraph.ops.random import batch_size
from jitgraph.ops.ranges import InRange, in_range
from jitgraph.ops.shape import ShapeI, known_int
from jitgraph.ops.values import as_tensor_variable, constant
from jitgraph.tensor.sharing import shared

Seed = None | int | Sequence[int] | np.random.SeedSequence


class PhiloxStreams:
    """Draws from Philox, each with a state of its own; all have the key of the seed.

    `seed`: an int >= 0, a sequence of such, or a `numpy.random.SeedSequence`; None asks the
    operating system. Draw number k starts at the counter k * 2**128, so each may give 2**130
    words before it meets the next. A function that computes a draw moves its state on by the
    number of elements, unless compiled with `no_default_updates=True`.

    In a forked child process every stream goes on with other keys, so that the child does not
    repeat its parent (see `docs/random.md`); `fork="repeat"` keeps the parent's numbers.
    """

    def __init__(self, seed: Seed = None, fork: str = "differ"):
        if fork not in ("differ", "repeat"):
            raise ValueError(f"fork is 'differ' or 'repeat', not {fork!r}{here()}")
        self.seed_sequence = _seed_sequence(seed)
        self.key = self.seed_sequence.generate_state(2, np.uint64)
        self.fork = fork
        # (the shared state, its successor) of every draw
        self.state_updates: list[tuple[Any, Variable]] = []
        self._forks = 0
        _STREAMS.add(self)

    # -- state --
    def updates(self) -> list[tuple[Any, Variable]]:
        """A copy of `state_updates`, for `function(updates=…)`."""
        return list(self.state_updates)

    def seed(self, seed: Seed = None) -> None:
        """Start every draw anew, from another seed; None: from that of the stream."""
        if seed is not None:
            self.seed_sequence = _seed_sequence(seed)
        self.key = self.seed_sequence.generate_state(2, np.uint64)
        for k, (state, _) in enumerate(self.state_updates):
            state.set_value(_state(self.key, k), borrow=True)

    def spawn(self, n: int) -> list[PhiloxStreams]:
        """`n` streams for workers, of the seeds that `SeedSequence.spawn(n)` gives.

        A later call gives others; children of children differ too.
        """
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ValueError(f"spawn: n must be a number of streams, got {n!r}{here()}")
        return [type(self)(s, self.fork) for s in self.seed_sequence.spawn(int(n))]

    @staticmethod
    def bit_generator(draw: Any) -> np.random.Philox:
        """NumPy's generator at the state of `draw`: it gives the words that come next."""
        return bit_generator(draw.rng.get_value(borrow=True))

    def _draw(self, kind: str, dtype: Any, size: Any, marks: tuple[bool, ...]) -> Any:
        """A draw of its own state, of the given size vector and marks of length 1."""
        state = shared(_state(self.key, len(self.state_updates)), borrow=True)
        after, draw = PhiloxDraw(kind, (dtype, marks))(state, size)
        state.default_update = after
        state.tag.is_rng = True
        draw.rng = state
        draw.update = (state, after)
        self.state_updates.append(draw.update)
        return draw

    def _located(
        self,
        name: str,
        kind: str,
        size: Any,
        loc: tuple[str, Any],
        scale: tuple[str, Any],
        ndim: int | None,
        dtype: Any,
    ) -> tuple[Any, Any, Any]:
        """A draw, and the parameters of place and scale converted to its dtype."""
        a, b = as_tensor_variable(loc[1]), as_tensor_variable(scale[1])
        if dtype is None:
            dtype = dtypes.upcast(dtypes.check(config.floatX), a.type.dtype, b.type.dtype)
        if dtypes.check(dtype) not in dtypes.FLOATS:
            raise TypeError(f"{name}: dtype must be float32 or float64, not {dtype}{here()}")
        vector, marks = _size(name, size, ndim, (a, loc[0]), (b, scale[0]))
        return self._draw(kind, dtype, vector, marks), cast(a, dtype), cast(b, dtype)

    # -- continuous --
    def uniform(
        self,
        size: Any = None,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
    ) -> Any:
        """u * (high - low) + low, u in [0, 1) in steps of 2**-53 (float32: 2**-24).

        dtype None: the promotion of low, high and floatX.
        """
        u, low, high = self._located(
            "uniform", "uniform", size, ("low", low), ("high", high), ndim, dtype
        )
        return _with_state(u * (high - low) + low, u)

    def normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
    ) -> Any:
        """avg + std * z, z the standard normal quantile of (k + 1/2) / 2**53.

        k are the 53 bits of which `uniform` makes its number, so z grows with it: |z| < 8.3.
        """
        z, avg, std = self._located(
            "normal", "normal", size, ("avg", avg), ("std", std), ndim, dtype
        )
        return _with_state(z * std + avg, z)

    def truncated_normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        low: float = -2.0,
        high: float = 2.0,
        ndim: int | None = None,
        dtype: Any = None,
    ) -> Any:
        """avg + std * z, z normal under the condition low <= z <= high (two numbers)."""
        if not isinstance(low, (int, float)) or not isinstance(high, (int, float)) or low >= high:
            raise ValueError(
                f"truncated_normal: low and high must be numbers, low below high, got {low!r} and "
                f"{high!r}{here()}"
            )
        import jitgraph.tensor as T

        u, avg, std = self._located(
            "truncated_normal", "open", size, ("avg", avg), ("std", std), ndim, dtype
        )
        # From the side on which the probabilities are small, so that they keep their digits.
        side = 1.0 if low > 0 else -1.0
        start, end = (math.erfc(side * x / math.sqrt(2)) for x in (low, high))
        of = u.type.dtype
        p = u * constant(end - start, dtype=of) + constant(start, dtype=of)
        z = T.erfcinv(p) * constant(side * math.sqrt(2), dtype=of)
        z = T.clip(z, constant(low, dtype=of), constant(high, dtype=of))
        return _with_state(z * std + avg, u)

    def exponential(
        self, size: Any = None, scale: Any = 1.0, ndim: int | None = None, dtype: Any = None
    ) -> Any:
        """-scale log(1 - u): mean `scale` >= 0."""
        import jitgraph.tensor as T

        scale = in_range("exponential", "scale", scale, low=0)
        u, _, scale = self._located(
            "exponential", "uniform", size, ("", np.int8(0)), ("scale", scale), ndim, dtype
        )
        return _with_state(-T.log1p(-u) * scale, u)

    def gumbel(
        self,
        size: Any = None,
        loc: Any = 0.0,
        scale: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
    ) -> Any:
        """loc - scale log(-log u): argmax of log weights plus such draws is a weighted choice."""
        import jitgraph.tensor as T

        u, loc, scale = self._located(
            "gumbel", "open", size, ("loc", loc), ("scale", scale), ndim, dtype
        )
        return _with_state(loc - T.log(-T.log(u)) * scale, u)

    def logistic(
        self,
        size: Any = None,
        loc: Any = 0.0,
        scale: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
    ) -> Any:
        """loc + scale log(u / (1 - u))."""
        import jitgraph.tensor as T

        u, loc, scale = self._located(
            "logistic", "open", size, ("loc", loc), ("scale", scale), ndim, dtype
        )
        return _with_state((T.log(u) - T.log1p(-u)) * scale + loc, u)

    def laplace(
        self,
        size: Any = None,
        loc: Any = 0.0,
        scale: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
    ) -> Any:
        """loc - scale sign(v) log(1 - |v|), v = 2u - 1: density exp(-|x - loc|/scale)/(2 scale)."""
        import jitgraph.tensor as T

        u, loc, scale = self._located(
            "laplace", "open", size, ("loc", loc), ("scale", scale), ndim, dtype
        )
        v = u * constant(2.0, dtype=u.type.dtype) - constant(1.0, dtype=u.type.dtype)
        return _with_state(loc - T.sgn(v) * T.log1p(-abs(v)) * scale, u)

    # -- discrete --
    def bernoulli(
        self, size: Any = None, p: Any = 0.5, ndim: int | None = None, dtype: Any = "int64"
    ) -> Any:
        """1 with probability p, else 0: whether u < p, u in [0, 1) of p's float dtype."""
        p = in_range("bernoulli", "p", p, 0, 1)
        vector, marks = _size("bernoulli", size, ndim, (p, "p"))
        u = self._draw("uniform", dtypes.to_float(p.type.dtype), vector, marks)
        return _with_state(cast(u < p, dtype), u)

    def binomial(
        self,
        size: Any = None,
        n: int = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: Any = "int64",
    ) -> Any:
        """Successes in `n` trials (an int >= 0) of probability p, from n words an element."""
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ValueError(f"binomial: n must be an int of at least 0, got {n!r}{here()}")
        if n == 1:
            return self.bernoulli(size, p, ndim, dtype)
        import jitgraph.tensor as T

        p = in_range("binomial", "p", p, 0, 1)
        vector, marks = _size("binomial", size, ndim, (p, "p"))
        lengths = T.concatenate([vector, constant(np.array([int(n)]))])
        u = self._draw("uniform", dtypes.to_float(p.type.dtype), lengths, (*marks, n == 1))
        wins = T.lt(u, T.shape_padright(p)) if p.type.ndim else T.lt(u, p)
        return _with_state(cast(T.sum(wins, axis=-1), dtype), u)

    def poisson(
        self, size: Any = None, lam: Any = 1.0, ndim: int | None = None, dtype: Any = "int64"
    ) -> Any:
        """Counts of mean `lam`, 0 <= lam <= 1e9, by inversion from u in [0, 1) of 53 bits.

        That is the quantile of u for lam < 16; for larger means counts take their parts of [0, 1)
        in the order of their distance from the mode, in about sqrt(lam) steps (csrc/jg_poisson.h).
        """
        lam = in_range("poisson", "lam", lam, 0, LARGEST_MEAN)
        vector, marks = _size("poisson", size, ndim, (lam, "lam"))
        u = self._draw("uniform", "float64", vector, marks)
        return _with_state(cast(poisson_count(u, cast(lam, "float64")), dtype), u)

    def integers(
        self,
        size: Any = None,
        low: Any = 0,
        high: Any = 2,
        ndim: int | None = None,
        dtype: Any = "int64",
    ) -> Any:
        """Integers low, …, high - 1, of int64 parameters: low + floor(word (high - low) / 2**64).

        No word is drawn again, so probabilities differ by up to (high - low) / 2**64 of their
        value.
        """
        low, high = as_tensor_variable(low), as_tensor_variable(high)
        for name, v in (("low", low), ("high", high)):
            if v.type.dtype not in dtypes.INTEGERS:
                raise TypeError(f"integers: {name} must hold integers, got {describe(v)}{here()}")
        vector, marks = _size("integers", size, ndim, (low, "low"), (high, "high"))
        first: Any = cast(low, "int64")
        span: Any = cast(cast(high, "int64") - first, "uint64")  # modulo 2**64
        if not isinstance(low, Constant) or not isinstance(high, Constant):
            rule = InRange("integers", "high", 1, None, "high must be above low")
            span = span * cast(rule(cast(high > low, "int64")), "uint64")
        elif not (np.asarray(high.data) > np.asarray(low.data)).all():
            raise ValueError(f"integers: high must be above low{here()}")
        word = self._draw("word", "uint64", vector, marks)
        offset = cast(scaled_word(word, span), "int64")
        return _with_state(cast(first + offset, dtype), word)

    def choice(
        self,
        size: Any = None,
        a: Any = 2,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: Any = None,
    ) -> Any:
        """Entries of the vector `a`, or of range(a), with weights `p` (None: all the same).

        Without `replace`, `size` is an int or integer scalar k, and the result the first k in
        a random order; with `p` that is the order in which one after the other is drawn.
        """
        import jitgraph.tensor as T

        a = as_tensor_variable(a)
        if a.type.ndim > 1 or (not a.type.ndim and a.type.dtype not in dtypes.INTEGERS):
            raise TypeError(f"choice: a must be an int or a vector, got {describe(a)}{here()}")
        known = known_int(a) if not a.type.ndim else None
        if known is not None and known < 1:
            raise ValueError(f"choice: a must be positive, got {known}{here()}")
        count = ShapeI(0)(a) if a.type.ndim else cast(a, "int64")
        if not replace:
            index = self._first_of_order(size, count, known, p)
        elif p is None:
            index = self.integers(size, 0, count, ndim)
        else:
            weights = self._weights(p)
            vector, marks = _size("choice", size, ndim)
            u = self._draw("uniform", "float64", vector, marks)
            from jitgraph.tensor.extra_ops import searchsorted

            upper = T.cumsum(weights)
            # Rounding must not lead beyond the last entry that has a weight.
            found: Any = searchsorted(upper, T.flatten(u) * self._total(upper), side="right")
            index = _with_state(found.reshape(vector, ndim=len(marks)), u)
        result = a[index] if a.type.ndim else index
        return _with_state(result if dtype is None else cast(result, dtype), index)

    def _weights(self, p: Any) -> Any:
        p = as_tensor_variable(p)
        if p.type.ndim != 1:
            raise ValueError(f"choice: p must be a vector, got {describe(p)}{here()}")
        return cast(in_range("choice", "p", p, low=0), "float64")

    @staticmethod
    def _total(upper: Any) -> Any:
        """The last of the cumulated weights, which must not be 0."""
        smallest = float(np.finfo(np.float64).tiny)
        return in_range("choice", "the sum of p", upper[-1], smallest, float(np.finfo(float).max))

    def _first_of_order(self, size: Any, count: Any, known: int | None, p: Any) -> Any:
        import jitgraph.tensor as T

        k = as_tensor_variable(1 if size is None else size)
        if k.type.ndim == 1 and known_int(k) is not None:
            k = k[0]
        if k.type.ndim or k.type.dtype not in dtypes.INTEGERS:
            raise TypeError(
                f"choice: without replacement, size is an integer, got {describe(k)}{here()}"
            )
        if p is None:
            order = self.permutation(count)
        else:
            u = self._draw("open", "float64", [count], (False,))
            # Exponential waiting times of rates p: the order of their ends is that of the draws.
            order = _with_state(T.argsort(-T.log(u) / self._weights(p)), u)
        chosen = known_int(k)
        if chosen is not None and known is not None and chosen > known:
            raise ValueError(f"choice: {chosen} different entries of {known}{here()}")
        in_all = in_range("choice", "the number of entries left over", count - k, 0)
        index = _with_state(order[: count - in_all], order)
        return index if size is not None else _with_state(index[0], order)

    def permutation(self, x: Any) -> Any:
        """The elements of the vector `x`, or of range(x), in a random order."""
        import jitgraph.tensor as T

        x = as_tensor_variable(x)
        if x.type.ndim > 1 or (not x.type.ndim and x.type.dtype not in dtypes.INTEGERS):
            raise TypeError(f"permutation: x must be an int or a vector, got {describe(x)}{here()}")
        if known_int(x) is not None and not x.type.ndim and known_int(x) < 0:  # type: ignore[operator]
            raise ValueError(f"permutation: x must not be negative, got {known_int(x)}{here()}")
        word = self._draw("word", "uint64", [ShapeI(0)(x) if x.type.ndim else x], (False,))
        order = T.argsort(word)
        return _with_state(x[order] if x.type.ndim else order, word)


def _with_state(result: Any, draw: Any) -> Any:
    """`result`, made of `draw`, knowing the state that it comes from."""
    result.rng = draw.rng
    result.update = draw.update
    return result


def _size(
    name: str, size: Any, ndim: int | None, *parameters: tuple[Variable, str]
) -> tuple[Any, tuple[bool, ...]]:
    """The vector of lengths and the marks of length 1."""
    is_int = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
    if is_int or (isinstance(size, Variable) and getattr(size.type, "ndim", None) == 0):
        size = (size,)
    if size is None and any(p.type.ndim for p, _ in parameters):
        total: Any = parameters[0][0]
        for p, _ in parameters[1:]:
            total = total + p
        marks = total.type.broadcastable
        return [1 if b else ShapeI(i)(total) for i, b in enumerate(marks)], marks
    try:
        return batch_size(ndim, size, *((p, 0) for p, _ in parameters))
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None


def _seed_sequence(seed: Any) -> np.random.SeedSequence:
    if isinstance(seed, np.random.SeedSequence):
        return seed
    try:
        if isinstance(seed, (bool, float, str)):
            raise TypeError
        return np.random.SeedSequence(seed)
    except (TypeError, ValueError):
        raise _refusal(seed)(
            f"seed must be an int >= 0, a sequence of such, a SeedSequence or None, got "
            f"{seed!r}{here()}"
        ) from None


def _refusal(seed: Any) -> type[Exception]:
    """ValueError for a seed of the right kind that is out of range, TypeError for others."""
    right_kind = isinstance(seed, (int, np.integer, list, tuple)) and not isinstance(seed, bool)
    return ValueError if right_kind else TypeError


def _state(key: np.ndarray, number: int) -> np.ndarray:
    """The state of draw `number`: its counter starts at number * 2**128."""
    state = np.zeros(STATE_WORDS, dtype=np.uint64)
    state[:2] = key
    state[4] = number
    return state


# -- fork ------------------------------------------------------------------------------

_STREAMS: weakref.WeakSet[PhiloxStreams] = weakref.WeakSet()


def _before_fork() -> None:
    for streams in list(_STREAMS):
        streams._forks += 1


def _after_fork_in_child() -> None:
    """Give the streams of a forked child keys that are hashed from the old and the fork's number.

    The numbers stay reproducible: they depend on the seed and on which fork it was. Positions
    and counters stay as they are.
    """
    for streams in list(_STREAMS):
        if streams.fork != "differ":
            continue
        number, streams._forks = streams._forks, 0
        streams.key = _key_after_fork(streams.key, number)
        words = [int(k) for k in streams.key]
        streams.seed_sequence = np.random.SeedSequence(words)
        for state, _ in streams.state_updates:
            value = state.get_value()
            value[:2] = _key_after_fork(value[:2], number)
            state.set_value(value, borrow=True)


def _key_after_fork(key: np.ndarray, number: int) -> np.ndarray:
    sequence = np.random.SeedSequence([int(k) for k in key], spawn_key=(number,))
    return sequence.generate_state(2, np.uint64)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork_in_child)

__all__ = ["POSITION", "PhiloxStreams"]
