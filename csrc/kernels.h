// The kernels as one object: which instruction set, how many threads, and the memory that they work in.
//
// Between `module.cpp`, which Python calls, and `ops.h`: here work is divided into units, and nowhere else. Memory to work in
// grows to what a step needs and is kept, so that a step allocates nothing. Not for two threads at once.

#pragma once

#include <string>
#include <vector>

#include "ops.h"
#include "pool.h"

namespace pagoda {

// Floats that stay where they are until more are asked for; 64-byte aligned, not initialised.
class Workspace {
public:
    ~Workspace();
    Workspace() = default;
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;
    float* of(int64_t count);

private:
    float* floats_ = nullptr;
    int64_t size_ = 0;
};

// Names of the instruction sets that this build has and this machine runs, the best first.
std::vector<std::string> instruction_sets();

// One step's tiles of query tokens, made once for all layers that see equally far back.
struct AttentionPlan {
    std::vector<Tile> tiles;
    std::vector<int> tile_of_item;  // item: one partition of one tile
    std::vector<int64_t> tables, slots;
    int64_t num_items = 0, most_rows = 0, table_stride = 0, block_size = 0, window = 0;
};

class Kernels {
public:
    // Raises std::invalid_argument for an instruction set that is not one of `instruction_sets`.
    Kernels(const std::string& instruction_set, int num_threads);

    const char* instruction_set() const { return ops_->name; }

    void linear(Product product);
    void rms_norm(const void* x, const void* weight, void* y, int64_t rows, int64_t size, float eps, DType dtype);
    void silu_and_mul(const void* gate, const void* up, void* y, int64_t rows, int64_t size, int64_t gate_stride,
                      int64_t up_stride, DType dtype);
    void rotate(const void* x, const float* cosine, const float* sine, void* y, int64_t rows, int64_t x_stride, int64_t heads,
                int64_t head_dim, int64_t rotary_dim, DType dtype);
    void store_kv(const void* key, const void* value, int64_t key_stride, int64_t value_stride, void* k_cache, void* v_cache,
                  int64_t block_stride, int64_t kv_heads, int64_t head_dim, const AttentionPlan& plan, DType dtype);
    // `tables`, `table_stride`, `block_size` and `window` are the plan's.
    void attend(Attention attention, const AttentionPlan& plan);

private:
    template <typename Function>
    void each_row(int64_t rows, int64_t size, Function function);

    const Ops* const ops_;
    Pool pool_;
    Workspace packed_rows_, partials_;
    std::vector<Workspace> scratch_;  // one for each thread
};

// Bytes of a packed weight; what `pack_weight` writes.
int64_t packed_bytes(int64_t outputs, int64_t depth, DType dtype);
void pack_weight(const void* weight, void* packed, int64_t outputs, int64_t depth, DType dtype);
// query_start_loc [requests + 1], seq_lens [requests]; group: heads that share one KV head.
AttentionPlan plan_attention(const std::vector<int64_t>& query_start_loc, const std::vector<int64_t>& seq_lens,
                             std::vector<int64_t> tables, int64_t table_stride, std::vector<int64_t> slots, int64_t group,
                             int64_t block_size, int64_t window);

}  // namespace pagoda
