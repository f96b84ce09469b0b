/* The functions of accuracy 'fast': at most 4 ULP, with the special values of the exact forms.
 *
 * What is left out against them: the low words of sums and quotients, the correction of a
 * reciprocal, and some coefficients (coefficients/fast.py).  Polynomials are evaluated by Estrin's
 * scheme, so that few operations wait for each other.  The errors found: docs/accuracy.md.
 */
#ifndef JG_FAST_H
#define JG_FAST_H

#include "jg_bits.h"
#include "jg_erf.h"
#include "jg_exp.h"
#include "jg_log.h"

/* -- exp and what is made of it -- */

/* (exp(r) - 1 - r) / r^2 for |r| <= log(2)/2, z = r^2: error of exp(r) 2^-28, of exp(r) - 1 2^-26
 * relative. */
JG_MATH float jg_fast_q_f32(float r, float z) {
    const float c01 = JG_FMAF(r, 0x1.555494p-3f, 0x1.fffffcp-2f);
    const float c23 = JG_FMAF(r, 0x1.1239e8p-7f, 0x1.55588ap-5f);
    return JG_FMAF(JG_FMAF(z, 0x1.6a9cfap-10f, c23), z, c01);
}

/* exp(r) and exp(r) - 1. */
JG_MATH double jg_fast_power_f64(double r) {
    const double z = r * r;
    return JG_FMA(jg_exp_q_f64(r, z), z, 1.0 + r);
}
JG_MATH double jg_fast_minus_f64(double r) {
    const double z = r * r;
    return JG_FMA(jg_exp_q_f64(r, z), z, r);
}
JG_MATH float jg_fast_power_f32(float r) {
    const float z = r * r;
    return JG_FMAF(jg_fast_q_f32(r, z), z, 1.0f + r);
}
JG_MATH float jg_fast_minus_f32(float r) {
    const float z = r * r;
    return JG_FMAF(jg_fast_q_f32(r, z), z, r);
}

/* x - k log(2), k = t - offset the integer next to x / log(2). */
#define JG_FAST_T_F64(x, offset) JG_FMA(x, 0x1.71547652b82fep+0, offset)
#define JG_FAST_T_F32(x, offset) JG_FMAF(x, 0x1.715476p+0f, offset)
JG_MATH double jg_fast_rest_f64(double x, double k) {
    return JG_FMA(-k, 0x1.a39ef35793c76p-33, JG_FMA(-k, 0x1.62e42feep-1, x));
}
JG_MATH float jg_fast_rest_f32(float x, float k) {
    return JG_FMAF(-k, 0x1.7f7d1cp-20f, JG_FMAF(-k, 0x1.62e4p-1f, x));
}

/* exp(y) for -746 <= y <= 710 (f32: -104 to 89). */
JG_MATH double jg_fast_exp_inside_f64(double y) {
    const double t = JG_FAST_T_F64(y, JG_SPLIT_F64);
    const jg_pair_f64 scale = jg_pow2_split_f64(t);
    return jg_fast_power_f64(jg_fast_rest_f64(y, t - JG_SPLIT_F64)) * scale.hi * scale.lo;
}
JG_MATH float jg_fast_exp_inside_f32(float y) {
    const float t = JG_FAST_T_F32(y, JG_SPLIT_F32);
    const jg_pair_f32 scale = jg_pow2_split_f32(t);
    return jg_fast_power_f32(jg_fast_rest_f32(y, t - JG_SPLIT_F32)) * scale.hi * scale.lo;
}

JG_MATH double jg_exp_fast_f64(double x) {
    const double value = jg_fast_exp_inside_f64(jg_clamp_f64(x, -746.0, 710.0));
    return x == x ? value : x;
}
JG_MATH float jg_exp_fast_f32(float x) {
    const float value = jg_fast_exp_inside_f32(jg_clamp_f32(x, -104.0f, 89.0f));
    return x == x ? value : x;
}

JG_MATH double jg_exp2_fast_f64(double x) {
    const double y = jg_clamp_f64(x, -1076.0, 1025.0), t = y + JG_SPLIT_F64;
    const double r = (y - (t - JG_SPLIT_F64)) * 0x1.62e42fefa39efp-1;
    const jg_pair_f64 scale = jg_pow2_split_f64(t);
    const double value = jg_fast_power_f64(r) * scale.hi * scale.lo;
    return x == x ? value : x;
}
JG_MATH float jg_exp2_fast_f32(float x) {
    const float y = jg_clamp_f32(x, -151.0f, 129.0f), t = y + JG_SPLIT_F32;
    const float r = (y - (t - JG_SPLIT_F32)) * 0x1.62e430p-1f;
    const jg_pair_f32 scale = jg_pow2_split_f32(t);
    const float value = jg_fast_power_f32(r) * scale.hi * scale.lo;
    return x == x ? value : x;
}

/* (exp(y) - 1) / 2 for -40 <= y <= 710 (f32: -20 to 89): 2^(k-1) exp(r) - 1/2, where the first
 * terms cancel exactly. */
JG_MATH double jg_fast_half_expm1_f64(double y) {
    const double t = JG_FAST_T_F64(y, 0x1.8p52 + 1022.0), k = t - (0x1.8p52 + 1022.0);
    const double scale = jg_exponent_f64(t);
    return JG_FMA(scale, jg_fast_minus_f64(jg_fast_rest_f64(y, k)), scale - 0.5);
}
JG_MATH float jg_fast_half_expm1_f32(float y) {
    const float t = JG_FAST_T_F32(y, 0x1.8p23f + 126.0f), k = t - (0x1.8p23f + 126.0f);
    const float scale = jg_exponent_f32(t);
    return JG_FMAF(scale, jg_fast_minus_f32(jg_fast_rest_f32(y, k)), scale - 0.5f);
}

JG_MATH double jg_expm1_fast_f64(double x) {
    const double value = 2.0 * jg_fast_half_expm1_f64(jg_clamp_f64(x, -40.0, 710.0));
    return jg_magnitude_f64(x) >= 0x1p-54 ? value : x;
}
JG_MATH float jg_expm1_fast_f32(float x) {
    const float value = 2.0f * jg_fast_half_expm1_f32(jg_clamp_f32(x, -20.0f, 89.0f));
    return jg_magnitude_f32(x) >= 0x1p-25f ? value : x;
}

/* tanh(x) = h / (h + 1), h = (exp(2 |x|) - 1) / 2. */
JG_MATH double jg_tanh_fast_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const double h = jg_fast_half_expm1_f64(2.0 * (a > 22.0 ? 22.0 : a));
    return jg_with_sign_f64(h / (h + 1.0), x);
}
JG_MATH float jg_tanh_fast_f32(float x) {
    const float a = jg_magnitude_f32(x);
    const float h = jg_fast_half_expm1_f32(2.0f * (a > 11.0f ? 11.0f : a));
    return jg_with_sign_f32(h / (h + 1.0f), x);
}

/* 1 / (1 + exp(-x)) = s / (s + m), exp(-x) = m / s, s = 2^k. */
JG_MATH double jg_sigmoid_fast_f64(double x) {
    const double y = jg_clamp_f64(x, -746.0, 40.0);
    const double t = JG_FAST_T_F64(y, JG_LIFT_F64), big = jg_exponent_f64(t);
    const double m = jg_fast_power_f64(-jg_fast_rest_f64(y, t - JG_LIFT_F64));
    const double value = big / JG_FMA(big, JG_LOWER_F64, m) * JG_LOWER_F64;
    return x == x ? value : x;
}
JG_MATH float jg_sigmoid_fast_f32(float x) {
    const float y = jg_clamp_f32(x, -104.0f, 20.0f);
    const float t = JG_FAST_T_F32(y, JG_LIFT_F32), big = jg_exponent_f32(t);
    const float m = jg_fast_power_f32(-jg_fast_rest_f32(y, t - JG_LIFT_F32));
    const float value = big / JG_FMAF(big, JG_LOWER_F32, m) * JG_LOWER_F32;
    return x == x ? value : x;
}

/* -- logarithms -- */

/* log(1 + f) = u + u^3 R(u^2), u = 2 f / (2 + f), for sqrt(1/2) <= 1 + f <= sqrt(2): relative
 * error 2^-59 (f32: 2^-30). */
JG_MATH double jg_fast_log1_f64(double f) {
    const double u = (f + f) / (2.0 + f), z = u * u, w = z * z;
    const double c01 = JG_FMA(z, 0x1.999999997feefp-7, 0x1.5555555555592p-4);
    const double c23 = JG_FMA(z, 0x1.c71c521053d0dp-12, 0x1.24924941e523ap-9);
    const double c45 = JG_FMA(z, 0x1.39a1cc7b4cfddp-16, 0x1.74663de54aa58p-14);
    const double tail = JG_FMA(JG_FMA(JG_FMA(w, 0x1.2f04f52007e7dp-18, c45), w, c23), w, c01);
    return JG_FMA(u * z, tail, u);
}
JG_MATH float jg_fast_log1_f32(float f) {
    const float u = (f + f) / (2.0f + f), z = u * u;
    const float tail = JG_FMAF(JG_FMAF(z, 0x1.31e0d8p-9f, 0x1.995ed4p-7f), z, 0x1.55557ap-4f);
    return JG_FMAF(u * z, tail, u);
}

/* The logarithm k unit + log(m) scale of x = 2^k m. */
JG_MATH double jg_fast_log_base_f64(double x, double unit, double scale) {
    const int tiny = x < 0x1p-1022;
    const jg_log_split_f64_t v = jg_log_split_f64(tiny ? x * 0x1p54 : x);
    const double k = v.k - (tiny ? 54.0 : 0.0);
    return jg_log_special_f64(x, JG_FMA(k, unit, scale * jg_fast_log1_f64(v.m - 1.0)));
}
JG_MATH float jg_fast_log_base_f32(float x, float unit, float scale) {
    const int tiny = x < 0x1p-126f;
    const jg_log_split_f32_t v = jg_log_split_f32(tiny ? x * 0x1p25f : x);
    const float k = v.k - (tiny ? 25.0f : 0.0f);
    return jg_log_special_f32(x, JG_FMAF(k, unit, scale * jg_fast_log1_f32(v.m - 1.0f)));
}

JG_MATH double jg_log_fast_f64(double x) {
    return jg_fast_log_base_f64(x, 0x1.62e42fefa39efp-1, 1.0);
}
JG_MATH float jg_log_fast_f32(float x) { return jg_fast_log_base_f32(x, 0x1.62e430p-1f, 1.0f); }

JG_MATH double jg_log2_fast_f64(double x) {
    return jg_fast_log_base_f64(x, 1.0, 0x1.71547652b82fep+0);
}
JG_MATH float jg_log2_fast_f32(float x) { return jg_fast_log_base_f32(x, 1.0f, 0x1.715476p+0f); }

JG_MATH double jg_log10_fast_f64(double x) {
    return jg_fast_log_base_f64(x, 0x1.34413509f79ffp-2, 0x1.bcb7b1526e50ep-2);
}
JG_MATH float jg_log10_fast_f32(float x) {
    return jg_fast_log_base_f32(x, 0x1.344136p-2f, 0x1.bcb7b2p-2f);
}

/* log(1 + x): 1 + x = (1 + f) 2^k with f = (m - 1) + c 2^-k, which is x itself while k is 0.  c is
 * exact up to 2^53 (f32: 2^24), and of no account beyond. */
JG_MATH double jg_log1p_fast_f64(double x) {
    const double u = 1.0 + x, half_c = 0.5 * (x - (u - 1.0));
    const jg_log_split_f64_t v = jg_log_split_f64(u);
    const double scale = jg_exponent_f64((JG_BIAS_F64 + 1.0) - v.k);
    const double l = jg_fast_log1_f64(JG_FMA(half_c, scale, v.m - 1.0));
    const double y = jg_log_special_f64(u, JG_FMA(v.k, 0x1.62e42fefa39efp-1, l));
    return jg_magnitude_f64(x) < 0x1p-54 ? x : y;
}
JG_MATH float jg_log1p_fast_f32(float x) {
    const float u = 1.0f + x, half_c = 0.5f * (x - (u - 1.0f));
    const jg_log_split_f32_t v = jg_log_split_f32(u);
    const float scale = jg_exponent_f32((JG_BIAS_F32 + 1.0f) - v.k);
    const float l = jg_fast_log1_f32(JG_FMAF(half_c, scale, v.m - 1.0f));
    const float y = jg_log_special_f32(u, JG_FMAF(v.k, 0x1.62e430p-1f, l));
    return jg_magnitude_f32(x) < 0x1p-25f ? x : y;
}

/* log(1 + e) for 0 <= e <= 1, as above: error 2^-54 (f32: 2^-27). */
JG_MATH double jg_fast_log1p_unit_f64(double e) {
    const double u = (e + e) / (2.0 + e), z = u * u, w = z * z;
    const double c01 = JG_FMA(z, 0x1.99999998e987fp-7, 0x1.5555555555947p-4);
    const double c23 = JG_FMA(z, 0x1.c71c4a15ef18dp-12, 0x1.24924979128cp-9);
    const double c45 = JG_FMA(z, 0x1.3aa89a07a152dp-16, 0x1.7462591589012p-14);
    const double c67 = JG_FMA(z, 0x1.956de78cf9f5ep-21, 0x1.16446ef9465f7p-18);
    const double high = JG_FMA(JG_FMA(w, 0x1.6b808eb650318p-22, c67), w, c45);
    const double tail = JG_FMA(high, w * w, JG_FMA(c23, w, c01));
    return JG_FMA(u * z, tail, u);
}
JG_MATH float jg_fast_log1p_unit_f32(float e) {
    const float u = (e + e) / (2.0f + e), z = u * u;
    const float c01 = JG_FMAF(z, 0x1.99d29ep-7f, 0x1.5555p-4f);
    const float c23 = JG_FMAF(z, 0x1.1f0578p-11f, 0x1.1eb3a2p-9f);
    return JG_FMAF(u * z, JG_FMAF(c23, z * z, c01), u);
}

/* log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)). */
JG_MATH double jg_softplus_fast_f64(double x) {
    const double e = jg_fast_exp_inside_f64(jg_clamp_f64(-jg_magnitude_f64(x), -746.0, 1.0));
    return (x < 0.0 ? 0.0 : x) + jg_fast_log1p_unit_f64(e);
}
JG_MATH float jg_softplus_fast_f32(float x) {
    const float e = jg_fast_exp_inside_f32(jg_clamp_f32(-jg_magnitude_f32(x), -104.0f, 1.0f));
    return (x < 0.0f ? 0.0f : x) + jg_fast_log1p_unit_f32(e);
}
/* softplus(-x), the same bits: see jg_softplus_minus_f64. */
JG_MATH double jg_softplus_minus_fast_f64(double x) {
    const double e = jg_fast_exp_inside_f64(jg_clamp_f64(-jg_magnitude_f64(x), -746.0, 1.0));
    return (x > 0.0 ? 0.0 : -x) + jg_fast_log1p_unit_f64(e);
}
JG_MATH float jg_softplus_minus_fast_f32(float x) {
    const float e = jg_fast_exp_inside_f32(jg_clamp_f32(-jg_magnitude_f32(x), -104.0f, 1.0f));
    return (x > 0.0f ? 0.0f : -x) + jg_fast_log1p_unit_f32(e);
}

/* t softplus(-x) + (1 - t) softplus(x): see jg_sigmoid_crossentropy_f64. */
JG_MATH double jg_sigmoid_crossentropy_fast_f64(double x, double t) {
    const double e = jg_fast_exp_inside_f64(jg_clamp_f64(-jg_magnitude_f64(x), -746.0, 1.0));
    return JG_FMA(x, (x > 0.0 ? 1.0 : 0.0) - t, jg_fast_log1p_unit_f64(e));
}
JG_MATH float jg_sigmoid_crossentropy_fast_f32(float x, float t) {
    const float e = jg_fast_exp_inside_f32(jg_clamp_f32(-jg_magnitude_f32(x), -104.0f, 1.0f));
    return JG_FMAF(x, (x > 0.0f ? 1.0f : 0.0f) - t, jg_fast_log1p_unit_f32(e));
}

/* -- erf -- */

/* erf(a)/a - 1 in z = a^2, a <= 0.83: error 2^-55. */
JG_MATH double jg_fast_erf_near_zero_f64(double z) {
    const double w = z * z, c01 = JG_FMA(z, -0x1.812746b03798cp-2, 0x1.06eba8214db68p-3);
    const double c23 = JG_FMA(z, -0x1.b82ce310ef0adp-6, 0x1.ce2f21a03deb6p-4);
    const double c45 = JG_FMA(z, -0x1.c02da62327f62p-11, 0x1.565bccc8ac761p-8);
    const double c67 = JG_FMA(z, -0x1.f4af2a59247a6p-17, 0x1.f9a16e8704305p-14);
    const double c89 = JG_FMA(z, -0x1.50653bad07608p-23, 0x1.b815ee5a672adp-20);
    const double high = JG_FMA(JG_FMA(JG_FMA(w, 0x1.6b826b4144a71p-27, c89), w, c67), w, c45);
    return JG_FMA(high, w * w, JG_FMA(c23, w, c01));
}

/* exp(a^2) erfc(a) for 0.81 <= a <= 6 in t = (a - 2)/(a + 2): the error of the product
 * with exp(-a^2) is 2^-51.9. */
JG_MATH double jg_fast_erfcx_f64(double a) {
    const double t = (a - 2.0) / (a + 2.0), z = t * t, w = z * z;
    const double c01 = JG_FMA(t, -0x1.b57034efd57fp-2, 0x1.058671b52c749p-2);
    const double c23 = JG_FMA(t, -0x1.437f0b63a5dbap-4, 0x1.eeea7dc883724p-3);
    const double c45 = JG_FMA(t, 0x1.ca95f5472cc14p-8, 0x1.e947204cdf246p-9);
    const double c67 = JG_FMA(t, -0x1.0180a3f5c7c5dp-10, -0x1.bc2cdb0c50095p-11);
    const double c89 = JG_FMA(t, 0x1.75da35b372d3ep-13, 0x1.6be87bed54d3ap-15);
    const double cab = JG_FMA(t, -0x1.1d87028921f94p-18, 0x1.64db654277ceap-15);
    const double high = JG_FMA(JG_FMA(cab, z, c89), w, JG_FMA(c67, z, c45));
    return JG_FMA(high, w, JG_FMA(c23, z, c01));
}

/* exp(y) where the result is normal. */
JG_MATH double jg_fast_exp_normal_f64(double y) {
    const double t = JG_FAST_T_F64(y, JG_BIAS_F64), k = t - JG_BIAS_F64;
    return jg_fast_power_f64(jg_fast_rest_f64(y, k)) * jg_exponent_f64(t);
}

JG_MATH double jg_erf_fast_f64(double x) {
    const double a = jg_magnitude_f64(x), b = a > 6.0 ? 6.0 : a, z = b * b;
    const double small = JG_FMA(b, jg_fast_erf_near_zero_f64(z), b);
    const double large = 1.0 - jg_fast_exp_normal_f64(-z) * jg_fast_erfcx_f64(b);
    return jg_with_sign_f64(a < 0.82 ? small : large, x);
}
/* In float32 the exact form is the fastest; without hardware fma its error is 1.34 ULP. */
JG_MATH float jg_erf_fast_f32(float x) { return jg_erf_single_f32(x); }

#endif
