/* log, log1p and the reduced logarithm that softplus, asinh, pow, ... build on.
 *
 * x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2).  With s = f / (2 + f):
 * log(1 + f) = 2 atanh(s) = f - f^2/2 + s (f^2/2 + s^2 R(s^2))
 * (the form of fdlibm's e_log.c, Ng 1993); R is a minimax polynomial (coefficients/log.py).
 */
#ifndef JG_LOG_H
#define JG_LOG_H

#include "jg_bits.h"

typedef struct { double k, m; } jg_log_split_f64_t;
typedef struct { float k, m; } jg_log_split_f32_t;

/* x = 2^k m with sqrt(1/2) <= m < sqrt(2), for normal x > 0. */
JG_MATH jg_log_split_f64_t jg_log_split_f64(double x) {
    const uint64_t t = jg_to_bits_f64(x) + (0x3ff0000000000000u - 0x3fe6a09e667f3bcdu);
    const double k = jg_from_bits_f64((t >> 52) | 0x4330000000000000u) - (0x1p52 + 1023.0);
    const double m = jg_from_bits_f64((t & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu);
    return (jg_log_split_f64_t){k, m};
}
JG_MATH jg_log_split_f32_t jg_log_split_f32(float x) {
    const uint32_t t = jg_to_bits_f32(x) + (0x3f800000u - 0x3f3504f3u);
    const float k = (float)((int32_t)(t >> 23) - 127);
    const float m = jg_from_bits_f32((t & 0x007fffffu) + 0x3f3504f3u);
    return (jg_log_split_f32_t){k, m};
}

/* log(2^k (1 + f)) = hi + lo for |s| <= 0.2; lo carries rounding errors near 2^-57 (f32: 2^-28)
 * relative to the logarithm.  A correction c of f, below one ulp, adds c * slope:
 * slope = 1/(1 + f) = (1 - s)/(1 + s) to some 10 bits. */
typedef struct { double hi, lo, slope; } jg_log_parts_f64_t;
typedef struct { float hi, lo, slope; } jg_log_parts_f32_t;

JG_MATH jg_log_parts_f64_t jg_log_parts_f64(double k, double f) {
    const double s = f / (2.0 + f), z = s * s, w = z * z;
    /* R: error 2^-64 in log(1 + f) for |s| <= 0.2 */
    double odd = JG_FMA(0x1.1bed2f1af4d4ep-3, w, 0x1.3b369a0b42c7bp-3);
    double even = JG_FMA(0x1.0dbc17166feabp-3, w, 0x1.745c4582cda02p-3);
    odd = JG_FMA(odd, w, 0x1.c71c749ac585dp-3);
    even = JG_FMA(even, w, 0x1.24924921f4762p-2);
    odd = JG_FMA(odd, w, 0x1.999999999bc0dp-2);
    even = JG_FMA(even, w, 0x1.5555555555552p-1);
    const double r = z * JG_FMA(odd, z, even);
    const double half_square = 0.5 * f * f;
    const jg_pair_f64 h = jg_fast_sum_f64(k * 0x1.62e42feep-1, f);
    const double slope = (1.0 - s) * ((1.0 - s) * (1.0 + z));
    const double low = JG_FMA(s, half_square + r, k * 0x1.a39ef35793c76p-33);
    return (jg_log_parts_f64_t){h.hi, h.lo - (half_square - low), slope};
}
JG_MATH jg_log_parts_f32_t jg_log_parts_f32(float k, float f) {
    const float s = f / (2.0f + f), z = s * s;
    /* R: error 2^-37 in log(1 + f) for |s| <= 0.2 */
    float r = JG_FMAF(0x1.ee84ccp-3f, z, 0x1.23e076p-2f);
    r = JG_FMAF(r, z, 0x1.999c0ep-2f);
    r = z * JG_FMAF(r, z, 0x1.555554p-1f);
    const float half_square = 0.5f * f * f;
    const jg_pair_f32 h = jg_fast_sum_f32(k * 0x1.62e4p-1f, f);
    const float slope = (1.0f - s) * ((1.0f - s) * (1.0f + z));
    const float low = JG_FMAF(s, half_square + r, k * 0x1.7f7d1cp-20f);
    return (jg_log_parts_f32_t){h.hi, h.lo - (half_square - low), slope};
}

/* log(x): -inf at zero, nan below. */
JG_MATH double jg_log_f64(double x) {
    const int tiny = x < 0x1p-1022;
    const jg_log_split_f64_t v = jg_log_split_f64(tiny ? x * 0x1p54 : x);
    const jg_log_parts_f64_t l =
        jg_log_parts_f64(v.k - (tiny ? 54.0 : 0.0), v.m - 1.0);
    double y = l.hi + l.lo;
    y = x < __builtin_inf() ? y : x;
    y = x < 0.0 ? __builtin_nan("") : y;
    return x == 0.0 ? -__builtin_inf() : y;
}
JG_MATH float jg_log_f32(float x) {
    const int tiny = x < 0x1p-126f;
    const jg_log_split_f32_t v = jg_log_split_f32(tiny ? x * 0x1p25f : x);
    const jg_log_parts_f32_t l =
        jg_log_parts_f32(v.k - (tiny ? 25.0f : 0.0f), v.m - 1.0f);
    float y = l.hi + l.lo;
    y = x < __builtin_inff() ? y : x;
    y = x < 0.0f ? __builtin_nanf("") : y;
    return x == 0.0f ? -__builtin_inff() : y;
}

/* log(1 + x): -inf at -1, nan below.  1 + x = u + c exactly; while u needs no scaling f = x is
 * used as it stands, so that small x keep their relative accuracy. */
JG_MATH double jg_log1p_f64(double x) {
    const jg_pair_f64 u = jg_sum_f64(1.0, x);
    const jg_log_split_f64_t v = jg_log_split_f64(u.hi);
    const int unscaled = v.k == 0.0;
    const double scaled_c = v.k > 60.0 ? 0.0 : u.lo * jg_pow2_f64(v.k > 60.0 ? 0.0 : -v.k);
    const double f = unscaled ? x : v.m - 1.0;
    const jg_log_parts_f64_t l = jg_log_parts_f64(v.k, f);
    double y = l.hi + JG_FMA(unscaled ? 0.0 : scaled_c, l.slope, l.lo);
    y = x < __builtin_inf() ? y : x;
    y = jg_magnitude_f64(x) < 0x1p-54 ? x : y;
    y = x < -1.0 ? __builtin_nan("") : y;
    return x == -1.0 ? -__builtin_inf() : y;
}
JG_MATH float jg_log1p_f32(float x) {
    const jg_pair_f32 u = jg_sum_f32(1.0f, x);
    const jg_log_split_f32_t v = jg_log_split_f32(u.hi);
    const int unscaled = v.k == 0.0f;
    const float scaled_c = v.k > 30.0f ? 0.0f : u.lo * jg_pow2_f32(v.k > 30.0f ? 0.0f : -v.k);
    const float f = unscaled ? x : v.m - 1.0f;
    const jg_log_parts_f32_t l = jg_log_parts_f32(v.k, f);
    float y = l.hi + JG_FMAF(unscaled ? 0.0f : scaled_c, l.slope, l.lo);
    y = x < __builtin_inff() ? y : x;
    y = jg_magnitude_f32(x) < 0x1p-25f ? x : y;
    y = x < -1.0f ? __builtin_nanf("") : y;
    return x == -1.0f ? -__builtin_inff() : y;
}

#endif
