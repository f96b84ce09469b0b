#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_exp.h"
#include "jg_pool.h"
#include "jg_stream.h"
#include "jg_strided.h"

// z0 = (a0 + a1) * exp(neg(a0))   (test_golden.py)
// a0: x float64[n0,n1]  a1: y float64[n0,n1]  z0: float64[n0,n1]
JG_INLINED void k0_mul(int64_t begin, int64_t end, const double *restrict a0,
                       const double *restrict a1, double *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        const double t0 = a0[i];
        const double t2 = t0 + a1[i];
        const double t3 = -t0;
        const double t4 = jg_exp_f64(t3);
        z0[i] = t2 * t4;
    }
}

struct k0_mul_args {
    const double *a0;
    const double *a1;
    double *z0;
    int stream;
};

static void k0_mul_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_mul_args *k = arg;
    if (k->stream) {
        JG_BLOCK_OF(double, z0);
        while (begin + JG_STREAM_BLOCK <= end) {
            k0_mul(begin, begin + JG_STREAM_BLOCK, k->a0, k->a1, jg_before(z0, begin * sizeof *z0));
            jg_stream(k->z0 + begin, z0, sizeof z0);
            begin += jg_stream_step(k->z0 + begin, sizeof *k->z0);
        }
        jg_stream_end();
    }
    k0_mul(begin, end, k->a0, k->a1, k->z0);
}

static void k0_mul_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_mul_args *args = g->args;
    struct k0_mul_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0], k.a1 = p.data[1];
        k0_mul_range(&k, p.begin, p.end);
    }
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_any_argument(host, args, 0, JG_F64, 2);
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
    const int64_t n1 = in0->dim[1];
    const int64_t n2 = in1->dim[0];
    const int64_t n3 = in1->dim[1];
    if (n0 != n2) {
        info[1] = 0, info[2] = n0, info[3] = n2;
        return JG_CHECK;
    }
    if (n1 != n3) {
        info[1] = 1, info[2] = n1, info[3] = n3;
        return JG_CHECK;
    }
    jg_view g0_view[2];
    jg_gather g0 = {0};
    if (jg_is_strided(in0, 8) || jg_is_strided(in1, 8)) {
        if (!host->strided)
            return JG_ORDER;
        g0_view[0] = host->strided->view_of(in0, 8, 1);
        g0_view[1] = host->strided->view_of(in1, 8, 1);
        g0 = host->strided->gather_of(host, g0_view, 2, n0*n1, 512, host->parallel_min);
    }
    const int64_t g0_at = 0;
    const int64_t need = g0_at + jg_gather_bytes(&g0);
    const int64_t out0[] = {n0, n1};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 2, out0)) {
        info[4] = need;
        info[5] = out0[0];
        info[6] = out0[1];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    {
        struct k0_mul_args k = {a0, a1, z0, 8*n0*n1 >= host->stream_min &&
                                jg_pool_threads(host->pool) > 1};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_mul_gathered, &k);
        else
            jg_parallel_for(host->pool, n0*n1, 512, host->parallel_min, k0_mul_range, &k);
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
