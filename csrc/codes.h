// How a matrix in codes of few bits lies in memory: the same for GGUF, GPTQ and what was quantised while it was loaded.
//
// Beside `ops.h`. A weight is `scale * (value of its code - zero) - shift`, with scale and shift of its group of inputs. Panels
// of PANEL outputs lie behind one another, and a panel is read from its first byte to its last: before the groups of a step
// their steps, before the inputs of a group its scales and shifts, then the codes of STRIP inputs after another, those of the
// first HALF outputs before the others. Four inputs of one output are a quad, four bytes that meet four bytes of a row.

#pragma once

#include <cstdint>

#include "ops.h"

namespace pagoda {

constexpr int64_t STRIP = 32;  // inputs whose products are added up in whole numbers: a row has a scale for as many
constexpr int HALF = 16;       // outputs
constexpr int QUADS = 8;       // of a strip

// Inputs of one pass of many rows over a panel: what of both stays in a core's first cache. Whole strips.
constexpr int64_t CODE_DEPTH_STEP = 256;

// How the codes of a strip's HALF outputs lie. Nibbles: line j of 64 bytes holds quad j in its low ones, quad j + 4 in its
// high ones, and TABLE takes them for places in a table; behind them FIVE has a line with the fifth bit of quad k as bit k,
// SIX two lines with two bits of four quads each. BYTES: a line for each quad.
enum class Lie : int { NIBBLES, TABLE, FIVE, SIX, BYTES };

// Numbers of a group. STEPS: whole ones of a byte, times a half-precision step of several groups; ZEROS: likewise without a
// sign, times the group's scale.
enum class Factor : int { NONE, HALF, FLOAT, STEPS, ZEROS };

struct CodeFormat {
    Lie lie;
    Factor scale, shift;
    int64_t group;        // inputs: 16 or a multiple of STRIP; the last one may be cut short
    int64_t steps_every;  // groups that share a step
    int32_t zero;
    uint8_t table[16];  // of TABLE: values + 128, as `zero` is

    int64_t strips_of_group() const { return group < STRIP ? 1 : group / STRIP; }
    int64_t groups_of_strip() const { return group < STRIP ? STRIP / group : 1; }
    int64_t strips_of_step() const { return strips_of_group() * steps_every / groups_of_strip(); }
    // Bytes in one panel.
    int64_t strip_bytes() const;
    int64_t group_bytes() const { return PANEL * (factor_bytes(scale) + factor_bytes(shift)); }
    int64_t step_bytes() const { return PANEL * 2 * ((scale == Factor::STEPS) + (shift == Factor::STEPS)); }
    int64_t panel_bytes(int64_t depth) const { return (offset((depth + STRIP - 1) / STRIP) + 63) / 64 * 64; }
    // Of strip `strip`, or of the step and the groups that begin with it.
    int64_t offset(int64_t strip) const {
        const int64_t of_group = strips_of_group(), of_step = step_bytes() ? strips_of_step() : 1;
        return (strip + of_step - 1) / of_step * step_bytes() +
               (strip + of_group - 1) / of_group * groups_of_strip() * group_bytes() + strip * strip_bytes();
    }

    static constexpr int64_t factor_bytes(Factor factor) {
        return factor == Factor::NONE ? 0 : factor == Factor::HALF ? 2 : factor == Factor::FLOAT ? 4 : 1;
    }
};

// A matrix as Python has it: codes [outputs, depth]; factors [outputs, groups] as floats or, of STEPS and ZEROS, bytes with
// steps [outputs, groups / steps_every].
struct Codes {
    const uint8_t* codes;
    const void *scales, *shifts;
    const float *scale_steps, *shift_steps;
    int64_t outputs, depth;
};

// Panel `panel` of a matrix to its place, `panel_bytes`.
void pack_codes_panel(const Codes& given, const CodeFormat& format, int64_t panel, uint8_t* to);
// Output `output` of a packed matrix as elements [depth].
void unpack_codes_row(const uint8_t* packed, const CodeFormat& format, int64_t depth, int64_t output, void* to, DType dtype);

}  // namespace pagoda
