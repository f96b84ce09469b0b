/* A copy of an array that stops at the first element outside [low, high] (or nan). */
#ifndef JG_RANGE_H
#define JG_RANGE_H

#include <stdint.h>

/* The position of the first element that is not in the range, or -1. A block is looked at as a
 * whole, so that the loop has no exit and can be vectorised. */
#define JG_RANGE_DEFINE(T, t)                                                                      \
    static __attribute__((unused)) int64_t jg_copy_in_range_##t(                                   \
        const T *restrict x, T *restrict z, int64_t n, T low, T high)                              \
    {                                                                                              \
        for (int64_t start = 0; start < n; start += 1024) {                                        \
            const int64_t end = n - start < 1024 ? n : start + 1024;                               \
            int bad = 0;                                                                           \
            for (int64_t i = start; i < end; i++) {                                                \
                bad |= !(x[i] >= low && x[i] <= high);                                             \
                z[i] = x[i];                                                                       \
            }                                                                                      \
            for (int64_t i = start; bad && i < end; i++)                                           \
                if (!(x[i] >= low && x[i] <= high))                                                \
                    return i;                                                                      \
        }                                                                                          \
        return -1;                                                                                 \
    }

JG_RANGE_DEFINE(double, f64)
JG_RANGE_DEFINE(float, f32)
JG_RANGE_DEFINE(int64_t, i64)

#endif
