// Where kept locals lie in scratch memory, whose size the descriptor promises as a linear form of the sizes.
#include <algorithm>

#include "codegen/llvm/loop_plan_steps.h"

namespace bittern::codegen {

using compiler::ExprPtr;
using compiler::IndexVar;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Role;
using compiler::Sizes;
using compiler::Tensor;

namespace {

// ---------------------------------------------------------------------------------------------------------------

using Bound = std::optional<Linear>;

Bound combine(const Bound &a, const Bound &b, int64_t sign) {
  if (!a || !b) return std::nullopt;
  Linear sum = *a;
  sum.constant += sign * b->constant;
  for (const auto &[size, coefficient] : b->sizes) sum.sizes[size] += sign * coefficient;
  std::erase_if(sum.sizes, [](const auto &term) { return term.second == 0; });
  return sum;
}

Bound product(const Bound &a, const Bound &b) {
  if (!a || !b) return std::nullopt;
  if (!a->sizes.empty() && !b->sizes.empty()) return std::nullopt;
  const Linear &variable = a->sizes.empty() ? *b : *a;
  const int64_t factor = a->sizes.empty() ? a->constant : b->constant;
  Linear result = variable;
  result.constant *= factor;
  for (auto &[size, coefficient] : result.sizes) coefficient *= factor;
  return result;
}

// An upper bound of a non-negative index expression, linear in the sizes.
class Bounds {
 public:
  Bounds(const KernelSpec &spec, const Sizes &fixed, const Stage &stage) : spec_(spec), fixed_(fixed), stage_(stage) {}

  Bound upper(const ExprPtr &e) const {
    switch (e->op) {
      case Op::IntConst:
        return Linear{e->ival, {}};
      case Op::Size: {
        const auto value = fixed_.find(e->name);
        if (value != fixed_.end()) return Linear{value->second, {}};
        return Linear{0, {{e->name, 1}}};
      }
      case Op::Var:
        for (const IndexVar &var : stage_.vars)
          if (var.name == e->name) return combine(upper(var.extent), Linear{1, {}}, -1);
        return std::nullopt;
      case Op::Load: {
        const Tensor *tensor = spec_.find(e->name);
        return tensor->range ? combine(upper(tensor->range->second), Linear{1, {}}, -1) : std::nullopt;
      }
      case Op::Add:
        return combine(upper(e->args[0]), upper(e->args[1]), 1);
      case Op::Sub:
        return e->args[1]->op == Op::IntConst ? combine(upper(e->args[0]), upper(e->args[1]), -1) : upper(e->args[0]);
      case Op::Mul:
        return product(upper(e->args[0]), upper(e->args[1]));
      case Op::Div:
        return quotient(upper(e->args[0]), e->args[1]);
      case Op::Mod:
        return combine(upper(e->args[1]), Linear{1, {}}, -1);
      case Op::Min: {
        const Bound first = upper(e->args[0]);
        return first ? first : upper(e->args[1]);
      }
      case Op::Max:
        return combine(upper(e->args[0]), upper(e->args[1]), 1);
      default:
        return std::nullopt;
    }
  }

 private:
  static Bound quotient(const Bound &dividend, const ExprPtr &divisor) {
    if (!dividend || divisor->op != Op::IntConst) return dividend;
    Linear result = *dividend;
    result.constant = result.constant / divisor->ival + 1;
    for (auto &[size, coefficient] : result.sizes) coefficient = (coefficient + divisor->ival - 1) / divisor->ival;
    return result;
  }

  const KernelSpec &spec_;
  const Sizes &fixed_;
  const Stage &stage_;
};

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
    Bound elements = Linear{1, {}};
    const Bounds bounds(spec, fixed, stage);
    for (size_t q = 0; q < stage.vars.size(); ++q) {
      const auto depth = std::find(stage.order.begin(), stage.order.end(), q) - stage.order.begin();
      if (static_cast<size_t>(depth) < common) continue;
      const Bound extent = bounds.upper(stage.vars[q].extent);
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
