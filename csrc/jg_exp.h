/* exp, expm1 and the reduced exponential that sigmoid, softplus, tanh, sinh, ... build on.
 *
 * exp(x) = 2^k exp(r), k = rint(x / log 2), |r| <= log(2)/2, with r = hi - lo where
 * hi = x - k log2_hi is exact (log2_hi has 32 bits) and lo = k log2_lo.
 * exp(r) = 1 + r + r^2 q(r); q is a minimax polynomial (coefficients/exp.py).
 */
#ifndef JG_EXP_H
#define JG_EXP_H

#include "jg_bits.h"

/* q2(r) = sum of Qk r^k; error in exp(r): 2^-62 (f32: 2^-33). */
#define JG_EXP_Q0 0x1.555555555555bp-3
#define JG_EXP_Q1 0x1.5555555555569p-5
#define JG_EXP_Q2 0x1.111111110ee9cp-7
#define JG_EXP_Q3 0x1.6c16c16c0a2acp-10
#define JG_EXP_Q4 0x1.a01a01b29fa99p-13
#define JG_EXP_Q5 0x1.a01a01eee0756p-16
#define JG_EXP_Q6 0x1.71ddf22941d58p-19
#define JG_EXP_Q7 0x1.27e430d2fc4f6p-22
#define JG_EXP_Q8 0x1.af68b467cbd30p-26
#define JG_EXP_Q9 0x1.208ab90776351p-29
#define JG_EXP_Q0F 0x1.555556p-3f
#define JG_EXP_Q1F 0x1.5554eap-5f
#define JG_EXP_Q2F 0x1.111018p-7f
#define JG_EXP_Q3F 0x1.6d4a7cp-10f
#define JG_EXP_Q4F 0x1.a21794p-13f

/* exp(x) = 2^k (1 + hi - lo + z/2 + cubic), z = r^2 rounded, cubic = r^3 q2(r). */
typedef struct { double k, hi, lo, r, z, cubic; } jg_exp_parts_f64_t;
typedef struct { float k, hi, lo, r, z, cubic; } jg_exp_parts_f32_t;

/* exp(hi - lo) 2^k for |hi - lo| <= log(2)/2. */
JG_MATH jg_exp_parts_f64_t jg_exp_reduced_f64(double k, double hi, double lo) {
    const double r = hi - lo, z = r * r;
    double even = JG_EXP_Q8, odd = JG_EXP_Q9;
    even = JG_FMA(even, z, JG_EXP_Q6);
    odd = JG_FMA(odd, z, JG_EXP_Q7);
    even = JG_FMA(even, z, JG_EXP_Q4);
    odd = JG_FMA(odd, z, JG_EXP_Q5);
    even = JG_FMA(even, z, JG_EXP_Q2);
    odd = JG_FMA(odd, z, JG_EXP_Q3);
    even = JG_FMA(even, z, JG_EXP_Q0);
    odd = JG_FMA(odd, z, JG_EXP_Q1);
    return (jg_exp_parts_f64_t){k, hi, lo, r, z, (r * z) * JG_FMA(odd, r, even)};
}

JG_MATH jg_exp_parts_f32_t jg_exp_reduced_f32(float k, float hi, float lo) {
    const float r = hi - lo, z = r * r;
    float q = JG_FMAF(JG_EXP_Q4F, r, JG_EXP_Q3F);
    q = JG_FMAF(q, r, JG_EXP_Q2F);
    q = JG_FMAF(q, r, JG_EXP_Q1F);
    q = JG_FMAF(q, r, JG_EXP_Q0F);
    return (jg_exp_parts_f32_t){k, hi, lo, r, z, (r * z) * q};
}

/* exp(x + x_lo) for |x| <= 2000 or nan, |x_lo| < 2^-40. */
JG_MATH jg_exp_parts_f64_t jg_exp_parts2_f64(double x, double x_lo) {
    const double k = JG_FMA(x, 0x1.71547652b82fep+0, 0x1.8p52) - 0x1.8p52;
    const double hi = JG_FMA(-k, 0x1.62e42feep-1, x);
    return jg_exp_reduced_f64(k, hi, JG_FMA(k, 0x1.a39ef35793c76p-33, -x_lo));
}
/* exp(x) for |x| <= 2000 or nan (f32: 200). */
JG_MATH jg_exp_parts_f64_t jg_exp_parts_f64(double x) {
    const double k = JG_FMA(x, 0x1.71547652b82fep+0, 0x1.8p52) - 0x1.8p52;
    const double hi = JG_FMA(-k, 0x1.62e42feep-1, x);
    return jg_exp_reduced_f64(k, hi, k * 0x1.a39ef35793c76p-33);
}
JG_MATH jg_exp_parts_f32_t jg_exp_parts_f32(float x) {
    const float k = JG_FMAF(x, 0x1.715476p+0f, 0x1.8p23f) - 0x1.8p23f;
    const float hi = JG_FMAF(-k, 0x1.62e4p-1f, x);
    return jg_exp_reduced_f32(k, hi, k * 0x1.7f7d1cp-20f);
}

/* exp(x) = 2^k (hi + lo) with hi = 1 + parts.hi rounded: not normalised, |lo| < 0.08; the sum
 * is good to about 2^-57 (f32: 2^-28). */
JG_MATH jg_pair_f64 jg_exp_significand_f64(jg_exp_parts_f64_t e) {
    const jg_pair_f64 one = jg_fast_sum_f64(1.0, e.hi);
    return (jg_pair_f64){one.hi, one.lo + JG_FMA(0.5, e.z, e.cubic - e.lo)};
}
JG_MATH jg_pair_f32 jg_exp_significand_f32(jg_exp_parts_f32_t e) {
    const jg_pair_f32 one = jg_fast_sum_f32(1.0f, e.hi);
    return (jg_pair_f32){one.hi, one.lo + JG_FMAF(0.5f, e.z, e.cubic - e.lo)};
}

/* The value of the parts in one number: over- and underflows as it should. */
JG_MATH double jg_exp_value_f64(jg_exp_parts_f64_t e) {
    const jg_pair_f64 m = jg_exp_significand_f64(e);
    const jg_pair_f64 scale = jg_pow2_halves_f64(e.k);
    return (m.hi + m.lo) * scale.hi * scale.lo;
}
JG_MATH float jg_exp_value_f32(jg_exp_parts_f32_t e) {
    const jg_pair_f32 m = jg_exp_significand_f32(e);
    const jg_pair_f32 scale = jg_pow2_halves_f32(e.k);
    return (m.hi + m.lo) * scale.hi * scale.lo;
}

/* exp(r) for |r| <= log(2)/2 as hi + lo, hi = 1 + r rounded: not normalised, |lo| < 0.07.
 * exp(r) = 1 + r + r^2/2 + r^3 q2(r), q2 by Estrin's scheme: few operations wait for each other. */
JG_MATH jg_pair_f64 jg_exp_near_zero_f64(double r) {
    const double z = r * r, hi = 1.0 + r, cube = z * r, fourth = z * z;
    const double c01 = JG_FMA(r, JG_EXP_Q1, JG_EXP_Q0);
    const double c23 = JG_FMA(r, JG_EXP_Q3, JG_EXP_Q2);
    const double c45 = JG_FMA(r, JG_EXP_Q5, JG_EXP_Q4);
    const double c67 = JG_FMA(r, JG_EXP_Q7, JG_EXP_Q6);
    const double c89 = JG_FMA(r, JG_EXP_Q9, JG_EXP_Q8);
    const double high = JG_FMA(JG_FMA(c89, z, c67), z, c45);
    const double q = JG_FMA(high, fourth, JG_FMA(c23, z, c01));
    return (jg_pair_f64){hi, JG_FMA(cube, q, JG_FMA(z, 0.5, r - (hi - 1.0)))};
}
JG_MATH jg_pair_f32 jg_exp_near_zero_f32(float r) {
    const float z = r * r, hi = 1.0f + r, cube = z * r;
    const float c01 = JG_FMAF(r, JG_EXP_Q1F, JG_EXP_Q0F);
    const float c23 = JG_FMAF(r, JG_EXP_Q3F, JG_EXP_Q2F);
    const float q = JG_FMAF(JG_FMAF(z, JG_EXP_Q4F, c23), z, c01);
    return (jg_pair_f32){hi, JG_FMAF(cube, q, JG_FMAF(z, 0.5f, r - (hi - 1.0f)))};
}

/* exp(x).  r is rounded once, which costs a quarter of a unit in the last place at most; the one
 * rounding of a subnormal result is that of the last product.  Out of range the clamped argument
 * over- or underflows by itself. */
/* <= 1 ULP; worst 0.812 at -0x1.62646a87fc6fbp+9, 1.0e7 points, x in [-745.2, 709.8]. */
JG_MATH double jg_exp_f64(double x) {
    const double y = jg_clamp_f64(x, -746.0, 710.0);
    const double t = JG_FMA(y, 0x1.71547652b82fep+0, JG_SPLIT_F64), k = t - JG_SPLIT_F64;
    const double r = JG_FMA(-k, 0x1.a39ef35793c76p-33, JG_FMA(-k, 0x1.62e42feep-1, y));
    const jg_pair_f64 m = jg_exp_near_zero_f64(r), scale = jg_pow2_split_f64(t);
    const double value = (m.hi + m.lo) * scale.hi * scale.lo;
    return x == x ? value : x;
}
/* <= 1 ULP; worst 0.766 at -0x1.5f53d2p+6, every float32. */
JG_MATH float jg_exp_f32(float x) {
    const float y = jg_clamp_f32(x, -104.0f, 89.0f);
    const float t = JG_FMAF(y, 0x1.715476p+0f, JG_SPLIT_F32), k = t - JG_SPLIT_F32;
    const float r = JG_FMAF(-k, 0x1.7f7d1cp-20f, JG_FMAF(-k, 0x1.62e4p-1f, y));
    const jg_pair_f32 m = jg_exp_near_zero_f32(r), scale = jg_pow2_split_f32(t);
    const float value = (m.hi + m.lo) * scale.hi * scale.lo;
    return x == x ? value : x;
}

/* exp2(x): the argument of exp is r log(2), r = x - rint(x), with its rounding error kept. */
/* <= 1 ULP; worst 0.778 at -0x1.ff2ff1085cbd9p+9, 2.0e7 points, x in [-1076, 1024]. */
JG_MATH double jg_exp2_f64(double x) {
    double y = x > 1025.0 ? 1025.0 : x;
    y = y < -1076.0 ? -1076.0 : y;
    const double k = (y + 0x1.8p52) - 0x1.8p52;
    const double r = y - k;
    const jg_pair_f64 p = jg_product_f64(r, 0x1.62e42fefa39efp-1);
    return jg_exp_value_f64(
        jg_exp_reduced_f64(k, p.hi, -JG_FMA(r, 0x1.abc9e3b39803fp-56, p.lo)));
}
/* <= 1 ULP; worst 0.778 at -0x1.f9f904p+6, 2.0e7 points, x in [-150.5, 128]. */
JG_MATH float jg_exp2_f32(float x) {
    float y = x > 129.0f ? 129.0f : x;
    y = y < -151.0f ? -151.0f : y;
    const float k = (y + 0x1.8p23f) - 0x1.8p23f;
    const float r = y - k;
    const jg_pair_f32 p = jg_product_f32(r, 0x1.62e430p-1f);
    return jg_exp_value_f32(
        jg_exp_reduced_f32(k, p.hi, -JG_FMAF(r, -0x1.05c610p-29f, p.lo)));
}

/* (exp(x) - 1) unit, unit = 2^-down, as hi + lo with |lo| <= ulp(hi)/2 and a relative error near
 * 2^-57.  The unit (1/2, 1/4) keeps 2^k representable: x <= 710 + log(2) (down - 1).
 * 2^k - 1 leaves a remainder once k > 53.  Where 2^k - 1 and the rest cancel (k = 1), rounding of
 * z = r^2 and of r = hi - lo would show: both are put back. */
JG_MATH jg_pair_f64 jg_expm1_pair_f64(double x, double down, double unit) {
    const double y = x < -40.0 ? -40.0 : x;
    const jg_exp_parts_f64_t e = jg_exp_parts_f64(y);
    const double scale = jg_pow2_f64(e.k - down);
    const double base = scale - unit;
    const double base_lo = (scale - base) - unit;
    const jg_pair_f64 s = jg_fast_sum_f64(base, scale * e.hi);
    const double z_lo = jg_residual_f64(e.z, e.r, e.r);
    const double rest = e.cubic + JG_FMA(e.r, (e.hi - e.r) - e.lo, JG_FMA(-0.5, z_lo, -e.lo));
    return jg_fast_sum_f64(s.hi, JG_FMA(scale, JG_FMA(0.5, e.z, rest), s.lo + base_lo));
}
JG_MATH jg_pair_f32 jg_expm1_pair_f32(float x, float down, float unit) {
    const float y = x < -20.0f ? -20.0f : x;
    const jg_exp_parts_f32_t e = jg_exp_parts_f32(y);
    const float scale = jg_pow2_f32(e.k - down);
    const float base = scale - unit;
    const float base_lo = (scale - base) - unit;
    const jg_pair_f32 s = jg_fast_sum_f32(base, scale * e.hi);
    const float z_lo = jg_residual_f32(e.z, e.r, e.r);
    const float rest = e.cubic + JG_FMAF(e.r, (e.hi - e.r) - e.lo, JG_FMAF(-0.5f, z_lo, -e.lo));
    return jg_fast_sum_f32(s.hi, JG_FMAF(scale, JG_FMAF(0.5f, e.z, rest), s.lo + base_lo));
}

/* exp(x) - 1. */
/* <= 1 ULP; worst 0.719 at 0x1.64664733f68b4p-2, 1.0e7 points, x in [-60, 709.8]. */
JG_MATH double jg_expm1_f64(double x) {
    const double y = x > 710.0 ? 710.0 : x;
    const double z = 2.0 * jg_expm1_pair_f64(y, 1.0, 0.5).hi;
    return jg_magnitude_f64(x) < 0x1p-54 ? x : z;
}
/* <= 1 ULP; worst 0.710 at 0x1.6353bep-2, every float32. */
JG_MATH float jg_expm1_f32(float x) {
    const float y = x > 89.0f ? 89.0f : x;
    const float z = 2.0f * jg_expm1_pair_f32(y, 1.0f, 0.5f).hi;
    return jg_magnitude_f32(x) < 0x1p-25f ? x : z;
}

#endif
