#include "runtime/convert/verify.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "runtime/io/float_formats.h"
#include "runtime/model/bittern_config.h"

namespace bittern::runtime {
namespace {

using nlohmann::json;

// What a file may name differently although the numbers that come out are the same.
constexpr const char *kNotCompared[] = {"architecture", "activation_from"};

class Comparer {
 public:
  Comparer(const Conversion &conversion, const ModelSource &result)
      : conversion_(conversion), source_(conversion.source), result_(result) {}

  Comparison run() {
    configurations();
    const ModelConfig &c = source_.config();
    matrix("embedding", source_.embedding(), result_.embedding());
    for (int64_t layer = 0; layer < c.layers; ++layer) {
      for (const Linear which : kLinears) {
        linear(layer, which);
        if (c.linear_norms) {
          norms(matrix_label(layer, which) + " norm", source_.linear_norm(layer, which),
                result_.linear_norm(layer, which));
        }
      }
      for (const Vector which : layer_vectors(c)) {
        norms(fmt::format("layer {} {}", layer, vector_label(which)), source_.vector(layer, which),
              result_.vector(layer, which));
      }
    }
    norms("final norm", source_.vector(0, Vector::FinalNorm), result_.vector(0, Vector::FinalNorm));
    if (c.has_head && !c.tied_head) matrix("head", source_.head(), result_.head());
    return done_;
  }

 private:
  [[noreturn]] void differ(const std::string &where, const std::string &what) const {
    throw Error(fmt::format("{}: {}: {}", conversion_.name, where, what));
  }

  // What says nothing about the model at hand may differ, as may two ways of saying the same.
  static json comparable(ModelConfig c, const ModelConfig &source) {
    if (c.attention_scale == 0) c.attention_scale = static_cast<float>(1 / std::sqrt(static_cast<double>(c.head_dim)));
    if (source.window == 0) c.global_every = 1, c.rope_theta_local = 0;
    if (!source.linear_norms) c.linear_norm_eps = 0;
    if (!source.has_head) c.tied_head = false, c.bos = -1, c.eos.clear(), c.generation = {};
    if (source.bos < 0) c.bos = -1;  // its tokenizer has one all the same, which some formats name
    if (source.eos.empty()) c.eos.clear();
    if (!source.generation.do_sample) c.generation = {};
    json out = json::parse(bittern_config_text(c));
    for (const char *name : kNotCompared) out.erase(name);
    return out;
  }

  void configurations() const {
    const json ours = comparable(source_.config(), source_.config());
    const json theirs = comparable(result_.config(), source_.config());
    for (const auto &[name, value] : ours.items()) {
      if (value != theirs[name]) differ(name, fmt::format("is {}, was {}", theirs[name].dump(), value.dump()));
    }
  }

  static bool same(float a, float b) { return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b); }

  void linear(int64_t layer, Linear which) {
    const std::string label = matrix_label(layer, which);
    const TernaryMatrix a = source_.linear(layer, which), b = result_.linear(layer, which);
    if (a.rows != b.rows || a.cols != b.cols) differ(label, fmt::format("is {} x {}", b.rows, b.cols));
    if (a.group != b.group) differ(label, fmt::format("has a scale for every {} columns", b.group));
    if (a.group == 0) {
      if (!same(a.scale, b.scale)) differ(label, fmt::format("scale is {:.9g}, was {:.9g}", b.scale, a.scale));
      ++done_.scales;
    } else {
      const size_t count = static_cast<size_t>(a.rows * (a.cols / a.group));
      std::vector<float> x(count), y(count);
      a.group_scales(0, a.rows, x.data());
      b.group_scales(0, b.rows, y.data());
      floats(label + " scales", x, y);
      done_.scales += static_cast<int64_t>(count);
    }
    std::vector<int8_t> other;
    for_each_block(conversion_, layer, which, a, 1, [&](int64_t row0, int64_t count, const int8_t *trits) {
      other.resize(static_cast<size_t>(count * b.cols));
      b.decode(row0, count, other.data(), b.cols);
      if (std::memcmp(trits, other.data(), other.size()) != 0) {
        size_t at = 0;
        while (trits[at] == other[at]) ++at;
        differ(label, fmt::format("row {}, column {} is {}, was {}", row0 + static_cast<int64_t>(at) / b.cols,
                                  static_cast<int64_t>(at) % b.cols, other[at], trits[at]));
      }
      done_.trits += count * b.cols;
    });
    result_.release(layer, which);
  }

  void floats(const std::string &label, const std::vector<float> &a, const std::vector<float> &b) const {
    if (a.size() != b.size()) differ(label, fmt::format("has {} elements, had {}", b.size(), a.size()));
    for (size_t i = 0; i < a.size(); ++i) {
      if (!same(a[i], b[i])) differ(label, fmt::format("element {} is {:.9g}, was {:.9g}", i, b[i], a[i]));
    }
  }

  void norms(const std::string &label, const std::vector<float> &a, const std::vector<float> &b) {
    floats(label, a, b);
    done_.norms += static_cast<int64_t>(a.size());
  }

  static float element(const uint8_t *rows, DType dtype, int64_t i) {
    if (dtype == DType::F32) return load_le<float>(rows + 4 * i);
    const uint16_t half = load_le<uint16_t>(rows + 2 * i);
    return dtype == DType::BF16 ? bf16_to_f32(half) : f16_to_f32(half);
  }

  void matrix(const std::string &label, const FloatMatrix &a, const FloatMatrix &b) {
    if (a.rows != b.rows || a.cols != b.cols) differ(label, fmt::format("is {} x {}", b.rows, b.cols));
    std::vector<uint8_t> other;
    for_each_block(conversion_, a, label, [&](int64_t row0, int64_t count, const uint8_t *rows) {
      const int64_t values = count * a.cols;
      other.resize(static_cast<size_t>(values * dtype_bytes(b.dtype)));
      b.fill(row0, count, other.data());
      if (b.release) b.release(row0, count);
      done_.floats += values;
      if (a.dtype == b.dtype && std::memcmp(rows, other.data(), other.size()) == 0) return;
      for (int64_t i = 0; i < values; ++i) {
        const float x = element(rows, a.dtype, i), y = element(other.data(), b.dtype, i);
        if (!same(x, y)) {
          differ(label, fmt::format("row {}, column {} is {:.9g}, was {:.9g}", row0 + i / a.cols, i % a.cols, y, x));
        }
      }
    });
  }

  const Conversion &conversion_;
  const ModelSource &source_, &result_;
  Comparison done_;
};

}  // namespace

Comparison compare_models(const Conversion &conversion, const ModelSource &result) {
  return Comparer(conversion, result).run();
}

}  // namespace bittern::runtime
