#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_pool.h"

static const double c0_0[] = {0.5, 2.0, (-1.0)};

// z0 = a0 * c0   (test_golden.py)
// a0: x float64[n0,3]  c0: float64[1,3]  z0: float64[n0,3]
static void k0_mul(int64_t begin, int64_t end, const double *restrict a0, const double *restrict c0,
                   double *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        for (int64_t j = 0; j < 3; j++) {
            z0[3*i + j] = a0[3*i + j] * c0[j];
        }
    }
}

struct k0_mul_args {
    const double *a0;
    const double *c0;
    double *z0;
};

static void k0_mul_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_mul_args *k = arg;
    k0_mul(begin, end, k->a0, k->c0, k->z0);
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
    if (n1 != 3) {
        info[1] = 0, info[2] = n1, info[3] = 3;
        return JG_CHECK;
    }
    const int64_t out0[] = {n0, 3};
    if (!outs || !jg_output_fits(host, outs, 0, 2, out0)) {
        info[4] = 0;
        info[5] = out0[0];
        info[6] = out0[1];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    {
        struct k0_mul_args k = {a0, jg_table(c0_0), z0};
        jg_parallel_for(host->pool, n0, 1, 1 + host->parallel_min / jg_max(1, 3), k0_mul_range, &k);
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
