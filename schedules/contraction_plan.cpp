// Expands the locals that hold contractions into the outputs, gives all outputs the same variables, and checks that
// what remains is what the contraction generators can walk.
#include "schedules/contraction_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compiler/bounds.h"
#include "compiler/expr.h"
#include "schedules/parallel.h"
#include "schedules/ternary_facts.h"

namespace bittern::schedules {

using compiler::Definition;
using compiler::ExprPtr;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Role;
using compiler::Type;

namespace {

// Reason that stops a plan; caught by plan_contractions and nowhere else.
struct Unplannable {
  std::string reason;
};

class Planner {
 public:
  explicit Planner(const KernelSpec &spec) : spec_(spec) {}

  ContractionPlan plan() {
    if (find_contractions(spec_).empty()) throw Unplannable{"it has no sum of ternary weights times int8 activations"};
    for (const Definition &definition : spec_.definitions)
      if (spec_.find(definition.tensor)->role == Role::Out) add_output(definition);
    if (plan_.sums.empty()) throw Unplannable{"no output needs its contractions"};
    for (const PlannedOutput &output : plan_.outputs) check_rest(output.value);
    return std::move(plan_);
  }

 private:
  // Replaces loads of locals (and of outputs defined earlier) by their definitions; equal loads give one node.
  ExprPtr expand(const ExprPtr &e, int depth = 0) {
    if (depth > 64 || ++work_ > 100000) throw Unplannable{"its locals expand to too much"};
    if (e->op == Op::Load && is_computed(*spec_.find(e->name))) {
      for (const auto &[load, expanded] : expanded_)
        if (compiler::equal(load, e)) return expanded;
      const Definition &definition = *spec_.definition(e->name);
      std::map<std::string, ExprPtr> arguments;
      for (size_t i = 0; i < definition.vars.size(); ++i)
        arguments[definition.vars[i].name] = expand(e->args[i], depth + 1);
      const ExprPtr value = expand(compiler::substitute(definition.value, arguments), depth + 1);
      expanded_.emplace_back(e, value);
      return value;
    }
    return rebuild(e, [&](const ExprPtr &arg) { return expand(arg, depth + 1); });
  }

  static bool is_computed(const compiler::Tensor &tensor) {
    return tensor.role == Role::Local || tensor.role == Role::Out;
  }

  template <typename Change>
  static ExprPtr rebuild(const ExprPtr &e, const Change &change) {
    std::vector<ExprPtr> args;
    bool changed = false;
    for (const ExprPtr &arg : e->args) {
      args.push_back(change(arg));
      changed |= args.back() != arg;
    }
    if (!changed) return e;
    auto copy = std::make_shared<compiler::Expr>(*e);
    copy->args = std::move(args);
    return copy;
  }

  // Takes an output's variables as the plan's, or renames them to those of the first output.
  ExprPtr with_common_variables(const Definition &definition) {
    const size_t rank = definition.vars.size();
    if (spec_.find(definition.tensor)->pad > 1)
      throw Unplannable{fmt::format("output {} is padded", definition.tensor)};
    if (rank == 0 || rank > 2) throw Unplannable{fmt::format("output {} has rank {}", definition.tensor, rank)};
    const auto size_of = [&](const compiler::IndexVar &var) {
      const auto at = std::find(spec_.sizes.begin(), spec_.sizes.end(), var.extent->name);
      if (var.extent->op != Op::Size || at == spec_.sizes.end())
        throw Unplannable{
            fmt::format("index {} of {} does not run over a size parameter", var.name, definition.tensor)};
      return static_cast<int>(at - spec_.sizes.begin());
    };
    const int n_size = size_of(definition.vars.back());
    const int m_size = rank == 2 ? size_of(definition.vars.front()) : -1;
    if (plan_.outputs.empty()) {
      plan_.n = definition.vars.back().name;
      plan_.m = rank == 2 ? definition.vars.front().name : "";
      plan_.n_size = n_size;
      plan_.m_size = m_size;
      return definition.value;
    }
    if (n_size != plan_.n_size || m_size != plan_.m_size)
      throw Unplannable{
          fmt::format("output {} has other indices than {}", definition.tensor, plan_.outputs.front().tensor)};
    std::map<std::string, ExprPtr> names;
    names[definition.vars.back().name] = compiler::named(Op::Var, Type::I32, plan_.n);
    if (rank == 2) names[definition.vars.front().name] = compiler::named(Op::Var, Type::I32, plan_.m);
    return compiler::substitute(definition.value, names);
  }

  void add_output(const Definition &definition) {
    const ExprPtr value = expand(with_common_variables(definition));
    plan_.outputs.push_back({definition.tensor, share_sums(value)});
  }

  // Makes equal contractions one node and records each once.
  ExprPtr share_sums(const ExprPtr &e) {
    if (auto contraction = match_contraction(spec_, e)) {
      for (const Contraction &known : plan_.sums)
        if (compiler::equal(known.sum, e)) return known.sum;
      check_sum(*contraction);
      plan_.grouped |= contraction->group != nullptr;
      plan_.sums.push_back(std::move(*contraction));
      return e;
    }
    return rebuild(e, [&](const ExprPtr &arg) { return share_sums(arg); });
  }

  void check_sum(const Contraction &c) {
    const auto is = [](const ExprPtr &e, const std::string &name) { return e->op == Op::Var && e->name == name; };
    if (!rows_in_order(plan_, spec_, c)) {
      for (const std::string &name : free_variables(c.row))
        if (name != plan_.n)
          throw Unplannable{fmt::format("the row of {} depends on {}, not on {} alone", c.weights, name, plan_.n)};
      plan_.gathered = true;
    }
    if (c.depth->op != Op::Size) throw Unplannable{fmt::format("the columns of {} are not a size", c.weights)};
    if (c.lead.size() > 1 || (c.lead.size() == 1 && !is(c.lead[0], plan_.m)))
      throw Unplannable{fmt::format("rows of {} are not taken in order", c.activations)};
    if (c.activation_pad % 64 != 0) throw Unplannable{fmt::format("rows of {} are not padded to 64", c.activations)};
    if (!c.group) return;
    if (c.extent->op != Op::Size && c.extent->op != Op::IntConst)
      throw Unplannable{fmt::format("the length of {}'s groups is neither a size nor a constant", c.weights)};
    if (c.group->op != Op::Var) throw Unplannable{fmt::format("groups of {} are not taken in order", c.weights)};
    if (!required_multiple(spec_, c.extent, 64))
      throw Unplannable{fmt::format("groups of {} are not required to be multiples of 64", c.weights)};
  }

  static std::vector<std::string> free_variables(const ExprPtr &e) {
    std::vector<std::string> names;
    compiler::walk(e, [&](const ExprPtr &node) {
      if (node->op == Op::Var) names.push_back(node->name);
    });
    return names;
  }

  // Nothing but contractions may read ternary tensors.
  void check_rest(const ExprPtr &e) {
    for (const Contraction &c : plan_.sums)
      if (c.sum == e) return;
    if (e->op == Op::Load) {
      const compiler::Tensor *tensor = spec_.find(e->name);
      if (tensor->type == Type::Ternary) throw Unplannable{fmt::format("{} is read outside of a contraction", e->name)};
      if (tensor->role == Role::Local) check_rest(spec_.definition(e->name)->value);
    }
    if (compiler::is_reduction(e->op) && uses_variable(e->args[0], plan_.n))
      throw Unplannable{fmt::format("a reduction's length depends on {}", plan_.n)};
    for (const ExprPtr &arg : e->args) check_rest(arg);
  }

  const KernelSpec &spec_;
  std::vector<std::pair<ExprPtr, ExprPtr>> expanded_;
  int work_ = 0;
  ContractionPlan plan_;
};

}  // namespace

bool rows_in_order(const ContractionPlan &plan, const KernelSpec &spec, const Contraction &c) {
  return c.row->op == Op::Var && c.row->name == plan.n && c.rows->op == Op::Size &&
         c.rows->name == spec.sizes[static_cast<size_t>(plan.n_size)];
}

std::optional<ContractionPlan> plan_contractions(const KernelSpec &spec, std::string *why) {
  try {
    return Planner(spec).plan();
  } catch (const Unplannable &stop) {
    if (why) *why = stop.reason;
    return std::nullopt;
  }
}

std::optional<std::string> int16_overflow(const Target &target, int64_t most, int64_t products) {
  if (ternary_facts(target).int16_products == 0) return std::nullopt;
  return compiler::accumulator_overflow(compiler::Interval{0, most}, compiler::Interval{-128, 127}, products, 16);
}

}  // namespace bittern::schedules
