#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_blas.h"
#include "jg_gemv.h"
#include "jg_pool.h"
#include "jg_reduce.h"
#include "jg_sweep.h"

// s1 = sum(sqr(s0 - 1.0))   (test_golden.py, test_golden.py)
// s2 = ((1.0 / float64(length)) * (s0 - 1.0)) * 2.0
// s0: float64[n0]  s2: float64[n0]
static void k1_sum_mul(int64_t first, int64_t last, int64_t chunk, int64_t n0, double n3,
                       const double *restrict s0, double *restrict s2, double *restrict sum3_of)
{
    for (int64_t c = first; c < last; c++) {
        const int64_t stop = jg_min((c + 1) * chunk, n0);
        double sum3 = 0.0, sum3_lost = 0.0;
        for (int64_t i0 = c * chunk; i0 < stop; i0 += JG_BLOCK) {
            const int64_t i1 = jg_min(i0 + JG_BLOCK, stop);
            double sum3_part[JG_BLOCK];
            for (int64_t i = i0; i < i1; i++) {
                const double t1 = s0[i] - 1.0;
                const double t2 = t1 * t1;
                const double t4 = 1.0 / n3;
                const double t5 = t4 * t1;
                s2[i] = t5 * 2.0;
                sum3_part[i - i0] = t2;
            }
            JG_ADD(sum3, sum3_lost, jg_block_sum_f64(sum3_part, i1 - i0));
        }
        sum3_of[c] = sum3;
    }
}

struct k1_sum_mul_args {
    int64_t chunk;
    int64_t n0;
    double n3;
    const double *s0;
    double *s2;
    double *sum3_of;
};

static void k1_sum_mul_range(void *arg, int64_t begin, int64_t end)
{
    const struct k1_sum_mul_args *k = arg;
    k1_sum_mul(begin, end, k->chunk, k->n0, k->n3, k->s0, k->s2, k->sum3_of);
}

// z0 = s1 / float64(length)   (test_golden.py)
// s1: float64[]  z0: float64[]
static void k2_true_div(double n3, const double *restrict s1, double *restrict z0)
{
    z0[0] = s1[0] / n3;
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 2, 8);
    const jg_array *in1 = jg_argument(host, args, 1, JG_F64, 1, 8);
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
    const double *a1 = (const double *)in1->data;
    const double *a2 = (const double *)in2;
    const int64_t n0 = in0->dim[0];
    const int64_t n1 = in0->dim[1];
    const int64_t n2 = in1->dim[0];
    const double v0 = (double)n0;
    const double n3 = v0;
    if (n1 != n2) {
        info[1] = 0, info[2] = n1, info[3] = n2;
        return JG_CHECK;
    }
    const int64_t w0_tile = jg_sweep_tile(n0, n1, 8);
    const int64_t w0_parts = jg_sweep_parts(n0, n1, 8);
    const int64_t s0_at = 0;
    const int64_t s1_at = s0_at + jg_round_up(8*n0);
    const int64_t s2_at = s1_at + jg_round_up(8);
    const int64_t w0_part_at = s2_at + jg_round_up(8*n0);
    const int64_t sum3_of_at = w0_part_at + jg_round_up(8*w0_parts*n1);
    const int64_t need = sum3_of_at + jg_round_up(8*n0);
    const int64_t out1[] = {n1};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 1, 1, out1)) {
        info[4] = need;
        info[5] = out1[0];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    double *z1 = (double *)jg_output(host, outs, 1);
    double *s0 = (double *)(scratch + s0_at);
    double *s1 = (double *)(scratch + s1_at);
    double *s2 = (double *)(scratch + s2_at);
    double *w0_part = (double *)(scratch + w0_part_at);
    double *sum3_of = (double *)(scratch + sum3_of_at);
    {
        const int64_t chunk = w0_tile ? w0_tile : jg_chunk_length(n0, 1);
        const int64_t chunks = (n0 + chunk - 1) / chunk;
        struct k1_sum_mul_args k = {chunk, n0, n3, s0, s2, sum3_of};
        const jg_rowwise rows = {k1_sum_mul_range, &k, chunks, 1, 2, chunk};
        jg_sweep_f64(host, n0, n1, a0, a1, s0, rows, s2, z1, w0_part);
        s1[0] = jg_long_sum_f64(sum3_of, chunks);
    }
    jg_scale_add_f64(n1, -a2[0], 1.0, a1, z1);
    k2_true_div(n3, s1, z0);
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
