// How fast a whole transformer runs: prefill and decode on synthetic weights of a preset's true shapes, against the
// roof that was sampled between the steps. The engine's start-up self-check compares every kernel with the scalar path
// before anything is timed.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/engine/engine.h"

namespace bittern::runtime {

struct ModelBenchOptions {
  std::string preset = "2b-4t";
  EngineOptions engine;
  int64_t prompt = 128, generate = 64;
};

struct ModelFigures {
  std::string preset;
  int threads = 1;
  double prefill_tok_s = 0, decode_tok_s = 0;  // from wall-clock medians
  double bytes_per_token = 0;                  // N * K / 4 of every ternary matrix + head + KV read, no padding
  double roof_gb_s = 0, roof_gop_s = 0;
  double roof_pct_prefill = 0;            // 2 * ternary weights * prefill_tok_s / multiply-add peak
  double roof_pct_decode = 0;             // bytes_per_token * decode_tok_s / bandwidth
  std::string note_prefill, note_decode;  // what to know of these shares, see roof_note
  std::string head, kv;                   // "bf16", "f32" or "int8"; "f32" or "f16"
  double rss_mib = 0;                     // VmHWM of a process that only runs the model
  double start_s = 0;                     // from process start to the first token of a one-token prompt
  bool prepacked = false;                 // whether that start read prepacked weights from the cache folder
  std::string kernels;  // where the decoding kernels of the ternary matrices come from: "tuned", "default", ...
  bool tuned = false;   // every ternary matrix decodes and prefills on kernels tuned for this machine
};

// Throws Error when the model cannot be made or the self-check fails. `program` is this executable: it is started once
// more as `program model --start-only ...` for the figures that want a process of their own.
ModelFigures bench_model(const ModelBenchOptions &, const std::string &program);

// How fast `sequences` of them decode together, each with `prompt` tokens before and pages of its own.
struct BatchFigures {
  int64_t sequences = 1;
  double step_ms = 0, decode_tok_s = 0;  // from the median of the steps' wall-clock times
};
struct BatchReport {
  std::string preset;
  int threads = 1;
  std::string kernels;  // "tuned", "default", "tuned and default", ...
  std::vector<BatchFigures> rows;
};
// Throws Error when a number is not in 1 .. Engine::kMostSequences or memory does not hold the keys and values.
BatchReport bench_batches(const ModelBenchOptions &, const std::vector<int64_t> &sequences);

// What that process does and prints: loads the preset, takes a one-token prompt to its first token, prefills and
// decodes, and says as JSON when the token was there (CLOCK_MONOTONIC, seconds) and how much memory all of it took.
std::string run_start(const ModelBenchOptions &);

}  // namespace bittern::runtime
