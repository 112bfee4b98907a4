// Products with a matrix in codes: sums in whole numbers over STRIP inputs, which no order changes, then one chain of floats.
//
// A row is rounded to whole numbers of 16 bits with one scale for every STRIP inputs, so that the product is that of the
// numbers that the codes mean (LLM.int8(), Dettmers et al. 2022, arXiv 2208.07339, with scales by groups as GGML has them).
// Few rows wait for memory: they read codes as they lie, and multiply them by the two bytes of their numbers one by one, four
// inputs to a lane at once. For many rows codes are opened into numbers of 16 bits once, and then multiplied by two inputs to
// a lane. Both add up the same whole numbers: what one strip adds to an output is the same for any number of rows and any
// division over threads, and strips are added in their order.

namespace PAGODA_ISA {

using pagoda::CODE_DEPTH_STEP;
using pagoda::CodeFormat;
using pagoda::Factor;
using pagoda::HALF;
using pagoda::Lie;
using pagoda::QUADS;
using pagoda::STRIP;

#if defined(PAGODA_AVX512)
constexpr int CODE_ROWS = 12;  // times two vectors of outputs: 24 sums of 32 registers
constexpr int FEW_CODE_ROWS = 8;
#else
constexpr int CODE_ROWS = 4;
constexpr int FEW_CODE_ROWS = 4;
#endif
constexpr int HALF_VECTORS = HALF / WIDTH;
constexpr int CODE_VECTORS = HALF_VECTORS == 1 ? 2 : HALF_VECTORS;  // of outputs, at once
#if defined(PAGODA_AVX512) || defined(PAGODA_AVX2) || defined(PAGODA_NEON)
#define FEW_UNROLLED UNROLLED
#else
#define FEW_UNROLLED  // every operation is a loop over bytes itself
#endif
constexpr int PLANES = 2;  // bytes of a row's numbers
constexpr float MOST_WHOLE = 127.0f * 256;  // of which both bytes have a sign
constexpr int64_t CODES_AHEAD = 4096;  // bytes that are asked for before few rows read them
constexpr int OPENED = int(CODE_DEPTH_STEP / STRIP);

// A packed tile: [strips][CODE_ROWS] of so many words: the whole numbers, of few rows high bytes and then low ones in quads
// [PLANES][QUADS], of many in pairs [STRIP / 2]; then the scale; the sum of the whole numbers of all inputs, of the first half
// and of the second; the same three as floats, times the scale.
constexpr int WHOLE_WORDS = PLANES * QUADS;
constexpr int ROW_WORDS = WHOLE_WORDS + 8;
constexpr int64_t STRIP_WORDS = CODE_ROWS * ROW_WORDS;

static int64_t code_tile_bytes(int64_t depth) {
    return (depth + STRIP - 1) / STRIP * STRIP_WORDS * int64_t(sizeof(float));
}

// The whole numbers of one row's strip, `x [STRIP]` times `inverse`, to their places, and the sums of its halves.
template <typename Type, bool IN_PLANES>
INLINE void pack_whole(const typename Type::Element* x, float inverse, int32_t* to, int32_t (&sums)[2]) {
    auto* bytes = reinterpret_cast<uint8_t*>(to);
    UNROLLED for (int half = 0; half < 2; ++half) {
        Integers sum = all_whole(0);
        UNROLLED for (int i = half * HALF; i < (half + 1) * HALF; i += WIDTH) {
            const Integers whole = as_whole(multiply(Type::load(x + i), all(inverse)));
            sum = add_whole(sum, whole);
            if constexpr (IN_PLANES) {
                store_low_bytes(bytes + i, over_256(add_whole(whole, all_whole(128))));
                store_low_bytes(bytes + STRIP + i, whole);  // less 256 times the high ones: the same byte
            } else {
                store_low_words(bytes + 2 * i, whole);
            }
        }
        sums[half] = sum_of(sum);
    }
}

// One row's strip, `count` elements from `x` on, to its places in `to`.
template <typename Type, bool IN_PLANES>
INLINE void pack_strip(const typename Type::Element* x, int64_t count, int32_t* to) {
    typename Type::Element filled[STRIP];
    if (count < STRIP) {
        std::memset(filled, 0, sizeof filled);
        std::memcpy(filled, x, count * sizeof *x);
        x = filled;
    }
    const Rounding rounding = rounding_of<Type>(x, STRIP, MOST_WHOLE);
    int32_t halves[2] = {0, 0};
    if (rounding.inverse > 0)
        pack_whole<Type, IN_PLANES>(x, rounding.inverse, to, halves);
    else
        std::memset(to, 0, PLANES * STRIP);
    to += WHOLE_WORDS;
    std::memcpy(to, &rounding.scale, sizeof rounding.scale);
    const int32_t sums[3] = {halves[0] + halves[1], halves[0], halves[1]};
    UNROLLED for (int i = 0; i < 3; ++i) {
        const float scaled = rounding.scale * float(sums[i]);
        to[1 + i] = sums[i];
        std::memcpy(to + 4 + i, &scaled, sizeof scaled);
    }
}

template <typename Type, bool IN_PLANES>
static void pack_code_row_of(const Rows& rows, int64_t row) {
    const auto* x = static_cast<const typename Type::Element*>(rows.x) + row * rows.x_stride;
    auto* tile = reinterpret_cast<int32_t*>(rows.packed + row / CODE_ROWS * rows.tile_bytes);
    int32_t* to = tile + row % CODE_ROWS * ROW_WORDS;
    for (int64_t at = 0; at < rows.depth; at += STRIP, to += STRIP_WORDS)
        pack_strip<Type, IN_PLANES>(x + at, rows.depth - at < STRIP ? rows.depth - at : STRIP, to);
}

template <typename Type>
static void pack_code_row_of(const Rows& rows, int64_t row) {
    rows.rows <= FEW_CODE_ROWS ? pack_code_row_of<Type, true>(rows, row) : pack_code_row_of<Type, false>(rows, row);
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

// A panel from its first strip to its last: where codes lie, and what their groups multiply by, of VECTORS vectors of outputs.
template <int VECTORS>
struct PanelWalk {
    Floats scale[2][VECTORS], minus_shift[2][VECTORS], scale_step[VECTORS], shift_step[VECTORS];
    const CodeFormat format;
    const int lane;
    const uint8_t* at;
    const bool has_steps = format.step_bytes() > 0, has_shift = format.shift != Factor::NONE, halved = format.group < STRIP;
    const int64_t of_group = format.strips_of_group(), of_step = has_steps ? format.strips_of_step() : 1;
    const int64_t strip_bytes = format.strip_bytes(), stride = strip_bytes + format.groups_of_strip() * format.group_bytes();
    int64_t group_left = 0, steps_left = 0;

    INLINE_MEMBER PanelWalk(const CodeFormat& format, const uint8_t* panel, int lane) : format(format), lane(lane), at(panel) {}

    // The codes of the next strip.
    INLINE_MEMBER const uint8_t* next() {
        if (has_steps && --steps_left < 0) {
            read_steps();
            steps_left = of_step - 1;
        }
        if (--group_left < 0) {
            read_group(0);
            if (halved) read_group(1);
            group_left = of_group - 1;
        }
        at += strip_bytes;
        return at - strip_bytes;
    }

    // What the next strip takes, its factors included, so many bytes on, into the nearest cache: into the second one alone, it
    // came to a Zen 4 core at half the rate of not asking.
    INLINE_MEMBER void ask_for(int64_t ahead) const {
        for (int64_t line = 0; line < stride; line += 64) __builtin_prefetch(at + ahead + line);
    }

   private:
    INLINE_MEMBER void read_steps() {
        if (format.scale == Factor::STEPS) {
            UNROLLED for (int v = 0; v < VECTORS; ++v) scale_step[v] = load_half(at + 2 * (lane + v * WIDTH));
            at += 2 * PANEL;
        }
        if (format.shift == Factor::STEPS) {
            UNROLLED for (int v = 0; v < VECTORS; ++v) shift_step[v] = load_half(at + 2 * (lane + v * WIDTH));
            at += 2 * PANEL;
        }
    }

    INLINE_MEMBER void read_group(int sub) {
        const uint8_t* shifts = at + PANEL * CodeFormat::factor_bytes(format.scale);
        UNROLLED for (int v = 0; v < VECTORS; ++v) {
            scale[sub][v] = factors_of(format.scale, at, lane + v * WIDTH, scale_step[v]);
            if (format.shift == Factor::NONE) continue;
            const Floats step = format.shift == Factor::ZEROS ? scale[sub][v] : shift_step[v];
            minus_shift[sub][v] = subtract(zeros(), factors_of(format.shift, shifts, lane + v * WIDTH, step));
        }
        at += format.group_bytes();
    }
};

// `sum` is a strip's, or half a strip's, in whole numbers; row: behind these. of: 0 for all inputs of the strip, 1 and 2 for a
// half of them.
INLINE Floats joined(Floats total, Integers sum, const int32_t* row, int of, Floats scale, bool has_shift, Floats minus_shift) {
    const float* of_row = reinterpret_cast<const float*>(row);
    total = multiply_add(multiply(as_floats(sum), all(of_row[0])), scale, total);
    return has_shift ? multiply_add(minus_shift, all(of_row[4 + of]), total) : total;
}

// ---- few rows

// The first ROWS rows of a tile by VECTORS vectors of a panel's outputs, from `lane` on, to sums [ROWS][PANEL].
template <int ROWS, int VECTORS, Lie LIE>
static void multiply_as_they_lie(const int32_t* tile, const CodeFormat& format, const uint8_t* panel, int lane, int64_t strips,
                                 float* sums) {
    // One pass over a panel from its first byte to its last needs nothing asked for: the processor sees where it goes, and brings
    // it as fast as memory gives (Zen 4: up to twice the rate of asking ahead). With more rows there is too much to do between
    // two lines for it to look that far.
    constexpr bool IN_ORDER = ROWS <= 2 && VECTORS * WIDTH == PANEL;
    constexpr bool WIDE = LIE == Lie::BYTES || LIE == Lie::TABLE;
    PanelWalk<VECTORS> walk(format, panel, lane);
    const Bytes table = load_table(format.table);
    const Integers minus_zero = all_whole(-format.zero);
    const int64_t half_bytes = walk.strip_bytes / 2;
    Floats total[ROWS][VECTORS];
    UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v) total[r][v] = zeros();
    for (int64_t strip = 0; strip < strips; ++strip, tile += STRIP_WORDS) {
        const uint8_t* strip_codes = walk.next();
        Integers sum[PLANES][ROWS][VECTORS];
        const auto begin = [&](int of) INLINE_LAMBDA {
            UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v) {
                sum[0][r][v] = all_whole(0);
                sum[1][r][v] = multiply_whole(all_whole(tile[r * ROW_WORDS + WHOLE_WORDS + 1 + of]), minus_zero);
            }
        };
        const auto multiply_quads = [&](int first) INLINE_LAMBDA {
            constexpr int COUNT = QUADS / 2;
            FEW_UNROLLED for (int i = 0; i < COUNT * VECTORS; ++i) {
                const int v = IN_ORDER ? i / COUNT : i % VECTORS, quad = first + (IN_ORDER ? i % COUNT : i / VECTORS);
                const int output = lane + v * WIDTH;
                const uint8_t* at = strip_codes + output / HALF * half_bytes + output % HALF * 4;
                const Bytes codes = codes_of_quad<LIE>(at, quad, table);
                UNROLLED for (int plane = 0; plane < PLANES; ++plane) UNROLLED for (int r = 0; r < ROWS; ++r)
                    sum[plane][r][v] =
                        add_products<WIDE>(sum[plane][r][v], codes, tile[r * ROW_WORDS + plane * QUADS + quad]);
            }
        };
        const auto join = [&](int sub, int of) INLINE_LAMBDA {
            UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < VECTORS; ++v)
                total[r][v] = joined(total[r][v], add_whole(doubled(sum[0][r][v], 8), sum[1][r][v]),
                                     tile + r * ROW_WORDS + WHOLE_WORDS, of, walk.scale[sub][v], walk.has_shift,
                                     walk.minus_shift[sub][v]);
        };
        begin(walk.halved ? 1 : 0);
        multiply_quads(0);
        if (walk.halved) {
            join(0, 1);
            begin(2);
        }
        multiply_quads(QUADS / 2);
        walk.halved ? join(1, 2) : join(0, 0);
        if (!IN_ORDER && lane == 0) walk.ask_for(CODES_AHEAD);
    }
    UNROLLED for (int r = 0; r < ROWS; ++r)
        UNROLLED for (int v = 0; v < VECTORS; ++v) store(sums + r * PANEL + lane + v * WIDTH, total[r][v]);
}

template <int ROWS, Lie LIE>
static void multiply_few_rows(const int32_t* tile, const CodeFormat& format, const uint8_t* panel, int64_t strips,
                              float* sums) {
    constexpr int VECTORS = ROWS > 4 ? HALF_VECTORS : CODE_VECTORS;
    for (int lane = 0; lane < PANEL; lane += VECTORS * WIDTH)
        multiply_as_they_lie<ROWS, VECTORS, LIE>(tile, format, panel, lane, strips, sums);
}

template <Lie LIE>
static void multiply_few_rows(int64_t rows, const int32_t* tile, const CodeFormat& format, const uint8_t* panel, int64_t strips,
                              float* sums) {
    rows == 1   ? multiply_few_rows<1, LIE>(tile, format, panel, strips, sums)
    : rows == 2 ? multiply_few_rows<2, LIE>(tile, format, panel, strips, sums)
    : rows <= 4 ? multiply_few_rows<4, LIE>(tile, format, panel, strips, sums)
                : multiply_few_rows<FEW_CODE_ROWS, LIE>(tile, format, panel, strips, sums);
}

// ---- many rows

// Some strips of a panel: pairs of inputs of all outputs as numbers of 16 bits, their zero taken away, and their factors.
struct OpenedStrips {
    alignas(64) uint8_t pairs[OPENED][STRIP / 2][PANEL * 4];
    float scale[OPENED][2][PANEL], minus_shift[OPENED][2][PANEL];
};

// Codes of one strip; zero: in words of 16 bits.
template <Lie LIE>
INLINE void open_codes(const uint8_t* codes, int64_t half_bytes, Bytes table, Bytes zero,
                       uint8_t (&pairs)[STRIP / 2][PANEL * 4]) {
    static constexpr uint8_t FIRST[16] = {0, 128, 1, 128, 4, 128, 5, 128, 8, 128, 9, 128, 12, 128, 13, 128};
    static constexpr uint8_t SECOND[16] = {2, 128, 3, 128, 6, 128, 7, 128, 10, 128, 11, 128, 14, 128, 15, 128};
    const Bytes first = load_table(FIRST), second = load_table(SECOND);
    for (int half = 0; half < 2; ++half)
        FEW_UNROLLED for (int quad = 0; quad < QUADS; ++quad)
            for (int byte = 0; byte < 4 * HALF; byte += 4 * WIDTH) {
                const Bytes four = codes_of_quad<LIE>(codes + half * half_bytes + byte, quad, table);
                const int place = half * 4 * HALF + byte;
                store_bytes(&pairs[2 * quad][place], subtract_words(looked_up(four, first), zero));
                store_bytes(&pairs[2 * quad + 1][place], subtract_words(looked_up(four, second), zero));
            }
}

static void open_strips(PanelWalk<PANEL_VECTORS>& walk, int64_t count, OpenedStrips& to) {
    const Bytes table = load_table(walk.format.table);
    uint8_t zero[16];
    for (int i = 0; i < 16; ++i) zero[i] = uint8_t(i % 2 ? walk.format.zero >> 8 : walk.format.zero);
    const Bytes zeros = load_table(zero);
    const int64_t half_bytes = walk.strip_bytes / 2;
    for (int64_t strip = 0; strip < count; ++strip) {
        const uint8_t* codes = walk.next();
        switch (walk.format.lie) {
            case Lie::NIBBLES: open_codes<Lie::NIBBLES>(codes, half_bytes, table, zeros, to.pairs[strip]); break;
            case Lie::TABLE: open_codes<Lie::TABLE>(codes, half_bytes, table, zeros, to.pairs[strip]); break;
            case Lie::FIVE: open_codes<Lie::FIVE>(codes, half_bytes, table, zeros, to.pairs[strip]); break;
            case Lie::SIX: open_codes<Lie::SIX>(codes, half_bytes, table, zeros, to.pairs[strip]); break;
            case Lie::BYTES: open_codes<Lie::BYTES>(codes, half_bytes, table, zeros, to.pairs[strip]); break;
        }
        for (int sub = 0; sub <= walk.halved; ++sub) UNROLLED for (int v = 0; v < PANEL_VECTORS; ++v) {
            store(&to.scale[strip][sub][v * WIDTH], walk.scale[sub][v]);
            if (walk.has_shift) store(&to.minus_shift[strip][sub][v * WIDTH], walk.minus_shift[sub][v]);
        }
        walk.ask_for(OPENED * walk.strip_bytes);  // while rows go by these
    }
}

// The first ROWS rows of a tile by the opened strips, from `lane` on, added to sums [ROWS][PANEL].
template <int ROWS>
static void multiply_opened(const int32_t* tile, const OpenedStrips& opened, int64_t count, int lane, bool halved,
                            bool has_shift, float* sums) {
    for (int64_t strip = 0; strip < count; ++strip, tile += STRIP_WORDS) {
        Integers sum[ROWS][CODE_VECTORS];
        const auto begin = [&]() INLINE_LAMBDA {
            UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < CODE_VECTORS; ++v) sum[r][v] = all_whole(0);
        };
        const auto multiply_half = [&](int first) INLINE_LAMBDA {
            FEW_UNROLLED for (int i = 0; i < STRIP / 4; ++i) {
                const int pair = first + i;
                Bytes numbers[CODE_VECTORS];
                UNROLLED for (int v = 0; v < CODE_VECTORS; ++v)
                    numbers[v] = load_bytes(&opened.pairs[strip][pair][4 * (lane + v * WIDTH)]);
                UNROLLED for (int r = 0; r < ROWS; ++r) UNROLLED for (int v = 0; v < CODE_VECTORS; ++v)
                    sum[r][v] = add_word_products(sum[r][v], numbers[v], tile[r * ROW_WORDS + pair]);
            }
        };
        const auto join = [&](int part, int of) INLINE_LAMBDA {
            UNROLLED for (int v = 0; v < CODE_VECTORS; ++v) {
                const Floats scale = load(&opened.scale[strip][part][lane + v * WIDTH]);
                const Floats minus_shift = has_shift ? load(&opened.minus_shift[strip][part][lane + v * WIDTH]) : zeros();
                UNROLLED for (int r = 0; r < ROWS; ++r) {
                    float* place = sums + r * PANEL + lane + v * WIDTH;
                    store(place, joined(load(place), sum[r][v], tile + r * ROW_WORDS + WHOLE_WORDS, of, scale, has_shift,
                                        minus_shift));
                }
            }
        };
        begin();
        multiply_half(0);
        if (halved) {
            join(0, 1);
            begin();
        }
        multiply_half(STRIP / 4);
        halved ? join(1, 2) : join(0, 0);
    }
}

static void multiply_opened_rows(int64_t rows, const int32_t* tile, const OpenedStrips& opened, int64_t count, bool halved,
                                 bool has_shift, float* sums) {
    for (int lane = 0; lane < PANEL; lane += CODE_VECTORS * WIDTH) {
        if constexpr (CODE_ROWS > 8) {
            if (rows > 8) {
                multiply_opened<CODE_ROWS>(tile, opened, count, lane, halved, has_shift, sums);
                continue;
            }
            if (rows > 4) {
                multiply_opened<8>(tile, opened, count, lane, halved, has_shift, sums);
                continue;
            }
        }
        multiply_opened<4>(tile, opened, count, lane, halved, has_shift, sums);
    }
}

// All tiles of `rows` from `first` on by one panel: to sums [tiles][CODE_ROWS][PANEL].
static void multiply_many_rows(const Rows& rows, const CodeFormat& format, const uint8_t* panel, int64_t first, int64_t last,
                               float* sums) {
    const int64_t strips = (rows.depth + STRIP - 1) / STRIP;
    std::memset(sums, 0, sizeof(float) * (last - first) * CODE_ROWS * PANEL);
    PanelWalk<PANEL_VECTORS> walk(format, panel, 0);
    OpenedStrips opened;
    for (int64_t strip = 0; strip < strips; strip += OPENED) {
        const int64_t count = strips - strip < OPENED ? strips - strip : OPENED;
        open_strips(walk, count, opened);
        for (int64_t tile = first; tile < last; ++tile) {
            const auto* packed = reinterpret_cast<const int32_t*>(rows.packed + tile * rows.tile_bytes) + strip * STRIP_WORDS;
            multiply_opened_rows(rows.rows - tile * CODE_ROWS, packed, opened, count, walk.halved, walk.has_shift,
                                 sums + (tile - first) * CODE_ROWS * PANEL);
        }
    }
}

// ---- whatever rows

static void multiply_code_panel(const Rows& rows, const CodeFormat& format, const uint8_t* panel, int64_t first, int64_t last,
                                float* sums) {
    if (rows.rows > FEW_CODE_ROWS) return multiply_many_rows(rows, format, panel, first, last, sums);
    const int64_t strips = (rows.depth + STRIP - 1) / STRIP;
    const auto* tile = reinterpret_cast<const int32_t*>(rows.packed);
    switch (format.lie) {
        case Lie::NIBBLES: return multiply_few_rows<Lie::NIBBLES>(rows.rows, tile, format, panel, strips, sums);
        case Lie::TABLE: return multiply_few_rows<Lie::TABLE>(rows.rows, tile, format, panel, strips, sums);
        case Lie::FIVE: return multiply_few_rows<Lie::FIVE>(rows.rows, tile, format, panel, strips, sums);
        case Lie::SIX: return multiply_few_rows<Lie::SIX>(rows.rows, tile, format, panel, strips, sums);
        case Lie::BYTES: return multiply_few_rows<Lie::BYTES>(rows.rows, tile, format, panel, strips, sums);
    }
}

template <typename Type>
static void multiply_codes_of(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t end, int64_t first, int64_t last,
                              float* partial) {
    const int64_t panel_bytes = matrix.codes->panel_bytes(rows.depth);
    const auto* weight = static_cast<const uint8_t*>(matrix.weight);
    for (; panel < end; ++panel) {
        multiply_code_panel(rows, *matrix.codes, weight + panel * panel_bytes, first, last, partial);
        write_sums<Type, 1>(rows, matrix, panel, first, last, CODE_ROWS, partial);
    }
}

static void multiply_codes(const Rows& rows, const Matrix& matrix, int64_t panel, int64_t end, int64_t first, int64_t last,
                           float* partial) {
    rows.dtype == DType::BF16 ? multiply_codes_of<BF16>(rows, matrix, panel, end, first, last, partial)
                              : multiply_codes_of<F32>(rows, matrix, panel, end, first, last, partial);
}

}  // namespace PAGODA_ISA
