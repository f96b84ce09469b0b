#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_arith.h"
#include "jg_pool.h"
#include "jg_strided.h"

// z0 = a0   (test_golden.py)
// a0: x float64[n0,n1]  z0: float64[n0,n1]
static void k0_IncSubtensor(int64_t begin, int64_t end, const double *restrict a0,
                            double *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        z0[i] = a0[i];
    }
}

struct k0_IncSubtensor_args {
    const double *a0;
    double *z0;
};

static void k0_IncSubtensor_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_IncSubtensor_args *k = arg;
    k0_IncSubtensor(begin, end, k->a0, k->z0);
}

// z0[part] = a1   (test_golden.py)
// a1: y float64[n2]  z0: float64[n0,n1]
static void k1_IncSubtensor(int64_t begin, int64_t end, int64_t n1, int64_t n4,
                            const double *restrict a1, double *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        z0[i*n1 + n1*n4 + 1] = a1[i];
    }
}

struct k1_IncSubtensor_args {
    int64_t n1;
    int64_t n4;
    const double *a1;
    double *z0;
};

static void k1_IncSubtensor_range(void *arg, int64_t begin, int64_t end)
{
    const struct k1_IncSubtensor_args *k = arg;
    k1_IncSubtensor(begin, end, k->n1, k->n4, k->a1, k->z0);
}

static void k0_IncSubtensor_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_IncSubtensor_args *args = g->args;
    struct k0_IncSubtensor_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0];
        k0_IncSubtensor_range(&k, p.begin, p.end);
    }
}

static void k1_IncSubtensor_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k1_IncSubtensor_args *args = g->args;
    struct k1_IncSubtensor_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a1 = p.data[0];
        k1_IncSubtensor_range(&k, p.begin, p.end);
    }
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_any_argument(host, args, 0, JG_F64, 2);
    const jg_array *in1 = jg_any_argument(host, args, 1, JG_F64, 1);
    jg_room room2;
    const void *in2 = jg_number(host, args, 2, JG_I64, &room2);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    if (!in1) {
        info[1] = 1;
        return JG_ARGUMENT;
    }
    if (!in2) {
        info[1] = 2;
        return JG_ARGUMENT;
    }
    const double *a0 = (const double *)in0->data;
    const double *a1 = (const double *)in1->data;
    const int64_t *a2 = (const int64_t *)in2;
    const int64_t n0 = in0->dim[0];
    const int64_t n1 = in0->dim[1];
    const int64_t v0 = a2[0];
    const uint8_t v1 = v0 < 0;
    const int64_t v2 = (int64_t)(v0 + n0);
    const int64_t v3 = v1 ? v2 : v0;
    const int64_t v4 = v3 >= 0 ? v3 : 0;
    const int64_t v5 = v4 <= n0 ? v4 : n0;
    const int64_t v6 = (int64_t)(n0 - v5);
    const int64_t v7 = (int64_t)(-v6);
    const int64_t v8 = jg_floordiv_i64(v7, 1);
    const int64_t v9 = (int64_t)(-v8);
    const int64_t v10 = v9 >= 0 ? v9 : 0;
    const int64_t n2 = v10;
    const int64_t n3 = in1->dim[0];
    const int64_t n4 = v5;
    if (1 < 0 || 1 >= n1) {
        info[1] = 0, info[2] = 1, info[3] = n1;
        return JG_CHECK;
    }
    if (n2 != n3) {
        info[1] = 1, info[2] = n2, info[3] = n3;
        return JG_CHECK;
    }
    jg_view g0_view[1];
    jg_gather g0 = {0};
    if (jg_is_strided(in0, 8)) {
        if (!host->strided)
            return JG_ORDER;
        g0_view[0] = host->strided->view_of(in0, 8, 1);
        g0 = host->strided->gather_of(host, g0_view, 1, n0*n1, 512, host->parallel_min);
    }
    jg_view g1_view[1];
    jg_gather g1 = {0};
    if (jg_is_strided(in1, 8)) {
        if (!host->strided)
            return JG_ORDER;
        g1_view[0] = host->strided->view_of(in1, 8, 1);
        g1 = host->strided->gather_of(host, g1_view, 1, n2, 512, host->parallel_min);
    }
    const int64_t g0_at = 0;
    const int64_t g1_at = g0_at + jg_gather_bytes(&g0);
    const int64_t need = g1_at + jg_gather_bytes(&g1);
    const int64_t out0[] = {n0, n1};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 2, out0)) {
        info[4] = need;
        info[5] = out0[0];
        info[6] = out0[1];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    {
        struct k0_IncSubtensor_args k = {a0, z0};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_IncSubtensor_gathered, &k);
        else
            jg_parallel_for(host->pool, n0*n1, 512, host->parallel_min, k0_IncSubtensor_range, &k);
    }
    {
        struct k1_IncSubtensor_args k = {n1, n4, a1, z0};
        if (g1.views)
            jg_parallel_gather(host->pool, &g1, scratch + g1_at, k1_IncSubtensor_gathered, &k);
        else
            jg_parallel_for(host->pool, n2, 512, host->parallel_min, k1_IncSubtensor_range, &k);
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
