"""Special values, and functions whose every result is exact."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from math_functions import MathFunction
from ulp import NUMPY, TABLE, Array, Loops, all_loops, compile_loops, errors, truth

ROUNDING = [
    MathFunction(name, "jg_round.h", lambda x: x, {})
    for name in ("floor", "ceil", "trunc", "rint", "round", "sqrt")
]
ULTRA_FAST = MathFunction("ultra_fast_sigmoid", "jg_sigmoid.h", lambda x: x, {})


@pytest.fixture
def loops() -> Loops:
    return all_loops()


def same_bits(a: Array, b: Array) -> Array:
    """Equal values, zeros with equal signs, any nan equal to any nan."""
    return (np.isnan(a) & np.isnan(b)) | ((a == b) & (np.signbit(a) == np.signbit(b)))


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("name", TABLE)
def test_special_values(loops: Loops, name: str, dtype: str) -> None:
    rows = np.array(TABLE[name].specials)
    with np.errstate(over="ignore", under="ignore"):
        narrow = rows[:, :-1].astype(NUMPY[dtype])
        changed = np.isinf(narrow) != np.isinf(rows[:, :-1])
        changed |= (narrow == 0) != (rows[:, :-1] == 0)
        kept = ~changed.any(axis=1)
        want = rows[kept, -1].astype(NUMPY[dtype])
    args = [np.ascontiguousarray(column) for column in narrow[kept].T]
    assert want.size >= 3
    got = loops.call(name, dtype, *args)
    bad = ~same_bits(got, want)
    assert not bad.any(), [(*(a[bad] for a in args), got[bad], want[bad])]


ODD = [
    "tanh",
    "cbrt",
    "sin",
    "tan",
    "asin",
    "atan",
    "sinh",
    "asinh",
    "atanh",
    "erf",
    "erfinv",
    "j1",
    "i1",
    "tanh_fast",
    "erf_fast",
]


@pytest.mark.parametrize("name", ODD)
def test_odd_functions_are_odd(loops: Loops, name: str) -> None:
    for dtype in ("f64", "f32"):
        x = np.concatenate([np.linspace(0, 0.999, 500), np.geomspace(1e-40, 1e30, 500)])
        x = x.astype(NUMPY[dtype])
        a, b = loops.call(name, dtype, x), loops.call(name, dtype, -x)
        assert same_bits(a, -b).all()


@pytest.mark.parametrize(
    "name",
    [
        "sin",
        "tan",
        "tanh",
        "expm1",
        "log1p",
        "asin",
        "atan",
        "sinh",
        "asinh",
        "atanh",
        "tanh_fast",
        "expm1_fast",
        "log1p_fast",
    ],
)
def test_subnormals_pass_unchanged(loops: Loops, name: str) -> None:
    for dtype in ("f64", "f32"):
        tiny = np.finfo(NUMPY[dtype]).smallest_subnormal
        x = tiny * np.array([1, -1, 3, 1001, -77777], NUMPY[dtype])
        assert np.array_equal(loops.call(name, dtype, x), x)


def test_sigmoid_saturates_where_the_format_does(loops: Loops) -> None:
    """At 0 to the last subnormal number; at 1 less than a unit in the last place too early."""
    x = np.array([37.08, 37.09, -745.0, -745.2, -800.0])
    assert loops.call("sigmoid", "f64", x).tolist() == [1 - 2.0**-53, 1.0, 5e-324, 0.0, 0.0]
    y = np.array([16.98, 16.99, -103.0, -104.1], np.float32)
    want = [1 - 2.0**-24, 1.0, 2.0**-149, 0.0]
    assert loops.call("sigmoid", "f32", y).tolist() == want


def test_overflow_thresholds(loops: Loops) -> None:
    """The last finite value and the first infinity."""
    last = math.log(np.finfo(np.float64).max)
    y = loops.call("exp", "f64", np.array([last, np.nextafter(last, 800)]))
    assert math.isfinite(y[0]) and math.isinf(y[1])
    y = loops.call("exp2", "f64", np.array([np.nextafter(1024, 0), 1024.0, -1074.0, -1075.0]))
    assert math.isfinite(y[0]) and y[1:].tolist() == [math.inf, 5e-324, 0.0]


def beyond(f: MathFunction, dtype: str) -> Array:
    """Points around the ends of the intervals and the ends of exponents, and of any bits at all."""
    rng = np.random.default_rng(len(f.name))
    ends = {end for interval in f.intervals[dtype] for end in interval if abs(end) < 2000}
    ends |= {88.0, -88.0, -103.0, 128.0, -149.0, 710.0, -710.0, -745.0, 1024.0, -1074.0}
    near = np.concatenate([end + np.linspace(-1.5, 1.5, 97) for end in sorted(ends)])
    unsigned, size = ("uint64", 2**64) if dtype == "f64" else ("uint32", 2**32)
    bits = rng.integers(0, size, 1500, dtype=unsigned).view(NUMPY[dtype])
    bits[np.isnan(bits)] = math.nan  # a signalling one would be noticed when it is cast
    return np.concatenate([near.astype(NUMPY[dtype]), bits])


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("name", [n for n, f in TABLE.items() if f.arity == 1 and f.long_double])
def test_bounds_hold_outside_the_intervals(loops: Loops, name: str, dtype: str) -> None:
    """No nan and no infinity but where the mathematics has one: the intervals end where it has."""
    f = TABLE[name]
    x = beyond(f, dtype)
    y = loops.call(name, dtype, x)
    error = errors(y, truth(f, x), dtype)
    bad = ~(error <= f.bound(dtype))
    assert not bad.any(), (x[bad][:5], y[bad][:5], error[bad][:5])


def values(dtype: str) -> Array:
    """Halves, neighbours of halves, the ends of the fraction, random floats of every exponent."""
    t = NUMPY[dtype]
    rng = np.random.default_rng(3)
    halves = np.arange(-40, 41).astype(t) / t(2)
    near = np.concatenate([np.nextafter(halves, t(np.inf)), np.nextafter(halves, -t(np.inf))])
    edge = t(2) ** np.arange(20, 60).astype(t)
    edges = np.concatenate([edge - t(0.5), edge + t(0.5), edge + t(1), -edge - t(0.5)])
    bits = (
        rng.integers(0, 2**32, 20_000, np.uint32).view(np.float32)
        if dtype == "f32"
        else (rng.integers(0, 2**64, 20_000, np.uint64).view(np.float64))
    )
    zeros = np.array([0.0, -0.0, np.inf, -np.inf, np.nan], t)
    return np.concatenate([halves, near, edges, bits.astype(t), zeros])


def half_away(x: Array) -> Array:
    whole = np.trunc(x)
    with np.errstate(invalid="ignore"):
        return np.copysign(np.abs(whole) + (np.abs(x - whole) >= 0.5), x)


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("march", [None, ""])
def test_rounding_is_exact(tmp_path: Path, dtype: str, march: str | None) -> None:
    """With the machine's instructions and with the compiler's default ones (SSE2 on x86-64)."""
    oracles: dict[str, Callable[[Array], Array]] = {
        "floor": np.floor,
        "ceil": np.ceil,
        "trunc": np.trunc,
        "rint": np.rint,
        "round": half_away,
        "sqrt": np.sqrt,
    }
    loops = compile_loops(ROUNDING, tmp_path, march=march, dtypes=[dtype])
    x = values(dtype)
    for name, oracle in oracles.items():
        with np.errstate(all="ignore"):
            want = oracle(x)
        got = loops.call(name, dtype, x)
        bad = ~same_bits(got, want)
        assert not bad.any(), (name, x[bad][:5], got[bad][:5], want[bad][:5])


def ultra_fast(x: float) -> float:
    """Theano's definition in Python floats, which are binary64."""
    h = 0.5 * x
    a = abs(h)
    if a < 1.7:
        t = 1.5 * a / (1.0 + a)
    elif a < 3.0:
        t = 0.935409070603099 + 0.0458812946797165 * (a - 1.7)
    else:
        t = 0.99505475368673
    return 0.5 * (math.copysign(t, h) + 1.0)


def test_ultra_fast_sigmoid(tmp_path: Path) -> None:
    loops = compile_loops([ULTRA_FAST], tmp_path)
    x = np.concatenate([np.linspace(-8, 8, 4001), [3.4, -3.4, 6.0, -6.0, 1e300, -1e300]])
    got = loops.call("ultra_fast_sigmoid", "f64", x)
    assert got.tolist() == [ultra_fast(v) for v in x.tolist()]
    ends = loops.call("ultra_fast_sigmoid", "f64", np.array([-np.inf, np.inf, np.nan]))
    assert ends[:2].tolist() == [0.00247262315663499, 0.997527376843365] and np.isnan(ends[2])
    ends = loops.call("ultra_fast_sigmoid", "f32", np.array([-np.inf, np.inf, np.nan]))
    assert ends[:2].tolist() == np.array([0.00247260928, 0.997527361], np.float32).tolist()
    assert np.isnan(ends[2])
