// The finished comparison of a problem: medians beside the default's, the roof, and what goes into table and pack.
#include <limits>

#include "runtime/bench/kernel_bench.h"
#include "tuning_db/search/outcomes.h"
#include "tuning_db/search/problem_search.h"

namespace bittern::tuning {

double ProblemSearch::read_roof(size_t thread) const {
  std::vector<double> reads;
  for (const RoofSample &roof : tools_.store.roofs({ids_[thread]}))
    if (roof.kind == "read_gb_s") reads.push_back(roof.value);
  return reads.empty() ? 0 : median(reads);
}

WinnerRecord ProblemSearch::judge(size_t thread, int64_t winner) {
  const Problem &problem = problems_[thread];
  const Timings &timings = timings_[thread];
  WinnerRecord record;
  record.problem = ids_[thread];
  record.candidate = row(thread, winner).id;
  record.patience = tools_.options.patience.name;
  record.tie = true;
  if (timings.count(winner) == 0) return record;
  record.us_median = timings.median_beside(winner, default_);
  if (default_ >= 0 && default_ != winner && timings.common(default_, winner) > 0) {
    const Comparison comparison = timings.compare(default_, winner);
    record.default_us = timings.median_beside(default_, winner);
    record.speedup = comparison.ratio;
    record.tie = comparison.tie;
  } else if (default_ == winner) {
    record.default_us = record.us_median;
  }
  std::vector<double> reads, multiplies;
  for (const RoofSample &roof : tools_.store.roofs({ids_[thread]}))
    (roof.kind == "read_gb_s" ? reads : multiplies).push_back(roof.value);
  record.roof_read_gb_s = median(reads);
  record.roof_int8_gop_s = median(multiplies);
  const double gb_s = weight_bytes(work_.spec, sizes_) / record.us_median / 1e3;
  const double gop_s = 2 * multiply_adds(work_.spec, sizes_) / record.us_median / 1e3;
  const double unknown = std::numeric_limits<double>::infinity();
  record.roof_pct =
      runtime::roof_percent(problem.m, gb_s, gop_s, record.roof_read_gb_s > 0 ? record.roof_read_gb_s : unknown,
                            record.roof_int8_gop_s > 0 ? record.roof_int8_gop_s : unknown);
  return record;
}

Outcome ProblemSearch::outcome(size_t thread, const WinnerRecord &winner, int64_t arm) {
  const Candidate &c = candidate(arm);
  Outcome outcome = make_outcome(work_, problems_[thread], winner, c.text, c.object, c.proof);
  outcome.tried = tried();
  outcome.rejected = rejected();
  outcome.space = points_.size();
  return outcome;
}

}  // namespace bittern::tuning
