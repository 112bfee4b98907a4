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

// Kinds of numbers that groups have, one for each format that is read.
struct Kind {
    const char* name;
    Lie lie;
    Factor scale, shift;
    int64_t group, steps_every;
    int32_t zero;
};

constexpr Kind KINDS[] = {
    {"Q4_0", Lie::NIBBLES, Factor::HALF, Factor::NONE, 32, 1, 8},
    {"Q4_1", Lie::NIBBLES, Factor::HALF, Factor::HALF, 32, 1, 0},
    {"Q5_0", Lie::FIVE, Factor::HALF, Factor::NONE, 32, 1, 16},
    {"Q8_0", Lie::BYTES, Factor::HALF, Factor::NONE, 32, 1, 128},
    {"Q4_K", Lie::NIBBLES, Factor::STEPS, Factor::STEPS, 32, 8, 0},
    {"Q6_K", Lie::SIX, Factor::STEPS, Factor::NONE, 16, 16, 32},
    {"Q2_K", Lie::NIBBLES, Factor::STEPS, Factor::STEPS, 16, 16, 0},
    {"IQ4_NL", Lie::TABLE, Factor::HALF, Factor::NONE, 32, 1, 128},
    {"GPTQ", Lie::NIBBLES, Factor::HALF, Factor::ZEROS, 128, 1, 0},
    {"AWQ in floats", Lie::NIBBLES, Factor::FLOAT, Factor::FLOAT, 64, 1, 0},
    {"int8 by channel", Lie::BYTES, Factor::FLOAT, Factor::NONE, 1 << 20, 1, 128},
};

std::vector<float> random_steps(int64_t count) {
    std::vector<float> steps(count);
    for (float& step : steps) step = float(1 + generator() % 7) / 64;  // a half holds them
    return steps;
}

void check_codes(Kernels& kernels, DType dtype, const Kind& kind, int64_t rows, int64_t depth, int64_t outputs) {
    const std::string name = std::string(kernels.instruction_set()) + " " + kind.name + " " + std::to_string(rows) + "x" +
                             std::to_string(depth) + "x" + std::to_string(outputs) + (dtype == DType::BF16 ? " bf16" : " f32");
    CodeFormat format{kind.lie, kind.scale, kind.shift, kind.group, kind.steps_every, kind.zero, {}};
    for (int i = 0; i < 16; ++i) format.table[i] = uint8_t(i * i + 3);
    const int64_t groups = (depth + kind.group - 1) / kind.group, steps = (groups + kind.steps_every - 1) / kind.steps_every;
    const int most = kind.lie == Lie::BYTES ? 256 : kind.lie == Lie::SIX ? 64 : kind.lie == Lie::FIVE ? 32 : 16;
    std::vector<uint8_t> codes(outputs * depth), bytes(outputs * groups), other_bytes(outputs * groups);
    for (auto* some : {&bytes, &other_bytes})
        for (uint8_t& x : *some) x = uint8_t(generator() % 60);
    for (uint8_t& x : codes) x = uint8_t(generator() % most);
    const auto floats = random_steps(outputs * groups), other_floats = random_steps(outputs * groups);
    const auto scale_steps = random_steps(outputs * steps), shift_steps = random_steps(outputs * steps);
    const auto is_small = [](Factor factor) { return factor == Factor::STEPS || factor == Factor::ZEROS; };
    const Codes given{codes.data(),
                      is_small(kind.scale) ? static_cast<const void*>(bytes.data()) : floats.data(),
                      is_small(kind.shift) ? static_cast<const void*>(other_bytes.data()) : other_floats.data(),
                      scale_steps.data(), shift_steps.data(), outputs, depth};
    const int64_t packed_size = (outputs + PANEL - 1) / PANEL * format.panel_bytes(depth);
    std::vector<uint64_t> packed(packed_size / 8 + 8);
    kernels.pack_codes(given, format, packed.data());
    std::vector<float> weight(outputs * depth);
    for (int64_t output = 0; output < outputs; ++output)
        for (int64_t i = 0; i < depth; ++i) {
            const int64_t group = output * groups + i / kind.group;
            const int64_t step = output * steps + i / kind.group / kind.steps_every;
            const float scale = kind.scale == Factor::STEPS ? bytes[group] * scale_steps[step] : floats[group];
            const float shift = kind.shift == Factor::STEPS  ? other_bytes[group] * shift_steps[step]
                              : kind.shift == Factor::ZEROS  ? other_bytes[group] * scale
                              : kind.shift != Factor::NONE   ? other_floats[group]
                                                             : 0;
            const int code = codes[output * depth + i], value = kind.lie == Lie::TABLE ? format.table[code] : code;
            weight[output * depth + i] = scale * float(value - kind.zero) - shift;
        }
    std::vector<float> row(depth);
    for (int64_t output = 0; output < outputs; ++output) {
        unpack_codes_row(reinterpret_cast<uint8_t*>(packed.data()), format, depth, output, row.data(), DType::F32);
        expect(std::memcmp(row.data(), weight.data() + output * depth, depth * 4) == 0, name + ": unpacked to other numbers");
    }
    const Tensor x = random_tensor(rows * depth, dtype);
    Tensor y = random_tensor(rows * outputs, dtype), alone = random_tensor(outputs, dtype);
    const Matrix matrix{packed.data(), nullptr, outputs, y.data(), outputs, nullptr, nullptr, &format};
    kernels.multiply({x.data(), depth, rows, depth, dtype}, {&matrix, 1});
    double worst = 0;
    for (int64_t r = 0; r < rows; ++r)
        for (int64_t output = 0; output < outputs; ++output) {
            double sum = 0, size = 1e-3;
            for (int64_t i = 0; i < depth; ++i) {
                const double product = double(x.at(r * depth + i)) * weight[output * depth + i];
                sum += product;
                size += std::abs(product);
            }
            worst = std::max(worst, std::abs(y.at(r * outputs + output) - sum) / size);
        }
    // Rows become whole numbers, 1/65024 of the largest in a strip off at most; bf16 results are rounded once more.
    expect(worst < (dtype == DType::BF16 ? 3e-3 : 1e-4), name + " is off by " + std::to_string(worst));
    const Matrix single{packed.data(), nullptr, outputs, alone.data(), outputs, nullptr, nullptr, &format};
    kernels.multiply({x.data(), depth, 1, depth, dtype}, {&single, 1});
    expect(std::memcmp(alone.data(), y.data(), outputs * element_bytes(dtype)) == 0, name + ": the first row has other bits alone");
}

// Attention of one request's last `tokens` of `length`, two KV heads with two queries each, in blocks of 8 out of order.
void check_attention(Kernels& kernels, DType dtype, bool in_bytes, int64_t length, int64_t tokens, int64_t head_dim) {
    constexpr int64_t KV_HEADS = 2, GROUP = 2, BLOCK = 8;
    const int64_t blocks = (length + BLOCK - 1) / BLOCK, kv_size = KV_HEADS * head_dim, q_size = kv_size * GROUP;
    const Tensor query = random_tensor(tokens * q_size, dtype);
    const Tensor key = random_tensor(length * kv_size, dtype), value = random_tensor(length * kv_size, dtype);
    const int64_t block_stride = BLOCK * (kv_size + in_bytes * KV_HEADS * SCALE_BYTES);  // bytes take less than floats
    Tensor k_cache = random_tensor(blocks * block_stride, dtype), v_cache = random_tensor(blocks * block_stride, dtype);
    Tensor output = random_tensor(tokens * q_size, dtype);
    std::vector<int64_t> table(blocks), slots(length);
    for (int64_t i = 0; i < blocks; ++i) table[i] = blocks - 1 - i;
    for (int64_t i = 0; i < length; ++i) slots[i] = table[i / BLOCK] * BLOCK + i % BLOCK;
    const auto all = plan_attention({0, length}, {length}, table, blocks, slots, GROUP, BLOCK, 1 << 30);
    kernels.store_kv(key.data(), value.data(), kv_size, kv_size, {k_cache.data(), v_cache.data(), block_stride, in_bytes},
                     KV_HEADS, head_dim, all, dtype);
    Attention attention{};
    attention.query = query.data();
    attention.query_stride = attention.output_stride = q_size;
    attention.k_cache = k_cache.data();
    attention.v_cache = v_cache.data();
    attention.output = output.data();
    attention.num_kv_heads = KV_HEADS;
    attention.group = GROUP;
    attention.head_dim = head_dim;
    attention.block_stride = block_stride;
    attention.in_bytes = in_bytes;
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
    expect(worst < (in_bytes ? 0.08 : tolerance(dtype)), std::string(kernels.instruction_set()) + " attention over " +
                                                             std::to_string(length) + (in_bytes ? " in bytes" : "") +
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
                for (const Kind& kind : KINDS)
                    for (const int64_t rows : {1, 2, 4, 5, 8, 13, 30})
                        for (const int64_t depth : {256, 1280})
                            for (const int64_t outputs : {1, 47, 64}) check_codes(kernels, dtype, kind, rows, depth, outputs);
                check_codes(kernels, dtype, KINDS[10], 3, 77, 35);
                for (const int64_t length : {1, 9, 40, 700})
                    for (const int64_t head_dim : {8, 10, 24, 64})
                        for (const bool in_bytes : {false, true})
                            check_attention(kernels, dtype, in_bytes, length, std::min<int64_t>(length, 30), head_dim);
            }
            std::printf("%s on %d threads: checked\n", name.c_str(), threads);
        }
    return num_wrong != 0;
}
