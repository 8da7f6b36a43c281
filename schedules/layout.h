// Weight layouts as data. A layout is a mixed-radix description: trits that are neighbours form a cell, a cell becomes
// a code, and the cell's position, split into digits, gives the bit field that the code lives in. From this one
// description come the printed name, the reference pack and unpack (run by the prover), and the generated pack and
// unpack that travel with a kernel.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bittern::schedules {

// Layouts of one family are decoded by the same code and differ in how many units they interleave.
enum class LayoutFamily {
  Rows,        // i2r: two bits a trit, a unit is a piece of one row
  Quads,       // i2q: two bits a trit, a unit is four quads of k of eight rows
  Base3Bytes,  // t5r: five rows' trits in a byte
  Base3Words,  // u16x10r: ten rows' trits in 16 bits
  Pairs,       // tl1r: two trits of a row as an index of a table
  Triples      // tl2r: three, and a sign
};

struct Layout {
  std::string name;  // printed form, for example "i2r4" or "t5r20"
  LayoutFamily family = LayoutFamily::Rows;
  int64_t row_tile = 1;  // N is padded to a multiple of this
  int64_t k_tile = 1;    // K is padded to a multiple of this (with trit 0)

  // The trits that share a code: `trits` neighbours in one dimension. With c = trit + 1, first trit first,
  //   code = sum of weights[i] * c[i], each weight more than twice the sum of those after it, so that digits are found
  //          by comparing; and where fraction_bits is not 0, weights being powers of 3,
  //   code = ceil(sum * 2^fraction_bits / 3^trits): multiplying by 3 moves the next digit past the point.
  struct Cell {
    char dimension = 'k';  // 'n' or 'k'
    std::vector<int64_t> weights;
    int fraction_bits = 0;
    int64_t trits() const { return static_cast<int64_t>(weights.size()); }
    int64_t middle() const;  // the sum of a cell of zeros
  };
  Cell cell;

  // A digit of a position is (n or k) / divisor % radix (radix 0: no upper limit).
  struct Digit {
    char dimension;  // 'n' or 'k'
    int64_t divisor, radix;
  };
  // What of a cell's code a plane holds: all of it, or its distance from the code of zeros and whether it is below.
  enum class Part { Code, Magnitude, Sign };
  // Fields of 1, 2, 4, 8 or 16 bits that begin `offset` bytes into a unit. Index of a cell's field within the unit =
  // sum of digit * weight, digits from the least significant up; those of a byte are the first digit, lowest bits
  // first.
  struct Plane {
    Part part;
    int bits;
    int64_t offset;
    std::vector<Digit> low_to_high;
  };
  std::vector<Plane> planes;  // one that holds Code, or two that hold Magnitude and Sign
  std::vector<Digit> units_low_to_high;
  int64_t unit_bytes = 0, unit_trits = 0;

  // All digits of a layout of one plane: those within a unit, then those of units.
  std::vector<Digit> fields_low_to_high() const;
  int64_t rows_per_unit() const { return unit_trits / k_tile; }
  int64_t units_per_tile() const { return row_tile / rows_per_unit(); }  // of different rows, side by side
  // Whether every trit has a field of two bits to itself, code trit + 1.
  bool two_bit_fields() const { return cell.trits() == 1 && planes.size() == 1 && planes[0].bits == 2; }

  int64_t packed_bytes(int64_t n, int64_t k) const;
  double bits_per_weight() const { return 8.0 * static_cast<double>(unit_bytes) / static_cast<double>(unit_trits); }
  // Reference pack/unpack, one cell at a time; same meaning as bt_layout's functions.
  void pack(const int8_t *trits, int64_t row_stride, int64_t row0, int64_t rows, int64_t n, int64_t k,
            uint8_t *packed) const;
  void unpack(const uint8_t *packed, int64_t row0, int64_t rows, int64_t n, int64_t k, int8_t *trits,
              int64_t row_stride) const;
};

const std::vector<Layout> &layouts();
const Layout &find_layout(const std::string &name);  // throws Error that lists the known names

}  // namespace bittern::schedules
