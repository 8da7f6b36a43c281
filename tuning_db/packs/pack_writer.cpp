#include "tuning_db/packs/pack_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "compiler/error.h"
#include "runtime/error.h"
#include "runtime/kernels/pack_loader.h"
#include "runtime/machine/machine.h"
#include "tuning_db/making/descriptor_json.h"

namespace bittern::tuning {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A file with exactly these bytes, on the disk and readable by us alone.
void write_private(const std::string &path, const std::string &bytes) {
  unlink(path.c_str());
  const int file = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  bool good = file >= 0;
  for (size_t done = 0; good && done < bytes.size();) {
    const ssize_t n = write(file, bytes.data() + done, bytes.size() - done);
    good = n > 0;
    if (good) done += static_cast<size_t>(n);
  }
  good = good && fsync(file) == 0;
  const std::string why = std::strerror(errno);
  if (file >= 0) close(file);
  if (!good) throw Error(fmt::format("kernel pack: cannot write {}: {}", path, why));
}

void rename_over(const std::string &from, const std::string &to) {
  if (rename(from.c_str(), to.c_str()) != 0)
    throw Error(fmt::format("kernel pack: cannot rename {} to {}: {}", from, to, std::strerror(errno)));
}

void private_folder(const std::string &path) {
  std::error_code failed;
  fs::create_directories(fs::path(path).parent_path(), failed);
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    throw Error(fmt::format("kernel pack: cannot create {}: {}", path, std::strerror(errno)));
  chmod(path.c_str(), 0700);
}

std::string read_trial(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error(fmt::format("kernel pack: cannot read {}", path));
  return {std::istreambuf_iterator<char>(file), {}};
}

json fingerprint_fields(const runtime::Fingerprint &f) {
  return {{"vendor", f.vendor}, {"brand", f.brand},       {"family", f.family},
          {"model", f.model},   {"stepping", f.stepping}, {"isa", f.isa}};
}

json kernel_row(const PackKernel &o, size_t index, const codegen::Descriptor &descriptor) {
  return {{"index", index},
          {"what", o.what},
          {"spec", o.problem.spec_name},
          {"spec_hash", o.problem.spec_hash},
          {"sizes", o.problem.fixed},
          {"m_min", descriptor.m_min},
          {"m_max", descriptor.m_max},
          {"threads", o.problem.threads},
          {"backend", descriptor.backend},
          {"schedule", descriptor.schedule},
          {"layout", descriptor.layout},
          {"object_sha256", o.object.sha256},
          {"proof",
           {{"id", o.proof.proof_id},
            {"inputs", json::parse(o.proof.inputs)},
            {"reference", o.proof.reference},
            {"through_pack", true}}},
          {"us_median", o.winner.us_median},
          {"roof_pct", o.winner.roof_pct},
          {"default_speedup", o.winner.speedup},
          {"tie", o.winner.tie}};
}

// Whether the pack that lies there holds exactly these kernels and proofs, and the runtime takes it.
bool is_current(const std::string &manifest, const json &rows) {
  std::ifstream file(manifest, std::ios::binary);
  const json old = json::parse(file, nullptr, false);
  if (!old.is_object() || old.value("kernels", json()) != rows) return false;
  try {
    const runtime::LoadedPack loaded(manifest);
  } catch (const runtime::Error &) {
    return false;
  }
  return true;
}

}  // namespace

WrittenPack write_pack(Farm &farm, const std::vector<PackKernel> &kernels, const std::string &folder,
                       const std::string &scratch, const WorkerCommand &worker,
                       const std::function<void(const std::string &)> &say, const Machine &machine) {
  if (kernels.empty()) throw Error("kernel pack: there are no winners to put into it");
  std::set<std::string> keys, symbols;
  json rows = json::array(), link_rows = json::array(), object_paths = json::array();
  const std::string stage = scratch + "/pack";
  private_folder(stage);
  // Rows of one kernel (it may win for several thread counts) are one function: it is linked once and proved once.
  std::vector<FarmJob> jobs;
  for (const PackKernel &o : kernels) {
    const codegen::Descriptor descriptor = descriptor_from_json(json::parse(o.object.descriptor));
    keys.insert(o.problem.key());
    link_rows.push_back({{"descriptor", descriptor_to_json(descriptor)},
                         {"proof", o.proof.proof_id},
                         {"threads", o.problem.threads},
                         {"roof_pct", o.winner.roof_pct}});
    rows.push_back(kernel_row(o, rows.size(), descriptor));
    if (!symbols.insert(descriptor.symbol).second) continue;
    for (size_t i = 0; i < o.object.objects.size(); ++i) {
      object_paths.push_back(fmt::format("{}/{}.{}.o", stage, descriptor.symbol, i));
      write_private(object_paths.back(), o.object.objects[i]);
    }
    FarmJob job;
    job.index = rows.size() - 1;
    job.problem = &o.problem;
    job.object = o.object;
    job.proof = o.proof;
    jobs.push_back(std::move(job));
  }
  std::string all_keys;
  for (const std::string &key : keys) all_keys += key + "\n";
  const std::string name = "pack-" + sha256_hex(all_keys).substr(0, 16);

  if (is_current(folder + "/" + name + ".json", rows))
    return {fmt::format("{}/{}.json", folder, name), fmt::format("{}/{}.so", folder, name), kernels.size(), 0, true};

  say(fmt::format("linking {} kernels", kernels.size()));
  const std::string trial = stage + "/" + name + ".so";
  Worker linker(worker);
  linker.call({{"op", "link"},
               {"objects", object_paths},
               {"rows", link_rows},
               {"target", kernels.front().problem.target},
               {"path", trial}},
              120);
  const std::string bytes = read_trial(trial);
  write_private(trial, bytes);
  json manifest = {{"format", 1},
                   {"generator", machine.fingerprint.generator},
                   {"fingerprint", machine.fingerprint.id()},
                   {"fingerprint_fields", fingerprint_fields(machine.fingerprint)},
                   {"file", name + ".so"},
                   {"bytes", bytes.size()},
                   {"sha256", sha256_hex(bytes)},
                   {"kernels", rows}};
  write_private(stage + "/" + name + ".json", manifest.dump(1) + "\n");

  size_t proved = 0;
  std::string wrong;
  farm.prove_pack(stage + "/" + name + ".json", jobs, [&](FarmJob &job) {
    ++proved;
    say(fmt::format("proving through the pack {}/{}", proved, jobs.size()));
    if (!job.rejected.empty() && wrong.empty()) wrong = fmt::format("{}: {}", job.problem->key(), job.rejected);
  });
  if (!wrong.empty()) throw Error(fmt::format("kernel pack: a kernel is wrong when it runs from the pack: {}", wrong));

  private_folder(folder);
  WrittenPack pack{fmt::format("{}/{}.json", folder, name), fmt::format("{}/{}.so", folder, name), kernels.size(),
                   static_cast<int64_t>(bytes.size())};
  // The library first: a manifest never names one that is not there, and in between the old manifest refuses the new
  // library by its hash.
  write_private(pack.library + ".new", bytes);
  rename_over(pack.library + ".new", pack.library);
  write_private(pack.manifest + ".new", manifest.dump(1) + "\n");
  rename_over(pack.manifest + ".new", pack.manifest);
  if (const int directory = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); directory >= 0) {
    fsync(directory);
    close(directory);
  }
  return pack;
}

}  // namespace bittern::tuning
