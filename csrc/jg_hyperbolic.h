/* tanh, sinh, cosh and their inverses. */
#ifndef JG_HYPERBOLIC_H
#define JG_HYPERBOLIC_H

#include "jg_exp.h"
#include "jg_log.h"

/* tanh(x) = h / (h + 1), h = (exp(2|x|) - 1)/2 as a pair; one division, corrected once. */
JG_MATH double jg_tanh_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const jg_pair_f64 h = jg_half_expm1_f64(2.0 * (a > 22.0 ? 22.0 : a));
    const jg_pair_f64 sum = jg_sum_f64(h.hi, 1.0);
    const double dl = sum.lo + h.lo;
    const double inverse = 1.0 / sum.hi;
    const double q = h.hi * inverse;
    const double residual = jg_residual_f64(h.hi, q, sum.hi) + JG_FMA(-q, dl, h.lo);
    return jg_with_sign_f64(JG_FMA(residual, inverse, q), x);
}
JG_MATH float jg_tanh_f32(float x) {
    const float a = jg_magnitude_f32(x);
    const jg_pair_f32 h = jg_half_expm1_f32(2.0f * (a > 11.0f ? 11.0f : a));
    const jg_pair_f32 sum = jg_sum_f32(h.hi, 1.0f);
    const float dl = sum.lo + h.lo;
    const float inverse = 1.0f / sum.hi;
    const float q = h.hi * inverse;
    const float residual = jg_residual_f32(h.hi, q, sum.hi) + JG_FMAF(-q, dl, h.lo);
    return jg_with_sign_f32(JG_FMAF(residual, inverse, q), x);
}

#endif
