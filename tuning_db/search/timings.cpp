#include "tuning_db/search/timings.h"

#include <algorithm>

namespace bittern::tuning {
namespace {

// So many undisturbed samples are enough to do without the others: of one arm, and of pairs (fewer give no interval).
constexpr size_t kEnoughSamples = 3, kEnoughPairs = 6;

}  // namespace

std::vector<double> Timings::values(int64_t arm) const {
  std::vector<double> all, clean;
  if (const auto row = table_.find(arm); row != table_.end())
    for (const auto &[moment, reading] : row->second) {
      all.push_back(reading.us);
      if (!reading.disturbed) clean.push_back(reading.us);
    }
  return clean.size() >= kEnoughSamples ? clean : all;
}

std::vector<std::pair<double, double>> Timings::pairs(int64_t a, int64_t b) const {
  std::vector<std::pair<double, double>> all, clean;
  const auto first = table_.find(a), second = table_.find(b);
  if (first == table_.end() || second == table_.end()) return all;
  for (const auto &[moment, reading] : first->second) {
    const auto other = second->second.find(moment);
    if (other == second->second.end()) continue;
    all.emplace_back(reading.us, other->second.us);
    if (!reading.disturbed && !other->second.disturbed) clean.push_back(all.back());
  }
  return clean.size() >= kEnoughPairs ? clean : all;
}

size_t Timings::count(int64_t arm) const {
  const auto row = table_.find(arm);
  return row == table_.end() ? 0 : row->second.size();
}

double Timings::median_us(int64_t arm) const { return median(values(arm)); }

double Timings::quartile_us(int64_t arm) const {
  std::vector<double> all = values(arm);
  if (all.empty()) return 0;
  std::sort(all.begin(), all.end());
  return all[(all.size() - 1) / 4];
}

Comparison Timings::compare(int64_t baseline, int64_t candidate) const {
  std::vector<double> a, b;
  for (const auto &[mine, theirs] : pairs(baseline, candidate)) {
    a.push_back(mine);
    b.push_back(theirs);
  }
  return tuning::compare(a, b);
}

size_t Timings::common(int64_t a, int64_t b) const {
  const auto first = table_.find(a), second = table_.find(b);
  if (first == table_.end() || second == table_.end()) return 0;
  return static_cast<size_t>(std::count_if(first->second.begin(), first->second.end(), [&](const auto &sample) {
    return second->second.count(sample.first) != 0;
  }));
}

double Timings::disturbed(int64_t a, int64_t b) const {
  const auto first = table_.find(a), second = table_.find(b);
  size_t all = 0, bad = 0;
  if (first != table_.end() && second != table_.end())
    for (const auto &[moment, reading] : first->second)
      if (const auto other = second->second.find(moment); other != second->second.end()) {
        ++all;
        bad += reading.disturbed || other->second.disturbed;
      }
  return all == 0 ? 0 : static_cast<double>(bad) / static_cast<double>(all);
}

double Timings::median_beside(int64_t arm, int64_t other) const {
  std::vector<double> beside;
  for (const auto &[mine, theirs] : pairs(arm, other)) beside.push_back(mine);
  return beside.empty() ? median_us(arm) : median(beside);
}

}  // namespace bittern::tuning
