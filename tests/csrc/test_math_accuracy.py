"""Every function of csrc/jg_*.h stays within its stated bound against MPFR or mpmath."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fast_functions import FAST
from ulp import (
    CSRC,
    DEFAULT_CC,
    TABLE,
    Loops,
    all_loops,
    compile_loops,
    long_run,
    measure,
    native_march,
    sample,
)

PRIMARY = ("exp", "log", "sigmoid", "softplus", "log1p", "expm1", "tanh")
FAST_NAMES = tuple(f"{name}_fast" for name in FAST)
COMPILERS = [cc for cc in ("gcc", "clang") if shutil.which(cc)] or [DEFAULT_CC]
LEVELS = ["x86-64-v2", "x86-64-v3"] if native_march().startswith("x86-64") else ["native"]


@pytest.fixture
def loops() -> Loops:
    return all_loops()


@pytest.mark.parametrize("dtype", ["f64", "f32"])
@pytest.mark.parametrize("name", TABLE)
def test_bound(loops: Loops, name: str, dtype: str) -> None:
    f = TABLE[name]
    points = sample(f, dtype, max(240, int(30_000 / f.cost)))
    worst = measure(f, loops, dtype, *points)
    assert worst.ulp <= f.bound(dtype), f"{name}_{dtype}: {worst}"


@pytest.mark.parametrize("cc", COMPILERS)
@pytest.mark.parametrize("march", LEVELS)
def test_bound_on_other_instruction_sets(tmp_path: Path, cc: str, march: str) -> None:
    """x86-64-v2 has no fused multiply-add: exact products are built from halves there."""
    others = (*FAST_NAMES, "erf", "exp2", "sinh", "cosh", "logaddexp", "sin", "atan2", "pow")
    functions = [TABLE[name] for name in (*PRIMARY, *others)]
    loops = compile_loops(functions, tmp_path, march=march, cc=cc)
    for f in functions:
        for dtype in ("f64", "f32"):
            worst = measure(f, loops, dtype, *sample(f, dtype, 2_000, seed=1))
            assert worst.ulp <= f.bound(dtype), f"{f.name}_{dtype}: {worst}"


def test_a_wrong_coefficient_is_noticed(tmp_path: Path) -> None:
    """The measurement itself: one coefficient of exp moved by 2^-44 of its value must fail."""
    right, wrong = "0x1.5555555555556p-3", "0x1.5555555555656p-3"
    include = tmp_path / "include"
    include.mkdir()
    for header in CSRC.glob("jg_*.h"):
        text = header.read_text()
        (include / header.name).write_text(text.replace(right, wrong))
    assert right in (CSRC / "jg_exp.h").read_text()
    f = TABLE["exp"]
    loops = compile_loops([f], tmp_path, include=include)
    assert measure(f, loops, "f64", *sample(f, "f64", 2_000)).ulp > 1.0


def test_measure_counts_ulp(loops: Loops) -> None:
    """A result moved by exactly three ULP is reported as three more or less."""
    from ulp import errors, truth

    f = TABLE["exp"]
    x = np.array([0.5, -3.0, -745.0, 700.0])
    y = loops.call("exp", "f64", x)
    moved = y + 3 * np.spacing(y)
    assert np.all(np.abs(errors(moved, truth(f, x), "f64") - 3) <= 1.0)


SLOW = pytest.mark.skipif(os.environ.get("JITGRAPH_SLOW") != "1", reason="JITGRAPH_SLOW=1 runs it")


@SLOW
@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, f in TABLE.items() if f.long_double])
def test_bound_ten_million_points(name: str) -> None:
    worst = long_run(TABLE[name], "f64", 10_000_000)
    assert worst.ulp <= TABLE[name].bound("f64"), str(worst)


@SLOW
@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, f in TABLE.items() if f.long_double])
def test_bound_every_float32(name: str) -> None:
    worst = long_run(TABLE[name], "f32", 0, exhaustive=True)
    assert worst.ulp <= TABLE[name].bound("f32"), str(worst)


@SLOW
@pytest.mark.slow
@pytest.mark.parametrize("script", ["exp", "log", "trig", "erf", "gamma", "fast"])
def test_coefficients_come_from_the_scripts(script: str) -> None:
    """Every number that a script prints stands in a header."""
    folder = CSRC / "coefficients"
    run = subprocess.run(
        [sys.executable, str(folder / f"{script}.py")], capture_output=True, text=True, check=True
    )
    number = re.compile(r"-?0x1(?:\.[0-9a-f]+)?p[+-]\d+")
    printed = {float.fromhex(x) for x in number.findall(run.stdout)}
    headers = "".join(path.read_text() for path in CSRC.glob("jg_*.h"))
    present = {float.fromhex(x) for x in number.findall(headers)}
    assert len(printed) >= 15
    assert printed <= present | {-x for x in present} | {0.5}  # 1/2 is written in decimal
