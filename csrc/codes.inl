// Products with a matrix in codes: sums in whole numbers over STRIP inputs, which no order changes, then one chain of floats.
//
// A row is rounded to whole numbers of 16 bits with one scale for every STRIP inputs, two bytes of which each is multiplied by
// itself: a plane of high ones and a plane of low ones. So the arithmetic is that of bytes by bytes, four of them to a lane at
// once (LLM.int8(), Dettmers et al. 2022, arXiv 2208.07339, with scales by groups as GGML has them), and the product that of
// the numbers that the codes mean. What one strip adds to an output is the same for any number of rows and any division over
// threads, and strips are added in their order.

namespace PAGODA_ISA {

using pagoda::CodeFormat;
using pagoda::Factor;
using pagoda::HALF;
using pagoda::Lie;
using pagoda::QUADS;
using pagoda::STRIP;

#if defined(PAGODA_AVX512)
constexpr int CODE_ROWS = 12;  // as many sums in whole numbers, as many in floats, of 32 registers
#else
constexpr int CODE_ROWS = 4;
#endif
constexpr int HALF_VECTORS = HALF / WIDTH;
constexpr int FEW_CODE_ROWS = 4;
#if defined(PAGODA_AVX2) || (defined(PAGODA_AVX512) && !defined(PAGODA_DOTS))
constexpr bool WIDE_IS_AS_FAST = false;
#else
constexpr bool WIDE_IS_AS_FAST = true;
#endif
#if defined(PAGODA_AVX512) || defined(PAGODA_AVX2) || defined(PAGODA_NEON)
#define FEW_UNROLLED UNROLLED
#else
#define FEW_UNROLLED  // every operation is a loop over bytes itself
#endif
// Bytes of a row's numbers. One is what llama.cpp takes: a prompt is read 1.6 times as fast then, single rows, which wait for
// memory, no faster, and near ties between tokens fall otherwise than the weights say.
constexpr int PLANES = 2;
constexpr int64_t CODE_PASS = 16;  // strips
constexpr int64_t CODES_AHEAD = 4096;  // bytes that are asked for before they are read

// A packed tile: [strips][CODE_ROWS] of so many words: quads [planes][QUADS],
// then the scale; the sum of the whole numbers of all inputs, of the first half and of the second; the same three as floats,
// times the scale.
constexpr int ROW_WORDS = PLANES * QUADS + 8;
constexpr int64_t STRIP_WORDS = CODE_ROWS * ROW_WORDS;

static int64_t code_tile_bytes(int64_t depth) {
    return (depth + STRIP - 1) / STRIP * STRIP_WORDS * int64_t(sizeof(float));
}

// The whole numbers of one row's strip, `x [STRIP]` times `inverse`: their bytes to their places, and the sums of its halves.
template <typename Type>
INLINE void pack_whole(const typename Type::Element* x, float inverse, int32_t* to, int32_t (&sums)[2]) {
    auto* bytes = reinterpret_cast<uint8_t*>(to);
    UNROLLED for (int half = 0; half < 2; ++half) {
        Integers sum = all_whole(0);
        UNROLLED for (int i = half * HALF; i < (half + 1) * HALF; i += WIDTH) {
            const Integers whole = as_whole(multiply(Type::load(x + i), all(inverse)));
            sum = add_whole(sum, whole);
            store_low_bytes(bytes + i, over_256(add_whole(whole, all_whole(128))));
            store_low_bytes(bytes + STRIP + i, whole);  // less 256 times the high ones: the same byte
        }
        sums[half] = sum_of(sum);
    }
}

// One row's strip, `count` elements from `x` on, to its places in `to`.
template <typename Type>
INLINE void pack_strip(const typename Type::Element* x, int64_t count, int32_t* to) {
    constexpr float MOST = 127.0f * 256;
    typename Type::Element filled[STRIP];
    if (count < STRIP) {
        std::memset(filled, 0, sizeof filled);
        std::memcpy(filled, x, count * sizeof *x);
        x = filled;
    }
    Floats most = zeros(), nothing = zeros();
    UNROLLED for (int i = 0; i < STRIP; i += WIDTH) {
        const Floats some = Type::load(x + i);
        most = larger(most, larger(some, subtract(zeros(), some)));
        nothing = multiply_add(some, zeros(), nothing);  // NaN by whatever is not finite
    }
    const bool is_finite = are_numbers(nothing);
    const float size = is_finite ? largest(most) : 0.0f;
    const bool is_told = size > 1e-30f;  // smaller ones have no inverse
    const float scale = !is_finite ? __builtin_nanf("") : is_told ? size / MOST : 0.0f;
    int32_t halves[2] = {0, 0};
    if (is_told)
        pack_whole<Type>(x, MOST / size, to, halves);
    else
        std::memset(to, 0, PLANES * STRIP);
    to += PLANES * QUADS;
    std::memcpy(to, &scale, sizeof scale);
    const int32_t sums[3] = {halves[0] + halves[1], halves[0], halves[1]};
    UNROLLED for (int i = 0; i < 3; ++i) {
        const float scaled = scale * float(sums[i]);
        to[1 + i] = sums[i];
        std::memcpy(to + 4 + i, &scaled, sizeof scaled);
    }
}

template <typename Type>
static void pack_code_row_of(const Rows& rows, int64_t row) {
    const auto* x = static_cast<const typename Type::Element*>(rows.x) + row * rows.x_stride;
    auto* tile = reinterpret_cast<int32_t*>(rows.packed + row / CODE_ROWS * rows.tile_bytes);
    int32_t* to = tile + row % CODE_ROWS * ROW_WORDS;
    for (int64_t at = 0; at < rows.depth; at += STRIP, to += STRIP_WORDS)
        pack_strip<Type>(x + at, rows.depth - at < STRIP ? rows.depth - at : STRIP, to);
}

// Rows that are not there stay as the memory was: they are multiplied with the others and thrown away.
static void pack_code_row(const Rows& rows, int64_t row) {
    rows.dtype == DType::BF16 ? pack_code_row_of<BF16>(rows, row) : pack_code_row_of<F32>(rows, row);
}

// Quad `quad` of WIDTH outputs, whose codes begin at `codes`; table: as CodeFormat has it.
template <Lie LIE>
INLINE Bytes codes_of_quad(const uint8_t* codes, int quad, Bytes table) {
    constexpr int LINE = 4 * HALF;
    if constexpr (LIE == Lie::BYTES) return load_bytes(codes + quad * LINE);
    const Bytes line = load_bytes(codes + quad % 4 * LINE), nibbles = low_bits(quad < 4 ? line : shifted_right(line, 4), 15);
    if constexpr (LIE == Lie::TABLE) return looked_up(table, nibbles);
    if constexpr (LIE == Lie::FIVE) {
        const Bytes fifth = load_bytes(codes + 4 * LINE);
        return either(nibbles, low_bits(quad < 4 ? shifted_left(fifth, 4 - quad) : shifted_right(fifth, quad - 4), 16));
    }
    if constexpr (LIE == Lie::SIX) {
        const Bytes high = load_bytes(codes + (4 + quad / 4) * LINE);
        const int shift = 2 * (quad % 4) - 4;
        return either(nibbles, low_bits(shift < 0 ? shifted_left(high, -shift) : shifted_right(high, shift), 48));
    }
    return nibbles;
}

// Scales or shifts of WIDTH outputs, from `lane` on, of one group; step: of STEPS, or the scale itself of ZEROS.
INLINE Floats factors_of(Factor kind, const uint8_t* from, int lane, Floats step) {
    switch (kind) {
        case Factor::HALF: return load_half(from + 2 * lane);
        case Factor::FLOAT: return load(reinterpret_cast<const float*>(from) + lane);
        case Factor::STEPS: return multiply(load_signed_bytes(from + lane), step);
        case Factor::ZEROS: return multiply(load_unsigned_bytes(from + lane), step);
        default: return zeros();
    }
}

// What the groups of the strip at hand multiply by; VECTORS of WIDTH outputs each.
template <int VECTORS>
struct Factors {
    Floats scale[2][VECTORS], minus_shift[2][VECTORS], scale_step[VECTORS], shift_step[VECTORS];

    // Both return where the next part of the panel begins.
    INLINE_MEMBER const uint8_t* read_steps(const CodeFormat& format, const uint8_t* from, int lane) {
        if (format.scale == Factor::STEPS) {
            UNROLLED for (int v = 0; v < VECTORS; ++v) scale_step[v] = load_half(from + 2 * (lane + v * WIDTH));
            from += 2 * PANEL;
        }
        if (format.shift == Factor::STEPS) {
            UNROLLED for (int v = 0; v < VECTORS; ++v) shift_step[v] = load_half(from + 2 * (lane + v * WIDTH));
            from += 2 * PANEL;
        }
        return from;
    }

    INLINE_MEMBER const uint8_t* read(const CodeFormat& format, const uint8_t* from, int lane, int sub) {
        const uint8_t* shifts = from + PANEL * CodeFormat::factor_bytes(format.scale);
        UNROLLED for (int v = 0; v < VECTORS; ++v) {
            scale[sub][v] = factors_of(format.scale, from, lane + v * WIDTH, scale_step[v]);
            if (format.shift == Factor::NONE) continue;
            const Floats step = format.shift == Factor::ZEROS ? scale[sub][v] : shift_step[v];
            minus_shift[sub][v] = subtract(zeros(), factors_of(format.shift, shifts, lane + v * WIDTH, step));
        }
        return from + format.group_bytes();
    }
};

// A strip's sums in whole numbers, and how they join those in floats.
template <int ROWS, int VECTORS>
struct StripSums {
    Integers sum[PLANES][ROWS][VECTORS];

    // row: the first one, behind its quads; of: 0 for all inputs of the strip, 1 and 2 for one half of them.
    INLINE_MEMBER void begin(const int32_t* row, Integers minus_zero, int of) {
        UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v) {
            sum[0][r][v] = all_whole(0);
            sum[1][r][v] = multiply_whole(all_whole(row[r * ROW_WORDS + 1 + of]), minus_zero);
        }
    }

    INLINE_MEMBER void join(const Factors<VECTORS>& factors, bool has_shift, const int32_t* row, int sub, int of,
                            Floats (&total)[ROWS][VECTORS]) const {
        const float* scales = reinterpret_cast<const float*>(row);
        UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v) {
            const Integers whole = add_whole(doubled(sum[0][r][v], 8), sum[1][r][v]);
            const Floats scaled = multiply(as_floats(whole), all(scales[r * ROW_WORDS]));
            total[r][v] = multiply_add(scaled, factors.scale[sub][v], total[r][v]);
            if (has_shift)
                total[r][v] = multiply_add(factors.minus_shift[sub][v], all(scales[r * ROW_WORDS + 4 + of]), total[r][v]);
        }
    }
};

// Codes of one strip's HALF outputs as bytes, a line for each quad: what many rows read, who pay for it together.
template <Lie LIE>
INLINE void codes_as_bytes(const uint8_t* codes, Bytes table, uint8_t* to) {
    FEW_UNROLLED for (int quad = 0; quad < QUADS; ++quad)
        UNROLLED for (int byte = 0; byte < 4 * HALF; byte += 4 * WIDTH)
            store_bytes(to + quad * 4 * HALF + byte, codes_of_quad<LIE>(codes + byte, quad, table));
}

INLINE void codes_as_bytes(Lie lie, const uint8_t* codes, Bytes table, uint8_t* to) {
    switch (lie) {
        case Lie::NIBBLES: return codes_as_bytes<Lie::NIBBLES>(codes, table, to);
        case Lie::TABLE: return codes_as_bytes<Lie::TABLE>(codes, table, to);
        case Lie::FIVE: return codes_as_bytes<Lie::FIVE>(codes, table, to);
        case Lie::SIX: return codes_as_bytes<Lie::SIX>(codes, table, to);
        case Lie::BYTES: return;  // they are
    }
}

// Strips [strip, end) of a panel, and whether no rows before have read them.
struct Strips {
    int64_t strip, end;
    bool are_read_first;
};

// ROWS rows by VECTORS vectors of a panel's outputs, from `lane` on, added to sums [ROWS][PANEL] but where the first strip is
// among them. READ: how the codes lie where they are multiplied, BYTES or as the format has them; WIDE: whether they may have
// more than 6 bits.
template <int ROWS, int VECTORS, Lie READ, bool WIDE>
static void multiply_code_tile(const int32_t* tile, const CodeFormat& format, const uint8_t* panel, int lane, Strips strips,
                               float* sums) {
    const int64_t half_bytes = format.strip_bytes() / 2, of_group = format.strips_of_group(), of_step = format.strips_of_step();
    const bool has_steps = format.step_bytes() > 0, has_shift = format.shift != Factor::NONE, halved = format.group < STRIP;
    const Bytes table = load_table(format.table);
    const Integers minus_zero = all_whole(-format.zero);
    Factors<VECTORS> factors;
    Floats total[ROWS][VECTORS];
    UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v)
        total[r][v] = strips.strip == 0 ? zeros() : load(sums + r * PANEL + lane + v * WIDTH);
    int64_t steps_left = 0, group_left = 0;
    if (const int64_t into_group = strips.strip % of_group) {  // which has no steps then: see `strips_of_pass`
        factors.read(format, panel + format.offset(strips.strip - into_group), lane, 0);
        group_left = of_group - into_group;
    }
    panel += format.offset(strips.strip);
    tile += strips.strip * STRIP_WORDS;
    for (int64_t strip = strips.strip; strip < strips.end; ++strip, tile += STRIP_WORDS) {
        if (has_steps && --steps_left < 0) {
            panel = factors.read_steps(format, panel, lane);
            steps_left = of_step - 1;
        }
        if (--group_left < 0) {
            panel = factors.read(format, panel, lane, 0);
            if (halved) panel = factors.read(format, panel, lane, 1);
            group_left = of_group - 1;
        }
        const uint8_t* strip_codes = panel;  // of the first half
        int64_t to_half = half_bytes;
        alignas(64) uint8_t bytes[READ == Lie::BYTES ? QUADS * 4 * HALF : 1];
        if (READ == Lie::BYTES && format.lie != Lie::BYTES) {  // VECTORS are of one half
            codes_as_bytes(format.lie, panel + lane / HALF * half_bytes, table, bytes);
            strip_codes = bytes;
            to_half = 0;
        }
        StripSums<ROWS, VECTORS> here;
        const auto multiply_quads = [&](int first) INLINE_LAMBDA {
            FEW_UNROLLED for (int i = 0; i < QUADS / 2; ++i) UNROLLED for (int v = 0; v < VECTORS; ++v) {
                const int output = lane + v * WIDTH, quad = first + i;
                const Bytes codes = codes_of_quad<READ>(strip_codes + output / HALF * to_half + output % HALF * 4, quad, table);
                UNROLLED for (int plane = 0; plane < PLANES; ++plane) UNROLLED for (int r = 0; r < ROWS; ++r)
                    here.sum[plane][r][v] = add_products<WIDE>(here.sum[plane][r][v], codes,
                                                               tile[r * ROW_WORDS + plane * QUADS + quad]);
            }
        };
        const int32_t* row = tile + PLANES * QUADS;  // of the first row, behind its quads
        if (halved) {
            here.begin(row, minus_zero, 1);
            multiply_quads(0);
            here.join(factors, has_shift, row, 0, 1, total);
            here.begin(row, minus_zero, 2);
            multiply_quads(QUADS / 2);
            here.join(factors, has_shift, row, 1, 2, total);
        } else {
            here.begin(row, minus_zero, 0);
            multiply_quads(0);
            multiply_quads(QUADS / 2);
            here.join(factors, has_shift, row, 0, 0, total);
        }
        panel += 2 * half_bytes;
        // The way from memory is longer than what the processor foresees.
        if (strips.are_read_first && lane == 0)
            for (int64_t line = 0; line < 2 * half_bytes; line += 64) __builtin_prefetch(panel + CODES_AHEAD + line, 0, 2);
    }
    UNROLLED for (int r = 0; r < ROWS; ++r)
        UNROLLED for (int v = 0; v < VECTORS; ++v) store(sums + r * PANEL + lane + v * WIDTH, total[r][v]);
}

// The same for a whole panel, which up to FEW_CODE_ROWS rows read as it lies. ROWS: at least as many as there are.
template <int ROWS, Lie READ, bool WIDE>
static void multiply_code_panel(const int32_t* tile, const CodeFormat& format, const uint8_t* panel, Strips strips, float* sums) {
    constexpr int VECTORS = HALF_VECTORS == 1 && ROWS <= FEW_CODE_ROWS ? 2 : HALF_VECTORS;
    for (int lane = 0; lane < PANEL; lane += VECTORS * WIDTH)
        multiply_code_tile<ROWS, VECTORS, READ, WIDE>(tile, format, panel, lane, strips, sums);
}

template <Lie LIE>
static void multiply_few_code_rows(int64_t rows, const int32_t* tile, const CodeFormat& format, const uint8_t* panel,
                                   Strips strips, float* sums) {
    constexpr bool WIDE = LIE == Lie::BYTES || LIE == Lie::TABLE;
    rows == 1   ? multiply_code_panel<1, LIE, WIDE>(tile, format, panel, strips, sums)
    : rows == 2 ? multiply_code_panel<2, LIE, WIDE>(tile, format, panel, strips, sums)
                : multiply_code_panel<4, LIE, WIDE>(tile, format, panel, strips, sums);
}

template <bool WIDE>
static void multiply_many_code_rows(int64_t rows, const int32_t* tile, const CodeFormat& format, const uint8_t* panel,
                                    Strips strips, float* sums) {
    rows <= 8 ? multiply_code_panel<8, Lie::BYTES, WIDE>(tile, format, panel, strips, sums)
              : multiply_code_panel<CODE_ROWS, Lie::BYTES, WIDE>(tile, format, panel, strips, sums);
}

static void multiply_code_rows(int64_t rows, const int32_t* tile, const CodeFormat& format, const uint8_t* panel, Strips strips,
                               float* sums) {
    if constexpr (CODE_ROWS > FEW_CODE_ROWS) if (rows > FEW_CODE_ROWS) {
        const bool is_wide = WIDE_IS_AS_FAST || format.lie == Lie::BYTES || format.lie == Lie::TABLE;
        if (is_wide) return multiply_many_code_rows<true>(rows, tile, format, panel, strips, sums);
        return multiply_many_code_rows<WIDE_IS_AS_FAST>(rows, tile, format, panel, strips, sums);
    }
    switch (format.lie) {
        case Lie::NIBBLES: return multiply_few_code_rows<Lie::NIBBLES>(rows, tile, format, panel, strips, sums);
        case Lie::TABLE: return multiply_few_code_rows<Lie::TABLE>(rows, tile, format, panel, strips, sums);
        case Lie::FIVE: return multiply_few_code_rows<Lie::FIVE>(rows, tile, format, panel, strips, sums);
        case Lie::SIX: return multiply_few_code_rows<Lie::SIX>(rows, tile, format, panel, strips, sums);
        case Lie::BYTES: return multiply_few_code_rows<Lie::BYTES>(rows, tile, format, panel, strips, sums);
    }
}

// Strips that go by all rows at once: those of a panel, as bytes, and of a tile stay in a core's first cache together. Whole
// groups and steps, but where one group is all there is.
static int64_t strips_of_pass(const CodeFormat& format, int64_t strips) {
    const int64_t whole = format.step_bytes() ? format.strips_of_step() : format.strips_of_group();
    return whole >= strips ? CODE_PASS : (CODE_PASS + whole - 1) / whole * whole;
}

template <typename Type>
static void multiply_codes_of(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t end, int64_t first, int64_t last,
                              float* partial) {
    const CodeFormat& format = *matrix.codes;
    const int64_t panel_bytes = format.panel_bytes(rows.depth), strips = (rows.depth + STRIP - 1) / STRIP;
    const int64_t pass = rows.rows <= FEW_CODE_ROWS ? strips : strips_of_pass(format, strips);
    const auto* weight = static_cast<const uint8_t*>(matrix.weight);
    for (; panel < end; ++panel) {
        for (int64_t strip = 0; strip < strips; strip += pass)
            for (int64_t tile = first; tile < last; ++tile) {
                const int64_t left = rows.rows - tile * CODE_ROWS, count = left < CODE_ROWS ? left : CODE_ROWS;
                const auto* packed = reinterpret_cast<const int32_t*>(rows.packed + tile * rows.tile_bytes);
                multiply_code_rows(count, packed, format, weight + panel * panel_bytes,
                                           {strip, strip + pass < strips ? strip + pass : strips, tile == first},
                                           partial + (tile - first) * CODE_ROWS * PANEL);
            }
        for (int64_t row = first * CODE_ROWS; row < last * CODE_ROWS && row < rows.rows; ++row) {
            const float* sums = partial + (row - first * CODE_ROWS) * PANEL;
            if (matrix.largest)
                matrix.largest[panel * rows.rows + row] = largest_of<Type>(matrix, panel, sums);
            else
                write_row<Type>(matrix, row, panel, sums);
        }
    }
}

static void multiply_codes(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t end, int64_t first, int64_t last,
                           float* partial) {
    rows.dtype == DType::BF16 ? multiply_codes_of<BF16>(rows, matrix, panel, end, first, last, partial)
                              : multiply_codes_of<F32>(rows, matrix, panel, end, first, last, partial);
}

}  // namespace PAGODA_ISA
