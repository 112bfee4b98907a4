// Attention over the paged cache: one tile of query tokens, one KV head, one partition of the keys at a time.
//
// Flash decoding's division (Dao et al. 2023): partitions begin at multiples of a fixed number of keys from position 0, so
// what a token adds up, and in which order, depends on its own position and on nothing else of the step. Within a partition
// all scores come first, then their maximum, then the exponentials: no running maximum, nothing is scaled twice. Keys that a
// token does not see weigh exactly zero, and adding those changes no bit.

namespace PAGODA_ISA {

// Query rows that are multiplied at once: their sums stay in registers.
#if defined(PAGODA_AVX512)
constexpr int QUERY_ROWS = 12;
#elif defined(PAGODA_NEON)
constexpr int QUERY_ROWS = 6;
#else
constexpr int QUERY_ROWS = 4;
#endif

// Vectors that are summed at once, of keys' scores or of values' dimensions: more for few rows, to have sums enough that do
// not wait for one another.
constexpr int columns_for([[maybe_unused]] int rows) {
#if defined(PAGODA_AVX512)
    return rows <= 6 ? 4 : 2;
#else
    return 2;
#endif
}

// Keys that are asked for ahead of their use: blocks lie anywhere in memory, which no machine guesses. Where one token reads
// them, the first values are asked for while keys are multiplied, and the first keys of the next unit while values are; the
// tiles of a prompt find in the cache what the tile before has read.
constexpr int64_t AHEAD = 64;

// The keys and values of one unit.
template <typename Element>
struct Keys {
    const Attention& attention;
    const int64_t* table;
    int64_t kv_head;
    int64_t first_key, num_keys;  // of the partition, as far as any token of the tile sees

    static Keys of(const Attention& attention, const AttentionUnit& unit) {
        const int64_t first = unit.partition * PARTITION, seen = unit.tile->first_position + unit.tile->num_tokens - first;
        const int64_t* table = attention.tables + unit.tile->request * attention.table_stride;
        return {attention, table, unit.kv_head, first, seen < PARTITION ? seen : PARTITION};
    }

    const Element* block(const void* cache, int64_t key) const {
        return static_cast<const Element*>(cache) + table[key / attention.block_size] * attention.block_stride +
               kv_head * attention.block_size * attention.head_dim;
    }

    // Asks for the block that holds `key`, where the partition has it.
    void ask_for(const void* cache, int64_t key) const {
        if (key >= first_key + num_keys) return;
        const char* from = reinterpret_cast<const char*>(block(cache, key));
        const int64_t bytes = attention.block_size * attention.head_dim * int64_t(sizeof(Element));
        for (int64_t i = 0; i < bytes; i += 64) __builtin_prefetch(from + i);
    }
};

// What one call of `attend` works on.
template <typename Arithmetic>
struct Part : Keys<typename Arithmetic::Element> {
    int64_t rows;                                   // tokens times heads of the group
    typename Arithmetic::Input* query;              // [head_dim / 2][STEPS][rows]
    float* scores;                                  // [rows][SCORES_STRIDE]; then the weights as inputs
    typename Arithmetic::Element* gathered;         // [strips][head_dim][WIDTH]
    bool is_token;                                   // the tile has one token
    const Keys<typename Arithmetic::Element>* next;  // of the unit afterwards, or null
};

// WIDTH keys from `key` on, side by side: where they lie, or gathered where they lie in two blocks or behind the last.
// columns, column: as `load_pair` takes them.
template <typename Arithmetic>
INLINE const typename Arithmetic::Element* keys_at(const Part<Arithmetic>& part, int64_t key, int strip, int64_t& columns,
                                                   int64_t& column) {
    typedef typename Arithmetic::Element Element;
    const int64_t size = part.attention.block_size, head_dim = part.attention.head_dim;
    if (key % size + WIDTH <= size) {
        columns = size;
        column = key % size;
        return part.block(part.attention.k_cache, key);
    }
    Element* gathered = part.gathered + strip * head_dim * WIDTH;
    columns = WIDTH;
    column = 0;
    const int64_t last = part.first_key + part.num_keys - 1;
    for (int lane = 0; lane < WIDTH; ++lane) {
        const int64_t at = key + lane < last ? key + lane : last;  // a key that is there; its score is not used
        const Element* from = part.block(part.attention.k_cache, at);
        for (int64_t i = 0; i < head_dim; ++i)
            gathered[paired(i, lane, WIDTH, Element())] = from[paired(i, at % size, size, Element())];
    }
    return gathered;
}

// Scores of ROWS query rows against STRIPS strips of keys.
template <int ROWS, int STRIPS, typename Arithmetic>
static void score_rows(const Part<Arithmetic>& part, int64_t row, int64_t key) {
    const typename Arithmetic::Element* keys[STRIPS];
    int64_t columns[STRIPS], column[STRIPS];
    const int64_t end = part.first_key + part.num_keys;
    for (int s = 0; s < STRIPS; ++s) {
        const int64_t from = key + s * WIDTH;  // a strip behind the end is the first once more
        keys[s] = keys_at(part, from < end ? from : key, s, columns[s], column[s]);
    }
    Floats sum[ROWS][STRIPS];
    UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int s = 0; s < STRIPS; ++s) sum[r][s] = zeros();
    const auto* query = part.query + row;
    for (int64_t pair = 0; pair < part.attention.head_dim / 2; ++pair) {
        typename Arithmetic::Vector loaded[2][STRIPS];
        UNROLLED for (int s = 0; s < STRIPS; ++s)
            Arithmetic::load_pair(keys[s] + pair * 2 * columns[s], columns[s], column[s], loaded[0][s], loaded[1][s]);
        UNROLLED for (int step = 0; step < Arithmetic::STEPS; ++step) {
            UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int s = 0; s < STRIPS; ++s)
                sum[r][s] = Arithmetic::add(sum[r][s], query[r], loaded[step][s]);
            query += part.rows;
        }
    }
    const Floats scale = all(part.attention.scale);
    for (int s = 0; s < STRIPS && key + s * WIDTH < end; ++s)
        UNROLLED for (int r = 0; r < ROWS; ++r)
            store(part.scores + (row + r) * SCORES_STRIDE + key + s * WIDTH - part.first_key, multiply(sum[r][s], scale));
}

// function<ROWS>(first row), over all rows, QUERY_ROWS at a time and then what is left.
template <int ROWS, typename Function>
INLINE void by_rows(int64_t row, int64_t rows, Function function) {
    for (; row + ROWS <= rows; row += ROWS) function(std::integral_constant<int, ROWS>(), row);
    if constexpr (ROWS > 1) {
        if (row < rows) by_rows<ROWS - 1>(row, rows, function);
    }
}

// cap * tanh(x / cap) = cap * (1 - 2 / (e^(2 x / cap) + 1)), in place; what is hidden stays minus infinity.
INLINE void cap(float* scores, int64_t length, float softcap) {
    const Floats hidden = all(-__builtin_inff());
    for (int64_t i = 0; i < length; i += WIDTH) {
        const Floats e = exponential(multiply(load(scores + i), all(2.0f / softcap)));
        const Floats capped = subtract(all(softcap), divide(all(2.0f * softcap), add(e, all(1.0f))));
        store(scores + i, chosen_if_less(hidden, load(scores + i), capped, hidden));
    }
}

// e^(score - maximum) in place, as inputs, zero for what the row does not see; the sum of them, and the maximum.
template <typename Arithmetic>
INLINE void weigh(float* scores, int64_t length, int64_t seen_from, int64_t seen_to, float softcap, float& most, float& sum) {
    const float hidden = -__builtin_inff();
    for (int64_t i = 0; i < seen_from; ++i) scores[i] = hidden;
    for (int64_t i = seen_to; i < length; ++i) scores[i] = hidden;
    if (softcap > 0.0f) cap(scores, length, softcap);
    Floats maxima = all(hidden);
    for (int64_t i = 0; i < length; i += WIDTH) maxima = larger(maxima, load(scores + i));
    most = largest(maxima);
    // A row that sees nothing here has the maximum minus infinity, from which nothing can be taken.
    const Floats shift = all(seen_to > seen_from ? most : 0.0f);
    Floats sums = zeros();
    for (int64_t i = 0; i < length; i += WIDTH)
        sums = add(sums, Arithmetic::become_inputs(scores, i, exponential(subtract(load(scores + i), shift))));
    sum = total(sums);
}

// The last dimensions of a head that no whole vector fits into, zeros behind them.
template <typename Arithmetic>
INLINE void load_last(const typename Arithmetic::Element* from, int64_t columns, int64_t column,
                      typename Arithmetic::Vector& first, typename Arithmetic::Vector& second) {
    typedef typename Arithmetic::Element Element;
    Element copied[2 * WIDTH] = {};
    for (int64_t row = 0; row < 2; ++row)
        for (int64_t i = column; i < columns && i < column + WIDTH; ++i)
            copied[paired(row, i - column, WIDTH, Element())] = from[paired(row, i, columns, Element())];
    Arithmetic::load_pair(copied, WIDTH, 0, first, second);
}

// Weighted values of ROWS rows in dimensions [dim, dim + VECTORS * WIDTH), to `partial`.
template <int ROWS, int VECTORS, typename Arithmetic>
static void sum_values(const Part<Arithmetic>& part, int64_t row, int64_t dim, float* partial, int64_t partial_stride) {
    typedef typename Arithmetic::Input Input;
    constexpr int64_t WEIGHTS_STRIDE = SCORES_STRIDE * sizeof(float) / sizeof(Input);
    const int64_t head_dim = part.attention.head_dim, size = part.attention.block_size;
    Floats sum[ROWS][VECTORS];
    UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v) sum[r][v] = zeros();
    const auto* weights = reinterpret_cast<const Input*>(part.scores + row * SCORES_STRIDE);
    const bool is_whole = dim + VECTORS * WIDTH <= head_dim, is_first = row == 0 && dim == 0;
    for (int64_t begun = 0; begun < part.num_keys; begun += size) {  // partitions begin with a block
        const auto* values = part.block(part.attention.v_cache, part.first_key + begun);
        const int64_t pairs = ((part.num_keys - begun < size ? part.num_keys - begun : size) + 1) / 2;
        if (is_first) part.ask_for(part.attention.v_cache, part.first_key + begun + AHEAD);
        if (is_first && part.is_token && part.next && begun < AHEAD)
            part.next->ask_for(part.attention.k_cache, part.next->first_key + begun);
        for (int64_t pair = 0; pair < pairs; ++pair, values += 2 * head_dim, weights += Arithmetic::STEPS) {
            typename Arithmetic::Vector loaded[2][VECTORS];
            UNROLLED for (int v = 0; v < VECTORS; ++v)
                is_whole ? Arithmetic::load_pair(values, head_dim, dim + v * WIDTH, loaded[0][v], loaded[1][v])
                         : load_last<Arithmetic>(values, head_dim, dim + v * WIDTH, loaded[0][v], loaded[1][v]);
            UNROLLED for (int step = 0; step < Arithmetic::STEPS; ++step) UNROLLED for (int r = 0; r < ROWS; ++r)
                UNROLLED for (int v = 0; v < VECTORS; ++v)
                    sum[r][v] = Arithmetic::add(sum[r][v], weights[r * WEIGHTS_STRIDE + step], loaded[step][v]);
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

// The query rows of a tile, laid out for `score_rows`.
template <typename Arithmetic>
static void pack_queries(const Part<Arithmetic>& part, const Tile& tile) {
    const auto& attention = part.attention;
    for (int64_t row = 0; row < part.rows; ++row) {
        const auto* from = static_cast<const typename Arithmetic::Element*>(attention.query) +
                           (tile.first_row + row / attention.group) * attention.query_stride +
                           (part.kv_head * attention.group + row % attention.group) * attention.head_dim;
        for (int64_t pair = 0; pair < attention.head_dim / 2; ++pair)
            Arithmetic::pack(from[2 * pair], from[2 * pair + 1], part.query + pair * Arithmetic::STEPS * part.rows + row,
                             part.rows);
    }
}

// The same of all rows of a tile, over keys [first_key, first_key + num_keys).
template <typename Arithmetic>
static void weigh_rows(const Attention& attention, const Tile& tile, int64_t first_key, int64_t num_keys, float* scores,
                       float* partial) {
    const int64_t length = (num_keys + WIDTH - 1) / WIDTH * WIDTH;
    for (int64_t row = 0; row < tile.num_tokens * attention.group; ++row) {
        const int64_t position = tile.first_position + row / attention.group;
        int64_t from = pagoda::first_seen(position, attention.window, attention.chunk) - first_key;
        int64_t to = position + 1 - first_key;
        from = from < 0 ? 0 : from > length ? length : from;
        to = to < from ? from : to > num_keys ? num_keys : to;
        float* result = partial + row * (2 + attention.head_dim);
        weigh<Arithmetic>(scores + row * SCORES_STRIDE, length, from, to, attention.softcap, result[0], result[1]);
    }
}

template <typename Arithmetic>
static void score_all(const Part<Arithmetic>& part) {
    const int64_t first = part.first_key, end = first + part.num_keys, size = part.attention.block_size;
    by_rows<QUERY_ROWS>(0, part.rows, [&](auto count, int64_t row) {
        constexpr int STRIPS = columns_for(count.value);
        for (int64_t key = first; key < end; key += STRIPS * WIDTH) {
            for (int64_t asked = key; row == 0 && asked < key + STRIPS * WIDTH; asked += size) {
                part.ask_for(part.attention.k_cache, asked + AHEAD);
                if (part.is_token && asked < first + AHEAD) part.ask_for(part.attention.v_cache, asked);
            }
            score_rows<count.value, STRIPS>(part, row, key);
        }
    });
}

template <typename Arithmetic>
static void attend_of(const Attention& attention, const AttentionUnit& unit, const AttentionUnit* next_unit, float* partial,
                      float* scratch) {
    typedef Keys<typename Arithmetic::Element> KeysOf;
    const Tile& tile = *unit.tile;
    const int64_t head_dim = attention.head_dim, rows = tile.num_tokens * attention.group, partial_stride = 2 + head_dim;
    float *query = scratch + rows * SCORES_STRIDE, *gathered = query + rows * head_dim;
    const KeysOf next = KeysOf::of(attention, next_unit ? *next_unit : unit);
    const Part<Arithmetic> part{KeysOf::of(attention, unit),
                                rows,
                                reinterpret_cast<typename Arithmetic::Input*>(query),
                                scratch,
                                reinterpret_cast<typename Arithmetic::Element*>(gathered),
                                tile.num_tokens == 1,
                                next_unit ? &next : nullptr};
    pack_queries(part, tile);
    score_all(part);
    weigh_rows<Arithmetic>(attention, tile, part.first_key, part.num_keys, part.scores, partial);
    by_rows<QUERY_ROWS>(0, rows, [&](auto count, int64_t row) {
        constexpr int VECTORS = columns_for(count.value);
        for (int64_t dim = 0; dim < head_dim; dim += VECTORS * WIDTH)
            sum_values<count.value, VECTORS>(part, row, dim, partial, partial_stride);
    });
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
