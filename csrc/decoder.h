// All layers of a plain Llama network as one call: what `models/llama.py` says, without a stop between two operations.
//
// Above `kernels.h`, called once a step. It adds no arithmetic of its own, so its bits are those of the same operations
// called one by one; what it saves is the way to each of them and back, and the memory that they hand on.

#pragma once

#include <span>
#include <vector>

#include "kernels.h"

namespace pagoda {

struct Linear {
    const void* weight;  // packed
    const void* bias;    // or null
    int64_t outputs;
};

struct DecoderLayer {
    const void *attention_norm, *mlp_norm;  // [hidden_size]
    const void *q_norm, *k_norm;            // [head_dim], of each head before it rotates; or null
    Linear q, k, v, o, gate, up, down;
};

struct DecoderShape {
    int64_t hidden_size, intermediate_size, num_heads, num_kv_heads, head_dim;
    float norm_eps, scale, softcap;  // softcap 0: none
    DType dtype;
};

// What one layer meets in one step: how far it sees, how it rotates, where its keys and values lie.
struct LayerStep {
    const AttentionPlan* plan;
    Rotation rotation;
    void *k_cache, *v_cache;
    int64_t block_stride;
};

class Decoder {
public:
    // kernels and all that the layers point to must outlive it.
    Decoder(Kernels& kernels, const DecoderShape& shape, std::vector<DecoderLayer> layers);

    // hidden [rows, hidden_size], in place; a step for each layer.
    void forward(void* hidden, int64_t rows, std::span<const LayerStep> steps);

private:
    void attend(const DecoderLayer& layer, void* hidden, int64_t rows, const LayerStep& step);
    void feed_forward(const DecoderLayer& layer, void* hidden, int64_t rows);
    char* normed(const void* hidden, const void* gain, int64_t rows);

    Kernels& kernels_;
    const DecoderShape shape_;
    const std::vector<DecoderLayer> layers_;
    Workspace normed_, heads_, attended_, gate_, up_;
};

}  // namespace pagoda
