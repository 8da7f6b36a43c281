#include "tuning_db/packs/pack_writer.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "codegen/backend.h"
#include "compiler/error.h"
#include "runtime/error.h"
#include "runtime/io/atomic_file.h"
#include "runtime/kernels/pack_loader.h"
#include "runtime/machine/machine.h"
#include "tuning_db/workers/files.h"

namespace bittern::tuning {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// For its owner alone, and on the disk.
void write_private(const std::string &path, const std::string &bytes) {
  runtime::write_file_atomically(path, bytes, {true, true});
}

void private_folder(const std::string &path) {
  std::error_code failed;
  fs::create_directories(fs::path(path).parent_path(), failed);
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    throw Error(fmt::format("kernel pack: cannot create {}: {}", path, std::strerror(errno)));
  chmod(path.c_str(), 0700);
}

json fingerprint_fields(const runtime::Fingerprint &f) {
  return {{"vendor", f.vendor}, {"brand", f.brand},       {"family", f.family},
          {"model", f.model},   {"stepping", f.stepping}, {"isa", f.isa}};
}

json kernel_row(const PackKernel &k, size_t index) {
  const codegen::Descriptor &descriptor = k.code.descriptor;
  return {{"index", index},
          {"what", k.what},
          {"spec", k.problem.spec_name},
          {"spec_hash", k.problem.spec_hash},
          {"sizes", k.problem.fixed},
          {"m_min", descriptor.m_min},
          {"m_max", descriptor.m_max},
          {"threads", k.problem.threads},
          {"backend", descriptor.backend},
          {"schedule", descriptor.schedule},
          {"layout", descriptor.layout},
          {"object_sha256", k.code.sha256},
          {"proof",
           {{"id", k.proof.id}, {"inputs", k.proof.inputs}, {"reference", k.proof.reference}, {"through_pack", true}}},
          {"us_median", k.winner.us_median},
          {"roof_pct", k.winner.roof_pct},
          {"default_speedup", k.winner.speedup},
          {"tie", k.winner.tie}};
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
                       const std::string &scratch, const std::function<void(const std::string &)> &say,
                       const Machine &machine) {
  if (kernels.empty()) throw Error("kernel pack: there are no winners to put into it");
  std::set<std::string> keys, symbols;
  json rows = json::array();
  std::vector<codegen::TableRow> table;
  std::vector<std::string> objects;
  // Rows of one kernel (it may win for several thread counts) are one function: it is linked once and proved once.
  std::vector<Order> orders;
  Farm::Linked linked;
  for (const PackKernel &k : kernels) {
    keys.insert(k.problem.key());
    table.push_back({k.code.descriptor, k.proof.id, k.problem.threads, k.winner.roof_pct});
    rows.push_back(kernel_row(k, rows.size()));
    if (!symbols.insert(k.code.descriptor.symbol).second) continue;
    objects.insert(objects.end(), k.code.objects.begin(), k.code.objects.end());
    linked.rows.push_back(rows.size() - 1);
    Order order;
    order.problem = k.problem;
    order.schedule = k.code.descriptor.schedule;
    order.code = k.code;
    order.proof = k.proof;
    order.prove = Prove::Again;
    orders.push_back(std::move(order));
  }
  std::string all_keys;
  for (const std::string &key : keys) all_keys += key + "\n";
  const std::string name = "pack-" + sha256_hex(all_keys).substr(0, 16);
  WrittenPack pack{fmt::format("{}/{}.json", folder, name), fmt::format("{}/{}.so", folder, name), kernels.size()};
  pack.unchanged = is_current(pack.manifest, rows);
  if (pack.unchanged) return pack;

  std::string bytes, manifest;
  size_t proved = 0;
  const std::vector<Made> made = farm.make_together(
      orders,
      [&](const std::vector<Made> &) {
        say(fmt::format("linking {} kernels", kernels.size()));
        const std::string stage = scratch + "/pack";
        private_folder(stage);
        const std::string trial = fmt::format("{}/{}.so", stage, name);
        objects.push_back(
            codegen::emit_pack_table(table, "bt_pack_table", schedules::find_target(kernels.front().problem.target)));
        codegen::link_shared(objects, {"bt_pack_table"}, trial);
        bytes = read_file(trial);
        write_private(trial, bytes);
        manifest = json{{"format", 1},
                        {"generator", machine.fingerprint.generator},
                        {"fingerprint", machine.fingerprint.id()},
                        {"fingerprint_fields", fingerprint_fields(machine.fingerprint)},
                        {"file", name + ".so"},
                        {"bytes", bytes.size()},
                        {"sha256", sha256_hex(bytes)},
                        {"kernels", rows}}
                       .dump(1) +
                   "\n";
        linked.library = fmt::format("{}/{}.json", stage, name);
        write_private(linked.library, manifest);
        return linked;
      },
      [&](size_t, Made &) { say(fmt::format("proving through the pack {}/{}", ++proved, orders.size())); });
  for (size_t i = 0; i < made.size(); ++i)
    if (made[i].rejection)
      throw Error(fmt::format("kernel pack: a kernel is wrong when it runs from the pack: {}: {}",
                              orders[i].problem.key(), made[i].why()));

  private_folder(folder);
  // The library first: a manifest never names one that is not there, and in between the old manifest refuses the new
  // library by its hash.
  write_private(pack.library, bytes);
  write_private(pack.manifest, manifest);
  runtime::sync_folder(folder);
  pack.bytes = static_cast<int64_t>(bytes.size());
  return pack;
}

}  // namespace bittern::tuning
