/* Stores past the caches, for results that are too large to be found there again.
 *
 * A loop makes a block of its result in memory that stays in the cache; jg_stream sends it on in
 * whole lines, which need not be read first.
 */
#ifndef JG_STREAM_H
#define JG_STREAM_H

#include <stdint.h>
#include <string.h>

/* Elements. So few that the stores of a block, 8 to 16 lines, wait in the processor's queue while the
 * next block is computed: blocks of 4 KiB held it up, and took sigmoid a tenth longer. */
enum { JG_STREAM_BLOCK = 128 };

/* Of a kernel that is short enough to be compiled into the loop over the blocks. */
#define JG_INLINED static inline __attribute__((always_inline))

#define JG_BLOCK_OF(T, name) T name[JG_STREAM_BLOCK] __attribute__((aligned(64)))

/* p - bytes: where an array would begin whose element i is *p. Such an array does not exist, so the
 * address is computed as a number. */
#define jg_before(p, bytes) ((__typeof__(&(p)[0]))((uintptr_t)(p) - (uintptr_t)(bytes)))

#if defined(__AVX512F__)
enum { JG_STREAM_WORD = 64 };
#elif defined(__AVX__)
enum { JG_STREAM_WORD = 32 };
#else
enum { JG_STREAM_WORD = 16 };
#endif
typedef double jg_stream_word __attribute__((vector_size(JG_STREAM_WORD)));

/* One store of a vector to an aligned address. GCC has it for x86 only; elsewhere it is a store as
 * any other (processors notice by themselves that whole lines are written). */
static inline void jg_stream_store(jg_stream_word *to, jg_stream_word value)
{
#if defined(__clang__)
    __builtin_nontemporal_store(value, to);
#elif defined(__AVX512F__)
    __builtin_ia32_movntpd512((double *)to, value);
#elif defined(__AVX__)
    __builtin_ia32_movntpd256((double *)to, value);
#elif defined(__SSE2__)
    __builtin_ia32_movntpd((double *)to, value);
#else
    *to = value;
#endif
}

/* Copy a block. What lies before the first whole line of `to` and behind the last one is stored as
 * usual: arrays of NumPy begin 16 bytes behind a line, where two blocks meet in one. */
static inline void jg_stream(void *to, const void *from, size_t bytes)
{
    typedef double loose __attribute__((vector_size(JG_STREAM_WORD), aligned(1), may_alias));
    const size_t before = -(uintptr_t)to % 64;
    if (before) {
        const size_t head = before < bytes ? before : bytes;
        memcpy(to, from, head);
        to = (char *)to + head, from = (const char *)from + head, bytes -= head;
    }
    const size_t whole = bytes - bytes % JG_STREAM_WORD;
    for (size_t i = 0; i < whole; i += JG_STREAM_WORD)
        jg_stream_store((jg_stream_word *)((char *)to + i),
                        *(const loose *)((const char *)from + i));
    if (bytes > whole)
        memcpy((char *)to + whole, (const char *)from + whole, bytes - whole);
}

/* How many elements behind a block, stored at `to`, the next begins: where a line does, if need be
 * with the last elements of this one once more. */
static inline int64_t jg_stream_step(const void *to, size_t item)
{
    return JG_STREAM_BLOCK - (int64_t)((uintptr_t)to % 64 / item);
}

/* Bytes of a row that are stored at a time, while the next row is computed: as few for the same
 * reason. */
enum { JG_STREAM_BYTES = 512 };

/* How far a row that is stored at `to` is done when `end` of its n elements are: to the end of a
 * line, which lies behind `end`. */
static inline int64_t jg_stream_until(const void *to, int64_t end, int64_t n, size_t item)
{
    const int64_t until = end + (int64_t)(-((uintptr_t)to + (size_t)end * item) % 64 / item);
    return until < n ? until : n;
}

/* Ask for the memory that begins a little behind `from`. A processor sees by itself where a loop reads
 * on and on, but not where it reads a part of a row that comes and a part of one that it knows. */
static inline void jg_fetch(const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)from + 4096 + i), 0, 2);
}

/* Ask for what is read a second time a little behind `from`: for a row that lies in the second cache
 * or the third. */
static inline void jg_fetch_again(const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64)
        __builtin_prefetch((const void *)((uintptr_t)from + 1024 + i), 0, 3);
}

/* After the last block of a thread: its stores become visible before whatever it does next. */
static inline void jg_stream_end(void)
{
#if defined(__SSE2__)
    __builtin_ia32_sfence();
#endif
}

#endif
