// Everything that could crash or hang runs in a worker: compiling, proving and timing generated code. The parent sends
// one JSON line and waits for one; a worker that dies, hangs or answers nonsense becomes an Error that says why, and
// the next request gets a fresh worker. A worker ends when its parent does, however that happens.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "compiler/error.h"

namespace bittern::tuning {

// The program that becomes a worker: it must call worker_main(). By default this executable with `arguments`.
struct WorkerCommand {
  std::string program = "/proc/self/exe";
  std::vector<std::string> arguments = {"worker"};
};

// The worker died, hung or spoke nonsense: what() is a reason fit for a rejected candidate.
class WorkerFailure : public Error {
 public:
  using Error::Error;
};
// The user interrupted the request.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

class Worker {
 public:
  // `cancel`, when given, is looked at while waiting.
  explicit Worker(WorkerCommand command, const std::atomic<bool> *cancel = nullptr);
  ~Worker();
  Worker(const Worker &) = delete;
  Worker &operator=(const Worker &) = delete;

  // Sends a request, waits at most `limit_seconds` for the answer. Throws WorkerFailure, Interrupted, or Error with the
  // message when the worker answered that the request itself is at fault.
  nlohmann::json call(const nlohmann::json &request, double limit_seconds);
  int restarts() const { return restarts_; }

 private:
  void start();
  void stop();
  [[noreturn]] void fail(const std::string &why);
  std::string last_words() const;

  WorkerCommand command_;
  const std::atomic<bool> *cancel_;
  pid_t pid_ = -1;
  int socket_ = -1, errors_ = -1;
  char *status_ = nullptr;  // shared page: what the worker is doing
  int restarts_ = -1;
};

inline constexpr int kWorkerSocket = 3, kWorkerStatus = 4;  // file descriptors of a worker
inline constexpr size_t kStatusBytes = 4096;

// The worker's side: serves requests until the parent is gone. Returns the exit status.
int worker_main();

}  // namespace bittern::tuning
