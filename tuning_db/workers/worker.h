// Everything that could crash or hang runs in a worker: compiling, proving and timing generated code. The parent sends
// a message and waits for its answer; a worker that dies, hangs or answers nonsense becomes an Error that says why, and
// the next request gets a fresh worker. A worker ends when its parent does, however that happens.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "compiler/error.h"
#include "tuning_db/messages/wire.h"

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

// The worker died, hung or spoke nonsense (kinds Crash and Timeout).
class WorkerFailure : public Rejected {
 public:
  WorkerFailure(RejectionKind kind_, const std::string &text, int64_t kernel_)
      : Rejected(kind_, text), kernel(kernel_) {}
  int64_t kernel;  // which of the request's libraries was running; -1: none
};
// The user interrupted the request.
class Interrupted : public Error {
 public:
  Interrupted() : Error("interrupted") {}
};

// The time that was set for requests is over; nothing is known of what was asked.
class OutOfTime : public Error {
 public:
  OutOfTime() : Error("the time is over") {}
};

class Worker {
 public:
  using Clock = std::chrono::steady_clock;
  // `cancel`, when given, is looked at while waiting.
  explicit Worker(WorkerCommand command, const std::atomic<bool> *cancel = nullptr);
  ~Worker();
  Worker(const Worker &) = delete;
  Worker &operator=(const Worker &) = delete;

  // Sends a request, waits at most `limit_seconds` for the answer. Throws WorkerFailure, Interrupted or, when the
  // worker said why it cannot, Rejected.
  template <typename Request>
  typename Request::Answer call(const Request &request, double limit_seconds) {
    const IncomingAnswer answer = exchange(encode_request(request), limit_seconds);
    if (answer.failure) throw Rejected(answer.failure->kind, answer.failure->error);
    try {
      return answer.as<typename Request::Answer>();
    } catch (const BadMessage &bad) {
      fail(RejectionKind::Crash, std::string("garbled answer: ") + bad.what());
    }
  }
  // A line for a line, whatever they hold. Throws WorkerFailure or Interrupted.
  IncomingAnswer exchange(const std::string &line, double limit_seconds);
  // From then on calls end, those under way too, and throw OutOfTime.
  void set_deadline(Clock::time_point deadline) { deadline_ = deadline; }
  // Ends the process; the next call starts another.
  void stop();
  int restarts() const { return restarts_; }

 private:
  void start();
  int spawn(int socket, int status);
  int end_status();
  [[noreturn]] void fail(RejectionKind kind, const std::string &why);
  std::string last_words() const;

  WorkerCommand command_;
  const std::atomic<bool> *cancel_;
  pid_t pid_ = -1;
  int socket_ = -1, errors_ = -1;
  struct WorkerStatus *status_ = nullptr;  // shared page
  int restarts_ = -1;
  Clock::time_point deadline_ = Clock::time_point::max();
};

inline constexpr int kWorkerSocket = 3, kWorkerStatus = 4;  // file descriptors of a worker
// What the worker is doing, for the parent to know should it end in the middle of it.
struct WorkerStatus {
  int64_t kernel = -1;  // which of the request's libraries is running
  char text[4088] = {};
};

}  // namespace bittern::tuning
