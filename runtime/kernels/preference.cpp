// See preference.h.
#include "runtime/kernels/preference.h"

#include <bit>
#include <cstdlib>

namespace bittern::runtime {

Preference preference(const KernelFacts &kernel, int64_t m, int threads) {
  return {m < kernel.m_min || m > kernel.m_max,
          static_cast<int>(kernel.origin),
          kernel.open_sizes,
          std::abs(kernel.threads - threads),
          kernel.threads,
          -static_cast<int>(std::bit_width(kernel.isa_needs)),
          kernel.m_max - kernel.m_min};
}

}  // namespace bittern::runtime
