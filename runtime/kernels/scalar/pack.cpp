// The descriptors of the scalar kernels, one row each.
#include <algorithm>
#include <vector>

#include "runtime/kernels/roles.h"
#include "runtime/kernels/scalar/scalar.h"

namespace bittern::runtime {
namespace {

using namespace scalar;

struct Row {
  Role role;
  bt_kernel_fn fn;
  int32_t tile_size_index;
  int64_t tile;
  int64_t scratch_base;
  int scratch_size, scratch_bytes;    // bytes per unit of this size parameter
  int scratch_size2, scratch_bytes2;  // and of this one
};

constexpr Row kRows[] = {
    {Role::W2A8, w2a8_matmul, 1, kRowTile, 0, 2, 1, 0, 0},
    {Role::RmsNormQuant, rmsnorm_quant, 0, 1, 0, 0, 0, 0, 0},
    {Role::RmsNorm, rmsnorm, 0, 1, 0, 0, 0, 0, 0},
    {Role::AbsmaxQuant, absmax_quant, 0, 1, 0, 0, 0, 0, 0},
    {Role::Rope, rope, 0, 1, 0, 0, 0, 0, 0},
    {Role::RopeF16, rope_f16, 0, 1, 0, 0, 0, 0, 0},
    {Role::KvStore, kv_store, 0, 1, 0, 0, 0, 0, 0},
    {Role::KvStoreF16, kv_store_f16, 0, 1, 0, 0, 0, 0, 0},
    {Role::Attention, attention, 1, 1, 0, 5, 32 * 4, 3, 16 * 4},
    {Role::AttentionF16, attention_f16, 1, 1, 0, 5, 32 * 4, 3, 16 * 4},
    {Role::FfnRelu2, ffn_relu2, 0, 1, 0, 0, 0, 0, 0},
    {Role::FfnSilu, ffn_silu, 0, 1, 0, 0, 0, 0, 0},
    {Role::FfnGeluTanh, ffn_gelu_tanh, 0, 1, 0, 0, 0, 0, 0},
    {Role::HeadBf16, head_bf16, 1, kRowTile, 0, 0, 0, 0, 0},
    {Role::HeadF32, head_f32, 1, kRowTile, 0, 0, 0, 0, 0},
    {Role::HeadInt8, head_int8, 1, kRowTile, 0, 0, 0, 0, 0},
    {Role::EmbedBf16, embed_bf16, 0, 1, 0, 0, 0, 0, 0},
    {Role::EmbedF32, embed_f32, 0, 1, 0, 0, 0, 0, 0},
    {Role::ResidualAdd, residual_add, 0, 1, 0, 0, 0, 0, 0},
    {Role::W2A8Group, w2a8_group_matmul, 1, kRowTile, 0, 2, 1, 0, 0},
    {Role::GroupSums, group_sums, 0, 1, 0, 0, 0, 0, 0},
    {Role::RmsNormHeads, rmsnorm_heads, 0, 1, 0, 0, 0, 0, 0},
    {Role::AttentionWindow, attention_window, 1, 1, 0, 5, 32 * 4, 3, 16 * 4},
    {Role::AttentionWindowF16, attention_window_f16, 1, 1, 0, 5, 32 * 4, 3, 16 * 4},
};

bt_kernel describe(const Row &row) {
  const RoleInfo &role = role_info(row.role);
  bt_kernel k{};
  k.abi_version = BT_ABI_VERSION;
  k.isa_needs = BT_ISA_BASELINE;
  k.spec = role.spec.c_str();
  k.spec_hash = role.spec_hash.c_str();
  k.schedule = "scalar";
  k.backend = "scalar";
  k.target = "any";
  k.proof = "reference";
  std::fill_n(k.fixed, BT_MAX_SIZES, -1);
  k.m_min = 1;
  k.m_max = INT64_MAX;
  k.size_count = static_cast<int32_t>(role.sizes.size());
  k.tensor_count = role.tensors;
  k.scalar_count = role.scalars;
  k.tile_size_index = row.tile_size_index;
  k.tile = row.tile;
  k.scratch_base = row.scratch_base;
  k.scratch_per[row.scratch_size] += row.scratch_bytes;
  k.scratch_per[row.scratch_size2] += row.scratch_bytes2;
  k.layout = row.role == Role::W2A8 || row.role == Role::W2A8Group ? &kRowsLayout : nullptr;
  k.fn = row.fn;
  return k;
}

}  // namespace

const bt_pack *bt_scalar_pack() {
  struct Table {
    std::vector<bt_kernel> kernels;
    std::vector<const bt_kernel *> pointers;
    bt_pack pack{};
    Table() {
      for (const Row &row : kRows) kernels.push_back(describe(row));
      for (const bt_kernel &kernel : kernels) pointers.push_back(&kernel);
      pack = {BT_ABI_VERSION, static_cast<uint32_t>(pointers.size()), "bittern " BITTERN_VERSION, pointers.data()};
    }
  };
  static const Table table;
  return &table.pack;
}

}  // namespace bittern::runtime
