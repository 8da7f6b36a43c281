// Shapes only: whoever reads a kernel's definitions for this would have to guess what the reader of the text knows.
#include "compiler/token_size.h"

#include <algorithm>

#include "compiler/expr.h"

namespace bittern::compiler {

namespace {

bool is_size(const ExprPtr &e, const std::string &size) { return e->op == Op::Size && e->name == size; }

// Position of the first dimension that is exactly the size, or -1.
int dimension_of(const Tensor &tensor, const std::string &size) {
  for (size_t i = 0; i < tensor.shape.size(); ++i)
    if (is_size(tensor.shape[i], size)) return static_cast<int>(i);
  return -1;
}

// Sum of its positions in the outputs' shapes, or -1 when it cannot count tokens.
int place(const KernelSpec &spec, const std::string &size) {
  int sum = 0;
  bool leads = false;
  for (const ExprPtr &condition : spec.requires_)
    if (mentions_size(condition, size)) return -1;
  for (const Tensor *tensor : spec.arguments()) {
    const int position = dimension_of(*tensor, size);
    leads = leads || (position >= 0 && position + 1 < static_cast<int>(tensor->shape.size()));
    if (tensor->type == Type::Ternary && grows_with_tokens(*tensor, size)) return -1;
    if (tensor->role != Role::Out) continue;
    if (position < 0) return -1;
    sum += position;
  }
  return leads ? sum : -1;
}

}  // namespace

bool mentions_size(const ExprPtr &expression, const std::string &size) {
  return !size.empty() &&
         (is_size(expression, size) || std::any_of(expression->args.begin(), expression->args.end(),
                                                   [&](const ExprPtr &arg) { return mentions_size(arg, size); }));
}

bool grows_with_tokens(const Tensor &tensor, const std::string &tokens) {
  return std::any_of(tensor.shape.begin(), tensor.shape.end(),
                     [&](const ExprPtr &extent) { return mentions_size(extent, tokens); });
}

std::string token_size(const KernelSpec &spec) {
  if (spec.tokens) return *spec.tokens;
  std::string best;
  int best_place = 0;
  for (const std::string &size : spec.sizes) {
    const int here = place(spec, size);
    if (here < 0 || (!best.empty() && here >= best_place)) continue;
    best = size;
    best_place = here;
  }
  return best;
}

}  // namespace bittern::compiler
