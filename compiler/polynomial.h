// Polynomials with integer coefficients over numbered unknowns: the normal form in which index arithmetic is compared.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace bittern::compiler {

// Coefficients left 64 bits, or there are too many terms; whoever works with polynomials gives up on the proof.
struct PolynomialLimit {};

class Polynomial {
 public:
  using Unknown = int;
  // Powers of unknowns, sorted by unknown; empty is the constant term.
  using Monomial = std::vector<std::pair<Unknown, int>>;

  Polynomial() = default;
  Polynomial(int64_t constant) { add({}, constant); }  // NOLINT: constants read as polynomials
  static Polynomial unknown(Unknown u);

  const std::map<Monomial, int64_t> &terms() const { return terms_; }
  bool zero() const { return terms_.empty(); }
  std::optional<int64_t> constant() const;
  // The largest unknown that occurs, or -1.
  Unknown last() const;
  bool contains(Unknown u) const;

  Polynomial operator+(const Polynomial &other) const;
  Polynomial operator-(const Polynomial &other) const;
  Polynomial operator*(const Polynomial &other) const;
  bool operator==(const Polynomial &other) const = default;
  bool operator<(const Polynomial &other) const { return terms_ < other.terms_; }

  // Coefficients by power of `u`: element i multiplies u^i.
  std::vector<Polynomial> by_power(Unknown u) const;
  Polynomial substitute(Unknown u, const Polynomial &value) const;
  // q and r with *this = divisor * q + r; only what divides term by term goes to q. With a constant divisor, r's
  // coefficients lie in 0 .. divisor - 1. A divisor of several terms is divided out only as a whole multiple.
  std::pair<Polynomial, Polynomial> divide(const Polynomial &divisor) const;

 private:
  void add(const Monomial &monomial, int64_t coefficient);

  std::map<Monomial, int64_t> terms_;  // no zero coefficients
};

}  // namespace bittern::compiler
