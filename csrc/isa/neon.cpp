// The kernels in NEON of 64-bit Arm.

#include "../ops.h"

#if defined(__aarch64__)
#define PAGODA_NEON
#define PAGODA_ISA pagoda_neon
#define PAGODA_ISA_NAME "neon"
#include "kernels.inl"

const pagoda::Ops* pagoda::neon_ops() { return &PAGODA_ISA::OPS; }
#else
const pagoda::Ops* pagoda::neon_ops() { return nullptr; }
#endif
