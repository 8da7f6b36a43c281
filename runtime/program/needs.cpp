// See needs.h.
#include "runtime/program/needs.h"

#include <algorithm>

#include "runtime/program/build.h"

namespace bittern::runtime {

std::vector<KernelNeed> kernel_needs(const Program &program) {
  std::vector<KernelNeed> needs;
  for (const Step &step : program.steps) {
    const auto same = [&](const KernelNeed &need) { return need.id == step.id; };
    if (!is_host_step(step.id) && std::none_of(needs.begin(), needs.end(), same))
      needs.push_back({step.id, step.role, step.sizes});
  }
  std::sort(needs.begin(), needs.end(), [](const KernelNeed &a, const KernelNeed &b) { return a.id < b.id; });
  const auto products = std::stable_partition(needs.begin(), needs.end(), [](const KernelNeed &need) {
    return need.role == Role::W2A8 || need.role == Role::W2A8Group;
  });
  std::stable_sort(needs.begin(), products, [](const KernelNeed &a, const KernelNeed &b) {
    return a.sizes[1] * a.sizes[2] > b.sizes[1] * b.sizes[2];
  });
  return needs;
}

std::vector<KernelProblem> kernel_problems(const Program &program, const std::vector<int64_t> &m_values) {
  std::vector<KernelProblem> problems;
  for (const KernelNeed &need : kernel_needs(program)) {
    const RoleInfo &role = role_info(need.role);
    for (const int64_t m : m_values) {
      KernelProblem problem{step_name(need.id), role.spec, {}};
      for (size_t i = 0; i < need.sizes.size(); ++i)
        problem.sizes.emplace_back(role.sizes[i], i == 0 ? m : need.sizes[i]);
      const bool known = std::any_of(problems.begin(), problems.end(), [&](const KernelProblem &other) {
        return other.spec == problem.spec && other.sizes == problem.sizes;
      });
      if (!known) problems.push_back(std::move(problem));
    }
  }
  return problems;
}

std::vector<KernelProblem> kernel_problems(const ModelSource &source, const std::vector<int64_t> &m_values) {
  return kernel_problems(build_program(source.config(), with_formats_of(source, {})), m_values);
}

}  // namespace bittern::runtime
