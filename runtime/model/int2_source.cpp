// bitnet.cpp's GPU checkpoint in safetensors form as a ModelSource (int2_names.h says what the folder holds).
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <utility>

#include "runtime/error.h"
#include "runtime/model/file_identity.h"
#include "runtime/model/float_tensor.h"
#include "runtime/model/formats.h"
#include "runtime/model/head_order.h"
#include "runtime/model/hf_config.h"
#include "runtime/model/int2_layout.h"
#include "runtime/model/int2_names.h"
#include "runtime/model/labels.h"
#include "runtime/model/safetensors.h"
#include "runtime/model/ternary_tensor.h"

namespace bittern::runtime {

const std::vector<Int2Matrix> &int2_matrices() {
  static const std::vector<Int2Matrix> matrices{{"attention.wqkv", {Linear::Q, Linear::K, Linear::V}},
                                                {"attention.wo", {Linear::O}},
                                                {"feed_forward.w13", {Linear::Gate, Linear::Up}},
                                                {"feed_forward.w2", {Linear::Down}}};
  return matrices;
}

namespace {

constexpr uint64_t kMaxInt2Config = 1 << 20;

void expect_shape(const Tensor &tensor, const std::vector<int64_t> &shape) {
  Tensor expected;
  expected.shape = shape;
  if (tensor.shape != shape) {
    tensor.fail(fmt::format("shape: {}, expected {}", tensor.shape_text(), expected.shape_text()));
  }
}

class Int2Source : public ModelSource {
 public:
  Int2Source(const std::string &folder, const OpenOptions &options)
      : path_(folder), config_file_(folder + "/config.json", kMaxInt2Config), tensors_(folder + "/" + kInt2File) {
    config_ = parse_hf_config(config_file_.text(), config_file_.path()).model;
    if (options.activation) {
      config_.activation = *options.activation;
      config_.activation_from = "--activation";
    }
    const std::string generation_path = folder + "/generation_config.json";
    if (access(generation_path.c_str(), F_OK) == 0) {
      const MappedFile generation(generation_path, kMaxInt2Config);
      parse_generation_config(generation.text(), generation_path, config_);
    }
    const ModelConfig &c = config_;
    if (!c.sub_norms || c.linear_norms || c.qk_norm || c.post_norms || !c.has_head) {
      throw Error(
          fmt::format("{}: int2 weights of a {}, which that layout is not for", config_file_.path(), c.architecture));
    }
    for (int64_t layer = 0; layer < c.layers; ++layer) {
      for (const Int2Matrix &fused : int2_matrices()) check_matrix(layer, fused);
      for (const Int2Vector &row : kInt2Vectors) {
        check_floats(get(vector_name(layer, row)), {vector_size(c, row.which)});
      }
    }
    check_floats(get(kInt2FinalNorm), {c.hidden});
    check_floats(get(kInt2Embedding), {c.vocab, c.hidden});
    if (!c.tied_head) check_floats(get(kInt2Head), {c.vocab, c.hidden});
  }

  const ModelConfig &config() const override { return config_; }
  std::string path() const override { return path_; }
  std::string format() const override { return "bitnet.cpp's GPU layout (int2) as safetensors"; }

  TernaryMatrix linear(int64_t layer, Linear which) const override {
    const Part part = find(layer, which);
    const bool interleaved = which == Linear::Q || which == Linear::K;
    TernaryMatrix matrix;
    std::tie(matrix.rows, matrix.cols) = linear_shape(config_, which);
    matrix.scale = scale(layer, part);
    matrix.decode = [this, part, interleaved, cols = matrix.cols](int64_t row0, int64_t count, int8_t *out,
                                                                  int64_t stride) {
      // The rows of a tile are packed together, and interleaved rows lie anywhere in their head: one tile is kept.
      std::vector<int8_t> tile(static_cast<size_t>(kInt2Rows * cols));
      int64_t have = -1;
      for (int64_t row = row0; row < row0 + count; ++row, out += stride) {
        const int64_t at = part.row0 + (interleaved ? row_interleaved(row, config_.head_dim) : row);
        if (at / kInt2Rows != have) {
          have = at / kInt2Rows;
          const uint64_t offset = static_cast<uint64_t>(have * kInt2Rows * cols / 4);
          const int64_t bad = unpack_int2(part.tensor->data() + offset, cols, tile.data(), cols);
          if (bad >= 0) {
            part.tensor->fail(
                fmt::format("rows {} to {}: code 0 is not a trit", have * kInt2Rows, have * kInt2Rows + kInt2Rows - 1),
                offset + static_cast<uint64_t>(bad));
          }
        }
        std::memcpy(out, tile.data() + at % kInt2Rows * cols, static_cast<size_t>(cols));
      }
    };
    return matrix;
  }

  std::vector<float> vector(int64_t layer, Vector which) const override {
    const auto row =
        std::find_if(kInt2Vectors.begin(), kInt2Vectors.end(), [&](const Int2Vector &v) { return v.which == which; });
    if (which != Vector::FinalNorm && row == kInt2Vectors.end()) {
      throw Error(fmt::format("{}: has no norm {}", path_, vector_label(which)));
    }
    const Tensor &tensor = get(which == Vector::FinalNorm ? kInt2FinalNorm : vector_name(layer, *row));
    std::vector<float> values(static_cast<size_t>(tensor.shape[0]));
    read_floats(tensor, 0, tensor.shape[0], values.data());
    for (size_t i = 0; i < values.size(); ++i) {
      if (!std::isfinite(values[i])) tensor.fail(fmt::format("element {} is {}", i, values[i]));
    }
    return values;
  }

  std::vector<float> linear_norm(int64_t layer, Linear which) const override {
    throw Error(fmt::format("{}: layer {} has no norm inside {}", path_, layer, linear_label(which)));
  }

  FloatMatrix embedding() const override { return float_matrix(get(kInt2Embedding)); }
  FloatMatrix head() const override { return config_.tied_head ? embedding() : float_matrix(get(kInt2Head)); }

  // The pages of a fused matrix are dropped with its last part: dropping them earlier would read them twice.
  void release(int64_t layer, Linear which) const override {
    const Part part = find(layer, which);
    if (part.last) part.tensor->file->release(part.tensor->begin, part.tensor->end);
  }

  std::string identity() const override {
    return file_identity(config_file_, config_file_.text()) + file_identity(tensors_.file(), tensors_.header());
  }

 private:
  struct Part {
    const Tensor *tensor;
    std::string name;
    int64_t row0 = 0;   // in the fused matrix
    int64_t index = 0;  // among its parts
    bool last = false;
  };

  static std::string vector_name(int64_t layer, const Int2Vector &row) {
    return fmt::format("layers.{}.{}", layer, row.name);
  }

  const Tensor &get(const std::string &name) const {
    const auto found = tensors_.tensors().find(name);
    if (found == tensors_.tensors().end()) {
      throw Error(fmt::format("{}: tensor '{}' is missing", tensors_.file().path(), name));
    }
    return found->second;
  }

  Part find(int64_t layer, Linear which) const {
    Part part;
    for (const Int2Matrix &fused : int2_matrices()) {
      part.row0 = part.index = 0;
      for (const Linear candidate : fused.parts) {
        if (candidate == which) {
          part.name = fmt::format("layers.{}.{}.weight", layer, fused.name);
          part.tensor = &get(part.name);
          part.last = candidate == fused.parts.back();
          return part;
        }
        part.row0 += linear_shape(config_, candidate).first;
        ++part.index;
      }
    }
    throw Error(fmt::format("{}: no place for {}", path_, linear_label(which)));
  }

  void check_matrix(int64_t layer, const Int2Matrix &fused) const {
    const std::string name = fmt::format("layers.{}.{}.weight", layer, fused.name);
    const Tensor &tensor = get(name);
    int64_t rows = 0, cols = 0;
    for (const Linear part : fused.parts) {
      const auto shape = linear_shape(config_, part);
      rows += shape.first;
      cols = shape.second;
      if (shape.first % kInt2Rows != 0 || cols % kInt2Cols != 0) {
        tensor.fail(fmt::format("{} is {} x {}, not blocks of {} x {}", linear_label(part), shape.first, cols,
                                kInt2Rows, kInt2Cols));
      }
    }
    if (tensor.type != TensorType::I8 && tensor.type != TensorType::U8) {
      tensor.fail(fmt::format("dtype: {}, expected I8", tensor_type_name(tensor.type)));
    }
    expect_shape(tensor, {rows, cols / 4});
    const Tensor &scales = get(name + "_scale");
    float_type(scales);
    expect_shape(scales, {kInt2Scales});
  }

  static void check_floats(const Tensor &tensor, const std::vector<int64_t> &shape) {
    float_type(tensor);
    expect_shape(tensor, shape);
  }

  float scale(int64_t layer, const Part &part) const {
    const Tensor &tensor = get(part.name + "_scale");
    float value = 0;
    read_floats(tensor, part.index, 1, &value);
    if (!(value > 0) || !std::isfinite(value)) {
      tensor.fail(fmt::format("element {} of layer {}: {} is not a usable scale: it must be positive and finite",
                              part.index, layer, value),
                  static_cast<uint64_t>(part.index) * tensor_type_bytes(tensor.type));
    }
    return value;
  }

  std::string path_;
  MappedFile config_file_;
  SafetensorsFile tensors_;
  ModelConfig config_;
};

}  // namespace

std::unique_ptr<ModelSource> open_int2_folder(const std::string &folder, const OpenOptions &options) {
  return std::make_unique<Int2Source>(folder, options);
}

}  // namespace bittern::runtime
