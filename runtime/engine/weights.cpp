// See weights.h.
#include "runtime/engine/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/engine/prepacked.h"
#include "runtime/error.h"
#include "runtime/io/float_formats.h"

namespace bittern::runtime {

// Hands out addresses in the image; with a null base it only counts.
class Cursor {
 public:
  explicit Cursor(uint8_t *base) : base_(base) {}
  template <typename T>
  T *take(int64_t count, int64_t align) {
    at_ = (at_ + align - 1) / align * align;
    T *place = base_ ? reinterpret_cast<T *>(base_ + at_) : nullptr;
    at_ += count * static_cast<int64_t>(sizeof(T));
    return place;
  }
  int64_t used() const { return at_; }

 private:
  uint8_t *base_;
  int64_t at_ = 0;
};

namespace {

constexpr int64_t kMatrixAlign = 4096, kVectorAlign = 64;

void place_matrix(PackedMatrix &matrix, const Choice &choice, Cursor &cursor) {
  matrix.n = choice.need.sizes[1];
  matrix.k = choice.need.sizes[2];
  matrix.group = choice.need.role == Role::W2A8Group ? choice.need.sizes[3] : 0;
  matrix.layout = choice.layout();
  matrix.packed = cursor.take<uint8_t>(matrix.layout->packed_bytes(matrix.n, matrix.k), kMatrixAlign);
  matrix.scales = cursor.take<float>(matrix.n * matrix.scales_per_row(), kVectorAlign);
}

void copy_vector(const std::vector<float> &from, int64_t size, float *to) {
  if (static_cast<int64_t>(from.size()) != size)
    throw Error("a norm has " + std::to_string(from.size()) + " weights where " + std::to_string(size) + " belong");
  std::memcpy(to, from.data(), from.size() * sizeof(float));
}

// One row of `dtype` as floats.
void widen(const uint8_t *row, DType dtype, int64_t cols, float *out) {
  for (int64_t i = 0; i < cols; ++i) {
    if (dtype == DType::F32) {
      std::memcpy(out + i, row + 4 * i, 4);
    } else {
      uint16_t half;
      std::memcpy(&half, row + 2 * i, 2);
      out[i] = dtype == DType::BF16 ? bf16_to_f32(half) : f16_to_f32(half);
    }
  }
}

// Codes in -127 .. 127 and the scale that turns them back.
float quantise_row(const float *row, int64_t cols, int8_t *codes) {
  float largest = 0;
  for (int64_t i = 0; i < cols; ++i) largest = std::max(largest, std::fabs(row[i]));
  const float inverse = largest > 0 ? 127.0f / largest : 0.0f;
  for (int64_t i = 0; i < cols; ++i)
    codes[i] = static_cast<int8_t>(std::clamp(std::nearbyint(row[i] * inverse), -127.0f, 127.0f));
  return largest / 127.0f;
}

}  // namespace

Weights::Weights(const ModelSource &source, const Plan &plan, HeadType head_type, const std::string &cache_folder,
                 ThreadPool &pool, const Warn &warn)
    : projections_(projections(source.config())) {
  place(source, plan, head_type);  // counts
  image_ = HugeBuffer(image_bytes_, "the weights");
  place(source, plan, head_type);  // gives addresses

  // A newer reader may give the same file another meaning.
  std::string key = source.identity() + "bittern " BITTERN_VERSION;
  for (const Projection &projection : projections_) {
    const bt_layout &layout = *layers_[0][projection.name()].layout;
    key += std::string("\n") + layout.name + " " + layout.version;
  }
  key += head_in_image_ ? (head_.int8 ? "\nhead int8" : "\nhead") : "\nno head";
  const Prepacked cache(cache_folder, key, warn);
  from_cache_ = !cache_folder.empty() && cache.read(image_.data(), image_bytes_, pool);
  if (!from_cache_) pack(source, pool);
  if (source.config().has_head && (!head_in_image_ || !from_cache_)) fill_head(source, pool);
  if (!from_cache_ && !cache_folder.empty()) cache.write(image_.data(), image_bytes_, pool);
  link_in_reading_order();
}

void Weights::place(const ModelSource &source, const Plan &plan, HeadType head_type) {
  const ModelConfig &c = source.config();
  Cursor cursor(image_.data());
  layers_.assign(static_cast<size_t>(c.layers), {});
  for (LayerWeights &layer : layers_) {
    for (const Projection &projection : projections_)
      place_matrix(layer.matrices[static_cast<size_t>(projection.name())], plan[projection.what], cursor);
    for (size_t i = 0; i < kVectorCount; ++i) {
      const auto which = static_cast<Vector>(i);
      if (which == Vector::FinalNorm || !has_vector(c, which)) continue;
      layer.vectors[i] = cursor.take<float>(vector_size(c, which), kVectorAlign);
    }
    for (size_t i = 0; i < kLinearCount && c.linear_norms; ++i)
      layer.linear_norms[i] = cursor.take<float>(linear_shape(c, static_cast<Linear>(i)).second, kVectorAlign);
  }
  final_norm_ = cursor.take<float>(c.hidden, kVectorAlign);
  if (c.has_head) place_head(source, head_type, cursor);
  image_bytes_ = cursor.used();
}

void Weights::link_in_reading_order() {
  PackedMatrix *last = nullptr;
  for (LayerWeights &layer : layers_)
    for (const Projection &projection : projections_) {
      PackedMatrix &matrix = layer.matrices[static_cast<size_t>(projection.name())];
      if (last) {
        last->next = matrix.packed;
        last->next_bytes = matrix.n * matrix.k / 4;
      }
      last = &matrix;
    }
  if (!last || head_.rows == 0) return;
  last->next = head_.data;
  last->next_bytes = head_.rows * head_.row_bytes();
}

void Weights::place_head(const ModelSource &source, HeadType head_type, Cursor &cursor) {
  // A head whose rows lie in the file as they are used is copied from there, at the same speed as from the cache.
  const FloatMatrix rows = source.head();
  head_.rows = rows.rows;
  head_.cols = rows.cols;
  head_.int8 = head_type == HeadType::Int8;
  head_.dtype = rows.dtype == DType::BF16 ? DType::BF16 : DType::F32;
  head_in_image_ = head_.int8 || rows.data == nullptr || rows.dtype != head_.dtype;
  if (head_in_image_) {
    head_.data = cursor.take<uint8_t>(head_.rows * head_.row_bytes(), kMatrixAlign);
    if (head_.int8) head_.scales = cursor.take<float>(head_.rows, kVectorAlign);
  }
}

void Weights::pack_matrix(const ModelSource &source, int64_t layer, const std::vector<Linear> &parts,
                          PackedMatrix &matrix, ThreadPool &pool) {
  std::vector<TernaryMatrix> sources;
  int64_t rows = 0;
  for (Linear part : parts) {
    sources.push_back(source.linear(layer, part));
    const TernaryMatrix &m = sources.back();
    if (m.cols != matrix.k || rows + m.rows > matrix.n)
      throw Error("layer " + std::to_string(layer) + ": a matrix is " + std::to_string(m.rows) + " x " +
                  std::to_string(m.cols) + " where the model's shape wants " + std::to_string(matrix.k) + " columns");
    if (m.group != 0 && m.group != matrix.group)
      throw Error("layer " + std::to_string(layer) + ": a matrix has a scale for every " + std::to_string(m.group) +
                  " weights of a row where the model has " +
                  (matrix.group ? "one for every " + std::to_string(matrix.group) : "one a matrix"));
    float *scales = matrix.scales + rows * matrix.scales_per_row();
    if (m.group > 0)
      m.group_scales(0, m.rows, scales);
    else
      std::fill_n(scales, m.rows * matrix.scales_per_row(), m.scale);
    rows += m.rows;
  }
  if (rows != matrix.n)
    throw Error("layer " + std::to_string(layer) + ": matrices have " + std::to_string(rows) + " rows where " +
                std::to_string(matrix.n) + " belong");

  const int64_t tile = matrix.layout->row_tile, block = tile * std::max<int64_t>(1, 64 / tile);
  pool.ranges((matrix.n + block - 1) / block, [&](int64_t begin, int64_t end, int) {
    std::vector<int8_t> trits(static_cast<size_t>(block * matrix.k));
    for (int64_t row0 = begin * block; row0 < std::min(end * block, matrix.n); row0 += block) {
      const int64_t row1 = std::min(row0 + block, matrix.n);
      int64_t part0 = 0;  // first row of the part in the fused matrix
      for (const TernaryMatrix &part : sources) {
        const int64_t from = std::max(row0, part0), to = std::min(row1, part0 + part.rows);
        if (from < to) part.decode(from - part0, to - from, trits.data() + (from - row0) * matrix.k, matrix.k);
        part0 += part.rows;
      }
      matrix.layout->pack(trits.data(), matrix.k, row0, row1 - row0, matrix.n, matrix.k, matrix.packed);
    }
  });
  for (Linear part : parts) source.release(layer, part);
}

void Weights::pack(const ModelSource &source, ThreadPool &pool) {
  const ModelConfig &c = source.config();
  for (int64_t l = 0; l < c.layers; ++l) {
    LayerWeights &layer = layers_[static_cast<size_t>(l)];
    for (const Projection &projection : projections_)
      pack_matrix(source, l, projection.parts, layer.matrices[static_cast<size_t>(projection.name())], pool);
    for (size_t i = 0; i < kVectorCount; ++i)
      if (layer.vectors[i])
        copy_vector(source.vector(l, static_cast<Vector>(i)), vector_size(c, static_cast<Vector>(i)), layer.vectors[i]);
    for (size_t i = 0; i < kLinearCount && c.linear_norms; ++i)
      copy_vector(source.linear_norm(l, static_cast<Linear>(i)), linear_shape(c, static_cast<Linear>(i)).second,
                  layer.linear_norms[i]);
  }
  copy_vector(source.vector(0, Vector::FinalNorm), c.hidden, final_norm_);
}

void Weights::fill_head(const ModelSource &source, ThreadPool &pool) {
  const FloatMatrix rows = source.head();
  if (!head_in_image_) {
    head_rows_ = HugeBuffer(head_.rows * head_.row_bytes(), "the output head");
    head_.data = head_rows_.data();
  }
  constexpr int64_t kBlock = 64;
  const bool as_is = !head_.int8 && rows.dtype == head_.dtype;
  const int64_t source_row = rows.cols * (rows.dtype == DType::F32 ? 4 : 2);
  pool.ranges((rows.rows + kBlock - 1) / kBlock, [&](int64_t begin, int64_t end, int) {
    std::vector<uint8_t> raw(static_cast<size_t>(as_is ? 0 : kBlock * source_row));
    std::vector<float> wide(static_cast<size_t>(as_is ? 0 : rows.cols));
    for (int64_t row0 = begin * kBlock; row0 < std::min(end * kBlock, rows.rows); row0 += kBlock) {
      const int64_t count = std::min(kBlock, rows.rows - row0);
      uint8_t *out = head_.data + row0 * head_.row_bytes();
      rows.fill(row0, count, as_is ? out : raw.data());
      if (rows.release) rows.release(row0, count);
      for (int64_t r = 0; r < count && !as_is; ++r) {
        widen(raw.data() + r * source_row, rows.dtype, rows.cols, wide.data());
        if (head_.int8)
          head_.scales[row0 + r] =
              quantise_row(wide.data(), rows.cols, reinterpret_cast<int8_t *>(out) + r * rows.cols);
        else
          std::memcpy(out + r * head_.row_bytes(), wide.data(), static_cast<size_t>(head_.row_bytes()));
      }
    }
  });
}

}  // namespace bittern::runtime
