// The finished comparison of a problem: medians beside the default's, the roof, and what goes into table and pack.
#include <limits>

#include "runtime/roof/roof.h"
#include "runtime/roof/roof_note.h"
#include "schedules/layout.h"
#include "tuning_db/proof/cost.h"
#include "tuning_db/search/outcomes.h"
#include "tuning_db/search/problem_search.h"

namespace bittern::tuning {

// Medians of what was undisturbed where that is enough, else of all.
ProblemSearch::Roofs ProblemSearch::roofs(size_t thread) const {
  Roofs all, clean;
  for (const RoofSample &roof : tools_.store.roofs({ids_[thread]})) {
    const bool read = roof.kind == "read_gb_s";
    (read ? all.read_gb_s : all.int8_gop_s).push_back(roof.value);
    if (!roof.disturbed) (read ? clean.read_gb_s : clean.int8_gop_s).push_back(roof.value);
  }
  return clean.read_gb_s.size() + clean.int8_gop_s.size() >= 3 ? clean : all;
}

double ProblemSearch::read_roof(size_t thread) const { return median(roofs(thread).read_gb_s); }

std::string ProblemSearch::read_note(size_t thread, double share, double bytes) const {
  return runtime::roof_note(
      {100 * share, 2, bytes, static_cast<double>(tools_.host.cache_bytes), roofs(thread).read_gb_s, 0});
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
  const Roofs roofs = this->roofs(thread);
  record.roof_read_gb_s = median(roofs.read_gb_s);
  record.roof_int8_gop_s = median(roofs.int8_gop_s);
  const double bytes = weight_bytes(work_.spec, sizes_);
  const double gb_s = bytes / record.us_median / 1e3;
  const double gop_s = 2 * multiply_adds(work_.spec, sizes_) / record.us_median / 1e3;
  const double unknown = std::numeric_limits<double>::infinity();
  const double read = record.roof_read_gb_s > 0 ? record.roof_read_gb_s : unknown;
  record.roof_pct = runtime::roof_percent(problem.m, gb_s, gop_s, read,
                                          record.roof_int8_gop_s > 0 ? record.roof_int8_gop_s : unknown);
  const std::string &layout = candidate(winner).schedule.layout;
  const bool by_bytes = 100 * gb_s / read >= record.roof_pct;  // this roof is the one that was taken
  record.note = runtime::roof_note(
      {record.roof_pct, layout.empty() ? 2 : schedules::find_layout(layout).bits_per_weight(), by_bytes ? bytes : 0,
       static_cast<double>(tools_.host.cache_bytes), by_bytes ? roofs.read_gb_s : roofs.int8_gop_s,
       timings.disturbed(winner, default_ >= 0 ? default_ : winner)});
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
