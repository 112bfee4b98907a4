// The kernels in AVX2 and FMA.

#include "../ops.h"

#if defined(__AVX2__) && defined(__FMA__)
#define PAGODA_AVX2
#define PAGODA_ISA pagoda_avx2
#define PAGODA_ISA_NAME "avx2"
#include "kernels.inl"

const pagoda::Ops* pagoda::avx2_ops() { return &PAGODA_ISA::OPS; }
#else
const pagoda::Ops* pagoda::avx2_ops() { return nullptr; }
#endif
