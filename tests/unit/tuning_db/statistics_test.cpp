// Medians, and comparisons that call a tie a tie.
#include "tuning_db/proof/statistics.h"

#include <doctest/doctest.h>

#include <limits>
#include <random>
#include <utility>

using bittern::tuning::compare;
using bittern::tuning::median;

TEST_CASE("median of odd, even and empty sets") {
  CHECK(median({3, 1, 2}) == 2);
  CHECK(median({4, 1, 3, 2}) == 2.5);
  CHECK(median({}) == 0);
}

TEST_CASE("equal times are a tie, and so is too little evidence") {
  CHECK(compare({10, 10, 10, 10, 10, 10, 10, 10}, {10, 10, 10, 10, 10, 10, 10, 10}).tie);
  const auto few = compare({10, 10, 10}, {5, 5, 5});
  CHECK(few.tie);
  CHECK(few.ratio == 2);
  CHECK(few.low == 0);
}

TEST_CASE("a steady difference is found though both drift together") {
  std::vector<double> slow, fast;
  for (int i = 0; i < 12; ++i) {
    const double drift = 1 + 0.5 * (i % 4);
    slow.push_back(11 * drift);
    fast.push_back(10 * drift);
  }
  const auto result = compare(slow, fast);
  CHECK_FALSE(result.tie);
  CHECK(result.ratio == doctest::Approx(1.1));
  CHECK(result.low > 1);
  CHECK(compare(fast, slow).ratio == doctest::Approx(1 / 1.1));
}

TEST_CASE("noise without a difference is called a tie about nineteen times in twenty") {
  std::mt19937 random(1);
  std::lognormal_distribution<double> noise(0, 0.1);
  int ties = 0;
  for (int trial = 0; trial < 400; ++trial) {
    std::vector<double> a, b;
    for (int i = 0; i < 15; ++i) {
      a.push_back(noise(random));
      b.push_back(noise(random));
    }
    ties += compare(a, b).tie;
  }
  CHECK(ties > 370);
}

TEST_CASE("a difference below half a percent is a tie however sure it is") {
  const std::vector<double> a(40, 1000), b(40, 998);
  CHECK(compare(a, b).tie);
  CHECK_FALSE(compare(a, std::vector<double>(40, 950)).tie);
}

TEST_CASE("the ends of the interval are the ranks that the sign test gives") {
  const auto ends = [](int n) {
    std::vector<double> baseline, candidate(static_cast<size_t>(n), 1.0);
    for (int i = 1; i <= n; ++i) baseline.push_back(i);  // ratios 1 .. n
    const auto result = compare(baseline, candidate);
    return std::pair(result.low, result.high);
  };
  CHECK(ends(11) == std::pair(2.0, 10.0));
  CHECK(ends(8) == std::pair(1.0, 8.0));
  CHECK(ends(6) == std::pair(1.0, 6.0));
  CHECK(ends(21) == std::pair(6.0, 16.0));
  for (int n = 1; n <= 5; ++n) {  // however they look
    CHECK(ends(n) == std::pair(0.0, std::numeric_limits<double>::infinity()));
    CHECK(compare(std::vector<double>(static_cast<size_t>(n), 9), std::vector<double>(static_cast<size_t>(n), 1)).tie);
  }
}
