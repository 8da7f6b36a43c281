// See weights.h.
#include "runtime/device/cpu/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "runtime/device/cpu/prepacked.h"
#include "runtime/error.h"
#include "runtime/io/float_formats.h"

namespace bittern::runtime {

namespace {

constexpr int64_t kMatrixAlign = 4096, kVectorAlign = 64;

using Of = WeightOf::Of;

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

std::string prepacked_key(const ModelSource &source, const Program &program, const Plan &plan, bool head_in_image) {
  // A newer reader may give the same file another meaning.
  std::string key = source.identity() + "bittern " BITTERN_VERSION;
  for (const Buffer &buffer : program.buffers) {
    if (buffer.weight.of != Of::Matrix || buffer.layer != 0) continue;
    const bt_layout &layout = *plan[buffer.weight.step].layout();
    key += std::string("\n") + layout.name + " " + layout.version;
  }
  const bool int8 = program.options.head == HeadType::Int8;
  return key + (head_in_image ? (int8 ? "\nhead int8" : "\nhead") : "\nno head");
}

Weights::Weights(const ModelSource &source, const Program &program, const Plan &plan, const std::string &cache_folder,
                 ThreadPool &pool, const Warn &warn)
    : program_(program), plan_(plan) {
  if (program.head != kNoBuffer) {
    // A head whose rows lie in the file as they are used is copied from there, at the same speed as from the cache.
    const FloatMatrix rows = source.head();
    head_in_image_ = program.options.head == HeadType::Int8 || rows.data == nullptr || rows.dtype == DType::F16;
  }
  image_ = HugeBuffer(place(nullptr), "the weights");
  place(image_.data());

  const Prepacked cache(cache_folder, prepacked_key(source, program, plan, head_in_image_), warn);
  from_cache_ = !cache_folder.empty() && cache.read(image_.data(), image_.size(), pool);
  if (!from_cache_) pack(source, pool);
  if (program.head != kNoBuffer && (!head_in_image_ || !from_cache_)) fill_head(source, pool);
  if (!from_cache_ && !cache_folder.empty()) cache.write(image_.data(), image_.size(), pool);
}

// Gives every weight buffer its address behind `base`; the bytes of all.
int64_t Weights::place(uint8_t *base) {
  places_.assign(program_.buffers.size(), nullptr);
  int64_t used = 0;
  for (size_t i = 0; i < program_.buffers.size(); ++i) {
    const Buffer &buffer = program_.buffers[i];
    if (buffer.kind != BufferKind::Weight || (buffer.weight.of == Of::Head && !head_in_image_)) continue;
    const bool ternary = buffer.weight.of == Of::Matrix;
    const int64_t align = ternary || buffer.weight.of == Of::Head ? kMatrixAlign : kVectorAlign;
    used = (used + align - 1) / align * align;
    if (base) places_[i] = base + used;
    used += ternary ? plan_[buffer.weight.step].layout()->packed_bytes(buffer.dims[0], buffer.dims[1])
                    : buffer.row_elements() * element_bytes(buffer.type);
  }
  return used;
}

// A matrix and its scales, which are the next buffer.
void Weights::pack_matrix(const ModelSource &source, BufferId matrix, ThreadPool &pool) {
  const Buffer &buffer = program_[matrix];
  const std::vector<Linear> &parts = buffer.weight.parts;
  const int64_t layer = buffer.layer, n = buffer.dims[0], k = buffer.dims[1], group = buffer.weight.group;
  const int64_t per_row = group > 0 ? k / group : 1;
  const bt_layout &layout = *plan_[buffer.weight.step].layout();
  auto *scales = reinterpret_cast<float *>(at(matrix + 1));
  std::vector<TernaryMatrix> sources;
  int64_t rows = 0;
  for (Linear part : parts) {
    sources.push_back(source.linear(layer, part));
    const TernaryMatrix &m = sources.back();
    if (m.cols != k || rows + m.rows > n)
      throw Error("layer " + std::to_string(layer) + ": a matrix is " + std::to_string(m.rows) + " x " +
                  std::to_string(m.cols) + " where the model's shape wants " + std::to_string(k) + " columns");
    if (m.group != 0 && m.group != group)
      throw Error("layer " + std::to_string(layer) + ": a matrix has a scale for every " + std::to_string(m.group) +
                  " weights of a row where the model has " +
                  (group ? "one for every " + std::to_string(group) : "one a matrix"));
    if (m.group > 0)
      m.group_scales(0, m.rows, scales + rows * per_row);
    else
      std::fill_n(scales + rows * per_row, m.rows * per_row, m.scale);
    rows += m.rows;
  }
  if (rows != n)
    throw Error("layer " + std::to_string(layer) + ": matrices have " + std::to_string(rows) + " rows where " +
                std::to_string(n) + " belong");

  const int64_t tile = layout.row_tile, block = tile * std::max<int64_t>(1, 64 / tile);
  pool.ranges((n + block - 1) / block, [&](int64_t begin, int64_t end, int) {
    std::vector<int8_t> trits(static_cast<size_t>(block * k));
    for (int64_t row0 = begin * block; row0 < std::min(end * block, n); row0 += block) {
      const int64_t row1 = std::min(row0 + block, n);
      int64_t part0 = 0;  // first row of the part in the fused matrix
      for (const TernaryMatrix &part : sources) {
        const int64_t from = std::max(row0, part0), to = std::min(row1, part0 + part.rows);
        if (from < to) part.decode(from - part0, to - from, trits.data() + (from - row0) * k, k);
        part0 += part.rows;
      }
      layout.pack(trits.data(), k, row0, row1 - row0, n, k, at(matrix));
    }
  });
  for (Linear part : parts) source.release(layer, part);
}

void Weights::pack(const ModelSource &source, ThreadPool &pool) {
  for (size_t i = 0; i < program_.buffers.size(); ++i) {
    const Buffer &buffer = program_.buffers[i];
    auto *to = reinterpret_cast<float *>(places_[i]);
    const int64_t layer = std::max<int64_t>(buffer.layer, 0);
    if (buffer.weight.of == Of::Matrix) pack_matrix(source, static_cast<BufferId>(i), pool);
    if (buffer.weight.of == Of::Norm) copy_vector(source.vector(layer, buffer.weight.norm), buffer.row_elements(), to);
    if (buffer.weight.of == Of::LinearNorm)
      copy_vector(source.linear_norm(layer, buffer.weight.parts.front()), buffer.row_elements(), to);
  }
}

void Weights::fill_head(const ModelSource &source, ThreadPool &pool) {
  const FloatMatrix rows = source.head();
  const Buffer &head = program_[program_.head];
  const bool int8 = head.type == ElementType::I8;
  const int64_t row_bytes = head.dims[1] * element_bytes(head.type);
  if (!head_in_image_) {
    head_rows_ = HugeBuffer(head.dims[0] * row_bytes, "the output head");
    places_[static_cast<size_t>(program_.head)] = head_rows_.data();
  }
  uint8_t *data = at(program_.head);
  auto *scales = int8 ? reinterpret_cast<float *>(at(program_.head + 1)) : nullptr;
  constexpr int64_t kBlock = 64;
  const bool as_is = !int8 && rows.dtype != DType::F16;
  const int64_t source_row = rows.cols * (rows.dtype == DType::F32 ? 4 : 2);
  pool.ranges((rows.rows + kBlock - 1) / kBlock, [&](int64_t begin, int64_t end, int) {
    std::vector<uint8_t> raw(static_cast<size_t>(as_is ? 0 : kBlock * source_row));
    std::vector<float> wide(static_cast<size_t>(as_is ? 0 : rows.cols));
    for (int64_t row0 = begin * kBlock; row0 < std::min(end * kBlock, rows.rows); row0 += kBlock) {
      const int64_t count = std::min(kBlock, rows.rows - row0);
      uint8_t *out = data + row0 * row_bytes;
      rows.fill(row0, count, as_is ? out : raw.data());
      if (rows.release) rows.release(row0, count);
      for (int64_t r = 0; r < count && !as_is; ++r) {
        widen(raw.data() + r * source_row, rows.dtype, rows.cols, wide.data());
        if (int8)
          scales[row0 + r] = quantise_row(wide.data(), rows.cols, reinterpret_cast<int8_t *>(out) + r * rows.cols);
        else
          std::memcpy(out + r * row_bytes, wide.data(), static_cast<size_t>(row_bytes));
      }
    }
  });
}

}  // namespace bittern::runtime
