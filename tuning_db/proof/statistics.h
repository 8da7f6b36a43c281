// Statistics that can say "tie". Two kernels are compared by the ratio of their times in the same round of the same
// run, which cancels what the machine's neighbours do; the median of those ratios gets a distribution-free (sign test)
// confidence interval, and only an interval that excludes 1 is a difference.
#pragma once
#include <vector>

namespace bittern::tuning {

// Median, the mean of the middle two when the count is even; 0 of nothing.
double median(std::vector<double> values);

struct Comparison {
  double ratio = 1;          // median of baseline / candidate: above 1 the candidate is faster
  double low = 0, high = 0;  // 95 % interval of that median; 0 and infinity when there are too few rounds
  bool tie = true;           // the interval contains 1, or the ratio is within half a percent of it
};

// `baseline[i]` and `candidate[i]` are times of round i; the shorter length counts.
Comparison compare(const std::vector<double> &baseline, const std::vector<double> &candidate);

}  // namespace bittern::tuning
