// The tuner: takes kernels at sizes, tries schedules (compiled, proved, timed), and leaves winners in the database.
// What is tried first, dropped and compared is search.h's; what runs untrusted code is farm.h's and worker.h's.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "compiler/ir.h"
#include "schedules/target.h"
#include "tuning_db/making/farm.h"
#include "tuning_db/records/store.h"
#include "tuning_db/search/rejections.h"
#include "tuning_db/workers/run_folder.h"

namespace bittern::tuning {

// How much is tried. A row of a table: more patience is larger numbers, nothing else.
struct Patience {
  std::string name;
  size_t first_decode, first_batch;  // candidates tried first at M = 1 and at larger M; 0: no timing at all
  int expansions;                    // times that neighbours of the best are tried
  size_t per_expansion;
  int final_rounds;
  double small_limit, large_limit;  // seconds in all for small and for large models; 0: none
};
const std::vector<Patience> &patiences();
const Patience &find_patience(const std::string &name);  // throws Error that lists the names

// One kernel text at fixed sizes and the batch sizes it is wanted for.
struct KernelWork {
  std::string what;  // "gate_up", "6912x2560"
  compiler::KernelSpec spec;
  compiler::Sizes fixed;
  std::vector<int64_t> m_values;
};

struct Outcome {
  std::string what;
  Problem problem;
  WinnerRecord winner;
  std::string schedule, layout, backend;
  double gb_s = 0, gop_s = 0;
  bool reused = false;  // found in the database as it is
  size_t tried = 0, rejected = 0, space = 0;
  ObjectRecord object;
  ProofRecord proof;
};

// The fastest kernel found in one weight layout, measured together with those of the other layouts.
struct LayoutTime {
  std::string what, shape;
  int64_t m = 1;
  int threads = 1;
  std::string layout, schedule;
  double us = 0;               // median
  double bits_per_weight = 0;  // what the layout stores
  double operations = 0;       // vector instructions a weight by the schedule's own count, all tokens; 0: not known
  double roof_read_gb_s = 0;   // measured between the rounds
  double read_share = 0;       // of its time that reading the layout's bytes at the roof would take
  std::string note;            // what to know of that share
  bool bytes_bind() const { return read_share >= 0.8; }
};

// What the tuner is doing, for a progress bar.
struct Progress {
  double fraction = 0;       // of all work
  std::string where, doing;  // "6912x2560 M=1", "proved llvm.gemv{...}"
  std::string best;          // "161 us llvm.gemv{...}", empty at first
};

struct TunerOptions {
  std::vector<int> threads;
  Patience patience;
  double time_limit = 0;  // seconds; 0: the patience's own
  bool again = false;     // tune even what has a winner
  bool compare = false;   // carry every layout through every batch size, and measure their best together
  WorkerCommand worker;
  std::string target;  // empty: the widest that the machine runs
  std::string runner;  // a command that reaches the machine to prove and time on; empty: this one
  MakeLimits limits;
  std::string build;  // identifies the program: another build compiles anew
  const std::atomic<bool> *cancel = nullptr;
  std::function<void(const Progress &)> progress;
};

struct TuningResult {
  std::vector<Outcome> outcomes;
  std::vector<std::string> unreached;            // problems the time did not suffice for
  std::vector<std::string> hopeless;             // problems whose every candidate that was tried was rejected
  std::map<std::string, Rejections> rejections;  // by KernelWork::what
  std::vector<Outcome> companions;               // that the winners' layouts need beside them in a pack
  std::vector<std::string> choices;              // a line per layout choice: what was weighed
  std::vector<LayoutTime> layouts;               // when options.compare is set
  bool interrupted = false;
};

class Tuner {
 public:
  // `run_folder` must outlive the tuner. Throws Error when the runner or the target will not do.
  Tuner(Store &store, const RunFolder &run_folder, TunerOptions options);
  ~Tuner();

  // Works on all kernels in order, largest first as given. What is committed stays when it is interrupted, and a later
  // call continues from there.
  TuningResult run(const std::vector<KernelWork> &works);

  Farm &farm() { return *farm_; }
  // What kernels are tuned for.
  const Machine &machine() const { return host_; }

 private:
  Store &store_;
  const RunFolder &folder_;
  TunerOptions options_;
  std::unique_ptr<Runner> runner_;
  Machine host_;
  const schedules::Target &target_;
  int64_t machine_ = 0, run_ = 0;
  std::unique_ptr<Farm> farm_;
  std::unique_ptr<Worker> timer_;
  std::chrono::steady_clock::time_point deadline_;
  Progress progress_;
};

// Identifies this executable: its size and time of change.
std::string program_build();

}  // namespace bittern::tuning
