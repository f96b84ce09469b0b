#include "jg_abi.h"
#include "jg_reduce.h"

// z0 = sum(a0, axis=[0])   (test_golden.py)
// a0: x float32[n0,n1]  z0: float32[n1]
static void k0_sum(int64_t n1, int64_t n0, const float *restrict a0, double *restrict z0_acc,
                   float *restrict z0)
{
    for (int64_t j = 0; j < n1; j++) {
        z0_acc[j] = 0.0;
    }
    for (int64_t i = 0; i < n0; i++) {
        for (int64_t j = 0; j < n1; j++) {
            const double t1 = (double)a0[i*n1 + j];
            z0_acc[j] += t1;
        }
    }
    for (int64_t j = 0; j < n1; j++) {
        z0[j] = (float)z0_acc[j];
    }
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_argument(host, args, 0, JG_F32, 2, 4);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    const float *a0 = (const float *)in0->data;
    const int64_t n0 = in0->dim[0];
    const int64_t n1 = in0->dim[1];
    const int64_t z0_acc_at = 0;
    const int64_t need = z0_acc_at + jg_round_up(8 * (n1));
    const int64_t out0[] = {n1};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 1, out0)) {
        info[4] = need;
        info[5] = out0[0];
        return JG_PLAN;
    }
    float *z0 = (float *)jg_output(host, outs, 0);
    double *z0_acc = (double *)(scratch + z0_acc_at);
    k0_sum(n1, n0, a0, z0_acc, z0);
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
