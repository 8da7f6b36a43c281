#include "compiler/range_analysis.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "compiler/expr.h"
#include "compiler/floor_divide.h"

namespace bittern::compiler {

namespace {

constexpr Interval kI32{INT32_MIN, INT32_MAX};
constexpr double kInfinity = std::numeric_limits<double>::infinity();

RangeAnalysis::Range ints(Interval i) { return {i, 0, 0, false}; }
RangeAnalysis::Range any_float() { return {{}, -kInfinity, kInfinity, true}; }

// Extremes of a monotone-in-each-argument operation are at the corners.
template <class F>
Interval corners(Interval a, Interval b, F f) {
  const auto [lo, hi] = std::minmax({f(a.lo, b.lo), f(a.lo, b.hi), f(a.hi, b.lo), f(a.hi, b.hi)});
  return {lo, hi};
}

// The same in floats: rounding is monotone, so the rounded corners bound every rounded result. Infinities may meet as
// inf - inf or 0 * inf, inside the ranges too; then nothing is known.
template <class F>
RangeAnalysis::Range rounded(const RangeAnalysis::Range &a, const RangeAnalysis::Range &b, F f) {
  for (const double end : {a.lo, a.hi, b.lo, b.hi})
    if (std::isinf(end)) return any_float();
  const auto at = [&](double x, double y) { return f(static_cast<float>(x), static_cast<float>(y)); };
  const auto [lo, hi] = std::minmax({at(a.lo, b.lo), at(a.lo, b.hi), at(a.hi, b.lo), at(a.hi, b.hi)});
  return {{}, lo, hi, a.nan || b.nan};
}

// Smallest 2^n - 1 that is at least v.
int64_t ones(int64_t v) {
  int64_t mask = 0;
  while (mask < v) mask = mask * 2 + 1;
  return mask;
}

}  // namespace

RangeAnalysis::Range RangeAnalysis::integer(const Expr &e, Interval raw, bool open) {
  const bool fits = raw.lo >= kI32.lo && raw.hi <= kI32.hi;
  if (!fits && on_overflow) on_overflow(e, raw, open);
  Range r = ints(fits ? raw : kI32);
  r.open = open;
  return r;
}

RangeAnalysis::Range RangeAnalysis::of(const ExprPtr &expr, const Scope &scope) {
  const Expr &e = *expr;
  switch (e.op) {
    case Op::IntConst:
      return ints({e.ival, e.ival});
    case Op::FloatConst:
      return {{}, e.fval, e.fval, false};
    case Op::Var: {
      const auto known = scope.vars.find(e.name);
      return known == scope.vars.end() ? ints({0, INT32_MAX}) : known->second;
    }
    case Op::Size: {
      const auto value = sizes_.find(e.name);
      if (value == sizes_.end()) return {{1, INT32_MAX}, 0, 0, false, true};
      return integer(e, {value->second, value->second}, false);
    }
    case Op::Scalar:
      return any_float();
    case Op::Let: {
      const auto known = scope.lets.find(e.name);
      return known == scope.lets.end() ? Range{kI32, -kInfinity, kInfinity, true} : known->second;
    }
    case Op::Load:
      return load(e);
    case Op::Call:
      return call(e, scope);
    default:
      return is_reduction(e.op) ? reduction(e, scope) : operation(e, scope);
  }
}

RangeAnalysis::Range RangeAnalysis::operation(const Expr &e, const Scope &scope) {
  std::vector<Range> args;
  for (const ExprPtr &arg : e.args) args.push_back(of(arg, scope));
  const bool open = std::any_of(args.begin(), args.end(), [](const Range &arg) { return arg.open; });
  Range r;
  if (e.type == Type::Bool)
    r = ints({0, 1});
  else if (e.type == Type::I32 || e.type == Type::I8)
    r = integer(e, e.op == Op::Cast ? conversion(e, args[0]) : int_operation(e, args), open);
  else
    r = float_operation(e, args);
  r.open = open;
  return r;
}

Interval RangeAnalysis::conversion(const Expr &e, const Range &from) const {
  const bool real = e.args[0]->type == Type::F32;
  const Interval whole = e.type == Type::I8 ? Interval{-128, 127} : kI32;
  const bool fits = real ? !from.nan && from.lo >= static_cast<double>(whole.lo) && from.hi < 0x1p31
                         : from.ints.lo >= whole.lo && from.ints.hi <= whole.hi;
  if (!fits && on_unfit) on_unfit(e, from);
  if (real) return fits ? Interval{static_cast<int64_t>(from.lo), static_cast<int64_t>(from.hi)} : whole;
  return {std::clamp(from.ints.lo, whole.lo, whole.hi), std::clamp(from.ints.hi, whole.lo, whole.hi)};
}

Interval RangeAnalysis::int_operation(const Expr &e, const std::vector<Range> &args) const {
  const Interval a = args[0].ints, b = args.size() > 1 ? args[1].ints : Interval{};
  switch (e.op) {
    case Op::Add:
      return {a.lo + b.lo, a.hi + b.hi};
    case Op::Sub:
      return {a.lo - b.hi, a.hi - b.lo};
    case Op::Mul:
      return product(a, b);
    case Op::Div:
      return corners(a, {std::max<int64_t>(b.lo, 1), std::max<int64_t>(b.hi, 1)}, floor_divide);
    case Op::Mod:
      if (a.lo >= 0 && a.hi < b.lo) return a;
      return {0, a.lo >= 0 ? std::min(a.hi, std::max<int64_t>(b.hi - 1, 0)) : std::max<int64_t>(b.hi - 1, 0)};
    case Op::Min:
      return {std::min(a.lo, b.lo), std::min(a.hi, b.hi)};
    case Op::Max:
      return {std::max(a.lo, b.lo), std::max(a.hi, b.hi)};
    case Op::Neg:
      return {-a.hi, -a.lo};
    case Op::Abs:
      return {a.lo > 0 ? a.lo : a.hi < 0 ? -a.hi : 0, std::max(-a.lo, a.hi)};
    case Op::BitAnd:
      if (a.lo >= 0 && b.lo >= 0) return {0, std::min(a.hi, b.hi)};
      if (a.lo >= 0 || b.lo >= 0) return {0, a.lo >= 0 ? a.hi : b.hi};
      return kI32;
    case Op::BitOr:
    case Op::BitXor:
      return a.lo >= 0 && b.lo >= 0 ? Interval{0, ones(std::max(a.hi, b.hi))} : kI32;
    case Op::Shl:
    case Op::Shr: {
      const Interval bits{std::clamp<int64_t>(b.lo, 0, 31), std::clamp<int64_t>(b.hi, 0, 31)};
      return corners(a, bits, [&](int64_t x, int64_t n) {
        return e.op == Op::Shl ? x * (int64_t{1} << n) : floor_divide(x, int64_t{1} << n);
      });
    }
    case Op::Select: {
      const Interval c = args[2].ints;
      return {std::min(b.lo, c.lo), std::max(b.hi, c.hi)};
    }
    default:
      return kI32;
  }
}

RangeAnalysis::Range RangeAnalysis::float_operation(const Expr &e, const std::vector<Range> &args) const {
  const Range &a = args[0];
  switch (e.op) {
    case Op::Min:
    case Op::Max: {
      // max(a, b) is a > b ? a : b: a NaN on the left gives b, one on the right is kept.
      const Range &b = args[1];
      const auto pick = [&](double x, double y) { return e.op == Op::Min ? std::min(x, y) : std::max(x, y); };
      Range r{{}, pick(a.lo, b.lo), pick(a.hi, b.hi), b.nan};
      if (a.nan) r.lo = std::min(r.lo, b.lo), r.hi = std::max(r.hi, b.hi);
      return r;
    }
    case Op::Add:
      return rounded(a, args[1], [](float x, float y) { return x + y; });
    case Op::Sub:
      return rounded(a, args[1], [](float x, float y) { return x - y; });
    case Op::Mul:
      return rounded(a, args[1], [](float x, float y) { return x * y; });
    case Op::Neg:
      return {{}, -a.hi, -a.lo, a.nan};
    case Op::Abs:
      return {{}, a.lo > 0 ? a.lo : a.hi < 0 ? -a.hi : 0, std::max(-a.lo, a.hi), a.nan};
    case Op::RoundEven:
      return {{}, std::nearbyint(a.lo), std::nearbyint(a.hi), a.nan};
    case Op::Floor:
      return {{}, std::floor(a.lo), std::floor(a.hi), a.nan};
    case Op::Select:
      return {{}, std::min(args[1].lo, args[2].lo), std::max(args[1].hi, args[2].hi), args[1].nan || args[2].nan};
    case Op::Cast:
      if (e.args[0]->type == Type::I32)
        return {{}, static_cast<float>(a.ints.lo), static_cast<float>(a.ints.hi), false};
      if (e.type == Type::F32) return a;
      return any_float();  // rounding to a narrower format may overflow to infinity
    default:
      return any_float();
  }
}

RangeAnalysis::Range RangeAnalysis::variable(const ExprPtr &extent, const Scope &scope) {
  const Range n = of(extent, scope);
  return {{0, std::max<int64_t>(n.ints.hi - 1, 0)}, 0, 0, false, n.open};
}

RangeAnalysis::Range RangeAnalysis::reduction(const Expr &e, const Scope &scope) {
  const Range count = of(e.args[0], scope);
  Scope inner = scope;
  inner.vars[e.name] = variable(e.args[0], scope);
  Range r = of(e.args[1], inner);
  const bool open = r.open || count.open;
  if (e.op == Op::Sum && e.type == Type::I32) {
    const int64_t n = std::max<int64_t>(count.ints.hi, 0);
    return integer(e, {std::min<int64_t>(0, n * r.ints.lo), std::max<int64_t>(0, n * r.ints.hi)}, open);
  }
  if (e.op == Op::Sum) {
    r = any_float();
  } else if (e.type == Type::F32) {
    // Over nothing, and over NaN alone, which is never greater or less, an infinity.
    if (count.ints.lo < 1 || r.nan) (e.op == Op::MaxOf ? r.lo : r.hi) = e.op == Op::MaxOf ? -kInfinity : kInfinity;
    r.nan = false;
  } else if (count.ints.lo < 1) {
    (e.op == Op::MaxOf ? r.ints.lo : r.ints.hi) = e.op == Op::MaxOf ? kI32.lo : kI32.hi;
  }
  r.open = open;
  return r;
}

bool RangeAnalysis::sizes_known(const ExprPtr &e) const {
  if (e->op == Op::Size) return sizes_.count(e->name) != 0;
  return std::all_of(e->args.begin(), e->args.end(), [&](const ExprPtr &arg) { return sizes_known(arg); });
}

RangeAnalysis::Range RangeAnalysis::load(const Expr &e) {
  const Tensor &t = *spec_.find(e.name);
  if (t.role == Role::In) {
    const bool integer_type = t.type == Type::Ternary || t.type == Type::I8 || t.type == Type::I32;
    if (t.range && (!sizes_known(t.range->first) || !sizes_known(t.range->second))) return {kI32, 0, 0, false, true};
    return integer_type ? ints(element_range(t, sizes_)) : any_float();
  }
  if (const auto known = locals_.find(e.name); known != locals_.end()) return known->second;
  const Definition &d = *spec_.definition(e.name);
  Scope scope;
  for (const IndexVar &v : d.vars) scope.vars[v.name] = variable(v.extent, scope);
  const Range r = of(d.value, scope);
  locals_[e.name] = r;
  return r;
}

RangeAnalysis::Range RangeAnalysis::call(const Expr &e, const Scope &scope) {
  const auto f =
      std::find_if(spec_.functions.begin(), spec_.functions.end(), [&](const Function &x) { return x.name == e.name; });
  Scope inner;
  for (size_t i = 0; i < e.args.size(); ++i) inner.lets[f->params[i].first] = of(e.args[i], scope);
  for (const auto &[name, value] : f->lets) inner.lets[name] = of(value, inner);
  return of(f->result, inner);
}

void RangeAnalysis::each(const Definition &d, const std::function<void(const ExprPtr &, const Scope &)> &visit) {
  Scope scope;
  for (const IndexVar &v : d.vars) {
    each(v.extent, scope, visit);
    scope.vars[v.name] = variable(v.extent, scope);
  }
  each(d.value, scope, visit);
}

void RangeAnalysis::each(const ExprPtr &expr, const Scope &scope,
                         const std::function<void(const ExprPtr &, const Scope &)> &visit) {
  visit(expr, scope);
  if (!is_reduction(expr->op)) {
    for (const ExprPtr &arg : expr->args) each(arg, scope, visit);
    return;
  }
  each(expr->args[0], scope, visit);
  Scope inner = scope;
  inner.vars[expr->name] = variable(expr->args[0], scope);
  each(expr->args[1], inner, visit);
}

}  // namespace bittern::compiler
