// Proves inequalities between polynomials in a kernel's sizes and in terms with known bounds. "P >= 0" is proved by
// eliminating the terms from the last to the first, replacing each by the bound that makes P smallest, until only sizes
// are left; those are at least 1 (or what `require` says), so P >= 0 when all coefficients of P(least + x) are
// non-negative, or those of P minus a fact or two.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "compiler/polynomial.h"

namespace bittern::compiler {

class SizeProver {
 public:
  using Unknown = Polynomial::Unknown;

  // One unknown. Sizes have a least value; other terms have bounds made of earlier unknowns, and quotients also
  // numerator and divisor, from which multiples of the divisor get exact bounds. Terms that choose (min, max, select,
  // abs) are proved case by case.
  struct Term {
    std::string text;  // for messages
    bool size = false;
    int64_t least = 1;
    std::vector<Polynomial> lows, highs;
    std::optional<std::pair<Polynomial, Polynomial>> quotient;
    std::vector<Polynomial> cases;  // its value is one of these: what holds for each holds for the term
  };

  // All members throw PolynomialLimit when the work exceeds what a real kernel could need.
  Polynomial add(Term term);
  Polynomial add_size(const std::string &text);
  // The term behind a polynomial that is one unknown; null for any other polynomial.
  Term *term_of(const Polynomial &p);

  // A polynomial in sizes alone that is never negative.
  void assume(const Polynomial &fact) { facts_.push_back(fact); }
  // A size is known to be something else: facts follow.
  void replace(const Polynomial &size, const Polynomial &by);
  bool sizes_only(const Polynomial &p) const;

  bool nonnegative(const Polynomial &p);
  // Bounds of p in sizes alone, as many as are found.
  std::vector<Polynomial> extremes(const Polynomial &p, bool low);
  // floor(p / d), d at least 1: a polynomial when it is one, else a new term (the same for the same operands).
  Polynomial quotient(const Polynomial &p, const Polynomial &d);

  std::string text(const Polynomial &p) const;

 private:
  bool prove(const Polynomial &p, int depth);
  bool prove_sizes(const Polynomial &p) const;
  bool shifted_nonnegative(const Polynomial &p) const;
  Unknown last_term(const Polynomial &p) const;
  std::vector<Polynomial> bounded(const Polynomial &p, Unknown u, bool below, int depth);
  std::vector<Polynomial> extremes(const Polynomial &p, bool low, int depth);
  std::optional<Polynomial> whole_quotient(const Polynomial &p, const Polynomial &d);
  Term &term(Unknown u) { return terms_[static_cast<size_t>(u)]; }
  const Term &term(Unknown u) const { return terms_[static_cast<size_t>(u)]; }

  std::vector<Term> terms_;
  std::vector<Polynomial> facts_;
  std::map<std::pair<Polynomial, Polynomial>, Polynomial> quotients_;
  int steps_ = 0, all_steps_ = 0;
};

}  // namespace bittern::compiler
