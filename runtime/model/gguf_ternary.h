// Ternary tensors of GGUF files. The table of types is in gguf_ternary.cpp, a row a type and layout.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/model/gguf_unpack.h"

namespace bittern::runtime {

// What a file leaves open (OpenOptions).
struct TernaryOptions {
  std::string i2s_layout = "128";
  std::vector<TernaryTile> tiles;  // of --tl-config; empty: bitnet.cpp's own
};

struct TernaryType;

// One matrix of `rows` x `cols`. Its methods are thread-safe. The tensor must outlive it.
//
// A scale of 0 is what quantisers write for a part of the matrix that is all zero, whatever codes they leave in it
// (IQ2_BN leaves code 2), so the trits of such a part are zeros. Where the scale is the whole matrix's, 0 is an error:
// no layer of a model is zero, and a file cut or overwritten there often is.
class GgufTernary {
 public:
  // Whether a type of that number could be ternary.
  static bool is_ternary(uint32_t type);

  // Finds the type by number, shape and size. Throws Error naming the tensor when its shape is another one, when the
  // type is not ternary or cannot hold such a shape, or when the size fits no layout or two.
  GgufTernary(const GgufTensor &tensor, int64_t rows, int64_t cols, const TernaryOptions &options);

  std::string_view type_name() const;
  // Columns that share a scale: a block's, a whole row's, or 0 when all of the matrix do.
  int64_t scale_cols() const;

  // The scale that all parts of the matrix share, zero parts aside; 0 when they differ. Throws Error naming the byte
  // for scales that are negative, NaN or infinite, and when all are 0.
  float common_scale() const;
  // Scales of rows [row0, row0 + count), cols / group a row, for groups that divide scale_cols().
  void group_scales(int64_t row0, int64_t count, int64_t group, float *out) const;
  // Trits of rows [row0, row0 + count). Throws Error naming the byte for codes that are no trits.
  void decode(int64_t row0, int64_t count, int8_t *out, int64_t row_stride) const;

 private:
  float scale(int64_t row, int64_t part) const;

  const TernaryType *type_;
  TernaryPlace place_;
};

}  // namespace bittern::runtime
