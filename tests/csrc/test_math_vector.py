"""The loops vectorise, and a value has the same bits wherever it stands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from math_functions import MathFunction
from ulp import DEFAULT_CC, NUMPY, TABLE, Loops, all_loops, compile_loops, native_march, sample

STRAIGHT = [name for name, f in TABLE.items() if f.vectorises]
LEVELS = ["x86-64-v4", "x86-64-v3", "x86-64-v2"] if native_march().startswith("x86") else ["native"]


@pytest.fixture
def loops() -> Loops:
    return all_loops()


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("dtype", ["f64", "f32"])
def test_bits_do_not_depend_on_the_position(loops: Loops, name: str, dtype: str) -> None:
    """Vector body, shorter vector epilogue, scalar tail, a loop of one, any alignment."""
    f = TABLE[name]
    n = 1000 if f.vectorises else 40
    args = [a[:n] for a in sample(f, dtype, 40 * n, seed=5)]
    order = np.random.default_rng(1).permutation(args[0].size)
    args = [np.ascontiguousarray(a[order]) for a in args]
    whole = loops.call(name, dtype, *args)
    integer = np.int64 if dtype == "f64" else np.int32
    for start in (1, 3, 7):
        for length in (1, 2, 5, 13, 17, 30):
            shifted = [a[start : start + length] for a in args]
            out = np.empty(length + 1, NUMPY[dtype])[1:]
            loops.into(name, dtype, *shifted, out)
            assert np.array_equal(out.view(integer), whole[start : start + length].view(integer))
    one = np.concatenate(
        [loops.call(name, dtype, *[a[i : i + 1] for a in args]) for i in range(min(n, 200))]
    )
    assert np.array_equal(one.view(integer), whole[: one.size].view(integer))


@pytest.mark.skipif(DEFAULT_CC != "gcc", reason="the report of the vectoriser is gcc's own")
@pytest.mark.parametrize("march", LEVELS)
def test_gcc_vectorises_every_loop(tmp_path: Path, march: str) -> None:
    """gcc names the source line of each loop it vectorised; every loop must be named."""
    functions = [TABLE[name] for name in STRAIGHT]
    missing = []
    for dtype in ("f64", "f32"):
        text = vectorised_lines(functions, tmp_path / dtype, march, dtype)
        source = (tmp_path / dtype / "loops.c").read_text().splitlines()
        for number, line in enumerate(source, 1):
            if "for (int64_t i" in line and f"loops.c:{number}:" not in text:
                missing.append(line.strip())
    assert not missing


def vectorised_lines(functions: list[MathFunction], folder: Path, march: str, dtype: str) -> str:
    """What gcc says about the loops it vectorised, without running them."""
    folder.mkdir()
    extra = ["-fopt-info-vec-optimized", "-fno-ipa-icf"]  # equal loops are not made one
    report = compile_loops(functions, folder, march=march, dtypes=[dtype], extra=extra).log
    return "\n".join(line for line in report.splitlines() if "loop vectorized" in line)


@pytest.mark.skipif(shutil.which("objdump") is None, reason="objdump reads the undefined symbols")
def test_no_library_function_is_called() -> None:
    """No libm: the library needs no symbol but what the C runtime adds to each shared object."""
    library = all_loops().path
    table = subprocess.run(
        ["objdump", "-T", str(library)], capture_output=True, text=True, check=True
    ).stdout
    undefined = {line.split()[-1] for line in table.splitlines() if "*UND*" in line}
    assert undefined <= {
        "__cxa_finalize",
        "__gmon_start__",
        "_ITM_deregisterTMCloneTable",
        "_ITM_registerTMCloneTable",
        "memset",
        "memcpy",
    }
