#include "compiler/bounds.h"

#include <fmt/format.h>

#include <algorithm>

#include "compiler/error.h"
#include "compiler/expr.h"
#include "compiler/printer.h"
#include "compiler/range_analysis.h"

namespace bittern::compiler {

Interval product(Interval a, Interval b) {
  const auto [lo, hi] = std::minmax({a.lo * b.lo, a.lo * b.hi, a.hi * b.lo, a.hi * b.hi});
  return {lo, hi};
}

Interval element_range(const Tensor &tensor, const Sizes &sizes) {
  switch (tensor.type) {
    case Type::Ternary:
      return {-1, 1};
    case Type::I8:
      return {-128, 127};
    case Type::I32:
      if (tensor.range) {
        const int64_t lo = evaluate(tensor.range->first, sizes), hi = evaluate(tensor.range->second, sizes) - 1;
        return {lo, std::max(lo, hi)};
      }
      return {INT32_MIN, INT32_MAX};
    default:
      throw Error(fmt::format("tensor {} holds {}, which has no integer range", tensor.name, type_name(tensor.type)));
  }
}

Interval range_of(const KernelSpec &spec, const Sizes &sizes, const Definition &definition, const ExprPtr &expr) {
  RangeAnalysis analysis(spec, sizes);
  std::optional<Interval> found;
  analysis.each(definition, [&](const ExprPtr &e, const RangeAnalysis::Scope &scope) {
    if (e != expr) return;
    const Interval here = analysis.of(e, scope).ints;
    found = found ? Interval{std::min(found->lo, here.lo), std::max(found->hi, here.hi)} : here;
  });
  if (!found) throw Error(fmt::format("{} is no part of the definition of {}", print_expr(expr), definition.tensor));
  return *found;
}

int64_t max_terms(Interval term, int bits) {
  const int64_t top = (int64_t{1} << (bits - 1)) - 1, bottom = -top - 1;
  int64_t terms = INT64_MAX;
  if (term.hi > 0) terms = std::min(terms, top / term.hi);
  if (term.lo < 0) terms = std::min(terms, bottom / term.lo);
  return terms;
}

std::optional<std::string> accumulator_overflow(Interval code, Interval act, int64_t terms, int bits) {
  const Interval term = product(code, act);
  const int64_t safe = max_terms(term, bits);
  if (terms <= safe) return std::nullopt;
  return fmt::format(
      "{} products of codes {} .. {} and activations {} .. {} (each {} .. {}) can overflow an int{} accumulator; at "
      "most {} are safe",
      terms, code.lo, code.hi, act.lo, act.hi, term.lo, term.hi, bits, safe);
}

std::optional<std::string> accumulator_overflow(int64_t max_code, int64_t max_act, int64_t terms, int bits) {
  return accumulator_overflow(Interval{-max_code, max_code}, Interval{-max_act, max_act}, terms, bits);
}

int64_t max_terms_int16(Interval code, Interval act) { return max_terms(product(code, act), 16); }

std::optional<std::string> check_i32_sums(const KernelSpec &spec, const Sizes &sizes) {
  RangeAnalysis analysis(spec, sizes);
  std::optional<std::string> reason;
  for (const Definition &d : spec.definitions)
    analysis.each(d, [&](const ExprPtr &e, const RangeAnalysis::Scope &scope) {
      if (reason || e->op != Op::Sum || e->type != Type::I32) return;
      RangeAnalysis::Scope inner = scope;
      const int64_t terms = std::max<int64_t>(analysis.of(e->args[0], scope).ints.hi, 0);
      inner.vars[e->name] = {{0, std::max<int64_t>(terms - 1, 0)}, 0, 0, false};
      const Interval body = analysis.of(e->args[1], inner).ints;
      const int64_t safe = max_terms(body, 32);
      if (terms > safe)
        reason = fmt::format("{}: the sum of {} terms in {} .. {} can overflow int32; at most {} are safe", d.tensor,
                             terms, body.lo, body.hi, safe);
    });
  return reason;
}

}  // namespace bittern::compiler
