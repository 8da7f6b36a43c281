// Bittern's own file as a ModelSource: every tensor that the configuration implies must be there, with the right type
// and shape, and nothing else.
#include <fmt/format.h>

#include <cmath>
#include <cstring>

#include "runtime/error.h"
#include "runtime/model/base3.h"
#include "runtime/model/bittern_file.h"
#include "runtime/model/bittern_names.h"
#include "runtime/model/file_identity.h"
#include "runtime/model/finite.h"
#include "runtime/model/formats.h"
#include "runtime/model/labels.h"

namespace bittern::runtime {
namespace {

class BitternSource : public ModelSource {
 public:
  BitternSource(const std::string &path, const OpenOptions &options) : file_(path), config_(file_.config()) {
    if (options.activation) {
      config_.activation = *options.activation;
      config_.activation_from = "--activation";
    }
    size_t expected = 0;
    const auto expect = [&](const std::string &name, const std::vector<int64_t> &shape) -> const BitternSection & {
      const BitternSection &tensor = file_.tensor(name);
      if (tensor.shape != shape) file_.fail(tensor, "shape is not what the configuration implies");
      ++expected;
      return tensor;
    };
    const auto floats = [&](const std::string &name, int64_t size) {
      const BitternSection &tensor = expect(name, {size});
      if (tensor.type != BitternType::F32) file_.fail(tensor, "type: expected f32");
    };
    const auto matrix = [&](const std::string &name) {
      const BitternSection &tensor = expect(name, {config_.vocab, config_.hidden});
      if (tensor.type == BitternType::Trits) file_.fail(tensor, "type: expected f32, f16 or bf16");
      if (tensor.row_sums_at == 0) file_.fail(tensor, "row_sums_at is missing");
    };
    for (int64_t layer = 0; layer < config_.layers; ++layer) {
      for (const Linear which : kLinears) {
        const auto [rows, cols] = linear_shape(config_, which);
        const BitternSection &tensor = expect(bittern_name(layer, which), {rows, cols});
        if (tensor.type != BitternType::Trits) file_.fail(tensor, "type: expected trits");
        if (tensor.group != config_.scale_group) {
          file_.fail(tensor, fmt::format("group: {}, but config.scale_group is {}", tensor.group, config_.scale_group));
        }
        if (tensor.group != 0) {
          const BitternSection &scales = expect(bittern_scales_name(layer, which), {rows, cols / tensor.group});
          if (scales.type != BitternType::F32) file_.fail(scales, "type: expected f32");
        }
        if (config_.linear_norms) floats(bittern_norm_name(layer, which), cols);
      }
      for (const Vector which : layer_vectors(config_)) {
        floats(bittern_name(layer, which), vector_size(config_, which));
      }
    }
    floats(bittern_name(0, Vector::FinalNorm), config_.hidden);
    matrix("embedding");
    if (config_.has_head && !config_.tied_head) matrix("head");
    if (file_.tensors().size() != expected) {
      throw Error(
          fmt::format("{}: has {} tensors where its configuration implies {}", path, file_.tensors().size(), expected));
    }
  }

  const ModelConfig &config() const override { return config_; }
  std::string path() const override { return file_.file().path(); }
  std::string format() const override { return "Bittern file of version 1, ternary weights five a byte"; }

  TernaryMatrix linear(int64_t layer, Linear which) const override {
    const BitternSection &tensor = file_.tensor(bittern_name(layer, which));
    file_.check(tensor);
    TernaryMatrix matrix;
    matrix.rows = tensor.shape[0];
    matrix.cols = tensor.shape[1];
    matrix.scale = tensor.scale;
    matrix.group = tensor.group;
    matrix.decode = [this, &tensor](int64_t row0, int64_t count, int8_t *out, int64_t row_stride) {
      const int64_t cols = tensor.shape[1], row_bytes = base3_row_bytes(cols);
      for (int64_t row = row0; row < row0 + count; ++row, out += row_stride) {
        const int64_t bad = unpack_base3(file_.data(tensor) + row * row_bytes, cols, out);
        if (bad >= 0) {
          file_.fail(tensor, fmt::format("row {}: a byte above {} is not five trits", row, kLargestTritByte),
                     static_cast<uint64_t>(row * row_bytes + bad));
        }
      }
    };
    if (tensor.group != 0) {
      const BitternSection &scales = file_.tensor(bittern_scales_name(layer, which));
      check_finite(scales);
      matrix.group_scales = [this, &scales](int64_t row0, int64_t count, float *out) {
        const int64_t groups = scales.shape[1];
        std::memcpy(out, file_.data(scales) + row0 * groups * 4, static_cast<size_t>(count * groups) * sizeof(float));
      };
    }
    return matrix;
  }

  std::vector<float> vector(int64_t layer, Vector which) const override { return floats(bittern_name(layer, which)); }
  std::vector<float> linear_norm(int64_t layer, Linear which) const override {
    return floats(bittern_norm_name(layer, which));
  }

  FloatMatrix embedding() const override { return matrix("embedding"); }
  FloatMatrix head() const override { return matrix(config_.tied_head ? "embedding" : "head"); }

  void release(int64_t layer, Linear which) const override {
    const BitternSection &tensor = file_.tensor(bittern_name(layer, which));
    file_.file().release(tensor.at, tensor.at + tensor.bytes);
  }

  std::string identity() const override {
    return file_identity(file_.file(), file_.file().text().substr(0, kBitternPreamble));
  }

 private:
  void check_finite(const BitternSection &tensor) const {
    file_.check(tensor);
    const uint64_t count = tensor.bytes / sizeof(float);
    for (uint64_t i = 0; i < count; ++i) {
      float value;
      std::memcpy(&value, file_.data(tensor) + i * sizeof value, sizeof value);
      if (!std::isfinite(value)) file_.fail(tensor, fmt::format("element {} is {}", i, value), i * sizeof value);
    }
  }

  std::vector<float> floats(const std::string &name) const {
    const BitternSection &tensor = file_.tensor(name);
    check_finite(tensor);
    std::vector<float> out(static_cast<size_t>(tensor.shape[0]));
    std::memcpy(out.data(), file_.data(tensor), out.size() * sizeof(float));
    return out;
  }

  FloatMatrix matrix(const char *name) const {
    const BitternSection &tensor = file_.tensor(name);
    file_.check(tensor);
    FloatMatrix out;
    out.rows = tensor.shape[0];
    out.cols = tensor.shape[1];
    out.dtype = tensor.type == BitternType::F32   ? DType::F32
                : tensor.type == BitternType::F16 ? DType::F16
                                                  : DType::BF16;
    out.data = file_.data(tensor);
    const uint64_t row_bytes = tensor.bytes / static_cast<uint64_t>(out.rows);
    out.fill = [this, &tensor, row_bytes, dtype = out.dtype](int64_t row0, int64_t count, void *to) {
      file_.check_rows(tensor, row0, count);
      std::memcpy(to, file_.data(tensor) + static_cast<uint64_t>(row0) * row_bytes,
                  static_cast<uint64_t>(count) * row_bytes);
      require_finite(to, dtype, row0 * tensor.shape[1], count * tensor.shape[1],
                     [&](const std::string &what, uint64_t offset) { file_.fail(tensor, what, offset); });
    };
    out.release = [this, &tensor, row_bytes](int64_t row0, int64_t count) {
      const uint64_t begin = tensor.at + static_cast<uint64_t>(row0) * row_bytes;
      file_.file().release(begin, begin + static_cast<uint64_t>(count) * row_bytes);
    };
    return out;
  }

  BitternFile file_;
  ModelConfig config_;
};

}  // namespace

std::unique_ptr<ModelSource> open_bittern(const std::string &path, const OpenOptions &options) {
  return std::make_unique<BitternSource>(path, options);
}

}  // namespace bittern::runtime
