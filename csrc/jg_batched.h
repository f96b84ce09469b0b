/* Products in batches: z[i] = op(x[i]) . op(y[i]) of op(x)[batch,m,k], op(y)[batch,k,n] and
 * z[batch,m,n], all of them C-contiguous; matrices of a transposed operand are stored as their
 * transposes. Where m or n is 1 an operand is a vector.
 *
 * Small products are divided among threads by their numbers. Large ones are made one after the
 * other, each of them divided among threads, here or by the library.
 */
#ifndef JG_BATCHED_H
#define JG_BATCHED_H

#include "jg_gemm.h"
#include "jg_gemv.h"

#define JG_BATCHED(t, T)                                                                           \
    typedef struct {                                                                               \
        const jg_host *host;                                                                       \
        int tx, ty;                                                                                \
        int64_t m, n, k;                                                                           \
        const T *x, *y;                                                                            \
        T *z;                                                                                      \
    } jg_batch_##t;                                                                                \
    static void jg_batch_range_##t(void *arg, int64_t begin, int64_t end)                          \
    {                                                                                              \
        const jg_batch_##t *const g = arg;                                                         \
        const int64_t m = g->m, n = g->n, k = g->k;                                                \
        for (int64_t i = begin; i < end; i++) {                                                    \
            const T *const x = g->x + i * m * k, *const y = g->y + i * k * n;                      \
            T *const z = g->z + i * m * n;                                                         \
            if (m == 1 && n == 1)                                                                  \
                z[0] = jg_dot_##t(g->host, k, x, y);                                               \
            else if (n == 1)                                                                       \
                jg_small_gemv_##t(g->host, g->tx, m, k, x, y, z);                                  \
            else if (m == 1)                                                                       \
                jg_small_gemv_##t(g->host, !g->ty, n, k, y, x, z);                                 \
            else                                                                                   \
                jg_gemm_##t(g->host, g->tx, g->ty, m, n, k, 1, x, y, 0, 0, z);                     \
        }                                                                                          \
    }                                                                                              \
    static inline void jg_batched_dot_##t(const jg_host *host, int tx, int ty, int64_t batch,      \
                                          int64_t m, int64_t n, int64_t k, const T *x,             \
                                          const T *y, T *z)                                        \
    {                                                                                              \
        jg_batch_##t g = {host, tx, ty, m, n, k, x, y, z};                                         \
        const int64_t each = 1 + m * n * k / 16;                                                   \
        const int small = m == 1 || n == 1 || jg_is_sooner(host, m, n, k, sizeof(T));              \
        if (small && each < host->parallel_min)                                                    \
            jg_parallel_for(host->pool, batch, 1, 1 + host->parallel_min / each,                   \
                            jg_batch_range_##t, &g);                                               \
        else                                                                                       \
            jg_batch_range_##t(&g, 0, batch);                                                      \
    }

JG_BATCHED(f32, float)
JG_BATCHED(f64, double)

#endif
