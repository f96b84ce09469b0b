#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_arith.h"
#include "jg_pool.h"
#include "jg_stream.h"

// z0 = Subtensor(a0) + a0   (test_golden.py)
// a0: x float64[n0]  z0: float64[n0]
JG_INLINED void k0_add(int64_t begin, int64_t end, int64_t n2, const double *restrict a0,
                       double *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        z0[i] = a0[-i + n2] + a0[i];
    }
}

struct k0_add_args {
    int64_t n2;
    const double *a0;
    double *z0;
    int stream;
};

static void k0_add_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_add_args *k = arg;
    if (k->stream) {
        JG_BLOCK_OF(double, z0);
        while (begin + JG_STREAM_BLOCK <= end) {
            k0_add(begin, begin + JG_STREAM_BLOCK, k->n2, k->a0, jg_before(z0, begin * sizeof *z0));
            jg_stream(k->z0 + begin, z0, sizeof z0);
            begin += jg_stream_step(k->z0 + begin, sizeof *k->z0);
        }
        jg_stream_end();
    }
    k0_add(begin, end, k->n2, k->a0, k->z0);
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    (void)scratch;
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 1, 8);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    const double *a0 = (const double *)in0->data;
    const int64_t n0 = in0->dim[0];
    const int64_t v0 = (int64_t)(n0 - 1);
    const int64_t v1 = (int64_t)((-1) - v0);
    const int64_t v2 = (int64_t)(-v1);
    const int64_t v3 = jg_floordiv_i64(v2, (-1));
    const int64_t v4 = (int64_t)(-v3);
    const int64_t v5 = v4 >= 0 ? v4 : 0;
    const int64_t n1 = v5;
    const int64_t n2 = v0;
    if (n1 != n0) {
        info[1] = 0, info[2] = n1, info[3] = n0;
        return JG_CHECK;
    }
    const int64_t out0[] = {n0};
    if (!outs || !jg_output_fits(host, outs, 0, 1, out0)) {
        info[4] = 0;
        info[5] = out0[0];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    {
        struct k0_add_args k = {n2, a0, z0, 8*n0 >= host->stream_min};
        jg_parallel_for(host->pool, n0, 512, host->parallel_min, k0_add_range, &k);
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
