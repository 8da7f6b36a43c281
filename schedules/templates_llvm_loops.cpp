// llvm.loops, the template that lowers every verified kernel: loops over definitions, vectorised along rows or sums.
// Its parameters say how many results advance together and how much a tile covers; what may be fused, stored or
// recomputed is the generator's to decide from the kernel's text.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/token_size.h"
#include "schedules/parallel.h"
#include "schedules/template.h"

namespace bittern::schedules {
namespace {

constexpr int64_t kBlockAhead = 1024;

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

// Whether several sums can advance together: there is one with an index of its own, not only that of a row which other
// definitions share.
bool has_block_of_sums(const KernelSpec &spec) {
  size_t deepest = 0;
  for (const compiler::Definition &definition : spec.definitions) deepest = std::max(deepest, definition.vars.size());
  return std::any_of(spec.definitions.begin(), spec.definitions.end(), [&](const compiler::Definition &definition) {
    return contains_sum(definition.value) && (definition.vars.size() >= 2 || definition.vars.size() == deepest);
  });
}

// Whether threads divide the rows of a matrix whose sums are the results, so that time goes into streaming it.
bool streams_rows(const KernelSpec &spec) {
  const std::vector<int> sizes = parallel_sizes(spec);
  if (sizes.empty()) return false;
  return std::any_of(spec.definitions.begin(), spec.definitions.end(), [&](const compiler::Definition &definition) {
    const int position = index_over_size(definition, spec.sizes[static_cast<size_t>(sizes.front())]);
    return contains_sum(definition.value) && position > 0 && position + 1 == static_cast<int>(definition.vars.size());
  });
}

std::vector<Param> loops_params(const KernelSpec &spec, const Target &) {
  std::vector<Param> all;
  if (has_block_of_sums(spec)) {
    all.push_back({"rows", {1, 2, 4, 8}, 4, "results along the innermost index whose sums advance together"});
    all.push_back({"tokens", {1, 2, 4}, 1, "results along the index before it whose sums advance together"});
    all.push_back({"prefetch",
                   {0, 512, 1024, 2048, 4096},
                   0,
                   "bytes fetched ahead in a row; several rows fetch their next block"});
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
  if (schedule.get("rows", 4) > 1 && schedule.get("prefetch", 0) != 0 && schedule.get("prefetch", 0) != kBlockAhead)
    return fmt::format("several rows fetch their whole next block: prefetch is 0 or {}", kBlockAhead);
  return std::nullopt;
}

// Heuristic cost, lower is tried first: for one token a single row, for many eight sums at a time.
double prior(const KernelSpec &spec, const Sizes &sizes, const Schedule &schedule, const Target &) {
  double cost = has_ternary(spec) ? 50 : 1;
  if (has_block_of_sums(spec)) {
    const auto together = static_cast<double>(schedule.get("rows", 4) * schedule.get("tokens", 1));
    const auto tokens = sizes.find(compiler::token_size(spec));
    const bool stream = streams_rows(spec) && tokens != sizes.end() && tokens->second < 8;
    cost += stream ? 0.05 * static_cast<double>(schedule.get("rows", 4)) : 0.4 / together;
    cost += 0.00001 * static_cast<double>(schedule.get("prefetch", 0));
  }
  cost += 0.02 * static_cast<double>(schedule.get("unroll", 1)) + (schedule.get("tile", 0) == 0 ? 0 : 0.2);
  const std::vector<int> dimensions = parallel_sizes(spec);
  if (!dimensions.empty() && schedule.get("parallel", dimensions.front()) != dimensions.front()) cost += 0.5;
  return cost;
}

// Kernels with ternary operands have a contraction template's defaults when one applies.
std::vector<Default> loops_defaults(const KernelSpec &spec, const Target &target) {
  if (has_ternary(spec))
    for (const Template &row : llvm_contraction_templates())
      if (row.applies(spec, target)) return {};
  const std::string layout = has_ternary(spec) ? "i2r4" : "";
  const bool many_tokens = !compiler::token_size(spec).empty();
  if (!streams_rows(spec) || !many_tokens) return {{{"llvm", "loops", {}, layout}, 1, INT64_MAX}};
  // One token: a single row at a time keeps memory access sequential, which is all that counts; the long prefetch costs
  // nothing where the hardware keeps up by itself. More tokens: blocks that use every loaded row for several.
  const std::map<std::string, int64_t> stream = {{"rows", 1}, {"prefetch", 8192}, {"unroll", 2}};
  const std::map<std::string, int64_t> few = {{"rows", 1}, {"tokens", 4}};
  const std::map<std::string, int64_t> many = {{"rows", 2}, {"tokens", 2}};
  return {{{"llvm", "loops", stream, layout}, 1, 1},
          {{"llvm", "loops", few, layout}, 2, 7},
          {{"llvm", "loops", many, layout}, 8, INT64_MAX}};
}

}  // namespace

std::vector<Template> llvm_loops_templates() {
  return {{"llvm", "loops", "any kernel: loops over its definitions, vectorised along rows or sums",
           [](const KernelSpec &, const Target &) { return true; }, loops_params, loops_layouts, illegal_block, prior,
           loops_defaults}};
}

}  // namespace bittern::schedules
