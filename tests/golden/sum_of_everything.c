#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_pool.h"
#include "jg_reduce.h"
#include "jg_strided.h"

// z0 = sum(sqr(a0))   (test_golden.py)
// a0: x float64[n0,n1]
static void k0_sum(int64_t first, int64_t last, int64_t chunk, int64_t n0, int64_t n1,
                   const double *restrict a0, double *restrict sum2_of)
{
    for (int64_t c = first; c < last; c++) {
        const int64_t stop = jg_min((c + 1) * chunk, n0*n1);
        double sum2 = 0.0, sum2_lost = 0.0;
        for (int64_t i0 = c * chunk; i0 < stop; i0 += JG_BLOCK) {
            const int64_t i1 = jg_min(i0 + JG_BLOCK, stop);
            double sum2_block;
            JG_SUM_LANES(sum2_block, i, i0, i1, {
                const double t0 = a0[i];
                const double t1 = t0 * t0;
                value = t1;
            });
            JG_ADD(sum2, sum2_lost, sum2_block);
        }
        sum2_of[c] = sum2;
    }
}

struct k0_sum_args {
    int64_t chunk;
    int64_t n0;
    int64_t n1;
    const double *a0;
    double *sum2_of;
};

static void k0_sum_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_sum_args *k = arg;
    k0_sum(begin, end, k->chunk, k->n0, k->n1, k->a0, k->sum2_of);
}

static void k0_sum_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_sum_args *args = g->args;
    struct k0_sum_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0];
        k0_sum_range(&k, p.begin, p.end);
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
        const int64_t chunk = jg_chunk_length(n0*n1, 1);
        g0_view[0] = host->strided->view_of(in0, 8, chunk);
        g0 = host->strided->gather_of(host, g0_view, 1, (n0*n1 + chunk - 1) / chunk, 1, 2);
    }
    const int64_t g0_at = 0;
    const int64_t need = g0_at + jg_gather_bytes(&g0);
    if (!outs || info[0] < need) {
        info[4] = need;
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    {
        const int64_t chunk = jg_chunk_length(n0*n1, 1);
        const int64_t chunks = (n0*n1 + chunk - 1) / chunk;
        double sum2_of[JG_CHUNKS];
        struct k0_sum_args k = {chunk, n0, n1, a0, sum2_of};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_sum_gathered, &k);
        else
            jg_parallel_for(host->pool, chunks, 1, 2, k0_sum_range, &k);
        z0[0] = jg_block_sum_f64(sum2_of, chunks);
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
