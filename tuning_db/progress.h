// How a long run shows itself: on a terminal one line that is rewritten (a bar, what is being tried, the best so far),
// elsewhere a plain line now and then.
#pragma once
#include <chrono>
#include <cstdio>
#include <string>

#include "tuning_db/tuner.h"

namespace bittern::tuning {

class ProgressLine {
 public:
  // Draws on `out`; nothing at all when `quiet`.
  ProgressLine(FILE *out, bool quiet);
  ~ProgressLine() { clear(); }
  void show(const Progress &progress);
  // Removes the line, so that something else can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  FILE *out_;
  bool quiet_, terminal_, drawn_ = false;
  std::string last_where_, last_best_;
  Clock::time_point start_ = Clock::now(), last_ = {};
};

}  // namespace bittern::tuning
