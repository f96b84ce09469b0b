#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_arith.h"
#include "jg_pool.h"
#include "jg_reduce.h"

// z0 = sum(Reshape(a0), axis=[1])   (test_golden.py)
// a0: x float64[n0]  z0: float64[n1]
static void k0_sum(int64_t begin, int64_t end, const double *restrict a0, double *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        double sum1 = 0.0, sum1_lost = 0.0;
        for (int64_t j0 = 0; j0 < 2; j0 += JG_BLOCK) {
            const int64_t j1 = jg_min(j0 + JG_BLOCK, 2);
            JG_ADD(sum1, sum1_lost, jg_block_sum_f64(a0 + (2*i + j0), j1 - j0));
        }
        z0[i] = sum1;
    }
}

struct k0_sum_args {
    const double *a0;
    double *z0;
};

static void k0_sum_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_sum_args *k = arg;
    k0_sum(begin, end, k->a0, k->z0);
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
    const int64_t v0 = (int64_t)(1 * n0);
    const int64_t v1 = jg_floordiv_i64(v0, 2);
    const int64_t n1 = v1;
    const int64_t v2 = (int64_t)(v1 * 2);
    const int64_t n2 = v2;
    if (n1 < 0) {
        info[1] = 0, info[2] = n1, info[3] = 0;
        return JG_CHECK;
    }
    if (n0 != n2) {
        info[1] = 1, info[2] = n0, info[3] = n2;
        return JG_CHECK;
    }
    const int64_t out0[] = {n1};
    if (!outs || !jg_output_fits(host, outs, 0, 1, out0)) {
        info[4] = 0;
        info[5] = out0[0];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    {
        struct k0_sum_args k = {a0, z0};
        jg_parallel_for(host->pool, n1, 1, 1 + host->parallel_min / jg_max(1, 2), k0_sum_range, &k);
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
