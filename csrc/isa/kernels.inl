// Everything that is compiled once for each instruction set, and the table that it is reached by.

#include <cstring>
#include <type_traits>

#include "../codes.h"
#include "../ops.h"
#include "../simd.h"
#include "../whole.h"

using pagoda::Attention;
using pagoda::AttentionUnit;
using pagoda::DEPTH_STEP;
using pagoda::DType;
using pagoda::Largest;
using pagoda::Matrix;
using pagoda::PANEL;
using pagoda::PARTITION;
using pagoda::Rows;
using pagoda::SCALE_BYTES;
using pagoda::SCORES_STRIDE;
using pagoda::Tile;

#include "../arithmetic.inl"

#include "../product.inl"

#include "../codes.inl"

#include "../elementwise.inl"

#include "../kv_bytes.inl"

#include "../attention.inl"

#include "../byte_attention.inl"

#include "../encoder.inl"

#if defined(PAGODA_TILES)
#include "../tiles.inl"
#endif

namespace PAGODA_ISA {

#if !defined(PAGODA_TILES)
static int rows_of_tile(DType) { return TILE_ROWS; }
constexpr auto tile_bytes_of = tile_bytes;
constexpr auto pack_tile = pack_rows;
constexpr auto multiply_tiles = multiply_panels;
#endif

static const pagoda::Ops OPS = {
    PAGODA_ISA_NAME, rows_of_tile,    tile_bytes_of,  pack_tile,      multiply_tiles,
    CODE_ROWS,       code_tile_bytes, pack_code_row, multiply_codes, rms_norm,
    silu_and_mul,    rotate,          store_kv,       store_kv_bytes, turn_heads,
    attend,          combine,         BYTE_ROWS,      pack_byte_row,  multiply_bytes,
    attend_text,     add_and_normalise,
};

}  // namespace PAGODA_ISA
