/* Matrix products, c[m,n] = alpha op(a)[m,k] . op(b)[k,n] + beta d, of C-contiguous matrices.
 *
 * A transposed operand is stored as its transpose. d may be c; where it is NULL nothing is added.
 * All terms count, whatever the factors are: 0 nan is nan. Large products go to the library
 * (jg_blas.h), which copies both matrices into an order that suits it; it adds to c, in which
 * beta d is put before, and leaves out the product for alpha = 0, so that this is not asked of it.
 * Where one length is small the library takes longer than it saves, and where its vectors are
 * shorter than those here it is slower; then the product is made here:
 *
 * c is made in tiles of 4 rows by 3 vectors, or 8 by 1 in narrow matrices, whose sums stay in
 * registers while k advances: an element of a is spread over a vector, a row of b is read where it
 * lies. Only where that is no row of whole vectors (b is transposed, the last columns do not fill
 * one) or rows are a multiple of 512 bytes apart, so that few of them fit into a cache,
 * JG_GEMM_DEPTH rows of a tile's columns are copied first.
 *
 * Every element is summed in the order of k, in parts of JG_GEMM_DEPTH terms, by fused
 * multiply-adds where the machine has them: it depends on its row and its column alone, not on
 * their places or on the number of threads. Its error is at most (k + 3) eps in units of
 * |alpha| |a| . |b| + |beta| |d|. No term is left out, so nan and inf spread as in the plain sums.
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

/* Each function is called from one place, so that it is compiled once. */
JG_BRIEF_BEGIN

#define JG_GEMM_TYPES(t, T)                                                                        \
    enum { JG_PANEL_##t = 3 * JG_LANES_##t };                                                      \
    /* The strides are those of op(a) and op(b), in elements. */                                   \
    typedef struct {                                                                               \
        int64_t m, n, k, a_row, a_col, b_row, b_col;                                               \
        T alpha, beta;                                                                             \
        const T *a, *b, *d;                                                                        \
        T *c;                                                                                      \
    } jg_gemm_task_##t;                                                                            \
    static void jg_tile_1_##t(const jg_gemm_task_##t *g, int64_t k, const T *a, int64_t rows,      \
                              const T *b, int64_t b_row, T beta, const T *d, T *c, int64_t c_row); \
    static void jg_tile_3_##t(const jg_gemm_task_##t *g, int64_t k, const T *a, int64_t rows,      \
                              const T *b, int64_t b_row, T beta, const T *d, T *c, int64_t c_row); \
    static void jg_transpose_##t(const T *b, int64_t b_row, int64_t k, T *restrict to,             \
                                 int64_t to_row);

/* c = part + beta d, where a tile does not lie in c as a whole. */
#define JG_GEMM_PUT(t, T)                                                                          \
    static __attribute__((noinline)) void jg_put_##t(const T *part, int64_t width, T beta,         \
                                                     const T *d, T *c, int64_t c_row,              \
                                                     int64_t rows, int64_t cols)                   \
    {                                                                                              \
        JG_CONTRACT                                                                                \
        for (int64_t r = 0; r < rows; r++, c += c_row, part += width)                              \
            for (int64_t j = 0; j < cols; j++)                                                     \
                c[j] = d ? part[j] + beta * d[r * c_row + j] : part[j];                            \
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
            if (b_col == 1 && cols == JG_PANEL_##t)                                                \
                memcpy(to, b, JG_PANEL_##t * sizeof(T)); /* of a known length: three vectors */    \
            else if (b_col == 1)                                                                   \
                memcpy(to, b, (uint64_t)cols * sizeof(T));                                         \
            else                                                                                   \
                for (int64_t j = done; j < cols; j++)                                              \
                    to[j] = b[j * b_col];                                                          \
            memset(to + cols, 0, (uint64_t)(width - cols) * sizeof(T));                            \
        }                                                                                          \
    }

/* JG_GEMM_DEPTH terms of a group of rows of c and a panel of up to 3 vectors of its columns: those
 * from p on. `group` has the rows of op(a), with the strides that stand in g. */
#define JG_GEMM_PANEL(t, T)                                                                        \
    static void jg_panel_##t(const jg_gemm_task_##t *g, const T *group, int64_t i0, int64_t j0,    \
                             int64_t p)                                                            \
    {                                                                                              \
        enum { L = JG_LANES_##t };                                                                 \
        const int64_t end = jg_min(g->m, i0 + JG_GEMM_GROUP), cols = jg_min(3 * L, g->n - j0);     \
        const int64_t vectors = (cols + L - 1) / L, width = vectors * L;                           \
        const int collide = g->m > 8 && g->b_row * (int64_t)sizeof(T) % 512 == 0;                  \
        const int copied = g->b_col != 1 || cols < width || collide;                               \
        const int64_t depth = jg_min(JG_GEMM_DEPTH, g->k - p);                                     \
        const T beta = p ? 1 : g->beta, *b = g->b + p * g->b_row + j0 * g->b_col;                  \
        const T *const added = p ? g->c : g->d;                                                    \
        T copy[JG_GEMM_DEPTH * 3 * L] __attribute__((aligned(64)));                                \
        if (copied)                                                                                \
            jg_pack_##t(b, g->b_row, g->b_col, depth, cols, width, copy);                          \
        const T *const from = copied ? copy : b;                                                   \
        const int64_t b_row = copied ? width : g->b_row, step = vectors == 3 ? 4 : 8;              \
        for (int64_t i = i0; i < end; i += step) {                                                 \
            const T *const a = group + (i - i0) * g->a_row;                                        \
            const int64_t rows = jg_min(step, end - i), at = i * g->n + j0;                        \
            const int whole = rows == step && cols == width;                                       \
            T part[16 * L] __attribute__((aligned(64)));                                           \
            T *const to = whole ? g->c + at : part;                                                \
            const T *const d = added ? added + at : 0, *const now = whole ? d : 0;                 \
            const int64_t to_row = whole ? g->n : width;                                           \
            if (vectors == 3)                                                                      \
                jg_tile_3_##t(g, depth, a, rows, from, b_row, beta, now, to, to_row);              \
            for (int64_t j = 0; vectors < 3 && j < width; j += L)                                  \
                jg_tile_1_##t(g, depth, a, rows, from + j, b_row, beta, now ? now + j : 0, to + j, \
                              to_row);                                                             \
            if (!whole)                                                                            \
                jg_put_##t(part, width, beta, d, g->c + at, g->n, rows, cols);                     \
        }                                                                                          \
    }                                                                                              \
    /* Panels [first, last) of a group of rows, with all of k. Columns of a that lie far apart are \
     * copied, once for all panels: a tile would touch as many pages as it has terms. */           \
    static void jg_group_##t(const jg_gemm_task_##t *whole, int64_t i0, int64_t first,             \
                             int64_t last)                                                         \
    {                                                                                              \
        jg_gemm_task_##t g = *whole;                                                               \
        T rows[JG_GEMM_GROUP * JG_GEMM_DEPTH] __attribute__((aligned(64)));                        \
        const int64_t height = jg_min(g.m - i0, JG_GEMM_GROUP);                                    \
        const int copied = g.a_row == 1 && g.a_col > JG_GEMM_GROUP;                                \
        if (copied)                                                                                \
            g.a_col = JG_GEMM_GROUP;                                                               \
        for (int64_t p = 0; p < g.k; p += JG_GEMM_DEPTH) {                                         \
            const T *a = g.a + i0 * whole->a_row + p * whole->a_col;                               \
            for (int64_t q = 0; copied && q < jg_min(JG_GEMM_DEPTH, g.k - p); q++)                 \
                memcpy(rows + q * JG_GEMM_GROUP, a + q * whole->a_col,                             \
                       (uint64_t)height * sizeof(T));                                              \
            for (int64_t panel = first; panel < last; panel++)                                     \
                jg_panel_##t(&g, copied ? rows : a, i0, panel * JG_PANEL_##t, p);                  \
        }                                                                                          \
    }                                                                                              \
    static void jg_panels_##t(void *arg, int64_t begin, int64_t end)                               \
    {                                                                                              \
        const jg_gemm_task_##t *const g = arg;                                                     \
        const int64_t across = (g->n + JG_PANEL_##t - 1) / JG_PANEL_##t;                           \
        while (begin < end) {                                                                      \
            const int64_t group = begin / across, stop = jg_min(end, (group + 1) * across);        \
            jg_group_##t(g, group * JG_GEMM_GROUP, begin % across, begin % across + stop - begin); \
            begin = stop;                                                                          \
        }                                                                                          \
    }

/* Whether a product is made here sooner than by the library. One thread of a Zen 5 with AVX-512,
 * against OpenBLAS 0.3 with AVX2: in 1/3 to 2/3 of its time; with AVX2 here too, in 1/2 to 1.1. That
 * library takes AVX2 on this processor though it has kernels for AVX-512: where its vectors are
 * shorter than those here, it is slower at every size. */
static inline int jg_is_sooner(const jg_host *host, int64_t m, int64_t n, int64_t k, int64_t size)
{
    const int64_t least = jg_min(m, jg_min(n, k)), most = jg_max(m, jg_max(n, k));
    const int shorter = host->blas && host->blas->vector && host->blas->vector < JG_VECTOR_BYTES;
    return n * size >= JG_GEMM_NARROW &&
           (shorter || least <= JG_GEMM_SMALL || (most <= JG_GEMM_LONG && m * n * k <= JG_GEMM_WORK));
}

#define JG_GEMM(t, T)                                                                              \
    /* c = beta d, and what a sum of no products is beside it. */                                  \
    static void jg_start_##t(void *arg, int64_t begin, int64_t end)                                \
    {                                                                                              \
        const jg_gemm_task_##t *const g = arg;                                                     \
        const T none = g->k ? 0 : g->alpha * 0;                                                    \
        if (g->k && g->beta == 1)                                                                  \
            memcpy(g->c + begin, g->d + begin, (uint64_t)(end - begin) * sizeof(T));               \
        for (int64_t i = begin; i < end && (!g->k || g->beta != 1); i++)                           \
            g->c[i] = g->d ? none + g->beta * g->d[i] : none;                                      \
    }                                                                                              \
    static inline void jg_gemm_##t(const jg_host *host, int ta, int tb, int64_t m, int64_t n,      \
                                   int64_t k, T alpha, const T *a, const T *b, T beta, const T *d, \
                                   T *c)                                                           \
    {                                                                                              \
        const intptr_t f = host->blas ? host->blas->gemm_##t : 0;                                  \
        /* inf times a sum is not the sum of inf times its parts. */                               \
        const int here = jg_is_sooner(host, m, n, k, sizeof(T)) &&                                 \
                         (alpha - alpha == 0 || k <= JG_GEMM_DEPTH);                               \
        const int library = f && alpha != 0 && !here &&                                            \
                            (host->blas->ilp64 || jg_fits_i32(m, n, k));                           \
        jg_gemm_task_##t g = {m, n, k, ta ? 1 : k, ta ? m : 1, tb ? 1 : n, tb ? k : 1,             \
                              alpha, beta, a, b, d, c};                                            \
        if (m == 0 || n == 0)                                                                      \
            return;                                                                                \
        if (k == 0 || (library && d && (d != c || beta != 1)))                                     \
            jg_parallel_for(host->pool, m * n, 512, host->parallel_min, jg_start_##t, &g);         \
        if (k == 0)                                                                                \
            return;                                                                                \
        if (!library) {                                                                            \
            const int64_t across = (n + JG_PANEL_##t - 1) / JG_PANEL_##t;                          \
            const int64_t down = (m + JG_GEMM_GROUP - 1) / JG_GEMM_GROUP;                          \
            /* 16 products take the time of an element of the loops that parallel_min is for. */   \
            const int64_t each = jg_min(m, JG_GEMM_GROUP) * JG_PANEL_##t * k / 16;                 \
            jg_parallel_for(host->pool, across * down, 1,                                          \
                            1 + host->parallel_min / jg_max(1, each), jg_panels_##t, &g);          \
            return;                                                                                \
        }                                                                                          \
        const int64_t lda = jg_max(1, ta ? m : k), ldb = jg_max(1, tb ? k : n);                    \
        const int left = ta ? JG_TRANS : JG_NO_TRANS, right = tb ? JG_TRANS : JG_NO_TRANS;         \
        const T kept = d ? 1 : 0;                                                                  \
        if (host->blas->ilp64)                                                                     \
            ((jg_gemm_##t##_ilp64)f)(JG_ROW_MAJOR, left, right, m, n, k, alpha, a, lda, b, ldb,    \
                                     kept, c, n);                                                  \
        else                                                                                       \
            ((jg_gemm_##t##_lp64)f)(JG_ROW_MAJOR, left, right, (int32_t)m, (int32_t)n, (int32_t)k, \
                                    alpha, a, (int32_t)lda, b, (int32_t)ldb, kept, c, (int32_t)n); \
    }

/* The rows of a tile by their numbers. */
#define JG_ROWS_4(F, t) F(0, t) F(1, t) F(2, t) F(3, t)
#define JG_ROWS_8(F, t) JG_ROWS_4(F, t) F(4, t) F(5, t) F(6, t) F(7, t)

/* A tile of 8 rows by one vector: c = alpha a . b + beta d. Missing rows of a are read as copies of
 * the first. */
#define JG_SUM_1(r, t)                                                                             \
    const jg_real_##t *a##r = a + (r < rows ? r : 0) * g->a_row;                                   \
    jg_vector_##t s##r = {0};
#define JG_STEP_1(r, t) s##r += *a##r * b0, a##r += a_col;
#define JG_SCALE_1(r, t) s##r *= alpha;
#define JG_PLUS_1(r, t) s##r += beta * JG_AT(const, t, d + r * c_row);
#define JG_STORE_1(r, t) JG_AT(, t, c + r * c_row) = (jg_loose_##t)s##r;

/* A tile of 4 rows by 3 vectors. */
#define JG_SUM_3(r, t)                                                                             \
    const jg_real_##t *a##r = a + (r < rows ? r : 0) * g->a_row;                                   \
    jg_vector_##t s##r = {0}, u##r = {0}, v##r = {0};
#define JG_STEP_3(r, t) s##r += *a##r * b0, u##r += *a##r * b1, v##r += *a##r * b2, a##r += a_col;
#define JG_SCALE_3(r, t) s##r *= alpha, u##r *= alpha, v##r *= alpha;
#define JG_PLUS_3(r, t)                                                                            \
    s##r += beta * JG_AT(const, t, d + r * c_row);                                                 \
    u##r += beta * JG_AT(const, t, d + r * c_row + L);                                             \
    v##r += beta * JG_AT(const, t, d + r * c_row + 2 * L);
#define JG_STORE_3(r, t)                                                                           \
    JG_AT(, t, c + r * c_row) = (jg_loose_##t)s##r;                                                \
    JG_AT(, t, c + r * c_row + L) = (jg_loose_##t)u##r;                                            \
    JG_AT(, t, c + r * c_row + 2 * L) = (jg_loose_##t)v##r;
#define JG_AT(constant, t, p) (*(constant jg_loose_##t *)(p))
#define JG_LOAD_1(t) const jg_vector_##t b0 = (jg_vector_##t)JG_AT(const, t, b);
#define JG_LOAD_3(t)                                                                               \
    JG_LOAD_1(t)                                                                                   \
    const jg_vector_##t b1 = (jg_vector_##t)JG_AT(const, t, b + L);                                \
    const jg_vector_##t b2 = (jg_vector_##t)JG_AT(const, t, b + 2 * L);
#define JG_GEMM_TILE(t, T, R, V)                                                                   \
    static __attribute__((noinline)) JG_WIDE void jg_tile_##V##_##t(                               \
        const jg_gemm_task_##t *g, int64_t k, const T *a, int64_t rows, const T *b, int64_t b_row, \
        T beta, const T *d, T *c, int64_t c_row)                                                   \
    {                                                                                              \
        JG_CONTRACT                                                                                \
        enum { L = JG_LANES_##t };                                                                 \
        const int64_t a_col = g->a_col;                                                            \
        const T alpha = g->alpha;                                                                  \
        JG_ROWS_##R(JG_SUM_##V, t)                                                                 \
        for (int64_t p = 0; p < k; p++, b += b_row) {                                              \
            JG_LOAD_##V(t)                                                                         \
            JG_ROWS_##R(JG_STEP_##V, t)                                                            \
        }                                                                                          \
        JG_ROWS_##R(JG_SCALE_##V, t)                                                               \
        if (d) {                                                                                   \
            JG_ROWS_##R(JG_PLUS_##V, t)                                                            \
        }                                                                                          \
        JG_ROWS_##R(JG_STORE_##V, t)                                                               \
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
            JG_UNROLL for (int j = 0; j < L; j++)                                                  \
                x[j] = *(const jg_loose_##t *)(b + j * b_row + p);                                 \
            JG_UNROLL for (int round = 1; round < L; round *= 2) {                                 \
                JG_UNROLL for (int j = 0; j < H; j++) {                                            \
                    y[2 * j] = JG_SHUFFLE(x[j], x[j + H], JG_LOW_##t);                             \
                    y[2 * j + 1] = JG_SHUFFLE(x[j], x[j + H], JG_HIGH_##t);                        \
                }                                                                                  \
                JG_UNROLL for (int j = 0; j < L; j++)                                              \
                    x[j] = y[j];                                                                   \
            }                                                                                      \
            JG_UNROLL for (int j = 0; j < L; j++)                                                  \
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
JG_GEMM_TILE(f32, float, 8, 1)
JG_GEMM_TILE(f32, float, 4, 3)
JG_GEMM_TILE(f64, double, 8, 1)
JG_GEMM_TILE(f64, double, 4, 3)
JG_GEMM_TRANSPOSE(f32, float)
JG_GEMM_TRANSPOSE(f64, double)
JG_BRIEF_END

#endif
