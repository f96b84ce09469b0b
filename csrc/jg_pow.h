/* pow(x, y) with the special values of C99 Annex F.
 *
 * |x|^y = exp(y log|x|) needs log|x| to some 65 bits: log(1 + f) = 2 s + s^3 R(s^2) is summed as a
 * pair, R = 2/3 + z R1(z) with the leading product as a pair too (coefficients/log.py).
 */
#ifndef JG_POW_H
#define JG_POW_H

#include "jg_exp.h"
#include "jg_log.h"
#include "jg_round.h"

/* log(2^k m) as a normalised pair, relative error near 2^-65. */
JG_MATH jg_pair_f64 jg_log_long_f64(double k, double m) {
    const double f = m - 1.0;
    const jg_pair_f64 d = jg_fast_sum_f64(2.0, f);
    const double inverse = 1.0 / d.hi, s = f * inverse;
    const double s_lo = JG_FMA(-s, d.lo, jg_residual_f64(f, s, d.hi)) * inverse;
    const jg_pair_f64 square = jg_product_f64(s, s);
    const double z = square.hi, z_lo = JG_FMA(s + s, s_lo, square.lo), w = z * z;
    double odd = JG_FMA(0x1.eac8184ec6df4p-4, w, 0x1.112070c05b8ddp-3);
    double even = JG_FMA(0x1.de3d2c14aa756p-4, w, 0x1.3b1364bfcfa7cp-3);
    odd = JG_FMA(odd, w, 0x1.745d1829753aep-3);
    even = JG_FMA(even, w, 0x1.c71c71c5965d5p-3);
    odd = JG_FMA(odd, w, 0x1.2492492492f52p-2);
    even = JG_FMA(even, w, 0x1.9999999999996p-2);
    const double r1 = JG_FMA(odd, z, even);
    const jg_pair_f64 head = jg_product_f64(z, r1);
    const jg_pair_f64 c = jg_fast_sum_f64(0x1.5555555555555p-1, head.hi);
    const double c_lo = c.lo + (head.lo + JG_FMA(z_lo, r1, 0x1.5555555555555p-55));
    const jg_pair_f64 p = jg_product_f64(z, c.hi);
    const double p_lo = p.lo + JG_FMA(z, c_lo, z_lo * c.hi);
    const jg_pair_f64 q = jg_product_f64(s, p.hi);
    const double q_lo = q.lo + JG_FMA(s, p_lo, s_lo * p.hi);
    const jg_pair_f64 h = jg_fast_sum_f64(s + s, q.hi);
    const jg_pair_f64 t = jg_fast_sum_f64(k * 0x1.62e42feep-1, h.hi);
    const double lo = h.lo + (q_lo + (s_lo + s_lo));
    return jg_fast_sum_f64(t.hi, t.lo + JG_FMA(k, 0x1.a39ef35793c76p-33, lo));
}

/* Special values over `value` = |x|^y of the ordinary case.  In masks: where y is the same in all of a
 * loop, gcc makes branches of ?: on it, and computes one element at a time. */
JG_MATH double jg_pow_special_f64(double x, double y, double value) {
    const double a = jg_magnitude_f64(x), inf = __builtin_inf(), half = 0.5 * y;
    const uint64_t integral = JG_MASK64(jg_rint_f64(y) == y);
    const uint64_t odd = integral & JG_MASK64(jg_rint_f64(half) != half);
    const uint64_t extreme =
        JG_MASK64(a == 0.0) | JG_MASK64(a == inf) | JG_MASK64(jg_magnitude_f64(y) == inf);
    const uint64_t shrinks = JG_MASK64(a > 1.0) ^ JG_MASK64(y > 0.0);
    const uint64_t unreal = JG_MASK64(x < 0.0) & JG_MASK64(a < inf) & ~integral;
    const double limit = jg_from_bits_f64(jg_to_bits_f64(inf) & ~shrinks);
    double z = jg_blend_f64(extreme, limit, value);
    z = jg_blend_f64(JG_MASK64(a == 1.0), 1.0, z);
    z = jg_from_bits_f64(jg_to_bits_f64(z) | (odd & jg_to_bits_f64(x) & 0x8000000000000000u));
    z = jg_blend_f64(unreal | JG_MASK64(x != x) | JG_MASK64(y != y), __builtin_nan(""), z);
    return jg_blend_f64(JG_MASK64(x == 1.0) | JG_MASK64(y == 0.0), 1.0, z);
}

/* <= 1 ULP; worst 0.746 at 0x1.c8d38f5d65a04p-1003, 0x1.0531e63f36f44p+0,
 * 1.1e7 points, 4 boxes. */
JG_MATH double jg_pow_f64(double x, double y) {
    const double a = jg_magnitude_f64(x);
    const int tiny = a < 0x1p-1022;
    const jg_log_split_f64_t v = jg_log_split_f64(tiny ? a * 0x1p54 : a);
    const jg_pair_f64 l = jg_log_long_f64(v.k - (tiny ? 54.0 : 0.0), v.m);
    double t = y * l.hi;
    t = t > 800.0 ? 800.0 : t;
    t = t < -800.0 ? -800.0 : t;
    const int inside = jg_magnitude_f64(t) < 800.0;
    const double y1 = inside ? y : 0.0;
    const jg_pair_f64 p = jg_product_f64(y1, l.hi);
    const double low = JG_FMA(y1, l.lo, p.lo);
    return jg_pow_special_f64(x, y, jg_exp_value_f64(t, low));
}
/* <= 1 ULP; worst 0.500 at 0x1.7c539ep+127, 0x1.f5cf9ep-1, 6.0e5 points, 4 boxes. */
JG_MATH float jg_pow_f32(float x, float y) {
    const double a = (double)jg_magnitude_f32(x), b = (double)y;
    const jg_log_split_f64_t v = jg_log_split_f64(a);
    const jg_log_parts_f64_t l = jg_log_parts_f64(v.k, v.m - 1.0);
    return (float)jg_pow_special_f64((double)x, b, jg_exp_f64(b * (l.hi + l.lo)));
}

#endif
