// Everything that could crash or hang runs in a worker: compiling, proving and timing generated code. The parent sends
// one JSON line and waits for one; a worker that dies, hangs or answers nonsense becomes an Error that says why, and
// the next request gets a fresh worker. A worker ends when its parent does, however that happens.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "compiler/error.h"

namespace bittern::tuning {

// The program that becomes a worker: it must call worker_main() (making/worker_main.h). By default this executable with
// `arguments`.
struct WorkerCommand {
  std::string program = "/proc/self/exe";
  std::vector<std::string> arguments = {"worker"};
  // Speaks over standard input and output: a command that somebody else wrote, perhaps with children of its own.
  bool over_stdio = false;
  // When set, the worker is a fork of this process that runs this, and no program is started: emulators cannot start
  // programs. Only for processes of one thread.
  std::function<int()> serve = {};
};

// The worker died, hung or spoke nonsense: what() is a reason fit for a rejected candidate.
class WorkerFailure : public Error {
 public:
  using Error::Error;
};
// The worker answered that the request itself is at fault; its whole answer.
class WorkerRefusal : public Error {
 public:
  explicit WorkerRefusal(const nlohmann::json &answer_) : Error(reason(answer_)), answer(answer_) {}
  nlohmann::json answer;

 private:
  static std::string reason(const nlohmann::json &answer) {
    const auto error = answer.find("error");
    return error != answer.end() && error->is_string() ? error->get<std::string>() : "the worker gave no reason";
  }
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

  // Sends a request, waits at most `limit_seconds` for the answer. Throws WorkerFailure, Interrupted or
  // WorkerRefusal.
  nlohmann::json call(const nlohmann::json &request, double limit_seconds);
  // Ends the process; the next call starts another.
  void stop();
  int restarts() const { return restarts_; }

 private:
  void start();
  int spawn(int socket, int status);
  int end_status();
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

// --- the worker's side ---
// What requests of a name give; an Error's message goes to the parent.
using WorkerOps = std::map<std::string, std::function<nlohmann::json(const nlohmann::json &request)>>;
// Serves "prove", "time" and `more` until the parent is gone. Returns the exit status.
int serve_worker(const WorkerOps &more);
// Tells the parent what the worker is doing, should it end in the middle of it.
void say_status(const std::string &text);

}  // namespace bittern::tuning
