/* The Mersenne Twister with the distributions of numpy.random.RandomState, bit for bit.
 *
 * M. Matsumoto, T. Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998): 624 words, twisted all at
 * once and tempered one by one. NumPy's stream is frozen (NEP 19), its algorithms with it:
 *
 *     uniform      two words make 53 bits; low + (high - low) u
 *     normal       Marsaglia and Bray's polar method; the second of a pair waits in the state
 *     binomial     inversion for n min(p, 1 - p) <= 30, else BTPE: V. Kachitvichyanukul,
 *                  B. W. Schmeiser, "Binomial random variate generation", CACM 31 (1988)
 *     poisson      products of uniforms for lam < 10, else PTRS: W. Hormann, "The transformed
 *                  rejection method for generating Poisson random variables", IME 12 (1993)
 *     integers     the low bits of a word (two words from 2^32 on) until they are in the range
 *     permutation  Fisher and Yates's shuffle from the end
 *
 * A state is an array of 628 words: the key, the position of the next word, whether a normal
 * waits, and that normal's two halves in memory order. Functions of the C library (log, exp, sqrt)
 * are those that NumPy calls. A parameter is one value, or as many as there are draws. A draw
 * looks at all its parameters first: it returns the position of a bad one, with nothing written,
 * or -1.
 */
#ifndef JG_MT19937_H
#define JG_MT19937_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define JG_MT_API static __attribute__((unused))

enum { JG_MT_KEY = 624, JG_MT_SHIFT = 397, JG_MT_POS = 624, JG_MT_HAS_GAUSS = 625,
       JG_MT_GAUSS = 626, JG_MT_STATE = 628 };

/* --- words ------------------------------------------------------------------------------------ */

static inline uint32_t jg_mt_twisted(uint32_t upper, uint32_t lower, uint32_t far)
{
    const uint32_t y = (upper & 0x80000000u) | (lower & 0x7fffffffu);
    return far ^ (y >> 1) ^ ((0u - (lower & 1u)) & 0x9908b0dfu);
}

JG_MT_API void jg_mt_twist(uint32_t *key)
{
    enum { HEAD = JG_MT_KEY - JG_MT_SHIFT };
    for (int i = 0; i < HEAD; i++)
        key[i] = jg_mt_twisted(key[i], key[i + 1], key[i + JG_MT_SHIFT]);
    for (int i = HEAD; i < JG_MT_KEY - 1; i++)
        key[i] = jg_mt_twisted(key[i], key[i + 1], key[i - HEAD]);
    key[JG_MT_KEY - 1] = jg_mt_twisted(key[JG_MT_KEY - 1], key[0], key[JG_MT_SHIFT - 1]);
}

static inline uint32_t jg_mt_tempered(uint32_t y)
{
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

static inline uint32_t jg_mt_word(uint32_t *s)
{
    if (s[JG_MT_POS] >= JG_MT_KEY) {
        jg_mt_twist(s);
        s[JG_MT_POS] = 0;
    }
    return jg_mt_tempered(s[s[JG_MT_POS]++]);
}

static inline uint64_t jg_mt_word64(uint32_t *s)
{
    const uint64_t high = jg_mt_word(s);
    return high << 32 | jg_mt_word(s);
}

/* 27 bits of one word, 26 of the next. */
static inline double jg_mt_joined(uint32_t a, uint32_t b)
{
    return ((double)(int32_t)(a >> 5) * 67108864.0 + (double)(int32_t)(b >> 6)) * 0x1p-53;
}

static inline double jg_mt_double(uint32_t *s)
{
    const uint32_t a = jg_mt_word(s);
    return jg_mt_joined(a, jg_mt_word(s));
}

/* out[0..n) uniform in [0, 1): whole stretches of the key at once. */
JG_MT_API void jg_mt_doubles(uint32_t *s, double *restrict out, int64_t n)
{
    for (int64_t i = 0; i < n;) {
        const uint32_t at = s[JG_MT_POS];
        int64_t pairs = at < JG_MT_KEY ? (JG_MT_KEY - at) / 2 : 0;
        pairs = pairs < n - i ? pairs : n - i;
        if (pairs == 0) { /* a pair on both sides of a twist, or a twist before it */
            out[i++] = jg_mt_double(s);
            continue;
        }
        const uint32_t *key = s + at;
        for (int64_t k = 0; k < pairs; k++)
            out[i + k] = jg_mt_joined(jg_mt_tempered(key[2 * k]), jg_mt_tempered(key[2 * k + 1]));
        s[JG_MT_POS] = at + 2 * (uint32_t)pairs;
        i += pairs;
    }
}

/* Whether an array has the length of a state; then `after` is its copy. */
static inline int jg_mt_begin(const uint32_t *before, int64_t length, uint32_t *after)
{
    if (length != JG_MT_STATE || before[JG_MT_POS] > JG_MT_KEY)
        return 0;
    memcpy(after, before, JG_MT_STATE * sizeof *after);
    return 1;
}

/* --- one number each -------------------------------------------------------------------------- */

JG_MT_API double jg_mt_gauss(uint32_t *s)
{
    double x, y, square, kept = 0.0;
    if (s[JG_MT_HAS_GAUSS]) {
        memcpy(&x, s + JG_MT_GAUSS, sizeof x);
        memcpy(s + JG_MT_GAUSS, &kept, sizeof kept);
        s[JG_MT_HAS_GAUSS] = 0;
        return x;
    }
    do {
        x = 2.0 * jg_mt_double(s) - 1.0;
        y = 2.0 * jg_mt_double(s) - 1.0;
        square = x * x + y * y;
    } while (square >= 1.0 || square == 0.0);
    const double f = sqrt(-2.0 * log(square) / square);
    kept = f * x;
    memcpy(s + JG_MT_GAUSS, &kept, sizeof kept);
    s[JG_MT_HAS_GAUSS] = 1;
    return f * y;
}

/* Of 0 … range, by masking and rejecting. */
JG_MT_API uint64_t jg_mt_below(uint32_t *s, uint64_t range)
{
    if (range == 0)
        return 0;
    const uint64_t mask = UINT64_MAX >> __builtin_clzll(range);
    uint64_t value;
    do
        value = (range <= UINT32_MAX ? jg_mt_word(s) : jg_mt_word64(s)) & mask;
    while (value > range);
    return value;
}

/* Inversion: the terms of the distribution are subtracted from a uniform one after the other. */
JG_MT_API int64_t jg_mt_binomial_inverted(uint32_t *s, int64_t n, double p)
{
    const double q = 1.0 - p, mean = (double)n * p;
    const double first = exp((double)n * log(q));
    const double far = mean + 10.0 * sqrt(mean * q + 1.0);
    const int64_t bound = (int64_t)((double)n < far ? (double)n : far);
    int64_t x = 0;
    double term = first, u = jg_mt_double(s);
    while (u > term) {
        x++;
        if (x > bound) {
            x = 0;
            term = first;
            u = jg_mt_double(s);
        } else {
            u -= term;
            term = ((double)(n - x + 1) * p * term) / ((double)x * q);
        }
    }
    return x;
}

/* BTPE, with the names of the paper: a triangle, two parallelograms and two exponential tails over
 * the scaled distribution, whose areas end at p1, p2, p3, p4. */
typedef struct {
    double n, r, q, nrq, xm, xl, xr, c, laml, lamr, p1, p2, p3, p4;
    int64_t count, m;
} jg_mt_btpe;

static inline jg_mt_btpe jg_mt_btpe_of(int64_t n, double p)
{
    jg_mt_btpe b;
    b.count = n;
    b.n = (double)n;
    b.r = p < 1.0 - p ? p : 1.0 - p;
    b.q = 1.0 - b.r;
    b.nrq = b.n * b.r * b.q;
    const double fm = b.n * b.r + b.r;
    b.m = (int64_t)floor(fm);
    b.p1 = floor(2.195 * sqrt(b.nrq) - 4.6 * b.q) + 0.5;
    b.xm = (double)b.m + 0.5;
    b.xl = b.xm - b.p1;
    b.xr = b.xm + b.p1;
    b.c = 0.134 + 20.5 / (15.3 + (double)b.m);
    const double left = (fm - b.xl) / (fm - b.xl * b.r);
    const double right = (b.xr - fm) / (b.xr * b.q);
    b.laml = left * (1.0 + left / 2.0);
    b.lamr = right * (1.0 + right / 2.0);
    b.p2 = b.p1 * (1.0 + 2.0 * b.c);
    b.p3 = b.p2 + b.c / b.laml;
    b.p4 = b.p3 + b.c / b.lamr;
    return b;
}

/* The correction of Stirling's formula for log x!. */
static inline double jg_mt_stirling(double x)
{
    const double s = x * x;
    return (13680. - (462. - (132. - (99. - 140. / s) / s) / s) / s) / x / 166320.;
}

/* Whether y is accepted for the height v: by the exact ratio near the mode, else by squeezes around
 * its logarithm. */
static inline int jg_mt_btpe_accepts(const jg_mt_btpe *b, int64_t y, double v)
{
    const int64_t k = y > b->m ? y - b->m : b->m - y;
    if (!(k > 20 && (double)k < b->nrq / 2.0 - 1.0)) {
        const double s = b->r / b->q, a = s * (b->n + 1.0);
        double f = 1.0;
        for (int64_t i = b->m + 1; i <= y; i++)
            f *= a / (double)i - s;
        for (int64_t i = y + 1; i <= b->m; i++)
            f /= a / (double)i - s;
        return v <= f;
    }
    const double d = (double)k;
    const double rho =
        (d / b->nrq) * ((d * (d / 3.0 + 0.625) + 0.16666666666666666) / b->nrq + 0.5);
    const double t = (double)(-k * k) / (2.0 * b->nrq), height = log(v);
    if (height < t - rho)
        return 1;
    if (height > t + rho)
        return 0;
    const double x1 = (double)(y + 1), f1 = (double)(b->m + 1);
    const double z = (double)(b->count + 1 - b->m), w = (double)(b->count - y + 1);
    return height <= b->xm * log(f1 / x1) + (b->n - (double)b->m + 0.5) * log(z / w) +
                         (double)(y - b->m) * log(w * b->r / (x1 * b->q)) + jg_mt_stirling(f1) +
                         jg_mt_stirling(z) + jg_mt_stirling(x1) + jg_mt_stirling(w);
}

JG_MT_API int64_t jg_mt_binomial_btpe(uint32_t *s, int64_t n, double p)
{
    const jg_mt_btpe b = jg_mt_btpe_of(n, p);
    for (;;) {
        const double u = jg_mt_double(s) * b.p4;
        double v = jg_mt_double(s), at;
        if (!(u > b.p1)) /* the triangle lies below the distribution */
            return (int64_t)floor(b.xm - b.p1 * v + u);
        if (!(u > b.p2)) {
            at = b.xl + (u - b.p1) / b.c;
            v = v * b.c + 1.0 - fabs((double)b.m - at + 0.5) / b.p1;
            if (v > 1.0)
                continue;
        } else if (v == 0.0) {
            continue; /* log(0) */
        } else if (!(u > b.p3)) {
            at = b.xl + log(v) / b.laml;
            if (floor(at) < 0.0)
                continue;
            v = v * (u - b.p2) * b.laml;
        } else {
            at = b.xr - log(v) / b.lamr;
            if (floor(at) > b.n)
                continue;
            v = v * (u - b.p3) * b.lamr;
        }
        const int64_t y = (int64_t)floor(at);
        if (jg_mt_btpe_accepts(&b, y, v))
            return y;
    }
}

static inline int64_t jg_mt_binomial(uint32_t *s, int64_t n, double p)
{
    const double small = p <= 0.5 ? p : 1.0 - p;
    const int64_t x = small * (double)n <= 30.0 ? jg_mt_binomial_inverted(s, n, small)
                                                : jg_mt_binomial_btpe(s, n, small);
    return p <= 0.5 ? x : n - x;
}

/* log((x - 1)!): Stirling's series at x + k >= 7 (S. Zhang, J. Jin, "Computation of Special
 * Functions", 1996). */
JG_MT_API double jg_mt_log_gamma(double x)
{
    static const double a[] = {8.333333333333333e-02,  -2.777777777777778e-03,
                               7.936507936507937e-04,  -5.952380952380952e-04,
                               8.417508417508418e-04,  -1.917526917526918e-03,
                               6.410256410256410e-03,  -2.955065359477124e-02,
                               1.796443723688307e-01,  -1.39243221690590e+00};
    if (x == 1.0 || x == 2.0)
        return 0.0;
    const int64_t more = x < 7.0 ? (int64_t)(7.0 - x) : 0;
    double y = x + (double)more, series = a[9];
    const double inverse = (1.0 / y) * (1.0 / y);
    for (int k = 8; k >= 0; k--)
        series = series * inverse + a[k];
    double result = series / y + 0.5 * 1.8378770664093453 + (y - 0.5) * log(y) - y;
    for (int64_t k = 1; k <= more; k++) {
        result -= log(y - 1.0);
        y -= 1.0;
    }
    return result;
}

JG_MT_API int64_t jg_mt_poisson_ptrs(uint32_t *s, double lam)
{
    const double log_lam = log(lam), b = 0.931 + 2.53 * sqrt(lam), a = -0.059 + 0.02483 * b;
    const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4), vr = 0.9277 - 3.6224 / (b - 2.0);
    for (;;) {
        const double u = jg_mt_double(s) - 0.5, v = jg_mt_double(s), us = 0.5 - fabs(u);
        const int64_t k = (int64_t)floor((2.0 * a / us + b) * u + lam + 0.43);
        if (us >= 0.07 && v <= vr)
            return k;
        if (k < 0 || (us < 0.013 && v > us))
            continue;
        if (log(v) + log(inverse_alpha) - log(a / (us * us) + b) <=
            -lam + (double)k * log_lam - jg_mt_log_gamma((double)(k + 1)))
            return k;
    }
}

JG_MT_API int64_t jg_mt_poisson(uint32_t *s, double lam)
{
    if (lam >= 10.0)
        return jg_mt_poisson_ptrs(s, lam);
    if (lam == 0.0)
        return 0;
    const double lowest = exp(-lam);
    int64_t x = 0;
    for (double product = jg_mt_double(s); product > lowest; product *= jg_mt_double(s))
        x++;
    return x;
}

/* --- draws -------------------------------------------------------------------------------------- */

/* Value i of a parameter with `count` values. */
#define JG_MT_AT(p, count, i) ((p)[(count) == 1 ? 0 : (i)])

/* The first i < n for which `wrong` holds, looked for once per value if all parameters are single. */
#define JG_MT_REFUSE(n, single, wrong)                                                             \
    for (int64_t i = 0; i < ((single) && (n) > 1 ? 1 : (n)); i++)                                  \
        if (wrong)                                                                                 \
            return i;

JG_MT_API int64_t jg_mt_draw_uniform(const uint32_t *before, int64_t length, const double *low,
                                     int64_t lows, const double *high, int64_t highs,
                                     uint32_t *after, double *out, int64_t n)
{
    JG_MT_REFUSE(n, lows == 1 && highs == 1,
                 !isfinite(JG_MT_AT(high, highs, i) - JG_MT_AT(low, lows, i)))
    if (!jg_mt_begin(before, length, after))
        return length;
    jg_mt_doubles(after, out, n);
    if (lows == 1 && highs == 1 && low[0] == 0.0 && high[0] == 1.0)
        return -1;
    for (int64_t i = 0; i < n; i++) {
        const double from = JG_MT_AT(low, lows, i);
        out[i] = from + (JG_MT_AT(high, highs, i) - from) * out[i];
    }
    return -1;
}

JG_MT_API int64_t jg_mt_draw_normal(const uint32_t *before, int64_t length, const double *avg,
                                    int64_t avgs, const double *std, int64_t stds,
                                    uint32_t *after, double *out, int64_t n)
{
    JG_MT_REFUSE(n, stds == 1, !(JG_MT_AT(std, stds, i) >= 0.0))
    if (!jg_mt_begin(before, length, after))
        return length;
    for (int64_t i = 0; i < n; i++)
        out[i] = JG_MT_AT(avg, avgs, i) + (JG_MT_AT(std, stds, i) + 0.0) * jg_mt_gauss(after);
    return -1;
}

JG_MT_API int64_t jg_mt_draw_binomial(const uint32_t *before, int64_t length, const int64_t *count,
                                      int64_t counts, const double *p, int64_t ps, uint32_t *after,
                                      int64_t *out, int64_t n)
{
    JG_MT_REFUSE(n, counts == 1 && ps == 1,
                 JG_MT_AT(count, counts, i) < 0 ||
                     !(JG_MT_AT(p, ps, i) >= 0.0 && JG_MT_AT(p, ps, i) <= 1.0))
    if (!jg_mt_begin(before, length, after))
        return length;
    for (int64_t i = 0; i < n; i++)
        out[i] = jg_mt_binomial(after, JG_MT_AT(count, counts, i), JG_MT_AT(p, ps, i));
    return -1;
}

/* The largest mean: beyond it a count may not fit in 63 bits. */
#define JG_MT_LARGEST_LAM 9.223372006484771e18

JG_MT_API int64_t jg_mt_draw_poisson(const uint32_t *before, int64_t length, const double *lam,
                                     int64_t lams, uint32_t *after, int64_t *out, int64_t n)
{
    JG_MT_REFUSE(n, lams == 1,
                 !(JG_MT_AT(lam, lams, i) >= 0.0 && JG_MT_AT(lam, lams, i) <= JG_MT_LARGEST_LAM))
    if (!jg_mt_begin(before, length, after))
        return length;
    for (int64_t i = 0; i < n; i++)
        out[i] = jg_mt_poisson(after, JG_MT_AT(lam, lams, i));
    return -1;
}

JG_MT_API int64_t jg_mt_draw_integers(const uint32_t *before, int64_t length, const int64_t *low,
                                      int64_t lows, const int64_t *high, int64_t highs,
                                      uint32_t *after, int64_t *out, int64_t n)
{
    JG_MT_REFUSE(n, lows == 1 && highs == 1,
                 JG_MT_AT(high, highs, i) < JG_MT_AT(low, lows, i))
    if (!jg_mt_begin(before, length, after))
        return length;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t from = (uint64_t)JG_MT_AT(low, lows, i);
        const uint64_t range = (uint64_t)JG_MT_AT(high, highs, i) - from;
        out[i] = (int64_t)(from + jg_mt_below(after, range));
    }
    return -1;
}

/* -1, or the position of what is wrong in the vector p of weights: the sum has that of the end. */
JG_MT_API int64_t jg_mt_bad_weights(const double *p, int64_t entries, double tolerance)
{
    double sum = 0.0, rest = 0.0;
    if (entries < 1)
        return 0;
    for (int64_t j = 0; j < entries; j++) {
        if (!(p[j] >= 0.0 && p[j] <= 1.0))
            return j;
        const double y = p[j] - rest, t = sum + y; /* Kahan's sum */
        rest = (t - sum) - y;
        sum = t;
    }
    return fabs(sum - 1.0) <= tolerance ? -1 : entries;
}

/* Positions in the vector p of weights: the first whose cumulated share is above a uniform. */
JG_MT_API int64_t jg_mt_draw_weighted(const uint32_t *before, int64_t length, const double *p,
                                      int64_t entries, const double *tolerance, uint32_t *after,
                                      int64_t *out, int64_t n)
{
    const int64_t bad = jg_mt_bad_weights(p, entries, *tolerance);
    double total = 0.0;
    if (bad >= 0)
        return bad;
    for (int64_t j = 0; j < entries; j++)
        total += p[j];
    if (!jg_mt_begin(before, length, after))
        return length;
    for (int64_t i = 0; i < n; i++) {
        const double u = jg_mt_double(after);
        double upper = p[0];
        int64_t j = 0;
        while (j < entries - 1 && !(upper / total > u))
            upper += p[++j];
        out[i] = j;
    }
    return -1;
}

/* The first position whose share is above u; shares do not decrease, and the last one is 1. */
JG_MT_API int64_t jg_mt_position(const double *shares, int64_t entries, double u)
{
    int64_t low = 0, high = entries - 1;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (shares[middle] > u)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* n different positions: rounds of as many draws as are missing, of which the first of each
 * position counts; then its weight is 0. `left` and `shares` have room for the weights. */
JG_MT_API void jg_mt_rounds(uint32_t *state, double *restrict left, double *restrict shares,
                            int64_t entries, int64_t *restrict out, int64_t n)
{
    for (int64_t found = 0; found < n;) {
        double total = 0.0;
        for (int64_t j = 0; j < entries; j++)
            shares[j] = total += left[j];
        for (int64_t j = 0; j < entries; j++)
            shares[j] /= total;
        for (int64_t missing = n - found; missing > 0; missing--) {
            const int64_t j = jg_mt_position(shares, entries, jg_mt_double(state));
            if (left[j] > 0.0)
                out[found++] = j;
            left[j] = 0.0;
        }
    }
}

/* Different positions in the vector p of weights. Refused as well where fewer than n weights are
 * above 0, and where there is no memory for two more vectors. */
JG_MT_API int64_t jg_mt_draw_distinct(const uint32_t *before, int64_t length, const double *p,
                                      int64_t entries, const double *tolerance, uint32_t *after,
                                      int64_t *out, int64_t n)
{
    const int64_t bad = jg_mt_bad_weights(p, entries, *tolerance);
    int64_t positive = 0;
    if (bad >= 0)
        return bad;
    for (int64_t j = 0; j < entries; j++)
        positive += p[j] > 0.0;
    if (positive < n)
        return entries;
    if (!jg_mt_begin(before, length, after))
        return length;
    double *left = malloc(2 * (size_t)entries * sizeof *left);
    if (left == NULL)
        return entries;
    memcpy(left, p, (size_t)entries * sizeof *left);
    jg_mt_rounds(after, left, left + entries, entries, out, n);
    free(left);
    return -1;
}

/* Permutations of 0 … size - 1 one behind another, n numbers in all. */
JG_MT_API int64_t jg_mt_draw_permutation(const uint32_t *before, int64_t length, int64_t size,
                                         uint32_t *after, int64_t *out, int64_t n)
{
    if (!jg_mt_begin(before, length, after))
        return length;
    for (int64_t *x = out; size > 0 && x < out + n; x += size) {
        for (int64_t i = 0; i < size; i++)
            x[i] = i;
        for (int64_t i = size - 1; i > 0; i--) {
            const int64_t j = (int64_t)jg_mt_below(after, (uint64_t)i), kept = x[j];
            x[j] = x[i];
            x[i] = kept;
        }
    }
    return -1;
}

/* NumPy's sum of contiguous float64: eight sums up to 128 numbers, halves beyond. */
JG_MT_API double jg_mt_sum(const double *x, int64_t n)
{
    if (n < 8) {
        double total = -0.0;
        for (int64_t i = 0; i < n; i++)
            total += x[i];
        return total;
    }
    if (n > 128) {
        const int64_t half = n / 2 - n / 2 % 8;
        return jg_mt_sum(x, half) + jg_mt_sum(x + half, n - half);
    }
    double r[8];
    memcpy(r, x, sizeof r);
    int64_t i = 8;
    for (; i < n - n % 8; i += 8)
        for (int k = 0; k < 8; k++)
            r[k] += x[i + k];
    double total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++)
        total += x[i];
    return total;
}

/* The factor that Theano puts before probabilities whose sum rounding left above 1. */
static inline double jg_mt_shrink(const double *p, int64_t outcomes)
{
    const double total = jg_mt_sum(p, outcomes);
    return (1.0 < total && total < 1.0 + 1e-5) || p[outcomes - 1] < 5e-5 ? 1.0 - 5e-5 : 1.0;
}

JG_MT_API int64_t jg_mt_bad_row(const double *p, int64_t outcomes)
{
    const double f = jg_mt_shrink(p, outcomes);
    for (int64_t j = 0; j < outcomes; j++)
        if (!(p[j] >= 0.0 && p[j] <= 1.0))
            return j;
    double total = 0.0;
    for (int64_t j = 0; j < outcomes; j++)
        total += f * p[j];
    return total <= 1.0 + 1e-12 ? -1 : outcomes - 1;
}

/* Counts of `outcomes` outcomes a row, n numbers in all; p is one row or all rows. */
JG_MT_API int64_t jg_mt_draw_multinomial(const uint32_t *before, int64_t length,
                                         const int64_t *trials, int64_t trial_counts,
                                         const double *p, int64_t ps, int64_t outcomes,
                                         uint32_t *after, int64_t *out, int64_t n)
{
    if (outcomes < 1)
        return 0;
    const int64_t rows = n / outcomes, row_step = ps == outcomes ? 0 : outcomes;
    JG_MT_REFUSE(rows, trial_counts == 1, JG_MT_AT(trials, trial_counts, i) < 0)
    for (int64_t i = 0; i < ps; i += outcomes) {
        const int64_t bad = jg_mt_bad_row(p + i, outcomes);
        if (bad >= 0)
            return i + bad;
    }
    if (!jg_mt_begin(before, length, after))
        return length;
    for (int64_t i = 0; i < rows; i++) {
        const double *row = p + i * row_step;
        const double f = jg_mt_shrink(row, outcomes);
        int64_t left = JG_MT_AT(trials, trial_counts, i), *counts = out + i * outcomes;
        double share = 1.0;
        memset(counts, 0, (size_t)outcomes * sizeof *counts);
        for (int64_t j = 0; j < outcomes - 1 && left > 0; j++) {
            const double q = f * row[j] / share;
            counts[j] = q == 0.0 ? 0 : jg_mt_binomial(after, left, q);
            left -= counts[j];
            share -= f * row[j];
        }
        if (left > 0)
            counts[outcomes - 1] = left;
    }
    return -1;
}

#endif
