/* tanh, sinh, cosh and their inverses. */
#ifndef JG_HYPERBOLIC_H
#define JG_HYPERBOLIC_H

#include "jg_exp.h"
#include "jg_log.h"

/* tanh(|x|) = (s - m) / (s + m), exp(2|x|) = s / m, s = 2^k, m = exp(r): one division, corrected
 * once.  s + 1 is exact because k ends at 52 (f32: 23), where m counts to a few bits only and the
 * polynomial may leave its range.  s + m is d + d_lo, and s - m is n - d_lo, where n = 2 s - d is
 * exact: m > 0, so d >= s, and both have the grid of s.  For tiny x that would be all in d_lo. */
/* <= 1 ULP; worst 0.771 at -0x1.6c1b5913a49d0p-3, 2.0e7 points, x in [-23, 23]. */
JG_MATH double jg_tanh_f64(double x) {
    const double a = jg_magnitude_f64(x), y = 2.0 * jg_ordered_f64(a, 19.2).lo;
    const double nearest = JG_FMA(y, 0x1.71547652b82fep+0, JG_BIAS_F64);
    const double t = jg_ordered_f64(nearest, JG_BIAS_F64 + 52.0).lo;
    const double k = t - JG_BIAS_F64, s = jg_exponent_f64(t);
    const double first = JG_FMA(k, 0x1.62e42feep-1, -y);
    const double r = JG_FMA(k, 0x1.a39ef35793c76p-33, first);
    const double r_lo = JG_FMA(k, 0x1.a39ef35793c76p-33, first - r);
    const double above = s + 1.0, sum = above + r;
    const double rest = jg_exp_rest_f64(r, r_lo + (r - (sum - above)));
    const double d = sum + rest, d_lo = rest - (d - sum), n = JG_FMA(2.0, s, -d);
    const double inverse = 1.0 / d, q = (n - d_lo) * inverse;
    const double residual = jg_residual_f64(n, q, d) - JG_FMA(q, d_lo, d_lo);
    const double value = jg_with_sign_f64(JG_FMA(residual, inverse, q), x);
    return a >= 0x1p-27 ? value : x;
}
/* <= 1 ULP; worst 0.721 at 0x1.01193ep-3, every float32. */
JG_MATH float jg_tanh_f32(float x) {
    const float a = jg_magnitude_f32(x), y = 2.0f * jg_ordered_f32(a, 9.2f).lo;
    const float nearest = JG_FMAF(y, 0x1.715476p+0f, JG_BIAS_F32);
    const float t = jg_ordered_f32(nearest, JG_BIAS_F32 + 23.0f).lo;
    const float k = t - JG_BIAS_F32, s = jg_exponent_f32(t);
    const float r = JG_FMAF(k, 0x1.7f7d1cp-20f, JG_FMAF(k, 0x1.62e4p-1f, -y));
    const float above = s + 1.0f, sum = above + r;
    const float rest = jg_exp_rest_f32(r, r - (sum - above));
    const float d = sum + rest, d_lo = rest - (d - sum), n = JG_FMAF(2.0f, s, -d);
    const float inverse = 1.0f / d, q = (n - d_lo) * inverse;
    const float residual = jg_residual_f32(n, q, d) - JG_FMAF(q, d_lo, d_lo);
    const float value = jg_with_sign_f32(JG_FMAF(residual, inverse, q), x);
    return a >= 0x1p-12f ? value : x;
}

/* sinh(x) = 2 (q + q / (4 q + 1)), q = (exp(|x|) - 1)/4: a quarter, because the sum overflows
 * only when sinh does. */
/* <= 2 ULP; worst 1.700 at -0x1.fcdf3ccef6294p-11, 2.0e7 points, x in [-710.5, 710.5]. */
JG_MATH double jg_sinh_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const jg_pair_f64 e = jg_expm1_pair_f64(a > 710.6 ? 710.6 : a, 2.0, 1);
    const double q = e.hi + e.lo, second = q / JG_FMA(4.0, q, 1.0);
    const double y = 2.0 * (e.hi + (second + e.lo));
    return jg_with_sign_f64(a < 0x1p-28 ? a : y, x);
}
/* <= 1 ULP; worst 0.500 at 0x1.250bfep-11, every float32. */
JG_MATH float jg_sinh_f32(float x) { return (float)jg_sinh_f64((double)x); }

/* cosh(x) = exp(|x|)/2 + exp(-|x|)/2, both from one exponential and its reciprocal. */
/* <= 1 ULP; worst 0.875 at 0x1.ab9a66c7e7aap-17, 2.0e7 points, x in [-710.5, 710.5]. */
JG_MATH double jg_cosh_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const jg_exp_pair_f64_t e = jg_exp_pair_f64(a > 710.6 ? 710.6 : a, 0.0, 0x1.8p52);
    const jg_pair_f64 m = jg_fast_sum_f64(e.hi, e.lo);
    const double k = e.t - 0x1.8p52, up = jg_pow2_f64(k - 2.0);
    const double down = jg_pow2_f64(k > 60.0 ? -62.0 : -2.0 - k);
    return 2.0 * (m.hi * up + JG_FMA(m.lo, up, down / m.hi));
}
/* <= 1 ULP; worst 0.500 at 0x1.deeeap-11, every float32. */
JG_MATH float jg_cosh_f32(float x) { return (float)jg_cosh_f64((double)x); }

/* log(1 + x + x_lo) for x > -1, |x_lo| <= ulp(x), plus `more` times log 2. */
JG_MATH double jg_log1p_pair_f64(double x, double x_lo, double more) {
    const jg_pair_f64 u = jg_sum_f64(1.0, x);
    const jg_log_split_f64_t v = jg_log_split_f64(u.hi);
    const int unscaled = v.k == 0.0;
    const double scale = jg_pow2_f64(v.k > 1000.0 ? -1000.0 : -v.k);
    const double c = unscaled ? x_lo : (u.lo + x_lo) * scale;
    const jg_log_parts_f64_t l = jg_log_parts_f64(v.k + more, unscaled ? x : v.m - 1.0);
    return l.hi + JG_FMA(c, l.slope, l.lo);
}

/* asinh(x) = log1p(a + a^2 / (1 + sqrt(1 + a^2))), a = |x|; log(2a) for large a. */
/* <= 1.25 ULP; worst 1.021 at -0x1.2c760467a6e55p+0, 6.8e6 points, x in [-1.79e+308, 1.79e+308]. */
JG_MATH double jg_asinh_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const int large = a > 0x1p30;
    const double b = large ? 1.0 : a, square = b * b;
    const double more = square / (1.0 + __builtin_sqrt(1.0 + square));
    const jg_pair_f64 w = jg_sum_f64(a, large ? -1.0 : more);
    const double y = jg_log1p_pair_f64(w.hi, large ? 0.0 : w.lo, large ? 1.0 : 0.0);
    const double z = a < 0x1p-28 || !(a < __builtin_inf()) ? a : y;
    return jg_with_sign_f64(z, x);
}
/* <= 1 ULP; worst 0.500 at 0x1.bacb4ap+24, every float32. */
JG_MATH float jg_asinh_f32(float x) { return (float)jg_asinh_f64((double)x); }

/* acosh(x) = log1p(t + sqrt(2 t + t^2)), t = x - 1; log(2 x) for large x; nan below 1. */
/* <= 1.5 ULP; worst 1.341 at 0x1.07e3a8baa3987p+0, 6.8e6 points, x in [1, 1.79e+308]. */
JG_MATH double jg_acosh_f64(double x) {
    const int large = x > 0x1p30;
    const double t = large ? 1.0 : x - 1.0;
    const double p = t * (t + 2.0);
    const double root = __builtin_sqrt(p < 0.0 ? 0.0 : p);
    const double root_lo = jg_residual_f64(p, root, root) / (root + root + 0x1p-1000);
    const jg_pair_f64 w = jg_sum_f64(large ? x - 1.0 : t, large ? 0.0 : root);
    const double y = jg_log1p_pair_f64(w.hi, large ? 0.0 : w.lo + root_lo, large ? 1.0 : 0.0);
    const double z = x < __builtin_inf() ? y : x;
    return x < 1.0 ? __builtin_nan("") : z;
}
/* <= 1 ULP; worst 0.500 at 0x1.bacb4ap+24, every float32. */
JG_MATH float jg_acosh_f32(float x) { return (float)jg_acosh_f64((double)x); }

/* atanh(x) = log1p(2a / (1 - a)) / 2, the quotient as a pair. */
/* <= 1 ULP; worst 0.826 at -0x1.549933dc91eccp-3, 6.8e6 points, x in [-1, 1]. */
JG_MATH double jg_atanh_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const double b = a < 1.0 ? a : 0.0;
    const jg_pair_f64 d = jg_fast_sum_f64(1.0, -b);
    const double inverse = 1.0 / d.hi;
    const double q = (b + b) * inverse;
    const double q_lo = JG_FMA(-q, d.lo, jg_residual_f64(b + b, q, d.hi)) * inverse;
    double y = 0.5 * jg_log1p_pair_f64(q, q_lo, 0.0);
    y = a < 0x1p-28 ? a : y;
    y = a < 1.0 ? y : a == 1.0 ? __builtin_inf() : __builtin_nan("");
    return jg_with_sign_f64(y, x);
}
/* <= 1 ULP; worst 0.500 at 0x1.713744p-12, every float32. */
JG_MATH float jg_atanh_f32(float x) { return (float)jg_atanh_f64((double)x); }

#endif
