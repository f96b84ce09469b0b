/* Matrix products, c[m,n] = alpha op(a)[m,k] . op(b)[k,n] + beta c, of C-contiguous matrices.
 *
 * A transposed operand is stored as its transpose; where beta is 0, c is not read. Large products
 * go to the library (jg_blas.h), which copies both matrices into an order that suits it. Where one
 * length is small that takes longer than it saves, and the product is made here:
 *
 * c is made in tiles of 4 rows by 3 vectors, or 8 by 1 in narrow matrices, whose sums stay in
 * registers while k advances: an element of a is spread over a vector, a row of b is read where it
 * lies. Only where that is no row of whole vectors (b is transposed, the last columns do not fill
 * one) or rows are a power of two apart, so that few of them fit into a cache, JG_GEMM_DEPTH rows
 * of a tile's columns are copied first.
 *
 * Every element is summed in the order of k, in parts of JG_GEMM_DEPTH terms, by fused
 * multiply-adds where the machine has them: it depends on its row and its column alone, not on
 * their places or on the number of threads. Its error is at most (k + 3) eps in units of
 * |alpha| |a| . |b| + |beta| |c|. No term is left out, so nan and inf spread as in the plain sums.
 */
#ifndef JG_GEMM_H
#define JG_GEMM_H

#include <string.h>

#include "jg_blas.h"
#include "jg_pool.h"
#include "jg_vector.h"

enum {
    JG_GEMM_DEPTH = 128, /* rows of b in a part: those of a tile fit into a level 1 cache */
    JG_GEMM_GROUP = 48,  /* rows of c that are made with one copy of b */
    /* A product is made here where the least length or m n k is at most … */
#if defined(__x86_64__) && !defined(__AVX2__)
    JG_GEMM_SMALL = 0, /* the library asks the processor and has vectors twice as long */
    JG_GEMM_WORK = 1 << 12,
#else
    JG_GEMM_SMALL = 48,
    JG_GEMM_WORK = 1 << 22,
#endif
    JG_GEMM_LONG = 1024, /* … the latter for no length beyond this, as c is read once a part */
    JG_GEMM_NARROW = 64, /* … and rows of c have so many bytes */
};

/* What runs once a tile is compiled with fewer optimisations, in half the time. */
#if !defined(__clang__)
#pragma GCC push_options
#pragma GCC optimize("O1", "expensive-optimizations", "fp-contract=fast")
#endif

#define JG_GEMM_TYPES(t, T)                                                                        \
    enum { JG_PANEL_##t = 3 * JG_LANES_##t };                                                      \
    /* The strides are those of op(a) and op(b), in elements. */                                   \
    typedef struct {                                                                               \
        int64_t m, n, k, a_row, a_col, b_row, b_col;                                               \
        T alpha, beta;                                                                             \
        const T *a, *b;                                                                            \
        T *c;                                                                                      \
    } jg_gemm_task_##t;                                                                            \
    static void jg_tile_1_##t(const jg_gemm_task_##t *g, int64_t k, const T *a, int64_t rows,      \
                              const T *b, int64_t b_row, T beta, T *restrict c, int64_t c_row);    \
    static void jg_tile_3_##t(const jg_gemm_task_##t *g, int64_t k, const T *a, int64_t rows,      \
                              const T *b, int64_t b_row, T beta, T *restrict c, int64_t c_row);    \
    static void jg_transpose_##t(const T *b, int64_t b_row, int64_t k, T *restrict to,             \
                                 int64_t to_row);

/* c = part + beta c, where a tile does not lie in c as a whole. */
#define JG_GEMM_PUT(t, T)                                                                          \
    static __attribute__((noinline)) void jg_put_##t(const T *part, int64_t width, T beta, T *c,   \
                                                     int64_t c_row, int64_t rows, int64_t cols)    \
    {                                                                                              \
        JG_CONTRACT                                                                                \
        for (int64_t r = 0; r < rows; r++, c += c_row, part += width)                              \
            for (int64_t j = 0; j < cols; j++)                                                     \
                c[j] = beta != 0 ? part[j] + beta * c[j] : part[j];                                \
    }

/* Copies of k rows of b, `cols` columns each and zeros up to `width`. */
#define JG_GEMM_PACK(t, T)                                                                         \
    static __attribute__((noinline)) void jg_pack_##t(const T *b, int64_t b_row, int64_t b_col,    \
                                                      int64_t k, int64_t cols, int64_t width,      \
                                                      T *restrict to)                              \
    {                                                                                              \
        int64_t done = 0;                                                                          \
        if (b_row == 1)                                                                            \
            for (; done + JG_LANES_##t <= cols; done += JG_LANES_##t)                              \
                jg_transpose_##t(b + done * b_col, b_col, k, to + done, width);                    \
        for (int64_t p = 0; p < k; p++, b += b_row, to += width) {                                 \
            if (b_col == 1)                                                                        \
                memcpy(to, b, (uint64_t)cols * sizeof(T));                                         \
            else                                                                                   \
                for (int64_t j = done; j < cols; j++)                                              \
                    to[j] = b[j * b_col];                                                          \
            memset(to + cols, 0, (uint64_t)(width - cols) * sizeof(T));                            \
        }                                                                                          \
    }

/* A group of rows by a panel of up to 3 vectors of columns, with all of k. */
#define JG_GEMM_PANEL(t, T)                                                                        \
    static void jg_panel_##t(const jg_gemm_task_##t *g, int64_t i0, int64_t j0)                    \
    {                                                                                              \
        enum { L = JG_LANES_##t };                                                                 \
        const int64_t end = jg_min(g->m, i0 + JG_GEMM_GROUP), cols = jg_min(3 * L, g->n - j0);     \
        const int64_t vectors = (cols + L - 1) / L, width = vectors * L;                           \
        const int collide = g->m > 8 && g->b_row * (int64_t)sizeof(T) % 1024 == 0;                 \
        const int copied = g->b_col != 1 || cols < width || collide;                               \
        T copy[JG_GEMM_DEPTH * 3 * L] __attribute__((aligned(64)));                                \
        for (int64_t p = 0; p < g->k; p += JG_GEMM_DEPTH) {                                        \
            const int64_t depth = jg_min(JG_GEMM_DEPTH, g->k - p);                                 \
            const T beta = p ? 1 : g->beta, *b = g->b + p * g->b_row + j0 * g->b_col;              \
            if (copied)                                                                            \
                jg_pack_##t(b, g->b_row, g->b_col, depth, cols, width, copy);                      \
            const T *const from = copied ? copy : b;                                               \
            const int64_t b_row = copied ? width : g->b_row, step = vectors == 3 ? 4 : 8;          \
            for (int64_t i = i0; i < end; i += step) {                                             \
                const T *const a = g->a + i * g->a_row + p * g->a_col;                             \
                const int64_t rows = jg_min(step, end - i);                                        \
                const int whole = rows == step && cols == width;                                   \
                T part[16 * L] __attribute__((aligned(64)));                                       \
                T *const c = g->c + i * g->n + j0, *const to = whole ? c : part;                   \
                const int64_t to_row = whole ? g->n : width;                                       \
                if (vectors == 3)                                                                  \
                    jg_tile_3_##t(g, depth, a, rows, from, b_row, whole ? beta : 0, to, to_row);   \
                for (int64_t j = 0; vectors < 3 && j < width; j += L)                              \
                    jg_tile_1_##t(g, depth, a, rows, from + j, b_row, whole ? beta : 0, to + j,    \
                                  to_row);                                                         \
                if (!whole)                                                                        \
                    jg_put_##t(part, width, beta, c, g->n, rows, cols);                            \
            }                                                                                      \
        }                                                                                          \
    }                                                                                              \
    static void jg_panels_##t(void *arg, int64_t begin, int64_t end)                               \
    {                                                                                              \
        const jg_gemm_task_##t *const g = arg;                                                     \
        const int64_t across = (g->n + JG_PANEL_##t - 1) / JG_PANEL_##t;                           \
        for (int64_t at = begin; at < end; at++)                                                   \
            jg_panel_##t(g, at / across * JG_GEMM_GROUP, at % across * JG_PANEL_##t);              \
    }

/* Whether a product is made here sooner than by the library. One thread of a Zen 5 with AVX-512,
 * against OpenBLAS 0.3 with AVX2: in 1/3 to 2/3 of its time; with AVX2 here too, in 1/2 to 1.1. */
static inline int jg_is_small(int64_t m, int64_t n, int64_t k, int64_t size)
{
    const int64_t least = jg_min(m, jg_min(n, k)), most = jg_max(m, jg_max(n, k));
    return n * size >= JG_GEMM_NARROW &&
           (least <= JG_GEMM_SMALL || (most <= JG_GEMM_LONG && m * n * k <= JG_GEMM_WORK));
}

#define JG_GEMM(t, T)                                                                              \
    static inline void jg_gemm_here_##t(const jg_host *host, int ta, int tb, int64_t m,            \
                                           int64_t n, int64_t k, T alpha, const T *a, const T *b,  \
                                           T beta, T *c)                                           \
    {                                                                                              \
        jg_gemm_task_##t g = {m, n, k, ta ? 1 : k, ta ? m : 1, tb ? 1 : n, tb ? k : 1,             \
                            alpha, beta, a, b, c};                                                 \
        const int64_t across = (n + JG_PANEL_##t - 1) / JG_PANEL_##t;                              \
        const int64_t down = (m + JG_GEMM_GROUP - 1) / JG_GEMM_GROUP;                              \
        /* 16 multiplications take the time of an element of the loops that parallel_min is for. */\
        const int64_t each = jg_min(m, JG_GEMM_GROUP) * JG_PANEL_##t * k / 16;                     \
        jg_parallel_for(host->pool, across * down, 1, 1 + host->parallel_min / jg_max(1, each),    \
                        jg_panels_##t, &g);                                                        \
    }                                                                                              \
    static inline void jg_gemm_##t(const jg_host *host, int ta, int tb, int64_t m, int64_t n,      \
                                   int64_t k, T alpha, const T *a, const T *b, T beta, T *c)       \
    {                                                                                              \
        const intptr_t f = host->blas ? host->blas->gemm_##t : 0;                                  \
        const int64_t lda = jg_max(1, ta ? m : k), ldb = jg_max(1, tb ? k : n);                    \
        const int left = ta ? JG_TRANS : JG_NO_TRANS, right = tb ? JG_TRANS : JG_NO_TRANS;         \
        if (k == 0)                                                                                \
            for (int64_t i = 0; i < m * n; i++)                                                    \
                c[i] = beta != 0 ? beta * c[i] : 0;                                                \
        else if (m == 0 || n == 0)                                                                 \
            return;                                                                                \
        else if (!f || jg_is_small(m, n, k, sizeof(T)))                                            \
            jg_gemm_here_##t(host, ta, tb, m, n, k, alpha, a, b, beta, c);                         \
        else if (host->blas->ilp64)                                                                \
            ((jg_gemm_##t##_ilp64)f)(JG_ROW_MAJOR, left, right, m, n, k, alpha, a, lda, b, ldb,    \
                                     beta, c, n);                                                  \
        else if (jg_fits_i32(m, n, k))                                                             \
            ((jg_gemm_##t##_lp64)f)(JG_ROW_MAJOR, left, right, (int32_t)m, (int32_t)n, (int32_t)k, \
                                    alpha, a, (int32_t)lda, b, (int32_t)ldb, beta, c, (int32_t)n); \
        else                                                                                       \
            jg_gemm_here_##t(host, ta, tb, m, n, k, alpha, a, b, beta, c);                         \
    }

/* A tile of R rows by V vectors: c = alpha a . b + beta c. Missing rows of a are read as copies of
 * the first. */
#define JG_GEMM_TILE(t, T, R, V)                                                                   \
    static __attribute__((noinline)) JG_WIDE void jg_tile_##V##_##t(                               \
        const jg_gemm_task_##t *g, int64_t k, const T *a, int64_t rows, const T *b, int64_t b_row, \
        T beta, T *restrict c, int64_t c_row)                                                      \
    {                                                                                              \
        JG_CONTRACT                                                                                \
        enum { L = JG_LANES_##t };                                                                 \
        const int64_t a_col = g->a_col;                                                            \
        int64_t row[R];                                                                            \
        jg_vector_##t sum[R][V]; /* an initialiser would be a loop over bytes */                   \
        for (int r = 0; r < R; r++) {                                                              \
            row[r] = (r < rows ? r : 0) * g->a_row;                                                \
            for (int v = 0; v < V; v++)                                                            \
                sum[r][v] = (jg_vector_##t){0};                                                    \
        }                                                                                          \
        for (int64_t p = 0; p < k; p++, a += a_col, b += b_row)                                    \
            for (int r = 0; r < R; r++)                                                            \
                for (int v = 0; v < V; v++)                                                        \
                    sum[r][v] += a[row[r]] * *(const jg_loose_##t *)(b + v * L);                   \
        for (int r = 0; r < R; r++, c += c_row)                                                    \
            for (int v = 0; v < V; v++) {                                                          \
                jg_loose_##t *const at = (jg_loose_##t *)(c + v * L);                              \
                sum[r][v] *= g->alpha;                                                             \
                if (beta != 0)                                                                     \
                    sum[r][v] += beta * *at;                                                       \
                *at = (jg_loose_##t)sum[r][v];                                                     \
            }                                                                                      \
    }

/* to[p,j] = b[j,p] for one vector of columns j, in squares of L x L: interleaving the first half of
 * the vectors with the second, log2 L times, transposes them. */
#define JG_GEMM_TRANSPOSE(t, T)                                                                    \
    static __attribute__((noinline)) JG_WIDE void jg_transpose_##t(                                \
        const T *b, int64_t b_row, int64_t k, T *restrict to, int64_t to_row)                      \
    {                                                                                              \
        enum { L = JG_LANES_##t, H = L / 2 };                                                      \
        int64_t p = 0;                                                                             \
        for (; JG_HAS_SHUFFLE && p + L <= k; p += L) {                                             \
            jg_vector_##t x[L], y[L];                                                              \
            for (int j = 0; j < L; j++)                                                            \
                x[j] = *(const jg_loose_##t *)(b + j * b_row + p);                                 \
            for (int round = 1; round < L; round *= 2) {                                           \
                for (int j = 0; j < H; j++) {                                                      \
                    y[2 * j] = JG_SHUFFLE(x[j], x[j + H], JG_LOW_##t);                             \
                    y[2 * j + 1] = JG_SHUFFLE(x[j], x[j + H], JG_HIGH_##t);                        \
                }                                                                                  \
                for (int j = 0; j < L; j++)                                                        \
                    x[j] = y[j];                                                                   \
            }                                                                                      \
            for (int j = 0; j < L; j++)                                                            \
                *(jg_loose_##t *)(to + (p + j) * to_row) = (jg_loose_##t)x[j];                     \
        }                                                                                          \
        for (; p < k; p++)                                                                         \
            for (int j = 0; j < L; j++)                                                            \
                to[p * to_row + j] = b[j * b_row + p];                                             \
    }

JG_GEMM_TYPES(f32, float)
JG_GEMM_TYPES(f64, double)
JG_GEMM_PUT(f32, float)
JG_GEMM_PUT(f64, double)
JG_GEMM_PACK(f32, float)
JG_GEMM_PACK(f64, double)
JG_GEMM_PANEL(f32, float)
JG_GEMM_PANEL(f64, double)
JG_GEMM(f32, float)
JG_GEMM(f64, double)

#if !defined(__clang__)
#pragma GCC pop_options
#endif

JG_FUSED_BEGIN
JG_GEMM_TILE(f32, float, 8, 1)
JG_GEMM_TILE(f32, float, 4, 3)
JG_GEMM_TILE(f64, double, 8, 1)
JG_GEMM_TILE(f64, double, 4, 3)
JG_GEMM_TRANSPOSE(f32, float)
JG_GEMM_TRANSPOSE(f64, double)
JG_FUSED_END

#endif
