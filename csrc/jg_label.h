/* Class labels must name a column before they are used as an index. */
#ifndef JG_LABEL_H
#define JG_LABEL_H

#include <stdint.h>

/* Position of the first label outside [0, columns), or -1. */
#define JG_LABELS(t, T)                                                                            \
    static inline int64_t jg_bad_label_##t(const T *label, int64_t n, int64_t columns)             \
    {                                                                                              \
        int bad = 0;                                                                               \
        for (int64_t i = 0; i < n; i++)                                                            \
            bad |= (uint64_t)(int64_t)label[i] >= (uint64_t)columns;                               \
        if (bad)                                                                                   \
            for (int64_t i = 0; i < n; i++)                                                        \
                if ((uint64_t)(int64_t)label[i] >= (uint64_t)columns)                              \
                    return i;                                                                      \
        return -1;                                                                                 \
    }                                                                                              \
    /* The same for an index that may also count from the end: outside [-length, length). */       \
    static inline int64_t jg_bad_index_##t(const T *index, int64_t n, int64_t length)              \
    {                                                                                              \
        for (int64_t i = 0; i < n; i++)                                                            \
            if ((int64_t)index[i] < -length || (int64_t)index[i] >= length)                        \
                return i;                                                                          \
        return -1;                                                                                 \
    }

JG_LABELS(i8, int8_t)
JG_LABELS(i16, int16_t)
JG_LABELS(i32, int32_t)
JG_LABELS(i64, int64_t)
JG_LABELS(u8, uint8_t)
JG_LABELS(u16, uint16_t)
JG_LABELS(u32, uint32_t)
JG_LABELS(u64, uint64_t)

#endif
