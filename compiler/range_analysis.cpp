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

// Smallest 2^n - 1 that is at least v.
int64_t ones(int64_t v) {
  int64_t mask = 0;
  while (mask < v) mask = mask * 2 + 1;
  return mask;
}

}  // namespace

RangeAnalysis::Range RangeAnalysis::integer(const Expr &e, Interval raw) {
  if (raw.lo >= kI32.lo && raw.hi <= kI32.hi) return ints(raw);
  if (on_overflow) on_overflow(e, raw);
  return ints(kI32);
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
      if (sizes_.empty()) return ints({1, INT32_MAX});
      const int64_t value = sizes_.at(e.name);
      return integer(e, {value, value});
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
  if (e.type == Type::Bool) return ints({0, 1});
  if (e.type == Type::I32 || e.type == Type::I8) return integer(e, int_operation(e, args));
  return float_operation(e, args);
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
    case Op::Cast: {
      if (e.type == Type::I8) return {std::clamp<int64_t>(a.lo, -128, 127), std::clamp<int64_t>(a.hi, -128, 127)};
      if (e.args[0]->type != Type::F32) return a;
      const Range &f = args[0];
      if (f.nan || f.lo < INT32_MIN || f.hi > INT32_MAX) return kI32;
      return {static_cast<int64_t>(f.lo), static_cast<int64_t>(f.hi)};
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
  return ints({0, std::max<int64_t>(of(extent, scope).ints.hi - 1, 0)});
}

RangeAnalysis::Range RangeAnalysis::reduction(const Expr &e, const Scope &scope) {
  const Interval extent = of(e.args[0], scope).ints;
  Scope inner = scope;
  inner.vars[e.name] = variable(e.args[0], scope);
  const Range body = of(e.args[1], inner);
  if (e.type == Type::F32) {
    if (e.op == Op::Sum) return any_float();
    Range r = body;
    if (extent.lo < 1) (e.op == Op::MaxOf ? r.lo : r.hi) = e.op == Op::MaxOf ? -kInfinity : kInfinity;
    return r;
  }
  if (e.op == Op::Sum) {
    const int64_t n = std::max<int64_t>(extent.hi, 0);
    return integer(e, {std::min<int64_t>(0, n * body.ints.lo), std::max<int64_t>(0, n * body.ints.hi)});
  }
  Interval r = body.ints;
  if (extent.lo < 1) (e.op == Op::MaxOf ? r.lo : r.hi) = e.op == Op::MaxOf ? kI32.lo : kI32.hi;
  return ints(r);
}

RangeAnalysis::Range RangeAnalysis::load(const Expr &e) {
  const Tensor &t = *spec_.find(e.name);
  if (t.role == Role::In) {
    const bool integer_type = t.type == Type::Ternary || t.type == Type::I8 || t.type == Type::I32;
    if (t.range && sizes_.empty()) return ints(kI32);
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
