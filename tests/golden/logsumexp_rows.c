#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_abreast.h"
#include "jg_exp.h"
#include "jg_log.h"
#include "jg_pool.h"
#include "jg_reduce.h"
#include "jg_strided.h"

// s0 = max(a0, axis=[1])   (test_golden.py)
// s1 = sum(exp(a0 - switch(isinf(s0), 0.0, s0)), axis=[1])
// z0 = switch(isinf(s0), 0.0, s0) + log(s1)
// a0: x float64[n0,n1]  s0: float64[n0]  s1: float64[n0]  z0: float64[n0]
static void k0_max_sum_add(int64_t begin, int64_t end, int64_t n1, const double *restrict a0,
                           double *restrict s0, double *restrict s1, double *restrict z0)
{
    double max1 = -__builtin_inf();
    if (begin < end) {
        for (int64_t j0 = 0; j0 < n1; j0 += JG_BLOCK) {
            const int64_t j1 = jg_min(j0 + JG_BLOCK, n1);
            const double max1_block = jg_block_max_f64(a0 + (begin*n1 + j0), j1 - j0);
            max1 = JG_LARGER(max1, max1_block);
        }
    }
    for (int64_t i = begin; i < end; i++) {
        /* max1 of the next row is found while this one is computed. */
        double max1_next = -__builtin_inf();
        s0[i] = max1;
        double sum8 = 0.0, sum8_lost = 0.0;
        const double t3 = s0[i];
        const uint8_t t4 = __builtin_fabs(t3) == __builtin_inf();
        const double t5 = t4 ? 0.0 : t3;
        for (int64_t j0 = 0; j0 < n1; j0 += JG_BLOCK) {
            const int64_t j1 = jg_min(j0 + JG_BLOCK, n1);
            double sum8_part[JG_BLOCK];
            JG_ABREAST(4, double, j, j0, j1, {
                const double t6 = a0[i*n1 + j] - t5;
                const double t7 = jg_exp_f64(t6);
                sum8_part[j - j0] = t7;
            });
            if (i + 1 < end) {
                const double max1_next_block = jg_block_max_f64(a0 + (i*n1 + j0 + n1), j1 - j0);
                max1_next = JG_LARGER(max1_next, max1_next_block);
            }
            JG_ADD(sum8, sum8_lost, jg_block_sum_f64(sum8_part, j1 - j0));
        }
        s1[i] = sum8;
        const double t9 = s0[i];
        const uint8_t t10 = __builtin_fabs(t9) == __builtin_inf();
        const double t11 = t10 ? 0.0 : t9;
        const double t13 = jg_log_f64(s1[i]);
        z0[i] = t11 + t13;
        max1 = max1_next;
    }
}

struct k0_max_sum_add_args {
    int64_t n1;
    const double *a0;
    double *s0;
    double *s1;
    double *z0;
};

static void k0_max_sum_add_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_max_sum_add_args *k = arg;
    k0_max_sum_add(begin, end, k->n1, k->a0, k->s0, k->s1, k->z0);
}

static void k0_max_sum_add_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_max_sum_add_args *args = g->args;
    struct k0_max_sum_add_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0];
        k0_max_sum_add_range(&k, p.begin, p.end);
    }
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_any_argument(host, args, 0, JG_F64, 2);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    const double *a0 = (const double *)in0->data;
    const int64_t n0 = in0->dim[0];
    const int64_t n1 = in0->dim[1];
    jg_view g0_view[1];
    jg_gather g0 = {0};
    if (jg_is_strided(in0, 8)) {
        if (!host->strided)
            return JG_ORDER;
        g0_view[0] = host->strided->view_of(in0, 8, n1);
        g0 = host->strided->gather_of(host, g0_view, 1, n0, 1,
                                      1 + host->parallel_min / jg_max(1, n1));
    }
    const int64_t s0_at = 0;
    const int64_t s1_at = s0_at + jg_round_up(8*n0);
    const int64_t g0_at = s1_at + jg_round_up(8*n0);
    const int64_t need = g0_at + jg_gather_bytes(&g0);
    const int64_t out0[] = {n0};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 1, out0)) {
        info[4] = need;
        info[5] = out0[0];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    double *s0 = (double *)(scratch + s0_at);
    double *s1 = (double *)(scratch + s1_at);
    {
        struct k0_max_sum_add_args k = {n1, a0, s0, s1, z0};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_max_sum_add_gathered, &k);
        else
            jg_parallel_for(host->pool, n0, 1, 1 + host->parallel_min / jg_max(1, n1),
                            k0_max_sum_add_range, &k);
    }
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
