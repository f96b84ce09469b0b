"""Making, joining and reshaping tensors; casting and rounding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jitgraph import dtypes
from jitgraph.errors import (
    AsTensorError,
    EmptyConstantError,  # noqa: F401 - programs import it from here
    NotScalarConstantError,
    ShapeError,  # noqa: F401
)
from jitgraph.graph import Constant, Variable
from jitgraph.op import describe, here
from jitgraph.ops import arithmetic as ar
from jitgraph.ops.arithmetic import cast
from jitgraph.ops.elementwise import FILL
from jitgraph.ops.fold import fold_scalar
from jitgraph.ops.join import concatenate, join, stack
from jitgraph.ops.linalg import outer, tensordot
from jitgraph.ops.shape import (
    Alloc,
    ARange,
    Eye,
    MakeVector,
    Reshape,
    Shape,
    ShapeI,
    SpecifyShape,
    dimshuffle,
    known_int,
    restrict_pattern,
    shape_entries,
    shape_vector,
)
from jitgraph.ops.values import as_tensor_variable, scalar_value
from jitgraph.ops.values import constant as new_constant

__all__ = [
    "addbroadcast",
    "allclose",
    "alloc",
    "arange",
    "as_tensor",
    "as_tensor_variable",
    "cast",
    "ceil_intdiv",
    "concatenate",
    "constant",
    "divmod",
    "extract_constant",
    "eye",
    "flatten",
    "get_scalar_constant_value",
    "get_vector_length",
    "identity_like",
    "iround",
    "isclose",
    "join",
    "largest",
    "ones",
    "ones_like",
    "outer",
    "patternbroadcast",
    "reshape",
    "round",
    "shape",
    "shape_padaxis",
    "shape_padleft",
    "shape_padright",
    "smallest",
    "specify_shape",
    "squeeze",
    "stack",
    "swapaxes",
    "tensordot",
    "transpose",
    "unbroadcast",
    "zeros",
    "zeros_like",
]

as_tensor = as_tensor_variable

# The numbers that `constant` has made, by dtype and bytes.
_numbers: dict[tuple[str, bytes], Constant] = {}


def constant(
    x: Any, name: str | None = None, ndim: int | None = None, dtype: Any = None
) -> Constant:
    """A constant variable holding `x`; axes of length 1 are broadcastable.

    Python numbers take the dtype that `dtypes.autocast` gives them, arrays keep theirs.
    `ndim` adds axes of length 1 on the left. Numbers up to 10 in magnitude are the same variable
    at every call, unless a name or something in its tag has been given to that one since.

    Raises TypeError for values that are no numbers, ValueError for an impossible `ndim`.
    """
    made = new_constant(x, name, ndim, dtype)
    if name is not None or made.type.ndim or made.type.dtype == "bool":
        return made
    if not -10 <= made.data <= 10:
        return made
    key = (made.type.dtype, made.data.tobytes())
    kept = _numbers.get(key)
    if kept is None or kept.name is not None or kept.tag.__dict__:
        kept = _numbers[key] = made
    return kept


# -- shape ---------------------------------------------------------------------------------


def shape(x: Any) -> Variable:
    """The lengths of all axes of x, as an int64 vector."""
    return Shape()(x)


def reshape(x: Any, newshape: Any, ndim: int | None = None) -> Variable:
    """The elements of x in C order under `newshape`; one entry may be -1.

    `newshape`: ints and integer scalars, or an integer vector (then `ndim` says its length,
    unless that is known). Raises ValueError if the length is unknown, and at run time if the
    sizes differ.
    """
    x = as_tensor_variable(x)
    if isinstance(newshape, Variable) and newshape.type.ndim == 0:
        raise AsTensorError(f"reshape takes a list of lengths, got {describe(newshape)}{here()}")
    if isinstance(newshape, (int, np.integer)) and not isinstance(newshape, bool):
        if ndim is not None and not isinstance(ndim, (int, np.integer)):
            raise AsTensorError(f"reshape takes its lengths as one list or tuple{here()}")
        raise AsTensorError(
            f"reshape takes its lengths as one list or tuple, got {newshape!r}{here()}"
        )
    vector = shape_vector(newshape)
    if ndim is None:
        try:
            ndim = get_vector_length(vector)
        except ValueError:
            raise ValueError(
                f"reshape: the length of the new shape {describe(vector)} is not known; pass ndim=…"
                f"{here()}"
            ) from None
    return Reshape(ndim)(x, vector)


def flatten(x: Any, ndim: int = 1, outdim: int | None = None) -> Variable:
    """The first ndim - 1 axes of x, and all others collapsed into one.

    Raises ValueError unless 1 <= ndim <= the number of axes (a scalar becomes a vector).
    """
    x = as_tensor_variable(x)
    ndim = ndim if outdim is None else outdim
    if ndim < 1 or (ndim > x.type.ndim and x.type.ndim > 0):
        raise ValueError(f"flatten: ndim={ndim} for {describe(x)}{here()}")
    if ndim == x.type.ndim:
        return x
    lengths = [ShapeI(i)(x) for i in range(ndim - 1)]
    marks = [*x.type.broadcastable[: ndim - 1], all(x.type.broadcastable[ndim - 1 :])]
    flat = Reshape(ndim)(x, shape_vector([*lengths, -1]))
    return restrict_pattern(flat, marks)


def transpose(x: Any, axes: Sequence[int] | None = None) -> Variable:
    """The axes of x reversed, or in the order given."""
    x = as_tensor_variable(x)
    order = (
        list(reversed(range(x.type.ndim))) if axes is None else [int(a) % x.type.ndim for a in axes]
    )
    result = dimshuffle(x, order)
    if axes is None and x.name and x.type.ndim > 1:
        result.name = f"{x.name}.T"
    return result


def swapaxes(x: Any, axis1: int, axis2: int) -> Variable:
    x = as_tensor_variable(x)
    ndim = x.type.ndim
    for axis in (axis1, axis2):
        if not -ndim <= axis < ndim:
            raise ValueError(f"swapaxes: {describe(x)} has no axis {axis}{here()}")
    order = list(range(ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return dimshuffle(x, order)


def squeeze(x: Any) -> Variable:
    """x without the axes whose length is fixed to 1."""
    x = as_tensor_variable(x)
    return dimshuffle(x, [i for i, b in enumerate(x.type.broadcastable) if not b])


def shape_padleft(t: Any, n_ones: int = 1) -> Variable:
    t = as_tensor_variable(t)
    return dimshuffle(t, ["x"] * n_ones + list(range(t.type.ndim)))


def shape_padright(t: Any, n_ones: int = 1) -> Variable:
    t = as_tensor_variable(t)
    return dimshuffle(t, list(range(t.type.ndim)) + ["x"] * n_ones)


def shape_padaxis(t: Any, axis: int) -> Variable:
    """A broadcastable axis inserted at `axis`; IndexError if there is no such place."""
    t = as_tensor_variable(t)
    ndim = t.type.ndim + 1
    if not -ndim <= axis < ndim:
        raise IndexError(f"axis {axis} is out of range [-{ndim}, {ndim}){here()}")
    order: list[Any] = list(range(t.type.ndim))
    order.insert(axis % ndim, "x")
    return dimshuffle(t, order)


def _remark(x: Any, axes: Sequence[int], mark: bool) -> Variable:
    x = as_tensor_variable(x)
    marks = list(x.type.broadcastable)
    for a in axes:
        if a >= len(marks):
            raise ValueError(f"{describe(x)} has no axis {a}{here()}")
        marks[a] = mark
    return restrict_pattern(x, marks)


def addbroadcast(x: Any, *axes: int) -> Variable:
    """Mark `axes` of x as length 1; checked when the function runs."""
    return _remark(x, axes, True)


def unbroadcast(x: Any, *axes: int) -> Variable:
    """Remove the length-1 mark of `axes`."""
    return _remark(x, axes, False)


def patternbroadcast(x: Any, broadcastable: Sequence[bool]) -> Variable:
    """x with exactly these marks."""
    return restrict_pattern(as_tensor_variable(x), broadcastable)


def specify_shape(x: Any, shape: Any) -> Variable:
    """x itself, checked to have `shape` when the function runs (AssertionError)."""
    return SpecifyShape()(x, shape)


# -- creation ------------------------------------------------------------------------------


def _shape_list(shape: Any) -> list[Any]:
    if isinstance(shape, np.ndarray):
        raise TypeError(f"a shape is a list, tuple or integer vector, got an ndarray{here()}")
    if isinstance(shape, Variable):
        if shape.type.ndim == 0:
            raise TypeError(
                f"a shape cannot be the scalar {describe(shape)}; wrap it in a list{here()}"
            )
        entries = shape_entries(shape, get_vector_length(shape))
        assert entries is not None
        return entries
    return list(shape) if isinstance(shape, (list, tuple)) else [shape]


def alloc(value: Any, *shape: Any) -> Variable:
    """`value` stretched to `shape` (ints or integer scalars). Raises ValueError if it cannot be."""
    return Alloc()(value, *shape)


def zeros(shape: Any, dtype: Any = None) -> Variable:
    """An array of zeros; dtype None is floatX."""
    return alloc(np.zeros((), dtype=dtypes.check(dtype or "floatX")), *_shape_list(shape))


def ones(shape: Any, dtype: Any = None) -> Variable:
    """An array of ones; dtype None is floatX."""
    return alloc(np.ones((), dtype=dtypes.check(dtype or "floatX")), *_shape_list(shape))


def zeros_like(model: Any, dtype: Any = None, opt: bool = False) -> Variable:
    model = as_tensor_variable(model)
    return FILL(model, np.zeros((), dtype=dtypes.check(dtype or model.type.dtype)))


def ones_like(model: Any, dtype: Any = None, opt: bool = False) -> Variable:
    model = as_tensor_variable(model)
    return FILL(model, np.ones((), dtype=dtypes.check(dtype or model.type.dtype)))


def eye(n: Any, m: Any = None, k: Any = 0, dtype: Any = None) -> Variable:
    """Ones on diagonal k of an n × m matrix (m None: n); dtype None is floatX."""
    return Eye(dtypes.check(dtype or "floatX"))(n, n if m is None else m, k)


def identity_like(x: Any) -> Variable:
    x = as_tensor_variable(x)
    return eye(ShapeI(0)(x), ShapeI(1)(x), dtype=x.type.dtype)


def arange(start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Variable:
    """start, start + step, … below stop. Integers give int64; float numbers follow autocast."""
    if stop is None:
        start, stop = 0, start
    parts = [as_tensor_variable(v) for v in (start, stop, step)]
    if dtype is None:
        dtype = dtypes.upcast(*(p.type.dtype for p in parts))
        if dtype in dtypes.SIGNED or dtype in ("bool", "uint8", "uint16", "uint32"):
            dtype = "int64"
    return ARange(dtypes.check(dtype))(*parts)


# -- values --------------------------------------------------------------------------------


def get_scalar_constant_value(v: Any) -> Any:
    """The number `v` is known to hold; NotScalarConstantError if it is not known."""
    return scalar_value(v)


def extract_constant(x: Any) -> Any:
    """The number `x` is known to hold, else `x` itself."""
    try:
        return scalar_value(x)
    except NotScalarConstantError:
        return x


def get_vector_length(v: Any) -> int:
    """The length of a vector where it is known; ValueError where it is not."""
    v = as_tensor_variable(v)
    if v.type.ndim != 1:
        raise TypeError(f"a vector is needed, got {describe(v)}{here()}")
    if v.type.broadcastable[0]:
        return 1
    if isinstance(v, Constant):
        return len(v.data)
    if v.owner is not None:
        op, inputs = v.owner.op, v.owner.inputs
        if isinstance(op, MakeVector):
            return len(inputs)
        if isinstance(op, Shape):
            return inputs[0].type.ndim
        lengths = op.infer_shape(v.owner, [_static_lengths(i) for i in inputs])
        n = known_int(lengths[v.index or 0][0]) if lengths else None
        if n is None and lengths:
            folded = lengths[v.index or 0][0]
            n = None if folded is None else fold_scalar(folded)
        if n is not None:
            return int(n)
    raise ValueError(f"the length of {describe(v)} is not known{here()}")


def _static_lengths(v: Variable) -> tuple[Any, ...]:
    if isinstance(v, Constant):
        return tuple(v.data.shape)
    if v.type.ndim == 1:
        try:
            return (get_vector_length(v),)
        except ValueError:
            pass
    return tuple(1 if b else ShapeI(i)(v) for i, b in enumerate(v.type.broadcastable))


# -- elementwise compositions --------------------------------------------------------------


def round(x: Any, mode: str | None = None) -> Variable:
    """The nearest integers of a float array, halves to even, or mode='half_away_from_zero'."""
    if mode in (None, "half_to_even"):
        return ar.round_half_to_even(x)
    if mode == "half_away_from_zero":
        return ar.round_half_away_from_zero(x)
    raise Exception(f'round mode "{mode}" is not implemented.')


def iround(x: Any, mode: str | None = None) -> Variable:
    """`round` as int64."""
    return cast(round(x, mode), "int64")


def ceil_intdiv(a: Any, b: Any) -> Variable:
    """The quotient of two integers rounded upwards."""
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    quotient = ar.int_div(a, b)
    return quotient + cast(ar.neq(ar.mod(a, b), 0), quotient.type.dtype)


def divmod(x: Any, y: Any) -> tuple[Variable, Variable]:
    """(x // y, x % y)."""
    return ar.int_div(x, y), ar.mod(x, y)


def largest(*args: Any) -> Variable:
    """The elementwise maximum of all arguments."""
    result = as_tensor_variable(args[0])
    for other in args[1:]:
        result = ar.maximum(result, other)
    return result


def smallest(*args: Any) -> Variable:
    """The elementwise minimum of all arguments."""
    result = as_tensor_variable(args[0])
    for other in args[1:]:
        result = ar.minimum(result, other)
    return result


def isclose(
    a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Variable:
    """Whether |a - b| <= atol + rtol |b|; infinities are close to themselves."""
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    near = ar.abs_(a - b) <= atol + rtol * ar.abs_(b)
    finite = ar.invert(ar.isinf(a) | ar.isinf(b) | ar.isnan(a) | ar.isnan(b))
    result = (finite & near) | ((ar.isinf(a) | ar.isinf(b)) & ar.eq(a, b))
    return result | (ar.isnan(a) & ar.isnan(b)) if equal_nan else result


def allclose(
    a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Variable:
    """Whether all elements are close: a 0-d bool."""
    from jitgraph.ops.reduce import reduce_of

    return reduce_of("all", isclose(a, b, rtol, atol, equal_nan))


def conj(x: Any) -> Variable:
    """The complex conjugate: of a real array, itself (bool becomes int8)."""
    x = as_tensor_variable(x)
    return cast(x, "int8") if x.type.dtype == "bool" else x
