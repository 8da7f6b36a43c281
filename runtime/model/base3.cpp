#include "runtime/model/base3.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace bittern::runtime {
namespace {

// Eight trits a row, so that a copy has a fixed size; the last three are overwritten by the next byte's.
using Table = std::array<std::array<int8_t, 8>, 256>;
constexpr Table make_table() {
  Table table{};
  for (size_t byte = 0; byte < 256; ++byte) {
    size_t value = byte;
    for (size_t i = 0; i < 5; ++i, value /= 3) table[byte][i] = static_cast<int8_t>(static_cast<int>(value % 3) - 1);
  }
  return table;
}
constexpr Table kTable = make_table();

}  // namespace

void pack_base3(const int8_t *trits, int64_t cols, uint8_t *out) {
  for (int64_t k = 0; k < cols; k += kTritsPerByte) {
    const int64_t count = std::min(kTritsPerByte, cols - k);
    int value = 0;
    for (int64_t i = kTritsPerByte; i-- > 0;) value = value * 3 + (i < count ? trits[k + i] : 0) + 1;
    *out++ = static_cast<uint8_t>(value);
  }
}

int64_t unpack_base3(const uint8_t *bytes, int64_t cols, int8_t *trits) {
  uint8_t largest = 0;
  int64_t k = 0;
  const uint8_t *at = bytes;
  for (; k + 8 <= cols; k += kTritsPerByte, ++at) {
    largest = std::max(largest, *at);
    std::memcpy(trits + k, kTable[*at].data(), 8);
  }
  for (; k < cols; k += kTritsPerByte, ++at) {
    largest = std::max(largest, *at);
    std::memcpy(trits + k, kTable[*at].data(), static_cast<size_t>(std::min(kTritsPerByte, cols - k)));
  }
  if (largest <= kLargestTritByte) return -1;
  return std::find_if(bytes, at, [](uint8_t byte) { return byte > kLargestTritByte; }) - bytes;
}

}  // namespace bittern::runtime
