// The table of roles.h. Rows repeat the declarations of the kernel texts, in the order in which the engine passes
// arguments; making the default kernels and a test hold them to the texts.
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
      {Role::W2A8,
       "w2a8_matmul",
       {"M", "N", "K"},
       {},
       {"in W : ternary[N, K]", "in ws : f32[N]", "in A : i8[M, K] pad 64", "in inv : f32[M]", "given asum : i32[M]",
        "out Y : f32[M, N]"}},
      {Role::RmsNormQuant,
       "rmsnorm_quant",
       {"M", "K"},
       {"eps"},
       {"in X : f32[M, K]", "in w : f32[K]", "out Q : i8[M, K] pad 64", "out inv : f32[M]", "out qsum : i32[M]"}},
      {Role::RmsNorm, "rmsnorm", {"M", "K"}, {"eps"}, {"in X : f32[M, K]", "in w : f32[K]", "out Y : f32[M, K]"}},
      {Role::AbsmaxQuant,
       "absmax_quant",
       {"M", "K"},
       {},
       {"in X : f32[M, K]", "out Q : i8[M, K] pad 64", "out inv : f32[M]", "out qsum : i32[M]"}},
      {Role::Rope,
       "rope",
       {"M", "H", "R"},
       {},
       {"in X : f32[M, H, 2, R]", "in C : f32[M, R]", "in S : f32[M, R]", "out Y : f32[M, H, 2, R]"}},
      {Role::RopeF16,
       "rope_f16",
       {"M", "H", "R"},
       {},
       {"in X : f32[M, H, 2, R]", "in C : f32[M, R]", "in S : f32[M, R]", "out Y : f16[M, H, 2, R]"}},
      {Role::KvStore, "kv_store", {"M", "H", "D"}, {}, {"in X : f32[M, H, D]", "out Y : f32[M, H, D]"}},
      {Role::KvStoreF16, "kv_store_f16", {"M", "H", "D"}, {}, {"in X : f32[M, H, D]", "out Y : f16[M, H, D]"}},
      {Role::Attention,
       "attention",
       {"M", "H", "G", "D", "B", "T", "NP"},
       {"scale"},
       {"in Q : f32[M, H, D]", "in Kc : f32[NP, H / G, 32, D]", "in Vc : f32[NP, H / G, 32, D]",
        "in pages : i32[B, T] range 0 .. NP", "in seq : i32[M] range 0 .. B", "in pos : i32[M] range 0 .. T * 32",
        "out O : f32[M, H, D]"}},
      {Role::AttentionF16,
       "attention_f16",
       {"M", "H", "G", "D", "B", "T", "NP"},
       {"scale"},
       {"in Q : f32[M, H, D]", "in Kc : f16[NP, H / G, 32, D]", "in Vc : f16[NP, H / G, 32, D]",
        "in pages : i32[B, T] range 0 .. NP", "in seq : i32[M] range 0 .. B", "in pos : i32[M] range 0 .. T * 32",
        "out O : f32[M, H, D]"}},
      {Role::FfnRelu2, "ffn_relu2", {"M", "F"}, {}, {"in GU : f32[M, 2 * F]", "out H : f32[M, F]"}},
      {Role::FfnSilu, "ffn_silu", {"M", "F"}, {}, {"in GU : f32[M, 2 * F]", "out H : f32[M, F]"}},
      {Role::FfnGeluTanh, "ffn_gelu_tanh", {"M", "F"}, {}, {"in GU : f32[M, 2 * F]", "out H : f32[M, F]"}},
      {Role::HeadBf16,
       "head_bf16",
       {"M", "N", "K"},
       {},
       {"in W : bf16[N, K]", "in X : f32[M, K]", "out Y : f32[M, N]"}},
      {Role::HeadF32, "head_f32", {"M", "N", "K"}, {}, {"in W : f32[N, K]", "in X : f32[M, K]", "out Y : f32[M, N]"}},
      {Role::HeadInt8,
       "head_int8",
       {"M", "N", "K"},
       {},
       {"in W : i8[N, K]", "in ws : f32[N]", "in A : i8[M, K] pad 64", "in inv : f32[M]", "out Y : f32[M, N]"}},
      {Role::EmbedBf16,
       "embed_bf16",
       {"M", "V", "K"},
       {},
       {"in ids : i32[M] range 0 .. V", "in E : bf16[V, K]", "out X : f32[M, K]"}},
      {Role::EmbedF32,
       "embed_f32",
       {"M", "V", "K"},
       {},
       {"in ids : i32[M] range 0 .. V", "in E : f32[V, K]", "out X : f32[M, K]"}},
      {Role::ResidualAdd,
       "residual_add",
       {"M", "K"},
       {},
       {"in X : f32[M, K]", "in R : f32[M, K]", "out Y : f32[M, K]"}},
      {Role::W2A8Group,
       "w2a8_group_matmul",
       {"M", "N", "K", "G"},
       {},
       {"in W : ternary[N, K]", "in ws : f32[N, K / G]", "in A : i8[M, K] pad 64", "in inv : f32[M]",
        "given asum : i32[M, K / G]", "out Y : f32[M, N]"}},
      {Role::GroupSums, "group_sums", {"M", "K", "G"}, {}, {"in A : i8[M, K] pad 64", "out asum : i32[M, K / G]"}},
      {Role::RmsNormHeads,
       "rmsnorm_heads",
       {"M", "H", "D"},
       {"eps"},
       {"in X : f32[M, H, D]", "in w : f32[D]", "out Y : f32[M, H, D]"}},
      {Role::AttentionWindow,
       "attention_window",
       {"M", "H", "G", "D", "B", "T", "NP", "W"},
       {"scale"},
       {"in Q : f32[M, H, D]", "in Kc : f32[NP, H / G, 32, D]", "in Vc : f32[NP, H / G, 32, D]",
        "in pages : i32[B, T] range 0 .. NP", "in seq : i32[M] range 0 .. B", "in pos : i32[M] range 0 .. T * 32",
        "out O : f32[M, H, D]"}},
      {Role::AttentionWindowF16,
       "attention_window_f16",
       {"M", "H", "G", "D", "B", "T", "NP", "W"},
       {"scale"},
       {"in Q : f32[M, H, D]", "in Kc : f16[NP, H / G, 32, D]", "in Vc : f16[NP, H / G, 32, D]",
        "in pages : i32[B, T] range 0 .. NP", "in seq : i32[M] range 0 .. B", "in pos : i32[M] range 0 .. T * 32",
        "out O : f32[M, H, D]"}},
  };
  for (RoleInfo &role : table) {
    role.tensors = static_cast<int>(role.arguments.size());
    role.scalars = static_cast<int>(role.scalar_names.size());
    for (const auto &[spec, hash] : kSpecHashes)
      if (role.spec == spec) role.spec_hash = hash;
  }
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
