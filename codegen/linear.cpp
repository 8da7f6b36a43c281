// See linear.h.
#include "codegen/linear.h"

#include <algorithm>

namespace bittern::codegen {

using compiler::ExprPtr;
using compiler::IndexVar;
using compiler::KernelSpec;
using compiler::Op;
using compiler::Sizes;
using compiler::Tensor;

std::optional<Linear> combine(const std::optional<Linear> &a, const std::optional<Linear> &b, int64_t sign) {
  if (!a || !b) return std::nullopt;
  Linear sum = *a;
  sum.constant += sign * b->constant;
  for (const auto &[size, coefficient] : b->sizes) sum.sizes[size] += sign * coefficient;
  std::erase_if(sum.sizes, [](const auto &term) { return term.second == 0; });
  return sum;
}

std::optional<Linear> product(const std::optional<Linear> &a, const std::optional<Linear> &b) {
  if (!a || !b) return std::nullopt;
  if (!a->sizes.empty() && !b->sizes.empty()) return std::nullopt;
  const Linear &variable = a->sizes.empty() ? *b : *a;
  const int64_t factor = a->sizes.empty() ? a->constant : b->constant;
  Linear result = variable;
  result.constant *= factor;
  for (auto &[size, coefficient] : result.sizes) coefficient *= factor;
  return result;
}

namespace {

std::optional<Linear> quotient(const std::optional<Linear> &dividend, const ExprPtr &divisor) {
  if (!dividend || divisor->op != Op::IntConst) return dividend;
  Linear result = *dividend;
  result.constant = result.constant / divisor->ival + 1;
  for (auto &[size, coefficient] : result.sizes) coefficient = (coefficient + divisor->ival - 1) / divisor->ival;
  return result;
}

}  // namespace

std::optional<Linear> upper_bound(const KernelSpec &spec, const Sizes &fixed, const std::vector<IndexVar> &vars,
                                  const ExprPtr &e) {
  const auto upper = [&](const ExprPtr &part) { return upper_bound(spec, fixed, vars, part); };
  switch (e->op) {
    case Op::IntConst:
      return Linear{e->ival, {}};
    case Op::Size: {
      const auto value = fixed.find(e->name);
      if (value != fixed.end()) return Linear{value->second, {}};
      return Linear{0, {{e->name, 1}}};
    }
    case Op::Var:
      for (const IndexVar &var : vars)
        if (var.name == e->name) return combine(upper(var.extent), Linear{1, {}}, -1);
      return std::nullopt;
    case Op::Load: {
      const Tensor *tensor = spec.find(e->name);
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
      const std::optional<Linear> first = upper(e->args[0]);
      return first ? first : upper(e->args[1]);
    }
    case Op::Max:
      return combine(upper(e->args[0]), upper(e->args[1]), 1);
    default:
      return std::nullopt;
  }
}

void promise_scratch(const KernelSpec &spec, const Linear &elements, int64_t bytes, int64_t spare,
                     Descriptor &descriptor) {
  descriptor.scratch_base += elements.constant * bytes + spare;
  for (size_t i = 0; i < spec.sizes.size(); ++i)
    if (const auto term = elements.sizes.find(spec.sizes[i]); term != elements.sizes.end())
      descriptor.scratch_per[i] += term->second * bytes;
}

}  // namespace bittern::codegen
