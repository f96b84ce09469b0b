#include "jg_abi.h"
#include "jg_blas.h"

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    (void)scratch;
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 1, 8);
    const jg_array *in1 = jg_argument(host, args, 1, JG_F64, 1, 8);
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
    const int64_t n1 = in1->dim[0];
    if (n0 != n1) {
        info[1] = 0, info[2] = n0, info[3] = n1;
        return JG_CHECK;
    }
    if (!outs) {
        info[4] = 0;
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    z0[0] = jg_dot_f64(host, n0, a0, a1);
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
