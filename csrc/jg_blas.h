/* The CBLAS that NumPy has loaded, and products with vectors through it, or plain loops where there
 * is none. Products of matrices are in jg_gemm.h, those of a matrix and a vector in jg_gemv.h.
 *
 * All matrices are C-contiguous; a transposed operand is stored as its transpose. The result is
 * always overwritten. Integers of the library are 64 or 32 bits wide (jg_blas.ilp64).
 */
#ifndef JG_BLAS_H
#define JG_BLAS_H

#include "jg_abi.h"

struct jg_blas {
    intptr_t gemm_f64, gemm_f32, gemv_f64, gemv_f32, dot_f64, dot_f32;
    int64_t ilp64;
    int64_t vector; /* bytes of the vectors of its products; 0: not known */
};

enum { JG_ROW_MAJOR = 101, JG_NO_TRANS = 111, JG_TRANS = 112 };

#define JG_BLAS_TYPES(t, T, I, w)                                                                  \
    typedef void (*jg_gemm_##t##_##w)(int, int, int, I, I, I, T, const T *, I, const T *, I, T,    \
                                      T *, I);                                                     \
    typedef void (*jg_gemv_##t##_##w)(int, int, I, I, T, const T *, I, const T *, I, T, T *, I);   \
    typedef T (*jg_dot_##t##_##w)(I, const T *, I, const T *, I);

JG_BLAS_TYPES(f32, float, int32_t, lp64)
JG_BLAS_TYPES(f32, float, int64_t, ilp64)
JG_BLAS_TYPES(f64, double, int32_t, lp64)
JG_BLAS_TYPES(f64, double, int64_t, ilp64)

static inline int jg_fits_i32(int64_t a, int64_t b, int64_t c)
{
    return a <= INT32_MAX && b <= INT32_MAX && c <= INT32_MAX;
}

/* y[m] = op(a)[m,k] . x[k];  y = alpha y + beta d, where d is not y, or NULL where nothing is added;
 * the sum of x[i] y[i]. */
#define JG_BLAS_CALLS(t, T)                                                                        \
    JG_CALLED __attribute__((cold)) void jg_library_gemv_##t(                                      \
        const jg_host *host, int ta, int64_t m, int64_t k, const T *a, const T *x, T *y)           \
    {                                                                                              \
        const int64_t rows = ta ? k : m, cols = ta ? m : k;                                        \
        const int side = ta ? JG_TRANS : JG_NO_TRANS;                                              \
        const intptr_t f = host->blas ? host->blas->gemv_##t : 0;                                  \
        if (m == 0)                                                                                \
            return;                                                                                \
        if (f && k > 0 && host->blas->ilp64) {                                                     \
            ((jg_gemv_##t##_ilp64)f)(JG_ROW_MAJOR, side, rows, cols, 1, a, jg_max(1, cols), x, 1,  \
                                     0, y, 1);                                                     \
            return;                                                                                \
        }                                                                                          \
        if (f && k > 0 && jg_fits_i32(m, k, 0)) {                                                  \
            ((jg_gemv_##t##_lp64)f)(JG_ROW_MAJOR, side, (int32_t)rows, (int32_t)cols, 1, a,        \
                                    (int32_t)jg_max(1, cols), x, 1, 0, y, 1);                      \
            return;                                                                                \
        }                                                                                          \
        for (int64_t i = 0; i < m; i++)                                                            \
            y[i] = 0;                                                                              \
        for (int64_t r = 0; r < rows; r++)                                                         \
            for (int64_t s = 0; s < cols; s++)                                                     \
                y[ta ? s : r] += a[r * cols + s] * x[ta ? r : s];                                  \
    }                                                                                              \
    static inline void jg_scale_add_##t(int64_t m, T alpha, T beta, const T *d, T *y)              \
    {                                                                                              \
        for (int64_t i = 0; i < m; i++)                                                            \
            y[i] = d ? alpha * y[i] + beta * d[i] : alpha * y[i];                                  \
    }                                                                                              \
    static inline T jg_dot_##t(const jg_host *host, int64_t k, const T *x, const T *y)             \
    {                                                                                              \
        const intptr_t f = host->blas ? host->blas->dot_##t : 0;                                   \
        if (f && host->blas->ilp64)                                                                \
            return ((jg_dot_##t##_ilp64)f)(k, x, 1, y, 1);                                         \
        if (f && jg_fits_i32(k, 0, 0))                                                             \
            return ((jg_dot_##t##_lp64)f)((int32_t)k, x, 1, y, 1);                                 \
        T total = 0;                                                                               \
        for (int64_t i = 0; i < k; i++)                                                            \
            total += x[i] * y[i];                                                                  \
        return total;                                                                              \
    }

JG_BLAS_CALLS(f32, float)
JG_BLAS_CALLS(f64, double)

#endif
