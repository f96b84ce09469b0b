"""Draws of NumPy's `RandomState` from a state that is an array, for loops in C.

The array is uint32[628]: the 624 words of the key, the position, whether a normal waits (0 or 1),
and the two halves of that normal in memory order. `array_draw` writes an application of
`RandomFunction` with such a state; csrc/jg_mt19937.h draws the same numbers as NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import RandomState

from jitgraph import dtypes
from jitgraph.graph import Apply, Constant, TensorType, Variable
from jitgraph.op import DISCONNECTED, Gradient, Op, Undefined, describe, here
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.random import DISTRIBUTIONS, RandomFunction, RandomStateType, random_state_type
from jitgraph.ops.shape import Alloc, ShapeI, known_int, shape_entries, shape_vector
from jitgraph.ops.values import as_tensor_variable, constant

KEY_WORDS = 624
STATE_WORDS = 628


def array_of_state(state: RandomState) -> np.ndarray:
    """The state as uint32[628]; ValueError for a generator other than MT19937."""
    values = state.get_state(legacy=False)
    if values["bit_generator"] != "MT19937":
        raise ValueError(f"the state is one of {values['bit_generator']}, not MT19937")
    array = np.empty(STATE_WORDS, dtype=np.uint32)
    array[:KEY_WORDS] = values["state"]["key"]
    array[KEY_WORDS] = values["state"]["pos"]
    array[KEY_WORDS + 1] = values["has_gauss"]
    array[KEY_WORDS + 2 :] = np.array([values["gauss"]], dtype=np.float64).view(np.uint32)
    return array


def state_of_array(array: np.ndarray) -> RandomState:
    """The RandomState that `array_of_state` made `array` of; ValueError for another array."""
    if array.shape != (STATE_WORDS,) or array[KEY_WORDS] > KEY_WORDS:
        raise ValueError(f"a state is an array of {STATE_WORDS} words, got {array.shape}")
    state = RandomState(0)
    gauss = float(np.ascontiguousarray(array[KEY_WORDS + 2 :]).view(np.float64)[0])
    inner = {"key": array[:KEY_WORDS], "pos": int(array[KEY_WORDS])}
    state.set_state(
        {
            "bit_generator": "MT19937",
            "state": inner,
            "has_gauss": int(array[KEY_WORDS + 1] != 0),
            "gauss": gauss,
        }
    )
    return state


_ARRAY = TensorType("uint32", (False,))


class StateToArray(Op):
    """A RandomState as uint32[628]."""

    foldable = False

    def make_node(self, state: Any) -> Apply:
        if not isinstance(getattr(state, "type", None), RandomStateType):
            raise TypeError(f"a variable that holds a RandomState is needed, got {state!r}{here()}")
        return Apply(self, [state], [_ARRAY.make_variable()])

    def evaluate(self, *arrays: Any) -> tuple[Any, ...]:
        return (array_of_state(arrays[0]),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [(STATE_WORDS,)]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False]]


class ArrayToState(Op):
    """uint32[628] as a RandomState."""

    foldable = False

    def make_node(self, array: Any) -> Apply:
        array = _state_array(array)
        return Apply(self, [array], [random_state_type.make_variable()])

    def evaluate(self, *arrays: Any) -> tuple[Any, ...]:
        return (state_of_array(arrays[0]),)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [()]

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        return [DISCONNECTED]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False]]


def _state_array(array: Any) -> Any:
    array = as_tensor_variable(array)
    if array.type.dtype != "uint32" or array.type.ndim != 1:
        raise TypeError(f"a state is a uint32 vector, got {describe(array)}{here()}")
    return array


@dataclass(frozen=True)
class _Routine:
    """How one distribution is drawn in C.

    `parameters`: the dtype of each; a draw has `out` dtype. `call`: the arguments between those
    of the state before and after. `refusal`: what is wrong where C refuses a parameter.
    `distribution`: that of which it is a form, if it has another name.
    """

    name: str
    parameters: tuple[str, ...]
    out: str
    call: str
    refusal: str
    distribution: str = ""


_TWO = "{x2}, {n:x2}, {x3}, {n:x3}"
_WEIGHTS = "{x2}, {n:x2}, {x3}"
_ROUTINES = {
    "uniform": _Routine(
        "uniform", ("float64", "float64"), "float64", _TWO, "high - low must be finite"
    ),
    "normal": _Routine(
        "normal", ("float64", "float64"), "float64", _TWO, "std must not be negative"
    ),
    "binomial": _Routine(
        "binomial",
        ("int64", "float64"),
        "int64",
        _TWO,
        "n must not be negative and p must lie in [0, 1]",
    ),
    "poisson": _Routine(
        "poisson",
        ("float64",),
        "int64",
        "{x2}, {n:x2}",
        "lam must not be negative, nor too large for counts below 2**63",
    ),
    "random_integers": _Routine(
        "integers", ("int64", "int64"), "int64", _TWO, "high must not be below low"
    ),
    # Of the positions in a vector of weights, whose sum is 1 but for a tolerance: choice(a, p=p)
    # is a[position].
    "choice": _Routine(
        "weighted",
        ("float64", "float64"),
        "int64",
        _WEIGHTS,
        "p must be probabilities that sum to 1",
    ),
    "choice without replacement": _Routine(
        "distinct",
        ("float64", "float64"),
        "int64",
        _WEIGHTS,
        "p must be probabilities that sum to 1, no fewer of them above 0 than are drawn",
        "choice",
    ),
    "permutation": _Routine(
        "permutation", ("int64",), "int64", "{d:z1:LAST}", "n must not be negative"
    ),
    "multinomial": _Routine(
        "multinomial",
        ("int64", "float64"),
        "int64",
        "{x2}, {n:x2}, {x3}, {n:x3}, {d:z1:LAST}",
        "n must not be negative and pvals must be probabilities that add up to at most 1",
    ),
}


# By how much a sum of probabilities may differ from 1, by their dtype: sqrt(eps), as in NumPy.
_TOLERANCES = {dtype: float(np.sqrt(np.finfo(dtype).eps)) for dtype in ("float64", "float32")}


class MersenneDraw(Op):
    """(state uint32[628], size, *parameters) -> (the state after the draw, the draw).

    A draw has `ndim` axes, those of the size and those that the distribution adds. Parameters
    have the dtypes of the table above, and are 0-d or have the shape of the size (multinomial:
    pvals with one more axis, or a vector; choice: p, a vector, and by how much its sum may differ
    from 1, 0-d; permutation: n, 0-d).
    """

    __props__ = ("distribution", "ndim")
    foldable = False
    size_input = None

    def __init__(self, distribution: str, ndim: int):
        if distribution not in _ROUTINES:
            raise ValueError(f"{distribution} has no draw from an array{here()}")
        self.distribution, self.ndim = distribution, ndim
        self.routine = _ROUTINES[distribution]
        self.rule = DISTRIBUTIONS[self.name]
        self.size_ndim = ndim - self.rule.added

    @property
    def name(self) -> str:
        return self.routine.distribution or self.distribution

    def __str__(self) -> str:
        return f"MersenneDraw{{{self.distribution}}}"

    @property
    def c_routine_checks(self) -> str:
        return self.routine.refusal

    def make_node(self, state: Any, size: Any, *parameters: Any) -> Apply:
        state, vector = _state_array(state), shape_vector(size)
        variables = [as_tensor_variable(p) for p in parameters]
        found = tuple(v.type.dtype for v in variables)
        if found != self.routine.parameters:
            raise TypeError(
                f"{self.distribution} draws with parameters of {self.routine.parameters}, "
                f"got {found}{here()}"
            )
        draw = TensorType(self.routine.out, (False,) * self.ndim).make_variable()
        return Apply(self, [state, vector, *variables], [_ARRAY.make_variable(), draw])

    def evaluate(self, *arrays: Any) -> tuple[Any, ...]:
        array, size, *parameters = arrays
        state = state_of_array(array)
        shape = tuple(int(n) for n in size)
        if self.name == "choice":
            p, tolerance = parameters
            if tolerance > _TOLERANCES["float64"]:
                p = p.astype(np.float32)  # as it was: that is what NumPy goes by
            parameters = [np.asarray(len(p)), np.asarray(self.distribution == "choice"), p]
        try:
            drawn = self.rule.draw(state, shape, *parameters)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{self.name}: {error}") from None
        return array_of_state(state), np.asarray(drawn, dtype=self.routine.out)

    def infer_shape(self, node: Apply, shapes: Sequence[Any]) -> list[tuple[Any, ...]] | None:
        entries = shape_entries(node.inputs[1], self.size_ndim)
        if entries is None or len(entries) != self.size_ndim:
            return None
        lengths = [e if (k := known_int(e)) is None else k for e in entries]
        if self.distribution == "permutation":
            n = node.inputs[2]
            known = known_int(n)
            lengths.append(n if known is None else known)
        elif self.distribution == "multinomial":
            lengths.append(shapes[3][-1])
        return [(STATE_WORDS,), tuple(lengths)]

    def c_routine(self, node: Apply) -> tuple[str, str]:
        between = self.routine.call.replace("LAST", str(self.ndim - 1))
        return "jg_mt19937.h", (
            f"jg_mt_draw_{self.routine.name}({{x0}}, {{d:x0:0}}, {between}, "
            "{z0}, {z1}, {n:z1})"
        )

    def grad(
        self, inputs: Sequence[Variable], outputs: Sequence[Variable], grads: Sequence[Gradient]
    ) -> list[Gradient]:
        reason = f"a draw from {self.distribution} is not a differentiable function"
        return [DISCONNECTED, DISCONNECTED, *(Undefined(reason) for _ in inputs[2:])]

    def connection_pattern(self, node: Apply) -> list[list[bool]]:
        return [[False, False], [False, False]] + [[False, True]] * (len(node.inputs) - 2)


# -- from RandomFunction ---------------------------------------------------------------


def array_draw(
    op: RandomFunction,
    state: Variable,
    size: Variable,
    *parameters: Variable,
    origins: Sequence[tuple[str, int]] = (),
) -> tuple[Variable, Variable] | None:
    """(the state after it, the draw) of `op(state, size, *parameters)` with a state array.

    `origins`: the user's lines that errors of the draw shall name.

    None for an application that has no array form: another distribution, integers given as
    floats.
    """
    if op.distribution not in _ROUTINES:
        return None
    given = _given(op, list(parameters))
    if given is None:
        return None
    lengths = _lengths(op, size, parameters)
    if lengths is None:
        return None
    if op.distribution == "choice":
        after, drawn = _choice(op, state, lengths, *parameters)
    else:
        stretched = [
            _stretched(p, lengths, core) for p, core in zip(given, op.rule.core, strict=True)
        ]
        drawing = MersenneDraw(op.distribution, op.ndim)
        after, drawn = drawing(state, shape_vector(lengths), *stretched)
    from jitgraph.ops.shape import restrict_pattern

    if origins:
        after.owner.origins = tuple(origins)
    return after, restrict_pattern(cast(drawn, op.dtype), op.out[1])


def _given(op: RandomFunction, parameters: list[Any]) -> list[Any] | None:
    """The parameters in the dtypes of the routine; None where one would have to be checked."""
    if op.distribution == "choice":
        a, replace, *_ = parameters
        exact = a.type.dtype in dtypes.INTEGERS and a.type.dtype != "uint64"
        known = isinstance(replace, Constant)
        return parameters if known and (exact or a.type.ndim) else None
    result = []
    for p, dtype in zip(parameters, _ROUTINES[op.distribution].parameters, strict=True):
        inexact = p.type.dtype in dtypes.FLOATS or p.type.dtype == "uint64"
        if dtype == "int64" and inexact:
            return None
        if op.distribution == "multinomial" and p.type.dtype == "float32":
            return None  # the rows are scaled in their own dtype
        result.append(cast(p, dtype))
    return result


def _lengths(op: RandomFunction, size: Variable, parameters: Sequence[Any]) -> list[Any] | None:
    """The lengths of the axes that the size is for."""
    if op.size_ndim == 0:
        return []
    entries = shape_entries(size, op.size_ndim)
    if isinstance(size, Constant) and len(size.data) == 0:
        total: Any = None
        for p, core in zip(parameters, op.rule.core, strict=False):
            if core is None:
                continue
            batch = p
            for _ in range(core):
                batch = batch[..., 0]
            total = batch if total is None else total + batch
        return [ShapeI(k)(total) for k in range(op.size_ndim)]
    if entries is None or len(entries) != op.size_ndim:
        return None
    return [cast(e, "int64") for e in entries]


def _stretched(p: Any, lengths: Sequence[Any], core: int | None) -> Any:
    """`p` as it is if it belongs to every draw, else stretched to the shape of the size."""
    if core is None or p.type.ndim == core:
        return p
    own = [ShapeI(p.type.ndim - core + k)(p) for k in range(core)]
    return Alloc()(p, *lengths, *own)


def _choice(
    op: RandomFunction, state: Any, lengths: Sequence[Any], a: Any, replace: Any, *weights: Any
) -> tuple[Any, Any]:
    size = shape_vector(list(lengths))
    count = ShapeI(0)(a) if a.type.ndim else cast(a, "int64")
    if weights:
        tolerance = _TOLERANCES.get(weights[0].type.dtype, _TOLERANCES["float64"])
        p = cast(weights[0], "float64")
        from jitgraph.ops.extra import Assert

        same = Assert("choice: a and p must have the same size")
        form = "choice" if replace.data else "choice without replacement"
        after, index = MersenneDraw(form, op.ndim)(
            state, size, same(p, _eq(p, count)), constant(np.float64(tolerance))
        )
    elif bool(replace.data):
        low, high = constant(np.int64(0)), count - constant(np.int64(1))
        after, index = MersenneDraw("random_integers", op.ndim)(state, size, low, high)
    else:
        after, order = MersenneDraw("permutation", 1)(state, shape_vector(()), count)
        total: Any = constant(np.int64(1))
        for n in lengths:
            total = total * n
        index = order[:total].reshape(size, ndim=op.ndim)
    return after, a[index] if a.type.ndim else index


def _eq(p: Any, count: Any) -> Any:
    from jitgraph.ops.arithmetic import eq

    return eq(ShapeI(0)(p), count)


__all__ = [
    "ArrayToState",
    "MersenneDraw",
    "StateToArray",
    "array_draw",
    "array_of_state",
    "state_of_array",
]
