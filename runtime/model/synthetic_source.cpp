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

struct Preset {
  const char *name;
  int64_t hidden, ffn, layers, heads, kv_heads, head_dim, vocab, max_positions;
  double rope_theta;
  float rms_eps;
  int32_t bos;
};
constexpr std::array<Preset, 2> kPresets{{
    {"2b-4t", 2560, 6912, 30, 20, 5, 128, 128256, 4096, 500000, 1e-5f, 128000},
    {"demo", 256, 768, 4, 8, 2, 32, 4096, 512, 500000, 1e-5f, 4080},
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
  explicit SyntheticSource(const Preset &preset) : name_(preset.name) {
    config_.architecture = "BitNetForCausalLM";
    config_.vocab = preset.vocab;
    config_.hidden = preset.hidden;
    config_.ffn = preset.ffn;
    config_.layers = preset.layers;
    config_.heads = preset.heads;
    config_.kv_heads = preset.kv_heads;
    config_.head_dim = preset.head_dim;
    config_.max_positions = preset.max_positions;
    config_.rms_eps = preset.rms_eps;
    config_.rope_theta = preset.rope_theta;
    config_.activation = Activation::Relu2;
    config_.tied_head = true;
    config_.bos = preset.bos;
    config_.eos = {preset.bos + 1};
  }

  const ModelConfig &config() const override { return config_; }
  std::string path() const override { return identity(); }
  std::string identity() const override { return fmt::format("synthetic:{}:1", name_); }
  void release(int64_t, Linear) const override {}

  TernaryMatrix linear(int64_t layer, Linear which) const override {
    const int64_t query = config_.heads * config_.head_dim, key_value = config_.kv_heads * config_.head_dim;
    const std::array<std::pair<int64_t, int64_t>, 7> shapes{{{query, config_.hidden},
                                                             {key_value, config_.hidden},
                                                             {key_value, config_.hidden},
                                                             {config_.hidden, query},
                                                             {config_.ffn, config_.hidden},
                                                             {config_.ffn, config_.hidden},
                                                             {config_.hidden, config_.ffn}}};
    TernaryMatrix matrix;
    std::tie(matrix.rows, matrix.cols) = shapes[static_cast<size_t>(which)];
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
    const int64_t size = which == Vector::FfnSubNorm         ? config_.ffn
                         : which == Vector::AttentionSubNorm ? config_.heads * config_.head_dim
                                                             : config_.hidden;
    return std::vector<float>(static_cast<size_t>(size), 1.0f);
  }

  std::vector<float> linear_norm(int64_t, Linear which) const override {
    throw Error(fmt::format("preset '{}' has no norm inside linear layer {}", name_, static_cast<int>(which)));
  }

  FloatMatrix embedding() const override {
    FloatMatrix out;
    out.rows = config_.vocab;
    out.cols = config_.hidden;
    out.dtype = DType::BF16;
    out.fill = [cols = out.cols](int64_t row0, int64_t count, void *to) {
      uint8_t *bytes = static_cast<uint8_t *>(to);
      for (int64_t row = row0; row < row0 + count; ++row, bytes += 2 * cols) {
        fill_bf16(mix(static_cast<uint64_t>(row)), cols, bytes);
      }
    };
    return out;
  }
  FloatMatrix head() const override { return embedding(); }

 private:
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
