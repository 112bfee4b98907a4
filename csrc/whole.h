// A vector of whole numbers, WIDTH lanes of 32 bits, and of the four bytes that each lane has: what `codes.inl` is written in.
//
// Beside `simd.h`, whose rules hold here as well.

#pragma once

#include "simd.h"

namespace PAGODA_ISA {

#if defined(PAGODA_AVX512)

typedef int32_t Integers __attribute__((vector_size(64)));  // sums of __m512i GCC 12 copies in every turn of a loop
typedef __m512i Bytes;

INLINE Bytes load_bytes(const uint8_t* from) { return _mm512_loadu_si512(from); }
INLINE void store_bytes(uint8_t* to, Bytes x) { _mm512_storeu_si512(to, x); }
INLINE Bytes low_bits(Bytes x, int mask) { return _mm512_and_si512(x, _mm512_set1_epi8(char(mask))); }
INLINE Bytes either(Bytes a, Bytes b) { return _mm512_or_si512(a, b); }
// Bits that come over from a neighbouring byte are for the caller to mask out.
INLINE Bytes shifted_right(Bytes x, int bits) { return _mm512_srli_epi16(x, unsigned(bits)); }
INLINE Bytes shifted_left(Bytes x, int bits) { return _mm512_slli_epi16(x, unsigned(bits)); }
INLINE Bytes load_table(const uint8_t* table) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}
// Of each 16 bytes those at the given places; nothing where a place is over 127.
INLINE Bytes looked_up(Bytes table, Bytes places) { return _mm512_shuffle_epi8(table, places); }
INLINE Integers all_whole(int32_t x) { return (Integers)_mm512_set1_epi32(x); }
INLINE Integers add_whole(Integers a, Integers b) { return a + b; }
INLINE Integers multiply_whole(Integers a, Integers b) { return a * b; }
INLINE Integers doubled(Integers x, int times) { return (Integers)_mm512_slli_epi32((__m512i)x, unsigned(times)); }
INLINE Floats as_floats(Integers x) { return _mm512_cvtepi32_ps((__m512i)x); }
INLINE Integers as_whole(Floats x) { return (Integers)_mm512_cvtps_epi32(x); }  // nearest, ties to even
INLINE Integers over_256(Integers x) { return x >> 8; }
INLINE int32_t sum_of(Integers x) { return _mm512_reduce_add_epi32((__m512i)x); }
INLINE void store_low_bytes(uint8_t* to, Integers x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8((__m512i)x));
}
INLINE void store_low_words(uint8_t* to, Integers x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16((__m512i)x));
}
INLINE Bytes load_words(const int8_t* from) {  // of bytes with a sign
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
INLINE Bytes subtract_words(Bytes a, Bytes b) { return _mm512_sub_epi16(a, b); }
INLINE bool are_numbers(Floats x) { return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q) == 0; }
INLINE Floats load_half(const uint8_t* from) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
}
INLINE Floats load_signed_bytes(const uint8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
INLINE Floats load_unsigned_bytes(const uint8_t* from) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
INLINE Integers products(Bytes codes, Bytes quads) {
    return (Integers)_mm512_madd_epi16(_mm512_maddubs_epi16(codes, quads), _mm512_set1_epi16(1));
}
INLINE Integers word_products(Bytes words, Bytes pairs) { return (Integers)_mm512_madd_epi16(words, pairs); }

#elif defined(PAGODA_AVX2)

typedef __m256i Integers;
typedef __m256i Bytes;

INLINE Bytes load_bytes(const uint8_t* from) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)); }
INLINE void store_bytes(uint8_t* to, Bytes x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), x); }
INLINE Bytes low_bits(Bytes x, int mask) { return _mm256_and_si256(x, _mm256_set1_epi8(char(mask))); }
INLINE Bytes either(Bytes a, Bytes b) { return _mm256_or_si256(a, b); }
INLINE Bytes shifted_right(Bytes x, int bits) { return _mm256_srli_epi16(x, bits); }
INLINE Bytes shifted_left(Bytes x, int bits) { return _mm256_slli_epi16(x, bits); }
INLINE Bytes load_table(const uint8_t* table) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}
INLINE Bytes looked_up(Bytes table, Bytes places) { return _mm256_shuffle_epi8(table, places); }
INLINE Integers all_whole(int32_t x) { return _mm256_set1_epi32(x); }
INLINE Integers add_whole(Integers a, Integers b) { return _mm256_add_epi32(a, b); }
INLINE Integers multiply_whole(Integers a, Integers b) { return _mm256_mullo_epi32(a, b); }
INLINE Integers doubled(Integers x, int times) { return _mm256_slli_epi32(x, times); }
INLINE Floats as_floats(Integers x) { return _mm256_cvtepi32_ps(x); }
INLINE Integers as_whole(Floats x) { return _mm256_cvtps_epi32(x); }
INLINE Integers over_256(Integers x) { return _mm256_srai_epi32(x, 8); }
INLINE int32_t sum_of(Integers x) {
    const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}
INLINE void store_low_words(uint8_t* to, Integers x) {
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), words);
}
INLINE Bytes load_words(const int8_t* from) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
INLINE Bytes subtract_words(Bytes a, Bytes b) { return _mm256_sub_epi16(a, b); }
INLINE bool are_numbers(Floats x) { return _mm256_movemask_ps(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)) == 0; }
INLINE Floats load_half(const uint8_t* from) { return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))); }
INLINE Floats load_signed_bytes(const uint8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}
INLINE Floats load_unsigned_bytes(const uint8_t* from) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from))));
}
INLINE Integers products(Bytes codes, Bytes quads) {
    return _mm256_madd_epi16(_mm256_maddubs_epi16(codes, quads), _mm256_set1_epi16(1));
}
INLINE Integers word_products(Bytes words, Bytes pairs) { return _mm256_madd_epi16(words, pairs); }

#elif defined(PAGODA_NEON)

typedef int32x4_t Integers;
typedef uint8x16_t Bytes;

INLINE Bytes load_bytes(const uint8_t* from) { return vld1q_u8(from); }
INLINE void store_bytes(uint8_t* to, Bytes x) { vst1q_u8(to, x); }
INLINE Bytes low_bits(Bytes x, int mask) { return vandq_u8(x, vdupq_n_u8(uint8_t(mask))); }
INLINE Bytes either(Bytes a, Bytes b) { return vorrq_u8(a, b); }
INLINE Bytes shifted_right(Bytes x, int bits) { return vshlq_u8(x, vdupq_n_s8(int8_t(-bits))); }
INLINE Bytes shifted_left(Bytes x, int bits) { return vshlq_u8(x, vdupq_n_s8(int8_t(bits))); }
INLINE Bytes load_table(const uint8_t* table) { return vld1q_u8(table); }
INLINE Bytes looked_up(Bytes table, Bytes places) { return vqtbl1q_u8(table, places); }
INLINE Integers all_whole(int32_t x) { return vdupq_n_s32(x); }
INLINE Integers add_whole(Integers a, Integers b) { return vaddq_s32(a, b); }
INLINE Integers multiply_whole(Integers a, Integers b) { return vmulq_s32(a, b); }
INLINE Integers doubled(Integers x, int times) { return vshlq_s32(x, vdupq_n_s32(times)); }
INLINE Floats as_floats(Integers x) { return vcvtq_f32_s32(x); }
INLINE Integers as_whole(Floats x) { return vcvtnq_s32_f32(x); }
INLINE Integers over_256(Integers x) { return vshrq_n_s32(x, 8); }
INLINE int32_t sum_of(Integers x) { return vaddvq_s32(x); }
INLINE void store_low_words(uint8_t* to, Integers x) { vst1_u8(to, vreinterpret_u8_s16(vmovn_s32(x))); }
INLINE Bytes load_words(const int8_t* from) { return vreinterpretq_u8_s16(vmovl_s8(vld1_s8(from))); }
INLINE Bytes subtract_words(Bytes a, Bytes b) {
    return vreinterpretq_u8_s16(vsubq_s16(vreinterpretq_s16_u8(a), vreinterpretq_s16_u8(b)));
}
INLINE bool are_numbers(Floats x) { return vminvq_u32(vceqq_f32(x, x)) != 0; }
INLINE Floats load_half(const uint8_t* from) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(from))); }
INLINE Floats load_signed_bytes(const uint8_t* from) {
    const int32_t lanes[4] = {int8_t(from[0]), int8_t(from[1]), int8_t(from[2]), int8_t(from[3])};
    return vcvtq_f32_s32(vld1q_s32(lanes));
}
INLINE Floats load_unsigned_bytes(const uint8_t* from) {
    const int32_t lanes[4] = {from[0], from[1], from[2], from[3]};
    return vcvtq_f32_s32(vld1q_s32(lanes));
}
template <bool WIDE>
INLINE Integers add_products(Integers sum, Bytes codes, int32_t quad) {
    const int16x8_t four = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(quad)));
    const int32x4_t low = vpaddlq_s16(vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes))), four));
    const int32x4_t high = vpaddlq_s16(vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(codes))), four));
    return vaddq_s32(sum, vpaddq_s32(low, high));  // each product is below 2^15
}
INLINE Integers add_word_products(Integers sum, Bytes words, int32_t pair) {
    const int16x8_t numbers = vreinterpretq_s16_u8(words), two = vreinterpretq_s16_s32(vdupq_n_s32(pair));
    const int32x4_t low = vmull_s16(vget_low_s16(numbers), vget_low_s16(two)), high = vmull_high_s16(numbers, two);
    return vaddq_s32(sum, vpaddq_s32(low, high));
}

#else

struct Bytes {
    uint8_t of[4 * WIDTH];
};

INLINE Bytes load_bytes(const uint8_t* from) {
    Bytes x;
    std::memcpy(&x, from, sizeof x);
    return x;
}
INLINE void store_bytes(uint8_t* to, Bytes x) { std::memcpy(to, &x, sizeof x); }
template <typename Function>
INLINE Bytes each_byte(Function function) {
    Bytes x;
    for (int i = 0; i < 4 * WIDTH; ++i) x.of[i] = uint8_t(function(i));
    return x;
}
INLINE Bytes low_bits(Bytes x, int mask) { return each_byte([&](int i) { return x.of[i] & mask; }); }
INLINE Bytes either(Bytes a, Bytes b) { return each_byte([&](int i) { return a.of[i] | b.of[i]; }); }
INLINE Bytes shifted_right(Bytes x, int bits) { return each_byte([&](int i) { return x.of[i] >> bits; }); }
INLINE Bytes shifted_left(Bytes x, int bits) { return each_byte([&](int i) { return x.of[i] << bits; }); }
INLINE Bytes load_table(const uint8_t* table) { return load_bytes(table); }
INLINE Bytes looked_up(Bytes table, Bytes places) {
    return each_byte([&](int i) { return places.of[i] < 128 ? table.of[places.of[i] & 15] : 0; });
}
INLINE Integers all_whole(int32_t x) { return Integers{x, x, x, x}; }
INLINE Integers add_whole(Integers a, Integers b) { return a + b; }
INLINE Integers multiply_whole(Integers a, Integers b) { return a * b; }
INLINE Integers doubled(Integers x, int times) { return x * (1 << times); }
INLINE Floats as_floats(Integers x) { return __builtin_convertvector(x, Floats); }
INLINE Integers as_whole(Floats x) { return __builtin_convertvector(rounded(x), Integers); }
INLINE Integers over_256(Integers x) { return x >> 8; }
INLINE int32_t sum_of(Integers x) { return x[0] + x[1] + x[2] + x[3]; }
INLINE void store_low_words(uint8_t* to, Integers x) {
    for (int lane = 0; lane < WIDTH; ++lane) {
        const auto word = int16_t(x[lane]);
        std::memcpy(to + 2 * lane, &word, 2);
    }
}
INLINE Bytes load_words(const int8_t* from) {
    int16_t words[2 * WIDTH];
    for (int i = 0; i < 2 * WIDTH; ++i) words[i] = from[i];
    Bytes x;
    std::memcpy(&x, words, sizeof x);
    return x;
}
INLINE Bytes subtract_words(Bytes a, Bytes b) {
    int16_t of_a[2 * WIDTH], of_b[2 * WIDTH];
    std::memcpy(of_a, &a, sizeof a);
    std::memcpy(of_b, &b, sizeof b);
    for (int i = 0; i < 2 * WIDTH; ++i) of_a[i] = int16_t(of_a[i] - of_b[i]);
    std::memcpy(&a, of_a, sizeof a);
    return a;
}
INLINE bool are_numbers(Floats x) { return x[0] == x[0] && x[1] == x[1] && x[2] == x[2] && x[3] == x[3]; }
INLINE Floats load_signed_bytes(const uint8_t* from) {
    return Floats{float(int8_t(from[0])), float(int8_t(from[1])), float(int8_t(from[2])), float(int8_t(from[3]))};
}
INLINE Floats load_unsigned_bytes(const uint8_t* from) {
    return Floats{float(from[0]), float(from[1]), float(from[2]), float(from[3])};
}
INLINE Floats load_half(const uint8_t* from) {
    float lanes[WIDTH];
    for (int lane = 0; lane < WIDTH; ++lane) {
        uint16_t half;
        std::memcpy(&half, from + 2 * lane, 2);
        lanes[lane] = pagoda::float_of_half(half);
    }
    return load(lanes);
}
template <bool WIDE>
INLINE Integers add_products(Integers sum, Bytes codes, int32_t quad) {
    int8_t four[4];
    std::memcpy(four, &quad, 4);
    for (int lane = 0; lane < WIDTH; ++lane)
        for (int i = 0; i < 4; ++i) sum[lane] += int32_t(codes.of[4 * lane + i]) * four[i];
    return sum;
}
INLINE Integers add_word_products(Integers sum, Bytes words, int32_t pair) {
    int16_t two[2], numbers[2 * WIDTH];
    std::memcpy(two, &pair, 4);
    std::memcpy(numbers, &words, sizeof numbers);
    for (int lane = 0; lane < WIDTH; ++lane) sum[lane] += numbers[2 * lane] * two[0] + numbers[2 * lane + 1] * two[1];
    return sum;
}

#endif

// ---- what follows is written in the operations above

#if defined(PAGODA_DOTS)
// sum + the products of each lane's four bytes, without a sign, and four with one. WIDE: whether the codes have over 6 bits.
template <bool WIDE>
INLINE Integers add_products(Integers sum, Bytes codes, int32_t quad) {
    return (Integers)_mm512_dpbusd_epi32((__m512i)sum, codes, (Bytes)all_whole(quad));
}
// sum + the two products of each lane's words.
INLINE Integers add_word_products(Integers sum, Bytes words, int32_t pair) {
    return (Integers)_mm512_dpwssd_epi32((__m512i)sum, words, (Bytes)all_whole(pair));
}
#elif defined(PAGODA_AVX512) || defined(PAGODA_AVX2)
template <bool WIDE>
INLINE Integers add_products(Integers sum, Bytes codes, int32_t quad) {
    const auto quads = (Bytes)all_whole(quad);
    if constexpr (!WIDE) return add_whole(sum, products(codes, quads));
    // Two products of eight bits by eight do not fit into sixteen.
    const Integers high = products(low_bits(shifted_right(codes, 4), 15), quads);
    return add_whole(add_whole(sum, doubled(high, 4)), products(low_bits(codes, 15), quads));
}
INLINE Integers add_word_products(Integers sum, Bytes words, int32_t pair) {
    return add_whole(sum, word_products(words, (Bytes)all_whole(pair)));
}
#endif

// What numbers are multiplied by to become whole ones, and what these mean. No number for `scale` where one of them is none.
struct Rounding {
    float inverse, scale;
};

// Of `x [count]`, whole vectors, whose largest becomes `most_whole`.
template <typename Type>
INLINE Rounding rounding_of(const typename Type::Element* x, int64_t count, float most_whole) {
    Floats most = zeros(), nothing = zeros();
    for (int64_t i = 0; i < count; i += WIDTH) {
        const Floats some = Type::load(x + i);
        most = larger(most, larger(some, subtract(zeros(), some)));
        nothing = multiply_add(some, zeros(), nothing);  // NaN by whatever is not finite
    }
    if (!are_numbers(nothing)) return {0.0f, __builtin_nanf("")};
    const float size = largest(most);
    if (size <= 1e-30f) return {0.0f, 0.0f};  // has no inverse
    return {most_whole / size, size / most_whole};
}

// Of the last bytes that no whole vector fits into, zeros behind them.
INLINE Bytes load_last_words(const int8_t* from, int64_t count) {
    int8_t copied[2 * WIDTH] = {};
    if (count > 0) std::memcpy(copied, from, size_t(count));
    return load_words(copied);
}

#if !defined(PAGODA_AVX512)
INLINE void store_low_bytes(uint8_t* to, Integers x) {
    int32_t lanes[WIDTH];
    std::memcpy(lanes, &x, sizeof lanes);
    for (int lane = 0; lane < WIDTH; ++lane) to[lane] = uint8_t(lanes[lane]);
}
#endif

}  // namespace PAGODA_ISA
