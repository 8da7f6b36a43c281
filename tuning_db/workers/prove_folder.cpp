// bitnet-worker DIR: proves what bitnet-tune --emit-only wrote, on the machine that this runs on.
#include <fmt/format.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "compiler/error.h"
#include "runtime/machine/machine.h"
#include "tuning_db/proof/problem.h"
#include "tuning_db/workers/files.h"
#include "tuning_db/workers/remote_worker.h"
#include "tuning_db/workers/run_folder.h"
#include "tuning_db/workers/worker_server.h"

namespace bittern::tuning {
namespace {

using nlohmann::json;

constexpr double kProofSeconds = 1200;
constexpr int64_t kCallMs = 120000;

// What is wrong with a candidate, or nothing and its proof's id.
std::string prove_candidate(Worker &worker, const std::string &folder, const std::string &scratch, const json &row,
                            std::string &id) try {
  const std::string file = row.at("file");
  if (file.empty() || file.find('/') != std::string::npos) return "its file lies outside of the folder";
  if (sha256_hex(read_file(folder + "/" + file)) != row.at("sha256").get<std::string>())
    return "its file has another hash";
  ProveRequest request;
  request.question = {row.at("spec"), row.at("objects_sha256"), row.at("sizes"), {}, 1, scratch};
  request.library = std::filesystem::absolute(folder + "/" + file).string();
  request.call_ms = kCallMs;
  const ProveAnswer verdict = worker.call(request, kProofSeconds);
  if (!verdict.passed) return verdict.reason;
  id = verdict.id;
  return "";
} catch (const json::exception &error) {
  return fmt::format("its row is damaged: {}", error.what());
} catch (const Error &error) {
  return error.what();
}

}  // namespace

int prove_folder(const std::string &folder, bool as_json) {
  const json manifest = json::parse(read_file(folder + "/candidates.json"), nullptr, false);
  if (!manifest.is_object() || manifest.value("format", json()) != 1 || !manifest.contains("candidates"))
    throw Error(fmt::format("{}/candidates.json is not what bitnet-tune --emit-only writes", folder));
  const std::string generator = runtime::machine_fingerprint().generator;
  if (manifest.value("generator", json()) != generator)
    throw Error(
        fmt::format("{} was written by {}, this is {}", folder, manifest.value("generator", json()).dump(), generator));
  const RunFolder scratch(std::filesystem::temp_directory_path() / fmt::format("bittern-worker-{}", getuid()));
  Worker worker({"", {}, false, [] { return serve_worker({}); }});
  json rows = json::array();
  size_t good = 0;
  for (const json &row : manifest.at("candidates")) {
    std::string id;
    const std::string wrong = prove_candidate(worker, folder, scratch.path(), row, id);
    good += wrong.empty();
    rows.push_back({{"file", row.value("file", "")},
                    {"kernel", row.value("kernel", "")},
                    {"schedule", row.value("schedule", "")},
                    {"ok", wrong.empty()},
                    {"proof", id},
                    {"reason", wrong}});
    if (as_json) continue;
    fmt::print("{} {} {} {}\n", wrong.empty() ? "exact" : "WRONG", rows.back()["kernel"].get<std::string>(),
               rows.back()["schedule"].get<std::string>(), wrong.empty() ? "(proof " + id + ")" : ": " + wrong);
  }
  if (as_json) {
    json result = encode(describe_machine());
    result["kernels"] = rows;
    result["good"] = good;
    fmt::print("{}\n", result.dump(1));
  } else {
    fmt::print("{} of {} candidates for {} proved{}\n", good, rows.size(), manifest.value("target", ""),
               runtime::machine_is_emulated() ? " under an emulator" : "");
  }
  return good == rows.size() && good > 0 ? 0 : 1;
}

}  // namespace bittern::tuning
