// An encoder's layers: products of bytes by bytes, GELU, attention in both directions over one text, sums that are normalised.
//
// A row is rounded to whole numbers of 8 bits with one scale, a weight with one scale for each output (LLM.int8(), Dettmers et
// al. 2022, arXiv 2208.07339, without its part in 16 bits), and their products are added in whole numbers, which no order
// changes. What a row becomes depends on that row alone, or on its own text. Network: Devlin et al. 2018, "BERT" (arXiv
// 1810.04805), whose GELU is Hendrycks and Gimpel's (arXiv 1606.08415).

namespace PAGODA_ISA {

using pagoda::ByteMatrix;
using pagoda::ByteRows;
using pagoda::Text;

constexpr int TEXT_ROWS = 4;  // queries that read a key or a value together

// One row, `x [depth]`, as whole numbers: WIDTH of them at a time to `put`, with the place of the first.
template <typename Type, typename Put>
INLINE void round_row(const ByteRows& rows, int64_t row, Put put) {
    const auto* x = static_cast<const typename Type::Element*>(rows.x) + row * rows.depth;
    const Rounding rounding = rounding_of<Type>(x, rows.depth, 127.0f);
    Integers sum = all_whole(0);
    for (int64_t i = 0; i < rows.depth; i += WIDTH) {
        const Integers whole = as_whole(multiply(Type::load(x + i), all(rounding.inverse)));
        sum = add_whole(sum, whole);
        put(i, whole);
    }
    rows.scales[row] = rounding.scale;
    rows.sums[row] = sum_of(sum);
}

// x times the share of the normal distribution below x: by erfc within 1.5e-7 (Abramowitz and Stegun, 7.1.26).
INLINE Floats gelu(Floats x) {
    const Floats negative = subtract(zeros(), x), z = multiply(larger(x, negative), all(0.70710678f));
    const Floats t = divide(all(1.0f), multiply_add(z, all(0.3275911f), all(1.0f)));
    Floats sum = all(1.061405429f);
    sum = multiply_add(sum, t, all(-1.453152027f));
    sum = multiply_add(sum, t, all(1.421413741f));
    sum = multiply_add(sum, t, all(-0.284496736f));
    sum = multiply_add(sum, t, all(0.254829592f));
    const Floats tail = multiply(multiply(multiply(sum, t), exponential(multiply(subtract(zeros(), z), z))), all(0.5f));
    return multiply(x, chosen_if_less(x, zeros(), tail, subtract(all(1.0f), tail)));
}

// The sums of one row and WIDTH outputs, from `output` on, as they are written. Weights are kept 128 higher, without a sign.
template <typename Type>
INLINE void write_whole(const ByteRows& rows, const ByteMatrix& matrix, int64_t row, int64_t output, Integers sum) {
    const Floats scale = multiply(load(matrix.scales + output), all(rows.scales[row]));
    const Floats whole = as_floats(add_whole(sum, all_whole(-128 * rows.sums[row])));
    const Floats product = multiply_add(whole, scale, load(matrix.bias + output));
    auto* y = static_cast<typename Type::Element*>(matrix.y) + row * matrix.outputs + output;
    Type::store(y, matrix.with_gelu ? gelu(product) : product);
}

#if !defined(PAGODA_TILES)  // which `tiles.inl` multiplies by

#if defined(PAGODA_AVX512)
constexpr int BYTE_ROWS = 12, BYTE_VECTORS = 2;  // 24 sums, two vectors of weights, one of a row
#else
constexpr int BYTE_ROWS = 4, BYTE_VECTORS = 2;
#endif

// Four to a word, words BYTE_ROWS apart.
template <typename Type>
static void pack_byte_row_of(const ByteRows& rows, int64_t row) {
    int32_t* to = rows.packed + row / BYTE_ROWS * rows.depth / 4 * BYTE_ROWS + row % BYTE_ROWS;
    round_row<Type>(rows, row, [&](int64_t i, Integers whole) INLINE_LAMBDA {
        uint8_t bytes[WIDTH];
        store_low_bytes(bytes, whole);
        for (int word = 0; word < WIDTH / 4; ++word) std::memcpy(to + (i / 4 + word) * BYTE_ROWS, bytes + 4 * word, 4);
    });
}

static void pack_byte_row(const ByteRows& rows, int64_t row) {
    rows.dtype == DType::BF16 ? pack_byte_row_of<BF16>(rows, row) : pack_byte_row_of<F32>(rows, row);
}

// One tile of rows by WIDTH * BYTE_VECTORS outputs of a panel, from `column` on.
template <typename Type>
INLINE void multiply_byte_tile(const ByteRows& rows, const ByteMatrix& matrix, int64_t tile, int64_t panel, int64_t column) {
    const int32_t* x = rows.packed + tile * rows.depth / 4 * BYTE_ROWS;
    const uint8_t* weight = matrix.weight + panel * rows.depth * PANEL + 4 * column;
    Integers sum[BYTE_ROWS][BYTE_VECTORS];
    UNROLLED for (int row = 0; row < BYTE_ROWS; ++row)
        UNROLLED for (int v = 0; v < BYTE_VECTORS; ++v) sum[row][v] = all_whole(0);
    for (int64_t word = 0; word < rows.depth / 4; ++word) {
        Bytes loaded[BYTE_VECTORS];
        UNROLLED for (int v = 0; v < BYTE_VECTORS; ++v) loaded[v] = load_bytes(weight + 4 * v * WIDTH);
        UNROLLED for (int row = 0; row < BYTE_ROWS; ++row)
            UNROLLED for (int v = 0; v < BYTE_VECTORS; ++v) sum[row][v] = add_products<true>(sum[row][v], loaded[v], x[row]);
        x += BYTE_ROWS;
        weight += 4 * PANEL;
    }
    // Put down first: what a loop takes by its number could not have stayed in registers.
    Integers told[BYTE_ROWS][BYTE_VECTORS];
    UNROLLED for (int row = 0; row < BYTE_ROWS; ++row)
        UNROLLED for (int v = 0; v < BYTE_VECTORS; ++v) std::memcpy(&told[row][v], &sum[row][v], sizeof(Integers));
    const int64_t first = tile * BYTE_ROWS, left = rows.rows - first;
    for (int row = 0; row < BYTE_ROWS && row < left; ++row)
        for (int v = 0; v < BYTE_VECTORS; ++v)
            write_whole<Type>(rows, matrix, first + row, panel * PANEL + column + v * WIDTH, told[row][v]);
}

template <typename Type>
static void multiply_bytes_of(const ByteRows& rows, const ByteMatrix& matrix) {
    const int64_t tiles = (rows.rows + BYTE_ROWS - 1) / BYTE_ROWS;
    for (int64_t panel = 0; panel < matrix.outputs / PANEL; ++panel)
        for (int64_t tile = 0; tile < tiles; ++tile)
            for (int64_t column = 0; column < PANEL; column += WIDTH * BYTE_VECTORS)
                multiply_byte_tile<Type>(rows, matrix, tile, panel, column);
}

static void multiply_bytes(const ByteRows& rows, const ByteMatrix& matrix) {
    matrix.dtype == DType::BF16 ? multiply_bytes_of<BF16>(rows, matrix) : multiply_bytes_of<F32>(rows, matrix);
}

#endif

// The keys and values of one head of a text as floats: keys [head_dim][padded], values [length][head_dim].
template <typename Type>
INLINE void widen_head(const Text& text, const typename Type::Element* told, int64_t padded, float* keys, float* values) {
    const int64_t width = text.heads * text.head_dim;
    for (int64_t key = 0; key < text.length; ++key, told += 3 * width) {
        for (int64_t d = 0; d < text.head_dim; ++d) keys[d * padded + key] = Type::wide(told[width + d]);
        for (int64_t d = 0; d < text.head_dim; d += WIDTH) store(values + key * text.head_dim + d, Type::load(told + 2 * width + d));
    }
}

// Scores [length] of one query to e to their power less the largest, with zeros up to `padded`; 1 over their sum.
INLINE float weigh(float* scores, int64_t length, int64_t padded, float scale) {
    for (int64_t key = length; key < padded; ++key) scores[key] = -3e38f;
    Floats most = load(scores), sum = zeros();
    for (int64_t key = WIDTH; key < padded; key += WIDTH) most = larger(most, load(scores + key));
    const Floats largest_score = all(largest(most));
    for (int64_t key = 0; key < padded; key += WIDTH) {
        const Floats weight = exponential(multiply(subtract(load(scores + key), largest_score), all(scale)));
        store(scores + key, weight);
        sum = add(sum, weight);
    }
    return 1.0f / total(sum);
}

// TEXT_ROWS queries [.., head_dim] as floats by all keys and values; sums [TEXT_ROWS][head_dim] to `output`.
INLINE void attend_rows(const Text& text, const float* query, const float* keys, const float* values, int64_t padded,
                        float scale, float* scores, float* output) {
    for (int64_t key = 0; key < padded; key += WIDTH) {
        Floats sum[TEXT_ROWS];
        UNROLLED for (int row = 0; row < TEXT_ROWS; ++row) sum[row] = zeros();
        for (int64_t d = 0; d < text.head_dim; ++d) {
            const Floats loaded = load(keys + d * padded + key);
            UNROLLED for (int row = 0; row < TEXT_ROWS; ++row)
                sum[row] = multiply_add(all(query[row * text.head_dim + d]), loaded, sum[row]);
        }
        UNROLLED for (int row = 0; row < TEXT_ROWS; ++row) store(scores + row * padded + key, sum[row]);
    }
    float inverse[TEXT_ROWS];
    for (int row = 0; row < TEXT_ROWS; ++row) inverse[row] = weigh(scores + row * padded, text.length, padded, scale);
    for (int64_t d = 0; d < text.head_dim; d += WIDTH) {
        Floats sum[TEXT_ROWS];
        UNROLLED for (int row = 0; row < TEXT_ROWS; ++row) sum[row] = zeros();
        for (int64_t key = 0; key < text.length; ++key) {
            const Floats loaded = load(values + key * text.head_dim + d);
            UNROLLED for (int row = 0; row < TEXT_ROWS; ++row)
                sum[row] = multiply_add(all(scores[row * padded + key]), loaded, sum[row]);
        }
        UNROLLED for (int row = 0; row < TEXT_ROWS; ++row)
            store(output + row * text.head_dim + d, multiply(sum[row], all(inverse[row])));
    }
}

template <typename Type>
static void attend_text_of(const Text& text, float* scratch) {
    typedef typename Type::Element Element;
    const int64_t width = text.heads * text.head_dim, padded = (text.length + WIDTH - 1) / WIDTH * WIDTH;
    float *keys = scratch, *values = keys + padded * text.head_dim, *scores = values + padded * text.head_dim;
    float *query = scores + TEXT_ROWS * padded, *output = query + TEXT_ROWS * text.head_dim;
    std::memset(keys, 0, sizeof(float) * padded * text.head_dim);
    const float scale = 1.0f / __builtin_sqrtf(float(text.head_dim));
    for (int64_t head = 0; head < text.heads; ++head) {
        const auto* told = static_cast<const Element*>(text.told) + head * text.head_dim;
        auto* y = static_cast<Element*>(text.y) + head * text.head_dim;
        widen_head<Type>(text, told, padded, keys, values);
        for (int64_t first = 0; first < text.length; first += TEXT_ROWS) {
            const int64_t left = text.length - first, count = left < TEXT_ROWS ? left : TEXT_ROWS;
            for (int64_t row = 0; row < TEXT_ROWS; ++row)  // of the last few, some are read twice
                for (int64_t d = 0; d < text.head_dim; d += WIDTH)
                    store(query + row * text.head_dim + d,
                          Type::load(told + (first + (row < count ? row : 0)) * 3 * width + d));
            attend_rows(text, query, keys, values, padded, scale, scores, output);
            for (int64_t row = 0; row < count; ++row)
                for (int64_t d = 0; d < text.head_dim; d += WIDTH)
                    Type::store(y + (first + row) * width + d, load(output + row * text.head_dim + d));
        }
    }
}

static void attend_text(const Text& text, float* scratch) {
    text.dtype == DType::BF16 ? attend_text_of<BF16>(text, scratch) : attend_text_of<F32>(text, scratch);
}

// x += added, then normalised to mean 0 and variance 1, times weight, plus bias. narrow: the same as bf16, or null.
template <typename Type>
static void add_and_normalise_of(float* x, const void* added_, const float* weight, const float* bias, uint16_t* narrow,
                                 int64_t size, float eps) {
    const auto* added = static_cast<const typename Type::Element*>(added_);
    Floats sum = zeros(), squares = zeros();
    for (int64_t i = 0; i < size; i += WIDTH) {
        const Floats both = add(load(x + i), Type::load(added + i));
        store(x + i, both);
        sum = add(sum, both);
    }
    const Floats mean = all(total(sum) / float(size));
    for (int64_t i = 0; i < size; i += WIDTH) {
        const Floats off = subtract(load(x + i), mean);
        squares = multiply_add(off, off, squares);
    }
    const Floats scale = all(1.0f / __builtin_sqrtf(total(squares) / float(size) + eps));
    for (int64_t i = 0; i < size; i += WIDTH) {
        const Floats normed = multiply_add(multiply(subtract(load(x + i), mean), scale), load(weight + i), load(bias + i));
        store(x + i, normed);
        if (narrow) store_bf16(narrow + i, normed);
    }
}

static void add_and_normalise(float* x, const void* added, const float* weight, const float* bias, uint16_t* narrow,
                              int64_t size, float eps, DType dtype) {
    dtype == DType::BF16 ? add_and_normalise_of<BF16>(x, added, weight, bias, narrow, size, eps)
                         : add_and_normalise_of<F32>(x, added, weight, bias, narrow, size, eps);
}

}  // namespace PAGODA_ISA
