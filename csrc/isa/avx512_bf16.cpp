// The kernels in AVX-512 with its products of bf16 pairs (Zen 4, Sapphire Rapids and later).

#include "../ops.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512BF16__)
#define PAGODA_AVX512
#define PAGODA_DOTS
#define PAGODA_ISA pagoda_avx512_bf16
#define PAGODA_ISA_NAME "avx512_bf16"
#include "kernels.inl"

const pagoda::Ops* pagoda::avx512_bf16_ops() { return &PAGODA_ISA::OPS; }
#else
const pagoda::Ops* pagoda::avx512_bf16_ops() { return nullptr; }
#endif
