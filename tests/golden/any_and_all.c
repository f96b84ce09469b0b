#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_pool.h"
#include "jg_reduce.h"
#include "jg_strided.h"

// z0 = any(a0)   (test_golden.py)
// z1 = all(a0)
// a0: x bool[n0]
static void k0_any_all(int64_t first, int64_t last, int64_t chunk, int64_t n0,
                       const uint8_t *restrict a0, uint8_t *restrict any1_of,
                       uint8_t *restrict all2_of)
{
    for (int64_t c = first; c < last; c++) {
        const int64_t stop = jg_min((c + 1) * chunk, n0);
        uint8_t any1 = 0;
        uint8_t all2 = 1;
        for (int64_t i = c * chunk; i < stop; i++) {
            const uint8_t t0 = a0[i];
            any1 |= t0;
            all2 &= t0;
        }
        any1_of[c] = any1;
        all2_of[c] = all2;
    }
}

struct k0_any_all_args {
    int64_t chunk;
    int64_t n0;
    const uint8_t *a0;
    uint8_t *any1_of;
    uint8_t *all2_of;
};

static void k0_any_all_range(void *arg, int64_t begin, int64_t end)
{
    const struct k0_any_all_args *k = arg;
    k0_any_all(begin, end, k->chunk, k->n0, k->a0, k->any1_of, k->all2_of);
}

static void k0_any_all_gathered(void *arg, int64_t begin, int64_t end)
{
    const jg_gather *g = arg;
    const struct k0_any_all_args *args = g->args;
    struct k0_any_all_args k = *args;
    for (jg_piece p = jg_first_piece(g, begin, end); jg_next_piece(&p);) {
        k.a0 = p.data[0];
        k0_any_all_range(&k, p.begin, p.end);
    }
}

static int64_t segment_0(const jg_host *host, intptr_t args, intptr_t outs, char *scratch,
                         int64_t *info)
{
    const jg_array *in0 = jg_any_argument(host, args, 0, JG_BOOL, 1);
    if (!in0) {
        info[1] = 0;
        return JG_ARGUMENT;
    }
    const uint8_t *a0 = (const uint8_t *)in0->data;
    const int64_t n0 = in0->dim[0];
    jg_view g0_view[1];
    jg_gather g0 = {0};
    if (jg_is_strided(in0, 1)) {
        if (!host->strided)
            return JG_ORDER;
        const int64_t chunk = jg_chunk_length(n0, 1);
        g0_view[0] = host->strided->view_of(in0, 1, chunk);
        g0 = host->strided->gather_of(host, g0_view, 1, (n0 + chunk - 1) / chunk, 1, 2);
    }
    const int64_t g0_at = 0;
    const int64_t need = g0_at + jg_gather_bytes(&g0);
    if (!outs || info[0] < need) {
        info[4] = need;
        return JG_PLAN;
    }
    uint8_t *z0 = (uint8_t *)jg_output(host, outs, 0);
    uint8_t *z1 = (uint8_t *)jg_output(host, outs, 1);
    {
        const int64_t chunk = jg_chunk_length(n0, 1);
        const int64_t chunks = (n0 + chunk - 1) / chunk;
        uint8_t any1_of[JG_CHUNKS];
        uint8_t all2_of[JG_CHUNKS];
        struct k0_any_all_args k = {chunk, n0, a0, any1_of, all2_of};
        if (g0.views)
            jg_parallel_gather(host->pool, &g0, scratch + g0_at, k0_any_all_gathered, &k);
        else
            jg_parallel_for(host->pool, chunks, 1, 2, k0_any_all_range, &k);
        uint8_t any1 = 0;
        for (int64_t c = 0; c < chunks; c++)
            any1 |= any1_of[c];
        z0[0] = any1;
        uint8_t all2 = 1;
        for (int64_t c = 0; c < chunks; c++)
            all2 &= all2_of[c];
        z1[0] = all2;
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
