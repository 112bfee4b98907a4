// The Python module `pagoda.kernels.native.library`: addresses and sizes in, nothing checked; `operations.py` checks.

#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/unique_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <memory>
#include <tuple>
#include <utility>

#include "decoder.h"
#include "encoder.h"
#include "ranks.h"

namespace nb = nanobind;
using namespace pagoda;

namespace {

typedef uintptr_t Address;

template <typename T = void>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

DType dtype_of(int number) { return static_cast<DType>(number); }

typedef std::tuple<Address, Address, int64_t, Address> GivenLinear;  // packed weight, bias or 0, outputs, format or 0

Linear linear_of(const GivenLinear& given) {
    return {at(std::get<0>(given)), at(std::get<1>(given)), std::get<2>(given), at<CodeFormat>(std::get<3>(given))};
}

// The tables and slots lie in tensors of int64 that may be gone before the plan is: copied.
AttentionPlan planned(const std::vector<int64_t>& query_start_loc, const std::vector<int64_t>& seq_lens, Address tables,
                      int64_t table_stride, Address slots, int64_t num_slots, int64_t group, int64_t block_size,
                      int64_t window, int64_t chunk) {
    const auto* table = at<const int64_t>(tables);
    const auto* slot = at<const int64_t>(slots);
    return plan_attention(query_start_loc, seq_lens, {table, table + table_stride * int64_t(seq_lens.size())}, table_stride,
                          {slot, slot + num_slots}, group, block_size, window, chunk);
}

// norms: before attention, before the MLP, of queries, of keys (0: none); linears: q, k, v, o, gate, up, down; which of a
// step's plans and rotations (-1: none).
typedef std::tuple<std::array<Address, 4>, std::array<GivenLinear, 7>, int, int> GivenLayer;

DecoderLayer layer_of(const GivenLayer& given) {
    const auto& [norms, linears, plan, rotation] = given;
    std::array<Linear, 7> all;
    std::transform(linears.begin(), linears.end(), all.begin(), linear_of);
    return {at(norms[0]), at(norms[1]), at(norms[2]), at(norms[3]), all[0], all[1], all[2], all[3], all[4], all[5], all[6],
            plan,         rotation};
}

// embedding: weight, entries, whether it is packed, its format or 0. ranks: of a Ranks, or 0.
std::unique_ptr<Decoder> made_decoder(Kernels& kernels, const std::array<int64_t, 5>& sizes,
                                      const std::array<float, 3>& numbers, int dtype,
                                      const std::tuple<Address, int64_t, bool, Address>& embedding,
                                      const std::vector<GivenLayer>& given, Address norm, Address ranks) {
    std::vector<DecoderLayer> layers(given.size());
    std::transform(given.begin(), given.end(), layers.begin(), layer_of);
    const DecoderShape shape{sizes[0],   sizes[1],   sizes[2],   sizes[3],       sizes[4],
                             numbers[0], numbers[1], numbers[2], dtype_of(dtype)};
    const auto& [weight, entries, is_packed, codes] = embedding;
    const Table table{at(weight), entries, shape.hidden_size, shape.dtype, is_packed, at<CodeFormat>(codes)};
    return std::make_unique<Decoder>(kernels, shape, table, std::move(layers), at(norm), at<Ranks>(ranks));
}

// lie, scale, shift: numbers of their enumerations; table: sixteen values + 128, or none.
std::unique_ptr<CodeFormat> made_format(int lie, int scale, int shift, int64_t group, int64_t steps_every, int zero,
                                        const std::vector<uint8_t>& table) {
    auto format = std::make_unique<CodeFormat>(CodeFormat{
        static_cast<Lie>(lie), static_cast<Factor>(scale), static_cast<Factor>(shift), group, steps_every, zero, {}});
    std::copy_n(table.begin(), std::min<size_t>(table.size(), 16), format->table);
    return format;
}

// rotations: cosine, sine and rotary_dim of each; positions 0: they have a row for each token. The cache [layers, 2, blocks,
// ...] is given by its address and strides in bytes.
void forward(Decoder& decoder, Address token_ids, Address positions, int64_t rows,
             const std::vector<const AttentionPlan*>& plans,
             const std::vector<std::tuple<Address, Address, int64_t>>& rotations, Address cache, int64_t layer_bytes,
             int64_t value_bytes, int64_t block_stride, bool in_bytes, Address hidden) {
    const std::span<const int64_t> ids{at<const int64_t>(token_ids), token_ids == 0 ? 0 : size_t(rows)};
    Step step{ids, rows, plans, {}, at<char>(cache), layer_bytes, value_bytes, block_stride, in_bytes};
    for (const auto& [cosine, sine, rotary_dim] : rotations)
        step.rotations.push_back({at<float>(cosine), at<float>(sine), rotary_dim, at<const int64_t>(positions)});
    decoder.forward(step, at(hidden));
}

}  // namespace

NB_MODULE(library, module) {
    module.doc() = "pagoda's kernels in C++.";
    module.def("instruction_sets", &instruction_sets);
    module.def("packed_bytes", [](int64_t outputs, int64_t depth, int dtype) {
        return packed_bytes(outputs, depth, dtype_of(dtype));
    });
    nb::class_<CodeFormat>(module, "CodeFormat")
        .def(nb::new_(&made_format))
        .def_prop_ro("address", [](const CodeFormat& format) { return Address(&format); })
        .def("packed_bytes", [](const CodeFormat& format, int64_t outputs, int64_t depth) {
            return (outputs + PANEL - 1) / PANEL * format.panel_bytes(depth);
        });
    nb::class_<AttentionPlan>(module, "AttentionPlan");
    module.def("plan_attention", &planned, nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(), nb::arg(),
               nb::arg(), nb::arg(), nb::arg("chunk") = 0);
    nb::class_<Kernels>(module, "Kernels")
        .def(nb::init<const std::string&, int>())
        .def_prop_ro("instruction_set", [](const Kernels& kernels) { return std::string(kernels.instruction_set()); })
        .def(
            "pack_weight",
            [](Kernels& kernels, Address weight, Address packed, int64_t outputs, int64_t depth, int dtype) {
                kernels.pack_weight(at(weight), at(packed), outputs, depth, dtype_of(dtype));
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "pack_codes",
            [](Kernels& kernels, Address codes, Address scales, Address shifts, Address scale_steps, Address shift_steps,
               int64_t outputs, int64_t depth, const CodeFormat& format, Address packed) {
                kernels.pack_codes({at<uint8_t>(codes), at(scales), at(shifts), at<float>(scale_steps), at<float>(shift_steps),
                                    outputs, depth}, format, at(packed));
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "take_rows",
            [](Kernels& kernels, Address packed, int64_t outputs, int64_t depth, Address codes, Address rows,
               int64_t num_rows, Address y, int dtype) {
                kernels.take_rows({at(packed), outputs, depth, dtype_of(dtype), true, at<CodeFormat>(codes)},
                                  {at<const int64_t>(rows), size_t(num_rows)}, at(y));
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "linear",
            [](Kernels& kernels, Address x, int64_t x_stride, int64_t rows, int64_t depth, int64_t outputs, Address weight,
               Address codes, Address bias, Address y, int dtype) {
                const Matrix matrix{at(weight), at(bias), outputs, at(y), outputs, nullptr, nullptr, at<CodeFormat>(codes)};
                kernels.multiply({at(x), x_stride, rows, depth, dtype_of(dtype)}, {&matrix, 1});
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "largest",
            [](Kernels& kernels, Address x, int64_t x_stride, int64_t rows, int64_t depth, int64_t outputs, Address weight,
               Address codes, Address indices, int dtype) {
                kernels.multiply_for_largest({at(x), x_stride, rows, depth, dtype_of(dtype)}, at(weight),
                                             at<CodeFormat>(codes), outputs, at<int64_t>(indices));
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "rms_norm",
            [](Kernels& kernels, Address x, Address weight, Address y, int64_t rows, int64_t size, float eps, int dtype) {
                kernels.rms_norm(at(x), at(weight), at(y), rows, size, eps, dtype_of(dtype));
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "silu_and_mul",
            [](Kernels& kernels, Address gate, Address up, Address y, int64_t rows, int64_t size, int64_t gate_stride,
               int64_t up_stride, int dtype) {
                kernels.silu_and_mul(at(gate), at(up), at(y), rows, size, gate_stride, up_stride, dtype_of(dtype));
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "rotate",
            [](Kernels& kernels, Address x, Address cosine, Address sine, Address y, int64_t rows, int64_t x_stride,
               int64_t heads, int64_t head_dim, int64_t rotary_dim, int dtype) {
                kernels.place_heads({at(x), at(y), x_stride, heads * head_dim, heads, head_dim}, nullptr, 0.0f,
                                    {at<float>(cosine), at<float>(sine), rotary_dim, nullptr}, rows,
                                    dtype_of(dtype));
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "store_kv",
            [](Kernels& kernels, Address key, Address value, int64_t key_stride, int64_t value_stride, Address k_cache,
               Address v_cache, int64_t block_stride, int64_t kv_heads, int64_t head_dim, const AttentionPlan& plan,
               int dtype, bool in_bytes) {
                const Cache cache{at(k_cache), at(v_cache), block_stride, in_bytes};
                kernels.store_kv(at(key), at(value), key_stride, value_stride, cache, kv_heads, head_dim, plan, dtype_of(dtype));
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "attend",
            [](Kernels& kernels, Address query, int64_t query_stride, Address k_cache, Address v_cache, int64_t block_stride,
               Address output, int64_t output_stride, int64_t kv_heads, int64_t group, int64_t head_dim, float scale,
               float softcap, const AttentionPlan& plan, int dtype, bool in_bytes) {
                Attention attention{};
                attention.in_bytes = in_bytes;
                attention.query = at(query);
                attention.query_stride = query_stride;
                attention.k_cache = at(k_cache);
                attention.v_cache = at(v_cache);
                attention.block_stride = block_stride;
                attention.output = at(output);
                attention.output_stride = output_stride;
                attention.num_kv_heads = kv_heads;
                attention.group = group;
                attention.head_dim = head_dim;
                attention.scale = scale;
                attention.softcap = softcap;
                attention.dtype = dtype_of(dtype);
                kernels.attend(attention, plan);
            },
            nb::call_guard<nb::gil_scoped_release>());
    nb::class_<EncoderKernels>(module, "EncoderKernels")
        .def(nb::init<const std::string&>())
        .def(
            "multiply",
            [](EncoderKernels& kernels, Address x, int64_t rows, int64_t depth, int dtype, Address weight, Address scales,
               Address bias, int64_t outputs, Address y, int y_dtype, bool with_gelu) {
                kernels.multiply(at(x), rows, depth, dtype_of(dtype), {at<uint8_t>(weight), at<float>(scales), at<float>(bias),
                                 outputs, at(y), dtype_of(y_dtype), with_gelu});
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "attend",
            [](EncoderKernels& kernels, Address told, Address y, int64_t texts, int64_t length, int64_t heads,
               int64_t head_dim, int dtype) {
                kernels.attend(at(told), at(y), texts, length, heads, head_dim, dtype_of(dtype));
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "add_and_normalise",
            [](EncoderKernels& kernels, Address x, Address added, Address weight, Address bias, Address narrow, int64_t rows,
               int64_t size, float eps, int dtype) {
                kernels.add_and_normalise(at<float>(x), at(added), at<float>(weight), at<float>(bias), at<uint16_t>(narrow),
                                          rows, size, eps, dtype_of(dtype));
            },
            nb::call_guard<nb::gil_scoped_release>());
    module.def("pack_bytes", [](Address weight, int64_t outputs, int64_t depth, Address packed) {
        pack_bytes(at<int8_t>(weight), outputs, depth, at<uint8_t>(packed));
    });
    module.def("ranks_bytes", &Ranks::segment_bytes);
    nb::class_<Ranks>(module, "Ranks")
        .def("__init__",
             [](Ranks* self, Address segment, int rank, int size, int64_t capacity) {
                 new (self) Ranks(at(segment), rank, size, capacity);
             })
        .def_prop_ro("address", [](const Ranks& ranks) { return Address(&ranks); })
        .def(
            "all_reduce",
            [](Ranks& ranks, Address x, Address y, int64_t n, int dtype) { ranks.all_reduce(at(x), at(y), n, dtype_of(dtype)); },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "all_gather",
            [](Ranks& ranks, Address x, int64_t rows, const std::vector<int64_t>& row_bytes, Address y) {
                ranks.all_gather(at(x), rows, row_bytes, at(y));
            },
            nb::call_guard<nb::gil_scoped_release>())
        .def("abort", &Ranks::abort);
    module.def("channel_bytes", &Channel::segment_bytes);
    nb::class_<Channel>(module, "Channel")
        .def("__init__", [](Channel* self, Address segment, int64_t capacity) { new (self) Channel(at(segment), capacity); })
        .def(
            "send", [](Channel& channel, Address bytes, int64_t count) { channel.send(at(bytes), count); },
            nb::call_guard<nb::gil_scoped_release>())
        .def(
            "receive", [](Channel& channel, Address bytes, int64_t count) { channel.receive(at(bytes), count); },
            nb::call_guard<nb::gil_scoped_release>())
        .def("abort", &Channel::abort);
    nb::class_<Decoder>(module, "Decoder")
        .def(nb::new_(&made_decoder), nb::keep_alive<1, 2>())
        .def("forward", &forward, nb::call_guard<nb::gil_scoped_release>());
}
