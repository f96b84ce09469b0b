"""Draws as functions of an explicit state: each returns (the state after the draw, the draw).

`random_state` is a variable that holds a `numpy.random.RandomState`. Common to all: `size` is
a tuple or list of ints and integer scalars (-1 copies the length of a parameter's axis), an
integer vector (of known length, or pass `ndim`), or None for the shape of the parameters.
Parameters may be tensors; they are stretched to the size. The gradient with respect to them
is undefined.

Raise TypeError for a size of another kind, ValueError where the size's length is not `ndim` or
the parameters have more axes; when run, ValueError naming the distribution and the parameter
for a value out of range, with the state as it was.
"""

from __future__ import annotations

import warnings
from typing import Any

from jitgraph import dtypes
from jitgraph.config import config
from jitgraph.graph import TensorType, Variable
from jitgraph.op import describe, here
from jitgraph.ops.random import (
    RandomFunction,
    RandomStateType,
    batch_size,
    random_state_type,
)
from jitgraph.ops.shape import ARange, ShapeI, dimshuffle
from jitgraph.ops.values import as_tensor_variable, constant

Draw = tuple[Any, Any]


def _draw(
    name: str, dtype: Any, marks: tuple[bool, ...], state: Any, size: Any, *parameters: Any
) -> Draw:
    new_state, drawn = RandomFunction(name, TensorType(dtype, marks))(state, size, *parameters)
    return new_state, drawn


def _of_two(name: str, state: Any, size: Any, a: Any, b: Any, ndim: int | None, dtype: Any) -> Draw:
    """A distribution of two parameters; dtype None is the promotion of both with floatX."""
    a, b = as_tensor_variable(a), as_tensor_variable(b)
    if dtype is None:
        dtype = dtypes.upcast(dtypes.check(config.floatX), a.type.dtype, b.type.dtype)
    vector, marks = batch_size(ndim, size, (a, 0), (b, 0))
    return _draw(name, dtype, marks, state, vector, a, b)


def uniform(
    random_state: Any,
    size: Any = None,
    low: Any = 0.0,
    high: Any = 1.0,
    ndim: int | None = None,
    dtype: Any = None,
) -> Draw:
    """Uniform in [low, high), drawn in float64, then converted: float32 may round to high."""
    return _of_two("uniform", random_state, size, low, high, ndim, dtype)


def normal(
    random_state: Any,
    size: Any = None,
    avg: Any = 0.0,
    std: Any = 1.0,
    ndim: int | None = None,
    dtype: Any = None,
) -> Draw:
    """Normal with mean `avg` and standard deviation `std` >= 0."""
    return _of_two("normal", random_state, size, avg, std, ndim, dtype)


def binomial(
    random_state: Any,
    size: Any = None,
    n: Any = 1,
    p: Any = 0.5,
    ndim: int | None = None,
    dtype: Any = "int64",
    prob: Any = None,
) -> Draw:
    """Successes in `n` >= 0 trials of probability `p`; no axis is marked as length 1.

    `prob` is the former name of `p`.
    """
    if prob is not None:
        warnings.warn("binomial: prob has been renamed to p", DeprecationWarning, stacklevel=2)
        p = prob
    n, p = as_tensor_variable(n), as_tensor_variable(p)
    vector, marks = batch_size(ndim, size, (n, 0), (p, 0))
    return _draw("binomial", dtype, (False,) * len(marks), random_state, vector, n, p)


def random_integers(
    random_state: Any,
    size: Any = None,
    low: Any = 0,
    high: Any = 1,
    ndim: int | None = None,
    dtype: Any = "int64",
) -> Draw:
    """Integers from low to high, both included."""
    return _of_two("random_integers", random_state, size, low, high, ndim, dtype)


integers = random_integers


def choice(
    random_state: Any,
    size: Any = None,
    a: Any = 2,
    replace: Any = True,
    p: Any = None,
    ndim: int | None = None,
    dtype: Any = "int64",
) -> Draw:
    """Entries of the vector `a`, or of range(a) for a scalar; `p` weights them, None equally.

    Without `replace` each entry is taken at most once. `size` None gives a scalar.
    """
    a = as_tensor_variable(a)
    replace = constant(replace, dtype="bool") if isinstance(replace, bool) else replace
    weights = [] if p is None else [as_tensor_variable(p)]
    for parameter, name in [(a, "a"), *((w, "p") for w in weights)]:
        if parameter.type.ndim > 1 or (name == "p" and parameter.type.ndim != 1):
            raise ValueError(f"choice: {name} must be a vector, got {describe(parameter)}{here()}")
    vector, marks = batch_size(ndim, size)
    return _draw("choice", dtype, marks, random_state, vector, a, replace, *weights)


def poisson(
    random_state: Any,
    size: Any = None,
    lam: Any = 1.0,
    ndim: int | None = None,
    dtype: Any = "int64",
) -> Draw:
    """Counts of mean `lam` >= 0."""
    lam = as_tensor_variable(lam)
    vector, marks = batch_size(ndim, size, (lam, 0))
    return _draw("poisson", dtype, marks, random_state, vector, lam)


def permutation(
    random_state: Any,
    size: Any = None,
    n: Any = 1,
    ndim: int | None = None,
    dtype: Any = "int64",
) -> Draw:
    """Permutations of range(n), as many as `size` says: one more axis, of length n."""
    n = as_tensor_variable(n)
    if n.type.ndim or n.type.dtype not in dtypes.INTEGERS:
        raise TypeError(f"permutation: n must be an integer scalar, got {describe(n)}{here()}")
    if size is None or (isinstance(size, (tuple, list)) and not size):
        if ndim not in (None, 0, 1):
            raise TypeError(f"permutation: one permutation, but ndim={ndim}{here()}")
        size, ndim = (), None
    vector, marks = batch_size(ndim, size)
    return _draw("permutation", dtype, (*marks, False), random_state, vector, n)


def multinomial(
    random_state: Any,
    size: Any = None,
    n: Any = 1,
    pvals: Any = (0.5, 0.5),
    ndim: int | None = None,
    dtype: Any = "int64",
) -> Draw:
    """How often each outcome occurs in `n` trials; the last axis of `pvals` are the outcomes.

    Probabilities are scaled by 1 - 5e-5 where they add up to slightly more than 1 (below
    1 + 1e-5) or the last is under 5e-5.
    """
    n, pvals = as_tensor_variable(n), as_tensor_variable(pvals)
    if not pvals.type.ndim:
        raise ValueError(f"multinomial: pvals needs an axis, got {describe(pvals)}{here()}")
    vector, marks = batch_size(ndim, size, (n, 0), (pvals, 1))
    marks = (*marks, pvals.type.broadcastable[-1])
    return _draw("multinomial", dtype, marks, random_state, vector, n, pvals)


def permute_row_elements(x: Variable, permutation: Variable) -> Any:
    """result[…, i] = x[…, permutation[…, i]], for two arrays of the same shape."""
    ndim = x.type.ndim
    index: list[Any] = []
    for axis in range(ndim - 1):
        positions = ARange("int64")(0, ShapeI(axis)(x), 1)
        order = ["x"] * ndim
        order[axis] = 0  # type: ignore[call-overload]
        index.append(dimshuffle(positions, order))
    return x[(*index, permutation)]  # type: ignore[index]


class RandomStreamsBase:
    """The distributions as methods; a subclass says in `gen` where the state comes from."""

    def gen(self, op: Any, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def uniform(
        self,
        size: Any = None,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
    ) -> Any:
        """Uniform in [low, high); dtype None is the promotion of low, high and floatX."""
        return self.gen(uniform, size, low, high, ndim=ndim, dtype=dtype)

    def normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: Any = None,
    ) -> Any:
        """Normal; dtype None is the promotion of avg, std and floatX."""
        return self.gen(normal, size, avg, std, ndim=ndim, dtype=dtype)

    def binomial(
        self,
        size: Any = None,
        n: Any = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: Any = "int64",
        prob: Any = None,
    ) -> Any:
        """Successes in n trials of probability p."""
        return self.gen(binomial, size, n, p, ndim=ndim, dtype=dtype, prob=prob)

    def random_integers(
        self,
        size: Any = None,
        low: Any = 0,
        high: Any = 1,
        ndim: int | None = None,
        dtype: Any = "int64",
    ) -> Any:
        """Integers from low to high, both included."""
        return self.gen(random_integers, size, low, high, ndim=ndim, dtype=dtype)

    integers = random_integers

    def choice(
        self,
        size: Any = None,
        a: Any = 2,
        replace: Any = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: Any = "int64",
    ) -> Any:
        """Entries of the vector a, or of range(a)."""
        return self.gen(choice, size, a, replace, p, ndim=ndim, dtype=dtype)

    def poisson(
        self, size: Any = None, lam: Any = None, ndim: int | None = None, dtype: Any = "int64"
    ) -> Any:
        """Counts of mean lam."""
        return self.gen(poisson, size, lam, ndim=ndim, dtype=dtype)

    def permutation(
        self, size: Any = None, n: Any = 1, ndim: int | None = None, dtype: Any = "int64"
    ) -> Any:
        """Permutations of range(n), as many as size says."""
        return self.gen(permutation, size, n, ndim=ndim, dtype=dtype)

    def multinomial(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = (0.5, 0.5),
        ndim: int | None = None,
        dtype: Any = "int64",
    ) -> Any:
        """How often each outcome occurs in n trials."""
        return self.gen(multinomial, size, n, pvals, ndim=ndim, dtype=dtype)

    def shuffle_row_elements(self, input: Any) -> Any:
        """Each row (last axis) in an order of its own; the result has it as `.permutation`."""
        x = as_tensor_variable(input)
        if not x.type.ndim:
            raise ValueError(f"shuffle_row_elements needs an axis, got {describe(x)}{here()}")
        lengths = [ShapeI(i)(x) for i in range(x.type.ndim)]
        order = self.permutation(size=lengths[:-1], n=lengths[-1])
        shuffled = permute_row_elements(x, order)
        shuffled.permutation = order
        return shuffled


__all__ = [
    "RandomFunction",
    "RandomStateType",
    "RandomStreamsBase",
    "binomial",
    "choice",
    "integers",
    "multinomial",
    "normal",
    "permutation",
    "permute_row_elements",
    "poisson",
    "random_integers",
    "random_state_type",
    "uniform",
]
