// What bitnet-emit does, without its command line: a static library of proved kernels for others to link.
#pragma once
#include <atomic>
#include <string>

#include "tuning_db/commands/commands.h"
#include "tuning_db/making/farm.h"
#include "tuning_db/workers/worker.h"

namespace bittern::tuning {

struct EmitCommand {
  WorkRequest work;     // model, preset or shapes
  std::string targets;  // as emit_targets takes them
  std::string from_db;  // a database whose winners to use; empty: the schedules that ship
  int threads = 0;      // of the winners; 0: the most there are
  std::string out;      // a folder that is not there, or empty
  bool json = false, quiet = false;
  MakeLimits limits;
  WorkerCommand worker;
};

// Plans, compiles, proves, links and writes the library. Returns the program's exit status and prints to stdout;
// progress goes to stderr. Throws Error (or runtime::Error) naming what is wrong, and then no folder is left behind.
int run_emit(const EmitCommand &command, const std::atomic<bool> *cancel);

}  // namespace bittern::tuning
