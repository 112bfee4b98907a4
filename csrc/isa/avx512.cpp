// The kernels in AVX-512 (F, BW, VL).

#include "../ops.h"

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define PAGODA_AVX512
#define PAGODA_ISA pagoda_avx512
#define PAGODA_ISA_NAME "avx512"
#include "kernels.inl"

const pagoda::Ops* pagoda::avx512_ops() { return &PAGODA_ISA::OPS; }
#else
const pagoda::Ops* pagoda::avx512_ops() { return nullptr; }
#endif
