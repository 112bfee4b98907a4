// The kernels in whatever the compiler makes of vectors of four floats.

#include "../ops.h"

#define PAGODA_ISA pagoda_portable
#define PAGODA_ISA_NAME "portable"
#include "kernels.inl"

const pagoda::Ops* pagoda::portable_ops() { return &PAGODA_ISA::OPS; }
