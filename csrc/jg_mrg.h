/* MRG31k3p: many independent streams of a combined multiple recursive generator, side by side.
 *
 * P. L'Ecuyer and R. Touzin, "Fast combined multiple recursive generators with multipliers of the
 * form a = +-2^q +- 2^r", Winter Simulation Conference 2000:
 *
 *     x[n] = (2^22 x[n-2] + (2^7 + 1) x[n-3]) mod m1     m1 = 2^31 - 1
 *     y[n] = (2^15 y[n-1] + (2^15 + 1) y[n-3]) mod m2    m2 = 2^31 - 21069
 *     z[n] = x[n] - y[n], plus m1 if that is not positive; uniform in (0, 1): z[n] / 2^31
 *
 * A state is the row (x[n], x[n-1], x[n-2], y[n], y[n-1], y[n-2]) of an int32 matrix. Element i of
 * a draw is made by stream i mod streams, which it advances; so a draw is a matrix of rows of
 * `streams` numbers, each column a stream. Blocks of columns are independent: they are what
 * threads share, and a row of a block is what vectors are made of. The oldest value of each
 * recurrence is overwritten by the newest, and the names of the three are turned every row.
 */
#ifndef JG_MRG_H
#define JG_MRG_H

#include <stdint.h>

#include "jg_pool.h"

#define JG_MRG_M1 2147483647u
#define JG_MRG_M2 2147462579u
#define JG_MRG_INLINE static inline __attribute__((always_inline, unused))

enum {
    JG_MRG_BLOCK = 512,          /* streams that are advanced together; their states stay in L1 */
    JG_MRG_PARALLEL_MIN = 32768, /* numbers below which one thread makes them all */
    JG_MRG_MAX = 2147483647      /* numbers of one draw */
};

/* y mod m for y < 2m: y - m wraps around to a large number if y < m. */
JG_MRG_INLINE uint32_t jg_mrg_reduce(uint32_t y, uint32_t m)
{
    const uint32_t lower = y - m;
    return lower < y ? lower : y;
}

/* 2^k x mod m1 turns the 31 bits of x, because 2^31 = 1. */
JG_MRG_INLINE uint32_t jg_mrg_next1(uint32_t x2, uint32_t x3)
{
    const uint32_t a = ((x2 & 0x1ffu) << 22) + (x2 >> 9);
    const uint32_t b = ((x3 & 0xffffffu) << 7) + (x3 >> 24);
    return jg_mrg_reduce(jg_mrg_reduce(a + b, JG_MRG_M1) + x3, JG_MRG_M1);
}

/* 2^15 y mod m2, where 2^31 = 21069. */
JG_MRG_INLINE uint32_t jg_mrg_shift2(uint32_t y)
{
    return jg_mrg_reduce(((y & 0xffffu) << 15) + 21069u * (y >> 16), JG_MRG_M2);
}

JG_MRG_INLINE uint32_t jg_mrg_next2(uint32_t y1, uint32_t y3)
{
    const uint32_t b = jg_mrg_reduce(jg_mrg_shift2(y3) + y3, JG_MRG_M2);
    return jg_mrg_reduce(b + jg_mrg_shift2(y1), JG_MRG_M2);
}

/* From 1 to m1. */
JG_MRG_INLINE int32_t jg_mrg_combine(uint32_t x, uint32_t y)
{
    return (int32_t)(x > y ? x - y : x - y + JG_MRG_M1);
}

JG_MRG_INLINE double jg_mrg_unit_f64(int32_t z)
{
    return (double)z * 0x1p-31;
}

/* The largest float32 below 2^-31, so that the product never rounds to 1. */
JG_MRG_INLINE float jg_mrg_unit_f32(int32_t z)
{
    return (float)z * 4.6566126e-10f;
}

/* The states of a block: x[0..2] and y[0..2] are the values of age 0, 1, 2 before the first row. */
typedef struct {
    uint32_t x[3][JG_MRG_BLOCK], y[3][JG_MRG_BLOCK];
} jg_mrg_states;

typedef struct {
    const int32_t *before; /* states, streams x 6 */
    int32_t *after;
    void *out;
    int64_t streams, n;
} jg_mrg_draw;

JG_MRG_INLINE void jg_mrg_load(jg_mrg_states *s, const int32_t *state, int64_t count)
{
    for (int64_t k = 0; k < count; k++)
        for (int i = 0; i < 3; i++) {
            s->x[i][k] = (uint32_t)state[6 * k + i];
            s->y[i][k] = (uint32_t)state[6 * k + 3 + i];
        }
}

/* Write the states begin <= k < end back, `turn` rows after they were loaded. */
JG_MRG_INLINE void jg_mrg_store(const jg_mrg_states *s, int32_t *state, int64_t begin, int64_t end,
                                int64_t turn)
{
    for (int64_t k = begin; k < end; k++)
        for (int i = 0; i < 3; i++) {
            const int64_t at = (i + 3 - turn % 3) % 3;
            state[6 * k + i] = (int32_t)s->x[at][k];
            state[6 * k + 3 + i] = (int32_t)s->y[at][k];
        }
}

#define JG_MRG_DEFINE(T, t)                                                                        \
    /* One row of `count` numbers; x3 and y3, the oldest values, become the newest. */             \
    static __attribute__((noinline, unused)) void jg_mrg_row_##t(                                  \
        T *restrict out, const uint32_t *restrict x2, uint32_t *restrict x3,                       \
        const uint32_t *restrict y1, uint32_t *restrict y3, int64_t count)                         \
    {                                                                                              \
        for (int64_t k = 0; k < count; k++) {                                                      \
            const uint32_t x = jg_mrg_next1(x2[k], x3[k]);                                         \
            const uint32_t y = jg_mrg_next2(y1[k], y3[k]);                                         \
            x3[k] = x;                                                                             \
            y3[k] = y;                                                                             \
            out[k] = jg_mrg_unit_##t(jg_mrg_combine(x, y));                                        \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static __attribute__((unused)) void jg_mrg_block_##t(const jg_mrg_draw *d, int64_t first)      \
    {                                                                                              \
        jg_mrg_states s;                                                                           \
        const int64_t left = d->streams - first;                                                   \
        const int64_t count = left < JG_MRG_BLOCK ? left : JG_MRG_BLOCK;                           \
        const int64_t rows = d->n / d->streams, rest = d->n % d->streams - first;                  \
        /* The streams that make a number of the last, incomplete row. */                          \
        const int64_t more = rest < 0 ? 0 : rest < count ? rest : count;                           \
        T *out = (T *)d->out + first;                                                              \
        jg_mrg_load(&s, d->before + 6 * first, count);                                             \
        for (int64_t r = 0; r < rows + (more > 0); r++) {                                          \
            const int64_t old = (5 - r % 3) % 3; /* where age 2 is: 2, 1, 0, 2, ... */             \
            const int64_t mid = (old + 2) % 3, new = (old + 1) % 3;                                \
            jg_mrg_row_##t(out + r * d->streams, s.x[mid], s.x[old], s.y[new], s.y[old],           \
                           r < rows ? count : more);                                               \
        }                                                                                          \
        jg_mrg_store(&s, d->after + 6 * first, 0, more, rows + 1);                                 \
        jg_mrg_store(&s, d->after + 6 * first, more, count, rows);                                 \
    }                                                                                              \
                                                                                                   \
    static __attribute__((unused)) void jg_mrg_range_##t(void *arg, int64_t begin, int64_t end)    \
    {                                                                                              \
        for (int64_t b = begin; b < end; b++)                                                      \
            jg_mrg_block_##t(arg, b * JG_MRG_BLOCK);                                               \
    }                                                                                              \
                                                                                                   \
    /* out[0..n) from the states `before`, a matrix of `streams` rows; `after` are their           \
     * successors. Returns -1; nothing is written and another number returned if the matrix has no \
     * row or not six columns, or n is more than one draw may have. */                             \
    static __attribute__((unused)) int64_t jg_mrg_uniform_##t(                                     \
        intptr_t pool, const int32_t *before, int64_t streams, int64_t columns, int32_t *after,    \
        T *out, int64_t n)                                                                         \
    {                                                                                              \
        jg_mrg_draw draw = {before, after, out, streams, n};                                       \
        const int64_t blocks = (streams + JG_MRG_BLOCK - 1) / JG_MRG_BLOCK;                        \
        if (streams < 1 || columns != 6 || n > JG_MRG_MAX)                                         \
            return n;                                                                              \
        jg_parallel_for(n < JG_MRG_PARALLEL_MIN ? 0 : pool, blocks, 1, 2, jg_mrg_range_##t,        \
                        &draw);                                                                    \
        return -1;                                                                                 \
    }

JG_MRG_DEFINE(double, f64)
JG_MRG_DEFINE(float, f32)

#endif
