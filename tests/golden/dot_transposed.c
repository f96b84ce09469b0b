#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_blas.h"
#include "jg_gemm.h"
#include "jg_pool.h"

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    (void)scratch;
    const jg_array *in0 = jg_argument(host, args, 0, JG_F32, 2, 4);
    const jg_array *in1 = jg_argument(host, args, 1, JG_F32, 2, 4);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    if (!in1) {
        info[1] = 1;
        return JG_ARGUMENT;
    }
    const float *a0 = (const float *)in0->data;
    const float *a1 = (const float *)in1->data;
    const int64_t n0 = in0->dim[0];
    const int64_t n1 = in0->dim[1];
    const int64_t n2 = in1->dim[0];
    const int64_t n3 = in1->dim[1];
    if (n0 != n2) {
        info[1] = 0, info[2] = n0, info[3] = n2;
        return JG_CHECK;
    }
    const int64_t out0[] = {n1, n3};
    if (!outs || !jg_output_fits(host, outs, 0, 2, out0)) {
        info[4] = 0;
        info[5] = out0[0];
        info[6] = out0[1];
        return JG_PLAN;
    }
    float *z0 = (float *)jg_output(host, outs, 0);
    jg_gemm_f32(host, 1, 0, n1, n3, n0, 1, a0, a1, 0, 0, z0);
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
