"""The loops of the suite `loops` as a C programmer writes them: what a compiled loop is held to.

Compiled by the compiler of compiled functions with -O3 -march=native, which lets it fuse
multiplications and additions. The matrix is transposed first, so that the products of a step are
vector instructions without sums across a vector, and sizes are constants. tanh is that of the C
library; a second peer has the one of its vector library (glibc from 2.35, errors of up to 4 units
of the last place).
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import os
import tempfile
from typing import Any

import numpy as np

from jitgraph.errors import CompileError
from jitgraph.runtime.toolchain import compile_shared, default_toolchain

from . import loops
from . import workloads as wl
from .case import Case, UnsupportedError

FLAGS = ("-O3", "-march=native", "-std=gnu11", "-shared", "-fPIC")
VECTOR_LIBRARY = ("-DVECTOR_TANH", "-fopenmp-simd", "-fno-math-errno", "-lmvec")

SOURCE = r"""
#include <stdint.h>
#ifdef VECTOR_TANH
#pragma omp declare simd notinbranch
extern double tanh(double) __attribute__((const));
#pragma omp declare simd notinbranch
extern float tanhf(float) __attribute__((const));
#else
double tanh(double);
float tanhf(float);
#endif

static inline real squash(real x)
{
    return sizeof(real) == 8 ? (real)tanh((double)x) : (real)tanhf((float)x);
}

/* out = A^T v for A[N][N]: four columns at a time, sums in registers. */
static inline void product(const real *restrict A, const real *restrict v, real *restrict out)
{
    real s[4][N] = {{0}};
    for (int j = 0; j < N; j += 4)
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < N; i++)
                s[k][i] += A[(j + k) * N + i] * v[j + k];
    for (int i = 0; i < N; i++)
        out[i] = (s[0][i] + s[1][i]) + (s[2][i] + s[3][i]);
}

void rnn(int64_t n, const real *restrict x, const real *restrict h0, const real *restrict W,
         real *restrict h)
{
    real T[N * N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++)
            T[j * N + i] = W[i * N + j];
    const real *before = h0;
    for (int64_t t = 0; t < n; t++) {
        real z[N];
        product(T, before, z);
#ifdef VECTOR_TANH
#pragma omp simd
#endif
        for (int i = 0; i < N; i++)
            h[t * N + i] = squash(z[i] + x[t * N + i]);
        before = h + t * N;
    }
}

/* h: room for the trace. */
void rnn_gradient(int64_t n, const real *restrict x, const real *restrict h0,
                  const real *restrict W, real *restrict h, real *restrict dx,
                  real *restrict dh0, real *restrict dW)
{
    real back[N] = {0};
    rnn(n, x, h0, W, h);
    for (int k = 0; k < N * N; k++)
        dW[k] = 0;
    for (int64_t t = n - 1; t >= 0; t--) {
        const real *before = t ? h + (t - 1) * N : h0;
        real d[N];
        for (int i = 0; i < N; i++) {
            real v = h[t * N + i];
            dx[t * N + i] = d[i] = (2 * v + back[i]) * (1 - v * v);
        }
        product(W, d, back);
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                dW[i * N + j] += d[i] * before[j];
    }
    for (int i = 0; i < N; i++)
        dh0[i] = back[i];
}

void ar1(int64_t n, const real *restrict e, const real *restrict y0, const real *restrict a,
         real *restrict y)
{
    real last = *y0, factor = *a;
    for (int64_t t = 0; t < n; t++)
        y[t] = last = factor * last + e[t];
}

/* y: room for the trace. */
void ar1_gradient(int64_t n, const real *restrict e, const real *restrict y0,
                  const real *restrict a, real *restrict y, real *restrict de,
                  real *restrict dy0, real *restrict da)
{
    real factor = *a, d = 0, sum = 0;
    ar1(n, e, y0, a, y);
    for (int64_t t = n - 1; t >= 0; t--) {
        de[t] = d = 2 * y[t] + factor * d;
        sum += d * (t ? y[t - 1] : *y0);
    }
    *dy0 = factor * d;
    *da = sum;
}
"""


def version() -> str:
    """The compiler."""
    return os.path.basename(default_toolchain().argv[0])


@functools.cache
def _library(dtype: str, vector: bool) -> Any:
    defines = (f"-Dreal={'double' if dtype == 'float64' else 'float'}", f"-DN={loops.HIDDEN}")
    flags = (*FLAGS, *defines, *(VECTOR_LIBRARY if vector else ()))
    toolchain = dataclasses.replace(default_toolchain(), flags=flags)
    with tempfile.TemporaryDirectory(prefix="jitgraph-bench-") as directory:
        path = os.path.join(directory, "loops.so")
        with open(path, "wb") as file:
            file.write(compile_shared(toolchain, SOURCE, directory))
        return ctypes.CDLL(path)


def make(w: wl.Workload, inputs: wl.Inputs, variant: str, vector: bool = False) -> Case:
    """The case of a workload: loops into memory that is there already."""
    if w.program not in loops.EXACT or variant != "default":
        raise UnsupportedError("written by hand are the loops alone")
    values = [np.ascontiguousarray(v) for v in inputs.values()]
    out = [np.empty_like(values[0])]
    if w.program.endswith(loops.GRADIENT):  # the trace, and the gradients
        out += [np.empty_like(v) for v in inputs.values()]
    function = getattr(_library(w.dtype, vector), w.program)
    function.restype = None
    arrays = (*values, *out)  # the call keeps them alive
    length = ctypes.c_int64(len(values[0]))
    pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays]

    def call() -> Any:
        function(length, *pointers)
        return arrays

    return Case(call, lambda _: out[1:] or out)


def make_vector(w: wl.Workload, inputs: wl.Inputs, variant: str) -> Case:
    """The same with the vector library's tanh."""
    if not w.program.startswith("rnn"):
        raise UnsupportedError("nothing but numbers")
    try:
        return make(w, inputs, variant, True)
    except (CompileError, OSError):  # it cannot be linked, or not be loaded
        raise UnsupportedError("no vector library") from None
