// See plan.h.
#include "runtime/engine/plan.h"

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

const Choice &Plan::operator[](const std::string &what) const {
  for (const Choice &choice : choices_)
    if (choice.need.what == what) return choice;
  throw Error("the plan has no step called " + what);
}

}  // namespace bittern::runtime
