// How a long run shows itself: on a terminal one line that is rewritten (a bar, what is being tried, the best so far),
// elsewhere a plain line now and then.
#pragma once
#include <cstdio>
#include <string>

#include "runtime/io/terminal_line.h"
#include "tuning_db/search/tuner.h"

namespace bittern::tuning {

class ProgressLine {
 public:
  // Draws on `out`; nothing at all when `quiet`.
  ProgressLine(FILE *out, bool quiet);
  void show(const Progress &progress);
  // Removes the line, so that something else can be printed.
  void clear() { line_.clear(); }

 private:
  FILE *out_;
  bool quiet_;
  runtime::TerminalLine line_;
  std::string last_where_, last_best_;
  double last_ = -2;  // when the last plain line was written, in seconds
};

}  // namespace bittern::tuning
