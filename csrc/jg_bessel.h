/* Bessel functions of real order: jv(v, x), iv(v, x), j0, j1, i0, i1.
 *
 * The ascending series (DLMF 10.2.2, 10.25.2) is summed in pairs: its cancellation, at most e^30,
 * leaves more than 50 bits.  Beyond, J takes Hankel's expansion (10.17.3) for two orders in [0, 2)
 * and the recurrence in its stable direction; I takes its expansion (10.40.1), which does not
 * cancel.  Near a zero of J the error is absolute, about 2^-50 of the amplitude sqrt(2/(pi x)).
 * Scalar code with branches: loops over these functions are not vectorised.
 */
#ifndef JG_BESSEL_H
#define JG_BESSEL_H

#include "jg_gamma.h"

/* (x/2)^v sum_k (sign x^2/4)^k / (k! Gamma(v + k + 1)), x > 0; v not a negative integer. */
JG_SCALAR double jg_bessel_series(double v, double x, double sign) {
    const jg_pair_f64 square = jg_product_f64(0.5 * x, 0.5 * x);
    const jg_pair_f64 z = {sign * square.hi, sign * square.lo};
    jg_pair_f64 term = jg_pair(1.0), sum = term, power = jg_pair_log(0.5 * x);
    power = jg_pair_mul(power, jg_pair(v));
    for (double k = 1.0; k < 1e5; k += 1.0) {
        const jg_pair_f64 s = jg_sum_f64(v, k);
        term = jg_pair_div(jg_pair_mul(term, z), jg_pair_mul(s, jg_pair(k)));
        sum = jg_pair_add(sum, term);
        const double size = jg_magnitude_f64(term.hi);
        if (size < 0x1p-106 * jg_magnitude_f64(sum.hi) && k > -v) break;
        if (size == 0.0) break;
        if (size > 0x1p600) { /* the sum overflows long before the product with (x/2)^v */
            term = (jg_pair_f64){term.hi * 0x1p-600, term.lo * 0x1p-600};
            sum = (jg_pair_f64){sum.hi * 0x1p-600, sum.lo * 0x1p-600};
            power = jg_pair_add(power, (jg_pair_f64){0x1.9fe3682cd3be4p+8, 0x1.4aa84b6b3b125p-46});
        }
    }
    const double value = jg_magnitude_f64(sum.hi);
    if (value == 0.0) return 0.0;
    power = jg_pair_add(power, jg_pair_log(value)); /* joined before exp can over- or underflow */
    const double sign_of_sum = jg_with_sign_f64(1.0, sum.hi);
    if (v < 1.0) return sign_of_sum * jg_exp_over_gamma(power, v + 1.0);
    power = jg_pair_add(power, jg_pair_negate(jg_pair_log(v))); /* v + 1 would be rounded */
    return sign_of_sum * jg_exp_over_gamma(power, v);
}

/* J_v(x) for 0 <= v < 2, x >= 25: sqrt(2/(pi x)) (P cos w - Q sin w), w = x - (v/2 + 1/4) pi. */
JG_SCALAR double jg_bessel_j_hankel(double v, double x) {
    const double mu = 4.0 * v * v;
    double p = 1.0, q = 0.0, term = 1.0;
    for (int k = 1; k < 60; k++) {
        const double odd = 2.0 * k - 1.0, next = term * (mu - odd * odd) / (8.0 * k * x);
        if (jg_magnitude_f64(next) > jg_magnitude_f64(term) && k > 4) break;
        term = next;
        if (k & 1) q += (k & 2) ? -term : term;
        else p += (k & 2) ? -term : term;
        if (jg_magnitude_f64(term) < 0x1p-60) break;
    }
    const jg_pair_f64 turn = jg_sin_cos_pi(0.5 * v + 0.25);
    const double s = jg_sin_f64(x), c = jg_cos_f64(x);
    const double cos_w = c * turn.lo + s * turn.hi, sin_w = s * turn.lo - c * turn.hi;
    return __builtin_sqrt(0x1.45f306dc9c883p-1 / x) * (p * cos_w - q * sin_w);
}

/* J_v(x) for v > x >= 25: Miller's backward recurrence, normalised at the fractional order. */
JG_SCALAR double jg_bessel_j_miller(double v, double x) {
    const double whole = jg_floor_f64(v), v0 = v - whole;
    double next = 0.0, now = 0x1p-1000, wanted = 0.0;
    const double start = whole + 60.0 + jg_floor_f64(12.0 * jg_cbrt_f64(v));
    for (double n = start; n > 0.0; n -= 1.0) { /* now is proportional to J of order v0 + n */
        if (n == whole) wanted = now;
        const double before = 2.0 * (v0 + n) / x * now - next;
        next = now;
        now = before;
        if (jg_magnitude_f64(now) > 0x1p500) {
            now *= 0x1p-800;
            next *= 0x1p-800;
            wanted *= 0x1p-800;
        }
    }
    const double j0 = jg_bessel_j_hankel(v0, x), j1 = jg_bessel_j_hankel(v0 + 1.0, x);
    const int first = jg_magnitude_f64(j0) > jg_magnitude_f64(j1);
    return wanted * ((first ? j0 : j1) / (first ? now : next));
}

/* J_v(x) for x >= 25 and |v| <= x, or negative v: from two orders in [0, 2) up or down. */
JG_SCALAR double jg_bessel_j_recur(double v, double x) {
    const double whole = jg_floor_f64(v), v0 = v - whole;
    double a = jg_bessel_j_hankel(v0, x), b = jg_bessel_j_hankel(v0 + 1.0, x);
    for (double n = 0.0; n < whole; n += 1.0) {
        const double c = 2.0 * (v0 + n + 1.0) / x * b - a;
        a = b;
        b = c;
    }
    for (double n = 0.0; n > whole; n -= 1.0) {
        const double c = 2.0 * (v0 + n) / x * a - b;
        b = a;
        a = c;
    }
    return a;
}

/* Orders are bounded: the recurrences take |v| steps, the series |x| steps where x <= v^2. */
#define JG_LARGEST_J_ORDER 1e5
#define JG_LARGEST_I_ORDER 1e4

/* J_v(x).  Negative x needs an integral order, otherwise nan; nan for |v| > 1e5. */
/* <= 1e-13 relative or 2^-49 absolute; worst 1.617 at -0x1.bc6be4a0fc701p+0, 0x1.f5575fbdf4894p-4,
 * 5.0e3 points, 4 boxes. */
JG_SCALAR double jg_jv_f64(double v, double x) {
    if (v != v || x != x) return __builtin_nan("");
    const int integral = v == jg_rint_f64(v);
    const int odd = integral && jg_rint_f64(0.5 * v) != 0.5 * v;
    double sign = 1.0;
    if (x < 0.0) {
        if (!integral) return __builtin_nan("");
        sign = odd ? -sign : sign;
        x = -x;
    }
    if (v < 0.0 && integral) {
        sign = odd ? -sign : sign;
        v = -v;
    }
    if (x == 0.0) return v == 0.0 ? 1.0 : v > 0.0 ? 0.0 : __builtin_inf();
    if (x == __builtin_inf() || v == __builtin_inf()) return 0.0;
    if (!(v >= -JG_LARGEST_J_ORDER && v <= JG_LARGEST_J_ORDER)) return __builtin_nan("");
    if (x < 25.0 || x * x < 4.0 * v) return sign * jg_bessel_series(v, x, -1.0);
    return sign * (v > x ? jg_bessel_j_miller(v, x) : jg_bessel_j_recur(v, x));
}

/* I_v(x) for large x: exp(x - log(2 pi x)/2) sum (-1)^k a_k(v)/x^k. */
JG_SCALAR double jg_bessel_i_large(double v, double x) {
    const double mu = 4.0 * v * v;
    double sum = 1.0, term = 1.0;
    for (int k = 1; k < 200; k++) {
        const double odd = 2.0 * k - 1.0, next = -term * (mu - odd * odd) / (8.0 * k * x);
        if (jg_magnitude_f64(next) > jg_magnitude_f64(term) && odd > v) break;
        term = next;
        sum += term;
        if (jg_magnitude_f64(term) < 0x1p-56 * jg_magnitude_f64(sum)) break;
    }
    const jg_pair_f64 root = jg_pair_mul(jg_pair_log(0x1.921fb54442d18p+2 * x), jg_pair(-0.5));
    return sum * jg_pair_exp(jg_pair_add(jg_pair(x), root));
}

/* I_v(x).  Negative x needs an integral order, otherwise nan; nan for |v| > 1e4. */
/* <= 1e-13 relative; worst 5.197 at 0x1.b4c82efe758ebp-356, 0x1.4be5e06266694p+5,
 * 5.0e3 points, 3 boxes. */
JG_SCALAR double jg_iv_f64(double v, double x) {
    if (v != v || x != x) return __builtin_nan("");
    const int integral = v == jg_rint_f64(v);
    double sign = 1.0;
    if (x < 0.0) {
        if (!integral) return __builtin_nan("");
        sign = jg_rint_f64(0.5 * v) != 0.5 * v ? -1.0 : 1.0;
        x = -x;
    }
    if (v < 0.0 && integral) v = -v;
    if (x == 0.0) return v == 0.0 ? 1.0 : v > 0.0 ? 0.0 : __builtin_inf();
    if (v == __builtin_inf()) return 0.0;
    if (x == __builtin_inf()) return sign * x;
    if (!(v >= -JG_LARGEST_I_ORDER && v <= JG_LARGEST_I_ORDER)) return __builtin_nan("");
    if (x > 40.0 && x > v * v) return sign * jg_bessel_i_large(v, x);
    return sign * jg_bessel_series(v, x, 1.0);
}

/* <= 1e-13 relative or 2^-52 absolute; every point within the absolute bound,
 * 6.0e4 points, x in [-30, 1e+05]. */
JG_SCALAR double jg_j0_f64(double x) { return jg_jv_f64(0.0, x); }
/* <= 1e-13 relative or 2^-52 absolute; every point within the absolute bound,
 * 6.0e4 points, x in [-30, 1e+05]. */
JG_SCALAR double jg_j1_f64(double x) { return x == 0.0 ? x : jg_jv_f64(1.0, x); }
/* <= 8 ULP; worst 6.118 at 0x1.47190a1f3c689p+5, 7.5e3 points, x in [-30, 88]. */
JG_SCALAR double jg_i0_f64(double x) { return jg_iv_f64(0.0, x); }
/* <= 8 ULP; worst 3.675 at 0x1.1bd7ada4af5cp+6, 7.5e3 points, x in [-30, 88]. */
JG_SCALAR double jg_i1_f64(double x) { return x == 0.0 ? x : jg_iv_f64(1.0, x); }
/* <= 1 ULP; worst 0.500 at 0x1.4f9774p+3, 0x1.3c8b02p+7, 5.0e3 points, 4 boxes. */
JG_SCALAR float jg_jv_f32(float v, float x) { return (float)jg_jv_f64((double)v, (double)x); }
/* <= 1 ULP; worst 0.500 at -0x1.1617ccp+2, 0x1.4bac84p+5, 5.0e3 points, 3 boxes. */
JG_SCALAR float jg_iv_f32(float v, float x) { return (float)jg_iv_f64((double)v, (double)x); }
/* <= 1 ULP; worst 0.500 at 0x1.b37618p+4, 6.0e4 points, x in [-30, 1e+05]. */
JG_SCALAR float jg_j0_f32(float x) { return (float)jg_j0_f64((double)x); }
/* <= 1 ULP; worst 0.500 at 0x1.f3fe32p+15, 6.0e4 points, x in [-30, 1e+05]. */
JG_SCALAR float jg_j1_f32(float x) { return (float)jg_j1_f64((double)x); }
/* <= 1 ULP; worst 0.500 at -0x1.738574p+4, 7.5e3 points, x in [-30, 88]. */
JG_SCALAR float jg_i0_f32(float x) { return (float)jg_i0_f64((double)x); }
/* <= 1 ULP; worst 0.500 at -0x1.122d4cp-127, 7.5e3 points, x in [-30, 88]. */
JG_SCALAR float jg_i1_f32(float x) { return (float)jg_i1_f64((double)x); }

#endif
