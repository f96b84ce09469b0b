"""The BLAS that NumPy has loaded, for compiled code to call.

The dynamic linker is asked for the symbol in NumPy's own extension module and what that
depends on, so the answer is the very library that `np.dot` uses: no second BLAS, no link
flag, no process started.
"""

from __future__ import annotations

import os
import sys
from typing import Any, NamedTuple

import numpy as np

from jitgraph.runtime._abi import ffi

# How builds of CBLAS spell their symbols: (prefix, suffix, integers are 64 bits wide).  The
# 64-bit ones come first: a library that has both names the 32-bit ones without a suffix.
SPELLINGS = (
    ("scipy_cblas_", "64_", True),  # the OpenBLAS inside NumPy's wheels
    ("cblas_", "64_", True),  # OpenBLAS with SYMBOLSUFFIX=64_
    ("cblas_", "_64", True),  # MKL, BLIS, the reference since 3.11
    ("cblas_", "$NEWLAPACK$ILP64", True),  # Accelerate since macOS 13.3
    ("scipy_cblas_", "", False),
    ("cblas_", "$NEWLAPACK", False),
    ("cblas_", "", False),
)
# The fields of jg_blas and the functions they hold.
FUNCTIONS = {
    "gemm_f64": "dgemm",
    "gemm_f32": "sgemm",
    "gemv_f64": "dgemv",
    "gemv_f32": "sgemv",
    "dot_f64": "ddot",
    "dot_f32": "sdot",
}
_VENDORS = (
    ("openblas", "OpenBLAS"),
    ("mkl", "MKL"),
    ("accelerate", "Accelerate"),
    ("veclib", "Accelerate"),
    ("blis", "BLIS"),
    ("atlas", "ATLAS"),
    ("armpl", "ArmPL"),
)

# Bytes of the vectors in the products of OpenBLAS, by the processor that it has kernels for. It
# takes those of Haswell on AMD's processors with AVX-512.
_VECTORS = {
    "haswell": 32,
    "zen": 32,
    "sandybridge": 32,
    "skylakex": 64,
    "cooperlake": 64,
    "sapphirerapids": 64,
}

# <cblas.h>
_ROW_MAJOR, _NO_TRANS, _TRANS = 101, 111, 112


class BlasInfo(NamedTuple):
    """A BLAS that gave right answers.

    path:    the library that holds it
    vendor:  "OpenBLAS", "MKL", ..., or "BLAS"
    ilp64:   whether its integers are 64 bits wide (else 32)
    vector:  bytes of the vectors in its products, 0 if that is not known
    symbols: the name of each function, by field of jg_blas
    table:   the filled `jg_blas *`; alive as long as this object
    """

    path: str
    vendor: str
    ilp64: bool
    vector: int
    symbols: dict[str, str]
    table: Any


_found: list[BlasInfo | None] = []


def find_blas() -> BlasInfo | None:
    """Return the BLAS that NumPy calls, or None if there is none or it computes wrongly.

    Looked for at the first call, remembered after.  Never raises.
    """
    if not _found:
        _found.append(_search(_numpy_extension()))
    return _found[0]


def _numpy_extension() -> str:
    return str(sys.modules["numpy._core._multiarray_umath"].__file__)


def _search(path: str) -> BlasInfo | None:
    """Search the shared library at `path`, which must be loaded, and what it depends on."""
    linker = ffi.dlopen(None)
    # NOLOAD: a handle of the library that is there, or none; nothing is ever loaded.
    handle = linker.dlopen(os.fsencode(path), ffi.RTLD_NOW | ffi.RTLD_NOLOAD)
    if handle == ffi.NULL:
        return None
    for prefix, suffix, ilp64 in SPELLINGS:
        symbols = {field: f"{prefix}{name}{suffix}" for field, name in FUNCTIONS.items()}
        addresses = {
            field: linker.dlsym(handle, symbol.encode()) for field, symbol in symbols.items()
        }
        if all(address != ffi.NULL for address in addresses.values()):
            table = ffi.new("jg_blas *", {"ilp64": ilp64})
            for field, address in addresses.items():
                setattr(table, field, int(ffi.cast("intptr_t", address)))
            if is_right(table):
                name = f"{prefix.replace('cblas_', 'openblas_get_corename')}{suffix}"
                table.vector = _vector(linker.dlsym(handle, name.encode()))
                library = _library_of(linker, addresses["gemm_f64"])
                vendor = _vendor(library)
                return BlasInfo(library, vendor, ilp64, table.vector, symbols, table)
    return None


def _vector(address: Any) -> int:
    """Bytes of the vectors of OpenBLAS, whose function that names its kernels this is, or NULL."""
    if address == ffi.NULL:
        return 0
    name = ffi.cast("const char *(*)(void)", address)()
    return 0 if name == ffi.NULL else _VECTORS.get(ffi.string(name).decode().lower(), 0)


def _library_of(linker: Any, address: Any) -> str:
    info = ffi.new("jg_dl_info *")
    if linker.dladdr(address, info) == 0 or info.dli_fname == ffi.NULL:
        return "unknown"
    return os.path.realpath(os.fsdecode(ffi.string(info.dli_fname)))


def _vendor(path: str) -> str:
    name = (path if sys.platform == "darwin" else os.path.basename(path)).lower()
    return next((vendor for part, vendor in _VENDORS if part in name), "BLAS")


# --- checking --------------------------------------------------------------------------------


def is_right(table: Any) -> bool:
    """Tell whether the functions of a `jg_blas *` compute what NumPy computes.

    Every function is called once on small integers, for which the result is exact in any
    order of summation.  Leading dimensions exceed the rows, increments differ from 1 and one
    factor is transposed, so no argument can be misread unnoticed.  (The width of integers is
    known by the symbol's name only: small positive ones look alike in both.)
    """
    return all(
        _check_gemm(table, *kind) and _check_vectors(table, *kind)
        for kind in (
            ("f64", "double", np.dtype(np.float64)),
            ("f32", "float", np.dtype(np.float32)),
        )
    )


def _pointer(array: np.ndarray, real: str) -> Any:
    return ffi.cast(f"{real} *", array.__array_interface__["data"][0])


def _function(table: Any, field: str, result: str, arguments: str, real: str) -> Any:
    """Return the function in `field`; in `arguments`, e is an enum, n a size, r and p reals."""
    integer = "int64_t" if table.ilp64 else "int32_t"
    types = {"e": "int", "n": integer, "r": real, "p": f"{real} *"}
    signature = f"{result} (*)({', '.join(types[a] for a in arguments)})"
    return ffi.cast(signature, getattr(table, field))


def _check_gemm(table: Any, tag: str, real: str, dtype: np.dtype[Any]) -> bool:
    a = np.arange(15, dtype=dtype).reshape(3, 5)  # (3, 4) used
    b = np.arange(14, dtype=dtype).reshape(2, 7) - 6  # (2, 4) used, transposed
    c = np.full((3, 3), 9, dtype=dtype)  # (3, 2) used
    expected = c.copy()
    expected[:, :2] = 2 * np.einsum("ik,jk->ij", a[:, :4], b[:, :4]) + 3 * c[:, :2]
    gemm = _function(table, f"gemm_{tag}", "void", "eeennnrpnpnrpn", real)
    pa, pb, pc = (_pointer(array, real) for array in (a, b, c))
    gemm(_ROW_MAJOR, _NO_TRANS, _TRANS, 3, 2, 4, 2.0, pa, 5, pb, 7, 3.0, pc, 3)
    return bool(np.array_equal(c, expected))


def _check_vectors(table: Any, tag: str, real: str, dtype: np.dtype[Any]) -> bool:
    a = np.arange(12, dtype=dtype).reshape(3, 4)  # (3, 3) used
    x, y = np.arange(6, dtype=dtype), np.arange(3, dtype=dtype) + 1  # every other of x used
    pa, px, py = (_pointer(array, real) for array in (a, x, y))
    dot = _function(table, f"dot_{tag}", real, "npnpn", real)
    if dot(3, px, 2, py, 1) != (x[::2] * y).sum():
        return False
    result = np.ones(3, dtype=dtype)
    gemv = _function(table, f"gemv_{tag}", "void", "eennrpnpnrpn", real)
    pr = _pointer(result, real)
    gemv(_ROW_MAJOR, _TRANS, 3, 3, 2.0, pa, 4, px, 2, 1.0, pr, 1)
    return bool(np.array_equal(result, 2 * (a[:, :3] * x[::2, None]).sum(axis=0) + 1))
