"""The 50-digit oracle against another one (mpmath), and its measure of errors."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from jitgraph.bench.oracle import Examiner, Oracle, exact_sigmoid, sample

DTYPES = ("float64", "float32")
ULP = {"float64": (53, -1074), "float32": (24, -149)}


def with_mpmath(x: float) -> Any:
    with mpmath.workdps(400):  # 1 + exp(-x) must not swallow either term
        return 1 / (1 + mpmath.exp(-mpmath.mpf(x)))


def unit(exact: Any, dtype: str) -> Any:
    """The last place of the binade that holds `exact`."""
    precision, smallest = ULP[dtype]
    with mpmath.workdps(400):
        exponent = int(mpmath.floor(mpmath.log(exact, 2)))
        return mpmath.ldexp(1, max(exponent - precision + 1, smallest))


def some_points(dtype: str) -> np.ndarray:
    points, _ = sample(dtype)
    points = points[np.abs(points) < 800]
    return np.random.default_rng(3).choice(points, 300, replace=False)


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_have_49_right_digits(dtype: str) -> None:
    for x in some_points(dtype):
        got, expected = mpmath.mpf(0), with_mpmath(float(x))
        with mpmath.workdps(60):
            got = mpmath.mpf(str(exact_sigmoid(float(x))))
            assert abs(got / expected - 1) < mpmath.mpf(10) ** -49


@pytest.mark.parametrize("dtype", DTYPES)
def test_errors_are_those_of_exact_arithmetic(dtype: str) -> None:
    """Perturbed results, of every size down to subnormal ones.

    Errors are right to 1e-9 relative, unless they come near the 50th digit of the value.
    """
    x = some_points(dtype)
    rng = np.random.default_rng(4)
    with np.errstate(over="ignore"):
        y = (1 / (1 + np.exp(-x.astype(np.float64)))).astype(dtype)
    y = np.where(rng.random(x.size) < 0.5, np.nextafter(y, dtype_one(dtype)), y * dtype_two(dtype))
    absolute, ulp = Oracle(x).errors(y.astype(dtype))
    for k in range(x.size):
        expected = with_mpmath(float(x[k]))
        with mpmath.workdps(60):
            error = abs(mpmath.mpf(float(y[k])) - expected)
            in_ulp = min(error / unit(expected, dtype), mpmath.mpf(2) ** ULP[dtype][0])
            assert abs(mpmath.mpf(ulp[k]) - in_ulp) <= in_ulp * 1e-9 + 1e-30
            slack = expected * 1e-46 + mpmath.mpf(2) ** -1074  # and the last place of a result
            assert abs(mpmath.mpf(absolute[k]) - error) <= error * 1e-9 + slack


def dtype_one(dtype: str) -> Any:
    return np.ones((), dtype)


def dtype_two(dtype: str) -> Any:
    return np.asarray(1.75, dtype)


def test_units_at_the_ends_of_a_binade() -> None:
    # sigmoid(0) = 1/2, and just below 0 the result is in the binade below, with half the unit.
    x = np.array([0.0, -1e-10, -5e-324, 800.0, -800.0, -1.7e308])
    oracle = Oracle(x)
    unscaled = np.ldexp(oracle.ulp, -oracle.shift)
    assert unscaled.tolist() == [2.0**-53, 2.0**-54, 2.0**-54, 2.0**-53, 2.0**-1074, 2.0**-1074]
    # 800: the exact value is just below 1, so 1 itself is next to no error.
    absolute, ulp = oracle.errors(np.array([0.5, 0.5, 0.5, 1.0, 0.0, 0.0]))
    assert absolute.tolist() == pytest.approx([0, 2.5e-11, 1.25e-324, 0, 0, 0], rel=1e-9, abs=1e-60)
    assert ulp[[0, 3, 5]].tolist() == pytest.approx([0, 0, 0], abs=1e-300)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_wrong_last_digit_is_seen(dtype: str) -> None:
    """The tester tested: a result that is off by one unit has an error of 0.5 to 1.5 units."""
    examiner = Examiner(dtype)
    oracle = examiner.oracle
    nearest = np.array([float(exact_sigmoid(float(x))) for x in examiner.points]).astype(dtype)
    # (float32 is rounded twice, first to float64: half a unit and 2^-30.)
    assert oracle.errors(nearest)[1].max() <= 0.5 + 1e-8
    off = np.nextafter(nearest, np.asarray(2, dtype))
    errors = oracle.errors(off)[1]
    assert errors.min() >= 0.5 - 1e-8
    # The step up from 1, and from where a nearest value is the first of the next binade, is two
    # of the units below.
    assert errors.max() <= 2.5 + 1e-8
    wrong = examiner.examine(lambda x: off if x.size > 3 else np.array([0.5, 1, 0], dtype))
    assert wrong.max_ulp > 0.99
    assert not wrong.limits  # nan must give nan


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_sample_covers_every_region(dtype: str) -> None:
    points, uniform = sample(dtype)
    assert points.dtype == dtype
    assert 19_000 < points.size < 21_000
    assert np.isfinite(points).all()
    assert np.abs(points[:uniform]).max() <= 8
    info = np.finfo(dtype)
    assert {0.0, float(info.max), -float(info.max)} <= set(points.tolist())
    assert ((points != 0) & (np.abs(points) < info.tiny)).sum() > 100  # subnormal arguments
    oracle = Oracle(points)
    results = np.ldexp(oracle.hi, -oracle.shift)
    assert ((results > 0) & (results < info.tiny)).sum() > 500  # subnormal results
    assert (oracle.hi < np.ldexp(0.5, ULP[dtype][1] + oracle.shift)).sum() > 10  # rounded to 0
    for knot in (2.5, 3.4, 6.0):
        assert ((np.abs(points) - knot > 0) & (np.abs(points) < knot * (1 + 1e-5))).sum() >= 16
