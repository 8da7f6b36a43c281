#include "runtime/model/labels.h"

namespace bittern::runtime {
namespace {

// In the order of Linear and Vector.
constexpr std::array<const char *, kLinearCount> kLinearLabels{"q", "k", "v", "o", "gate", "up", "down"};
constexpr std::array<const char *, kVectorCount> kVectorLabels{
    "input_norm", "post_attention_norm", "attention_sub_norm", "ffn_sub_norm", "final_norm", "q_norm",
    "k_norm",     "attention_out_norm",  "ffn_out_norm"};

}  // namespace

std::vector<Vector> layer_vectors(const ModelConfig &config) {
  std::vector<Vector> out;
  for (size_t i = 0; i < kVectorCount; ++i) {
    const Vector which = static_cast<Vector>(i);
    if (which != Vector::FinalNorm && has_vector(config, which)) out.push_back(which);
  }
  return out;
}

const char *linear_label(Linear which) { return kLinearLabels[static_cast<size_t>(which)]; }
const char *vector_label(Vector which) { return kVectorLabels[static_cast<size_t>(which)]; }

}  // namespace bittern::runtime
