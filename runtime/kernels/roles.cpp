// The table of roles.h.
#include "runtime/kernels/roles.h"

#include <utility>

namespace bittern::runtime {
namespace {

// {kernel name, SHA-256 of its canonical text}; a test holds it to the compiler's own hash.
constexpr std::pair<const char *, const char *> kSpecHashes[] = {
#include "runtime/kernels/spec_hashes.inc"
};

std::vector<RoleInfo> make_table() {
  std::vector<RoleInfo> table = {
      {Role::W2A8, "w2a8_matmul", "", {"M", "N", "K"}, 6, 0},
      {Role::RmsNormQuant, "rmsnorm_quant", "", {"M", "K"}, 5, 1},
      {Role::RmsNorm, "rmsnorm", "", {"M", "K"}, 3, 1},
      {Role::AbsmaxQuant, "absmax_quant", "", {"M", "K"}, 4, 0},
      {Role::Rope, "rope", "", {"M", "H", "R"}, 4, 0},
      {Role::RopeF16, "rope_f16", "", {"M", "H", "R"}, 4, 0},
      {Role::KvStore, "kv_store", "", {"M", "H", "D"}, 2, 0},
      {Role::KvStoreF16, "kv_store_f16", "", {"M", "H", "D"}, 2, 0},
      {Role::Attention, "attention", "", {"M", "H", "G", "D", "B", "T", "NP"}, 7, 1},
      {Role::AttentionF16, "attention_f16", "", {"M", "H", "G", "D", "B", "T", "NP"}, 7, 1},
      {Role::FfnRelu2, "ffn_relu2", "", {"M", "F"}, 2, 0},
      {Role::FfnSilu, "ffn_silu", "", {"M", "F"}, 2, 0},
      {Role::FfnGeluTanh, "ffn_gelu_tanh", "", {"M", "F"}, 2, 0},
      {Role::HeadBf16, "head_bf16", "", {"M", "N", "K"}, 3, 0},
      {Role::HeadF32, "head_f32", "", {"M", "N", "K"}, 3, 0},
      {Role::HeadInt8, "head_int8", "", {"M", "N", "K"}, 5, 0},
      {Role::EmbedBf16, "embed_bf16", "", {"M", "V", "K"}, 3, 0},
      {Role::EmbedF32, "embed_f32", "", {"M", "V", "K"}, 3, 0},
      {Role::ResidualAdd, "residual_add", "", {"M", "K"}, 3, 0},
      {Role::W2A8Group, "w2a8_group_matmul", "", {"M", "N", "K", "G"}, 6, 0},
      {Role::GroupSums, "group_sums", "", {"M", "K", "G"}, 2, 0},
      {Role::RmsNormHeads, "rmsnorm_heads", "", {"M", "H", "D"}, 3, 1},
      {Role::AttentionWindow, "attention_window", "", {"M", "H", "G", "D", "B", "T", "NP", "W"}, 7, 1},
      {Role::AttentionWindowF16, "attention_window_f16", "", {"M", "H", "G", "D", "B", "T", "NP", "W"}, 7, 1},
  };
  for (RoleInfo &role : table)
    for (const auto &[spec, hash] : kSpecHashes)
      if (role.spec == spec) role.spec_hash = hash;
  return table;
}

const std::vector<RoleInfo> &table() {
  static const std::vector<RoleInfo> rows = make_table();
  return rows;
}

}  // namespace

const RoleInfo &role_info(Role role) { return table()[static_cast<size_t>(role)]; }

const RoleInfo *find_role(const std::string &spec_hash) {
  for (const RoleInfo &row : table())
    if (row.spec_hash == spec_hash) return &row;
  return nullptr;
}

}  // namespace bittern::runtime
