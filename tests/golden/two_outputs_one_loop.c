#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_abreast.h"
#include "jg_hyperbolic.h"
#include "jg_pool.h"
#include "jg_stream.h"
#include "jg_strided.h"

// z0 = tanh(a0)   (test_golden.py, test_golden.py)
// z1 = z0 * (1.0 - z0)
// a0: x float64[n0]  z0: float64[n0]  z1: float64[n0]
JG_INLINED void k0_tanh_mul(int64_t begin, int64_t end, const double *restrict a0,
                            double *restrict z0, double *restrict z1)
{
    JG_ABREAST(4, double, i, begin, end, {
        const double t1 = jg_tanh_f64(a0[i]);
        z0[i] = t1;
        const double t2 = 1.0 - t1;
        z1[i] = t1 * t2;
    });
}

struct k0_tanh_mul_args {
    const double *a0;
    double *z0;
    double *z1;
    int stream;
};

static void k0_tanh_mul_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_tanh_mul_args *k = arg;
    if (k->stream) {
        JG_BLOCK_OF(double, z0);
        JG_BLOCK_OF(double, z1);
        while (begin + JG_STREAM_BLOCK <= end) {
            k0_tanh_mul(begin, begin + JG_STREAM_BLOCK, k->a0, jg_before(z0, begin * sizeof *z0),
                        jg_before(z1, begin * sizeof *z1));
            jg_stream(k->z0 + begin, z0, sizeof z0);
            jg_stream(k->z1 + begin, z1, sizeof z1);
            begin += jg_stream_step(k->z0 + begin, sizeof *k->z0);
        }
        jg_stream_end();
    }
    k0_tanh_mul(begin, end, k->a0, k->z0, k->z1);
}

static void k0_tanh_mul_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_tanh_mul_args *args = g->args;
    struct k0_tanh_mul_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0];
        k0_tanh_mul_range(&k, p.begin, p.end);
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
    jg_view g0_view[1];
    jg_gather g0 = {0};
    if (jg_is_strided(in0, 8)) {
        if (!host->strided)
            return JG_ORDER;
        g0_view[0] = host->strided->view_of(in0, 8, 1);
        g0 = host->strided->gather_of(host, g0_view, 1, n0, 512, host->parallel_min);
    }
    const int64_t g0_at = 0;
    const int64_t need = g0_at + jg_gather_bytes(&g0);
    const int64_t out0[] = {n0};
    const int64_t out1[] = {n0};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 1, out0) ||
        !jg_output_fits(host, outs, 1, 1, out1)) {
        info[4] = need;
        info[5] = out0[0];
        info[6] = out1[0];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    double *z1 = (double *)jg_output(host, outs, 1);
    {
        struct k0_tanh_mul_args k = {a0, z0, z1, 16*n0 >= host->stream_min &&
                                     jg_pool_threads(host->pool) > 1};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_tanh_mul_gathered, &k);
        else
            jg_parallel_for(host->pool, n0, 512, host->parallel_min, k0_tanh_mul_range, &k);
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
