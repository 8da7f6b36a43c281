// llvm.loops, the template that lowers every verified kernel: loops over definitions, vectorised along rows or sums.
// Its parameters say how many results advance together and how much a tile covers; what may be fused, stored or
// recomputed is the generator's to decide from the kernel's text.
#include <fmt/format.h>

#include <algorithm>

#include "schedules/parallel.h"
#include "schedules/template.h"

namespace bittern::schedules {
namespace {

using compiler::ExprPtr;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Sizes;

bool has_ternary(const KernelSpec &spec) {
  return std::any_of(spec.tensors.begin(), spec.tensors.end(),
                     [](const compiler::Tensor &tensor) { return tensor.type == compiler::Type::Ternary; });
}

bool contains_sum(const ExprPtr &e) {
  return e->op == Op::Sum || std::any_of(e->args.begin(), e->args.end(), contains_sum);
}

bool has_sum(const KernelSpec &spec) {
  return std::any_of(spec.definitions.begin(), spec.definitions.end(),
                     [](const compiler::Definition &definition) { return contains_sum(definition.value); });
}

bool x86(const Target &target) { return target.llvm_triple.starts_with("x86_64"); }

std::vector<Param> loops_params(const KernelSpec &spec, const Target &) {
  std::vector<Param> all;
  if (has_sum(spec)) {
    all.push_back({"rows", {1, 2, 4, 8}, 4, "results along the innermost index whose sums advance together"});
    all.push_back({"tokens", {1, 2, 4}, 1, "results along the index before it whose sums advance together"});
    all.push_back({"prefetch", {0, 512, 1024, 2048, 4096}, 0, "bytes fetched ahead in every row of a block of sums"});
  }
  all.push_back({"unroll", {1, 2, 4}, 1, "vector steps a loop step"});
  std::vector<int64_t> parallel;
  for (const int size : parallel_sizes(spec)) parallel.push_back(size);
  if (parallel.size() > 1)
    all.push_back({"parallel", parallel, parallel.front(), "index of the size parameter that tiles divide"});
  all.push_back({"tile", {0, 1, 4, 16, 64, 256, 1024}, 0, "how much of that size a tile covers; 0: by its place"});
  return all;
}

// Ternary operands are read one trit at a time here; any layout will do, so the plainest of each family is offered.
std::vector<std::string> loops_layouts(const KernelSpec &spec, const Target &) {
  return has_ternary(spec) ? std::vector<std::string>{"i2r1", "i2r2", "i2r4", "i2r8"} : std::vector<std::string>{};
}

std::optional<std::string> illegal_block(const KernelSpec &, const Sizes &, const Schedule &schedule, const Target &) {
  if (schedule.get("rows", 4) * schedule.get("tokens", 1) > 8)
    return fmt::format("rows={} times tokens={} sums of 16 partials do not fit the registers", schedule.get("rows", 4),
                       schedule.get("tokens", 1));
  return std::nullopt;
}

// Smaller is sooner: four sums at a time with a prefetch of a couple of kilobytes has measured best.
double prior(const KernelSpec &spec, const Sizes &, const Schedule &schedule, const Target &) {
  double cost = has_ternary(spec) ? 50 : 1;
  if (has_sum(spec)) {
    const auto together = static_cast<double>(schedule.get("rows", 4) * schedule.get("tokens", 1));
    cost += together < 4 ? 0.4 / together : 0.02 * together;
    cost += schedule.get("prefetch", 0) == 0 ? 0.1 : 0;
  }
  cost += 0.02 * static_cast<double>(schedule.get("unroll", 1)) + (schedule.get("tile", 0) == 0 ? 0 : 0.2);
  const std::vector<int> sizes = parallel_sizes(spec);
  if (!sizes.empty() && schedule.get("parallel", sizes.front()) != sizes.front()) cost += 0.5;
  return cost;
}

// Kernels with ternary operands ship with a contraction template's defaults when one applies.
std::vector<Default> loops_defaults(const KernelSpec &spec, const Target &target) {
  if (has_ternary(spec))
    for (const Template &row : llvm_contraction_templates())
      if (row.applies(spec, target)) return {};
  Schedule schedule{"llvm", "loops", {}, has_ternary(spec) ? "i2r4" : ""};
  if (has_sum(spec)) schedule.params = {{"rows", 4}, {"tokens", 2}, {"prefetch", 1024}};
  return {{schedule, 1, INT64_MAX}};
}

}  // namespace

std::vector<Template> llvm_loops_templates() {
  return {{"llvm", "loops", "any kernel: loops over its definitions, vectorised along rows or sums",
           [](const KernelSpec &, const Target &target) { return x86(target); }, loops_params, loops_layouts,
           illegal_block, prior, loops_defaults}};
}

}  // namespace bittern::schedules
