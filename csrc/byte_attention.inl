// Attention over a cache in bytes: `attention.inl`'s, with products in whole numbers.
//
// A head's queries, and its weights of a partition, are rounded to whole numbers of 16 bits with one scale a row, and meet the
// cache's bytes two by two, like the rows that meet codes (`codes.inl`). A row's sums are of whole numbers then, which no order
// changes; scales of keys are multiplied to scores, those of values to weights.

namespace PAGODA_ISA {

// As many as any sum of products with bytes leaves below 2^31.
constexpr int64_t MOST_PRODUCTS = 512;
static_assert(PARTITION <= MOST_PRODUCTS);

// One head's part of a unit.
struct BytePart {
    const Attention& attention;
    const int64_t* table;
    int64_t kv_head, first_key, num_keys;  // of the partition, as far as any token of the tile sees
    int64_t rows;                          // tokens times heads of the group
    int32_t* query;                        // [head_dim / 2][rows], pairs of words
    float *query_scales, *weight_scales;   // [rows]
    float* scores;                         // [rows][SCORES_STRIDE]; then the weights as words
    float* gathered;                       // [strips] of WIDTH keys and their scales

    // A head's part of the block of `key`: keys [head_dim / 2][block_size][2] or values [block_size / 2][head_dim][2].
    const int8_t* block(const void* cache, int64_t key) const {
        const int64_t number = table[key / attention.block_size];
        return static_cast<const int8_t*>(cache) + number * attention.block_stride +
               kv_head * head_bytes(attention.head_dim, attention.block_size);
    }
    // Asks for the block that holds `key`, where the partition has it.
    void ask_for(const void* cache, int64_t key) const {
        if (key >= first_key + num_keys) return;
        const int8_t* from = block(cache, key);
        for (int64_t i = 0; i < head_bytes(attention.head_dim, attention.block_size); i += 64) __builtin_prefetch(from + i);
    }
    // The bf16 scales of a block's tokens.
    const uint16_t* scales(const int8_t* block) const {
        return reinterpret_cast<const uint16_t*>(block + attention.block_size * attention.head_dim);
    }
};

// WIDTH keys from `key` on: pairs [head_dim / 2] of them `stride` bytes apart, and their scales.
struct ByteKeys {
    const int8_t* pairs;
    int64_t stride;
    Floats scales;
};

// Where they lie in several blocks, or behind the last, they are gathered.
INLINE ByteKeys byte_keys_at(const BytePart& part, int64_t key, int strip) {
    const int64_t size = part.attention.block_size, head_dim = part.attention.head_dim;
    if (key % size + WIDTH <= size) {
        const int8_t* block = part.block(part.attention.k_cache, key);
        return {block + 2 * (key % size), 2 * size, load_bf16(part.scales(block) + key % size)};
    }
    float* room = part.gathered + strip * (head_dim / 2 + 1) * WIDTH;
    auto* pairs = reinterpret_cast<int8_t*>(room + WIDTH);
    const int64_t last = part.first_key + part.num_keys - 1;
    for (int lane = 0; lane < WIDTH; ++lane) {
        const int64_t at = key + lane < last ? key + lane : last;  // a key that is there; its score is not used
        const int8_t* block = part.block(part.attention.k_cache, at);
        room[lane] = as_float(part.scales(block)[at % size]);
        for (int64_t pair = 0; pair < head_dim / 2; ++pair)
            std::memcpy(pairs + 2 * (pair * WIDTH + lane), block + 2 * (pair * size + at % size), 2);
    }
    return {pairs, 2 * WIDTH, load(room)};
}

template <int ROWS, int STRIPS>
static void score_byte_rows(const BytePart& part, int64_t row, int64_t key) {
    const int64_t end = part.first_key + part.num_keys;
    ByteKeys keys[STRIPS];
    for (int s = 0; s < STRIPS; ++s) keys[s] = byte_keys_at(part, key + s * WIDTH < end ? key + s * WIDTH : key, s);
    Integers sum[ROWS][STRIPS];
    UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int s = 0; s < STRIPS; ++s) sum[r][s] = all_whole(0);
    const int32_t* query = part.query + row;
    for (int64_t pair = 0; pair < part.attention.head_dim / 2; ++pair, query += part.rows) {
        Bytes words[STRIPS];
        UNROLLED for (int s = 0; s < STRIPS; ++s) words[s] = load_words(keys[s].pairs + pair * keys[s].stride);
        UNROLLED for (int r = 0; r < ROWS; ++r)
            UNROLLED for (int s = 0; s < STRIPS; ++s) sum[r][s] = add_word_products(sum[r][s], words[s], query[r]);
    }
    for (int s = 0; s < STRIPS && key + s * WIDTH < end; ++s)
        UNROLLED for (int r = 0; r < ROWS; ++r) {
            const Floats scale = multiply(keys[s].scales, all(part.query_scales[row + r]));
            store(part.scores + (row + r) * SCORES_STRIDE + key + s * WIDTH - part.first_key,
                  multiply(as_floats(sum[r][s]), scale));
        }
}

// `x [count]` as words times the scale that is returned; not a number where one of them is none. count: of whole vectors.
INLINE float as_words(const float* x, int64_t count, float most_whole, int16_t* to) {
    const Rounding rounding = rounding_of<F32>(x, count, most_whole);
    for (int64_t i = 0; i < count; i += WIDTH)  // where `to` is `x` itself, words come to lie before what is still to be read
        store_low_words(reinterpret_cast<uint8_t*>(to + i), as_whole(multiply(load(x + i), all(rounding.inverse))));
    return rounding.scale;
}

// The query rows of a tile as words, and what their scores are to be multiplied by.
template <typename Type>
static void pack_byte_queries(const BytePart& part, const Tile& tile) {
    const auto& attention = part.attention;
    const int64_t head_dim = attention.head_dim, whole = (head_dim + WIDTH - 1) / WIDTH * WIDTH;
    const float most = head_dim <= MOST_PRODUCTS ? MOST_WHOLE : MOST_WHOLE / 2;
    for (int64_t row = 0; row < part.rows; ++row) {
        const auto* from = static_cast<const typename Type::Element*>(attention.query) +
                           (tile.first_row + row / attention.group) * attention.query_stride +
                           (part.kv_head * attention.group + row % attention.group) * head_dim;
        float wide[MOST_HEAD_DIM + WIDTH];
        int16_t words[MOST_HEAD_DIM + WIDTH];
        for (int64_t i = 0; i < whole; ++i) wide[i] = i < head_dim ? Type::wide(from[i]) : 0.0f;
        part.query_scales[row] = as_words(wide, whole, most, words) * attention.scale;
        for (int64_t pair = 0; pair < head_dim / 2; ++pair)
            std::memcpy(part.query + pair * part.rows + row, words + 2 * pair, 4);
    }
}

// Weights of each row times the scales of the values that they meet, as words.
static void pack_byte_weights(const BytePart& part) {
    const int64_t size = part.attention.block_size, length = (part.num_keys + WIDTH - 1) / WIDTH * WIDTH;
    float scales[PARTITION];
    for (int64_t begun = 0; begun < part.num_keys; begun += size) {
        const uint16_t* of_block = part.scales(part.block(part.attention.v_cache, part.first_key + begun));
        for (int64_t i = 0; i < size && begun + i < part.num_keys; ++i) scales[begun + i] = as_float(of_block[i]);
    }
    for (int64_t i = part.num_keys; i < length; ++i) scales[i] = 0.0f;  // nothing is known of what is not stored yet
    for (int64_t row = 0; row < part.rows; ++row) {
        float* weights = part.scores + row * SCORES_STRIDE;
        for (int64_t i = 0; i < length; i += WIDTH) store(weights + i, multiply(load(weights + i), load(scales + i)));
        part.weight_scales[row] = as_words(weights, length, MOST_WHOLE, reinterpret_cast<int16_t*>(weights));
    }
}

// Weighted values of ROWS rows in dimensions [dim, dim + VECTORS * WIDTH), to `partial`.
template <int ROWS, int VECTORS>
static void sum_byte_values(const BytePart& part, int64_t row, int64_t dim, float* partial, int64_t partial_stride) {
    const int64_t head_dim = part.attention.head_dim, size = part.attention.block_size;
    Integers sum[ROWS][VECTORS];
    UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v) sum[r][v] = all_whole(0);
    const auto* weights = reinterpret_cast<const int32_t*>(part.scores + row * SCORES_STRIDE);
    const bool is_whole = dim + VECTORS * WIDTH <= head_dim;
    for (int64_t begun = 0; begun < part.num_keys; begun += size) {  // partitions begin with a block
        const int8_t* values = part.block(part.attention.v_cache, part.first_key + begun) + 2 * dim;
        if (row == 0 && dim == 0) part.ask_for(part.attention.v_cache, part.first_key + begun + AHEAD);
        const int64_t pairs = ((part.num_keys - begun < size ? part.num_keys - begun : size) + 1) / 2;
        for (int64_t pair = 0; pair < pairs; ++pair, values += 2 * head_dim, ++weights) {
            Bytes words[VECTORS];
            UNROLLED for (int v = 0; v < VECTORS; ++v) {
                const int64_t left = 2 * (head_dim - dim - v * WIDTH);
                words[v] = is_whole || left >= 2 * WIDTH ? load_words(values + 2 * v * WIDTH)
                                                         : load_last_words(values + 2 * v * WIDTH, left);
            }
            UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v)
                sum[r][v] = add_word_products(sum[r][v], words[v], weights[r * SCORES_STRIDE]);
        }
    }
    UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v) {
        float* to = partial + (row + r) * partial_stride + 2 + dim + v * WIDTH;
        const Floats values = multiply(as_floats(sum[r][v]), all(part.weight_scales[row + r]));
        const int64_t left = head_dim - dim - v * WIDTH;
        if (left >= WIDTH)
            store(to, values);
        else if (left > 0)
            store_some<F32>(to, values, left);
    }
}

static void score_all_bytes(const BytePart& part) {
    const int64_t first = part.first_key, end = first + part.num_keys, size = part.attention.block_size;
    by_rows<QUERY_ROWS>(0, part.rows, [&](auto count, int64_t row) {
        constexpr int STRIPS = columns_for(count.value);
        for (int64_t key = first; key < end; key += STRIPS * WIDTH) {
            for (int64_t asked = key; row == 0 && asked < key + STRIPS * WIDTH; asked += size) {
                part.ask_for(part.attention.k_cache, asked + AHEAD);
                if (asked < first + AHEAD) part.ask_for(part.attention.v_cache, asked);
            }
            score_byte_rows<count.value, STRIPS>(part, row, key);
        }
    });
}

static void attend_bytes(const Attention& attention, const AttentionUnit& unit, float* partial, float* scratch) {
    const Tile& tile = *unit.tile;
    const int64_t head_dim = attention.head_dim, rows = tile.num_tokens * attention.group;
    const int64_t first = unit.partition * PARTITION, seen = tile.first_position + tile.num_tokens - first;
    float* query = scratch + rows * SCORES_STRIDE;
    float *scales = query + rows * head_dim, *gathered = scales + 2 * rows;
    const BytePart part{attention,
                        attention.tables + tile.request * attention.table_stride,
                        unit.kv_head,
                        first,
                        seen < PARTITION ? seen : PARTITION,
                        rows,
                        reinterpret_cast<int32_t*>(query),
                        scales,
                        scales + rows,
                        scratch,
                        gathered};
    attention.dtype == DType::BF16 ? pack_byte_queries<BF16>(part, tile) : pack_byte_queries<F32>(part, tile);
    score_all_bytes(part);
    weigh_rows<F32Arithmetic>(attention, tile, first, part.num_keys, scratch, partial);
    pack_byte_weights(part);
    by_rows<QUERY_ROWS>(0, rows, [&](auto count, int64_t row) {
        constexpr int VECTORS = columns_for(count.value);
        for (int64_t dim = 0; dim < head_dim; dim += VECTORS * WIDTH)
            sum_byte_values<count.value, VECTORS>(part, row, dim, partial, 2 + head_dim);
    });
}

static void attend(const Attention& attention, const AttentionUnit& unit, const AttentionUnit* next, float* partial,
                   float* scratch) {
    if (attention.in_bytes) return attend_bytes(attention, unit, partial, scratch);
    attention.dtype == DType::BF16 ? attend_of<BF16Arithmetic>(attention, unit, next, partial, scratch)
                                   : attend_of<F32Arithmetic>(attention, unit, next, partial, scratch);
}

}  // namespace PAGODA_ISA
