/* sigmoid, softplus, ultra_fast_sigmoid. */
#ifndef JG_SIGMOID_H
#define JG_SIGMOID_H

#include "jg_exp.h"
#include "jg_log.h"

/* 1 / (1 + exp(-x)).  With exp(-x) = m / s, s = 2^k, m = exp(r), it is s / (1 + s + m - 1).  The
 * sum of 1, s and r is kept exactly, as d and what its two roundings leave (both differences are
 * exact while s is on the grid of d, or too small for more than a quarter of a unit), and the rest
 * of m is small: q is 1 over their rounded sum, which is corrected once.  All of them are doubled,
 * because 2 s is no less than the smallest number where the result is not 0: so the last product
 * alone rounds a subnormal result.  2 s is made of 2^60 s (f32: 2^30), which is never subnormal.
 * Where s > 2^53 (f32: 2^24), 1 is lost, and the result is 1, at most 0.71 units off.
 *
 * Products and fused sums share two units of the processor, which are busy all the time: so s is
 * made by one product and added by plain sums, where two fused sums would be fewer operations. */
/* <= 1 ULP; worst 0.854 at -0x1.2e3d5ab279f48p+5, 3.0e7 points, x in [-745.2, 40]. */
JG_MATH double jg_sigmoid_f64(double x) {
    const double y = jg_clamp_f64(x, -746.0, 38.0);
    const double t = JG_FMA(y, 0x1.71547652b82fep+0, JG_LIFT_F64), k = t - JG_LIFT_F64;
    const double r = JG_FMA(k, 0x1.a39ef35793c76p-32, JG_FMA(k, 0x1.62e42feep0, -(y + y)));
    const double s = jg_exponent_f64(t) * (2.0 * JG_LOWER_F64), d = (2.0 + s) + r, z = r * r;
    const double lost = (s + (2.0 - d)) + r;
    const double lo = JG_FMA(jg_exp_scaled_q_f64(r, z, 0.5), z, lost);
    const double q = 1.0 / (d + lo), residual = JG_FMA(-q, lo, jg_residual_f64(1.0, q, d));
    const double value = JG_FMA(q, residual, q) * s;
    return x == x ? value : x;
}
/* <= 1 ULP; worst 0.804 at -0x1.5ecf28p+6, every float32. */
JG_MATH float jg_sigmoid_f32(float x) {
    const float y = jg_clamp_f32(x, -104.0f, 18.0f);
    const float t = JG_FMAF(y, 0x1.715476p+0f, JG_LIFT_F32), k = t - JG_LIFT_F32;
    const float r = JG_FMAF(k, 0x1.7f7d1cp-19f, JG_FMAF(k, 0x1.62e4p0f, -(y + y)));
    const float s = jg_exponent_f32(t) * (2.0f * JG_LOWER_F32), d = (2.0f + s) + r, z = r * r;
    const float lost = (s + (2.0f - d)) + r;
    const float lo = JG_FMAF(jg_exp_scaled_q_f32(r, z, 0.5f), z, lost);
    const float q = 1.0f / (d + lo), residual = JG_FMAF(-q, lo, jg_residual_f32(1.0f, q, d));
    const float value = JG_FMAF(q, residual, q) * s;
    return x == x ? value : x;
}

/* log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)), where the second depends on |x| alone. */
JG_MATH jg_pair_f64 jg_softplus_rest_f64(double x) {
    return jg_log1pexp_f64(-jg_ordered_f64(jg_magnitude_f64(x), 746.0).lo, 0.0);
}
JG_MATH jg_pair_f32 jg_softplus_rest_f32(float x) {
    return jg_log1pexp_f32(-jg_ordered_f32(jg_magnitude_f32(x), 104.0f).lo);
}
/* <= 1 ULP; worst 0.908 at -0x1.61b7c3c572b8ap+9, 5.0e7 points, x in [-745.2, 60]. */
JG_MATH double jg_softplus_f64(double x) {
    const jg_pair_f64 l = jg_softplus_rest_f64(x), sum = jg_sum_f64(x > 0.0 ? x : 0.0, l.hi);
    const double y = sum.hi + (sum.lo + l.lo);
    return x < 40.0 ? y : x;
}
/* <= 1 ULP; worst 0.790 at -0x1.584e3cp+6, every float32. */
JG_MATH float jg_softplus_f32(float x) {
    const jg_pair_f32 l = jg_softplus_rest_f32(x), sum = jg_sum_f32(x > 0.0f ? x : 0.0f, l.hi);
    const float y = sum.hi + (sum.lo + l.lo);
    return x < 20.0f ? y : x;
}

/* softplus(-x), the same bits.  A loop that needs both shares the logarithm, which depends on |x|:
 * the compiler does not see that from -x. */
JG_MATH double jg_softplus_minus_f64(double x) {
    const jg_pair_f64 l = jg_softplus_rest_f64(x), sum = jg_sum_f64(x < 0.0 ? -x : 0.0, l.hi);
    const double y = sum.hi + (sum.lo + l.lo);
    return x > -40.0 ? y : -x;
}
JG_MATH float jg_softplus_minus_f32(float x) {
    const jg_pair_f32 l = jg_softplus_rest_f32(x), sum = jg_sum_f32(x < 0.0f ? -x : 0.0f, l.hi);
    const float y = sum.hi + (sum.lo + l.lo);
    return x > -20.0f ? y : -x;
}

/* t softplus(-x) + (1 - t) softplus(x) = log1p(exp(-|x|)) + x ((x > 0) - t): two terms, neither of
 * them negative for 0 <= t <= 1. */
/* <= 2 ULP for 0 <= t <= 1; worst 1.222 at 0x1.841e9f2f4a2c4p+8, 0x1.9e3a7678ffc3dp-2, 1.0e7 points,
 * 5 boxes. */
JG_MATH double jg_sigmoid_crossentropy_f64(double x, double t) {
    const jg_pair_f64 l = jg_softplus_rest_f64(x);
    return JG_FMA(x, (x > 0.0 ? 1.0 : 0.0) - t, l.hi + l.lo);
}
/* <= 2 ULP for 0 <= t <= 1; worst 1.416 at 0x1.dea204p+4, 0x1.e80f06p-2, 2.6e6 points, 5 boxes. */
JG_MATH float jg_sigmoid_crossentropy_f32(float x, float t) {
    const jg_pair_f32 l = jg_softplus_rest_f32(x);
    return JG_FMAF(x, (x > 0.0f ? 1.0f : 0.0f) - t, l.hi + l.lo);
}

/* Theano's piecewise approximation of sigmoid, to the letter (error up to 0.0277, by design). */
JG_MATH double jg_ultra_fast_sigmoid_f64(double x) {
    const double h = 0.5 * x, a = jg_magnitude_f64(h);
    double t = 1.5 * a / (1.0 + a);
    t = a >= 1.7 ? 0.935409070603099 + 0.0458812946797165 * (a - 1.7) : t;
    t = a >= 3.0 ? 0.99505475368673 : t;
    return 0.5 * (jg_with_sign_f64(t, h) + 1.0);
}
JG_MATH float jg_ultra_fast_sigmoid_f32(float x) {
    const float h = 0.5f * x, a = jg_magnitude_f32(h);
    float t = 1.5f * a / (1.0f + a);
    t = a >= 1.7f ? 0.935409070603099f + 0.0458812946797165f * (a - 1.7f) : t;
    t = a >= 3.0f ? 0.99505475368673f : t;
    return 0.5f * (jg_with_sign_f32(t, h) + 1.0f);
}

#endif
