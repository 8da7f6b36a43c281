// Another machine, reached through a command ("ssh board bitnet-worker", "qemu-aarch64 ... bitnet-worker"): proves and
// times what this one compiled. Nothing it says is taken on trust: hashes of what arrived, the digest of a proof
// against reference outputs computed here, numbers of samples, and times against what any machine could do.
#pragma once
#include <map>
#include <string>

#include "runtime/machine/machine.h"
#include "tuning_db/workers/worker.h"

namespace bittern::tuning {

// The machine that kernels are proved and timed on.
struct Machine {
  runtime::Fingerprint fingerprint;
  int cores = 1;
  int64_t cache_bytes = 0;
  bool emulated = false;  // proves, but does not time
};
Machine this_machine();

// The runner failed, hung or contradicted itself: the run ends, no candidate is blamed.
class RunnerFailure : public Error {
 public:
  using Error::Error;
};

struct RunnerLimits {
  double hello_seconds = 60;
  double slack_seconds = 30;  // a slow line and a busy machine, on top of what a request may take there
};

class Runner {
 public:
  // Nothing is started yet. `cancel`, when given, is looked at while waiting.
  explicit Runner(std::string command, const std::atomic<bool> *cancel = nullptr, RunnerLimits limits = {});

  // Asks the machine what it is, the first time. Throws RunnerFailure.
  const Machine &machine();

  // Proves a kernel there; the request's library is the path of a file of this machine and is sent, and so is what a
  // pack's manifest names. `expected` is what ExpectRequest gives here. Throws WorkerFailure when the candidate crashed
  // or hung there, Rejected with its fault, or RunnerFailure.
  ProveAnswer prove(ProveRequest request, const ProveAnswer &expected, double limit_seconds);

  // Times kernels there, libraries being paths of this machine. `multiply_adds` are those of one call: no time is
  // believed that no machine reaches. Throws as prove() does.
  TimeAnswer time(TimeRequest request, double multiply_adds, double limit_seconds);

 private:
  // `limit_seconds`: what the request may take there, the line apart.
  template <typename Request>
  typename Request::Answer call(const Request &request, double limit_seconds, double slack_seconds);
  void check_protocol(const IncomingAnswer &answer);
  std::string send(const std::string &path);
  [[noreturn]] void fail(const std::string &why);

  std::string command_;
  RunnerLimits limits_;
  Worker process_;
  bool greeted_ = false;
  Machine machine_;
  int64_t next_id_ = 1;
  std::map<std::string, std::string> sent_;  // name: SHA-256 of what lies there
};

}  // namespace bittern::tuning
