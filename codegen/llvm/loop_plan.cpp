// The plan is made by trial: keep every local that is worth keeping, and where that turns out to be impossible (its
// size is not linear in the size parameters) recompute it where it is read instead.
#include "codegen/llvm/loop_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "compiler/error.h"
#include "compiler/expr.h"
#include "schedules/parallel.h"

namespace bittern::codegen {
namespace {

using compiler::Definition;
using compiler::Expr;
using compiler::ExprPtr;
using compiler::IndexVar;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Role;
using compiler::Sizes;
using compiler::Tensor;

constexpr int kReductionCost = 1000;
constexpr int kCheap = 4;  // operations that are recomputed rather than stored

using Substitution = std::map<std::string, ExprPtr>;

bool is_var(const ExprPtr &e, const std::string &name) { return e->op == Op::Var && e->name == name; }

// --- what a local costs and where it is read
// ---------------------------------------------------------------------------

int cost(const KernelSpec &spec, const ExprPtr &e) {
  int total = 0;
  switch (e->op) {
    case Op::IntConst:
    case Op::FloatConst:
    case Op::Var:
    case Op::Size:
    case Op::Scalar:
    case Op::Let:
    case Op::Load:
      break;
    case Op::Sum:
    case Op::MaxOf:
    case Op::MinOf:
      total = kReductionCost;
      break;
    case Op::Call:
      for (const compiler::Function &function : spec.functions) {
        if (function.name != e->name) continue;
        for (const auto &[name, value] : function.lets) total += cost(spec, value);
        total += cost(spec, function.result);
      }
      break;
    default:
      total = 1;
  }
  if (e->op == Op::Load) return 0;  // indices are cheap next to the memory they name
  for (const ExprPtr &arg : e->args) total += cost(spec, arg);
  return std::min(total, 10 * kReductionCost);
}

struct Use {
  const Expr *load;
  std::set<std::string> scope;  // variables in scope where the load stands
};

void collect_uses(const ExprPtr &e, const std::string &tensor, std::set<std::string> scope, std::vector<Use> &uses) {
  if (compiler::is_reduction(e->op)) {
    collect_uses(e->args[0], tensor, scope, uses);
    scope.insert(e->name);
    collect_uses(e->args[1], tensor, scope, uses);
    return;
  }
  if (e->op == Op::Load && e->name == tensor) uses.push_back({e.get(), scope});
  for (const ExprPtr &arg : e->args) collect_uses(arg, tensor, scope, uses);
}

std::vector<Use> uses_of(const KernelSpec &spec, const std::string &tensor) {
  std::vector<Use> uses;
  for (const Definition &definition : spec.definitions) {
    if (spec.find(definition.tensor)->role == Role::Given) continue;
    std::set<std::string> scope;
    for (const IndexVar &var : definition.vars) {
      collect_uses(var.extent, tensor, scope, uses);
      scope.insert(var.name);
    }
    collect_uses(definition.value, tensor, scope, uses);
  }
  return uses;
}

// Whether the one place that reads the tensor reads every element once.
bool read_once(const std::vector<Use> &uses) {
  if (uses.size() != 1) return false;
  std::set<std::string> names;
  for (const ExprPtr &arg : uses[0].load->args) {
    if (arg->op != Op::Var) return false;
    names.insert(arg->name);
  }
  return names == uses[0].scope && names.size() == uses[0].load->args.size();
}

std::set<std::string> tensors_to_inline(const KernelSpec &spec) {
  std::set<std::string> inlined;
  for (const Definition &definition : spec.definitions) {
    const Tensor *tensor = spec.find(definition.tensor);
    if (tensor->role != Role::Local) continue;
    if (tensor->type == compiler::Type::Bool || tensor->type == compiler::Type::Ternary ||
        read_once(uses_of(spec, definition.tensor)) || cost(spec, definition.value) <= kCheap)
      inlined.insert(definition.tensor);
  }
  return inlined;
}

// --- substitution
// ------------------------------------------------------------------------------------------------------

// Rewrites expressions: index variables by name, inlined tensors by their definitions, reduction variables by fresh
// names, so that no name means two things.
class Rewriter {
 public:
  Rewriter(const KernelSpec &spec, const std::set<std::string> &inlined) : spec_(spec), inlined_(inlined) {}

  std::string fresh(const std::string &name) { return fmt::format("{}.{}", name, count_++); }

  ExprPtr rewrite(const ExprPtr &e, const Substitution &vars) {
    std::map<const Expr *, ExprPtr> memo;
    return rewrite(e, vars, memo);
  }

 private:
  ExprPtr rewrite(const ExprPtr &e, const Substitution &vars, std::map<const Expr *, ExprPtr> &memo) {
    const auto done = memo.find(e.get());
    if (done != memo.end()) return done->second;
    ExprPtr result = compute(e, vars, memo);
    memo[e.get()] = result;
    return result;
  }

  ExprPtr compute(const ExprPtr &e, const Substitution &vars, std::map<const Expr *, ExprPtr> &memo) {
    if (e->op == Op::Var) {
      const auto found = vars.find(e->name);
      return found == vars.end() ? e : found->second;
    }
    if (e->args.empty()) return e;
    Expr copy = *e;
    if (compiler::is_reduction(e->op)) {
      copy.name = fresh(e->name);
      Substitution inner = vars;
      inner[e->name] = compiler::named(Op::Var, compiler::Type::I32, copy.name);
      copy.args = {rewrite(e->args[0], vars, memo), rewrite(e->args[1], inner)};
      return std::make_shared<const Expr>(std::move(copy));
    }
    for (ExprPtr &arg : copy.args) arg = rewrite(arg, vars, memo);
    if (e->op == Op::Load && inlined_.count(e->name)) {
      const Definition *definition = spec_.definition(e->name);
      Substitution indices;
      for (size_t i = 0; i < definition->vars.size(); ++i) indices[definition->vars[i].name] = copy.args[i];
      return rewrite(definition->value, indices);
    }
    return std::make_shared<const Expr>(std::move(copy));
  }

  const KernelSpec &spec_;
  const std::set<std::string> &inlined_;
  int count_ = 0;
};

std::vector<Stage> make_stages(const KernelSpec &spec, const std::set<std::string> &inlined) {
  Rewriter rewriter(spec, inlined);
  std::vector<Stage> stages;
  for (const Definition &definition : spec.definitions) {
    const Tensor *tensor = spec.find(definition.tensor);
    if (tensor->role == Role::Given || (tensor->role == Role::Local && inlined.count(definition.tensor))) continue;
    Stage stage{tensor, {}, nullptr, {}};
    Substitution vars;
    for (const IndexVar &var : definition.vars) {
      const std::string name = rewriter.fresh(var.name);
      stage.vars.push_back({name, rewriter.rewrite(var.extent, vars)});
      vars[var.name] = compiler::named(Op::Var, compiler::Type::I32, name);
    }
    stage.value = rewriter.rewrite(definition.value, vars);
    stages.push_back(std::move(stage));
  }
  return stages;
}

// Loads of a tensor in a stage's value and extents.
std::vector<const Expr *> loads_of(const Stage &stage, const std::string &tensor) {
  std::vector<const Expr *> loads;
  const auto visit = [&](const ExprPtr &e) {
    if (e->op == Op::Load && e->name == tensor) loads.push_back(e.get());
  };
  for (const IndexVar &var : stage.vars) compiler::walk(var.extent, visit);
  compiler::walk(stage.value, visit);
  return loads;
}

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

// --- storage
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

// Gives every kept local its buffer. Returns one that cannot have any; empty when all have.
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
