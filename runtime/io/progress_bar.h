// How a long conversion shows itself: on a terminal one line that is rewritten, elsewhere a plain line now and then.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>

#include "runtime/io/terminal_line.h"

namespace bittern::runtime {

class ProgressBar {
 public:
  // Draws on `out`; nothing at all when `quiet`.
  ProgressBar(std::FILE *out, bool quiet);
  // `done` of `total` units of work; `what` is being worked on. Cheap enough to call often.
  void show(int64_t done, int64_t total, const std::string &what);
  // Removes the line, so that something else can be printed.
  void clear() { line_.clear(); }

 private:
  std::FILE *out_;
  bool quiet_;
  TerminalLine line_;
  int last_tenth_ = -1;
  double last_ = -2;  // when the last plain line was written, in seconds
};

}  // namespace bittern::runtime
