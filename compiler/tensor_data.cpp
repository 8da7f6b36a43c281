#include "compiler/tensor_data.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "compiler/error.h"
#include "compiler/numeric.h"

namespace bittern::compiler {

namespace {

template <class T>
T read(const std::vector<uint8_t> &bytes, int64_t index) {
  T value;
  std::memcpy(&value, bytes.data() + static_cast<size_t>(index) * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void write(std::vector<uint8_t> &bytes, int64_t index, T value) {
  std::memcpy(bytes.data() + static_cast<size_t>(index) * sizeof(T), &value, sizeof(T));
}

}  // namespace

int dense_bytes(Type type) { return std::max(type_bytes(type), 1); }

int64_t TensorData::elements() const {
  int64_t n = 1;
  for (const int64_t extent : shape) n *= extent;
  return n;
}

int64_t TensorData::get_int(int64_t index) const {
  return type == Type::I32 ? read<int32_t>(bytes, index) : read<int8_t>(bytes, index);
}

void TensorData::set_int(int64_t index, int64_t value) {
  if (type == Type::I32)
    write(bytes, index, static_cast<int32_t>(value));
  else
    write(bytes, index, static_cast<int8_t>(value));
}

float TensorData::get_float(int64_t index) const {
  if (type == Type::F16) return f32_from_f16(read<uint16_t>(bytes, index));
  if (type == Type::BF16) return f32_from_bf16(read<uint16_t>(bytes, index));
  return read<float>(bytes, index);
}

void TensorData::set_float(int64_t index, float value) {
  if (type == Type::F16)
    write(bytes, index, f16_from_f32(value));
  else if (type == Type::BF16)
    write(bytes, index, bf16_from_f32(value));
  else
    write(bytes, index, value);
}

TensorData make_tensor(const Tensor &tensor, const Sizes &sizes) {
  constexpr int64_t kMaxBytes = int64_t{2} << 30;
  TensorData data;
  data.type = tensor.type;
  int64_t bytes = dense_bytes(tensor.type);
  for (const ExprPtr &extent : tensor.shape) {
    data.shape.push_back(evaluate(extent, sizes));
    if (data.shape.back() < 0 || __builtin_mul_overflow(bytes, data.shape.back(), &bytes) || bytes > kMaxBytes)
      throw Error(fmt::format("tensor {} of shape [{}] would exceed 2 GiB", tensor.name, fmt::join(data.shape, ", ")));
  }
  data.bytes.resize(static_cast<size_t>(bytes));
  return data;
}

std::string index_text(const std::vector<int64_t> &shape, int64_t index) {
  std::vector<int64_t> position(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    position[d] = index % shape[d];
    index /= shape[d];
  }
  return fmt::format("[{}]", fmt::join(position, ", "));
}

}  // namespace bittern::compiler
