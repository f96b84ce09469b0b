/* Bit access and error-free transformations shared by the vector math headers.
 *
 * Everything here is straight-line scalar C: the compiler's loop vectoriser widens it.  The file
 * must be compiled without -ffast-math and with -ffp-contract=off; then a value has the same bits
 * in a vector body, in a scalar tail and in a loop of one element.
 */
#ifndef JG_BITS_H
#define JG_BITS_H

#include <stdint.h>
#include <string.h>

#define JG_MATH static inline __attribute__((always_inline, unused))

/* Hardware fused multiply-add: one rounding and one instruction.  Without it JG_FMA rounds twice,
 * which the polynomials tolerate, and exact products are built from halves (Dekker). */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define JG_HAS_FMA 1
#define JG_FMA(a, b, c) __builtin_fma(a, b, c)
#define JG_FMAF(a, b, c) __builtin_fmaf(a, b, c)
#else
#define JG_HAS_FMA 0
#define JG_FMA(a, b, c) ((a) * (b) + (c))
#define JG_FMAF(a, b, c) ((a) * (b) + (c))
#endif

/* A blend by an all-ones or all-zeros mask: where several selects hang on the same conditions, ?:
 * makes gcc 12 duplicate the code per case, and the loop is not vectorised. */
#define JG_MASK64(condition) (-(uint64_t)(condition))

/* An unevaluated sum hi + lo. */
typedef struct { double hi, lo; } jg_pair_f64;
typedef struct { float hi, lo; } jg_pair_f32;

JG_MATH uint64_t jg_to_bits_f64(double x) { uint64_t u; memcpy(&u, &x, sizeof u); return u; }
JG_MATH double jg_from_bits_f64(uint64_t u) { double x; memcpy(&x, &u, sizeof x); return x; }
JG_MATH uint32_t jg_to_bits_f32(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return u; }
JG_MATH float jg_from_bits_f32(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }

JG_MATH double jg_blend_f64(uint64_t mask, double yes, double no) {
    return jg_from_bits_f64((jg_to_bits_f64(yes) & mask) | (jg_to_bits_f64(no) & ~mask));
}

/* |magnitude| with the sign of `sign`. */
JG_MATH double jg_with_sign_f64(double magnitude, double sign) {
    return jg_from_bits_f64((jg_to_bits_f64(magnitude) & 0x7fffffffffffffffu) |
                            (jg_to_bits_f64(sign) & 0x8000000000000000u));
}
JG_MATH float jg_with_sign_f32(float magnitude, float sign) {
    return jg_from_bits_f32((jg_to_bits_f32(magnitude) & 0x7fffffffu) |
                            (jg_to_bits_f32(sign) & 0x80000000u));
}
JG_MATH double jg_magnitude_f64(double x) {
    return jg_from_bits_f64(jg_to_bits_f64(x) & 0x7fffffffffffffffu);
}
JG_MATH float jg_magnitude_f32(float x) {
    return jg_from_bits_f32(jg_to_bits_f32(x) & 0x7fffffffu);
}

/* x within [low, high], low < 0 < high; a nan becomes one of the two.  Floats of one sign are ordered
 * like their bits: as signed numbers the positive ones, as unsigned ones the negative ones, which
 * are above all positive ones.  Two instructions, where ?: takes up to seven. */
JG_MATH double jg_clamp_f64(double x, double low, double high) {
    const int64_t x_bits = (int64_t)jg_to_bits_f64(x), top = (int64_t)jg_to_bits_f64(high);
    const uint64_t y = (uint64_t)(x_bits < top ? x_bits : top), bottom = jg_to_bits_f64(low);
    return jg_from_bits_f64(y < bottom ? y : bottom);
}
JG_MATH float jg_clamp_f32(float x, float low, float high) {
    const int32_t x_bits = (int32_t)jg_to_bits_f32(x), top = (int32_t)jg_to_bits_f32(high);
    const uint32_t y = (uint32_t)(x_bits < top ? x_bits : top), bottom = jg_to_bits_f32(low);
    return jg_from_bits_f32(y < bottom ? y : bottom);
}

/* The larger and the smaller of two positive numbers. */
JG_MATH jg_pair_f64 jg_ordered_f64(double a, double b) {
    const uint64_t p = jg_to_bits_f64(a), q = jg_to_bits_f64(b);
    return (jg_pair_f64){jg_from_bits_f64(p > q ? p : q), jg_from_bits_f64(p < q ? p : q)};
}
JG_MATH jg_pair_f32 jg_ordered_f32(float a, float b) {
    const uint32_t p = jg_to_bits_f32(a), q = jg_to_bits_f32(b);
    return (jg_pair_f32){jg_from_bits_f32(p > q ? p : q), jg_from_bits_f32(p < q ? p : q)};
}

/* a + b exactly, for |a| >= |b| or a == 0 (Dekker 1971). */
JG_MATH jg_pair_f64 jg_fast_sum_f64(double a, double b) {
    const double s = a + b;
    return (jg_pair_f64){s, b - (s - a)};
}
JG_MATH jg_pair_f32 jg_fast_sum_f32(float a, float b) {
    const float s = a + b;
    return (jg_pair_f32){s, b - (s - a)};
}

/* a + b exactly, for any order (Knuth). */
JG_MATH jg_pair_f64 jg_sum_f64(double a, double b) {
    const double s = a + b;
    const double v = s - a;
    return (jg_pair_f64){s, (a - (s - v)) + (b - v)};
}
JG_MATH jg_pair_f32 jg_sum_f32(float a, float b) {
    const float s = a + b;
    const float v = s - a;
    return (jg_pair_f32){s, (a - (s - v)) + (b - v)};
}

/* a * b exactly while nothing under- or overflows (|a|, |b| < 2^995 without hardware fma). */
JG_MATH jg_pair_f64 jg_product_f64(double a, double b) {
    const double p = a * b;
#if JG_HAS_FMA
    return (jg_pair_f64){p, __builtin_fma(a, b, -p)};
#else
    const double ta = 0x1.000002p27 * a, tb = 0x1.000002p27 * b;
    const double ah = ta - (ta - a), bh = tb - (tb - b);
    const double al = a - ah, bl = b - bh;
    return (jg_pair_f64){p, al * bl - (((p - ah * bh) - al * bh) - ah * bl)};
#endif
}
JG_MATH jg_pair_f32 jg_product_f32(float a, float b) {
    const float p = a * b;
#if JG_HAS_FMA
    return (jg_pair_f32){p, __builtin_fmaf(a, b, -p)};
#else
    return (jg_pair_f32){p, (float)((double)a * (double)b - (double)p)};
#endif
}

/* c - a * b with one rounding, where it is known to be small against c. */
JG_MATH double jg_residual_f64(double c, double a, double b) {
#if JG_HAS_FMA
    return __builtin_fma(-a, b, c);
#else
    const jg_pair_f64 p = jg_product_f64(a, b);
    return (c - p.hi) - p.lo;
#endif
}
JG_MATH float jg_residual_f32(float c, float a, float b) {
#if JG_HAS_FMA
    return __builtin_fmaf(-a, b, c);
#else
    return (float)((double)c - (double)a * (double)b);
#endif
}

/* 2^k, -1022 <= k <= 1023 (f32: -126 <= k <= 127), given t = k + JG_BIAS: the low bits of t hold
 * k + bias, and the shift moves them into the exponent. */
#define JG_BIAS_F64 (0x1.8p52 + 1023.0)
#define JG_BIAS_F32 (0x1.8p23f + 127.0f)
JG_MATH double jg_exponent_f64(double t) {
    return jg_from_bits_f64(jg_to_bits_f64(t) << 52);
}
JG_MATH float jg_exponent_f32(float t) {
    return jg_from_bits_f32(jg_to_bits_f32(t) << 23);
}
JG_MATH double jg_pow2_f64(double k) { return jg_exponent_f64(k + JG_BIAS_F64); }
JG_MATH float jg_pow2_f32(float k) { return jg_exponent_f32(k + JG_BIAS_F32); }

/* 2^k = hi * lo for -1700 < k < 1900 (f32: -250 < k < 250), so that x * hi * lo rounds once at most
 * when it is subnormal and overflows exactly when it should.  The low bits of t = k + JG_SPLIT hold
 * k + 2 bias, of which either factor gets one half as its exponent. */
#define JG_SPLIT_F64 (0x1.8p52 + 2046.0)
#define JG_SPLIT_F32 (0x1.8p23f + 254.0f)
JG_MATH jg_pair_f64 jg_pow2_split_f64(double t) {
    const uint64_t bits = jg_to_bits_f64(t);
    const uint64_t first = (bits << 51) & 0x7ff0000000000000u;
    return (jg_pair_f64){jg_from_bits_f64(first), jg_from_bits_f64((bits << 52) - first)};
}
JG_MATH jg_pair_f32 jg_pow2_split_f32(float t) {
    const uint32_t bits = jg_to_bits_f32(t);
    const uint32_t first = (bits << 22) & 0x7f800000u;
    return (jg_pair_f32){jg_from_bits_f32(first), jg_from_bits_f32((bits << 23) - first)};
}

/* Of k + JG_LIFT jg_exponent makes 2^60 2^k (f32: 2^30), which is not subnormal where k does not
 * grow, -1080 < k < 900 (f32: -155 < k < 90): a product with it and then with JG_LOWER rounds once
 * at most. */
#define JG_LIFT_F64 (JG_BIAS_F64 + 60.0)
#define JG_LIFT_F32 (JG_BIAS_F32 + 30.0f)
#define JG_LOWER_F64 0x1p-60
#define JG_LOWER_F32 0x1p-30f

#endif
