"""Generator of `_abi.py`, the one cffi declaration that every kernel is loaded with.

Run `python src/jitgraph/runtime/_abi_build.py` after a change of `CDEF` and commit
both files.  The result is an out-of-line module in cffi's ABI mode: importing it needs
the compiled `_cffi_backend` only, neither `cffi` nor `pycparser`.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import tempfile
from pathlib import Path

MODULE = "jitgraph.runtime._abi"
TARGET = Path(__file__).with_name("_abi.py")

# Every word here is part of the ABI between Python and compiled kernels: `_abi.DIGEST` is
# part of the toolchain's identity, so entries made for another layout are never found.
CDEF = """
typedef struct {
    intptr_t gemm_f64, gemm_f32, gemv_f64, gemv_f32, dot_f64, dot_f32;
    int64_t ilp64;
    int64_t vector;
} jg_blas;

typedef struct {
    int64_t object_header;
    int64_t tuple_items;
    intptr_t ndarray_type;
    intptr_t descr[16];
    intptr_t pool;
    jg_blas *blas;
    int64_t parallel_min;
    int64_t stream_min;
    intptr_t strided;
    intptr_t float_type;
    intptr_t int_type;
    int64_t int_is_tagged;
    int64_t rounds_floats;
    intptr_t number_type[16];
} jg_host;

typedef struct {
    int64_t segment;
    const jg_host *host;
    const intptr_t *tuples;
    void *scratch;
    int64_t *info;
} jg_call;

int64_t jg_entry(int64_t segment, const jg_host *host, intptr_t args, intptr_t outs,
                 void *scratch, int64_t *info);
int64_t jg_run(const jg_call *call);
intptr_t jg_pool_new(int64_t threads);
void jg_pool_resize(intptr_t pool, int64_t threads);

/* The dynamic linker and the system, as far as the loader itself needs them. */
typedef struct {
    const char *dli_fname;
    void *dli_fbase;
    const char *dli_sname;
    void *dli_saddr;
} jg_dl_info;

void *dlopen(const char *path, int flags);
void *dlsym(void *handle, const char *name);
int dladdr(const void *address, jg_dl_info *info);
int sysctlbyname(const char *name, void *old, size_t *oldlen, void *new, size_t newlen);
"""


def generate() -> str:
    """Return the text of `_abi.py`; the same text for the same `CDEF` and cffi format."""
    import cffi

    ffi = cffi.FFI()
    ffi.cdef(CDEF)
    ffi.set_source(MODULE, None)
    with tempfile.TemporaryDirectory() as directory, contextlib.redirect_stdout(io.StringIO()):
        path = Path(directory) / "_abi.py"
        ffi.emit_python_code(str(path))
        text = path.read_text(encoding="ascii")
    return f"{text}\nDIGEST = '{hashlib.sha256(CDEF.encode()).hexdigest()}'\n"


if __name__ == "__main__":
    TARGET.write_text(generate(), encoding="ascii")
