// What dispatch prefers, in one place: the engine asks it of the kernels that are loaded, the tuner and bitnet-emit ask
// it of schedules, so that they speak of the kernel that would run.
#pragma once
#include <cstdint>
#include <tuple>

#include "runtime/kernels/dispatch.h"

namespace bittern::runtime {

// What dispatch goes by. The sizes fit.
struct KernelFacts {
  KernelOrigin origin = KernelOrigin::Default;
  int64_t m_min = 1, m_max = INT64_MAX;
  int open_sizes = 0;  // that the kernel was not made for: it may have been tuned on other ones
  int threads = 0;     // that it was tuned for
  uint32_t isa_needs = 0;
};

// Smaller is preferred; of equals the first. Fields in order of importance: M outside the kernel's range comes last,
// then tuned before default before scalar, the thread count next to the wanted, the best instruction set, the narrowest
// range of M.
using Preference = std::tuple<bool, int, int, int, int, int, int64_t>;
Preference preference(const KernelFacts &kernel, int64_t m, int threads);

}  // namespace bittern::runtime
