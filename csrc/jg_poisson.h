/* Counts with the Poisson distribution from one uniform number each, by inversion.
 *
 * Below a mean of 16 the count is the quantile of u: probabilities are added from 0 upwards. Beyond,
 * they are added from the mode outwards, which takes about sqrt(lam) steps; every count still has
 * its own part of [0, 1). Probabilities follow from their neighbours by one product, and that of the
 * mode m from Stirling's series,
 *
 *     lam^m exp(-lam) / m! = exp(m log1p(d/m) - d - S(m)) / sqrt(2 pi m),  d = lam - m,
 *
 * without numbers larger than 1 that cancel (C. Loader, "Fast and accurate computation of binomial
 * probabilities", 2000). Sums of probabilities are exact to about 1e-16 for each step, so the end of
 * [0, 1) may belong to no count: the walk ends where less than 2^-64 is left to add.
 */
#ifndef JG_POISSON_H
#define JG_POISSON_H

#include <math.h>
#include <stdint.h>

#include "jg_exp.h"
#include "jg_log.h"

#define JG_POISSON_LARGEST 1e9 /* larger means would take more than some 1e5 steps */

/* log(m!) - log(sqrt(2 pi m) (m / e)^m) for m >= 16, to 1e-16. */
JG_MATH double jg_poisson_stirling(double m)
{
    const double z = 1.0 / (m * m);
    return (1.0 / 12 + z * (-1.0 / 360 + z * (1.0 / 1260 + z * (-1.0 / 1680 + z / 1188)))) / m;
}

static __attribute__((noinline, unused)) int64_t jg_poisson_from_zero(double u, double lam)
{
    double p = jg_exp_f64(-lam), k = 0.0;
    for (u -= p; u >= 0.0 && (k < lam || p >= 0x1p-64); u -= p) {
        k += 1.0;
        p *= lam / k;
    }
    return (int64_t)k;
}

static __attribute__((noinline, unused)) int64_t jg_poisson_from_mode(double u, double lam)
{
    const double m = floor(lam), d = lam - m;
    const double p = jg_exp_f64(m * jg_log1p_f64(d / m) - d - jg_poisson_stirling(m)) /
                     sqrt(6.283185307179586 * m);
    double above = p, below = p, high = m, low = m;
    u -= p;
    if (u < 0.0)
        return (int64_t)m;
    do {
        high += 1.0;
        above *= lam / high;
        u -= above;
        if (u < 0.0)
            return (int64_t)high;
        below *= low / lam; /* 0 below a count of 0 */
        low -= 1.0;
        u -= below;
        if (u < 0.0)
            return (int64_t)low;
    } while (above >= 0x1p-64 || below >= 0x1p-64);
    return (int64_t)high;
}

/* 0 for a mean that is not in [0, JG_POISSON_LARGEST]. */
JG_MATH int64_t jg_poisson_f64(double u, double lam)
{
    if (!(lam > 0.0 && lam <= JG_POISSON_LARGEST))
        return 0;
    return lam < 16.0 ? jg_poisson_from_zero(u, lam) : jg_poisson_from_mode(u, lam);
}

#endif
