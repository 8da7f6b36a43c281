// See size_prover.h for the method.
#include "compiler/size_prover.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

namespace bittern::compiler {

Polynomial SizeProver::add(Term term) {
  if (terms_.size() > 2000) throw PolynomialLimit();
  terms_.push_back(std::move(term));
  return Polynomial::unknown(static_cast<Unknown>(terms_.size()) - 1);
}

Polynomial SizeProver::add_size(const std::string &text) {
  Term result;
  result.text = text;
  result.size = true;
  return add(std::move(result));
}

SizeProver::Term *SizeProver::term_of(const Polynomial &p) {
  const Unknown u = p.last();
  return u >= 0 && p == Polynomial::unknown(u) ? &term(u) : nullptr;
}

void SizeProver::replace(const Polynomial &size, const Polynomial &by) {
  for (Polynomial &p : facts_) p = p.substitute(size.last(), by);
}

bool SizeProver::nonnegative(const Polynomial &p) {
  steps_ = 0;
  return prove(p, 0);
}

bool SizeProver::prove(const Polynomial &p, int depth) {
  if (const std::optional<int64_t> c = p.constant()) return *c >= 0;
  if (depth > 40 || ++steps_ > 5000) return false;
  if (++all_steps_ > 300000) throw PolynomialLimit();
  const Unknown u = last_term(p);
  if (u < 0) return prove_sizes(p);
  for (const Polynomial &smaller : bounded(p, u, true, depth))
    if (prove(smaller, depth + 1)) return true;
  if (const std::vector<Polynomial> cases = term(u).cases; !cases.empty())
    return std::all_of(cases.begin(), cases.end(),
                       [&](const Polynomial &c) { return prove(p.substitute(u, c), depth + 1); });
  // A constant quotient with a coefficient that its divisor does not divide: p >= 0 if d * p + d - 1 >= 0.
  if (const auto &q = term(u).quotient) {
    const std::optional<int64_t> d = q->second.constant();
    if (d && *d > 1 && !p.by_power(u)[1].divide(q->second).second.zero())
      return prove(p * Polynomial(*d) + Polynomial(*d - 1), depth + 1);
  }
  return false;
}

SizeProver::Unknown SizeProver::last_term(const Polynomial &p) const {
  Unknown result = -1;
  for (const auto &[monomial, coefficient] : p.terms())
    for (const auto &[u, power] : monomial)
      if (!term(u).size) result = std::max(result, u);
  return result;
}

// p with u replaced by its bounds: polynomials that are never larger (`below`) or never smaller than p.
std::vector<Polynomial> SizeProver::bounded(const Polynomial &p, Unknown u, bool below, int depth) {
  const Term bounds = term(u);  // a copy: proofs on the way may add terms
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
  if (bounds.quotient && powers.size() == 2) {
    const auto &[numerator, divisor] = *bounds.quotient;
    const auto [c, rest] = powers[1].divide(divisor);
    if (rest.zero()) results.push_back(powers[0] + c * (use_low ? numerator - divisor + Polynomial(1) : numerator));
  }
  for (const Polynomial &bound : use_low ? bounds.lows : bounds.highs) {
    if (powers.size() > 2 && !prove(bound, depth + 1)) continue;
    results.push_back(p.substitute(u, bound));
  }
  return results;
}

bool SizeProver::prove_sizes(const Polynomial &p) const {
  if (shifted_nonnegative(p)) return true;
  for (const Polynomial &f : facts_)
    if (sizes_only(f) && shifted_nonnegative(p - f)) return true;
  for (const Polynomial &f : facts_)
    for (const Polynomial &g : facts_)
      if (sizes_only(f) && sizes_only(g) && shifted_nonnegative(p - f - g)) return true;
  return false;
}

// All coefficients of p(least + x) are non-negative.
bool SizeProver::shifted_nonnegative(const Polynomial &p) const {
  Polynomial shifted = p;
  std::set<Unknown> unknowns;
  for (const auto &[monomial, coefficient] : p.terms())
    for (const auto &[u, power] : monomial) unknowns.insert(u);
  for (const Unknown u : unknowns) shifted = shifted.substitute(u, Polynomial::unknown(u) + Polynomial(term(u).least));
  return std::all_of(shifted.terms().begin(), shifted.terms().end(), [](const auto &t) { return t.second >= 0; });
}

std::vector<Polynomial> SizeProver::extremes(const Polynomial &p, bool low) {
  steps_ = 0;
  return extremes(p, low, 0);
}

std::vector<Polynomial> SizeProver::extremes(const Polynomial &p, bool low, int depth) {
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

// floor(p / d) when it is a polynomial again.
std::optional<Polynomial> SizeProver::whole_quotient(const Polynomial &p, const Polynomial &d) {
  const auto [q, r] = p.divide(d);
  if (r.zero()) return q;
  if (nonnegative(r) && nonnegative(d - r - Polynomial(1))) return q;
  if (nonnegative(Polynomial(-1) - r) && nonnegative(r + d)) return q - Polynomial(1);
  return std::nullopt;
}

Polynomial SizeProver::quotient(const Polynomial &p, const Polynomial &d) {
  if (std::optional<Polynomial> q = whole_quotient(p, d)) return *q;
  const auto key = std::make_pair(p, d);
  if (const auto known = quotients_.find(key); known != quotients_.end()) return known->second;
  Term result;
  result.text = fmt::format("({} / {})", text(p), text(d));
  result.quotient = key;
  for (const bool low : {true, false}) {
    for (const Polynomial &end : extremes(p, low))
      if (const std::optional<Polynomial> q = whole_quotient(end, d)) (low ? result.lows : result.highs).push_back(*q);
  }
  if (nonnegative(p)) {
    result.lows.push_back(Polynomial(0));
    result.highs.push_back(p);  // d >= 1
  }
  return quotients_[key] = add(std::move(result));
}

std::string SizeProver::text(const Polynomial &p) const {
  std::vector<std::string> positive, negative;
  for (const auto &[monomial, coefficient] : p.terms()) {
    std::vector<std::string> factors;
    const int64_t size = coefficient < 0 ? -coefficient : coefficient;
    if (size != 1 || monomial.empty()) factors.push_back(fmt::format("{}", size));
    for (const auto &[u, power] : monomial)
      for (int i = 0; i < power; ++i) factors.push_back(term(u).text);
    (coefficient < 0 ? negative : positive).push_back(fmt::format("{}", fmt::join(factors, " * ")));
  }
  std::reverse(positive.begin(), positive.end());
  std::reverse(negative.begin(), negative.end());
  if (negative.empty()) return positive.empty() ? "0" : fmt::format("{}", fmt::join(positive, " + "));
  return fmt::format("{}{}{}", fmt::join(positive, " + "), positive.empty() ? "-" : " - ", fmt::join(negative, " - "));
}

bool SizeProver::sizes_only(const Polynomial &p) const {
  for (const auto &[monomial, coefficient] : p.terms())
    for (const auto &[u, power] : monomial)
      if (!term(u).size) return false;
  return true;
}

}  // namespace bittern::compiler
