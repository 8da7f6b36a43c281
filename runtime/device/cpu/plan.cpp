// See plan.h.
#include "runtime/device/cpu/plan.h"

#include <algorithm>

#include "runtime/error.h"

namespace bittern::runtime {

Plan::Plan(std::vector<KernelNeed> needs, const KernelSet &kernels, int64_t largest_m) : largest_m_(largest_m) {
  choices_.reserve(needs.size());
  for (KernelNeed &need : needs) {
    choices_.push_back({std::move(need), {}});
    Choice &choice = choices_.back();
    choose(choice, kernels, kernels.find(choice.need.role, choice.need.sizes)->layout);
  }
}

void Plan::choose(Choice &choice, const KernelSet &kernels, const bt_layout *layout) {
  std::vector<int64_t> sizes = choice.need.sizes;
  std::vector<const bt_kernel *> by_m;
  for (int64_t m = 1; m <= largest_m_; ++m) {
    sizes[0] = m;
    by_m.push_back(kernels.find(choice.need.role, sizes, layout));
  }
  choice.by_m = std::move(by_m);
}

bool Plan::choose_again(const KernelSet &kernels) {
  try {
    for (Choice &choice : choices_) choose(choice, kernels, choice.layout());
  } catch (const Error &) {
    return false;
  }
  return true;
}

const Choice &Plan::operator[](StepId id) const {
  return *std::find_if(choices_.begin(), choices_.end(), [&](const Choice &choice) { return choice.need.id == id; });
}

std::vector<KernelUse> uses_of(const Plan &plan, const KernelSet &kernels) {
  std::vector<KernelUse> uses;
  for (const Choice &choice : plan.choices())
    for (size_t i = 0; i < choice.by_m.size(); ++i) {
      const auto m = static_cast<int64_t>(i) + 1;
      if (i > 0 && choice.by_m[i] == uses.back().kernel) {
        uses.back().m_max = m;
        continue;
      }
      uses.push_back({step_name(choice.need.id), choice.need.role, choice.need.sizes, m, m, choice.by_m[i],
                      kernels.origin(choice.by_m[i])});
      uses.back().sizes[0] = m;
    }
  return uses;
}

}  // namespace bittern::runtime
