// Structural matching of ternary x int8 sums. No simplification is attempted: the few index forms that the fast
// kernels can walk are recognised as written, the rest is not a contraction.
#include "schedules/contraction.h"

#include <algorithm>

#include "compiler/expr.h"

namespace bittern::schedules {

using compiler::Expr;
using compiler::ExprPtr;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Role;
using compiler::Type;

bool same_expression(const ExprPtr &a, const ExprPtr &b, const std::map<std::string, std::string> &rename) {
  if (a == b && rename.empty()) return true;
  if (!a || !b || a->op != b->op || a->type != b->type || a->ival != b->ival || a->args.size() != b->args.size())
    return false;
  if (!(a->fval == b->fval)) return false;
  auto renamed = rename;
  if (a->op == Op::Sum || a->op == Op::MaxOf || a->op == Op::MinOf) {
    renamed[a->name] = b->name;
  } else if (a->op == Op::Var) {
    const auto found = rename.find(a->name);
    if ((found == rename.end() ? a->name : found->second) != b->name) return false;
  } else if (a->name != b->name) {
    return false;
  }
  for (size_t i = 0; i < a->args.size(); ++i)
    if (!same_expression(a->args[i], b->args[i], renamed)) return false;
  return true;
}

bool uses_variable(const ExprPtr &expression, const std::string &name) {
  if (expression->op == Op::Var && expression->name == name) return true;
  return std::any_of(expression->args.begin(), expression->args.end(),
                     [&](const ExprPtr &arg) { return uses_variable(arg, name); });
}

bool required_multiple(const KernelSpec &spec, const ExprPtr &size, int64_t divisor) {
  if (size->op == Op::IntConst) return size->ival % divisor == 0;
  return std::any_of(spec.requires_.begin(), spec.requires_.end(), [&](const ExprPtr &condition) {
    if (condition->op != Op::Eq) return false;
    const ExprPtr &mod = condition->args[0], &zero = condition->args[1];
    return mod->op == Op::Mod && zero->op == Op::IntConst && zero->ival == 0 && same_expression(mod->args[0], size) &&
           mod->args[1]->op == Op::IntConst && mod->args[1]->ival % divisor == 0;
  });
}

namespace {

bool is_var(const ExprPtr &e, const std::string &name) { return e->op == Op::Var && e->name == name; }

// The k index of a contraction: `k`, or `group * extent + k` in any order of operands.
struct Position {
  ExprPtr first, group;  // both null for plain k
};
std::optional<Position> match_position(const ExprPtr &index, const std::string &k, const ExprPtr &extent) {
  if (is_var(index, k)) return Position{};
  if (index->op != Op::Add) return std::nullopt;
  for (const int side : {0, 1}) {
    const ExprPtr &product = index->args[static_cast<size_t>(side)];
    if (!is_var(index->args[static_cast<size_t>(1 - side)], k) || product->op != Op::Mul) continue;
    for (const int factor : {0, 1}) {
      const ExprPtr &group = product->args[static_cast<size_t>(factor)];
      if (same_expression(product->args[static_cast<size_t>(1 - factor)], extent) && !uses_variable(group, k))
        return Position{product, group};
    }
  }
  return std::nullopt;
}

// The tensor that `e` loads and widens to i32, when it is i32(tensor[...]) of the wanted type.
const compiler::Tensor *widened_load(const KernelSpec &spec, const ExprPtr &e, Type wanted) {
  if (e->op != Op::Cast || e->type != Type::I32 || e->args[0]->op != Op::Load) return nullptr;
  const compiler::Tensor *tensor = spec.find(e->args[0]->name);
  return tensor && tensor->type == wanted && tensor->role == Role::In ? tensor : nullptr;
}

// sum(k: extent) i32(A[lead..., first + k]) as the given's definition, with the given's variables renamed so that
// they mean the contraction's indices.
ExprPtr find_activation_sum(const KernelSpec &spec, const Contraction &c) {
  for (const compiler::Tensor &tensor : spec.tensors) {
    const compiler::Definition *definition = tensor.role == Role::Given ? spec.definition(tensor.name) : nullptr;
    if (!definition || definition->value->op != Op::Sum || definition->value->type != Type::I32) continue;
    const ExprPtr &sum = definition->value, &body = sum->args[1];
    if (!widened_load(spec, body, Type::I8) || body->args[0]->name != c.activations) continue;
    if (!same_expression(sum->args[0], c.extent)) continue;
    const std::vector<ExprPtr> &indices = body->args[0]->args;
    const auto position = match_position(indices.back(), sum->name, sum->args[0]);
    if (!position || static_cast<bool>(position->group) != static_cast<bool>(c.group)) continue;
    // Each variable of the given is one of A's leading indices or the group.
    std::vector<ExprPtr> arguments;
    for (const compiler::IndexVar &var : definition->vars) {
      for (size_t i = 0; i < c.lead.size(); ++i)
        if (is_var(indices[i], var.name)) arguments.push_back(c.lead[i]);
      if (position->group && is_var(position->group, var.name)) arguments.push_back(c.group);
    }
    if (arguments.size() != definition->vars.size() || arguments.size() != c.lead.size() + (c.group ? 1 : 0)) continue;
    Expr load;
    load.op = Op::Load;
    load.type = Type::I32;
    load.name = tensor.name;
    load.args = std::move(arguments);
    return std::make_shared<Expr>(std::move(load));
  }
  return nullptr;
}

}  // namespace

std::optional<Contraction> match_contraction(const KernelSpec &spec, const ExprPtr &sum) {
  if (sum->op != Op::Sum || sum->type != Type::I32 || sum->args[1]->op != Op::Mul) return std::nullopt;
  for (const size_t side : {size_t{0}, size_t{1}}) {
    const ExprPtr &left = sum->args[1]->args[side], &right = sum->args[1]->args[1 - side];
    const compiler::Tensor *weights = widened_load(spec, left, Type::Ternary);
    const compiler::Tensor *activations = widened_load(spec, right, Type::I8);
    if (!weights || !activations || weights->shape.size() != 2) continue;
    Contraction c;
    c.sum = sum;
    c.weights = weights->name;
    c.activations = activations->name;
    c.activation_pad = activations->pad;
    c.k = sum->name;
    c.extent = sum->args[0];
    c.rows = weights->shape[0];
    c.depth = weights->shape[1];
    c.row = left->args[0]->args[0];
    c.lead = right->args[0]->args;
    const ExprPtr activation_k = c.lead.back();
    c.lead.pop_back();
    const auto in_weights = match_position(left->args[0]->args[1], c.k, c.extent);
    const auto in_activations = match_position(activation_k, c.k, c.extent);
    if (!in_weights || !in_activations) continue;
    if (static_cast<bool>(in_weights->group) != static_cast<bool>(in_activations->group)) continue;
    if (in_weights->group && !same_expression(in_weights->group, in_activations->group)) continue;
    // A plain k runs over whole rows of both, so that what lies behind the row's end is padding.
    if (!in_weights->group && !same_expression(c.extent, c.depth)) continue;
    if (!same_expression(activations->shape.back(), c.depth)) continue;
    if (uses_variable(c.row, c.k)) continue;
    if (std::any_of(c.lead.begin(), c.lead.end(), [&](const ExprPtr &e) { return uses_variable(e, c.k); })) continue;
    c.first = in_weights->first;
    c.group = in_weights->group;
    c.activation_sum = find_activation_sum(spec, c);
    if (!c.activation_sum) c.activation_sum = compiler::node(Op::Sum, Type::I32, {c.extent, right}, c.k);
    return c;
  }
  return std::nullopt;
}

namespace {

void search(const KernelSpec &spec, const std::string &definition, const ExprPtr &e, std::vector<Contraction> &found) {
  if (const auto contraction = match_contraction(spec, e)) {
    if (std::none_of(found.begin(), found.end(), [&](const Contraction &c) { return c.sum == e; })) {
      found.push_back(*contraction);
      found.back().definition = definition;
    }
    return;
  }
  for (const ExprPtr &arg : e->args) search(spec, definition, arg, found);
}

}  // namespace

std::vector<Contraction> find_contractions(const KernelSpec &spec) {
  std::vector<Contraction> found;
  for (const compiler::Definition &definition : spec.definitions) {
    const compiler::Tensor *tensor = spec.find(definition.tensor);
    if (tensor && tensor->role == Role::Given) continue;
    search(spec, definition.tensor, definition.value, found);
  }
  return found;
}

}  // namespace bittern::schedules
