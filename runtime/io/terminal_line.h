// One line at the bottom of a terminal that is rewritten: a bar, the time, what is being done.
#pragma once
#include <chrono>
#include <cstdio>
#include <string>

namespace bittern::runtime {

class TerminalLine {
 public:
  explicit TerminalLine(std::FILE *out);
  ~TerminalLine() { clear(); }
  TerminalLine(const TerminalLine &) = delete;
  TerminalLine &operator=(const TerminalLine &) = delete;
  bool terminal() const { return terminal_; }
  double seconds() const;  // since this was made
  // Draws a bar filled to `fraction` and the text, cut at the terminal's width. Cheap enough to call often.
  void draw(double fraction, const std::string &text);
  // Removes the line, so that something else can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::FILE *out_;
  bool terminal_, drawn_ = false;
  Clock::time_point start_ = Clock::now(), last_ = {};
};

}  // namespace bittern::runtime
