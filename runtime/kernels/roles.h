// The kernels a transformer needs, as one table: the name of the kernel text, its hash, and what its arguments are.
// A pack's kernel is known by its spec hash alone, so one made from another text, whatever its name, is never called
// with arguments it does not expect.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/abi/kernel_abi.h"

namespace bittern::runtime {

enum class Role {
  W2A8,
  RmsNormQuant,
  RmsNorm,
  AbsmaxQuant,
  Rope,
  RopeF16,
  KvStore,
  KvStoreF16,
  Attention,
  AttentionF16,
  FfnRelu2,
  FfnSilu,
  FfnGeluTanh,
  HeadBf16,
  HeadF32,
  HeadInt8,
  EmbedBf16,
  EmbedF32,
  ResidualAdd,
  W2A8Group,
  GroupSums,
  RmsNormHeads,
  AttentionWindow,
  AttentionWindowF16,
  Count
};

struct RoleInfo {
  Role role;
  std::string spec;                       // kernel name in its text
  std::vector<std::string> sizes;         // size parameters in ABI order; the first is M, the number of tokens
  std::vector<std::string> scalar_names;  // f32 parameters in ABI order
  std::vector<std::string> arguments;     // tensors in ABI order as the canonical text declares them
  int tensors = 0, scalars = 0;           // how many of both
  std::string spec_hash = {};             // SHA-256 (hex) of the canonical text, from spec_hashes.inc
};

const RoleInfo &role_info(Role);
// By the hash of the kernel's canonical text; null when no role has it. A kernel's name says nothing: any text may bear
// it.
const RoleInfo *find_role(const std::string &spec_hash);

// Elements from one padded activation row to the next.
inline int64_t padded(int64_t k) { return (k + BT_ROW_PAD - 1) / BT_ROW_PAD * BT_ROW_PAD; }

}  // namespace bittern::runtime
