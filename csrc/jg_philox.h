/* Philox4x64-10, a generator whose word number i is a function of a key and of i alone.
 *
 * J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * SC11: a counter of 256 bits is encrypted by ten rounds into four words. The order of the words is
 * that of numpy.random.Philox: block 0 belongs to the counter plus one.
 *
 * A state is an array of seven words: two of the key, four of the counter (least significant
 * first), and the position, the number of words that have been used. Element i of a draw is made
 * from word position + i and nothing else. So any part of a draw can be made by itself, by any
 * thread; each fill function makes the elements first … first + n - 1.
 */
#ifndef JG_PHILOX_H
#define JG_PHILOX_H

#include <stdint.h>

#include "jg_normal.h"
#include "jg_pool.h"

enum {
    JG_PHILOX_STATE = 7,    /* words of a state */
    JG_PHILOX_POSITION = 6, /* which of them is the position */
    JG_PHILOX_LANES = 64,   /* counters that are encrypted together */
    JG_PHILOX_GROUP = 4 * JG_PHILOX_LANES,
    JG_PHILOX_PARALLEL_MIN = 8192 /* elements below which one thread makes them all */
};

#define JG_PHILOX_M0 0xd2e7470ee14c6c93u
#define JG_PHILOX_M1 0xca5a826395121157u
#define JG_PHILOX_W0 0x9e3779b97f4a7c15u
#define JG_PHILOX_W1 0xbb67ae8584caa73bu

/* --- words ------------------------------------------------------------------------------------ */

typedef struct {
    uint64_t hi, lo;
} jg_philox_product;

#if defined(__AVX512F__)
/* From halves, which vectors of 8 words can multiply: 2.1 ns a word where the scalar instruction
 * takes 3.4 ns (gcc 12, Zen 5). */
JG_MATH jg_philox_product jg_philox_multiply(uint64_t m, uint64_t x)
{
    const uint64_t m0 = (uint32_t)m, m1 = m >> 32, x0 = (uint32_t)x, x1 = x >> 32;
    const uint64_t low = x0 * m0, middle = x0 * m1 + (low >> 32);
    const uint64_t other = x1 * m0 + (uint32_t)middle;
    return (jg_philox_product){x1 * m1 + (middle >> 32) + (other >> 32),
                               (other << 32) | (uint32_t)low};
}
#else
JG_MATH jg_philox_product jg_philox_multiply(uint64_t m, uint64_t x)
{
    const unsigned __int128 p = (unsigned __int128)m * x;
    return (jg_philox_product){(uint64_t)(p >> 64), (uint64_t)p};
}
#endif

/* One round; x0 and x1 are the key of this round. */
JG_MATH void jg_philox_round(uint64_t *c0, uint64_t *c1, uint64_t *c2, uint64_t *c3, uint64_t x0,
                             uint64_t x1)
{
    const jg_philox_product p = jg_philox_multiply(JG_PHILOX_M0, *c0);
    const jg_philox_product q = jg_philox_multiply(JG_PHILOX_M1, *c2);
    *c0 = q.hi ^ *c1 ^ x0;
    *c1 = q.lo;
    *c2 = p.hi ^ *c3 ^ x1;
    *c3 = p.lo;
}

/* The counter of block number `block`: 256-bit addition. */
JG_MATH void jg_philox_counter(const uint64_t *state, uint64_t block, uint64_t *c0, uint64_t *c1,
                               uint64_t *c2, uint64_t *c3)
{
    const uint64_t offset = block + 1;
    *c0 = state[2] + offset;
    *c1 = state[3] + (*c0 < offset);
    *c2 = state[4] + (*c0 < offset && *c1 == 0);
    *c3 = state[5] + (*c0 < offset && *c1 == 0 && *c2 == 0);
}

/* The words of blocks first … first + count - 1, count <= JG_PHILOX_LANES. */
static __attribute__((noinline, unused)) void jg_philox_blocks(const uint64_t *state,
                                                               uint64_t first, int count,
                                                               uint64_t *restrict out)
{
#if defined(__AVX512F__)
    uint64_t c0[JG_PHILOX_LANES], c1[JG_PHILOX_LANES], c2[JG_PHILOX_LANES], c3[JG_PHILOX_LANES];
    uint64_t x0 = state[0], x1 = state[1];
    for (int j = 0; j < count; j++)
        jg_philox_counter(state, first + (uint64_t)j, &c0[j], &c1[j], &c2[j], &c3[j]);
    for (int r = 0; r < 10; r++, x0 += JG_PHILOX_W0, x1 += JG_PHILOX_W1)
        for (int j = 0; j < count; j++)
            jg_philox_round(&c0[j], &c1[j], &c2[j], &c3[j], x0, x1);
    for (int j = 0; j < count; j++) {
        out[4 * j] = c0[j];
        out[4 * j + 1] = c1[j];
        out[4 * j + 2] = c2[j];
        out[4 * j + 3] = c3[j];
    }
#else
    for (int j = 0; j < count; j++) {
        uint64_t c0, c1, c2, c3, x0 = state[0], x1 = state[1];
        jg_philox_counter(state, first + (uint64_t)j, &c0, &c1, &c2, &c3);
        for (int r = 0; r < 10; r++, x0 += JG_PHILOX_W0, x1 += JG_PHILOX_W1)
            jg_philox_round(&c0, &c1, &c2, &c3, x0, x1);
        out[4 * j] = c0;
        out[4 * j + 1] = c1;
        out[4 * j + 2] = c2;
        out[4 * j + 3] = c3;
    }
#endif
}

/* --- what is made of a word --------------------------------------------------------------------- */

/* 0 … 1 - 2^-53 in steps of 2^-53, as numpy.random.Generator.random. */
JG_MATH double jg_philox_uniform_f64(uint64_t w) { return (double)(int64_t)(w >> 11) * 0x1p-53; }
/* 0 … 1 - 2^-24 in steps of 2^-24. */
JG_MATH float jg_philox_uniform_f32(uint64_t w) { return (float)(int32_t)(w >> 40) * 0x1p-24f; }

/* The midpoints of 2^52 (f32: 2^23) equal parts of (0, 1). */
JG_MATH double jg_philox_open_f64(uint64_t w)
{
    return ((double)(int64_t)(w >> 12) + 0.5) * 0x1p-52;
}
JG_MATH float jg_philox_open_f32(uint64_t w)
{
    return ((float)(int32_t)(w >> 41) + 0.5f) * 0x1p-23f;
}

JG_MATH uint64_t jg_philox_word_u64(uint64_t w) { return w; }

/* For u = (k + 1/2) 2^-53, k = w >> 11, the distance t of u to the nearer of 0 and 1. */
JG_MATH double jg_philox_tail_of(uint64_t w)
{
    const uint64_t k = w >> 11, j = k ^ ((0 - (k >> 52)) & 0x1fffffffffffffu);
    /* j < 2^52: as the low bits of a number in [2^52, 2^53) it is converted without rounding. */
    return (jg_from_bits_f64(j | 0x4330000000000000u) - (0x1p52 - 0.5)) * 0x1p-53;
}

/* The sign bit of the quantile of u: set for u < 1/2. */
JG_MATH double jg_philox_signed(double x, uint64_t w)
{
    return jg_from_bits_f64(jg_to_bits_f64(x) ^ (~w & 0x8000000000000000u));
}

/* The quantile of u = (k + 1/2) 2^-53 for each word: the formulas for the centre everywhere, then
 * those for the tails where they hold (15 in 100). */
static __attribute__((noinline, unused)) void jg_philox_normals(const uint64_t *restrict words,
                                                                int count, double *restrict out)
{
    int32_t at[JG_PHILOX_GROUP];
    double t[JG_PHILOX_GROUP];
    int tails = 0;
    for (int i = 0; i < count; i++) {
        const double q = 0.5 - jg_philox_tail_of(words[i]);
        out[i] = jg_philox_signed(jg_normal_centre(q), words[i]);
    }
    for (int i = 0; i < count; i++) {
        const double tail = jg_philox_tail_of(words[i]);
        at[tails] = i;
        t[tails] = tail;
        tails += 0.5 - tail > JG_NORMAL_CENTRE;
    }
    for (int i = 0; i < tails; i++)
        t[i] = jg_normal_tail(t[i]);
    for (int i = 0; i < tails; i++)
        out[at[i]] = jg_philox_signed(t[i], words[at[i]]);
}

/* --- draws -------------------------------------------------------------------------------------- */

typedef struct {
    const uint64_t *state;
    void *out;
} jg_philox_draw;

/* The successor of a state after n elements. */
JG_MATH void jg_philox_advance(const uint64_t *before, uint64_t *after, int64_t n)
{
    for (int i = 0; i < JG_PHILOX_STATE; i++)
        after[i] = before[i];
    after[JG_PHILOX_POSITION] += (uint64_t)n;
}

/* The same where the elements are made block by block: returns -1, or `length` if that is not a
 * state's. */
JG_MATH int64_t jg_philox_next(const uint64_t *before, int64_t length, uint64_t *after, int64_t n)
{
    if (length != JG_PHILOX_STATE)
        return length;
    jg_philox_advance(before, after, n);
    return -1;
}

/* MAKE(words, count, out) turns `count` <= JG_PHILOX_GROUP words into elements. */
#define JG_PHILOX_DEFINE(T, name, MAKE)                                                            \
    static __attribute__((unused)) void jg_philox_fill_##name(T *out, int64_t n,                   \
                                                              const uint64_t *state,               \
                                                              int64_t first)                       \
    {                                                                                              \
        uint64_t words[JG_PHILOX_GROUP];                                                           \
        uint64_t position = state[JG_PHILOX_POSITION] + (uint64_t)first;                           \
        for (int64_t i = 0; i < n;) {                                                              \
            const int skip = (int)(position & 3);                                                  \
            const int64_t left = (n - i) + skip;                                                   \
            const int blocks = left >= JG_PHILOX_GROUP ? JG_PHILOX_LANES : (int)((left + 3) / 4);  \
            const int count = (int)(left < 4 * blocks ? left : 4 * blocks) - skip;                 \
            jg_philox_blocks(state, position >> 2, blocks, words);                                 \
            MAKE(words + skip, count, out + i);                                                    \
            i += count;                                                                            \
            position += (uint64_t)count;                                                           \
        }                                                                                          \
    }                                                                                              \
                                                                                                   \
    static __attribute__((unused)) void jg_philox_range_##name(void *arg, int64_t begin,           \
                                                               int64_t end)                        \
    {                                                                                              \
        const jg_philox_draw *d = arg;                                                             \
        jg_philox_fill_##name((T *)d->out + begin, end - begin, d->state, begin);                  \
    }                                                                                              \
                                                                                                   \
    /* out[0..n) from the state `before` of `length` words; `after` is its successor. Returns -1,  \
     * or `length` if that is not a state's. */                                                    \
    static __attribute__((unused)) int64_t jg_philox_##name(intptr_t pool, const uint64_t *before, \
                                                            int64_t length, uint64_t *after,       \
                                                            T *out, int64_t n)                     \
    {                                                                                              \
        jg_philox_draw draw = {before, out};                                                       \
        if (length != JG_PHILOX_STATE)                                                             \
            return length;                                                                         \
        jg_parallel_for(pool, n, JG_PHILOX_GROUP, JG_PHILOX_PARALLEL_MIN,                          \
                        jg_philox_range_##name, &draw);                                            \
        jg_philox_advance(before, after, n);                                                       \
        return -1;                                                                                 \
    }

#define JG_PHILOX_CONVERT(T, name)                                                                 \
    static inline void jg_philox_make_##name(const uint64_t *restrict words, int count,            \
                                             T *restrict out)                                      \
    {                                                                                              \
        for (int i = 0; i < count; i++)                                                            \
            out[i] = jg_philox_##name(words[i]);                                                   \
    }                                                                                              \
    JG_PHILOX_DEFINE(T, draw_##name, jg_philox_make_##name)

JG_PHILOX_CONVERT(double, uniform_f64)
JG_PHILOX_CONVERT(float, uniform_f32)
JG_PHILOX_CONVERT(double, open_f64)
JG_PHILOX_CONVERT(float, open_f32)
JG_PHILOX_CONVERT(uint64_t, word_u64)

/* float32 normals are the rounded float64 ones. */
static inline void jg_philox_make_normal_f32(const uint64_t *restrict words, int count,
                                             float *restrict out)
{
    double x[JG_PHILOX_GROUP];
    jg_philox_normals(words, count, x);
    for (int i = 0; i < count; i++)
        out[i] = (float)x[i];
}

JG_PHILOX_DEFINE(double, draw_normal_f64, jg_philox_normals)
JG_PHILOX_DEFINE(float, draw_normal_f32, jg_philox_make_normal_f32)

#endif
