// Messages between tuner and workers: what is encoded comes back, and whatever is not a message is refused with the
// field that is wrong.
#include <doctest/doctest.h>

#include <string>

#include "tuning_db/messages/wire.h"

using namespace bittern::tuning;

namespace {

bittern::codegen::Descriptor descriptor() {
  bittern::codegen::Descriptor d;
  d.symbol = "bt_k_0123";
  d.spec = "w2a8_matmul";
  d.schedule = "llvm.gemv{rows=4}";
  d.isa_needs = 0xffffffff;
  d.from_meanings = true;
  d.fixed[0] = -1;
  d.fixed[1] = INT64_MAX;
  d.m_max = INT64_MIN;
  d.scratch_per[BT_MAX_SIZES - 1] = 7;
  d.instructions = 0.1;
  return d;
}

template <typename Request>
void comes_back(const Request &request) {
  const Envelope envelope{42, 1.5};
  const std::string line = encode_request(request, envelope);
  CHECK(line.find('\n') == line.size() - 1);
  const IncomingRequest incoming = read_request(line);
  CHECK(incoming.op == Request::kOp);
  CHECK(incoming.envelope == envelope);
  CHECK(incoming.as<Request>() == request);
}

template <typename Answer>
void answer_comes_back(const Answer &answer) {
  const IncomingAnswer incoming = read_answer(encode_answer(answer, 42));
  CHECK(incoming.seq == 42);
  CHECK_FALSE(incoming.failure);
  CHECK(incoming.as<Answer>() == answer);
}

template <typename Action>
std::string complaint(Action action) {
  try {
    action();
  } catch (const BadMessage &bad) {
    return bad.what();
  }
  return "nothing is wrong";
}

// A put request with one field changed: deleted when `value` is null.
std::string spoilt(const char *field, const nlohmann::json &value) {
  nlohmann::json json = nlohmann::json::parse(encode_request(PutRequest{"a.so", "00", "AAAA"}));
  if (value.is_null())
    json.erase(field);
  else
    json[field] = value;
  return complaint([&] { read_request(json.dump()).as<PutRequest>(); });
}

// The same of a time request, whose fields are of every type.
std::string spoilt_timing(const char *field, const nlohmann::json &value) {
  TimeRequest request;
  request.libraries = {"a"};
  nlohmann::json json = encode(request);
  json[field] = value;
  return complaint([&] { decode<TimeRequest>(json); });
}

}  // namespace

TEST_CASE("requests come back as they were sent") {
  comes_back(HelloRequest());
  comes_back(PutRequest{"a.so", "e3b0", "AAAA"});
  comes_back(CompileRequest{"kernel k(M) {}\n",
                            "llvm.loops{}",
                            "x86-64",
                            {{"N", 5}, {"K", INT64_MAX}},
                            1,
                            INT64_MAX,
                            "s",
                            "x86-64-avx2",
                            true,
                            "/tmp/a \"b\" \\ c"});
  comes_back(LinkRequest{{"a.o", "b.o"}, {{descriptor(), "0123", 2, 91.5}, {}}, "x86-64", "a.so"});
  const ProofQuestion question{"kernel", "00ff", {{"M", 1}}, {{{"M", 1}}, {}}, 3, ""};
  comes_back(ProveRequest{question, "a.so", 7, 20000});
  comes_back(ExpectRequest{question, descriptor()});
  comes_back(TimeRequest{
      "kernel", {{"M", 1}}, 2, {"a.so", "b.so"}, 9, 1500.5, 1e6, 2e6, int64_t{1} << 40, true, false, 60000});
}

TEST_CASE("answers and failures come back as they were sent") {
  answer_comes_back(HelloAnswer{1, "f", "GenuineIntel", "b", 6, 143, 8, 0x80000001, "bittern 0", true, 64, 1 << 30});
  answer_comes_back(PutAnswer{"00ff"});
  answer_comes_back(CompileAnswer{{"a.0.o", "a.1.o"}, descriptor(), 12.25});
  answer_comes_back(LinkAnswer());
  answer_comes_back(ProveAnswer{true, "", {"random", "zeros"}, "ref", "id", 17});
  answer_comes_back(TimeAnswer{{{1.5, 2.5}, {0.1, 1e-300}}, {{0, 1}, {0, 0}}, {0, 1}, {3, 4}, {27.5}, {}});
  for (int kind = 0; kind <= static_cast<int>(RejectionKind::BadRequest); ++kind) {
    const Failure failure{static_cast<RejectionKind>(kind), kind - 1, "died of \"it\"\n"};
    const IncomingAnswer incoming = read_answer(failure_line(failure, 9));
    CHECK(incoming.seq == 9);
    CHECK(incoming.failure.value() == failure);
  }
}

TEST_CASE("bytes that are not text are replaced in an answer and refused in a request") {
  const ProveAnswer answer{false, "got \xff\xfe", {}, "", "", 0};
  CHECK(read_answer(encode_answer(answer)).as<ProveAnswer>().reason.starts_with("got \xef\xbf\xbd"));
  CHECK(complaint([] { encode_request(PutRequest{"\xff", "", ""}); }) == "request \"put\": a text in it is not UTF-8");
}

TEST_CASE("what is not a message is refused with the field that is wrong") {
  CHECK(complaint([] { read_request(""); }) == "the message is not JSON");
  CHECK(complaint([] { read_request("Welcome to board"); }) == "the message is not JSON");
  CHECK(complaint([] { read_request("[1]"); }) == "the message is not an object");
  CHECK(complaint([] { read_request("{}"); }) == "field \"op\" is missing");
  CHECK(complaint([] { read_answer(R"({"ok": 1})"); }) == "field \"ok\" is neither true nor false");
  CHECK(complaint([] { read_answer(R"({"ok": false, "seq": 0, "kind": "sad", "kernel": 0, "error": ""})"); }) ==
        "field \"kind\": \"sad\" is not a kind of rejection");
  CHECK(complaint([] {
          read_answer(R"({"ok": false, "seq": 0, "kind": "crash", "kernel": 0, "error": "", "more": 1})");
        }) == "field \"more\" is not known");
  CHECK(spoilt("name", "b.so") == "nothing is wrong");
  CHECK(spoilt("name", nullptr) == "field \"name\" is missing");
  CHECK(spoilt("name", 3) == "field \"name\" is not text");
  CHECK(spoilt("seq", 1.5) == "field \"seq\" is not a whole number");
  CHECK(spoilt("extra", 1) == "field \"extra\" is not known");
  CHECK(spoilt_timing("threads", 1e6) == "field \"threads\" is not a whole number");
  CHECK(spoilt_timing("threads", int64_t{1} << 31) == "field \"threads\" is out of range");
  CHECK(spoilt_timing("cold_bytes", UINT64_MAX) == "field \"cold_bytes\" is out of range");
  CHECK(spoilt_timing("block_us", "1") == "field \"block_us\" is not a number");
  CHECK(spoilt_timing("libraries", "a") == "field \"libraries\" is not a list");
  CHECK(spoilt_timing("libraries", {"a", 2}) == "field \"libraries[1]\" is not text");
  CHECK(spoilt_timing("sizes", {1}) == "field \"sizes\" is not an object");
  CHECK(spoilt_timing("sizes", {{"M", -1.5}}) == "field \"sizes.M\" is not a whole number");
  CHECK(spoilt_timing("read_roof", 0) == "field \"read_roof\" is neither true nor false");
  nlohmann::json row = encode(LinkRow{descriptor(), "", 0, 0});
  row["descriptor"]["fixed"].push_back(1);
  CHECK(complaint([&] {
          decode<LinkRow>(row);
        }).starts_with("field \"descriptor.fixed\" is not a list of as many numbers"));
}
