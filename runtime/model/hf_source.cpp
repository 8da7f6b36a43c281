// A Hugging Face folder as a ModelSource. Names, types and shapes of all tensors are checked when it is opened; values
// are read when asked for, so a prepacked cache entry can spare the model file's pages altogether.
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "runtime/error.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/file_identity.h"
#include "runtime/model/formats.h"
#include "runtime/model/hf_config.h"
#include "runtime/model/safetensors.h"
#include "runtime/model/ternary_tensor.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxConfig = 1 << 20;

struct LinearRow {
  const char *name;
  int64_t (*rows)(const ModelConfig &);
  int64_t (*cols)(const ModelConfig &);
};
int64_t hidden(const ModelConfig &c) { return c.hidden; }
int64_t ffn(const ModelConfig &c) { return c.ffn; }
int64_t query_width(const ModelConfig &c) { return c.heads * c.head_dim; }
int64_t key_width(const ModelConfig &c) { return c.kv_heads * c.head_dim; }

// In the order of Linear.
constexpr std::array<LinearRow, 7> kLinears{{{"self_attn.q_proj", query_width, hidden},
                                             {"self_attn.k_proj", key_width, hidden},
                                             {"self_attn.v_proj", key_width, hidden},
                                             {"self_attn.o_proj", hidden, query_width},
                                             {"mlp.gate_proj", ffn, hidden},
                                             {"mlp.up_proj", ffn, hidden},
                                             {"mlp.down_proj", hidden, ffn}}};

struct VectorRow {
  const char *name;
  int64_t (*size)(const ModelConfig &);
};
// In the order of Vector; the last stands outside the layers.
constexpr std::array<VectorRow, 5> kVectors{{{"input_layernorm", hidden},
                                             {"post_attention_layernorm", hidden},
                                             {"self_attn.attn_sub_norm", query_width},
                                             {"mlp.ffn_sub_norm", ffn},
                                             {"model.norm", hidden}}};

constexpr std::string_view kLayers = "model.layers.";
constexpr std::string_view kEmbedding = "model.embed_tokens.weight", kHead = "lm_head.weight";

std::string linear_name(int64_t layer, Linear which, std::string_view suffix) {
  return fmt::format("{}{}.{}.{}", kLayers, layer, kLinears[static_cast<size_t>(which)].name, suffix);
}

std::string vector_name(int64_t layer, Vector which) {
  const char *name = kVectors[static_cast<size_t>(which)].name;
  return which == Vector::FinalNorm ? fmt::format("{}.weight", name)
                                    : fmt::format("{}{}.{}.weight", kLayers, layer, name);
}

DType float_type(const Tensor &tensor) {
  switch (tensor.type) {
    case TensorType::F32:
      return DType::F32;
    case TensorType::F16:
      return DType::F16;
    case TensorType::BF16:
      return DType::BF16;
    default:
      tensor.fail(fmt::format("dtype: {}, expected BF16, F16 or F32", tensor_type_name(tensor.type)));
  }
}

void check_float(const Tensor &tensor, const std::vector<int64_t> &shape) {
  float_type(tensor);
  if (tensor.shape == shape) return;
  Tensor expected;
  expected.shape = shape;
  tensor.fail(fmt::format("shape: {}, expected {}", tensor.shape_text(), expected.shape_text()));
}

class HfSource : public ModelSource {
 public:
  explicit HfSource(const std::string &folder) : path_(folder), tensors_(with_config_read()) {
    const ModelConfig &c = config_.model;
    for (int64_t layer = 0; layer < c.layers; ++layer) {
      for (size_t i = 0; i < kLinears.size(); ++i) {
        const Linear which = static_cast<Linear>(i);
        check_ternary(weight(layer, which), config_.weights, kLinears[i].rows(c), kLinears[i].cols(c));
        if (config_.weights != WeightMeaning::OnlineMasters) tensors_.get(linear_name(layer, which, "weight_scale"));
      }
    }
    for (int64_t layer = 0; layer < c.layers; ++layer) {
      for (size_t i = 0; i < kVectors.size(); ++i) {
        check_float(tensors_.get(vector_name(layer, static_cast<Vector>(i))), {kVectors[i].size(c)});
      }
    }
    check_float(tensors_.get(kEmbedding), {c.vocab, c.hidden});
    if (!c.tied_head) check_float(tensors_.get(kHead), {c.vocab, c.hidden});
    refuse_unknown();
  }

  const ModelConfig &config() const override { return config_.model; }
  std::string path() const override { return path_; }

  TernaryMatrix linear(int64_t layer, Linear which) const override {
    const Tensor &tensor = weight(layer, which);
    const LinearRow &row = kLinears[static_cast<size_t>(which)];
    TernaryMatrix matrix;
    matrix.rows = row.rows(config_.model);
    matrix.cols = row.cols(config_.model);
    if (config_.weights == WeightMeaning::OnlineMasters) {
      const float inverse = master_inverse_scale(tensor);
      matrix.scale = 1.0f / inverse;
      matrix.decode = [&tensor, inverse, cols = matrix.cols](int64_t row0, int64_t count, int8_t *out, int64_t stride) {
        decode_masters(tensor, inverse, cols, row0, count, out, stride);
      };
    } else {
      matrix.scale = packed_scale(tensors_.get(linear_name(layer, which, "weight_scale")), config_.weights);
      matrix.decode = [&tensor, rows = matrix.rows, cols = matrix.cols](int64_t row0, int64_t count, int8_t *out,
                                                                        int64_t stride) {
        decode_packed(tensor, rows, cols, row0, count, out, stride);
      };
    }
    return matrix;
  }

  std::vector<float> vector(int64_t layer, Vector which) const override {
    const Tensor &tensor = tensors_.get(vector_name(layer, which));
    std::vector<float> values(static_cast<size_t>(tensor.shape[0]));
    read_floats(tensor, 0, tensor.shape[0], values.data());
    for (size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) tensor.fail(fmt::format("element {} is {}", i, values[i]));
    }
    return values;
  }

  std::vector<float> linear_norm(int64_t layer, Linear which) const override {
    throw Error(fmt::format("{}: layer {} has no norm inside its linear layer {}", path_, layer,
                            kLinears[static_cast<size_t>(which)].name));
  }

  FloatMatrix embedding() const override { return matrix(tensors_.get(kEmbedding)); }
  FloatMatrix head() const override { return config_.model.tied_head ? embedding() : matrix(tensors_.get(kHead)); }

  void release(int64_t layer, Linear which) const override {
    const Tensor &tensor = weight(layer, which);
    tensor.file->release(tensor.begin, tensor.end);
  }

  std::string identity() const override {
    std::string out = config_identity_;
    for (const auto &file : tensors_.files()) out += file_identity(file->file(), file->header());
    return out;
  }

 private:
  // Reads the configuration first, so that a folder of another architecture is refused before its tensors are looked
  // at.
  const std::string &with_config_read() {
    const std::string config_path = path_ + "/config.json", generation_path = path_ + "/generation_config.json";
    const MappedFile config(config_path, kMaxConfig);
    config_ = parse_hf_config(config.text(), config_path);
    config_identity_ = file_identity(config, config.text());
    if (std::filesystem::exists(generation_path)) {
      const MappedFile generation(generation_path, kMaxConfig);
      parse_generation_config(generation.text(), generation_path, config_.model);
    }
    return path_;
  }

  const Tensor &weight(int64_t layer, Linear which) const { return tensors_.get(linear_name(layer, which, "weight")); }

  static FloatMatrix matrix(const Tensor &tensor) {
    FloatMatrix out;
    out.rows = tensor.shape[0];
    out.cols = tensor.shape[1];
    out.dtype = float_type(tensor);
    out.data = tensor.data();
    const uint64_t row_bytes = static_cast<uint64_t>(out.cols) * tensor_type_bytes(tensor.type);
    out.fill = [&tensor, row_bytes](int64_t row0, int64_t count, void *to) {
      std::memcpy(to, tensor.data() + static_cast<uint64_t>(row0) * row_bytes,
                  static_cast<uint64_t>(count) * row_bytes);
    };
    out.release = [&tensor, row_bytes](int64_t row0, int64_t count) {
      const uint64_t begin = tensor.begin + static_cast<uint64_t>(row0) * row_bytes;
      tensor.file->release(begin, begin + static_cast<uint64_t>(count) * row_bytes);
    };
    return out;
  }

  // A tensor of a layer that nothing here reads (a bias, a further layer, another family's norm) means that the model
  // is not the one that config.json describes: running without it would be silently wrong.
  void refuse_unknown() const {
    for (const auto &[name, tensor] : tensors_.tensors()) {
      if (!name.starts_with(kLayers) || name.ends_with(".rotary_emb.inv_freq")) continue;
      const size_t dot = name.find('.', kLayers.size());
      const std::string number = name.substr(kLayers.size(), dot - kLayers.size());
      int64_t layer = 0;
      bool known = dot != std::string::npos && number.size() <= 4 && !number.empty();
      for (const char digit : number) {
        known = known && digit >= '0' && digit <= '9';
        layer = layer * 10 + (digit - '0');
        if (!known) break;
      }
      known = known && layer < config_.model.layers && (number == "0" || number[0] != '0');
      if (!known || !is_layer_tensor(name.substr(dot + 1))) {
        tensor->fail(
            fmt::format("not a tensor of a {} of {} layers", config_.model.architecture, config_.model.layers));
      }
    }
  }
  bool is_layer_tensor(std::string_view name) const {
    for (const LinearRow &row : kLinears) {
      if (name == fmt::format("{}.weight", row.name) || name == fmt::format("{}.weight_scale", row.name)) return true;
    }
    for (size_t i = 0; i + 1 < kVectors.size(); ++i) {
      if (name == fmt::format("{}.weight", kVectors[i].name)) return true;
    }
    return false;
  }

  std::string path_, config_identity_;
  HfConfig config_;
  TensorFolder tensors_;
};

}  // namespace

std::unique_ptr<ModelSource> open_hf_folder(const std::string &folder, const OpenOptions &) {
  return std::make_unique<HfSource>(folder);
}

}  // namespace bittern::runtime
