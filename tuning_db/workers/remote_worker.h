// The far end of `bitnet-tune --runner`: what bitnet-worker does. It speaks JSON lines over standard input and output,
// keeps the libraries it is sent in a folder of its own, and lets a worker process (worker.h) prove and time them, so
// that code which crashes or hangs there is a rejected candidate there too.
//
// It serves hello, put, prove and time (messages.h); libraries are names that were put. "kind" says whether a worker of
// its own died of a kernel.
#pragma once
#include <string>

#include "tuning_db/messages/messages.h"

namespace bittern::tuning {

// What "hello" says, and the tuner checks.
HelloAnswer describe_machine();

// Serves `input` until it ends and answers on `output` (file descriptors). Returns the exit status.
int serve_runner(int input, int output);

// Proves the candidates in a folder that bitnet-tune --emit-only wrote, prints a line for each, and returns the exit
// status. Throws Error (or JSON's exceptions) when the folder does not hold them.
int prove_folder(const std::string &folder, bool as_json);

}  // namespace bittern::tuning
