// Random numbers that are a function of (key, counter): the draw for a token does not depend on what was drawn before.
#pragma once
#include <array>
#include <cstdint>

namespace bittern::runtime {

// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

}  // namespace bittern::runtime
