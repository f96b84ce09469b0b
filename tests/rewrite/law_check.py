"""Does a law hold? Its two sides as numbers, against each other or against mpmath."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import mpmath
import numpy as np

from jitgraph import dtypes
from jitgraph.graph import TensorType, Variable
from jitgraph.ops.arithmetic import identity
from jitgraph.ops.nnet import LogSoftmax, LogSoftmaxPick, Pick, Softmax
from jitgraph.ops.values import constant
from jitgraph.reference import evaluate
from jitgraph.rewrite.engine import Rewriter, RuleSet, Table
from jitgraph.rewrite.pattern import Call, Law, Number, Pattern, Wild, build

# The NumPy reference functions are good to about 2 ULP (float32 exp, log and their relatives in
# NumPy are bounded by 2.6); a right side chains at most two of them and two roundings.
TOLERANCE = 8
# Enough bits for 1 - sigmoid(1000) = 2**-1443 and 1 - erf(40) = 2**-2313.
mpmath.mp.prec = 3000

INTEGERS = ("bool", "int8", "uint8", "int32", "uint64", "int64")
EXTREMES = (0.0, 1e-30, -1e-30, 1.0, -1.0, 40.0, -40.0, 88.0, -95.0, 700.0, -750.0, 1000.0, -1000.0)


# -- graphs of the two sides -----------------------------------------------------------------


def names_of(pattern: Pattern) -> dict[str, Wild]:
    if isinstance(pattern, Wild):
        return {pattern.name: pattern}
    args = pattern.args if isinstance(pattern, Call) else ()
    return {n: w for a in args for n, w in names_of(a).items()}


def functions_of(pattern: Pattern) -> set[Any]:
    if not isinstance(pattern, Call):
        return set()
    return {pattern.op}.union(*(functions_of(a) for a in pattern.args))


def kind_of(law: Law, name: str, dtype: str) -> TensorType:
    if law.matrix:
        return TensorType("int64", (False,)) if name == "k" else TensorType(dtype, (False, False))
    return TensorType("bool" if name == "k" else dtype, (False,))


def left_side(law: Law, dtype: str, condition: int = 1) -> tuple[Variable, dict[str, Variable]]:
    """The graph of the left side on new leaves; a constant name is the number `condition`.

    A mask is not moved past inputs, so there the factors are made by an op.
    """
    masks = "local_mul_switch_sink" in law.tags
    bound: dict[str, Variable] = {}
    for name, wild in names_of(law.left).items():
        if wild.constant:
            bound[name] = constant(condition)
        else:
            bound[name] = kind_of(law, name, dtype)(name)
    made = {n: identity(v) if masks and n in "ad" else v for n, v in bound.items()}
    return build(law.left, made.__getitem__, dtype), bound


def apply_law(law: Law, left: Variable) -> Variable | None:
    """What the law, and nothing else, makes of the left side; None where it does not fire."""
    walk = Rewriter((RuleSet([law]),), Table())
    (new,) = walk.run([left])
    return new if walk.fired else None


# -- truth -----------------------------------------------------------------------------------


def mp_sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


MP: dict[Any, Any] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "true_div": lambda a, b: a / b,
    "pow": mpmath.power,
    "neg": lambda a: -a,
    "exp": mpmath.exp,
    "log": mpmath.log,
    "log1p": mpmath.log1p,
    "expm1": mpmath.expm1,
    "sigmoid": mp_sigmoid,
    "softplus": lambda x: mpmath.log(1 + mpmath.exp(x)),
    "logaddexp": lambda a, b: mpmath.log(mpmath.exp(a) + mpmath.exp(b)),
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "sqrt": mpmath.sqrt,
    "sqr": lambda x: x * x,
    "inv": lambda x: 1 / x,
    "abs_": abs,
    "switch": lambda c, a, b: a if c else b,
}


def truth(pattern: Pattern, values: dict[str, Any]) -> Any:
    """The pattern on scalars, to 3000 bits."""
    if isinstance(pattern, Wild):
        return values[pattern.name]
    if isinstance(pattern, Number):
        return mpmath.mpf(pattern.value)
    assert isinstance(pattern, Call)
    return MP[pattern.op](*(truth(a, values) for a in pattern.args))


def row_truth(pattern: Pattern, values: dict[str, Any]) -> Any:
    """The pattern on one row (a list) and one label."""
    if isinstance(pattern, Wild):
        return values[pattern.name]
    assert isinstance(pattern, Call)
    args = [row_truth(a, values) for a in pattern.args]
    if pattern.op in (Softmax, LogSoftmax, LogSoftmaxPick):
        total = mpmath.fsum(mpmath.exp(v) for v in args[0])
        soft = [mpmath.exp(v) / total for v in args[0]]
        logs = [v - mpmath.log(total) for v in args[0]]
        return soft if pattern.op is Softmax else logs if len(args) == 1 else logs[args[1]]
    if pattern.op is Pick:
        return args[0][args[1]]
    function = MP[pattern.op]
    return [function(v) for v in args[0]] if isinstance(args[0], list) else function(*args)


# -- samples ---------------------------------------------------------------------------------


def samples(law: Law, bound: dict[str, Variable], extreme: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    free = {n: v for n, v in bound.items() if v.type.ndim}
    if law.matrix:
        return matrix_samples(free, rng, extreme)
    if extreme:
        low, high = (-40.0, 40.0) if functions_of(law.left) & {"erf", "erfc"} else (-1e3, 1e3)
        axes = []
        for name in free:
            a, b = law.domain.get(name, (low, high))
            axes.append([e for e in EXTREMES if max(a, low) <= e <= (high if b >= 3 else b)])
        rows = np.array(list(itertools.product(*axes)))
    else:
        bounds = [law.domain.get(n, (-3.0, 3.0)) for n in free]
        rows = np.array([rng.uniform(a, b, 60) for a, b in bounds]).T
    columns = rows.T
    return {
        n: (c > 0) if n == "k" else c.astype(v.type.dtype)
        for (n, v), c in zip(free.items(), columns, strict=True)
    }


def matrix_samples(
    free: dict[str, Variable], rng: np.random.Generator, extreme: bool
) -> dict[str, np.ndarray]:
    x = rng.uniform(-3, 3, (12, 5)) * (300 if extreme else 1)
    made = {"x": x.astype(free["x"].type.dtype)}
    return made | ({"k": rng.integers(0, 5, 12)} if "k" in free else {})


# -- the checks ------------------------------------------------------------------------------


def ulp_distance(got: float, true: Any, dtype: str) -> float:
    nearest = np.asarray(float(true)).astype(dtype)
    if not np.isfinite(got):
        return float("inf")
    return float(abs(mpmath.mpf(float(got)) - true) / float(np.spacing(np.abs(nearest))))


def float_complaints(law: Law, dtype: str) -> Iterator[str]:
    """On the domain: within the tolerance. At extremes: finite, and no worse than the left side."""
    left, bound = left_side(law, dtype)
    right = apply_law(law, left)
    if right is None:
        yield f"{law.name} does not fire in {dtype}"
        return
    for extreme in (False, True):
        data = samples(law, bound, extreme)
        with np.errstate(all="ignore"):
            old, new = evaluate([left, right], {bound[n]: a for n, a in data.items()})
        for index, true in truths(law, data):
            if mpmath.isnan(true) or abs(true) > np.finfo(dtype).max:
                continue
            distance = ulp_distance(new[index], true, dtype)
            if distance <= TOLERANCE:
                continue
            if not extreme or distance > ulp_distance(old[index], true, dtype):
                at = {n: a[index[0]] for n, a in data.items()}
                result = f"{new[index]} for {float(true)}, {distance:.3g} ULP off"
                yield f"{law.name} in {dtype} at {at}: {result}"


def truths(law: Law, data: dict[str, np.ndarray]) -> Iterator[tuple[Any, Any]]:
    n = len(next(iter(data.values())))
    for i in range(n):
        if not law.matrix:
            # Division by zero and the like are outside the domain of the equation.
            try:
                yield (i,), truth(law.left, {k: mpmath.mpf(float(a[i])) for k, a in data.items()})
            except (ZeroDivisionError, ValueError):
                continue
        else:
            row: dict[str, Any] = {"x": [mpmath.mpf(float(v)) for v in data["x"][i]]}
            row |= {"k": int(data["k"][i])} if "k" in data else {}
            result = row_truth(law.left, row)
            if isinstance(result, list):
                yield from (((i, j), v) for j, v in enumerate(result))
            else:
                yield (i,), result


def special_values(dtype: str, count: int) -> list[np.ndarray]:
    """All combinations of awkward values for `count` operands."""
    if dtype in dtypes.FLOATS:
        info = np.finfo(dtype)
        some: list[Any] = [0.0, -0.0, 1.0, -1.5, 0.1, info.max, info.tiny / 8]
        some += [np.inf, -np.inf, np.nan]
    elif dtype == "bool":
        some = [False, True]
    else:
        limits = np.iinfo(dtype)
        some = [0, 1, 2, 5, limits.min, limits.max, limits.max - 1]
    return list(np.array(list(itertools.product(some, repeat=count)), dtype=dtype).T)


def exact_complaints(law: Law, dtype: str, condition: int) -> tuple[bool, list[str]]:
    """(whether the law fired, complaints): both sides equal to the last bit, sign of zero apart."""
    try:
        left, bound = left_side(law, dtype, condition)
    except TypeError:
        return False, []  # the left side does not exist in this dtype
    right = apply_law(law, left)
    if right is None:
        return False, []
    if right.type != left.type:
        return True, [f"{law.name} in {dtype}: {right.type} for {left.type}"]
    free = {n: v for n, v in bound.items() if v.type.ndim}
    columns = dict(zip(free, special_values(dtype, len(free)), strict=True))
    values = {v: columns[n].astype(v.type.dtype) for n, v in free.items()}
    with np.errstate(all="ignore"):
        old, new = evaluate([left, right], values)
    wrong = np.flatnonzero(~((old == new) | ((old != old) & (new != new))))
    if not wrong.size:
        return True, []
    at = {n: c[wrong[0]] for n, c in columns.items()}
    return True, [f"{law.name} in {dtype} at {at}: {old[wrong[0]]} became {new[wrong[0]]}"]


def complaints(law: Law) -> list[str]:
    """Everything that is wrong with a law."""
    found: list[str] = []
    fired = False
    kinds = (*INTEGERS, "float32", "float64") if law.exact else () if law.matrix else INTEGERS
    for dtype, condition in itertools.product(kinds, (0, 1)):
        did, wrong = exact_complaints(law, dtype, condition)
        # Laws about floats also fire on integers where these are converted first: then both sides
        # are compared as floats below.
        fired |= did
        if law.exact or not (functions_of(law.left) & FLOAT_FUNCTIONS):
            found += wrong
    if law.exact:
        return found if fired else [f"{law.name} never fires"]
    for dtype in ("float32", "float64"):
        found += float_complaints(law, dtype)
    return found


FLOAT_FUNCTIONS = {"exp", "log", "log1p", "sigmoid", "erf", "erfc", "sqrt", "true_div", "inv"}
