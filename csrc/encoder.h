// What an encoder's layers ask beside products in floats, in the thread that calls: `encoder.inl` does it, row by row.
//
// Beside `kernels.h`, whose work is divided over threads; here each thread has texts of its own, and an object of its own.

#pragma once

#include <string>

#include "kernels.h"

namespace pagoda {

class EncoderKernels {
public:
    // Raises std::invalid_argument for an instruction set that is not one of `instruction_sets`.
    explicit EncoderKernels(const std::string& instruction_set);

    // x [rows, depth], depth a multiple of 16, by a matrix whose outputs are a multiple of PANEL.
    void multiply(const void* x, int64_t rows, int64_t depth, DType dtype, const ByteMatrix& matrix);
    // told [texts * length, 3 * heads * head_dim], queries, keys and values, to y [texts * length, heads * head_dim]; a head
    // of a multiple of 16.
    void attend(const void* told, void* y, int64_t texts, int64_t length, int64_t heads, int64_t head_dim, DType dtype);
    // x [rows, size] += added of `dtype`, normalised; narrow [rows, size], bf16, or null; size a multiple of 16.
    void add_and_normalise(float* x, const void* added, const float* weight, const float* bias, uint16_t* narrow,
                           int64_t rows, int64_t size, float eps, DType dtype);

private:
    const Ops* const ops_;
    Workspace packed_, scales_, sums_, scratch_;
};

// weight [outputs, depth], -127 to 127, in panels as `ByteMatrix` has them: as many bytes.
void pack_bytes(const int8_t* weight, int64_t outputs, int64_t depth, uint8_t* packed);

}  // namespace pagoda
