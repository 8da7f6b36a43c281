// What bitnet-convert does, apart from reading its command line.
#pragma once
#include <atomic>
#include <cstdio>
#include <string>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

struct ConvertCommand {
  std::string in, out, to;
  std::string preset;  // instead of `in`: a synthetic model
  OpenOptions options;
  bool verify = false, force = false, json = false, quiet = false;
};

// Converts, and with `verify` reads the result back and compares every weight. The result appears whole or not at all;
// `stop` (Ctrl-C) ends it with nothing changed. Prints what was done on `out` (one object with `json`), progress and
// notes on `err`. Throws Error.
void run_convert(ConvertCommand command, const std::atomic<bool> &stop, std::FILE *out, std::FILE *err);

}  // namespace bittern::runtime
