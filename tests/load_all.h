// Touches all that a model has, as loading it does: what is wrong with any of it must then be said.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/model/labels.h"
#include "runtime/model/model_source.h"

namespace bittern::test {

inline void load_all(const std::string &path, const runtime::OpenOptions &options = {}) {
  const auto source = runtime::open_model(path, options);
  const runtime::ModelConfig &c = source->config();
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    for (const runtime::Linear which : runtime::kLinears) {
      const runtime::TernaryMatrix matrix = source->linear(layer, which);
      std::vector<int8_t> trits(static_cast<size_t>(matrix.rows * matrix.cols));
      matrix.decode(0, matrix.rows, trits.data(), matrix.cols);
      if (matrix.group != 0) {
        std::vector<float> scales(static_cast<size_t>(matrix.rows * (matrix.cols / matrix.group)));
        matrix.group_scales(0, matrix.rows, scales.data());
      }
      if (c.linear_norms) source->linear_norm(layer, which);
    }
    for (const runtime::Vector which : runtime::layer_vectors(c)) source->vector(layer, which);
  }
  source->vector(0, runtime::Vector::FinalNorm);
  for (const bool head : {false, true}) {
    if (head && !c.has_head) continue;
    const runtime::FloatMatrix matrix = head ? source->head() : source->embedding();
    std::vector<uint8_t> rows(static_cast<size_t>(matrix.rows * matrix.cols * 4));
    matrix.fill(0, matrix.rows, rows.data());
  }
}

}  // namespace bittern::test
