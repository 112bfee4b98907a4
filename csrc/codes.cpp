#include "codes.h"

#include <algorithm>
#include <cstring>

#include "numbers.h"

namespace pagoda {
namespace {

constexpr int64_t LINE = HALF * 4;  // bytes of a quad's outputs

// Of a float that a half holds exactly.
uint16_t half_of_float(float x) {
    uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, exponent = bits >> 23 & 255, mantissa = bits & 0x7fffff;
    if (exponent == 255) return uint16_t(sign | 0x7c00 | mantissa >> 13);
    if (exponent >= 113) return uint16_t(sign | (exponent - 112) << 10 | mantissa >> 13);
    if (exponent < 102) return uint16_t(sign);
    return uint16_t(sign | (mantissa | 0x800000) >> (126 - exponent));
}

void write_factor(Factor kind, const void* from, int64_t i, uint8_t* to, int64_t lane) {
    if (kind == Factor::HALF) {
        const uint16_t half = half_of_float(static_cast<const float*>(from)[i]);
        std::memcpy(to + 2 * lane, &half, 2);
    } else if (kind == Factor::FLOAT) {
        std::memcpy(to + 4 * lane, static_cast<const float*>(from) + i, 4);
    } else if (kind != Factor::NONE) {
        to[lane] = static_cast<const uint8_t*>(from)[i];
    }
}

float read_half(const uint8_t* from, int64_t lane) {
    uint16_t half;
    std::memcpy(&half, from + 2 * lane, 2);
    return float_of_half(half);
}

float read_factor(Factor kind, const uint8_t* from, int64_t lane, float step) {
    float x = 0;
    if (kind == Factor::HALF) return read_half(from, lane);
    if (kind == Factor::FLOAT) std::memcpy(&x, from + 4 * lane, 4);
    if (kind == Factor::STEPS) return float(int8_t(from[lane])) * step;
    if (kind == Factor::ZEROS) return float(from[lane]) * step;
    return x;
}

// The codes of one output's strip, four to a word, to their place among those of its half: the first word of `to`, the others
// so many words further.
void write_codes(Lie lie, const uint32_t (&quads)[QUADS], uint32_t* to) {
    constexpr int WORDS = int(LINE / 4);
    constexpr uint32_t LOW = 0x0f0f0f0f;
    if (lie == Lie::BYTES) {
        for (int quad = 0; quad < QUADS; ++quad) to[quad * WORDS] = quads[quad];
        return;
    }
    for (int line = 0; line < 4; ++line) to[line * WORDS] = (quads[line] & LOW) | (quads[line + 4] & LOW) << 4;
    uint32_t high[2] = {0, 0};
    for (int quad = 0; quad < QUADS; ++quad)
        if (lie == Lie::FIVE)
            high[0] |= (quads[quad] >> 4 & 0x01010101) << quad;
        else
            high[quad / 4] |= (quads[quad] >> 4 & 0x03030303) << 2 * (quad % 4);
    if (lie == Lie::FIVE || lie == Lie::SIX) to[4 * WORDS] = high[0];
    if (lie == Lie::SIX) to[5 * WORDS] = high[1];
}

// One code of them. place: four times the output, and the input's place in its quad.
int read_code(Lie lie, const uint8_t* codes, int quad, int place) {
    if (lie == Lie::BYTES) return codes[quad * LINE + place];
    int code = codes[quad % 4 * LINE + place] >> (quad < 4 ? 0 : 4) & 15;
    if (lie == Lie::FIVE) code |= (codes[4 * LINE + place] >> quad & 1) << 4;
    if (lie == Lie::SIX) code |= (codes[(4 + quad / 4) * LINE + place] >> 2 * (quad % 4) & 3) << 4;
    return code;
}

void write_element(void* to, DType dtype, int64_t i, float x) {
    if (dtype == DType::F32)
        static_cast<float*>(to)[i] = x;
    else
        static_cast<uint16_t*>(to)[i] = as_bf16(x);
}

// Where the parts of a panel lie that begin with a strip; -1: those before are still meant.
struct Parts {
    int64_t steps, groups, codes;

    Parts(const CodeFormat& format, int64_t strip) {
        const int64_t begin = format.offset(strip);
        steps = format.step_bytes() && strip % format.strips_of_step() == 0 ? begin : -1;
        groups = strip % format.strips_of_group() == 0 ? begin + (steps < 0 ? 0 : format.step_bytes()) : -1;
        codes = groups < 0 ? begin : groups + format.group_bytes() * format.groups_of_strip();
    }
};

}  // namespace

int64_t CodeFormat::strip_bytes() const {
    const int64_t bits = lie == Lie::BYTES ? 8 : lie == Lie::SIX ? 6 : lie == Lie::FIVE ? 5 : 4;
    return PANEL * STRIP * bits / 8;
}

void pack_codes_panel(const Codes& given, const CodeFormat& format, int64_t panel, uint8_t* to) {
    std::memset(to, 0, format.panel_bytes(given.depth));
    const int64_t groups = (given.depth + format.group - 1) / format.group;
    const int64_t steps = (groups + format.steps_every - 1) / format.steps_every;
    const int64_t half_bytes = format.strip_bytes() / 2, scale_bytes = PANEL * CodeFormat::factor_bytes(format.scale);
    const int64_t scale_step_bytes = (format.scale == Factor::STEPS) * 2 * PANEL;
    const int64_t first_output = panel * PANEL, lanes = std::min<int64_t>(PANEL, given.outputs - first_output);
    for (int64_t at = 0; at < given.depth; at += STRIP) {
        const Parts parts(format, at / STRIP);
        for (int64_t lane = 0; lane < lanes; ++lane) {
            const int64_t output = first_output + lane, group = at / format.group;
            if (parts.steps >= 0) {
                const int64_t step = output * steps + group / format.steps_every;
                if (format.scale == Factor::STEPS) write_factor(Factor::HALF, given.scale_steps, step, to + parts.steps, lane);
                if (format.shift == Factor::STEPS)
                    write_factor(Factor::HALF, given.shift_steps, step, to + parts.steps + scale_step_bytes, lane);
            }
            for (int64_t sub = 0; parts.groups >= 0 && sub < format.groups_of_strip() && group + sub < groups; ++sub) {
                uint8_t* place = to + parts.groups + sub * format.group_bytes();
                write_factor(format.scale, given.scales, output * groups + group + sub, place, lane);
                write_factor(format.shift, given.shifts, output * groups + group + sub, place + scale_bytes, lane);
            }
            uint32_t quads[QUADS] = {};
            std::memcpy(quads, given.codes + output * given.depth + at, std::min(STRIP, given.depth - at));
            uint8_t* codes = to + parts.codes + lane / HALF * half_bytes;
            write_codes(format.lie, quads, reinterpret_cast<uint32_t*>(codes) + lane % HALF);
        }
    }
}

void unpack_codes_row(const uint8_t* packed, const CodeFormat& format, int64_t depth, int64_t output, void* to, DType dtype) {
    const uint8_t* panel = packed + output / PANEL * format.panel_bytes(depth);
    const int64_t lane = output % PANEL, scale_bytes = PANEL * CodeFormat::factor_bytes(format.scale);
    const int64_t scale_step_bytes = (format.scale == Factor::STEPS) * 2 * PANEL;
    float scale_step = 0, shift_step = 0, scale[2] = {}, shift[2] = {};
    for (int64_t at = 0; at < depth; at += STRIP) {
        const Parts parts(format, at / STRIP);
        if (parts.steps >= 0) {
            if (format.scale == Factor::STEPS) scale_step = read_half(panel + parts.steps, lane);
            if (format.shift == Factor::STEPS) shift_step = read_half(panel + parts.steps + scale_step_bytes, lane);
        }
        for (int64_t sub = 0; parts.groups >= 0 && sub < format.groups_of_strip(); ++sub) {
            const uint8_t* place = panel + parts.groups + sub * format.group_bytes();
            scale[sub] = read_factor(format.scale, place, lane, scale_step);
            const float step = format.shift == Factor::ZEROS ? scale[sub] : shift_step;
            shift[sub] = read_factor(format.shift, place + scale_bytes, lane, step);
        }
        const uint8_t* codes = panel + parts.codes + lane / HALF * (format.strip_bytes() / 2);
        for (int64_t i = 0; i < std::min(STRIP, depth - at); ++i) {
            const int code = read_code(format.lie, codes, int(i / 4), int(lane % HALF * 4 + i % 4));
            const int value = (format.lie == Lie::TABLE ? format.table[code] : code) - format.zero;
            const int64_t sub = format.group < STRIP ? i / format.group : 0;
            write_element(to, dtype, at + i, scale[sub] * float(value) - shift[sub]);
        }
    }
}

}  // namespace pagoda
