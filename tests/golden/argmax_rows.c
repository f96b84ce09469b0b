#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_pool.h"
#include "jg_reduce.h"
#include "jg_strided.h"

// z0 = argmax(a0, axis=[1])   (test_golden.py)
// a0: x float64[n0,n1]  z0: int64[n0]
static void k0_argmax(int64_t begin, int64_t end, int64_t n1, const double *restrict a0,
                      int64_t *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        double best1 = -__builtin_inf();
        int64_t at1 = -1;
        for (int64_t j0 = 0; j0 < n1; j0 += JG_BLOCK) {
            const int64_t j1 = jg_min(j0 + JG_BLOCK, n1);
            jg_block_argmax_f64(a0 + (i*n1 + j0), j1 - j0, j0, &best1, &at1);
        }
        z0[i] = at1;
    }
}

struct k0_argmax_args {
    int64_t n1;
    const double *a0;
    int64_t *z0;
};

static void k0_argmax_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_argmax_args *k = arg;
    k0_argmax(begin, end, k->n1, k->a0, k->z0);
}

static void k0_argmax_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_argmax_args *args = g->args;
    struct k0_argmax_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0];
        k0_argmax_range(&k, p.begin, p.end);
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
    if (n1 <= 0) {
        info[1] = 0, info[2] = n1, info[3] = 0;
        return JG_CHECK;
    }
    jg_view g0_view[1];
    jg_gather g0 = {0};
    if (jg_is_strided(in0, 8)) {
        if (!host->strided)
            return JG_ORDER;
        g0_view[0] = host->strided->view_of(in0, 8, n1);
        g0 = host->strided->gather_of(host, g0_view, 1, n0, 1,
                                      1 + host->parallel_min / jg_max(1, n1));
    }
    const int64_t g0_at = 0;
    const int64_t need = g0_at + jg_gather_bytes(&g0);
    const int64_t out0[] = {n0};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 1, out0)) {
        info[4] = need;
        info[5] = out0[0];
        return JG_PLAN;
    }
    int64_t *z0 = (int64_t *)jg_output(host, outs, 0);
    {
        struct k0_argmax_args k = {n1, a0, z0};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_argmax_gathered, &k);
        else
            jg_parallel_for(host->pool, n0, 1, 1 + host->parallel_min / jg_max(1, n1),
                            k0_argmax_range, &k);
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
