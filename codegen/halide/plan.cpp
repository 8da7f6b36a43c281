// See plan.h. The ternary templates stream weights: their outputs are one nest, cut along the innermost index wherever
// the shared plan of contractions allows it.
#include "codegen/halide/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "codegen/analysis.h"
#include "compiler/error.h"
#include "compiler/expr.h"
#include "schedules/contraction_plan.h"
#include "schedules/parallel.h"

namespace bittern::codegen::halide {

using compiler::ExprPtr;
using compiler::IndexVar;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Role;

namespace {

// The plan of contractions as stages of loops.
LoopPlan stages_of(const KernelSpec &spec, const schedules::ContractionPlan &products) {
  LoopPlan plan;
  plan.parallel = products.n_size;
  const auto index = [&](const std::string &name, int size) {
    return IndexVar{name, compiler::named(Op::Size, compiler::Type::I32, spec.sizes[static_cast<size_t>(size)])};
  };
  for (const schedules::PlannedOutput &output : products.outputs) {
    Stage stage{spec.find(output.tensor), {}, output.value, {}};
    if (!products.m.empty()) stage.vars.push_back(index(products.m, products.m_size));
    stage.vars.push_back(index(products.n, products.n_size));
    stage.tiled = static_cast<int>(stage.vars.size()) - 1;
    for (size_t q = stage.vars.size(); q-- > 0;) stage.order.push_back(q);
    plan.stages.push_back(std::move(stage));
  }
  // One Func gives all outputs, in the order of the arguments.
  std::sort(plan.stages.begin(), plan.stages.end(), [](const Stage &a, const Stage &b) { return a.tensor < b.tensor; });
  return plan;
}

// Loops over definitions, divided along the innermost index of the outputs if that may be.
LoopPlan loops_along_rows(const Request &request) {
  const KernelSpec &spec = request.spec;
  schedules::Schedule schedule = request.schedule;
  for (const int size : schedules::parallel_sizes(spec)) {
    const bool innermost = std::all_of(spec.definitions.begin(), spec.definitions.end(), [&](const auto &definition) {
      return spec.find(definition.tensor)->role != Role::Out ||
             schedules::index_over_size(definition, spec.sizes[static_cast<size_t>(size)]) + 1 ==
                 static_cast<int>(definition.vars.size());
    });
    if (innermost) schedule.params["parallel"] = size;
  }
  return plan_loops(spec, request.fixed, schedule);
}

void choose_outer(Plan &plan) {
  const auto is_local = [](const Stage &stage) { return stage.tensor->role == Role::Local; };
  if (std::none_of(plan.loops.stages.begin(), plan.loops.stages.end(), is_local)) return;
  for (const std::vector<Node> *level = &plan.loops.nest; level->size() == 1 && !level->front().stage;
       level = &level->front().children)
    plan.outer.push_back({level->front().var, level->front().tiled});
}

void collect_extents(Plan &plan) {
  std::set<std::string> known;
  for (const Plan::Loop &loop : plan.outer) known.insert(loop.var.name);
  const auto collect = [&](const ExprPtr &extent) {
    bool loads = false, foreign = false;
    compiler::walk(extent, [&](const ExprPtr &e) {
      loads |= e->op == Op::Load;
      foreign |= e->op == Op::Var && known.count(e->name) == 0;
    });
    const auto same = [&](const ExprPtr &other) { return compiler::equal(extent, other); };
    if (loads && !foreign && std::none_of(plan.extents.begin(), plan.extents.end(), same))
      plan.extents.push_back(extent);
  };
  for (const Stage &stage : plan.loops.stages) {
    for (const size_t position : plan.inner(stage)) collect(stage.vars[position].extent);
    compiler::walk(stage.value, [&](const ExprPtr &e) {
      if (compiler::is_reduction(e->op)) collect(e->args[0]);
    });
  }
}

}  // namespace

std::vector<size_t> Plan::inner(const Stage &stage) const {
  std::vector<size_t> positions(stage.order.begin() + static_cast<std::ptrdiff_t>(outer.size()), stage.order.end());
  std::sort(positions.rbegin(), positions.rend());
  return positions;
}

const Stage &Plan::stage_of(const compiler::Tensor &output) const {
  return *std::find_if(loops.stages.begin(), loops.stages.end(),
                       [&](const Stage &stage) { return stage.tensor == &output; });
}

Plan make_plan(const Request &request) {
  const KernelSpec &spec = request.spec;
  const schedules::Schedule &schedule = request.schedule;
  if (spec.sizes.empty()) throw Error(fmt::format("kernel {} has no size parameter to divide", spec.name));
  Plan plan;
  if (schedule.template_name == "loops") {
    plan.loops = plan_loops(spec, request.fixed, schedule);
  } else if (const auto products = schedules::plan_contractions(spec)) {
    plan.loops = stages_of(spec, *products);
    plan.one_nest = true;
  } else if (!schedules::find_contractions(spec).empty()) {
    plan.loops = loops_along_rows(request);
  } else {
    throw Error(fmt::format("kernel {} has no sum of ternary weights times int8 for halide.{}", spec.name,
                            schedule.template_name));
  }
  choose_outer(plan);
  collect_extents(plan);
  plan.tile = default_tile(plan.loops);
  if (schedule.template_name == "gemm" && plan.tile > 1 && plan.loops.parallel >= 0) plan.tile = schedule.get("nb", 1);
  return plan;
}

}  // namespace bittern::codegen::halide
