#include "runtime/model/int2_layout.h"

namespace bittern::runtime {
namespace {

constexpr int64_t kWordValues = 16, kWordBytes = 4, kBlockWords = 32;

// Where word `word` of a block begins in the matrix.
constexpr int64_t word_row(int64_t word) { return word / 16 * 8 + word % 8; }
constexpr int64_t word_col(int64_t word) { return word % 16 / 8 * kWordValues; }

}  // namespace

void pack_int2(const int8_t *trits, int64_t row_stride, int64_t cols, uint8_t *out) {
  for (int64_t col = 0; col < cols; col += kInt2Cols) {
    for (int64_t word = 0; word < kBlockWords; ++word) {
      const int8_t *from = trits + word_row(word) * row_stride + col + word_col(word);
      for (int64_t byte = 0; byte < kWordBytes; ++byte) {
        unsigned bits = 0;
        for (int64_t pair = 0; pair < 4; ++pair) {
          bits |= static_cast<unsigned>(from[4 * pair + byte] + 2) << (2 * pair);
        }
        *out++ = static_cast<uint8_t>(bits);
      }
    }
  }
}

int64_t unpack_int2(const uint8_t *bytes, int64_t cols, int8_t *trits, int64_t row_stride) {
  int64_t bad = -1, at = 0;
  for (int64_t col = 0; col < cols; col += kInt2Cols) {
    for (int64_t word = 0; word < kBlockWords; ++word) {
      int8_t *to = trits + word_row(word) * row_stride + col + word_col(word);
      for (int64_t byte = 0; byte < kWordBytes; ++byte, ++at) {
        for (int64_t pair = 0; pair < 4; ++pair) {
          const int code = bytes[at] >> (2 * pair) & 3;
          if (code == 0 && bad < 0) bad = at;
          to[4 * pair + byte] = static_cast<int8_t>(code - 2);
        }
      }
    }
  }
  return bad;
}

}  // namespace bittern::runtime
