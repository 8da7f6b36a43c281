// The weight layouts and their reference pack and unpack, which follow the description one cell at a time.
//
// Two bits a weight, codes trit + 1, in 32-byte units, so that one AVX2 load and a shift and mask per field give four
// vectors of codes:
//   i2r<R>  a unit is 128 k of one row, byte j field q is k = 32 q + j; R rows are interleaved by units. A field's
//           codes meet 32 consecutive activations; sums end in a horizontal add.
//   i2q<R>  a unit is 16 k of 8 rows, byte 4 i + b field q is row i, k = 4 q + b ("quads"); R / 8 units of rows are
//           interleaved. A field's codes meet 4 activations broadcast to all rows; sums stay one row a lane.
// 1.6 bits a weight. A cell is a column of rows, so that all its digits meet the same activation, K needs no padding
// beyond 32 and groups of k stay whole:
//   t5r<R>      5 rows a byte; a unit is 32 bytes, 32 k. The weights 85, 29, 9 are chosen for their low bits: a digit
//               times 85, 29 or 9 has the digit in its two lowest bits, so no multiplication is needed to read it.
//   u16x10r<R>  10 rows in 16 bits, as a fraction of 2^16: a high multiplication gives two digits. A unit is 64 bytes,
//               32 k; its words lie such that the AVX2 pack of two vectors of words gives bytes in the order of k.
// Rows a lane, for table look-up: a unit is 32 rows, a byte of it 4 bits of a row twice, which index a table of the
// sums that 2 or 3 activations can give.
//   tl1r<R>  pairs of k, index 3 c0 + c1; a unit is 4 k. 2 bits a weight.
//   tl2r<R>  triples of k, 27 sums of which 13 are the negatives of others: 4 bits of index and, in the unit's last 32
//            bytes, 1 bit of sign; a unit is 24 k. 1.67 bits a weight.
#include "schedules/layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "compiler/error.h"

namespace bittern::schedules {
namespace {

using Digit = Layout::Digit;
using Part = Layout::Part;

int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

int64_t power_of_3(int64_t exponent) {
  int64_t power = 1;
  while (exponent-- > 0) power *= 3;
  return power;
}

Layout make_layout(const std::string &name, LayoutFamily family, int64_t row_tile, int64_t k_tile,
                   const Layout::Cell &cell, const std::vector<Layout::Plane> &planes,
                   const std::vector<Digit> &units) {
  Layout layout;
  layout.name = name;
  layout.family = family;
  layout.row_tile = row_tile;
  layout.k_tile = k_tile;
  layout.cell = cell;
  layout.planes = planes;
  layout.units_low_to_high = units;
  for (const Layout::Plane &plane : planes) {
    int64_t fields = 1;
    for (const Digit &digit : plane.low_to_high) fields *= digit.radix;
    layout.unit_bytes += fields * plane.bits / 8;
    layout.unit_trits = fields * cell.trits();
  }
  return layout;
}

Layout one_plane(const std::string &name, LayoutFamily family, int64_t row_tile, int64_t k_tile,
                 const Layout::Cell &cell, int bits, const std::vector<Digit> &fields,
                 const std::vector<Digit> &units) {
  return make_layout(name, family, row_tile, k_tile, cell, {{Part::Code, bits, 0, fields}}, units);
}

Layout rows_layout(int64_t rows) {
  return one_plane(fmt::format("i2r{}", rows), LayoutFamily::Rows, rows, 128, {'k', {1}}, 2,
                   {{'k', 32, 4}, {'k', 1, 32}}, {{'n', 1, rows}, {'k', 128, 0}, {'n', rows, 0}});
}

Layout quads_layout(int64_t rows) {
  return one_plane(fmt::format("i2q{}", rows), LayoutFamily::Quads, rows, 16, {'k', {1}}, 2,
                   {{'k', 4, 4}, {'k', 1, 4}, {'n', 1, 8}}, {{'n', 8, rows / 8}, {'k', 16, 0}, {'n', rows, 0}});
}

Layout five_rows_layout(int64_t rows) {
  return one_plane(fmt::format("t5r{}", rows), LayoutFamily::Base3Bytes, rows, 32, {'n', {85, 29, 9, 3, 1}}, 8,
                   {{'k', 1, 32}}, {{'n', 5, rows / 5}, {'k', 32, 0}, {'n', rows, 0}});
}

Layout ten_rows_layout(int64_t rows) {
  return one_plane(fmt::format("u16x10r{}", rows), LayoutFamily::Base3Words, rows, 32,
                   {'n', {19683, 6561, 2187, 729, 243, 81, 27, 9, 3, 1}, 16}, 16,
                   {{'k', 1, 8}, {'k', 16, 2}, {'k', 8, 2}}, {{'n', 10, rows / 10}, {'k', 32, 0}, {'n', rows, 0}});
}

Layout pairs_layout(int64_t rows) {
  return one_plane(fmt::format("tl1r{}", rows), LayoutFamily::Pairs, rows, 4, {'k', {3, 1}}, 4,
                   {{'k', 2, 2}, {'n', 1, 32}}, {{'n', 32, rows / 32}, {'k', 4, 0}, {'n', rows, 0}});
}

Layout triples_layout(int64_t rows) {
  return make_layout(fmt::format("tl2r{}", rows), LayoutFamily::Triples, rows, 24, {'k', {9, 3, 1}},
                     {{Part::Magnitude, 4, 0, {{'k', 3, 2}, {'n', 1, 32}, {'k', 6, 4}}},
                      {Part::Sign, 1, 128, {{'k', 3, 8}, {'n', 1, 32}}}},
                     {{'n', 32, rows / 32}, {'k', 24, 0}, {'n', rows, 0}});
}

// The sum of digit * weight of (row, k) in a matrix of n x k, both already padded.
int64_t index_of(const std::vector<Digit> &low_to_high, int64_t n, int64_t k, int64_t row, int64_t column) {
  int64_t index = 0, weight = 1;
  for (const Digit &digit : low_to_high) {
    const int64_t coordinate = digit.dimension == 'n' ? row : column;
    const int64_t extent = digit.radix ? digit.radix : (digit.dimension == 'n' ? n : k) / digit.divisor;
    index += coordinate / digit.divisor % extent * weight;
    weight *= extent;
  }
  return index;
}

constexpr size_t kMostTrits = 10;
using Digits = std::array<int64_t, kMostTrits>;  // trit + 1

int64_t code_of(const Layout::Cell &cell, const Digits &c) {
  int64_t sum = 0;
  for (size_t i = 0; i < cell.weights.size(); ++i) sum += cell.weights[i] * c[i];
  if (cell.fraction_bits == 0) return sum;
  const int64_t states = power_of_3(cell.trits());
  return ((sum << cell.fraction_bits) + states - 1) / states;
}

Digits digits_of(const Layout::Cell &cell, int64_t code) {
  Digits c{};
  for (size_t i = 0; i < cell.weights.size(); ++i) {
    if (cell.fraction_bits != 0) {
      code *= 3;
      c[i] = code >> cell.fraction_bits;
      code &= (int64_t{1} << cell.fraction_bits) - 1;
    } else {
      c[i] = code / cell.weights[i];
      code -= c[i] * cell.weights[i];
    }
  }
  return c;
}

// Where a cell's field of a plane lies.
struct Place {
  int64_t byte;
  int shift;
};
Place place_of(const Layout &layout, const Layout::Plane &plane, int64_t n, int64_t k, int64_t row, int64_t column) {
  const int64_t unit = index_of(layout.units_low_to_high, n, k, row, column);
  const int64_t bit = index_of(plane.low_to_high, n, k, row, column) * plane.bits;
  return {unit * layout.unit_bytes + plane.offset + bit / 8, static_cast<int>(bit % 8)};
}

}  // namespace

int64_t Layout::Cell::middle() const {
  int64_t sum = 0;
  for (const int64_t weight : weights) sum += weight;
  return sum;
}

std::vector<Layout::Digit> Layout::fields_low_to_high() const {
  std::vector<Digit> all = planes.front().low_to_high;
  all.insert(all.end(), units_low_to_high.begin(), units_low_to_high.end());
  return all;
}

int64_t Layout::packed_bytes(int64_t n, int64_t k) const {
  return round_up(n, row_tile) * round_up(k, k_tile) / unit_trits * unit_bytes;
}

void Layout::pack(const int8_t *trits, int64_t row_stride, int64_t row0, int64_t rows, int64_t n, int64_t k,
                  uint8_t *packed) const {
  const int64_t padded_n = round_up(n, row_tile), padded_k = round_up(k, k_tile);
  const bool tall = cell.dimension == 'n';
  // The last rows of the matrix bring the padding rows of their tile along.
  const int64_t end = row0 + rows >= n ? padded_n : row0 + rows;
  for (int64_t row = row0; row < end; row += tall ? cell.trits() : 1) {
    for (int64_t column = 0; column < padded_k; column += tall ? 1 : cell.trits()) {
      Digits c{};
      for (int64_t i = 0; i < cell.trits(); ++i) {
        const int64_t r = row + (tall ? i : 0), at = column + (tall ? 0 : i);
        c[static_cast<size_t>(i)] = (r < n && at < k ? trits[(r - row0) * row_stride + at] : 0) + 1;
      }
      const int64_t code = code_of(cell, c), distance = code - cell.middle();
      for (const Plane &plane : planes) {
        const int64_t value = plane.part == Part::Code   ? code
                              : plane.part == Part::Sign ? (distance < 0 ? 1 : 0)
                                                         : (distance < 0 ? -distance : distance);
        const Place place = place_of(*this, plane, padded_n, padded_k, row, column);
        for (int bit = 0; bit < plane.bits; bit += 8) {
          uint8_t &byte = packed[place.byte + bit / 8];
          const int mask = plane.bits < 8 ? (1 << plane.bits) - 1 : 0xff;
          byte = static_cast<uint8_t>((byte & ~(mask << place.shift)) | ((value >> bit & mask) << place.shift));
        }
      }
    }
  }
}

void Layout::unpack(const uint8_t *packed, int64_t row0, int64_t rows, int64_t n, int64_t k, int8_t *trits,
                    int64_t row_stride) const {
  const int64_t padded_n = round_up(n, row_tile), padded_k = round_up(k, k_tile);
  const bool tall = cell.dimension == 'n';
  for (int64_t row = row0; row < row0 + rows; row += tall ? cell.trits() : 1) {
    for (int64_t column = 0; column < k; column += tall ? 1 : cell.trits()) {
      int64_t code = 0, sign = 1;
      for (const Plane &plane : planes) {
        const Place place = place_of(*this, plane, padded_n, padded_k, row, column);
        int64_t value = packed[place.byte] >> place.shift & ((1 << std::min(plane.bits, 8)) - 1);
        if (plane.bits == 16) value |= packed[place.byte + 1] << 8;
        if (plane.part == Part::Sign)
          sign = value == 0 ? 1 : -1;
        else
          code = value;
      }
      if (planes.size() > 1) code = cell.middle() + sign * code;
      const Digits c = digits_of(cell, code);
      for (int64_t i = 0; i < cell.trits(); ++i) {
        const int64_t r = row + (tall ? i : 0), at = column + (tall ? 0 : i);
        if (r < row0 + rows && at < k)
          trits[(r - row0) * row_stride + at] = static_cast<int8_t>(c[static_cast<size_t>(i)] - 1);
      }
    }
  }
}

const std::vector<Layout> &layouts() {
  static const std::vector<Layout> table = {rows_layout(1),      rows_layout(2),      rows_layout(4),
                                            rows_layout(8),      quads_layout(8),     quads_layout(16),
                                            quads_layout(32),    five_rows_layout(5), five_rows_layout(20),
                                            ten_rows_layout(10), pairs_layout(64),    triples_layout(64)};
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
