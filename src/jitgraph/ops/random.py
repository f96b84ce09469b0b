"""Drawing random numbers from a NumPy `RandomState`: its type, the distributions and the op.

The stream of `numpy.random.RandomState` is frozen by NumPy's compatibility policy (NEP 19),
so a draw here equals NumPy's bit for bit. A distribution looks at all its parameters before
the first number is drawn: a refused draw leaves the state where it was.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.random import RandomState

from jitgraph import dtypes
from jitgraph.graph import Apply, TensorType, Type, Variable
from jitgraph.op import DISCONNECTED, Gradient, Op, Undefined, describe, here
from jitgraph.ops.elementwise import cast_array
from jitgraph.ops.shape import ShapeI, known_int, shape_entries, shape_vector
from jitgraph.ops.values import as_tensor_variable

Size = tuple[int, ...] | None  # None: the shape follows from the parameters


class RandomStateType(Type):
    """A `numpy.random.RandomState`; any two variables of it have the same type."""

    variable_class: ClassVar[type[Variable]] = Variable

    def make_variable(self, name: str | None = None) -> Variable:
        return self.variable_class(self, name=name)

    def filter(self, value: Any, strict: bool = False, allow_downcast: bool | None = None) -> Any:
        """`value` itself if it is a RandomState, else TypeError."""
        if not isinstance(value, RandomState):
            raise TypeError(
                f"a numpy.random.RandomState is needed, got {type(value).__name__}"
                + (" (use RandomState, not Generator)" if hasattr(value, "integers") else "")
            )
        return value

    def values_eq(self, a: RandomState, b: RandomState) -> bool:
        """Whether both states give the same numbers from here on."""
        left, right = a.get_state(legacy=False), b.get_state(legacy=False)
        if left["bit_generator"] != right["bit_generator"]:
            return False
        gauss = bool(left["has_gauss"]) == bool(right["has_gauss"]) and (
            not left["has_gauss"] or left["gauss"] == right["gauss"]
        )
        return gauss and str(_plain(left["state"])) == str(_plain(right["state"]))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)

    def __hash__(self) -> int:
        return hash(type(self))

    def __str__(self) -> str:
        return "RandomStateType"

    __repr__ = __str__


def _plain(state: dict[str, Any]) -> dict[str, Any]:
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in state.items()}


random_state_type = RandomStateType()


def copy_state(state: RandomState) -> RandomState:
    """A state of its own that continues with the same numbers (`copy.copy` would share it)."""
    values = state.get_state(legacy=False)
    if values["bit_generator"] != "MT19937":
        return copy.deepcopy(state)
    twin = RandomState(0)
    twin.set_state(values)
    return twin


# -- requirements on parameters ---------------------------------------------------------------


def _require(holds: Any, values: np.ndarray, rule: str) -> None:
    """Raise ValueError, showing the first of `values` for which the rule does not hold."""
    if not holds.all():
        wrong = values[~np.broadcast_to(holds, values.shape)]
        raise ValueError(f"{rule}, got {wrong.flat[0]}")


def _whole(values: np.ndarray, name: str) -> np.ndarray:
    """`values` as int64; a fraction or a number beyond 64 bits is a ValueError."""
    if values.dtype.kind == "f":
        fits = (values == np.trunc(values)) & (np.abs(values) < 2.0**63)
        _require(fits, values, f"{name} must hold integers")
    elif values.dtype == np.uint64:
        _require(values < 2**63, values, f"{name} must be below 2**63")
    return values.astype(np.int64)


def _probabilities(values: np.ndarray, name: str) -> None:
    _require((values >= 0) & (values <= 1), values, f"{name} must lie in [0, 1]")


# -- distributions: (state, size, *parameters) -> draw ----------------------------------------


def _uniform(state: RandomState, size: Size, low: np.ndarray, high: np.ndarray) -> Any:
    if low.ndim == high.ndim == 0:
        width = np.asarray(float(high) - float(low))
    else:
        with np.errstate(all="ignore"):
            width = np.subtract(high, low, dtype=np.float64)
    _require(np.isfinite(width), width, "high - low must be finite")
    if size is not None and low.ndim == high.ndim == 0 and low == 0 and high == 1:
        return _unit_interval(state, size)
    return state.uniform(low, high, size)


def _unit_interval(state: RandomState, size: tuple[int, ...]) -> Any:
    """As `state.random_sample(size)`; a large result lies in pooled memory.

    Memory that was in use before takes a third of the time of a draw less than fresh pages.
    """
    from jitgraph.runtime.buffers import SMALLEST, allocate

    if math.prod(size) * 8 < SMALLEST:
        return state.random_sample(size)
    result = allocate(size, np.dtype(np.float64))
    # Both read 53 bits of two words; only a Generator fills a given array.
    np.random.Generator(state._bit_generator).random(out=result)  # type: ignore[attr-defined]
    return result


def _normal(state: RandomState, size: Size, avg: np.ndarray, std: np.ndarray) -> Any:
    _require(std >= 0, std, "std must not be negative")
    return state.normal(avg, std + 0.0, size)  # NumPy refuses the sign of -0.0


def _binomial(state: RandomState, size: Size, n: np.ndarray, p: np.ndarray) -> Any:
    n = _whole(n, "n")
    _require(n >= 0, n, "n must not be negative")
    _probabilities(p, "p")
    return state.binomial(n, p, size)


def _poisson(state: RandomState, size: Size, lam: np.ndarray) -> Any:
    _require(lam >= 0, lam, "lam must not be negative")
    return state.poisson(lam, size)


def _random_integers(state: RandomState, size: Size, low: np.ndarray, high: np.ndarray) -> Any:
    """One bounded integer an element, both bounds included."""
    low, high = _whole(low, "low"), _whole(high, "high")
    _require(high >= low, np.broadcast_arrays(high, low)[0], "high must not be below low")
    # NumPy excludes its upper bound, and 2**63 is beyond int64: Python ints hold it.
    if high.ndim == low.ndim == 0:
        return state.randint(int(low), int(high) + 1, size, dtype=np.int64)
    if (high == np.iinfo(np.int64).max).any():
        return state.randint(low, high.astype(object) + 1, size, dtype=np.int64)
    return state.randint(low, high + 1, size, dtype=np.int64)


def _choice(
    state: RandomState, size: Size, a: np.ndarray, replace: np.ndarray, p: np.ndarray | None = None
) -> Any:
    if a.ndim > 1:
        raise ValueError(f"a must be a number or a vector, got {a.ndim} axes")
    if p is not None:
        if p.ndim != 1:
            raise ValueError(f"p must be a vector, got {p.ndim} axes")
        _probabilities(p, "p")
    population = int(_whole(a, "a")) if a.ndim == 0 else a
    if isinstance(population, int) and population <= 0:
        raise ValueError(f"a must be positive, got {population}")
    return state.choice(population, size, bool(replace), p)


def _permutation(state: RandomState, size: Size, n: np.ndarray) -> Any:
    n = _whole(n, "n")
    _require(n >= 0, n, "n must not be negative")
    shape = size or ()
    result = np.empty((*shape, int(n)), dtype=np.int64)
    for position in np.ndindex(*shape):
        result[position] = state.permutation(int(n))
    return result


def _multinomial(state: RandomState, size: Size, n: np.ndarray, pvals: np.ndarray) -> Any:
    n = _whole(n, "n")
    _require(n >= 0, n, "n must not be negative")
    outcomes = pvals.shape[-1]
    if not outcomes:
        raise ValueError("pvals must hold at least one probability")
    rows = np.array([_multinomial_row(r) for r in pvals.reshape(-1, outcomes)])
    if size is None:
        size = np.broadcast_shapes(n.shape, pvals.shape[:-1])
    counts = np.broadcast_to(n, size)
    weights = np.broadcast_to(rows.reshape(pvals.shape), (*size, outcomes))
    result = np.empty((*size, outcomes), dtype=np.int64)
    for position in np.ndindex(*size):
        result[position] = state.multinomial(int(counts[position]), weights[position])
    return result


def _multinomial_row(row: np.ndarray) -> np.ndarray:
    """The probabilities in float64, pulled below 1 as Theano does it.

    Rounding may leave a sum a little above 1, which NumPy refuses; then, or if the last
    probability is under 5e-5, all are scaled by 1 - 5e-5.
    """
    _probabilities(row, "pvals")
    total = row.sum()
    if 1.0 < total < 1.0 + 1e-5 or row[-1] < 5e-5:
        row = row * (1.0 - 5e-5)
        total = row.sum()
    if not total <= 1.0:
        raise ValueError(f"pvals must not add up to more than 1, got {total}")
    return row.astype(np.float64)


# -- the table ----------------------------------------------------------------------


@dataclass(frozen=True)
class Distribution:
    """How one distribution draws, and how its parameters and draws are shaped.

    `core` gives for each parameter the number of its last axes that belong to one draw; the
    axes before them are stretched against each other, and to the size. None: the parameter
    has no part in the shape. A draw has `added` axes behind those of the size.
    """

    draw: Callable[..., Any]
    core: tuple[int | None, ...]
    optional: int = 0  # how many of the last parameters may be left out
    added: int = 0


def _method(name: str) -> Callable[..., Any]:
    """A method of RandomState as it is; NumPy looks at the parameters before it draws."""

    def draw(state: RandomState, size: Size, *parameters: np.ndarray) -> Any:
        return getattr(state, name)(*parameters, size)

    return draw


DISTRIBUTIONS: dict[str, Distribution] = {
    "uniform": Distribution(_uniform, (0, 0)),
    "normal": Distribution(_normal, (0, 0)),
    "binomial": Distribution(_binomial, (0, 0)),
    "poisson": Distribution(_poisson, (0,)),
    "random_integers": Distribution(_random_integers, (0, 0)),
    "choice": Distribution(_choice, (None, None, None), optional=1),
    "permutation": Distribution(_permutation, (None,), added=1),
    "multinomial": Distribution(_multinomial, (0, 1), added=1),
}
_METHODS = {
    1: "chisquare exponential geometric logseries pareto power rayleigh standard_gamma "
    "standard_t weibull zipf",
    2: "beta f gamma gumbel laplace logistic lognormal negative_binomial noncentral_chisquare "
    "vonmises wald",
    3: "hypergeometric noncentral_f triangular",
    0: "random_sample standard_cauchy standard_exponential standard_normal",
}
for _arity, _names in _METHODS.items():
    for _name in _names.split():
        DISTRIBUTIONS[_name] = Distribution(_method(_name), (0,) * _arity)


# -- the op ----------------------------------------------------------------------


class RandomFunction(Op):
    """A draw: (state, size, *parameters) -> (the state after it, an array of `outtype`).

    `distribution` is a key of DISTRIBUTIONS. An empty size for a draw that has axes leaves the
    shape to the parameters. The given state is not changed: its successor is an output of its
    own, by which the graph says which draw comes first.
    """

    __props__ = ("distribution", "out")
    foldable = False

    def __init__(
        self, distribution: Any, outtype: Any, inplace: bool = False, ndim_added: int | None = None
    ):
        """`outtype`: a TensorType, or (dtype, pattern); `inplace` is left to the runtime."""
        name = getattr(distribution, "__name__", distribution)
        if name not in DISTRIBUTIONS:
            raise ValueError(
                f"unknown distribution {name!r}; known are {', '.join(sorted(DISTRIBUTIONS))}"
                f"{here()}"
            )
        dtype, pattern = (
            (outtype.dtype, outtype.broadcastable) if isinstance(outtype, TensorType) else outtype
        )
        self.distribution: str = name
        self.out = (dtypes.check(dtype), tuple(bool(b) for b in pattern))
        self.rule = DISTRIBUTIONS[name]
        if ndim_added not in (None, self.rule.added) and (ndim_added or self.rule.added):
            raise ValueError(f"{name} adds {self.rule.added} axes, not {ndim_added}{here()}")
        # The number of axes that the size is for.
        self.size_ndim = len(self.out[1]) - self.rule.added
        if self.size_ndim < 0:
            raise ValueError(f"a draw of {name} has at least {self.rule.added} axes{here()}")

    @property
    def dtype(self) -> str:
        return self.out[0]

    @property
    def ndim(self) -> int:
        return len(self.out[1])

    @property
    def name(self) -> str:
        return self.distribution

    def __str__(self) -> str:
        return f"RandomFunction{{{self.distribution}}}"

    def make_node(self, random_state: Any, size: Any = None, *parameters: Any) -> Apply:
        if not isinstance(getattr(random_state, "type", None), RandomStateType):
            raise TypeError(
                f"{self.distribution} draws from a variable that holds a RandomState (such as "
                f"jitgraph.shared(numpy.random.RandomState(1))), got {random_state!r}{here()}"
            )
        most = len(self.rule.core)
        if not most - self.rule.optional <= len(parameters) <= most:
            raise TypeError(
                f"{self.distribution} takes {most} parameters, got {len(parameters)}{here()}"
            )
        vector = shape_vector(() if size is None else size)
        variables = [as_tensor_variable(p) for p in parameters]
        draw = TensorType(*self.out).make_variable()
        return Apply(
            self, [random_state, vector, *variables], [random_state.type.make_variable(), draw]
        )

    # -- meaning --
    def evaluate(self, *arrays: Any) -> tuple[Any, ...]:
        state, *rest = arrays
        successor = copy_state(state)
        return successor, self.draw_in_place(successor, *rest)

    def draw_in_place(self, state: RandomState, *arrays: np.ndarray) -> np.ndarray:
        """The draw for (size, *parameters), advancing `state` itself.

        Raises ValueError, with the state unchanged, for a parameter outside its range and for
        shapes that do not fit.
        """
        size, *parameters = arrays
        try:
            shape = self._shape(size, parameters)
            drawn = np.asarray(self.rule.draw(state, shape, *parameters))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{self.distribution}: {error}") from None
        return cast_array(drawn, self.dtype)

    def _shape(self, size: np.ndarray, parameters: Sequence[np.ndarray]) -> Size:
        """The size to draw with, checked against the declared rank and the parameters."""
        batches = [
            p.shape[: p.ndim - c]
            for p, c in zip(parameters, self.rule.core, strict=False)
            if c is not None
        ]
        if len(size) == 0 and self.size_ndim:
            found = np.broadcast_shapes(*batches)
            if len(found) != self.size_ndim:
                raise ValueError(
                    f"the parameters have {len(found)} axes, but {self.size_ndim} were declared"
                )
            return None
        wanted = tuple(int(n) for n in size)
        if len(wanted) != self.size_ndim:
            raise ValueError(f"size {wanted} has not the declared length {self.size_ndim}")
        if any(n < 0 for n in wanted):
            raise ValueError(f"size {wanted} has a negative length")
        if math.prod(wanted) > sys.maxsize // 8:  # NumPy's errors for it differ, and name nothing
            raise MemoryError(f"{self.distribution}: no room for a draw of the size {wanted}")
        for shape in batches:
            fits = all(n in (1, w) for n, w in zip(shape[::-1], wanted[::-1], strict=False))
            if len(shape) > len(wanted) or not fits:
                raise ValueError(f"a parameter of shape {shape} does not fit the size {wanted}")
        return wanted

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        batch = self._batch_lengths(node, shapes)
        if batch is None:
            return None
        if self.distribution == "permutation":
            n = node.inputs[2]
            known = known_int(n)
            from jitgraph.ops.arithmetic import cast

            batch.append(cast(n, "int64") if known is None else known)
        elif self.distribution == "multinomial":
            batch.append(shapes[3][-1])
        return [(), tuple(batch)]

    def _batch_lengths(self, node: Apply, shapes: Sequence[Any]) -> list[Any] | None:
        """The lengths that the size, or else the parameters, give; None if they do not tell."""
        size, *parameters = node.inputs[1:]
        if self.size_ndim == 0:
            return []
        if not _is_empty(size):
            entries = shape_entries(size, self.size_ndim)
            if entries is None or len(entries) != self.size_ndim:
                return None
            return [e if (k := known_int(e)) is None else k for e in entries]
        lengths: list[Any] = []
        for axis in range(-self.size_ndim, 0):
            givers: list[Any] = []
            for p, core, shape in zip(parameters, self.rule.core, shapes[2:], strict=False):
                at = axis - (core or 0)
                if core is not None and -at <= p.type.ndim and not p.type.broadcastable[at]:
                    givers.append(shape[at])
            if len(givers) > 1:
                return None  # either may be the one of length 1
            lengths.append(givers[0] if givers else 1)
        return lengths

    # -- gradient --
    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        reason = (
            f"a draw from {self.distribution} is not a differentiable function of its parameters; "
            f"write it as a function of a draw with fixed parameters, or pass "
            f"consider_constant=[…] to grad"
        )
        return [DISCONNECTED, DISCONNECTED, *(Undefined(reason) for _ in inputs[2:])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False, False], [False, False]] + [[False, True]] * (len(node.inputs) - 2)


def _is_empty(size: Variable) -> bool:
    return getattr(size, "data", None) is not None and len(size.data) == 0  # type: ignore[attr-defined]


def batch_size(
    ndim: int | None, size: Any, *parameters: tuple[Variable, int]
) -> tuple[Variable, tuple[bool, ...]]:
    """The size vector and the marks of length 1 for a draw.

    `parameters` are the ones that take part in the shape, each with the number of its last
    axes that belong to one draw. An entry -1 of `size` copies the length of that axis.

    Raises TypeError for a size that is no list, tuple or int vector, ValueError for one whose
    length differs from `ndim` or is smaller than the parameters need.
    """
    patterns = [p.type.broadcastable[: p.type.ndim - core] for p, core in parameters]
    needed = max((len(m) for m in patterns), default=0)
    if size is None:
        padded = [(True,) * (needed - len(m)) + m for m in patterns]
        marks = tuple(all(column) for column in zip(*padded, strict=True))
        vector = shape_vector(())
    elif isinstance(size, (tuple, list)):
        vector, marks = _listed_size(size, patterns, [p for p, _ in parameters])
    elif isinstance(size, (Variable, np.ndarray)) and getattr(size, "ndim", 0) == 1:
        vector = shape_vector(size)
        if ndim is None:
            from jitgraph.tensor.basic import get_vector_length

            ndim = get_vector_length(vector)
        marks = (False,) * ndim
    else:
        what = describe(size) if isinstance(size, Variable) else repr(size)
        raise TypeError(f"size must be a tuple, a list or an integer vector, got {what}{here()}")
    if ndim is not None and ndim != len(marks):
        raise ValueError(f"ndim={ndim}, but the size has {len(marks)} entries{here()}")
    if needed > len(marks):
        raise ValueError(
            f"the parameters have {needed} axes, but the size has {len(marks)} entries{here()}"
        )
    return vector, marks


def _listed_size(
    size: Sequence[Any], patterns: Sequence[tuple[bool, ...]], parameters: Sequence[Variable]
) -> tuple[Variable, tuple[bool, ...]]:
    entries: list[Any] = []
    marks: list[bool] = []
    for i, n in enumerate(size):
        if not isinstance(n, (int, np.integer)) or isinstance(n, bool):
            if not isinstance(n, Variable):
                raise TypeError(f"size must hold integers, got {n!r}{here()}")
            entries.append(n)
            marks.append(False)
            continue
        if n < -1:
            raise ValueError(f"size has the negative length {n}{here()}")
        entry = _copied_length(i - len(size), patterns, parameters) if n == -1 else int(n)
        entries.append(np.int64(entry) if isinstance(entry, int) else entry)
        marks.append(isinstance(entry, int) and entry == 1)
    if all(isinstance(e, np.int64) for e in entries):
        return shape_vector([int(e) for e in entries]), tuple(marks)
    return shape_vector(entries), tuple(marks)


def _copied_length(
    axis: int, patterns: Sequence[tuple[bool, ...]], parameters: Sequence[Variable]
) -> Any:
    """The length that -1 stands for, at `axis` counted from the right."""
    overlapping = [(m, p) for m, p in zip(patterns, parameters, strict=True) if len(m) >= -axis]
    if not overlapping:
        raise ValueError(
            f"a size of -1 copies the length of a parameter, but none has this axis{here()}"
        )
    for marks, parameter in overlapping:
        if not marks[axis]:
            return ShapeI(len(marks) + axis)(parameter)
    return 1


__all__ = [
    "DISTRIBUTIONS",
    "Distribution",
    "RandomFunction",
    "RandomStateType",
    "batch_size",
    "copy_state",
    "random_state_type",
]
