// Matrix products: every output is one chain of multiply-adds over the inputs in their order, whatever the number of rows.
//
// That chain is the whole secret of exactness: tiles of one row and of many, and any division over threads, add the same
// numbers in the same order. Where the inputs are many, the chain is put down and taken up again, which changes no bit.

namespace PAGODA_ISA {

#if defined(PAGODA_AVX512)
constexpr int TILE_ROWS = 12;
#elif defined(PAGODA_NEON)
constexpr int TILE_ROWS = 5;
#elif defined(PAGODA_AVX2)
constexpr int TILE_ROWS = 5;  // with two vectors of outputs ten sums, two pairs of weights, one input: 15 of 16 registers
#else
constexpr int TILE_ROWS = 4;
#endif

constexpr int PANEL_VECTORS = PANEL / WIDTH;

// Vectors of outputs that are summed at once: many for few rows, to have sums enough that do not wait for one another.
constexpr int vectors_for(int rows) {
#if defined(PAGODA_NEON)
    return rows <= 2 ? 8 : 4;
#else
    return PANEL_VECTORS < 4 ? PANEL_VECTORS : rows <= 2 ? 4 : 2;
#endif
}

INLINE void load_weights(const float* from, Floats& first, Floats& second, int vector) {
    first = load(from + vector * WIDTH);
    second = load(from + PANEL + vector * WIDTH);
}

INLINE void load_weights(const uint16_t* from, Floats& first, Floats& second, int vector) {
    load_pairs(from + 2 * vector * WIDTH, first, second);
}

// x [depth][TILE_ROWS], weight [depth / 2][PANEL][2] (floats: [depth][PANEL]), sums [ROWS][PANEL].
template <int ROWS, typename Element>
INLINE void multiply_tile(const float* x, const Element* weight, int64_t depth, float* sums) {
    constexpr int VECTORS = vectors_for(ROWS);
    for (int column = 0; column < PANEL_VECTORS; column += VECTORS) {
        Floats sum[ROWS][VECTORS];
        UNROLLED for (int row = 0; row < ROWS; ++row)
            UNROLLED for (int v = 0; v < VECTORS; ++v) sum[row][v] = load(sums + row * PANEL + (column + v) * WIDTH);
        const float* inputs = x;
        const Element* weights = weight;
        for (int64_t pair = 0; pair < depth / 2; ++pair) {
            Floats first[VECTORS], second[VECTORS];
            UNROLLED for (int v = 0; v < VECTORS; ++v) load_weights(weights, first[v], second[v], column + v);
            UNROLLED for (int row = 0; row < ROWS; ++row) {
                const Floats input = all(inputs[row]);
                UNROLLED for (int v = 0; v < VECTORS; ++v) sum[row][v] = multiply_add(input, first[v], sum[row][v]);
            }
            UNROLLED for (int row = 0; row < ROWS; ++row) {
                const Floats input = all(inputs[TILE_ROWS + row]);
                UNROLLED for (int v = 0; v < VECTORS; ++v) sum[row][v] = multiply_add(input, second[v], sum[row][v]);
            }
            inputs += 2 * TILE_ROWS;
            weights += 2 * PANEL;
        }
        UNROLLED for (int row = 0; row < ROWS; ++row)
            UNROLLED for (int v = 0; v < VECTORS; ++v) store(sums + row * PANEL + (column + v) * WIDTH, sum[row][v]);
    }
}

template <int ROWS, typename Element>
static void multiply_rows(int64_t rows, const float* x, const Element* weight, int64_t depth, float* sums) {
    if constexpr (ROWS > 1) {
        if (rows < ROWS) return multiply_rows<ROWS - 1>(rows, x, weight, depth, sums);
    }
    multiply_tile<ROWS>(x, weight, depth, sums);
}

template <typename Type>
static void pack_rows_of(const Product& product, int64_t tile) {
    const auto* x = static_cast<const typename Type::Element*>(product.x) + tile * TILE_ROWS * product.x_stride;
    float* packed = product.packed_rows + tile * product.tile_floats;
    const int64_t left = product.rows - tile * TILE_ROWS, rows = left < TILE_ROWS ? left : TILE_ROWS;
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = 0; i < product.depth; ++i) packed[i * TILE_ROWS + row] = Type::wide(x[row * product.x_stride + i]);
    if (product.depth % 2)
        for (int64_t row = 0; row < rows; ++row) packed[product.depth * TILE_ROWS + row] = 0.0f;
}

static void pack_rows(const Product& product, int64_t tile) {
    product.dtype == DType::BF16 ? pack_rows_of<BF16>(product, tile) : pack_rows_of<F32>(product, tile);
}

template <typename Type>
INLINE void write_row(const Product& product, int64_t row, int64_t panel, const float* sums) {
    typedef typename Type::Element Element;
    Element* y = static_cast<Element*>(product.y) + row * product.y_stride + panel * PANEL;
    const Element* bias = product.bias ? static_cast<const Element*>(product.bias) + panel * PANEL : nullptr;
    const int64_t left = product.outputs - panel * PANEL;
    if (left >= PANEL) {
        for (int v = 0; v < PANEL; v += WIDTH) {
            const Floats sum = load(sums + v);
            Type::store(y + v, bias ? add(sum, Type::load(bias + v)) : sum);
        }
        return;
    }
    for (int64_t i = 0; i < left; ++i) y[i] = Type::narrow(bias ? sums[i] + Type::wide(bias[i]) : sums[i]);
}

template <typename Type>
static void multiply_panel_of(const Product& product, int64_t panel, int64_t first_tile, int64_t last_tile, float* partial) {
    const int64_t depth = product.depth + product.depth % 2;
    const auto* weight = static_cast<const typename Type::Element*>(product.weight) + panel * depth * PANEL;
    std::memset(partial, 0, sizeof(float) * (last_tile - first_tile) * TILE_ROWS * PANEL);
    for (int64_t from = 0; from < depth; from += DEPTH_STEP) {
        const int64_t length = depth - from < DEPTH_STEP ? depth - from : DEPTH_STEP;
        for (int64_t tile = first_tile; tile < last_tile; ++tile) {
            const float* x = product.packed_rows + tile * product.tile_floats + from * TILE_ROWS;
            float* sums = partial + (tile - first_tile) * TILE_ROWS * PANEL;
            multiply_rows<TILE_ROWS>(product.rows - tile * TILE_ROWS, x, weight + from * PANEL, length, sums);
        }
    }
    for (int64_t row = first_tile * TILE_ROWS; row < last_tile * TILE_ROWS && row < product.rows; ++row)
        write_row<Type>(product, row, panel, partial + (row - first_tile * TILE_ROWS) * PANEL);
}

static void multiply_panel(const Product& product, int64_t panel, int64_t first_tile, int64_t last_tile, float* partial) {
    product.dtype == DType::BF16 ? multiply_panel_of<BF16>(product, panel, first_tile, last_tile, partial)
                                 : multiply_panel_of<F32>(product, panel, first_tile, last_tile, partial);
}

}  // namespace PAGODA_ISA
