// What one instruction set's kernels are: a table of functions over raw pointers, the same for all of them.
//
// Between `kernels.h`, which divides the work, and `isa/`, which does it. Every function computes one unit of a job and knows
// of no other; lengths count elements. An element type is a number, as Python hands it over.

#pragma once

#include <cstdint>

namespace pagoda {

struct CodeFormat;

enum class DType : int { F32 = 0, BF16 = 1 };

// Outputs of a packed weight that lie side by side, a panel: [panels][depth / 2][PANEL][2], inputs in pairs, zeros behind
// the last output and the last input. Read from the first byte to the last, by whatever number of rows.
constexpr int PANEL = 32;

// Inputs of one pass over a panel: what of it stays in a core's cache while all rows go by. Even.
constexpr int64_t DEPTH_STEP = 2048;

// Keys of one partition of attention, whole blocks: a multiple of any block size. See `attention.inl`.
constexpr int64_t PARTITION = 512;

// Floats from one row of scores to the next: rows that were a power of two apart would share their places in the cache.
constexpr int64_t SCORES_STRIDE = PARTITION + 16;

// Bytes behind each token's whole numbers of one head, in a cache in bytes: their scale, a bf16.
constexpr int64_t SCALE_BYTES = 2;

constexpr int64_t element_bytes(DType dtype) { return dtype == DType::BF16 ? 2 : 4; }

// What is multiplied: `x [rows, depth]`, rows x_stride apart.
struct Rows {
    const void* x;
    int64_t x_stride, rows, depth;
    DType dtype;
    // What `pack_rows` made of x: tiles of `tile_rows` rows, laid out as the instruction set has them.
    char* packed = nullptr;
    int64_t tile_bytes = 0;
};

// The largest of some outputs, the first of those that are equal; a number that is none counts as larger than any.
struct Largest {
    float value;
    int32_t index;

    void meet(float other, int32_t other_index) {
        if (other > value || (other != other && value == value)) *this = {other, other_index};
    }
};

// One matrix that rows are multiplied by: `x @ weight^T + bias -> y [rows, outputs]`, all of the rows' dtype.
struct Matrix {
    const void* weight;  // packed
    const void* bias;    // [outputs] or null
    int64_t outputs;
    void* y;
    int64_t y_stride;
    // y itself or rows as far apart, that the product is added to once it is rounded; or null.
    const void* residual;
    // Where it is not null nothing is written to y: the largest output of each panel, [panels, rows].
    Largest* largest = nullptr;
    // How the weight lies where it is in codes; null for floats. Matrices that share rows are all of one kind.
    const CodeFormat* codes = nullptr;
};

// Queries or keys of a step: x to y, which may be the same, each [rows, heads, head_dim] with rows a stride apart.
struct Heads {
    const void* x;
    void* y;
    int64_t x_stride, y_stride, heads, head_dim;
};

// RoPE of a step: cosine and sine [rows, rotary_dim / 2], or null where nothing rotates; with positions [rows], these say
// which of a table's rows belongs to each.
struct Rotation {
    const float *cosine, *sine;
    int64_t rotary_dim;
    const int64_t* positions;
};

// The first position that a token at `position` sees: of the last `window`, its own included (a very large number: all), or
// of its own chunk of `chunk` positions (0: none), whichever reaches further back; see `window.py`.
static inline int64_t first_seen(int64_t position, int64_t window, int64_t chunk) {
    const int64_t sliding = position - window + 1, own = chunk ? position / chunk * chunk : position;
    return sliding < own ? sliding : own;
}

// One step's attention; places of tokens as in `kernels/interface.py`.
struct Attention {
    const void* query;  // [rows, heads, head_dim], rows query_stride apart
    int64_t query_stride;
    const void* k_cache;  // [blocks, kv_heads, head_dim, block_size], laid out as `arithmetic.inl` says
    const void* v_cache;  // [blocks, kv_heads, block_size, head_dim], likewise
    void* output;         // [rows, heads, head_dim]
    int64_t output_stride;
    int64_t num_kv_heads, group, head_dim, block_size, block_stride;
    const int64_t* tables;  // [requests, table_stride]
    int64_t table_stride;
    int64_t window, chunk;  // what a token sees: see `first_seen`
    float scale, softcap;  // 0: no softcap
    DType dtype;
    bool in_bytes;  // keys and values are whole numbers with scales: see `kv_bytes.inl`
};

// Up to MAX_TILE_TOKENS neighbouring tokens of one request, whose keys are read once.
struct Tile {
    int64_t request, first_row, num_tokens, first_position;
    int64_t first_partition, num_partitions;
    int64_t first_item;  // of its partitions' partial results
};

constexpr int MAX_TILE_TOKENS = 24;

// What is attended at once: a tile, a KV head and a partition of the keys.
struct AttentionUnit {
    const Tile* tile;
    int64_t kv_head, partition;
    int64_t item;  // place of its partial result
};

// Rows as whole numbers of 8 bits, each with one scale: see `encoder.inl`.
struct ByteRows {
    const void* x;  // [rows, depth]
    int64_t rows, depth;
    DType dtype;
    int32_t* packed;  // tiles of `byte_rows` rows, four numbers to a word, as the instruction set has them
    float* scales;    // [rows]
    int32_t* sums;    // [rows] of the whole numbers
};

// A matrix that such rows are multiplied by: `x @ (scales * (weight - 128))^T + bias -> y [rows, outputs]`.
struct ByteMatrix {
    const uint8_t* weight;  // [outputs / PANEL][depth / 4][PANEL][4]
    const float *scales, *bias;  // [outputs]
    int64_t outputs;
    void* y;
    DType dtype;     // of y
    bool with_gelu;  // of what is written
};

// The queries, keys and values of one text, [length, 3 * heads * head_dim], and what its attention writes.
struct Text {
    const void* told;
    void* y;  // [length, heads * head_dim]
    int64_t length, heads, head_dim;
    DType dtype;
};

struct Ops {
    const char* name;
    int (*tile_rows)(DType dtype);  // rows that one pass over a panel multiplies

    // Bytes of one tile of packed rows.
    int64_t (*tile_bytes)(int64_t depth, DType dtype);
    // Tile `tile` of the rows of x, laid out for `multiply_panels`.
    void (*pack_rows)(const Rows& rows, int64_t tile);
    // The rows of tiles [first_tile, last_tile) by panels [panel, end). partial: floats, [2 * tiles * tile_rows, PANEL].
    void (*multiply_panels)(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t end, int64_t first_tile,
                            int64_t last_tile, float* partial);

    // The same for matrices in codes; see `codes.h`. partial: floats, [tiles * code_tile_rows, PANEL].
    int code_tile_rows;
    int64_t (*code_tile_bytes)(int64_t depth);
    void (*pack_code_row)(const Rows& rows, int64_t row);  // one row, into its tile
    void (*multiply_codes)(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t end, int64_t first_tile,
                           int64_t last_tile, float* partial);

    void (*rms_norm)(const void* x, const void* weight, void* y, int64_t size, float eps, DType dtype);
    void (*silu_and_mul)(const void* gate, const void* up, void* y, int64_t size, DType dtype);
    // One token: x and y [heads, head_dim], cosine and sine [rotary_dim / 2].
    void (*rotate)(const void* x, const float* cosine, const float* sine, void* y, int64_t heads, int64_t head_dim,
                   int64_t rotary_dim, DType dtype);
    // One token: key and value [kv_heads, head_dim] into the slot of a block.
    void (*store_kv)(const void* key, const void* value, void* k_block, void* v_block, int64_t offset, int64_t kv_heads,
                     int64_t head_dim, int64_t block_size, DType dtype);
    // The same into a cache in bytes.
    void (*store_kv_bytes)(const void* key, const void* value, void* k_block, void* v_block, int64_t offset, int64_t kv_heads,
                           int64_t head_dim, int64_t block_size, DType dtype);

    // Queries of one token for a cache in bytes: x and y [heads, head_dim].
    void (*turn_heads)(const void* x, void* y, int64_t heads, int64_t head_dim, DType dtype);

    // The partial result of one unit: for each token and head of the group the largest score, the sum of exponentials and
    // the weighted values, [2 + head_dim] floats each, to `partial`. next: the unit that this thread attends afterwards, or
    // null; its keys are asked for. scratch: see `Kernels::attend`.
    void (*attend)(const Attention& attention, const AttentionUnit& unit, const AttentionUnit* next, float* partial,
                   float* scratch);
    // Adds a tile's partitions in the order of the keys, writes the outputs of one KV head, and uses up the partial results.
    void (*combine)(const Attention& attention, const Tile& tile, int64_t kv_head, float* partials, int64_t partial_stride);

    // An encoder's layers; see `encoder.h`.
    int byte_rows;
    void (*pack_byte_row)(const ByteRows& rows, int64_t row);  // into its tile
    void (*multiply_bytes)(const ByteRows& rows, const ByteMatrix& matrix);
    void (*attend_text)(const Text& text, float* scratch);
    void (*add_and_normalise)(float* x, const void* added, const float* weight, const float* bias, uint16_t* narrow,
                              int64_t size, float eps, DType dtype);  // one row
};

// Null where this build or this machine has none.
const Ops* avx512_amx_ops();
const Ops* avx512_bf16_ops();
const Ops* avx512_ops();
const Ops* avx2_ops();
const Ops* neon_ops();
const Ops* portable_ops();

}  // namespace pagoda
