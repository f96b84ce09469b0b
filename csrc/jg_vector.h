/* Vectors of the machine's own width, for kernels that keep their sums in registers.
 *
 * The compiler splits the operations where its target has shorter ones. Loads and stores go through
 * jg_loose types, which need no more than the alignment of an element.
 */
#ifndef JG_VECTOR_H
#define JG_VECTOR_H

#include <stdint.h>

#if defined(__AVX512F__)
#define JG_VECTOR_BYTES 64
#elif defined(__AVX__)
#define JG_VECTOR_BYTES 32
#else
#define JG_VECTOR_BYTES 16
#endif

#define JG_VECTOR_TYPES(t, T, I)                                                                   \
    typedef T jg_real_##t;                                                                         \
    typedef T jg_vector_##t __attribute__((vector_size(JG_VECTOR_BYTES)));                         \
    typedef I jg_mask_##t __attribute__((vector_size(JG_VECTOR_BYTES)));                           \
    typedef T jg_loose_##t                                                                         \
        __attribute__((vector_size(JG_VECTOR_BYTES), aligned(sizeof(T)), may_alias));              \
    enum { JG_LANES_##t = JG_VECTOR_BYTES / sizeof(T) };

JG_VECTOR_TYPES(f32, float, int32_t)
JG_VECTOR_TYPES(f64, double, int64_t)

/* a * b + c in one rounding, where the machine has that: compiled code is otherwise told not to
 * make one operation of two. JG_CONTRACT stands first in the body of a function between
 * JG_FUSED_BEGIN and JG_FUSED_END. An optimisation level that a user asks for must not change which
 * operations are joined, so it is stated here. */
#if defined(__clang__)
#define JG_CONTRACT _Pragma("clang fp contract(fast)")
#define JG_WIDE __attribute__((min_vector_width(8 * JG_VECTOR_BYTES)))
#define JG_FUSED_BEGIN
#define JG_FUSED_END
#else
#define JG_CONTRACT
#define JG_WIDE
#define JG_FUSED_BEGIN                                                                             \
    _Pragma("GCC push_options") _Pragma("GCC optimize(\"O3\", \"fp-contract=fast\")")
#define JG_FUSED_END _Pragma("GCC pop_options")
#endif

/* The same for code that every function with a product compiles, so that it is compiled fast: sums
 * have names or stand in arrays whose loops say that they must vanish (JG_UNROLL). */
#if defined(__clang__)
#define JG_UNROLL
#define JG_BRIEF_BEGIN
#define JG_BRIEF_END
#else
#define JG_UNROLL _Pragma("GCC unroll 16")
#define JG_BRIEF_BEGIN                                                                             \
    _Pragma("GCC push_options")                                                                    \
        _Pragma("GCC optimize(\"O1\", \"expensive-optimizations\", \"fp-contract=fast\")")
#define JG_BRIEF_END _Pragma("GCC pop_options")
#endif

/* Of two vectors, the lower halves element by element in turn, and the upper halves. */
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define JG_SHUFFLE(x, y, ...) __builtin_shufflevector(x, y, __VA_ARGS__)
#define JG_HAS_SHUFFLE 1
#endif
#endif
#ifndef JG_HAS_SHUFFLE
#define JG_SHUFFLE(x, y, ...) ((x) + (y)) /* never run */
#define JG_HAS_SHUFFLE 0
#endif
#define JG_LOW_2 0, 2
#define JG_HIGH_2 1, 3
#define JG_LOW_4 0, 4, 1, 5
#define JG_HIGH_4 2, 6, 3, 7
#define JG_LOW_8 0, 8, 1, 9, 2, 10, 3, 11
#define JG_HIGH_8 4, 12, 5, 13, 6, 14, 7, 15
#define JG_LOW_16 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23
#define JG_HIGH_16 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31

#if JG_VECTOR_BYTES == 64
#define JG_LOW_f32 JG_LOW_16
#define JG_HIGH_f32 JG_HIGH_16
#define JG_LOW_f64 JG_LOW_8
#define JG_HIGH_f64 JG_HIGH_8
#elif JG_VECTOR_BYTES == 32
#define JG_LOW_f32 JG_LOW_8
#define JG_HIGH_f32 JG_HIGH_8
#define JG_LOW_f64 JG_LOW_4
#define JG_HIGH_f64 JG_HIGH_4
#else
#define JG_LOW_f32 JG_LOW_4
#define JG_HIGH_f32 JG_HIGH_4
#define JG_LOW_f64 JG_LOW_2
#define JG_HIGH_f64 JG_HIGH_2
#endif

#endif
