/* log, log1p, log2, log10, cbrt, logaddexp and the reduced logarithm that softplus, asinh, pow
 * and others build on.
 *
 * x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2).  With s = f / (2 + f):
 * log(1 + f) = 2 atanh(s) = f - f^2/2 + s (f^2/2 + s^2 R(s^2))
 * (the form of fdlibm's e_log.c, Ng 1993); R is a minimax polynomial (coefficients/log.py).
 */
#ifndef JG_LOG_H
#define JG_LOG_H

#include "jg_exp.h"

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

/* log(1 + f) = f + tail for |s| <= 0.2; the tail is good to about 2^-57 (f32: 2^-28) relative to
 * the logarithm.  A correction c of f, below one ulp, adds c * slope:
 * slope = 1/(1 + f) = (1 - s)/(1 + s) = 1 - 2 s + 2 s^2 to 6 bits, and to more where f is small. */
typedef struct { double tail, slope; } jg_log_tail_f64_t;
typedef struct { float tail, slope; } jg_log_tail_f32_t;

JG_MATH jg_log_tail_f64_t jg_log_tail_f64(double f) {
    const double s = f / (2.0 + f), z = s * s;
    /* R: error 2^-64 in log(1 + f) for |s| <= 0.2 */
    double r = JG_FMA(0x1.1d6bdd3dab3cep-3, z, 0x1.0d79efede6255p-3);
    r = JG_FMA(r, z, 0x1.3b3b4fb64179bp-3);
    r = JG_FMA(r, z, 0x1.745c18060e345p-3);
    r = JG_FMA(r, z, 0x1.c71c7593c7e89p-3);
    r = JG_FMA(r, z, 0x1.24924920773b9p-2);
    r = JG_FMA(r, z, 0x1.999999999e122p-2);
    r = z * JG_FMA(r, z, 0x1.5555555555547p-1);
    const double half_square = 0.5 * f * f;
    const double slope = JG_FMA(s, JG_FMA(2.0, s, -2.0), 1.0);
    return (jg_log_tail_f64_t){JG_FMA(s, half_square + r, -half_square), slope};
}
JG_MATH jg_log_tail_f32_t jg_log_tail_f32(float f) {
    const float s = f / (2.0f + f), z = s * s;
    /* R: error 2^-37 in log(1 + f) for |s| <= 0.2 */
    float r = JG_FMAF(0x1.ee84ccp-3f, z, 0x1.23e076p-2f);
    r = JG_FMAF(r, z, 0x1.999c0ep-2f);
    r = z * JG_FMAF(r, z, 0x1.555554p-1f);
    const float half_square = 0.5f * f * f;
    const float slope = JG_FMAF(s, JG_FMAF(2.0f, s, -2.0f), 1.0f);
    return (jg_log_tail_f32_t){JG_FMAF(s, half_square + r, -half_square), slope};
}

/* log(2^k (1 + f)) = hi + lo, not normalised; slope as above. */
typedef struct { double hi, lo, slope; } jg_log_parts_f64_t;
typedef struct { float hi, lo, slope; } jg_log_parts_f32_t;

JG_MATH jg_log_parts_f64_t jg_log_parts_f64(double k, double f) {
    const jg_log_tail_f64_t t = jg_log_tail_f64(f);
    const jg_pair_f64 h = jg_fast_sum_f64(k * 0x1.62e42feep-1, f);
    return (jg_log_parts_f64_t){h.hi, h.lo + JG_FMA(k, 0x1.a39ef35793c76p-33, t.tail), t.slope};
}
JG_MATH jg_log_parts_f32_t jg_log_parts_f32(float k, float f) {
    const jg_log_tail_f32_t t = jg_log_tail_f32(f);
    const jg_pair_f32 h = jg_fast_sum_f32(k * 0x1.62e4p-1f, f);
    return (jg_log_parts_f32_t){h.hi, h.lo + JG_FMAF(k, 0x1.7f7d1cp-20f, t.tail), t.slope};
}

/* The value of a logarithm at zero, below, at infinity and at nan; `y` elsewhere.  One comparison
 * finds them all: the rest of the floats have bits from 1 to below those of infinity.  All ones,
 * a nan, is what the sign of a negative number spreads to. */
JG_MATH double jg_log_special_f64(double x, double y) {
    const uint64_t bits = jg_to_bits_f64(x);
    const double nan_below = jg_from_bits_f64(bits | (uint64_t)((int64_t)bits >> 63));
    const double special = x == 0.0 ? -__builtin_inf() : nan_below;
    return bits - 1 < 0x7fefffffffffffffu ? y : special;
}
JG_MATH float jg_log_special_f32(float x, float y) {
    const uint32_t bits = jg_to_bits_f32(x);
    const float nan_below = jg_from_bits_f32(bits | (uint32_t)((int32_t)bits >> 31));
    const float special = x == 0.0f ? -__builtin_inff() : nan_below;
    return bits - 1 < 0x7f7fffffu ? y : special;
}

/* log(x): -inf at zero, nan below. */
/* <= 1 ULP; worst 0.907 at 0x1.69f49033dd583p-1, 4.0e8 points, x in [4.941e-324, 1.79e+308]. */
JG_MATH double jg_log_f64(double x) {
    const int tiny = x < 0x1p-1022;
    const jg_log_split_f64_t v = jg_log_split_f64(tiny ? x * 0x1p54 : x);
    const jg_log_parts_f64_t l =
        jg_log_parts_f64(v.k - (tiny ? 54.0 : 0.0), v.m - 1.0);
    return jg_log_special_f64(x, l.hi + l.lo);
}
/* <= 1 ULP; worst 0.858 at 0x1.688a56p-1, every float32. */
JG_MATH float jg_log_f32(float x) {
    const int tiny = x < 0x1p-126f;
    const jg_log_split_f32_t v = jg_log_split_f32(tiny ? x * 0x1p25f : x);
    const jg_log_parts_f32_t l =
        jg_log_parts_f32(v.k - (tiny ? 25.0f : 0.0f), v.m - 1.0f);
    return jg_log_special_f32(x, l.hi + l.lo);
}

/* log(1 + x): -inf at -1, nan below.  1 + x = u + c exactly up to 2^53 (f32: 2^24), and c is of no
 * account beyond.  Where u needs no scaling, f + c is x: small x keep their relative accuracy, and
 * those that are all c are the result. */
/* <= 1 ULP; worst 0.947 at -0x1.2db5ac0529bc1p-2, 4.0e8 points, x in [-1, 1.79e+308]. */
JG_MATH double jg_log1p_f64(double x) {
    const double u = 1.0 + x, half_c = 0.5 * (x - (u - 1.0));
    const jg_log_split_f64_t v = jg_log_split_f64(u);
    /* 2^(1 - k): zero for the largest k */
    const double scale = jg_exponent_f64((JG_BIAS_F64 + 1.0) - v.k);
    const jg_log_parts_f64_t l = jg_log_parts_f64(v.k, v.m - 1.0);
    const double y = jg_log_special_f64(u, l.hi + JG_FMA(half_c * scale, l.slope, l.lo));
    return jg_magnitude_f64(x) < 0x1p-54 ? x : y;
}
/* <= 1 ULP; worst 0.912 at -0x1.2c5a92p-2, every float32. */
JG_MATH float jg_log1p_f32(float x) {
    const float u = 1.0f + x, half_c = 0.5f * (x - (u - 1.0f));
    const jg_log_split_f32_t v = jg_log_split_f32(u);
    const float scale = jg_exponent_f32((JG_BIAS_F32 + 1.0f) - v.k);
    const jg_log_parts_f32_t l = jg_log_parts_f32(v.k, v.m - 1.0f);
    const float y = jg_log_special_f32(u, l.hi + JG_FMAF(half_c * scale, l.slope, l.lo));
    return jg_magnitude_f32(x) < 0x1p-25f ? x : y;
}

/* k unit + (f + tail) scale: the logarithm in another base b, unit = log_b(2), scale = log_b(e),
 * both pairs.  The product is a pair too, so powers of b come out exact. */
JG_MATH double jg_log_base_f64(double x, jg_pair_f64 unit, jg_pair_f64 scale) {
    const int tiny = x < 0x1p-1022;
    const jg_log_split_f64_t v = jg_log_split_f64(tiny ? x * 0x1p54 : x);
    const double k = v.k - (tiny ? 54.0 : 0.0), f = v.m - 1.0;
    const jg_pair_f64 l = jg_fast_sum_f64(f, jg_log_tail_f64(f).tail);
    const jg_pair_f64 p = jg_product_f64(l.hi, scale.hi);
    const double p_lo = p.lo + JG_FMA(l.hi, scale.lo, l.lo * scale.hi);
    const jg_pair_f64 h = jg_fast_sum_f64(k * unit.hi, p.hi);
    return jg_log_special_f64(x, h.hi + (h.lo + JG_FMA(k, unit.lo, p_lo)));
}
JG_MATH float jg_log_base_f32(float x, jg_pair_f32 unit, jg_pair_f32 scale) {
    const int tiny = x < 0x1p-126f;
    const jg_log_split_f32_t v = jg_log_split_f32(tiny ? x * 0x1p25f : x);
    const float k = v.k - (tiny ? 25.0f : 0.0f), f = v.m - 1.0f;
    const jg_pair_f32 l = jg_fast_sum_f32(f, jg_log_tail_f32(f).tail);
    const jg_pair_f32 p = jg_product_f32(l.hi, scale.hi);
    const float p_lo = p.lo + JG_FMAF(l.hi, scale.lo, l.lo * scale.hi);
    const jg_pair_f32 h = jg_fast_sum_f32(k * unit.hi, p.hi);
    return jg_log_special_f32(x, h.hi + (h.lo + JG_FMAF(k, unit.lo, p_lo)));
}

/* log2(x), log10(x): special values as log. */
/* <= 1 ULP; worst 0.957 at 0x1.69e7d2f1ae7e9p+0, 4.0e8 points, x in [4.941e-324, 1.79e+308]. */
JG_MATH double jg_log2_f64(double x) {
    return jg_log_base_f64(x, (jg_pair_f64){1.0, 0.0},
                           (jg_pair_f64){0x1.71547652b82fep+0, 0x1.777d0ffda0d24p-56});
}
/* <= 1 ULP; worst 0.889 at 0x1.6823c2p+0, 2.0e7 points, x in [1.5e-45, 3.4e+38]. */
JG_MATH float jg_log2_f32(float x) {
    return jg_log_base_f32(x, (jg_pair_f32){1.0f, 0.0f},
                           (jg_pair_f32){0x1.715476p+0f, 0x1.4ae0cp-26f});
}
/* <= 1 ULP; worst 0.769 at 0x1.67120c1edddbbp-1, 2.0e7 points, x in [4.941e-324, 1.79e+308]. */
JG_MATH double jg_log10_f64(double x) {
    return jg_log_base_f64(x, (jg_pair_f64){0x1.34413509fp-2, 0x1.e7fbcc47c4acdp-40},
                           (jg_pair_f64){0x1.bcb7b1526e50ep-2, 0x1.95355baaafad3p-57});
}
/* <= 1 ULP; worst 0.755 at 0x1.54dbe2p+0, 2.0e7 points, x in [1.5e-45, 3.4e+38]. */
JG_MATH float jg_log10_f32(float x) {
    return jg_log_base_f32(x, (jg_pair_f32){0x1.344p-2f, 0x1.3509f8p-18f},
                           (jg_pair_f32){0x1.bcb7b2p-2f, -0x1.5b235ep-27f});
}

/* cbrt(x).  A polynomial gives t near the root of m (25 bits), rounded to 23 bits so that t^2 is
 * exact; one Halley step t + t (m/t^2 - t) / (m/t^2 + 2t) leaves 0.5 + 1/6 ULP (fdlibm). */
/* <= 1 ULP; worst 0.667 at -0x1.bb3c3c1c1df46p+1022, 2.0e7 points, x in [-1.79e+308, 1.79e+308]. */
JG_MATH double jg_cbrt_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const int tiny = a < 0x1p-1022;
    const jg_log_split_f64_t v = jg_log_split_f64(tiny ? a * 0x1p54 : a);
    const double third = ((v.k * (1.0 / 3.0)) + 0x1.8p52) - 0x1.8p52; /* 54 is a multiple of 3 */
    const double left = JG_FMA(third, -3.0, v.k);                     /* -1, 0 or 1 */
    const double m = v.m, m2 = m * m, m4 = m2 * m2;
    double t = JG_FMA(JG_FMA(0x1.025c54daa580fp-6, m, -0x1.180a92fd766f0p-3), m2,
                      JG_FMA(0x1.0a5ef0213ab11p-1, m, -0x1.24a265eae9f19p+0));
    t = JG_FMA(t, m4, JG_FMA(JG_FMA(0x1.9d4995ca556efp+0, m, -0x1.940d82b46b32cp+0), m2,
                             JG_FMA(0x1.53f5b60043739p+0, m, 0x1.84e41804b84d9p-2)));
    t *= left < 0.0 ? 0x1.965fea53d6e3dp-1 : left > 0.0 ? 0x1.428a2f98d728bp+0 : 1.0;
    t = jg_from_bits_f64((jg_to_bits_f64(t) + 0x20000000u) & 0xffffffffc0000000u);
    const double n = m * (left < 0.0 ? 0.5 : left > 0.0 ? 2.0 : 1.0);
    const double q = n / (t * t);
    const double y = (t + t * ((q - t) / (t + t + q))) * jg_pow2_f64(third - (tiny ? 18.0 : 0.0));
    return a == 0.0 || !(a < __builtin_inf()) ? x : jg_with_sign_f64(y, x);
}
/* <= 1 ULP; worst 0.500 at 0x1.06a76ap-125, every float32. */
JG_MATH float jg_cbrt_f32(float x) { return (float)jg_cbrt_f64((double)x); }

/* log(1 + exp(a + a_lo)), -746 <= a <= 0, |a_lo| < 2^-40 (f32: a >= -104, no a_lo), as an unevaluated
 * pair.  e = exp(a) is kept as eh + el; log(1 + e) = u + u^3 R(u^2), u = 2 e / (2 + e) <= 2/3, one
 * division, corrected once; R: relative error of the logarithm 2^-59 (f32: 2^-33). */
JG_MATH jg_pair_f64 jg_log1pexp_f64(double a, double a_lo) {
    const double t = JG_FMA(a, 0x1.71547652b82fep+0, JG_LIFT_F64), k = t - JG_LIFT_F64;
    const double second = JG_FMA(-k, 0x1.a39ef35793c76p-33, a_lo);
    const jg_pair_f64 e = jg_exp_near_zero_f64(JG_FMA(-k, 0x1.62e42feep-1, a) + second);
    const jg_pair_f64 m = jg_fast_sum_f64(e.hi, e.lo);
    const double big = jg_exponent_f64(t);
    const double eh = m.hi * big * JG_LOWER_F64, el = m.lo * big * JG_LOWER_F64;
    const jg_pair_f64 d = jg_fast_sum_f64(2.0, eh);
    const double inverse = 1.0 / d.hi, twice = eh + eh, u = twice * inverse;
    const double rest = JG_FMA(-u, d.lo + el, el + el) + jg_residual_f64(twice, u, d.hi);
    const double z = u * u, w = z * z;
    const double c01 = JG_FMA(z, 0x1.99999999a0787p-7, 0x1.5555555555535p-4);
    const double c23 = JG_FMA(z, 0x1.c71c741db3bfcp-12, 0x1.2492492089ff4p-9);
    const double c45 = JG_FMA(z, 0x1.3b1ddef820debp-16, 0x1.745cb3d3dc9c3p-14);
    const double c67 = JG_FMA(z, 0x1.efdab6fb8dae5p-21, 0x1.10679a140f088p-18);
    const double c89 = JG_FMA(z, 0x1.5c8095f848fbbp-24, 0x1.55a79c0ab79afp-23);
    const double r = JG_FMA(JG_FMA(JG_FMA(JG_FMA(c89, w, c67), w, c45), w, c23), w, c01);
    return (jg_pair_f64){u, JG_FMA(u * z, r, rest * inverse)};
}
JG_MATH jg_pair_f32 jg_log1pexp_f32(float a) {
    const jg_exp_pair_f32_t e = jg_exp_parts_f32(a, JG_LIFT_F32);
    const jg_pair_f32 m = jg_fast_sum_f32(e.hi, e.lo);
    const float big = jg_exponent_f32(e.t);
    const float eh = m.hi * big * JG_LOWER_F32, el = m.lo * big * JG_LOWER_F32;
    const jg_pair_f32 d = jg_fast_sum_f32(2.0f, eh);
    const float inverse = 1.0f / d.hi, twice = eh + eh, u = twice * inverse;
    const float rest = JG_FMAF(-u, d.lo + el, el + el) + jg_residual_f32(twice, u, d.hi);
    const float z = u * u, w = z * z;
    const float c01 = JG_FMAF(z, 0x1.9996d8p-7f, 0x1.555558p-4f);
    const float c23 = JG_FMAF(z, 0x1.b72bb6p-12f, 0x1.250510p-9f);
    const float r = JG_FMAF(JG_FMAF(w, 0x1.f08b0cp-14f, c23), w, c01);
    return (jg_pair_f32){u, JG_FMAF(u * z, r, rest * inverse)};
}

/* log(exp(a) + exp(b)) = max + log1p(exp(min - max)); equal infinities give themselves. */
/* <= 1 ULP or 2^-54 absolute; worst 0.715 at 0x1.280929800f762p-34, -0x1.6d4936cb4fe5ep-43,
 * 1.0e7 points, 3 boxes. */
JG_MATH double jg_logaddexp_f64(double a, double b) {
    const double high = a > b ? a : b, low = a > b ? b : a;
    const jg_pair_f64 d = jg_sum_f64(low, -high);
    const int far = !(d.hi > -746.0); /* nan as well */
    const jg_pair_f64 l = jg_log1pexp_f64(far ? -746.0 : d.hi, far ? 0.0 : d.lo);
    const jg_pair_f64 s = jg_sum_f64(high, l.hi);
    const double y = s.hi + (s.lo + l.lo);
    const double z = far ? high : y;
    return a != a || b != b ? a + b : z;
}
/* <= 1 ULP; worst 0.500 at 0x1.da354ap-79, 0x1.1dac8cp-3, 6.0e5 points, 3 boxes. */
JG_MATH float jg_logaddexp_f32(float a, float b) {
    return (float)jg_logaddexp_f64((double)a, (double)b);
}

#endif
