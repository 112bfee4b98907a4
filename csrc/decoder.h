// A plain Llama network from token ids to the last norm as one call: what `models/llama.py` says, without a stop between
// two operations.
//
// Above `kernels.h`, called once a step. It adds no arithmetic of its own, so its bits are those of the same operations
// called one by one; what it saves is the way to each of them and back, and the memory that they hand on.

#pragma once

#include <span>
#include <vector>

#include "kernels.h"
#include "ranks.h"

namespace pagoda {

struct Linear {
    const void* weight;  // packed
    const void* bias;    // or null
    int64_t outputs;
    const CodeFormat* codes;  // or null
};

struct DecoderLayer {
    const void *attention_norm, *mlp_norm;  // [hidden_size]
    const void *q_norm, *k_norm;            // [head_dim], of each head before it rotates; or null
    Linear q, k, v, o, gate, up, down;
    int plan, rotation;  // which of a step's; rotation -1: none
};

// Inner width and heads are a rank's own.
struct DecoderShape {
    int64_t hidden_size, intermediate_size, num_heads, num_kv_heads, head_dim;
    float norm_eps, scale, softcap;  // softcap 0: none
    DType dtype;
};

// What all layers meet in one step.
struct Step {
    std::span<const int64_t> token_ids;  // or none, where rows come embedded
    int64_t rows;
    std::vector<const AttentionPlan*> plans;
    std::vector<Rotation> rotations;
    char* cache;  // keys of the first layer; layers, and values behind keys, so many bytes further
    int64_t layer_bytes, value_bytes, block_stride;
    bool in_bytes;  // the cache
};

class Decoder {
public:
    // kernels and all that is pointed to must outlive it. norm: the gain of the last one, or null; ranks: those that the
    // layers are divided over, or null.
    Decoder(Kernels& kernels, const DecoderShape& shape, const Table& embedding, std::vector<DecoderLayer> layers,
            const void* norm, Ranks* ranks);

    // hidden [rows, hidden_size], embedded where there are no token ids; after the last norm, if there is one. Raises
    // std::out_of_range for a token that is not embedded.
    void forward(const Step& step, void* hidden);

private:
    void attend(const DecoderLayer& layer, void* hidden, int64_t rows, const Step& step, char* k_cache);
    void feed_forward(const DecoderLayer& layer, void* hidden, int64_t rows);
    void add_product(const Linear& linear, const void* x, int64_t depth, void* hidden, int64_t rows);
    char* normed(const void* hidden, const void* gain, int64_t rows);

    Kernels& kernels_;
    const DecoderShape shape_;
    const Table embedding_;
    const std::vector<DecoderLayer> layers_;
    const void* const norm_;
    Ranks* const ranks_;
    Workspace normed_, heads_, attended_, gate_, up_, part_;
};

}  // namespace pagoda
