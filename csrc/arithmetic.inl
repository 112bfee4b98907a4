// How numbers meet in a product, of weights or of attention: by pairs of inputs, many columns at once.
//
// What is multiplied by lies in pairs: [pairs][columns][2] in bf16, [2 * pairs][columns] in floats, so that one row's pair of
// inputs meets WIDTH columns in STEPS steps. A column's sum is one chain over the pairs in their order.

namespace PAGODA_ISA {

// Widened to floats, with a multiply-add for each input of a pair.
template <typename Type>
struct Widened {
    typedef Type Tensor;
    typedef typename Type::Element Element;
    typedef float Input;
    typedef Floats Vector;
    static constexpr int STEPS = 2;

    // WIDTH columns from `column` on of the pair that begins at `from`, one vector for each step.
    INLINE void load_pair(const float* from, int64_t columns, int64_t column, Floats& first, Floats& second) {
        first = load(from + column);
        second = load(from + columns + column);
    }
    INLINE void load_pair(const uint16_t* from, int64_t, int64_t column, Floats& first, Floats& second) {
        load_pairs(from + 2 * column, first, second);
    }
    INLINE Floats add(Floats sum, Input input, Floats columns) { return multiply_add(all(input), columns, sum); }
    // The inputs of one pair to `to`, those of the steps a stride apart.
    INLINE void pack(Element first, Element second, Input* to, int64_t stride) {
        to[0] = Type::wide(first);
        to[stride] = Type::wide(second);
    }
    // WIDTH floats over themselves, or further to the front, as inputs: pair p at [STEPS * p]. What they are as such.
    INLINE Floats become_inputs(float* row, int64_t i, Floats x) {
        PAGODA_ISA::store(row + i, x);
        return x;
    }
};

#if defined(PAGODA_DOTS)
// One instruction multiplies both inputs of the pair and adds the products.
struct Dotted {
    typedef BF16 Tensor;
    typedef uint16_t Element;
    typedef uint32_t Input;
    typedef Pairs Vector;
    static constexpr int STEPS = 1;

    INLINE void load_pair(const uint16_t* from, int64_t, int64_t column, Pairs& pairs, Pairs&) {
        pairs = load_bits(from + 2 * column);
    }
    INLINE Floats add(Floats sum, Input input, Pairs columns) { return dot(all_pairs(input), columns, sum); }
    INLINE void pack(Element first, Element second, Input* to, int64_t) { *to = first | uint32_t(second) << 16; }
    INLINE Floats become_inputs(float* row, int64_t i, Floats x) {
        return store_for_dot(reinterpret_cast<uint16_t*>(row) + i, x);
    }
};
typedef Dotted BF16Arithmetic;
#else
typedef Widened<BF16> BF16Arithmetic;
#endif
typedef Widened<F32> F32Arithmetic;

}  // namespace PAGODA_ISA
