#include "runtime/io/terminal_line.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>

namespace bittern::runtime {

TerminalLine::TerminalLine(std::FILE *out) : out_(out), terminal_(isatty(fileno(out)) != 0) {}

double TerminalLine::seconds() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }

void TerminalLine::draw(double fraction, const std::string &text) {
  const auto now = Clock::now();
  if (now - last_ < std::chrono::milliseconds(80)) return;
  last_ = now;
  winsize size{};
  const size_t columns = ioctl(fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
  constexpr int kBar = 20;
  const int filled = std::clamp(static_cast<int>(fraction * kBar), 0, kBar);
  std::string line = fmt::format("[{:#<{}}{:.<{}}] {:.0f} s {}", "", filled, "", kBar - filled, seconds(), text);
  if (line.size() >= columns) line.resize(columns - 1);
  fmt::print(out_, "\r\x1b[K{}", line);
  std::fflush(out_);
  drawn_ = true;
}

void TerminalLine::clear() {
  if (drawn_) {
    fmt::print(out_, "\r\x1b[K");
    std::fflush(out_);
  }
  drawn_ = false;
}

}  // namespace bittern::runtime
