// Any bytes as a safetensors file: one Error, or tensors that can be read to their last byte.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "runtime/model/ternary_tensor.h"

using namespace bittern::runtime;

namespace {

// Reads a tensor in every way a model would.
void use(const Tensor &tensor) {
  unsigned sum = 0;
  for (uint64_t i = 0; i < tensor.end - tensor.begin; ++i) sum += tensor.data()[i];
  if (tensor.end - tensor.begin > uint64_t{1} << 40) std::abort();  // more than there can be
  if (tensor.shape.size() != 2 || tensor.begin == tensor.end) {
    packed_scale(tensor, sum % 2 ? WeightMeaning::PackedDivide : WeightMeaning::PackedMultiply);
    return;
  }
  const int64_t cols = tensor.shape[1];
  std::vector<int8_t> row(static_cast<size_t>(cols));
  if (tensor.type == TensorType::U8) {
    const int64_t rows = tensor.shape[0] * 4;
    check_ternary(tensor, WeightMeaning::PackedMultiply, rows, cols);
    for (int64_t i = 0; i < rows; ++i) decode_packed(tensor, rows, cols, i, 1, row.data(), cols);
  } else {
    check_ternary(tensor, WeightMeaning::OnlineMasters, tensor.shape[0], cols);
    const float inverse = master_inverse_scale(tensor);
    for (int64_t i = 0; i < tensor.shape[0]; ++i) decode_masters(tensor, inverse, cols, i, 1, row.data(), cols);
  }
  for (const int8_t trit : row) {
    if (trit < -1 || trit > 1) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  try {
    const SafetensorsFile file(path);
    for (const auto &[name, tensor] : file.tensors()) {
      try {
        use(tensor);
      } catch (const Error &) {  // the wrong type, shape or value
      }
    }
  } catch (const Error &) {
  }
  return 0;
}
