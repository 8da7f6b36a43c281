// The weight layouts and their reference pack and unpack, which follow the mixed-radix description one trit at a time.
//
// Two families, both with 2-bit codes (trit + 1) and 32-byte units, so that one AVX2 load and a shift and mask per
// field give four vectors of codes:
//   i2r<R>  a unit is 128 k of one row, byte j field q is k = 32 q + j; R rows are interleaved by units. A field's
//           codes meet 32 consecutive activations; sums end in a horizontal add.
//   i2q<R>  a unit is 16 k of 8 rows, byte 4 i + b field q is row i, k = 4 q + b ("quads"); R / 8 units of rows are
//           interleaved. A field's codes meet 4 activations broadcast to all rows; sums stay one row a lane.
#include "schedules/layout.h"

#include <fmt/format.h>

#include "compiler/error.h"

namespace bittern::schedules {
namespace {

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

Layout rows_layout(int64_t rows) {
  return {fmt::format("i2r{}", rows),
          rows,
          128,
          {{'k', 32, 4}, {'k', 1, 32}, {'n', 1, rows}, {'k', 128, 0}, {'n', rows, 0}}};
}

Layout quads_layout(int64_t rows) {
  return {fmt::format("i2q{}", rows),
          rows,
          16,
          {{'k', 4, 4}, {'k', 1, 4}, {'n', 1, 8}, {'n', 8, rows / 8}, {'k', 16, 0}, {'n', rows, 0}}};
}

// Field index of (row, k) in a matrix of n x k, both already padded.
int64_t field_index(const Layout &layout, int64_t n, int64_t k, int64_t row, int64_t column) {
  int64_t index = 0, weight = 1;
  for (const Layout::Digit &digit : layout.fields_low_to_high) {
    const int64_t coordinate = digit.dimension == 'n' ? row : column;
    const int64_t extent = digit.radix ? digit.radix : (digit.dimension == 'n' ? n : k) / digit.divisor;
    index += coordinate / digit.divisor % extent * weight;
    weight *= extent;
  }
  return index;
}

}  // namespace

int64_t Layout::packed_bytes(int64_t n, int64_t k) const { return round_up(n, row_tile) * round_up(k, k_tile) / 4; }

void Layout::pack(const int8_t *trits, int64_t row_stride, int64_t row0, int64_t rows, int64_t n, int64_t k,
                  uint8_t *packed) const {
  const int64_t padded_n = round_up(n, row_tile), padded_k = round_up(k, k_tile);
  // The last rows of the matrix bring the padding rows of their tile along.
  const int64_t end = row0 + rows >= n ? padded_n : row0 + rows;
  for (int64_t row = row0; row < end; ++row) {
    for (int64_t column = 0; column < padded_k; ++column) {
      const int trit = row < n && column < k ? trits[(row - row0) * row_stride + column] : 0;
      const int64_t field = field_index(*this, padded_n, padded_k, row, column);
      const int shift = static_cast<int>(field % 4) * 2;
      uint8_t &byte = packed[field / 4];
      byte = static_cast<uint8_t>((byte & ~(3 << shift)) | ((trit + 1) << shift));
    }
  }
}

void Layout::unpack(const uint8_t *packed, int64_t row0, int64_t rows, int64_t n, int64_t k, int8_t *trits,
                    int64_t row_stride) const {
  const int64_t padded_n = round_up(n, row_tile), padded_k = round_up(k, k_tile);
  for (int64_t row = row0; row < row0 + rows; ++row) {
    for (int64_t column = 0; column < k; ++column) {
      const int64_t field = field_index(*this, padded_n, padded_k, row, column);
      trits[(row - row0) * row_stride + column] = static_cast<int8_t>((packed[field / 4] >> (field % 4 * 2) & 3) - 1);
    }
  }
}

const std::vector<Layout> &layouts() {
  static const std::vector<Layout> table = {rows_layout(1),  rows_layout(2),   rows_layout(4),  rows_layout(8),
                                            quads_layout(8), quads_layout(16), quads_layout(32)};
  return table;
}

const Layout &find_layout(const std::string &name) {
  std::string known;
  for (const Layout &layout : layouts()) {
    if (layout.name == name) return layout;
    known += (known.empty() ? "" : ", ") + layout.name;
  }
  throw Error(fmt::format("unknown weight layout \"{}\"; known: {}", name, known));
}

}  // namespace bittern::schedules
