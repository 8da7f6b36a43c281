// Where kept locals lie in scratch memory, whose size the descriptor promises as a linear form of the sizes.
#include <algorithm>

#include "codegen/loop_plan_steps.h"

namespace bittern::codegen {

using compiler::KernelSpec;
using compiler::Role;
using compiler::Sizes;

namespace {

using Paths = std::map<size_t, std::vector<std::string>>;  // stage: variables of the shared loops round it

void collect_paths(const std::vector<Node> &nodes, std::vector<std::string> path, Paths &paths) {
  for (const Node &node : nodes) {
    if (node.stage) {
      paths[*node.stage] = path;
      continue;
    }
    std::vector<std::string> inner = path;
    inner.push_back(node.var.name);
    collect_paths(node.children, inner, paths);
  }
}

}  // namespace

std::string choose_buffers(const KernelSpec &spec, const Sizes &fixed, LoopPlan &plan) {
  Paths paths;
  collect_paths(plan.nest, {}, paths);
  for (size_t s = 0; s < plan.stages.size(); ++s) {
    const Stage &stage = plan.stages[s];
    if (stage.tensor->role != Role::Local) continue;
    // Loops that go round the stage and all its readers need no storage for their index.
    size_t common = paths[s].size();
    for (size_t r = 0; r < plan.stages.size(); ++r) {
      if (loads_of(plan.stages[r], stage.tensor->name).empty()) continue;
      const std::vector<std::string> &path = paths[r];
      size_t equal = 0;
      while (equal < common && equal < path.size() && path[equal] == paths[s][equal]) ++equal;
      common = equal;
    }
    Buffer buffer;
    std::optional<Linear> elements = Linear{1, {}};
    for (size_t q = 0; q < stage.vars.size(); ++q) {
      const auto depth = std::find(stage.order.begin(), stage.order.end(), q) - stage.order.begin();
      if (static_cast<size_t>(depth) < common) continue;
      const std::optional<Linear> extent = upper_bound(spec, fixed, stage.vars, stage.vars[q].extent);
      elements = product(elements, extent);
      if (!elements) return stage.tensor->name;
      buffer.positions.push_back(q);
      buffer.extents.push_back(*extent);
    }
    buffer.elements = *elements;
    if (std::any_of(buffer.elements.sizes.begin(), buffer.elements.sizes.end(),
                    [](const auto &term) { return term.second < 0; }))
      return stage.tensor->name;
    if (!buffer.positions.empty()) plan.buffers[stage.tensor->name] = std::move(buffer);
  }
  return "";
}

}  // namespace bittern::codegen
