// How a long conversion shows itself: on a terminal one line that is rewritten, elsewhere a plain line now and then.
#pragma once
#include <chrono>
#include <cstdio>
#include <string>

namespace bittern::runtime {

class ProgressBar {
 public:
  // Draws on `out`; nothing at all when `quiet`.
  ProgressBar(std::FILE *out, bool quiet);
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar &) = delete;
  ProgressBar &operator=(const ProgressBar &) = delete;
  // `done` of `total` units of work; `what` is being worked on. Cheap enough to call often.
  void show(int64_t done, int64_t total, const std::string &what);
  // Removes the line, so that something else can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::FILE *out_;
  bool quiet_, terminal_, drawn_ = false;
  int last_tenth_ = -1;
  Clock::time_point start_ = Clock::now(), last_ = {};
};

}  // namespace bittern::runtime
