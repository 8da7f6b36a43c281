// Writes GGUF files of version 3 with ternary weights as I2_S, TQ1_0, TQ2_0 or dequantised F16, with the metadata that
// llama.cpp and bitnet.cpp look for. Embedding and head keep the precision they have (BF16 too), norms are F32.
//
// I2_S holds a scale as float32. The others hold float16, which rounds scales that come from float32 or from a
// division: the exact ones stand in `bittern.linear_scales` (f32, one for each of q, k, v, o, gate, up, down of each
// layer), which Bittern reads and others ignore. What else a file says under "bittern." is what GGUF has no key for.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "runtime/convert/format_writers.h"
#include "runtime/convert/gguf_encodings.h"
#include "runtime/convert/gguf_metadata.h"
#include "runtime/convert/gguf_tokens.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/output_file.h"
#include "runtime/model/gguf_names.h"
#include "runtime/model/head_order.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kAlignment = 32;

// What a model is called there. The first row that fits counts.
struct Family {
  const char *architecture;
  bool (*fits)(const ModelConfig &);
  bool interleaved;  // q and k rows as RoPE of neighbouring elements wants them
};
constexpr std::array<Family, 5> kFamilies{
    {{"gemma3", [](const ModelConfig &c) { return c.post_norms && c.activation == Activation::GeluTanh; }, false},
     {"qwen3", [](const ModelConfig &c) { return c.qk_norm && !c.post_norms && c.activation == Activation::Silu; },
      false},
     {"bitnet-b1.58", [](const ModelConfig &c) { return c.sub_norms && c.activation == Activation::Relu2; }, false},
     {"bitnet", [](const ModelConfig &c) { return c.sub_norms && c.activation == Activation::Silu; }, false},
     {"llama", [](const ModelConfig &c) { return !c.sub_norms && !c.qk_norm && c.activation == Activation::Silu; },
      true}}};

const GgufEncoding &encoding_of(const char *target) {
  const auto all = gguf_encodings();
  return *std::find_if(all.begin(), all.end(), [&](const GgufEncoding &e) { return e.target == std::string(target); });
}

const Family *gguf_family_of(const ModelConfig &config) {
  const auto *found = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family &f) { return f.fits(config); });
  return found == kFamilies.end() ? nullptr : found;
}

uint32_t type_of(DType dtype) {
  return dtype == DType::F32 ? GgmlType::F32 : dtype == DType::F16 ? GgmlType::F16 : GgmlType::BF16;
}

uint64_t encoded_bytes(const GgufEncoding &e, int64_t rows, int64_t cols) {
  return static_cast<uint64_t>(rows * (cols / e.block) * e.block_bytes + e.tail_bytes);
}

void check(const Conversion &conversion, const GgufEncoding &e) {
  const ModelConfig &c = conversion.config();
  if (!gguf_family_of(c)) {
    conversion.refuse(
        fmt::format("GGUF has no architecture for a {} with these norms and this activation; "
                    "--to bittern holds every model",
                    c.architecture));
  }
  if (c.scale_group != 0) {
    conversion.refuse(
        fmt::format("{} has one scale a matrix, this model one for every {} columns; --to bittern holds "
                    "them",
                    e.target, c.scale_group));
  }
  for (const Linear which : kLinears) {
    const int64_t cols = linear_shape(c, which).second;
    if (cols % e.block != 0) {
      conversion.refuse(
          fmt::format("{} holds rows of whole blocks of {}, and {} has {} columns; --to bittern, "
                      "gguf-f16 or safetensors holds them",
                      e.target, e.block, linear_label(which), cols));
    }
  }
}

float attention_scale(const ModelConfig &c) {
  const float standard = static_cast<float>(1 / std::sqrt(static_cast<double>(c.head_dim)));
  return c.attention_scale == 0 || c.attention_scale == standard ? 0 : c.attention_scale;
}

GgufMetadata describe(const Conversion &conversion, const GgufEncoding &e, const Family &family, uint64_t &scales_at) {
  const ModelConfig &c = conversion.config();
  const std::string a = std::string(family.architecture) + ".";
  GgufMetadata m;
  const auto size = [&](const char *key, int64_t value) { m.u32(a + key, static_cast<uint32_t>(value)); };
  m.string("general.architecture", family.architecture);
  m.string("general.name", c.architecture);
  m.u32("general.file_type", e.file_type);
  m.u32("general.quantization_version", 2);
  m.u32("general.alignment", kAlignment);
  size("vocab_size", c.vocab);
  size("context_length", c.max_positions);
  size("embedding_length", c.hidden);
  size("block_count", c.layers);
  size("feed_forward_length", c.ffn);
  size("attention.head_count", c.heads);
  size("attention.head_count_kv", c.kv_heads);
  size("attention.key_length", c.head_dim);
  size("attention.value_length", c.head_dim);
  size("rope.dimension_count", c.head_dim);
  m.f32(a + "rope.freq_base", static_cast<float>(c.rope_theta));
  m.f32(a + "attention.layer_norm_rms_epsilon", c.rms_eps);
  if (c.window > 0) {
    size("attention.sliding_window", c.window);
    size("attention.sliding_window_pattern", c.global_every);
    m.f32(a + "rope.freq_base_swa", static_cast<float>(c.rope_theta_local));
  }
  if (attention_scale(c) != 0) m.f32(a + "attention.scale", attention_scale(c));
  // Numbers of llama.cpp's enum: 1 mean, 3 last.
  if (c.pooling != Pooling::None) m.u32(a + "pooling_type", c.pooling == Pooling::Mean ? 1 : 3);
  m.string("bittern.activation", activation_name(c.activation));
  if (c.linear_norms) m.f32("bittern.linear_norm_eps", c.linear_norm_eps);
  if (e.half_scale()) {
    const std::vector<float> later(static_cast<size_t>(c.layers) * kLinearCount);
    scales_at = m.f32s("bittern.linear_scales", later);
  }
  if (c.generation.do_sample) {
    m.f32("general.sampling.temp", c.generation.temperature);
    m.u32("general.sampling.top_k", static_cast<uint32_t>(c.generation.top_k));
    m.f32("general.sampling.top_p", c.generation.top_p);
    m.f32("general.sampling.min_p", c.generation.min_p);
    m.f32("general.sampling.penalty_repeat", c.generation.repetition_penalty);
  }
  add_gguf_tokens(conversion, m);
  return m;
}

struct Planned {
  std::string name;
  std::vector<int64_t> dims;  // fastest first
  uint32_t type;
  uint64_t bytes;
  std::function<void()> write;
};

class GgufWriter {
 public:
  GgufWriter(const Conversion &conversion, const GgufEncoding &encoding)
      : conversion_(conversion),
        source_(conversion.source),
        encoding_(encoding),
        family_(*gguf_family_of(conversion.config())),
        out_(conversion.path, conversion.name) {}

  void run() {
    plan();
    uint64_t scales_at = 0;
    const GgufMetadata metadata = describe(conversion_, encoding_, family_, scales_at);
    std::string header = "GGUF";
    append_le(header, uint32_t{3});
    append_le(header, static_cast<uint64_t>(plan_.size()));
    append_le(header, metadata.count());
    scales_at += header.size();
    header += metadata.bytes();
    uint64_t offset = 0;
    for (const Planned &tensor : plan_) {
      append_gguf_string(header, tensor.name);
      append_le(header, static_cast<uint32_t>(tensor.dims.size()));
      for (const int64_t dim : tensor.dims) append_le(header, static_cast<uint64_t>(dim));
      append_le(header, tensor.type);
      append_le(header, offset);
      offset += (tensor.bytes + kAlignment - 1) / kAlignment * kAlignment;
    }
    out_.reserve(header.size() + kAlignment + offset);
    out_.write(header);
    out_.align(kAlignment);
    for (const Planned &tensor : plan_) {
      const uint64_t begin = out_.size();
      tensor.write();
      if (out_.size() - begin != tensor.bytes) {
        throw Error(
            fmt::format("{}: tensor '{}' came out as {} bytes", conversion_.name, tensor.name, out_.size() - begin));
      }
      out_.align(kAlignment);
    }
    if (encoding_.half_scale()) {
      std::string bytes(scales_.size() * sizeof(float), '\0');
      std::memcpy(bytes.data(), scales_.data(), bytes.size());
      out_.write_at(scales_at, bytes);
    }
    out_.finish();
    if (rounded_ > 0 && conversion_.note) {
      conversion_.note(
          fmt::format("{} of {} scales are rounded to float16, as this format has them (by {:.2g} at most); "
                      "Bittern reads the exact ones from 'bittern.linear_scales'",
                      rounded_, scales_.size(), worst_));
    }
  }

 private:
  void plan() {
    const ModelConfig &c = conversion_.config();
    add_matrix(std::string(kGgufEmbedding), source_.embedding());
    for (int64_t layer = 0; layer < c.layers; ++layer) {
      for (const Vector which : layer_vectors(c)) {
        add_vector(gguf_name(layer, which), vector_size(c, which),
                   [this, layer, which] { return source_.vector(layer, which); });
      }
      for (const Linear which : kLinears) {
        const auto [rows, cols] = linear_shape(c, which);
        if (c.linear_norms) {
          add_vector(gguf_norm_in_name(layer, which), cols,
                     [this, layer, which] { return source_.linear_norm(layer, which); });
        }
        plan_.push_back({gguf_name(layer, which),
                         {cols, rows},
                         encoding_.type,
                         encoded_bytes(encoding_, rows, cols),
                         [this, layer, which] { write_linear(layer, which); }});
      }
    }
    add_vector(gguf_name(0, Vector::FinalNorm), c.hidden, [this] { return source_.vector(0, Vector::FinalNorm); });
    if (c.has_head && !c.tied_head) add_matrix(std::string(kGgufHead), source_.head());
  }

  void add_vector(const std::string &name, int64_t size, std::function<std::vector<float>()> values) {
    plan_.push_back(
        {name, {size}, GgmlType::F32, static_cast<uint64_t>(size) * sizeof(float), [this, read = std::move(values)] {
           const std::vector<float> read_values = read();
           out_.write(read_values.data(), read_values.size() * sizeof(float));
         }});
  }

  void add_matrix(const std::string &name, const FloatMatrix &m) {
    const int64_t row_bytes = m.cols * dtype_bytes(m.dtype);
    plan_.push_back({name,
                     {m.cols, m.rows},
                     type_of(m.dtype),
                     static_cast<uint64_t>(m.rows * row_bytes),
                     [this, m, name, row_bytes] {
                       for_each_block(conversion_, m, name, [&](int64_t, int64_t count, const uint8_t *rows) {
                         out_.write(rows, static_cast<size_t>(count * row_bytes));
                       });
                     }});
  }

  void write_linear(int64_t layer, Linear which) {
    TernaryMatrix m = source_.linear(layer, which);
    const uint16_t half = encoding_.half_scale() ? half_scale(layer, which, m.scale) : uint16_t{0};
    if (family_.interleaved && (which == Linear::Q || which == Linear::K)) {
      const int64_t head_dim = conversion_.config().head_dim;
      m = reorder_rows(std::move(m), [head_dim](int64_t row) { return row_in_halves(row, head_dim); });
    }
    const int64_t row_bytes = m.cols / encoding_.block * encoding_.block_bytes;
    std::vector<uint8_t> packed;
    for_each_block(conversion_, layer, which, m, 1, [&](int64_t, int64_t count, const int8_t *trits) {
      packed.resize(static_cast<size_t>(count * row_bytes));
      uint8_t *to = packed.data();
      for (const int8_t *end = trits + count * m.cols; trits < end; trits += encoding_.block) {
        encoding_.pack(trits, half, to);
        to += encoding_.block_bytes;
      }
      out_.write(packed.data(), packed.size());
    });
    if (encoding_.tail_bytes > 0) {
      std::vector<uint8_t> tail(static_cast<size_t>(encoding_.tail_bytes));
      std::memcpy(tail.data(), &m.scale, sizeof m.scale);
      out_.write(tail.data(), tail.size());
    }
  }

  uint16_t half_scale(int64_t layer, Linear which, float scale) {
    const uint16_t half = f32_to_f16(scale);
    const float back = f16_to_f32(half);
    if (!(back > 0) || !std::isfinite(back)) {
      conversion_.refuse(
          fmt::format("{}: a scale of {} is outside float16, which {} has scales in; --to gguf-i2_s or "
                      "bittern holds it",
                      matrix_label(layer, which), scale, encoding_.target));
    }
    scales_.push_back(scale);
    rounded_ += back != scale;
    worst_ = std::max(worst_, std::fabs(static_cast<double>(back) / static_cast<double>(scale) - 1));
    return half;
  }

  const Conversion &conversion_;
  const ModelSource &source_;
  const GgufEncoding &encoding_;
  const Family &family_;
  OutputFile out_;
  std::vector<Planned> plan_;
  std::vector<float> scales_;
  int64_t rounded_ = 0;
  double worst_ = 0;
};

}  // namespace

void check_gguf(const Conversion &conversion, const char *target) { check(conversion, encoding_of(target)); }
void write_gguf(const Conversion &conversion, const char *target) { GgufWriter(conversion, encoding_of(target)).run(); }

}  // namespace bittern::runtime
