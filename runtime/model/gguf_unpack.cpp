#include "runtime/model/gguf_unpack.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace bittern::runtime {
namespace {

// Two-bit fields at `shift` of `count` neighbouring bytes, trit + 1 in each, to trits `step` apart from `column` on.
void unpack_fields(const TernaryPlace &place, int64_t row, int64_t column, uint64_t at, int shift, int64_t count,
                   int8_t *out, int64_t step = 1) {
  const uint8_t *bytes = place.tensor->data() + at;
  unsigned invalid = 0;
  for (int64_t i = 0; i < count; ++i) {
    const unsigned code = bytes[i] >> shift & 3u;
    invalid |= code & code >> 1;
    out[column + i * step] = static_cast<int8_t>(static_cast<int>(code) - 1);
  }
  if (!invalid) return;
  const int64_t i = std::find_if(bytes, bytes + count, [&](uint8_t b) { return (b >> shift & 3) == 3; }) - bytes;
  place.tensor->fail(fmt::format("row {}, column {}: code 3 is not a trit", row, column + i * step),
                     at + static_cast<uint64_t>(i));
}

// Blocks of four lanes in lane-many bytes, the first lane in the top bits; blocks follow one another through the whole
// matrix and may begin within a row.
void unpack_i2s_lanes(const TernaryPlace &place, int64_t lane, int64_t row, int8_t *out) {
  const int64_t block = 4 * lane;
  for (int64_t column = 0; column < place.cols;) {
    const int64_t element = row * place.cols + column, in_block = element % block;
    const int64_t run = std::min(lane - in_block % lane, place.cols - column);
    unpack_fields(place, row, column, static_cast<uint64_t>(element / block * lane + in_block % lane),
                  static_cast<int>(6 - 2 * (in_block / lane)), run, out);
    column += run;
  }
}

// Five trits of a byte b, the base-three fraction b / 256: digit n is the integer part of 3 * (3^n * b / 256 mod 1).
// Every byte has five, so none is invalid.
using Digits = std::array<std::array<int8_t, 5>, 256>;
constexpr Digits make_digits() {
  Digits digits{};
  for (unsigned byte = 0; byte < 256; ++byte) {
    unsigned fraction = byte;
    for (size_t n = 0; n < 5; ++n) {
      digits[byte][n] = static_cast<int8_t>(static_cast<int>(fraction * 3 >> 8) - 1);
      fraction = fraction * 3 & 0xff;
    }
  }
  return digits;
}
constexpr Digits kDigits = make_digits();

void unpack_q2_0(const TernaryPlace &place, int64_t block, int64_t row, int8_t *out) {
  const uint64_t block_bytes = static_cast<uint64_t>(2 + block / 4), blocks = static_cast<uint64_t>(place.cols / block);
  for (uint64_t b = 0; b < blocks; ++b) {
    const uint64_t at = (static_cast<uint64_t>(row) * blocks + b) * block_bytes + 2;
    for (int field = 0; field < 4; ++field) {
      unpack_fields(place, row, static_cast<int64_t>(b) * block + field, at, 2 * field, block / 4, out, 4);
    }
  }
}

}  // namespace

void unpack_i2s_128(const TernaryPlace &place, int64_t row, int8_t *out) { unpack_i2s_lanes(place, 32, row, out); }
void unpack_i2s_64(const TernaryPlace &place, int64_t row, int8_t *out) { unpack_i2s_lanes(place, 16, row, out); }

// A byte a column and four rows, the first row in the top bits.
void unpack_i2s_rows4(const TernaryPlace &place, int64_t row, int8_t *out) {
  unpack_fields(place, row, 0, static_cast<uint64_t>(row / 4 * place.cols), static_cast<int>(6 - 2 * (row % 4)),
                place.cols, out);
}

// 256 values: 160 in 32 bytes, 80 in 16 bytes, 16 in 4 bytes; digit n of neighbouring bytes are neighbours. The scale
// ends the block.
void unpack_tq1_0(const TernaryPlace &place, int64_t row, int8_t *out) {
  struct Part {
    size_t bytes, digits;
  };
  constexpr std::array<Part, 3> kParts{{{32, 5}, {16, 5}, {4, 4}}};
  const int64_t blocks = place.cols / 256;
  const uint8_t *bytes = place.tensor->data() + row * blocks * 54;
  for (int64_t b = 0; b < blocks; ++b, bytes += 2) {
    for (const Part &part : kParts) {
      for (size_t n = 0; n < part.digits; ++n) {
        for (size_t i = 0; i < part.bytes; ++i) *out++ = kDigits[bytes[i]][n];
      }
      bytes += part.bytes;
    }
  }
}

// 256 values: twice 128 in 32 bytes, lane after lane, the first lane in the low bits. The scale ends the block.
void unpack_tq2_0(const TernaryPlace &place, int64_t row, int8_t *out) {
  const int64_t blocks = place.cols / 256;
  for (int64_t b = 0; b < blocks; ++b) {
    const uint64_t at = static_cast<uint64_t>((row * blocks + b) * 66);
    for (int lane = 0; lane < 8; ++lane) {
      unpack_fields(place, row, b * 256 + lane * 32, at + static_cast<uint64_t>(lane / 4 * 32), lane % 4 * 2, 32, out);
    }
  }
}

// The scale, then four neighbours a byte, the first in the low bits.
void unpack_q2_0_64(const TernaryPlace &place, int64_t row, int8_t *out) { unpack_q2_0(place, 64, row, out); }
void unpack_q2_0_128(const TernaryPlace &place, int64_t row, int8_t *out) { unpack_q2_0(place, 128, row, out); }

// A row is its f16 scale and 13 bytes per 64 values: 3 bytes hold the first 15 of each 16, the last byte every 16th.
// Digits are in the opposite order to TQ1_0's.
void unpack_iq1_bn(const TernaryPlace &place, int64_t row, int8_t *out) {
  const int64_t blocks = place.cols / 64;
  const uint8_t *bytes = place.tensor->data() + row * (2 + blocks * 13) + 2;
  for (int64_t b = 0; b < blocks; ++b, bytes += 13) {
    for (size_t sixteen = 0; sixteen < 4; ++sixteen) {
      for (size_t i = 0; i < 15; ++i) *out++ = kDigits[bytes[3 * sixteen + i / 5]][4 - i % 5];
      *out++ = kDigits[bytes[12]][4 - sixteen];
    }
  }
}

// A row is its f32 scale and blocks of 64 values in 16 bytes, lane after lane, the first in the low bits.
void unpack_iq2_bn(const TernaryPlace &place, int64_t row, int8_t *out) {
  const int64_t blocks = place.cols / 64;
  const uint64_t begin = static_cast<uint64_t>(row * (4 + blocks * 16) + 4);
  for (int64_t b = 0; b < blocks; ++b) {
    for (int lane = 0; lane < 4; ++lane) {
      unpack_fields(place, row, b * 64 + lane * 16, begin + static_cast<uint64_t>(b * 16), 2 * lane, 16, out);
    }
  }
}

// Four rows are their four f32 scales and blocks of 64 columns in 64 bytes: four runs of 16 columns, in each four bytes
// a row, whose fields are columns four apart.
void unpack_iq2_bn_r4(const TernaryPlace &place, int64_t row, int8_t *out) {
  const int64_t blocks = place.cols / 64;
  const uint64_t begin = static_cast<uint64_t>(row / 4 * (16 + blocks * 64) + 16 + row % 4 * 4);
  for (int64_t b = 0; b < blocks; ++b) {
    for (int run = 0; run < 4; ++run) {
      for (int field = 0; field < 4; ++field) {
        unpack_fields(place, row, b * 64 + run * 16 + field * 4, begin + static_cast<uint64_t>(b * 64 + run * 16),
                      2 * field, 4, out);
      }
    }
  }
}

}  // namespace bittern::runtime
