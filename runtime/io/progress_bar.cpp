#include "runtime/io/progress_bar.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace bittern::runtime {

ProgressBar::ProgressBar(std::FILE *out, bool quiet) : out_(out), quiet_(quiet), terminal_(isatty(fileno(out)) != 0) {}

void ProgressBar::show(int64_t done, int64_t total, const std::string &what) {
  if (quiet_ || total <= 0) return;
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - start_).count();
  const double fraction = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  if (!terminal_) {
    // A line for each tenth, at most one in two seconds: short conversions say nothing.
    const int tenth = static_cast<int>(fraction * 10);
    if (tenth == last_tenth_ || seconds < 2 || now - last_ < std::chrono::seconds(2)) return;
    fmt::print(out_, "[{:5.1f} s {:3.0f} %] {}\n", seconds, 100 * fraction, what);
    std::fflush(out_);
    last_tenth_ = tenth;
    last_ = now;
    return;
  }
  if (now - last_ < std::chrono::milliseconds(80)) return;
  last_ = now;
  winsize size{};
  const size_t columns = ioctl(fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
  constexpr int kBar = 20;
  const int filled = static_cast<int>(fraction * kBar);
  std::string line = fmt::format("[{:#<{}}{:.<{}}] {:.0f} s {}", "", filled, "", kBar - filled, seconds, what);
  if (line.size() >= columns) line.resize(columns - 1);
  fmt::print(out_, "\r\x1b[K{}", line);
  std::fflush(out_);
  drawn_ = true;
}

void ProgressBar::clear() {
  if (drawn_) {
    fmt::print(out_, "\r\x1b[K");
    std::fflush(out_);
  }
  drawn_ = false;
}

}  // namespace bittern::runtime
