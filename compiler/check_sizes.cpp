// Concrete sizes against a kernel's requirements.
#include <fmt/format.h>

#include <algorithm>

#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/printer.h"
#include "compiler/range_analysis.h"
#include "compiler/verifier.h"

namespace bittern::compiler {

namespace {

// Indices and extents are computed in i32; at these sizes none may leave it.
void check_index_arithmetic(const KernelSpec &spec, const Sizes &sizes) {
  bool overflow = false;
  RangeAnalysis analysis(spec, sizes), indices(spec, sizes);
  indices.on_overflow = [&](const Expr &, Interval, bool) { overflow = true; };
  const auto check = [&](const ExprPtr &index, const RangeAnalysis::Scope &scope) {
    indices.of(index, scope);
    if (overflow) throw Error(fmt::format("kernel {}: {} can leave i32 at these sizes", spec.name, print_expr(index)));
  };
  for (const Definition &d : spec.definitions) {
    analysis.each(d, [&](const ExprPtr &e, const RangeAnalysis::Scope &scope) {
      const bool extent = std::any_of(d.vars.begin(), d.vars.end(), [&](const IndexVar &v) { return v.extent == e; });
      if (extent) check(e, scope);
      if (is_reduction(e->op)) check(e->args[0], scope);
      if (e->op == Op::Load)
        for (const ExprPtr &arg : e->args) check(arg, scope);
    });
  }
}

}  // namespace

void check_sizes(const KernelSpec &spec, const Sizes &sizes, const Source *source) {
  constexpr int64_t kMaxElements = int64_t{1} << 40;
  for (const std::string &name : spec.sizes) {
    const auto found = sizes.find(name);
    if (found == sizes.end()) throw Error(fmt::format("kernel {}: size {} has no value", spec.name, name));
    if (found->second < 1 || found->second > INT32_MAX)
      throw Error(fmt::format("kernel {}: size {} is {}, outside 1 .. {}", spec.name, name, found->second, INT32_MAX));
  }
  for (const auto &[name, value] : sizes)
    if (std::find(spec.sizes.begin(), spec.sizes.end(), name) == spec.sizes.end())
      throw Error(fmt::format("kernel {} has no size {}", spec.name, name));
  for (const ExprPtr &condition : spec.requires_)
    if (!evaluate(condition, sizes))
      throw Error(
          fmt::format("kernel {} requires {}, which these sizes do not satisfy", spec.name, print_expr(condition)));
  for (const Tensor *t : spec.arguments()) {
    int64_t elements = 1;
    for (size_t i = 0; i < t->shape.size(); ++i) {
      const int64_t extent = evaluate(t->shape[i], sizes);
      if (extent < 0 || extent > INT32_MAX)
        throw Error(fmt::format("kernel {}: dimension {} of {} is {}, outside 0 .. {}", spec.name, i, t->name, extent,
                                INT32_MAX));
      if (__builtin_mul_overflow(elements, extent, &elements) || elements > kMaxElements)
        throw Error(fmt::format("kernel {}: {} would have more than {} elements", spec.name, t->name, kMaxElements));
    }
  }
  check_index_arithmetic(spec, sizes);
  if (const auto fault = value_fault(spec, sizes))
    fail_at(source ? *source : Source{spec.name, {}}, fault->at, fault->text);
}

}  // namespace bittern::compiler
