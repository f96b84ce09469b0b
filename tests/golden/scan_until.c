#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_arith.h"
#include "jg_pool.h"
#include "jg_reduce.h"
#include "jg_stream.h"

// z2 = a2 * 2.0   (test_golden.py)
// s1 = any(gt(a2, 100.0))
// a2: x[t-1] float64[n2]  z2: float64[n2]
static void k0s0_mul_any(int64_t first, int64_t last, int64_t chunk, int64_t n2,
                         const double *restrict a2, double *restrict z2, uint8_t *restrict any3_of)
{
    for (int64_t c = first; c < last; c++) {
        const int64_t stop = jg_min((c + 1) * chunk, n2);
        uint8_t any3 = 0;
        for (int64_t i = c * chunk; i < stop; i++) {
            const double t0 = a2[i];
            z2[i] = t0 * 2.0;
            const uint8_t t2 = t0 > 100.0;
            any3 |= t2;
        }
        any3_of[c] = any3;
    }
}

struct k0s0_mul_any_args {
    int64_t chunk;
    int64_t n2;
    const double *a2;
    double *z2;
    uint8_t *any3_of;
};

static void k0s0_mul_any_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0s0_mul_any_args *k = arg;
    k0s0_mul_any(begin, end, k->chunk, k->n2, k->a2, k->z2, k->any3_of);
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 1, 8);
    jg_room room1;
    const void *in1 = jg_number(host, args, 1, JG_I64, &room1);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    if (!in1) {
        info[1] = 1;
        return JG_ARGUMENT;
    }
    const double *a0 = (const double *)in0->data;
    const int64_t *a1 = (const int64_t *)in1;
    const int64_t n0 = in0->dim[0];
    const int64_t v0 = a1[0];
    const int64_t n1 = v0;
    if (n1 < 0) {
        info[1] = 0, info[2] = n1, info[3] = 0;
        return JG_CHECK;
    }
    const int64_t n2 = n0;
    const int64_t s1_at = 0;
    const int64_t need = s1_at + jg_round_up(1);
    const int64_t out0[] = {n1, n0};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 2, out0)) {
        info[4] = need;
        info[5] = out0[0];
        info[6] = out0[1];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    int64_t *z1 = (int64_t *)jg_output(host, outs, 1);
    uint8_t *s1 = (uint8_t *)(scratch + s1_at);
    /* scan   (test_golden.py) */
    {
        const double *a2 = a0;
        int64_t t0 = 0;
        for (; t0 < n1; t0++) {
            double *z2 = z0 + t0*n0;
            uint8_t z3[1];
            {
                const int64_t chunk = jg_chunk_length(n2, 1);
                const int64_t chunks = (n2 + chunk - 1) / chunk;
                uint8_t any3_of[JG_CHUNKS];
                struct k0s0_mul_any_args k = {chunk, n2, a2, z2, any3_of};
                jg_parallel_for(host->pool, chunks, 1, 2, k0s0_mul_any_range, &k);
                uint8_t any3 = 0;
                for (int64_t c = 0; c < chunks; c++)
                    any3 |= any3_of[c];
                s1[0] = any3;
            }
            /* z3 = neq(s1, 0)   (test_golden.py) */
            {
                const int8_t t1 = (int8_t)s1[0];
                z3[0] = t1 != 0;
            }
            a2 = z2;
            if (z3[0]) {
                t0++;
                break;
            }
        }
        z1[0] = t0;
        __builtin_memset(z0 + t0*n0, 0, 8 * (n1 - t0) * n0);
    }
    return JG_OK;
}

// z0 = Subtensor(a0)   (test_golden.py)
// a0: float64[n0,n1]  z0: float64[n2,n1]
JG_INLINED void k1_0_Subtensor(int64_t begin, int64_t end, const double *restrict a0,
                               double *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        z0[i] = a0[i];
    }
}

struct k1_0_Subtensor_args {
    const double *a0;
    double *z0;
    int stream;
};

static void k1_0_Subtensor_range(void *arg, int64_t begin, int64_t end)
{
    const struct k1_0_Subtensor_args *k = arg;
    if (k->stream) {
        JG_BLOCK_OF(double, z0);
        while (begin + JG_STREAM_BLOCK <= end) {
            k1_0_Subtensor(begin, begin + JG_STREAM_BLOCK, k->a0,
                           jg_before(z0, begin * sizeof *z0));
            jg_stream(k->z0 + begin, z0, sizeof z0);
            begin += jg_stream_step(k->z0 + begin, sizeof *k->z0);
        }
        jg_stream_end();
    }
    k1_0_Subtensor(begin, end, k->a0, k->z0);
}

static int64_t segment_1(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    (void)scratch;
    const jg_array *in0 = jg_argument(host, args, 0, JG_F64, 2, 8);
    jg_room room1;
    const void *in1 = jg_number(host, args, 1, JG_I64, &room1);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    if (!in1) {
        info[1] = 1;
        return JG_ARGUMENT;
    }
    const double *a0 = (const double *)in0->data;
    const int64_t *a1 = (const int64_t *)in1;
    const int64_t n0 = in0->dim[0];
    const int64_t n1 = in0->dim[1];
    const int64_t v0 = a1[0];
    const uint8_t v1 = v0 < 0;
    const int64_t v2 = (int64_t)(v0 + n0);
    const int64_t v3 = v1 ? v2 : v0;
    const int64_t v4 = v3 >= 0 ? v3 : 0;
    const int64_t v5 = v4 <= n0 ? v4 : n0;
    const int64_t v6 = (int64_t)(v5 - 0);
    const int64_t v7 = (int64_t)(-v6);
    const int64_t v8 = jg_floordiv_i64(v7, 1);
    const int64_t v9 = (int64_t)(-v8);
    const int64_t v10 = v9 >= 0 ? v9 : 0;
    const int64_t n2 = v10;
    const int64_t out0[] = {n2, n1};
    if (!outs || !jg_output_fits(host, outs, 0, 2, out0)) {
        info[4] = 0;
        info[5] = out0[0];
        info[6] = out0[1];
        return JG_PLAN;
    }
    double *z0 = (double *)jg_output(host, outs, 0);
    {
        struct k1_0_Subtensor_args k = {a0, z0, 8*n1*n2 >= host->stream_min};
        jg_parallel_for(host->pool, n1*n2, 512, host->parallel_min, k1_0_Subtensor_range, &k);
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
    case 1: return segment_1(host, args, outs, scratch, info);
    default: return -1;
    }
}

JG_EXPORT int64_t jg_run(const jg_call *c);
int64_t jg_run(const jg_call *c)
{
    const intptr_t *t = c->tuples;
    return jg_entry(c->segment, c->host, t[0], t[1], c->scratch, c->info);
}
