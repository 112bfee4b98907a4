#include "encoder.h"

namespace pagoda {

EncoderKernels::EncoderKernels(const std::string& instruction_set) : ops_(ops_named(instruction_set)) {}

void EncoderKernels::multiply(const void* x, int64_t rows, int64_t depth, DType dtype, const ByteMatrix& matrix) {
    const int64_t tiles = (rows + ops_->byte_rows - 1) / ops_->byte_rows;
    const ByteRows given{x,
                         rows,
                         depth,
                         dtype,
                         packed_.of<int32_t>(tiles * ops_->byte_rows * ((depth + 63) / 64 * 16)),
                         scales_.of<float>(rows),
                         sums_.of<int32_t>(rows)};
    for (int64_t row = 0; row < rows; ++row) ops_->pack_byte_row(given, row);
    ops_->multiply_bytes(given, matrix);
}

void EncoderKernels::attend(const void* told, void* y, int64_t texts, int64_t length, int64_t heads, int64_t head_dim,
                            DType dtype) {
    // Keys, values, four rows of scores, of queries and of what comes out; lengths padded to a vector.
    const int64_t padded = length + 16;
    float* scratch = scratch_.of<float>(padded * (2 * head_dim + 4) + 8 * head_dim);
    const int64_t bytes = length * heads * head_dim * element_bytes(dtype);
    for (int64_t text = 0; text < texts; ++text)
        ops_->attend_text({static_cast<const char*>(told) + 3 * text * bytes, static_cast<char*>(y) + text * bytes, length,
                           heads, head_dim, dtype}, scratch);
}

void EncoderKernels::add_and_normalise(float* x, const void* added, const float* weight, const float* bias, uint16_t* narrow,
                                       int64_t rows, int64_t size, float eps, DType dtype) {
    for (int64_t row = 0; row < rows; ++row)
        ops_->add_and_normalise(x + row * size, static_cast<const char*>(added) + row * size * element_bytes(dtype), weight,
                                bias, narrow ? narrow + row * size : nullptr, size, eps, dtype);
}

void pack_bytes(const int8_t* weight, int64_t outputs, int64_t depth, uint8_t* packed) {
    for (int64_t output = 0; output < outputs; ++output)
        for (int64_t input = 0; input < depth; ++input) {
            const int64_t word = (output / PANEL * depth / 4 + input / 4) * PANEL + output % PANEL;
            packed[4 * word + input % 4] = uint8_t(weight[output * depth + input] + 128);
        }
}

}  // namespace pagoda
