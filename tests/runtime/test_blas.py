"""Finding NumPy's BLAS, and not believing one that computes wrongly."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness import run_python

from jitgraph.runtime import blas
from jitgraph.runtime.blas import FUNCTIONS, find_blas, is_right
from jitgraph.runtime.toolchain import Toolchain

ffi = blas.ffi

# A CBLAS in its simplest form: row major; T the type, I the integer, N the name of a function.
CBLAS = """
#include <stdint.h>
void N(T, gemm)(int order, int ta, int tb, I m, I n, I k, R alpha, const R *a, I lda,
                const R *b, I ldb, R beta, R *c, I ldc)
{
    for (I i = 0; i < m; i++)
        for (I j = 0; j < n; j++) {
            R sum = 0;
            for (I p = 0; p < k; p++)
                sum += (ta == 112 ? a[p * lda + i] : a[i * lda + p]) *
                       (tb == 112 ? b[j * ldb + p] : b[p * ldb + j]);
            c[i * ldc + j] = alpha * sum + beta * c[i * ldc + j];
        }
}
void N(T, gemv)(int order, int ta, I m, I n, R alpha, const R *a, I lda, const R *x, I incx,
                R beta, R *y, I incy)
{
    for (I i = 0; i < (ta == 112 ? n : m); i++) {
        R sum = 0;
        for (I p = 0; p < (ta == 112 ? m : n); p++)
            sum += (ta == 112 ? a[p * lda + i] : a[i * lda + p]) * x[p * incx];
        y[i * incy] = alpha * sum + beta * y[i * incy];
    }
}
R N(T, dot)(I n, const R *x, I incx, const R *y, I incy)
{
    R sum = 0;
    for (I i = 0; i < n; i++)
        sum += x[i * incx] * y[i * incy];
    return sum;
}
"""


@pytest.fixture
def library(tmp_path: Path, toolchain: Toolchain) -> Callable[..., str]:
    """A function that builds and loads a CBLAS with the given spelling; it returns the path."""

    def make(
        prefix: str,
        suffix: str,
        integer: str,
        change: tuple[str, str] = ("", ""),
        drop: str = "",
        kernels: str = "",
    ) -> str:
        text = ""
        for letter, real in (("d", "double"), ("s", "float")):
            one = CBLAS.replace(*change) if change[0] and letter == "s" else CBLAS
            one = one.replace("R ", f"{real} ").replace("I ", f"{integer} ")
            for name in ("gemm", "gemv", "dot"):
                one = one.replace(f"N(T, {name})", f"{prefix}{letter}{name}{suffix}")
            text += one
        if drop:
            text = text.replace(drop, f"x{drop}")
        if kernels:
            name = f"{prefix.replace('cblas_', 'openblas_get_corename')}{suffix}"
            text += f'const char *{name}(void) {{ return "{kernels}"; }}\n'
        path = tmp_path / f"lib{prefix}blas{suffix}.so".replace("$", "-")
        (tmp_path / "blas.c").write_text(text)
        argv = [*toolchain.argv, "-shared", "-fPIC", "-O1", "-o", str(path)]
        subprocess.run([*argv, str(tmp_path / "blas.c")], check=True)
        loaded.append(ffi.dlopen(str(path), ffi.RTLD_NOW))
        return str(path)

    loaded: list[Any] = []
    return make


def test_numpys_own_blas_is_found() -> None:
    config: Any = np.show_config(mode="dicts")
    name = config["Build Dependencies"]["blas"]["name"]
    found = find_blas()
    if "blas" not in name and "mkl" not in name and "accelerate" not in name:
        assert found is None  # NumPy was built without
        return
    assert found is not None and find_blas() is found
    assert is_right(found.table)
    assert set(found.symbols) == set(FUNCTIONS)
    assert "64" in found.symbols["gemm_f64"] or not found.ilp64
    if "openblas" in name:
        assert found.vendor == "OpenBLAS"
        mapped = Path("/proc/self/maps")
        if mapped.exists():
            assert found.path in mapped.read_text()  # it is loaded, not loaded by us


def test_it_computes_numpys_product_bit_for_bit() -> None:
    found = find_blas()
    if found is None:
        return
    rng = np.random.default_rng(1)
    for dtype, field, real in (
        (np.float64, "gemm_f64", "double"),
        (np.float32, "gemm_f32", "float"),
    ):
        a = rng.standard_normal((67, 45)).astype(dtype)
        b = rng.standard_normal((45, 33)).astype(dtype)
        c = np.empty((67, 33), dtype)
        gemm = blas._function(found.table, field, "void", "eeennnrpnpnrpn", real)
        pa, pb, pc = (blas._pointer(x, real) for x in (a, b, c))
        gemm(101, 111, 111, 67, 33, 45, 1.0, pa, 45, pb, 33, 0.0, pc, 33)
        assert np.array_equal(c, a @ b)


@pytest.mark.parametrize(
    ("prefix", "suffix", "ilp64"),
    [spelling for spelling in blas.SPELLINGS],
    ids=["".join(spelling[:2]) for spelling in blas.SPELLINGS],
)
def test_every_spelling_is_found(
    prefix: str, suffix: str, ilp64: bool, library: Callable[..., str]
) -> None:
    path = library(prefix, suffix, "int64_t" if ilp64 else "int32_t", kernels="Haswell")
    found = blas._search(path)
    assert found is not None
    assert (found.path, found.ilp64) == (os.path.realpath(path), ilp64)
    assert found.vector == found.table.vector == 32
    assert found.symbols["dot_f32"] == f"{prefix}sdot{suffix}"


@pytest.mark.parametrize(("kernels", "vector"), [("", 0), ("SkylakeX", 64), ("another", 0)])
def test_the_length_of_its_vectors_may_be_unknown(
    kernels: str, vector: int, library: Callable[..., str]
) -> None:
    found = blas._search(library("cblas_", "64_", "int64_t", kernels=kernels))
    assert found is not None and found.vector == vector


@pytest.mark.parametrize(
    "change",
    [
        ("sum += (ta", "sum += 2 * (ta"),  # gemm
        ("b[j * ldb + p]", "b[p * ldb + j]"),  # gemm that ignores the transposition
        ("+ beta * c[i * ldc + j]", ""),  # gemm without accumulation
        ("a[p * lda + i] : a[i * lda + p]) * x", "a[i * lda + p] : a[p * lda + i]) * x"),  # gemv
        ("x[p * incx]", "x[p]"),  # gemv without increments
        ("sum += x[i * incx] *", "sum += x[i] *"),  # dot without increments
        ("+ beta * y[i * incy]", ""),  # gemv without accumulation
    ],
)
def test_a_wrong_blas_is_not_believed(change: tuple[str, str], library: Callable[..., str]) -> None:
    assert change[0] in CBLAS
    assert blas._search(library("cblas_", "", "int32_t", change)) is None


def test_an_incomplete_blas_is_not_used(library: Callable[..., str]) -> None:
    assert blas._search(library("cblas_", "", "int32_t", drop="cblas_sdot")) is None


def test_no_blas_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert blas._search(str(tmp_path / "absent.so")) is None
    monkeypatch.setattr(blas, "_found", [])
    monkeypatch.setattr(blas, "_numpy_extension", lambda: str(tmp_path / "absent.so"))
    assert find_blas() is None and blas._found == [None]


@pytest.mark.parametrize(
    ("path", "vendor"),
    [
        ("/x/libscipy_openblas64_-32a4b2a6.so", "OpenBLAS"),
        ("/x/libopenblasp-r0.3.21.so", "OpenBLAS"),
        ("/x/libmkl_rt.so.2", "MKL"),
        ("/x/libblis.so.4", "BLIS"),
        ("/x/libblas.so.3.11.0", "BLAS"),
        ("/openblas/libcblas.so.3", "BLAS"),
    ],
)
def test_vendors(path: str, vendor: str) -> None:
    assert blas._vendor(path) == vendor


def test_the_search_starts_no_process_and_loads_nothing() -> None:
    run_python(
        "import sys\n"
        "import numpy\n"
        "from jitgraph.runtime import blas\n"
        "def mapped():\n"
        "    return {line.split()[-1] for line in open('/proc/self/maps') if '.so' in line}\n"
        "before = mapped()\n"
        "events = []\n"
        "sys.addaudithook(lambda event, args: events.append(event))\n"
        "blas.find_blas()\n"
        "assert not [e for e in events if 'subprocess' in e or 'fork' in e], events\n"
        "assert mapped() == before"
    )
