/* exp, exp2, expm1 and the reduced exponential that sigmoid, softplus, tanh, sinh, ... build on.
 *
 * exp(x) = 2^k exp(r), k = rint(x / log 2), |r| <= log(2)/2, with r = hi - lo where
 * hi = x - k log2_hi is exact (log2_hi has 32 bits) and lo = k log2_lo.
 * exp(r) = 1 + r + r^2 q(r); q is a minimax polynomial (coefficients/exp.py).
 */
#ifndef JG_EXP_H
#define JG_EXP_H

#include "jg_bits.h"

/* exp(r) - 1 - r + more = r^2/2 + r^3 q2(r) + more for |r| <= log(2)/2, q2 by Horner's scheme over
 * pairs of terms: no more operations, and half as many wait for each other.  Error 2^-62 (f32:
 * 2^-33). */
JG_MATH double jg_exp_rest_f64(double r, double more) {
    const double z = r * r, cube = z * r;
    const double c01 = JG_FMA(r, 0x1.5555555555569p-5, 0x1.555555555555bp-3);
    const double c23 = JG_FMA(r, 0x1.6c16c16c0a2acp-10, 0x1.111111110ee9cp-7);
    const double c45 = JG_FMA(r, 0x1.a01a01eee0756p-16, 0x1.a01a01b29fa99p-13);
    const double c67 = JG_FMA(r, 0x1.27e430d2fc4f6p-22, 0x1.71ddf22941d58p-19);
    const double c89 = JG_FMA(r, 0x1.208ab90776351p-29, 0x1.af68b467cbd30p-26);
    const double q = JG_FMA(JG_FMA(JG_FMA(JG_FMA(c89, z, c67), z, c45), z, c23), z, c01);
    return JG_FMA(cube, q, JG_FMA(z, 0.5, more));
}
JG_MATH float jg_exp_rest_f32(float r, float more) {
    const float z = r * r, cube = z * r;
    const float c01 = JG_FMAF(r, 0x1.5554eap-5f, 0x1.555556p-3f);
    const float c23 = JG_FMAF(r, 0x1.6d4a7cp-10f, 0x1.111018p-7f);
    const float q = JG_FMAF(JG_FMAF(z, 0x1.a21794p-13f, c23), z, c01);
    return JG_FMAF(cube, q, JG_FMAF(z, 0.5f, more));
}

/* h (exp(r h) - 1 - r h) / (r h)^2, z = r^2, in fewer operations for where nothing cancels: error in
 * exp(r h) 2^-57.5 (f32: 2^-33).  h is a power of two known to the compiler. */
JG_MATH double jg_exp_scaled_q_f64(double r, double z, double h) {
    const double h2 = h * h, h3 = h2 * h, h4 = h2 * h2, h5 = h4 * h, h6 = h3 * h3, h8 = h4 * h4;
    const double c01 = JG_FMA(r, h2 * 0x1.5555555555556p-3, h * 0x1.000000000000bp-1);
    const double c23 = JG_FMA(r, h4 * 0x1.11111111106fep-7, h3 * 0x1.55555555502cfp-5);
    const double c45 = JG_FMA(r, h6 * 0x1.a01a01a9356f3p-13, h5 * 0x1.6c16c18527f62p-10);
    const double c67 = JG_FMA(r, h8 * 0x1.71de0876cbbbdp-19, h6 * h * 0x1.a01997b1d3015p-16);
    const double c89 = JG_FMA(r, h8 * h2 * 0x1.af44df833b4fbp-26, h8 * h * 0x1.28af72f3ff923p-22);
    return JG_FMA(JG_FMA(JG_FMA(JG_FMA(c89, z, c67), z, c45), z, c23), z, c01);
}
JG_MATH float jg_exp_scaled_q_f32(float r, float z, float h) {
    const float h2 = h * h, h3 = h2 * h, h4 = h2 * h2;
    const float c01 = JG_FMAF(r, h2 * 0x1.555556p-3f, h * 0.5f);
    const float c23 = JG_FMAF(r, h4 * 0x1.111018p-7f, h3 * 0x1.5554eap-5f);
    const float c45 = JG_FMAF(r, h4 * h2 * 0x1.a21794p-13f, h4 * h * 0x1.6d4a7cp-10f);
    return JG_FMAF(JG_FMAF(c45, z, c23), z, c01);
}
JG_MATH double jg_exp_q_f64(double r, double z) { return jg_exp_scaled_q_f64(r, z, 1.0); }
JG_MATH float jg_exp_q_f32(float r, float z) { return jg_exp_scaled_q_f32(r, z, 1.0f); }

/* exp(r) for |r| <= log(2)/2 as hi + lo, hi = 1 + r rounded: not normalised, |lo| < 0.07. */
JG_MATH jg_pair_f64 jg_exp_near_zero_f64(double r) {
    const double z = r * r, hi = 1.0 + r;
    return (jg_pair_f64){hi, JG_FMA(jg_exp_q_f64(r, z), z, r - (hi - 1.0))};
}
JG_MATH jg_pair_f32 jg_exp_near_zero_f32(float r) {
    const float z = r * r, hi = 1.0f + r;
    return (jg_pair_f32){hi, JG_FMAF(jg_exp_q_f32(r, z), z, r - (hi - 1.0f))};
}

/* exp(x) = 2^k (hi + lo) as above, k = t - offset.  r is rounded once, which costs a quarter of a
 * unit in the last place at most. */
typedef struct { double hi, lo, t; } jg_exp_pair_f64_t;
typedef struct { float hi, lo, t; } jg_exp_pair_f32_t;

JG_MATH jg_exp_pair_f64_t jg_exp_parts_f64(double x, double offset) {
    const double t = JG_FMA(x, 0x1.71547652b82fep+0, offset), k = t - offset;
    const double first = JG_FMA(-k, 0x1.62e42feep-1, x);
    const jg_pair_f64 m = jg_exp_near_zero_f64(JG_FMA(-k, 0x1.a39ef35793c76p-33, first));
    return (jg_exp_pair_f64_t){m.hi, m.lo, t};
}
JG_MATH jg_exp_pair_f32_t jg_exp_parts_f32(float x, float offset) {
    const float t = JG_FMAF(x, 0x1.715476p+0f, offset), k = t - offset;
    const float first = JG_FMAF(-k, 0x1.62e4p-1f, x);
    const jg_pair_f32 m = jg_exp_near_zero_f32(JG_FMAF(-k, 0x1.7f7d1cp-20f, first));
    return (jg_exp_pair_f32_t){m.hi, m.lo, t};
}

/* exp(x + x_lo) the same way, but that the rounding of r is in lo.  |x| <= 1100, |x_lo| < 2^-40. */
JG_MATH jg_exp_pair_f64_t jg_exp_pair_f64(double x, double x_lo, double offset) {
    const double t = JG_FMA(x, 0x1.71547652b82fep+0, offset), k = t - offset;
    const double first = JG_FMA(-k, 0x1.62e42feep-1, x);
    const double second = JG_FMA(-k, 0x1.a39ef35793c76p-33, x_lo);
    const jg_pair_f64 r = {first + second, second - ((first + second) - first)};
    const double hi = 1.0 + r.hi;
    return (jg_exp_pair_f64_t){hi, jg_exp_rest_f64(r.hi, (r.hi - (hi - 1.0)) + r.lo), t};
}

/* exp(x + x_lo) in one number: over- and underflows as it should. */
JG_MATH double jg_exp_value_f64(double x, double x_lo) {
    const jg_exp_pair_f64_t e = jg_exp_pair_f64(x, x_lo, JG_SPLIT_F64);
    const jg_pair_f64 scale = jg_pow2_split_f64(e.t);
    return (e.hi + e.lo) * scale.hi * scale.lo;
}

/* exp(x).  The one rounding of a subnormal result is that of the last product.  Out of range the
 * clamped argument over- or underflows by itself. */
/* <= 1 ULP; worst 0.832 at -0x1.6266e68f0c5eep+9, 2.0e7 points, x in [-745.2, 709.8]. */
JG_MATH double jg_exp_f64(double x) {
    const jg_exp_pair_f64_t e = jg_exp_parts_f64(jg_clamp_f64(x, -746.0, 710.0), JG_SPLIT_F64);
    const jg_pair_f64 scale = jg_pow2_split_f64(e.t);
    const double value = (e.hi + e.lo) * scale.hi * scale.lo;
    return x == x ? value : x;
}
/* <= 1 ULP; worst 0.778 at -0x1.788dbap+2, every float32. */
JG_MATH float jg_exp_f32(float x) {
    const jg_exp_pair_f32_t e = jg_exp_parts_f32(jg_clamp_f32(x, -104.0f, 89.0f), JG_SPLIT_F32);
    const jg_pair_f32 scale = jg_pow2_split_f32(e.t);
    const float value = (e.hi + e.lo) * scale.hi * scale.lo;
    return x == x ? value : x;
}

/* exp2(x): the argument of exp is r log(2), r = x - rint(x), rounded once as that of exp. */
/* <= 1 ULP; worst 0.863 at -0x1.ff2f83cf1820ep+9, 2.0e7 points, x in [-1076, 1024]. */
JG_MATH double jg_exp2_f64(double x) {
    const double y = jg_clamp_f64(x, -1076.0, 1025.0), t = y + JG_SPLIT_F64;
    const jg_pair_f64 m = jg_exp_near_zero_f64((y - (t - JG_SPLIT_F64)) * 0x1.62e42fefa39efp-1);
    const jg_pair_f64 scale = jg_pow2_split_f64(t);
    const double value = (m.hi + m.lo) * scale.hi * scale.lo;
    return x == x ? value : x;
}
/* <= 1 ULP; worst 0.841 at -0x1.f99be6p+6, every float32. */
JG_MATH float jg_exp2_f32(float x) {
    const float y = jg_clamp_f32(x, -151.0f, 129.0f), t = y + JG_SPLIT_F32;
    const jg_pair_f32 m = jg_exp_near_zero_f32((y - (t - JG_SPLIT_F32)) * 0x1.62e430p-1f);
    const jg_pair_f32 scale = jg_pow2_split_f32(t);
    const float value = (m.hi + m.lo) * scale.hi * scale.lo;
    return x == x ? value : x;
}

/* (exp(x) - 1) / 2^down as hi + lo, not normalised, for -40 <= x <= 710 + log(2) (down - 1) (f32:
 * from -20, and 89): 2^(k - down) - 2^-down, which leaves a remainder once |k| > 53 (kept for x > 0
 * if `grows`, else for x < 0), and 2^(k - down) times the rest.  Where both cancel (k = 1), the
 * rounding of r would show: it is in lo. */
JG_MATH jg_pair_f64 jg_expm1_pair_f64(double x, double down, int grows) {
    const double offset = JG_BIAS_F64 - down;
    const double t = JG_FMA(x, 0x1.71547652b82fep+0, offset), k = t - offset;
    const double first = JG_FMA(-k, 0x1.62e42feep-1, x);
    const double r = JG_FMA(-k, 0x1.a39ef35793c76p-33, first);
    const double r_lo = JG_FMA(-k, 0x1.a39ef35793c76p-33, first - r);
    const double scale = jg_exponent_f64(t);
    const double unit = jg_pow2_f64(-down), base = scale - unit;
    const double base_lo = grows ? (scale - base) - unit : scale - (base + unit);
    const double hi = JG_FMA(scale, r, base), hi_lo = JG_FMA(scale, r, base - hi);
    return (jg_pair_f64){hi, JG_FMA(scale, jg_exp_rest_f64(r, r_lo), hi_lo + base_lo)};
}
JG_MATH jg_pair_f32 jg_expm1_pair_f32(float x, float down, int grows) {
    const float offset = JG_BIAS_F32 - down;
    const float t = JG_FMAF(x, 0x1.715476p+0f, offset), k = t - offset;
    const float first = JG_FMAF(-k, 0x1.62e4p-1f, x);
    const float r = JG_FMAF(-k, 0x1.7f7d1cp-20f, first);
    const float r_lo = JG_FMAF(-k, 0x1.7f7d1cp-20f, first - r);
    const float scale = jg_exponent_f32(t);
    const float unit = jg_pow2_f32(-down), base = scale - unit;
    const float base_lo = grows ? (scale - base) - unit : scale - (base + unit);
    const float hi = JG_FMAF(scale, r, base), hi_lo = JG_FMAF(scale, r, base - hi);
    return (jg_pair_f32){hi, JG_FMAF(scale, jg_exp_rest_f32(r, r_lo), hi_lo + base_lo)};
}

/* exp(x) - 1. */
/* <= 1 ULP; worst 0.936 at 0x1.6ccb39165904cp-2, 4.0e8 points, x in [-60, 709.8]. */
JG_MATH double jg_expm1_f64(double x) {
    const jg_pair_f64 half = jg_expm1_pair_f64(jg_clamp_f64(x, -40.0, 710.0), 1.0, 1);
    const double value = 2.0 * (half.hi + half.lo);
    return jg_magnitude_f64(x) >= 0x1p-54 ? value : x;
}
/* <= 1 ULP; worst 0.943 at 0x1.6599bap-2, every float32. */
JG_MATH float jg_expm1_f32(float x) {
    const jg_pair_f32 half = jg_expm1_pair_f32(jg_clamp_f32(x, -20.0f, 89.0f), 1.0f, 1);
    const float value = 2.0f * (half.hi + half.lo);
    return jg_magnitude_f32(x) >= 0x1p-25f ? value : x;
}

#endif
