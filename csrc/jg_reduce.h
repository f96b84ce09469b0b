/* Reductions of one block of values that lie in cache.
 *
 * Generated loops compute a block of at most JG_BLOCK values and hand it to one of these. The order
 * of the additions is fixed by the length alone (JG_LANES running sums, added pairwise at the end),
 * so the same data gives the same bits wherever it lies and whatever the number of threads.
 *
 * Error of a sum of n terms, in units of the sum of their magnitudes: at most (JG_BLOCK / JG_LANES
 * + log2 JG_LANES) eps within a block; the caller adds blocks with JG_ADD, which loses no more than
 * 2 eps however many there are.
 */
#ifndef JG_REDUCE_H
#define JG_REDUCE_H

#include <stdint.h>

#include "jg_abreast.h"
#include "jg_vector.h"

enum {
    JG_BLOCK = 512,
    JG_LANES = 16,
    JG_CHUNKS = 256,     /* a whole reduction is split into at most so many parts … */
    JG_CHUNK_MIN = 16384 /* … of at least so many values, however many threads there are */
};

/* Loop iterations in a part, when n iterations of `inner` values each are split: a multiple of
 * JG_BLOCK when inner is 1. Depends on the sizes only. */
static inline int64_t jg_chunk_length(int64_t n, int64_t inner)
{
    const int64_t width = inner > 0 ? inner : 1;
    int64_t least = (JG_CHUNK_MIN + width - 1) / width;
    const int64_t share = (n + JG_CHUNKS - 1) / JG_CHUNKS;
    int64_t length = share > least ? share : least;
    if (width == 1)
        length = (length + JG_BLOCK - 1) / JG_BLOCK * JG_BLOCK;
    return length > 0 ? length : 1;
}

/* In how many bands n rows of `inner` values each are reduced to `size` results: each worth a
 * thread's while, all results together not above 32 MiB. Depends on the sizes only. */
static inline int64_t jg_band_count(int64_t n, int64_t inner, int64_t size)
{
    const int64_t width = inner > 0 ? inner : 1;
    const int64_t rows = (JG_CHUNK_MIN + width - 1) / width;
    const int64_t worth = n / rows;
    const int64_t room = (1 << 21) / (size > 0 ? size : 1);
    int64_t count = worth < room ? worth : room;
    if (count > JG_CHUNKS)
        count = JG_CHUNKS;
    return count > 0 ? count : 1;
}

/* What the last n % (2 W) values add: the lower half of the lanes takes the upper half and then, if
 * so many are left, the next W values. All of a vector at a time, and no lane is addressed by a
 * variable, which would send the lanes through memory. */
#define JG_FOLD_HALF(W, COMBINE)                                                                   \
    for (int k = 0; k < W; k++)                                                                    \
        lane[k] = COMBINE(lane[k], lane[k + W]);                                                   \
    if (n & W) {                                                                                   \
        for (int k = 0; k < W; k++)                                                                \
            lane[k] = COMBINE(lane[k], x[k]);                                                      \
        x += W;                                                                                    \
    }

/* GCC joins rounds of a loop over lanes (unroll and jam), or makes vectors of rounds in place of lanes:
 * then the lanes go through memory, or the values through permutations, and it takes 1.5 to 5 times
 * as long. It leaves a loop alone in which it does not see how x moves. */
#if defined(__clang__)
#define JG_ROUND_BY_ROUND(x) (void)0
#define JG_AS_A_LOOP
#else
#define JG_ROUND_BY_ROUND(x) __asm__("" : "+r"(x))
#define JG_AS_A_LOOP _Pragma("GCC unroll 1") /* written out, it would be 16 scalar sums */
#endif

/* Values of type X, combined in T. */
#define JG_FOLD(name, t, T, X, START, COMBINE)                                                     \
    static inline T jg_lanes_##name##_##t(T *lane, const X *x, int64_t n)                          \
    {                                                                                              \
        JG_FOLD_HALF(8, COMBINE)                                                                   \
        JG_FOLD_HALF(4, COMBINE)                                                                   \
        JG_FOLD_HALF(2, COMBINE)                                                                   \
        JG_FOLD_HALF(1, COMBINE)                                                                   \
        return lane[0];                                                                            \
    }                                                                                              \
    static inline T jg_block_##name##_##t(const X *x, int64_t n)                                   \
    {                                                                                              \
        T lane[JG_LANES];                                                                          \
        for (int k = 0; k < JG_LANES; k++)                                                         \
            lane[k] = START;                                                                       \
        for (const X *end = x + (n - n % JG_LANES); x < end; x += JG_LANES)                        \
            for (int k = 0; k < JG_LANES; k++)                                                     \
                lane[k] = COMBINE(lane[k], x[k]);                                                  \
        return jg_lanes_##name##_##t(lane, x, n);                                                  \
    }

#define JG_PLUS(a, b) ((a) + (b))
#define JG_TIMES(a, b) ((a) * (b))
/* sum += value, where `lost` is what rounding has dropped so far (Kahan's summation; the rounding
 * error is Knuth's TwoSum, exact whatever the magnitudes). Infinities have none: inf - inf. The first
 * block of a row, often its only one, is added to 0, which is exact. */
#define JG_ADD(sum, lost, value)                                                                   \
    do {                                                                                           \
        const __typeof__(sum) old = sum, more = (value) + lost;                                    \
        sum = old + more;                                                                          \
        lost = 0;                                                                                  \
        if (__builtin_expect(old != 0, 0)) {                                                       \
            const __typeof__(sum) taken = sum - old;                                               \
            const __typeof__(sum) rest = (old - (sum - taken)) + (more - taken);                   \
            lost = rest - rest == 0 ? rest : 0;                                                    \
        }                                                                                          \
    } while (0)
/* nan wins: a comparison with nan is false, so the other operand is taken unless a is nan. */
#define JG_LARGER(a, b) ((((a) >= (b)) | ((a) != (a))) ? (a) : (b))
#define JG_SMALLER(a, b) ((((a) <= (b)) | ((a) != (a))) ? (a) : (b))

JG_FOLD(sum, f32, float, float, 0, JG_PLUS)
JG_FOLD(sum, f64, double, double, 0, JG_PLUS)
JG_FOLD(wide_sum, f64, double, float, 0, JG_PLUS) /* the bits of the sum of the widened values */
JG_FOLD(prod, f32, float, float, 1, JG_TIMES)
JG_FOLD(prod, f64, double, double, 1, JG_TIMES)

/* The sum of any number of values, block by block. */
#define JG_LONG_SUM(t, T)                                                                          \
    static inline T jg_long_sum_##t(const T *x, int64_t n)                                         \
    {                                                                                              \
        T sum = 0, lost = 0;                                                                       \
        for (int64_t i = 0; i < n; i += JG_BLOCK)                                                  \
            JG_ADD(sum, lost, jg_block_sum_##t(x + i, n - i < JG_BLOCK ? n - i : JG_BLOCK));       \
        return sum;                                                                                \
    }

JG_LONG_SUM(f32, float)
JG_LONG_SUM(f64, double)

/* sum = the sum of what the body makes of `value` for i = first, ..., last - 1, in the order in which
 * jg_block_sum adds a block: the same bits without a block in memory. LOOP makes a group of `size`
 * values, after what stands in `before`. The lanes are vectors by name: arrays, GCC 12 keeps in memory
 * after the slightest change. */
#define JG_ONE_GROUP(...) JG_AS_A_LOOP JG_GROUPS_1(__VA_ARGS__)
#define JG_SUM_IN_GROUPS(LOOP, count, T, size, sum, i, first, last, before, ...)                   \
    do {                                                                                           \
        typedef __typeof__(sum) jg_term;                                                           \
        typedef jg_term jg_lanes __attribute__((vector_size(JG_VECTOR_BYTES), may_alias));         \
        enum { EACH = JG_VECTOR_BYTES / sizeof(jg_term), VECTORS = JG_LANES / EACH };              \
        jg_lanes lanes[VECTORS];                                                                   \
        jg_term part[size] __attribute__((aligned(64)));                                           \
        jg_term lane[JG_LANES] __attribute__((aligned(64)));                                       \
        for (int k = 0; k < VECTORS; k++)                                                          \
            lanes[k] = (jg_lanes){0};                                                              \
        int64_t at = first;                                                                        \
        for (; at + (size) <= (last); at += (size)) {                                              \
            JG_ROUND_BY_ROUND(at);                                                                 \
            before;                                                                                \
            LOOP(count, T, i, at, size, {                                                          \
                jg_term value;                                                                     \
                __VA_ARGS__                                                                        \
                part[i - at] = value;                                                              \
            })                                                                                     \
            for (int k = 0; k < (size) / EACH; k++)                                                \
                lanes[k % VECTORS] += *(const jg_lanes *)(part + k * EACH);                        \
        }                                                                                          \
        for (int k = 0; k < VECTORS; k++)                                                          \
            *(jg_lanes *)(lane + k * EACH) = lanes[k];                                             \
        int64_t left = 0;                                                                          \
        for (int64_t i = at; i < (last); i++) {                                                    \
            jg_term value;                                                                         \
            __VA_ARGS__                                                                            \
            part[left++] = value;                                                                  \
        }                                                                                          \
        const jg_term *rest = part;                                                                \
        for (; left >= JG_LANES; left -= JG_LANES, rest += JG_LANES)                               \
            for (int j = 0; j < JG_LANES; j++)                                                     \
                lane[j] += rest[j];                                                                \
        sum = _Generic(sum, float: jg_lanes_sum_f32, double: jg_lanes_sum_f64)(                    \
            lane, rest, (last) - (first));                                                         \
    } while (0)
#define JG_SUM_LANES(sum, i, first, last, ...)                                                     \
    JG_SUM_IN_GROUPS(JG_ONE_GROUP, 1, double, JG_LANES, sum, i, first, last, (void)0, __VA_ARGS__)
/* For values that take long to compute: `count` vectors abreast (jg_abreast.h). */
#define JG_SUM_ABREAST(count, T, sum, i, first, last, before, ...)                                 \
    JG_SUM_IN_GROUPS(JG_GROUPS_##count, count, T, JG_GROUP(count, T), sum, i, first, last, before, \
                     __VA_ARGS__)

/* The larger (LESS is <) or the smaller (>) of a and b, a where they are equal, either where one is
 * nan. The second form is one instruction of x86. For NEON, GCC 12 turns it round to "not less, or
 * one of them nan", which takes eight; the first form takes two. */
#if defined(__aarch64__) && !defined(__clang__)
#define JG_EXTREME(a, b, LESS) ((b)LESS##=(a) ? (a) : (b))
#else
#define JG_EXTREME(a, b, LESS) ((a)LESS(b) ? (b) : (a))
#endif
/* The largest or smallest, or nan if there is one. That there was one is noted beside the lanes,
 * which does not lengthen the chain of operations that wait for each other. */
#define JG_EXTREME_TAKE(k, v, LESS)                                                                \
    do {                                                                                           \
        const __typeof__(lane[0]) value = v;                                                       \
        lane[k] = JG_EXTREME(lane[k], value, LESS);                                                \
        bad[k] |= -(__typeof__(bad[0]))(value != value);                                           \
    } while (0)
#define JG_EXTREME_HALF(W, LESS)                                                                   \
    JG_AS_A_LOOP                                                                                   \
    for (int k = 0; k < W; k++) {                                                                  \
        lane[k] = JG_EXTREME(lane[k], lane[k + W], LESS);                                          \
        bad[k] |= bad[k + W];                                                                      \
    }
/* Of n >= LANES values. An extremum may take up a value twice, so the last vectors reach back: what
 * is left over by whole ones would take a row of 100 as long as all before it. */
#define JG_EXTREME_OF(name, t, T, MASK, LANES, LOOP, HALVES, NAN_VALUE, LESS)                      \
    static inline T jg_##name##_by_##LANES##_##t(const T *x, int64_t n)                            \
    {                                                                                              \
        T lane[LANES];                                                                             \
        MASK bad[LANES];                                                                           \
        LOOP                                                                                       \
        for (int k = 0; k < LANES; k++)                                                            \
            lane[k] = x[k], bad[k] = -(MASK)(x[k] != x[k]);                                        \
        for (int64_t i = LANES; i < n; i += LANES) {                                               \
            const T *at = x + (i < n - LANES ? i : n - LANES);                                     \
            JG_ROUND_BY_ROUND(at);                                                                 \
            LOOP                                                                                   \
            for (int k = 0; k < LANES; k++)                                                        \
                JG_EXTREME_TAKE(k, at[k], LESS);                                                   \
        }                                                                                          \
        HALVES                                                                                     \
        JG_EXTREME_HALF(4, LESS)                                                                   \
        JG_EXTREME_HALF(2, LESS)                                                                   \
        JG_EXTREME_HALF(1, LESS)                                                                   \
        return bad[0] ? NAN_VALUE : lane[0];                                                       \
    }
#define JG_FOLD_EXTREME(name, t, T, MASK, START, NAN_VALUE, LESS, COMBINE)                         \
    JG_EXTREME_OF(name, t, T, MASK, 32, , JG_EXTREME_HALF(16, LESS) JG_EXTREME_HALF(8, LESS),      \
                  NAN_VALUE, LESS)                                                                 \
    JG_EXTREME_OF(name, t, T, MASK, 8, JG_AS_A_LOOP, , NAN_VALUE, LESS)                            \
    static inline T jg_block_##name##_##t(const T *x, int64_t n)                                   \
    {                                                                                              \
        if (n >= 32)                                                                               \
            return jg_##name##_by_32_##t(x, n);                                                    \
        if (n >= 8)                                                                                \
            return jg_##name##_by_8_##t(x, n);                                                     \
        T best = START;                                                                            \
        for (int64_t k = 0; k < n; k++)                                                            \
            best = COMBINE(best, x[k]);                                                            \
        return best;                                                                               \
    }

JG_FOLD_EXTREME(max, f32, float, uint32_t, -__builtin_inff(), __builtin_nanf(""), <, JG_LARGER)
JG_FOLD_EXTREME(max, f64, double, uint64_t, -__builtin_inf(), __builtin_nan(""), <, JG_LARGER)
JG_FOLD_EXTREME(min, f32, float, uint32_t, __builtin_inff(), __builtin_nanf(""), >, JG_SMALLER)
JG_FOLD_EXTREME(min, f64, double, uint64_t, __builtin_inf(), __builtin_nan(""), >, JG_SMALLER)

/* Take up a value that stands at `position`: the first extremum is kept, the first nan for good. */
#define JG_TAKE(value, position, best, at, COMPARE)                                                \
    do {                                                                                           \
        if ((at) < 0 || ((best) == (best) && ((value) COMPARE(best) || (value) != (value)))) {     \
            (best) = (value);                                                                      \
            (at) = (position);                                                                     \
        }                                                                                          \
    } while (0)

/* Take up n values, the first of them at `position`.  Only in a block with a better one is it looked
 * for, which in most orders of the values are few. */
#define JG_TAKE_BLOCK(name, extreme, t, T, COMPARE)                                                \
    static inline void jg_block_##name##_##t(const T *x, int64_t n, int64_t position, T *best,     \
                                             int64_t *at)                                          \
    {                                                                                              \
        int64_t k = 0;                                                                             \
        if (n >= 2 * JG_LANES) {                                                                   \
            const T found = jg_block_##extreme##_##t(x, n);                                        \
            if (*at >= 0 && !(*best == *best && (found COMPARE * best || found != found)))         \
                return;                                                                            \
            while (found == found ? x[k] != found : x[k] == x[k])                                  \
                k++;                                                                               \
            *best = found, *at = position + k;                                                     \
            return;                                                                                \
        }                                                                                          \
        for (; k < n; k++)                                                                         \
            JG_TAKE(x[k], position + k, *best, *at, COMPARE);                                      \
    }

JG_TAKE_BLOCK(argmax, max, f32, float, >)
JG_TAKE_BLOCK(argmax, max, f64, double, >)
JG_TAKE_BLOCK(argmin, min, f32, float, <)
JG_TAKE_BLOCK(argmin, min, f64, double, <)

#endif
