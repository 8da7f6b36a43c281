// See cost.h.
#include "tuning_db/proof/cost.h"

#include <algorithm>

#include "compiler/token_size.h"

namespace bittern::tuning {
namespace {

using compiler::Expr;
using compiler::Op;

// Upper bound of a size-like expression: what depends on inputs counts as the range of the tensor it is loaded from.
int64_t upper_bound(const compiler::KernelSpec &spec, const Expr &e, const compiler::Sizes &sizes) {
  const auto arg = [&](size_t i) { return upper_bound(spec, *e.args[i], sizes); };
  switch (e.op) {
    case Op::IntConst:
      return e.ival;
    case Op::Size:
      return sizes.at(e.name);
    case Op::Add:
      return arg(0) + arg(1);
    case Op::Sub:
      return std::max<int64_t>(arg(0) - arg(1), 0);
    case Op::Mul:
      return arg(0) * arg(1);
    case Op::Div:
      return arg(0) / std::max<int64_t>(arg(1), 1);
    case Op::Min:
      return std::min(arg(0), arg(1));
    case Op::Max:
      return std::max(arg(0), arg(1));
    case Op::Load:
      if (const auto *tensor = spec.find(e.name); tensor && tensor->range)
        return compiler::evaluate(tensor->range->second, sizes) - 1;
      break;
    default:
      break;
  }
  return 1;
}

double count_multiplies(const compiler::KernelSpec &spec, const Expr &e, const compiler::Sizes &sizes, bool in_sum) {
  double own = in_sum && e.op == Op::Mul && e.type != compiler::Type::Bool ? 1 : 0;
  for (size_t i = 0; i < e.args.size(); ++i) {
    const bool body = e.op == Op::Sum && i == 1;
    const double inside = count_multiplies(spec, *e.args[i], sizes, body || (in_sum && e.op != Op::Load));
    own += body ? inside * static_cast<double>(upper_bound(spec, *e.args[0], sizes)) : inside;
  }
  return own;
}

}  // namespace

double multiply_adds(const compiler::KernelSpec &spec, const compiler::Sizes &sizes) {
  double total = 0;
  for (const compiler::Definition &definition : spec.definitions) {
    const compiler::Tensor *tensor = spec.find(definition.tensor);
    if (tensor && tensor->role == compiler::Role::Given) continue;
    double elements = 1;
    for (const compiler::IndexVar &var : definition.vars)
      elements *= static_cast<double>(upper_bound(spec, *var.extent, sizes));
    total += elements * count_multiplies(spec, *definition.value, sizes, false);
  }
  return total;
}

double touched_bytes(const compiler::KernelSpec &spec, const compiler::Sizes &sizes) {
  double total = 0;
  for (const compiler::Tensor *tensor : spec.arguments()) {
    double elements = 1;
    for (const compiler::ExprPtr &extent : tensor->shape)
      elements *= static_cast<double>(compiler::evaluate(extent, sizes));
    total += elements * (tensor->type == compiler::Type::Ternary ? 0.25 : compiler::type_bytes(tensor->type));
  }
  return total;
}

double weight_bytes(const compiler::KernelSpec &spec, const compiler::Sizes &sizes) {
  const std::string tokens = compiler::token_size(spec);
  double matrices = 0, all = 0;
  for (const compiler::Tensor *tensor : spec.arguments()) {
    double elements = 1;
    for (const compiler::ExprPtr &extent : tensor->shape)
      elements *= static_cast<double>(compiler::evaluate(extent, sizes));
    const bool grows = compiler::grows_with_tokens(*tensor, tokens);
    const double bytes =
        elements * (tensor->type == compiler::Type::Ternary ? 0.25 : compiler::type_bytes(tensor->type));
    if (tensor->role == compiler::Role::In && !grows && tensor->shape.size() > 1) matrices += bytes;
    all += bytes;
  }
  return matrices > 0 ? matrices : all;
}

}  // namespace bittern::tuning
