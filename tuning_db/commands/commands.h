// What bitnet-tune does, without its command line.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/model/model_source.h"
#include "tuning_db/search/tuner.h"

namespace bittern::tuning {

// What to tune: exactly one of model, preset, shapes and kernel_file is set.
struct WorkRequest {
  std::string model, preset, shapes, kernel_file, dims;
  runtime::OpenOptions open;  // of the model
  std::vector<int64_t> batch = {1, 8, 128};
};
// Throws Error (or runtime::Error) naming what is wrong with the request, the model or the kernel text.
std::vector<KernelWork> make_works(const WorkRequest &request);

// A kernel text of at most a MiB. Throws Error that names the file.
std::string read_kernel_text(const std::string &path);

struct TuneCommand {
  WorkRequest work;
  std::vector<int> threads;  // empty: 1, powers of two below the cores, all cores
  std::string patience = "quick";
  double time_limit = 0;
  bool again = false, json = false, quiet = false;
  bool compare = false;  // measure the best kernel of every weight layout, and say which wins and why
  std::string db;        // empty: tuning.sqlite in the cache folder
  std::string report;    // an HTML file, when set
  std::string target;    // empty: the widest that the machine runs
  std::string runner;    // a command that reaches the machine to tune for; empty: this one
  std::string output;    // folder: of the pack, or of the candidates when they are only emitted
  MakeLimits limits;
  WorkerCommand worker;
};

// Each returns the program's exit status and prints to stdout; warnings and progress go to stderr.
int run_tune(const TuneCommand &command, const std::atomic<bool> *cancel);
// Compiles and links the candidates that a search would try first, proves nothing, and writes them with a manifest into
// `output`, which must be empty or not there: bitnet-worker proves them on another machine.
int run_emit_only(const TuneCommand &command, const std::atomic<bool> *cancel);
int run_show(const std::string &db, bool json);
int run_verify(const std::string &db, bool json, const std::atomic<bool> *cancel, const WorkerCommand &worker = {});

inline constexpr int kInterrupted = 130;

}  // namespace bittern::tuning
