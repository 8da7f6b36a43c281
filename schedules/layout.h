// Weight layouts as data. An i2 layout is a mixed-radix description: the (n, k) position of a trit, split into digits,
// gives the 2-bit field it lives in. From this one description come the printed name, the reference pack and unpack
// (run by the prover), and the generated pack and unpack that travel with a kernel.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bittern::schedules {

struct Layout {
  std::string name;  // printed form, for example "i2r4" or "i2r4b128"
  int64_t row_tile;  // N is padded to a multiple of this
  int64_t k_tile;    // K is padded to a multiple of this (with trit 0)
  // Digits from the least significant field upward: field index = sum of digit * weight; a digit is
  // (n or k) / divisor % radix (radix 0: no upper limit). Four 2-bit fields fill a byte, code = trit + 1.
  struct Digit {
    char dimension;  // 'n' or 'k'
    int64_t divisor, radix;
  };
  std::vector<Digit> fields_low_to_high;

  int64_t packed_bytes(int64_t n, int64_t k) const;
  // Reference pack/unpack, one trit at a time; same meaning as bt_layout's functions.
  void pack(const int8_t *trits, int64_t row_stride, int64_t row0, int64_t rows, int64_t n, int64_t k,
            uint8_t *packed) const;
  void unpack(const uint8_t *packed, int64_t row0, int64_t rows, int64_t n, int64_t k, int8_t *trits,
              int64_t row_stride) const;
};

const std::vector<Layout> &layouts();
const Layout &find_layout(const std::string &name);  // throws Error that lists the known names

}  // namespace bittern::schedules
