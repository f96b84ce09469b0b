"""What the memory allows: copies and reads written by hand, to measure everything else against.

    copy      an array read, another written           c[i] = a[i]
    stream3   three arrays read, another written       d[i] = a[i] ^ b[i] ^ c[i]
    read      an array read                            s ^= a[i]
    read2     two arrays read                          s ^= a[i] ^ b[i]

Bits are moved, so the dtype does not matter. Loops run on the thread pool of compiled functions,
into memory that is there already. Stores are streaming ones (past the caches) where the processor
has them, or plain ones, which are faster where the caches hold all; the better of both counts.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

READS = {"copy": 1, "stream3": 3, "read": 1, "read2": 2}
WRITES = ("copy", "stream3")

SOURCE = r"""
#define JG_POOL_IMPLEMENTATION
#include "jg_abi.h"
#include "jg_pool.h"
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* 64 bytes: a cache line. Inputs may lie anywhere, the output begins with a line. */
typedef uint64_t line __attribute__((vector_size(64), aligned(8), may_alias));

typedef struct {
    const char *in[3];
    char *out;
    uint64_t *folded; /* one word: the readers' results, combined */
} job;

static inline line get(const char *p, int64_t i)
{
    return *(const line *)(p + 64 * i);
}

static inline void put(char *p, int64_t i, line v)
{
    *(line *)(p + 64 * i) = v;
}

static inline void stream(char *p, int64_t i, line v)
{
#if defined(__AVX512F__)
    _mm512_stream_si512((void *)(p + 64 * i), (__m512i)v);
#elif defined(__AVX__)
    __m256i part[2];
    memcpy(part, &v, 64);
    for (int k = 0; k < 2; k++)
        _mm256_stream_si256((__m256i *)(p + 64 * i) + k, part[k]);
#elif defined(__x86_64__)
    __m128i part[4];
    memcpy(part, &v, 64);
    for (int k = 0; k < 4; k++)
        _mm_stream_si128((__m128i *)(p + 64 * i) + k, part[k]);
#else
    put(p, i, v);
#endif
}

static inline void fence(void)
{
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

static void fold(const job *j, line s)
{
    uint64_t total = 0;
    for (int k = 0; k < 8; k++)
        total ^= s[k];
    __atomic_fetch_xor(j->folded, total, __ATOMIC_RELAXED);
}

static void copy_plain(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    for (int64_t i = begin; i < end; i++)
        put(j->out, i, get(j->in[0], i));
}

static void copy_stream(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    for (int64_t i = begin; i < end; i++)
        stream(j->out, i, get(j->in[0], i));
    fence();
}

static void three_plain(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    for (int64_t i = begin; i < end; i++)
        put(j->out, i, get(j->in[0], i) ^ get(j->in[1], i) ^ get(j->in[2], i));
}

static void three_stream(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    for (int64_t i = begin; i < end; i++)
        stream(j->out, i, get(j->in[0], i) ^ get(j->in[1], i) ^ get(j->in[2], i));
    fence();
}

static void read_one(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    line s[4] = {{0}};
    int64_t i = begin;
    for (; i + 4 <= end; i += 4)
        for (int k = 0; k < 4; k++)
            s[k] ^= get(j->in[0], i + k);
    for (; i < end; i++)
        s[0] ^= get(j->in[0], i);
    fold(j, s[0] ^ s[1] ^ s[2] ^ s[3]);
}

static void read_two(void *arg, int64_t begin, int64_t end)
{
    const job *j = arg;
    line s[2] = {{0}};
    int64_t i = begin;
    for (; i + 2 <= end; i += 2)
        for (int k = 0; k < 2; k++)
            s[k] ^= get(j->in[0], i + k) ^ get(j->in[1], i + k);
    for (; i < end; i++)
        s[0] ^= get(j->in[0], i) ^ get(j->in[1], i);
    fold(j, s[0] ^ s[1]);
}

/* info: lines of 64 bytes, addresses of three inputs and the output, result of the readers. */
JG_EXPORT int64_t jg_entry(int64_t kind, const jg_host *host, intptr_t args, intptr_t outs,
                           void *scratch, int64_t *info);
int64_t jg_entry(int64_t kind, const jg_host *host, intptr_t args, intptr_t outs, void *scratch,
                 int64_t *info)
{
    static const jg_range bodies[] = {copy_plain,   copy_stream, three_plain,
                                      three_stream, read_one,    read_two};
    uint64_t folded = 0;
    job j = {{(const char *)info[1], (const char *)info[2], (const char *)info[3]},
             (char *)info[4], &folded};
    (void)args, (void)outs, (void)scratch;
    /* Parts begin at pages of 4 KiB. */
    jg_parallel_for(host->pool, info[0], 64, 512, bodies[kind], &j);
    info[5] = (int64_t)folded;
    return JG_OK;
}
"""
_BODIES = {"copy": (0, 1), "stream3": (2, 3), "read": (4,), "read2": (5,)}


@cache
def _library() -> Any:
    from jitgraph.runtime.library import own_library
    from jitgraph.runtime.loader import host
    from jitgraph.runtime.threads import ensure_pool

    library = own_library(SOURCE, "memory limits")
    ensure_pool(library, host())
    return library


class Mover:
    """One of the loops above on given arrays, all of the same number of bytes.

    Whole lines of 64 bytes are moved, at most 63 bytes less than the arrays have.
    """

    def __init__(self, kind: str, inputs: list[Array]):
        from jitgraph.runtime._abi import ffi
        from jitgraph.runtime.buffers import allocate
        from jitgraph.runtime.loader import host

        self.kind, self.inputs = kind, inputs[: READS[kind]]
        if len({a.nbytes for a in self.inputs}) != 1 or len(self.inputs) != READS[kind]:
            raise ValueError(f"{kind} moves {READS[kind]} arrays of the same size")
        self.entry, self.host = _library().jg_entry, host()
        self.info = ffi.new("int64_t[]", 6)
        self.lines = self.info[0] = inputs[0].nbytes // 64
        for k, a in enumerate(self.inputs):
            self.info[1 + k] = a.ctypes.data
        self.out = np.zeros(0, np.uint8)
        if kind in WRITES:
            room = allocate((64 * self.lines + 64,), np.dtype(np.uint8))
            room.fill(0)  # the pages are there before anything is timed
            skip = -room.ctypes.data % 64
            self.out = room[skip : skip + 64 * self.lines]
            self.info[4] = self.out.ctypes.data
        self.body = min(_BODIES[kind], key=self._seconds)

    @property
    def bytes_moved(self) -> int:
        """By one run."""
        return 64 * self.lines * (READS[self.kind] + (self.kind in WRITES))

    def __call__(self) -> int:
        """Run the loop; the result of a reader, 0 of a writer."""
        self.entry(self.body, self.host, 0, 0, self.info + 0, self.info)
        return int(self.info[5])

    def _seconds(self, body: int) -> float:
        self.body = body
        self()
        found = []
        for _ in range(3):
            started = time.perf_counter()
            self()
            found.append(time.perf_counter() - started)
        return min(found)


def copy_rate(size: int, rounds: int = 5) -> float:
    """Bytes per second of the copy of `size` bytes (read and write counted), the best of rounds."""
    mover = Mover("copy", [np.ones(max(64, size), np.uint8)])
    best = np.inf
    for _ in range(rounds):
        started = time.perf_counter()
        mover()
        best = min(best, time.perf_counter() - started)
    return mover.bytes_moved / best
