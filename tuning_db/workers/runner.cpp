#include "tuning_db/workers/runner.h"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tuning_db/proof/problem.h"
#include "tuning_db/workers/files.h"
#include "tuning_db/workers/remote_worker.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;
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

json Runner::call(json request, double limit_seconds) {
  const int64_t id = next_id_++;
  request["seq"] = id;
  json reply;
  try {
    reply = process_.call(request, limit_seconds);
  } catch (const WorkerFailure &failure) {
    fail(failure.what());
  } catch (const WorkerRefusal &refusal) {
    if (refusal.answer.value("seq", json()) != id) fail("answers another request than the one it was sent");
    if (refusal.answer.value("died", json()) == true) throw WorkerFailure(refusal.what());
    throw;
  }
  if (reply.value("seq", json()) != id) fail("answers another request than the one it was sent");
  return reply;
}

const Machine &Runner::machine() {
  if (greeted_) return machine_;
  try {
    const json hello = call({{"op", "hello"}}, limits_.hello_seconds);
    if (hello.at("protocol") != kRunnerProtocol)
      fail(fmt::format("speaks protocol {}, this program {}", hello.at("protocol").dump(), kRunnerProtocol));
    runtime::Fingerprint &f = machine_.fingerprint;
    hello.at("vendor").get_to(f.vendor);
    hello.at("brand").get_to(f.brand);
    hello.at("family").get_to(f.family);
    hello.at("model").get_to(f.model);
    hello.at("stepping").get_to(f.stepping);
    hello.at("isa").get_to(f.isa);
    hello.at("generator").get_to(f.generator);
    hello.at("emulated").get_to(machine_.emulated);
    hello.at("cores").get_to(machine_.cores);
    hello.at("cache_bytes").get_to(machine_.cache_bytes);
    if (f.generator != runtime::machine_fingerprint().generator)
      fail(fmt::format("is of {}, this program of {}", f.generator, runtime::machine_fingerprint().generator));
    if (f.id() != hello.at("fingerprint").get<std::string>())
      fail("claims a fingerprint that is not that of the processor it describes");
    if (machine_.cores < 1 || machine_.cores > 4096 || machine_.cache_bytes < 0)
      fail(fmt::format("claims {} cores and {} bytes of cache", machine_.cores, machine_.cache_bytes));
  } catch (const json::exception &error) {
    fail(fmt::format("does not describe its machine: {}", error.what()));
  } catch (const WorkerRefusal &refusal) {
    fail(refusal.what());
  }
  greeted_ = true;
  return machine_;
}

// Sends a file unless it is there, and gives its name there.
std::string Runner::send(const std::string &path) {
  const std::string name = path.substr(path.rfind('/') + 1), bytes = read_file(path), hash = sha256_hex(bytes);
  std::string &there = sent_[name];
  if (there == hash) return name;
  try {
    const json reply =
        call({{"op", "put"}, {"name", name}, {"sha256", hash}, {"bytes", to_base64(bytes)}}, kSendSeconds);
    if (reply.value("sha256", json()) != hash) fail(fmt::format("has {} with another hash than it was sent", name));
  } catch (const WorkerRefusal &refusal) {
    fail(fmt::format("cannot take {}: {}", name, refusal.what()));
  }
  there = hash;
  return name;
}

json Runner::prove(json request, const json &expected, double limit_seconds) {
  machine();
  const std::string path = request.at("library");
  if (path.ends_with(".json")) {
    const json manifest = json::parse(read_file(path));
    send(path.substr(0, path.rfind('/') + 1) + manifest.at("file").get<std::string>());
  }
  request["library"] = send(path);
  request["limit"] = limit_seconds;
  const json reply = call(request, limit_seconds + limits_.slack_seconds);
  try {
    if (reply.at("passed") != true) {
      if (reply.at("reason").get<std::string>().empty()) fail("rejects a kernel and gives no reason");
      return reply;
    }
    if (reply.at("steps") != expected.at("steps"))
      fail(fmt::format("claims a proof of {} runs where there are {}", reply.at("steps").dump(),
                       expected.at("steps").dump()));
    if (reply.at("inputs") != expected.at("inputs")) fail("claims a proof over other inputs than those of this kernel");
    if (reply.at("reference") != expected.at("reference"))
      fail("claims a proof against other reference outputs than this kernel's");
    if (reply.at("id") != expected.at("id")) fail("claims a proof of another kernel");
  } catch (const json::exception &error) {
    fail(fmt::format("gives an incomplete answer to \"prove\": {}", error.what()));
  }
  return reply;
}

json Runner::time(json request, double multiply_adds, double limit_seconds) {
  if (machine().emulated) fail("is an emulator, and its times mean nothing");
  for (json &library : request.at("libraries")) library = send(library);
  request["limit"] = limit_seconds;
  const auto start = Clock::now();
  const json reply = call(request, limit_seconds + limits_.slack_seconds);
  const double wall_us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
  try {
    const size_t kernels = request.at("libraries").size(), rounds = request.at("rounds");
    const json &samples = reply.at("samples"), &calls = reply.at("calls");
    if (samples.size() != rounds || calls.size() != kernels)
      fail(fmt::format("gives {} rounds of times where {} were asked for", samples.size(), rounds));
    for (const char *roof : {"read_gb_s", "int8_gop_s"}) {
      const bool wanted = request.at(roof == std::string("read_gb_s") ? "read_roof" : "multiply_roof");
      if (reply.at(roof).size() != (wanted ? rounds : 0))
        fail(fmt::format("gives {} samples of {}", reply.at(roof).size(), roof));
      for (const json &value : reply.at(roof))
        if (!(value.get<double>() > 0) || !std::isfinite(value.get<double>()))
          fail(fmt::format("claims a roof of {}", value.dump()));
    }
    const double least =
        std::max(kLeastUs, multiply_adds / request.at("threads").get<double>() / kMostMultiplyAddsPerNs / 1e3);
    double total_us = 0;
    for (const json &row : samples) {
      if (row.size() != kernels) fail(fmt::format("gives {} times for {} kernels", row.size(), kernels));
      for (size_t i = 0; i < kernels; ++i) {
        const double us = row.at(i);
        if (!std::isfinite(us) || us < least)
          fail(fmt::format("claims a time of {} us, which no machine reaches", row.at(i).dump()));
        total_us += us * calls.at(i).get<double>();
      }
    }
    if (total_us > wall_us)
      fail(fmt::format("claims times of {:.0f} us in all, and answered after {:.0f} us", total_us, wall_us));
  } catch (const json::exception &error) {
    fail(fmt::format("gives an incomplete answer to \"time\": {}", error.what()));
  }
  return reply;
}

}  // namespace bittern::tuning
