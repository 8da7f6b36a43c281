// Any line as each message that a worker or a tuner may be sent: one BadMessage, or a message that, sent on, comes back
// the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tuning_db/messages/wire.h"

using namespace bittern::tuning;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

template <typename Request>
void as_request(const IncomingRequest &incoming) {
  Request request;
  try {
    request = incoming.as<Request>();
  } catch (const BadMessage &) {
    return;
  }
  const IncomingRequest again = read_request(encode_request(request, incoming.envelope));
  require(again.op == Request::kOp && again.envelope == incoming.envelope);
  require(again.as<Request>() == request);
}

template <typename Answer>
void as_answer(const IncomingAnswer &incoming) {
  Answer answer;
  try {
    answer = incoming.as<Answer>();
  } catch (const BadMessage &) {
    return;
  }
  const IncomingAnswer again = read_answer(encode_answer(answer, incoming.seq));
  require(again.seq == incoming.seq && !again.failure && again.as<Answer>() == answer);
}

template <typename... Request>
void as_each(const IncomingRequest &incoming) {
  (as_request<Request>(incoming), ...);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string_view line(reinterpret_cast<const char *>(data), size);
  try {
    as_each<HelloRequest, PutRequest, CompileRequest, LinkRequest, ProveRequest, ExpectRequest, TimeRequest>(
        read_request(line));
  } catch (const BadMessage &) {
  }
  try {
    const IncomingAnswer incoming = read_answer(line);
    if (incoming.failure) {
      require(read_answer(failure_line(*incoming.failure, incoming.seq)).failure == incoming.failure);
    } else {
      as_answer<HelloAnswer>(incoming);
      as_answer<PutAnswer>(incoming);
      as_answer<CompileAnswer>(incoming);
      as_answer<LinkAnswer>(incoming);
      as_answer<ProveAnswer>(incoming);
      as_answer<TimeAnswer>(incoming);
    }
  } catch (const BadMessage &) {
  }
  return 0;
}
