// The far end of `bitnet-tune --runner`: what bitnet-worker does. It speaks JSON lines over standard input and output,
// keeps the libraries it is sent in a folder of its own, and lets a worker process (worker.h) prove and time them, so
// that code which crashes or hangs there is a rejected candidate there too.
//
//   {"op": "hello"}                              -> what machine this is, and whether it is emulated
//   {"op": "put", "name", "sha256", "bytes"}     -> stores a file (base64); {"sha256"} of what arrived
//   {"op": "prove" | "time", ..., "limit"}       -> worker_child.cpp's requests; libraries are names that were put
//
// Every answer has "ok", and "seq" when the request had one. A worker that died is {"ok": false, "died": true}.
#pragma once
#include <nlohmann/json.hpp>
#include <string>

namespace bittern::tuning {

inline constexpr int kRunnerProtocol = 1;

// What "hello" says, and the tuner checks.
nlohmann::json describe_machine();

// Serves `input` until it ends and answers on `output` (file descriptors). Returns the exit status.
int serve_runner(int input, int output);

// Proves the candidates in a folder that bitnet-tune --emit-only wrote, prints a line for each, and returns the exit
// status. Throws Error (or JSON's exceptions) when the folder does not hold them.
int prove_folder(const std::string &folder, bool as_json);

}  // namespace bittern::tuning
