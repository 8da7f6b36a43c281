// Models of the true shapes of published ones, filled with numbers made on demand: what the benchmarks run on, since
// speed depends on shapes and not on values. Every number is a function of its place, so rows come in any order, from
// any thread, and equal for every run.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <tuple>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/join.h"
#include "runtime/model/model_source.h"

namespace bittern::runtime {
namespace {

// What presets share: a family of models, each written once.
ModelConfig bitnet_family() {
  ModelConfig c;
  c.architecture = "BitNetForCausalLM";
  c.activation = Activation::Relu2;
  c.tied_head = true;
  c.rope_theta = 500000;
  return c;
}
ModelConfig llama_family() {
  ModelConfig c;
  c.architecture = "LlamaForCausalLM";
  c.activation = Activation::Silu;
  c.sub_norms = false;
  return c;
}
ModelConfig one_bit_llm_family() {
  ModelConfig c;
  c.architecture = "BitnetForCausalLM";
  c.activation = Activation::Silu;
  c.tied_head = true;
  c.rope_theta = 10000;
  return c;
}
ModelConfig qwen3_embedding_family() {
  ModelConfig c;
  c.architecture = "Qwen3Model";
  c.activation = Activation::Silu;
  c.sub_norms = false;
  c.linear_norms = c.qk_norm = true;
  c.has_head = false;
  c.pooling = Pooling::Last;
  c.rope_theta = 1000000;
  return c;
}

struct Preset {
  const char *name;
  ModelConfig (*family)();
  int64_t hidden, ffn, layers, heads, kv_heads, head_dim, vocab, max_positions;
  float rms_eps;
  int32_t bos, eos;
  double rope_theta;  // 0: the family's
};
// Shapes as published: config.json of microsoft/bitnet-b1.58-2B-4T, 1bitLLM/bitnet_b1_58-3B,
// HF1BitLLM/Llama3-8B-1.58-100B-tokens, tiiuae/Falcon3-10B-Instruct-1.58bit and Qwen/Qwen3-Embedding-0.6B; the
// 100-billion-weight model that bitnet.cpp makes to measure on.
constexpr std::array<Preset, 7> kPresets{{
    {"2b-4t", bitnet_family, 2560, 6912, 30, 20, 5, 128, 128256, 4096, 1e-5f, 128000, 128001, 0},
    {"demo", bitnet_family, 256, 768, 4, 8, 2, 32, 4096, 512, 1e-5f, 4080, 4081, 0},
    {"3b", one_bit_llm_family, 3200, 8640, 26, 32, 32, 100, 32002, 2048, 1e-5f, 1, 2, 0},
    {"llama3-8b", llama_family, 4096, 14336, 32, 32, 8, 128, 128256, 8192, 1e-5f, 128000, 128009, 500000},
    {"falcon3-10b", llama_family, 3072, 23040, 40, 12, 4, 256, 131072, 32768, 1e-6f, 11, 11, 1000042},
    {"embedding-0.6b", qwen3_embedding_family, 1024, 3072, 28, 16, 8, 128, 151669, 32768, 1e-6f, 151643, 151643, 0},
    {"100b", one_bit_llm_family, 8192, 45568, 72, 64, 64, 128, 32002, 2048, 1e-5f, 1, 2, 0},
}};

// A bijective mix of 64 bits (the finaliser of MurmurHash3 with Stafford's constants, as in SplitMix64).
uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}
constexpr uint64_t kStep = 0x9e3779b97f4a7c15u;

// Five trits for each byte value: byte * 243 / 256 in base three, so the three values are equally frequent to within
// 1 %. Real models have 31 % (normal weights) to 42 % zeros.
using TritTable = std::array<std::array<int8_t, 8>, 256>;
constexpr TritTable make_trit_table() {
  TritTable table{};
  for (size_t byte = 0; byte < 256; ++byte) {
    size_t value = byte * 243 / 256;
    for (size_t i = 0; i < 5; ++i, value /= 3) table[byte][i] = static_cast<int8_t>(static_cast<int>(value % 3) - 1);
  }
  return table;
}
constexpr TritTable kTrits = make_trit_table();

// One row of trits, 40 a hash.
void fill_trits(uint64_t key, int64_t cols, int8_t *out) {
  for (int64_t k = 0; k < cols; k += 40, key += kStep) {
    std::array<int8_t, 48> block;
    uint64_t bits = mix(key);
    for (size_t i = 0; i < 8; ++i, bits >>= 8) std::memcpy(block.data() + 5 * i, kTrits[bits & 0xff].data(), 8);
    std::memcpy(out + k, block.data(), static_cast<size_t>(std::min<int64_t>(40, cols - k)));
  }
}

// One row of bf16 numbers with random sign and mantissa, magnitudes from 2^-7 to 2^-5, four a hash. Hidden sizes of
// the presets are multiples of four.
void fill_bf16(uint64_t key, int64_t cols, uint8_t *out) {
  for (int64_t k = 0; k < cols; k += 4, key += kStep) {
    const uint64_t values = (mix(key) & 0x80ff80ff80ff80ffu) | 0x3c003c003c003c00u;
    std::memcpy(out + 2 * k, &values, sizeof values);
  }
}

class SyntheticSource : public ModelSource {
 public:
  explicit SyntheticSource(const Preset &preset) : name_(preset.name), config_(preset.family()) {
    config_.vocab = preset.vocab;
    config_.hidden = preset.hidden;
    config_.ffn = preset.ffn;
    config_.layers = preset.layers;
    config_.heads = preset.heads;
    config_.kv_heads = preset.kv_heads;
    config_.head_dim = preset.head_dim;
    config_.max_positions = preset.max_positions;
    config_.rms_eps = preset.rms_eps;
    if (preset.rope_theta > 0) config_.rope_theta = preset.rope_theta;
    config_.activation_from = "preset";
    config_.bos = preset.bos;
    config_.eos = {preset.eos};
  }

  const ModelConfig &config() const override { return config_; }
  std::string path() const override { return identity(); }
  std::string identity() const override { return fmt::format("synthetic:{}:1", name_); }
  void release(int64_t, Linear) const override {}

  TernaryMatrix linear(int64_t layer, Linear which) const override {
    TernaryMatrix matrix;
    std::tie(matrix.rows, matrix.cols) = linear_shape(config_, which);
    // Outputs keep the size of inputs: two thirds of the trits are not zero.
    matrix.scale = bf16_to_f32(f32_to_bf16(1.2247f / std::sqrt(static_cast<float>(matrix.cols))));
    const uint64_t key = mix(static_cast<uint64_t>(layer * 16 + static_cast<int64_t>(which) + 1));
    matrix.decode = [key, cols = matrix.cols](int64_t row0, int64_t count, int8_t *out, int64_t stride) {
      for (int64_t row = row0; row < row0 + count; ++row, out += stride) {
        fill_trits(mix(key + static_cast<uint64_t>(row)), cols, out);
      }
    };
    return matrix;
  }

  std::vector<float> vector(int64_t, Vector which) const override {
    return std::vector<float>(static_cast<size_t>(vector_size(config_, which)), 1.0f);
  }

  std::vector<float> linear_norm(int64_t, Linear which) const override {
    return std::vector<float>(static_cast<size_t>(linear_shape(config_, which).second), 1.0f);
  }

  FloatMatrix embedding() const override { return table(0); }
  FloatMatrix head() const override { return table(config_.tied_head ? 0 : kHeadSalt); }

 private:
  static constexpr uint64_t kHeadSalt = 1 << 30;

  FloatMatrix table(uint64_t salt) const {
    FloatMatrix out;
    out.rows = config_.vocab;
    out.cols = config_.hidden;
    out.dtype = DType::BF16;
    out.fill = [salt, cols = out.cols](int64_t row0, int64_t count, void *to) {
      uint8_t *bytes = static_cast<uint8_t *>(to);
      for (int64_t row = row0; row < row0 + count; ++row, bytes += 2 * cols) {
        fill_bf16(mix(salt + static_cast<uint64_t>(row)), cols, bytes);
      }
    };
    return out;
  }

  std::string name_;
  ModelConfig config_;
};

}  // namespace

std::unique_ptr<ModelSource> synthetic_model(const std::string &preset) {
  for (const Preset &row : kPresets) {
    if (preset == row.name) return std::make_unique<SyntheticSource>(row);
  }
  throw Error(fmt::format("no preset '{}' (presets: {})", preset, join_names(preset_names())));
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Preset &row : kPresets) names.emplace_back(row.name);
  return names;
}

}  // namespace bittern::runtime
