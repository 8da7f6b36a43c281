// See pack_manifest.h. The format is fixed by the pack writer in tuning_db/.
#include "runtime/kernels/pack_manifest.h"

#include <nlohmann/json.hpp>

#include "runtime/error.h"
#include "runtime/io/sha256.h"
#include "runtime/kernels/roles.h"
#include "runtime/machine/machine.h"

namespace bittern::runtime {
namespace {

// What `read` gives; a value that is missing or of another type is damage.
template <typename Read>
auto undamaged(const Read &read) {
  try {
    return read();
  } catch (const nlohmann::json::exception &e) {
    throw Error(std::string("its manifest is damaged: ") + e.what());
  }
}

void demand(bool condition, const std::string &what) {
  if (!condition) throw Error(what);
}

// A manifest row and the kernel it stands for must say the same.
void compare(const nlohmann::json &row, const bt_kernel *kernel, size_t index) {
  const std::string at = "kernel " + std::to_string(index) + ": ";
  demand(kernel != nullptr && kernel->fn != nullptr, at + "is missing");
  demand(kernel->abi_version == BT_ABI_VERSION, at + "has another ABI version");
  demand(kernel->spec && kernel->spec_hash && kernel->schedule && kernel->backend && kernel->target && kernel->proof,
         at + "its descriptor is incomplete");
  demand(kernel->size_count >= 1 && kernel->size_count <= BT_MAX_SIZES && kernel->tile_size_index >= 0 &&
             kernel->tile_size_index < kernel->size_count && kernel->tile >= 1,
         at + "its descriptor is inconsistent");
  demand(row.at("index").get<size_t>() == index, at + "stands in another row of the manifest");
  demand(row.at("spec") == kernel->spec, at + "the manifest names another spec");
  demand(row.at("spec_hash") == kernel->spec_hash, at + "the manifest has another spec hash");
  demand(row.at("schedule") == kernel->schedule, at + "the manifest names another schedule");
  demand(row.at("backend") == kernel->backend, at + "the manifest names another backend");
  demand(row.at("layout") == (kernel->layout ? kernel->layout->name : ""), at + "the manifest names another layout");
  demand(row.at("m_min") == kernel->m_min && row.at("m_max") == kernel->m_max,
         at + "the manifest has another range of M");
  demand(row.at("threads") == kernel->threads, at + "the manifest has another thread count");
  const auto &proof = row.at("proof");
  demand(kernel->proof[0] != '\0' && proof.at("id") == kernel->proof && proof.at("through_pack") == true,
         at + "has no proof");
  demand((kernel->isa_needs & ~machine_isa()) == 0, at + "needs instructions that this processor lacks");
  const auto &sizes = row.at("sizes");
  const RoleInfo *role = find_role(kernel->spec_hash);
  if (!role) return;  // a kernel of the user's own, whatever its name: never dispatched to
  demand(static_cast<size_t>(kernel->size_count) == role->sizes.size() && kernel->tensor_count == role->tensors &&
             kernel->scalar_count == role->scalars,
         at + "takes other arguments than its spec");
  for (size_t i = 0; i < role->sizes.size() && i < BT_MAX_SIZES; ++i)
    if (kernel->fixed[i] >= 0)
      demand(sizes.contains(role->sizes[i]) && sizes.at(role->sizes[i]) == kernel->fixed[i],
             at + "the manifest has another " + role->sizes[i]);
}

}  // namespace

PackManifest::PackManifest(std::string_view text) {
  undamaged([&] {
    json_ = std::make_unique<const nlohmann::json>(nlohmann::json::parse(text));
    demand(json_->at("format") == 1, "has another format version");
    const Fingerprint &here = machine_fingerprint();
    demand(json_->at("generator") == here.generator,
           "was made by " + json_->at("generator").get<std::string>() + ", this is " + here.generator);
    demand(json_->at("fingerprint") == here.id(), "was made for another machine");
    file_ = json_->at("file").get<std::string>();
    demand(!file_.empty() && file_.find('/') == std::string::npos, "names a file outside its folder");
  });
}

PackManifest::~PackManifest() = default;

void PackManifest::check_library(std::string_view bytes) const {
  undamaged([&] {
    demand(json_->at("bytes") == bytes.size(), file_ + " has another size than the manifest says");
    demand(json_->at("sha256") == sha256_hex(bytes), file_ + " has another hash than the manifest says");
  });
}

void PackManifest::check_kernels(const bt_pack &pack) const {
  undamaged([&] {
    demand(pack.abi_version == BT_ABI_VERSION, file_ + " has another ABI version");
    demand(pack.generator != nullptr && json_->at("generator") == pack.generator, file_ + " has another generator");
    const auto &rows = json_->at("kernels");
    demand(rows.is_array() && rows.size() == pack.count && pack.kernels != nullptr,
           file_ + " has another number of kernels than the manifest says");
    for (size_t i = 0; i < rows.size(); ++i) compare(rows[i], pack.kernels[i], i);
  });
}

}  // namespace bittern::runtime
