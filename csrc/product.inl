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

// Panels that are multiplied at once: two where few rows alone have too few sums that do not wait for one another.
#if defined(PAGODA_AVX512)
constexpr int FEW_ROWS = 4;
#else
constexpr int FEW_ROWS = 0;  // eight and more vectors make a panel
#endif

// What a tile asks memory for while it multiplies: two lines with each pair of inputs. Weights are read from memory by the
// first tile of rows alone; those behind it have time to bring the next ones closer.
struct Ahead {
    const char *first, *second;
    int64_t step;

    // `tile` of `tiles`; next: the weights that are read next, whose pairs of inputs take so many bytes.
    static Ahead of(int64_t tile, int64_t tiles, const char* here, const char* next, int64_t pair_bytes) {
        const int64_t sharing = tiles > 2 ? 2 : 1, lines = pair_bytes / 64 / sharing, line = (tile - 1) * lines;
        if (tile == 0 || tile > sharing) return {here, here, 0};
        return {next + 64 * line, next + 64 * (line + (lines > 1)), pair_bytes};
    }
};

// x [depth / 2][STEPS][TILE_ROWS], weight [PANELS] of [depth / 2][PANEL][2] (floats: [depth][PANEL]), panel_stride apart,
// sums [PANELS][TILE_ROWS][PANEL].
template <int ROWS, int PANELS, typename Arithmetic>
INLINE void multiply_tile(const typename Arithmetic::Input* x, const typename Arithmetic::Element* weight, int64_t panel_stride,
                          int64_t depth, float* sums, Ahead ahead) {
    constexpr int VECTORS = vectors_for(ROWS), STEPS = Arithmetic::STEPS, SUMS = PANELS * VECTORS;
    for (int column = 0; column < PANEL_VECTORS; column += VECTORS) {
        const auto place = [&](int row, int v) {
            return sums + (v / VECTORS * TILE_ROWS + row) * PANEL + (column + v % VECTORS) * WIDTH;
        };
        Floats sum[ROWS][SUMS];
        UNROLLED for (int row = 0; row < ROWS; ++row)
            UNROLLED for (int v = 0; v < SUMS; ++v) sum[row][v] = load(place(row, v));
        const auto* inputs = x;
        const auto* weights = weight;
        for (int64_t pair = 0; pair < depth / 2; ++pair) {
            typename Arithmetic::Vector loaded[2][SUMS];
            UNROLLED for (int v = 0; v < SUMS; ++v)
                Arithmetic::load_pair(weights + v / VECTORS * panel_stride, PANEL, (column + v % VECTORS) * WIDTH, loaded[0][v],
                                      loaded[1][v]);
            UNROLLED for (int step = 0; step < STEPS; ++step) UNROLLED for (int row = 0; row < ROWS; ++row)
                UNROLLED for (int v = 0; v < SUMS; ++v)
                    sum[row][v] = Arithmetic::add(sum[row][v], inputs[step * TILE_ROWS + row], loaded[step][v]);
            if constexpr (ROWS > TILE_ROWS / 2) {  // fewer are done before what was asked for could come
                __builtin_prefetch(ahead.first, 0, 2);
                __builtin_prefetch(ahead.second, 0, 2);
                ahead.first += ahead.step;
                ahead.second += ahead.step;
            }
            inputs += STEPS * TILE_ROWS;
            weights += 2 * PANEL;
        }
        UNROLLED for (int row = 0; row < ROWS; ++row)
            UNROLLED for (int v = 0; v < SUMS; ++v) store(place(row, v), sum[row][v]);
    }
}

template <int ROWS, int PANELS, typename Arithmetic>
static void multiply_rows(int64_t rows, const typename Arithmetic::Input* x, const typename Arithmetic::Element* weight,
                          int64_t panel_stride, int64_t depth, float* sums, Ahead ahead) {
    if constexpr (ROWS > 1) {
        if (rows < ROWS) return multiply_rows<ROWS - 1, PANELS, Arithmetic>(rows, x, weight, panel_stride, depth, sums, ahead);
    }
    multiply_tile<ROWS, PANELS, Arithmetic>(x, weight, panel_stride, depth, sums, ahead);
}

// Bytes of one tile's packed rows.
static int64_t tile_bytes(int64_t depth, DType dtype) {
    const int64_t pairs = (depth + 1) / 2 * TILE_ROWS;
    return dtype == DType::BF16 ? pairs * BF16Arithmetic::STEPS * sizeof(BF16Arithmetic::Input)
                                : pairs * F32Arithmetic::STEPS * sizeof(F32Arithmetic::Input);
}

// The largest of a panel's outputs, as they would have been written.
template <typename Type>
INLINE Largest largest_of(const Matrix& matrix, int64_t panel, const float* sums) {
    const int64_t first = panel * PANEL, left = matrix.outputs - first;
    Floats values[PANEL_VECTORS];
    UNROLLED for (int v = 0; v < PANEL_VECTORS; ++v) values[v] = Type::rounded(load(sums + v * WIDTH));
    uint64_t numbers = 0;
    UNROLLED for (int v = 0; v < PANEL_VECTORS; ++v)
        numbers |= uint64_t(equal_lanes(values[v], values[v])) << (v * WIDTH);
    if (left >= PANEL && numbers == (uint64_t(1) << PANEL) - 1) {
        Floats maxima = values[0];
        UNROLLED for (int v = 1; v < PANEL_VECTORS; ++v) maxima = larger(maxima, values[v]);
        const float value = largest(maxima);
        uint64_t places = 0;
        UNROLLED for (int v = 0; v < PANEL_VECTORS; ++v)
            places |= uint64_t(equal_lanes(values[v], all(value))) << (v * WIDTH);
        return {value, int32_t(first + __builtin_ctzll(places))};
    }
    float rounded[PANEL];
    for (int v = 0; v < PANEL_VECTORS; ++v) store(rounded + v * WIDTH, values[v]);
    Largest most{rounded[0], int32_t(first)};
    for (int64_t i = 1; i < left && i < PANEL; ++i) most.meet(rounded[i], int32_t(first + i));
    return most;
}

template <typename Arithmetic>
static void pack_rows_of(const Rows& rows, int64_t tile) {
    typedef typename Arithmetic::Element Element;
    const auto* x = static_cast<const Element*>(rows.x) + tile * TILE_ROWS * rows.x_stride;
    auto* packed = reinterpret_cast<typename Arithmetic::Input*>(rows.packed + tile * rows.tile_bytes);
    const int64_t left = rows.rows - tile * TILE_ROWS, count = left < TILE_ROWS ? left : TILE_ROWS;
    constexpr int64_t stride = Arithmetic::STEPS * TILE_ROWS;
    for (int64_t row = 0; row < count; ++row) {
        const Element* from = x + row * rows.x_stride;
        for (int64_t pair = 0; pair < rows.depth / 2; ++pair)
            Arithmetic::pack(from[2 * pair], from[2 * pair + 1], packed + pair * stride + row, TILE_ROWS);
        if (rows.depth % 2) Arithmetic::pack(from[rows.depth - 1], 0, packed + rows.depth / 2 * stride + row, TILE_ROWS);
    }
}

static void pack_rows(const Rows& rows, int64_t tile) {
    rows.dtype == DType::BF16 ? pack_rows_of<BF16Arithmetic>(rows, tile) : pack_rows_of<F32Arithmetic>(rows, tile);
}

template <typename Type>
INLINE void write_row(const Matrix& matrix, int64_t row, int64_t panel, const float* sums) {
    typedef typename Type::Element Element;
    Element* y = static_cast<Element*>(matrix.y) + row * matrix.y_stride + panel * PANEL;
    const Element* bias = matrix.bias ? static_cast<const Element*>(matrix.bias) + panel * PANEL : nullptr;
    const Element* residual =
        matrix.residual ? static_cast<const Element*>(matrix.residual) + row * matrix.y_stride + panel * PANEL : nullptr;
    const int64_t left = matrix.outputs - panel * PANEL;
    if (left >= PANEL) {
        for (int v = 0; v < PANEL; v += WIDTH) {
            Floats sum = load(sums + v);
            if (bias) sum = add(sum, Type::load(bias + v));
            if (residual) sum = add(Type::load(residual + v), Type::rounded(sum));
            Type::store(y + v, sum);
        }
        return;
    }
    for (int64_t i = 0; i < left; ++i) {
        const auto sum = Type::narrow(bias ? sums[i] + Type::wide(bias[i]) : sums[i]);
        y[i] = residual ? Type::narrow(Type::wide(residual[i]) + Type::wide(sum)) : sum;
    }
}

// What came out for tiles [first, last): sums [tiles][PANELS][tile_rows][PANEL].
template <typename Type, int PANELS>
INLINE void write_sums(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t first, int64_t last, int tile_rows,
                       const float* sums) {
    for (int64_t row = first * tile_rows; row < last * tile_rows && row < rows.rows; ++row) {
        const float* own = sums + ((row / tile_rows - first) * PANELS * tile_rows + row % tile_rows) * PANEL;
        for (int p = 0; p < PANELS; ++p, own += tile_rows * PANEL)
            if (matrix.largest)
                matrix.largest[(panel + p) * rows.rows + row] = largest_of<Type>(matrix, panel + p, own);
            else
                write_row<Type>(matrix, row, panel + p, own);
    }
}

// PANELS panels from `panel` on, by tiles [first, last) of at most MOST_ROWS rows.
template <int PANELS, int MOST_ROWS, typename Arithmetic>
static void multiply_some(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t first, int64_t last, float* partial) {
    typedef typename Arithmetic::Input Input;
    const int64_t depth = rows.depth + rows.depth % 2, stride = depth * PANEL, tile_sums = PANELS * TILE_ROWS * PANEL;
    const auto* weight = static_cast<const typename Arithmetic::Element*>(matrix.weight) + panel * stride;
    std::memset(partial, 0, sizeof(float) * (last - first) * tile_sums);
    for (int64_t from = 0; from < depth; from += DEPTH_STEP) {
        const int64_t length = depth - from < DEPTH_STEP ? depth - from : DEPTH_STEP;
        const auto* here = weight + from * PANEL;
        const auto* next = reinterpret_cast<const char*>(here + (from + length < depth ? length : depth - from) * PANEL);
        for (int64_t tile = first; tile < last; ++tile) {
            const Ahead ahead = Ahead::of(tile - first, last - first, reinterpret_cast<const char*>(here), next,
                                          2 * PANEL * int64_t(sizeof(*weight)));
            const auto* x = reinterpret_cast<const Input*>(rows.packed + tile * rows.tile_bytes) +
                            from / 2 * Arithmetic::STEPS * TILE_ROWS;
            multiply_rows<MOST_ROWS, PANELS, Arithmetic>(rows.rows - tile * TILE_ROWS, x, here, stride, length,
                                                         partial + (tile - first) * tile_sums, ahead);
        }
    }
    write_sums<typename Arithmetic::Tensor, PANELS>(rows, matrix, panel, first, last, TILE_ROWS, partial);
}

template <typename Arithmetic>
static void multiply_panels_of(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t end, int64_t first, int64_t last,
                               float* partial) {
    if constexpr (FEW_ROWS > 0) {
        for (; rows.rows <= FEW_ROWS && panel + 2 <= end; panel += 2)
            multiply_some<2, FEW_ROWS, Arithmetic>(rows, matrix, panel, first, last, partial);
    }
    for (; panel < end; ++panel) multiply_some<1, TILE_ROWS, Arithmetic>(rows, matrix, panel, first, last, partial);
}

static void multiply_panels(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t end, int64_t first, int64_t last,
                            float* partial) {
    rows.dtype == DType::BF16 ? multiply_panels_of<BF16Arithmetic>(rows, matrix, panel, end, first, last, partial)
                              : multiply_panels_of<F32Arithmetic>(rows, matrix, panel, end, first, last, partial);
}

}  // namespace PAGODA_ISA
