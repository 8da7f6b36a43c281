// A ModelSource of any configuration with made-up weights: what file formats must carry, also where no model at hand
// has it (groups of scales, a norm inside each layer, float16 embeddings).
#pragma once
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/model/labels.h"
#include "runtime/model/model_source.h"

namespace bittern::test {

using namespace bittern::runtime;

class MadeUpSource : public ModelSource {
 public:
  explicit MadeUpSource(ModelConfig config, DType dtype = DType::BF16) : config_(std::move(config)), dtype_(dtype) {}

  // Two layers, hidden 64, FFN 96: a BitNet model small enough for any number of tests.
  static ModelConfig small() {
    ModelConfig c;
    c.architecture = "BitNetForCausalLM";
    c.vocab = 300, c.hidden = 64, c.ffn = 96, c.layers = 2, c.heads = 4, c.kv_heads = 2, c.head_dim = 16;
    c.max_positions = 128;
    c.rope_theta = 500000;
    c.tied_head = true;
    c.bos = 1;
    c.eos = {2, 3};
    c.activation_from = "config.json";
    return c;
  }

  const ModelConfig &config() const override { return config_; }
  std::string path() const override { return "made-up"; }
  std::string identity() const override { return "made-up"; }
  void release(int64_t, Linear) const override {}

  TernaryMatrix linear(int64_t layer, Linear which) const override {
    TernaryMatrix m;
    std::tie(m.rows, m.cols) = linear_shape(config_, which);
    const unsigned key = static_cast<unsigned>(layer * 7 + static_cast<int64_t>(which) + 1);
    m.scale = scale != 0 ? scale : 0.01f * static_cast<float>(key) + 0.3333333f;
    m.group = config_.scale_group;
    m.decode = [key, cols = m.cols](int64_t row0, int64_t count, int8_t *out, int64_t stride) {
      for (int64_t row = row0; row < row0 + count; ++row, out += stride) {
        std::minstd_rand random(key * 7919 + static_cast<unsigned>(row) + 1);
        for (int64_t k = 0; k < cols; ++k) out[k] = static_cast<int8_t>(static_cast<int>(random() / 7 % 3) - 1);
      }
    };
    if (m.group != 0) {
      m.group_scales = [groups = m.cols / m.group](int64_t row0, int64_t count, float *out) {
        for (int64_t i = 0; i < count * groups; ++i) out[i] = 0.1f + 0.001f * static_cast<float>(row0 * groups + i);
      };
    }
    return m;
  }

  std::vector<float> vector(int64_t layer, Vector which) const override {
    return floats(vector_size(config_, which), static_cast<int>(layer) * 16 + static_cast<int>(which));
  }
  std::vector<float> linear_norm(int64_t layer, Linear which) const override {
    return floats(linear_shape(config_, which).second, 500 + static_cast<int>(layer) * 16 + static_cast<int>(which));
  }
  FloatMatrix embedding() const override { return matrix(1); }
  FloatMatrix head() const override { return config_.tied_head ? matrix(1) : matrix(2); }

  float scale = 0;          // of every matrix, if not 0
  bool short_norms = true;  // values that bf16 holds exactly, also less one

 private:
  std::vector<float> floats(int64_t size, int key) const {
    std::vector<float> out(static_cast<size_t>(size));
    std::minstd_rand random(static_cast<unsigned>(key) + 1);
    for (float &value : out) {
      value = 1 + static_cast<float>(random() % 64) / 128;
      if (!short_norms) value += 1e-6f * static_cast<float>(random() % 100);
    }
    return out;
  }

  FloatMatrix matrix(unsigned key) const {
    FloatMatrix m;
    m.rows = config_.vocab;
    m.cols = config_.hidden;
    m.dtype = dtype_;
    m.fill = [key, dtype = dtype_, cols = m.cols](int64_t row0, int64_t count, void *to) {
      uint8_t *out = static_cast<uint8_t *>(to);
      const size_t bytes = dtype == DType::F32 ? 4 : 2;
      for (int64_t row = row0; row < row0 + count; ++row) {
        std::minstd_rand random(key * 104729 + static_cast<unsigned>(row));
        for (int64_t k = 0; k < cols; ++k, out += bytes) {
          const float value = static_cast<float>(static_cast<int>(random() % 2000) - 1000) / 1000;
          const uint16_t bf16 = f32_to_bf16(value);
          // The bits of a bf16 below one are a float16 as well, if another number.
          if (bytes == 4) std::memcpy(out, &value, 4);
          if (bytes == 2) std::memcpy(out, &bf16, 2);
        }
      }
    };
    return m;
  }

  ModelConfig config_;
  DType dtype_;
};

}  // namespace bittern::test
