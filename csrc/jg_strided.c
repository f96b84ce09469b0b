/* The functions behind jg_strided.h, a library of their own. */
#include "jg_strided.h"

#include <string.h>

enum { JG_SHORT = 32 }; /* elements of a row below which a loop along it is not worth its start */

static inline int64_t jg_magnitude(int64_t n)
{
    return n < 0 ? -n : n;
}

/* --- copying ---------------------------------------------------------------------------------- */

/* n elements at a distance of `stride` bytes. */
#define JG_COPY_ROW(T)                                                                             \
    static void jg_copy_row_##T(char *restrict to, const char *restrict from, int64_t stride,      \
                                int64_t n)                                                         \
    {                                                                                              \
        const int64_t item = sizeof(T);                                                            \
        T same;                                                                                    \
        if (stride == item) {                                                                      \
            memcpy(to, from, (size_t)(n * item));                                                  \
        } else if (stride == 0) {                                                                  \
            memcpy(&same, from, sizeof(T));                                                        \
            for (int64_t j = 0; j < n; j++)                                                        \
                memcpy(to + j * item, &same, sizeof(T));                                           \
        } else {                                                                                   \
            for (int64_t j = 0; j < n; j++)                                                        \
                memcpy(to + j * item, from + j * stride, sizeof(T));                               \
        }                                                                                          \
    }

/* n elements of each of `rows` rows: element j of row r from `from + r step + j stride` to
 * `to + r pitch + j`. Elements are moved by memcpy because they may lie at any address. Where the
 * rows lie closer together than their elements, eight of these are read along all rows: every line
 * is used up, and those of the next eight are asked for in time. */
#define JG_COPY(T)                                                                                 \
    static void jg_copy_##T(char *to, int64_t pitch, const char *from, int64_t step, int64_t rows, \
                            int64_t stride, int64_t n)                                             \
    {                                                                                              \
        const int64_t item = sizeof(T);                                                            \
        int64_t j = 0;                                                                             \
        if (rows == 1 || (jg_magnitude(step) >= jg_magnitude(stride) && n >= JG_SHORT)) {          \
            for (int64_t r = 0; r < rows; r++)                                                     \
                jg_copy_row_##T(to + r * pitch, from + r * step, stride, n);                       \
            return;                                                                                \
        }                                                                                          \
        for (; j + 8 <= n; j += 8)                                                                 \
            for (int64_t r = 0; r < rows; r++) {                                                   \
                const char *p = from + r * step + j * stride;                                      \
                char *q = to + r * pitch + j * item;                                               \
                if (j + 16 <= n)                                                                   \
                    __builtin_prefetch(p + (8 + (r & 7)) * stride - (r & 7) * step);               \
                for (int k = 0; k < 8; k++)                                                        \
                    memcpy(q + k * item, p + k * stride, sizeof(T));                               \
            }                                                                                      \
        for (; j < n; j++)                                                                         \
            for (int64_t r = 0; r < rows; r++)                                                     \
                memcpy(to + r * pitch + j * item, from + r * step + j * stride, sizeof(T));        \
    }

JG_COPY_ROW(uint8_t)
JG_COPY_ROW(uint16_t)
JG_COPY_ROW(uint32_t)
JG_COPY_ROW(uint64_t)
JG_COPY(uint8_t)
JG_COPY(uint16_t)
JG_COPY(uint32_t)
JG_COPY(uint64_t)

static void jg_copy(char *to, int64_t pitch, const char *from, int64_t step, int64_t rows,
                    int64_t stride, int64_t n, int64_t item)
{
    if (item == 8)
        jg_copy_uint64_t(to, pitch, from, step, rows, stride, n);
    else if (item == 4)
        jg_copy_uint32_t(to, pitch, from, step, rows, stride, n);
    else if (item == 2)
        jg_copy_uint16_t(to, pitch, from, step, rows, stride, n);
    else
        jg_copy_uint8_t(to, pitch, from, step, rows, stride, n);
}

/* --- gathering -------------------------------------------------------------------------------- */

/* Tiles are read along the axis whose elements lie closest together, if that is not the last. */
static void jg_choose_tile(jg_view *v)
{
    const int last = v->nd - 1;
    int64_t least = jg_magnitude(v->stride[last]);
    for (int k = 0; k < last; k++) {
        const int64_t stride = jg_magnitude(v->stride[k]);
        if (stride != 0 && stride < least)
            least = stride, v->tile = k;
    }
    if (v->tile < 0 && last > 0 && v->dim[last] < JG_SHORT)
        v->tile = last - 1; /* rather a few long columns than many short rows */
    for (int k = 0; k <= v->tile; k++)
        v->width /= v->dim[k];
}

static jg_view jg_view_of(const jg_array *a, int64_t item, int64_t row)
{
    jg_view v = {.data = a->data, .item = item, .row = row, .count = 1, .tile = -1};
    for (int k = 0; k < a->nd; k++)
        v.count *= a->dim[k];
    v.width = v.count;
    if (v.count == 0 || !jg_is_strided(a, item))
        return v;
    for (int k = 0; k < a->nd; k++) {
        if (a->dim[k] == 1)
            continue;
        if (v.nd && v.stride[v.nd - 1] == a->stride[k] * a->dim[k])
            v.dim[v.nd - 1] *= a->dim[k];
        else
            v.dim[v.nd++] = a->dim[k];
        v.stride[v.nd - 1] = a->stride[k];
    }
    if (v.nd == 0)
        v.dim[0] = 1, v.stride[0] = item, v.nd = 1;
    jg_choose_tile(&v);
    return v;
}

/* Of `rows` rows of `width` elements, from row `row` on, those at [first, first + n). The rows are
 * neighbours along the axis `tile`. */
static void jg_gather_tile(const jg_view *v, int64_t row, int64_t rows, int64_t first, int64_t n,
                           char *to, int64_t pitch)
{
    const int last = v->nd - 1;
    const int64_t stride = v->stride[last], step = v->tile < 0 ? 0 : v->stride[v->tile];
    const char *from = v->data;
    int64_t at[JG_AXES];
    for (int k = v->tile; k >= 0; row /= v->dim[k--])
        from += row % v->dim[k] * v->stride[k];
    for (int k = last; k > v->tile; first /= v->dim[k--]) {
        at[k] = first % v->dim[k];
        from += at[k] * v->stride[k];
    }
    for (;;) {
        const int64_t run = jg_min(n, v->dim[last] - at[last]);
        jg_copy(to, pitch, from, step, rows, stride, run, v->item);
        n -= run;
        if (n == 0)
            return;
        to += run * v->item;
        from -= at[last] * stride;
        at[last] = 0;
        for (int k = last - 1; k > v->tile; k--) {
            from += v->stride[k];
            if (++at[k] < v->dim[k])
                break;
            from -= v->dim[k] * v->stride[k];
            at[k] = 0;
        }
    }
}

/* The elements [first, first + n) in C order. */
static void jg_gather_range(const jg_view *v, int64_t first, int64_t n, char *to)
{
    while (n > 0) {
        const int64_t row = first / v->width, column = first % v->width;
        const int64_t run = jg_min(n, v->width - column);
        int64_t rows = 1;
        if (run == v->width && v->tile >= 0)
            rows = jg_min(n / run, v->dim[v->tile] - row % v->dim[v->tile]);
        jg_gather_tile(v, row, rows, column, run, to, run * v->item);
        first += rows * run;
        n -= rows * run;
        to += rows * run * v->item;
    }
}

/* --- pieces ----------------------------------------------------------------------------------- */

/* How a loop of n iterations over these arguments is divided: among threads, in multiples of align,
 * and into pieces. The threads are counted once, so that each finds memory of its own. */
static jg_gather jg_gather_of(const jg_host *host, jg_view *view, int views, int64_t n,
                              int64_t align, int64_t least)
{
    const int64_t threads = n < least ? 1 : jg_pool_threads(host->pool);
    const int64_t blocks = (n + align - 1) / align;
    int64_t bytes = 0, single = 1;
    jg_gather g = {host->strided, 0, view, views, n, 0, least, 0, 0, 0, 0};
    g.each = jg_max(1, (blocks + threads - 1) / threads) * align;
    for (int k = 0; k < views; k++)
        if (view[k].nd) {
            bytes += view[k].row * view[k].item;
            single &= view[k].row == 1;
        }
    g.step = single ? JG_PIECE : jg_max(1, JG_PIECE_BYTES / jg_max(1, bytes));
    g.step = jg_min(g.step, g.each);
    for (int k = 0; k < views; k++)
        if (view[k].nd) {
            view[k].place = g.room;
            const int64_t elements = jg_min(g.step * view[k].row, view[k].count);
            g.room += jg_round_up(elements * view[k].item);
            if (!single || g.step < JG_PIECE)
                continue;
            g.room += JG_TILE_ROWS * JG_LINE;
            if (!g.tiled && view[k].tile >= 0 && view[k].width >= JG_TILE_COLUMNS)
                g.tiled = &view[k];
        }
    return g;
}

/* Bytes from one row of a tile to the next: one line more than the rows take, because rows at a
 * distance of a power of two would compete for the same few places of the cache. */
static inline int64_t jg_pitch(const jg_piece *p, const jg_view *v)
{
    return jg_round_up(p->columns * v->item) + JG_LINE;
}

/* Gather the tile (or the only row) that begins at iteration `start`. */
static void jg_fill_piece(const jg_piece *p)
{
    for (int k = 0; k < p->gather->views; k++) {
        const jg_view *v = &p->gather->view[k];
        char *to = p->memory + v->place;
        if (v->nd == 0)
            continue;
        if (p->rows == 1) {
            const int64_t first = p->start * v->row;
            jg_gather_range(v, first, jg_min(p->columns * v->row, v->count - first), to);
            continue;
        }
        const int64_t row = p->start / v->width, length = v->tile < 0 ? 0 : v->dim[v->tile];
        if (v->width == p->gather->tiled->width && length && row % length + p->rows <= length)
            jg_gather_tile(v, row, p->rows, p->start % v->width, p->columns, to, jg_pitch(p, v));
        else
            for (int64_t r = 0; r < p->rows; r++)
                jg_gather_range(v, p->start + r * p->gather->tiled->width, p->columns,
                                to + r * jg_pitch(p, v));
    }
}

/* Begin with the iterations from `start` on: whole rows where tiles are wanted and possible. */
static void jg_begin_band(jg_piece *p)
{
    const jg_view *t = p->gather->tiled;
    p->rows = 1;
    p->stop = p->last;
    if (!t)
        return;
    const int64_t row = p->start / t->width, length = t->dim[t->tile];
    p->stop = jg_min(p->last, (row + 1) * t->width);
    if (p->start % t->width == 0 && p->stop == (row + 1) * t->width)
        p->rows = jg_min(jg_min(JG_TILE_ROWS, (p->last - p->start) / t->width),
                         length - row % length);
}

/* jg_next_piece. */
static int jg_find_next_piece(jg_piece *p)
{
    const jg_gather *g = p->gather;
    const int64_t width = g->tiled ? g->tiled->width : 0;
    if (++p->row >= p->rows) {
        p->row = 0;
        p->start += p->columns;
        if (p->start == p->stop) {
            p->start += (p->rows - 1) * width;
            if (p->start >= p->last)
                return 0;
            jg_begin_band(p);
        }
        p->columns = jg_min(p->stop - p->start, p->rows > 1 ? JG_TILE_COLUMNS : g->step);
        jg_fill_piece(p);
    }
    p->begin = p->start + p->row * width;
    p->end = p->begin + p->columns;
    for (int k = 0; k < g->views; k++) {
        const jg_view *v = &g->view[k];
        /* Where an array would begin whose part is here; it does not exist: a number, no pointer */
        const uintptr_t here = (uintptr_t)(p->memory + v->place + p->row * jg_pitch(p, v));
        const uintptr_t before = (uintptr_t)(p->begin * v->row * v->item);
        p->data[k] = v->nd ? (const void *)(here - before) : v->data;
    }
    return 1;
}

/* info[0] receives the address of the functions. */
JG_EXPORT int64_t jg_entry(int64_t segment, const jg_host *host, intptr_t args, intptr_t outs,
                           void *scratch, int64_t *info);
int64_t jg_entry(int64_t segment, const jg_host *host, intptr_t args, intptr_t outs, void *scratch,
                 int64_t *info)
{
    static const jg_strided functions = {jg_view_of, jg_gather_of, jg_find_next_piece};
    (void)segment, (void)host, (void)args, (void)outs, (void)scratch;
    info[0] = (int64_t)(intptr_t)&functions;
    return JG_OK;
}
