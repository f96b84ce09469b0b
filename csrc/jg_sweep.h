/* Two products with one matrix, which is read once: y[m] = a[m,k] . x[k], whatever makes e[m] of y row
 * by row, and z[k] = a^T . e. So are the steps of regressions, of power iteration, of conjugate gradients.
 *
 * A tile of rows is multiplied with x, its elements of e are made, and it is added to z while it is
 * still in the first cache: the second product costs half as much as reading the matrix once more
 * from the third cache, and next to nothing where it comes from memory. What a tile adds to a vector
 * of z depends on the tile alone, so the results are the same for any number of threads, and for any
 * alignment. The error of y is that of jg_gemv.h, that of z at most (m / 8 + 12) eps in units of
 * |a^T| . |e|.
 */
#ifndef JG_SWEEP_H
#define JG_SWEEP_H

#include <string.h>

#include "jg_gemv.h"

enum {
    JG_SWEEP_TILE = 1 << 15,  /* bytes of a tile: most of them stay in a first cache of 32 or 48 KiB */
    JG_SWEEP_ROWS = 8,        /* which are added to z at a time, and the fewest of a tile … */
    JG_SWEEP_MOST = 64,       /* … and the most */
    JG_SWEEP_LEAST = 1 << 19, /* bytes of a matrix from which on it is worth it … */
    JG_SWEEP_WIDEST = 1 << 19, /* … and of eight rows up to which it is: a second cache has more */
    JG_SWEEP_BAND = 1 << 18,  /* elements of a thread's share, at least */
    JG_SWEEP_BANDS = 64
};

/* What makes e of y: a loop over the rows, as jg_parallel_for is told of it. */
typedef struct {
    jg_range body; /* 0: nothing, e is y */
    void *args;
    int64_t n, align, least;
    int64_t each; /* rows of an iteration: 1, or those of a tile */
} jg_rowwise;

/* Rows of a tile; 0: the products are made one after the other. */
static inline int64_t jg_sweep_tile(int64_t m, int64_t k, int64_t item)
{
    if (JG_GEMV_SHORT || jg_min(m, k) < JG_GEMV_NARROW || m * k * item < JG_SWEEP_LEAST ||
        JG_SWEEP_ROWS * k * item > JG_SWEEP_WIDEST)
        return 0;
    const int64_t rows = JG_SWEEP_TILE / (k * item) / JG_SWEEP_ROWS * JG_SWEEP_ROWS;
    return jg_min(jg_max(rows, JG_SWEEP_ROWS), JG_SWEEP_MOST);
}

/* How many arrays of k elements are needed beside z: one for each band of rows but the first. */
static inline int64_t jg_sweep_parts(int64_t m, int64_t k, int64_t item)
{
    if (!jg_sweep_tile(m, k, item))
        return 0;
    const int64_t bands = jg_min(m * k / JG_SWEEP_BAND, jg_min(m / 64, JG_SWEEP_BANDS));
    return jg_max(bands, 1) - 1;
}

JG_BRIEF_BEGIN

/* z[at] plus the products of eight rows, the sums of even and of odd ones apart. Each product is added
 * to something: of two that are added to each other a compiler may fuse either. */
#define JG_SWEEP_TERM(sum, r, type, at) sum += e[r] * *(const type *)(a + r * k + at);
#define JG_SWEEP_ADD(type, at)                                                                     \
    do {                                                                                           \
        type even = *(const type *)(z + at), odd = {0};                                            \
        JG_SWEEP_TERM(even, 0, type, at)                                                           \
        JG_SWEEP_TERM(odd, 1, type, at)                                                            \
        JG_SWEEP_TERM(even, 2, type, at)                                                           \
        JG_SWEEP_TERM(odd, 3, type, at)                                                            \
        JG_SWEEP_TERM(even, 4, type, at)                                                           \
        JG_SWEEP_TERM(odd, 5, type, at)                                                            \
        JG_SWEEP_TERM(even, 6, type, at)                                                           \
        JG_SWEEP_TERM(odd, 7, type, at)                                                            \
        *(type *)(z + at) = even + odd;                                                            \
    } while (0)

/* Where all rows have the same alignment, vectors begin where those of `a` do: one that straddles two
 * lines of the cache takes twice as long. */
#define JG_SWEEP(t, T)                                                                             \
    typedef struct {                                                                               \
        jg_gemv_job_##t first;                                                                     \
        jg_rowwise rows;                                                                           \
        const T *e;                                                                                \
        T *z, *parts;                                                                              \
        int64_t tile, band; /* rows */                                                             \
    } jg_sweep_job_##t;                                                                            \
    static JG_WIDE void jg_sweep_add_##t(int64_t rows, int64_t k, const T *restrict a,             \
                                         const T *restrict e, T *restrict z)                       \
    {                                                                                              \
        JG_CONTRACT                                                                                \
        enum { L = JG_LANES_##t };                                                                 \
        const int alike = k * (int64_t)sizeof(T) % JG_VECTOR_BYTES == 0;                           \
        const int64_t head = alike ? (int64_t)(-(uintptr_t)a % JG_VECTOR_BYTES / sizeof(T)) : 0;   \
        int64_t i = 0;                                                                             \
        for (; i + JG_SWEEP_ROWS <= rows; i += JG_SWEEP_ROWS) {                                    \
            int64_t j = 0;                                                                         \
            for (; j < head; j++)                                                                  \
                JG_SWEEP_ADD(T, j);                                                                \
            for (; j + L <= k; j += L)                                                             \
                JG_SWEEP_ADD(jg_loose_##t, j);                                                     \
            for (; j < k; j++)                                                                     \
                JG_SWEEP_ADD(T, j);                                                                \
            a += JG_SWEEP_ROWS * k, e += JG_SWEEP_ROWS;                                            \
        }                                                                                          \
        for (; i < rows; i++, a += k, e++) {                                                       \
            int64_t j = 0;                                                                         \
            for (; j + L <= k; j += L)                                                             \
                *(jg_loose_##t *)(z + j) += e[0] * *(const jg_loose_##t *)(a + j);                 \
            for (; j < k; j++)                                                                     \
                z[j] += e[0] * a[j];                                                               \
        }                                                                                          \
    }                                                                                              \
    static void jg_sweep_bands_##t(void *arg, int64_t begin, int64_t end)                          \
    {                                                                                              \
        jg_sweep_job_##t *w = arg;                                                                 \
        const int64_t k = w->first.k;                                                              \
        for (int64_t b = begin; b < end; b++) {                                                    \
            const int64_t stop = jg_min((b + 1) * w->band, w->first.m);                            \
            T *z = b ? w->parts + (b - 1) * k : w->z;                                              \
            memset(z, 0, (size_t)k * sizeof(T));                                                   \
            for (int64_t i = b * w->band; i < stop; i += w->tile) {                                \
                const int64_t next = jg_min(i + w->tile, stop), each = w->rows.each;               \
                jg_large_rows_##t(&w->first, i, next);                                             \
                if (w->rows.body)                                                                  \
                    w->rows.body(w->rows.args, i / each, (next + each - 1) / each);                \
                jg_sweep_add_##t(next - i, k, w->first.a + i * k, w->e + i, z);                    \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    static inline void jg_sweep_##t(const jg_host *host, int64_t m, int64_t k, const T *a,         \
                                    const T *x, T *y, jg_rowwise rows, const T *e, T *z, T *parts) \
    {                                                                                              \
        jg_sweep_job_##t w = {{m, k, a, x, y}, rows, e, z, parts, 0, 0};                           \
        w.tile = jg_sweep_tile(m, k, sizeof(T));                                                   \
        if (!w.tile) {                                                                             \
            jg_gemv_##t(host, 0, m, k, a, x, y);                                                   \
            if (rows.body)                                                                         \
                jg_parallel_for(host->pool, rows.n, rows.align, rows.least, rows.body, rows.args); \
            jg_gemv_##t(host, 1, k, m, a, e, z);                                                   \
            return;                                                                                \
        }                                                                                          \
        const int64_t bands = jg_sweep_parts(m, k, sizeof(T)) + 1;                                 \
        w.band = ((m + w.tile - 1) / w.tile + bands - 1) / bands * w.tile;                         \
        jg_parallel_for(host->pool, bands, 1, 2, jg_sweep_bands_##t, &w);                          \
        const T one = 1;                                                                           \
        for (int64_t b = 0; b < bands - 1; b++)                                                    \
            jg_sweep_add_##t(1, k, parts + b * k, &one, z);                                        \
    }

JG_SWEEP(f32, float)
JG_SWEEP(f64, double)
JG_BRIEF_END

#endif
