#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_abreast.h"
#include "jg_pool.h"
#include "jg_sigmoid.h"
#include "jg_strided.h"

// z0 = sigmoid(a1 + a0)   (test_golden.py)
// a1: x float64[n1,n0]  a0: b float64[n0]  z0: float64[n1,n0]
static void k0_sigmoid(int64_t begin, int64_t end, int64_t n0, const double *restrict a1,
                       const double *restrict a0, double *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        JG_ABREAST(4, double, j, 0, n0, {
            const double t2 = a1[i*n0 + j] + a0[j];
            z0[i*n0 + j] = jg_sigmoid_f64(t2);
        });
    }
}

struct k0_sigmoid_args {
    int64_t n0;
    const double *a1;
    const double *a0;
    double *z0;
};

static void k0_sigmoid_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_sigmoid_args *k = arg;
    k0_sigmoid(begin, end, k->n0, k->a1, k->a0, k->z0);
}

static void k0_sigmoid_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_sigmoid_args *args = g->args;
    struct k0_sigmoid_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a1 = p.data[0];
        k0_sigmoid_range(&k, p.begin, p.end);
    }
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 1, 8);
    const jg_array *in1 = jg_any_argument(host, args, 1, JG_F64, 2);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    if (!in1) {
        info[1] = 1;
        return JG_ARGUMENT;
    }
    const double *a0 = (const double *)in0->data;
    const double *a1 = (const double *)in1->data;
    const int64_t n0 = in0->dim[0];
    const int64_t n1 = in1->dim[0];
    const int64_t n2 = in1->dim[1];
    if (n2 != n0) {
        info[1] = 0, info[2] = n2, info[3] = n0;
        return JG_CHECK;
    }
    jg_view g0_view[1];
    jg_gather g0 = {0};
    if (jg_is_strided(in1, 8)) {
        if (!host->strided)
            return JG_ORDER;
        g0_view[0] = host->strided->view_of(in1, 8, n0);
        g0 = host->strided->gather_of(host, g0_view, 1, n1, 1,
                                      1 + host->parallel_min / jg_max(1, n0));
    }
    const int64_t g0_at = 0;
    const int64_t need = g0_at + jg_gather_bytes(&g0);
    const int64_t out0[] = {n1, n0};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 2, out0)) {
        info[4] = need;
        info[5] = out0[0];
        info[6] = out0[1];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    {
        struct k0_sigmoid_args k = {n0, a1, a0, z0};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_sigmoid_gathered, &k);
        else
            jg_parallel_for(host->pool, n1, 1, 1 + host->parallel_min / jg_max(1, n0),
                            k0_sigmoid_range, &k);
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
