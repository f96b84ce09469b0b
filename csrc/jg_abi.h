/* How generated code reads its arguments: NumPy arrays, straight from their objects.
 *
 * The entry of a library gets the address of a tuple of arrays. The layout of a tuple and of an
 * array object is part of the public C interfaces of CPython and NumPy (PyTupleObject,
 * PyArrayObject_fields); the offsets that differ between interpreters come in jg_host, and the
 * loader has checked them in this process before the first call. No Python.h is needed.
 */
#ifndef JG_ABI_H
#define JG_ABI_H

#include <stdint.h>

#define JG_EXPORT __attribute__((visibility("default")))

typedef struct jg_blas jg_blas;
typedef struct jg_strided jg_strided;

/* The address of a table of constants, as one whose contents the compiler does not know. GCC 12
 * (-march=x86-64-v4) copies 32 bytes or more of constants of which the first words are equal and
 * the others 0, such as {1.0, 1.0, 0.0, 0.0}, as if all of them were equal.
 */
static inline const void *jg_table(const void *p)
{
    __asm__("" : "+r"(p));
    return p;
}

typedef struct {
    int64_t object_header; /* bytes before the fields of an object */
    int64_t tuple_items;   /* bytes before the first item of a tuple */
    intptr_t ndarray_type; /* numpy.ndarray */
    intptr_t descr[16];    /* the native dtype objects, in the order of jg_dtype */
    intptr_t pool;         /* thread pool, 0: serial */
    const jg_blas *blas;
    int64_t parallel_min; /* elements below which a loop stays on one thread */
    int64_t stream_min;   /* bytes of results from which a loop writes past the caches */
    const jg_strided *strided; /* how arguments that are not in C order are read, 0: not loaded */
} jg_host;

enum jg_dtype {
    JG_BOOL, JG_I8, JG_I16, JG_I32, JG_I64, JG_U8, JG_U16, JG_U32, JG_U64, JG_F32, JG_F64
};

/* The fields of an array object behind its header (PyArrayObject_fields of NumPy). */
typedef struct {
    char *data;
    int nd;
    int64_t *dim;
    int64_t *stride;
    void *base;
    intptr_t descr;
    int flags;
} jg_array;

enum { JG_ALIGNED_AND_NATIVE = 0x0100 };

/* What an entry returns. */
enum {
    JG_OK = 0,
    JG_ARGUMENT = 1, /* info[1]: an argument that is not a plain array of the declared kind */
    JG_CHECK = 2,    /* info[1]: number of the check, info[2..3]: the two lengths */
    JG_LABEL = 3,    /* info[1]: number of the check, info[2]: position, info[3]: the label */
    JG_PLAN = 4,     /* info[4]: bytes of scratch, info[5..]: lengths of the outputs, one by one */
    JG_MEMORY = 5,   /* a row buffer could not be had */
    JG_ORDER = 6     /* an argument is not in C order and jg_host has no functions for that */
};

static inline void *jg_item(const jg_host *host, intptr_t tuple, int64_t i)
{
    return ((void **)(tuple + host->tuple_items))[i];
}

static inline const jg_array *jg_fields(const jg_host *host, const void *object)
{
    return (const jg_array *)((const char *)object + host->object_header);
}

/* Whether the elements lie one behind another in C order (axes of length 1 may have any stride). */
static inline int jg_is_contiguous(const jg_array *a, int64_t item)
{
    int64_t expected = item;
    int in_order = 1;
    for (int i = a->nd - 1; i >= 0; i--) {
        if (a->dim[i] == 0)
            return 1; /* no elements; NumPy sets all strides to 0 */
        if (a->dim[i] != 1 && a->stride[i] != expected)
            in_order = 0;
        expected *= a->dim[i];
    }
    return in_order;
}

/* Argument i as an array of nd axes and the given dtype, in any order; 0 if it is anything else. */
static inline const jg_array *jg_any_argument(const jg_host *host, intptr_t tuple, int64_t i,
                                              enum jg_dtype dtype, int nd)
{
    const void *object = jg_item(host, tuple, i);
    const jg_array *a = jg_fields(host, object);
    if (((const intptr_t *)a)[-1] != host->ndarray_type || a->descr != host->descr[dtype])
        return 0;
    return a->nd == nd ? a : 0;
}

/* The same for an array in C order only. */
static inline const jg_array *jg_argument(const jg_host *host, intptr_t tuple, int64_t i,
                                          enum jg_dtype dtype, int nd, int64_t item)
{
    const jg_array *a = jg_any_argument(host, tuple, i, dtype, nd);
    return a && (a->flags & JG_ALIGNED_AND_NATIVE) && jg_is_contiguous(a, item) ? a : 0;
}

/* Whether output i has the lengths that follow from the arguments. */
static inline int jg_output_fits(const jg_host *host, intptr_t tuple, int64_t i, int nd,
                                 const int64_t *dim)
{
    const jg_array *a = jg_fields(host, jg_item(host, tuple, i));
    for (int k = 0; k < nd; k++)
        if (a->dim[k] != dim[k])
            return 0;
    return 1;
}

static inline char *jg_output(const jg_host *host, intptr_t tuple, int64_t i)
{
    return jg_fields(host, jg_item(host, tuple, i))->data;
}

static inline int64_t jg_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t jg_max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* n rounded up to a multiple of 64: where the next scratch array begins. */
static inline int64_t jg_round_up(int64_t n)
{
    return (n + 63) & ~(int64_t)63;
}

#endif
