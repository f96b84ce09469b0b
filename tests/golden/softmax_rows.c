#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_exp.h"
#include "jg_pool.h"
#include "jg_reduce.h"
#include "jg_stream.h"
#include "jg_strided.h"

// s0 = max(a0, axis=[1])   (test_golden.py)
// z0 = exp(a0 - s0)
// s2 = sum(z0, axis=[1])
// z0 = z0 / s2
// a0: x float64[n0,n1]  s0: float64[n0]  z0: float64[n0,n1]  s2: float64[n0]
static void k0_max_exp_sum_true_div(int64_t begin, int64_t end, int64_t n1, int32_t stream,
                                    const double *restrict a0, double *restrict s0,
                                    double *restrict z0, double *restrict s2)
{
    double max1 = -__builtin_inf();
    if (begin < end) {
        for (int64_t j0 = 0; j0 < n1; j0 += JG_BLOCK) {
            const int64_t j1 = jg_min(j0 + JG_BLOCK, n1);
            const double max1_block = jg_block_max_f64(a0 + (begin*n1 + j0), j1 - j0);
            max1 = JG_LARGER(max1, max1_block);
        }
    }
    double t8_before = 0;
    for (int64_t i = begin; i < end; i++) {
        /* A row that goes past the caches does so in the next iteration, and is kept
         * until then where the last one will be. */
        double *restrict z0_row = z0 + (stream ? end - 1 : i)*n1;
        int64_t done = 0;
        /* max1 of the next row is found while this one is computed. */
        double max1_next = -__builtin_inf();
        s0[i] = max1;
        double sum6 = 0.0, sum6_lost = 0.0;
        const double t3 = s0[i];
        for (int64_t j0 = 0; j0 < n1; j0 += JG_BLOCK) {
            const int64_t j1 = jg_min(j0 + JG_BLOCK, n1);
            for (int64_t j2 = j0, j3; j2 < j1; j2 = j3) {
                j3 = jg_min(j2 + (stream ? JG_STREAM_BYTES / (int64_t)sizeof *z0 : JG_BLOCK), j1);
                if (stream) {
                    jg_fetch(a0 + (i*n1 + j2 + n1), (j3 - j2) * sizeof *a0);
                    jg_fetch_again(a0 + (i*n1 + j2), (j3 - j2) * sizeof *a0);
                }
                if (stream && i > begin) {
                    const int64_t until = jg_stream_until(z0 + (i*n1 - n1), j3, n1, sizeof *z0);
                    for (int64_t j = done; j < until; j++) {
                        z0_row[j] = z0_row[j] / t8_before;
                    }
                    jg_stream(z0 + (i*n1 - n1 + done), z0_row + done, (until - done) * sizeof *z0);
                    done = until;
                }
                for (int64_t j = j2; j < j3; j++) {
                    const double t4 = a0[i*n1 + j] - t3;
                    const double t5 = jg_exp_f64(t4);
                    z0_row[j] = t5;
                }
            }
            if (i + 1 < end) {
                const double max1_next_block = jg_block_max_f64(a0 + (i*n1 + j0 + n1), j1 - j0);
                max1_next = JG_LARGER(max1_next, max1_next_block);
            }
            JG_ADD(sum6, sum6_lost, jg_block_sum_f64(z0_row + j0, j1 - j0));
        }
        s2[i] = sum6;
        const double t8 = s2[i];
        if (!stream || i + 1 == end) {
            for (int64_t j = 0; j < n1; j++) {
                z0_row[j] = z0_row[j] / t8;
            }
        }
        t8_before = t8;
        max1 = max1_next;
    }
    if (stream)
        jg_stream_end();
}

struct k0_max_exp_sum_true_div_args {
    int64_t n1;
    int32_t stream;
    const double *a0;
    double *s0;
    double *z0;
    double *s2;
};

static void k0_max_exp_sum_true_div_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_max_exp_sum_true_div_args *k = arg;
    k0_max_exp_sum_true_div(begin, end, k->n1, k->stream, k->a0, k->s0, k->z0, k->s2);
}

static void k0_max_exp_sum_true_div_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_max_exp_sum_true_div_args *args = g->args;
    struct k0_max_exp_sum_true_div_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0];
        k0_max_exp_sum_true_div_range(&k, p.begin, p.end);
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
    const int64_t s2_at = s0_at + jg_round_up(8*n0);
    const int64_t g0_at = s2_at + jg_round_up(8*n0);
    const int64_t need = g0_at + jg_gather_bytes(&g0);
    const int64_t out0[] = {n0, n1};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 2, out0)) {
        info[4] = need;
        info[5] = out0[0];
        info[6] = out0[1];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    double *s0 = (double *)(scratch + s0_at);
    double *s2 = (double *)(scratch + s2_at);
    {
        const int32_t stream = 8*n0*n1 >= host->stream_min && n1 >= 256;
        struct k0_max_exp_sum_true_div_args k = {n1, stream, a0, s0, z0, s2};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_max_exp_sum_true_div_gathered,
                               &k);
        else
            jg_parallel_for(host->pool, n0, 1, 1 + host->parallel_min / jg_max(1, n1),
                            k0_max_exp_sum_true_div_range, &k);
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
