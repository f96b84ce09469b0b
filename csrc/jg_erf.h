/* erf, erfc, erfcx, erfinv, erfcinv.
 *
 * |x| up to 0.9: erf(x) = x + x R(x^2).  Above, erf(x) = 1 - exp(-x^2) Q(t), t = (x - 1)/(x + 3/2),
 * where an error of erfc, below 1/4, counts a quarter.  erfc keeps its relative accuracy with
 * erfc(x) = exp(-x^2) P(t) / (1 + 2x), t = (x - 4)/(x + 4) (Schonfelder 1978); -x^2 is carried as a
 * pair, because its rounding error is multiplied by up to 700 (coefficients/erf.py).  float32 has
 * polynomials of its own for erf; the other functions are computed in float64 and rounded.
 */
#ifndef JG_ERF_H
#define JG_ERF_H

#include "jg_log.h"

/* erf(x)/x - 1 for z = x^2 <= 0.81, in z - 0.4, where the terms are small: error 2^-58. */
JG_MATH double jg_erf_series_f64(double z) {
    const double y = z - 0.4, w = y * y;
    const double c12 = JG_FMA(y, 0x1.5c9bfd1e706b7p-4, -0x1.30a845125e5b1p-2);
    const double c34 = JG_FMA(y, 0x1.ee8773f08af82p-9, -0x1.4351316e8f077p-6);
    const double c56 = JG_FMA(y, 0x1.65e749a8c562p-14, -0x1.3ff1ef5d90ea9p-11);
    const double c78 = JG_FMA(y, 0x1.352db168d7de8p-20, -0x1.60334d7f04d9dp-17);
    const double c9a = JG_FMA(y, 0x1.625139f087d31p-27, -0x1.e9cb3c15555fep-24);
    const double high = JG_FMA(JG_FMA(w, -0x1.cc5c20df415fdp-31, c9a), w, c78);
    const double rest = JG_FMA(JG_FMA(JG_FMA(high, w, c56), w, c34), w, c12);
    return JG_FMA(y, rest, -0x1.6fbe17fe674c2p-8);
}

/* exp(a^2) erfc(a) for 0.89 <= a <= 6: error 2^-58 after multiplication by exp(-a^2).  t, whose
 * rounding counts, is small where erfc is large, and so is t times the rest. */
JG_MATH double jg_erf_tail_f64(double a) {
    const double t = (a - 1.0) / (a + 1.5), w = t * t;
    const double c12 = JG_FMA(t, 0x1.208e23e068d3p-2, -0x1.5db61ceddb064p-1);
    const double c34 = JG_FMA(t, -0x1.1bee78260af9dp-5, 0x1.1cdaeda86608ep-7);
    const double c56 = JG_FMA(t, 0x1.2afd574cd0ffdp-8, -0x1.fad6208b34557p-8);
    const double c78 = JG_FMA(t, 0x1.e2489982aa027p-12, 0x1.c6e7903b7e81fp-9);
    const double c9a = JG_FMA(t, -0x1.0331854ee4f47p-11, -0x1.6ce4896290e4p-11);
    const double cbc = JG_FMA(t, 0x1.3cc1759ca4a97p-13, -0x1.8c5cae8c659dep-13);
    const double high = JG_FMA(JG_FMA(w, 0x1.9d7f3d30bf2f1p-14, cbc), w, c9a);
    const double rest = JG_FMA(JG_FMA(JG_FMA(JG_FMA(high, w, c78), w, c56), w, c34), w, c12);
    return JG_FMA(t, rest, 0x1.b5d8780f956b2p-2);
}

/* (1 + 2a) exp(a^2) erfc(a) for a >= 0.69: a normalised pair, relative
 * error 2^-54.3. */
JG_MATH jg_pair_f64 jg_erfcx_series_f64(double a) {
    const double t = (a - 4.0) / (a + 4.0), w = t * t;
    double even = 0x1.46cf52cf9e937p-28, odd = -0x1.c459828111daep-27;
    even = JG_FMA(even, w, -0x1.aa1dd5c46a91dp-26);
    odd = JG_FMA(odd, w, 0x1.eabde251dae4fp-24);
    even = JG_FMA(even, w, 0x1.5455c9810e50cp-24);
    odd = JG_FMA(odd, w, -0x1.bf8b758d392f7p-21);
    even = JG_FMA(even, w, 0x1.3cfa773919952p-22);
    odd = JG_FMA(odd, w, 0x1.7f9bd5b9aaf74p-18);
    even = JG_FMA(even, w, -0x1.78ac4ebbf88fdp-17);
    odd = JG_FMA(odd, w, -0x1.9965c7f802fb7p-16);
    even = JG_FMA(even, w, 0x1.3be1a3148b283p-13);
    odd = JG_FMA(odd, w, -0x1.a1dec09f6466ap-13);
    even = JG_FMA(even, w, -0x1.8d4ab59719256p-11);
    odd = JG_FMA(odd, w, 0x1.49c67211b5c16p-8);
    even = JG_FMA(even, w, -0x1.0962385d5eedap-6);
    odd = JG_FMA(odd, w, 0x1.3079edf7a1e2cp-5);
    even = JG_FMA(even, w, -0x1.0fb06dff48e8fp-4);
    odd = JG_FMA(odd, w, 0x1.7fee004e0d5fep-4);
    even = JG_FMA(even, w, -0x1.9ddb23c3dc204p-4);
    odd = JG_FMA(odd, w, 0x1.16ecefcfa5452p-4);
    even = JG_FMA(even, w, 0x1.f7f5df66fb767p-7);
    odd = JG_FMA(odd, w, -0x1.1df1ad154a28ep-3);
    even *= w;
    return jg_fast_sum_f64(0x1.3ba5916e9fd7fp+0, JG_FMA(odd, t, even));
}

/* erfc(a) for 0.69 <= a: one division, corrected with the low words of exp and of 1 + 2a. */
JG_MATH double jg_erfc_tail_f64(double a) {
    const double b = a > 27.3 ? 27.3 : a;
    const jg_pair_f64 square = jg_product_f64(b, b);
    const jg_exp_pair_f64_t e = jg_exp_pair_f64(-square.hi, -square.lo, JG_LIFT_F64);
    const jg_pair_f64 m = jg_fast_sum_f64(e.hi, e.lo);
    const jg_pair_f64 p = jg_erfcx_series_f64(b);
    const jg_pair_f64 n = jg_product_f64(m.hi, p.hi);
    const jg_pair_f64 d = jg_sum_f64(1.0, b + b);
    const double inverse = 1.0 / d.hi, q = n.hi * inverse;
    const double n_lo = n.lo + JG_FMA(m.lo, p.hi, m.hi * p.lo);
    const double rest = jg_residual_f64(n.hi, q, d.hi) + JG_FMA(-q, d.lo, n_lo);
    return JG_FMA(rest, inverse, q) * jg_exponent_f64(e.t) * JG_LOWER_F64;
}

/* <= 1 ULP; worst 0.844 at 0x1.00e28465a7a34p+0, 1.5e7 points, x in [-6.5, 6.5]. */
JG_MATH double jg_erf_f64(double x) {
    const double a = jg_magnitude_f64(x), b = a > 6.0 ? 6.0 : a, square = b * b;
    const double small = JG_FMA(b, jg_erf_series_f64(square), b);
    const jg_exp_pair_f64_t e = jg_exp_parts_f64(-square, JG_BIAS_F64);
    const double large = JG_FMA(e.hi + e.lo, -(jg_erf_tail_f64(b) * jg_exponent_f64(e.t)), 1.0);
    return jg_with_sign_f64(a < 0.9 ? small : large, x);
}

/* erf(a)/a - 1 for a <= 1.1875 in z = a^2 - 1/2, rounded once: error 2^-29. */
JG_MATH float jg_erf_series_f32(float a) {
    const float z = JG_FMAF(a, a, -0.5f);
    float q = JG_FMAF(z, -0x1.156f4cp-17f, 0x1.476f18p-14f);
    q = JG_FMAF(q, z, -0x1.265818p-11f);
    q = JG_FMAF(q, z, 0x1.c82d92p-9f);
    q = JG_FMAF(q, z, -0x1.2b906ap-6f);
    q = JG_FMAF(q, z, 0x1.45436ap-4f);
    q = JG_FMAF(q, z, -0x1.1fd162p-2f);
    return JG_FMAF(q, z, -0x1.1ae14ep-5f);
}

/* sqrt(erfc(a)) for 1.1875 <= a <= 4 in y = a - 2.375, which is exact: error in erf 2^-26.8. */
JG_MATH float jg_erf_root_f32(float a) {
    const float y = a - 2.375f, w = y * y;
    const float c12 = JG_FMAF(y, 0x1.4148a8p-4f, -0x1.253ebap-4f);
    const float c34 = JG_FMAF(y, 0x1.5889fap-7f, -0x1.6dca14p-5f);
    const float c56 = JG_FMAF(y, -0x1.54dd06p-9f, 0x1.616238p-9f);
    const float c78 = JG_FMAF(y, 0x1.66de16p-13f, 0x1.dba004p-12f);
    const float high = JG_FMAF(JG_FMAF(w, -0x1.03bb02p-14f, c78), w, c56);
    return JG_FMAF(y, JG_FMAF(JG_FMAF(high, w, c34), w, c12), 0x1.ca7164p-6f);
}

/* From 1.1875 on erf(x) = 1 - p^2, p = sqrt(erfc(|x|)): a polynomial of degree 9 squared is shorter
 * than an exponential times a polynomial, and p^2 is below 0.094.  A nan goes through the series. */
JG_MATH float jg_erf_single_f32(float x) {
    const float a = jg_magnitude_f32(x), small = JG_FMAF(a, jg_erf_series_f32(a), a);
    const float p = jg_erf_root_f32(jg_ordered_f32(a, 4.0f).lo);
    return jg_with_sign_f32(a >= 1.1875f ? JG_FMAF(-p, p, 1.0f) : small, x);
}
/* Without hardware fma the products, rounded twice, would bring the error to 1.34 ULP. */
/* <= 1 ULP; worst 0.904 at 0x1.378062p+0, every float32. */
JG_MATH float jg_erf_f32(float x) {
#if JG_HAS_FMA
    return jg_erf_single_f32(x);
#else
    return (float)jg_erf_f64((double)x);
#endif
}

/* 1 - erf(x) up to 0.7; 2 - erfc(-x) on the left. */
/* <= 1.5 ULP; worst 1.085 at 0x1.a0d2390ffaa7ap-1, 1.1e7 points, x in [-6, 27.3]. */
JG_MATH double jg_erfc_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const double b = a > 1.0 ? 1.0 : x;
    const jg_pair_f64 one = jg_fast_sum_f64(1.0, -b);
    const double middle = one.hi + JG_FMA(-b, jg_erf_series_f64(b * b), one.lo);
    const double tail = jg_erfc_tail_f64(a < 0.7 ? 0.7 : a);
    return a < 0.7 ? middle : x < 0.0 ? 2.0 - tail : tail;
}
/* <= 1 ULP; worst 0.500 at -0x1.d93ec4p-17, every float32. */
JG_MATH float jg_erfc_f32(float x) { return (float)jg_erfc_f64((double)x); }

/* exp(x^2) erfc(x); on the left 2 exp(x^2) - erfcx(-x), which overflows below -26.6. */
/* <= 2.5 ULP; worst 2.353 at 0x1.99ed669067febp-1, 5.0e4 points, x in [-26.6, 1.7e+308]. */
JG_MATH double jg_erfcx_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const double c = a < 0.7 ? 0.7 : a > 0x1p1000 ? 0x1p1000 : a;
    const double right = (0.5 * jg_erfcx_series_f64(c).hi) / (0.5 + (a < 0.7 ? 0.7 : a));
    const double b = a > 27.3 ? 27.3 : a;
    const jg_pair_f64 square = jg_product_f64(b, b);
    const double grown = jg_exp_value_f64(square.hi, square.lo);
    const double v = a > 1.0 ? 1.0 : x;
    const double middle = grown * (1.0 - JG_FMA(v, jg_erf_series_f64(v * v), v));
    return a < 0.7 ? middle : x < 0.0 ? 2.0 * grown - right : right;
}
/* <= 1 ULP; worst 0.500 at 0x1.0977b8p+3, 5.0e4 points, x in [-9.3, 3.4e+38]. */
JG_MATH float jg_erfcx_f32(float x) { return (float)jg_erfcx_f64((double)x); }

/* The solution y >= 0 of erf(y) = a for a <= 1/2.  Winitzki's closed form (2008) is good to 0.5 %;
 * two Halley steps triple the digits twice. */
static __attribute__((noinline, unused)) double jg_erfinv_center(double a) {
    if (a < 0x1p-28) return a * 0x1.c5bf891b4ef6bp-1;
    const double l = jg_log1p_f64(-a * a), s = 4.330746750799873 + 0.5 * l;
    double y = __builtin_sqrt(-l / 0.147 / (__builtin_sqrt(s * s - l / 0.147) + s));
    for (int i = 0; i < 2; i++) {
        const double u = (jg_erf_f64(y) - a) * jg_exp_f64(y * y) * 0x1.c5bf891b4ef6bp-1;
        y -= u / (1.0 + y * u);
    }
    return y;
}
/* The solution of erfc(y) = q for 0 < q < 1/2: Newton's method on log erfc, which is nearly a
 * parabola, so four steps suffice down to the smallest subnormal. */
static __attribute__((noinline, unused)) double jg_erfinv_tail(double q) {
    const double log_q = jg_log_f64(q);
    const double l = log_q + jg_log_f64(2.0 - q), s = 4.330746750799873 + 0.5 * l;
    double y = __builtin_sqrt(-l / 0.147 / (__builtin_sqrt(s * s - l / 0.147) + s));
    for (int i = 0; i < 4; i++) {
        const jg_pair_f64 square = jg_product_f64(y, y);
        const double x = jg_erfcx_f64(y);
        const double g = ((-square.hi - log_q) - square.lo) + jg_log_f64(x);
        y += g * x * 0x1.c5bf891b4ef6bp-1;
    }
    return y;
}
/* The inverse of erf: +-inf at +-1, nan outside. */
/* <= 4 ULP; worst 2.815 at 0x1.025eba587c3dap-1, 7.5e3 points, x in [-1, 1]. */
static __attribute__((unused)) double jg_erfinv_f64(double x) {
    const double a = jg_magnitude_f64(x);
    if (!(a <= 1.0)) return __builtin_nan("");
    if (a == 1.0) return jg_with_sign_f64(__builtin_inf(), x);
    return jg_with_sign_f64(a <= 0.5 ? jg_erfinv_center(a) : jg_erfinv_tail(1.0 - a), x);
}
/* <= 1 ULP; worst 0.500 at -0x1.9b988p-1, 7.5e3 points, x in [-1, 1]. */
static __attribute__((unused)) float jg_erfinv_f32(float x) {
    return (float)jg_erfinv_f64((double)x);
}
/* The inverse of erfc: inf at 0, -inf at 2, nan outside. */
/* <= 4 ULP; worst 3.082 at 0x1.821e9baf6c12ep+0, 7.5e3 points, x in [4.941e-324, 2]. */
static __attribute__((unused)) double jg_erfcinv_f64(double x) {
    if (!(x >= 0.0) || x > 2.0) return __builtin_nan("");
    if (x == 0.0) return __builtin_inf();
    if (x == 2.0) return -__builtin_inf();
    if (x < 0.5) return jg_erfinv_tail(x);
    if (x > 1.5) return -jg_erfinv_tail(2.0 - x);
    return x <= 1.0 ? jg_erfinv_center(1.0 - x) : -jg_erfinv_center(x - 1.0);
}
/* <= 1 ULP; worst 0.500 at 0x1.2f114cp+0, 7.5e3 points, x in [1.5e-45, 2]. */
static __attribute__((unused)) float jg_erfcinv_f32(float x) {
    return (float)jg_erfcinv_f64((double)x);
}

#endif
