#include "tuning_db/commands/progress.h"

#include <fmt/format.h>

namespace bittern::tuning {

ProgressLine::ProgressLine(FILE *out, bool quiet) : out_(out), quiet_(quiet), line_(out) {}

void ProgressLine::show(const Progress &p) {
  if (quiet_) return;
  const std::string best = p.best.empty() ? "" : "; best " + p.best;
  if (line_.terminal()) {
    line_.draw(p.fraction, fmt::format("{}: {}{}", p.where, p.doing, best));
    return;
  }
  // A line for each new problem and each time the best changes, at most one a second of the latter.
  const double seconds = line_.seconds();
  const bool new_best = p.best != last_best_ && !p.best.empty() && seconds - last_ > 1;
  if (p.where == last_where_ && !new_best) return;
  fmt::print(out_, "[{:5.1f} s {:3.0f} %] {}: {}{}\n", seconds, 100 * p.fraction, p.where, p.doing, best);
  std::fflush(out_);
  last_where_ = p.where;
  last_best_ = p.best;
  last_ = seconds;
}

}  // namespace bittern::tuning
