#include "runtime/io/progress_bar.h"

#include <fmt/format.h>

#include <algorithm>

namespace bittern::runtime {

ProgressBar::ProgressBar(std::FILE *out, bool quiet) : out_(out), quiet_(quiet), line_(out) {}

void ProgressBar::show(int64_t done, int64_t total, const std::string &what) {
  if (quiet_ || total <= 0) return;
  const double fraction = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  if (line_.terminal()) {
    line_.draw(fraction, what);
    return;
  }
  // A line for each tenth, at most one in two seconds: short conversions say nothing.
  const double seconds = line_.seconds();
  const int tenth = static_cast<int>(fraction * 10);
  if (tenth == last_tenth_ || seconds < 2 || seconds - last_ < 2) return;
  fmt::print(out_, "[{:5.1f} s {:3.0f} %] {}\n", seconds, 100 * fraction, what);
  std::fflush(out_);
  last_tenth_ = tenth;
  last_ = seconds;
}

}  // namespace bittern::runtime
