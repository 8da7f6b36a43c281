// Times of candidates, and the comparisons that are made of them. Samples of equal (run, round) were taken one right
// after the other and may be compared pairwise. Samples during which the machine was disturbed are left out where there
// are enough others.
#pragma once
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "tuning_db/proof/statistics.h"

namespace bittern::tuning {

class Timings {
 public:
  using Moment = std::pair<int64_t, int64_t>;  // run, round
  void add(int64_t arm, Moment moment, double us, bool disturbed = false) { table_[arm][moment] = {us, disturbed}; }
  size_t count(int64_t arm) const;
  double median_us(int64_t arm) const;  // 0 when there are none
  // What halving ranks by, 0 when there are none: the lower quartile. What disturbs a short timing only ever adds to
  // it, so with few samples the faster ones tell more than the middle.
  double quartile_us(int64_t arm) const;
  // Rounds that both have.
  Comparison compare(int64_t baseline, int64_t candidate) const;
  size_t common(int64_t a, int64_t b) const;
  // The part of the rounds that both have in which the machine was disturbed.
  double disturbed(int64_t a, int64_t b) const;
  // Median of `arm` over the rounds it shares with `other`; over all of its rounds when they share none.
  double median_beside(int64_t arm, int64_t other) const;

 private:
  struct Reading {
    double us = 0;
    bool disturbed = false;
  };
  std::vector<double> values(int64_t arm) const;
  std::vector<std::pair<double, double>> pairs(int64_t a, int64_t b) const;

  std::map<int64_t, std::map<Moment, Reading>> table_;
};

}  // namespace bittern::tuning
