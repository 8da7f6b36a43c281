// Lines from a person or a pipe. On a terminal they can be edited (libedit), with a history that outlives the program;
// otherwise they are read as they are.
#pragma once
#include <atomic>
#include <memory>
#include <string>

namespace bittern::runtime {

class LineReader {
 public:
  // Reads standard input. `history_file`: where the history is kept, "" for nowhere. `interrupt` is set by the handler
  // of SIGINT, which must be installed without SA_RESTART.
  LineReader(std::string history_file, std::atomic<bool> &interrupt);
  ~LineReader();
  LineReader(const LineReader &) = delete;
  LineReader &operator=(const LineReader &) = delete;

  enum class Event { Line, End, Interrupted, InterruptedEmpty };  // Ctrl-C on a line, or on an empty one
  // The next line without its end, as valid UTF-8, in `line`. Clears `interrupt`.
  Event read(const std::string &prompt, std::string &line);
  bool interactive() const;

 private:
  struct Editor;
  Event read_plain(std::string &line);

  std::unique_ptr<Editor> editor_;  // null without a terminal
  std::atomic<bool> &interrupt_;
  std::string buffer_;  // read and not yet given out
  bool ended_ = false;
};

}  // namespace bittern::runtime
