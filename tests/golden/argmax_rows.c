#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_pool.h"
#include "jg_reduce.h"

// z0 = argmax(a0, axis=[1])   (test_golden.py)
// a0: x float64[n0,n1]  z0: int64[n0]
static void k0_argmax(int64_t begin, int64_t end, int64_t n1, const double *restrict a0,
                      int64_t *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        double best1 = -__builtin_inf();
        int64_t at1 = -1;
        for (int64_t j = 0; j < n1; j++) {
            const double t0 = a0[i*n1 + j];
            JG_TAKE(t0, j, best1, at1, >);
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

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    (void)scratch;
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 2, 8);
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
    const int64_t out0[] = {n0};
    if (!outs || !jg_output_fits(host, outs, 0, 1, out0)) {
        info[4] = 0;
        info[5] = out0[0];
        return JG_PLAN;
    }
    int64_t *z0 = (int64_t *)jg_output(host, outs, 0);
    {
        struct k0_argmax_args k = {n1, a0, z0};
        jg_parallel_for(host->pool, n0, 1, 1 + host->parallel_min / jg_max(1, n1), k0_argmax_range,
                        &k);
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
