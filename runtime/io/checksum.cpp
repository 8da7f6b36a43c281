#include "runtime/io/checksum.h"

#include <bit>
#include <cstring>

namespace bittern::runtime {

uint64_t checksum64(const uint8_t *data, int64_t bytes) {
  constexpr uint64_t kA = 0x9e3779b185ebca87u, kB = 0xc2b2ae3d27d4eb4fu;
  uint64_t lanes[4] = {kA, kB, ~kA, ~kB};
  int64_t i = 0;
  for (; i + 32 <= bytes; i += 32)
    for (int lane = 0; lane < 4; ++lane) {
      uint64_t word;
      std::memcpy(&word, data + i + 8 * lane, 8);
      lanes[lane] = std::rotl(lanes[lane] + word * kB, 31) * kA;
    }
  uint64_t sum = static_cast<uint64_t>(bytes) * kA;
  for (; i < bytes; ++i) sum = std::rotl(sum ^ ((data[i] + 0x100u) * kB), 11) * kA;
  for (uint64_t lane : lanes) {
    sum = (std::rotl(sum, 27) ^ (lane * kA)) * kB;
    sum ^= sum >> 29;
  }
  return sum;
}

}  // namespace bittern::runtime
