// Products by AMX, whose one instruction multiplies 16 rows of 64 bytes by 64 bytes of 16 outputs: in bf16, and in whole numbers.
//
// In bf16 a sum is one chain over steps of 32 inputs in their order, whatever the number of rows; within a step the products
// of even and of odd inputs are added apart, so that bits are not those of `product.inl`'s chains. Whole numbers have no order.
// Weights lie in panels as for other instruction sets: four bytes of an output side by side are what a tile wants. Rows that
// are not there stay as the memory was: they are multiplied with the others and thrown away. Intel's manual: "Intel
// Architecture Instruction Set Extensions Programming Reference", chapter 3 (319433).

#include <immintrin.h>

namespace PAGODA_ISA {

constexpr int AMX_ROWS = 16, AMX_LINE = 64, AMX_BYTES = AMX_ROWS * AMX_LINE;  // of a tile
constexpr int PAIR_ROWS = 2 * AMX_ROWS;                                       // of two tiles, which meet a panel's two
constexpr int BF16_STEP = AMX_LINE / 2;
constexpr int64_t STEP_BYTES = AMX_ROWS * 4 * PANEL;                          // of a panel's weights
constexpr int64_t AMX_DEPTH_STEP = 512;  // inputs whose weights of a panel stay in a core's first cache

// What is written by now is in memory behind this: compilers do not know that tiles are loaded from there. GCC 12's
// `_tile_loadconfig` says that it reads 8 bytes of its 64, its `_tile_loadd` none of what it is given.
INLINE void settle(const void* written) { asm volatile("" : : "r"(written) : "memory"); }

// All eight tiles are used at their full size until the end of the block: four of sums, two of rows, two of weights.
class FullTiles {
public:
    FullTiles() {
        alignas(64) struct {
            uint8_t palette = 1, start_row = 0, reserved[14] = {};
            uint16_t bytes[16] = {};
            uint8_t rows[16] = {};
        } shape;
        for (int tile = 0; tile < 8; ++tile) {
            shape.bytes[tile] = AMX_LINE;
            shape.rows[tile] = AMX_ROWS;
        }
        settle(&shape);
        _tile_loadconfig(&shape);
    }
    ~FullTiles() { _tile_release(); }
    FullTiles(const FullTiles&) = delete;
    FullTiles& operator=(const FullTiles&) = delete;
};

// How two tiles meet: elements, and the instruction.
struct TilesOfBF16 {
    INLINE void multiply(bool both) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        if (!both) return;
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
};
struct TilesOfBytes {
    INLINE void multiply(bool both) {  // rows have signs, weights are kept 128 higher
        _tile_dpbsud(0, 4, 6);
        _tile_dpbsud(1, 4, 7);
        if (!both) return;
        _tile_dpbsud(2, 5, 6);
        _tile_dpbsud(3, 5, 7);
    }
};

// Rows [steps][2][AMX_ROWS][AMX_LINE] by a panel [steps][AMX_ROWS][PANEL][4 bytes], added to sums [PAIR_ROWS][PANEL] of 4 bytes
// each. is_first: they begin at zero; both: there are more rows than one tile has.
template <typename Tiles>
INLINE void multiply_steps(const char* x, const char* weight, int64_t steps, void* sums, bool is_first, bool both) {
    constexpr int LINE = 4 * PANEL;
    char* at = static_cast<char*>(sums);
    if (is_first) {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    } else {
        _tile_loadd(0, at, LINE);
        _tile_loadd(1, at + AMX_LINE, LINE);
        if (both) {
            _tile_loadd(2, at + AMX_ROWS * LINE, LINE);
            _tile_loadd(3, at + AMX_ROWS * LINE + AMX_LINE, LINE);
        }
    }
    for (int64_t step = 0; step < steps; ++step, x += 2 * AMX_BYTES, weight += STEP_BYTES) {
        _tile_loadd(4, x, AMX_LINE);
        _tile_loadd(6, weight, LINE);
        _tile_loadd(7, weight + AMX_LINE, LINE);
        if (both) _tile_loadd(5, x + AMX_BYTES, AMX_LINE);
        Tiles::multiply(both);
    }
    _tile_stored(0, at, LINE);
    _tile_stored(1, at + AMX_LINE, LINE);
    if (both) {
        _tile_stored(2, at + AMX_ROWS * LINE, LINE);
        _tile_stored(3, at + AMX_ROWS * LINE + AMX_LINE, LINE);
    }
}

// The weights of a panel's last inputs, with zeros where a whole step would have more.
class LastStep {
public:
    // weight: behind the whole steps, so many bytes
    LastStep(const char* weight, int64_t bytes) {
        std::memcpy(filled_, weight, bytes);
        std::memset(filled_ + bytes, 0, sizeof filled_ - bytes);
        settle(filled_);
    }
    const char* get() const { return filled_; }

private:
    alignas(64) char filled_[STEP_BYTES];
};

// ---- bf16

static int64_t bf16_tile_bytes(int64_t depth) { return (depth + BF16_STEP - 1) / BF16_STEP * 2 * AMX_BYTES; }

static void pack_bf16_rows(const Rows& rows, int64_t tile) {
    const int64_t first = tile * PAIR_ROWS, left = rows.rows - first, whole = rows.depth / BF16_STEP;
    const auto* x = static_cast<const uint16_t*>(rows.x) + first * rows.x_stride;
    for (int64_t row = 0; row < PAIR_ROWS && row < left; ++row, x += rows.x_stride) {
        char* to = rows.packed + tile * rows.tile_bytes + row * AMX_LINE;
        for (int64_t step = 0; step < whole; ++step, to += 2 * AMX_BYTES) std::memcpy(to, x + step * BF16_STEP, AMX_LINE);
        if (const int64_t over = rows.depth % BF16_STEP) {
            std::memset(to, 0, AMX_LINE);
            std::memcpy(to, x + whole * BF16_STEP, 2 * over);
        }
    }
}

// One panel by tiles [first, last) of PAIR_ROWS rows, to sums [tiles][PAIR_ROWS][PANEL].
static void multiply_bf16_panel(const Rows& rows, const char* weight, int64_t first, int64_t last, float* sums) {
    const int64_t whole = rows.depth / BF16_STEP, over = (rows.depth % BF16_STEP + 1) / 2, most = AMX_DEPTH_STEP / BF16_STEP;
    const auto multiply = [&](const char* weights, int64_t step, int64_t steps) {
        for (int64_t tile = first; tile < last; ++tile)
            multiply_steps<TilesOfBF16>(rows.packed + tile * rows.tile_bytes + step * 2 * AMX_BYTES, weights, steps,
                                        sums + (tile - first) * PAIR_ROWS * PANEL, step == 0,
                                        rows.rows - tile * PAIR_ROWS > AMX_ROWS);
    };
    for (int64_t step = 0; step < whole; step += most)
        multiply(weight + step * STEP_BYTES, step, whole - step < most ? whole - step : most);
    if (over > 0) multiply(LastStep(weight + whole * STEP_BYTES, over * 4 * PANEL).get(), whole, 1);
}

static void multiply_bf16_panels(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t end, int64_t first,
                                 int64_t last, float* partial) {
    const FullTiles tiles;
    const int64_t panel_bytes = (rows.depth + 1) / 2 * 4 * PANEL;
    for (; panel < end; ++panel) {
        multiply_bf16_panel(rows, static_cast<const char*>(matrix.weight) + panel * panel_bytes, first, last, partial);
        write_sums<BF16, 1>(rows, matrix, panel, first, last, PAIR_ROWS, partial);
    }
}

// ---- an encoder's rows of bytes, in tiles as those of bf16

constexpr int BYTE_ROWS = PAIR_ROWS;

static char* byte_tile(const ByteRows& rows, int64_t tile) {
    return reinterpret_cast<char*>(rows.packed) + tile * ((rows.depth + AMX_LINE - 1) / AMX_LINE) * 2 * AMX_BYTES;
}

static void pack_byte_row(const ByteRows& rows, int64_t row) {
    char* to = byte_tile(rows, row / PAIR_ROWS) + row % PAIR_ROWS * AMX_LINE;
    if (rows.depth % AMX_LINE) std::memset(to + rows.depth / AMX_LINE * 2 * AMX_BYTES, 0, AMX_LINE);
    const auto place = [&](int64_t i) INLINE_LAMBDA { return to + i / AMX_LINE * 2 * AMX_BYTES + i % AMX_LINE; };
    const auto put = [&](int64_t i, Integers whole) INLINE_LAMBDA { store_low_bytes(reinterpret_cast<uint8_t*>(place(i)), whole); };
    rows.dtype == DType::BF16 ? round_row<BF16>(rows, row, put) : round_row<F32>(rows, row, put);
}

template <typename Type>
static void multiply_bytes_to(const ByteRows& rows, const ByteMatrix& matrix) {
    const FullTiles tiles;
    const int64_t whole = rows.depth / AMX_LINE, over = rows.depth % AMX_LINE;
    alignas(64) int32_t sums[PAIR_ROWS][PANEL];
    for (int64_t panel = 0; panel < matrix.outputs / PANEL; ++panel) {
        const char* weight = reinterpret_cast<const char*>(matrix.weight) + panel * rows.depth * PANEL;
        const LastStep last(weight + whole * STEP_BYTES, over * PANEL);
        for (int64_t first = 0; first < rows.rows; first += PAIR_ROWS) {
            const bool both = rows.rows - first > AMX_ROWS;
            const char* x = byte_tile(rows, first / PAIR_ROWS);
            multiply_steps<TilesOfBytes>(x, weight, whole, sums, true, both);
            if (over) multiply_steps<TilesOfBytes>(x + whole * 2 * AMX_BYTES, last.get(), 1, sums, false, both);
            for (int64_t row = 0; row < PAIR_ROWS && first + row < rows.rows; ++row)
                for (int column = 0; column < PANEL; column += WIDTH) {
                    Integers sum;
                    std::memcpy(&sum, sums[row] + column, sizeof sum);
                    write_whole<Type>(rows, matrix, first + row, panel * PANEL + column, sum);
                }
        }
    }
}

static void multiply_bytes(const ByteRows& rows, const ByteMatrix& matrix) {
    matrix.dtype == DType::BF16 ? multiply_bytes_to<BF16>(rows, matrix) : multiply_bytes_to<F32>(rows, matrix);
}

// ---- as `Ops` has them, floats in vectors

static int rows_of_tile(DType dtype) { return dtype == DType::BF16 ? PAIR_ROWS : TILE_ROWS; }

static int64_t tile_bytes_of(int64_t depth, DType dtype) {
    return dtype == DType::BF16 ? bf16_tile_bytes(depth) : tile_bytes(depth, dtype);
}

static void pack_tile(const Rows& rows, int64_t tile) {
    rows.dtype == DType::BF16 ? pack_bf16_rows(rows, tile) : pack_rows(rows, tile);
}

static void multiply_tiles(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t end, int64_t first, int64_t last,
                           float* partial) {
    rows.dtype == DType::BF16 ? multiply_bf16_panels(rows, matrix, panel, end, first, last, partial)
                              : multiply_panels(rows, matrix, panel, end, first, last, partial);
}

}  // namespace PAGODA_ISA
