// Keys and values as whole numbers of a byte, each token's of one head with a scale of its own: `kernels/kv_codes.py`.
//
// Keys are turned by a Hadamard matrix before they are rounded, and so are the queries that meet them.
//
// A head's part of a block is its elements in the places that floats would have, then a bf16 for each token. Attention widens
// the blocks of one partition and one head into the elements that it computes in, and goes on as with floats: what a request
// adds up, and in which order, is the same.

namespace PAGODA_ISA {

constexpr int64_t head_bytes(int64_t head_dim, int64_t block_size) { return block_size * (head_dim + SCALE_BYTES); }

constexpr int64_t MOST_HEAD_DIM = 1024;

// `x [head_dim]` to floats, times a symmetric Hadamard matrix of length 1, of as many dimensions as divide a head: sums and
// differences of neighbours, then of pairs, and so on (Fino and Algazi 1976).
template <typename Element>
INLINE void turn(const Element* x, int64_t head_dim, float* to) {
    const int64_t size = head_dim & -head_dim;
    for (int64_t i = 0; i < head_dim; ++i) to[i] = finite(x[i]);
    for (int64_t half = 1; half < size; half *= 2)
        for (int64_t begun = 0; begun < head_dim; begun += 2 * half)
            for (int64_t i = begun; i < begun + half; ++i) {
                const float first = to[i], second = to[i + half];
                to[i] = first + second;
                to[i + half] = first - second;
            }
    const float length = 1.0f / __builtin_sqrtf(float(size));
    for (int64_t i = 0; i < head_dim; ++i) to[i] *= length;
}

// Queries of one token, x and y [heads, head_dim], as the keys in bytes that they meet.
template <typename Type>
static void turn_heads_of(const void* x_, void* y_, int64_t heads, int64_t head_dim) {
    const auto* x = static_cast<const typename Type::Element*>(x_);
    auto* y = static_cast<typename Type::Element*>(y_);
    for (; heads > 0; --heads, x += head_dim, y += head_dim) {
        float turned[MOST_HEAD_DIM];
        turn(x, head_dim, turned);
        for (int64_t i = 0; i < head_dim; ++i) y[i] = Type::narrow(turned[i]);
    }
}

static void turn_heads(const void* x, void* y, int64_t heads, int64_t head_dim, DType dtype) {
    dtype == DType::BF16 ? turn_heads_of<BF16>(x, y, heads, head_dim) : turn_heads_of<F32>(x, y, heads, head_dim);
}

// One head's key or value; place(i): where number i belongs.
template <typename Element, typename Place>
static void store_bytes_of(const Element* x, int8_t* block, int64_t offset, int64_t head_dim, int64_t block_size,
                           Place place) {
    float most = 0.0f;
    for (int64_t i = 0; i < head_dim; ++i) {
        const float size = __builtin_fabsf(finite(x[i]));
        most = size > most ? size : most;
    }
    const uint16_t scale = as_bf16(most / 127.0f);
    const float step = as_float(scale);
    for (int64_t i = 0; i < head_dim; ++i) {
        const float whole = step > 0.0f ? __builtin_nearbyintf(finite(x[i]) / step) : 0.0f;
        block[place(i)] = int8_t(whole > 127.0f ? 127.0f : whole < -127.0f ? -127.0f : whole);
    }
    std::memcpy(block + block_size * head_dim + SCALE_BYTES * offset, &scale, SCALE_BYTES);
}

template <typename Type>
static void store_kv_bytes_of(const void* key_, const void* value_, void* k_block, void* v_block, int64_t offset,
                              int64_t kv_heads, int64_t head_dim, int64_t block_size) {
    typedef typename Type::Element Element;
    const auto *key = static_cast<const Element*>(key_), *value = static_cast<const Element*>(value_);
    for (int64_t head = 0; head < kv_heads; ++head, key += head_dim, value += head_dim) {
        auto* keys = static_cast<int8_t*>(k_block) + head * head_bytes(head_dim, block_size);
        auto* values = static_cast<int8_t*>(v_block) + head * head_bytes(head_dim, block_size);
        float turned[MOST_HEAD_DIM];
        turn(key, head_dim, turned);
        store_bytes_of(turned, keys, offset, head_dim, block_size,
                       [&](int64_t i) { return paired(i, offset, block_size, Element()); });
        store_bytes_of(value, values, offset, head_dim, block_size,
                       [&](int64_t i) { return paired(offset, i, head_dim, Element()); });
    }
}

static void store_kv_bytes(const void* key, const void* value, void* k_block, void* v_block, int64_t offset, int64_t kv_heads,
                           int64_t head_dim, int64_t block_size, DType dtype) {
    dtype == DType::BF16 ? store_kv_bytes_of<BF16>(key, value, k_block, v_block, offset, kv_heads, head_dim, block_size)
                         : store_kv_bytes_of<F32>(key, value, k_block, v_block, offset, kv_heads, head_dim, block_size);
}

INLINE void store_widened(float* to, Floats x) { store(to, x); }
INLINE void store_widened(uint16_t* to, Floats x) {
#if defined(PAGODA_DOTS)
    store_for_dot(to, x);
#else
    store_bf16(to, x);
#endif
}

// `count` numbers times scales: those that lie beside them, or the first WIDTH again and again.
template <typename Type, bool AGAIN>
INLINE void widen(const int8_t* from, const float* scales, int64_t count, typename Type::Element* to) {
    int64_t i = 0;
    for (; i + WIDTH <= count; i += WIDTH) {
        const Floats numbers = load_signed_bytes(reinterpret_cast<const uint8_t*>(from + i));
        store_widened(to + i, multiply(numbers, load(AGAIN ? scales : scales + i)));
    }
    for (; i < count; ++i) to[i] = Type::narrow(float(from[i]) * scales[AGAIN ? i % WIDTH : i]);
}

// One head of a block: keys [head_dim, block_size] or values [block_size, head_dim], in pairs where elements are.
template <typename Type>
static void widen_block(const void* block, bool is_key, int64_t head_dim, int64_t block_size, typename Type::Element* to) {
    constexpr int64_t PAIR = sizeof(typename Type::Element) == 2 ? 2 : 1;
    const auto* from = static_cast<const int8_t*>(block);
    float scale[PARTITION + 1], beside[2 * PARTITION];
    for (int64_t token = 0; token < block_size; ++token) {
        uint16_t bits;
        std::memcpy(&bits, from + block_size * head_dim + SCALE_BYTES * token, SCALE_BYTES);
        scale[token] = as_float(bits);
    }
    if (is_key) {  // each row of pairs goes over all tokens
        for (int64_t i = 0; i < PAIR * block_size; ++i) beside[i] = scale[i / PAIR];
        for (int64_t i = 0; i < head_dim; i += PAIR)
            widen<Type, false>(from + i * block_size, beside, PAIR * block_size, to + i * block_size);
        return;
    }
    scale[block_size] = 0.0f;  // beside the last of an odd number
    for (int64_t token = 0; token < block_size; token += PAIR) {  // a row of pairs over all dimensions
        for (int64_t i = 0; i < WIDTH; ++i) beside[i] = scale[token + i % PAIR];
        widen<Type, true>(from + token * head_dim, beside, PAIR * head_dim, to + token * head_dim);
    }
}

}  // namespace PAGODA_ISA
