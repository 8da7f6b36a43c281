// The worker's side: which requests it serves, and the loop that serves them.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <type_traits>

#include "tuning_db/workers/worker.h"

namespace bittern::tuning {

// What requests do, by their names.
class WorkerOps {
 public:
  // `handle(request)` or `handle(request, limit in seconds)` gives the answer. `kind`: of an Error that it throws,
  // unless that is a Rejected with its own.
  template <typename Request, typename Handle>
  void add(RejectionKind kind, Handle handle) {
    rows_[Request::kOp] = {kind, [handle](const IncomingRequest &incoming) {
                             const Request request = incoming.as<Request>();
                             if constexpr (std::is_invocable_v<Handle, Request, double>)
                               return encode_answer(handle(request, incoming.envelope.limit), incoming.envelope.seq);
                             else
                               return encode_answer(handle(request), incoming.envelope.seq);
                           }};
  }
  // The answer to a line, a failure where there is none.
  std::string serve(const std::string &line) const;

 private:
  struct Row {
    RejectionKind kind = RejectionKind::BadRequest;
    std::function<std::string(const IncomingRequest &)> answer;
  };
  std::map<std::string, Row> rows_;
};

// Serves "prove", "time" and `more` to the process that started this one until it is gone. Returns the exit status.
int serve_worker(const WorkerOps &more);

// Writes all of it; false when it cannot.
bool write_all(int file, const std::string &text);

// Tells the parent what the worker is doing; `kernel`: which of the request's libraries is about to run.
void say_status(const std::string &text, int64_t kernel = -1);

}  // namespace bittern::tuning
