// Names of tensors in Bittern's own files: "layers.0.q", "layers.0.input_norm".
#pragma once
#include <fmt/format.h>

#include <string>

#include "runtime/model/labels.h"

namespace bittern::runtime {

inline std::string bittern_name(int64_t layer, Linear which) {
  return fmt::format("layers.{}.{}", layer, linear_label(which));
}
inline std::string bittern_scales_name(int64_t layer, Linear which) { return bittern_name(layer, which) + ".scales"; }
inline std::string bittern_norm_name(int64_t layer, Linear which) { return bittern_name(layer, which) + ".norm"; }
inline std::string bittern_name(int64_t layer, Vector which) {
  if (which == Vector::FinalNorm) return vector_label(which);
  return fmt::format("layers.{}.{}", layer, vector_label(which));
}

}  // namespace bittern::runtime
