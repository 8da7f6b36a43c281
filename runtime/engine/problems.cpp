// See problems.h.
#include "runtime/engine/problems.h"

#include <algorithm>

#include "runtime/engine/kv_cache.h"

namespace bittern::runtime {

std::vector<KernelNeed> kernel_needs(const ModelConfig &c, DType embedding, DType head, int64_t context, KvType kv,
                                     HeadType head_type) {
  const int64_t q = c.heads * c.head_dim, kv_width = c.kv_heads * c.head_dim;
  const int64_t pages = KvCache::pages_for(context);
  const bool half = kv == KvType::F16;
  std::vector<KernelNeed> needs = {
      {"gate_up", Role::W2A8, {1, 2 * c.ffn, c.hidden}},
      {"down", Role::W2A8, {1, c.hidden, c.ffn}},
      {"qkv", Role::W2A8, {1, q + 2 * kv_width, c.hidden}},
      {"o", Role::W2A8, {1, c.hidden, q}},
  };
  if (head_type == HeadType::Int8) {
    needs.push_back({"head", Role::HeadInt8, {1, c.vocab, c.hidden}});
  } else {
    needs.push_back({"head", head == DType::BF16 ? Role::HeadBf16 : Role::HeadF32, {1, c.vocab, c.hidden}});
  }
  needs.push_back({"attention",
                   half ? Role::AttentionF16 : Role::Attention,
                   {1, c.heads, c.heads / c.kv_heads, c.head_dim, 1, pages, pages}});
  const Role activation[] = {Role::FfnRelu2, Role::FfnSilu, Role::FfnGeluTanh};
  needs.push_back({"activation", activation[static_cast<int>(c.activation)], {1, c.ffn}});
  needs.push_back({"norm", Role::RmsNormQuant, {1, c.hidden}});
  needs.push_back({"attn_sub_norm", c.sub_norms ? Role::RmsNormQuant : Role::AbsmaxQuant, {1, q}});
  needs.push_back({"ffn_sub_norm", c.sub_norms ? Role::RmsNormQuant : Role::AbsmaxQuant, {1, c.ffn}});
  needs.push_back({"final_norm", Role::RmsNorm, {1, c.hidden}});
  needs.push_back({"rope_q", Role::Rope, {1, c.heads, c.head_dim / 2}});
  needs.push_back({"rope_k", half ? Role::RopeF16 : Role::Rope, {1, c.kv_heads, c.head_dim / 2}});
  needs.push_back({"store_v", half ? Role::KvStoreF16 : Role::KvStore, {1, c.kv_heads, c.head_dim}});
  needs.push_back({"residual", Role::ResidualAdd, {1, c.hidden}});
  needs.push_back({"embedding", embedding == DType::BF16 ? Role::EmbedBf16 : Role::EmbedF32, {1, c.vocab, c.hidden}});
  return needs;
}

std::vector<KernelProblem> kernel_problems(const ModelSource &source, const std::vector<int64_t> &m_values,
                                           int64_t context, KvType kv, HeadType head_type) {
  std::vector<KernelProblem> problems;
  for (const KernelNeed &need :
       kernel_needs(source.config(), source.embedding().dtype, source.head().dtype, context, kv, head_type)) {
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
