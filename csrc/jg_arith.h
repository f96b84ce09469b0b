/* Integer division, remainder and conversion with NumPy's results where plain C is undefined or
 * kills the process: x // 0 = x % 0 = 0, INT_MIN // -1 = INT_MIN, and the float versions of both.
 */
#ifndef JG_ARITH_H
#define JG_ARITH_H

#include <stdint.h>

#define JG_SIGNED_DIVISION(t, T)                                                                   \
    static inline T jg_floordiv_##t(T a, T b)                                                      \
    {                                                                                              \
        if (b == 0)                                                                                \
            return 0;                                                                              \
        if (b == -1)                                                                               \
            return (T)(-a); /* wraps for the smallest value, where the quotient overflows */       \
        const T q = (T)(a / b);                                                                    \
        return (T)(q - ((a % b != 0) & ((a < 0) != (b < 0))));                                     \
    }                                                                                              \
    static inline T jg_mod_##t(T a, T b)                                                           \
    {                                                                                              \
        if (b == 0 || b == -1)                                                                     \
            return 0;                                                                              \
        const T r = (T)(a % b);                                                                    \
        return (T)(r + (((r != 0) & ((r < 0) != (b < 0))) ? b : 0));                               \
    }

#define JG_UNSIGNED_DIVISION(t, T)                                                                 \
    static inline T jg_floordiv_##t(T a, T b) { return b == 0 ? 0 : (T)(a / b); }                  \
    static inline T jg_mod_##t(T a, T b) { return b == 0 ? 0 : (T)(a % b); }

JG_SIGNED_DIVISION(i8, int8_t)
JG_SIGNED_DIVISION(i16, int16_t)
JG_SIGNED_DIVISION(i32, int32_t)
JG_SIGNED_DIVISION(i64, int64_t)
JG_UNSIGNED_DIVISION(u8, uint8_t)
JG_UNSIGNED_DIVISION(u16, uint16_t)
JG_UNSIGNED_DIVISION(u32, uint32_t)
JG_UNSIGNED_DIVISION(u64, uint64_t)

/* Python's rules for floats: the remainder r = fmod(a, b) takes the sign of b, and the quotient is
 * the integer nearest to (a - r) / b, so that quotient * b + remainder is as near to a as can be. */
#define JG_FLOAT_DIVISION(t, T, fmod, floor, copysign)                                             \
    static inline T jg_mod_##t(T a, T b)                                                           \
    {                                                                                              \
        T r = fmod(a, b);                                                                          \
        if (b == 0)                                                                                \
            return r;                                                                              \
        if (r != 0)                                                                                \
            return (b < 0) != (r < 0) ? r + b : r;                                                 \
        return copysign(0, b);                                                                     \
    }                                                                                              \
    static inline T jg_floordiv_##t(T a, T b)                                                      \
    {                                                                                              \
        if (b == 0)                                                                                \
            return a / b;                                                                          \
        T r = fmod(a, b);                                                                          \
        T q = (a - r) / b;                                                                         \
        if (r != 0 && (b < 0) != (r < 0))                                                          \
            q -= 1;                                                                                \
        if (q == 0)                                                                                \
            return copysign(0, a / b);                                                             \
        const T whole = floor(q);                                                                  \
        return q - whole > (T)0.5 ? whole + 1 : whole;                                             \
    }

JG_FLOAT_DIVISION(f32, float, __builtin_fmodf, __builtin_floorf, __builtin_copysignf)
JG_FLOAT_DIVISION(f64, double, __builtin_fmod, __builtin_floor, __builtin_copysign)

/* Powers by squaring, wrapping as repeated multiplication does. A negative exponent gives the
 * reciprocal cut to an integer: ±1 for the bases ±1, else 0. */
#define JG_UNSIGNED_POWER(t, T)                                                                    \
    static inline T jg_pow_##t(T base, T exponent)                                                 \
    {                                                                                              \
        T result = 1;                                                                              \
        for (; exponent; exponent = (T)(exponent >> 1), base = (T)(base * base))                   \
            if (exponent & 1)                                                                      \
                result = (T)(result * base);                                                       \
        return result;                                                                             \
    }
#define JG_SIGNED_POWER(t, T)                                                                      \
    static inline T jg_pow_##t(T base, T exponent)                                                 \
    {                                                                                              \
        T result = 1;                                                                              \
        if (exponent < 0)                                                                          \
            return (T)(base == 1 ? 1 : base == -1 ? (exponent & 1 ? -1 : 1) : 0);                  \
        for (; exponent; exponent = (T)(exponent >> 1), base = (T)(base * base))                   \
            if (exponent & 1)                                                                      \
                result = (T)(result * base);                                                       \
        return result;                                                                             \
    }

JG_SIGNED_POWER(i8, int8_t)
JG_SIGNED_POWER(i16, int16_t)
JG_SIGNED_POWER(i32, int32_t)
JG_SIGNED_POWER(i64, int64_t)
JG_UNSIGNED_POWER(u8, uint8_t)
JG_UNSIGNED_POWER(u16, uint16_t)
JG_UNSIGNED_POWER(u32, uint32_t)
JG_UNSIGNED_POWER(u64, uint64_t)

/* Integers as floats, by way of their halves, each exact: the compiler must not find that x was made
 * by cutting a float, and give that float instead. One rounding, as in a plain conversion. */
static inline double jg_f64_of_i32(int32_t x)
{
    return (double)(x >> 16) * 65536.0 + (double)(x & 0xffff);
}
static inline float jg_f32_of_i32(int32_t x)
{
    return (float)(x >> 16) * 65536.0f + (float)(x & 0xffff);
}
static inline double jg_f64_of_i64(int64_t x)
{
    return (double)(x >> 32) * 4294967296.0 + (double)(x & 0xffffffff);
}
/* From 2^53 on, the bits that double would drop are joined into one, so that the second rounding
 * still sees on which side of a tie they lie. */
static inline float jg_f32_of_i64(int64_t x)
{
    const int64_t joined = (x | ((x & 2047) + 2047)) & ~(int64_t)2047;
    const int large = x >= (int64_t)1 << 53 || x <= -((int64_t)1 << 53);
    return (float)jg_f64_of_i64(large ? joined : x);
}

/* A float as uint64: values from 2^63 on are moved into the range of the signed conversion. */
static inline uint64_t jg_to_u64(double x)
{
    return x >= 0x1p63 ? (uint64_t)(int64_t)(x - 0x1p63) ^ ((uint64_t)1 << 63)
                       : (uint64_t)(int64_t)x;
}

#endif
