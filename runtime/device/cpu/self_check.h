// The startup self-check: every distinct kernel that is about to be used is run on its first real tensor and compared
// with the plain scalar kernel, so that a wrong kernel is found before it makes a wrong token. About 100 ms in all.
#pragma once
#include <vector>

#include "runtime/device/cpu/plan.h"
#include "runtime/device/cpu/weights.h"

namespace bittern::runtime {

// Kernels that gave other bits than the scalar path; one warning each. Matrix kernels are checked on 64 rows, the
// first, the last and the tail tile among them, at M = 1 and at the largest M they are chosen for.
std::vector<const bt_kernel *> self_check(const Program &program, const Plan &plan, const Weights &weights,
                                          const Warn &warn);

}  // namespace bittern::runtime
