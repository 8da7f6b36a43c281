// Five trits a byte, the form of ternary weights in Bittern's own files: 1.6 bits a weight where two bits would need a
// quarter more to read from the disk, and one table look-up to unpack. A byte is the sum of (trit + 1) * 3^i over its
// five trits, the first one i = 0; a row's last byte is filled up with zero trits; 243 to 255 mean nothing.
#pragma once
#include <cstdint>

namespace bittern::runtime {

inline constexpr int64_t kTritsPerByte = 5;
inline constexpr uint8_t kLargestTritByte = 242;

inline constexpr int64_t base3_row_bytes(int64_t cols) { return (cols + kTritsPerByte - 1) / kTritsPerByte; }

// Packs one row of trits (-1, 0, 1).
void pack_base3(const int8_t *trits, int64_t cols, uint8_t *out);
// Unpacks one row. Returns the position of the first byte that no trits make, or -1.
int64_t unpack_base3(const uint8_t *bytes, int64_t cols, int8_t *trits);

}  // namespace bittern::runtime
