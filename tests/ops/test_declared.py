"""Every declared elementwise function, compiled, against its NumPy reference.

The cases are made from the declarations: every dtype of a unary function, a covering selection
for more operands, at the boundary values of the dtype and over its range. Exact functions
(`ulp` 0, and integer results of any function) must equal NumPy bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from values import boundary_values, differing, random_values, same_bits, ulps

import jitgraph
import jitgraph.random  # declares functions too
import jitgraph.tensor
from jitgraph import dtypes
from jitgraph.graph import TensorType
from jitgraph.mode import Mode
from jitgraph.ops.elementwise import Elementwise
from jitgraph.ops.scalar import FUNCTIONS, ScalarFunction

# No rewrites: what is tested is the C of a function, not what a graph of it simplifies to.
PLAIN = Mode("c", None)

# NumPy accepts an error of 4 ULP from its own vector functions (the tables of its
# test_umath_accuracy.py); those of the C library stay below 2.
NUMPY_ULP = 4.0
# References that are several roundings or NumPy functions long, in ULP of float64: the error of
# each part, weighted with the condition of what follows it.
REFERENCE_ULP = {
    "sigmoid": 7.0,  # e / (1 + e): one exp, a sum and a quotient
    "softplus": 9.0,  # log1p of exp, then a sum of equal signs
    "ultra_fast_sigmoid": 6.0,  # four roundings, the last of a difference from 1/2 upwards
    "xlogx": 5.0,
    "xlogy0": 5.0,
    "sigmoid_binary_crossentropy": 10.0,
    "gamma": 10.0,  # the math module
    "gammaln": 10.0,
    "psi": 50.0,  # up to twelve steps of a recurrence, all of one sign
    "tri_gamma": 50.0,
    "erfcx": 10.0,
    "erfinv": 20.0,
    "erfcinv": 20.0,
    "gammainc": 500.0,  # SciPy: series of many terms
    "gammaincc": 500.0,
    "gammau": 600.0,
    "gammal": 600.0,
    "chi2sf": 500.0,
    "jv": 500.0,
    "iv": 500.0,
}
# Largest term of a sum that may cancel, as a function of the operands: the result is then exact
# to an ulp of this rather than of itself.
SCALE = {
    "logaddexp": lambda a, b: np.maximum(np.abs(a), np.abs(b)),
    "sigmoid_binary_crossentropy": lambda o, t: np.abs(o) * (1 + np.abs(t)),
    "psi": lambda x: np.maximum(1.0, np.abs(1 / x)),
    "gammaln": lambda x: np.maximum(1.0, np.abs(x)),
    "j0": lambda x: np.ones_like(x),
    "j1": lambda x: np.ones_like(x),
    "jv": lambda v, x: np.ones_like(x),
}
# Where the reference is to be trusted, per operand. Outside, SciPy's own errors are larger than
# those of the compiled functions (j0 at 1e16, iv at infinity, erfcinv of subnormal numbers, 0 times
# inf in gammal);
# tests/csrc compares these functions with MPFR and mpmath instead.
SHAPE, ARGUMENT = (0.1, 100.0), (1e-3, 150.0)
ORDER = (0.5, 50.0)
TRUSTED: dict[str, tuple[tuple[float, float], ...]] = {
    "erfcx": ((-2.0, np.inf),),  # SciPy loses x^2 / 2 ULP to the left
    "erfcinv": ((1e-300, 2.0),),
    "poisson_count": ((0.0, 0.999), (-np.inf, np.inf)),  # the end of [0, 1) belongs to no count
    "gammainc": (SHAPE, ARGUMENT),
    "gammaincc": (SHAPE, ARGUMENT),
    "gammau": (SHAPE, ARGUMENT),
    "gammal": (SHAPE, ARGUMENT),
    "chi2sf": (ARGUMENT, SHAPE),
    "j0": ((-1e5, 1e5),),
    "j1": ((-1e5, 1e5),),
    "i0": ((-700.0, 700.0),),
    "i1": ((-700.0, 700.0),),
    "jv": (ORDER, ARGUMENT),
    "iv": (ORDER, ARGUMENT),
}
# Odd functions whose references lose the sign of zero.
UNSIGNED_ZERO = {"erfinv", "erfcinv", "i1", *SCALE}

# The result may be either operand where they are +0 and -0: NumPy's vector code takes the second,
# its scalar code the first.
EITHER_ZERO = {"maximum", "minimum", "clip"}

# Defined by their constants in the dtype itself, not by a function of real numbers.
OWN_DTYPE = {"ultra_fast_sigmoid"}

PAIRS = (
    ("bool", "int8"),
    ("int8", "uint8"),
    ("uint16", "int32"),
    ("int32", "float32"),
    ("uint64", "int64"),
    ("int64", "uint32"),
    ("bool", "float32"),
    ("float32", "float64"),
    ("float64", "int16"),
)
EVERYDAY = ("int32", "float32", "float64")


@dataclass(frozen=True)
class Case:
    function: ScalarFunction
    dtypes: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.function.name}({', '.join(self.dtypes)})"

    @property
    def result(self) -> str:
        return self.function.rule(*self.dtypes)[1]

    @property
    def exact(self) -> bool:
        return self.function.ulp == 0 or self.result in dtypes.DISCRETE


def combinations(function: ScalarFunction) -> Iterator[tuple[str, ...]]:
    n = function.arity
    if n == 1:
        yield from ((d,) for d in dtypes.NAMES)
    elif function.name == "switch":
        yield from (("bool", d, d) for d in dtypes.NAMES)
        yield from (("float64", "int8", "float32"), ("int16", "uint8", "int8"))
    elif n == 3:
        yield from ((d, d, d) for d in dtypes.NAMES)
        yield ("float32", "int8", "int16")
    else:
        yield from ((d, d) for d in dtypes.NAMES)
        yield from PAIRS
        if n < 0:
            yield from (("int8", "uint8", "int16"), ("float32", "float64", "float32"))


def accepted(function: ScalarFunction, combination: tuple[str, ...]) -> bool:
    try:
        function.rule(*combination)
    except TypeError:
        return False
    return True


CASES = [Case(f, c) for f in FUNCTIONS.values() for c in combinations(f) if accepted(f, c)]


def group_of(case: Case) -> str:
    header = case.function.header
    return f"plain-{case.dtypes[0]}" if header in (None, "jg_arith.h") else header


GROUPS: dict[str, list[Case]] = {}
for _case in CASES:
    GROUPS.setdefault(group_of(_case), []).append(_case)


def operands(case: Case) -> list[np.ndarray]:
    """All pairs of boundary values, and random values; a third operand runs along."""
    rng = np.random.default_rng(len(str(case)))
    edges = [boundary_values(d) for d in case.dtypes]
    first_two = np.meshgrid(*edges[:2], indexing="ij")
    size = first_two[0].size
    columns = [a.ravel() for a in first_two]
    columns += [rng.choice(e, size) for e in edges[2:]]
    columns = [
        np.concatenate([c, random_values(d, 300, rng)])
        for c, d in zip(columns, case.dtypes, strict=True)
    ]
    kept = np.ones(len(columns[0]), bool)
    for column, (low, high) in zip(columns, TRUSTED.get(case.function.name, ()), strict=False):
        kept &= (column >= low) & (column <= high)
    if case.function.name == "iv":  # SciPy is wrong by 4 % next to the integral orders
        order = columns[0].astype("float64")
        kept &= (order == np.rint(order)) | (np.abs(order - np.rint(order)) > 1e-3)
    return [np.resize(c[kept], max(60, kept.sum())) for c in columns]


class Compiled:
    """All cases of a group in one function, on inputs of the given broadcast patterns."""

    def __init__(self, cases: list[Case], patterns: tuple[tuple[bool, ...], ...]):
        self.cases = cases
        inputs, outputs = [], []
        self.slices = []
        for case in cases:
            mine = [
                TensorType(d, patterns[k % len(patterns)])(f"x{k}")
                for k, d in enumerate(case.dtypes)
            ]
            self.slices.append(slice(len(inputs), len(inputs) + len(mine)))
            inputs += mine
            outputs.append(Elementwise(case.function.name)(*mine))
        self.function = jitgraph.function(inputs, outputs, mode=PLAIN)

    def __call__(self, arrays: list[list[np.ndarray]]) -> list[np.ndarray]:
        return self.function(*(a for case in arrays for a in case))


@cache
def vectors(group: str) -> tuple[Compiled, list[list[np.ndarray]], list[np.ndarray]]:
    """The group on vectors: the function, its arguments, its results."""
    cases = GROUPS[group]
    compiled = Compiled(cases, ((False,),))
    arrays = [operands(case) for case in cases]
    return compiled, arrays, compiled(arrays)


def expected(case: Case, arrays: list[np.ndarray]) -> np.ndarray:
    """The reference; float32 results of inexact functions by way of float64, correctly rounded."""
    op = Elementwise(case.function.name)
    if not case.exact and case.result == "float32" and case.function.name not in OWN_DTYPE:
        wide, _ = case.function.rule(*case.dtypes)
        arrays = [a.astype(d).astype("float64") for a, d in zip(arrays, wide, strict=True)]
        with np.errstate(all="ignore"):
            return op.evaluate(*arrays)[0].astype("float32")
    return op.evaluate(*arrays)[0]


def tolerance(case: Case, arrays: list[np.ndarray], value: np.ndarray) -> np.ndarray:
    """How far compiled code and reference may be apart, in ULP of the reference."""
    name = case.function.name.removesuffix("{fast}")
    own = case.result == "float64" or name in OWN_DTYPE
    reference = REFERENCE_ULP.get(name, NUMPY_ULP) if own else 0.5
    allowed = np.full(value.shape, case.function.ulp + reference)
    if name in SCALE:
        with np.errstate(all="ignore"):
            scale = SCALE[name](*(a.astype("float64") for a in arrays)).astype(value.dtype)
            ratio = np.spacing(np.abs(scale)) / np.spacing(np.abs(value))
        allowed *= np.where(np.isfinite(ratio), np.maximum(ratio, 1), 1)
    return allowed


def complaint(case: Case, arrays: list[np.ndarray], got: np.ndarray) -> str:
    """What is wrong with the result of a case; empty if nothing is."""
    want = expected(case, arrays)
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"{case}: {got.dtype}{got.shape} instead of {want.dtype}{want.shape}"
    if case.exact:
        wrong = differing(got, want, zeros=case.function.name not in EITHER_ZERO)
    else:
        wrong = ulps(got, want) > tolerance(case, arrays, want)
        if case.function.name not in UNSIGNED_ZERO:
            wrong |= (want == 0) & (got == 0) & (np.signbit(got) != np.signbit(want))
    if not wrong.any():
        return ""
    k = int(np.flatnonzero(wrong)[0])
    values = ", ".join(repr(a[k].item()) for a in arrays)
    return (
        f"{case}: {wrong.sum()} of {wrong.size} wrong; first at ({values}): "
        f"{got[k].item()!r} instead of {want[k].item()!r}"
    )


def assert_none(complaints: list[str]) -> None:
    found = [c for c in complaints if c]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("group", GROUPS)
def test_values(group: str) -> None:
    compiled, arrays, results = vectors(group)
    assert_none(
        [complaint(c, a, r) for c, a, r in zip(compiled.cases, arrays, results, strict=True)]
    )


@pytest.mark.parametrize("group", GROUPS)
def test_every_element_has_its_bits_at_every_place(group: str) -> None:
    """Lengths around the vector widths, any offset, any stride: each element as in the whole."""
    compiled, arrays, results = vectors(group)
    shortest = min(r.size for r in results)

    def check(cut: slice) -> None:
        got = compiled([[a[cut] for a in case] for case in arrays])
        for case, g, r in zip(compiled.cases, got, results, strict=True):
            assert same_bits(g, r[cut]), f"{case} at {cut}"

    for n in range(0, 41):
        check(slice(0, n))
        start = (n * 7919 + 1) % (shortest - 41)
        check(slice(start, start + n))
    check(slice(None, None, 2))
    check(slice(None, None, -1))
    check(slice(-2, 3, -3))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(
    "patterns",
    [
        pytest.param(((),), id="scalars"),
        pytest.param(((False, False), (True, False), (False, True)), id="matrix-row-column"),
        pytest.param(((False, True), (False, False), ()), id="column-matrix-scalar"),
    ],
)
def test_other_ranks(group: str, patterns: tuple[tuple[bool, ...], ...]) -> None:
    """0-d and broadcast operands give what the same elements give in a vector."""
    cases = [c for c in GROUPS[group] if set(c.dtypes) <= {*EVERYDAY, "bool"}]
    compiled = Compiled(cases, patterns) if cases else None
    if compiled is None:
        assert group.startswith("plain-")  # groups of one narrow dtype
        return
    on_vectors, all_arrays, _ = vectors(group)
    places = [on_vectors.cases.index(c) for c in cases]

    def shaped(column: np.ndarray, k: int, n: int, m: int) -> np.ndarray:
        pattern = patterns[k % len(patterns)]
        dims = [1 if b else length for b, length in zip(pattern, (n, m), strict=False)]
        return np.resize(column, dims)

    for n, m in ((17, 5), (1, 40), (3, 0), (0, 2)):
        arrays = [[shaped(a[13:], k, n, m) for k, a in enumerate(all_arrays[p])] for p in places]
        flat = [[a.ravel() for a in np.broadcast_arrays(*case)] for case in arrays]
        shapes = [np.broadcast_shapes(*(a.shape for a in case)) for case in arrays]
        full: list[Any] = [[c[:0] for c in case] for case in all_arrays]
        for p, case in zip(places, flat, strict=True):
            full[p] = case
        want = on_vectors(full)
        got = compiled(arrays)
        for case, p, g, shape in zip(cases, places, got, shapes, strict=True):
            assert same_bits(g, want[p].reshape(shape)), f"{case} with shape {shape}"


def test_the_comparison_notices_a_wrong_result() -> None:
    """One ulp in an exact function, more than its bound in another, a wrong sign of zero."""
    exact = Case(FUNCTIONS["sqr"], ("float64",))
    arrays = operands(exact)
    right = expected(exact, arrays)
    assert not complaint(exact, arrays, right)
    wrong = right.copy()
    k = int(np.flatnonzero(right == 2.25)[0])
    wrong[k] = np.nextafter(wrong[k], 3)
    assert "2.2500000000000004 instead of 2.25" in complaint(exact, arrays, wrong)
    wrong = np.where(right == 0, -0.0, right)
    assert "-0.0 instead of 0.0" in complaint(exact, arrays, wrong)
    inexact = Case(FUNCTIONS["exp"], ("float32",))
    arrays = operands(inexact)
    right = expected(inexact, arrays)
    down = np.nextafter(right, np.float32(0))
    assert not complaint(inexact, arrays, np.where(np.isfinite(right), down, right))
    wrong = right.copy()
    wrong[k := int(np.flatnonzero(right == 1)[0])] += np.float32(4 * 2.0**-23)
    assert "1.0000004768371582 instead of 1.0" in complaint(inexact, arrays, wrong)
    wrong = np.where(np.isinf(right), np.float32(np.finfo("float32").max), right)
    assert "instead of inf" in complaint(inexact, arrays, wrong)
