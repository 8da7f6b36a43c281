// Turns candidates into proved libraries, several at a time: compile, link, prove, each in a worker process. Used only
// while nothing is being timed.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tuning_db/proof/problem.h"
#include "tuning_db/records/records.h"
#include "tuning_db/workers/runner.h"
#include "tuning_db/workers/worker.h"

namespace bittern::tuning {

struct FarmJob {
  // In.
  const Problem *problem = nullptr;
  std::string schedule;
  compiler::Sizes compiled;  // sizes that become constants
  std::string symbol;        // unique among all kernels that may be linked together
  // For a target that this machine lacks: another, whose code stands for every instruction by its meaning. The library
  // is for the proof alone.
  std::string meanings_on;
  bool unchecked = false;                    // for tests of the proof: compile what bounds forbid
  std::vector<compiler::Sizes> proof_sizes;  // prove at these; when empty, at those of proof_steps()
  ObjectRecord object;                       // without parts: compile
  ProofRecord proof;                         // without id: prove
  size_t index = 0;                          // of the kernel in a finished pack
  bool only_compile = false;                 // and link: it is proved elsewhere
  // Out.
  bool done = false;     // false when the time ran out first
  std::string rejected;  // why, when it was
  std::string library;   // the candidate's shared object
};

struct FarmLimits {
  double compile_seconds = 60, proof_seconds = 300;
  int64_t call_ms = 20000;  // one proof step's generated code
};

class Farm {
 public:
  using Clock = std::chrono::steady_clock;

  // With a `runner`, a command for Runner, kernels are compiled and linked here and proved there.
  Farm(const WorkerCommand &command, int workers, std::string folder, FarmLimits limits,
       const std::atomic<bool> *cancel, const std::string &runner = "");

  // Works on the jobs until all are done or `deadline` has passed; `finished` is called on this thread, once per job,
  // as they end. Throws Interrupted and RunnerFailure.
  void run(std::vector<FarmJob> &jobs, Clock::time_point deadline, const std::function<void(FarmJob &)> &finished);

  // Proves kernels of a finished pack through the runtime's loader (`library` is its manifest) or of a shared object;
  // fills in `rejected`, and `proof` where the job has none yet. One that it has must come out again.
  void prove_pack(const std::string &library, std::vector<FarmJob> &jobs,
                  const std::function<void(FarmJob &)> &finished);

 private:
  // One of those that work at the same time.
  struct Hand {
    std::unique_ptr<Worker> worker;
    std::unique_ptr<Runner> runner;  // null: the worker proves
  };
  void each(size_t count, size_t workers, Clock::time_point deadline, const std::function<void(Hand &, size_t)> &work,
            const std::function<void(size_t)> &finished);
  void make(Hand &hand, FarmJob &job) const;
  nlohmann::json prove(Hand &hand, const FarmJob &job, const std::string &library, size_t index) const;
  static void take_proof(FarmJob &job, const nlohmann::json &verdict);
  nlohmann::json proof_request(const FarmJob &job, const std::string &library, size_t index) const;

  std::string folder_;
  FarmLimits limits_;
  std::vector<Hand> hands_;
};

}  // namespace bittern::tuning
