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

namespace {

std::string unfit(const Expr &e, const RangeAnalysis::Range &from) {
  if (e.type == Type::I8)
    return fmt::format("{} is not proved to fit in i8: found {} .. {}; clamp it, as in i8(min(max(x, -128), 127))",
                       print_expr(e.args[0]), from.ints.lo, from.ints.hi);
  return fmt::format(
      "{} is not proved to fit in i32: found {}{} .. {}; clamp it, as in i32(min(max(x, -128.0), 127.0)), where x "
      "stands "
      "first in max so that a NaN gives the bound",
      print_expr(e.args[0]), from.nan ? "NaN or " : "", from.lo, from.hi);
}

}  // namespace

std::optional<ValueFault> value_fault(const KernelSpec &spec, const Sizes &sizes) {
  RangeAnalysis analysis(spec, sizes), values(spec, sizes);
  std::optional<ValueFault> fault;
  const Definition *definition = nullptr;
  const auto report = [&](const Expr &e, std::string text) {
    // Nodes of library functions have no place of their own.
    if (!fault) fault = ValueFault{e.loc.line ? e.loc : definition->loc, std::move(text)};
  };
  values.on_unfit = [&](const Expr &e, const RangeAnalysis::Range &from) {
    if (!from.open) report(e, unfit(e, from));
  };
  for (const Definition &d : spec.definitions) {
    definition = &d;
    analysis.each(d, [&](const ExprPtr &e, const RangeAnalysis::Scope &scope) {
      if (e == d.value) values.of(e, scope);
      if (fault || e->op != Op::Sum || e->type != Type::I32) return;
      RangeAnalysis::Scope inner = scope;
      const RangeAnalysis::Range count = analysis.of(e->args[0], scope);
      const int64_t terms = std::max<int64_t>(count.ints.hi, 0);
      inner.vars[e->name] = {{0, std::max<int64_t>(terms - 1, 0)}, 0, 0, false, count.open};
      const RangeAnalysis::Range body = analysis.of(e->args[1], inner);
      const int64_t safe = max_terms(body.ints, 32);
      if (terms > safe && !count.open && !body.open)
        report(*e, fmt::format("the sum of {} terms in {} .. {} can overflow i32; at most {} are safe", terms,
                               body.ints.lo, body.ints.hi, safe));
    });
    if (fault) break;
  }
  return fault;
}

std::set<const Expr *> wrapping_operations(const KernelSpec &spec, const Sizes &sizes) {
  RangeAnalysis values(spec, sizes);
  std::set<const Expr *> wrapping;
  values.on_overflow = [&](const Expr &e, Interval, bool) { wrapping.insert(&e); };
  // An index lies within its tensor, so nothing that it is made of wraps, what other definitions bring to it included.
  std::set<std::string> in_indices;
  const auto leave_out = [&](const ExprPtr &index) {
    walk(index, [&](const ExprPtr &part) {
      wrapping.erase(part.get());
      if (part->op == Op::Load) in_indices.insert(part->name);
    });
  };
  for (const Definition &d : spec.definitions)
    values.each(d, [&](const ExprPtr &e, const RangeAnalysis::Scope &scope) {
      if (e == d.value) values.of(e, scope);
    });
  for (const Definition &d : spec.definitions) {
    for (const IndexVar &v : d.vars) leave_out(v.extent);
    walk(d.value, [&](const ExprPtr &e) {
      if (is_reduction(e->op)) leave_out(e->args[0]);
      if (e->op == Op::Load)
        for (const ExprPtr &index : e->args) leave_out(index);
    });
  }
  for (size_t known = 0; known != in_indices.size();) {
    known = in_indices.size();
    for (const Definition &d : spec.definitions)
      if (in_indices.count(d.tensor)) leave_out(d.value);
  }
  return wrapping;
}

}  // namespace bittern::compiler
