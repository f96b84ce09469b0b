"""Numeric differentiation, and the check of symbolic gradients against it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jitgraph.errors import GradientError
from jitgraph.graph import TensorType, Variable
from jitgraph.op import describe, here
from jitgraph.ops.arithmetic import mul
from jitgraph.ops.reduce import reduce_of
from jitgraph.ops.values import as_tensor_variable
from jitgraph.reference import evaluate

__all__ = ["numeric_grad", "verify_grad"]

# Steps and tolerances by dtype, from Theano. A forward difference has an error of about
# h f'' / 2 + 2 u |f| / h; the step balances the two for values and curvatures near 1.
STEPS = {"float64": 1e-7, "float32": 3e-4}
TOLERANCES = {"float64": 1e-4, "float32": 1e-2}


class numeric_grad:
    """The gradient of a number-valued Python function by forward differences.

    `f(*pt)` returns a number; `pt` is an array or a list of arrays of one float dtype or
    several; `eps` is the step (default by the least precise dtype). `gf` holds the gradient in
    the form of `pt`, in the dtypes of `pt` or in `out_type`. `pt` itself is not changed.
    Raises TypeError for a dtype that is not float32 or float64.
    """

    def __init__(
        self, f: Callable[..., Any], pt: Any, eps: float | None = None, out_type: Any = None
    ):
        several = isinstance(pt, (list, tuple))
        points = [np.array(p) for p in (pt if several else [pt])]
        for i, p in enumerate(points):
            if p.dtype.name not in STEPS:
                raise TypeError(
                    f"numeric_grad takes float32 and float64 arrays; argument {i} is {p.dtype}"
                )
        step = eps if eps is not None else max(STEPS[p.dtype.name] for p in points)
        at_point = float(f(*points))
        gradients = [
            np.zeros(p.shape, dtype=p.dtype if out_type is None else out_type) for p in points
        ]
        for p, g in zip(points, gradients, strict=True):
            for at in np.ndindex(p.shape):
                before = p[at]
                p[at] = before + step
                # Divide by the step that was made, which rounding may have changed.
                g[at] = (float(f(*points)) - at_point) / (float(p[at]) - float(before))
                p[at] = before
        self.gf: Any = gradients if several else gradients[0]

    @staticmethod
    def abs_rel_err(a: Any, b: Any) -> tuple[np.ndarray, np.ndarray]:
        """|a - b| and |a - b| / (|a| + |b|), elementwise; infinite where either is not finite.

        A nan compares false with every tolerance, so it must not survive here.
        """
        a, b = np.asarray(a, dtype="float64"), np.asarray(b, dtype="float64")
        with np.errstate(all="ignore"):
            absolute = np.abs(a - b)
            relative = absolute / np.maximum(np.abs(a) + np.abs(b), 1e-8)
        bad = ~(np.isfinite(a) & np.isfinite(b))
        return np.where(bad, np.inf, absolute), np.where(bad, np.inf, relative)

    def max_err(
        self, g_pt: Sequence[Any], abs_tol: float, rel_tol: float
    ) -> tuple[int, int, float, float]:
        """Argument, flat position, absolute and relative error of the worst element of `g_pt`.

        The worst is the largest minimum of both errors, each over its tolerance.
        Raises ValueError if a gradient does not have the shape of its argument.
        """
        mine = self.gf if isinstance(self.gf, list) else [self.gf]
        worst = (0, 0, 0.0, 0.0)
        excess = -1.0
        for i, (a, b) in enumerate(zip(g_pt, mine, strict=True)):
            if np.shape(a) != np.shape(b):
                raise ValueError(
                    f"argument {i} has shape {np.shape(b)}, its gradient {np.shape(a)}"
                )
            if not np.size(b):
                continue
            absolute, relative = self.abs_rel_err(a, b)
            over = np.minimum(absolute / abs_tol, relative / rel_tol)
            at = int(np.argmax(over))
            if over.flat[at] > excess:
                excess = float(over.flat[at])
                worst = (i, at, float(absolute.flat[at]), float(relative.flat[at]))
        return worst


def _compile(inputs: Sequence[Variable], outputs: Sequence[Variable], mode: Any) -> Any:
    """A Python function of arrays that computes `outputs`, a list."""
    if mode == "reference":
        return lambda *arrays: evaluate(outputs, dict(zip(inputs, arrays, strict=True)))
    from jitgraph.functions import function

    return function(list(inputs), list(outputs), mode=mode, on_unused_input="ignore")


def verify_grad(
    fun: Callable[..., Any],
    pt: Sequence[Any],
    n_tests: int = 2,
    rng: Any = None,
    eps: float | None = None,
    out_type: Any = None,
    abs_tol: float | None = None,
    rel_tol: float | None = None,
    mode: Any = None,
    cast_to_output_type: bool = False,
    no_debug_ref: bool = True,
) -> None:
    """Raise GradientError unless the symbolic gradient of `fun` at `pt` agrees with a numeric one.

    `fun` takes as many variables as `pt` has arrays and returns one float variable of any
    shape. `n_tests` times its output is multiplied by random numbers of [0.5, 1.5) from `rng`
    (anything with `random(size)` or `rand(*size)`) and summed; that number is differentiated.
    An element fails where its absolute error exceeds `abs_tol` and its relative error
    `rel_tol` (default for both: 1e-4 in float64, 1e-2 if an array is float32); a gradient that
    is not finite fails always. `mode` is that of `jitgraph.function`; 'reference' uses NumPy.

    Raises TypeError without `rng`, for arrays that are not float, for a `pt` that is no list;
    NotImplementedError for a `fun` with several outputs.
    """
    from jitgraph.gradient import grad

    arrays = _float_arrays(pt)
    if rng is None:
        raise TypeError(f"verify_grad needs rng, for instance numpy.random.default_rng(1){here()}")
    default = max((TOLERANCES[a.dtype.name] for a in arrays), default=TOLERANCES["float64"])
    abs_tol = default if abs_tol is None else abs_tol
    rel_tol = default if rel_tol is None else rel_tol

    inputs = [
        TensorType(a.dtype, [n == 1 for n in a.shape]).make_variable(f"input {i}")
        for i, a in enumerate(arrays)
    ]
    output = fun(*inputs)
    if isinstance(output, (list, tuple)):
        raise NotImplementedError(f"verify_grad takes a function with one output{here()}")
    output = as_tensor_variable(output)
    weights = output.type.clone(
        dtype=output.type.dtype if cast_to_output_type else "float64"
    ).make_variable("weights")
    cost = reduce_of("sum", mul(weights, output))
    shape = np.shape(_compile(inputs, [output], mode)(*arrays)[0])
    cost_of = _compile([*inputs, weights], [cost], mode)
    gradient_of = _compile(
        [*inputs, weights], grad(cost, inputs, disconnected_inputs="ignore"), mode
    )
    for _ in range(n_tests):
        w = np.asarray(_uniform(rng, shape) + 0.5, dtype=weights.type.dtype)
        numeric = numeric_grad(lambda *p, w=w: cost_of(*p, w)[0], arrays, eps, out_type)
        _compare(numeric, gradient_of(*arrays, w), abs_tol, rel_tol, output)


def _float_arrays(pt: Any) -> list[np.ndarray]:
    if not isinstance(pt, (list, tuple)):
        raise TypeError(
            f"verify_grad: pt must be a list of arrays, got {type(pt).__name__}{here()}"
        )
    arrays = [np.array(p) for p in pt]
    for i, a in enumerate(arrays):
        if a.dtype.name not in TOLERANCES:
            raise TypeError(
                f"verify_grad can only work with float32 and float64 arrays, but input {i} is "
                f"{a.dtype}{here()}"
            )
    return arrays


def _uniform(rng: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(rng.random(shape) if hasattr(rng, "random") else rng.rand(*shape))


def _compare(
    numeric: numeric_grad, symbolic: Sequence[Any], abs_tol: float, rel_tol: float, output: Variable
) -> None:
    try:
        arg, position, abs_err, rel_err = numeric.max_err(symbolic, abs_tol, rel_tol)
    except ValueError as mismatch:
        raise GradientError(f"gradient of {describe(output)}: {mismatch}{here()}") from None
    if abs_err <= abs_tol or rel_err <= rel_tol:
        return
    got, expected = (np.asarray(g[arg]) for g in (symbolic, numeric.gf))
    index = tuple(int(i) for i in np.unravel_index(position, expected.shape))
    error = GradientError(
        f"gradient of {describe(output)} with respect to argument {arg}, element {index}: symbolic "
        f"{got[index]}, numeric {expected[index]}; absolute error {abs_err:.3g} (tolerance "
        f"{abs_tol:g}), relative error {rel_err:.3g} (tolerance {rel_tol:g}){here()}"
    )
    facts = {
        "arg": arg,
        "err_pos": position,
        "shape": expected.shape,
        "val1": got[index],
        "val2": expected[index],
        "abs_err": abs_err,
        "rel_err": rel_err,
        "abs_tol": abs_tol,
        "rel_tol": rel_tol,
    }
    error.__dict__.update(facts)
    raise error


# Theano's name for the exception, by which programs catch it.
verify_grad.E_grad = GradientError  # type: ignore[attr-defined]
