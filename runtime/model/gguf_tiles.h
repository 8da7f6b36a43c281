// TL1 and TL2, the look-up-table types of bitnet.cpp: which trits a byte holds depends on how its converter
// (utils/convert-hf-to-gguf-bitnet.py) cut the matrix into tiles, and the file does not say how. The sizes are those
// that its setup_env.py uses for a matrix's shape, or come from a kernel_config.ini that the user names.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/model/gguf_unpack.h"

namespace bittern::runtime {

// Reads bitnet.cpp's include/kernel_config.ini: sections with m, k, bm, bk and bmm. Throws Error naming file and line.
std::vector<TernaryTile> read_tile_config(const std::string &path);

// The tile sizes of a tensor of `rows` x `cols`: from `configured` when it is not empty, else bitnet.cpp's own. Throws
// Error naming the tensor when there are none for its shape, or when they do not divide it.
TernaryTile tl1_tile(const GgufTensor &tensor, int64_t rows, int64_t cols, const std::vector<TernaryTile> &configured);
TernaryTile tl2_tile(const GgufTensor &tensor, int64_t rows, int64_t cols, const std::vector<TernaryTile> &configured);

// Bytes of the packed trits; the scale stands at the next multiple of 32.
uint64_t tl1_packed_bytes(int64_t rows, int64_t cols);
uint64_t tl2_packed_bytes(int64_t rows, int64_t cols);

void unpack_tl1(const TernaryPlace &place, int64_t row, int8_t *out);
void unpack_tl2(const TernaryPlace &place, int64_t row, int8_t *out);

}  // namespace bittern::runtime
