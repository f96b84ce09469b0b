"""Tensor variables as programs see them: operators, methods, and the refusals that help."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from jitgraph.graph import Constant, SharedVariable, TensorType, Variable
from jitgraph.op import describe, here
from jitgraph.ops import arithmetic as ar
from jitgraph.ops import math as m
from jitgraph.ops.index import take_index
from jitgraph.ops.linalg import dot
from jitgraph.ops.shape import Shape, dimshuffle
from jitgraph.tensor import basic, reductions

# NumPy's ufuncs and functions that become nodes when a symbolic operand appears among theirs.
UFUNCS: dict[Any, Any] = {
    np.add: ar.add,
    np.subtract: ar.sub,
    np.multiply: ar.mul,
    np.true_divide: ar.true_div,
    np.floor_divide: ar.int_div,
    np.remainder: ar.mod,
    np.power: ar.power,
    np.negative: ar.neg,
    np.absolute: ar.abs_,
    np.sign: ar.sgn,
    np.square: ar.sqr,
    np.reciprocal: ar.inv,
    np.maximum: ar.maximum,
    np.minimum: ar.minimum,
    np.ceil: ar.ceil,
    np.floor: ar.floor,
    np.trunc: ar.trunc,
    np.rint: ar.round_half_to_even,
    np.less: ar.lt,
    np.less_equal: ar.le,
    np.greater: ar.gt,
    np.greater_equal: ar.ge,
    np.equal: ar.eq,
    np.not_equal: ar.neq,
    np.isnan: ar.isnan,
    np.isinf: ar.isinf,
    np.bitwise_and: ar.and_,
    np.bitwise_or: ar.or_,
    np.bitwise_xor: ar.xor,
    np.invert: ar.invert,
    np.deg2rad: ar.deg2rad,
    np.rad2deg: ar.rad2deg,
    np.exp: m.exp,
    np.exp2: m.exp2,
    np.expm1: m.expm1,
    np.log: m.log,
    np.log2: m.log2,
    np.log10: m.log10,
    np.log1p: m.log1p,
    np.sqrt: m.sqrt,
    np.cbrt: m.cbrt,
    np.sin: m.sin,
    np.cos: m.cos,
    np.tan: m.tan,
    np.arcsin: m.arcsin,
    np.arccos: m.arccos,
    np.arctan: m.arctan,
    np.arctan2: m.arctan2,
    np.sinh: m.sinh,
    np.cosh: m.cosh,
    np.tanh: m.tanh,
    np.arcsinh: m.arcsinh,
    np.arccosh: m.arccosh,
    np.arctanh: m.arctanh,
    np.logaddexp: m.logaddexp,
    np.matmul: dot,
}
FUNCTIONS: dict[Any, Any] = {
    np.dot: dot,
    np.where: ar.switch,
    np.clip: ar.clip,
    np.concatenate: basic.concatenate,
    np.stack: basic.stack,
    np.sum: reductions.sum,
    np.prod: reductions.prod,
    np.mean: reductions.mean,
    np.var: reductions.var,
    np.std: reductions.std,
    np.max: reductions.max,
    np.min: reductions.min,
    np.argmax: reductions.argmax,
    np.argmin: reductions.argmin,
    np.any: reductions.any,
    np.all: reductions.all,
    np.transpose: basic.transpose,
    np.zeros_like: basic.zeros_like,
    np.ones_like: basic.ones_like,
}


class TensorVariable(Variable):
    """A symbolic array. Operators and methods build new nodes; nothing is computed."""

    __array_priority__ = 1000
    __hash__ = object.__hash__

    # -- attributes --
    @property
    def dtype(self) -> str:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return self.type.ndim

    @property
    def broadcastable(self) -> tuple[bool, ...]:
        return self.type.broadcastable

    @property
    def shape(self) -> Any:
        """The lengths of all axes: an int64 vector."""
        return Shape()(self)

    @property
    def size(self) -> Any:
        """The number of elements: an int64 scalar."""
        total: Any = np.int64(1)
        for i in range(self.ndim):
            total = self.shape[i] if i == 0 else total * self.shape[i]
        return basic.constant(total) if not isinstance(total, Variable) else total

    @property
    def T(self) -> Any:
        return basic.transpose(self)

    @property
    def real(self) -> Any:
        return self

    @property
    def imag(self) -> Any:
        return basic.zeros_like(self)

    # -- arithmetic --
    def __add__(self, other: Any) -> Any:
        return _binary(ar.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return _binary(ar.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return _binary(ar.sub, self, other)

    def __rsub__(self, other: Any) -> Any:
        return _binary(ar.sub, other, self)

    def __mul__(self, other: Any) -> Any:
        return _binary(ar.mul, self, other)

    def __rmul__(self, other: Any) -> Any:
        return _binary(ar.mul, other, self)

    def __truediv__(self, other: Any) -> Any:
        return _binary(ar.true_div, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return _binary(ar.true_div, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return _binary(ar.int_div, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _binary(ar.int_div, other, self)

    def __mod__(self, other: Any) -> Any:
        return _binary(ar.mod, self, other)

    def __rmod__(self, other: Any) -> Any:
        return _binary(ar.mod, other, self)

    def __divmod__(self, other: Any) -> Any:
        return ar.int_div(self, other), ar.mod(self, other)

    def __rdivmod__(self, other: Any) -> Any:
        return ar.int_div(other, self), ar.mod(other, self)

    def __pow__(self, other: Any) -> Any:
        return _binary(ar.power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return _binary(ar.power, other, self)

    def __neg__(self) -> Any:
        return ar.neg(self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return ar.abs_(self)

    def __matmul__(self, other: Any) -> Any:
        return _binary(dot, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return _binary(dot, other, self)

    def __and__(self, other: Any) -> Any:
        return _binary(ar.and_, self, other)

    def __rand__(self, other: Any) -> Any:
        return _binary(ar.and_, other, self)

    def __or__(self, other: Any) -> Any:
        return _binary(ar.or_, self, other)

    def __ror__(self, other: Any) -> Any:
        return _binary(ar.or_, other, self)

    def __xor__(self, other: Any) -> Any:
        return _binary(ar.xor, self, other)

    def __rxor__(self, other: Any) -> Any:
        return _binary(ar.xor, other, self)

    def __invert__(self) -> Any:
        return ar.invert(self)

    # -- comparison; == and != stay Python identity (use T.eq, T.neq) --
    def __lt__(self, other: Any) -> Any:
        return _comparison(ar.lt, self, other)

    def __le__(self, other: Any) -> Any:
        return _comparison(ar.le, self, other)

    def __gt__(self, other: Any) -> Any:
        return _comparison(ar.gt, self, other)

    def __ge__(self, other: Any) -> Any:
        return _comparison(ar.ge, self, other)

    # -- indexing and iteration --
    def __getitem__(self, key: Any) -> Any:
        return take_index(self, key)

    def __iter__(self) -> Any:
        from jitgraph.tensor.basic import get_vector_length

        try:
            n = get_vector_length(self)
        except (ValueError, TypeError):
            raise TypeError(
                f"cannot iterate over {describe(self)}: its length is not known before the "
                f"function runs; use jitgraph.scan, or index it{here()}"
            ) from None
        return (self[i] for i in range(n))

    # -- refusals --
    def __bool__(self) -> bool:
        if getattr(self.tag, "is_comparison", False):
            raise TypeError(
                f"Variables do not support boolean operations. This one comes from a comparison: "
                f"use T.switch(condition, a, b) to choose, or & | ~ to combine{here()}"
            )
        raise TypeError(
            f"the truth of {describe(self)} is not known before the function runs: use T.switch "
            f"or jitgraph.ifelse to choose, T.neq(x, 0).any() to test, `is not None` for presence"
            f"{here()}"
        )

    def __setitem__(self, key: Any, value: Any) -> NoReturn:
        raise TypeError(
            f"{describe(self)} does not support item assignment: use "
            f"T.set_subtensor(x[…], y), which returns the changed copy{here()}"
        )

    def __len__(self) -> int:
        raise TypeError(
            f"the length of {describe(self)} is not known before the function runs: use "
            f"x.shape[0]{here()}"
        )

    def __float__(self) -> float:
        return self._no_number("float")

    def __int__(self) -> int:
        return self._no_number("int")

    def __complex__(self) -> complex:
        return self._no_number("complex")

    def __index__(self) -> int:
        return self._no_number("index")

    def __round__(self, ndigits: int | None = None) -> NoReturn:
        raise TypeError(f"round() of {describe(self)}: use T.round(x){here()}")

    def __trunc__(self) -> NoReturn:
        raise TypeError(f"trunc() of {describe(self)}: use T.trunc(x){here()}")

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        raise TypeError(
            f"the format {spec!r} of {describe(self)}: it has no value before the function runs: "
            f"use x.eval({{…}}), or jitgraph.printing.Print to see values during a call{here()}"
        )

    def _no_number(self, kind: str) -> NoReturn:
        raise TypeError(
            f"{kind}() of {describe(self)}: it has no value before the function runs: use "
            f"x.eval({{…}}), jitgraph.function, or T.cast for another dtype{here()}"
        )

    def __contains__(self, item: Any) -> bool:
        raise TypeError(f"`in` of {describe(self)} is not known: use T.eq(x, item).any(){here()}")

    # -- NumPy protocols --
    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise TypeError(
            f"{describe(self)} is symbolic and cannot become a NumPy array: use x.eval({{…}}) or "
            f"jitgraph.function{here()}"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        builder = UFUNCS.get(ufunc)
        if method != "__call__" or kwargs or builder is None:
            what = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
            raise TypeError(
                f"np.{what} does not take symbolic arrays like {describe(self)}"
                + (f" with {', '.join(kwargs)}" if kwargs else "")
                + f"; look for it in jitgraph.tensor{here()}"
            )
        return builder(*inputs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        builder = FUNCTIONS.get(func)
        if builder is None:
            raise TypeError(
                f"np.{func.__name__} does not take symbolic arrays like {describe(self)}; look for "
                f"it in jitgraph.tensor{here()}"
            )
        return builder(*args, **kwargs)

    # -- methods --
    def dimshuffle(self, *pattern: Any) -> Any:
        return dimshuffle(self, *pattern)

    def reshape(self, shape: Any, ndim: int | None = None) -> Any:
        return basic.reshape(self, shape, ndim=ndim)

    def flatten(self, ndim: int = 1) -> Any:
        return basic.flatten(self, ndim)

    def ravel(self) -> Any:
        return basic.flatten(self)

    def transpose(self, *axes: Any) -> Any:
        if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (list, tuple))):
            axes = tuple(axes[0] or ())
        return basic.transpose(self, axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return basic.swapaxes(self, axis1, axis2)

    def squeeze(self) -> Any:
        return basic.squeeze(self)

    def astype(self, dtype: Any) -> Any:
        return ar.cast(self, dtype)

    def dot(self, other: Any) -> Any:
        return dot(self, other)

    def copy(self, name: str | None = None) -> Any:
        result = ar.identity(self)
        result.name = name
        return result

    def transfer(self, target: str) -> Any:
        """Stay on the CPU, the only device; any other target is a ValueError."""
        if target != "cpu":
            raise ValueError(f"cannot transfer to {target!r}: the only device is 'cpu'{here()}")
        return self

    def fill(self, value: Any) -> Any:
        return ar.fill(self, value)

    def clip(self, a_min: Any, a_max: Any) -> Any:
        return ar.clip(self, a_min, a_max)

    def round(self, mode: str | None = None) -> Any:
        return basic.round(self, mode)

    def compress(self, condition: Any, axis: Any = None) -> Any:
        """The slices of this array along `axis` (None: the elements) where `condition` is true."""
        from jitgraph.tensor.arranging import compress

        return compress(condition, self, axis)

    def norm(self, L: Any, axis: Any = None, keepdims: bool = False) -> Any:
        """(sum |x|^L)^(1/L) over `axis`; L = 0 and inf are not offered."""
        if L == 0 or (isinstance(L, float) and np.isinf(L)):
            raise NotImplementedError(f"norm with L={L}{here()}")
        total = ar.power(ar.abs_(self), L).sum(axis=axis, keepdims=keepdims)
        return ar.power(total, 1.0 / L)

    def get_scalar_constant_value(self) -> Any:
        return basic.get_scalar_constant_value(self)

    def eval(self, inputs_to_values: Any = None) -> Any:
        """Compute the value: `x.eval({a: 1.0})`. The compiled function is kept on the variable.

        Raises TypeError if the argument is no dict keyed by variables, MissingInputError if a
        value is missing, UnusedInputError for one that is not needed.
        """
        from jitgraph.functions import evaluate_variable

        return evaluate_variable(self, inputs_to_values)


def _binary(op: Any, a: Any, b: Any) -> Any:
    """Apply an operator; an operand no node can be made of is left to the other's class."""
    if isinstance(a, (str, bytes, dict, set)) or isinstance(b, (str, bytes, dict, set)):
        return NotImplemented
    return op(a, b)


def _comparison(op: Any, a: Any, b: Any) -> Any:
    result = op(a, b)
    result.tag.is_comparison = True
    return result


def _method(function: Any) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__doc__ = getattr(function, "__doc__", None)
    return method


for _name in "sum prod mean var std max min argmax argmin any all ptp".split():
    setattr(TensorVariable, _name, _method(getattr(reductions, _name)))
for _name in (
    "exp exp2 expm1 log log2 log10 log1p sqrt sin cos tan arcsin arccos arctan sinh cosh tanh "
    "arcsinh arccosh arctanh"
).split():
    setattr(TensorVariable, _name, _method(getattr(m, _name)))
for _name in "ceil floor trunc deg2rad rad2deg".split():
    setattr(TensorVariable, _name, _method(getattr(ar, _name)))
for _name in "zeros_like ones_like".split():
    setattr(TensorVariable, _name, _method(getattr(basic, _name)))


def _later(module: str, name: str) -> Any:
    """A method whose function is in a module that few programs need."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        from importlib import import_module

        return getattr(import_module(f"jitgraph.tensor.{module}"), name)(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"`jitgraph.tensor.{module}.{name}` of this array."
    return method


for _module, _names in {
    "arranging": "choose repeat take",
    "extra_ops": "cumprod cumsum",
    "diagonals": "diagonal trace",
    "positions": "nonzero nonzero_values searchsorted",
    "sorting": "argsort sort",
}.items():
    for _name in _names.split():
        setattr(TensorVariable, _name, _later(_module, _name))
TensorVariable.conj = TensorVariable.conjugate = _method(basic.conj)  # type: ignore[attr-defined]


class TensorConstant(TensorVariable, Constant):
    """A constant array in a graph."""

    def __str__(self) -> str:
        if self.name is not None:
            return self.name
        return f"TensorConstant{{{_show(self.data)}}}"

    __repr__ = __str__
    __hash__ = object.__hash__

    def signature(self) -> tuple[Any, ...]:
        return Constant.signature(self)


def _show(data: np.ndarray) -> str:
    if data.ndim and data.size > 1 and (data == data.flat[0]).all():
        return f"{data.shape} of {data.flat[0]}"
    text = " ".join(str(data.tolist() if data.ndim == 0 else data).split())
    return text if len(text) <= 40 else text[:24] + ".." + text[-12:]


class TensorSharedVariable(TensorVariable, SharedVariable):
    """A symbolic array whose value is kept between calls."""

    __hash__ = object.__hash__

    # How `set_value` converts: see `filter_value`.
    strict: bool = False
    allow_downcast: bool | None = None

    def __init__(self, type: Any, container: Any, name: str | None = None):
        SharedVariable.__init__(self, type, container, name)

    def get_value(self, borrow: bool = False, return_internal_type: bool = False) -> Any:
        """The current value: a copy, or with `borrow` the array itself."""
        return self.container.data if borrow else self.container.data.copy()

    def set_value(self, new_value: Any, borrow: bool = False) -> None:
        """Store a new value of the same dtype and number of axes; its shape may differ.

        With `borrow` the array itself becomes the storage. Raises TypeError otherwise; the
        arguments `strict` and `allow_downcast` of `shared` make it take less or more.
        """
        from jitgraph.tensor.filter import filter_shared

        value = filter_shared(self, new_value, self.strict, self.allow_downcast)
        if not borrow and np.may_share_memory(value, new_value):
            value = value.copy()
        self.container.data = value

    def zero(self, borrow: bool = False) -> None:
        """Set all elements to 0."""
        if borrow:
            self.container.data[...] = 0
        else:
            self.container.data = np.zeros_like(self.container.data)

    def clone(self) -> TensorSharedVariable:
        """Another variable on the same storage."""
        copy = TensorSharedVariable(self.type, self.container, self.name)
        copy.strict, copy.allow_downcast = self.strict, self.allow_downcast
        copy.tag.__dict__.update(self.tag.__dict__)
        return copy

    @property
    def value(self) -> NoReturn:
        raise Exception("the attribute .value does not exist anymore: use get_value and set_value")


TensorType.variable_class = TensorVariable
TensorType.constant_class = TensorConstant
