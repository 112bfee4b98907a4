// The kernels in AVX-512 with its products of bf16 pairs, and products of whole tiles (AMX; Sapphire Rapids and later).

#include "../ops.h"

#if defined(__AMX_TILE__) && defined(__AMX_BF16__) && defined(__AMX_INT8__) && defined(__AVX512BF16__)
#define PAGODA_AVX512
#define PAGODA_DOTS
#define PAGODA_TILES
#define PAGODA_ISA pagoda_avx512_amx
#define PAGODA_ISA_NAME "avx512_amx"
#include "kernels.inl"

const pagoda::Ops* pagoda::avx512_amx_ops() { return &PAGODA_ISA::OPS; }
#else
const pagoda::Ops* pagoda::avx512_amx_ops() { return nullptr; }
#endif
