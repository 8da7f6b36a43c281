#include "runtime/model/gguf_float.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "runtime/error.h"
#include "runtime/io/float_formats.h"
#include "runtime/io/join.h"
#include "runtime/model/finite.h"
#include "runtime/model/gguf_names.h"
#include "runtime/model/ternary_tensor.h"

namespace bittern::runtime {
namespace {

float block_scale(const GgufTensor &tensor, const uint8_t *bytes) {
  const float scale = f16_to_f32(load_le<uint16_t>(bytes));
  if (!std::isfinite(scale)) {
    tensor.fail(fmt::format("{} is not a usable scale: it must be finite", scale),
                static_cast<uint64_t>(bytes - tensor.data()));
  }
  return scale;
}

// f16 scale, 32 signed bytes.
void widen_q8_0(const GgufTensor &tensor, const uint8_t *block, float *out) {
  const float scale = block_scale(tensor, block);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(static_cast<int8_t>(block[2 + i])) * scale;
}

// f16 scale, 16 bytes: low nibbles are the first half of the block, high ones the second; 8 is zero.
void widen_q4_0(const GgufTensor &tensor, const uint8_t *block, float *out) {
  const float scale = block_scale(tensor, block);
  for (int i = 0; i < 16; ++i) {
    out[i] = static_cast<float>(static_cast<int>(block[2 + i] & 15) - 8) * scale;
    out[16 + i] = static_cast<float>(static_cast<int>(block[2 + i] >> 4) - 8) * scale;
  }
}

// 256 values of six bits, 32 is zero: 128 bytes of low nibbles, 64 of upper two bits, 16 signed scales of 16 values,
// f16 scale of those. Each half of the block has its own 64 + 32 + 8 bytes of these.
void widen_q6_k(const GgufTensor &tensor, const uint8_t *block, float *out) {
  const float scale = block_scale(tensor, block + 208);
  for (int half = 0; half < 2; ++half) {
    const uint8_t *low = block + 64 * half, *high = block + 128 + 32 * half, *scales = block + 192 + 8 * half;
    for (int quarter = 0; quarter < 4; ++quarter) {
      for (int i = 0; i < 32; ++i) {
        const int nibble = low[quarter % 2 * 32 + i] >> (quarter / 2 * 4) & 15;
        const int value = (nibble | (high[i] >> (2 * quarter) & 3) << 4) - 32;
        const float part = scale * static_cast<float>(static_cast<int8_t>(scales[2 * quarter + i / 16]));
        out[128 * half + 32 * quarter + i] = part * static_cast<float>(value);
      }
    }
  }
}

struct FloatType {
  uint32_t number;
  std::string_view name;
  int64_t block, bytes;                                                       // values and bytes of a block
  DType dtype;                                                                // what FloatMatrix::fill writes
  TensorType plain;                                                           // of types that are used as they are
  void (*widen)(const GgufTensor &tensor, const uint8_t *block, float *out);  // null for those
};
constexpr FloatType kFloatTypes[] = {
    {GgmlType::F32, "F32", 1, 4, DType::F32, TensorType::F32, nullptr},
    {GgmlType::F16, "F16", 1, 2, DType::F16, TensorType::F16, nullptr},
    {GgmlType::BF16, "BF16", 1, 2, DType::BF16, TensorType::BF16, nullptr},
    {GgmlType::Q8_0, "Q8_0", 32, 34, DType::F32, TensorType::U8, widen_q8_0},
    {GgmlType::Q4_0, "Q4_0", 32, 18, DType::F32, TensorType::U8, widen_q4_0},
    {GgmlType::Q6_K, "Q6_K", 256, 210, DType::F32, TensorType::U8, widen_q6_k},
};

const FloatType &float_type(const GgufTensor &tensor, bool plain) {
  std::vector<std::string_view> known;
  for (const FloatType &type : kFloatTypes) {
    if (plain && type.widen) continue;
    if (type.number == tensor.type) return type;
    known.push_back(type.name);
  }
  tensor.fail_info(fmt::format("type: {} is not supported here (supported: {})", tensor.type, join_names(known)));
}

// Checks that the tensor's bytes are there; its size cannot overflow, since no type takes more than 4 bytes a value and
// a matrix that large fails `most` first.
uint64_t checked_bytes(const GgufTensor &tensor, const FloatType &type) {
  constexpr int64_t kMost = int64_t{1} << 60;
  if (tensor.elements() > kMost) tensor.fail_info(fmt::format("shape: {} is too large", tensor.dims_text()));
  if (tensor.dims[0] % type.block != 0) {
    tensor.fail_info(fmt::format("shape: {} cannot be {}", tensor.dims_text(), type.name));
  }
  const uint64_t bytes = static_cast<uint64_t>(tensor.elements() / type.block * type.bytes);
  tensor.require(bytes, type.name);
  return bytes;
}

}  // namespace

FloatMatrix gguf_float_matrix(const GgufTensor &tensor, int64_t rows, int64_t cols) {
  const FloatType &type = float_type(tensor, false);
  if (tensor.rank != 2 || tensor.dims[0] != cols || tensor.dims[1] != rows) {
    tensor.fail_info(fmt::format("shape: {}, expected [{}, {}]", tensor.dims_text(), cols, rows));
  }
  checked_bytes(tensor, type);
  FloatMatrix out;
  out.rows = rows;
  out.cols = cols;
  out.dtype = type.dtype;
  const uint64_t row_bytes = static_cast<uint64_t>(cols / type.block * type.bytes);
  if (type.widen) {
    out.fill = [&tensor, &type, row_bytes, cols](int64_t row0, int64_t count, void *to) {
      float *values = static_cast<float *>(to);
      const uint8_t *block = tensor.data() + static_cast<uint64_t>(row0) * row_bytes;
      for (int64_t i = 0; i < count * (cols / type.block); ++i, block += type.bytes, values += type.block) {
        type.widen(tensor, block, values);
      }
    };
  } else {
    out.data = tensor.data();
    out.fill = [&tensor, row_bytes, cols, dtype = out.dtype](int64_t row0, int64_t count, void *to) {
      std::memcpy(to, tensor.data() + static_cast<uint64_t>(row0) * row_bytes,
                  static_cast<uint64_t>(count) * row_bytes);
      require_finite(to, dtype, row0 * cols, count * cols,
                     [&](const std::string &what, uint64_t offset) { tensor.fail(what, offset); });
    };
  }
  out.release = [&tensor, row_bytes](int64_t row0, int64_t count) {
    const uint64_t begin = tensor.begin + static_cast<uint64_t>(row0) * row_bytes;
    tensor.file->release(begin, begin + static_cast<uint64_t>(count) * row_bytes);
  };
  return out;
}

void check_gguf_vector(const GgufTensor &tensor, int64_t size) {
  const FloatType &type = float_type(tensor, true);
  if (tensor.elements() != size || tensor.dims[0] != size) {
    tensor.fail_info(fmt::format("shape: {}, expected [{}]", tensor.dims_text(), size));
  }
  checked_bytes(tensor, type);
}

std::vector<float> read_gguf_vector(const GgufTensor &tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  const Tensor plain = as_plain_tensor(tensor);
  read_floats(plain, 0, tensor.elements(), values.data());
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      tensor.fail(fmt::format("element {} is {}", i, values[i]), i * tensor_type_bytes(plain.type));
    }
  }
  return values;
}

bool is_plain_float(uint32_t type) {
  return std::any_of(std::begin(kFloatTypes), std::end(kFloatTypes),
                     [&](const FloatType &row) { return row.number == type && !row.widen; });
}

Tensor as_plain_tensor(const GgufTensor &tensor) {
  const FloatType &type = float_type(tensor, true);
  Tensor out;
  out.name = tensor.name;
  out.type = type.plain;
  for (uint32_t i = tensor.rank; i-- > 0;) out.shape.push_back(tensor.dims[i]);
  out.file = tensor.file;
  out.begin = tensor.begin;
  out.end = tensor.begin + checked_bytes(tensor, type);
  return out;
}

float ternary_magnitude(const Tensor &tensor) {
  constexpr int64_t kBlock = 1024;
  std::array<float, kBlock> block;
  const int64_t total = static_cast<int64_t>((tensor.end - tensor.begin) / tensor_type_bytes(tensor.type));
  float magnitude = 0;
  bool differ = false;
  for (int64_t first = 0; first < total && !differ; first += kBlock) {
    const int64_t count = std::min(kBlock, total - first);
    read_floats(tensor, first, count, block.data());
    for (int64_t i = 0; i < count; ++i) {
      const float value = std::fabs(block[static_cast<size_t>(i)]);
      if (!std::isfinite(value)) {
        tensor.fail(fmt::format("element {} is {}", first + i, block[static_cast<size_t>(i)]),
                    static_cast<uint64_t>(first + i) * tensor_type_bytes(tensor.type));
      }
      if (magnitude == 0) magnitude = value;
      differ = differ || (value != 0 && value != magnitude);
    }
  }
  if (magnitude == 0) tensor.fail("every element is 0: not a usable matrix");
  return differ ? 0 : magnitude;
}

}  // namespace bittern::runtime
