/* sin, cos, tan, asin, acos, atan, atan2.
 *
 * Reduction: |x| < 2^20 subtracts n pi/2 in four parts (Cody and Waite; the first three have 33
 * bits, so their products with n are exact).  Larger arguments go through a scalar function with
 * the leading 1200 bits of 2/pi (Payne and Hanek 1983).  It is called for every element so that the
 * loop still vectorises: gcc makes a vector clone whose lanes return at once for ordinary x.  Other
 * compilers see a plain call and leave the loop scalar.
 */
#ifndef JG_TRIG_H
#define JG_TRIG_H

#include "jg_bits.h"

#if defined(__GNUC__) && !defined(__clang__)
#define JG_LANEWISE __attribute__((noinline, unused, const, simd("notinbranch")))
#else
#define JG_LANEWISE __attribute__((noinline, unused, const))
#endif

static const uint64_t jg_two_over_pi[20] = {
    0, 0xa2f9836e4e441529u, 0xfc2757d1f534ddc0u, 0xdb6295993c439041u, 0xfe5163abdebbc561u,
    0xb7246e3a424dd2e0u, 0x06492eea09d1921cu, 0xfe1deb1cb129a73eu, 0xe88235f52ebb4484u,
    0xe99c7026b45f7e41u, 0x3991d639835339f4u, 0x9c845f8bbdf9283bu, 0x1ff897ffde05980fu,
    0xef2f118b5a0a6d1fu, 0x6d367ecf27cb09b7u, 0x4f463f669e5fea2du, 0x7527bac7ebe5f17bu,
    0x3d0739f78a5292eau, 0x6bfb5fb11f8d5d08u, 0x56033046fc7b6babu};

/* x mod pi/2 and the quadrant for |x| >= 2^20, packed in one double: theta 2^(64 (n + 2)) with
 * |theta| <= pi/4, n = 0..3.  theta is rounded once; no double is so close to a multiple of pi/2
 * that |theta| < 2^-62, so the exponent tells n.  nan for infinities. */
static __attribute__((noinline, cold, unused, const)) double jg_reduce_huge(double x) {
    const uint64_t bits = jg_to_bits_f64(x) & 0x7fffffffffffffffu;
    if (bits >= 0x7ff0000000000000u) return x - x;
    const uint64_t m = (bits & 0x000fffffffffffffu) | 0x0010000000000000u;
    /* x = m 2^e; bits of 2/pi from weight 2^(1 - e) down decide m 2^e (2/pi) mod 4. */
    const unsigned at = (unsigned)(bits >> 52) - 1075u - 2u + 64u;
    const unsigned i = at >> 6, s = at & 63u;
    uint64_t w[3];
    for (unsigned j = 0; j < 3; j++) {
        const uint64_t next = s ? jg_two_over_pi[i + j + 1] >> (64u - s) : 0;
        w[j] = (jg_two_over_pi[i + j] << s) | next;
    }
    const unsigned __int128 p2 = (unsigned __int128)m * w[2];
    const unsigned __int128 p1 = (unsigned __int128)m * w[1] + (uint64_t)(p2 >> 64);
    uint64_t high = m * w[0] + (uint64_t)(p1 >> 64), mid = (uint64_t)p1, low = (uint64_t)p2;
    uint64_t n = (high >> 62) + ((high >> 61) & 1u); /* nearest quadrant */
    high <<= 2;
    high |= mid >> 62;
    mid = (mid << 2) | (low >> 62);
    const uint64_t flip = (high >> 63) ? ~(uint64_t)0 : 0; /* the fraction is -(1 - fraction) */
    high ^= flip;
    mid ^= flip;
    const int shift = high ? __builtin_clzll(high) : 64;
    high = shift == 64 ? mid : shift ? (high << shift) | (mid >> (64 - shift)) : high;
    const double top = (double)(high >> 11) * 0x1p-53, rest = (double)(high & 0x7ffu) * 0x1p-64;
    const jg_pair_f64 p = jg_product_f64(top, 0x1.921fb54442d18p+0);
    const double theta = p.hi + (p.lo + top * 0x1.1a62633145c07p-54 +
                                 rest * 0x1.921fb54442d18p+0);
    const int negative = (flip != 0) != (x < 0.0);
    n = (x < 0.0 ? 0 - n : n) & 3u;
    const uint64_t exponent = 1023u + 64u * (n + 2u) - (uint64_t)shift;
    const double y = theta * jg_from_bits_f64(exponent << 52);
    return negative ? -y : y;
}
/* -0.0 for |x| < 2^20, the packed reduction otherwise. */
JG_LANEWISE static double jg_reduce_lane(double x) {
    return jg_magnitude_f64(x) < 0x1p20 ? -0.0 : jg_reduce_huge(x);
}

/* x = n pi/2 + hi + lo, |hi| <= pi/4 (a little over); only the low two bits of n mean anything. */
typedef struct { double hi, lo; uint64_t n; } jg_angle_t;

JG_MATH jg_angle_t jg_reduce_f64(double x) {
    const int near = jg_magnitude_f64(x) < 0x1p20;
    const double far = (near ? x : -0.0) + jg_reduce_lane(x); /* unconditional: see above */
    const double y = near ? x : 0.0;
    const double t = JG_FMA(y, 0x1.45f306dc9c883p-1, 0x1.8p52), k = t - 0x1.8p52;
    const double a = JG_FMA(-k, 0x1.921fb544p+0, y);
    const jg_pair_f64 b = jg_sum_f64(a, -k * 0x1.0b4611a6p-34);
    const jg_pair_f64 c = jg_sum_f64(b.hi, -k * 0x1.3198a2ep-69);
    const double lo = JG_FMA(-k, 0x1.b839a252049c1p-104, b.lo + c.lo);
    const uint64_t packed = ((jg_to_bits_f64(far) >> 52) & 0x7ffu) - 960u;
    const uint64_t j = packed >> 6;
    const double theta = far * jg_from_bits_f64((1023u - 64u * j) << 52);
    return (jg_angle_t){near ? c.hi : theta, near ? lo : 0.0, near ? jg_to_bits_f64(t) : j - 2u};
}

/* sin(hi + lo) = hi + rest and cos(hi + lo) = hi + rest; |angle| <= pi/4. */
JG_MATH jg_pair_f64 jg_sin_kernel_f64(double hi, double lo) {
    const double z = hi * hi, w = z * z;
    const double even = JG_FMA(JG_FMA(-0x1.ae5da9ea12de5p-26, w, -0x1.a01a019aa3718p-13), w,
                               -0x1.555555555553dp-3);
    const double odd = JG_FMA(JG_FMA(0x1.5d61cfdbd3614p-33, w, 0x1.71de346756ccap-19), w,
                              0x1.111111110ea87p-7);
    return (jg_pair_f64){hi, JG_FMA(hi * z, JG_FMA(odd, z, even), lo - 0.5 * z * lo)};
}
JG_MATH jg_pair_f64 jg_cos_kernel_f64(double hi, double lo) {
    const double z = hi * hi, w = z * z;
    const double even = JG_FMA(JG_FMA(0x1.1ee9f11090567p-29, w, 0x1.a01a019cbf0d4p-16), w,
                               0x1.555555555554cp-5);
    const double odd = JG_FMA(JG_FMA(-0x1.8fb10a1cd2ac4p-37, w, -0x1.27e4f81265325p-22), w,
                              -0x1.6c16c16c1521dp-10);
    const jg_pair_f64 one = jg_fast_sum_f64(1.0, -0.5 * z);
    const double z_lo = jg_residual_f64(z, hi, hi); /* z is too large by this */
    return (jg_pair_f64){one.hi, JG_FMA(w, JG_FMA(odd, z, even),
                                        JG_FMA(0.5, z_lo, one.lo) - hi * lo)};
}

/* <= 1.6 ULP; worst 1.544 at -0x1.2bdf541e93cccp+123,
 * 1.3e8 points, x in [-1.79e+308, 1.79e+308]. */
JG_MATH double jg_sin_f64(double x) {
    const jg_angle_t a = jg_reduce_f64(x);
    const jg_pair_f64 s = jg_sin_kernel_f64(a.hi, a.lo), c = jg_cos_kernel_f64(a.hi, a.lo);
    const double y = (a.n & 1u) ? c.hi + c.lo : s.hi + s.lo;
    return x == 0.0 ? x : jg_from_bits_f64(jg_to_bits_f64(y) ^ ((a.n & 2u) << 62));
}
/* <= 1.6 ULP; worst 1.550 at 0x1.129deda221dacp+975, 1.3e8 points, x in [-1.79e+308, 1.79e+308]. */
JG_MATH double jg_cos_f64(double x) {
    const jg_angle_t a = jg_reduce_f64(x);
    const jg_pair_f64 s = jg_sin_kernel_f64(a.hi, a.lo), c = jg_cos_kernel_f64(a.hi, a.lo);
    const double y = (a.n & 1u) ? s.hi + s.lo : c.hi + c.lo;
    return jg_from_bits_f64(jg_to_bits_f64(y) ^ (((a.n + 1u) & 2u) << 62));
}
/* tan = sin/cos, or -cos/sin in odd quadrants; both as pairs, the quotient corrected once. */
/* <= 2 ULP; worst 1.785 at -0x1.bdf5bbc176207p+1022, 1.3e8 points, x in [-1.79e+308, 1.79e+308]. */
JG_MATH double jg_tan_f64(double x) {
    const jg_angle_t a = jg_reduce_f64(x);
    const jg_pair_f64 s = jg_sin_kernel_f64(a.hi, a.lo), c = jg_cos_kernel_f64(a.hi, a.lo);
    const int odd = (int)(a.n & 1u);
    const jg_pair_f64 n = jg_fast_sum_f64(odd ? -c.hi : s.hi, odd ? -c.lo : s.lo);
    const jg_pair_f64 d = jg_fast_sum_f64(odd ? s.hi : c.hi, odd ? s.lo : c.lo);
    const double inverse = 1.0 / d.hi, q = n.hi * inverse;
    const double rest = jg_residual_f64(n.hi, q, d.hi) + JG_FMA(-q, d.lo, n.lo);
    return jg_magnitude_f64(x) < 0x1p-30 ? x : JG_FMA(rest, inverse, q);
}

/* float32: the same reduction, shorter polynomials, all in double. */
JG_MATH double jg_sin_short(double r) {
    const double z = r * r;
    double p = JG_FMA(0x1.6c89428738a5ep-19, z, -0x1.a00e0ceb25c12p-13);
    p = JG_FMA(p, z, 0x1.1111061e98aafp-7);
    p = JG_FMA(p, z, -0x1.5555554809626p-3);
    return JG_FMA(r * z, p, r);
}
JG_MATH double jg_cos_short(double r) {
    const double z = r * r;
    double p = JG_FMA(0x1.9a020a4c9a7acp-16, z, -0x1.6c0c8aae6f57cp-10);
    p = JG_FMA(p, z, 0x1.55554ab261da2p-5);
    return JG_FMA(z * z, p, JG_FMA(-0.5, z, 1.0));
}
/* <= 1 ULP; worst 0.502 at 0x1.49409ap+94, every float32. */
JG_MATH float jg_sin_f32(float x) {
    const jg_angle_t a = jg_reduce_f64((double)x);
    const double y = (a.n & 1u) ? jg_cos_short(a.hi) : jg_sin_short(a.hi);
    const double z = jg_from_bits_f64(jg_to_bits_f64(y) ^ ((a.n & 2u) << 62));
    return x == 0.0f ? x : (float)z;
}
/* <= 1 ULP; worst 0.502 at 0x1.66e97ep+126, every float32. */
JG_MATH float jg_cos_f32(float x) {
    const jg_angle_t a = jg_reduce_f64((double)x);
    const double y = (a.n & 1u) ? jg_sin_short(a.hi) : jg_cos_short(a.hi);
    return (float)jg_from_bits_f64(jg_to_bits_f64(y) ^ (((a.n + 1u) & 2u) << 62));
}
/* <= 1 ULP; worst 0.502 at 0x1.b64096p+7, every float32. */
JG_MATH float jg_tan_f32(float x) {
    const jg_angle_t a = jg_reduce_f64((double)x);
    const double s = jg_sin_short(a.hi), c = jg_cos_short(a.hi);
    const double y = (a.n & 1u) ? -c / s : s / c;
    return x == 0.0f ? x : (float)y;
}

/* (atan(t) - t) / t^3 in z = t^2 <= 0.1716: relative error 2^-63 of atan */
JG_MATH double jg_atan_series_f64(double z) {
    const double w = z * z;
    double odd = JG_FMA(0x1.e8018bff16467p-7, w, 0x1.6fdd4be82bc55p-5);
    double even = JG_FMA(-0x1.0fc31562a4f43p-5, w, -0x1.ab3a24daf7325p-5);
    odd = JG_FMA(odd, w, 0x1.e167775abbad3p-5);
    even = JG_FMA(even, w, -0x1.110be83fb980dp-4);
    odd = JG_FMA(odd, w, 0x1.3b1364be236dfp-4);
    even = JG_FMA(even, w, -0x1.745d144e621a1p-4);
    odd = JG_FMA(odd, w, 0x1.c71c71b44e117p-4);
    even = JG_FMA(even, w, -0x1.249249246f496p-3);
    odd = JG_FMA(odd, w, 0x1.9999999999583p-3);
    even = JG_FMA(even, w, -0x1.5555555555554p-2);
    return JG_FMA(odd, z, even);
}

/* atan(a/b) for a, b >= 0 not both 0 or infinite, as a pair: t = a/b below tan(pi/8),
 * (a - b)/(a + b) around 1 and -b/a above tan(3 pi/8) add 0, pi/4, pi/2. */
JG_MATH jg_pair_f64 jg_atan_ratio_f64(double a, double b) {
    const uint64_t low = JG_MASK64(a < 0.4142135623730950 * b);
    const uint64_t high = JG_MASK64(a * 0.4142135623730950 > b), middle = ~(low | high);
    const jg_pair_f64 n = jg_sum_f64(jg_blend_f64(high, -b, a), jg_blend_f64(middle, -b, 0.0));
    const jg_pair_f64 d = jg_sum_f64(jg_blend_f64(high, a, b), jg_blend_f64(middle, a, 0.0));
    const double t = n.hi / d.hi;
    const double rest = jg_residual_f64(n.hi, t, d.hi) + JG_FMA(-t, d.lo, n.lo);
    const double z = t * t;
    const double tail = JG_FMA(t * z, jg_atan_series_f64(z), rest / d.hi);
    const double base = jg_blend_f64(
        low, 0.0, jg_blend_f64(high, 0x1.921fb54442d18p+0, 0x1.921fb54442d18p-1));
    const double base_lo = jg_blend_f64(
        low, 0.0, jg_blend_f64(high, 0x1.1a62633145c07p-54, 0x1.1a62633145c07p-55));
    const jg_pair_f64 s = jg_fast_sum_f64(base, t);
    return (jg_pair_f64){s.hi, s.lo + (base_lo + tail)};
}

/* <= 1 ULP; worst 0.834 at -0x1.b29a2573fa551p-2, 6.8e6 points, x in [-1.79e+308, 1.79e+308]. */
JG_MATH double jg_atan_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const jg_pair_f64 r = jg_atan_ratio_f64(a > 0x1p60 ? 0x1p60 : a, 1.0);
    return jg_with_sign_f64(a < 0x1p-28 ? a : r.hi + r.lo, x);
}
/* <= 1 ULP; worst 0.500 at 0x1.1ad646p-4, every float32. */
JG_MATH float jg_atan_f32(float x) { return (float)jg_atan_f64((double)x); }

/* The angle of the point (x, y): C99 special values; b = |x|, a = |y| scaled away from the ends of
 * the range, a ratio beyond 2^1000 does not need b. */
/* <= 1 ULP; worst 0.748 at -0x1.7df642e46e667p+1022, 0x1.c8b57c43829fap+1023,
 * 1.0e7 points, 4 boxes. */
JG_MATH double jg_atan2_f64(double y, double x) {
    const double inf = __builtin_inf();
    double a = jg_magnitude_f64(y), b = jg_magnitude_f64(x);
    const int both_zero = (a == 0.0) & (b == 0.0), both_inf = (a == inf) & (b == inf);
    const double larger = a > b ? a : b;
    const double scale = larger > 0x1p500 ? 0x1p-600 : larger < 0x1p-500 ? 0x1p600 : 1.0;
    const int same = both_zero | both_inf;
    a = same ? (both_zero ? 0.0 : 1.0) : a == inf ? 1.0 : b == inf ? 0.0 : a * scale;
    b = same ? 1.0 : jg_magnitude_f64(y) == inf ? 0.0 : b == inf ? 1.0 : b * scale;
    const jg_pair_f64 r = jg_atan_ratio_f64(a, b);
    const int left = (int)(jg_to_bits_f64(x) >> 63);
    const jg_pair_f64 s = jg_fast_sum_f64(0x1.921fb54442d18p+1, -r.hi);
    const double t = left ? s.hi + ((s.lo - r.lo) + 0x1.1a62633145c07p-53) : r.hi + r.lo;
    const double direct = jg_magnitude_f64(y) / jg_magnitude_f64(x); /* may be subnormal */
    const double z = ((!left) & (direct < 0x1p-28)) ? direct : t;
    const double v = jg_with_sign_f64((both_zero & !left) ? 0.0 : z, y);
    return ((x != x) | (y != y)) ? __builtin_nan("") : v;
}
/* <= 1 ULP; worst 0.500 at -0x1.1059a2p+126, -0x1.0b40d6p+127, 4.0e5 points, 4 boxes. */
JG_MATH float jg_atan2_f32(float y, float x) {
    return (float)jg_atan2_f64((double)y, (double)x);
}

/* (asin(t) - t) / t^3 in z = t^2 <= 1/4: relative error 2^-59 of asin */
JG_MATH double jg_asin_series_f64(double z) {
    const double w = z * z;
    double even = JG_FMA(0x1.0be42b9ed9a53p-5, w, 0x1.6501842507412p-6);
    double odd = JG_FMA(-0x1.59f5cd3db33d4p-6, w, 0x1.e15cd4f0b1bd7p-9);
    even = JG_FMA(even, w, 0x1.618aa0347d395p-7);
    odd = JG_FMA(odd, w, 0x1.757791e258ed1p-7);
    even = JG_FMA(even, w, 0x1.ca2143b133ae2p-7);
    odd = JG_FMA(odd, w, 0x1.1c49de086f8a5p-6);
    even = JG_FMA(even, w, 0x1.6e8bdfe62b0cep-6);
    odd = JG_FMA(odd, w, 0x1.f1c71a8ba10f3p-6);
    even = JG_FMA(even, w, 0x1.6db6db722b578p-5);
    odd = JG_FMA(odd, w, 0x1.333333332df17p-4);
    even = JG_FMA(even, w, 0x1.5555555555578p-3);
    return JG_FMA(odd, z, even);
}

/* asin(t) = t + rest for the reduced t: |x| itself up to 1/2, above sqrt((1 - |x|)/2), of which
 * asin|x| = pi/2 - 2 asin(t), acos|x| = 2 asin(t). */
typedef struct { double t, rest; int small; } jg_arc_t;
JG_MATH jg_arc_t jg_arc_f64(double a) {
    const int small = !(a > 0.5);
    const double half = 0.5 * (1.0 - a), z = small ? a * a : half;
    const double root = __builtin_sqrt(small ? 0.25 : half);
    const double root_lo = jg_residual_f64(half, root, root) / (root + root + 0x1p-1000);
    const double t = small ? a : root;
    return (jg_arc_t){t, JG_FMA(t * z, jg_asin_series_f64(z), small ? 0.0 : root_lo), small};
}
/* <= 1 ULP; worst 0.625 at 0x1.03633edaaf282p-1, 6.8e6 points, x in [-1, 1]. */
JG_MATH double jg_asin_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const jg_arc_t r = jg_arc_f64(a);
    const jg_pair_f64 s = jg_fast_sum_f64(0x1.921fb54442d18p+0, -2.0 * r.t);
    const double big = s.hi + ((s.lo - 2.0 * r.rest) + 0x1.1a62633145c07p-54);
    return jg_with_sign_f64(a > 1.0 ? __builtin_nan("") : r.small ? r.t + r.rest : big, x);
}
/* <= 1 ULP; worst 0.500 at 0x1.107434p-1, every float32. */
JG_MATH float jg_asin_f32(float x) { return (float)jg_asin_f64((double)x); }

/* <= 1 ULP; worst 0.603 at 0x1.2cbcbe4d2f154p-1, 6.8e6 points, x in [-1, 1]. */
JG_MATH double jg_acos_f64(double x) {
    const double a = jg_magnitude_f64(x);
    const jg_arc_t r = jg_arc_f64(a);
    const int left = x < 0.0;
    const double sign = left ? 1.0 : -1.0;
    const double base = r.small ? 0x1.921fb54442d18p+0 : left ? 0x1.921fb54442d18p+1 : 0.0;
    const double base_lo = r.small ? 0x1.1a62633145c07p-54 : left ? 0x1.1a62633145c07p-53 : 0.0;
    const double factor = r.small ? sign : -2.0 * sign;
    const jg_pair_f64 s = jg_fast_sum_f64(base, factor * r.t);
    const double y = s.hi + (s.lo + JG_FMA(factor, r.rest, base_lo));
    return a > 1.0 ? __builtin_nan("") : y;
}
/* <= 1 ULP; worst 0.500 at 0x1.110b46p-26, every float32. */
JG_MATH float jg_acos_f32(float x) { return (float)jg_acos_f64((double)x); }

#endif
