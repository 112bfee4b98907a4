// What is done to each row by itself: norms, activations, rotation, the cache's slot. Sums run in one order.

namespace PAGODA_ISA {

// The last vector of a row that no whole vector fits into, filled up with zeros.
template <typename Type>
INLINE Floats load_some(const typename Type::Element* from, int64_t count) {
    typename Type::Element lanes[WIDTH] = {};
    std::memcpy(lanes, from, sizeof(*from) * count);
    return Type::load(lanes);
}

template <typename Type>
INLINE void store_some(typename Type::Element* to, Floats x, int64_t count) {
    typename Type::Element lanes[WIDTH];
    Type::store(lanes, x);
    std::memcpy(to, lanes, sizeof(*to) * count);
}

// function(vector of each input...) -> vector, over `size` elements.
template <typename Type, typename Function, typename... Inputs>
INLINE void map(typename Type::Element* y, int64_t size, Function function, const Inputs*... inputs) {
    int64_t i = 0;
    for (; i + WIDTH <= size; i += WIDTH) Type::store(y + i, function(Type::load(inputs + i)...));
    if (i < size) store_some<Type>(y + i, function(load_some<Type>(inputs + i, size - i)...), size - i);
}

template <typename Type>
static void rms_norm_of(const void* x_, const void* weight_, void* y_, int64_t size, float eps) {
    typedef typename Type::Element Element;
    const auto *x = static_cast<const Element*>(x_), *weight = static_cast<const Element*>(weight_);
    Floats squares = zeros();
    int64_t i = 0;
    for (; i + WIDTH <= size; i += WIDTH) {
        const Floats part = Type::load(x + i);
        squares = multiply_add(part, part, squares);
    }
    if (i < size) {
        const Floats part = load_some<Type>(x + i, size - i);
        squares = multiply_add(part, part, squares);
    }
    const Floats scale = all(1.0f / __builtin_sqrtf(total(squares) / float(size) + eps));
    // Rounded before the gain, as transformers rounds.
    const auto normed = [scale](Floats x, Floats gain) { return multiply(Type::rounded(multiply(x, scale)), gain); };
    map<Type>(static_cast<Element*>(y_), size, normed, x, weight);
}

static void rms_norm(const void* x, const void* weight, void* y, int64_t size, float eps, DType dtype) {
    dtype == DType::BF16 ? rms_norm_of<BF16>(x, weight, y, size, eps) : rms_norm_of<F32>(x, weight, y, size, eps);
}

template <typename Type>
static void silu_and_mul_of(const void* gate, const void* up, void* y, int64_t size) {
    typedef typename Type::Element Element;
    const auto silu_times = [](Floats gate, Floats up) {
        const Floats e = exponential(subtract(zeros(), gate));
        return multiply(Type::rounded(divide(gate, add(all(1.0f), e))), up);
    };
    map<Type>(static_cast<Element*>(y), size, silu_times, static_cast<const Element*>(gate), static_cast<const Element*>(up));
}

static void silu_and_mul(const void* gate, const void* up, void* y, int64_t size, DType dtype) {
    dtype == DType::BF16 ? silu_and_mul_of<BF16>(gate, up, y, size) : silu_and_mul_of<F32>(gate, up, y, size);
}

template <typename Type>
static void rotate_of(const void* x_, const float* cosine, const float* sine, void* y_, int64_t heads, int64_t head_dim,
                      int64_t rotary_dim) {
    typedef typename Type::Element Element;
    const auto* x = static_cast<const Element*>(x_);
    auto* y = static_cast<Element*>(y_);
    const int64_t half = rotary_dim / 2;
    for (int64_t head = 0; head < heads; ++head, x += head_dim, y += head_dim) {
        for (int64_t i = 0; i < half; ++i) {  // pair i is (i, i + half); both are read before either is written
            const float first = Type::wide(x[i]), second = Type::wide(x[i + half]);
            y[i] = Type::narrow(first * cosine[i] - second * sine[i]);
            y[i + half] = Type::narrow(second * cosine[i] + first * sine[i]);
        }
        if (x != y) std::memcpy(y + rotary_dim, x + rotary_dim, sizeof(Element) * (head_dim - rotary_dim));
    }
}

static void rotate(const void* x, const float* cosine, const float* sine, void* y, int64_t heads, int64_t head_dim,
                   int64_t rotary_dim, DType dtype) {
    dtype == DType::BF16 ? rotate_of<BF16>(x, cosine, sine, y, heads, head_dim, rotary_dim)
                         : rotate_of<F32>(x, cosine, sine, y, heads, head_dim, rotary_dim);
}

// A hidden key has the weight 0, and 0 times infinity is no number: what a broken request leaves in a block must not reach
// the block's next owner. So values are made finite as they are stored (torch.nan_to_num).
INLINE float finite(float x) {
    constexpr float most = 3.4028235e38f;
    if (x != x) return 0.0f;
    return x > most ? most : x < -most ? -most : x;
}

INLINE float finite(uint16_t bits) {
    if ((bits & 0x7f80u) != 0x7f80u) return as_float(bits);
    if (bits & 0x7fu) return 0.0f;
    return as_float(uint16_t((bits & 0x8000u) | 0x7f7fu));
}

// Where element (row, column) of a matrix stands that lies as `arithmetic.inl` reads it.
INLINE int64_t paired(int64_t row, int64_t column, int64_t columns, uint16_t) {
    return row / 2 * 2 * columns + 2 * column + row % 2;
}
INLINE int64_t paired(int64_t row, int64_t column, int64_t columns, float) { return row * columns + column; }

// One head's key into its column, pairs of dimensions at once.
INLINE void store_key(const uint16_t* key, uint16_t* keys, int64_t offset, int64_t head_dim, int64_t block_size) {
    for (int64_t i = 0; i + 2 <= head_dim; i += 2) std::memcpy(keys + paired(i, offset, block_size, *keys), key + i, 4);
}
INLINE void store_key(const float* key, float* keys, int64_t offset, int64_t head_dim, int64_t block_size) {
    for (int64_t i = 0; i < head_dim; ++i) keys[i * block_size + offset] = key[i];
}

// Keys as [head_dim, block_size], values as [block_size, head_dim]: each is multiplied by along its rows.
template <typename Type>
static void store_kv_of(const void* key_, const void* value_, void* k_block, void* v_block, int64_t offset, int64_t kv_heads,
                        int64_t head_dim, int64_t block_size) {
    typedef typename Type::Element Element;
    const auto *key = static_cast<const Element*>(key_), *value = static_cast<const Element*>(value_);
    for (int64_t head = 0; head < kv_heads; ++head, key += head_dim, value += head_dim) {
        Element* values = static_cast<Element*>(v_block) + head * block_size * head_dim;
        store_key(key, static_cast<Element*>(k_block) + head * block_size * head_dim, offset, head_dim, block_size);
        for (int64_t i = 0; i < head_dim; ++i)
            values[paired(offset, i, head_dim, Element())] = Type::narrow(finite(value[i]));
    }
}

static void store_kv(const void* key, const void* value, void* k_block, void* v_block, int64_t offset, int64_t kv_heads,
                     int64_t head_dim, int64_t block_size, DType dtype) {
    dtype == DType::BF16 ? store_kv_of<BF16>(key, value, k_block, v_block, offset, kv_heads, head_dim, block_size)
                         : store_kv_of<F32>(key, value, k_block, v_block, offset, kv_heads, head_dim, block_size);
}

}  // namespace PAGODA_ISA
