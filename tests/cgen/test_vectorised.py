"""Loops that gcc computes a vector at a time: a branch, found or made by it, would prevent that."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import jitgraph
import jitgraph.tensor as T
from jitgraph.runtime.toolchain import csrc_directory, find_toolchain

toolchain = find_toolchain()
pytestmark = pytest.mark.skipif(
    toolchain.kind != "gcc", reason="only gcc names the loops that it vectorised"
)

FUNCTIONS = """exp expm1 log log1p cbrt sqrt sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh
arctanh erf erfc erfcx""".split()
PAIRS: dict[str, Callable[[Any, Any], Any]] = {"pow": lambda x, y: x**y, "arctan2": T.arctan2}


def vectorised(inputs: list[Any], result: Any, folder: Path) -> bool:
    """Whether the loop of an elementwise program is."""
    f = jitgraph.function(inputs, result, on_unused_input="ignore")
    (folder / "program.c").write_text(f.c_source)
    flags = [t for t in toolchain.flags if t != "-shared"]
    report = subprocess.run(
        [
            *(*toolchain.argv, *flags, "-fopt-info-vec-optimized", "-I", csrc_directory()),
            *("-c", "program.c", "-o", "program.o"),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
    ).stderr
    lines = [int(n) for n in re.findall(r"program\.c:(\d+):\d+: optimized: loop vector", report)]
    begin = next(k for k, t in enumerate(f.c_source.split("\n"), 1) if " k0_" in t)
    end = next(k for k, t in enumerate(f.c_source.split("\n"), 1) if t == "}" and k > begin)
    return any(begin < n < end for n in lines)


def test_what_is_not_is_told(tmp_path: Path) -> None:
    """Without vectors, none is reported."""
    x = T.dvector("x")
    assert vectorised([x], T.exp(x), tmp_path)
    global toolchain
    whole, toolchain = (
        toolchain,
        replace(toolchain, flags=(*toolchain.flags, "-fno-tree-vectorize")),
    )
    try:
        assert not vectorised([x], T.exp(x), tmp_path)
    finally:
        toolchain = whole


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_limited_values(name: str, dtype: str, tmp_path: Path) -> None:
    x = T.vector("x", dtype=dtype)
    limits = [T.constant(v, dtype=dtype) for v in (0.25, 0.75)]
    assert vectorised([x], getattr(T, name)(T.clip(x, *limits)), tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two_numbers_one_of_them_the_same(
    name: str, dtype: str, tmp_path: Path
) -> None:
    x, s, f = T.vector("x", dtype=dtype), T.scalar("s", dtype=dtype), PAIRS[name]
    for fixed in (s, *(T.constant(v, dtype=dtype) for v in (2.7, -1.5, 1 / 3))):
        assert vectorised([x, s], f(x, fixed), tmp_path)
        assert vectorised([x, s], f(fixed, x), tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_of_powers(dtype: str, tmp_path: Path) -> None:
    x = T.vector("x", dtype=dtype)
    loss = (abs(x) ** T.constant(2.5, dtype=dtype)).sum()
    assert vectorised([x], jitgraph.grad(loss, x), tmp_path)


def test_numbers_of_comparisons_are_not_converted() -> None:
    """Which gcc does vectorise, by way of bytes: fifteen times slower."""
    x = T.fvector("x")
    assert "jg_one_if_f32(" in jitgraph.function([x], (x > 0) * x).c_source
    assert "jg_one_if_f64(" in jitgraph.function([x], T.cast(x > 0, "float64")).c_source
