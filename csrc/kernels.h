// The kernels as one object: which instruction set, how many threads, and the memory that they work in.
//
// Between `module.cpp`, which Python calls, and `ops.h`: here work is divided into units, and nowhere else. Memory to work in
// grows to what a step needs and is kept, so that a step allocates nothing. Who calls while another thread computes, waits.

#pragma once

#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "codes.h"
#include "ops.h"
#include "pool.h"

namespace pagoda {

// Memory that stays where it is until more is asked for; 64-byte aligned, not initialised.
class Workspace {
public:
    ~Workspace();
    Workspace() = default;
    Workspace(const Workspace&) = delete;
    Workspace& operator=(const Workspace&) = delete;

    template <typename T>
    T* of(int64_t count) {
        return static_cast<T*>(of_bytes(count * int64_t(sizeof(T))));
    }

private:
    void* of_bytes(int64_t count);

    void* bytes_ = nullptr;
    int64_t size_ = 0;
};

// Names of the instruction sets that this build has and this machine runs, the best first.
std::vector<std::string> instruction_sets();
// Raises std::invalid_argument for one that is none of them.
const Ops* ops_named(const std::string& name);

// A partition of one request's keys, and the tiles that see it: `count` places of `AttentionPlan::by_keys` from `first` on.
struct SharedKeys {
    int64_t first, count, partition;
};

// One step's tiles of query tokens, made once for all layers that see equally far back.
struct AttentionPlan {
    std::vector<Tile> tiles;
    std::vector<int> by_keys;      // tiles, those that see the same keys behind one another
    std::vector<int> keys_at;      // which of `keys` each place of `by_keys` belongs to
    std::vector<SharedKeys> keys;
    std::vector<int64_t> tables, slots;
    std::vector<int> split_tiles;  // those of several partitions
    int64_t num_items = 0, most_rows = 0, table_stride = 0, block_size = 0, window = 0, chunk = 0;
};

// A weight [outputs, depth] that rows are taken of, in panels or as it was.
struct Table {
    const void* weight;
    int64_t outputs, depth;
    DType dtype;  // of the rows that are taken
    bool is_packed;
    const CodeFormat* codes = nullptr;
};

// Where one layer's keys and values are kept.
struct Cache {
    void *k, *v;
    int64_t block_stride;
    bool in_bytes;
};

class Kernels {
public:
    // Raises std::invalid_argument for an instruction set that is not one of `instruction_sets`.
    Kernels(const std::string& instruction_set, int num_threads);

    const char* instruction_set() const { return ops_->name; }

    // For several calls that no other thread may come between; each of them asks for it as well.
    [[nodiscard]] std::unique_lock<std::recursive_mutex> in_use() { return std::unique_lock(mutex_); }

    // weight [outputs, depth] in panels, `packed_bytes` of them.
    void pack_weight(const void* weight, void* packed, int64_t outputs, int64_t depth, DType dtype);
    // Codes [outputs, depth] in panels, `format.panel_bytes` each.
    void pack_codes(const Codes& given, const CodeFormat& format, void* packed);
    // Rows of a weight as they were: y [wanted, depth]. Raises std::out_of_range.
    void take_rows(const Table& table, std::span<const int64_t> wanted, void* y);

    // The same rows by several matrices at once, whose panels are shared out as one job.
    void multiply(Rows rows, std::span<const Matrix> matrices);
    // For each row the output that is largest, the first of equal ones, of a matrix without bias: indices [rows].
    void multiply_for_largest(const Rows& rows, const void* weight, const CodeFormat* codes, int64_t outputs,
                              int64_t* indices);
    void rms_norm(const void* x, const void* weight, void* y, int64_t rows, int64_t size, float eps, DType dtype);
    void silu_and_mul(const void* gate, const void* up, void* y, int64_t rows, int64_t size, int64_t gate_stride,
                      int64_t up_stride, DType dtype);
    // Each head normed by a gain [head_dim] where there is one, then rotated where there is a rotation.
    void place_heads(const Heads& heads, const void* gain, float eps, const Rotation& rotation, int64_t rows, DType dtype);
    void store_kv(const void* key, const void* value, int64_t key_stride, int64_t value_stride, const Cache& cache,
                  int64_t kv_heads, int64_t head_dim, const AttentionPlan& plan, DType dtype);
    // Both at once, of queries and keys in place: what lies between a layer's products and its attention.
    void place_tokens(const Heads& queries, const void* query_gain, const Heads& keys, const void* key_gain, float eps,
                      const Rotation& rotation, const void* value, const Cache& cache, int64_t rows, const AttentionPlan& plan,
                      DType dtype);
    // `tables`, `table_stride`, `block_size`, `window` and `chunk` are the plan's.
    void attend(Attention attention, const AttentionPlan& plan);

private:
    void pack(Rows& rows, bool for_codes);
    void place_row(const Heads& heads, const void* gain, float eps, const Rotation& rotation, int64_t row, DType dtype);
    void store_row(const void* key, const void* value, const Cache& cache, int64_t kv_heads, int64_t head_dim, int64_t row,
                   const AttentionPlan& plan, DType dtype);
    void turn_queries(Attention& attention, const AttentionPlan& plan);
    template <typename Function>
    void each_row(int64_t rows, int64_t size, Function function);

    const Ops* const ops_;
    std::recursive_mutex mutex_;
    Pool pool_;
    Workspace packed_rows_, partials_, largest_, turned_;
    std::vector<Workspace> scratch_;  // one for each thread
};

// Bytes of a packed weight.
int64_t packed_bytes(int64_t outputs, int64_t depth, DType dtype);
// query_start_loc [requests + 1], seq_lens [requests]; group: heads that share one KV head.
AttentionPlan plan_attention(const std::vector<int64_t>& query_start_loc, const std::vector<int64_t>& seq_lens,
                             std::vector<int64_t> tables, int64_t table_stride, std::vector<int64_t> slots, int64_t group,
                             int64_t block_size, int64_t window, int64_t chunk = 0);

}  // namespace pagoda
