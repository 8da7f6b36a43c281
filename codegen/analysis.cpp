// See analysis.h: walks over expressions, no state.
#include "codegen/analysis.h"

#include <algorithm>
#include <functional>

#include "compiler/expr.h"

namespace bittern::codegen {

using compiler::Expr;
using compiler::ExprPtr;
using compiler::IndexVar;
using compiler::Op;
using compiler::Role;

namespace {

constexpr int64_t kEverything = int64_t{1} << 40;  // larger than any size

// How a reduction may be lowered, by the memory it would walk.
struct ReductionCost {
  bool possible = false;
  int gathers = 0;  // loads that would be gathered lane by lane
};

// Loads that vectors along `var` would gather; impossible when a reduction inside moves with it.
void count_gathers(const ExprPtr &e, const std::string &var, ReductionCost &cost) {
  if (compiler::is_reduction(e->op) && moves(e, var)) cost.possible = false;
  if (e->op == Op::Load) {
    if (load_motion(*e, var) == Motion::Other) ++cost.gathers;
    return;
  }
  for (const ExprPtr &arg : e->args) count_gathers(arg, var, cost);
}

// In vectors along its own variable.
ReductionCost dot_cost(const ExprPtr &reduction) {
  ReductionCost cost{true, 0};
  count_gathers(reduction->args[1], reduction->name, cost);
  return cost;
}

// In vectors along `var`, an index of the result.
ReductionCost outer_cost(const ExprPtr &reduction, const std::string &var) {
  ReductionCost cost{!moves(reduction->args[0], var), 0};
  count_gathers(reduction->args[1], var, cost);
  return cost;
}

bool extents_fixed(const ExprPtr &e, const std::string &var) {
  if (compiler::is_reduction(e->op) && moves(e->args[0], var)) return false;
  return std::all_of(e->args.begin(), e->args.end(), [&](const ExprPtr &arg) { return extents_fixed(arg, var); });
}

}  // namespace

Motion motion(const ExprPtr &e, const std::string &var) {
  const auto operand = [&](size_t i) { return motion(e->args[i], var); };
  const bool all_fixed = std::all_of(e->args.begin(), e->args.end(),
                                     [&](const ExprPtr &arg) { return motion(arg, var) == Motion::Fixed; });
  if (e->op == Op::Var) return e->name == var ? Motion::UnitStride : Motion::Fixed;
  if (all_fixed) return Motion::Fixed;
  if (e->op == Op::Add && (operand(0) == Motion::Fixed || operand(1) == Motion::Fixed))
    return operand(0) == Motion::Fixed ? operand(1) : operand(0);
  if (e->op == Op::Sub && operand(1) == Motion::Fixed) return operand(0);
  return Motion::Other;
}

Motion load_motion(const Expr &load, const std::string &var) {
  for (size_t i = 0; i + 1 < load.args.size(); ++i)
    if (motion(load.args[i], var) != Motion::Fixed) return Motion::Other;
  return load.args.empty() ? Motion::Fixed : motion(load.args.back(), var);
}

std::vector<ExprPtr> outer_reductions(const ExprPtr &e) {
  std::vector<ExprPtr> found;
  const std::function<void(const ExprPtr &)> visit = [&](const ExprPtr &node) {
    if (!compiler::is_reduction(node->op)) {
      for (const ExprPtr &arg : node->args) visit(arg);
    } else if (std::find(found.begin(), found.end(), node) == found.end()) {
      found.push_back(node);
    }
  };
  visit(e);
  return found;
}

bool is_i8_product(const ExprPtr &e) {
  const auto widened = [](const ExprPtr &x) { return x->op == Op::Cast && x->args[0]->type == compiler::Type::I8; };
  return e->op == Op::Mul && e->type == compiler::Type::I32 && widened(e->args[0]) && widened(e->args[1]);
}

bool has_dot_form(const ExprPtr &reduction) { return dot_cost(reduction).possible; }

bool favours_outer(const Stage &stage, const std::string &var) {
  int dot_gathers = 0, outer_gathers = 0;
  for (const ExprPtr &reduction : outer_reductions(stage.value)) {
    const ReductionCost dot = dot_cost(reduction), outer = outer_cost(reduction, var);
    if (!outer.possible) return false;
    dot_gathers += dot.possible ? dot.gathers : 1000;
    outer_gathers += outer.gathers;
  }
  return outer_gathers < dot_gathers;
}

bool advances_together(const Stage &stage, size_t position) {
  const std::string &name = stage.vars[position].name;
  return extents_fixed(stage.value, name) &&
         std::none_of(stage.vars.begin(), stage.vars.end(), [&](const IndexVar &v) { return moves(v.extent, name); });
}

int64_t default_tile(const LoopPlan &plan) {
  if (plan.parallel < 0) return kEverything;
  int64_t tile = 256;
  for (const Stage &stage : plan.stages) {
    if (stage.tensor->role != Role::Out) continue;
    const bool innermost = stage.tiled + 1 == static_cast<int>(stage.vars.size());
    tile = std::min<int64_t>(tile, !innermost ? 1 : outer_reductions(stage.value).empty() ? 256 : 64);
  }
  return tile;
}

}  // namespace bittern::codegen
