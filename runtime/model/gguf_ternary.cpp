#include "runtime/model/gguf_ternary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/join.h"
#include "runtime/model/gguf_names.h"
#include "runtime/model/gguf_tiles.h"

namespace bittern::runtime {

enum class ScaleOf { Matrix, Row, Block };

struct TernaryType {
  uint32_t number;
  std::string_view name;
  std::string_view i2s_layout;  // of the rows that --i2s-layout chooses among
  int64_t block, row_step;      // what columns and rows are multiples of
  ScaleOf scale_of;
  bool half;  // the scale is f16, else f32
  uint64_t (*bytes)(int64_t rows, int64_t cols);
  uint64_t (*scale_at)(int64_t rows, int64_t cols, int64_t row, int64_t part);  // bytes into the tensor
  void (*unpack)(const TernaryPlace &place, int64_t row, int8_t *out);
  TernaryTile (*tile)(const GgufTensor &tensor, int64_t rows, int64_t cols, const std::vector<TernaryTile> &configured);
};

namespace {

// Widths and heights far beyond any model's, so that no product here overflows.
constexpr int64_t kMaxSide = int64_t{1} << 28;

uint64_t u(int64_t value) { return static_cast<uint64_t>(value); }
uint64_t to_32(uint64_t bytes) { return (bytes + 31) / 32 * 32; }

// Rows of blocks, each of kBlock columns in kBytes bytes, after kHead bytes a row.
template <int64_t kBlock, int64_t kBytes, int64_t kHead = 0>
uint64_t block_bytes(int64_t rows, int64_t cols) {
  return u(rows * (kHead + cols / kBlock * kBytes));
}
// The scale kAt bytes into each block.
template <int64_t kBlock, int64_t kBytes, int64_t kAt>
uint64_t block_scale(int64_t, int64_t cols, int64_t row, int64_t part) {
  return u((row * (cols / kBlock) + part) * kBytes + kAt);
}
// The scale at the head of each row.
template <int64_t kBlock, int64_t kBytes, int64_t kHead>
uint64_t row_scale(int64_t, int64_t cols, int64_t row, int64_t) {
  return u(row * (kHead + cols / kBlock * kBytes));
}
// The scales of four rows at the head of the four.
uint64_t r4_scale(int64_t, int64_t cols, int64_t row, int64_t) { return u(row / 4 * (16 + cols) + row % 4 * 4); }

// bitnet.cpp keeps 32 bytes after the trits, the first four of them the scale.
uint64_t i2s_scale(int64_t rows, int64_t cols, int64_t, int64_t) { return u(rows * cols / 4); }
uint64_t i2s_bytes(int64_t rows, int64_t cols) { return i2s_scale(rows, cols, 0, 0) + 32; }
uint64_t tl1_scale(int64_t rows, int64_t cols, int64_t, int64_t) { return to_32(tl1_packed_bytes(rows, cols)); }
uint64_t tl1_bytes(int64_t rows, int64_t cols) { return tl1_scale(rows, cols, 0, 0) + 32; }
uint64_t tl2_scale(int64_t rows, int64_t cols, int64_t, int64_t) { return to_32(tl2_packed_bytes(rows, cols)); }
uint64_t tl2_bytes(int64_t rows, int64_t cols) { return tl2_scale(rows, cols, 0, 0) + 32; }

using enum ScaleOf;
using G = GgmlType;
constexpr TernaryType kTernaryTypes[] = {
    {G::I2_S, "I2_S", "128", 1, 1, Matrix, false, i2s_bytes, i2s_scale, unpack_i2s_128, nullptr},
    {G::I2_S, "I2_S", "64", 1, 1, Matrix, false, i2s_bytes, i2s_scale, unpack_i2s_64, nullptr},
    {G::I2_S, "I2_S", "rows4", 1, 4, Matrix, false, i2s_bytes, i2s_scale, unpack_i2s_rows4, nullptr},
    {G::TL1, "TL1", "", 4, 32, Matrix, false, tl1_bytes, tl1_scale, unpack_tl1, tl1_tile},
    {G::TL2, "TL2", "", 2, 32, Matrix, false, tl2_bytes, tl2_scale, unpack_tl2, tl2_tile},
    {G::TL2_2026, "TL2", "", 2, 32, Matrix, false, tl2_bytes, tl2_scale, unpack_tl2, tl2_tile},
    {G::TQ1_0, "TQ1_0", "", 256, 1, Block, true, block_bytes<256, 54>, block_scale<256, 54, 52>, unpack_tq1_0, nullptr},
    {G::TQ2_0, "TQ2_0", "", 256, 1, Block, true, block_bytes<256, 66>, block_scale<256, 66, 64>, unpack_tq2_0, nullptr},
    {G::Q2_0, "Q2_0", "", 64, 1, Block, true, block_bytes<64, 18>, block_scale<64, 18, 0>, unpack_q2_0_64, nullptr},
    {G::Q2_0, "Q2_0", "", 128, 1, Block, true, block_bytes<128, 34>, block_scale<128, 34, 0>, unpack_q2_0_128, nullptr},
    {G::PQ2_0, "PQ2_0", "", 128, 1, Block, true, block_bytes<128, 34>, block_scale<128, 34, 0>, unpack_q2_0_128,
     nullptr},
    {G::IQ1_BN, "IQ1_BN", "", 64, 1, Row, true, block_bytes<64, 13, 2>, row_scale<64, 13, 2>, unpack_iq1_bn, nullptr},
    {G::IQ2_BN, "IQ2_BN", "", 64, 1, Row, false, block_bytes<64, 16, 4>, row_scale<64, 16, 4>, unpack_iq2_bn, nullptr},
    {G::IQ2_BN_R4, "IQ2_BN_R4", "", 64, 4, Row, false, block_bytes<64, 16, 4>, r4_scale, unpack_iq2_bn_r4, nullptr},
};

bool is_candidate(const TernaryType &type, uint32_t number, const TernaryOptions &options) {
  return type.number == number && (type.i2s_layout.empty() || type.i2s_layout == options.i2s_layout);
}

// Whether a matrix of that shape is whole blocks.
bool fits_shape(const TernaryType &type, int64_t rows, int64_t cols) {
  if (cols % type.block != 0 || rows % type.row_step != 0) return false;
  if (type.unpack == unpack_i2s_128) return rows * cols % 128 == 0;
  if (type.unpack == unpack_i2s_64) return rows * cols % 64 == 0;
  return type.unpack != unpack_tl2 || cols >= 256;
}

}  // namespace

bool GgufTernary::is_ternary(uint32_t type) {
  return std::any_of(std::begin(kTernaryTypes), std::end(kTernaryTypes),
                     [&](const TernaryType &row) { return row.number == type; });
}

GgufTernary::GgufTernary(const GgufTensor &tensor, int64_t rows, int64_t cols, const TernaryOptions &options) {
  if (tensor.rank != 2 || tensor.dims[0] != cols || tensor.dims[1] != rows) {
    tensor.fail_info(fmt::format("shape: {}, expected [{}, {}]", tensor.dims_text(), cols, rows));
  }
  if (rows > kMaxSide || cols > kMaxSide) tensor.fail_info(fmt::format("shape: more than {} a side", kMaxSide));
  const uint64_t room = tensor.end - tensor.begin;
  std::vector<const TernaryType *> of_number, of_shape, of_size, exact;
  for (const TernaryType &type : kTernaryTypes) {
    if (!is_candidate(type, tensor.type, options)) continue;
    of_number.push_back(&type);
    if (!fits_shape(type, rows, cols)) continue;
    of_shape.push_back(&type);
    const uint64_t bytes = type.bytes(rows, cols);
    if (bytes <= room) of_size.push_back(&type);
    if (bytes <= room && room - bytes < tensor.alignment) exact.push_back(&type);
  }
  if (of_number.empty()) {
    std::vector<std::string_view> known;
    for (const TernaryType &type : kTernaryTypes) {
      if (known.empty() || known.back() != type.name) known.push_back(type.name);
    }
    tensor.fail_info(fmt::format("type: {} is no ternary type (known: {})", tensor.type, join_names(known)));
  }
  if (of_shape.empty()) {
    tensor.fail_info(fmt::format("shape: {} cannot be {}", tensor.dims_text(), of_number[0]->name));
  }
  // Exactly its size, padding aside, or less where nothing says that the file ends with its last tensor.
  if (tensor.next || !exact.empty()) of_size = exact;
  if (of_size.empty()) {
    // One layout that needs more than there is: say what it runs into.
    if (of_shape.size() == 1) tensor.require(of_shape[0]->bytes(rows, cols), of_shape[0]->name);
    std::string sizes;
    for (const TernaryType *type : of_shape) {
      sizes += fmt::format("{}{} of {}", sizes.empty() ? "" : " or ", type->bytes(rows, cols), type->name);
    }
    tensor.fail(fmt::format("type: {} for {} has {} bytes, expected {}", tensor.type, tensor.dims_text(), room, sizes));
  }
  if (of_size.size() > 1) {
    tensor.fail(fmt::format("type: {} for {} has {} bytes, which may be {} in blocks of {} or {} of {}", tensor.type,
                            tensor.dims_text(), room, of_size[0]->name, of_size[0]->block, of_size[1]->name,
                            of_size[1]->block));
  }
  type_ = of_size[0];
  place_ = {&tensor, rows, cols, {}};
  if (type_->tile) place_.tile = type_->tile(tensor, rows, cols, options.tiles);
}

std::string_view GgufTernary::type_name() const { return type_->name; }

int64_t GgufTernary::scale_cols() const {
  switch (type_->scale_of) {
    case Matrix:
      return 0;
    case Row:
      return place_.cols;
    default:
      return type_->block;
  }
}

float GgufTernary::scale(int64_t row, int64_t part) const {
  const uint64_t at = type_->scale_at(place_.rows, place_.cols, row, part);
  const uint8_t *bytes = place_.tensor->data() + at;
  const float value = type_->half ? f16_to_f32(load_le<uint16_t>(bytes)) : load_le<float>(bytes);
  if (!(value >= 0) || !std::isfinite(value)) {
    place_.tensor->fail(fmt::format("{} is not a usable scale: it must be positive and finite", value), at);
  }
  if (value == 0 && type_->scale_of == Matrix) {
    place_.tensor->fail("0 is not a usable scale: it must be positive and finite", at);
  }
  return value;
}

float GgufTernary::common_scale() const {
  if (type_->scale_of == Matrix) return scale(0, 0);
  const int64_t parts = place_.cols / scale_cols();
  float common = 0;
  bool differ = false;
  for (int64_t row = 0; row < place_.rows; ++row) {
    for (int64_t part = 0; part < parts; ++part) {
      const float value = scale(row, part);
      if (value == 0) continue;
      differ = differ || (common != 0 && value != common);
      if (common == 0) common = value;
    }
  }
  if (common == 0) {
    place_.tensor->fail("every scale is 0: not a usable matrix", type_->scale_at(place_.rows, place_.cols, 0, 0));
  }
  return differ ? 0 : common;
}

void GgufTernary::group_scales(int64_t row0, int64_t count, int64_t group, float *out) const {
  for (int64_t row = row0; row < row0 + count; ++row) {
    for (int64_t column = 0; column < place_.cols; column += group) {
      *out++ = scale(row, scale_cols() == 0 ? 0 : column / scale_cols());
    }
  }
}

void GgufTernary::decode(int64_t row0, int64_t count, int8_t *out, int64_t row_stride) const {
  for (int64_t row = row0; row < row0 + count; ++row, out += row_stride) {
    type_->unpack(place_, row, out);
    if (type_->scale_of == Matrix) continue;
    for (int64_t first = 0; first < place_.cols; first += scale_cols()) {
      if (scale(row, first / scale_cols()) == 0) std::fill_n(out + first, scale_cols(), int8_t{0});
    }
  }
}

}  // namespace bittern::runtime
