/* The quantile function of the normal distribution, for random numbers: x such that a normal number
 * is below it with a given probability.
 *
 * Only +, -, *, / and sqrt are used, each rounded once and none fused, so a value has the same bits
 * on every machine, and in NumPy. In the centre, |q| <= 0.425, x = q R(0.425^2 - q^2); in the tails
 * x = r S(r - 1.6), r = sqrt(-log t): rational functions of degree 8 (coefficients/normal.py;
 * the division of the range is that of Wichura's AS 241, 1988), of which a constant is taken off so
 * that their rounding errors count little.
 */
#ifndef JG_NORMAL_H
#define JG_NORMAL_H

#include "jg_log.h"

#define JG_NORMAL_CENTRE 0.425

/* The quantile of 1/2 + q for |q| <= 0.425: relative error of the function 2^-60. */
JG_MATH double jg_normal_centre(double q)
{
    const double z = JG_NORMAL_CENTRE * JG_NORMAL_CENTRE - q * q;
    double n = -0x1.db0c15d71b74ap+14;
    n = n * z - 0x1.24ed887eff6cdp+17;
    n = n * z - 0x1.5585b6af8a72cp+17;
    n = n * z - 0x1.0ebd8b3447ca1p+16;
    n = n * z - 0x1.ba92e89f14fbap+12;
    n = n * z + 0x1.7bf43d392efd1p+10;
    n = n * z + 0x1.98b186bf8a639p+8;
    n = n * z + 0x1.060f37a13ea82p+5;
    n = n * z + 0x1.c63647a7bbdd7p-1;
    double d = 0x1.cb988824a93d9p+13;
    d = d * z + 0x1.95d8203c9c99cp+16;
    d = d * z + 0x1.6c9df25888aa1p+17;
    d = d * z + 0x1.0940bf1d5c571p+17;
    d = d * z + 0x1.793cbcc3cc646p+15;
    d = d * z + 0x1.1d221308647b5p+13;
    d = d * z + 0x1.d1e8c555acc83p+9;
    d = d * z + 0x1.8331d36bfa9cap+5;
    d = d * z + 1.0;
    return q * (2.5 + n / d);
}

/* -log(t) for 2^-1000 < t < 1/2: as jg_log_f64, without fused operations. */
JG_MATH double jg_normal_log(double t)
{
    const jg_log_split_f64_t v = jg_log_split_f64(t);
    const double f = v.m - 1.0, s = f / (2.0 + f), z = s * s;
    double r = 0x1.1d6bdd3dab3cep-3;
    r = r * z + 0x1.0d79efede6255p-3;
    r = r * z + 0x1.3b3b4fb64179bp-3;
    r = r * z + 0x1.745c18060e345p-3;
    r = r * z + 0x1.c71c7593c7e89p-3;
    r = r * z + 0x1.24924920773b9p-2;
    r = r * z + 0x1.999999999e122p-2;
    r = r * z + 0x1.5555555555547p-1;
    const double square = 0.5 * f * f;
    const double tail = square - (s * (square + r * z) + v.k * 0x1.a39ef35793c76p-33);
    return (tail - f) - v.k * 0x1.62e42feep-1;
}

/* x > 0 which a normal number exceeds with probability t, 2^-54 <= t <= 0.075: 2^-59. */
JG_MATH double jg_normal_tail(double t)
{
    const double r = __builtin_sqrt(jg_normal_log(t)), s = r - 1.6;
    double n = 0x1.40eee14ec9174p-29;
    n = n * s + 0x1.b01cc6fb1f9bap-27;
    n = n * s - 0x1.b7a376693ea58p-15;
    n = n * s - 0x1.1ac29ebf45da0p-9;
    n = n * s - 0x1.dd222c371a58dp-6;
    n = n * s - 0x1.6c832ff132bf5p-3;
    n = n * s - 0x1.1aeb7e0c9b889p-1;
    n = n * s - 0x1.b6751c538bad6p-1;
    n = n * s - 0x1.0c800829c58fbp-1;
    double d = 0x1.a901a0d56b749p-17;
    d = d * s + 0x1.744b7c8184eb0p-11;
    d = d * s + 0x1.b216c10606071p-7;
    d = d * s + 0x1.e264e264b31d0p-4;
    d = d * s + 0x1.28b9efab4e0e3p-1;
    d = d * s + 0x1.ad1cabf7ab85ep+0;
    d = d * s + 0x1.6b9565f527288p+1;
    d = d * s + 0x1.4dd31a2fedb9dp+1;
    d = d * s + 1.0;
    return r * (1.4140625 + n / d);
}

#endif
