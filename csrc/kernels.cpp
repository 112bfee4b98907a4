#include "kernels.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>

#if defined(__x86_64__)
#include <cpuid.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#endif

namespace pagoda {
namespace {

constexpr int64_t ROWS_BYTES = 256 << 10;  // of packed rows that go by a panel: what a core's second cache holds of them
constexpr int64_t FEW_ELEMENTS = 1 << 13;  // below, a job is not worth waking another thread for
constexpr int64_t TILE_QUERY_ROWS = 24;    // tokens times heads of a group in one tile of attention, where it can be

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

const char* at(const void* from, int64_t elements, DType dtype) {
    return static_cast<const char*>(from) + elements * element_bytes(dtype);
}

char* at(void* from, int64_t elements, DType dtype) { return static_cast<char*>(from) + elements * element_bytes(dtype); }

#if defined(__x86_64__)
// Whether this processor has AMX in bf16 and bytes, and the system gives this process its registers, which it asks for.
bool may_use_tiles() {
#if defined(__linux__)
    constexpr unsigned BF16_BIT = 1u << 22, TILE_BIT = 1u << 24, INT8_BIT = 1u << 25;
    constexpr unsigned long ASK_FOR_STATE = 0x1023, TILE_DATA = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    constexpr unsigned ALL = BF16_BIT | TILE_BIT | INT8_BIT;
    return (d & ALL) == ALL && syscall(SYS_arch_prctl, ASK_FOR_STATE, TILE_DATA) == 0;
#else
    return false;
#endif
}
#endif

std::vector<const Ops*> available() {
    std::vector<const Ops*> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool has_avx2 =
        __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    const bool has_avx512 = has_avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                            __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    const bool has_dots = has_avx512 && __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vnni");
    if (has_dots && avx512_amx_ops() && may_use_tiles()) found.push_back(avx512_amx_ops());
    if (has_dots && avx512_bf16_ops()) found.push_back(avx512_bf16_ops());
    if (has_avx512 && avx512_ops()) found.push_back(avx512_ops());
    if (has_avx2 && avx2_ops()) found.push_back(avx2_ops());
#endif
    if (neon_ops()) found.push_back(neon_ops());
    found.push_back(portable_ops());
    return found;
}

// One panel of a packed weight, four bytes at a time: a float, or a pair of bf16.
//
// rows: of `words` whole words and, where the depth is odd, a bf16 more; lanes: rows that are there.
void pack_panel(const char* rows, int64_t row_bytes, int64_t lanes, int64_t words, uint32_t* packed) {
    constexpr int64_t BLOCK = 16;  // words of a row, a line of the cache, turned together
    for (int64_t from = 0; from < words; from += BLOCK) {
        const int64_t count = std::min(BLOCK, words - from);
        for (int64_t lane = 0; lane < lanes; ++lane) {
            uint32_t line[BLOCK];
            std::memcpy(line, rows + lane * row_bytes + 4 * from, 4 * count);
            for (int64_t i = 0; i < count; ++i) packed[(from + i) * PANEL + lane] = line[i];
        }
    }
}

}  // namespace

Workspace::~Workspace() { std::free(bytes_); }

void* Workspace::of_bytes(int64_t count) {
    if (count > size_) {
        std::free(bytes_);
        size_ = ceil_div(count, 64) * 64;
        bytes_ = std::aligned_alloc(64, size_);
        if (!bytes_) {
            size_ = 0;
            throw std::bad_alloc();
        }
    }
    return bytes_;
}

const Ops* ops_named(const std::string& name) {
    for (const Ops* ops : available())
        if (name == ops->name) return ops;
    throw std::invalid_argument("no kernels for " + name + " on this machine");
}

std::vector<std::string> instruction_sets() {
    std::vector<std::string> names;
    for (const Ops* ops : available()) names.push_back(ops->name);
    return names;
}

Kernels::Kernels(const std::string& instruction_set, int num_threads)
    : ops_(ops_named(instruction_set)), pool_(num_threads), scratch_(pool_.num_threads()) {}

// Rows side by side make a unit, as many as are worth a thread.
template <typename Function>
void Kernels::each_row(int64_t rows, int64_t size, Function function) {
    const int64_t each = std::max<int64_t>(1, FEW_ELEMENTS / std::max<int64_t>(size, 1));
    pool_.each(int(ceil_div(rows, each)), [&](int unit, int) {
        for (int64_t row = unit * each; row < std::min(rows, (unit + 1) * each); ++row) function(row);
    });
}

void Kernels::multiply(Rows rows, std::span<const Matrix> matrices) {
    const auto alone = in_use();
    if (rows.rows == 0) return;
    const bool in_codes = matrices[0].codes != nullptr;
    const int64_t tile_rows = in_codes ? ops_->code_tile_rows : ops_->tile_rows(rows.dtype);
    const int64_t tiles = ceil_div(rows.rows, tile_rows);
    const auto multiply_panels = in_codes ? ops_->multiply_codes : ops_->multiply_panels;
    pack(rows, in_codes);
    const int64_t pass_bytes = in_codes ? ops_->code_tile_bytes(std::min(rows.depth, CODE_DEPTH_STEP))
                                        : ops_->tile_bytes(std::min(rows.depth, DEPTH_STEP), rows.dtype);
    const int64_t fit = std::max<int64_t>(1, ROWS_BYTES / pass_bytes), per_chunk = ceil_div(tiles, ceil_div(tiles, fit));
    int64_t panels = 0;
    for (const Matrix& matrix : matrices) panels += ceil_div(matrix.outputs, PANEL);
    const int64_t chunks = ceil_div(tiles, per_chunk), partial = 2 * std::min(per_chunk, tiles) * tile_rows * PANEL;
    for (auto& scratch : scratch_) scratch.of<float>(partial);
    pool_.ranges(int(chunks * panels), [&](int64_t unit, int64_t end, int thread) {
        while (unit < end) {
            int64_t panel = unit % panels;
            const Matrix* matrix = matrices.data();
            for (; panel >= ceil_div(matrix->outputs, PANEL); ++matrix) panel -= ceil_div(matrix->outputs, PANEL);
            const int64_t last = std::min(panel + end - unit, ceil_div(matrix->outputs, PANEL));
            const int64_t tile = unit / panels * per_chunk, last_tile = std::min(tile + per_chunk, tiles);
            multiply_panels(rows, *matrix, panel, last, tile, last_tile, scratch_[thread].of<float>(partial));
            unit += last - panel;
        }
    });
}

void Kernels::multiply_for_largest(const Rows& rows, const void* weight, const CodeFormat* codes, int64_t outputs,
                                   int64_t* indices) {
    const auto alone = in_use();
    const int64_t panels = ceil_div(outputs, PANEL);
    Largest* largest = largest_.of<Largest>(panels * rows.rows);
    const Matrix matrix{weight, nullptr, outputs, nullptr, 0, nullptr, largest, codes};
    multiply(rows, {&matrix, 1});
    for (int64_t panel = 1; panel < panels; ++panel) {  // as they lie, those of the first panel meet the others
        const Largest* others = largest + panel * rows.rows;
        for (int64_t row = 0; row < rows.rows; ++row) largest[row].meet(others[row].value, others[row].index);
    }
    for (int64_t row = 0; row < rows.rows; ++row) indices[row] = largest[row].index;
}

void Kernels::pack(Rows& rows, bool for_codes) {
    const int64_t tiles = ceil_div(rows.rows, for_codes ? ops_->code_tile_rows : ops_->tile_rows(rows.dtype));
    const int64_t tile_bytes = for_codes ? ops_->code_tile_bytes(rows.depth) : ops_->tile_bytes(rows.depth, rows.dtype);
    const auto pack_unit = for_codes ? ops_->pack_code_row : ops_->pack_rows;
    const int units = int(for_codes ? rows.rows : tiles);
    rows.tile_bytes = ceil_div(tile_bytes, 64) * 64;
    rows.packed = packed_rows_.of<char>(tiles * rows.tile_bytes);
    // A few rows are packed faster than another thread hears of them.
    if (rows.rows * rows.depth <= FEW_ELEMENTS)
        for (int unit = 0; unit < units; ++unit) pack_unit(rows, unit);
    else
        pool_.each(units, [&](int unit, int) { pack_unit(rows, unit); });
}

void Kernels::rms_norm(const void* x, const void* weight, void* y, int64_t rows, int64_t size, float eps, DType dtype) {
    const auto alone = in_use();
    each_row(rows, size, [&](int64_t row) {
        ops_->rms_norm(at(x, row * size, dtype), weight, at(y, row * size, dtype), size, eps, dtype);
    });
}

void Kernels::silu_and_mul(const void* gate, const void* up, void* y, int64_t rows, int64_t size, int64_t gate_stride,
                           int64_t up_stride, DType dtype) {
    const auto alone = in_use();
    each_row(rows, size, [&](int64_t row) {
        ops_->silu_and_mul(at(gate, row * gate_stride, dtype), at(up, row * up_stride, dtype), at(y, row * size, dtype), size,
                           dtype);
    });
}

void Kernels::place_row(const Heads& heads, const void* gain, float eps, const Rotation& rotation, int64_t row, DType dtype) {
    const int64_t head_dim = heads.head_dim, half = rotation.rotary_dim / 2;
    const void* x = at(heads.x, row * heads.x_stride, dtype);
    void* y = at(heads.y, row * heads.y_stride, dtype);
    if (gain) {
        for (int64_t head = 0; head < heads.heads; ++head)
            ops_->rms_norm(at(x, head * head_dim, dtype), gain, at(y, head * head_dim, dtype), head_dim, eps, dtype);
        x = y;
    }
    if (!rotation.cosine) return;
    const int64_t place = (rotation.positions ? rotation.positions[row] : row) * half;
    ops_->rotate(x, rotation.cosine + place, rotation.sine + place, y, heads.heads, head_dim, rotation.rotary_dim, dtype);
}

void Kernels::store_row(const void* key, const void* value, const Cache& cache, int64_t kv_heads, int64_t head_dim, int64_t row,
                        const AttentionPlan& plan, DType dtype) {
    const int64_t slot = plan.slots[row];
    if (slot < 0) return;
    const int64_t block = slot / plan.block_size * cache.block_stride * (cache.in_bytes ? 1 : element_bytes(dtype));
    const auto store = cache.in_bytes ? ops_->store_kv_bytes : ops_->store_kv;
    char *k_block = static_cast<char*>(cache.k) + block, *v_block = static_cast<char*>(cache.v) + block;
    store(key, value, k_block, v_block, slot % plan.block_size, kv_heads, head_dim, plan.block_size, dtype);
}

void Kernels::place_heads(const Heads& heads, const void* gain, float eps, const Rotation& rotation, int64_t rows,
                          DType dtype) {
    const auto alone = in_use();
    if (!gain && !rotation.cosine) return;
    each_row(rows, heads.heads * heads.head_dim, [&](int64_t row) { place_row(heads, gain, eps, rotation, row, dtype); });
}

void Kernels::store_kv(const void* key, const void* value, int64_t key_stride, int64_t value_stride, const Cache& cache,
                       int64_t kv_heads, int64_t head_dim, const AttentionPlan& plan, DType dtype) {
    const auto alone = in_use();
    each_row(int64_t(plan.slots.size()), kv_heads * head_dim, [&](int64_t row) {
        store_row(at(key, row * key_stride, dtype), at(value, row * value_stride, dtype), cache, kv_heads, head_dim, row, plan,
                  dtype);
    });
}

void Kernels::place_tokens(const Heads& queries, const void* query_gain, const Heads& keys, const void* key_gain, float eps,
                           const Rotation& rotation, const void* value, const Cache& cache, int64_t rows,
                           const AttentionPlan& plan, DType dtype) {
    const auto alone = in_use();
    each_row(rows, (queries.heads + 2 * keys.heads) * keys.head_dim, [&](int64_t row) {
        place_row(queries, query_gain, eps, rotation, row, dtype);
        place_row(keys, key_gain, eps, rotation, row, dtype);
        const int64_t first = row * keys.y_stride;
        store_row(at(keys.y, first, dtype), at(value, first, dtype), cache, keys.heads, keys.head_dim, row, plan, dtype);
    });
}

// The queries of all tiles, turned as the keys in bytes are; `attention` has them from here on.
void Kernels::turn_queries(Attention& attention, const AttentionPlan& plan) {
    const int64_t heads = attention.num_kv_heads * attention.group, size = heads * attention.head_dim;
    const int64_t rows = plan.tiles.empty() ? 0 : plan.tiles.back().first_row + plan.tiles.back().num_tokens;
    void* turned = turned_.of<char>(rows * size * element_bytes(attention.dtype));
    each_row(rows, size, [&](int64_t row) {
        ops_->turn_heads(at(attention.query, row * attention.query_stride, attention.dtype),
                         at(turned, row * size, attention.dtype), heads, attention.head_dim, attention.dtype);
    });
    attention.query = turned;
    attention.query_stride = size;
}

void Kernels::attend(Attention attention, const AttentionPlan& plan) {
    const auto alone = in_use();
    if (attention.in_bytes) turn_queries(attention, plan);
    attention.tables = plan.tables.data();
    attention.table_stride = plan.table_stride;
    attention.block_size = plan.block_size;
    attention.window = plan.window;
    attention.chunk = plan.chunk;
    const int64_t kv_heads = attention.num_kv_heads, head_dim = attention.head_dim;
    const int64_t item_floats = plan.most_rows * (2 + head_dim);
    float* partials = partials_.of<float>(plan.num_items * kv_heads * item_floats);
    // Scores, queries and what they are scaled by, four strips of keys; see `attention.inl`.
    const int64_t scratch = plan.most_rows * (SCORES_STRIDE + head_dim + 2) + 4 * head_dim * 16;
    for (auto& each : scratch_) each.of<float>(scratch);
    // Partitions of a KV head lie behind one another, so that `combine` walks them with one stride.
    const auto result = [&](int64_t item, int64_t head) { return partials + (item * kv_heads + head) * item_floats; };
    // Keys by keys, heads by heads, tiles by tiles: what a tile has read the next one finds in a core's cache.
    const auto unit_at = [&](int64_t unit) -> AttentionUnit {
        const SharedKeys& keys = plan.keys[plan.keys_at[unit / kv_heads]];
        const int64_t in_keys = unit - keys.first * kv_heads;
        const Tile& tile = plan.tiles[plan.by_keys[keys.first + in_keys % keys.count]];
        return {&tile, in_keys / keys.count, keys.partition, tile.first_item + keys.partition - tile.first_partition};
    };
    const auto finish = [&](const Tile& tile, int64_t head) {
        ops_->combine(attention, tile, head, result(tile.first_item, head), kv_heads * item_floats);
    };
    pool_.ranges(int(plan.num_items * kv_heads), [&](int64_t first, int64_t last, int thread) {
        float* own = scratch_[thread].of<float>(scratch);
        for (AttentionUnit unit = unit_at(first); first < last; ++first) {
            const AttentionUnit next = unit_at(first + 1 < last ? first + 1 : first);
            ops_->attend(attention, unit, first + 1 < last ? &next : nullptr, result(unit.item, unit.kv_head), own);
            // Most requests are one partition long: nothing is to be waited for.
            if (unit.tile->num_partitions == 1) finish(*unit.tile, unit.kv_head);
            unit = next;
        }
    });
    const int units = int(plan.split_tiles.size() * kv_heads);
    const auto finish_unit = [&](int unit, int) { finish(plan.tiles[plan.split_tiles[unit / kv_heads]], unit % kv_heads); };
    if (units * attention.group * head_dim <= FEW_ELEMENTS)
        for (int unit = 0; unit < units; ++unit) finish_unit(unit, 0);
    else
        pool_.each(units, finish_unit);
}

int64_t packed_bytes(int64_t outputs, int64_t depth, DType dtype) {
    return ceil_div(outputs, PANEL) * PANEL * 2 * ceil_div(depth, 2) * element_bytes(dtype);
}

void Kernels::pack_weight(const void* weight, void* packed, int64_t outputs, int64_t depth, DType dtype) {
    const auto alone = in_use();
    const int64_t row_bytes = depth * element_bytes(dtype), panel_bytes = packed_bytes(PANEL, depth, dtype);
    pool_.each(int(ceil_div(outputs, PANEL)), [&](int panel, int) {
        const int64_t lanes = std::min<int64_t>(PANEL, outputs - int64_t(panel) * PANEL), words = row_bytes / 4;
        const char* rows = static_cast<const char*>(weight) + panel * PANEL * row_bytes;
        auto* to = reinterpret_cast<uint32_t*>(static_cast<char*>(packed) + panel * panel_bytes);
        if (lanes < PANEL || depth % 2) std::memset(to, 0, panel_bytes);
        pack_panel(rows, row_bytes, lanes, words, to);
        if (row_bytes % 4)  // the last bf16 of a row stands alone
            for (int64_t lane = 0; lane < lanes; ++lane)
                std::memcpy(to + words * PANEL + lane, rows + (lane + 1) * row_bytes - 2, 2);
    });
}

void Kernels::pack_codes(const Codes& given, const CodeFormat& format, void* packed) {
    const auto alone = in_use();
    const int64_t panel_bytes = format.panel_bytes(given.depth);
    pool_.each(int(ceil_div(given.outputs, PANEL)), [&](int panel, int) {
        pack_codes_panel(given, format, panel, static_cast<uint8_t*>(packed) + panel * panel_bytes);
    });
}

void Kernels::take_rows(const Table& table, std::span<const int64_t> wanted, void* y) {
    const auto alone = in_use();
    const int64_t row_bytes = table.depth * element_bytes(table.dtype);
    const int64_t panel_bytes = packed_bytes(PANEL, table.depth, table.dtype);
    const char* weight = static_cast<const char*>(table.weight);
    for (const int64_t row : wanted)
        if (row < 0 || row >= table.outputs)
            throw std::out_of_range("row " + std::to_string(row) + " of " + std::to_string(table.outputs));
    each_row(int64_t(wanted.size()), table.depth, [&](int64_t i) {
        char* to = static_cast<char*>(y) + i * row_bytes;
        if (table.codes) {
            unpack_codes_row(reinterpret_cast<const uint8_t*>(weight), *table.codes, table.depth, wanted[i], to, table.dtype);
            return;
        }
        if (!table.is_packed) {
            std::memcpy(to, weight + wanted[i] * row_bytes, row_bytes);
            return;
        }
        const char* from = weight + wanted[i] / PANEL * panel_bytes + wanted[i] % PANEL * 4;
        for (int64_t at = 0; at < row_bytes; at += 4)
            std::memcpy(to + at, from + at * PANEL, std::min<int64_t>(4, row_bytes - at));
    });
}

namespace {

// Adds the keys of one request, whose tiles are those from `first_tile` on.
void share_keys(AttentionPlan& plan, size_t first_tile) {
    if (first_tile == plan.tiles.size()) return;
    const int64_t last = plan.tiles.back().first_partition + plan.tiles.back().num_partitions;
    for (int64_t partition = plan.tiles[first_tile].first_partition; partition < last; ++partition) {
        const auto first = int64_t(plan.by_keys.size());
        for (size_t i = first_tile; i < plan.tiles.size(); ++i) {
            const int64_t after = partition - plan.tiles[i].first_partition;
            if (after >= 0 && after < plan.tiles[i].num_partitions) plan.by_keys.push_back(int(i));
        }
        const int64_t count = int64_t(plan.by_keys.size()) - first;
        plan.keys_at.insert(plan.keys_at.end(), count, int(plan.keys.size()));
        plan.keys.push_back({first, count, partition});
    }
}

}  // namespace

AttentionPlan plan_attention(const std::vector<int64_t>& query_start_loc, const std::vector<int64_t>& seq_lens,
                             std::vector<int64_t> tables, int64_t table_stride, std::vector<int64_t> slots, int64_t group,
                             int64_t block_size, int64_t window, int64_t chunk) {
    AttentionPlan plan;
    plan.tables = std::move(tables);
    plan.slots = std::move(slots);
    plan.table_stride = table_stride;
    plan.block_size = block_size;
    plan.window = window;
    plan.chunk = chunk;
    if (PARTITION % block_size) throw std::invalid_argument("a block size must divide " + std::to_string(PARTITION));
    const int64_t tokens = std::clamp<int64_t>(TILE_QUERY_ROWS / group, 1, MAX_TILE_TOKENS);
    for (size_t request = 0; request < seq_lens.size(); ++request) {
        const int64_t end = query_start_loc[request + 1], shift = seq_lens[request] - end;  // position = row + shift
        const size_t first_tile = plan.tiles.size();
        for (int64_t row = query_start_loc[request]; row < end; row += tokens) {
            const int64_t count = std::min(tokens, end - row), position = row + shift;
            const int64_t first = std::max<int64_t>(0, first_seen(position, window, chunk)) / PARTITION;
            const int64_t num_partitions = (position + count - 1) / PARTITION + 1 - first;
            plan.tiles.push_back({int64_t(request), row, count, position, first, num_partitions, plan.num_items});
            plan.num_items += num_partitions;
            if (num_partitions > 1) plan.split_tiles.push_back(int(plan.tiles.size()) - 1);
            plan.most_rows = std::max(plan.most_rows, count * group);
        }
        share_keys(plan, first_tile);
    }
    return plan;
}

}  // namespace pagoda
