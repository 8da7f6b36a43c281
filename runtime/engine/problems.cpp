// See problems.h.
#include "runtime/engine/problems.h"

#include <algorithm>

#include "runtime/engine/kv_cache.h"

namespace bittern::runtime {

namespace {

constexpr int64_t kTexts = 32;  // that an embedding model runs in one pass

// The ternary products, largest first; each shape once.
void add_projections(const ModelConfig &c, std::vector<KernelNeed> &needs) {
  for (const Projection &projection : projections(c)) {
    const auto same = [&](const KernelNeed &need) { return need.what == projection.what; };
    if (std::any_of(needs.begin(), needs.end(), same)) continue;
    int64_t rows = 0;
    for (Linear part : projection.parts) rows += linear_shape(c, part).first;
    KernelNeed need{projection.what, Role::W2A8, {1, rows, linear_shape(c, projection.name()).second}};
    if (c.scale_group > 0) {
      need.role = Role::W2A8Group;
      need.sizes.push_back(c.scale_group);
    }
    needs.push_back(std::move(need));
  }
  std::stable_sort(needs.begin(), needs.end(), [](const KernelNeed &a, const KernelNeed &b) {
    return a.sizes[1] * a.sizes[2] > b.sizes[1] * b.sizes[2];
  });
}

void add_attention(const ModelConfig &c, int64_t context, bool half, std::vector<KernelNeed> &needs) {
  const int64_t table = KvCache::pages_for(context), pages = cache_pages(c, context);
  std::vector<int64_t> sizes = {1, c.heads, c.heads / c.kv_heads, c.head_dim, sequences_of(c), table, pages};
  bool local = false, global = false;
  for (int64_t l = 0; l < c.layers; ++l) (is_local_layer(c, l) ? local : global) = true;
  if (global) needs.push_back({"attention", half ? Role::AttentionF16 : Role::Attention, sizes});
  sizes.push_back(c.window);
  if (local)
    needs.push_back({"local_attention", half ? Role::AttentionWindowF16 : Role::AttentionWindow, std::move(sizes)});
}

}  // namespace

std::vector<Projection> projections(const ModelConfig &config) {
  if (config.linear_norms)
    return {{"q", {Linear::Q}},          {"k/v", {Linear::K}},      {"k/v", {Linear::V}},    {"o", {Linear::O}},
            {"gate/up", {Linear::Gate}}, {"gate/up", {Linear::Up}}, {"down", {Linear::Down}}};
  return {{"qkv", {Linear::Q, Linear::K, Linear::V}},
          {"o", {Linear::O}},
          {"gate_up", {Linear::Gate, Linear::Up}},
          {"down", {Linear::Down}}};
}

int64_t sequences_of(const ModelConfig &config) { return config.has_head ? 1 : kTexts; }

int64_t cache_pages(const ModelConfig &config, int64_t context) {
  return std::max(KvCache::pages_for(context), config.has_head ? 0 : kTexts);
}

std::vector<KernelNeed> kernel_needs(const ModelSource &source, int64_t context, KvType kv, HeadType head_type) {
  const ModelConfig &c = source.config();
  const int64_t q = c.heads * c.head_dim;
  const bool half = kv == KvType::F16;
  std::vector<KernelNeed> needs;
  add_projections(c, needs);
  if (c.has_head && head_type == HeadType::Int8) {
    needs.push_back({"head", Role::HeadInt8, {1, c.vocab, c.hidden}});
  } else if (c.has_head) {
    const bool bf16 = source.head().dtype == DType::BF16;
    needs.push_back({"head", bf16 ? Role::HeadBf16 : Role::HeadF32, {1, c.vocab, c.hidden}});
  }
  add_attention(c, context, half, needs);
  const Role activation[] = {Role::FfnRelu2, Role::FfnSilu, Role::FfnGeluTanh};
  needs.push_back({"activation", activation[static_cast<int>(c.activation)], {1, c.ffn}});
  // What is quantised was normalised before, except where a family has no norm there.
  const Role inner = c.sub_norms || c.linear_norms ? Role::RmsNormQuant : Role::AbsmaxQuant;
  needs.push_back({"norm", Role::RmsNormQuant, {1, c.hidden}});
  needs.push_back({"attn_sub_norm", inner, {1, q}});
  needs.push_back({"ffn_sub_norm", inner, {1, c.ffn}});
  needs.push_back({"final_norm", Role::RmsNorm, {1, c.hidden}});
  if (c.sub_norms && c.linear_norms) {
    needs.push_back({"attn_sub_norm_first", Role::RmsNorm, {1, q}});
    needs.push_back({"ffn_sub_norm_first", Role::RmsNorm, {1, c.ffn}});
  }
  if (c.scale_group > 0) {
    needs.push_back({"group_sums_hidden", Role::GroupSums, {1, c.hidden, c.scale_group}});
    needs.push_back({"group_sums_q", Role::GroupSums, {1, q, c.scale_group}});
    needs.push_back({"group_sums_ffn", Role::GroupSums, {1, c.ffn, c.scale_group}});
  }
  if (c.qk_norm) {
    needs.push_back({"q_norm", Role::RmsNormHeads, {1, c.heads, c.head_dim}});
    needs.push_back({"k_norm", Role::RmsNormHeads, {1, c.kv_heads, c.head_dim}});
  }
  needs.push_back({"rope_q", Role::Rope, {1, c.heads, c.head_dim / 2}});
  needs.push_back({"rope_k", half ? Role::RopeF16 : Role::Rope, {1, c.kv_heads, c.head_dim / 2}});
  needs.push_back({"store_v", half ? Role::KvStoreF16 : Role::KvStore, {1, c.kv_heads, c.head_dim}});
  needs.push_back({"residual", Role::ResidualAdd, {1, c.hidden}});
  const bool bf16 = source.embedding().dtype == DType::BF16;
  needs.push_back({"embedding", bf16 ? Role::EmbedBf16 : Role::EmbedF32, {1, c.vocab, c.hidden}});
  return needs;
}

std::vector<KernelProblem> kernel_problems(const ModelSource &source, const std::vector<int64_t> &m_values,
                                           int64_t context, KvType kv, HeadType head_type) {
  std::vector<KernelProblem> problems;
  for (const KernelNeed &need : kernel_needs(source, context, kv, head_type)) {
    const RoleInfo &role = role_info(need.role);
    for (int64_t m : m_values) {
      KernelProblem problem{need.what, role.spec, {}};
      for (size_t i = 0; i < need.sizes.size(); ++i)
        problem.sizes.emplace_back(role.sizes[i], i == 0 ? m : need.sizes[i]);
      const bool known = std::any_of(problems.begin(), problems.end(), [&](const KernelProblem &other) {
        return other.spec == problem.spec && other.sizes == problem.sizes;
      });
      if (!known) problems.push_back(std::move(problem));
    }
  }
  return problems;
}

}  // namespace bittern::runtime
