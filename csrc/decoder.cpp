#include "decoder.h"

#include <algorithm>
#include <utility>

namespace pagoda {
namespace {

// Rows of one pass through the MLP, whose inner rows are the widest of all: each row is computed by itself.
constexpr int64_t MLP_ROWS = 512;

Matrix matrix(const Linear& linear, void* y, int64_t y_stride, const void* residual = nullptr) {
    return {linear.weight, linear.bias, linear.outputs, y, y_stride, residual, nullptr, linear.codes};
}

}  // namespace

Decoder::Decoder(Kernels& kernels, const DecoderShape& shape, const Table& embedding, std::vector<DecoderLayer> layers,
                 const void* norm, Ranks* ranks)
    : kernels_(kernels), shape_(shape), embedding_(embedding), layers_(std::move(layers)), norm_(norm), ranks_(ranks) {}

void Decoder::forward(const Step& step, void* hidden) {
    const int64_t rows = step.rows;
    if (rows == 0) return;
    const auto alone = kernels_.in_use();
    if (!step.token_ids.empty()) kernels_.take_rows(embedding_, step.token_ids, hidden);
    const int64_t row_bytes = shape_.hidden_size * element_bytes(shape_.dtype);
    for (size_t i = 0; i < layers_.size(); ++i) {
        attend(layers_[i], hidden, rows, step, step.cache + int64_t(i) * step.layer_bytes);
        for (int64_t row = 0; row < rows; row += MLP_ROWS)
            feed_forward(layers_[i], static_cast<char*>(hidden) + row * row_bytes, std::min(MLP_ROWS, rows - row));
    }
    if (norm_ != nullptr) kernels_.rms_norm(hidden, norm_, hidden, rows, shape_.hidden_size, shape_.norm_eps, shape_.dtype);
}

char* Decoder::normed(const void* hidden, const void* gain, int64_t rows) {
    char* normed = normed_.of<char>(rows * shape_.hidden_size * element_bytes(shape_.dtype));
    kernels_.rms_norm(hidden, gain, normed, rows, shape_.hidden_size, shape_.norm_eps, shape_.dtype);
    return normed;
}

void Decoder::attend(const DecoderLayer& layer, void* hidden, int64_t rows, const Step& step, char* k_cache) {
    const auto& [hidden_size, intermediate_size, num_heads, num_kv_heads, head_dim, eps, scale, softcap, dtype] = shape_;
    const int64_t bytes = element_bytes(dtype), q_size = num_heads * head_dim, kv_size = num_kv_heads * head_dim;
    const int64_t stride = q_size + 2 * kv_size;
    char* q = heads_.of<char>(rows * stride * bytes);
    char *k = q + q_size * bytes, *v = k + kv_size * bytes;
    const Matrix qkv[] = {matrix(layer.q, q, stride), matrix(layer.k, k, stride), matrix(layer.v, v, stride)};
    kernels_.multiply({normed(hidden, layer.attention_norm, rows), hidden_size, rows, hidden_size, dtype}, qkv);
    const Rotation rotation = layer.rotation < 0 ? Rotation{} : step.rotations[layer.rotation];
    const AttentionPlan& plan = *step.plans[layer.plan];
    char* v_cache = k_cache + step.value_bytes;
    kernels_.place_tokens({q, q, stride, stride, num_heads, head_dim}, layer.q_norm,
                          {k, k, stride, stride, num_kv_heads, head_dim}, layer.k_norm, eps, rotation, v,
                          {k_cache, v_cache, step.block_stride, step.in_bytes}, rows, plan, dtype);
    Attention attention{};
    attention.query = q;
    attention.query_stride = stride;
    attention.in_bytes = step.in_bytes;
    attention.k_cache = k_cache;
    attention.v_cache = v_cache;
    attention.block_stride = step.block_stride;
    attention.output = attended_.of<char>(rows * q_size * bytes);
    attention.output_stride = q_size;
    attention.num_kv_heads = num_kv_heads;
    attention.group = num_heads / num_kv_heads;
    attention.head_dim = head_dim;
    attention.scale = scale;
    attention.softcap = softcap;
    attention.dtype = dtype;
    kernels_.attend(attention, plan);
    add_product(layer.o, attention.output, q_size, hidden, rows);
}

// The product is added to the stream where it is written; a rank's is a part of it, and the bias belongs to the sum.
void Decoder::add_product(const Linear& linear, const void* x, int64_t depth, void* hidden, int64_t rows) {
    const int64_t hidden_size = shape_.hidden_size, bytes = rows * hidden_size * element_bytes(shape_.dtype);
    const Rows factors{x, depth, rows, depth, shape_.dtype};
    if (ranks_ == nullptr) {
        const Matrix whole = matrix(linear, hidden, hidden_size, hidden);
        return kernels_.multiply(factors, {&whole, 1});
    }
    void* part = ranks_->room(bytes);
    if (part == nullptr) part = part_.of<char>(bytes);
    const Matrix own = matrix({linear.weight, nullptr, linear.outputs, linear.codes}, part, hidden_size);
    kernels_.multiply(factors, {&own, 1});
    ranks_->add_sum(part, linear.bias, hidden, rows, hidden_size, shape_.dtype);
}

void Decoder::feed_forward(const DecoderLayer& layer, void* hidden, int64_t rows) {
    const int64_t hidden_size = shape_.hidden_size, size = shape_.intermediate_size;
    const DType dtype = shape_.dtype;
    char *gate = gate_.of<char>(rows * size * element_bytes(dtype)), *up = up_.of<char>(rows * size * element_bytes(dtype));
    const Matrix both[] = {matrix(layer.gate, gate, size), matrix(layer.up, up, size)};
    kernels_.multiply({normed(hidden, layer.mlp_norm, rows), hidden_size, rows, hidden_size, dtype}, both);
    kernels_.silu_and_mul(gate, up, gate, rows, size, size, size, dtype);
    add_product(layer.down, gate, size, hidden, rows);
}

}  // namespace pagoda
