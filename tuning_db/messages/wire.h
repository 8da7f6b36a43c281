// Messages as lines of JSON. A request is {"op", "seq", "limit", its fields}, an answer {"ok": true, "seq", its
// fields}, a failure {"ok": false, "seq", "kind", "kernel", "error"}.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "tuning_db/messages/fields.h"
#include "tuning_db/messages/messages.h"
#include "tuning_db/messages/rejection.h"

namespace bittern::tuning {

// What goes around every request.
struct Envelope {
  int64_t seq = 0;   // comes back with the answer
  double limit = 0;  // seconds that the worker's own worker may take; 0: it has none
  bool operator==(const Envelope &) const = default;
};

struct Failure {
  RejectionKind kind = RejectionKind::BadRequest;
  int64_t kernel = -1;  // which of the request's libraries was running when the worker died
  std::string error;
  bool operator==(const Failure &) const = default;
};

struct IncomingRequest {
  std::string op;
  Envelope envelope;
  nlohmann::json fields;
  // Throws BadMessage.
  template <typename Request>
  Request as() const {
    return decode<Request>(fields);
  }
};

struct IncomingAnswer {
  int64_t seq = 0;
  std::optional<Failure> failure;
  nlohmann::json fields;  // of an answer that is none
  template <typename Answer>
  Answer as() const {
    return decode<Answer>(fields);
  }
};

// Throw BadMessage when the line is not such an object.
IncomingRequest read_request(std::string_view line);
IncomingAnswer read_answer(std::string_view line);

// Each ends with a line feed. Bytes of an answer that are not text are replaced, since reasons may quote any; a request
// with such bytes throws BadMessage.
std::string request_line(const char *op, nlohmann::json fields, const Envelope &envelope);
std::string answer_line(nlohmann::json fields, int64_t seq);
std::string failure_line(const Failure &failure, int64_t seq);

template <typename Request>
std::string encode_request(const Request &request, const Envelope &envelope = {}) {
  return request_line(Request::kOp, encode(request), envelope);
}
template <wire::Fielded Answer>
std::string encode_answer(const Answer &answer, int64_t seq = 0) {
  return answer_line(encode(answer), seq);
}

}  // namespace bittern::tuning
