// Attention over the paged cache: one tile of query tokens, one KV head, one partition of the keys at a time.
//
// Flash decoding's division (Dao et al. 2023): partitions begin at multiples of a fixed number of keys from position 0, so
// what a token adds up, and in which order, depends on its own position and on nothing else of the step. Within a partition
// all scores come first, then their maximum, then the exponentials: no running maximum, nothing is scaled twice. Keys that a
// token does not see weigh exactly zero, and adding those changes no bit.

namespace PAGODA_ISA {

INLINE int64_t partition_keys(int64_t block_size) { return (PARTITION + block_size - 1) / block_size * block_size; }

// Query rows that are multiplied at once: their sums stay in registers.
#if defined(PAGODA_AVX512)
constexpr int QUERY_ROWS = 8;
#elif defined(PAGODA_NEON)
constexpr int QUERY_ROWS = 6;
#else
constexpr int QUERY_ROWS = 4;
#endif

// Vectors of values that are summed at once.
constexpr int VALUE_VECTORS = 2;

// What one call of `attend` works on.
template <typename Type>
struct Part {
    typedef typename Type::Element Element;

    const Attention& attention;
    const int64_t* table;
    int64_t kv_head;
    int64_t first_key, num_keys;  // of the partition, as far as any token of the tile sees
    int64_t rows;                 // tokens times heads of the group
    float* query;                 // [head_dim][rows], scaled
    float* scores;                // [rows][stride]
    int64_t stride;
    Element* gathered;  // [2][head_dim / 2][WIDTH][2]

    const Element* block(const void* cache, int64_t key) const {
        return static_cast<const Element*>(cache) + table[key / attention.block_size] * attention.block_stride +
               kv_head * attention.block_size * attention.head_dim;
    }
};

// WIDTH keys from `key` on, side by side: where they lie, or gathered where they lie in two blocks or behind the last.
// step: elements from one pair of dimensions to the next.
template <typename Type>
INLINE const typename Type::Element* keys_at(const Part<Type>& part, int64_t key, int slot, int64_t& step) {
    typedef typename Type::Element Element;
    const int64_t size = part.attention.block_size, head_dim = part.attention.head_dim;
    if (key % size + WIDTH <= size) {
        step = 2 * size;
        return part.block(part.attention.k_cache, key) + 2 * (key % size);
    }
    Element* gathered = part.gathered + slot * head_dim * WIDTH;
    step = 2 * WIDTH;
    const int64_t last = part.first_key + part.num_keys - 1;
    for (int lane = 0; lane < WIDTH; ++lane) {
        const int64_t at = key + lane < last ? key + lane : last;  // a key that is there; its score is not used
        const Element* from = part.block(part.attention.k_cache, at) + 2 * (at % size);
        for (int64_t pair = 0; pair < head_dim / 2; ++pair)
            std::memcpy(gathered + pair * step + 2 * lane, from + pair * 2 * size, 2 * sizeof(Element));
    }
    return gathered;
}

INLINE void load_keys(const uint16_t* from, Floats& first, Floats& second) { load_pairs(from, first, second); }

INLINE void load_keys(const float* from, Floats& first, Floats& second) {
    // Pairs apart: even places of two vectors, odd places of two vectors.
#if defined(PAGODA_AVX512)
    const Floats low = load(from), high = load(from + WIDTH);
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    first = _mm512_permutex2var_ps(low, even, high);
    second = _mm512_permutex2var_ps(low, _mm512_add_epi32(even, _mm512_set1_epi32(1)), high);
#else
    float lanes[2][WIDTH];
    for (int lane = 0; lane < WIDTH; ++lane) {
        lanes[0][lane] = from[2 * lane];
        lanes[1][lane] = from[2 * lane + 1];
    }
    first = load(lanes[0]);
    second = load(lanes[1]);
#endif
}

// Scores of ROWS query rows against two strips of WIDTH keys.
template <int ROWS, typename Type>
static void score_rows(const Part<Type>& part, int64_t row, int64_t key) {
    constexpr int STRIPS = 2;
    const typename Type::Element* keys[STRIPS];
    int64_t step[STRIPS];
    const int64_t end = part.first_key + part.num_keys;
    for (int s = 0; s < STRIPS; ++s) {
        const int64_t from = key + s * WIDTH;
        keys[s] = keys_at(part, from < end ? from : key, s, step[s]);  // a strip behind the end is the first once more
    }
    Floats sum[ROWS][STRIPS];
    UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int s = 0; s < STRIPS; ++s) sum[r][s] = zeros();
    const float* query = part.query + row;
    for (int64_t pair = 0; pair < part.attention.head_dim / 2; ++pair) {
        Floats first[STRIPS], second[STRIPS];
        UNROLLED for (int s = 0; s < STRIPS; ++s) load_keys(keys[s] + pair * step[s], first[s], second[s]);
        UNROLLED for (int r = 0; r < ROWS; ++r) {
            const Floats a = all(query[r]), b = all(query[part.rows + r]);
            UNROLLED for (int s = 0; s < STRIPS; ++s)
                sum[r][s] = multiply_add(b, second[s], multiply_add(a, first[s], sum[r][s]));
        }
        query += 2 * part.rows;
    }
    for (int s = 0; s < STRIPS && key + s * WIDTH < end; ++s)
        UNROLLED for (int r = 0; r < ROWS; ++r)
            store(part.scores + (row + r) * part.stride + key + s * WIDTH - part.first_key, sum[r][s]);
}

// function<ROWS>(first row), over all rows, QUERY_ROWS at a time and then what is left.
template <int ROWS, typename Function>
INLINE void by_rows(int64_t row, int64_t rows, Function function) {
    for (; row + ROWS <= rows; row += ROWS) function(std::integral_constant<int, ROWS>(), row);
    if constexpr (ROWS > 1) {
        if (row < rows) by_rows<ROWS - 1>(row, rows, function);
    }
}

// e^(score - maximum) in place, zero for what the row does not see; the sum of them, and the maximum.
INLINE void weigh(float* scores, int64_t length, int64_t seen_from, int64_t seen_to, float softcap, float& most, float& sum) {
    const float hidden = -__builtin_inff();
    for (int64_t i = 0; i < seen_from; ++i) scores[i] = hidden;
    for (int64_t i = seen_to; i < length; ++i) scores[i] = hidden;
    if (softcap > 0.0f) {
        // cap * tanh(x / cap) = cap * (1 - 2 / (e^(2 x / cap) + 1))
        for (int64_t i = 0; i < length; i += WIDTH) {
            const Floats e = exponential(multiply(load(scores + i), all(2.0f / softcap)));
            const Floats capped = subtract(all(softcap), divide(all(2.0f * softcap), add(e, all(1.0f))));
            store(scores + i, chosen_if_less(all(hidden), load(scores + i), capped, all(hidden)));
        }
    }
    Floats maxima = all(hidden);
    for (int64_t i = 0; i < length; i += WIDTH) maxima = larger(maxima, load(scores + i));
    most = largest(maxima);
    // A row that sees nothing here has the maximum minus infinity, from which nothing can be taken.
    const Floats shift = all(seen_to > seen_from ? most : 0.0f);
    Floats sums = zeros();
    for (int64_t i = 0; i < length; i += WIDTH) {
        const Floats weight = exponential(subtract(load(scores + i), shift));
        store(scores + i, weight);
        sums = add(sums, weight);
    }
    sum = total(sums);
}

template <typename Type>
INLINE Floats load_value(const typename Type::Element* from, int64_t left) {
    return left >= WIDTH ? Type::load(from) : left > 0 ? load_some<Type>(from, left) : zeros();
}

// Weighted values of ROWS rows in dimensions [dim, dim + VECTORS * WIDTH), to `partial`.
template <int ROWS, int VECTORS, typename Type>
static void sum_values(const Part<Type>& part, int64_t row, int64_t dim, float* partial, int64_t partial_stride) {
    const int64_t head_dim = part.attention.head_dim, size = part.attention.block_size;
    Floats sum[ROWS][VECTORS];
    UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v) sum[r][v] = zeros();
    const float* weights = part.scores + row * part.stride;
    const bool is_whole = dim + VECTORS * WIDTH <= head_dim;
    for (int64_t begun = 0; begun < part.num_keys; begun += size) {  // partitions begin with a block
        const auto* values = part.block(part.attention.v_cache, part.first_key + begun) + dim;
        const int64_t count = part.num_keys - begun < size ? part.num_keys - begun : size;
        for (int64_t key = 0; key < count; ++key, values += head_dim) {
            Floats value[VECTORS];
            UNROLLED for (int v = 0; v < VECTORS; ++v)
                value[v] = is_whole ? Type::load(values + v * WIDTH)
                                    : load_value<Type>(values + v * WIDTH, head_dim - dim - v * WIDTH);
            UNROLLED for (int r = 0; r < ROWS; ++r) {
                const Floats weight = all(weights[r * part.stride + begun + key]);
                UNROLLED for (int v = 0; v < VECTORS; ++v) sum[r][v] = multiply_add(weight, value[v], sum[r][v]);
            }
        }
    }
    UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v) {
        float* to = partial + (row + r) * partial_stride + 2 + dim + v * WIDTH;
        const int64_t left = head_dim - dim - v * WIDTH;
        if (left >= WIDTH)
            store(to, sum[r][v]);
        else if (left > 0)
            store_some<F32>(to, sum[r][v], left);
    }
}

template <typename Type>
static void attend_of(const Attention& attention, const Tile& tile, int64_t kv_head, int64_t partition, float* partial,
                      float* scratch) {
    typedef typename Type::Element Element;
    const int64_t head_dim = attention.head_dim, group = attention.group, keys = partition_keys(attention.block_size);
    const int64_t rows = tile.num_tokens * group, first_key = partition * keys;
    const int64_t end = tile.first_position + tile.num_tokens < first_key + keys ? tile.first_position + tile.num_tokens
                                                                                   : first_key + keys;
    const int64_t stride = (keys + WIDTH - 1) / WIDTH * WIDTH + WIDTH;
    float* query = scratch;
    float* scores = query + head_dim * rows;
    Element* gathered = reinterpret_cast<Element*>(scores + rows * stride);
    const Part<Type> part{attention, attention.tables + tile.request * attention.table_stride, kv_head, first_key,
                          end - first_key, rows, query, scores, stride, gathered};
    for (int64_t token = 0; token < tile.num_tokens; ++token)
        for (int64_t head = 0; head < group; ++head) {
            const Element* from = static_cast<const Element*>(attention.query) +
                                  (tile.first_row + token) * attention.query_stride + (kv_head * group + head) * head_dim;
            for (int64_t i = 0; i < head_dim; ++i)
                query[i * rows + token * group + head] = Type::wide(from[i]) * attention.scale;
        }
    by_rows<QUERY_ROWS>(0, rows, [&](auto count, int64_t row) {
        for (int64_t key = first_key; key < end; key += 2 * WIDTH) score_rows<count.value, Type>(part, row, key);
    });
    const int64_t length = (part.num_keys + WIDTH - 1) / WIDTH * WIDTH, partial_stride = 2 + head_dim;
    for (int64_t row = 0; row < rows; ++row) {
        const int64_t position = tile.first_position + row / group;
        int64_t from = position - attention.window + 1 - first_key, to = position + 1 - first_key;
        from = from < 0 ? 0 : from > length ? length : from;
        to = to < from ? from : to > part.num_keys ? part.num_keys : to;
        float* result = partial + row * partial_stride;
        weigh(scores + row * stride, length, from, to, attention.softcap, result[0], result[1]);
    }
    by_rows<QUERY_ROWS>(0, rows, [&](auto count, int64_t row) {
        for (int64_t dim = 0; dim < head_dim; dim += VALUE_VECTORS * WIDTH)
            sum_values<count.value, VALUE_VECTORS, Type>(part, row, dim, partial, partial_stride);
    });
}

static void attend(const Attention& attention, const Tile& tile, int64_t kv_head, int64_t partition, float* partial,
                   float* scratch) {
    attention.dtype == DType::BF16 ? attend_of<BF16>(attention, tile, kv_head, partition, partial, scratch)
                                   : attend_of<F32>(attention, tile, kv_head, partition, partial, scratch);
}

INLINE float exponential_of(float x) {
    float lanes[WIDTH];
    store(lanes, exponential(all(x)));
    return lanes[0];
}

template <typename Type>
static void combine_of(const Attention& attention, const Tile& tile, int64_t kv_head, float* partials, int64_t partial_stride) {
    const int64_t head_dim = attention.head_dim, group = attention.group, row_stride = 2 + head_dim;
    for (int64_t row = 0; row < tile.num_tokens * group; ++row) {
        float* part = partials + row * row_stride;
        float most = part[0];
        Floats sum = zeros();
        for (int64_t i = 1; i < tile.num_partitions; ++i)
            most = part[i * partial_stride] > most ? part[i * partial_stride] : most;
        for (int64_t i = 0; i < tile.num_partitions; ++i) {
            float* each = part + i * partial_stride;
            each[0] = exponential_of(each[0] - most);  // in the place of the maximum: the weight of the partition
            sum = multiply_add(all(each[0]), all(each[1]), sum);
        }
        auto* to = static_cast<typename Type::Element*>(attention.output) +
                   (tile.first_row + row / group) * attention.output_stride + (kv_head * group + row % group) * head_dim;
        for (int64_t dim = 0; dim < head_dim; dim += WIDTH) {
            const int64_t count = head_dim - dim < WIDTH ? head_dim - dim : WIDTH;
            Floats values = zeros();
            for (int64_t i = 0; i < tile.num_partitions; ++i) {
                const float* each = part + i * partial_stride;
                const Floats value = count == WIDTH ? load(each + 2 + dim) : load_some<F32>(each + 2 + dim, count);
                values = multiply_add(all(each[0]), value, values);
            }
            const Floats attended = divide(values, sum);
            count == WIDTH ? Type::store(to + dim, attended) : store_some<Type>(to + dim, attended, count);
        }
    }
}

static void combine(const Attention& attention, const Tile& tile, int64_t kv_head, float* partials, int64_t partial_stride) {
    attention.dtype == DType::BF16 ? combine_of<BF16>(attention, tile, kv_head, partials, partial_stride)
                                   : combine_of<F32>(attention, tile, kv_head, partials, partial_stride);
}

}  // namespace PAGODA_ISA
