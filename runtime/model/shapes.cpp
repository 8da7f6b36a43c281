// The shapes that follow from a ModelConfig, written once for readers, writers and the engine.
#include <array>

#include "runtime/model/model_source.h"

namespace bittern::runtime {

std::pair<int64_t, int64_t> linear_shape(const ModelConfig &c, Linear which) {
  const int64_t query = c.heads * c.head_dim, key_value = c.kv_heads * c.head_dim;
  const std::array<std::pair<int64_t, int64_t>, kLinearCount> shapes{{{query, c.hidden},
                                                                      {key_value, c.hidden},
                                                                      {key_value, c.hidden},
                                                                      {c.hidden, query},
                                                                      {c.ffn, c.hidden},
                                                                      {c.ffn, c.hidden},
                                                                      {c.hidden, c.ffn}}};
  return shapes[static_cast<size_t>(which)];
}

int64_t vector_size(const ModelConfig &c, Vector which) {
  switch (which) {
    case Vector::AttentionSubNorm:
      return c.heads * c.head_dim;
    case Vector::FfnSubNorm:
      return c.ffn;
    case Vector::QNorm:
    case Vector::KNorm:
      return c.head_dim;
    default:
      return c.hidden;
  }
}

bool has_vector(const ModelConfig &c, Vector which) {
  switch (which) {
    case Vector::AttentionSubNorm:
    case Vector::FfnSubNorm:
      return c.sub_norms;
    case Vector::QNorm:
    case Vector::KNorm:
      return c.qk_norm;
    case Vector::AttentionOutNorm:
    case Vector::FfnOutNorm:
      return c.post_norms;
    default:
      return true;
  }
}

bool is_local_layer(const ModelConfig &c, int64_t layer) { return c.window > 0 && (layer + 1) % c.global_every != 0; }

}  // namespace bittern::runtime
