#include "tuning_db/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace bittern::tuning {

ProgressLine::ProgressLine(FILE *out, bool quiet) : out_(out), quiet_(quiet), terminal_(isatty(fileno(out)) != 0) {}

void ProgressLine::show(const Progress &p) {
  if (quiet_) return;
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - start_).count();
  if (!terminal_) {
    // A line for each new problem and each time the best changes, at most one a second of the latter.
    const bool new_best = p.best != last_best_ && !p.best.empty() && now - last_ > std::chrono::seconds(1);
    if (p.where == last_where_ && !new_best) return;
    fmt::print(out_, "[{:5.1f} s {:3.0f} %] {}: {}{}{}\n", seconds, 100 * p.fraction, p.where, p.doing,
               p.best.empty() ? "" : "; best ", p.best);
    std::fflush(out_);
    last_where_ = p.where;
    last_best_ = p.best;
    last_ = now;
    return;
  }
  if (now - last_ < std::chrono::milliseconds(80)) return;
  last_ = now;
  winsize size{};
  const size_t columns = ioctl(fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
  constexpr int kBar = 20;
  const int filled = std::clamp(static_cast<int>(p.fraction * kBar), 0, kBar);
  std::string line =
      fmt::format("[{:#<{}}{:.<{}}] {:.0f} s {}: {}", "", filled, "", kBar - filled, seconds, p.where, p.doing);
  if (!p.best.empty()) line += "; best " + p.best;
  if (line.size() >= columns) line.resize(columns - 1);
  fmt::print(out_, "\r\x1b[K{}", line);
  std::fflush(out_);
  drawn_ = true;
}

void ProgressLine::clear() {
  if (drawn_) {
    fmt::print(out_, "\r\x1b[K");
    std::fflush(out_);
  }
  drawn_ = false;
}

}  // namespace bittern::tuning
