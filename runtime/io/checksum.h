// A fast 64-bit checksum for files of gigabytes: detects damage, not malice.
#pragma once
#include <cstdint>

namespace bittern::runtime {

// Reads at about memory speed. Equal bytes give equal sums on every machine.
uint64_t checksum64(const uint8_t *data, int64_t bytes);

}  // namespace bittern::runtime
