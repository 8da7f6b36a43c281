#include "tuning_db/proof/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace bittern::tuning {
namespace {

constexpr double kSmallestDifference = 0.005;

// The largest k such that [sorted[k], sorted[n - 1 - k]] covers the median with at least 95 % confidence, or -1: the
// number of values below the median is binomial(n, 1/2), and P(B <= k) must stay at most 2.5 %.
int interval_rank(int n) {
  double probability = std::pow(0.5, n), cumulative = 0;
  int rank = -1;
  for (int k = 0; k < n / 2; ++k) {
    cumulative += probability;
    if (cumulative > 0.025) break;
    rank = k;
    probability *= static_cast<double>(n - k) / (k + 1);
  }
  return rank;
}

}  // namespace

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const size_t middle = values.size() / 2;
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle), values.end());
  const double upper = values[middle];
  if (values.size() % 2 == 1) return upper;
  return (upper + *std::max_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(middle))) / 2;
}

Comparison compare(const std::vector<double> &baseline, const std::vector<double> &candidate) {
  std::vector<double> ratios;
  for (size_t i = 0; i < std::min(baseline.size(), candidate.size()); ++i)
    if (baseline[i] > 0 && candidate[i] > 0) ratios.push_back(baseline[i] / candidate[i]);
  Comparison result;
  result.high = std::numeric_limits<double>::infinity();
  if (ratios.empty()) return result;
  std::sort(ratios.begin(), ratios.end());
  result.ratio = median(ratios);
  // Beyond a thousand rounds pow(0.5, n) underflows; the middle thousand are interval enough.
  const int rank = interval_rank(static_cast<int>(std::min<size_t>(ratios.size(), 1000)));
  if (rank < 0) return result;
  result.low = ratios[static_cast<size_t>(rank)];
  result.high = ratios[ratios.size() - 1 - static_cast<size_t>(rank)];
  result.tie = (result.low <= 1 && result.high >= 1) || std::abs(result.ratio - 1) < kSmallestDifference;
  return result;
}

}  // namespace bittern::tuning
