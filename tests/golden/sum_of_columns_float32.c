#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_pool.h"
#include "jg_reduce.h"

// z0 = sum(a0, axis=[0])   (test_golden.py)
// a0: x float32[n0,n1]  z0: float32[n1]
static void k0_sum(int64_t first, int64_t last, int64_t band, int64_t n1, int64_t n0,
                   const float *restrict a0, double *restrict z0_acc_of)
{
    for (int64_t c = first; c < last; c++) {
        const int64_t start = c * band;
        const int64_t stop = jg_min(start + band, n0);
        int64_t block = start;
        do {
            const int64_t end = jg_min(block + JG_BLOCK, stop);
            double *restrict z0_acc = z0_acc_of + (2*c + (block > start)) * (n1);
            for (int64_t e = 0; e < n1; e++)
                z0_acc[e] = 0.0;
            for (int64_t i = block; i < end; i++) {
                for (int64_t j = 0; j < n1; j++) {
                    const double t1 = (double)a0[i*n1 + j];
                    z0_acc[j] += t1;
                }
            }
            for (int64_t e = 0; block > start && e < n1; e++)
                z0_acc[e - (n1)] += z0_acc[e];
            block = end;
        } while (block < stop);
    }
}

struct k0_sum_args {
    int64_t band;
    int64_t n1;
    int64_t n0;
    const float *a0;
    double *z0_acc_of;
};

static void k0_sum_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_sum_args *k = arg;
    k0_sum(begin, end, k->band, k->n1, k->n0, k->a0, k->z0_acc_of);
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
    const int64_t k0_sum_bands = jg_band_count(n0, n1, n1);
    const int64_t z0_acc_of_at = 0;
    const int64_t need = z0_acc_of_at + jg_round_up(16*k0_sum_bands*n1);
    const int64_t out0[] = {n1};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 1, out0)) {
        info[4] = need;
        info[5] = out0[0];
        return JG_PLAN;
    }
    float *z0 = (float *)jg_output(host, outs, 0);
    double *z0_acc_of = (double *)(scratch + z0_acc_of_at);
    {
        const int64_t band = (n0 + k0_sum_bands - 1) / k0_sum_bands;
        struct k0_sum_args k = {band, n1, n0, a0, z0_acc_of};
        jg_parallel_for(host->pool, k0_sum_bands, 1, 2, k0_sum_range, &k);
        for (int64_t w = 1; w < k0_sum_bands; w *= 2)
            for (int64_t c = 0; c + w < k0_sum_bands; c += 2 * w)
                for (int64_t e = 0; e < n1; e++)
                    z0_acc_of[2*c*n1 + e] += z0_acc_of[2*(c + w)*n1 + e];
        for (int64_t e = 0; e < n1; e++)
            z0[e] = (float)z0_acc_of[e];
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
