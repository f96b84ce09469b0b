#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_abreast.h"
#include "jg_exp.h"
#include "jg_label.h"
#include "jg_log.h"
#include "jg_pool.h"
#include "jg_reduce.h"
#include "jg_stream.h"

// s0 = max(a0, axis=[1])   (test_golden.py)
// s1 = sum(exp(a0 - s0), axis=[1])
// a0: x float64[n0,n2]  s0: float64[n0]  s1: float64[n0]
static void k1_max_sum(int64_t begin, int64_t end, int64_t n2, const double *restrict a0,
                       double *restrict s0, double *restrict s1)
{
    double max1 = -__builtin_inf();
    if (begin < end) {
        for (int64_t j0 = 0; j0 < n2; j0 += JG_BLOCK) {
            const int64_t j1 = jg_min(j0 + JG_BLOCK, n2);
            const double max1_block = jg_block_max_f64(a0 + (begin*n2 + j0), j1 - j0);
            max1 = JG_LARGER(max1, max1_block);
        }
    }
    for (int64_t i = begin; i < end; i++) {
        /* max1 of the next row is found while this one is computed. */
        double max1_next = -__builtin_inf();
        s0[i] = max1;
        double sum6 = 0.0, sum6_lost = 0.0;
        const double t3 = s0[i];
        for (int64_t j0 = 0; j0 < n2; j0 += JG_BLOCK) {
            const int64_t j1 = jg_min(j0 + JG_BLOCK, n2);
            double sum6_part[JG_BLOCK];
            JG_ABREAST(4, double, j, j0, j1, {
                const double t4 = a0[i*n2 + j] - t3;
                const double t5 = jg_exp_f64(t4);
                sum6_part[j - j0] = t5;
            });
            if (i + 1 < end) {
                const double max1_next_block = jg_block_max_f64(a0 + (i*n2 + j0 + n2), j1 - j0);
                max1_next = JG_LARGER(max1_next, max1_next_block);
            }
            JG_ADD(sum6, sum6_lost, jg_block_sum_f64(sum6_part, j1 - j0));
        }
        s1[i] = sum6;
        max1 = max1_next;
    }
}

struct k1_max_sum_args {
    int64_t n2;
    const double *a0;
    double *s0;
    double *s1;
};

static void k1_max_sum_range(void *arg, int64_t begin, int64_t end)
{
    const struct k1_max_sum_args *k = arg;
    k1_max_sum(begin, end, k->n2, k->a0, k->s0, k->s1);
}

// s2 = sum((pick(a0) - s0) - log(s1))   (test_golden.py)
// a1: y int32[n0]  a0: x float64[n0,n2]  s0: float64[n0]  s1: float64[n0]
static void k2_sum(int64_t first, int64_t last, int64_t chunk, int64_t n0, int64_t n2,
                   const int32_t *restrict a1, const double *restrict a0, const double *restrict s0,
                   const double *restrict s1, double *restrict sum8_of)
{
    for (int64_t c = first; c < last; c++) {
        const int64_t stop = jg_min((c + 1) * chunk, n0);
        double sum8 = 0.0, sum8_lost = 0.0;
        for (int64_t i0 = c * chunk; i0 < stop; i0 += JG_BLOCK) {
            const int64_t i1 = jg_min(i0 + JG_BLOCK, stop);
            double sum8_block;
            JG_SUM_ABREAST(4, double, sum8_block, i, i0, i1,
                           if (i1 < stop) {
                               jg_fetch(a1 + at, 128);
                               jg_fetch(s0 + at, 256);
                               jg_fetch(s1 + at, 256);
                           }, {
                const int64_t t1 = (int64_t)a1[i];
                const double t4 = a0[i*n2 + t1] - s0[i];
                const double t6 = jg_log_f64(s1[i]);
                const double t7 = t4 - t6;
                value = t7;
            });
            JG_ADD(sum8, sum8_lost, sum8_block);
        }
        sum8_of[c] = sum8;
    }
}

struct k2_sum_args {
    int64_t chunk;
    int64_t n0;
    int64_t n2;
    const int32_t *a1;
    const double *a0;
    const double *s0;
    const double *s1;
    double *sum8_of;
};

static void k2_sum_range(void *arg, int64_t begin, int64_t end)
{
    const struct k2_sum_args *k = arg;
    k2_sum(begin, end, k->chunk, k->n0, k->n2, k->a1, k->a0, k->s0, k->s1, k->sum8_of);
}

// z0 = neg(s2 / float64(length))   (test_golden.py)
// s2: float64[]  z0: float64[]
static void k3_neg(double n3, const double *restrict s2, double *restrict z0)
{
    const double t1 = s2[0] / n3;
    z0[0] = -t1;
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 2, 8);
    const jg_array *in1 = jg_argument(host, args, 1, JG_I32, 1, 4);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    if (!in1) {
        info[1] = 1;
        return JG_ARGUMENT;
    }
    const double *a0 = (const double *)in0->data;
    const int32_t *a1 = (const int32_t *)in1->data;
    const int64_t n0 = in1->dim[0];
    const int64_t n1 = in0->dim[0];
    const int64_t n2 = in0->dim[1];
    const double v0 = (double)n0;
    const double n3 = v0;
    if (n0 != n1) {
        info[1] = 0, info[2] = n0, info[3] = n1;
        return JG_CHECK;
    }
    const int64_t s0_at = 0;
    const int64_t s1_at = s0_at + jg_round_up(8*n0);
    const int64_t s2_at = s1_at + jg_round_up(8*n0);
    const int64_t need = s2_at + jg_round_up(8);
    if (!outs || info[0] < need) {
        info[4] = need;
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    double *s0 = (double *)(scratch + s0_at);
    double *s1 = (double *)(scratch + s1_at);
    double *s2 = (double *)(scratch + s2_at);
    {
        const int32_t *entry = a1;
        const int64_t bad = jg_bad_label_i32(entry, n0, n2);
        if (bad >= 0) {
            info[1] = 1, info[2] = bad, info[3] = (int64_t)entry[bad];
            return JG_LABEL;
        }
    }
    {
        struct k1_max_sum_args k = {n2, a0, s0, s1};
        jg_parallel_for(host->pool, n0, 1, 1 + host->parallel_min / jg_max(1, n2), k1_max_sum_range,
                        &k);
    }
    {
        const int64_t chunk = jg_chunk_length(n0, 1);
        const int64_t chunks = (n0 + chunk - 1) / chunk;
        double sum8_of[JG_CHUNKS];
        struct k2_sum_args k = {chunk, n0, n2, a1, a0, s0, s1, sum8_of};
        jg_parallel_for(host->pool, chunks, 1, 2, k2_sum_range, &k);
        s2[0] = jg_block_sum_f64(sum8_of, chunks);
    }
    k3_neg(n3, s2, z0);
    return JG_OK;
}

JG_EXPORT int64_t jg_entry(int64_t segment, const jg_host *host, intptr_t args, intptr_t outs,
                           void *scratch, int64_t *info);
int64_t jg_entry(int64_t segment, const jg_host *host, intptr_t args, intptr_t outs, void *scratch,
                 int64_t *info)
{
    switch (segment) {
    case 0: return segment_0(host, args, outs, scratch, info);
    default: return -1;
    }
}

JG_EXPORT int64_t jg_run(const jg_call *c);
int64_t jg_run(const jg_call *c)
{
    const intptr_t *t = c->tuples;
    return jg_entry(c->segment, c->host, t[0], t[1], c->scratch, c->info);
}
