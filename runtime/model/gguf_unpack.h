// One row of a ternary GGUF tensor to trits, for every type but the tiled ones (gguf_tiles.h). Where the bits lie is
// read from ggml-common.h and the quantisers of llama.cpp (TQ1_0, TQ2_0, Q2_0; ggml-org/llama.cpp pull requests 8151
// and 24448), bitnet.cpp (I2_S; src/ggml-bitnet-mad.cpp) and ik_llama.cpp (IQ1_BN, IQ2_BN, IQ2_BN_R4;
// iqk_quantize.cpp).
#pragma once
#include <cstdint>

#include "runtime/model/gguf_file.h"

namespace bittern::runtime {

// How bitnet.cpp's configurations cut a matrix of `rows` x `cols` into tiles (gguf_tiles.h).
struct TernaryTile {
  int64_t rows = 0, cols = 0;
  int64_t tile_rows = 0, tile_cols = 0, block_rows = 0;  // BM, BK and bm of its kernel_config.ini
};

struct TernaryPlace {
  const GgufTensor *tensor = nullptr;
  int64_t rows = 0, cols = 0;
  TernaryTile tile;  // of tiled types
};

// Each writes `cols` trits of one row and throws Error, naming row, column and byte, for a code that is no trit.
void unpack_i2s_128(const TernaryPlace &place, int64_t row, int8_t *out);
void unpack_i2s_64(const TernaryPlace &place, int64_t row, int8_t *out);
void unpack_i2s_rows4(const TernaryPlace &place, int64_t row, int8_t *out);
void unpack_tq1_0(const TernaryPlace &place, int64_t row, int8_t *out);
void unpack_tq2_0(const TernaryPlace &place, int64_t row, int8_t *out);
void unpack_q2_0_64(const TernaryPlace &place, int64_t row, int8_t *out);
void unpack_q2_0_128(const TernaryPlace &place, int64_t row, int8_t *out);
void unpack_iq1_bn(const TernaryPlace &place, int64_t row, int8_t *out);
void unpack_iq2_bn(const TernaryPlace &place, int64_t row, int8_t *out);
void unpack_iq2_bn_r4(const TernaryPlace &place, int64_t row, int8_t *out);

}  // namespace bittern::runtime
