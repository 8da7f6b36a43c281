// Index expressions become polynomials in sizes, index variables and opaque terms (quotients, values loaded from i32
// inputs), each opaque term with bounds in terms introduced before it. "P >= 0" is proved by eliminating the terms from
// the last to the first, replacing each by the bound that makes P smallest, until only sizes are left; those are at
// least 1 (or what `require` says), so P >= 0 when all coefficients of P(1 + x) are non-negative.
#include "compiler/index_bounds.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "compiler/expr.h"
#include "compiler/polynomial.h"
#include "compiler/printer.h"
#include "compiler/range_analysis.h"

namespace bittern::compiler {

namespace {

using Unknown = Polynomial::Unknown;

// One unknown. Sizes have a least value; other terms have bounds made of earlier unknowns, and quotients also
// numerator and divisor, from which multiples of the divisor get exact bounds. Terms that choose (min, max, select,
// abs) are proved case by case.
struct Term {
  std::string text;
  bool size = false;
  int64_t least = 1;
  std::vector<Polynomial> lows, highs;
  std::optional<std::pair<Polynomial, Polynomial>> quotient;
  std::vector<Polynomial> cases;  // its value is one of these: what holds for each holds for the term
};

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
      for (const std::string &name : spec_.sizes)
        sizes_[name] = Polynomial::unknown(new_term({name, true, 1, {}, {}, {}, {}}));
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

  Unknown new_term(Term term) {
    if (terms_.size() > 2000) throw PolynomialLimit();
    terms_.push_back(std::move(term));
    return static_cast<Unknown>(terms_.size()) - 1;
  }

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
      facts_.push_back(a - b);
      facts_.push_back(b - a);
      equation(c->args[0], b) || equation(c->args[1], a);
      return;
    }
    if (c->op != Op::Ge && c->op != Op::Gt && c->op != Op::Le && c->op != Op::Lt) return;
    const bool greater = c->op == Op::Ge || c->op == Op::Gt;
    const Polynomial a = value(c->args[greater ? 0 : 1], {}), b = value(c->args[greater ? 1 : 0], {});
    const Polynomial fact = a - b - Polynomial(c->op == Op::Gt || c->op == Op::Lt ? 1 : 0);
    if (const std::optional<int64_t> least = b.constant(); least && c->args[greater ? 0 : 1]->op == Op::Size) {
      const Unknown u = a.last();
      if (a == Polynomial::unknown(u)) terms_[u].least = std::max(terms_[u].least, (a - fact).constant().value());
    }
    facts_.push_back(fact);
  }

  // X % D == 0 with a size X: X becomes D * (X / D).
  bool divides(const Expr &eq) {
    const ExprPtr mod = eq.args[0]->op == Op::Mod ? eq.args[0] : eq.args[1];
    const ExprPtr zero = eq.args[0]->op == Op::Mod ? eq.args[1] : eq.args[0];
    if (mod->op != Op::Mod || zero->op != Op::IntConst || zero->ival != 0 || mod->args[0]->op != Op::Size) return false;
    const Polynomial x = sizes_.at(mod->args[0]->name), d = value(mod->args[1], {});
    const Unknown u = x.last();
    if (!(x == Polynomial::unknown(u)) || d.contains(u) || !sizes_only(d)) return false;
    const Unknown q =
        new_term({fmt::format("({} / {})", terms_[u].text, print_expr(mod->args[1])), true, 1, {}, {}, {}, {}});
    replace(u, d * Polynomial::unknown(q));
    return true;
  }

  bool equation(const ExprPtr &side, const Polynomial &other) {
    if (side->op != Op::Size) return false;
    const Polynomial x = sizes_.at(side->name);
    const Unknown u = x.last();
    if (!(x == Polynomial::unknown(u)) || other.contains(u) || !sizes_only(other)) return false;
    facts_.push_back(other - Polynomial(terms_[u].least));
    replace(u, other);
    return true;
  }

  bool sizes_only(const Polynomial &p) const {
    for (const auto &[monomial, coefficient] : p.terms())
      for (const auto &[u, power] : monomial)
        if (!terms_[u].size) return false;
    return true;
  }

  void replace(Unknown u, const Polynomial &by) {
    for (auto &[name, p] : sizes_) p = p.substitute(u, by);
    for (Polynomial &p : facts_) p = p.substitute(u, by);
  }

  // --- proofs ---
  bool nonnegative(const Polynomial &p) {
    steps_ = 0;
    return prove(p, 0);
  }

  bool prove(const Polynomial &p, int depth) {
    if (const std::optional<int64_t> c = p.constant()) return *c >= 0;
    if (depth > 40 || ++steps_ > 5000) return false;
    const Unknown u = last_term(p);
    if (u < 0) return prove_sizes(p);
    for (const Polynomial &smaller : bounded(p, u, true, depth))
      if (prove(smaller, depth + 1)) return true;
    if (const std::vector<Polynomial> cases = terms_[u].cases; !cases.empty())
      return std::all_of(cases.begin(), cases.end(),
                         [&](const Polynomial &c) { return prove(p.substitute(u, c), depth + 1); });
    // A constant quotient with a coefficient that its divisor does not divide: p >= 0 if d * p + d - 1 >= 0.
    if (const auto &q = terms_[u].quotient) {
      const std::optional<int64_t> d = q->second.constant();
      if (d && *d > 1 && !p.by_power(u)[1].divide(q->second).second.zero())
        return prove(p * Polynomial(*d) + Polynomial(*d - 1), depth + 1);
    }
    return false;
  }

  Unknown last_term(const Polynomial &p) const {
    Unknown result = -1;
    for (const auto &[monomial, coefficient] : p.terms())
      for (const auto &[u, power] : monomial)
        if (!terms_[u].size) result = std::max(result, u);
    return result;
  }

  // p with u replaced by its bounds: polynomials that are never larger (`below`) or never smaller than p.
  std::vector<Polynomial> bounded(const Polynomial &p, Unknown u, bool below, int depth) {
    const Term term = terms_[u];
    const std::vector<Polynomial> powers = p.by_power(u);
    int sign = 0;  // of every coefficient of u
    for (const int candidate : {1, -1}) {
      bool all = true;
      for (size_t i = 1; i < powers.size(); ++i) all = all && prove(powers[i] * Polynomial(candidate), depth + 1);
      if (all) sign = candidate;
      if (sign) break;
    }
    if (!sign) return {};
    if (powers.size() > 2 && !prove(Polynomial::unknown(u), depth + 1)) return {};
    const bool use_low = (sign > 0) == below;
    std::vector<Polynomial> results;
    if (term.quotient && powers.size() == 2) {
      const auto &[numerator, divisor] = *term.quotient;
      const auto [c, rest] = powers[1].divide(divisor);
      if (rest.zero()) results.push_back(powers[0] + c * (use_low ? numerator - divisor + Polynomial(1) : numerator));
    }
    for (const Polynomial &bound : use_low ? term.lows : term.highs) {
      if (powers.size() > 2 && !prove(bound, depth + 1)) continue;
      results.push_back(p.substitute(u, bound));
    }
    return results;
  }

  bool prove_sizes(const Polynomial &p) {
    if (shifted_nonnegative(p)) return true;
    for (const Polynomial &f : facts_)
      if (sizes_only(f) && shifted_nonnegative(p - f)) return true;
    for (const Polynomial &f : facts_)
      for (const Polynomial &g : facts_)
        if (sizes_only(f) && sizes_only(g) && shifted_nonnegative(p - f - g)) return true;
    return false;
  }

  // All coefficients of p(least + x) are non-negative.
  bool shifted_nonnegative(const Polynomial &p) const {
    Polynomial shifted = p;
    std::set<Unknown> unknowns;
    for (const auto &[monomial, coefficient] : p.terms())
      for (const auto &[u, power] : monomial) unknowns.insert(u);
    for (const Unknown u : unknowns)
      shifted = shifted.substitute(u, Polynomial::unknown(u) + Polynomial(terms_[u].least));
    return std::all_of(shifted.terms().begin(), shifted.terms().end(), [](const auto &t) { return t.second >= 0; });
  }

  // Bounds of p in sizes alone, as many as are found.
  std::vector<Polynomial> extremes(const Polynomial &p, bool low, int depth = 0) {
    const Unknown u = last_term(p);
    if (u < 0) return {p};
    if (depth > 20) return {};
    std::vector<Polynomial> results;
    for (const Polynomial &next : bounded(p, u, low, depth))
      for (Polynomial &end : extremes(next, low, depth + 1)) {
        if (results.size() < 6) results.push_back(std::move(end));
      }
    return results;
  }

  // --- expressions to polynomials ---
  // floor(p / d) when it is a polynomial again.
  std::optional<Polynomial> whole_quotient(const Polynomial &p, const Polynomial &d) {
    const auto [q, r] = p.divide(d);
    if (r.zero()) return q;
    if (nonnegative(r) && nonnegative(d - r - Polynomial(1))) return q;
    if (nonnegative(Polynomial(-1) - r) && nonnegative(r + d)) return q - Polynomial(1);
    return std::nullopt;
  }

  Polynomial quotient(const Polynomial &p, const Polynomial &d) {
    if (std::optional<Polynomial> q = whole_quotient(p, d)) return *q;
    const auto key = std::make_pair(p, d);
    if (const auto known = quotients_.find(key); known != quotients_.end()) return Polynomial::unknown(known->second);
    Term term;
    term.text = fmt::format("({} / {})", text(p), text(d));
    term.quotient = key;
    for (const bool low : {true, false}) {
      steps_ = 0;
      for (const Polynomial &end : extremes(p, low))
        if (const std::optional<Polynomial> q = whole_quotient(end, d)) (low ? term.lows : term.highs).push_back(*q);
    }
    if (nonnegative(p)) {
      term.lows.push_back(Polynomial(0));
      term.highs.push_back(p);  // d >= 1
    }
    const Unknown u = new_term(std::move(term));
    quotients_[key] = u;
    return Polynomial::unknown(u);
  }

  Polynomial opaque(const ExprPtr &e, std::vector<Polynomial> lows = {}, std::vector<Polynomial> highs = {}) {
    return Polynomial::unknown(new_term({print_expr(e), false, 1, std::move(lows), std::move(highs), {}, {}}));
  }

  // A term that lies between a and b in some sense: bounds are those bounds of either that hold for both.
  Polynomial either(const ExprPtr &e, const Polynomial &a, const Polynomial &b, std::vector<Polynomial> lows,
                    std::vector<Polynomial> highs) {
    for (const bool low : {true, false}) {
      std::vector<Polynomial> candidates = {a, b};
      for (const Polynomial &p : {a, b}) {
        steps_ = 0;
        for (Polynomial &end : extremes(p, low)) candidates.push_back(std::move(end));
      }
      for (const Polynomial &c : candidates)
        if (low ? nonnegative(a - c) && nonnegative(b - c) : nonnegative(c - a) && nonnegative(c - b))
          (low ? lows : highs).push_back(c);
    }
    Polynomial result = opaque(e, std::move(lows), std::move(highs));
    terms_.back().cases = {a, b};
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
        return e->op == Op::Div ? quotient(p, d) : p - d * quotient(p, d);
      }
      case Op::Shr:
      case Op::Shl: {
        const std::optional<int64_t> bits = arg(1).constant();
        if (!bits || *bits < 0 || *bits > 31) return opaque(e);
        const Polynomial power(int64_t{1} << *bits);
        return e->op == Op::Shl ? arg(0) * power : quotient(arg(0), power);
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
    if (const auto known = loads_.find(key); known != loads_.end()) return Polynomial::unknown(known->second);
    Term term;
    term.text = print_expr(e);
    if (t.range) {
      term.lows.push_back(value(t.range->first, {}));
      term.highs.push_back(value(t.range->second, {}) - Polynomial(1));
    }
    const Unknown u = new_term(std::move(term));
    loads_[key] = u;
    return Polynomial::unknown(u);
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
    return Polynomial::unknown(new_term({name, false, 1, {Polynomial(0)}, {n - Polynomial(1)}, {}, {}}));
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
      steps_ = 0;
      fail(at_,
           fmt::format("index {} of '{}', here {}, is not proved to {}; found {} .. {}", i, e.name,
                       print_expr(e.args[i]), low ? "stay below its extent " + print_expr(t.shape[i]) : "be at least 0",
                       best(index, true), best(index, false)));
    }
  }

  std::string best(const Polynomial &p, bool low) {
    const std::vector<Polynomial> ends = extremes(p, low);
    return ends.empty() ? "unknown" : text(ends.front());
  }

  std::string text(const Polynomial &p) const {
    std::vector<std::string> positive, negative;
    for (const auto &[monomial, coefficient] : p.terms()) {
      std::vector<std::string> factors;
      const int64_t size = coefficient < 0 ? -coefficient : coefficient;
      if (size != 1 || monomial.empty()) factors.push_back(fmt::format("{}", size));
      for (const auto &[u, power] : monomial)
        for (int i = 0; i < power; ++i) factors.push_back(terms_[u].text);
      (coefficient < 0 ? negative : positive).push_back(fmt::format("{}", fmt::join(factors, " * ")));
    }
    std::reverse(positive.begin(), positive.end());
    std::reverse(negative.begin(), negative.end());
    if (negative.empty()) return positive.empty() ? "0" : fmt::format("{}", fmt::join(positive, " + "));
    return fmt::format("{}{}{}", fmt::join(positive, " + "), positive.empty() ? "-" : " - ",
                       fmt::join(negative, " - "));
  }

  const KernelSpec &spec_;
  const Source &source_;
  std::vector<Term> terms_;
  std::map<std::string, Polynomial> sizes_;
  std::vector<Polynomial> facts_;  // polynomials that are never negative
  std::map<std::pair<Polynomial, Polynomial>, Unknown> quotients_;
  std::map<std::pair<std::string, std::vector<Polynomial>>, Unknown> loads_;
  Location at_;  // of the innermost node with a place in the text
  int steps_ = 0, work_ = 0;
};

}  // namespace

void prove_index_bounds(const KernelSpec &spec, const Source &source) { BoundsProver(spec, source).run(); }

}  // namespace bittern::compiler
