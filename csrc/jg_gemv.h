/* Products of a matrix and a vector: y[m] = op(a)[m,k] . x[k]; a transposed operand is stored as its
 * transpose. The order of the additions depends on k alone, so the result is the same for any number
 * of threads, which share the elements of y.
 *
 * Small ones, as the steps of a loop make them, take less time than a call of the library. Where rows
 * of a are multiplied with x, as many rows as a vector has lanes are summed at once, lane by lane,
 * and the sums of all lanes are made for all of them together. Where they are added to y, one, two or
 * four vectors of y stay in registers while k advances, the sums of even and of odd terms apart. The
 * error is at most (k / 2 + 5) eps in units of |a| . |x|.
 *
 * Large ones take four fifths of the library's time on one thread (400 x 784 float64: 24 and 30 us),
 * and are shared among the threads of the pool where that is worth waking them; the library was not
 * seen to use a second one. Their kernels are short, because every function with such a product
 * compiles them. The error is at most (k / 2 + 16) eps.
 */
#ifndef JG_GEMV_H
#define JG_GEMV_H

#include <string.h>

#include "jg_blas.h"
#include "jg_pool.h"
#include "jg_vector.h"

/* Elements of a matrix up to which the library takes longer; whether its vectors are twice as long. */
#if defined(__x86_64__) && !defined(__AVX2__)
enum { JG_GEMV_SMALL = 256, JG_GEMV_SHORT = 1 };
#else
enum { JG_GEMV_SMALL = 8192, JG_GEMV_SHORT = 0 };
#endif
enum {
    JG_GEMV_NARROW = 64, /* m and k from which a product is a large one */
    JG_GEMV_SHARED = 16  /* elements that take as long as one of a loop: 2^19 are some 40 us of work */
};

JG_FUSED_BEGIN

/* Of 2 n vectors n, each with half the sums of two of them. */
#define JG_GEMV_FOLD(t, n)                                                                         \
    for (int r = 0; n < L && r < n; r++)                                                           \
        sum[r] = JG_SHUFFLE(sum[r], sum[(r + n) % L], JG_LOW_##t) +                                \
                 JG_SHUFFLE(sum[r], sum[(r + n) % L], JG_HIGH_##t);

/* y = a . x for k >= L: what a vector reads of a row beyond the last whole one is masked, not
 * multiplied by 0, which would make nan of inf. Missing rows are read as copies of the first. */
#define JG_GEMV_ROWS(t, T)                                                                         \
    static __attribute__((noinline)) JG_WIDE void jg_gemv_rows_##t(int64_t m, int64_t k,           \
                                                                   const T *a, const T *x, T *y)   \
    {                                                                                              \
        JG_CONTRACT                                                                                \
        enum { L = JG_LANES_##t };                                                                 \
        const int64_t whole = k - k % L;                                                           \
        jg_mask_##t mask;                                                                          \
        for (int l = 0; l < L; l++)                                                                \
            mask[l] = -(l >= L - k % L);                                                           \
        for (int64_t i = 0; i < m; i += L, a += L * k) {                                           \
            jg_vector_##t sum[L];                                                                  \
            int64_t row[L];                                                                        \
            for (int r = 0; r < L; r++) {                                                          \
                row[r] = (i + r < m ? r : 0) * k;                                                  \
                sum[r] = (jg_vector_##t){0};                                                       \
            }                                                                                      \
            for (int64_t p = 0; p < whole; p += L)                                                 \
                for (int r = 0; r < L; r++)                                                        \
                    sum[r] += *(const jg_loose_##t *)(a + row[r] + p) *                            \
                              *(const jg_loose_##t *)(x + p);                                      \
            if (whole < k) {                                                                       \
                const jg_mask_##t last = (jg_mask_##t)*(const jg_loose_##t *)(x + k - L) & mask;   \
                for (int r = 0; r < L; r++) {                                                      \
                    const jg_loose_##t end = *(const jg_loose_##t *)(a + row[r] + k - L);          \
                    sum[r] += (jg_vector_##t)((jg_mask_##t)end & mask) * (jg_vector_##t)last;      \
                }                                                                                  \
            }                                                                                      \
            JG_GEMV_FOLD(t, 8)                                                                     \
            JG_GEMV_FOLD(t, 4)                                                                     \
            JG_GEMV_FOLD(t, 2)                                                                     \
            JG_GEMV_FOLD(t, 1)                                                                     \
            T part[L];                                                                             \
            *(jg_loose_##t *)(i + L <= m ? y + i : part) = (jg_loose_##t)sum[0];                   \
            for (int64_t r = i; i + L > m && r < m; r++)                                           \
                y[r] = part[r - i];                                                                \
        }                                                                                          \
    }

/* V vectors of y = a^T . x, where rows of a are `row` elements apart. */
#define JG_GEMV_SPAN(name, t, T, V)                                                                \
    static inline JG_WIDE void jg_##name##_##t(int64_t row, int64_t k, const T *a, const T *x,     \
                                               T *y)                                               \
    {                                                                                              \
        JG_CONTRACT                                                                                \
        enum { L = JG_LANES_##t };                                                                 \
        jg_vector_##t sum[2][V];                                                                   \
        JG_UNROLL for (int v = 0; v < V; v++)                                                      \
            sum[0][v] = sum[1][v] = (jg_vector_##t){0};                                            \
        for (int64_t p = 0; p + 2 <= k; p += 2)                                                    \
            JG_UNROLL for (int h = 0; h < 2; h++)                                                  \
                JG_UNROLL for (int v = 0; v < V; v++)                                              \
                    sum[h][v] += x[p + h] * *(const jg_loose_##t *)(a + (p + h) * row + v * L);    \
        for (int64_t p = k - k % 2; p < k; p++)                                                    \
            JG_UNROLL for (int v = 0; v < V; v++)                                                  \
                sum[0][v] += x[p] * *(const jg_loose_##t *)(a + p * row + v * L);                  \
        JG_UNROLL for (int v = 0; v < V; v++)                                                      \
            *(jg_loose_##t *)(y + v * L) = (jg_loose_##t)(sum[0][v] + sum[1][v]);                  \
    }

/* m >= L elements of y = a^T . x. The last vector may overlap the one before: its elements get the
 * same values once more. */
#define JG_GEMV_COLUMNS(t, T)                                                                      \
    static __attribute__((noinline)) JG_WIDE void jg_gemv_columns_##t(                             \
        int64_t m, int64_t k, const T *a, const T *x, T *restrict y)                               \
    {                                                                                              \
        enum { L = JG_LANES_##t };                                                                 \
        int64_t j = 0;                                                                             \
        for (; j + 4 * L <= m; j += 4 * L)                                                         \
            jg_gemv_span_4_##t(m, k, a + j, x, y + j);                                             \
        for (; j + 2 * L <= m; j += 2 * L)                                                         \
            jg_gemv_span_2_##t(m, k, a + j, x, y + j);                                             \
        for (; j < m; j += L) {                                                                    \
            const int64_t at = jg_min(j, m - L);                                                   \
            jg_gemv_span_1_##t(m, k, a + at, x, y + at);                                           \
        }                                                                                          \
    }

#define JG_SMALL_GEMV(t, T)                                                                        \
    static inline void jg_small_gemv_##t(const jg_host *host, int ta, int64_t m, int64_t k,        \
                                         const T *a, const T *x, T *y)                             \
    {                                                                                              \
        if (m * k > JG_GEMV_SMALL || (ta ? m : k) < JG_LANES_##t || !JG_HAS_SHUFFLE)               \
            jg_library_gemv_##t(host, ta, m, k, a, x, y);                                          \
        else if (ta)                                                                               \
            jg_gemv_columns_##t(m, k, a, x, y);                                                    \
        else                                                                                       \
            jg_gemv_rows_##t(m, k, a, x, y);                                                       \
    }

/* A thread's part of y: rows of a, four at a time, and columns, as many as four vectors hold. Where
 * there are not so many left, the last row stands in for the missing ones, and columns before are
 * computed once more. */
#define JG_LARGE_GEMV(t, T)                                                                        \
    typedef struct {                                                                               \
        int64_t m, k;                                                                              \
        const T *a, *x;                                                                            \
        T *y;                                                                                      \
    } jg_gemv_job_##t;                                                                             \
    static JG_WIDE void jg_large_rows_##t(void *arg, int64_t begin, int64_t end)                   \
    {                                                                                              \
        JG_CONTRACT                                                                                \
        enum { L = JG_LANES_##t };                                                                 \
        const jg_gemv_job_##t g = *(const jg_gemv_job_##t *)arg;                                   \
        for (int64_t i = begin; i < end; i += 4) {                                                 \
            const T *row[4];                                                                       \
            jg_vector_##t sum[4];                                                                  \
            int64_t p = 0;                                                                         \
            JG_UNROLL for (int r = 0; r < 4; r++)                                                  \
                row[r] = g.a + jg_min(i + r, end - 1) * g.k, sum[r] = (jg_vector_##t){0};          \
            for (; p + L <= g.k; p += L)                                                           \
                JG_UNROLL for (int r = 0; r < 4; r++)                                              \
                    sum[r] += *(const jg_loose_##t *)(row[r] + p) *                                \
                              *(const jg_loose_##t *)(g.x + p);                                    \
            JG_UNROLL for (int r = 0; r < 4; r++) {                                                \
                T total = 0;                                                                       \
                for (int64_t q = p; q < g.k; q++)                                                  \
                    total += row[r][q] * g.x[q];                                                   \
                JG_UNROLL for (int l = 0; l < L; l++)                                              \
                    total += sum[r][l];                                                            \
                if (i + r < end)                                                                   \
                    g.y[i + r] = total;                                                            \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void jg_large_columns_##t(void *arg, int64_t begin, int64_t end)                        \
    {                                                                                              \
        enum { L = JG_LANES_##t };                                                                 \
        const jg_gemv_job_##t g = *(const jg_gemv_job_##t *)arg;                                   \
        for (int64_t j = begin; j < end; j += 4 * L) {                                             \
            T part[4 * L];                                                                         \
            const int64_t from = jg_min(j, g.m - 4 * L);                                           \
            jg_large_span_##t(g.m, g.k, g.a + from, g.x, part);                                    \
            memcpy(g.y + j, part + (j - from), jg_min(4 * L, end - j) * sizeof(T));                \
        }                                                                                          \
    }                                                                                              \
    static inline void jg_gemv_##t(const jg_host *host, int ta, int64_t m, int64_t k, const T *a,  \
                                   const T *x, T *y)                                               \
    {                                                                                              \
        jg_gemv_job_##t g = {m, k, a, x, y};                                                       \
        if (JG_GEMV_SHORT || jg_min(m, k) < JG_GEMV_NARROW)                                        \
            jg_library_gemv_##t(host, ta, m, k, a, x, y);                                          \
        else                                                                                       \
            jg_parallel_for(host->pool, m, 64, 1 + JG_GEMV_SHARED * host->parallel_min / k,        \
                            ta ? jg_large_columns_##t : jg_large_rows_##t, &g);                    \
    }

JG_GEMV_ROWS(f32, float)
JG_GEMV_ROWS(f64, double)
JG_GEMV_SPAN(gemv_span_1, f32, float, 1)
JG_GEMV_SPAN(gemv_span_2, f32, float, 2)
JG_GEMV_SPAN(gemv_span_4, f32, float, 4)
JG_GEMV_SPAN(gemv_span_1, f64, double, 1)
JG_GEMV_SPAN(gemv_span_2, f64, double, 2)
JG_GEMV_SPAN(gemv_span_4, f64, double, 4)
JG_GEMV_COLUMNS(f32, float)
JG_GEMV_COLUMNS(f64, double)
JG_SMALL_GEMV(f32, float)
JG_SMALL_GEMV(f64, double)
JG_FUSED_END

JG_BRIEF_BEGIN /* with a span of its own: GCC does not inline across levels of optimisation */
JG_GEMV_SPAN(large_span, f32, float, 4)
JG_GEMV_SPAN(large_span, f64, double, 4)
JG_LARGE_GEMV(f32, float)
JG_LARGE_GEMV(f64, double)
JG_BRIEF_END

#endif
