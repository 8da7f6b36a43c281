// A GGUF file as a ModelSource. Names, types, sizes and shapes of all tensors are checked when it is opened; trits are
// read when asked for.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "runtime/error.h"
#include "runtime/io/join.h"
#include "runtime/io/sha256.h"
#include "runtime/model/file_identity.h"
#include "runtime/model/formats.h"
#include "runtime/model/gguf_config.h"
#include "runtime/model/gguf_file.h"
#include "runtime/model/gguf_float.h"
#include "runtime/model/gguf_names.h"
#include "runtime/model/gguf_ternary.h"
#include "runtime/model/gguf_tiles.h"
#include "runtime/model/ternary_tensor.h"

namespace bittern::runtime {
namespace {

constexpr std::array<std::string_view, 3> kI2sLayouts{"128", "64", "rows4"};
constexpr uint64_t kMaxTileConfig = 1 << 20;

// f16 keeps 11 bits, and steps of 2^-24 at the least.
bool rounds_to(float exact, float stored) {
  return std::fabs(exact - stored) <= std::max(stored * 0x1p-11f, 0x1p-25f) * 1.01f;
}

class GgufSource : public ModelSource {
 public:
  GgufSource(const std::string &path, const OpenOptions &options)
      : file_(path), config_(parse_gguf_config(file_, options)) {
    if (std::find(kI2sLayouts.begin(), kI2sLayouts.end(), options.i2s_layout) == kI2sLayouts.end()) {
      throw Error(
          fmt::format("--i2s-layout: '{}' is not a layout (layouts: {})", options.i2s_layout, join_names(kI2sLayouts)));
    }
    ternary_options_.i2s_layout = options.i2s_layout;
    if (!options.tl_config.empty()) {
      ternary_options_.tiles = read_tile_config(options.tl_config);
      tile_config_hash_ = sha256_hex(MappedFile(options.tl_config, kMaxTileConfig).text());
    }
    check_linears();
    check_vectors();
    gguf_float_matrix(file_.get_tensor(kGgufEmbedding), model().vocab, model().hidden);
    if (!model().tied_head) gguf_float_matrix(file_.get_tensor(kGgufHead), model().vocab, model().hidden);
    check_rope_factors();
    refuse_unknown();
    config_.model.scale_group = find_group();
    if (options.note) tell(options);
  }

  const ModelConfig &config() const override { return config_.model; }
  std::string path() const override { return file_.file().path(); }

  TernaryMatrix linear(int64_t layer, Linear which) const override {
    TernaryMatrix matrix;
    std::tie(matrix.rows, matrix.cols) = linear_shape(model(), which);
    const GgufTernary *ternary = at(layer, which);
    if (ternary) {
      if (model().scale_group == 0) matrix.scale = exact_scale(layer, which, ternary->common_scale());
      matrix.decode = [ternary](int64_t row0, int64_t count, int8_t *out, int64_t stride) {
        ternary->decode(row0, count, out, stride);
      };
    } else {
      const Tensor floats = as_plain_tensor(tensor(layer, which));
      const float magnitude = ternary_magnitude(floats);
      const float inverse = magnitude != 0 ? 1.0f / magnitude : master_inverse_scale(floats);
      matrix.scale = magnitude != 0 ? exact_scale(layer, which, magnitude) : 1.0f / inverse;
      matrix.decode = [floats, inverse, cols = matrix.cols](int64_t row0, int64_t count, int8_t *out, int64_t stride) {
        decode_masters(floats, inverse, cols, row0, count, out, stride);
      };
    }
    if (model().scale_group != 0) add_groups(matrix, ternary);
    if (config_.interleaved && (which == Linear::Q || which == Linear::K)) undo_interleaving(matrix);
    return matrix;
  }

  std::vector<float> vector(int64_t layer, Vector which) const override {
    return read_gguf_vector(file_.get_tensor(gguf_name(layer, which)));
  }
  std::vector<float> linear_norm(int64_t layer, Linear which) const override {
    return read_gguf_vector(file_.get_tensor(gguf_norm_in_name(layer, which)));
  }

  FloatMatrix embedding() const override {
    return gguf_float_matrix(file_.get_tensor(kGgufEmbedding), model().vocab, model().hidden);
  }
  FloatMatrix head() const override {
    if (model().tied_head) return embedding();
    return gguf_float_matrix(file_.get_tensor(kGgufHead), model().vocab, model().hidden);
  }

  void release(int64_t layer, Linear which) const override {
    const GgufTensor &t = tensor(layer, which);
    t.file->release(t.begin, t.end);
  }

  std::string identity() const override {
    return file_identity(file_.file(), file_.header()) +
           fmt::format("i2s_layout={} tl_config={}\n", ternary_options_.i2s_layout, tile_config_hash_);
  }

  std::string format() const override {
    std::set<std::string, std::less<>> types;
    for (const auto &ternary : linears_) {
      if (!ternary) {
        types.insert("floats");
      } else if (ternary->type_name() == "I2_S") {
        types.insert(fmt::format("I2_S ({})", i2s_layout_text()));
      } else {
        types.emplace(ternary->type_name());
      }
    }
    return fmt::format("GGUF version {}, ternary weights in {}", file_.version(), join_names(types));
  }

 private:
  const ModelConfig &model() const { return config_.model; }
  const GgufTensor &tensor(int64_t layer, Linear which) const { return file_.get_tensor(gguf_name(layer, which)); }
  // Null for layers of plain floats.
  const GgufTernary *at(int64_t layer, Linear which) const {
    const auto &found = linears_[static_cast<size_t>(layer) * kLinearCount + static_cast<size_t>(which)];
    return found ? &*found : nullptr;
  }

  std::string i2s_layout_text() const {
    return ternary_options_.i2s_layout == "rows4" ? "four rows interleaved"
                                                  : fmt::format("blocks of {}", ternary_options_.i2s_layout);
  }

  void check_linears() {
    for (int64_t layer = 0; layer < model().layers; ++layer) {
      for (size_t i = 0; i < kLinearCount; ++i) {
        const Linear which = static_cast<Linear>(i);
        const auto [rows, cols] = linear_shape(model(), which);
        const GgufTensor &t = tensor(layer, which);
        if (is_plain_float(t.type)) {
          gguf_float_matrix(t, rows, cols);
          linears_.emplace_back();
        } else {
          linears_.emplace_back(GgufTernary(t, rows, cols, ternary_options_));
        }
        if (model().linear_norms) check_gguf_vector(file_.get_tensor(gguf_norm_in_name(layer, which)), cols);
      }
    }
  }

  void check_vectors() const {
    for (int64_t layer = 0; layer < model().layers; ++layer) {
      for (size_t i = 0; i < kVectorCount; ++i) {
        const Vector which = static_cast<Vector>(i);
        if (!has_vector(model(), which) || (which == Vector::FinalNorm && layer > 0)) continue;
        check_gguf_vector(file_.get_tensor(gguf_name(layer, which)), vector_size(model(), which));
      }
    }
  }

  // Divisors of RoPE's frequencies: harmless as long as they are all 1.
  void check_rope_factors() const {
    const GgufTensor *factors = file_.find_tensor(kGgufRopeFactors);
    if (!factors) return;
    check_gguf_vector(*factors, model().head_dim / 2);
    for (const float factor : read_gguf_vector(*factors)) {
      if (factor != 1) factors->fail(fmt::format("RoPE scaled by {} is not supported", factor));
    }
  }

  // A tensor that nothing here reads means that the model is not the one that the metadata describe: running without
  // it would be silently wrong.
  void refuse_unknown() const {
    std::set<std::string, std::less<>> known{std::string(kGgufEmbedding), std::string(kGgufHead),
                                             std::string(kGgufRopeFactors), gguf_name(0, Vector::FinalNorm)};
    for (int64_t layer = 0; layer < model().layers; ++layer) {
      for (size_t i = 0; i < kLinearCount; ++i) {
        known.insert(gguf_name(layer, static_cast<Linear>(i)));
        if (model().linear_norms) known.insert(gguf_norm_in_name(layer, static_cast<Linear>(i)));
      }
      for (size_t i = 0; i < kVectorCount; ++i) {
        if (has_vector(model(), static_cast<Vector>(i))) known.insert(gguf_name(layer, static_cast<Vector>(i)));
      }
    }
    for (const GgufTensor &t : file_.tensors()) {
      if (known.contains(t.name)) continue;
      t.fail_info(fmt::format("not a tensor of a {} of {} layers", model().architecture, model().layers));
    }
  }

  // 0 when every matrix has one scale, else the number of columns that share one. The first layer decides, so that
  // opening a file does not read all of it; linear() refuses a later matrix that does not follow.
  int64_t find_group() const {
    const auto differs = [&](const auto &ternary) { return ternary && ternary->common_scale() == 0; };
    if (std::none_of(linears_.begin(), linears_.begin() + kLinearCount, differs)) return 0;
    int64_t group = 128;
    for (size_t i = 0; i < linears_.size(); ++i) {
      const int64_t cols = linear_shape(model(), static_cast<Linear>(i % kLinearCount)).second;
      const int64_t shared = linears_[i] ? linears_[i]->scale_cols() : 0;
      if (cols % group != 0 || shared % group != 0) group = 64;
      if (cols % group != 0) {
        tensor(static_cast<int64_t>(i / kLinearCount), static_cast<Linear>(i % kLinearCount))
            .fail_info(fmt::format("{} columns are no multiple of {}, the columns that share a scale", cols, group));
      }
    }
    return group;
  }

  // The scale that a half-precision one stands for.
  float exact_scale(int64_t layer, Linear which, float stored) const {
    const GgufTensor &t = tensor(layer, which);
    if (stored == 0) t.fail("blocks have different scales, those of the first layer's matrices have not");
    if (config_.linear_scales.empty()) return stored;
    const float exact = config_.linear_scales[static_cast<size_t>(layer) * kLinearCount + static_cast<size_t>(which)];
    if (!rounds_to(exact, stored)) {
      t.fail(fmt::format("its scale is {}, but bittern.linear_scales says {}", stored, exact));
    }
    return exact;
  }

  void add_groups(TernaryMatrix &matrix, const GgufTernary *ternary) const {
    matrix.group = model().scale_group;
    if (!ternary) {  // floats have one scale
      matrix.group_scales = [per_row = matrix.cols / matrix.group, scale = matrix.scale](
                                int64_t, int64_t count, float *out) { std::fill_n(out, count * per_row, scale); };
    } else {
      matrix.group_scales = [ternary, group = matrix.group](int64_t row0, int64_t count, float *out) {
        ternary->group_scales(row0, count, group, out);
      };
    }
    matrix.scale = 0;
  }

  // Row by row from where the file has it.
  void undo_interleaving(TernaryMatrix &matrix) const {
    const auto place = [head = model().head_dim](int64_t row) {
      const int64_t first = row / head * head, half = head / 2, in_head = row - first;
      return first + 2 * (in_head % half) + in_head / half;
    };
    const auto decode = matrix.decode;
    matrix.decode = [decode, place](int64_t row0, int64_t count, int8_t *out, int64_t stride) {
      for (int64_t i = 0; i < count; ++i) decode(place(row0 + i), 1, out + i * stride, stride);
    };
    if (matrix.group == 0) return;
    const auto scales = matrix.group_scales;
    matrix.group_scales = [scales, place, per_row = matrix.cols / matrix.group](int64_t row0, int64_t count,
                                                                                float *out) {
      for (int64_t i = 0; i < count; ++i) scales(place(row0 + i), 1, out + i * per_row);
    };
  }

  // What the file leaves open and was assumed.
  void tell(const OpenOptions &options) const {
    std::set<std::string_view> types;
    for (const auto &ternary : linears_) {
      if (ternary) types.insert(ternary->type_name());
    }
    if (types.contains("I2_S")) {
      options.note(fmt::format(
          "{}: I2_S is read as {}; bitnet.cpp writes three layouts under that type, --i2s-layout names another", path(),
          i2s_layout_text()));
    }
    for (const std::string_view type : {"TL1", "TL2"}) {
      if (!types.contains(type)) continue;
      options.note(fmt::format(
          "{}: {} is read with the tile sizes of {}", path(), type,
          options.tl_config.empty() ? "bitnet.cpp's setup_env.py; --tl-config names others" : options.tl_config));
    }
  }

  GgufFile file_;
  GgufConfig config_;
  TernaryOptions ternary_options_;
  std::string tile_config_hash_;
  std::vector<std::optional<GgufTernary>> linears_;  // kLinearCount a layer
};

}  // namespace

std::unique_ptr<ModelSource> open_gguf(const std::string &path, const OpenOptions &options) {
  return std::make_unique<GgufSource>(path, options);
}

}  // namespace bittern::runtime
