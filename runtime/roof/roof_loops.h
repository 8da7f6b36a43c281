// The inner loops that the roof is measured with, one file for each architecture: reading memory, and multiply-adds of
// int8 in registers alone, each with the widest instructions that this processor has.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace bittern::runtime {

// Reads `bytes` at p as `streams` (1, 2, 4 or 8) sequential streams, each prefetched `ahead` bytes (0: not at all).
// Gives a value that depends on every byte. Prefetches run past the end: harmless, a prefetch never faults.
uint64_t roof_read(const uint8_t *p, size_t bytes, int streams, size_t ahead);
// Runs the multiply-add loop; returns how many operations (a multiply and an add are two) one iteration of it does.
double roof_multiply(int64_t iterations);
const char *roof_multiply_form();

// roof_read in plain C++, which the compiler vectorises for the baseline.
inline uint64_t roof_read_portable(const uint8_t *p, size_t bytes, int streams, size_t ahead) {
  constexpr size_t kLine = 64;
  const size_t share = bytes / static_cast<size_t>(streams) / kLine * kLine;
  uint64_t sum = 0;
  for (size_t i = 0; i < share; i += kLine) {
    for (int s = 0; s < streams; ++s) {
      const uint8_t *line = p + static_cast<size_t>(s) * share + i;
      if (ahead != 0) __builtin_prefetch(line + ahead);
      uint64_t words[8];
      std::memcpy(words, line, sizeof words);
      for (uint64_t w : words) sum ^= w;
    }
  }
  return sum;
}

}  // namespace bittern::runtime
