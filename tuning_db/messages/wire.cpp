// See wire.h.
#include "tuning_db/messages/wire.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

json parse_line(std::string_view line) {
  json object = json::parse(line.begin(), line.end(), nullptr, false);
  if (object.is_discarded()) throw BadMessage("the message is not JSON");
  wire::require(object.is_object(), "", "is not an object");
  return object;
}

// Takes a field out of a message's own.
template <typename T>
T take(json &object, const char *name) {
  const auto found = object.find(name);
  wire::require(found != object.end(), name, "is missing");
  T value{};
  wire::decode(*found, value, name);
  object.erase(found);
  return value;
}

}  // namespace

IncomingRequest read_request(std::string_view line) {
  IncomingRequest request;
  request.fields = parse_line(line);
  request.op = take<std::string>(request.fields, "op");
  request.envelope = {take<int64_t>(request.fields, "seq"), take<double>(request.fields, "limit")};
  return request;
}

IncomingAnswer read_answer(std::string_view line) {
  IncomingAnswer answer;
  answer.fields = parse_line(line);
  const bool ok = take<bool>(answer.fields, "ok");
  answer.seq = take<int64_t>(answer.fields, "seq");
  if (ok) return answer;
  Failure failure;
  const auto kind = take<std::string>(answer.fields, "kind");
  try {
    failure.kind = find_rejection(kind);
  } catch (const Error &error) {
    throw BadMessage(fmt::format("field \"kind\": {}", error.what()));
  }
  failure.kernel = take<int64_t>(answer.fields, "kernel");
  failure.error = take<std::string>(answer.fields, "error");
  wire::no_others(answer.fields, {}, "");
  answer.failure = std::move(failure);
  return answer;
}

std::string request_line(const char *op, json fields, const Envelope &envelope) {
  fields["op"] = op;
  fields["seq"] = envelope.seq;
  fields["limit"] = envelope.limit;
  try {
    return fields.dump() + "\n";
  } catch (const json::exception &) {
    throw BadMessage(fmt::format("request \"{}\": a text in it is not UTF-8", op));
  }
}

std::string answer_line(json fields, int64_t seq) {
  fields["ok"] = true;
  fields["seq"] = seq;
  return fields.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string failure_line(const Failure &failure, int64_t seq) {
  const json object = {{"ok", false},
                       {"seq", seq},
                       {"kind", rejection_name(failure.kind)},
                       {"kernel", failure.kernel},
                       {"error", failure.error}};
  return object.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

}  // namespace bittern::tuning
