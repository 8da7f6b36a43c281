// Division of the kernel language: rounded down, whatever the signs.
#pragma once
#include <cstdint>

namespace bittern::compiler {

// floor(a / b) of a nonzero b.
inline int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0); }

}  // namespace bittern::compiler
