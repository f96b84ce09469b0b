/* Rounding to an integral value: floor, ceil, trunc, rint (half to even), round (half away), and
 * sqrt.  With SSE4.1 or on AArch64 each is an instruction or two; otherwise adding and subtracting
 * 2^52 rounds to an integer without a call.  All results are exact; the sign of zero is kept. */
#ifndef JG_ROUND_H
#define JG_ROUND_H

#include "jg_bits.h"

#if defined(__SSE4_1__) || defined(__aarch64__)
JG_MATH double jg_rint_f64(double x) { return __builtin_rint(x); }
JG_MATH float jg_rint_f32(float x) { return __builtin_rintf(x); }
JG_MATH double jg_floor_f64(double x) { return __builtin_floor(x); }
JG_MATH float jg_floor_f32(float x) { return __builtin_floorf(x); }
JG_MATH double jg_ceil_f64(double x) { return __builtin_ceil(x); }
JG_MATH float jg_ceil_f32(float x) { return __builtin_ceilf(x); }
JG_MATH double jg_trunc_f64(double x) { return __builtin_trunc(x); }
JG_MATH float jg_trunc_f32(float x) { return __builtin_truncf(x); }
#else
JG_MATH double jg_rint_f64(double x) {
    const double a = jg_magnitude_f64(x);
    return jg_with_sign_f64(a < 0x1p52 ? (a + 0x1p52) - 0x1p52 : a, x);
}
JG_MATH float jg_rint_f32(float x) {
    const float a = jg_magnitude_f32(x);
    return jg_with_sign_f32(a < 0x1p23f ? (a + 0x1p23f) - 0x1p23f : a, x);
}
JG_MATH double jg_floor_f64(double x) {
    const double r = jg_rint_f64(x);
    return jg_with_sign_f64(r > x ? r - 1.0 : r, x);
}
JG_MATH float jg_floor_f32(float x) {
    const float r = jg_rint_f32(x);
    return jg_with_sign_f32(r > x ? r - 1.0f : r, x);
}
JG_MATH double jg_ceil_f64(double x) { return -jg_floor_f64(-x); }
JG_MATH float jg_ceil_f32(float x) { return -jg_floor_f32(-x); }
JG_MATH double jg_trunc_f64(double x) {
    return jg_with_sign_f64(jg_floor_f64(jg_magnitude_f64(x)), x);
}
JG_MATH float jg_trunc_f32(float x) {
    return jg_with_sign_f32(jg_floor_f32(jg_magnitude_f32(x)), x);
}
#endif

/* Half away from zero.  Adding the number below 1/2 cannot carry 0.49999999999999994 to 1, and
 * every true half still rounds up in the addition. */
JG_MATH double jg_round_f64(double x) {
    return jg_with_sign_f64(jg_trunc_f64(jg_magnitude_f64(x) + 0x1.fffffffffffffp-2), x);
}
JG_MATH float jg_round_f32(float x) {
    return jg_with_sign_f32(jg_trunc_f32(jg_magnitude_f32(x) + 0x1.fffffep-2f), x);
}

/* Correctly rounded by the hardware. */
JG_MATH double jg_sqrt_f64(double x) { return __builtin_sqrt(x); }
JG_MATH float jg_sqrt_f32(float x) { return __builtin_sqrtf(x); }

#endif
