// Index expressions become polynomials in sizes, index variables and opaque terms (quotients, values loaded from i32
// inputs), each opaque term with bounds in terms introduced before it; size_prover.h proves what must hold of them.
#include "compiler/index_bounds.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "compiler/expr.h"
#include "compiler/polynomial.h"
#include "compiler/printer.h"
#include "compiler/range_analysis.h"
#include "compiler/size_prover.h"

namespace bittern::compiler {

namespace {

// Names to values while an expression is read.
struct Environment {
  std::map<std::string, Polynomial> vars;
  std::map<std::string, Polynomial> lets;
};

class BoundsProver {
 public:
  BoundsProver(const KernelSpec &spec, const Source &source) : spec_(spec), source_(source) {}

  void run() {
    try {
      for (const std::string &name : spec_.sizes) sizes_[name] = prover_.add_size(name);
      for (const ExprPtr &condition : spec_.requires_) {
        check_arithmetic(condition, {});
        assume(condition);
      }
      for (const Tensor &t : spec_.tensors)
        if (t.role != Role::Local) declared(t);
      for (const Function &f : spec_.functions) function(f);
      for (const Definition &d : spec_.definitions) definition(d);
    } catch (const PolynomialLimit &) {
      fail(at_, "index arithmetic is too large to prove its bounds");
    }
  }

 private:
  [[noreturn]] void fail(Location at, const std::string &message) const { fail_at(source_, at, message); }
  bool nonnegative(const Polynomial &p) { return prover_.nonnegative(p); }

  // --- what the kernel requires of its sizes ---
  void assume(const ExprPtr &c) {
    if (c->op == Op::And) {
      assume(c->args[0]);
      assume(c->args[1]);
      return;
    }
    if (c->op == Op::Eq) {
      if (divides(*c)) return;
      const Polynomial a = value(c->args[0], {}), b = value(c->args[1], {});
      prover_.assume(a - b);
      prover_.assume(b - a);
      equation(c->args[0], b) || equation(c->args[1], a);
      return;
    }
    if (c->op != Op::Ge && c->op != Op::Gt && c->op != Op::Le && c->op != Op::Lt) return;
    const bool greater = c->op == Op::Ge || c->op == Op::Gt;
    const Polynomial a = value(c->args[greater ? 0 : 1], {}), b = value(c->args[greater ? 1 : 0], {});
    const Polynomial fact = a - b - Polynomial(c->op == Op::Gt || c->op == Op::Lt ? 1 : 0);
    if (SizeProver::Term *size = prover_.term_of(a); size && size->size && b.constant())
      size->least = std::max(size->least, (a - fact).constant().value());
    prover_.assume(fact);
  }

  // X % D == 0 with a size X: X becomes D * (X / D).
  bool divides(const Expr &eq) {
    const ExprPtr mod = eq.args[0]->op == Op::Mod ? eq.args[0] : eq.args[1];
    const ExprPtr zero = eq.args[0]->op == Op::Mod ? eq.args[1] : eq.args[0];
    if (mod->op != Op::Mod || zero->op != Op::IntConst || zero->ival != 0 || mod->args[0]->op != Op::Size) return false;
    const Polynomial x = sizes_.at(mod->args[0]->name), d = value(mod->args[1], {});
    const SizeProver::Term *size = prover_.term_of(x);
    if (!size || d.contains(x.last()) || !prover_.sizes_only(d)) return false;
    replace(x, d * prover_.add_size(fmt::format("({} / {})", size->text, print_expr(mod->args[1]))));
    return true;
  }

  bool equation(const ExprPtr &side, const Polynomial &other) {
    if (side->op != Op::Size) return false;
    const Polynomial x = sizes_.at(side->name);
    const SizeProver::Term *size = prover_.term_of(x);
    if (!size || other.contains(x.last()) || !prover_.sizes_only(other)) return false;
    prover_.assume(other - Polynomial(size->least));
    replace(x, other);
    return true;
  }

  void replace(const Polynomial &size, const Polynomial &by) {
    for (auto &[name, p] : sizes_) p = p.substitute(size.last(), by);
    prover_.replace(size, by);
  }

  // --- expressions to polynomials ---
  Polynomial opaque(const ExprPtr &e, std::vector<Polynomial> lows = {}, std::vector<Polynomial> highs = {}) {
    return term(print_expr(e), std::move(lows), std::move(highs));
  }
  Polynomial term(std::string text, std::vector<Polynomial> lows, std::vector<Polynomial> highs) {
    SizeProver::Term t;
    t.text = std::move(text);
    t.lows = std::move(lows);
    t.highs = std::move(highs);
    return prover_.add(std::move(t));
  }

  // A term that lies between a and b in some sense: bounds are those bounds of either that hold for both.
  Polynomial either(const ExprPtr &e, const Polynomial &a, const Polynomial &b, std::vector<Polynomial> lows,
                    std::vector<Polynomial> highs) {
    for (const bool low : {true, false}) {
      std::vector<Polynomial> candidates = {a, b};
      for (const Polynomial &p : {a, b})
        for (Polynomial &end : prover_.extremes(p, low)) candidates.push_back(std::move(end));
      for (const Polynomial &c : candidates)
        if (low ? nonnegative(a - c) && nonnegative(b - c) : nonnegative(c - a) && nonnegative(c - b))
          (low ? lows : highs).push_back(c);
    }
    Polynomial result = opaque(e, std::move(lows), std::move(highs));
    prover_.term_of(result)->cases = {a, b};
    return result;
  }

  Polynomial value(const ExprPtr &e, const Environment &env) {
    if (++work_ > 50000) throw PolynomialLimit();
    const auto arg = [&](size_t i) { return value(e->args[i], env); };
    switch (e->op) {
      case Op::IntConst:
        return Polynomial(e->ival);
      case Op::Size:
        return sizes_.at(e->name);
      case Op::Var:
        return env.vars.at(e->name);
      case Op::Let: {
        const auto let = env.lets.find(e->name);
        return let == env.lets.end() ? opaque(e) : let->second;
      }
      case Op::Add:
        return arg(0) + arg(1);
      case Op::Sub:
        return arg(0) - arg(1);
      case Op::Mul:
        return arg(0) * arg(1);
      case Op::Neg:
        return Polynomial(0) - arg(0);
      case Op::Div:
      case Op::Mod: {
        const Polynomial p = arg(0), d = arg(1);
        if (!nonnegative(d - Polynomial(1))) return opaque(e);
        return e->op == Op::Div ? prover_.quotient(p, d) : p - d * prover_.quotient(p, d);
      }
      case Op::Shr:
      case Op::Shl: {
        const std::optional<int64_t> bits = arg(1).constant();
        if (!bits || *bits < 0 || *bits > 31) return opaque(e);
        const Polynomial power(int64_t{1} << *bits);
        return e->op == Op::Shl ? arg(0) * power : prover_.quotient(arg(0), power);
      }
      case Op::BitAnd: {
        const Polynomial a = arg(0), b = arg(1);
        std::vector<Polynomial> lows, highs;
        for (const Polynomial &p : {a, b})
          if (nonnegative(p)) highs.push_back(p);
        if (!highs.empty()) lows.push_back(Polynomial(0));
        return opaque(e, lows, highs);
      }
      case Op::Min:
      case Op::Max: {
        const Polynomial a = arg(0), b = arg(1);
        const bool min = e->op == Op::Min;
        if (nonnegative(a - b)) return min ? b : a;
        if (nonnegative(b - a)) return min ? a : b;
        return min ? either(e, a, b, {}, {a, b}) : either(e, a, b, {a, b}, {});
      }
      case Op::Select: {
        const Polynomial a = arg(1), b = arg(2);
        return a == b ? a : either(e, a, b, {}, {});
      }
      case Op::Abs: {
        const Polynomial a = arg(0), b = Polynomial(0) - a;
        if (nonnegative(a)) return a;
        if (nonnegative(b)) return b;
        return either(e, a, b, {Polynomial(0), a, b}, {});
      }
      case Op::Cast:
        if (e->args[0]->type == Type::I8) return opaque(e, {Polynomial(-128)}, {Polynomial(127)});
        if (e->args[0]->type == Type::Ternary) return opaque(e, {Polynomial(-1)}, {Polynomial(1)});
        return clamped(e);
      case Op::Load:
        return loaded(e, env);
      case Op::Call: {
        const auto f = std::find_if(spec_.functions.begin(), spec_.functions.end(),
                                    [&](const Function &x) { return x.name == e->name; });
        Environment inner;
        for (size_t i = 0; i < e->args.size(); ++i)
          if (e->args[i]->type == Type::I32) inner.lets[f->params[i].first] = arg(i);
        for (const auto &[name, let] : f->lets)
          if (let->type == Type::I32) inner.lets[name] = value(let, inner);
        return value(f->result, inner);
      }
      default:
        return opaque(e);
    }
  }

  // i32 of a float that constants bound, such as a clamp.
  Polynomial clamped(const ExprPtr &e) {
    const Interval range = RangeAnalysis(spec_, {}).of(e, {}).ints;
    if (range.lo == INT32_MIN && range.hi == INT32_MAX) return opaque(e);
    return opaque(e, {Polynomial(range.lo)}, {Polynomial(range.hi)});
  }

  // A local's value is its definition's with the indices put in; an input's is a term with the declared range.
  Polynomial loaded(const ExprPtr &e, const Environment &env) {
    const Tensor &t = *spec_.find(e->name);
    std::vector<Polynomial> args;
    for (const ExprPtr &a : e->args) args.push_back(value(a, env));
    if (t.role != Role::In && t.type == Type::I32) {
      const Definition &d = *spec_.definition(t.name);
      Environment inner;
      for (size_t i = 0; i < args.size(); ++i) inner.vars[d.vars[i].name] = args[i];
      return value(d.value, inner);
    }
    const auto key = std::make_pair(e->name, args);
    if (const auto known = loads_.find(key); known != loads_.end()) return known->second;
    std::vector<Polynomial> lows, highs;
    if (t.range) {
      lows.push_back(value(t.range->first, {}));
      highs.push_back(value(t.range->second, {}) - Polynomial(1));
    }
    return loads_[key] = term(print_expr(e), lows, highs);
  }

  // --- checks ---
  void declared(const Tensor &t) {
    at_ = t.loc;
    for (size_t i = 0; i < t.shape.size(); ++i) {
      check_arithmetic(t.shape[i], {});
      if (!nonnegative(value(t.shape[i], {})))
        fail(t.loc, fmt::format("dimension {} of '{}', {}, may be negative", i, t.name, print_expr(t.shape[i])));
    }
    if (t.range) {
      check_arithmetic(t.range->first, {});
      check_arithmetic(t.range->second, {});
    }
  }

  void function(const Function &f) {
    Environment env;
    for (const auto &[name, let] : f.lets) check_arithmetic(let, env), bind(name, let, env);
    check_arithmetic(f.result, env);
  }
  void bind(const std::string &name, const ExprPtr &let, Environment &env) {
    if (let->type == Type::I32) env.lets[name] = value(let, env);
  }

  Polynomial variable(const std::string &name, const ExprPtr &extent, Location at, const Environment &env) {
    check_arithmetic(extent, env);
    const Polynomial n = value(extent, env);
    if (!nonnegative(n))
      fail(at, fmt::format("the extent of index '{}', {}, may be negative", name, print_expr(extent)));
    return term(name, {Polynomial(0)}, {n - Polynomial(1)});
  }

  void definition(const Definition &d) {
    at_ = d.loc;
    Environment env;
    for (const IndexVar &v : d.vars) env.vars[v.name] = variable(v.name, v.extent, d.loc, env);
    check_arithmetic(d.value, env);
  }

  // Everything in the expression that could leave its range.
  void check_arithmetic(const ExprPtr &e, const Environment &env) {
    if (e->loc.line) at_ = e->loc;
    if (is_reduction(e->op)) {
      Environment inner = env;
      inner.vars[e->name] = variable(e->name, e->args[0], at_, env);
      check_arithmetic(e->args[1], inner);
      return;
    }
    for (const ExprPtr &arg : e->args) check_arithmetic(arg, env);
    if (e->loc.line) at_ = e->loc;
    if ((e->op == Op::Div || e->op == Op::Mod) && e->type == Type::I32) {
      if (!nonnegative(value(e->args[1], env) - Polynomial(1)))
        fail(at_, fmt::format("the divisor {} is not proved to be at least 1", print_expr(e->args[1])));
    } else if (e->op == Op::Shl || e->op == Op::Shr) {
      const Polynomial bits = value(e->args[1], env);
      if (!nonnegative(bits) || !nonnegative(Polynomial(31) - bits))
        fail(at_, fmt::format("the shift by {} is not proved to be in 0 .. 31", print_expr(e->args[1])));
    } else if (e->op == Op::Load) {
      check_load(*e, env);
    }
  }

  void check_load(const Expr &e, const Environment &env) {
    const Tensor &t = *spec_.find(e.name);
    const Definition *d = t.role == Role::In ? nullptr : spec_.definition(e.name);
    Environment inner;  // a local's extents are in terms of its own indices
    for (size_t i = 0; i < e.args.size(); ++i) {
      const Polynomial index = value(e.args[i], env), extent = value(t.shape[i], inner);
      if (d) inner.vars[d->vars[i].name] = index;
      const bool low = nonnegative(index);
      if (low && nonnegative(extent - index - Polynomial(1))) continue;
      fail(at_,
           fmt::format("index {} of '{}', here {}, is not proved to {}; found {} .. {}", i, e.name,
                       print_expr(e.args[i]), low ? "stay below its extent " + print_expr(t.shape[i]) : "be at least 0",
                       best(index, true), best(index, false)));
    }
  }

  std::string best(const Polynomial &p, bool low) {
    const std::vector<Polynomial> ends = prover_.extremes(p, low);
    return ends.empty() ? "unknown" : prover_.text(ends.front());
  }

  const KernelSpec &spec_;
  const Source &source_;
  SizeProver prover_;
  std::map<std::string, Polynomial> sizes_;
  std::map<std::pair<std::string, std::vector<Polynomial>>, Polynomial> loads_;
  Location at_;  // of the innermost node with a place in the text
  int work_ = 0;
};

}  // namespace

void prove_index_bounds(const KernelSpec &spec, const Source &source) { BoundsProver(spec, source).run(); }

}  // namespace bittern::compiler
