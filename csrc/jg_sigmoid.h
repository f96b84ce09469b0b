/* sigmoid, softplus, ultra_fast_sigmoid. */
#ifndef JG_SIGMOID_H
#define JG_SIGMOID_H

#include "jg_exp.h"
#include "jg_log.h"

/* 1 / (1 + exp(-x)).  With exp(-x) = 2^k e, e near 1, it is 2^-k / (2^-k + e): the denominator
 * d + dl keeps some 58 bits, 1/d is corrected once, and only the last scaling can underflow. */
/* <= 1 ULP; worst 0.795 at -0x1.6260e9bacd709p+9, 1.0e7 points, x in [-745.2, 40]. */
JG_MATH double jg_sigmoid_f64(double x) {
    double y = x > 40.0 ? 40.0 : x;
    y = y < -746.0 ? -746.0 : y;
    const jg_exp_parts_f64_t e = jg_exp_parts_f64(-y);
    const jg_pair_f64 scale = jg_pow2_halves_f64(-e.k);
    const jg_pair_f64 m = jg_exp_significand_f64(e);
    const jg_pair_f64 sum = jg_sum_f64(scale.hi * scale.lo, m.hi);
    const jg_pair_f64 d = jg_fast_sum_f64(sum.hi, sum.lo + m.lo);
    const double q = 1.0 / d.hi;
    const double residual = JG_FMA(-q, d.lo, jg_residual_f64(1.0, q, d.hi));
    return JG_FMA(q, residual, q) * scale.hi * scale.lo;
}
/* <= 1 ULP; worst 0.773 at -0x1.5ecef8p+6, every float32. */
JG_MATH float jg_sigmoid_f32(float x) {
    float y = x > 20.0f ? 20.0f : x;
    y = y < -104.0f ? -104.0f : y;
    const jg_exp_parts_f32_t e = jg_exp_parts_f32(-y);
    const jg_pair_f32 scale = jg_pow2_halves_f32(-e.k);
    const jg_pair_f32 m = jg_exp_significand_f32(e);
    const jg_pair_f32 sum = jg_sum_f32(scale.hi * scale.lo, m.hi);
    const jg_pair_f32 d = jg_fast_sum_f32(sum.hi, sum.lo + m.lo);
    const float q = 1.0f / d.hi;
    const float residual = JG_FMAF(-q, d.lo, jg_residual_f32(1.0f, q, d.hi));
    return JG_FMAF(q, residual, q) * scale.hi * scale.lo;
}

/* log(1 + exp(x)) = max(x, 0) + log1p(exp(-|x|)); x itself once exp(-x) is below its last bit. */
/* <= 1 ULP; worst 0.926 at -0x1.adfcd56c34ed2p-1, 2.0e7 points, x in [-745.2, 60]. */
JG_MATH double jg_softplus_f64(double x) {
    const jg_pair_f64 l = jg_log1pexp_f64(-jg_magnitude_f64(x), 0.0);
    const jg_pair_f64 sum = jg_sum_f64(x > 0.0 ? x : 0.0, l.hi);
    const double y = sum.hi + (sum.lo + l.lo);
    return x > 40.0 ? x : y;
}
/* <= 1 ULP; worst 0.965 at -0x1.63cbfcp-1, every float32. */
JG_MATH float jg_softplus_f32(float x) {
    const jg_pair_f32 l = jg_log1pexp_f32(-jg_magnitude_f32(x));
    const jg_pair_f32 sum = jg_sum_f32(x > 0.0f ? x : 0.0f, l.hi);
    const float y = sum.hi + (sum.lo + l.lo);
    return x > 20.0f ? x : y;
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
