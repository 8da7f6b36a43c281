#include "runtime/model/float_tensor.h"

#include <fmt/format.h>

#include <cstring>

#include "runtime/model/finite.h"

namespace bittern::runtime {

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

FloatMatrix float_matrix(const Tensor &tensor) {
  FloatMatrix out;
  out.rows = tensor.shape[0];
  out.cols = tensor.shape[1];
  out.dtype = float_type(tensor);
  out.data = tensor.data();
  const uint64_t row_bytes = static_cast<uint64_t>(out.cols) * tensor_type_bytes(tensor.type);
  out.fill = [&tensor, row_bytes, dtype = out.dtype](int64_t row0, int64_t count, void *to) {
    std::memcpy(to, tensor.data() + static_cast<uint64_t>(row0) * row_bytes, static_cast<uint64_t>(count) * row_bytes);
    require_finite(to, dtype, row0 * tensor.shape[1], count * tensor.shape[1],
                   [&](const std::string &what, uint64_t offset) { tensor.fail(what, offset); });
  };
  out.release = [&tensor, row_bytes](int64_t row0, int64_t count) {
    const uint64_t begin = tensor.begin + static_cast<uint64_t>(row0) * row_bytes;
    tensor.file->release(begin, begin + static_cast<uint64_t>(count) * row_bytes);
  };
  return out;
}

}  // namespace bittern::runtime
