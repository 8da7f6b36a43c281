#include "tuning_db/workers/runner.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "tuning_db/proof/problem.h"
#include "tuning_db/workers/files.h"

namespace bittern::tuning {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kSendSeconds = 600;
// Several times what the widest matrix units of today do in a nanosecond on one core.
constexpr double kMostMultiplyAddsPerNs = 16384;
constexpr double kLeastUs = 1e-3;

std::string to_base64(const std::string &bytes) {
  std::string text(sodium_base64_encoded_len(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char *>(bytes.data()), bytes.size(),
                    sodium_base64_VARIANT_ORIGINAL);
  text.resize(std::char_traits<char>::length(text.c_str()));
  return text;
}

}  // namespace

Machine this_machine() {
  return {runtime::machine_fingerprint(), runtime::machine_cores(), runtime::last_level_cache_bytes(),
          runtime::machine_is_emulated()};
}

Runner::Runner(std::string command, const std::atomic<bool> *cancel, RunnerLimits limits)
    : command_(std::move(command)), limits_(limits), process_({"/bin/sh", {"-c", command_}, true, {}}, cancel) {}

void Runner::fail(const std::string &why) {
  process_.stop();
  sent_.clear();  // what was there is gone with its process
  throw RunnerFailure(fmt::format("runner '{}': {}", command_, why));
}

template <typename Request>
typename Request::Answer Runner::call(const Request &request, double limit_seconds, double slack_seconds) {
  const Envelope envelope{next_id_++, limit_seconds};
  IncomingAnswer answer;
  try {
    answer = process_.exchange(encode_request(request, envelope), limit_seconds + slack_seconds);
  } catch (const WorkerFailure &failure) {
    fail(failure.what());
  }
  if (answer.seq != envelope.seq) fail("answers another request than the one it was sent");
  if (const auto &failure = answer.failure) {
    if (failure->kind == RejectionKind::Crash || failure->kind == RejectionKind::Timeout)
      throw WorkerFailure(failure->kind, failure->error, failure->kernel);
    throw Rejected(failure->kind, failure->error);
  }
  try {
    if constexpr (std::is_same_v<Request, HelloRequest>) check_protocol(answer);
    return answer.as<typename Request::Answer>();
  } catch (const BadMessage &bad) {
    fail(std::is_same_v<Request, HelloRequest>
             ? fmt::format("does not describe its machine: {}", bad.what())
             : fmt::format("gives an incomplete answer to \"{}\": {}", Request::kOp, bad.what()));
  }
}

// Before anything else: another version may describe its machine in other words.
void Runner::check_protocol(const IncomingAnswer &answer) {
  const auto spoken = answer.fields.find("protocol");
  if (spoken != answer.fields.end() && *spoken != kRunnerProtocol)
    fail(fmt::format("speaks protocol {}, this program {}", spoken->dump(), kRunnerProtocol));
}

const Machine &Runner::machine() {
  if (greeted_) return machine_;
  HelloAnswer hello;
  try {
    hello = call(HelloRequest(), 0, limits_.hello_seconds);
  } catch (const Rejected &refusal) {
    fail(refusal.what());
  }
  runtime::Fingerprint &f = machine_.fingerprint;
  f.vendor = hello.vendor;
  f.brand = hello.brand;
  f.family = hello.family;
  f.model = hello.model;
  f.stepping = hello.stepping;
  f.isa = hello.isa;
  f.generator = hello.generator;
  machine_.emulated = hello.emulated;
  machine_.cores = hello.cores;
  machine_.cache_bytes = hello.cache_bytes;
  if (f.generator != runtime::machine_fingerprint().generator)
    fail(fmt::format("is of {}, this program of {}", f.generator, runtime::machine_fingerprint().generator));
  if (f.id() != hello.fingerprint) fail("claims a fingerprint that is not that of the processor it describes");
  if (machine_.cores < 1 || machine_.cores > 4096 || machine_.cache_bytes < 0)
    fail(fmt::format("claims {} cores and {} bytes of cache", machine_.cores, machine_.cache_bytes));
  greeted_ = true;
  return machine_;
}

// Sends a file unless it is there, and gives its name there.
std::string Runner::send(const std::string &path) {
  const std::string name = path.substr(path.rfind('/') + 1), bytes = read_file(path), hash = sha256_hex(bytes);
  std::string &there = sent_[name];
  if (there == hash) return name;
  try {
    if (call(PutRequest{name, hash, to_base64(bytes)}, 0, kSendSeconds).sha256 != hash)
      fail(fmt::format("has {} with another hash than it was sent", name));
  } catch (const WorkerFailure &) {
    throw;
  } catch (const Rejected &refusal) {
    fail(fmt::format("cannot take {}: {}", name, refusal.what()));
  }
  there = hash;
  return name;
}

ProveAnswer Runner::prove(ProveRequest request, const ProveAnswer &expected, double limit_seconds) {
  machine();
  if (request.library.ends_with(".json")) {
    const auto manifest = nlohmann::json::parse(read_file(request.library));
    send(request.library.substr(0, request.library.rfind('/') + 1) + manifest.at("file").get<std::string>());
  }
  request.library = send(request.library);
  ProveAnswer answer = call(request, limit_seconds, limits_.slack_seconds);
  if (!answer.passed) {
    if (answer.reason.empty()) fail("rejects a kernel and gives no reason");
    return answer;
  }
  if (answer.steps != expected.steps)
    fail(fmt::format("claims a proof of {} runs where there are {}", answer.steps, expected.steps));
  if (answer.inputs != expected.inputs) fail("claims a proof over other inputs than those of this kernel");
  if (answer.reference != expected.reference) fail("claims a proof against other reference outputs than this kernel's");
  if (answer.id != expected.id) fail("claims a proof of another kernel");
  return answer;
}

TimeAnswer Runner::time(TimeRequest request, double multiply_adds, double limit_seconds) {
  if (machine().emulated) fail("is an emulator, and its times mean nothing");
  for (std::string &library : request.libraries) library = send(library);
  const auto start = Clock::now();
  TimeAnswer answer = call(request, limit_seconds, limits_.slack_seconds);
  const double wall_us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  const size_t kernels = request.libraries.size(), rounds = static_cast<size_t>(request.rounds);
  // Only a budget lets rounds be left out, and only kernels that were said to be slow are not timed in a round.
  const size_t given = answer.samples.size(), fewest = request.budget_us > 0 ? 1 : rounds;
  if (given < fewest || given > rounds || answer.disturbed.size() != given || answer.calls.size() != kernels ||
      answer.slow.size() != kernels)
    fail(fmt::format("gives {} rounds of times where {} were asked for", answer.samples.size(), rounds));
  const auto check_roof = [&](const char *name, const std::vector<double> &values, bool wanted) {
    if (values.size() != (wanted ? given : 0)) fail(fmt::format("gives {} samples of {}", values.size(), name));
    for (const double value : values)
      if (!(value > 0) || !std::isfinite(value)) fail(fmt::format("claims a roof of {}", value));
  };
  check_roof("read_gb_s", answer.read_gb_s, request.read_roof);
  check_roof("int8_gop_s", answer.int8_gop_s, request.multiply_roof);
  const double least = std::max(kLeastUs, multiply_adds / request.threads / kMostMultiplyAddsPerNs / 1e3);
  double total_us = 0;
  for (size_t round = 0; round < given; ++round) {
    const std::vector<double> &row = answer.samples[round];
    if (row.size() != kernels || answer.disturbed[round].size() != kernels)
      fail(fmt::format("gives {} times for {} kernels", row.size(), kernels));
    for (size_t i = 0; i < kernels; ++i) {
      if (row[i] == 0 && answer.slow[i] != 0) continue;
      if (!std::isfinite(row[i]) || row[i] < least)
        fail(fmt::format("claims a time of {} us, which no machine reaches", row[i]));
      total_us += row[i] * answer.calls[i];
    }
  }
  if (total_us > wall_us)
    fail(fmt::format("claims times of {:.0f} us in all, and answered after {:.0f} us", total_us, wall_us));
  return answer;
}

}  // namespace bittern::tuning
