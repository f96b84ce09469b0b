#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_abreast.h"
#include "jg_arith.h"
#include "jg_blas.h"
#include "jg_gemm.h"
#include "jg_gemv.h"
#include "jg_hyperbolic.h"
#include "jg_pool.h"
#include "jg_reduce.h"

// z2 = tanh((s10 + a3) / 9.0)   (test_golden.py)
// s10: float64[n8]  a3: x[t] float64[n8]  z2: float64[n8]
static void k0s1_tanh(int64_t begin, int64_t end, const double *restrict s10,
                      const double *restrict a3, double *restrict z2)
{
    JG_ABREAST(4, double, i, begin, end, {
        const double t2 = s10[i] + a3[i];
        const double t3 = t2 / 9.0;
        z2[i] = jg_tanh_f64(t3);
    });
}

struct k0s1_tanh_args {
    const double *s10;
    const double *a3;
    double *z2;
};

static void k0s1_tanh_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0s1_tanh_args *k = arg;
    k0s1_tanh(begin, end, k->s10, k->a3, k->z2);
}

// z0 = sum(sqr(Subtensor(s0)))   (test_golden.py)
// s0: float64[n0,n2]
static void k1_sum(int64_t first, int64_t last, int64_t chunk, int64_t n2, int64_t n5,
                   const double *restrict s0, double *restrict sum2_of)
{
    for (int64_t c = first; c < last; c++) {
        const int64_t stop = jg_min((c + 1) * chunk, n2);
        double sum2 = 0.0, sum2_lost = 0.0;
        for (int64_t i0 = c * chunk; i0 < stop; i0 += JG_BLOCK) {
            const int64_t i1 = jg_min(i0 + JG_BLOCK, stop);
            double sum2_block;
            JG_SUM_LANES(sum2_block, i, i0, i1, {
                const double t0 = s0[n2*n5 + i];
                const double t1 = t0 * t0;
                value = t1;
            });
            JG_ADD(sum2, sum2_lost, sum2_block);
        }
        sum2_of[c] = sum2;
    }
}

struct k1_sum_args {
    int64_t chunk;
    int64_t n2;
    int64_t n5;
    const double *s0;
    double *sum2_of;
};

static void k1_sum_range(void *arg, int64_t begin, int64_t end)
{
    const struct k1_sum_args *k = arg;
    k1_sum(begin, end, k->chunk, k->n2, k->n5, k->s0, k->sum2_of);
}

// s2 = Alloc(0.0)   (test_golden.py)
// s2: float64[n0,n2]
static void k2_IncSubtensor(int64_t begin, int64_t end, double *restrict s2)
{
    for (int64_t i = begin; i < end; i++) {
        s2[i] = 0.0;
    }
}

struct k2_IncSubtensor_args {
    double *s2;
};

static void k2_IncSubtensor_range(void *arg, int64_t begin, int64_t end)
{
    const struct k2_IncSubtensor_args *k = arg;
    k2_IncSubtensor(begin, end, k->s2);
}

// s2[part] += Subtensor(s0) * 2.0   (test_golden.py)
// s0: float64[n0,n2]  s2: float64[n0,n2]
static void k3_IncSubtensor(int64_t begin, int64_t end, int64_t n2, int64_t n5,
                            const double *restrict s0, double *restrict s2)
{
    for (int64_t i = begin; i < end; i++) {
        const double t1 = s0[n2*n5 + i] * 2.0;
        s2[n2*n5 + i] += t1;
    }
}

struct k3_IncSubtensor_args {
    int64_t n2;
    int64_t n5;
    const double *s0;
    double *s2;
};

static void k3_IncSubtensor_range(void *arg, int64_t begin, int64_t end)
{
    const struct k3_IncSubtensor_args *k = arg;
    k3_IncSubtensor(begin, end, k->n2, k->n5, k->s0, k->s2);
}

// s3 = Alloc(0.0)   (test_golden.py)
// s3: float64[1,n2]
static void k4_Alloc(int64_t begin, int64_t end, double *restrict s3)
{
    for (int64_t j = begin; j < end; j++) {
        s3[j] = 0.0;
    }
}

struct k4_Alloc_args {
    double *s3;
};

static void k4_Alloc_range(void *arg, int64_t begin, int64_t end)
{
    const struct k4_Alloc_args *k = arg;
    k4_Alloc(begin, end, k->s3);
}

// z4 = ((a8 + a7) * (1.0 - sqr(a6))) / 9.0   (test_golden.py)
// a8: pending output 0[t-0] float64[n12]  a7: gradient of output 0 float64[n12]  a6: float64[n12]
// z4: float64[n12]
static void k5s0_true_div(int64_t begin, int64_t end, const double *restrict a8,
                          const double *restrict a7, const double *restrict a6, double *restrict z4)
{
    for (int64_t i = begin; i < end; i++) {
        const double t2 = a8[i] + a7[i];
        const double t3 = a6[i];
        const double t4 = t3 * t3;
        const double t5 = 1.0 - t4;
        const double t6 = t2 * t5;
        z4[i] = t6 / 9.0;
    }
}

struct k5s0_true_div_args {
    const double *a8;
    const double *a7;
    const double *a6;
    double *z4;
};

static void k5s0_true_div_range(void *arg, int64_t begin, int64_t end)
{
    const struct k5s0_true_div_args *k = arg;
    k5s0_true_div(begin, end, k->a8, k->a7, k->a6, k->z4);
}

// s7[part] = a1   (test_golden.py)
// a1: h0 float64[n2]  s7: float64[n6,n2]
static void k6_Join(int64_t begin, int64_t end, const double *restrict a1, double *restrict s7)
{
    for (int64_t j = begin; j < end; j++) {
        s7[j] = a1[j];
    }
}

struct k6_Join_args {
    const double *a1;
    double *s7;
};

static void k6_Join_range(void *arg, int64_t begin, int64_t end)
{
    const struct k6_Join_args *k = arg;
    k6_Join(begin, end, k->a1, k->s7);
}

// s7[part] = s0   (test_golden.py)
// s0: float64[n0,n2]  s7: float64[n6,n2]
static void k7_Join(int64_t begin, int64_t end, int64_t n2, const double *restrict s0,
                    double *restrict s7)
{
    for (int64_t i = begin; i < end; i++) {
        s7[i + n2] = s0[i];
    }
}

struct k7_Join_args {
    int64_t n2;
    const double *s0;
    double *s7;
};

static void k7_Join_range(void *arg, int64_t begin, int64_t end)
{
    const struct k7_Join_args *k = arg;
    k7_Join(begin, end, k->n2, k->s0, k->s7);
}

// s8 = Subtensor(s7)   (test_golden.py)
// s7: float64[n6,n2]  s8: float64[n0,n2]
static void k8_Subtensor(int64_t begin, int64_t end, const double *restrict s7, double *restrict s8)
{
    for (int64_t i = begin; i < end; i++) {
        s8[i] = s7[i];
    }
}

struct k8_Subtensor_args {
    const double *s7;
    double *s8;
};

static void k8_Subtensor_range(void *arg, int64_t begin, int64_t end)
{
    const struct k8_Subtensor_args *k = arg;
    k8_Subtensor(begin, end, k->s7, k->s8);
}

// z1 = Alloc(0.0)   (test_golden.py)
// z1: float64[n2,n2]
static void k9_Alloc(int64_t begin, int64_t end, double *restrict z1)
{
    for (int64_t i = begin; i < end; i++) {
        z1[i] = 0.0;
    }
}

struct k9_Alloc_args {
    double *z1;
};

static void k9_Alloc_range(void *arg, int64_t begin, int64_t end)
{
    const struct k9_Alloc_args *k = arg;
    k9_Alloc(begin, end, k->z1);
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 2, 8);
    const jg_array *in1 = jg_argument(host, args, 1, JG_F64, 1, 8);
    const jg_array *in2 = jg_argument(host, args, 2, JG_F64, 2, 8);
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
    const int64_t n3 = in2->dim[0];
    const int64_t n4 = in2->dim[1];
    const int64_t v0 = (int64_t)(n0 + (-1));
    const int64_t n5 = v0;
    const int64_t v1 = (int64_t)(1 + n0);
    const int64_t n6 = v1;
    const uint8_t v2 = n0 < 0;
    const int64_t v3 = (int64_t)(n0 + v1);
    const int64_t v4 = v2 ? v3 : n0;
    const int64_t v5 = v4 >= 0 ? v4 : 0;
    const int64_t v6 = v5 <= v1 ? v5 : v1;
    const int64_t v7 = (int64_t)(v6 - 0);
    const int64_t v8 = (int64_t)(-v7);
    const int64_t v9 = jg_floordiv_i64(v8, 1);
    const int64_t v10 = (int64_t)(-v9);
    const int64_t v11 = v10 >= 0 ? v10 : 0;
    const int64_t n7 = v11;
    if (n5 < 0 || n5 >= n0) {
        info[1] = 0, info[2] = n5, info[3] = n0;
        return JG_CHECK;
    }
    if (n0 < 0) {
        info[1] = 1, info[2] = n0, info[3] = 0;
        return JG_CHECK;
    }
    if (n2 < 0) {
        info[1] = 2, info[2] = n2, info[3] = 0;
        return JG_CHECK;
    }
    if (n5 < 0 || n5 >= n0) {
        info[1] = 3, info[2] = n5, info[3] = n0;
        return JG_CHECK;
    }
    if (n2 < 0) {
        info[1] = 4, info[2] = n2, info[3] = 0;
        return JG_CHECK;
    }
    if (n3 < 0) {
        info[1] = 5, info[2] = n3, info[3] = 0;
        return JG_CHECK;
    }
    if (n4 < 0) {
        info[1] = 6, info[2] = n4, info[3] = 0;
        return JG_CHECK;
    }
    if (n0 != n7) {
        info[1] = 7, info[2] = n0, info[3] = n7;
        return JG_CHECK;
    }
    if (n2 != n3) {
        info[1] = 8, info[2] = n2, info[3] = n3;
        return JG_CHECK;
    }
    if (n2 != n4) {
        info[1] = 9, info[2] = n2, info[3] = n4;
        return JG_CHECK;
    }
    const int64_t n8 = n2;
    const int64_t n9 = n2;
    const int64_t n10 = n2;
    const int64_t n11 = n1;
    if (n9 != n10) {
        info[1] = 10, info[2] = n9, info[3] = n10;
        return JG_CHECK;
    }
    if (n8 != n11) {
        info[1] = 11, info[2] = n8, info[3] = n11;
        return JG_CHECK;
    }
    if (n9 != n8) {
        info[1] = 12, info[2] = n9, info[3] = n8;
        return JG_CHECK;
    }
    const int64_t n12 = n2;
    const int64_t n13 = n2;
    const int64_t n14 = n2;
    const int64_t n15 = n2;
    const int64_t n16 = n2;
    if (n14 != n15) {
        info[1] = 13, info[2] = n14, info[3] = n15;
        return JG_CHECK;
    }
    if (n14 != n16) {
        info[1] = 14, info[2] = n14, info[3] = n16;
        return JG_CHECK;
    }
    if (n12 != n14) {
        info[1] = 15, info[2] = n12, info[3] = n14;
        return JG_CHECK;
    }
    if (n12 != n13) {
        info[1] = 16, info[2] = n12, info[3] = n13;
        return JG_CHECK;
    }
    const int64_t s0_at = 0;
    const int64_t s2_at = s0_at + jg_round_up(8*n0*n2);
    const int64_t s3_at = s2_at + jg_round_up(8*n0*n2);
    const int64_t s5_at = s3_at + jg_round_up(8*n2);
    const int64_t s7_at = s5_at + jg_round_up(8*n0*n2);
    const int64_t s8_at = s7_at + jg_round_up(8*n2*n6);
    const int64_t s10_at = s8_at + jg_round_up(8*n0*n2);
    const int64_t s12_at = s10_at + jg_round_up(8*n8);
    const int64_t need = s12_at + jg_round_up(16*n13);
    const int64_t out1[] = {n2, n2};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 1, 2, out1)) {
        info[4] = need;
        info[5] = out1[0];
        info[6] = out1[1];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    double *z1 = (double *)jg_output(host, outs, 1);
    double *s0 = (double *)(scratch + s0_at);
    double *s2 = (double *)(scratch + s2_at);
    double *s3 = (double *)(scratch + s3_at);
    double *s5 = (double *)(scratch + s5_at);
    double *s7 = (double *)(scratch + s7_at);
    double *s8 = (double *)(scratch + s8_at);
    double *s10 = (double *)(scratch + s10_at);
    double *s12 = (double *)(scratch + s12_at);
    /* scan rnn   (test_golden.py) */
    {
        const double *a5 = a2;
        const double *a4 = a1;
        for (int64_t t0 = 0; t0 < n0; t0++) {
            const double *a3 = a0 + t0*n1;
            double *z2 = s0 + t0*n2;
            jg_small_gemv_f64(host, 0, n8, n9, a5, a4, s10);
            {
                struct k0s1_tanh_args k = {s10, a3, z2};
                jg_parallel_for(host->pool, n8, 512, host->parallel_min, k0s1_tanh_range, &k);
            }
            a4 = z2;
        }
    }
    {
        const int64_t chunk = jg_chunk_length(n2, 1);
        const int64_t chunks = (n2 + chunk - 1) / chunk;
        double sum2_of[JG_CHUNKS];
        struct k1_sum_args k = {chunk, n2, n5, s0, sum2_of};
        jg_parallel_for(host->pool, chunks, 1, 2, k1_sum_range, &k);
        z0[0] = jg_block_sum_f64(sum2_of, chunks);
    }
    {
        struct k2_IncSubtensor_args k = {s2};
        jg_parallel_for(host->pool, n0*n2, 512, host->parallel_min, k2_IncSubtensor_range, &k);
    }
    {
        struct k3_IncSubtensor_args k = {n2, n5, s0, s2};
        jg_parallel_for(host->pool, n2, 512, host->parallel_min, k3_IncSubtensor_range, &k);
    }
    {
        struct k4_Alloc_args k = {s3};
        jg_parallel_for(host->pool, n2, 512, host->parallel_min, k4_Alloc_range, &k);
    }
    /* scan gradient of rnn   (test_golden.py) */
    {
        const double *a9 = a2;
        const double *a8 = s3;
        for (int64_t t1 = 0; t1 < n0; t1++) {
            const double *a6 = s0 + (n0*n2 - t1*n2 - n2);
            const double *a7 = s2 + (n0*n2 - t1*n2 - n2);
            double *z3 = s12 + t1 % 2 * (n13);
            double *z4 = s5 + (n0*n2 - t1*n2 - n2);
            {
                struct k5s0_true_div_args k = {a8, a7, a6, z4};
                jg_parallel_for(host->pool, n12, 512, host->parallel_min, k5s0_true_div_range, &k);
            }
            jg_small_gemv_f64(host, 1, n13, n12, a9, z4, z3);
            a8 = z3;
        }
    }
    {
        struct k6_Join_args k = {a1, s7};
        jg_parallel_for(host->pool, n2, 512, host->parallel_min, k6_Join_range, &k);
    }
    {
        struct k7_Join_args k = {n2, s0, s7};
        jg_parallel_for(host->pool, n0*n2, 512, host->parallel_min, k7_Join_range, &k);
    }
    {
        struct k8_Subtensor_args k = {s7, s8};
        jg_parallel_for(host->pool, n0*n2, 512, host->parallel_min, k8_Subtensor_range, &k);
    }
    {
        struct k9_Alloc_args k = {z1};
        jg_parallel_for(host->pool, n2*n2, 512, host->parallel_min, k9_Alloc_range, &k);
    }
    jg_gemm_f64(host, 1, 0, n2, n2, n0, 1.0, s5, s8, 1.0, z1, z1);
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
