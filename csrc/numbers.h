// Single numbers of 16 bits, as floats and back: the same for every instruction set.
//
// Under `simd.h` and `codes.cpp`. Each file that includes it has functions of its own: two files that are compiled for
// different machines must not share one.

#pragma once

#include <cstdint>
#include <cstring>

#define INLINE static inline __attribute__((always_inline))

namespace pagoda {

INLINE float as_float(uint16_t bits) {
    const uint32_t wide = uint32_t(bits) << 16;
    float x;
    std::memcpy(&x, &wide, sizeof x);
    return x;
}

// Nearest, ties to even; a NaN stays one.
INLINE uint16_t as_bf16(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return uint16_t((bits >> 16) | 0x40u);
    return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

INLINE float float_of_half(uint16_t bits) {
    const uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 31, mantissa = bits & 1023;
    if (exponent == 0) {
        const float tiny = float(mantissa) * 0x1p-24f;
        return sign ? -tiny : tiny;
    }
    const uint32_t wide = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | mantissa << 13;
    float x;
    std::memcpy(&x, &wide, sizeof x);
    return x;
}

}  // namespace pagoda
