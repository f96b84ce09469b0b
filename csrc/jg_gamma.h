/* gamma, gammaln, psi (digamma), tri_gamma, and the incomplete gamma functions.
 *
 * Positive arguments are shifted to a >= 12, where Stirling's series has reached full precision
 * (DLMF 5.11); sums, logarithms and products are pairs, so that neither the shift nor the large
 * exponent costs digits.  Negative ones use the reflection formulas (DLMF 5.5).  Scalar code with
 * branches: loops over these functions are not vectorised, but for those over gamma and psi.
 */
#ifndef JG_GAMMA_H
#define JG_GAMMA_H

#include "jg_pow.h"
#include "jg_trig.h"

#define JG_SCALAR static __attribute__((noinline, unused))

/* --- arithmetic on pairs, relative error near 2^-102 ------------------------------------------ */

JG_MATH jg_pair_f64 jg_pair_add(jg_pair_f64 a, jg_pair_f64 b) {
    const jg_pair_f64 s = jg_sum_f64(a.hi, b.hi), t = jg_sum_f64(a.lo, b.lo);
    const jg_pair_f64 u = jg_fast_sum_f64(s.hi, s.lo + t.hi);
    return jg_fast_sum_f64(u.hi, u.lo + t.lo);
}
JG_MATH jg_pair_f64 jg_pair_mul(jg_pair_f64 a, jg_pair_f64 b) {
    const jg_pair_f64 p = jg_product_f64(a.hi, b.hi);
    return jg_fast_sum_f64(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}
JG_MATH jg_pair_f64 jg_pair_div(jg_pair_f64 a, jg_pair_f64 b) {
    const double q = a.hi / b.hi;
    const jg_pair_f64 p = jg_pair_mul(b, (jg_pair_f64){-q, 0.0});
    const jg_pair_f64 r = jg_pair_add(a, p);
    return jg_fast_sum_f64(q, r.hi / b.hi);
}
JG_MATH jg_pair_f64 jg_pair(double x) { return (jg_pair_f64){x, 0.0}; }
JG_MATH jg_pair_f64 jg_pair_negate(jg_pair_f64 a) { return (jg_pair_f64){-a.hi, -a.lo}; }
JG_MATH jg_pair_f64 jg_pair_blend(uint64_t mask, jg_pair_f64 yes, jg_pair_f64 no) {
    return (jg_pair_f64){jg_blend_f64(mask, yes.hi, no.hi), jg_blend_f64(mask, yes.lo, no.lo)};
}

/* exp(a) of a pair, with its over- and underflow. */
JG_MATH double jg_pair_exp(jg_pair_f64 a) {
    const double x = a.hi > 800.0 ? 800.0 : a.hi < -800.0 ? -800.0 : a.hi;
    return jg_exp_value_f64(x, x == a.hi ? a.lo : 0.0);
}
/* log(x), x > 0, to some 65 bits. */
JG_MATH jg_pair_f64 jg_pair_log(double x) {
    const int tiny = x < 0x1p-1022;
    const jg_log_split_f64_t v = jg_log_split_f64(tiny ? x * 0x1p54 : x);
    return jg_log_long_f64(v.k - (tiny ? 54.0 : 0.0), v.m);
}
/* sin(pi x) and cos(pi x): exact reduction, then the kernels. */
JG_MATH jg_pair_f64 jg_sin_cos_pi(double x) {
    const double n = jg_rint_f64(x + x), t = x - 0.5 * n;
    const jg_pair_f64 a = jg_pair_mul(jg_pair(t), (jg_pair_f64){0x1.921fb54442d18p+1,
                                                                0x1.1a62633145c07p-53});
    const jg_pair_f64 s = jg_sin_kernel_f64(a.hi, a.lo), c = jg_cos_kernel_f64(a.hi, a.lo);
    const double sine = s.hi + s.lo, cosine = c.hi + c.lo;
    const double quadrant = n - 4.0 * jg_floor_f64(0.25 * n);
    if (quadrant == 0.0) return (jg_pair_f64){sine, cosine};
    if (quadrant == 1.0) return (jg_pair_f64){cosine, -sine};
    if (quadrant == 2.0) return (jg_pair_f64){-sine, -cosine};
    return (jg_pair_f64){-cosine, sine};
}

/* |sin(pi x)| as a normalised pair, x not an integer. */
JG_MATH jg_pair_f64 jg_pair_sin_pi(double x) {
    const double t = jg_magnitude_f64(x - jg_rint_f64(x));
    const uint64_t far = JG_MASK64(t > 0.25);
    const jg_pair_f64 a = jg_pair_mul(jg_pair(jg_blend_f64(far, 0.5 - t, t)),
                                      (jg_pair_f64){0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53});
    const jg_pair_f64 c = jg_cos_kernel_f64(a.hi, a.lo), s = jg_sin_kernel_f64(a.hi, a.lo);
    const jg_pair_f64 y = jg_pair_blend(far, c, s);
    return jg_fast_sum_f64(y.hi, y.lo);
}
/* pi / |sin(pi x)| as a pair. */
JG_MATH jg_pair_f64 jg_pair_pi_over_sin(double x) {
    return jg_pair_div((jg_pair_f64){0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53},
                       jg_pair_sin_pi(x));
}

/* The factors a, a + 1, ..., a + 11 of a shift by 12, two by two: (a + k) (a + 11 - k) = q + c_k with
 * q = a (a + 11), c_k = k (11 - k).  `product` is that of all, and (2 a + 11) sum / product the sum of
 * their reciprocals: one division, and no branch. */
typedef struct { jg_pair_f64 product, sum; } jg_shift_t;

JG_MATH jg_shift_t jg_shift_by(jg_shift_t s, jg_pair_f64 q, double c) {
    const jg_pair_f64 t = jg_sum_f64(q.hi, c), f = jg_fast_sum_f64(t.hi, t.lo + q.lo);
    return (jg_shift_t){jg_pair_mul(s.product, f),
                        jg_pair_add(jg_pair_mul(s.sum, f), s.product)};
}
JG_MATH jg_shift_t jg_shift(double a) {
    const jg_pair_f64 q = jg_pair_mul(jg_pair(a), jg_sum_f64(a, 11.0));
    jg_shift_t s = {q, {1.0, 0.0}};
    s = jg_shift_by(s, q, 10.0);
    s = jg_shift_by(s, q, 18.0);
    s = jg_shift_by(s, q, 24.0);
    s = jg_shift_by(s, q, 28.0);
    return jg_shift_by(s, q, 30.0);
}

/* --- the gamma function ----------------------------------------------------------------------- */

/* Gamma(a) = exp(e) / shift for a > 0. */
typedef struct { jg_pair_f64 e, shift; } jg_gamma_parts_t;

/* (b - 1/2) log b - b + log(2 pi)/2 + 1/(12 b) - ..., b = a + 12, or a if that is above; DLMF
 * 5.11.1. */
JG_MATH jg_gamma_parts_t jg_gamma_parts(double a) {
    const uint64_t low = JG_MASK64(a < 12.0);
    const jg_pair_f64 product = jg_shift(jg_blend_f64(low, a, 1.0)).product;
    const jg_pair_f64 b = jg_pair_blend(low, jg_sum_f64(a, 12.0), jg_pair(a));
    const jg_pair_f64 shift = jg_pair_blend(low, product, jg_pair(1.0));
    const jg_pair_f64 log_b = jg_pair_log(b.hi);
    const double r = 1.0 / b.hi, z = r * r;
    double series = -3617.0 / 122400.0;
    series = JG_FMA(series, z, 1.0 / 156.0);
    series = JG_FMA(series, z, -691.0 / 360360.0);
    series = JG_FMA(series, z, 1.0 / 1188.0);
    series = JG_FMA(series, z, -1.0 / 1680.0);
    series = JG_FMA(series, z, 1.0 / 1260.0);
    series = JG_FMA(series, z, -1.0 / 360.0);
    series = JG_FMA(series, z, 1.0 / 12.0) * r;
    /* b log b - b = b (log b - 1): no intermediate overflow before the result's own. */
    const jg_pair_f64 main_part =
        jg_pair_mul(b, jg_pair_add(log_b, jg_pair(-1.0)));
    const jg_pair_f64 half_log = {-0.5 * log_b.hi, -0.5 * log_b.lo};
    const jg_pair_f64 constant = {0x1.d67f1c864beb5p-1, -0x1.65b5a1b7ff5dfp-55};
    jg_pair_f64 e = jg_pair_add(jg_pair_add(main_part, half_log), constant);
    e = jg_pair_add(e, jg_pair(series + b.lo * (1.0 - 0.5 * r)));
    return (jg_gamma_parts_t){e, shift};
}

/* log Gamma(a), a > 0, as a pair: absolute error near 2^-60 of the largest term. */
JG_SCALAR jg_pair_f64 jg_pair_gammaln(double a) {
    const jg_gamma_parts_t g = jg_gamma_parts(a);
    if (a >= 12.0) return g.e;
    const jg_pair_f64 log_shift =
        jg_pair_add(jg_pair_log(g.shift.hi), jg_pair(g.shift.lo / g.shift.hi));
    return jg_pair_add(g.e, jg_pair_negate(log_shift));
}

/* exp(s) / Gamma(y), 0 at the poles of Gamma. */
JG_SCALAR double jg_exp_over_gamma(jg_pair_f64 s, double y) {
    if (y > 0.0) return jg_pair_exp(jg_pair_add(s, jg_pair_negate(jg_pair_gammaln(y))));
    if (y == jg_rint_f64(y)) return 0.0;
    /* 1/Gamma(y) = a Gamma(a) sin(pi a) / -pi, a = -y */
    const double a = -y, sine = jg_sin_cos_pi(a).hi;
    const double factor = -a * sine * 0x1.45f306dc9c883p-2;
    s = jg_pair_add(jg_pair_add(s, jg_pair_gammaln(a)), jg_pair_log(jg_magnitude_f64(factor)));
    return jg_with_sign_f64(jg_pair_exp(s), factor);
}

/* <= 2.5 ULP; worst 2.300 at 0x1.d6bfff1ae8970p-3, 1.0e7 points, x in [-182, 171.6]. */
JG_MATH double jg_gamma_f64(double x) {
    const double inf = __builtin_inf(), size = jg_magnitude_f64(x);
    const uint64_t left = JG_MASK64(x < 0.0), tiny = JG_MASK64(size < 0x1p-60);
    const uint64_t whole = JG_MASK64(x == jg_rint_f64(x));
    const double a = jg_blend_f64(JG_MASK64(size < 200.0) & ~tiny, size, 200.0);
    const jg_gamma_parts_t g = jg_gamma_parts(a);
    /* Gamma(-a) = -pi / (a sin(pi a) Gamma(a)); the sine is negative where floor(a) is odd.  One
     * exponential of everything: the factors alone could be subnormal. */
    const double fraction = jg_blend_f64(whole, 0.5, a);
    const jg_pair_f64 ratio =
        jg_pair_mul(jg_pair_div(jg_pair_pi_over_sin(fraction), jg_pair(a)), g.shift);
    const jg_pair_f64 log_ratio =
        jg_pair_add(jg_pair_log(ratio.hi), jg_pair(ratio.lo / ratio.hi));
    const jg_pair_f64 e = jg_pair_add(log_ratio, jg_pair_negate(g.e));
    const double power = jg_pair_exp(jg_pair_blend(left, e, g.e));
    const double floor = jg_floor_f64(size), half = 0.5 * floor;
    const uint64_t sign = JG_MASK64(half == jg_floor_f64(half)) & 0x8000000000000000u;
    const double far = jg_blend_f64(left, 0.0, inf);
    double y = jg_blend_f64(left, power, power / g.shift.hi);
    y = jg_blend_f64(JG_MASK64(size < 190.0), y, far);
    y = jg_from_bits_f64(jg_to_bits_f64(y) ^ (sign & left));
    y = jg_blend_f64(tiny, 1.0 / x, y);
    return jg_blend_f64((left & whole) | JG_MASK64(x != x), __builtin_nan(""), y);
}
/* <= 1 ULP; worst 0.500 at 0x1.bb2bc2p-17, 2.0e5 points, x in [-40, 35]. */
JG_MATH float jg_gamma_f32(float x) { return (float)jg_gamma_f64((double)x); }

/* log Gamma(1 + u) = u (u - 1) Q(u) for 0 <= u <= 1 (coefficients/gamma.py) */
JG_SCALAR double jg_gammaln_unit(double u) {
    static const double c[] = {
    0x1.2788cfc6fb619p-1, -0x1.f6465978d4791p-3, 0x1.3e54520488627p-3, -0x1.d7a3e6ac1cf6fp-4,
    0x1.79cf9cb5c824ep-4, -0x1.3cb2023c851e2p-4, 0x1.1155bcba13040p-4, -0x1.e18af1e45125cp-5,
    0x1.aec83433d7371p-5, -0x1.86c41d0a2bf27p-5, 0x1.68f8c60be9005p-5, -0x1.587afbbe0697ap-5,
    0x1.5ac4488c31e01p-5, -0x1.71215e8918a0ap-5, 0x1.8e48aeca06166p-5, -0x1.945187c7fc96fp-5,
    0x1.6712114b14936p-5, -0x1.078277f8f4705p-5, 0x1.30e7d663bad00p-6, -0x1.08cbc937f810dp-7,
    0x1.42bbffa305e34p-9, -0x1.eab9c26bd3605p-12, 0x1.5d927e69f0472p-15};
    double q = 0.0;
    for (int i = (int)(sizeof c / sizeof *c) - 1; i >= 0; i--) q = JG_FMA(q, u, c[i]);
    return u * (u - 1.0) * q;
}

/* log|Gamma(x)|: relative accuracy also at the zeros 1 and 2; near the zeros between negative
 * integers the error is absolute. */
/* <= 2 ULP or 2^-51 absolute; worst 1.803 at 0x1.5dbce90032fe7p+2,
 * 1.0e7 points, x in [-50, 1.7e+305]. */
JG_SCALAR double jg_gammaln_f64(double x) {
    if (x != x) return x;
    if (jg_magnitude_f64(x) == __builtin_inf()) return __builtin_inf();
    if (x > 0.0) {
        if (x > 0x1p900) return x * (jg_log_f64(x) - 1.0);
        if (x >= 12.0) {
            const jg_pair_f64 e = jg_gamma_parts(x).e;
            return e.hi + e.lo;
        }
        if (x < 1.0) return jg_gammaln_unit(x) - jg_log_f64(x);
        if (x < 2.0) return jg_gammaln_unit(x - 1.0) + 0.0; /* no -0 at 1 */
        double product = 1.0;
        while (x >= 2.0) {
            x -= 1.0;
            product *= x;
        }
        return jg_gammaln_unit(x - 1.0) + jg_log_f64(product);
    }
    if (x == jg_rint_f64(x)) return __builtin_inf();
    const double a = -x, sine = jg_sin_cos_pi(a).hi;
    if (a < 0x1p-60) return -jg_log_f64(a);
    const double ratio = 0x1.921fb54442d18p+1 / jg_magnitude_f64(a * sine);
    const jg_gamma_parts_t g = jg_gamma_parts(a);
    const jg_pair_f64 l = jg_pair_add(jg_pair_log(ratio * g.shift.hi), jg_pair_negate(g.e));
    return l.hi + l.lo;
}
/* <= 1 ULP; worst 0.500 at 0x1.2b43a2p-25, 2.0e5 points, x in [-50, 4e+36]. */
JG_SCALAR float jg_gammaln_f32(float x) { return (float)jg_gammaln_f64((double)x); }

/* pi cot(pi x) as a pair. */
JG_MATH jg_pair_f64 jg_pi_cot_pi(double x) {
    const jg_pair_f64 pi = {0x1.921fb54442d18p+1, 0x1.1a62633145c07p-53};
    const double t = x - jg_rint_f64(x), near = jg_magnitude_f64(t);
    const uint64_t far = JG_MASK64(near > 0.25), sign = jg_to_bits_f64(t) & 0x8000000000000000u;
    const jg_pair_f64 a = jg_pair_mul(jg_pair(jg_blend_f64(far, 0.5 - near, near)), pi);
    const jg_pair_f64 s = jg_sin_kernel_f64(a.hi, a.lo), c = jg_cos_kernel_f64(a.hi, a.lo);
    const jg_pair_f64 sine = jg_fast_sum_f64(s.hi, s.lo), cosine = jg_fast_sum_f64(c.hi, c.lo);
    const jg_pair_f64 cot = jg_pair_mul(
        jg_pair_div(jg_pair_blend(far, sine, cosine), jg_pair_blend(far, cosine, sine)), pi);
    return (jg_pair_f64){jg_from_bits_f64(jg_to_bits_f64(cot.hi) ^ sign),
                         jg_from_bits_f64(jg_to_bits_f64(cot.lo) ^ sign)};
}

/* psi(x) = log b - 1/(2b) - sum B_2k/(2k b^2k) - sum 1/(x + i), b = x + 12, or x if that is above; and
 * psi(1 - x) - pi cot(pi x) below 0.  DLMF 5.11.2, 5.5.2, 5.5.4.  In pairs, for the sake of the zero
 * at 1.4616, and without branches: loops over it are vectorised. */
/* <= 1 ULP or 2^-48 absolute; worst 0.541 at -0x1.e7edf6e7a6099p-6,
 * 1.0e7 points, x in [-20, 1.7e+308]. */
JG_MATH double jg_psi_f64(double x) {
    const double a = jg_blend_f64(JG_MASK64(x < 0.0), 1.0 - x, x);
    const uint64_t low = JG_MASK64(a < 12.0);
    const double shifted = jg_blend_f64(low, a, 1.0);
    const jg_shift_t shift = jg_shift(shifted);
    const jg_pair_f64 b = jg_pair_blend(low, jg_sum_f64(a, 12.0), jg_pair(a));
    const jg_pair_f64 count = jg_pair_mul(jg_sum_f64(shifted + shifted, 11.0), shift.sum);
    const jg_pair_f64 s = jg_pair_div(count, shift.product);
    jg_pair_f64 y = jg_pair_blend(low, jg_pair_negate(s), jg_pair(0.0));
    const double r = 1.0 / b.hi, z = r * r;
    double series = 3617.0 / 8160.0;
    series = JG_FMA(series, z, -1.0 / 12.0);
    series = JG_FMA(series, z, 691.0 / 32760.0);
    series = JG_FMA(series, z, -1.0 / 132.0);
    series = JG_FMA(series, z, 1.0 / 240.0);
    series = JG_FMA(series, z, -1.0 / 252.0);
    series = JG_FMA(series, z, 1.0 / 120.0);
    series = JG_FMA(series, z, -1.0 / 12.0) * z;
    /* -1/(2 b), and where y cancels what its rounding and the second half of b leave */
    const double half = -0.5 * r;
    const double rest = JG_FMA(half, jg_residual_f64(1.0, r, b.hi), -half * b.lo * r);
    y = jg_pair_add(y, (jg_pair_f64){half, jg_blend_f64(low, rest, 0.0)});
    y = jg_pair_add(y, jg_pair_log(b.hi));
    y = jg_pair_add(y, jg_pair(JG_FMA(b.lo, r, series)));
    const jg_pair_f64 mirrored = jg_pair_add(y, jg_pair_negate(jg_pi_cot_pi(x)));
    double value = jg_blend_f64(JG_MASK64(x < 0.0), mirrored.hi + mirrored.lo, y.hi + y.lo);
    value = jg_blend_f64(JG_MASK64(jg_magnitude_f64(x) < 0x1p-60), -1.0 / x, value);
    value = jg_blend_f64(JG_MASK64(x == __builtin_inf()), x, value);
    const uint64_t pole = JG_MASK64(x < 0.0) & JG_MASK64(x == jg_rint_f64(x));
    return jg_blend_f64(pole | JG_MASK64(x != x), __builtin_nan(""), value);
}
/* <= 1 ULP; worst 0.500 at 0x1.d4ee28p-11, 2.0e5 points, x in [-20, 3e+38]. */
JG_MATH float jg_psi_f32(float x) { return (float)jg_psi_f64((double)x); }

/* psi'(x) = 1/b + 1/(2b^2) + sum B_2k/b^(2k+1) + sum 1/(x + i)^2; every term is positive. */
/* <= 3 ULP; worst 1.515 at 0x1.4f899dedad967p+2, 1.0e4 points, x in [-20, 1e+15]. */
JG_SCALAR double jg_tri_gamma_f64(double x) {
    if (x != x || x == -__builtin_inf()) return __builtin_nan("");
    if (x <= 0.0) {
        if (x == jg_rint_f64(x)) return __builtin_inf();
        if (x > -0x1p-100) return (1.0 / x) / x;
        const jg_pair_f64 s = jg_pair_pi_over_sin(x);
        return jg_pair_mul(s, s).hi - jg_tri_gamma_f64(1.0 - x);
    }
    if (x < 0x1p-100) return (1.0 / x) / x;
    jg_pair_f64 sum = jg_pair(0.0);
    double b = x;
    while (b < 12.0) {
        const jg_pair_f64 q = jg_pair_div(jg_pair(1.0), jg_pair(b));
        sum = jg_pair_add(sum, jg_pair_mul(q, q));
        b += 1.0;
    }
    const double r = 1.0 / b, z = r * r;
    double series = -3617.0 / 510.0;
    series = series * z + 7.0 / 6.0;
    series = series * z - 691.0 / 2730.0;
    series = series * z + 5.0 / 66.0;
    series = series * z - 1.0 / 30.0;
    series = series * z + 1.0 / 42.0;
    series = series * z - 1.0 / 30.0;
    series = series * z + 1.0 / 6.0;
    return sum.hi + (sum.lo + (r + (0.5 * z + series * z * r)));
}
/* <= 1 ULP; worst 0.500 at 0x1.c98f7p-11, 1.0e4 points, x in [-20, 1e+15]. */
JG_SCALAR float jg_tri_gamma_f32(float x) { return (float)jg_tri_gamma_f64((double)x); }

/* --- incomplete gamma functions --------------------------------------------------------------- */

/* x^k exp(-x) / Gamma(k), the derivative of P times x. */
JG_SCALAR double jg_gamma_density(double k, double x) {
    const jg_pair_f64 power = jg_pair_mul(jg_pair_log(x), jg_pair(k));
    return jg_exp_over_gamma(jg_pair_add(power, jg_pair(-x)), k);
}
/* P by its series (DLMF 8.7.1): terms fall once n > x - k. */
JG_SCALAR double jg_gammainc_series(double k, double x) {
    double term = 1.0, sum = 1.0;
    const double last = k + 1e6; /* never reached for k <= 1e8 */
    for (double n = k + 1.0; term > sum * 0x1p-55 && n < last; n += 1.0) {
        term *= x / n;
        sum += term;
    }
    return jg_gamma_density(k, x) / k * sum;
}
/* Q by its continued fraction (DLMF 8.9.2), modified Lentz; x > k, x > 1. */
JG_SCALAR double jg_gammaincc_fraction(double k, double x) {
    double b = x + 1.0 - k, c = 0x1p1000, d = 1.0 / b, h = d, change = 2.0;
    for (double i = 1.0; jg_magnitude_f64(change - 1.0) > 0x1p-52 && i < 1e6; i += 1.0) {
        const double a = -i * (i - k);
        b += 2.0;
        d = a * d + b;
        c = b + a / c;
        d = 1.0 / (d == 0.0 ? 0x1p-1000 : d);
        c = c == 0.0 ? 0x1p-1000 : c;
        change = d * c;
        h *= change;
    }
    return jg_gamma_density(k, x) * h;
}
/* Q for small k and x, where 1 - P would cancel (DLMF 8.7.3):
 * 1 - x^k/Gamma(1+k) - x^k/Gamma(k) sum_{n>=1} (-x)^n / (n! (k + n)). */
JG_SCALAR double jg_gammaincc_small(double k, double x) {
    double term = 1.0, sum = 0.0;
    for (double n = 1.0; n < 60.0; n += 1.0) {
        term *= -x / n;
        sum += term / (k + n);
    }
    const double log_gamma = k < 1.0 ? jg_gammaln_unit(k) : jg_gammaln_f64(k + 1.0);
    const double exponent = k * jg_log_f64(x) - log_gamma;
    return -jg_expm1_f64(exponent) - k * jg_exp_f64(exponent) * sum;
}

/* Lower and upper regularised functions as a pair (P, Q), each with its own relative accuracy. */
JG_SCALAR jg_pair_f64 jg_gammainc_both(double k, double x) {
    const double inf = __builtin_inf();
    if (!(k >= 0.0) || !(x >= 0.0) || (k == inf && x == inf) || (k == 0.0 && x == 0.0))
        return (jg_pair_f64){__builtin_nan(""), __builtin_nan("")};
    if (x == 0.0 || k == inf) return (jg_pair_f64){0.0, 1.0};
    if (k == 0.0 || x == inf) return (jg_pair_f64){1.0, 0.0};
    /* About sqrt(k) terms are needed near x = k: the order is bounded. */
    if (k > 1e8) return (jg_pair_f64){__builtin_nan(""), __builtin_nan("")};
    if (x > 1.1 && x > k) {
        const double q = jg_gammaincc_fraction(k, x);
        return (jg_pair_f64){1.0 - q, q};
    }
    const double p = jg_gammainc_series(k, x);
    const int direct = x > 1.1 || (x > 0.5 ? 1.1 * x < k : -0.4 / jg_log_f64(x) < k);
    return (jg_pair_f64){p, direct ? 1.0 - p : jg_gammaincc_small(k, x)};
}
/* P(k, x), Q(k, x); nan for k > 1e8. */
/* <= 1e-13 relative; worst 12.715 at 0x1.f9da71605bb52p-1, 0x1.2189f9e949ceap+0,
 * 3.8e3 points, 3 boxes. */
JG_SCALAR double jg_gammainc_f64(double k, double x) { return jg_gammainc_both(k, x).hi; }
/* <= 1e-13 relative; worst 47.328 at 0x1.6b221b00a3796p-1, 0x1.296ff904749bbp+0,
 * 3.8e3 points, 3 boxes. */
JG_SCALAR double jg_gammaincc_f64(double k, double x) { return jg_gammainc_both(k, x).lo; }

/* Gamma(k) times a probability; through the logarithm where Gamma(k) alone overflows. */
JG_SCALAR double jg_gamma_times(double k, double p) {
    if (k <= 170.0 || !(p > 0.0)) return jg_gamma_f64(k <= 170.0 ? k : 1.0) * p;
    return jg_pair_exp(jg_pair_add(jg_gamma_parts(k).e, jg_pair_log(p)));
}
/* The unregularised upper and lower functions Gamma(k) Q(k, x), Gamma(k) P(k, x). */
/* <= 1e-13 relative; worst 64.657 at 0x1.f4729873eae16p-2, 0x1.3459738120abp+0,
 * 3.8e3 points, 3 boxes. */
JG_SCALAR double jg_gammau_f64(double k, double x) {
    return jg_gamma_times(k, jg_gammaincc_f64(k, x));
}
/* <= 1e-13 relative; worst 10.035 at 0x1.6f3993d72a826p-1, 0x1.1d9845fbef251p+0,
 * 3.8e3 points, 3 boxes. */
JG_SCALAR double jg_gammal_f64(double k, double x) {
    return jg_gamma_times(k, jg_gammainc_f64(k, x));
}
/* Survival function of chi-squared with k degrees of freedom. */
/* <= 1e-13 relative; worst 49.152 at 0x1.8a8d53ef4199ap+1, 0x1.4d9bb3dcb9abep+0,
 * 3.8e3 points, 2 boxes. */
JG_SCALAR double jg_chi2sf_f64(double x, double k) {
    return x < 0.0 && k >= 0.0 ? 1.0 : jg_gammaincc_f64(0.5 * k, 0.5 * x);
}
/* <= 1 ULP; worst 0.500 at 0x1.a9602p+6, 0x1.4b8906p+7, 3.8e3 points, 3 boxes. */
JG_SCALAR float jg_gammainc_f32(float k, float x) {
    return (float)jg_gammainc_f64((double)k, (double)x);
}
/* <= 1 ULP; worst 0.500 at 0x1.beaa3p+6, 0x1.2dd1b6p+7, 3.8e3 points, 3 boxes. */
JG_SCALAR float jg_gammaincc_f32(float k, float x) {
    return (float)jg_gammaincc_f64((double)k, (double)x);
}
/* <= 1 ULP; worst 0.500 at 0x1.bedf6cp-4, 0x1.1eff86p+1, 3.8e3 points, 3 boxes. */
JG_SCALAR float jg_gammau_f32(float k, float x) {
    return (float)jg_gammau_f64((double)k, (double)x);
}
/* <= 1 ULP; worst 0.500 at 0x1.1cb114p-2, 0x1.fbec84p+0, 3.8e3 points, 3 boxes. */
JG_SCALAR float jg_gammal_f32(float k, float x) {
    return (float)jg_gammal_f64((double)k, (double)x);
}
/* <= 1 ULP; worst 0.500 at 0x1.349b48p-6, 0x1.fab324p-4, 3.8e3 points, 2 boxes. */
JG_SCALAR float jg_chi2sf_f32(float x, float k) {
    return (float)jg_chi2sf_f64((double)x, (double)k);
}

#endif
