/* Arguments that are not in C order, for loops that count their elements in C order.
 *
 * Slices, transposed and reversed arrays, arrays that repeat themselves along an axis (stride 0) and
 * unaligned ones are gathered piece by piece into memory that stays in the cache; the same function
 * that runs on arrays in C order runs on each piece, with pointers to where those arrays would begin.
 * So the results have the same bits, and no argument is ever copied as a whole.
 *
 * The outermost loop has n iterations; iteration i reads the elements [i row, (i + 1) row) of an
 * argument. A piece is a range of iterations. Where they read one element each and an argument lies
 * transposed, the pieces are the rows of a tile: the tile is read along the axis whose elements are
 * neighbours in memory, so that a line of the cache is fetched once.
 */
#ifndef JG_STRIDED_H
#define JG_STRIDED_H

#include <stdint.h>

#include "jg_abi.h"
#include "jg_pool.h"

enum {
    JG_AXES = 8,              /* of an argument that is gathered, at most */
    JG_VIEWS = 16,            /* gathered arguments of a loop, at most */
    JG_PIECE = 8192,          /* iterations of a piece, where they read one element each */
    JG_TILE_ROWS = 32,        /* rows of a tile … */
    JG_TILE_COLUMNS = 256,    /* … and their elements: together a piece */
    JG_PIECE_BYTES = 1 << 20, /* of all arguments in a piece, where an iteration reads more */
    JG_LINE = 64
};

/* An argument in any order. Axes behind one another in memory as in C order are merged to one. */
typedef struct {
    const char *data;
    int64_t item;  /* bytes of an element */
    int64_t row;   /* elements that an iteration reads */
    int64_t count; /* elements */
    int64_t place; /* of its pieces, in the memory of a thread */
    int nd;        /* axes; 0: in C order, nothing to gather */
    int tile;      /* the axis along which tiles are read, -1: none */
    int64_t width; /* elements behind one position of that axis; all of them if there is none */
    int64_t dim[JG_AXES], stride[JG_AXES];
} jg_view;

typedef struct jg_gather jg_gather;
typedef struct jg_piece jg_piece;

/* The functions of jg_strided.c. They are compiled once for all and loaded when the first argument
 * comes that needs them: to compile them with every loop would take longer than many a loop. */
struct jg_strided {
    jg_view (*view_of)(const jg_array *a, int64_t item, int64_t row);
    jg_gather (*gather_of)(const jg_host *host, jg_view *view, int views, int64_t n, int64_t align,
                           int64_t least);
    int (*next_piece)(jg_piece *p);
};

/* What a loop gathers. */
struct jg_gather {
    const jg_strided *functions;
    const void *args; /* of the function that runs on arrays in C order */
    const jg_view *view;
    int views;            /* 0: all arguments are in C order */
    int64_t n;            /* iterations */
    int64_t each, least;  /* at most so many are a thread's; below so many there is one thread */
    int64_t step;         /* iterations of a piece, at most */
    int64_t room;         /* bytes of memory of a thread */
    const jg_view *tiled; /* the argument that decides on the tiles, 0: no tiles */
    char *memory;
};

/* One piece, and what is needed to find the next. */
struct jg_piece {
    const jg_gather *gather;
    char *memory;
    int64_t begin, end;       /* the iterations of the piece */
    int64_t last;             /* where the iterations of this thread end */
    int64_t start, columns;   /* of the first row of the tile */
    int64_t rows, row;        /* of the tile (1: no tile), and which of them is the piece */
    int64_t stop;             /* where the first row of a band of tiles ends */
    const void *data[JG_VIEWS]; /* where the arguments would begin */
};

static inline int jg_is_strided(const jg_array *a, int64_t item)
{
    return !(a->flags & JG_ALIGNED_AND_NATIVE) || !jg_is_contiguous(a, item);
}

/* Memory that the loop needs for its pieces. */
static inline int64_t jg_gather_bytes(const jg_gather *g)
{
    return g->views ? (g->n + g->each - 1) / g->each * g->room : 0;
}

static inline void jg_parallel_gather(intptr_t pool, jg_gather *g, char *memory, jg_range body,
                                      const void *args)
{
    g->memory = memory;
    g->args = args;
    jg_parallel_for(pool, g->n, g->each, g->least, body, g);
}

/* Ranges begin at multiples of `each`, so no two of them have the same memory. */
static inline jg_piece jg_first_piece(const jg_gather *g, int64_t begin, int64_t end)
{
    jg_piece p;
    p.gather = g;
    p.memory = g->memory + begin / g->each * g->room;
    p.start = p.stop = begin;
    p.last = end;
    p.rows = 1, p.row = 0, p.columns = 0;
    return p;
}

/* Go on to the next piece; 0 if there is none. */
static inline int jg_next_piece(jg_piece *p)
{
    return p->gather->functions->next_piece(p);
}

#endif
