#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_exp.h"
#include "jg_pool.h"
#include "jg_stream.h"
#include "jg_strided.h"

// s0 = a0 + a1   (test_golden.py)
// a0: x float64[n0,n1]  a1: y float64[n0,n1]  s0: float64[n0,n1]
static void k0_add(int64_t begin, int64_t end, const double *restrict a0, const double *restrict a1,
                   double *restrict s0)
{
    for (int64_t i = begin; i < end; i++) {
        s0[i] = a0[i] + a1[i];
    }
}

struct k0_add_args {
    const double *a0;
    const double *a1;
    double *s0;
};

static void k0_add_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_add_args *k = arg;
    k0_add(begin, end, k->a0, k->a1, k->s0);
}

// s1 = neg(a0)   (test_golden.py)
// a0: x float64[n0,n1]  s1: float64[n0,n1]
static void k1_neg(int64_t begin, int64_t end, const double *restrict a0, double *restrict s1)
{
    for (int64_t i = begin; i < end; i++) {
        s1[i] = -a0[i];
    }
}

struct k1_neg_args {
    const double *a0;
    double *s1;
};

static void k1_neg_range(void *arg, int64_t begin, int64_t end)
{
    const struct k1_neg_args *k = arg;
    k1_neg(begin, end, k->a0, k->s1);
}

// s2 = exp(s1)   (test_golden.py)
// s1: float64[n0,n1]  s2: float64[n0,n1]
static void k2_exp(int64_t begin, int64_t end, const double *restrict s1, double *restrict s2)
{
    for (int64_t i = begin; i < end; i++) {
        s2[i] = jg_exp_f64(s1[i]);
    }
}

struct k2_exp_args {
    const double *s1;
    double *s2;
};

static void k2_exp_range(void *arg, int64_t begin, int64_t end)
{
    const struct k2_exp_args *k = arg;
    k2_exp(begin, end, k->s1, k->s2);
}

// z0 = s0 * s2   (test_golden.py)
// s0: float64[n0,n1]  s2: float64[n0,n1]  z0: float64[n0,n1]
JG_INLINED void k3_mul(int64_t begin, int64_t end, const double *restrict s0,
                       const double *restrict s2, double *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        z0[i] = s0[i] * s2[i];
    }
}

struct k3_mul_args {
    const double *s0;
    const double *s2;
    double *z0;
    int stream;
};

static void k3_mul_range(void *arg, int64_t begin, int64_t end)
{
    const struct k3_mul_args *k = arg;
    if (k->stream) {
        JG_BLOCK_OF(double, z0);
        while (begin + JG_STREAM_BLOCK <= end) {
            k3_mul(begin, begin + JG_STREAM_BLOCK, k->s0, k->s2, jg_before(z0, begin * sizeof *z0));
            jg_stream(k->z0 + begin, z0, sizeof z0);
            begin += jg_stream_step(k->z0 + begin, sizeof *k->z0);
        }
        jg_stream_end();
    }
    k3_mul(begin, end, k->s0, k->s2, k->z0);
}

static void k0_add_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_add_args *args = g->args;
    struct k0_add_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0], k.a1 = p.data[1];
        k0_add_range(&k, p.begin, p.end);
    }
}

static void k1_neg_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k1_neg_args *args = g->args;
    struct k1_neg_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0];
        k1_neg_range(&k, p.begin, p.end);
    }
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_any_argument(host, args, 0, JG_F64, 2);
    const jg_array *in1 = jg_any_argument(host, args, 1, JG_F64, 2);
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
    const int64_t n1 = in0->dim[1];
    const int64_t n2 = in1->dim[0];
    const int64_t n3 = in1->dim[1];
    if (n0 != n2) {
        info[1] = 0, info[2] = n0, info[3] = n2;
        return JG_CHECK;
    }
    if (n1 != n3) {
        info[1] = 1, info[2] = n1, info[3] = n3;
        return JG_CHECK;
    }
    jg_view g0_view[2];
    jg_gather g0 = {0};
    if (jg_is_strided(in0, 8) || jg_is_strided(in1, 8)) {
        if (!host->strided)
            return JG_ORDER;
        g0_view[0] = host->strided->view_of(in0, 8, 1);
        g0_view[1] = host->strided->view_of(in1, 8, 1);
        g0 = host->strided->gather_of(host, g0_view, 2, n0*n1, 512, host->parallel_min);
    }
    jg_view g1_view[1];
    jg_gather g1 = {0};
    if (jg_is_strided(in0, 8)) {
        if (!host->strided)
            return JG_ORDER;
        g1_view[0] = host->strided->view_of(in0, 8, 1);
        g1 = host->strided->gather_of(host, g1_view, 1, n0*n1, 512, host->parallel_min);
    }
    const int64_t s0_at = 0;
    const int64_t s1_at = s0_at + jg_round_up(8*n0*n1);
    const int64_t s2_at = s1_at + jg_round_up(8*n0*n1);
    const int64_t g0_at = s2_at + jg_round_up(8*n0*n1);
    const int64_t g1_at = g0_at + jg_gather_bytes(&g0);
    const int64_t need = g1_at + jg_gather_bytes(&g1);
    const int64_t out0[] = {n0, n1};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 2, out0)) {
        info[4] = need;
        info[5] = out0[0];
        info[6] = out0[1];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    double *s0 = (double *)(scratch + s0_at);
    double *s1 = (double *)(scratch + s1_at);
    double *s2 = (double *)(scratch + s2_at);
    {
        struct k0_add_args k = {a0, a1, s0};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_add_gathered, &k);
        else
            jg_parallel_for(host->pool, n0*n1, 512, host->parallel_min, k0_add_range, &k);
    }
    {
        struct k1_neg_args k = {a0, s1};
        if (g1.views)
            jg_parallel_gather(host->pool, &g1, scratch + g1_at, k1_neg_gathered, &k);
        else
            jg_parallel_for(host->pool, n0*n1, 512, host->parallel_min, k1_neg_range, &k);
    }
    {
        struct k2_exp_args k = {s1, s2};
        jg_parallel_for(host->pool, n0*n1, 512, host->parallel_min, k2_exp_range, &k);
    }
    {
        struct k3_mul_args k = {s0, s2, z0, 8*n0*n1 >= host->stream_min};
        jg_parallel_for(host->pool, n0*n1, 512, host->parallel_min, k3_mul_range, &k);
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
