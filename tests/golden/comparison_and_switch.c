#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_pool.h"
#include "jg_stream.h"
#include "jg_strided.h"

// z0 = switch(lt(a0, a1), a0, 0.5)   (test_golden.py)
// a0: x float32[n0]  a1: y float32[n0]  z0: float32[n0]
JG_INLINED void k0_switch(int64_t begin, int64_t end, const float *restrict a0,
                          const float *restrict a1, float *restrict z0)
{
    for (int64_t i = begin; i < end; i++) {
        const float t0 = a0[i];
        const uint8_t t2 = t0 < a1[i];
        z0[i] = t2 ? t0 : 0.5f;
    }
}

struct k0_switch_args {
    const float *a0;
    const float *a1;
    float *z0;
    int stream;
};

static void k0_switch_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_switch_args *k = arg;
    if (k->stream) {
        JG_BLOCK_OF(float, z0);
        while (begin + JG_STREAM_BLOCK <= end) {
            k0_switch(begin, begin + JG_STREAM_BLOCK, k->a0, k->a1,
                      jg_before(z0, begin * sizeof *z0));
            jg_stream(k->z0 + begin, z0, sizeof z0);
            begin += jg_stream_step(k->z0 + begin, sizeof *k->z0);
        }
        jg_stream_end();
    }
    k0_switch(begin, end, k->a0, k->a1, k->z0);
}

static void k0_switch_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_switch_args *args = g->args;
    struct k0_switch_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0], k.a1 = p.data[1];
        k0_switch_range(&k, p.begin, p.end);
    }
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_any_argument(host, args, 0, JG_F32, 1);
    const jg_array *in1 = jg_any_argument(host, args, 1, JG_F32, 1);
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
    const int64_t n1 = in1->dim[0];
    if (n0 != n1) {
        info[1] = 0, info[2] = n0, info[3] = n1;
        return JG_CHECK;
    }
    jg_view g0_view[2];
    jg_gather g0 = {0};
    if (jg_is_strided(in0, 4) || jg_is_strided(in1, 4)) {
        if (!host->strided)
            return JG_ORDER;
        g0_view[0] = host->strided->view_of(in0, 4, 1);
        g0_view[1] = host->strided->view_of(in1, 4, 1);
        g0 = host->strided->gather_of(host, g0_view, 2, n0, 512, host->parallel_min);
    }
    const int64_t g0_at = 0;
    const int64_t need = g0_at + jg_gather_bytes(&g0);
    const int64_t out0[] = {n0};
    if (!outs || info[0] < need || !jg_output_fits(host, outs, 0, 1, out0)) {
        info[4] = need;
        info[5] = out0[0];
        return JG_PLAN;
    }
    float *z0 = (float *)jg_output(host, outs, 0);
    {
        struct k0_switch_args k = {a0, a1, z0, 4*n0 >= host->stream_min};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_switch_gathered, &k);
        else
            jg_parallel_for(host->pool, n0, 512, host->parallel_min, k0_switch_range, &k);
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
