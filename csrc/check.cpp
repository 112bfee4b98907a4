// Every instruction set of a build against plain sums, without Python: for machines that are emulated, and for sanitizers.
//
// Beside the kernels: `tests/unit/kernels` checks all of them more closely, where Python runs. Ends with 1 and says what
// differs. Build it as docs/kernels.md says.

#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels.h"

using namespace pagoda;

namespace {

std::mt19937 generator(0);

struct Tensor {
    std::vector<float> values;    // what the elements are, to the last bit
    std::vector<uint16_t> halves;  // the same as bf16
    DType dtype;

    const void* data() const { return dtype == DType::BF16 ? static_cast<const void*>(halves.data()) : values.data(); }
    void* data() { return dtype == DType::BF16 ? static_cast<void*>(halves.data()) : values.data(); }
    float at(int64_t i) const {
        if (dtype == DType::F32) return values[i];
        const uint32_t bits = uint32_t(halves[i]) << 16;
        float x;
        std::memcpy(&x, &bits, 4);
        return x;
    }
};

Tensor random_tensor(int64_t count, DType dtype) {
    std::normal_distribution<float> normal;
    Tensor tensor{std::vector<float>(count), std::vector<uint16_t>(count), dtype};
    for (int64_t i = 0; i < count; ++i) {
        const float x = normal(generator);
        uint32_t bits;
        std::memcpy(&bits, &x, 4);
        tensor.halves[i] = uint16_t(bits >> 16);
        tensor.values[i] = x;
    }
    return tensor;
}

int num_wrong = 0;

void expect(bool holds, const std::string& what) {
    if (holds) return;
    ++num_wrong;
    std::printf("wrong: %s\n", what.c_str());
}

double tolerance(DType dtype) { return dtype == DType::BF16 ? 2e-2 : 2e-5; }

void check_products(Kernels& kernels, DType dtype, int64_t rows, int64_t depth, int64_t outputs) {
    const std::string name = std::string(kernels.instruction_set()) + " product " + std::to_string(rows) + "x" +
                             std::to_string(depth) + "x" + std::to_string(outputs) + (dtype == DType::BF16 ? " bf16" : " f32");
    const Tensor x = random_tensor(rows * depth, dtype), weight = random_tensor(outputs * depth, dtype);
    std::vector<uint64_t> packed(packed_bytes(outputs, depth, dtype) / 8 + 8);
    kernels.pack_weight(weight.data(), packed.data(), outputs, depth, dtype);
    Tensor y = random_tensor(rows * outputs, dtype), alone = random_tensor(outputs, dtype);
    const Matrix matrix{packed.data(), nullptr, outputs, y.data(), outputs, nullptr};
    kernels.multiply({x.data(), depth, rows, depth, dtype}, {&matrix, 1});
    double worst = 0;
    for (int64_t row = 0; row < rows; ++row)
        for (int64_t output = 0; output < outputs; ++output) {
            double sum = 0, size = 1;
            for (int64_t i = 0; i < depth; ++i) {
                sum += double(x.at(row * depth + i)) * weight.at(output * depth + i);
                size += std::abs(double(x.at(row * depth + i)) * weight.at(output * depth + i));
            }
            worst = std::max(worst, std::abs(y.at(row * outputs + output) - sum) / size);
        }
    expect(worst < tolerance(dtype), name + " is off by " + std::to_string(worst));
    const Matrix single{packed.data(), nullptr, outputs, alone.data(), outputs, nullptr};
    kernels.multiply({x.data(), depth, 1, depth, dtype}, {&single, 1});
    const size_t bytes = outputs * element_bytes(dtype);
    expect(std::memcmp(alone.data(), y.data(), bytes) == 0, name + ": the first row has other bits alone");
}

// Attention of one request's last `tokens` of `length`, two KV heads with two queries each, in blocks of 8 out of order.
void check_attention(Kernels& kernels, DType dtype, int64_t length, int64_t tokens, int64_t head_dim) {
    constexpr int64_t KV_HEADS = 2, GROUP = 2, BLOCK = 8;
    const int64_t blocks = (length + BLOCK - 1) / BLOCK, kv_size = KV_HEADS * head_dim, q_size = kv_size * GROUP;
    const Tensor query = random_tensor(tokens * q_size, dtype);
    const Tensor key = random_tensor(length * kv_size, dtype), value = random_tensor(length * kv_size, dtype);
    Tensor k_cache = random_tensor(blocks * BLOCK * kv_size, dtype), v_cache = random_tensor(blocks * BLOCK * kv_size, dtype);
    Tensor output = random_tensor(tokens * q_size, dtype);
    std::vector<int64_t> table(blocks), slots(length);
    for (int64_t i = 0; i < blocks; ++i) table[i] = blocks - 1 - i;
    for (int64_t i = 0; i < length; ++i) slots[i] = table[i / BLOCK] * BLOCK + i % BLOCK;
    const auto all = plan_attention({0, length}, {length}, table, blocks, slots, GROUP, BLOCK, 1 << 30);
    kernels.store_kv(key.data(), value.data(), kv_size, kv_size, {k_cache.data(), v_cache.data(), BLOCK * kv_size}, KV_HEADS,
                     head_dim, all, dtype);
    Attention attention{};
    attention.query = query.data();
    attention.query_stride = attention.output_stride = q_size;
    attention.k_cache = k_cache.data();
    attention.v_cache = v_cache.data();
    attention.output = output.data();
    attention.num_kv_heads = KV_HEADS;
    attention.group = GROUP;
    attention.head_dim = head_dim;
    attention.block_stride = BLOCK * kv_size;
    attention.scale = 0.25f;
    attention.dtype = dtype;
    kernels.attend(attention, plan_attention({0, tokens}, {length}, table, blocks, {}, GROUP, BLOCK, 1 << 30));
    double worst = 0;
    for (int64_t token = 0; token < tokens; ++token)
        for (int64_t head = 0; head < KV_HEADS * GROUP; ++head) {
            const int64_t seen = length - tokens + token + 1, of = head / GROUP * head_dim;
            std::vector<double> weights(seen), sums(head_dim, 0);
            double total = 0;
            for (int64_t k = 0; k < seen; ++k) {
                double score = 0;
                for (int64_t i = 0; i < head_dim; ++i)
                    score += double(query.at(token * q_size + head * head_dim + i)) * key.at(k * kv_size + of + i);
                total += weights[k] = std::exp(0.25 * score);
            }
            for (int64_t k = 0; k < seen; ++k)
                for (int64_t i = 0; i < head_dim; ++i) sums[i] += weights[k] / total * value.at(k * kv_size + of + i);
            for (int64_t i = 0; i < head_dim; ++i)
                worst = std::max(worst, std::abs(output.at(token * q_size + head * head_dim + i) - sums[i]));
        }
    expect(worst < tolerance(dtype), std::string(kernels.instruction_set()) + " attention over " + std::to_string(length) +
                                         " is off by " + std::to_string(worst));
}

}  // namespace

int main() {
    for (const auto& name : instruction_sets())
        for (const int threads : {1, 3}) {
            Kernels kernels(name, threads);
            for (const DType dtype : {DType::F32, DType::BF16}) {
                for (const int64_t rows : {1, 2, 5, 13, 30})
                    for (const int64_t depth : {1, 8, 63, 2100})
                        for (const int64_t outputs : {1, 31, 70}) check_products(kernels, dtype, rows, depth, outputs);
                for (const int64_t length : {1, 9, 40, 700})
                    for (const int64_t head_dim : {8, 10, 24, 64})
                        check_attention(kernels, dtype, length, std::min<int64_t>(length, 30), head_dim);
            }
            std::printf("%s on %d threads: checked\n", name.c_str(), threads);
        }
    return num_wrong != 0;
}
