// A vector of floats, as wide as this machine has them: the few operations that the kernels are written in.
//
// Under every kernel, above none. Included once by each file of `isa/`, which is compiled for one instruction set, into a
// namespace of its own: two files must not share one inline function, or the linker keeps whichever it met first.
//
// One rule stands above speed: what a lane computes depends on that lane alone. So a sum's order is written down where
// the sum is, and the same number comes out whatever else a vector holds.

#pragma once

#include <cstdint>
#include <cstring>

#include "numbers.h"

#if defined(PAGODA_AVX512) || defined(PAGODA_AVX2)
#include <immintrin.h>
#elif defined(PAGODA_NEON)
#include <arm_neon.h>
#endif

#define INLINE_MEMBER inline __attribute__((always_inline))
#define INLINE_LAMBDA __attribute__((always_inline))
#define UNROLLED _Pragma("GCC unroll 32")

namespace PAGODA_ISA {

using pagoda::as_bf16;
using pagoda::as_float;

#if defined(PAGODA_AVX512)

constexpr int WIDTH = 16;
typedef __m512 Floats;

INLINE Floats zeros() { return _mm512_setzero_ps(); }
INLINE Floats all(float x) { return _mm512_set1_ps(x); }
INLINE Floats load(const float* from) { return _mm512_loadu_ps(from); }
INLINE void store(float* to, Floats x) { _mm512_storeu_ps(to, x); }
INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return _mm512_fmadd_ps(a, b, c); }
INLINE Floats add(Floats a, Floats b) { return _mm512_add_ps(a, b); }
INLINE Floats subtract(Floats a, Floats b) { return _mm512_sub_ps(a, b); }
INLINE Floats multiply(Floats a, Floats b) { return _mm512_mul_ps(a, b); }
INLINE Floats divide(Floats a, Floats b) { return _mm512_div_ps(a, b); }
INLINE Floats larger(Floats a, Floats b) { return _mm512_max_ps(a, b); }
INLINE Floats smaller(Floats a, Floats b) { return _mm512_min_ps(a, b); }
INLINE Floats rounded(Floats x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE Floats scaled(Floats x, Floats n) { return _mm512_scalef_ps(x, n); }  // x 2^n, whole n of -151 to 129
INLINE Floats chosen_if_less(Floats a, Floats b, Floats then, Floats otherwise) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), otherwise, then);
}
// A bit for each lane in which both are the same number.
INLINE uint32_t equal_lanes(Floats a, Floats b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
INLINE Floats load_bf16(const uint16_t* from) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
INLINE void load_pairs(const uint16_t* from, Floats& first, Floats& second) {
    const __m512i bits = _mm512_loadu_si512(from);
    first = _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
    second = _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
}
// The bits of bf16 in the upper half of each lane: nearest, ties to even; a NaN stays one.
INLINE __m512i bf16_bits(Floats x) {
    const __m512i bits = _mm512_castps_si512(x), last = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(last, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    return _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
}
INLINE void store_bf16(uint16_t* to, Floats x) {
    const __m512i bits = _mm512_srli_epi32(bf16_bits(x), 16);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(bits));
}
INLINE Floats rounded_to_bf16(Floats x) {
    return _mm512_castsi512_ps(_mm512_and_si512(bf16_bits(x), _mm512_set1_epi32(static_cast<int>(0xffff0000))));
}
template <int WHICH>
INLINE __m256 half(Floats x) {
    return _mm256_castpd_ps(_mm512_maskz_extractf64x4_pd(255, _mm512_castps_pd(x), WHICH));
}
// The sum of all lanes by halves: lane i and lane i + WIDTH / 2 first.
INLINE float total(Floats x) {
    const __m256 eight = _mm256_add_ps(half<0>(x), half<1>(x));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}
INLINE float largest(Floats x) {
    const __m256 eight = _mm256_max_ps(half<0>(x), half<1>(x));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

#if defined(PAGODA_DOTS)
typedef __m512i Pairs;

INLINE Pairs load_bits(const uint16_t* from) { return _mm512_loadu_si512(from); }
INLINE Pairs all_pairs(uint32_t pair) { return _mm512_set1_epi32(static_cast<int>(pair)); }
// sum + the two products of each lane's pairs.
INLINE Floats dot(Pairs a, Pairs b, Floats sum) { return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b); }
// As `store_bf16`, but numbers below the smallest normal one become zero, as `dot` takes them anyway; what is stored.
INLINE Floats store_for_dot(uint16_t* to, Floats x) {
    const __m256i bits = (__m256i)_mm512_cvtneps_pbh(x);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), bits);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
#endif

#elif defined(PAGODA_AVX2)

constexpr int WIDTH = 8;
typedef __m256 Floats;

INLINE Floats zeros() { return _mm256_setzero_ps(); }
INLINE Floats all(float x) { return _mm256_set1_ps(x); }
INLINE Floats load(const float* from) { return _mm256_loadu_ps(from); }
INLINE void store(float* to, Floats x) { _mm256_storeu_ps(to, x); }
INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return _mm256_fmadd_ps(a, b, c); }
INLINE Floats add(Floats a, Floats b) { return _mm256_add_ps(a, b); }
INLINE Floats subtract(Floats a, Floats b) { return _mm256_sub_ps(a, b); }
INLINE Floats multiply(Floats a, Floats b) { return _mm256_mul_ps(a, b); }
INLINE Floats divide(Floats a, Floats b) { return _mm256_div_ps(a, b); }
INLINE Floats larger(Floats a, Floats b) { return _mm256_max_ps(a, b); }
INLINE Floats smaller(Floats a, Floats b) { return _mm256_min_ps(a, b); }
INLINE Floats rounded(Floats x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE Floats power_of_two(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
INLINE Floats scaled(Floats x, Floats n) {
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return _mm256_mul_ps(_mm256_mul_ps(x, power_of_two(half)), power_of_two(_mm256_sub_epi32(whole, half)));
}
INLINE Floats chosen_if_less(Floats a, Floats b, Floats then, Floats otherwise) {
    return _mm256_blendv_ps(otherwise, then, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
INLINE uint32_t equal_lanes(Floats a, Floats b) { return uint32_t(_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ))); }
INLINE Floats load_bf16(const uint16_t* from) {
    const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}
INLINE void load_pairs(const uint16_t* from, Floats& first, Floats& second) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    first = _mm256_castsi256_ps(_mm256_slli_epi32(bits, 16));
    second = _mm256_castsi256_ps(_mm256_and_si256(bits, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
}
INLINE void store_bf16(uint16_t* to, Floats x) {
    const __m256i bits = _mm256_castps_si256(x), last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(last, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i halves = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, is_nan), 16);
    const __m128i low = _mm256_castsi256_si128(halves), high = _mm256_extracti128_si256(halves, 1);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_packus_epi32(low, high));
}

#elif defined(PAGODA_NEON)

constexpr int WIDTH = 4;
typedef float32x4_t Floats;

INLINE Floats zeros() { return vdupq_n_f32(0.0f); }
INLINE Floats all(float x) { return vdupq_n_f32(x); }
INLINE Floats load(const float* from) { return vld1q_f32(from); }
INLINE void store(float* to, Floats x) { vst1q_f32(to, x); }
INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
INLINE Floats add(Floats a, Floats b) { return vaddq_f32(a, b); }
INLINE Floats subtract(Floats a, Floats b) { return vsubq_f32(a, b); }
INLINE Floats multiply(Floats a, Floats b) { return vmulq_f32(a, b); }
INLINE Floats divide(Floats a, Floats b) { return vdivq_f32(a, b); }
INLINE Floats larger(Floats a, Floats b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
INLINE Floats smaller(Floats a, Floats b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
INLINE Floats rounded(Floats x) { return vrndnq_f32(x); }
INLINE Floats power_of_two(int32x4_t n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }
INLINE Floats scaled(Floats x, Floats n) {
    const int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    return vmulq_f32(vmulq_f32(x, power_of_two(half)), power_of_two(vsubq_s32(whole, half)));
}
INLINE Floats chosen_if_less(Floats a, Floats b, Floats then, Floats otherwise) {
    return vbslq_f32(vcltq_f32(a, b), then, otherwise);
}
INLINE Floats load_bf16(const uint16_t* from) { return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(from), 16)); }
INLINE void load_pairs(const uint16_t* from, Floats& first, Floats& second) {
    const uint32x4_t bits = vreinterpretq_u32_u16(vld1q_u16(from));
    first = vreinterpretq_f32_u32(vshlq_n_u32(bits, 16));
    second = vreinterpretq_f32_u32(vandq_u32(bits, vdupq_n_u32(0xffff0000u)));
}

#else  // portable: what every compiler makes something of

constexpr int WIDTH = 4;
typedef float Floats __attribute__((vector_size(16)));
typedef int32_t Integers __attribute__((vector_size(16)));
typedef uint32_t Bits __attribute__((vector_size(16)));

INLINE Floats all(float x) { return Floats{x, x, x, x}; }
INLINE Floats zeros() { return all(0.0f); }
INLINE Floats load(const float* from) {
    Floats x;
    std::memcpy(&x, from, sizeof x);
    return x;
}
INLINE void store(float* to, Floats x) { std::memcpy(to, &x, sizeof x); }
INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return a * b + c; }
INLINE Floats add(Floats a, Floats b) { return a + b; }
INLINE Floats subtract(Floats a, Floats b) { return a - b; }
INLINE Floats multiply(Floats a, Floats b) { return a * b; }
INLINE Floats divide(Floats a, Floats b) { return a / b; }
INLINE Floats chosen_if_less(Floats a, Floats b, Floats then, Floats otherwise) {
    const Integers mask = a < b;
    const Integers bits = ((Integers)then & mask) | ((Integers)otherwise & ~mask);
    return (Floats)bits;
}
INLINE Floats larger(Floats a, Floats b) { return chosen_if_less(b, a, a, b); }
INLINE Floats smaller(Floats a, Floats b) { return chosen_if_less(a, b, a, b); }
INLINE Floats rounded(Floats x) {  // below 2^22, which is all that `exponential` asks
    const Floats magic = all(12582912.0f);
    return (x + magic) - magic;
}
INLINE Floats scaled(Floats x, Floats n) {
    const Integers whole = __builtin_convertvector(n, Integers), half = whole >> 1;
    return x * (Floats)((half + 127) << 23) * (Floats)((whole - half + 127) << 23);
}
INLINE Floats load_bf16(const uint16_t* from) {
    const Bits bits = {uint32_t(from[0]) << 16, uint32_t(from[1]) << 16, uint32_t(from[2]) << 16, uint32_t(from[3]) << 16};
    return (Floats)bits;
}
INLINE void load_pairs(const uint16_t* from, Floats& first, Floats& second) {
    Bits bits;
    std::memcpy(&bits, from, sizeof bits);
    first = (Floats)(bits << 16);
    second = (Floats)(bits & 0xffff0000u);
}

#endif

// ---- what follows is written in the operations above, once for all machines

#if !defined(PAGODA_AVX512) && !defined(PAGODA_AVX2)
INLINE void store_bf16(uint16_t* to, Floats x) {
    float lanes[WIDTH];
    store(lanes, x);
    for (int lane = 0; lane < WIDTH; ++lane) to[lane] = as_bf16(lanes[lane]);
}
INLINE uint32_t equal_lanes(Floats a, Floats b) {
    float of_a[WIDTH], of_b[WIDTH];
    store(of_a, a);
    store(of_b, b);
    uint32_t lanes = 0;
    for (int lane = 0; lane < WIDTH; ++lane) lanes |= uint32_t(of_a[lane] == of_b[lane]) << lane;
    return lanes;
}
#endif

#if !defined(PAGODA_AVX512)
INLINE Floats rounded_to_bf16(Floats x) {
    uint16_t lanes[WIDTH];
    store_bf16(lanes, x);
    return load_bf16(lanes);
}

// The sum of all lanes by halves: lane i and lane i + WIDTH / 2 first.
INLINE float total(Floats x) {
    float lanes[WIDTH];
    store(lanes, x);
    for (int half = WIDTH / 2; half > 0; half /= 2)
        for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
    return lanes[0];
}

INLINE float largest(Floats x) {
#if defined(PAGODA_AVX512)
    return _mm512_reduce_max_ps(x);
#else
    float lanes[WIDTH];
    store(lanes, x);
    float most = lanes[0];
    for (int lane = 1; lane < WIDTH; ++lane) most = lanes[lane] > most ? lanes[lane] : most;
    return most;
#endif
}
#endif

// e^x to within 2 units in the last place; 0 below the smallest number there is, infinity above the largest.
//
// x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, so that n times the first is exact (Cody & Waite 1980); e^r by
// its Taylor sum up to r^7, whose remainder is below 2^-27 of it in that range.
INLINE Floats exponential(Floats x) {
    const Floats bounded = smaller(all(89.0f), larger(all(-104.0f), x));  // in this order a NaN stays one
    const Floats n = rounded(multiply(bounded, all(1.44269504f)));
    Floats r = multiply_add(n, all(-0.693359375f), bounded);
    r = multiply_add(n, all(2.12194440e-4f), r);
    Floats sum = all(1.0f / 5040);
    sum = multiply_add(sum, r, all(1.0f / 720));
    sum = multiply_add(sum, r, all(1.0f / 120));
    sum = multiply_add(sum, r, all(1.0f / 24));
    sum = multiply_add(sum, r, all(1.0f / 6));
    sum = multiply_add(sum, r, all(0.5f));
    sum = multiply_add(sum, r, all(1.0f));
    sum = multiply_add(sum, r, all(1.0f));
    return scaled(sum, n);
}

// One element type of tensors, as the kernels read and write it.
struct F32 {
    typedef float Element;
    INLINE Floats load(const float* from) { return PAGODA_ISA::load(from); }
    INLINE void store(float* to, Floats x) { PAGODA_ISA::store(to, x); }
    INLINE float wide(float x) { return x; }
    INLINE float narrow(float x) { return x; }
    INLINE Floats rounded(Floats x) { return x; }
};

struct BF16 {
    typedef uint16_t Element;
    INLINE Floats load(const uint16_t* from) { return load_bf16(from); }
    INLINE void store(uint16_t* to, Floats x) { store_bf16(to, x); }
    INLINE float wide(uint16_t x) { return as_float(x); }
    INLINE uint16_t narrow(float x) { return as_bf16(x); }
    INLINE Floats rounded(Floats x) { return rounded_to_bf16(x); }
};

}  // namespace PAGODA_ISA
