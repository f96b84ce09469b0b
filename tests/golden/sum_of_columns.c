#include "jg_abi.h"
#include "jg_reduce.h"

// z0 = sum(a0, axis=[0])   (test_golden.py)
// a0: x float64[n0,n1]  z0: float64[n1]
static void k0_sum(int64_t n1, int64_t n0, const double *restrict a0, double *restrict z0)
{
    for (int64_t j = 0; j < n1; j++) {
        z0[j] = 0.0;
    }
    for (int64_t i = 0; i < n0; i++) {
        for (int64_t j = 0; j < n1; j++) {
            z0[j] += a0[i*n1 + j];
        }
    }
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
    const int64_t out0[] = {n1};
    if (!outs || !jg_output_fits(host, outs, 0, 1, out0)) {
        info[4] = 0;
        info[5] = out0[0];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    k0_sum(n1, n0, a0, z0);
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
