#include "runtime/model/ternary_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"

namespace bittern::runtime {
namespace {

constexpr int64_t kPerByte = 4;  // trits in one packed byte: output rows a quarter of the matrix apart
constexpr int64_t kBlock = 1024;

bool is_float(TensorType type) {
  return type == TensorType::F32 || type == TensorType::F16 || type == TensorType::BF16;
}

}  // namespace

void check_ternary(const Tensor &weight, WeightMeaning meaning, int64_t rows, int64_t cols) {
  const bool packed = meaning != WeightMeaning::OnlineMasters;
  if (packed && weight.type != TensorType::U8) {
    weight.fail(fmt::format("dtype: {}, but quantization_config says packed U8 (quantization_mode is not 'online')",
                            tensor_type_name(weight.type)));
  }
  if (!packed && !is_float(weight.type)) {
    weight.fail(fmt::format("dtype: {}, but quantization_config says float masters (quantization_mode 'online')",
                            tensor_type_name(weight.type)));
  }
  if (packed && rows % kPerByte != 0) weight.fail(fmt::format("{} rows cannot be packed by four", rows));
  const std::vector<int64_t> expected{packed ? rows / kPerByte : rows, cols};
  if (weight.shape != expected) {
    weight.fail(fmt::format("shape: {}, expected [{}, {}]", weight.shape_text(), expected[0], expected[1]));
  }
}

float packed_scale(const Tensor &weight_scale, WeightMeaning meaning) {
  if (!is_float(weight_scale.type)) {
    weight_scale.fail(fmt::format("dtype: {}, expected BF16, F16 or F32", tensor_type_name(weight_scale.type)));
  }
  if (!weight_scale.shape.empty() && weight_scale.shape != std::vector<int64_t>{1}) {
    weight_scale.fail(fmt::format("shape: {}, expected [1]", weight_scale.shape_text()));
  }
  float stored = 0;
  read_floats(weight_scale, 0, 1, &stored);
  const float scale = meaning == WeightMeaning::PackedDivide ? 1.0f / stored : stored;
  if (!(stored > 0) || !std::isfinite(stored) || !std::isfinite(scale) || !(scale > 0)) {
    weight_scale.fail(fmt::format("{} is not a usable scale: it must be positive and finite", stored));
  }
  return scale;
}

float master_inverse_scale(const Tensor &weight) {
  const int64_t total = static_cast<int64_t>((weight.end - weight.begin) / tensor_type_bytes(weight.type));
  std::array<float, kBlock> block;
  std::array<double, 16> sums{};
  for (int64_t first = 0; first < total; first += kBlock) {
    const int64_t count = std::min(kBlock, total - first);
    read_floats(weight, first, count, block.data());
    std::fill(block.begin() + count, block.end(), 0.0f);
    for (size_t i = 0; i < kBlock; i += sums.size()) {
      for (size_t lane = 0; lane < sums.size(); ++lane) sums[lane] += static_cast<double>(std::fabs(block[i + lane]));
    }
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  if (!std::isfinite(sum)) {  // doubles cannot overflow here, so some element is not finite: find it for the message
    for (int64_t i = 0; i < total; ++i) {
      read_floats(weight, i, 1, block.data());
      if (!std::isfinite(block[0])) {
        weight.fail(fmt::format("element {} is {}", i, block[0]),
                    static_cast<uint64_t>(i) * tensor_type_bytes(weight.type));
      }
    }
  }
  const float mean = static_cast<float>(sum / static_cast<double>(total));
  return 1.0f / std::max(mean, 1e-5f);
}

void decode_packed(const Tensor &weight, int64_t rows, int64_t cols, int64_t row0, int64_t count, int8_t *out,
                   int64_t row_stride) {
  const int64_t quarter = rows / kPerByte;
  for (int64_t row = row0; row < row0 + count; ++row, out += row_stride) {
    const int64_t first = row % quarter * cols;
    const uint8_t *bytes = weight.data() + first;
    const int shift = static_cast<int>(2 * (row / quarter));
    unsigned invalid = 0;
    for (int64_t k = 0; k < cols; ++k) {
      const unsigned code = bytes[k] >> shift & 3u;
      invalid |= code & code >> 1;
      out[k] = static_cast<int8_t>(static_cast<int>(code) - 1);
    }
    if (invalid) {
      const int64_t k = std::find_if(bytes, bytes + cols, [&](uint8_t b) { return (b >> shift & 3) == 3; }) - bytes;
      weight.fail(fmt::format("row {}, column {}: code 3 is not a trit", row, k), static_cast<uint64_t>(first + k));
    }
  }
}

void decode_masters(const Tensor &weight, float inverse, int64_t cols, int64_t row0, int64_t count, int8_t *out,
                    int64_t row_stride) {
  std::array<float, kBlock> block;
  for (int64_t row = row0; row < row0 + count; ++row, out += row_stride) {
    for (int64_t k = 0; k < cols; k += kBlock) {
      const int64_t width = std::min(kBlock, cols - k);
      read_floats(weight, row * cols + k, width, block.data());
      for (int64_t i = 0; i < width; ++i) {
        // Half to even and clamped to -1..1 leaves two thresholds: 0.5 itself rounds to 0.
        const float scaled = block[static_cast<size_t>(i)] * inverse;
        out[k + i] = static_cast<int8_t>((scaled > 0.5f) - (scaled < -0.5f));
      }
    }
  }
}

void read_floats(const Tensor &tensor, int64_t first, int64_t count, float *out) {
  const uint8_t *from = tensor.data() + static_cast<uint64_t>(first) * tensor_type_bytes(tensor.type);
  switch (tensor.type) {
    case TensorType::F32:
      std::memcpy(out, from, static_cast<size_t>(count) * sizeof(float));
      return;
    case TensorType::BF16:
      for (int64_t i = 0; i < count; ++i) out[i] = bf16_to_f32(load_le<uint16_t>(from + 2 * i));
      return;
    case TensorType::F16:
      for (int64_t i = 0; i < count; ++i) out[i] = f16_to_f32(load_le<uint16_t>(from + 2 * i));
      return;
    default:
      tensor.fail(fmt::format("dtype: {}, expected BF16, F16 or F32", tensor_type_name(tensor.type)));
  }
}

}  // namespace bittern::runtime
