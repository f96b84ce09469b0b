"""Random streams of the generator MRG31k3p, number for number those of Theano.

>>> from jitgraph.sandbox.rng_mrg import MRG_RandomStreams
>>> srng = MRG_RandomStreams(seed=12345)
>>> f = jitgraph.function([], srng.uniform((2, 2)))

Every draw has an int32 matrix of states in a shared variable, one row a stream. Element i of the
draw, in C order, comes from stream i mod nstreams, so results depend on the number of streams, but
on nothing else: not on the number of threads, nor on the machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.config import config
from jitgraph.graph import Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import cast, lt, switch
from jitgraph.ops.mrg import (
    A1,
    A2,
    M1,
    M2,
    ChoiceWithoutReplacement,
    MultinomialCounts,
    element_count,
    jumped,
    mrg_uniform,
    power,
    substreams,
)
from jitgraph.ops.ranges import in_range
from jitgraph.ops.shape import known_int
from jitgraph.ops.values import as_tensor_variable, constant
from jitgraph.tensor.sharing import shared

# Streams of a draw whose size is not known while building; the most for one that is.
MANY_STREAMS = 60 * 256
# Normals beyond 2 are drawn again: this is their standard deviation.
TRUNCATED_STD = 0.87962566103423978

A1p72, A2p72 = (np.array(power(a, 2**72, m)) for a, m in ((A1, M1), (A2, M2)))
A1p134, A2p134 = (np.array(power(a, 2**134, m)) for a, m in ((A1, M1), (A2, M2)))


def matVecModM(A: Any, s: Any, m: int) -> np.ndarray:
    """A s mod m for matrices and vectors of numbers below 2**31, as int32."""
    products = np.asarray(A, dtype=np.int64) * np.asarray(s, dtype=np.int64) % int(m)
    return (products.sum(1) % int(m)).astype(np.int32)


def multMatVect(v: Any, A: Any, m1: int, B: Any, m2: int) -> np.ndarray:
    """A v[:3] mod m1 followed by B v[3:] mod m2, as int32[6]."""
    return np.concatenate([matVecModM(A, v[:3], m1), matVecModM(B, v[3:], m2)])


def ff_2p72(rstate: Any) -> np.ndarray:
    """The state 2**72 numbers further: the next stream of a draw."""
    return jumped(np.asarray(rstate), 2**72)


def ff_2p134(rstate: Any) -> np.ndarray:
    """The state 2**134 numbers further: the first stream of the next draw."""
    return jumped(np.asarray(rstate), 2**134)


def guess_n_streams(size: Any, warn: bool = False) -> int:
    """The number of streams for a draw of this size.

    A sixth of its elements, all of them up to six, 15360 at most and where an entry is symbolic
    (`warn`: with a warning then).
    """
    if isinstance(size, (tuple, list)) and all(_is_int(n) for n in size):
        total = 1
        for n in size:
            total *= int(n)
        return min(total // 6 if total > 6 else total, MANY_STREAMS)
    if warn:
        warnings.warn(
            f"the size {size} is not known while building: {MANY_STREAMS} streams are used; "
            f"pass nstreams for another number{here()}",
            stacklevel=3,
        )
    return MANY_STREAMS


def _is_int(n: Any) -> bool:
    return isinstance(n, (int, np.integer)) and not isinstance(n, bool)


def _checked_size(size: Any) -> Any:
    """The size of a `uniform`; TypeError or ValueError if it is none."""
    if isinstance(size, tuple):
        for n in size:
            if not (_is_int(n) or isinstance(n, Variable)):
                raise TypeError(
                    f"size must be a tuple of integers or integer scalars, got the entry "
                    f"{n!r}{here()}"
                )
            if _is_int(n) and n <= 0:
                raise ValueError(
                    f"The specified size contains a dimension with value <= 0: {size}{here()}"
                )
        return size
    if isinstance(size, Variable) and getattr(size.type, "ndim", None) == 1:
        return size
    what = describe(size) if isinstance(size, Variable) else f"{size!r} ({type(size).__name__})"
    raise TypeError(f"size must be a tuple or an integer vector variable, got {what}{here()}")


def _listed_size(size: Any) -> Any:
    """The size of a `normal`, where a number, a scalar and a list will do too."""
    if _is_int(size) or (isinstance(size, Variable) and getattr(size.type, "ndim", None) == 0):
        return _checked_size((size,))
    if isinstance(size, list):
        return _checked_size(tuple(size))
    return _checked_size(size)


class MRG_RandomStreams:
    """Draws from MRG31k3p; the object's state moves on by 2**134 numbers with every draw made.

    `seed`: an int from 1 to M2 - 1, or six ints, the first three below M1, the others below M2,
    neither three all 0. Every function that computes a draw advances its states, unless compiled
    with `no_default_updates=True`.
    """

    def __init__(self, seed: Any = 12345, use_cuda: Any = None):
        """`use_cuda` is for programs that pass it; only False and None are possible."""
        if use_cuda:
            raise ValueError(f"use_cuda: random streams are made on the CPU only{here()}")
        # (shared states, their successors, size, nstreams as given) of every draw
        self.state_updates: list[tuple[Any, Variable, Any, int | None]] = []
        self.set_rstate(seed)
        self.default_instance_seed = seed
        self._children = 0

    # -- state --
    def set_rstate(self, seed: Any) -> None:
        """Set the state from which the next draw is made; the draws made so far stay as they are.

        Raises TypeError for a seed of another kind (an np.int64 too: use int()), ValueError for
        one out of range.
        """
        self.rstate = np.array(_state_of_seed(seed), dtype=np.int32)

    def inc_rstate(self) -> None:
        """Move the state on by 2**134 numbers."""
        self.rstate = ff_2p134(self.rstate)

    def get_substream_rstates(
        self, n_streams: int, dtype: Any = None, inc_rstate: bool = True
    ) -> np.ndarray:
        """`n_streams` states 2**72 numbers apart, int32[n_streams, 6], from the object's own on.

        `dtype`, that of the draw, is not needed. With `inc_rstate` the object's state moves on.
        """
        count = _stream_count(n_streams)
        states = substreams(self.rstate, count)
        if inc_rstate:
            self.inc_rstate()
        return states

    def seed(self, seed: Any = None) -> None:
        """Give every draw made so far new states; None: from the seed of the constructor.

        The numbers of streams stay as they are.
        """
        self.set_rstate(self.default_instance_seed if seed is None else seed)
        for states, _, size, nstreams in self.state_updates:
            count = self.n_streams(size) if nstreams is None else nstreams
            states.set_value(self.get_substream_rstates(count), borrow=True)

    def updates(self) -> list[tuple[Any, Variable, Any, int | None]]:
        """A copy of `state_updates`."""
        return list(self.state_updates)

    def n_streams(self, size: Any) -> int:
        return guess_n_streams(size)

    def spawn(self, n: int) -> list[MRG_RandomStreams]:
        """`n` generators for workers, whose numbers have nothing to do with this one's.

        Their states are hashed, by `numpy.random.SeedSequence`, from the seed of the constructor
        and their number, counted over all calls: workers of workers differ as well.
        """
        if not _is_int(n) or n < 0:
            raise ValueError(f"spawn: n must be a number of generators, got {n!r}{here()}")
        entropy = [int(x) for x in _state_of_seed(self.default_instance_seed)]
        result = []
        for _ in range(int(n)):
            words = np.random.SeedSequence(entropy, spawn_key=(self._children,)).generate_state(6)
            state = [int(w) % (M1 if i < 3 else M2) for i, w in enumerate(words)]
            result.append(type(self)([s or 1 for s in state]))
            self._children += 1
        return result

    def pretty_return(
        self,
        node_rstate: Any,
        new_rstate: Variable,
        sample: Any,
        size: Any = None,
        nstreams: int | None = None,
    ) -> Any:
        """`sample` with its states as `.rstate` and `.update`, entered in `state_updates`."""
        sample.rstate = node_rstate
        sample.update = (node_rstate, new_rstate)
        self.state_updates.append((node_rstate, new_rstate, size, nstreams))
        node_rstate.default_update = new_rstate
        node_rstate.tag.is_rng = True
        return sample

    # -- draws --
    def uniform(
        self,
        size: Any,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
        nstreams: int | None = None,
        target: Any = None,
    ) -> Any:
        """Uniform in the open interval (low, high): u * (high - low) + low.

        size: a tuple of ints >= 1 and integer scalars, or an integer vector variable (of known
        length, or pass `ndim`). dtype None: the promotion of low, high and floatX.
        `target`: where the states are kept; only "cpu" is possible.

        Raises TypeError for a size of another kind, ValueError for a length below 1 and for more
        than 2**31 - 1 elements.
        """
        size = _checked_size(size)
        if target not in (None, "cpu"):
            raise ValueError(f"target={target!r}: random streams are kept on the CPU only{here()}")
        low, high = as_tensor_variable(low), as_tensor_variable(high)
        if dtype is None:
            dtype = dtypes.upcast(dtypes.check(config.floatX), low.type.dtype, high.type.dtype)
        low, high = cast(low, dtype), cast(high, dtype)
        before, draws = self.rstate, len(self.state_updates)
        try:
            sample = self._unit_sample(size, ndim, dtype, nstreams)
            result = sample * (high - low) + low
            if result.type.broadcastable != sample.type.broadcastable:
                raise NotImplementedError(
                    f"low and high have more axes than the size: {describe(low)} and "
                    f"{describe(high)}{here()}"
                )
        except Exception:
            self.rstate = before
            del self.state_updates[draws:]
            raise
        return result

    def _unit_sample(self, size: Any, ndim: int | None, dtype: Any, nstreams: int | None) -> Any:
        """The draw in (0, 1), which knows its states."""
        count = self.n_streams(size) if nstreams is None else _stream_count(nstreams)
        states = shared(self.get_substream_rstates(count), borrow=True)
        after, sample = mrg_uniform.new(states, ndim, dtype, size)
        return self.pretty_return(states, after, sample, size=size, nstreams=nstreams)

    def binomial(
        self,
        size: Any = None,
        n: int = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """1 with probability p, else 0: whether a uniform number of floatX is below p.

        Raises NotImplementedError for n other than 1; ValueError, when run if p is no constant,
        for a p outside [0, 1].
        """
        if not _is_int(n) or n != 1:
            raise NotImplementedError(f"MRG_RandomStreams.binomial with n = {n}; only 1{here()}")
        p = in_range("binomial", "p", p, 0, 1)
        u = self.uniform(_checked_size(size), ndim=ndim, nstreams=nstreams, **kwargs)
        return cast(u < p, dtype)

    def normal(
        self,
        size: Any,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
        nstreams: int | None = None,
        truncate: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Normal with mean `avg` and standard deviation `std`, by Box and Muller's method.

        An even number of uniforms is drawn, from 15360 streams unless `nstreams` says otherwise;
        u1 is the first half, u2 the second, and the result the first elements of
        sqrt(-2 log u1) cos(2 pi u2) followed by sqrt(-2 log u1) sin(2 pi u2).
        With `truncate`, what is beyond 2 is drawn again within (before avg and std are applied);
        it then stands at the end of its half. Size may also be an int or a list.

        The gradient flows to avg and std.
        """
        size = _listed_size(size)
        avg, std = as_tensor_variable(avg), as_tensor_variable(std)
        if dtype is None:
            dtype = dtypes.upcast(dtypes.check(config.floatX), avg.type.dtype, std.type.dtype)
        avg, std = cast(avg, dtype), cast(std, dtype)
        wanted, ndim = _element_count(size, ndim)
        even = wanted + wanted % 2
        if isinstance(wanted, Variable):
            even = switch(lt(wanted, 0), wanted, even)  # -1 would become 0, and is refused as it is
        streams = MANY_STREAMS if nstreams is None else nstreams
        u = self.uniform((even,), ndim=1, dtype=dtype, nstreams=streams, **kwargs)
        flat = self._box_muller(u, even // 2, dtype, streams, truncate, kwargs)
        return (flat[:wanted].reshape(size, ndim=ndim) * std) + avg

    def _box_muller(
        self, u: Any, half: Any, dtype: Any, nstreams: int, truncate: bool, kwargs: dict[str, Any]
    ) -> Any:
        import jitgraph.tensor as T

        radius = T.sqrt(constant(-2.0, dtype=dtype) * T.log(u[:half]))
        angle = constant(2.0 * np.pi, dtype=dtype) * u[half:]
        cosine, sine = T.cos(angle), T.sin(angle)
        z0, z1 = radius * cosine, radius * sine
        if not truncate:
            return T.join(0, z0, z1)
        two: Any = constant(2.0, dtype=dtype)
        far0, far1 = (T.nonzero((z < -two) | (z > two))[0] for z in (z0, z1))
        near0, near1 = (z[T.nonzero((z >= -two) & (z <= two))[0]] for z in (z0, z1))
        lowest = constant(np.exp(-2.0), dtype=dtype)  # a radius of 2 at most
        again = self.uniform(
            (far0.shape[0] + far1.shape[0],),
            low=lowest,
            ndim=1,
            dtype=dtype,
            nstreams=nstreams,
            **kwargs,
        )
        radius = T.sqrt(constant(-2.0, dtype=dtype) * T.log(again))
        fixed0 = radius[: far0.shape[0]] * cosine[far0]
        fixed1 = radius[far0.shape[0] :] * sine[far1]
        return T.join(0, near0, fixed0, near1, fixed1)

    def truncated_normal(
        self,
        size: Any,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
        nstreams: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """`normal(truncate=True)` with std / 0.8796, so that the cut is at avg +- 2.2737 std.

        0.8796 is the standard deviation of a normal cut at 2. What is drawn again keeps its
        angle, so these numbers spread 2 % more: their standard deviation is 1.02 std.
        """
        size = _listed_size(size)
        avg, std = as_tensor_variable(avg), as_tensor_variable(std)
        if dtype is None:
            dtype = dtypes.upcast(dtypes.check(config.floatX), avg.type.dtype, std.type.dtype)
        std = cast(std, dtype) / np.asarray(TRUNCATED_STD, dtype=dtype)
        return self.normal(size, avg, std, ndim, dtype, nstreams, truncate=True, **kwargs)

    def multinomial(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = None,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """How often each outcome occurs in `n` trials; a row of counts for each row of `pvals`.

        Raises TypeError without pvals, ValueError where size or ndim is given (the rows of pvals
        are the size) or pvals are outside [0, 1], NotImplementedError for pvals that is no matrix.
        """
        if pvals is None:
            raise TypeError(f"multinomial: pvals has to be specified{here()}")
        pvals = self._matrix_of_probabilities("multinomial", "pvals", pvals, ndim)
        if size is not None:
            raise ValueError(f"multinomial: the rows of pvals are the size; pass none{here()}")
        unis = self._one_number_each(pvals, n, nstreams, kwargs)
        return MultinomialCounts(dtype)(pvals, unis)

    def choice(
        self,
        size: Any = 1,
        a: Any = None,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """`size` different numbers of 0 … p.shape[1] - 1 for each row of weights `p`.

        `replace` must be False and `a` None: NotImplementedError and TypeError otherwise.
        """
        if replace:
            raise NotImplementedError(
                f"MRG_RandomStreams.choice takes values without replacement only{here()}"
            )
        if a is not None:
            raise TypeError(
                f"choice: a has to be None; values are from 0 to p.shape[1] - 1{here()}"
            )
        if p is None:
            raise TypeError(f"choice: p has to be specified{here()}")
        p = self._matrix_of_probabilities("choice", "p", p, ndim)
        unis = self._one_number_each(p, size, nstreams, kwargs)
        return ChoiceWithoutReplacement(dtype)(p, unis, size)

    def multinomial_wo_replacement(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = None,
        replace: bool = False,
        ndim: int | None = None,
        dtype: Any = "int64",
        nstreams: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """The former name of `choice`: n values a row."""
        warnings.warn(
            "multinomial_wo_replacement is deprecated; use choice(replace=False)",
            DeprecationWarning,
            stacklevel=2,
        )
        if size is not None:
            raise ValueError(f"the rows of pvals are the size; pass none{here()}")
        return self.choice(n, None, replace, pvals, ndim, dtype, nstreams, **kwargs)

    def _matrix_of_probabilities(self, name: str, parameter: str, p: Any, ndim: Any) -> Any:
        p = as_tensor_variable(p)
        if ndim is not None:
            raise ValueError(f"{name}: the result is a matrix; ndim is not used{here()}")
        if p.type.ndim != 2:
            raise NotImplementedError(
                f"{name}: {parameter} must be a matrix, got {describe(p)}{here()}"
            )
        return in_range(name, parameter, p, 0, 1)

    def _one_number_each(
        self, p: Any, n: Any, nstreams: int | None, kwargs: dict[str, Any]
    ) -> Variable:
        """p.shape[0] * n uniforms in floatX; the number is not known while building."""
        from jitgraph.ops.shape import ShapeI

        count = as_tensor_variable(n)
        if count.type.ndim or count.type.dtype not in dtypes.INTEGERS:
            raise TypeError(f"a number of draws is an integer, got {describe(count)}{here()}")
        known = known_int(count)
        if known is not None and known < 1:
            raise ValueError(f"a number of draws is at least 1, got {known}{here()}")
        return self.uniform((ShapeI(0)(p) * count,), ndim=1, nstreams=nstreams, **kwargs)


def _state_of_seed(seed: Any) -> Sequence[int]:
    """Six ints; TypeError or ValueError for a seed that stands for none."""
    if isinstance(seed, int) and not isinstance(seed, bool):
        if seed == 0:
            raise ValueError(f"seed should not be 0{here()}")
        if not 0 < seed < M2:
            raise ValueError(f"seed should be positive and less than {M2}, got {seed}{here()}")
        return [seed] * 6
    values = None
    if isinstance(seed, (list, tuple, np.ndarray)) and len(seed) == 6:
        values = [int(s) for s in seed if _is_int(s)]
    if values is None or len(values) != 6:
        hint = "; pass int(seed)" if isinstance(seed, np.integer) else ""
        raise TypeError(f"seed should be 1 integer or 6 integers, got {seed!r}{hint}{here()}")
    for part, m in ((values[:3], M1), (values[3:], M2)):
        if not any(part):
            raise ValueError(f"three values of the seed are all 0: {values}{here()}")
        if any(not 0 <= s < m for s in part):
            raise ValueError(f"the values {part} of the seed should be below {m}{here()}")
    return values


def _stream_count(nstreams: Any) -> int:
    if not _is_int(nstreams) or nstreams < 1:
        raise ValueError(f"nstreams must be a positive integer, got {nstreams!r}{here()}")
    return int(nstreams)


def _element_count(size: Any, ndim: int | None) -> tuple[Any, int | None]:
    """The number of elements of a size, an int if it is known, and its number of axes."""
    if isinstance(size, tuple) and all(_is_int(n) for n in size):
        return element_count(map(int, size), here()), len(size)
    import jitgraph.tensor as T

    if isinstance(size, tuple):
        ndim = len(size)
        size = T.stack([as_tensor_variable(n).astype("int64") for n in size])
    return T.prod(size, dtype="int64"), ndim


__all__ = [
    "M1",
    "M2",
    "A1p72",
    "A1p134",
    "A2p72",
    "A2p134",
    "MRG_RandomStreams",
    "ff_2p72",
    "ff_2p134",
    "guess_n_streams",
    "matVecModM",
    "mrg_uniform",
    "multMatVect",
]
