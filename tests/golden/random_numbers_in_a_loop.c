#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_philox.h"
#include "jg_pool.h"
#include "jg_reduce.h"

// s0 = sum(sqr(uniform(a0)))   (test_golden.py)
// a0: uint64[n0]
static void k1_sum(int64_t first, int64_t last, int64_t chunk, const uint64_t *restrict a0,
                   double *restrict sum2_of)
{
    for (int64_t c = first; c < last; c++) {
        const int64_t stop = jg_min((c + 1) * chunk, 1000);
        double sum2 = 0.0, sum2_lost = 0.0;
        for (int64_t i0 = c * chunk; i0 < stop; i0 += JG_BLOCK) {
            const int64_t i1 = jg_min(i0 + JG_BLOCK, stop);
            double sum2_part[JG_BLOCK];
            double drawn0[JG_BLOCK];
            jg_philox_fill_draw_uniform_f64(drawn0, i1 - i0, a0, i0);
            for (int64_t i = i0; i < i1; i++) {
                const double t0 = drawn0[i - i0];
                const double t1 = t0 * t0;
                sum2_part[i - i0] = t1;
            }
            JG_ADD(sum2, sum2_lost, jg_block_sum_f64(sum2_part, i1 - i0));
        }
        sum2_of[c] = sum2;
    }
}

struct k1_sum_args {
    int64_t chunk;
    const uint64_t *a0;
    double *sum2_of;
};

static void k1_sum_range(void *arg, int64_t begin, int64_t end)
{
    const struct k1_sum_args *k = arg;
    k1_sum(begin, end, k->chunk, k->a0, k->sum2_of);
}

// z0 = s0 / 1000.0   (test_golden.py)
// s0: float64[]  z0: float64[]
static void k2_true_div(const double *restrict s0, double *restrict z0)
{
    z0[0] = s0[0] / 1000.0;
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_argument(host, args, 0, JG_U64, 1, 8);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    const uint64_t *a0 = (const uint64_t *)in0->data;
    const int64_t n0 = in0->dim[0];
    const int64_t s0_at = 0;
    const int64_t need = s0_at + jg_round_up(8);
    const int64_t out1[] = {n0};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 1, 1, out1)) {
        info[4] = need;
        info[5] = out1[0];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    uint64_t *z1 = (uint64_t *)jg_output(host, outs, 1);
    double *s0 = (double *)(scratch + s0_at);
    {
        const int64_t bad = jg_philox_next(a0, n0, z1, 1000);
        if (bad >= 0) {
            info[1] = 0, info[2] = bad, info[3] = 0;
            return JG_LABEL;
        }
    }
    {
        const int64_t chunk = jg_chunk_length(1000, 1);
        const int64_t chunks = (1000 + chunk - 1) / chunk;
        double sum2_of[JG_CHUNKS];
        struct k1_sum_args k = {chunk, a0, sum2_of};
        jg_parallel_for(host->pool, chunks, 1, 2, k1_sum_range, &k);
        s0[0] = jg_block_sum_f64(sum2_of, chunks);
    }
    k2_true_div(s0, z0);
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
