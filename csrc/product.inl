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

// How a pair of inputs of one row meets the weights of WIDTH outputs: in STEPS steps, the rows' inputs of each side by side.
//
// Widened to floats there are two, a multiply-add for each input of the pair.
template <typename Type>
struct Widened {
    typedef Type Tensor;
    typedef typename Type::Element Element;
    typedef float Input;
    typedef Floats Weights;
    static constexpr int STEPS = 2;

    INLINE void load_weights(const float* from, int vector, Floats& first, Floats& second) {
        first = load(from + vector * WIDTH);
        second = load(from + PANEL + vector * WIDTH);
    }
    INLINE void load_weights(const uint16_t* from, int vector, Floats& first, Floats& second) {
        load_pairs(from + 2 * vector * WIDTH, first, second);
    }
    INLINE Floats add(Floats sum, Input input, Floats weight) { return multiply_add(all(input), weight, sum); }
    INLINE void pack(Element first, Element second, Input* to) {
        to[0] = Type::wide(first);
        to[TILE_ROWS] = Type::wide(second);
    }
};

#if defined(PAGODA_DOTS)
// One instruction multiplies both inputs of the pair and adds the products.
struct Dotted {
    typedef BF16 Tensor;
    typedef uint16_t Element;
    typedef uint32_t Input;
    typedef Pairs Weights;
    static constexpr int STEPS = 1;

    INLINE void load_weights(const uint16_t* from, int vector, Pairs& pairs, Pairs&) {
        pairs = load_bits(from + 2 * vector * WIDTH);
    }
    INLINE Floats add(Floats sum, Input input, Pairs weight) { return dot(all_pairs(input), weight, sum); }
    INLINE void pack(Element first, Element second, Input* to) { *to = first | uint32_t(second) << 16; }
};
typedef Dotted BF16Arithmetic;
#else
typedef Widened<BF16> BF16Arithmetic;
#endif
typedef Widened<F32> F32Arithmetic;

// x [depth / 2][STEPS][TILE_ROWS], weight [depth / 2][PANEL][2] (floats: [depth][PANEL]), sums [ROWS][PANEL].
template <int ROWS, typename Arithmetic>
INLINE void multiply_tile(const typename Arithmetic::Input* x, const typename Arithmetic::Element* weight, int64_t depth,
                          float* sums) {
    constexpr int VECTORS = vectors_for(ROWS), STEPS = Arithmetic::STEPS;
    for (int column = 0; column < PANEL_VECTORS; column += VECTORS) {
        Floats sum[ROWS][VECTORS];
        UNROLLED for (int row = 0; row < ROWS; ++row)
            UNROLLED for (int v = 0; v < VECTORS; ++v) sum[row][v] = load(sums + row * PANEL + (column + v) * WIDTH);
        const auto* inputs = x;
        const auto* weights = weight;
        for (int64_t pair = 0; pair < depth / 2; ++pair) {
            typename Arithmetic::Weights loaded[2][VECTORS];
            UNROLLED for (int v = 0; v < VECTORS; ++v)
                Arithmetic::load_weights(weights, column + v, loaded[0][v], loaded[1][v]);
            UNROLLED for (int step = 0; step < STEPS; ++step) UNROLLED for (int row = 0; row < ROWS; ++row)
                UNROLLED for (int v = 0; v < VECTORS; ++v)
                    sum[row][v] = Arithmetic::add(sum[row][v], inputs[step * TILE_ROWS + row], loaded[step][v]);
            inputs += STEPS * TILE_ROWS;
            weights += 2 * PANEL;
        }
        UNROLLED for (int row = 0; row < ROWS; ++row)
            UNROLLED for (int v = 0; v < VECTORS; ++v) store(sums + row * PANEL + (column + v) * WIDTH, sum[row][v]);
    }
}

template <int ROWS, typename Arithmetic>
static void multiply_rows(int64_t rows, const typename Arithmetic::Input* x, const typename Arithmetic::Element* weight,
                          int64_t depth, float* sums) {
    if constexpr (ROWS > 1) {
        if (rows < ROWS) return multiply_rows<ROWS - 1, Arithmetic>(rows, x, weight, depth, sums);
    }
    multiply_tile<ROWS, Arithmetic>(x, weight, depth, sums);
}

// Bytes of one tile's packed rows.
static int64_t tile_bytes(int64_t depth, DType dtype) {
    const int64_t pairs = (depth + 1) / 2 * TILE_ROWS;
    return dtype == DType::BF16 ? pairs * BF16Arithmetic::STEPS * sizeof(BF16Arithmetic::Input)
                                : pairs * F32Arithmetic::STEPS * sizeof(F32Arithmetic::Input);
}

template <typename Arithmetic>
static void pack_rows_of(const Product& product, int64_t tile) {
    typedef typename Arithmetic::Element Element;
    const auto* x = static_cast<const Element*>(product.x) + tile * TILE_ROWS * product.x_stride;
    auto* packed = reinterpret_cast<typename Arithmetic::Input*>(product.packed_rows + tile * product.tile_bytes);
    const int64_t left = product.rows - tile * TILE_ROWS, rows = left < TILE_ROWS ? left : TILE_ROWS;
    constexpr int64_t stride = Arithmetic::STEPS * TILE_ROWS;
    for (int64_t row = 0; row < rows; ++row) {
        const Element* from = x + row * product.x_stride;
        for (int64_t pair = 0; pair < product.depth / 2; ++pair)
            Arithmetic::pack(from[2 * pair], from[2 * pair + 1], packed + pair * stride + row);
        if (product.depth % 2) Arithmetic::pack(from[product.depth - 1], 0, packed + product.depth / 2 * stride + row);
    }
}

static void pack_rows(const Product& product, int64_t tile) {
    product.dtype == DType::BF16 ? pack_rows_of<BF16Arithmetic>(product, tile) : pack_rows_of<F32Arithmetic>(product, tile);
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

template <typename Arithmetic>
static void multiply_panel_of(const Product& product, int64_t panel, int64_t first_tile, int64_t last_tile, float* partial) {
    typedef typename Arithmetic::Input Input;
    const int64_t depth = product.depth + product.depth % 2;
    const auto* weight = static_cast<const typename Arithmetic::Element*>(product.weight) + panel * depth * PANEL;
    std::memset(partial, 0, sizeof(float) * (last_tile - first_tile) * TILE_ROWS * PANEL);
    for (int64_t from = 0; from < depth; from += DEPTH_STEP) {
        const int64_t length = depth - from < DEPTH_STEP ? depth - from : DEPTH_STEP;
        for (int64_t tile = first_tile; tile < last_tile; ++tile) {
            const auto* x = reinterpret_cast<const Input*>(product.packed_rows + tile * product.tile_bytes) +
                            from / 2 * Arithmetic::STEPS * TILE_ROWS;
            float* sums = partial + (tile - first_tile) * TILE_ROWS * PANEL;
            multiply_rows<TILE_ROWS, Arithmetic>(product.rows - tile * TILE_ROWS, x, weight + from * PANEL, length, sums);
        }
    }
    for (int64_t row = first_tile * TILE_ROWS; row < last_tile * TILE_ROWS && row < product.rows; ++row)
        write_row<typename Arithmetic::Tensor>(product, row, panel, partial + (row - first_tile * TILE_ROWS) * PANEL);
}

static void multiply_panel(const Product& product, int64_t panel, int64_t first_tile, int64_t last_tile, float* partial) {
    product.dtype == DType::BF16 ? multiply_panel_of<BF16Arithmetic>(product, panel, first_tile, last_tile, partial)
                                 : multiply_panel_of<F32Arithmetic>(product, panel, first_tile, last_tile, partial);
}

}  // namespace PAGODA_ISA
