#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_blas.h"
#include "jg_gemm.h"
#include "jg_pool.h"

// z0 = s0 + a2   (test_golden.py)
// s0: float64[n0,n3]  a2: b float64[n3]  z0: float64[n0,n3]
static void k1_add(int64_t begin, int64_t end, int64_t n3, const double *restrict s0,
                   const double *restrict a2, double *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        for (int64_t j = 0; j < n3; j++) {
            z0[i*n3 + j] = s0[i*n3 + j] + a2[j];
        }
    }
}

struct k1_add_args {
    int64_t n3;
    const double *s0;
    const double *a2;
    double *z0;
};

static void k1_add_range(void *arg, int64_t begin, int64_t end)
{
    const struct k1_add_args *k = arg;
    k1_add(begin, end, k->n3, k->s0, k->a2, k->z0);
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 2, 8);
    const jg_array *in1 = jg_argument(host, args, 1, JG_F64, 2, 8);
    const jg_array *in2 = jg_argument(host, args, 2, JG_F64, 1, 8);
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
    const double *a1 = (const double *)in1->data;
    const double *a2 = (const double *)in2->data;
    const int64_t n0 = in0->dim[0];
    const int64_t n1 = in0->dim[1];
    const int64_t n2 = in1->dim[0];
    const int64_t n3 = in1->dim[1];
    const int64_t n4 = in2->dim[0];
    if (n1 != n2) {
        info[1] = 0, info[2] = n1, info[3] = n2;
        return JG_CHECK;
    }
    if (n3 != n4) {
        info[1] = 1, info[2] = n3, info[3] = n4;
        return JG_CHECK;
    }
    const int64_t s0_at = 0;
    const int64_t need = s0_at + jg_round_up(8*n0*n3);
    const int64_t out0[] = {n0, n3};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 2, out0)) {
        info[4] = need;
        info[5] = out0[0];
        info[6] = out0[1];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    double *s0 = (double *)(scratch + s0_at);
    jg_gemm_f64(host, 0, 0, n0, n3, n1, 1, a0, a1, 0, 0, s0);
    {
        struct k1_add_args k = {n3, s0, a2, z0};
        jg_parallel_for(host->pool, n0, 1, 1 + host->parallel_min / jg_max(1, n3), k1_add_range,
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

JG_EXPORT int64_t jg_run(const jg_call *c);
int64_t jg_run(const jg_call *c)
{
    const intptr_t *t = c->tuples;
    return jg_entry(c->segment, c->host, t[0], t[1], c->scratch, c->info);
}
