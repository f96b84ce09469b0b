"""Integers at their ends: what plain C leaves undefined or kills the process for.

The oracle is Python's unbounded integers, wrapped to the dtype; NumPy must agree where it has a
result. Everything runs in a child process, because a wrong division ends in SIGFPE.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from values import boundary_values, random_values, same_bits

import jitgraph
import jitgraph.tensor as T
from jitgraph import dtypes
from jitgraph.graph import TensorType

INTEGERS = sorted(dtypes.INTEGERS)


def wrapped(value: int, dtype: str) -> int:
    """`value` modulo 2^bits, in the range of `dtype`."""
    info = np.iinfo(dtype)
    return (value - int(info.min)) % 2**info.bits + int(info.min)


def power(x: int, p: int) -> int:
    """x^p; the truncated quotient 1 / x^-p for a negative p, 0 for x = 0."""
    if p >= 0:
        return x**p
    return {1: 1, -1: -1 if p % 2 else 1}.get(x, 0)


BINARY: dict[str, tuple[Callable[[Any, Any], Any], Callable[[int, int], int]]] = {
    "//": (lambda x, y: x // y, lambda x, y: x // y if y else 0),
    "%": (lambda x, y: x % y, lambda x, y: x % y if y else 0),
    "+": (lambda x, y: x + y, lambda x, y: x + y),
    "-": (lambda x, y: x - y, lambda x, y: x - y),
    "*": (lambda x, y: x * y, lambda x, y: x * y),
}
UNARY: dict[str, tuple[Callable[[Any], Any], Callable[[int], int]]] = {
    "abs": (abs, abs),
    "neg": (lambda x: -x, lambda x: -x),
    "sqr": (T.sqr, lambda x: x * x),
    "~": (lambda x: ~x, lambda x: ~x),
    "sgn": (T.sgn, lambda x: (x > 0) - (x < 0)),
}


def variable(dtype: str, name: str) -> Any:
    return TensorType(dtype, (False,))(name)


def check_pairs(dtype: str) -> None:
    """All pairs of boundary values."""
    edges = boundary_values(dtype)
    a, b = (m.ravel() for m in np.meshgrid(edges, edges))
    x, y = variable(dtype, "x"), variable(dtype, "y")
    f = jitgraph.function([x, y], [build(x, y) for build, _ in BINARY.values()])
    for name, got in zip(BINARY, f(a, b), strict=True):
        exact = BINARY[name][1]
        want = [wrapped(exact(int(p), int(q)), dtype) for p, q in zip(a, b, strict=True)]
        assert got.dtype == dtype, name
        assert got.tolist() == want, f"{name} on {dtype}"
    g = jitgraph.function([x], [build(x) for build, _ in UNARY.values()])
    for name, got in zip(UNARY, g(edges), strict=True):
        want = [wrapped(UNARY[name][1](int(p)), dtype) for p in edges]
        assert got.tolist() == want, f"{name} on {dtype}"


def check_powers(dtype: str) -> None:
    low = -5 if dtype in dtypes.SIGNED else 0
    bases, exponents = boundary_values(dtype), np.arange(low, 9).astype(dtype)
    a, p = (m.ravel() for m in np.meshgrid(bases, exponents))
    x, y = variable(dtype, "x"), variable(dtype, "y")
    got = jitgraph.function([x, y], x**y)(a, p)
    want = [wrapped(power(int(u), int(v)), dtype) for u, v in zip(a, p, strict=True)]
    assert got.dtype == dtype
    assert got.tolist() == want


def check_casts(dtype: str) -> None:
    """To every other dtype: integers wrap, floats are rounded to nearest."""
    edges = np.concatenate(
        [boundary_values(dtype), random_values(dtype, 50, np.random.default_rng(1))]
    )
    x = variable(dtype, "x")
    f = jitgraph.function(
        [x], [x.astype(d) for d in INTEGERS] + [x.astype("float32"), x.astype("float64")]
    )
    results = f(edges)
    for target, got in zip(INTEGERS, results[:-2], strict=True):
        assert got.tolist() == [wrapped(int(v), target) for v in edges], f"{dtype} to {target}"
    for got in results[-2:]:
        assert got.tolist() == edges.astype(got.dtype).tolist()


def check_floats(dtype: str) -> None:
    """nan, infinities and values out of range become what NumPy's scalar code makes of them."""
    values = np.concatenate(
        [boundary_values(dtype), [300.0, -300.0, 70_000.0, 3e9, -3e9, 1e19, -1e19, 1.9e19, -0.9]]
    ).astype(dtype)
    x = variable(dtype, "x")
    f = jitgraph.function([x], [x.astype(d) for d in INTEGERS])
    for target, got in zip(INTEGERS, f(values), strict=True):
        with np.errstate(all="ignore"):
            # Strided, so that NumPy takes its scalar loop, which is the same for every length.
            want = np.repeat(values, 2)[::2].astype(target)
            inside = (values > np.iinfo(target).min - 1.0) & (values < np.iinfo(target).max + 1.0)
        assert got.tolist() == want.tolist(), f"{dtype} to {target}"
        cut = [int(v) for v in values[inside]]
        assert got[inside].tolist() == [wrapped(v, target) for v in cut], f"{dtype} to {target}"


def check_mixed() -> None:
    """uint64 with a signed partner is computed in float64, as in NumPy."""
    x, y = variable("uint64", "x"), variable("int64", "y")
    a, b = boundary_values("uint64"), boundary_values("int64")
    p, q = (m.ravel() for m in np.meshgrid(a, b))
    f = jitgraph.function([x, y], [x + y, x < y, x // y])
    with np.errstate(all="ignore"):
        wants = [p + q, p.astype("float64") < q.astype("float64"), p // q]
    for got, want in zip(f(p, q), wants, strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_array_equal(got, want)


CHECKS: dict[str, Callable[[], None]] = {
    **{f"pairs {d}": lambda d=d: check_pairs(d) for d in INTEGERS},
    **{f"powers {d}": lambda d=d: check_powers(d) for d in INTEGERS},
    **{f"casts {d}": lambda d=d: check_casts(d) for d in INTEGERS},
    **{f"floats {d}": lambda d=d: check_floats(d) for d in ("float32", "float64")},
    "mixed": check_mixed,
}


def run_all() -> None:
    """In the child: every check, the name of each first."""
    for name, check in CHECKS.items():
        print(name, flush=True)
        try:
            check()
        except AssertionError as error:
            print(f"wrong: {str(error)[:500]!r}", flush=True)
    print("end")


@pytest.fixture(scope="module")
def report() -> str:
    here = Path(__file__).parent
    search = f"{here}:{here.parent}:{Path(jitgraph.__file__).parents[1]}"
    done = subprocess.run(
        [sys.executable, "-c", "import test_integers; test_integers.run_all()"],
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-200:]} ended by {done.returncode}: {done.stderr}"
    return done.stdout


def test_clip_by_a_narrow_upper_bound() -> None:
    """x < 1 ? 1 : (x > y ? y : x) with y in {0, 1}, which an optimiser may take for a clamp."""
    x, y = variable("int64", "x"), TensorType("bool", (False,))("y")
    f = jitgraph.function([x, y], T.clip(x, 1, y))
    assert f([1, 1, 5, 5, 0, 0], [False, True, False, True, False, True]).tolist() == [
        0,
        1,
        0,
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("source", ["float32", "float64"])
@pytest.mark.parametrize("target", ["int32", "int64"])
def test_a_float_that_was_an_integer(source: str, target: str) -> None:
    """float(int(x)) is 0.0 for -0.5, and the wrapped number beyond the integers: no trunc(x)."""
    x = variable(source, "x")
    values = np.array([-0.5, 0.5, -0.0, -7.9, 3e9, -3e9, 1e19, np.nan, np.inf], source)
    f = jitgraph.function([x], [x.astype(target).astype(d) for d in ("float32", "float64")])
    with np.errstate(all="ignore"):
        whole = np.repeat(values, 2)[::2].astype(target)
    for got in f(values):
        assert same_bits(got, whole.astype(got.dtype))


def test_integers_are_rounded_to_float_once() -> None:
    """The conversion of integers that may come from floats, for integers that do not."""
    x, y = variable("float64", "x"), variable("int64", "y")
    rng = np.random.default_rng(3)
    halfway = (rng.integers(-(2**24), 2**24, 3000) * 2 + 1) * 2 ** rng.integers(28, 38, 3000)
    values = np.concatenate([halfway + d for d in (-2, -1, 0, 1, 2)])
    values = np.concatenate([values, random_values("int64", 3000, rng), boundary_values("int64")])
    chosen = T.switch(T.gt(x, 0), x.astype("int64"), y)
    f = jitgraph.function([x, y], [chosen.astype("float32"), chosen.astype("float64")])
    for got in f(np.full(len(values), -1.0), values):
        assert same_bits(got, values.astype(got.dtype))


def test_no_signal(report: str) -> None:
    assert report.endswith("end\n")


@pytest.mark.parametrize("name", CHECKS)
def test_values(name: str, report: str) -> None:
    lines = report.splitlines()
    following = lines[lines.index(name) + 1]
    assert not following.startswith("wrong"), following


def test_a_wrong_value_is_noticed() -> None:
    assert wrapped(128, "int8") == -128
    assert wrapped(-1, "uint16") == 65535
    assert power(-1, -3) == -1 and power(2, -1) == 0
    assert wrapped(-(2**31) // -1, "int32") == -(2**31)


# -- the state of the process ---------------------------------------------------------------------


def fp_state() -> tuple[Any, ...]:
    """Rounding mode, and whether subnormal numbers are kept."""
    import ctypes

    libc = ctypes.CDLL(None)
    tiny = np.array([5e-324])
    libm = libc if hasattr(libc, "fegetround") else ctypes.CDLL("libm.so.6")
    return libm.fegetround(), (tiny * 1.0)[0], (np.array([2.3e-308]) / 4)[0]


def test_the_process_is_left_as_it_was() -> None:
    import locale
    import signal

    def state() -> tuple[Any, ...]:
        handlers = [signal.getsignal(s) for s in (signal.SIGFPE, signal.SIGSEGV, signal.SIGINT)]
        return (
            fp_state(),
            handlers,
            signal.pthread_sigmask(signal.SIG_BLOCK, []),
            locale.setlocale(locale.LC_ALL),
            os.getcwd(),
            dict(os.environ),
        )

    x = T.vector("x")
    f = jitgraph.function(
        [x], [T.exp(x) * 4, T.log(x), (x / 3).sum(), T.nnet.softmax(x)], name="state"
    )
    before = state()
    g = jitgraph.function([x], [T.exp(x) * 5, T.log(x), (x / 3).sum()])
    for call in (f, g):
        call(np.array([1e-310, 5e-324, 1e308, -1.0, np.nan, np.inf]))
        call(np.full(200_000, 1e-310))
    after = state()
    # Where files are compiled is told to the children of this process only.
    assert after == before
    assert f(np.array([5e-324]))[2] == np.array([5e-324]) / 3
