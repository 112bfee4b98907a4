// Keys and values as whole numbers of a byte, each token's of one head with a scale of its own: `kernels/kv_codes.py`.
//
// Keys are turned by a Hadamard matrix before they are rounded, and so are the queries that meet them.
//
// A head's part of a block is its bytes in pairs, keys [head_dim / 2][block_size][2] and values [block_size / 2][head_dim][2],
// then a bf16 for each token.

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
                       [&](int64_t i) { return paired(i, offset, block_size, uint16_t()); });
        store_bytes_of(value, values, offset, head_dim, block_size,
                       [&](int64_t i) { return paired(offset, i, head_dim, uint16_t()); });
    }
}

static void store_kv_bytes(const void* key, const void* value, void* k_block, void* v_block, int64_t offset, int64_t kv_heads,
                           int64_t head_dim, int64_t block_size, DType dtype) {
    dtype == DType::BF16 ? store_kv_bytes_of<BF16>(key, value, k_block, v_block, offset, kv_heads, head_dim, block_size)
                         : store_kv_bytes_of<F32>(key, value, k_block, v_block, offset, kv_heads, head_dim, block_size);
}

}  // namespace PAGODA_ISA
