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

namespace PAGODA_ISA {

static const pagoda::Ops OPS = {
    PAGODA_ISA_NAME, TILE_ROWS,       tile_bytes,     pack_rows,      multiply_panels,
    CODE_ROWS,       code_tile_bytes, pack_code_row, multiply_codes, rms_norm,
    silu_and_mul,    rotate,          store_kv,       store_kv_bytes, turn_heads,
    attend,          combine,         BYTE_ROWS,      pack_byte_row,  multiply_bytes,
    attend_text,     add_and_normalise,
};

}  // namespace PAGODA_ISA
