// Turns candidates into proved libraries, several at a time: compile, link, prove, each in a worker process. Used only
// while nothing is being timed.
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tuning_db/problem.h"
#include "tuning_db/records.h"
#include "tuning_db/worker.h"

namespace bittern::tuning {

struct FarmJob {
  // In.
  const Problem *problem = nullptr;
  std::string schedule;
  compiler::Sizes compiled;  // sizes that become constants
  std::string symbol;        // unique among all kernels that may be linked together
  ObjectRecord object;       // without parts: compile
  ProofRecord proof;         // without id: prove
  size_t index = 0;          // of the kernel in a finished pack
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

  Farm(const WorkerCommand &command, int workers, std::string folder, FarmLimits limits,
       const std::atomic<bool> *cancel);

  // Works on the jobs until all are done or `deadline` has passed; `finished` is called on this thread, once per job,
  // as they end. Throws Interrupted.
  void run(std::vector<FarmJob> &jobs, Clock::time_point deadline, const std::function<void(FarmJob &)> &finished);

  // Proves kernels of a finished pack through the runtime's loader; fills in `rejected`.
  void prove_pack(const std::string &manifest, std::vector<FarmJob> &jobs,
                  const std::function<void(FarmJob &)> &finished);

 private:
  void each(size_t count, size_t workers, Clock::time_point deadline, const std::function<void(Worker &, size_t)> &work,
            const std::function<void(size_t)> &finished);
  void make(Worker &worker, FarmJob &job) const;
  nlohmann::json proof_request(const FarmJob &job, const std::string &library, size_t index) const;

  std::string folder_;
  FarmLimits limits_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace bittern::tuning
