#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_pool.h"
#include "jg_reduce.h"
#include "jg_strided.h"

// s0 = sum(a0)   (test_golden.py)
// z1 = max(a0)
// z2 = min(a0)
// a0: x float64[n0]
static void k0_sum_max_min(int64_t first, int64_t last, int64_t chunk, int64_t n0,
                           const double *restrict a0, double *restrict sum1_of,
                           double *restrict max2_of, double *restrict min3_of)
{
    for (int64_t c = first; c < last; c++) {
        const int64_t stop = jg_min((c + 1) * chunk, n0);
        double sum1 = 0.0, sum1_lost = 0.0;
        double max2 = -__builtin_inf();
        double min3 = __builtin_inf();
        for (int64_t i0 = c * chunk; i0 < stop; i0 += JG_BLOCK) {
            const int64_t i1 = jg_min(i0 + JG_BLOCK, stop);
            JG_ADD(sum1, sum1_lost, jg_block_sum_f64(a0 + i0, i1 - i0));
            const double max2_block = jg_block_max_f64(a0 + i0, i1 - i0);
            max2 = JG_LARGER(max2, max2_block);
            const double min3_block = jg_block_min_f64(a0 + i0, i1 - i0);
            min3 = JG_SMALLER(min3, min3_block);
        }
        sum1_of[c] = sum1;
        max2_of[c] = max2;
        min3_of[c] = min3;
    }
}

struct k0_sum_max_min_args {
    int64_t chunk;
    int64_t n0;
    const double *a0;
    double *sum1_of;
    double *max2_of;
    double *min3_of;
};

static void k0_sum_max_min_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_sum_max_min_args *k = arg;
    k0_sum_max_min(begin, end, k->chunk, k->n0, k->a0, k->sum1_of, k->max2_of, k->min3_of);
}

// z0 = s0 / float64(length)   (test_golden.py)
// s0: float64[]  z0: float64[]
static void k1_true_div(double n1, const double *restrict s0, double *restrict z0)
{
    z0[0] = s0[0] / n1;
}

static void k0_sum_max_min_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_sum_max_min_args *args = g->args;
    struct k0_sum_max_min_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0];
        k0_sum_max_min_range(&k, p.begin, p.end);
    }
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_any_argument(host, args, 0, JG_F64, 1);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    const double *a0 = (const double *)in0->data;
    const int64_t n0 = in0->dim[0];
    const double v0 = (double)n0;
    const double n1 = v0;
    if (n0 <= 0) {
        info[1] = 0, info[2] = n0, info[3] = 0;
        return JG_CHECK;
    }
    if (n0 <= 0) {
        info[1] = 1, info[2] = n0, info[3] = 0;
        return JG_CHECK;
    }
    jg_view g0_view[1];
    jg_gather g0 = {0};
    if (jg_is_strided(in0, 8)) {
        if (!host->strided)
            return JG_ORDER;
        const int64_t chunk = jg_chunk_length(n0, 1);
        g0_view[0] = host->strided->view_of(in0, 8, chunk);
        g0 = host->strided->gather_of(host, g0_view, 1, (n0 + chunk - 1) / chunk, 1, 2);
    }
    const int64_t s0_at = 0;
    const int64_t g0_at = s0_at + jg_round_up(8);
    const int64_t need = g0_at + jg_gather_bytes(&g0);
    if (!outs || info[0] < need) {
        info[4] = need;
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    double *z1 = (double *)jg_output(host, outs, 1);
    double *z2 = (double *)jg_output(host, outs, 2);
    double *s0 = (double *)(scratch + s0_at);
    {
        const int64_t chunk = jg_chunk_length(n0, 1);
        const int64_t chunks = (n0 + chunk - 1) / chunk;
        double sum1_of[JG_CHUNKS];
        double max2_of[JG_CHUNKS];
        double min3_of[JG_CHUNKS];
        struct k0_sum_max_min_args k = {chunk, n0, a0, sum1_of, max2_of, min3_of};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_sum_max_min_gathered, &k);
        else
            jg_parallel_for(host->pool, chunks, 1, 2, k0_sum_max_min_range, &k);
        s0[0] = jg_block_sum_f64(sum1_of, chunks);
        z1[0] = jg_block_max_f64(max2_of, chunks);
        z2[0] = jg_block_min_f64(min3_of, chunks);
    }
    k1_true_div(n1, s0, z0);
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
