#include "jg_abi.h"

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    (void)scratch;
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 1, 8);
    jg_room room1;
    const void *in1 = jg_number(host, args, 1, JG_F64, &room1);
    jg_room room2;
    const void *in2 = jg_number(host, args, 2, JG_F64, &room2);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    if (!in1) {
        info[1] = 1;
        return JG_ARGUMENT;
    }
    if (!in2) {
        info[1] = 2;
        return JG_ARGUMENT;
    }
    const double *a0 = (const double *)in0->data;
    const double *a1 = (const double *)in1;
    const double *a2 = (const double *)in2;
    const int64_t n0 = in0->dim[0];
    const int64_t out0[] = {n0};
    if (!outs || !jg_output_fits(host, outs, 0, 1, out0)) {
        info[4] = 0;
        info[5] = out0[0];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    /* scan ar1   (test_golden.py) */
    {
        const double *a5 = a2;
        double a4[1] = {a1[0]};
        for (int64_t t0 = 0; t0 < n0; t0++) {
            const double *a3 = a0 + t0;
            double z1[1];
            const double v0 = a5[0];
            const double v1 = a4[0];
            const double v2 = v0 * v1;
            const double n1 = v2;
            /* z1 = (a5 * a4) + a3   (test_golden.py) */
            {
                z1[0] = n1 + a3[0];
            }
            z0[t0] = z1[0];
            a4[0] = z1[0];
        }
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
