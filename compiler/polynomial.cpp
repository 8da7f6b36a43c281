#include "compiler/polynomial.h"

#include <algorithm>

#include "compiler/floor_divide.h"

namespace bittern::compiler {

namespace {

constexpr size_t kMaxTerms = 400;
constexpr int kMaxPower = 8;

Polynomial::Monomial multiply(const Polynomial::Monomial &a, const Polynomial::Monomial &b) {
  std::map<Polynomial::Unknown, int> powers(a.begin(), a.end());
  for (const auto &[u, power] : b)
    if ((powers[u] += power) > kMaxPower) throw PolynomialLimit();
  return {powers.begin(), powers.end()};
}

// a / b when b divides a.
std::optional<Polynomial::Monomial> quotient(const Polynomial::Monomial &a, const Polynomial::Monomial &b) {
  std::map<Polynomial::Unknown, int> powers(a.begin(), a.end());
  for (const auto &[u, power] : b) {
    const auto found = powers.find(u);
    if (found == powers.end() || found->second < power) return std::nullopt;
    if ((found->second -= power) == 0) powers.erase(found);
  }
  return Polynomial::Monomial{powers.begin(), powers.end()};
}

}  // namespace

Polynomial Polynomial::unknown(Unknown u) {
  Polynomial p;
  p.add({{u, 1}}, 1);
  return p;
}

void Polynomial::add(const Monomial &monomial, int64_t coefficient) {
  if (coefficient == 0) return;
  int64_t &value = terms_[monomial];
  if (__builtin_add_overflow(value, coefficient, &value) || value == INT64_MIN) throw PolynomialLimit();
  if (value == 0) terms_.erase(monomial);
  if (terms_.size() > kMaxTerms) throw PolynomialLimit();
}

std::optional<int64_t> Polynomial::constant() const {
  if (terms_.empty()) return 0;
  if (terms_.size() == 1 && terms_.begin()->first.empty()) return terms_.begin()->second;
  return std::nullopt;
}

Polynomial::Unknown Polynomial::last() const {
  Unknown result = -1;
  for (const auto &[monomial, coefficient] : terms_)
    if (!monomial.empty()) result = std::max(result, monomial.back().first);
  return result;
}

bool Polynomial::contains(Unknown u) const {
  for (const auto &[monomial, coefficient] : terms_)
    for (const auto &[v, power] : monomial)
      if (u == v) return true;
  return false;
}

Polynomial Polynomial::operator+(const Polynomial &other) const {
  Polynomial result = *this;
  for (const auto &[monomial, coefficient] : other.terms_) result.add(monomial, coefficient);
  return result;
}

Polynomial Polynomial::operator-(const Polynomial &other) const {
  Polynomial result = *this;
  for (const auto &[monomial, coefficient] : other.terms_) result.add(monomial, -coefficient);
  return result;
}

Polynomial Polynomial::operator*(const Polynomial &other) const {
  Polynomial result;
  for (const auto &[a, x] : terms_)
    for (const auto &[b, y] : other.terms_) {
      int64_t product = 0;
      if (__builtin_mul_overflow(x, y, &product)) throw PolynomialLimit();
      result.add(multiply(a, b), product);
    }
  return result;
}

std::vector<Polynomial> Polynomial::by_power(Unknown u) const {
  std::vector<Polynomial> result(1);
  for (const auto &[monomial, coefficient] : terms_) {
    Monomial rest;
    size_t power = 0;
    for (const auto &factor : monomial)
      if (factor.first == u)
        power = static_cast<size_t>(factor.second);
      else
        rest.push_back(factor);
    if (result.size() <= power) result.resize(power + 1);
    result[power].add(rest, coefficient);
  }
  return result;
}

Polynomial Polynomial::substitute(Unknown u, const Polynomial &value) const {
  if (!contains(u)) return *this;
  const std::vector<Polynomial> powers = by_power(u);
  Polynomial result;
  for (size_t i = powers.size(); i-- > 0;) result = result * value + powers[i];
  return result;
}

std::pair<Polynomial, Polynomial> Polynomial::divide(const Polynomial &divisor) const {
  Polynomial q, r;
  if (divisor.terms_.size() == 1) {
    const auto &[m, c] = *divisor.terms_.begin();
    for (const auto &[monomial, coefficient] : terms_) {
      const std::optional<Monomial> rest = quotient(monomial, m);
      const int64_t whole = rest ? floor_divide(coefficient, c) : 0;
      // Only a constant divisor splits a coefficient; K / (2 * G) keeps K whole.
      const bool split = m.empty() || (rest && whole * c == coefficient);
      if (rest && split) {
        q.add(*rest, whole);
        r.add(monomial, coefficient - whole * c);
      } else {
        r.add(monomial, coefficient);
      }
    }
    return {q, r};
  }
  if (!divisor.zero()) {
    const auto &[m, c] = *divisor.terms_.rbegin();
    const auto found = terms_.find(m);
    if (found != terms_.end() && found->second % c == 0) {
      const Polynomial factor(found->second / c);
      return {factor, *this - divisor * factor};
    }
  }
  return {q, *this};
}

}  // namespace bittern::compiler
