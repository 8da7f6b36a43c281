// bitnet.cpp's GPU layout of ternary weights (its gpu/pack_weight.py): the matrix in blocks of 16 rows and 32 columns,
// block after block along the rows; a block is 32 words of 32 bits, each 16 neighbouring columns of one row. Word w has
// row (w / 16) * 8 + w % 8 and the second 16 columns when w % 16 is 8 or more. Within a word, value i stands in byte
// i % 4, bits 2 * (i / 4): from the lowest bit pair up the values are 0, 4, 8, 12, 1, 5, 9, 13, ... Code = trit + 2.
#pragma once
#include <cstdint>

namespace bittern::runtime {

inline constexpr int64_t kInt2Rows = 16, kInt2Cols = 32;

// 16 rows of `cols` trits (a multiple of 32), row_stride apart, to 4 * cols bytes.
void pack_int2(const int8_t *trits, int64_t row_stride, int64_t cols, uint8_t *out);
// The way back. Returns the position of the first byte with code 0, which is no trit, or -1.
int64_t unpack_int2(const uint8_t *bytes, int64_t cols, int8_t *trits, int64_t row_stride);

}  // namespace bittern::runtime
