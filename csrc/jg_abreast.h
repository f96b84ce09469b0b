/* Loops that compute several vectors at a time, abreast.
 *
 * A vector function is a chain of some fifty to a hundred operations, each of which waits for the one
 * before it. A processor looks ahead two or three vectors at most, so one vector after another leaves
 * its units idle for a third of the time. The same operation of two or four vectors in turn does not.
 *
 * JG_ABREAST(count, T, i, begin, end, body) is for (i = begin; i < end; i++) body, where steps do not
 * depend on each other, with `count` (2 or 4) vectors of T abreast. GCC has no word for this, but its
 * vectoriser takes as many elements at a time as a vector of the shortest type in the loop holds. So
 * a counter of T's size / count is carried along: two instructions for all of the vectors abreast. The
 * rest, less than JG_GROUP elements, takes the loop as it is written.
 *
 * JG_REACH is the same, or with a count of 1 one vector at a time, for loops whose steps may be done
 * twice and which are run many times, on rows: the rest is done in whole vectors, the last of which
 * reaches back over elements that are done. Rows of 100 float32 take a seventh less of softmax.
 */
#ifndef JG_ABREAST_H
#define JG_ABREAST_H

#include <stdint.h>

/* Elements of the longest vector, of 64 bytes, a multiple of those of shorter ones; and of several. */
#define JG_WIDTH(T) (64 / (int64_t)sizeof(T))
#define JG_GROUP(count, T) (count * JG_WIDTH(T))

#if defined(__clang__)
#define JG_PRAGMA(text) _Pragma(#text)
#define JG_ABREAST(count, T, i, begin, end, ...)                                                   \
    JG_PRAGMA(clang loop interleave_count(count))                                                  \
    for (int64_t i = (begin); i < (end); i++)                                                      \
    __VA_ARGS__
#define JG_GROUPS(count, T, i, begin, n, ...)                                                      \
    JG_PRAGMA(clang loop interleave_count(count))                                                  \
    for (int64_t i = (begin); i < (begin) + (n); i++)                                              \
    __VA_ARGS__
#define JG_GROUPS_1 JG_GROUPS
#define JG_GROUPS_2 JG_GROUPS
#define JG_GROUPS_4 JG_GROUPS
#else
#define JG_TICK_double_2 uint32_t
#define JG_TICK_double_4 uint16_t
#define JG_TICK_float_2 uint16_t
#define JG_TICK_float_4 uint8_t

/* A loop of n steps, a multiple of JG_GROUP: the compiler sees that, and makes no remainder of it. The
 * counters end where nothing can be known of them: they stay. */
#define JG_GROUPS_1(count, T, i, begin, n, ...)                                                    \
    for (int64_t i##_at = 0; i##_at < (n); i##_at++) {                                             \
        const int64_t i = (begin) + i##_at;                                                        \
        __VA_ARGS__                                                                                \
    }
#define JG_GROUPS_2(count, T, i, begin, n, ...)                                                    \
    JG_TICK_##T##_##count i##_tick = 0, i##_seen = 0;                                              \
    for (int64_t i##_at = 0; i##_at < (n); i##_at++) {                                             \
        const int64_t i = (begin) + i##_at;                                                        \
        __VA_ARGS__                                                                                \
        i##_seen ^= i##_tick++;                                                                    \
    }                                                                                              \
    __asm__ volatile("" : : "r"(i##_seen));
#define JG_GROUPS_4 JG_GROUPS_2

#define JG_ABREAST(count, T, i, begin, end, ...)                                                   \
    do {                                                                                           \
        const int64_t i##_first = (begin), i##_count = (end) - i##_first;                          \
        const int64_t i##_grouped = i##_count & -JG_GROUP(count, T);                               \
        JG_GROUPS_##count(count, T, i, i##_first, i##_grouped, __VA_ARGS__)                        \
        for (int64_t i = i##_first + (i##_count > 0 ? i##_grouped : 0); i < i##_first + i##_count; \
             i++)                                                                                  \
            __VA_ARGS__                                                                            \
    } while (0)
#endif

#define JG_REACH(count, T, i, begin, end, ...)                                                     \
    do {                                                                                           \
        const int64_t i##_first = (begin), i##_count = (end) - i##_first;                          \
        if (i##_count < JG_WIDTH(T)) {                                                             \
            for (int64_t i = i##_first; i < i##_first + i##_count; i++)                            \
                __VA_ARGS__                                                                        \
            break;                                                                                 \
        }                                                                                          \
        const int64_t i##_grouped = i##_count & -JG_GROUP(count, T);                               \
        JG_GROUPS_##count(count, T, i, i##_first, i##_grouped, __VA_ARGS__)                        \
        for (int64_t i##_done = i##_grouped; i##_done < i##_count; i##_done += JG_WIDTH(T)) {      \
            const int64_t i##_last = i##_first + i##_count - JG_WIDTH(T);                          \
            const int64_t i##_next = i##_first + i##_done;                                         \
            const int64_t i##_from = i##_next < i##_last ? i##_next : i##_last;                    \
            for (int64_t i = i##_from; i < i##_from + JG_WIDTH(T); i++)                            \
                __VA_ARGS__                                                                        \
        }                                                                                          \
    } while (0)

#endif
