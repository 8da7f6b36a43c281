// A Hugging Face folder as a ModelSource. Names, types and shapes of all tensors are checked when it is opened; values
// are read when asked for, so a prepacked cache entry can spare the model file's pages altogether.
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <tuple>

#include "runtime/error.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/families/family.h"
#include "runtime/model/file_identity.h"
#include "runtime/model/float_tensor.h"
#include "runtime/model/formats.h"
#include "runtime/model/hf_config.h"
#include "runtime/model/hf_pooling.h"
#include "runtime/model/safetensors.h"
#include "runtime/model/ternary_tensor.h"

namespace bittern::runtime {
namespace {

constexpr uint64_t kMaxHfConfig = 1 << 20;

// In the order of Linear; the same in all families.
constexpr std::array<const char *, kLinearCount> kLinears{"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                                          "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                                          "mlp.down_proj"};
// The norm inside a linear layer, as transformers and as Microsoft's embedding models name it.
constexpr std::array<std::string_view, 2> kInnerNorms{"rms_norm.weight", "norm.weight"};
constexpr std::string_view kHead = "lm_head.weight";

void check_float(const Tensor &tensor, const std::vector<int64_t> &shape) {
  float_type(tensor);
  if (tensor.shape == shape) return;
  Tensor expected;
  expected.shape = shape;
  tensor.fail(fmt::format("shape: {}, expected {}", tensor.shape_text(), expected.shape_text()));
}

class HfSource : public ModelSource {
 public:
  HfSource(const std::string &folder, const OpenOptions &options)
      : path_(folder), tensors_(with_config_read(options)), prefix_(find_prefix()), inner_norm_(find_inner_norm()) {
    const ModelConfig &c = config_.model;
    for (int64_t layer = 0; layer < c.layers; ++layer) {
      for (size_t i = 0; i < kLinearCount; ++i) {
        const Linear which = static_cast<Linear>(i);
        const auto [rows, cols] = linear_shape(c, which);
        check_ternary(weight(layer, which), config_.weights, rows, cols);
        if (config_.weights != WeightMeaning::OnlineMasters) tensors_.get(linear_name(layer, which, "weight_scale"));
        if (c.linear_norms) check_float(tensors_.get(linear_name(layer, which, inner_norm_)), {cols});
      }
    }
    for (size_t i = 0; i < kVectorCount; ++i) {
      const Vector which = static_cast<Vector>(i);
      if (!has_vector(c, which)) continue;
      const int64_t last = which == Vector::FinalNorm ? 1 : c.layers;
      for (int64_t layer = 0; layer < last; ++layer)
        check_float(tensors_.get(vector_name(layer, which)), {vector_size(c, which)});
    }
    check_float(tensors_.get(embedding_name()), {c.vocab, c.hidden});
    if (c.has_head && !c.tied_head) check_float(tensors_.get(kHead), {c.vocab, c.hidden});
    refuse_unknown();
    if (options.note)
      for (const std::string &note : config_.notes) options.note(path_ + ": " + note);
  }

  const ModelConfig &config() const override { return config_.model; }
  std::string path() const override { return path_; }

  TernaryMatrix linear(int64_t layer, Linear which) const override {
    const Tensor &tensor = weight(layer, which);
    TernaryMatrix matrix;
    std::tie(matrix.rows, matrix.cols) = linear_shape(config_.model, which);
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
    if (!has_vector(config_.model, which))
      throw Error(
          fmt::format("{}: a {} has no norm number {}", path_, config_.model.architecture, static_cast<int>(which)));
    std::vector<float> values = floats(tensors_.get(vector_name(layer, which)));
    for (float &value : values) value += config_.family->norm_offset;
    return values;
  }

  std::vector<float> linear_norm(int64_t layer, Linear which) const override {
    if (!config_.model.linear_norms)
      throw Error(fmt::format("{}: layer {} has no norm inside its linear layer {}", path_, layer,
                              kLinears[static_cast<size_t>(which)]));
    return floats(tensors_.get(linear_name(layer, which, inner_norm_)));
  }

  FloatMatrix embedding() const override { return float_matrix(tensors_.get(embedding_name())); }
  FloatMatrix head() const override {
    if (!config_.model.has_head) throw Error(fmt::format("{}: the model has no output head", path_));
    return config_.model.tied_head ? embedding() : float_matrix(tensors_.get(kHead));
  }

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
  const std::string &with_config_read(const OpenOptions &options) {
    const std::string modules_path = path_ + "/modules.json";
    const bool has_modules = std::filesystem::exists(modules_path);
    const std::string config_path = path_ + "/config.json", generation_path = path_ + "/generation_config.json";
    const MappedFile config(config_path, kMaxHfConfig);
    config_ = parse_hf_config(config.text(), config_path, has_modules);
    config_identity_ = file_identity(config, config.text());
    if (std::filesystem::exists(generation_path)) {
      const MappedFile generation(generation_path, kMaxHfConfig);
      parse_generation_config(generation.text(), generation_path, config_.model);
    }
    if (config_.model.pooling != Pooling::None) read_pooling(has_modules ? modules_path : "");
    if (options.activation) {
      config_.model.activation = *options.activation;
      config_.model.activation_from = "--activation";
    }
    return path_;
  }

  void read_pooling(const std::string &modules_path) {
    std::string folder;
    if (!modules_path.empty()) folder = parse_modules(MappedFile(modules_path, kMaxHfConfig).text(), modules_path);
    if (folder.empty()) {
      config_.notes.push_back("no pooling module: a text's vector is its last token's");
      return;
    }
    const std::string path = path_ + "/" + folder + "/config.json";
    config_.model.pooling = parse_pooling(MappedFile(path, kMaxHfConfig).text(), path);
  }

  // Checkpoints of models without their head leave out "model.".
  std::string_view find_prefix() const {
    return !config_.model.has_head && tensors_.find("embed_tokens.weight") ? "" : "model.";
  }
  std::string_view find_inner_norm() const {
    return tensors_.find(linear_name(0, Linear::Q, kInnerNorms[1])) ? kInnerNorms[1] : kInnerNorms[0];
  }

  std::string embedding_name() const { return fmt::format("{}embed_tokens.weight", prefix_); }
  std::string layers_name() const { return fmt::format("{}layers.", prefix_); }
  std::string linear_name(int64_t layer, Linear which, std::string_view suffix) const {
    return fmt::format("{}layers.{}.{}.{}", prefix_, layer, kLinears[static_cast<size_t>(which)], suffix);
  }
  std::string vector_name(int64_t layer, Vector which) const {
    const char *name = config_.family->vectors[static_cast<size_t>(which)];
    return which == Vector::FinalNorm ? fmt::format("{}{}.weight", prefix_, name)
                                      : fmt::format("{}layers.{}.{}.weight", prefix_, layer, name);
  }

  static std::vector<float> floats(const Tensor &tensor) {
    std::vector<float> values(static_cast<size_t>(tensor.shape[0]));
    read_floats(tensor, 0, tensor.shape[0], values.data());
    for (size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) tensor.fail(fmt::format("element {} is {}", i, values[i]));
    }
    return values;
  }

  const Tensor &weight(int64_t layer, Linear which) const { return tensors_.get(linear_name(layer, which, "weight")); }

  // A tensor of a layer that nothing here reads (a bias, a further layer, another family's norm) means that the model
  // is not the one that config.json describes: running without it would be silently wrong.
  void refuse_unknown() const {
    const std::string layers = layers_name();
    for (const auto &[name, tensor] : tensors_.tensors()) {
      if (!name.starts_with(layers) || name.ends_with(".rotary_emb.inv_freq")) continue;
      const size_t dot = name.find('.', layers.size());
      const std::string number = name.substr(layers.size(), dot - layers.size());
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
    const ModelConfig &c = config_.model;
    for (const char *linear : kLinears) {
      if (!name.starts_with(linear) || name.size() <= std::strlen(linear)) continue;
      const std::string_view rest = name.substr(std::strlen(linear));
      if (rest == ".weight" || rest == ".weight_scale") return true;
      if (c.linear_norms && rest.substr(1) == inner_norm_) return true;
    }
    for (size_t i = 0; i < kVectorCount; ++i) {
      const Vector which = static_cast<Vector>(i);
      if (which == Vector::FinalNorm || !has_vector(c, which)) continue;
      if (name == fmt::format("{}.weight", config_.family->vectors[i])) return true;
    }
    return false;
  }

  std::string path_, config_identity_;
  HfConfig config_;
  TensorFolder tensors_;
  std::string_view prefix_, inner_norm_;
};

}  // namespace

std::unique_ptr<ModelSource> open_hf_folder(const std::string &folder, const OpenOptions &options) {
  return std::make_unique<HfSource>(folder, options);
}

}  // namespace bittern::runtime
