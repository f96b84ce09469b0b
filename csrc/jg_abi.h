/* How generated code reads its arguments: NumPy arrays, straight from their objects.
 *
 * The entry of a library gets the address of a tuple of arrays. The layout of a tuple and of an
 * array object is part of the public C interfaces of CPython and NumPy (PyTupleObject,
 * PyArrayObject_fields), as is that a float (PyFloatObject) and a NumPy number (arrayscalars.h) have
 * their value behind the header; that of an int (PyLongObject) is not promised. What differs between
 * interpreters comes in jg_host, and the loader has checked it in this process before the first
 * call. No Python.h is needed.
 */
#ifndef JG_ABI_H
#define JG_ABI_H

#include <stdint.h>
#include <string.h>

#define JG_EXPORT __attribute__((visibility("default")))
/* A function that is small against what is done with its result: written out at each of its uses it
 * would only cost the compiler time. */
#define JG_CALLED static __attribute__((noinline, unused))

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
    intptr_t float_type;       /* float */
    intptr_t int_type;         /* int, 0: it is not known how its values lie in memory */
    int64_t int_is_tagged;     /* whether their first word is a tag (from CPython 3.12 on) */
    int64_t rounds_floats;     /* whether a float may be rounded to float32 (config.floatX) */
    intptr_t number_type[16];  /* NumPy's types of single numbers, in the order of jg_dtype */
} jg_host;

/* A call of jg_entry, of which all but the items of a list stay the same from call to call: one
 * address is passed in less time than six arguments are converted.
 */
typedef struct {
    int64_t segment;
    const jg_host *host;
    const intptr_t *tuples; /* the items: arguments, outputs */
    void *scratch;
    int64_t *info;
} jg_call;

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
JG_CALLED int jg_is_contiguous(const jg_array *a, int64_t item)
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
JG_CALLED const jg_array *jg_any_argument(const jg_host *host, intptr_t tuple, int64_t i,
                                              enum jg_dtype dtype, int nd)
{
    const void *object = jg_item(host, tuple, i);
    const jg_array *a = jg_fields(host, object);
    if (((const intptr_t *)a)[-1] != host->ndarray_type || a->descr != host->descr[dtype])
        return 0;
    return a->nd == nd ? a : 0;
}

/* The same for an array in C order only. */
JG_CALLED const jg_array *jg_argument(const jg_host *host, intptr_t tuple, int64_t i,
                                          enum jg_dtype dtype, int nd, int64_t item)
{
    const jg_array *a = jg_any_argument(host, tuple, i, dtype, nd);
    return a && (a->flags & JG_ALIGNED_AND_NATIVE) && jg_is_contiguous(a, item) ? a : 0;
}

/* A number in C, made of one of Python. */
typedef union {
    int64_t i64;
    int32_t i32;
    int16_t i16;
    int8_t i8;
    double f64;
    float f32;
} jg_room;

/* The value of an int of at most two digits of 30 bits: the word behind the header is the number of
 * digits, with the sign of the value, or 8 times their number plus 0 (positive), 1 (zero) or 2
 * (negative). INT64_MIN if it has more.
 */
JG_CALLED int64_t jg_int_value(const jg_host *host, const void *value)
{
    const int64_t word = *(const int64_t *)value;
    const uint32_t *digit = (const uint32_t *)value + 2;
    const int negative = host->int_is_tagged ? (word & 3) == 2 : word < 0;
    const int64_t digits = host->int_is_tagged ? word >> 3 : negative ? -word : word;
    if (digits > 2)
        return INT64_MIN;
    const int64_t size = digits == 0   ? 0
                         : digits == 1 ? digit[0]
                                       : digit[0] | (int64_t)digit[1] << 30;
    return negative ? -size : size;
}

/* x as a number of the given dtype; 0 if that has no such number, or none of its neighbours. */
JG_CALLED const void *jg_from_int(int64_t x, enum jg_dtype dtype, jg_room *room)
{
    static const int8_t bits[] = {
        [JG_BOOL] = 0, [JG_I8] = 7,   [JG_I16] = 15, [JG_I32] = 31, [JG_I64] = 60, [JG_U8] = 8,
        [JG_U16] = 16, [JG_U32] = 32, [JG_U64] = 60, [JG_F32] = 24, [JG_F64] = 53,
    };
    const int64_t end = (int64_t)1 << bits[dtype];
    const int is_unsigned = dtype >= JG_U8 && dtype <= JG_U64;
    if (dtype == JG_BOOL || x >= end || x < (is_unsigned ? 0 : -end))
        return 0;
    if (dtype == JG_F64)
        room->f64 = (double)x;
    else if (dtype == JG_F32)
        room->f32 = (float)x;
    else if (dtype == JG_I8 || dtype == JG_U8)
        room->i8 = (int8_t)x;
    else if (dtype == JG_I16 || dtype == JG_U16)
        room->i16 = (int16_t)x;
    else if (dtype == JG_I32 || dtype == JG_U32)
        room->i32 = (int32_t)x;
    else
        room->i64 = x;
    return room;
}

/* Where the value of argument i is: an array of no axes or a NumPy number of the given dtype, or a
 * Python number of which that dtype loses nothing (or what is allowed), converted into `room` if
 * need be. 0 if it is anything else. Numbers do not change, and the tuple keeps them alive.
 */
JG_CALLED const void *jg_number(const jg_host *host, intptr_t tuple, int64_t i,
                                    enum jg_dtype dtype, jg_room *room)
{
    const void *value = jg_fields(host, jg_item(host, tuple, i));
    const intptr_t type = ((const intptr_t *)value)[-1];
    if (type == host->number_type[dtype] || (dtype == JG_F64 && type == host->float_type))
        return value;
    if (type == host->float_type && dtype == JG_F32) {
        const double x = *(const double *)value;
        room->f32 = (float)x;
        const int rounded = host->rounds_floats && __builtin_isfinite(room->f32);
        return room->f32 == x || x != x || rounded ? room : 0;
    }
    if (type == host->int_type)
        return jg_from_int(jg_int_value(host, value), dtype, room);
    const jg_array *a = jg_any_argument(host, tuple, i, dtype, 0);
    return a && (a->flags & JG_ALIGNED_AND_NATIVE) ? a->data : 0;
}

/* Whether output i has the lengths that follow from the arguments. */
JG_CALLED int jg_output_fits(const jg_host *host, intptr_t tuple, int64_t i, int nd,
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

/* The integer by way of which a double becomes an int32 or a shorter one. The vectors of NEON turn
 * doubles into int64 only, of which the lower half is taken, but its scalar instruction saturates:
 * if this were not said, a number beyond int32 would be another one in the remainder of a loop. */
#if defined(__aarch64__)
typedef int64_t jg_cut;
#else
typedef int32_t jg_cut;
#endif

/* 1 where `truth` is 1, else 0, by its bits, 2^62 - 2^52 and 2^30 - 2^23.  With a choice between two
 * constants the compiler would compute on its own what follows, and what it makes of 1 / 0 cut to an
 * integer is not what the processor does. */
static inline double jg_one_if_f64(uint8_t truth)
{
    const uint64_t bits = ((uint64_t)truth << 62) - ((uint64_t)truth << 52);
    double one;
    memcpy(&one, &bits, sizeof one);
    return one;
}
static inline float jg_one_if_f32(uint8_t truth)
{
    const uint32_t bits = ((uint32_t)truth << 30) - ((uint32_t)truth << 23);
    float one;
    memcpy(&one, &bits, sizeof one);
    return one;
}

/* n rounded up to a multiple of 64: where the next scratch array begins. */
static inline int64_t jg_round_up(int64_t n)
{
    return (n + 63) & ~(int64_t)63;
}

#endif
