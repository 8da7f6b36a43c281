// Which locals are worth keeping, and the kernel's definitions without the others.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "codegen/loop_plan_steps.h"
#include "compiler/expr.h"

namespace bittern::codegen {

using compiler::Definition;
using compiler::Expr;
using compiler::ExprPtr;
using compiler::IndexVar;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Role;
using compiler::Tensor;

namespace {

constexpr int kReductionCost = 1000;
constexpr int kCheap = 4;  // operations that are recomputed rather than stored

using Substitution = std::map<std::string, ExprPtr>;

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

}  // namespace

std::set<std::string> tensors_to_inline(const KernelSpec &spec) {
  std::set<std::string> inlined, dear;
  for (const Definition &definition : spec.definitions) {
    const Tensor *tensor = spec.find(definition.tensor);
    if (tensor->role != Role::Local) continue;
    // What is cheap but reads a reduction that is to be recomputed is as dear as that.
    bool cheap = cost(spec, definition.value) <= kCheap;
    compiler::walk(definition.value, [&](const ExprPtr &e) {
      if (e->op == Op::Load && dear.count(e->name)) cheap = false;
    });
    if (tensor->type == compiler::Type::Bool || tensor->type == compiler::Type::Ternary ||
        read_once(uses_of(spec, definition.tensor)) || cheap) {
      inlined.insert(definition.tensor);
      if (!cheap) dear.insert(definition.tensor);
    }
  }
  return inlined;
}

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

std::vector<const Expr *> loads_of(const Stage &stage, const std::string &tensor) {
  std::vector<const Expr *> loads;
  const auto visit = [&](const ExprPtr &e) {
    if (e->op == Op::Load && e->name == tensor) loads.push_back(e.get());
  };
  for (const IndexVar &var : stage.vars) compiler::walk(var.extent, visit);
  compiler::walk(stage.value, visit);
  return loads;
}

}  // namespace bittern::codegen
