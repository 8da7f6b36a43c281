// The plan is made by trial: keep every local that is worth keeping, and where that turns out to be impossible (its
// size is not linear in the size parameters) recompute it where it is read instead.
#include "codegen/loop_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/loop_plan_steps.h"
#include "compiler/error.h"
#include "compiler/expr.h"
#include "schedules/parallel.h"

namespace bittern::codegen {

using compiler::Expr;
using compiler::ExprPtr;
using compiler::IndexVar;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Role;
using compiler::Sizes;

namespace {

using Substitution = std::map<std::string, ExprPtr>;

bool is_var(const ExprPtr &e, const std::string &name) { return e->op == Op::Var && e->name == name; }

// --- the tiled index
// -----------------------------------------------------------------------------------------------------

bool runs_over(const IndexVar &var, const std::string &size) {
  return var.extent->op == Op::Size && var.extent->name == size;
}

// Restricts stages to the tile: outputs always, locals where every reader only wants the tile's part.
void choose_tiled(std::vector<Stage> &stages, const std::string &size) {
  for (size_t s = stages.size(); s-- > 0;) {
    Stage &stage = stages[s];
    std::vector<size_t> candidates;
    for (size_t q = 0; q < stage.vars.size(); ++q)
      if (runs_over(stage.vars[q], size)) candidates.push_back(q);
    for (size_t r = s + 1; r < stages.size(); ++r) {
      const Stage &reader = stages[r];
      for (const Expr *load : loads_of(reader, stage.tensor->name)) {
        std::erase_if(candidates, [&](size_t q) {
          return reader.tiled < 0 || !is_var(load->args[q], reader.vars[static_cast<size_t>(reader.tiled)].name);
        });
      }
    }
    stage.tiled = candidates.empty() ? -1 : static_cast<int>(candidates.front());
  }
}

void choose_order(Stage &stage) {
  if (stage.tiled >= 0) stage.order.push_back(static_cast<size_t>(stage.tiled));
  for (size_t q = 0; q < stage.vars.size(); ++q)
    if (static_cast<int>(q) != stage.tiled) stage.order.push_back(q);
}

// --- shared loops
// ----------------------------------------------------------------------------------------------------------

void rename(Stage &stage, size_t position, const std::string &name) {
  const Substitution vars = {{stage.vars[position].name, compiler::named(Op::Var, compiler::Type::I32, name)}};
  stage.vars[position].name = name;
  for (IndexVar &var : stage.vars) var.extent = compiler::substitute(var.extent, vars);
  stage.value = compiler::substitute(stage.value, vars);
}

// Whether `stage` may join the loop at `depth` that `run` shares: same extent, and what it reads of the run's results
// it reads at its own index.
bool may_join(const std::vector<Stage> &stages, const std::vector<size_t> &run, size_t candidate, size_t depth) {
  const Stage &first = stages[run.front()], &stage = stages[candidate];
  if (stage.order.size() <= depth) return false;
  const size_t position = stage.order[depth];
  const IndexVar &mine = stage.vars[position], &theirs = first.vars[first.order[depth]];
  const bool tiled = stage.tiled == static_cast<int>(position);
  const bool their_tiled = first.tiled == static_cast<int>(first.order[depth]);
  if (tiled != their_tiled || !compiler::equal(mine.extent, theirs.extent)) return false;
  for (const size_t member : run)
    for (const Expr *load : loads_of(stage, stages[member].tensor->name))
      if (!is_var(load->args[stages[member].order[depth]], mine.name)) return false;
  return true;
}

std::vector<Node> build_nest(std::vector<Stage> &stages, const std::vector<size_t> &members, size_t depth) {
  std::vector<Node> nodes;
  const auto leaf = [&](size_t s) {
    stages[s].shared = depth;
    Node node;
    node.stage = s;
    nodes.push_back(std::move(node));
  };
  for (size_t i = 0; i < members.size();) {
    std::vector<size_t> run = {members[i++]};
    if (stages[run[0]].order.size() <= depth) {
      leaf(run[0]);
      continue;
    }
    while (i < members.size() && may_join(stages, run, members[i], depth)) run.push_back(members[i++]);
    // A loop is shared only when some definition still has one of its own inside: the innermost is for vectors.
    const bool worth_it = run.size() > 1 && std::any_of(run.begin(), run.end(),
                                                        [&](size_t s) { return stages[s].order.size() > depth + 1; });
    if (!worth_it) {
      for (const size_t s : run) leaf(s);
      continue;
    }
    const Stage &first = stages[run[0]];
    Node node;
    node.var = first.vars[first.order[depth]];
    node.tiled = first.tiled == static_cast<int>(first.order[depth]);
    for (const size_t s : run) rename(stages[s], stages[s].order[depth], node.var.name);
    node.children = build_nest(stages, run, depth + 1);
    nodes.push_back(std::move(node));
  }
  return nodes;
}

void drop_unread(std::vector<Stage> &stages) {
  for (size_t s = stages.size(); s-- > 0;) {
    if (stages[s].tensor->role != Role::Local) continue;
    const bool read = std::any_of(stages.begin(), stages.end(), [&](const Stage &reader) {
      return !loads_of(reader, stages[s].tensor->name).empty();
    });
    if (!read) stages.erase(stages.begin() + static_cast<std::ptrdiff_t>(s));
  }
}

}  // namespace

LoopPlan plan_loops(const KernelSpec &spec, const Sizes &fixed, const schedules::Schedule &schedule) {
  const std::vector<int> candidates = schedules::parallel_sizes(spec);
  const int wanted = static_cast<int>(schedule.get("parallel", candidates.empty() ? -1 : candidates.front()));
  if (wanted >= 0 && std::find(candidates.begin(), candidates.end(), wanted) == candidates.end())
    throw Error(fmt::format("kernel {}: parallel={} names no size that divides every output", spec.name, wanted));

  std::set<std::string> inlined = tensors_to_inline(spec);
  for (;;) {
    LoopPlan plan;
    plan.parallel = wanted;
    plan.stages = make_stages(spec, inlined);
    drop_unread(plan.stages);
    if (wanted >= 0) choose_tiled(plan.stages, spec.sizes[static_cast<size_t>(wanted)]);
    std::vector<size_t> all;
    for (size_t s = 0; s < plan.stages.size(); ++s) {
      choose_order(plan.stages[s]);
      all.push_back(s);
    }
    plan.nest = build_nest(plan.stages, all, 0);
    const std::string impossible = choose_buffers(spec, fixed, plan);
    if (impossible.empty()) return plan;
    if (!inlined.insert(impossible).second)
      throw Error(fmt::format("kernel {}: {} can neither be kept nor recomputed", spec.name, impossible));
  }
}

}  // namespace bittern::codegen
