// A model of any ModelConfig, made up: weights are functions of their places. And what it must compute, as plain loops
// in double that follow docs of the families (goldens' NUMERICS), sharing nothing with the engine but the
// configuration.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "runtime/model/model_source.h"

namespace bittern::test {

using runtime::Linear;
using runtime::ModelConfig;
using runtime::Vector;

// hidden 128, ffn 192, 2 layers, 4 heads of 32, 2 KV heads, vocabulary 50.
inline ModelConfig made_config() {
  ModelConfig c;
  c.architecture = "Made";
  c.vocab = 50, c.hidden = 128, c.ffn = 192, c.layers = 2, c.heads = 4, c.kv_heads = 2, c.head_dim = 32;
  c.max_positions = 256;
  c.activation = runtime::Activation::Silu;
  c.tied_head = true;
  return c;
}

class MadeModel : public runtime::ModelSource {
 public:
  explicit MadeModel(ModelConfig config, uint64_t seed = 1) : config_(std::move(config)), seed_(seed) {
    table_ = numbers(config_.vocab * config_.hidden, 1, -1, 1);
    head_ = numbers(config_.vocab * config_.hidden, 2, -0.2, 0.2);
  }

  const ModelConfig &config() const override { return config_; }
  std::string identity() const override { return "made " + std::to_string(seed_); }
  std::string path() const override { return "made"; }
  void release(int64_t, Linear) const override {}

  runtime::TernaryMatrix linear(int64_t layer, Linear which) const override {
    runtime::TernaryMatrix m;
    std::tie(m.rows, m.cols) = runtime::linear_shape(config_, which);
    const uint64_t salt = 100 + static_cast<uint64_t>(layer * 16 + static_cast<int64_t>(which));
    m.group = config_.scale_group;
    if (m.group == 0) m.scale = static_cast<float>(number(salt, 0, 0.02, 0.1));
    m.group_scales = [this, salt, groups = m.group ? m.cols / m.group : 0](int64_t row0, int64_t count, float *out) {
      for (int64_t i = 0; i < count * groups; ++i)
        out[i] = static_cast<float>(number(salt + 1000, static_cast<uint64_t>(row0 * groups + i), 0.02, 0.1));
    };
    m.decode = [this, salt, cols = m.cols](int64_t row0, int64_t count, int8_t *out, int64_t stride) {
      for (int64_t r = 0; r < count; ++r)
        for (int64_t k = 0; k < cols; ++k)
          out[r * stride + k] = static_cast<int8_t>(mix(salt, static_cast<uint64_t>((row0 + r) * cols + k)) % 3) - 1;
    };
    return m;
  }
  std::vector<float> vector(int64_t layer, Vector which) const override {
    return numbers(vector_size(config_, which), 5000 + static_cast<uint64_t>(layer * 16 + static_cast<int64_t>(which)),
                   0.5, 1.5);
  }
  std::vector<float> linear_norm(int64_t layer, Linear which) const override {
    return numbers(linear_shape(config_, which).second,
                   6000 + static_cast<uint64_t>(layer * 16 + static_cast<int64_t>(which)), 0.5, 1.5);
  }
  runtime::FloatMatrix embedding() const override { return view(table_); }
  runtime::FloatMatrix head() const override { return view(config_.tied_head ? table_ : head_); }

 private:
  uint64_t mix(uint64_t salt, uint64_t i) const {
    uint64_t x = (seed_ * 1000003 + salt) * 0x9e3779b97f4a7c15u + i * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
  }
  double number(uint64_t salt, uint64_t i, double least, double most) const {
    return least + (most - least) * static_cast<double>(mix(salt, i) >> 40) * 0x1p-24;
  }
  std::vector<float> numbers(int64_t count, uint64_t salt, double least, double most) const {
    std::vector<float> out;
    for (int64_t i = 0; i < count; ++i)
      out.push_back(static_cast<float>(number(salt, static_cast<uint64_t>(i), least, most)));
    return out;
  }
  runtime::FloatMatrix view(const std::vector<float> &rows) const {
    runtime::FloatMatrix m;
    m.rows = config_.vocab, m.cols = config_.hidden, m.dtype = runtime::DType::F32;
    m.data = reinterpret_cast<const uint8_t *>(rows.data());
    m.fill = [&rows, cols = m.cols](int64_t row0, int64_t count, void *out) {
      std::memcpy(out, rows.data() + row0 * cols, static_cast<size_t>(count * cols) * sizeof(float));
    };
    return m;
  }

  ModelConfig config_;
  uint64_t seed_;
  std::vector<float> table_, head_;
};

// The whole model over one sequence.
class MadeReference {
 public:
  using Row = std::vector<double>;
  explicit MadeReference(const runtime::ModelSource &source) : source_(source), c_(source.config()) {}

  // Final-normed hidden states of every token.
  std::vector<Row> hidden(const std::vector<int32_t> &tokens) const {
    const auto table = floats(source_.embedding());
    std::vector<Row> x;
    for (const int32_t token : tokens) {
      x.push_back(table[static_cast<size_t>(token)]);
      for (double &v : x.back()) v *= static_cast<double>(c_.embedding_scale);
    }
    for (int64_t l = 0; l < c_.layers; ++l) layer(l, x);
    for (Row &row : x) row = rms(row, source_.vector(0, Vector::FinalNorm), c_.rms_eps);
    return x;
  }
  std::vector<float> logits(const std::vector<int32_t> &tokens) const {
    std::vector<float> out;
    const auto head = floats(source_.head());
    for (const Row &x : hidden(tokens))
      for (const Row &w : head) {
        double sum = 0;
        for (size_t i = 0; i < x.size(); ++i) sum += w[i] * x[i];
        out.push_back(static_cast<float>(sum));
      }
    return out;
  }

 private:
  static std::vector<Row> floats(const runtime::FloatMatrix &m) {
    std::vector<Row> rows;
    std::vector<float> row(static_cast<size_t>(m.cols));
    for (int64_t r = 0; r < m.rows; ++r) {
      m.fill(r, 1, row.data());
      rows.emplace_back(row.begin(), row.end());
    }
    return rows;
  }
  static Row rms(const Row &x, const std::vector<float> &w, float eps, size_t begin = 0) {
    double squares = 0;
    for (size_t i = 0; i < w.size(); ++i) squares += x[begin + i] * x[begin + i];
    const double r = 1 / std::sqrt(squares / static_cast<double>(w.size()) + static_cast<double>(eps));
    Row y;
    for (size_t i = 0; i < w.size(); ++i) y.push_back(static_cast<double>(w[i]) * (x[begin + i] * r));
    return y;
  }
  // A linear layer on every row, with the norm that it may have inside.
  std::vector<Row> linear(int64_t l, Linear which, std::vector<Row> rows) const {
    const runtime::TernaryMatrix m = source_.linear(l, which);
    const int64_t group = m.group ? m.group : m.cols, groups = m.cols / group;
    std::vector<int8_t> trits(static_cast<size_t>(m.rows * m.cols));
    m.decode(0, m.rows, trits.data(), m.cols);
    std::vector<float> scales(static_cast<size_t>(m.rows * groups), m.scale);
    if (m.group) m.group_scales(0, m.rows, scales.data());
    for (Row &row : rows) {
      if (c_.linear_norms) row = rms(row, source_.linear_norm(l, which), c_.linear_norm_eps);
      double largest = 1e-5;
      for (const double v : row) largest = std::max(largest, std::fabs(v));
      for (double &v : row) v = std::nearbyint(v * (127 / largest));
      Row y;
      for (int64_t n = 0; n < m.rows; ++n) {
        double sum = 0;
        for (int64_t k = 0; k < m.cols; ++k)
          sum += row[static_cast<size_t>(k)] * trits[static_cast<size_t>(n * m.cols + k)] *
                 static_cast<double>(scales[static_cast<size_t>(n * groups + k / group)]);
        y.push_back(sum * largest / 127);
      }
      row = std::move(y);
    }
    return rows;
  }
  // Turns each head of a row, after its norm.
  void turn(Row &row, int64_t heads, const std::vector<float> &norm, int64_t position, double theta) const {
    const auto d = static_cast<size_t>(c_.head_dim);
    for (size_t h = 0; h < static_cast<size_t>(heads); ++h) {
      Row head(row.begin() + static_cast<std::ptrdiff_t>(h * d),
               row.begin() + static_cast<std::ptrdiff_t>((h + 1) * d));
      if (c_.qk_norm) head = rms(head, norm, c_.rms_eps);
      for (size_t i = 0; i < d / 2; ++i) {
        const double angle =
            static_cast<double>(position) * std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(d));
        row[h * d + i] = head[i] * std::cos(angle) - head[i + d / 2] * std::sin(angle);
        row[h * d + i + d / 2] = head[i + d / 2] * std::cos(angle) + head[i] * std::sin(angle);
      }
    }
  }
  Row attend(const Row &q, const std::vector<Row> &keys, const std::vector<Row> &values, size_t position,
             size_t first) const {
    const auto d = static_cast<size_t>(c_.head_dim);
    const double scale =
        c_.attention_scale > 0 ? static_cast<double>(c_.attention_scale) : 1 / std::sqrt(static_cast<double>(d));
    Row out(q.size());
    for (size_t h = 0; h < static_cast<size_t>(c_.heads); ++h) {
      const size_t kv = h / static_cast<size_t>(c_.heads / c_.kv_heads);
      Row weights;
      double top = -1e300, all = 0;
      for (size_t p = first; p <= position; ++p) {
        double score = 0;
        for (size_t i = 0; i < d; ++i) score += q[h * d + i] * keys[p][kv * d + i];
        weights.push_back(score * scale);
        top = std::max(top, weights.back());
      }
      for (double &w : weights) all += w = std::exp(w - top);
      for (size_t p = first; p <= position; ++p)
        for (size_t i = 0; i < d; ++i) out[h * d + i] += weights[p - first] / all * values[p][kv * d + i];
    }
    return out;
  }
  double activate(double x) const {
    switch (c_.activation) {
      case runtime::Activation::Relu2:
        return x > 0 ? x * x : 0;
      case runtime::Activation::Silu:
        return x / (1 + std::exp(-x));
      default:
        return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
    }
  }
  void maybe(int64_t l, Vector which, std::vector<Row> &rows) const {
    if (!has_vector(c_, which)) return;
    for (Row &row : rows) row = rms(row, source_.vector(l, which), c_.rms_eps);
  }
  static void add(std::vector<Row> &x, const std::vector<Row> &branch) {
    for (size_t t = 0; t < x.size(); ++t)
      for (size_t i = 0; i < x[t].size(); ++i) x[t][i] += branch[t][i];
  }

  void layer(int64_t l, std::vector<Row> &x) const {
    const bool local = c_.window > 0 && (l + 1) % c_.global_every != 0;
    const double theta = local && c_.rope_theta_local > 0 ? c_.rope_theta_local : c_.rope_theta;
    std::vector<float> q_norm, k_norm;
    if (c_.qk_norm) q_norm = source_.vector(l, Vector::QNorm), k_norm = source_.vector(l, Vector::KNorm);
    std::vector<Row> h = x;
    maybe(l, Vector::InputNorm, h);
    std::vector<Row> q = linear(l, Linear::Q, h), k = linear(l, Linear::K, h), v = linear(l, Linear::V, h);
    std::vector<Row> out;
    for (size_t t = 0; t < x.size(); ++t) {
      turn(q[t], c_.heads, q_norm, static_cast<int64_t>(t), theta);
      turn(k[t], c_.kv_heads, k_norm, static_cast<int64_t>(t), theta);
      const auto window = static_cast<size_t>(c_.window);
      out.push_back(attend(q[t], k, v, t, local && t + 1 > window ? t + 1 - window : 0));
    }
    maybe(l, Vector::AttentionSubNorm, out);
    out = linear(l, Linear::O, std::move(out));
    maybe(l, Vector::AttentionOutNorm, out);
    add(x, out);
    h = x;
    maybe(l, Vector::PostAttentionNorm, h);
    std::vector<Row> gate = linear(l, Linear::Gate, h);
    const std::vector<Row> up = linear(l, Linear::Up, h);
    for (size_t t = 0; t < x.size(); ++t)
      for (size_t i = 0; i < gate[t].size(); ++i) gate[t][i] = activate(gate[t][i]) * up[t][i];
    maybe(l, Vector::FfnSubNorm, gate);
    out = linear(l, Linear::Down, std::move(gate));
    maybe(l, Vector::FfnOutNorm, out);
    add(x, out);
  }

  const runtime::ModelSource &source_;
  const ModelConfig &c_;
};

}  // namespace bittern::test
