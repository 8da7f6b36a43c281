// Any bytes as a GGUF file: one Error, or metadata and tensors that can be read to their last byte.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/error.h"
#include "runtime/model/formats.h"
#include "runtime/model/gguf_file.h"
#include "runtime/model/gguf_float.h"
#include "runtime/model/gguf_names.h"
#include "runtime/model/gguf_ternary.h"

using namespace bittern::runtime;

namespace {

// Reads a value and all within it; returns how many items that were.
uint64_t use(const GgufValue &value) {
  if (value.type() == GgufType::Array) {
    uint64_t items = 0;
    for (const GgufValue item : value.array()) items += use(item);
    return items;
  }
  if (value.type() == GgufType::String) {
    unsigned sum = 0;
    for (const char c : value.string()) sum += static_cast<unsigned char>(c);
    return 1 + sum % 2;
  }
  try {
    value.type() == GgufType::Bool ? static_cast<double>(value.boolean()) : value.number(-1e300, 1e300);
  } catch (const Error &) {  // not finite
  }
  return 1;
}

void check(const std::vector<int8_t> &trits) {
  for (const int8_t trit : trits) {
    if (trit < -1 || trit > 1) std::abort();
  }
}

void use_ternary(const GgufTensor &tensor, const TernaryOptions &options) {
  const int64_t rows = tensor.dims[1], cols = tensor.dims[0];
  const GgufTernary matrix(tensor, rows, cols, options);
  std::vector<int8_t> trits(static_cast<size_t>(cols));
  for (int64_t row = 0; row < rows; ++row) {
    matrix.decode(row, 1, trits.data(), cols);
    check(trits);
  }
  matrix.common_scale();
}

// Exceptions are slow here, so only what can go well is tried.
void use(const GgufTensor &tensor) {
  const int64_t rows = tensor.dims[1], cols = tensor.dims[0];
  if (tensor.rank != 2) {
    check_gguf_vector(tensor, cols);
    read_gguf_vector(tensor);
  } else if (!GgufTernary::is_ternary(tensor.type)) {
    const FloatMatrix matrix = gguf_float_matrix(tensor, rows, cols);
    std::vector<float> row(static_cast<size_t>(cols));
    for (int64_t i = 0; i < rows; ++i) matrix.fill(i, 1, row.data());
  } else if (tensor.type == GgmlType::I2_S) {
    for (const char *layout : {"128", "64", "rows4"}) use_ternary(tensor, {layout, {}});
  } else {
    // TL1 and TL2 need some tile sizes; what the columns divide by decides which.
    const bool tl1 = tensor.type == GgmlType::TL1;
    use_ternary(tensor,
                {"128", {{rows, cols, cols % 128 == 0 ? rows : 32, tl1 ? 64 : 96, tl1 && rows % 64 == 0 ? 64 : 32}}});
  }
}

void use(const ModelSource &model) {
  const ModelConfig &c = model.config();
  for (int64_t layer = 0; layer < c.layers; ++layer) {
    for (size_t i = 0; i < kLinearCount; ++i) {
      const TernaryMatrix matrix = model.linear(layer, static_cast<Linear>(i));
      std::vector<int8_t> trits(static_cast<size_t>(matrix.rows * matrix.cols));
      matrix.decode(0, matrix.rows, trits.data(), matrix.cols);
      check(trits);
      if (matrix.group == 0) continue;
      std::vector<float> scales(static_cast<size_t>(matrix.rows * (matrix.cols / matrix.group)));
      matrix.group_scales(0, matrix.rows, scales.data());
    }
    for (size_t i = 0; i < kVectorCount; ++i) {
      if (has_vector(c, static_cast<Vector>(i))) model.vector(layer, static_cast<Vector>(i));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const int fd = memfd_create("fuzz", MFD_CLOEXEC);
  static const std::string path = "/proc/self/fd/" + std::to_string(fd);
  if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != static_cast<ssize_t>(size)) std::abort();
  try {
    const GgufFile file(path);
    for (const GgufValue &value : file.metadata()) use(value);
    for (const GgufTensor &tensor : file.tensors()) {
      try {
        use(tensor);
      } catch (const Error &) {
      }
    }
    use(*open_gguf(path, {}));
  } catch (const Error &) {
  }
  return 0;
}
