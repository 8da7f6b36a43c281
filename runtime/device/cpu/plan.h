// Which kernel runs each step of a program, for every number of tokens. Settled once at load, so that a decode step
// looks nothing up. A matrix has one layout, that of the kernel chosen for one token; other counts of tokens use
// kernels that read the same layout.
#pragma once
#include <cstdint>
#include <vector>

#include "runtime/device/device.h"
#include "runtime/kernels/dispatch.h"
#include "runtime/program/needs.h"

namespace bittern::runtime {

// A step's kernels: by_m[m - 1] for m tokens at once.
struct Choice {
  KernelNeed need;
  std::vector<const bt_kernel *> by_m;
  const bt_kernel *at(int64_t m) const { return by_m[static_cast<size_t>(m - 1)]; }
  const bt_layout *layout() const { return by_m[0]->layout; }
};

class Plan {
 public:
  // Throws Error when a layout has no kernel for some number of tokens (it cannot with the scalar layout).
  Plan(std::vector<KernelNeed> needs, const KernelSet &kernels, int64_t largest_m);

  const std::vector<Choice> &choices() const { return choices_; }
  const Choice &operator[](StepId id) const;  // of a step that the plan was made with

  // Chooses again after kernels were excluded, keeping the layouts. False when a layout has lost its last kernel.
  bool choose_again(const KernelSet &kernels);

 private:
  void choose(Choice &choice, const KernelSet &kernels, const bt_layout *layout);
  int64_t largest_m_;
  std::vector<Choice> choices_;
};

// Runs of M that use the same kernel.
std::vector<KernelUse> uses_of(const Plan &plan, const KernelSet &kernels);

}  // namespace bittern::runtime
